/* Once between threads.  Between processes, and their deaths: sync_process.c. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>

struct work {
	prong_once o;
	atomic_int calls, result, slow;
	int value; /* seen by all who are told that it has happened */
};

static int make(void *arg)
{
	struct work *w = arg;

	sleep_ms(atomic_load(&w->slow));
	w->value = 42;
	atomic_fetch_add(&w->calls, 1);
	return atomic_load(&w->result);
}

static void misuse(void **state)
{
	struct work w = { .result = 0 };
	prong_once o;

	(void)state;
	CHECK_EQ(prong_once_run(NULL, make, &w, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_once_run(&w.o, NULL, &w, PRONG_NOW), -EINVAL);
	CHECK(!prong_once_done(NULL));
	memset(&o, 0x5a, sizeof o);
	CHECK_EQ(prong_once_run(&o, make, &w, PRONG_NOW), -EINVAL);
	CHECK(!prong_once_done(&o));
	CHECK_EQ(w.calls, 0);
}

static void it_happens_once(void **state)
{
	struct work w = { .result = -EIO };

	(void)state;
	CHECK_EQ(prong_once_run(&w.o, make, &w, PRONG_NOW), -EIO); /* it has not */
	CHECK(!prong_once_done(&w.o));
	atomic_store(&w.result, 0);
	for (int i = 0; i < 3; i++)
		CHECK_OK(prong_once_run(&w.o, make, &w, prong_in_ms(-1)));
	CHECK(prong_once_done(&w.o));
	CHECK_EQ(w.calls, 2);
	CHECK_OK(prong_once_run(&w.o, NULL, NULL, PRONG_NOW));
}

static void *run_once(void *arg)
{
	struct work *w = arg;

	CHECK_OK(prong_once_run(&w->o, make, w, soon()));
	CHECK(prong_once_done(&w->o));
	CHECK_EQ(w->value, 42);
	return NULL;
}

static void all_wait_for_the_first(void **state)
{
	pthread_t t[8];

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct work *w = shared(sizeof *w);

		atomic_store(&w->slow, round % 4);
		for (int i = 0; i < 8; i++)
			CHECK_EQ(pthread_create(&t[i], NULL, run_once, w), 0);
		for (int i = 0; i < 8; i++)
			CHECK_EQ(pthread_join(t[i], NULL), 0);
		CHECK_EQ(w->calls, 1);
		prong_free(w);
	}
}

static void a_deadline_passes(void **state)
{
	struct work w = { .slow = 200 };
	pthread_t t;

	(void)state;
	CHECK_EQ(pthread_create(&t, NULL, run_once, &w), 0);
	sleep_ms(50);
	CHECK_EQ(prong_once_run(&w.o, make, &w, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_once_run(&w.o, make, &w, prong_in_ms(10)), PRONG_TIMEDOUT);
	CHECK_OK(prong_once_run(&w.o, make, &w, soon()));
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(w.calls, 1);
}

static int call_again(void *arg)
{
	struct work *w = arg;

	return prong_once_run(&w->o, make, w, PRONG_FOREVER);
}

static void from_its_own_function(void **state)
{
	struct work w = { .result = 0 };

	(void)state;
	CHECK_EQ(prong_once_run(&w.o, call_again, &w, PRONG_NOW), PRONG_DEADLOCK);
	CHECK(!prong_once_done(&w.o));
	CHECK_OK(prong_once_run(&w.o, make, &w, PRONG_NOW));
}

static int end_thread_inside(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

static void *run_and_end(void *o)
{
	int r = prong_once_run(o, end_thread_inside, NULL, PRONG_NOW);

	(void)r;
	return NULL;
}

static void the_thread_ends_inside(void **state)
{
	struct work w = { .result = 0 };
	pthread_t t;

	(void)state;
	CHECK_EQ(pthread_create(&t, NULL, run_and_end, &w.o), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK(!prong_once_done(&w.o));
	CHECK_OK(prong_once_run(&w.o, make, &w, soon()));
	CHECK_EQ(w.calls, 1);
}

static const struct CMUnitTest tests[] = {
	CASE(misuse),
	CASE(it_happens_once),
	CASE(all_wait_for_the_first),
	CASE(a_deadline_passes),
	CASE(from_its_own_function),
	CASE(the_thread_ends_inside),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
