/* Pools: workers that end, in each way, on each side of a task: while it is taken, with the
   argument in hand, with a result half written; workers that are replaced, and that stay where
   they are put. */
#define _GNU_SOURCE
#include "pools.h"
#include <pthread.h>
#include <sched.h>

enum {
	BIG = 1 << 20 /* bytes: a block of its own, and pages that were not there before */
};
/* --- each way, at each side ------------------------------------------------------------------- */

enum way {
	ERROR,
	EXIT,
	SEGV,
	KILL,
	HANG,
	WAYS
};

struct large {
	atomic_int *attempts;
	enum way way;
	bool late; /* with the result half written */
	char filled[BIG];
};

static int end_so(enum way way)
{
	switch (way) {
	case EXIT:
		exit(3);
	case SEGV:
		raise(SIGSEGV);
		break;
	case KILL:
		raise(SIGKILL);
		break;
	case HANG:
		for (;;)
			pause();
	default:
		break;
	}
	return EIO;
}

static bool is_all(const char *bytes, size_t n, char c)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != c)
			return false;
	return true;
}

/* The first attempt does not end well. */
static int answer(void *arg)
{
	struct large *a = arg;
	bool first = atomic_fetch_add(a->attempts, 1) == 0;
	char *result;

	if (!is_all(a->filled, BIG, 'a'))
		return ENOMSG;
	memset(a->filled, 'b', BIG / 2);
	if (first && !a->late)
		return end_so(a->way);
	result = prong_task_result(BIG);
	if (!result)
		return ENOMEM;
	memset(result, 'c', BIG / 2);
	if (first)
		return end_so(a->way);
	memset(result + BIG / 2, 'c', BIG / 2);
	return 0;
}

static int wanted(enum way way)
{
	return way == ERROR ? PRONG_FAILED : way == HANG ? PRONG_OVERRUN : PRONG_CRASHED;
}

static int count(void *n)
{
	return atomic_fetch_add((atomic_int *)n, 1) < 0;
}

static void one_death(prong_pool *pool, struct large *a, int retries)
{
	const prong_task_opts opts = { .retries = retries,
				       .limit_ms = a->way == HANG ? 300 * slowness() : 0,
				       .grace_ms = 10 };
	bool again = retries && a->way != ERROR;
	atomic_int *n = shared(sizeof *n);
	prong_future *f;
	size_t size;
	char *result;

	atomic_store(a->attempts, 0);
	CHECK_OK(prong_pool_submit(pool, &f, answer, a, sizeof *a, &opts));
	for (int i = 0; i < 4; i++)
		CHECK_OK(prong_pool_apply(pool, count, n, 0, NULL, soon()));
	CHECK_OK(prong_future_wait(f, soon()));
	CHECK_EQ(prong_future_get(f, NULL, 0, PRONG_NOW), again ? 0 : wanted(a->way));
	result = prong_future_data(f, &size);
	CHECK_EQ(result != NULL, again);
	if (result)
		CHECK(size == BIG && is_all(result, BIG, 'c'));
	CHECK(atomic_load(a->attempts) == (again ? 2 : 1) ||
	      (again && a->way == HANG)); /* where it is slow, once more */
	CHECK_EQ(atomic_load(n), 4);
	prong_future_free(f);
	prong_free(n);
}

static void a_death_costs_its_task_on_whichever_side(void **state)
{
	prong_pool *pool = open_pool("processes:2", NULL);
	struct large *a = calloc(1, sizeof *a);

	(void)state;
	CHECK(a != NULL);
	memset(a->filled, 'a', BIG);
	a->attempts = shared(sizeof *a->attempts);
	for (int way = ERROR; way < WAYS; way++)
		for (int late = 0; late < 2; late++)
			for (int again = 0; again < 2; again++) {
				if (way == HANG && late != again)
					continue; /* they take their time */
				a->way = (enum way)way;
				a->late = late;
				one_death(pool, a, again * 3);
			}
	finish(pool);
	prong_free(a->attempts);
	free(a);
}

static void a_thread_may_fail_on_either_side(void **state)
{
	prong_pool *pool = open_pool("threads:2", NULL);
	struct large *a = calloc(1, sizeof *a);

	(void)state;
	CHECK(a != NULL);
	memset(a->filled, 'a', BIG);
	a->attempts = shared(sizeof *a->attempts);
	for (int late = 0; late < 2; late++) {
		a->way = ERROR;
		a->late = late;
		one_death(pool, a, late);
	}
	finish(pool);
	prong_free(a->attempts);
	free(a);
}

/* --- a thread that is cut short --------------------------------------------------------------- */

static int exits(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

static int cancels(void *arg)
{
	(void)arg;
	pthread_cancel(pthread_self());
	pthread_testcancel();
	return 0;
}

/* With it, the one beneath that waits for it. */
static int waits_for_exit(void *arg)
{
	prong_future *f;
	int r = prong_pool_submit(*(prong_pool **)arg, &f, exits, NULL, 0, NULL);

	return r ? r : prong_future_wait(f, PRONG_FOREVER);
}

static int exits_once(void *arg)
{
	return prong_task_attempt() == 1 ? exits(arg) : 0;
}

static void a_thread_cut_short_costs_its_tasks(void **state)
{
	static prong_fn *const ways[] = { exits, cancels, waits_for_exit };

	(void)state;
	if (TEST_ASAN)
		skip(); /* it holds frames that were left without return for alive */
	for (int i = 0; i < 3; i++) {
		prong_pool *pool = open_pool("threads:1", NULL);
		atomic_int *n = shared(sizeof *n);
		prong_report why;
		prong_future *f;

		CHECK_OK(prong_pool_submit(pool, &f, ways[i], &pool, sizeof pool, NULL));
		CHECK_EQ(prong_future_get(f, NULL, 0, soon()), PRONG_CRASHED);
		CHECK(strstr(prong_error_detail(), "task") != NULL);
		prong_future_report(f, &why);
		CHECK(strstr(why.message, "pthread_exit") != NULL);
		prong_future_free(f);
		CHECK_OK(prong_pool_apply(pool, exits_once, n, 0,
					  &(prong_task_opts){ .retries = 1 }, soon()));
		CHECK_OK(prong_pool_apply(pool, count, n, 0, NULL, soon()));
		prong_free(n);
		finish(pool);
	}
}

/* --- while tasks are taken -------------------------------------------------------------------- */

struct square {
	long n, result;
};

static int square(void *arg)
{
	struct square *s = arg;

	s->result = s->n * s->n;
	return 0;
}

static int a_worker(prong_pool *pool)
{
	prong_worker_stats w[8];
	prong_pool_stats stats;
	size_t n = prong_pool_stat(pool, &stats, w, 8);

	for (size_t i = 0; i < n && i < 8; i++)
		if (w[i].alive && w[i].pid > 0)
			return w[i].pid;
	return 0;
}

/* Short tasks, so that a kill meets a worker as often on the way to one as in it; tasks that may be
   tried again, so that each must be right. */
static void whoever_dies_as_it_takes_a_task_loses_none(void **state)
{
	const prong_pool_opts opts = { .task = { .retries = 100 } };
	prong_pool *pool = open_pool("processes:2", &opts);
	enum {
		TASKS = 200
	};
	prong_future *f[TASKS];

	(void)state;
	for (int round = scaled(20); round > 0; round--) {
		for (long i = 0; i < TASKS; i++) {
			struct square s = { i, 0 };
			int pid = i % 50 == round % 50 ? a_worker(pool) : 0;

			CHECK_OK(prong_pool_submit(pool, &f[i], square, &s, sizeof s, NULL));
			if (pid)
				kill(pid, SIGKILL);
		}
		for (long i = 0; i < TASKS; i++) {
			struct square s;

			CHECK_OK(prong_future_get(f[i], &s, sizeof s, soon()));
			CHECK(s.n == i && s.result == i * i);
			prong_future_free(f[i]);
		}
	}
	finish(pool);
}

/* --- recycled, and pinned --------------------------------------------------------------------- */

static int my_pid(void *arg)
{
	*(int *)arg = getpid();
	return 0;
}

static int leak(void *arg)
{
	static char *volatile kept; /* the compiler shall believe in it */

	kept = malloc(96 << 20);
	if (!kept)
		return ENOMEM;
	memset(kept, 1, 96 << 20);
	return my_pid(arg);
}

static void a_worker_that_grows_too_large_is_replaced(void **state)
{
	const prong_pool_opts opts = { .recycle_rss = 64 << 20 };
	prong_pool *pool = open_pool("processes:1", &opts);
	int first = 0, second = 0, third = 0;

	(void)state;
	CHECK_OK(prong_pool_apply(pool, my_pid, &first, sizeof first, NULL, soon()));
	CHECK_OK(prong_pool_apply(pool, leak, &second, sizeof second, NULL, soon()));
	CHECK_OK(prong_pool_apply(pool, my_pid, &third, sizeof third, NULL, soon()));
	CHECK(TEST_ASAN || first == second);
	CHECK(third != second);
	finish(pool);
}

static int my_cpus(void *arg)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof set, &set))
		return errno;
	*(int *)arg = CPU_COUNT(&set);
	return 0;
}

static void a_pinned_worker_stays_on_one_processor(void **state)
{
	static const char *const kinds[] = { "processes:2", "threads:2" };
	int mine = 0, after = 0;

	(void)state;
	CHECK_OK(my_cpus(&mine));
	for (size_t i = 0; i < 2; i++) {
		const prong_pool_opts opts = { .pin = true };
		prong_pool *pool = open_pool(kinds[i], &opts);

		for (int k = 0; k < 10; k++) {
			int n = 0;

			CHECK_OK(prong_pool_apply(pool, my_cpus, &n, sizeof n, NULL, soon()));
			CHECK_EQ(n, 1);
		}
		finish(pool);
	}
	CHECK_OK(my_cpus(&after));
	CHECK_EQ(after, mine); /* the caller is where it was */
}

/* --- giving up, and options ------------------------------------------------------------------- */

static int dies(void *arg)
{
	(void)arg;
	abort();
}

static void a_pool_that_gave_up_tells_its_futures(void **state)
{
	const prong_pool_opts opts = { .init = dies, .max_restarts = 2 };
	prong_pool *pool = open_pool("processes:1", &opts);
	atomic_int *n = shared(sizeof *n);
	prong_report why;
	prong_future *f;
	int r = prong_pool_submit(pool, &f, count, n, 0, NULL);

	(void)state;
	if (r == 0) { /* else it gave up before */
		CHECK_EQ(prong_future_get(f, NULL, 0, soon()), PRONG_FAILED);
		CHECK(strstr(prong_error_detail(), "before they are ready") != NULL);
		prong_future_report(f, &why);
		CHECK_EQ(why.code, 0);
		CHECK(strstr(why.message, "before they are ready") != NULL);
		CHECK(strchr(why.message, '\n') == NULL);
		CHECK(strstr(why.message, "signal 6") != NULL);
		prong_future_free(f);
		r = prong_pool_submit(pool, &f, count, n, 0, NULL);
	}
	CHECK_EQ(r, PRONG_FAILED);
	CHECK(strchr(prong_error_detail(), '\n') == NULL);
	prong_free(n);
	CHECK_OK(prong_pool_free(pool));
}

static int hang_on(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

static void without_grace_a_task_is_killed_at_once(void **state)
{
	const prong_pool_opts opts = { .task = { .grace_ms = 10 * HANG_MS } };
	prong_pool *pool = open_pool("processes:1", &opts);
	prong_future *f;

	(void)state;
	CHECK_OK(prong_pool_submit(pool, &f, hang_on, NULL, 0,
				   &(prong_task_opts){ .limit_ms = 10, .grace_ms = -1 }));
	CHECK_EQ(prong_future_get(f, NULL, 0, prong_in_ms(900 * slowness())), PRONG_OVERRUN);
	prong_future_free(f);
	finish(pool);
}

static void handlers_of_crashes_are_not_forced_upon_workers(void **state)
{
	(void)state;
	for (int none = 0; none < 2; none++) {
		const prong_pool_opts opts = { .no_trace = none };
		prong_pool *pool = open_pool("processes:1", &opts);
		prong_report why;
		prong_future *f;

		CHECK_OK(prong_pool_submit(pool, &f, dies, NULL, 0, NULL));
		CHECK_EQ(prong_future_get(f, NULL, 0, soon()), PRONG_CRASHED);
		prong_future_report(f, &why);
		CHECK_EQ(why.signal, SIGABRT);
		CHECK(none ? !why.frames : why.frames || under_valgrind());
		prong_future_free(f);
		finish(pool);
	}
}

static const struct CMUnitTest tests[] = {
	CASE(a_death_costs_its_task_on_whichever_side),
	CASE(a_thread_may_fail_on_either_side),
	CASE(a_thread_cut_short_costs_its_tasks),
	CASE(a_pool_that_gave_up_tells_its_futures),
	CASE(without_grace_a_task_is_killed_at_once),
	CASE(handlers_of_crashes_are_not_forced_upon_workers),
	CASE(whoever_dies_as_it_takes_a_task_loses_none),
	CASE(a_worker_that_grows_too_large_is_replaced),
	CASE(a_pinned_worker_stays_on_one_processor),
};

TEST_MAIN(tests, TEST_WARM, NULL)
