/* Pools: tasks as children of groups, tasks and descendants that do not listen, initialisers that
   die, and what a change of size leaves of the work. */
#include "pools.h"
static int add_one(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

static int sleep_for_ever(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return prong_sleep(PRONG_FOREVER);
}

static int die(void *arg)
{
	(void)arg;
	raise(SIGKILL);
	return 0;
}

static int return_7(void *arg)
{
	(void)arg;
	return prong_task_message(7, "it is so");
}

/* Neither told nor asked. */
static int deaf(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	atomic_fetch_add((atomic_int *)arg, 1);
	for (;;)
		pause();
	return 0;
}

/* --- as children of a group -------------------------------------------------------------- */

static prong_group *open_group(const prong_group_opts *opts)
{
	prong_group *g;

	CHECK_OK(prong_group_open(&g, opts));
	return g;
}

static void group_ends_with_its_tasks(void **state)
{
	prong_pool *pool = open_pool("processes:2", NULL);
	prong_group *g = open_group(NULL);
	atomic_int *n = shared(sizeof *n);
	bool seen[10] = { false };
	prong_child child;

	(void)state;
	for (int i = 0; i < 10; i++)
		CHECK_OK(prong_pool_submit(pool, NULL, add_one, n, 0,
					   &(prong_task_opts){ .group = g,
							       .tag = &seen[i],
							       .name = i % 2 ? "odd" : NULL }));
	for (int i = 0; i < 10; i++) {
		prong_report why;

		CHECK_OK(prong_group_next(g, &child, soon()));
		CHECK(child.future && !child.process && !child.thread);
		CHECK_EQ(child.outcome, 0);
		prong_future_report(child.future, &why);
		CHECK_STR(why.name, ((bool *)child.tag - seen) % 2 ? "odd" : "task");
		CHECK(!*(bool *)child.tag);
		*(bool *)child.tag = true;
	}
	CHECK_EQ(prong_group_next(g, &child, soon()), PRONG_EMPTY);
	CHECK_EQ(atomic_load(n), 10);
	CHECK_OK(prong_group_close(g));
	prong_free(n);
	CHECK_OK(prong_pool_free(pool));
}

/* That of one ends the other, which runs for ever. */
static void a_task_that_crashes_cancels_its_group(void **state)
{
	static prong_fn *const ways[] = { die, return_7 };
	static const int outcomes[] = { PRONG_CRASHED, PRONG_FAILED };

	(void)state;
	for (int i = 0; i < 2; i++) {
		prong_pool *pool = open_pool("processes:2", NULL);
		prong_group *g = open_group(NULL);
		atomic_int *n = shared(sizeof *n);
		const prong_task_opts in = { .group = g, .name = "child" };
		prong_report why;

		CHECK_OK(prong_pool_submit(pool, NULL, sleep_for_ever, n, 0, &in));
		CHECK(wait_for(n, 1));
		CHECK_OK(prong_pool_submit(pool, NULL, ways[i], NULL, 0, &in));
		CHECK_EQ(prong_group_join(g, soon()), outcomes[i]);
		CHECK_OK(prong_group_report(g, &why));
		CHECK_EQ(why.outcome, outcomes[i]);
		CHECK_EQ(why.signal, i ? 0 : SIGKILL);
		CHECK_STR(why.name, "child");
		CHECK(why.worker[0] && why.pid);
		CHECK_STR(why.message, i ? "it is so" : "");
		CHECK_OK(prong_group_close(g));
		prong_free(n);
		CHECK_OK(prong_pool_free(pool));
	}
}

/* What runs and what waits; and the pool is as good as before. */
static void close_ends_the_tasks_of_a_group(void **state)
{
	static const char *const kinds[] = { "processes:1", "threads:1" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		prong_pool *pool = open_pool(kinds[i % 2], NULL);
		prong_group *g = open_group(NULL);
		atomic_int *n = shared(sizeof *n), *never = shared(sizeof *never);
		const prong_task_opts in = { .group = g };

		CHECK_OK(prong_pool_submit(pool, NULL, sleep_for_ever, n, 0, &in));
		CHECK(wait_for(n, 1));
		CHECK_OK(prong_pool_submit(pool, NULL, add_one, never, 0, &in));
		if (i / 2) {
			prong_group_cancel(g);
			CHECK_EQ(prong_group_join(g, soon()), PRONG_CANCELLED);
		}
		CHECK_OK(prong_group_close(g));
		CHECK_EQ(atomic_load(never), 0);
		CHECK_OK(prong_pool_apply(pool, add_one, n, 0, NULL, soon()));
		CHECK_EQ(atomic_load(n), 2);
		prong_free(n);
		prong_free(never);
		CHECK_OK(prong_pool_free(pool));
	}
}

/* --- who does not listen ----------------------------------------------------------------- */

static void who_blocks_all_signals_is_killed_after_the_grace(void **state)
{
	const prong_task_opts opts = { .grace_ms = 100, .name = "deaf" };
	prong_pool *pool = open_pool("processes:1", NULL);
	atomic_int *n = shared(sizeof *n);
	prong_future *f = submit(pool, deaf, n, 0, &opts);
	prong_time told;
	prong_report why;
	int64_t ns;

	(void)state;
	CHECK(wait_for(n, 1));
	told = prong_clock();
	CHECK_OK(prong_future_cancel(f));
	CHECK_EQ(prong_future_get(f, NULL, 0, soon()), PRONG_CANCELLED);
	ns = prong_ns_between(told, prong_clock());
	CHECK(ns >= 100000000 && ns < (int64_t)900000000 * slowness());
	prong_future_report(f, &why);
	CHECK_EQ(why.signal, SIGKILL);
	CHECK(pid_gone(why.pid, HANG_MS));
	prong_future_free(f);
	CHECK_OK(prong_pool_apply(pool, add_one, n, 0, NULL, soon()));
	prong_free(n);
	CHECK_OK(prong_pool_free(pool));
}

/* A grandchild whose parent has ended, in a session of its own. */
static int fork_twice(void *arg)
{
	atomic_int *pid = arg;
	pid_t child = fork();

	if (child == 0) {
		setsid();
		if (fork() == 0) {
			atomic_store(pid, getpid());
			for (;;)
				pause();
		}
		_exit(0);
	}
	for (;;)
		pause();
	return 0;
}

static void a_grandchild_ends_with_the_task_that_overran(void **state)
{
	const prong_task_opts opts = { .limit_ms = 200, .grace_ms = 10 };
	prong_pool *pool = open_pool("processes:1", NULL);
	atomic_int *pid = shared(sizeof *pid);

	(void)state;
	CHECK_EQ(prong_pool_apply(pool, fork_twice, pid, 0, &opts, soon()), PRONG_OVERRUN);
	CHECK(atomic_load(pid) > 0);
	CHECK(pid_gone(atomic_load(pid), HANG_MS));
	prong_free(pid);
	CHECK_OK(prong_pool_free(pool));
}

/* --- attempts ---------------------------------------------------------------------------- */

struct attempts {
	atomic_int n;
	prong_time at[4];
};

static int note_and_die(void *arg)
{
	struct attempts *a = arg;

	a->at[atomic_fetch_add(&a->n, 1)] = prong_clock();
	raise(SIGKILL);
	return 0;
}

/* The first attempt at once, the second after 20 ms, then 40, then 80: not before. */
static void each_attempt_waits_twice_as_long(void **state)
{
	const prong_task_opts opts = { .retries = 3, .backoff_ms = 20 };
	prong_pool *pool = open_pool("processes:1", NULL);
	struct attempts *a = shared(sizeof *a);
	prong_pool_stats stats;

	(void)state;
	CHECK_EQ(prong_pool_apply(pool, note_and_die, a, 0, &opts, soon()), PRONG_CRASHED);
	CHECK_EQ(atomic_load(&a->n), 4);
	for (int i = 0; i < 3; i++)
		CHECK(prong_ns_between(a->at[i], a->at[i + 1]) >= (int64_t)20000000 << i);
	prong_pool_stat(pool, &stats, NULL, 0);
	CHECK_EQ(stats.retried, 3);
	prong_free(a);
	CHECK_OK(prong_pool_free(pool));
}

/* The pool's default for tasks that say nothing, and -1 for those that want none. */
static void a_task_may_want_none_of_the_pools_retries(void **state)
{
	const prong_pool_opts two = { .task = { .retries = 2, .name = "default" } };
	static const struct {
		prong_task_opts opts;
		int attempts;
	} wants[] = {
		{ { .retries = 0 }, 3 },
		{ { .retries = -1 }, 1 },
		{ { .retries = 1 }, 2 },
		{ { .retries = 1,
		    .limit_ms = 60000,
		    .grace_ms = 5,
		    .backoff_ms = 1,
		    .priority = 1 },
		  2 },
	};
	prong_pool *pool = open_pool("processes:1", &two);
	struct attempts *a = shared(sizeof *a);

	(void)state;
	for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
		prong_task_opts named = wants[i].opts;
		prong_report why;
		prong_future *f;

		named.name = i % 2 ? "a rather long name of its own" : NULL;
		atomic_store(&a->n, 0);
		f = submit(pool, note_and_die, a, 0, &named);
		CHECK_EQ(prong_future_get(f, NULL, 0, soon()), PRONG_CRASHED);
		prong_future_report(f, &why);
		CHECK_STR(why.name, i % 2 ? named.name : "default");
		CHECK_EQ(why.attempt, wants[i].attempts);
		CHECK_EQ(atomic_load(&a->n), wants[i].attempts);
		prong_future_free(f);
	}
	prong_free(a);
	CHECK_OK(prong_pool_free(pool));
}

/* --- initialisers ------------------------------------------------------------------------ */

static int init_is_killed(void *arg)
{
	return die(arg);
}

static int init_exits(void *arg)
{
	(void)arg;
	exit(3);
}

static void a_pool_whose_init_dies_says_how(void **state)
{
	static prong_fn *const ways[] = { init_is_killed, init_exits };

	(void)state;
	for (int i = 0; i < 2; i++) {
		prong_pool *pool = open_pool("processes:1", &(prong_pool_opts){ .init = ways[i] });
		atomic_int *n = shared(sizeof *n);
		prong_future *f;
		int r = prong_pool_submit(pool, &f, add_one, n, 0, NULL);

		if (r == 0) { /* before it gave up */
			CHECK_EQ(prong_future_get(f, NULL, 0, soon()), PRONG_FAILED);
			prong_future_free(f);
			r = prong_pool_submit(pool, NULL, add_one, n, 0, NULL);
		}
		CHECK_EQ(r, PRONG_FAILED);
		CHECK(strstr(prong_error_detail(), i ? "3" : "signal 9"));
		CHECK_EQ(atomic_load(n), 0);
		prong_free(n);
		CHECK_OK(prong_pool_free(pool));
	}
}

/* --- sizes ------------------------------------------------------------------------------- */

static void nothing_is_lost_while_the_size_changes(void **state)
{
	static const char *const kinds[] = { "processes:1", "threads:1" };
	static const uint32_t sizes[] = { 4, 1, 3, 2 };
	int tasks = scaled(2000);

	(void)state;
	for (int k = 0; k < 2; k++) {
		prong_pool *pool = open_pool(kinds[k], NULL);
		atomic_int *n = shared(sizeof *n);
		prong_pool_stats stats;

		for (int i = 0; i < tasks; i++) {
			if (i % 50 == 0)
				CHECK_OK(prong_pool_resize(pool, sizes[i / 50 % 4]));
			CHECK_OK(prong_pool_submit(pool, NULL, add_one, n, 0, NULL));
		}
		CHECK_OK(prong_pool_close(pool));
		CHECK_OK(prong_pool_join(pool, soon()));
		CHECK_EQ(atomic_load(n), tasks);
		prong_pool_stat(pool, &stats, NULL, 0);
		CHECK_EQ(stats.done, tasks);
		CHECK_EQ(stats.crashed + stats.failed + stats.retried, 0);
		prong_free(n);
		CHECK_OK(prong_pool_free(pool));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(group_ends_with_its_tasks),
		CASE(a_task_that_crashes_cancels_its_group),
		CASE(close_ends_the_tasks_of_a_group),
		CASE(who_blocks_all_signals_is_killed_after_the_grace),
		CASE(a_grandchild_ends_with_the_task_that_overran),
		CASE(each_attempt_waits_twice_as_long),
		CASE(a_task_may_want_none_of_the_pools_retries),
		CASE(a_pool_whose_init_dies_says_how),
		CASE(nothing_is_lost_while_the_size_changes),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
