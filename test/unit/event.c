/* An event between threads, inside the heap and out of it.  Between processes: sync_process.c. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>

static void set_and_cleared(void **state)
{
	prong_event e = { 0 };

	(void)state;
	CHECK(!prong_event_is_set(&e));
	CHECK_EQ(prong_event_wait(&e, PRONG_NOW), PRONG_TIMEDOUT);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(prong_event_set(&e));
		CHECK_OK(prong_event_set(&e));
		CHECK(prong_event_is_set(&e));
		CHECK_OK(prong_event_wait(&e, PRONG_NOW));
		CHECK_OK(prong_event_wait(&e, prong_in_ms(-1)));
		CHECK_OK(prong_event_wait(&e, PRONG_FOREVER)); /* it stays */
		CHECK_OK(prong_event_clear(&e));
		CHECK_OK(prong_event_clear(&e));
		CHECK(!prong_event_is_set(&e));
		CHECK_EQ(prong_event_wait(&e, prong_in_ms(-1)), PRONG_TIMEDOUT);
	}
}

static void what_is_no_event(void **state)
{
	uint64_t room[2] = { 0, 0 };
	prong_event *crooked = (prong_event *)(void *)((char *)room + 4);

	(void)state;
	CHECK_EQ(prong_event_set(NULL), -EINVAL);
	CHECK_EQ(prong_event_clear(NULL), -EINVAL);
	CHECK_EQ(prong_event_wait(NULL, PRONG_NOW), -EINVAL);
	CHECK(!prong_event_is_set(NULL));
	CHECK_EQ(prong_event_set(crooked), -EINVAL);
	CHECK_EQ(prong_event_clear(crooked), -EINVAL);
	CHECK_EQ(prong_event_wait(crooked, PRONG_NOW), -EINVAL);
	CHECK(!prong_event_is_set(crooked));
}

static void a_deadline_passes(void **state)
{
	prong_event e = { 0 };
	prong_time begin = prong_clock();

	(void)state;
	CHECK_EQ(prong_event_wait(&e, prong_in_ms(30)), PRONG_TIMEDOUT);
	CHECK(prong_ns_between(begin, prong_clock()) >= 30 * 1000000);
}

struct crowd {
	prong_event *e;
	atomic_int ready, through;
};

static void *wait_once(void *arg)
{
	struct crowd *c = arg;

	atomic_fetch_add(&c->ready, 1);
	CHECK_OK(prong_event_wait(c->e, soon()));
	atomic_fetch_add(&c->through, 1);
	return NULL;
}

static void all_pass(prong_event *e, bool pulse)
{
	struct crowd c = { .e = e };
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, wait_once, &c), 0);
	CHECK(wait_for(&c.ready, 8));
	sleep_ms(20);
	CHECK_EQ(atomic_load(&c.through), 0);
	CHECK_OK(prong_event_set(e));
	if (pulse)
		CHECK_OK(prong_event_clear(e)); /* who waited passes all the same */
	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(prong_event_is_set(e), !pulse);
	CHECK_OK(prong_event_clear(e));
}

static void all_who_wait_pass(void **state)
{
	prong_event outside = { 0 }, *heap = shared(sizeof *heap);

	(void)state;
	for (int i = 0; i < 4; i++) {
		all_pass(&outside, i % 2);
		all_pass(heap, i % 2);
	}
	prong_free(heap);
}

/* What was done before the set is seen after the wait: by many pairs of threads at once. */
struct relay {
	prong_event e[2];
	int rounds;
	long n;
};

static void *run_relay(void *arg)
{
	struct relay *r = arg;

	for (int i = 0; i < r->rounds; i++) {
		CHECK_OK(prong_event_wait(&r->e[0], soon()));
		CHECK_OK(prong_event_clear(&r->e[0]));
		r->n++;
		CHECK_OK(prong_event_set(&r->e[1]));
	}
	return NULL;
}

static void to_and_fro(void **state)
{
	struct relay r = { .rounds = scaled(5000) };
	pthread_t t;

	(void)state;
	CHECK_EQ(pthread_create(&t, NULL, run_relay, &r), 0);
	for (int i = 0; i < r.rounds; i++) {
		CHECK_EQ(r.n, i);
		CHECK_OK(prong_event_set(&r.e[0]));
		CHECK_OK(prong_event_wait(&r.e[1], soon()));
		CHECK_OK(prong_event_clear(&r.e[1]));
	}
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static prong_event *of_handler;

static void set_in_handler(int sig)
{
	(void)sig;
	if (prong_event_set(of_handler))
		abort();
}

static void *wait_for_handler(void *arg)
{
	CHECK_OK(prong_event_wait(arg, soon()));
	return NULL;
}

/* The handler runs in the thread that waits. */
static void a_handler_may_set(void **state)
{
	struct sigaction act = { .sa_handler = set_in_handler }, old;
	prong_event outside = { 0 };
	pthread_t t;

	(void)state;
	if (TEST_TSAN)
		SKIP("the thread sanitizer keeps signals from who sleeps in a bare system call");
	CHECK_EQ(sigaction(SIGUSR1, &act, &old), 0);
	for (int i = 0; i < 20; i++) {
		of_handler = i % 2 ? shared(sizeof *of_handler) : &outside;
		CHECK_EQ(pthread_create(&t, NULL, wait_for_handler, of_handler), 0);
		sleep_ms(1);
		CHECK_EQ(pthread_kill(t, SIGUSR1), 0);
		CHECK_EQ(pthread_join(t, NULL), 0);
		CHECK_OK(prong_event_clear(of_handler));
		if (i % 2)
			prong_free(of_handler);
	}
	CHECK_EQ(sigaction(SIGUSR1, &old, NULL), 0);
}

static const struct CMUnitTest tests[] = {
	CASE(set_and_cleared),
	CASE(what_is_no_event),
	CASE(a_deadline_passes),
	CASE(all_who_wait_pass),
	CASE(to_and_fro),
	CASE(a_handler_may_set),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
