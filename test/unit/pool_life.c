/* Pools: limits and cancelling, waiting inside of tasks, the lives of workers, and what ends a
   pool. */
#include "pools.h"
#include <pthread.h>
#include <sys/wait.h>

static const char *const worker_kinds[] = { "processes:2", "threads:2" };

#define EACH_KIND(kind) for (size_t k_ = 0; k_ < 2 && ((kind) = worker_kinds[k_]); k_++)
static int add_one(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

/* --- limits and cancelling -------------------------------------------------------------------- */

static int hang(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

static int until_cancelled(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	while (!prong_cancelled())
		;
	return 9;
}

static int sleep_for_ever(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return prong_sleep(PRONG_FOREVER);
}

static void a_task_that_takes_too_long_is_stopped(void **state)
{
	const prong_task_opts opts = { .limit_ms = 30 * slowness(),
				       .grace_ms = 30 * slowness(),
				       .name = "slow" };
	prong_pool *pool = open_pool("processes:2", NULL);
	atomic_int *n = shared(sizeof *n);
	prong_pool_stats stats;
	prong_report why;
	prong_future *f;

	(void)state;
	CHECK_EQ(outcome(submit(pool, until_cancelled, n, 0, &opts)), PRONG_OVERRUN);
	CHECK_EQ(outcome(submit(pool, sleep_for_ever, n, 0, &opts)), PRONG_OVERRUN);
	f = submit(pool, hang, NULL, 0, &opts);
	CHECK_OK(prong_future_wait(f, soon()));
	prong_future_report(f, &why);
	CHECK_EQ(why.outcome, PRONG_OVERRUN);
	CHECK_EQ(why.signal, SIGKILL);
	CHECK_STR(why.name, "slow");
	CHECK_EQ(outcome(f), PRONG_OVERRUN);
	prong_pool_stat(pool, &stats, NULL, 0);
	CHECK_EQ(stats.overrun, 3);
	CHECK_OK(prong_pool_apply(pool, add_one, n, 0, &opts, soon()));
	prong_free(n);
	CHECK_OK(prong_pool_free(pool));
}

static void in_a_pool_of_threads_it_is_told(void **state)
{
	const prong_pool_opts opts = { .task = { .limit_ms = 20 } };
	prong_pool *pool = open_pool("threads:2", &opts);
	atomic_int *n = shared(sizeof *n);

	(void)state;
	CHECK_EQ(outcome(submit(pool, until_cancelled, n, 0, NULL)), PRONG_OVERRUN);
	CHECK_EQ(outcome(submit(pool, sleep_for_ever, n, 0, NULL)), PRONG_OVERRUN);
	prong_free(n);
	CHECK_OK(prong_pool_free(pool));
}

static void a_task_is_cancelled_wherever_it_is(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);
		atomic_int *n = shared(sizeof *n), *never = shared(sizeof *never);
		prong_future *runs[2], *waits;

		runs[0] = submit(pool, until_cancelled, n, 0, NULL);
		runs[1] = submit(pool, sleep_for_ever, n, 0, NULL);
		CHECK(wait_for(n, 2));
		waits = submit(pool, add_one, never, 0, NULL);
		CHECK_OK(prong_future_cancel(waits));
		CHECK_EQ(prong_future_cancel(waits), PRONG_EMPTY);
		CHECK_EQ(outcome(waits), PRONG_CANCELLED);
		CHECK_OK(prong_future_cancel(runs[0]));
		CHECK_OK(prong_future_cancel(runs[1]));
		CHECK_EQ(outcome(runs[0]), PRONG_CANCELLED);
		CHECK_EQ(outcome(runs[1]), PRONG_CANCELLED);
		CHECK_OK(prong_pool_apply(pool, add_one, n, 0, NULL, soon()));
		CHECK_EQ(atomic_load(never), 0);
		CHECK_EQ(atomic_load(n), 3);
		prong_free(n);
		prong_free(never);
		CHECK_OK(prong_pool_free(pool));
	}
}

static int fork_and_hang(void *arg)
{
	atomic_int *pids = arg;
	pid_t pid = fork();

	if (pid == 0)
		hang(NULL);
	atomic_store(pids, pid);
	return hang(NULL);
}

static void with_a_worker_its_descendants_end(void **state)
{
	const prong_task_opts opts = { .limit_ms = 30, .grace_ms = 10 };
	prong_pool *pool = open_pool("processes:1", NULL);
	atomic_int *pid = shared(sizeof *pid);

	(void)state;
	CHECK_EQ(outcome(submit(pool, fork_and_hang, pid, 0, &opts)), PRONG_OVERRUN);
	CHECK(pid_gone(atomic_load(pid), HANG_MS));
	prong_free(pid);
	CHECK_OK(prong_pool_free(pool));
}

/* --- waiting inside --------------------------------------------------------------------------- */

struct tree {
	prong_pool *pool;
	int depth, leaves;
};

static int count_leaves(void *arg)
{
	struct tree *t = arg;
	prong_future *f[2];
	int r = 0;

	t->leaves = 1;
	if (!t->depth)
		return 0;
	t->leaves = 0;
	for (int i = 0; i < 2; i++) {
		struct tree below = { t->pool, t->depth - 1, 0 };

		r = r ? r
		      : prong_pool_submit(t->pool, &f[i], count_leaves, &below, sizeof below, NULL);
	}
	for (int i = 0; i < 2 && r == 0; i++) {
		struct tree below;

		r = prong_future_get(f[i], &below, sizeof below, soon());
		t->leaves += below.leaves;
		prong_future_free(f[i]);
	}
	return r;
}

static void tasks_wait_for_tasks_three_deep_on_one_worker(void **state)
{
	static const char *const one[] = { "processes:1", "threads:1", "sequential" };

	(void)state;
	for (int k = 0; k < 3; k++) {
		prong_pool *pool = open_pool(one[k], NULL);
		struct tree t = { pool, k == 0 ? 3 : 8, 0 };

		CHECK_OK(prong_pool_apply(pool, count_leaves, &t, sizeof t, NULL, soon()));
		CHECK_EQ(t.leaves, k == 0 ? 8 : 256);
		CHECK_OK(prong_pool_free(pool));
	}
}

static int wait_for_itself(void *arg)
{
	prong_future **f = arg;
	prong_pool *pool = (prong_pool *)f[1];

	while (!atomic_load((_Atomic(prong_future *) *)f))
		prong_sleep(prong_in_ms(1));
	return prong_future_wait(f[0], soon()) == PRONG_DEADLOCK &&
			       prong_pool_join(pool, PRONG_NOW) == -EBUSY &&
			       prong_pool_free(pool) == PRONG_DEADLOCK
		       ? 0
		       : 1;
}

static void who_waits_for_itself_is_told(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);
		void **both = shared(2 * sizeof *both);
		prong_future *f;

		both[1] = pool;
		f = submit(pool, wait_for_itself, both, 0, NULL);
		atomic_store((_Atomic(prong_future *) *)(void *)both, f);
		CHECK_OK(outcome(f));
		prong_free(both);
		CHECK_OK(prong_pool_free(pool));
	}
}

static int pool_in_a_pool(void *arg)
{
	prong_pool *pool;
	struct tree t = { NULL, 2, 0 };

	(void)arg;
	CHECK_OK(prong_pool_open(&pool, "processes:2", NULL));
	t.pool = pool;
	CHECK_OK(prong_pool_apply(pool, count_leaves, &t, sizeof t, NULL, soon()));
	CHECK_EQ(t.leaves, 4);
	return prong_task_attempt() == 2 ? 0
					 : raise(SIGKILL); /* then it is freed with its process */
}

static void a_task_may_have_a_pool_and_die_with_it(void **state)
{
	prong_pool *pool = open_pool("processes:1", NULL);

	(void)state;
	CHECK_OK(prong_pool_apply(pool, pool_in_a_pool, NULL, 0, &(prong_task_opts){ .retries = 1 },
				  soon()));
	CHECK_OK(prong_pool_free(pool));
	CHECK_OK(prong_pool_open(&pool, "sequential", NULL)); /* takes the dead one's memory */
	CHECK_OK(prong_pool_free(pool));
}

/* --- workers ---------------------------------------------------------------------------------- */

static _Thread_local int ready;
static _Thread_local atomic_int *ends;

static int get_ready(void *arg)
{
	ready = 17;
	ends = arg;
	return 0;
}

static void count_end(void)
{
	atomic_fetch_add(ends, 1);
}

static int is_ready(void *arg)
{
	(void)arg;
	return ready - 17;
}

static int my_pid(void *arg)
{
	*(int *)arg = getpid();
	return 0;
}

static void workers_are_replaced_after_so_many_tasks(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		atomic_int *n = shared(sizeof *n);
		const prong_pool_opts opts = {
			.recycle_tasks = 3, .init = get_ready, .fini = count_end, .arg = n
		};
		prong_pool *pool = open_pool(kind, &opts);
		prong_pool_stats stats;

		for (int i = 0; i < 30; i++)
			CHECK_OK(prong_pool_apply(pool, is_ready, NULL, 0, NULL, soon()));
		CHECK_OK(prong_pool_close(pool));
		CHECK_OK(prong_pool_join(pool, soon()));
		prong_pool_stat(pool, &stats, NULL, 0);
		CHECK(stats.started >= 10);
		CHECK_EQ(stats.done, 30);
		CHECK_EQ(atomic_load(n), (int)stats.started);
		CHECK_OK(prong_pool_free(pool));
		prong_free(n);
	}
}

static void idle_workers_end_and_come_again(void **state)
{
	const prong_pool_opts opts = { .idle_ms = 20 };
	prong_pool *pool = open_pool("processes:1", &opts);
	int first = 0, second = 0;
	prong_pool_stats stats;

	(void)state;
	CHECK_OK(prong_pool_apply(pool, my_pid, &first, sizeof first, NULL, soon()));
	do
		prong_pool_stat(pool, &stats, NULL, 0);
	while (stats.workers);
	CHECK_OK(prong_pool_apply(pool, my_pid, &second, sizeof second, NULL, soon()));
	CHECK(first != second);
	CHECK_OK(prong_pool_free(pool));
}

static bool has_three(void *arg)
{
	prong_worker_stats workers[3];
	prong_pool_stats stats;

	return prong_pool_stat(arg, &stats, workers, 3) == 3 && workers[2].alive && workers[2].pid;
}

static bool has_one(void *arg)
{
	prong_pool_stats stats;

	prong_pool_stat(arg, &stats, NULL, 0);
	return stats.workers == 1;
}

static void a_pool_is_resized_while_it_runs(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);
		prong_worker_stats workers[8];
		prong_pool_stats stats;

		CHECK_EQ(prong_pool_resize(pool, 0), -EINVAL);
		CHECK_EQ(prong_pool_resize(pool, 1000000), -EINVAL);
		CHECK_OK(prong_pool_resize(pool, 3));
		CHECK(wait_until(has_three, pool, HANG_MS));
		CHECK_EQ(prong_pool_stat(pool, &stats, workers, 8), 3);
		CHECK(workers[2].alive && workers[2].pid && workers[2].name[0]);
		CHECK_OK(prong_pool_resize(pool, 1));
		CHECK(wait_until(has_one, pool, HANG_MS));
		CHECK_OK(prong_pool_free(pool));
	}
}

struct ticket {
	atomic_int *turn, *gate;
	int when;
};

static int take_ticket(void *arg)
{
	struct ticket *t = arg;

	t->when = atomic_fetch_add(t->turn, 1);
	if (t->gate)
		body_wait(t->gate);
	return 0;
}

static void what_has_priority_goes_first(void **state)
{
	static const int32_t priorities[] = { 0, -1, 0, 1, 1 };
	static const int order[] = { 3, 5, 4, 1, 2 };
	prong_pool *pool = open_pool("threads:1", NULL);
	struct ticket t = { shared(sizeof(atomic_int)), shared(sizeof(atomic_int)), 0 };
	prong_future *blocks = submit(pool, take_ticket, &t, sizeof t, NULL), *f[5];

	(void)state;
	CHECK(wait_for(t.turn, 1));
	for (int i = 0; i < 5; i++) {
		const struct ticket mine = { t.turn, NULL, 0 };

		f[i] = submit(pool, take_ticket, &mine, sizeof mine,
			      &(prong_task_opts){ .priority = priorities[i] });
	}
	atomic_store(t.gate, 1);
	CHECK_OK(outcome(blocks));
	for (int i = 0; i < 5; i++) {
		struct ticket got;

		CHECK_OK(prong_future_get(f[i], &got, sizeof got, soon()));
		CHECK_EQ(got.when, order[i]);
		prong_future_free(f[i]);
	}
	prong_free(t.turn);
	prong_free(t.gate);
	CHECK_OK(prong_pool_free(pool));
}

static void no_more_wait_than_may(void **state)
{
	const prong_pool_opts opts = { .max_waiting = 4 };
	prong_pool *pool = open_pool("threads:1", &opts);
	struct ticket t = { shared(sizeof(atomic_int)), shared(sizeof(atomic_int)), 0 };

	(void)state;
	CHECK_OK(prong_pool_submit(pool, NULL, take_ticket, &t, sizeof t, NULL));
	CHECK(wait_for(t.turn, 1));
	for (int i = 0; i < 4; i++)
		CHECK_OK(prong_pool_submit(pool, NULL, add_one, t.turn, 0, NULL));
	CHECK_EQ(prong_pool_submit(pool, NULL, add_one, t.turn, 0, NULL), PRONG_FULL);
	atomic_store(t.gate, 1);
	CHECK_OK(prong_pool_close(pool));
	CHECK_OK(prong_pool_join(pool, soon()));
	CHECK_EQ(atomic_load(t.turn), 5);
	CHECK_OK(prong_pool_free(pool));
	prong_free(t.turn);
	prong_free(t.gate);
}

/* --- ends ------------------------------------------------------------------------------------- */

static int open_and_exit(void *arg)
{
	prong_pool *pool;
	prong_future *f;

	CHECK_OK(prong_pool_open(&pool, arg, NULL));
	CHECK_OK(prong_pool_submit(pool, &f, hang, NULL, 0, NULL));
	return 0;
}

static void who_exits_takes_his_pool_along(void **state)
{
	prong_pool *pool;

	(void)state;
	CHECK_EQ(run(open_and_exit, "processes:2", 12), 0);
	CHECK_EQ(run(open_and_exit, "threads:2", 10), 0);
	CHECK_OK(prong_pool_open(&pool, "sequential", NULL)); /* takes the other's memory */
	CHECK_OK(prong_pool_free(pool));
}

struct hostage {
	prong_pool *pool;
	atomic_int started;
};

static int open_and_wait(void *arg)
{
	struct hostage *h = arg;
	prong_pool *pool;

	CHECK_OK(prong_pool_open(&pool, "processes:2", NULL));
	h->pool = pool;
	CHECK_OK(prong_pool_submit(pool, NULL, sleep_for_ever, &h->started, 0, NULL));
	return hang(NULL);
}

static void when_its_process_is_killed_a_pool_ends(void **state)
{
	struct hostage *h = shared(sizeof *h);
	prong_process *p = start(open_and_wait, h, 0);
	prong_future *f, *late;
	prong_pool *pool;

	(void)state;
	CHECK(wait_for(&h->started, 1));
	f = submit(h->pool, sleep_for_ever, &h->started, 0, NULL);
	CHECK(wait_for(&h->started, 2));
	late = submit(h->pool, sleep_for_ever, &h->started, 0, NULL);
	kill_and_end(p);
	CHECK_EQ(prong_future_get(f, NULL, 0, soon()), PRONG_CRASHED);
	CHECK_EQ(prong_future_get(late, NULL, 0, soon()), PRONG_CRASHED);
	CHECK_EQ(prong_pool_submit(h->pool, NULL, add_one, &h->started, 0, NULL), PRONG_CRASHED);
	prong_future_free(f);
	prong_future_free(late);
	CHECK_OK(prong_pool_open(&pool, "sequential", NULL)); /* takes the dead one's memory */
	CHECK_OK(prong_pool_free(pool));
	prong_free(h);
}

static void a_forked_copy_may_use_the_pool(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);
		atomic_int *n = shared(sizeof *n);
		int status;
		pid_t pid;

		CHECK_OK(prong_pool_apply(pool, add_one, n, 0, NULL, soon()));
		pid = fork();
		if (pid == 0)
			_exit(prong_pool_apply(pool, add_one, n, 0, NULL, soon()));
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		CHECK_OK(prong_pool_apply(pool, add_one, n, 0, NULL, soon()));
		CHECK_EQ(atomic_load(n), 3);
		prong_free(n);
		CHECK_OK(prong_pool_free(pool));
	}
}

static void terminate_cancels_all_and_join_returns(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		const prong_pool_opts opts = { .task = { .grace_ms = 20 } };
		prong_pool *pool = open_pool(kind, &opts);
		atomic_int *n = shared(sizeof *n);
		prong_future *f[4];

		for (int i = 0; i < 4; i++)
			f[i] = submit(pool, sleep_for_ever, n, 0, NULL);
		if (k_ == 0)
			CHECK_OK(prong_pool_submit(pool, NULL, hang, NULL, 0, NULL));
		CHECK(wait_for(n, 2));
		CHECK_EQ(prong_pool_join(pool, PRONG_NOW), -EBUSY);
		CHECK_OK(prong_pool_terminate(pool));
		CHECK_OK(prong_pool_join(pool, soon()));
		for (int i = 0; i < 4; i++)
			CHECK_EQ(outcome(f[i]), PRONG_CANCELLED);
		prong_free(n);
		CHECK_OK(prong_pool_free(pool));
	}
}

static void an_interrupt_is_for_the_program(void **state)
{
	prong_pool *pool = open_pool("processes:2", NULL);
	int pid = 0, again = 0;

	(void)state;
	CHECK_OK(prong_pool_apply(pool, my_pid, &pid, sizeof pid, NULL, soon()));
	CHECK_EQ(kill(pid, SIGINT), 0);
	for (int i = 0; i < 20; i++)
		CHECK_OK(prong_pool_apply(pool, my_pid, &again, sizeof again, NULL, soon()));
	CHECK(pid_state(pid, NULL) != 0 && pid_state(pid, NULL) != 'Z');
	CHECK_OK(prong_pool_free(pool));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(a_task_that_takes_too_long_is_stopped),
		CASE(in_a_pool_of_threads_it_is_told),
		CASE(a_task_is_cancelled_wherever_it_is),
		CASE(with_a_worker_its_descendants_end),
		CASE(tasks_wait_for_tasks_three_deep_on_one_worker),
		CASE(who_waits_for_itself_is_told),
		CASE(a_task_may_have_a_pool_and_die_with_it),
		CASE(workers_are_replaced_after_so_many_tasks),
		CASE(idle_workers_end_and_come_again),
		CASE(a_pool_is_resized_while_it_runs),
		CASE(what_has_priority_goes_first),
		CASE(no_more_wait_than_may),
		CASE(who_exits_takes_his_pool_along),
		CASE(when_its_process_is_killed_a_pool_ends),
		CASE(a_forked_copy_may_use_the_pool),
		CASE(terminate_cancels_all_and_join_returns),
		CASE(an_interrupt_is_for_the_program),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
