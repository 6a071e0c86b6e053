/* A semaphore between threads, inside the heap and out of it, against a POSIX one where that can do
   the same.  Between processes, and their deaths, is in sem_process.c. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

/* --- one thread ---------------------------------------------------------------------------- */

static int theirs_wait(sem_t *s)
{
	return sem_trywait(s) ? errno == EAGAIN ? PRONG_TIMEDOUT : -errno : 0;
}

static int theirs_post(sem_t *s)
{
	return sem_post(s) ? -errno : 0;
}

static void same_results(prong_sem *ours)
{
	sem_t theirs;
	unsigned seed = 1;
	int value;

	CHECK_EQ(sem_init(&theirs, 0, prong_sem_value(ours)), 0);
	for (int i = 0; i < 20000; i++) {
		if (rand_r(&seed) % 2)
			CHECK_EQ(prong_sem_post(ours, 1), theirs_post(&theirs));
		else
			CHECK_EQ(prong_sem_wait(ours, PRONG_NOW), theirs_wait(&theirs));
		CHECK_EQ(sem_getvalue(&theirs, &value), 0);
		CHECK_EQ(prong_sem_value(ours), value);
	}
	sem_destroy(&theirs);
}

static void results_are_those_of_posix(void **state)
{
	prong_sem zero = { 0 }, three = PRONG_SEM(3), *heap = shared(sizeof *heap);

	(void)state;
	same_results(&zero);
	same_results(&three);
	same_results(heap);
	prong_free(heap);
}

static void several_at_once(void **state)
{
	prong_sem s = { 0 };

	(void)state;
	CHECK_OK(prong_sem_post(&s, 0));
	CHECK_EQ(prong_sem_value(&s), 0);
	CHECK_OK(prong_sem_post(&s, 5));
	CHECK_EQ(prong_sem_value(&s), 5);
	for (int i = 0; i < 5; i++)
		CHECK_OK(prong_sem_wait(&s, PRONG_NOW));
	CHECK_EQ(prong_sem_wait(&s, PRONG_NOW), PRONG_TIMEDOUT);
}

static void never_more_than_the_bound(void **state)
{
	prong_sem s = PRONG_SEM_BOUNDED(3), most = PRONG_SEM(UINT32_MAX), none = { 0 };

	(void)state;
	CHECK_EQ(prong_sem_post(&s, 1), -EOVERFLOW);
	CHECK_OK(prong_sem_wait(&s, PRONG_NOW));
	CHECK_EQ(prong_sem_post(&s, 2), -EOVERFLOW); /* all of them or none */
	CHECK_EQ(prong_sem_value(&s), 2);
	CHECK_OK(prong_sem_post(&s, 1));
	CHECK_EQ(prong_sem_value(&s), 3);
	CHECK_EQ(prong_sem_post(&s, UINT32_MAX), -EOVERFLOW);

	CHECK_EQ(prong_sem_post(&most, 1), -EOVERFLOW);
	CHECK_OK(prong_sem_wait(&most, PRONG_NOW));
	CHECK_OK(prong_sem_post(&most, 1));
	CHECK_OK(prong_sem_post(&none, UINT32_MAX));
	CHECK_EQ(prong_sem_value(&none), UINT32_MAX);
}

static void what_is_no_semaphore(void **state)
{
	struct { char c[7]; prong_sem s; } odd;
	prong_sem s = { 0 };
	prong_sem *crooked = (prong_sem *)(void *)((char *)&odd + 4);

	(void)state;
	memset(&odd, 0, sizeof odd);
	CHECK_EQ(prong_sem_wait(NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_sem_post(NULL, 1), -EINVAL);
	CHECK_EQ(prong_sem_value(NULL), 0);
	CHECK_EQ(prong_sem_wait(crooked, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_sem_post(crooked, 1), -EINVAL);
	CHECK_EQ(prong_sem_value(crooked), 0);
	memset(&s, 0x5a, sizeof s);
	CHECK_EQ(prong_sem_wait(&s, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_sem_post(&s, 1), -EINVAL);
}

/* --- deadlines: block and timeout ----------------------------------------------------------- */

static void a_deadline_passes(void **state)
{
	prong_sem s = { 0 }, one = PRONG_SEM(1);
	prong_time begin = prong_clock();

	(void)state;
	CHECK_EQ(prong_sem_wait(&s, prong_in_ms(30)), PRONG_TIMEDOUT);
	CHECK(prong_ns_between(begin, prong_clock()) >= 30 * 1000000);
	CHECK_EQ(prong_sem_wait(&s, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_sem_wait(&s, prong_in_ms(-1000)), PRONG_TIMEDOUT);
	CHECK_EQ(prong_sem_wait(&s, prong_time_(1)), PRONG_TIMEDOUT); /* long ago */
	/* With a token there is no wait, whatever the deadline. */
	CHECK_OK(prong_sem_wait(&one, prong_in_ms(-1000)));
	CHECK_OK(prong_sem_post(&one, 1));
	CHECK_OK(prong_sem_wait(&one, PRONG_FOREVER));
}

static void *post_later(void *s)
{
	sleep_ms(20);
	CHECK_OK(prong_sem_post(s, 1));
	return NULL;
}

static void a_token_ends_the_wait(void **state)
{
	prong_sem s = { 0 };
	pthread_t t;

	(void)state;
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(pthread_create(&t, NULL, post_later, &s), 0);
		CHECK_OK(prong_sem_wait(&s, i % 2 ? soon() : PRONG_FOREVER));
		CHECK_EQ(pthread_join(t, NULL), 0);
		CHECK_EQ(prong_sem_value(&s), 0);
	}
}

/* --- many threads -------------------------------------------------------------------------- */

enum { THREADS = 4 };

struct crowd {
	prong_sem *s;
	int rounds;
	atomic_int inside, most, through;
};

static void *in_and_out(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < c->rounds; i++) {
		int n;

		CHECK_OK(prong_sem_wait(c->s, soon()));
		n = atomic_fetch_add(&c->inside, 1) + 1;
		CHECK(n <= atomic_load(&c->most));
		atomic_fetch_sub(&c->inside, 1);
		CHECK_OK(prong_sem_post(c->s, 1));
	}
	return NULL;
}

static void no_more_than_there_are_tokens(prong_sem *s, int tokens)
{
	struct crowd c = { .s = s, .rounds = scaled(20000), .most = tokens };
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, in_and_out, &c), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(prong_sem_value(s), tokens);
}

static void so_many_at_a_time(void **state)
{
	prong_sem one = PRONG_SEM(1), *three = shared(sizeof *three);

	(void)state;
	*three = (prong_sem)PRONG_SEM_BOUNDED(3);
	no_more_than_there_are_tokens(&one, 1);
	no_more_than_there_are_tokens(three, 3);
	prong_free(three);
}

static void *take_one(void *arg)
{
	struct crowd *c = arg;

	CHECK_OK(prong_sem_wait(c->s, soon()));
	atomic_fetch_add(&c->through, 1);
	return NULL;
}

/* Each token lets one pass, be they put one by one or together; and no more. */
static void a_token_for_each_sleeper(void **state)
{
	prong_sem s = { 0 };
	struct crowd c = { .s = &s };
	pthread_t t[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, take_one, &c), 0);
	sleep_ms(20);
	CHECK_EQ(atomic_load(&c.through), 0);
	CHECK_OK(prong_sem_post(&s, 1));
	CHECK_OK(prong_sem_post(&s, 1));
	CHECK(wait_for(&c.through, 2));
	CHECK_OK(prong_sem_post(&s, 3));
	CHECK(wait_for(&c.through, 5));
	sleep_ms(20);
	CHECK_EQ(atomic_load(&c.through), 5);
	CHECK_OK(prong_sem_post(&s, 10));
	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(prong_sem_value(&s), 7);
}

/* --- signal handlers ------------------------------------------------------------------------ */

static prong_sem *of_handler;
static atomic_int begun, handled; /* calls of the handler */

static void post_in_handler(int sig)
{
	int saved = errno;

	(void)sig;
	atomic_fetch_add(&begun, 1);
	if (prong_sem_post(of_handler, 1))
		abort();
	if (errno != saved)
		abort();
	atomic_fetch_add(&handled, 1);
}

struct signalled {
	prong_sem *s;
	bool posts;
	uint32_t posted;
	atomic_int done;
};

/* It posts and is interrupted by handlers that post; or it has never used prong. */
static void *be_interrupted(void *arg)
{
	struct signalled *c = arg;

	while (!atomic_load(&c->done))
		if (c->posts) {
			CHECK_OK(prong_sem_post(c->s, 1));
			c->posted++;
		}
	return NULL;
}

static void handle_in_thread(prong_sem *s, bool posts)
{
	struct sigaction act = { .sa_handler = post_in_handler, .sa_flags = SA_NODEFER }, old;
	struct signalled c = { .s = s, .posts = posts };
	uint32_t before = prong_sem_value(s);
	pthread_t t;

	of_handler = s;
	atomic_store(&begun, 0);
	atomic_store(&handled, 0);
	CHECK_EQ(sigaction(SIGUSR1, &act, &old), 0);
	CHECK_EQ(pthread_create(&t, NULL, be_interrupted, &c), 0);
	for (int sent = 0; atomic_load(&handled) < 200;)
		/* Some within each other, but not more than the stack has room for. */
		if (atomic_load(&begun) == sent && sent - atomic_load(&handled) < 8) {
			CHECK_EQ(pthread_kill(t, SIGUSR1), 0);
			sent++;
		}
	atomic_store(&c.done, 1);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR1, &old, NULL), 0);
	CHECK_EQ(prong_sem_value(s) - before, c.posted + (uint32_t)atomic_load(&handled));
}

static void a_handler_may_post(void **state)
{
	prong_sem outside = { 0 }, *heap = shared(sizeof *heap);

	(void)state;
	handle_in_thread(&outside, false);
	handle_in_thread(heap, false);
	handle_in_thread(&outside, true);
	handle_in_thread(heap, true);
	prong_free(heap);
}

static void *post_much(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < c->rounds; i++)
		CHECK_OK(prong_sem_post(c->s, 1));
	atomic_store(&c->through, 1);
	return NULL;
}

/* A thread that only posts takes no slot from others. */
static void posting_keeps_no_slot(void **state)
{
	prong_sem *s = shared(sizeof *s);
	struct crowd c = { .s = s, .rounds = 1000 };
	prong_family_stats before, after;
	pthread_t t;

	(void)state;
	prong_family_stat(&before);
	CHECK_EQ(pthread_create(&t, NULL, post_much, &c), 0);
	CHECK(wait_for(&c.through, 1));
	prong_family_stat(&after);
	CHECK_EQ(after.threads, before.threads);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(prong_sem_value(s), 1000);
	prong_free(s);
}

static const struct CMUnitTest tests[] = {
	CASE(results_are_those_of_posix),
	CASE(several_at_once),
	CASE(never_more_than_the_bound),
	CASE(what_is_no_semaphore),
	CASE(a_deadline_passes),
	CASE(a_token_ends_the_wait),
	CASE(so_many_at_a_time),
	CASE(a_token_for_each_sleeper),
	CASE(a_handler_may_post),
	CASE(posting_keeps_no_slot),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
