/* A mutex between threads, inside the heap and out of it, against a pthread mutex where that can
   do the same.  Between processes, and their deaths, is in mutex_process.c. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>
#include <time.h>

/* --- one thread: the same operations on both kinds ----------------------------------------- */

struct kind {
	const char *name;
	int (*lock)(void *m), (*try)(void *m), (*unlock)(void *m);
};

static int prong_kind_lock(void *m)
{
	int r = prong_mutex_lock(m, PRONG_FOREVER);

	return r == PRONG_DEADLOCK ? EDEADLK : -r;
}

static int prong_kind_try(void *m)
{
	int r = prong_mutex_lock(m, PRONG_NOW);

	return r == PRONG_TIMEDOUT || r == PRONG_DEADLOCK ? EBUSY : -r;
}

static int prong_kind_unlock(void *m)
{
	return -prong_mutex_unlock(m);
}

static int pthread_kind_lock(void *m)
{
	return pthread_mutex_lock(m);
}

static int pthread_kind_try(void *m)
{
	return pthread_mutex_trylock(m);
}

static int pthread_kind_unlock(void *m)
{
	return pthread_mutex_unlock(m);
}

static const struct kind prong_kind = { "prong", prong_kind_lock, prong_kind_try,
					prong_kind_unlock };
static const struct kind pthread_kind = { "pthread", pthread_kind_lock, pthread_kind_try,
					  pthread_kind_unlock };

static int apply(const struct kind *k, void *m, int what)
{
	return what == 0 ? k->lock(m) : what == 1 ? k->try(m) : k->unlock(m);
}

static void same_results(int type, prong_mutex *ours)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t theirs;
	unsigned seed = 1;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type);
	pthread_mutex_init(&theirs, &attr);
	for (int i = 0; i < 10000; i++) {
		int what = rand_r(&seed) % 4; /* unlock is twice as likely */
		int r = apply(&prong_kind, ours, what), want = apply(&pthread_kind, &theirs, what);

		if (r != want)
			check_failed(__FILE__, __LINE__, "step %d: %d is %d, not %d", i, what, r,
				     want);
	}
	while (pthread_mutex_unlock(&theirs) == 0)
		CHECK_EQ(prong_mutex_unlock(ours), 0);
	CHECK_EQ(prong_mutex_unlock(ours), -EPERM);
	pthread_mutex_destroy(&theirs);
	pthread_mutexattr_destroy(&attr);
}

static void results_are_those_of_pthread(void **state)
{
	prong_mutex local = { 0 }, recursive = PRONG_MUTEX_RECURSIVE;
	prong_mutex *heap = shared(2 * sizeof *heap);

	(void)state;
	same_results(PTHREAD_MUTEX_ERRORCHECK, &local);
	same_results(PTHREAD_MUTEX_RECURSIVE, &recursive);
	heap[1] = recursive;
	same_results(PTHREAD_MUTEX_ERRORCHECK, &heap[0]);
	same_results(PTHREAD_MUTEX_RECURSIVE, &heap[1]);
	prong_free(heap);
}

/* --- many threads: the same body on both kinds --------------------------------------------- */

enum { THREADS = 4 };

struct counting {
	const struct kind *kind;
	void *mutex;
	int rounds;
	long a, b;
};

static void *count(void *arg)
{
	struct counting *c = arg;

	for (int i = 0; i < c->rounds; i++) {
		CHECK_EQ(c->kind->lock(c->mutex), 0);
		if (c->a++ != c->b++)
			check_failed(__FILE__, __LINE__, "two inside");
		CHECK_EQ(c->kind->unlock(c->mutex), 0);
	}
	return NULL;
}

static void count_with(const struct kind *kind, void *mutex)
{
	struct counting c = { kind, mutex, scaled(50000), 0, 0 };
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, count, &c), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(c.a, (long)THREADS * c.rounds);
	CHECK_EQ(c.b, c.a);
}

static void one_at_a_time(void **state)
{
	static prong_mutex outside, recursive = PRONG_MUTEX_RECURSIVE;
	static pthread_mutex_t theirs = PTHREAD_MUTEX_INITIALIZER;
	prong_mutex *heap = shared(sizeof *heap);

	(void)state;
	count_with(&pthread_kind, &theirs);
	count_with(&prong_kind, &outside);
	count_with(&prong_kind, &recursive);
	count_with(&prong_kind, heap);
	prong_free(heap);
}

/* --- recursion ----------------------------------------------------------------------------- */

static void *try_once(void *m)
{
	int r = prong_mutex_lock(m, PRONG_NOW);

	if (r == 0)
		CHECK_OK(prong_mutex_unlock(m));
	return (void *)(intptr_t)r;
}

static int try_elsewhere(prong_mutex *m)
{
	pthread_t t;
	void *r;

	CHECK_EQ(pthread_create(&t, NULL, try_once, m), 0);
	CHECK_EQ(pthread_join(t, &r), 0);
	return (int)(intptr_t)r;
}

static void a_recursive_one_is_free_when_unlocked_as_often(void **state)
{
	prong_mutex m = PRONG_MUTEX_RECURSIVE;

	(void)state;
	for (int i = 0; i < 5; i++)
		CHECK_OK(prong_mutex_lock(&m, i % 2 ? PRONG_NOW : PRONG_FOREVER));
	for (int i = 0; i < 5; i++) {
		CHECK(prong_mutex_held(&m));
		CHECK_EQ(try_elsewhere(&m), PRONG_TIMEDOUT);
		CHECK_OK(prong_mutex_unlock(&m));
	}
	CHECK(!prong_mutex_held(&m));
	CHECK_EQ(try_elsewhere(&m), 0);
	CHECK_EQ(prong_mutex_unlock(&m), -EPERM);
}

static void too_deep(void **state)
{
	prong_mutex m = PRONG_MUTEX_RECURSIVE;

	(void)state;
	CHECK_OK(prong_mutex_lock(&m, PRONG_NOW));
	m.depth_ = UINT32_MAX;
	CHECK_EQ(prong_mutex_lock(&m, PRONG_NOW), -EOVERFLOW);
	m.depth_ = 0;
	CHECK_OK(prong_mutex_unlock(&m));
	CHECK_EQ(try_elsewhere(&m), 0);
}

static void twice_is_a_deadlock(void **state)
{
	prong_mutex m = { 0 };

	(void)state;
	CHECK_OK(prong_mutex_lock(&m, PRONG_FOREVER));
	CHECK_EQ(prong_mutex_lock(&m, PRONG_FOREVER), PRONG_DEADLOCK);
	CHECK_EQ(prong_mutex_lock(&m, PRONG_NOW), PRONG_DEADLOCK);
	CHECK_EQ(prong_mutex_lock(&m, prong_in_ms(10)), PRONG_DEADLOCK);
	CHECK(prong_mutex_held(&m));
	CHECK_OK(prong_mutex_unlock(&m)); /* once is enough */
	CHECK(!prong_mutex_held(&m));
}

/* --- deadlines ----------------------------------------------------------------------------- */

static void *wait_a_little(void *m)
{
	prong_time begin = prong_clock();

	CHECK_EQ(prong_mutex_lock(m, prong_in_ms(30)), PRONG_TIMEDOUT);
	CHECK(prong_ns_between(begin, prong_clock()) >= 30 * 1000000);
	CHECK_EQ(prong_mutex_lock(m, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_mutex_lock(m, prong_in_ms(-1000)), PRONG_TIMEDOUT);
	CHECK(!prong_mutex_held(m));
	return NULL;
}

static void a_deadline_passes(void **state)
{
	prong_mutex m = { 0 };
	pthread_t t;

	(void)state;
	CHECK_OK(prong_mutex_lock(&m, prong_in_ms(-1))); /* free: no wait is needed */
	CHECK_EQ(pthread_create(&t, NULL, wait_a_little, &m), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_OK(prong_mutex_unlock(&m));
	CHECK_EQ(try_elsewhere(&m), 0);
}

static void *lock_and_unlock(void *m)
{
	CHECK_OK(prong_mutex_lock(m, soon()));
	CHECK_OK(prong_mutex_unlock(m));
	return NULL;
}

static void sleepers_are_woken(void **state)
{
	prong_mutex m = { 0 };
	pthread_t t[8];

	(void)state;
	for (int round = 0; round < 10; round++) {
		CHECK_OK(prong_mutex_lock(&m, PRONG_NOW));
		for (int i = 0; i < 8; i++)
			CHECK_EQ(pthread_create(&t[i], NULL, lock_and_unlock, &m), 0);
		sleep_ms(5);
		CHECK_OK(prong_mutex_unlock(&m));
		for (int i = 0; i < 8; i++)
			CHECK_EQ(pthread_join(t[i], NULL), 0);
	}
}

static void on_signal(int sig)
{
	(void)sig;
}

static void *signalled(void *m)
{
	CHECK_OK(prong_mutex_lock(m, soon()));
	CHECK_OK(prong_mutex_unlock(m));
	CHECK_OK(prong_mutex_lock(m, PRONG_FOREVER));
	CHECK_OK(prong_mutex_unlock(m));
	return NULL;
}

static void signals_do_not_end_the_wait(void **state)
{
	struct sigaction act = { .sa_handler = on_signal }, old;
	prong_mutex m = { 0 };
	pthread_t t;

	(void)state;
	CHECK_EQ(sigaction(SIGUSR1, &act, &old), 0);
	CHECK_OK(prong_mutex_lock(&m, PRONG_NOW));
	CHECK_EQ(pthread_create(&t, NULL, signalled, &m), 0);
	for (int i = 0; i < 20; i++) {
		sleep_ms(1);
		CHECK_EQ(pthread_kill(t, SIGUSR1), 0);
	}
	CHECK_OK(prong_mutex_unlock(&m));
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR1, &old, NULL), 0);
}

/* --- ownership ----------------------------------------------------------------------------- */

static void *not_the_owner(void *m)
{
	CHECK(!prong_mutex_held(m));
	CHECK_EQ(prong_mutex_unlock(m), -EPERM);
	CHECK_EQ(prong_mutex_consistent(m), -EPERM);
	return NULL;
}

static void only_the_owner_unlocks(void **state)
{
	prong_mutex m = { 0 };
	pthread_t t;

	(void)state;
	CHECK_EQ(prong_mutex_unlock(&m), -EPERM);
	CHECK_EQ(prong_mutex_consistent(&m), -EPERM);
	CHECK_OK(prong_mutex_lock(&m, PRONG_NOW));
	CHECK_EQ(pthread_create(&t, NULL, not_the_owner, &m), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_OK(prong_mutex_consistent(&m)); /* it always was */
	CHECK(prong_mutex_held(&m));
	CHECK_OK(prong_mutex_unlock(&m));
	CHECK_EQ(prong_mutex_unlock(&m), -EPERM);
}

static void what_is_no_mutex(void **state)
{
	prong_mutex m = { 0 };

	(void)state;
	CHECK_EQ(prong_mutex_lock(NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_mutex_unlock(NULL), -EINVAL);
	CHECK_EQ(prong_mutex_consistent(NULL), -EINVAL);
	CHECK(!prong_mutex_held(NULL));
	memset(&m, 0x5a, sizeof m);
	m.word_ = 0;
	CHECK_EQ(prong_mutex_lock(&m, PRONG_NOW), -EINVAL);
	CHECK(!prong_mutex_held(&m));
}

/* --- threads that end holding -------------------------------------------------------------- */

static void *end_holding(void *m)
{
	CHECK_OK(prong_mutex_lock(m, PRONG_NOW));
	pthread_exit(NULL);
}

static int prong_thread_ends_holding(void *m)
{
	CHECK_OK(prong_mutex_lock(m, PRONG_NOW));
	return 0;
}

static void leave_locked(prong_mutex *m)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, end_holding, m), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void passes_on(prong_mutex *m)
{
	leave_locked(m);
	CHECK_EQ(prong_mutex_lock(m, soon()), PRONG_OWNERDEAD);
	CHECK(prong_mutex_held(m));
	CHECK_OK(prong_mutex_consistent(m));
	CHECK_OK(prong_mutex_unlock(m));
	CHECK_OK(prong_mutex_lock(m, PRONG_NOW));
	CHECK_OK(prong_mutex_unlock(m));
}

static void a_thread_ends_holding(void **state)
{
	static prong_mutex outside;
	prong_mutex on_stack = PRONG_MUTEX_RECURSIVE, *heap = shared(sizeof *heap);

	(void)state;
	for (int i = 0; i < 20; i++) {
		passes_on(&outside);
		passes_on(&on_stack);
		passes_on(heap);
	}
	CHECK_EQ(end_thread(start_thread(prong_thread_ends_holding, heap, 0)), 0);
	CHECK_EQ(prong_mutex_lock(heap, soon()), PRONG_OWNERDEAD);
	CHECK_OK(prong_mutex_consistent(heap));
	CHECK_OK(prong_mutex_unlock(heap));
	prong_free(heap);
}

static void what_is_not_made_consistent_stays_marked(void **state)
{
	prong_mutex m = { 0 };

	(void)state;
	leave_locked(&m);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(prong_mutex_lock(&m, soon()), PRONG_OWNERDEAD);
		CHECK_OK(prong_mutex_unlock(&m));
	}
	CHECK_EQ(try_elsewhere(&m), PRONG_OWNERDEAD);
	CHECK_EQ(prong_mutex_lock(&m, PRONG_NOW), PRONG_OWNERDEAD);
	CHECK_OK(prong_mutex_consistent(&m));
	CHECK_OK(prong_mutex_consistent(&m));
	CHECK_OK(prong_mutex_unlock(&m));
	CHECK_EQ(try_elsewhere(&m), 0);
}

static void a_recursive_one_of_a_dead_owner_has_no_depth(void **state)
{
	prong_mutex m = PRONG_MUTEX_RECURSIVE;

	(void)state;
	leave_locked(&m);
	CHECK_EQ(prong_mutex_lock(&m, soon()), PRONG_OWNERDEAD);
	CHECK_OK(prong_mutex_consistent(&m));
	CHECK_OK(prong_mutex_lock(&m, PRONG_NOW));
	CHECK_OK(prong_mutex_unlock(&m));
	CHECK_EQ(try_elsewhere(&m), PRONG_TIMEDOUT);
	CHECK_OK(prong_mutex_unlock(&m));
	CHECK_EQ(try_elsewhere(&m), 0);
}

static void *end_holding_slowly(void *m)
{
	CHECK_OK(prong_mutex_lock(m, PRONG_NOW));
	sleep_ms(20);
	return NULL;
}

static void *take_over(void *m)
{
	int r = prong_mutex_lock(m, soon());

	if (r == PRONG_OWNERDEAD)
		CHECK_OK(prong_mutex_consistent(m));
	else
		CHECK_OK(r);
	CHECK_OK(prong_mutex_unlock(m));
	return (void *)(intptr_t)r;
}

static void sleepers_learn_of_the_end(void **state)
{
	prong_mutex *m = shared(sizeof *m), outside = { 0 };
	int told = 0;

	(void)state;
	for (int round = 0; round < 10; round++) {
		pthread_t owner, t[4];
		void *r;

		CHECK_EQ(pthread_create(&owner, NULL, end_holding_slowly,
					round % 2 ? m : &outside), 0);
		sleep_ms(5);
		for (int i = 0; i < 4; i++)
			CHECK_EQ(pthread_create(&t[i], NULL, take_over, round % 2 ? m : &outside),
				 0);
		for (int i = 0; i < 4; i++) {
			CHECK_EQ(pthread_join(t[i], &r), 0);
			told += (intptr_t)r == PRONG_OWNERDEAD;
		}
		CHECK_EQ(pthread_join(owner, NULL), 0);
	}
	CHECK(told <= 10);
	prong_free(m);
}

static const struct CMUnitTest tests[] = {
	CASE(results_are_those_of_pthread),
	CASE(one_at_a_time),
	CASE(a_recursive_one_is_free_when_unlocked_as_often),
	CASE(too_deep),
	CASE(twice_is_a_deadlock),
	CASE(a_deadline_passes),
	CASE(sleepers_are_woken),
	CASE(signals_do_not_end_the_wait),
	CASE(only_the_owner_unlocks),
	CASE(what_is_no_mutex),
	CASE(a_thread_ends_holding),
	CASE(what_is_not_made_consistent_stays_marked),
	CASE(a_recursive_one_of_a_dead_owner_has_no_depth),
	CASE(sleepers_learn_of_the_end),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
