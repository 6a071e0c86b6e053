/* Pools: what they tell of a task, while it runs and afterwards, and of their workers. */
#include "pools.h"

static const char *const worker_kinds[] = { "processes:1", "threads:1" };

#define EACH_KIND(kind) for (size_t k_ = 0; k_ < 2 && ((kind) = worker_kinds[k_]); k_++)

enum {
	MS = 1000000
};
static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* Two gates: the task says that it runs, and ends when it is let. */
struct gate {
	atomic_int in, out;
};

static int pass(void *arg)
{
	struct gate *g = arg;

	atomic_fetch_add(&g->in, 1);
	CHECK(wait_for(&g->out, 1));
	return 0;
}

static prong_future *enter(prong_pool *pool, struct gate *g, const prong_task_opts *opts)
{
	prong_future *f = submit(pool, pass, g, 0, opts);

	CHECK(wait_for(&g->in, 1));
	return f;
}

static void leave(struct gate *g, prong_future *f)
{
	atomic_store(&g->out, 1);
	CHECK_OK(prong_future_wait(f, soon()));
	atomic_store(&g->out, 0);
	atomic_store(&g->in, 0);
}

static prong_worker_stats worker(prong_pool *pool)
{
	prong_worker_stats w;

	CHECK(prong_pool_stat(pool, NULL, &w, 1) >= 1);
	return w;
}

static const char *last_task(prong_pool *pool)
{
	static char name[64];

	memcpy(name, worker(pool).task, sizeof name);
	return name;
}

static void await_idle(prong_pool *pool)
{
	prong_pool_stats stats;

	while (prong_pool_stat(pool, &stats, NULL, 0), !stats.idle)
		sleep_ms(1);
}

/* --- of workers -------------------------------------------------------------------------- */

static void a_worker_is_busy_while_its_task_runs(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);
		struct gate *g = shared(sizeof *g);
		prong_future *f = enter(pool, g, NULL);
		prong_worker_stats before = worker(pool), w;

		sleep_ms(30);
		w = worker(pool);
		CHECK(w.busy_ns - before.busy_ns >= 30 * MS);
		CHECK_EQ(w.idle_ns, before.idle_ns);
		leave(g, f);
		prong_future_free(f);
		await_idle(pool);
		before = worker(pool);
		sleep_ms(30);
		w = worker(pool);
		CHECK_EQ(w.busy_ns, before.busy_ns);
		CHECK(w.idle_ns - before.idle_ns >= 30 * MS);
		prong_free(g);
		CHECK_OK(prong_pool_free(pool));
	}
}

static void what_it_ran_last_is_told_when_that_is_freed(void **state)
{
	static const char long_name[] =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);
		struct gate *g = shared(sizeof *g);
		prong_future *f;

		CHECK_STR(last_task(pool), "");
		CHECK_OK(prong_pool_apply(pool, nothing, NULL, 0,
					  &(prong_task_opts){ .name = "first" }, soon()));
		CHECK_STR(last_task(pool), "first");
		CHECK_OK(prong_pool_apply(pool, nothing, NULL, 0,
					  &(prong_task_opts){ .name = long_name }, soon()));
		CHECK_EQ(strlen(last_task(pool)), 63);
		CHECK_EQ(strncmp(last_task(pool), long_name, 63), 0);
		f = enter(pool, g, &(prong_task_opts){ .name = "second" });
		CHECK_STR(last_task(pool), "second");
		leave(g, f);
		prong_future_free(f);
		CHECK_OK(prong_pool_apply(pool, nothing, NULL, 0, NULL, soon()));
		CHECK_STR(last_task(pool), "task");
		prong_free(g);
		CHECK_OK(prong_pool_free(pool));
	}
}

static int touch_pages(void *arg)
{
	size_t bytes = 8 << 20;
	volatile char *p = malloc(bytes); /* else the compiler leaves the stores out */

	if (!p)
		return ENOMEM;
	for (size_t i = 0; i < bytes; i += 4096)
		p[i] = 1;
	pass(arg);
	free((void *)(uintptr_t)p);
	return 0;
}

static void the_memory_of_a_live_worker_is_told(void **state)
{
	prong_pool *pool = open_pool("processes:1", NULL);
	struct gate *g = shared(sizeof *g);
	prong_worker_stats w;
	prong_future *f;

	(void)state;
	f = submit(pool, touch_pages, g, 0, NULL);
	CHECK(wait_for(&g->in, 1));
	w = worker(pool);
	CHECK(w.alive);
	CHECK(w.rss >= 8 << 20);
	CHECK(w.peak_rss >= w.rss);
	leave(g, f);
	prong_future_free(f);
	CHECK_OK(prong_pool_close(pool));
	CHECK_OK(prong_pool_join(pool, soon()));
	w = worker(pool);
	CHECK(!w.alive);
	CHECK_EQ(w.rss, 0);
	CHECK(w.peak_rss >= 8 << 20);
	prong_free(g);
	CHECK_OK(prong_pool_free(pool));
}

struct outer {
	prong_pool *pool;
	struct gate *gate;
};

static int wait_inside(void *arg)
{
	struct outer *o = arg;
	prong_future *f = submit(o->pool, pass, o->gate, 0, NULL);
	int r = prong_future_wait(f, soon());

	prong_future_free(f);
	return r;
}

static void how_long_it_waited_is_told(void **state)
{
	prong_pool *pool = open_pool("processes:1", NULL);
	struct gate *g = shared(sizeof *g);
	struct outer o = { pool, g };
	prong_worker_stats w[2], after[2];
	prong_future *f;

	(void)state;
	f = submit(pool, wait_inside, &o, sizeof o, NULL);
	CHECK(wait_for(&g->in, 1));
	CHECK_EQ(prong_pool_stat(pool, NULL, w, 2), 2);
	CHECK(w[0].waits && !w[1].waits);
	sleep_ms(20);
	CHECK_EQ(prong_pool_stat(pool, NULL, after, 2), 2);
	CHECK(after[0].waits_ns - w[0].waits_ns >= 20 * MS);
	CHECK(after[0].busy_ns >= after[0].waits_ns);
	CHECK_EQ(after[1].waits_ns, 0);
	leave(g, f);
	w[0] = worker(pool);
	sleep_ms(1);
	after[0] = worker(pool);
	CHECK(!w[0].waits);
	CHECK_EQ(after[0].waits_ns, w[0].waits_ns);
	prong_future_free(f);
	prong_free(g);
	CHECK_OK(prong_pool_free(pool));
}

/* --- of tasks ---------------------------------------------------------------------------- */

static const prong_task_opts own = { .name = "own", .limit_ms = 60000 };
static const prong_task_opts *const options[] = { NULL, &own };

static void check_who(const prong_report *why, const prong_worker_stats *w)
{
	CHECK_EQ(why->pid, w->pid);
	CHECK_STR(why->worker, w->name);
	CHECK_EQ(why->attempt, 1);
}

static void who_runs_a_task_is_told(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	for (int i = 0; i < 2; i++) {
		prong_pool *pool = open_pool(kind, NULL);
		struct gate *g = shared(sizeof *g);
		prong_future *f = enter(pool, g, options[i]);
		prong_worker_stats w = worker(pool);
		prong_report why;

		sleep_ms(20);
		prong_future_report(f, &why);
		CHECK_EQ(why.outcome, PRONG_RUNNING);
		check_who(&why, &w);
		CHECK(why.elapsed_ns >= 20 * MS && why.elapsed_ns < (int64_t)HANG_MS * MS);
		leave(g, f);
		prong_future_report(f, &why);
		CHECK_EQ(why.outcome, 0);
		CHECK_EQ(why.code, 0);
		check_who(&why, &w);
		CHECK(why.elapsed_ns >= 20 * MS && why.elapsed_ns < (int64_t)HANG_MS * MS);
		prong_future_free(f);
		prong_free(g);
		CHECK_OK(prong_pool_free(pool));
	}
}

static int fail_late(void *arg)
{
	(void)arg;
	sleep_ms(10);
	return 7;
}

/* Also when the worker has gone. */
static void who_failed_in_what_worker_is_told(void **state)
{
	const prong_pool_opts one = { .recycle_tasks = 1 };
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	for (int i = 0; i < 2; i++) {
		prong_pool *pool = open_pool(kind, &one);
		prong_worker_stats w = worker(pool);
		prong_future *f = submit(pool, fail_late, NULL, 0, options[i]);
		prong_report why;

		CHECK_OK(prong_future_wait(f, soon()));
		CHECK_OK(prong_pool_apply(pool, nothing, NULL, 0, NULL, soon()));
		prong_future_report(f, &why);
		CHECK_EQ(why.outcome, PRONG_FAILED);
		CHECK_EQ(why.code, 7);
		CHECK_STR(why.name, i ? "own" : "task");
		check_who(&why, &w);
		CHECK(why.elapsed_ns >= 10 * MS && why.elapsed_ns < (int64_t)HANG_MS * MS);
		prong_future_free(f);
		CHECK_OK(prong_pool_free(pool));
	}
}

static void what_never_ran_has_no_process(void **state)
{
	prong_pool *pool = open_pool("processes:1", NULL);
	struct gate *g = shared(sizeof *g);
	prong_future *f = enter(pool, g, NULL), *waits = submit(pool, nothing, NULL, 0, &own);
	prong_report why;

	(void)state;
	prong_future_report(waits, &why);
	CHECK_EQ(why.outcome, PRONG_RUNNING);
	CHECK_EQ(why.pid, 0);
	CHECK_OK(prong_future_cancel(waits));
	prong_future_report(waits, &why);
	CHECK_EQ(why.outcome, PRONG_CANCELLED);
	CHECK_EQ(why.pid, 0);
	CHECK_STR(why.worker, "");
	CHECK_STR(why.name, "own");
	prong_future_free(waits);
	leave(g, f);
	prong_future_free(f);
	prong_free(g);
	CHECK_OK(prong_pool_free(pool));
}

static void the_caller_runs_what_is_sequential(void **state)
{
	prong_pool *pool = open_pool("sequential", NULL);
	prong_future *f = submit(pool, fail_late, NULL, 0, NULL);
	prong_report why;

	(void)state;
	prong_future_report(f, &why);
	CHECK_EQ(why.outcome, PRONG_FAILED);
	CHECK_EQ(why.pid, getpid());
	CHECK(why.elapsed_ns >= 10 * MS && why.elapsed_ns < (int64_t)HANG_MS * MS);
	prong_future_free(f);
	CHECK_OK(prong_pool_free(pool));
}

/* --- progress ---------------------------------------------------------------------------- */

struct steps {
	struct gate half;
	atomic_int further;
	int code;
};

static int walk(void *arg)
{
	struct steps *s = arg;

	prong_task_progress(0.5);
	pass(&s->half);
	prong_task_progress(0.75);
	return s->code;
}

static void progress_is_what_the_task_said_last(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	for (int i = 0; i < 4; i++) {
		prong_pool *pool = open_pool(kind, NULL);
		struct steps *s = shared(sizeof *s);
		prong_future *f;

		s->code = i / 2;
		f = submit(pool, walk, s, 0, options[i % 2]);
		CHECK(wait_for(&s->half.in, 1));
		CHECK(prong_future_progress(f) == 0.5);
		leave(&s->half, f);
		CHECK(prong_future_progress(f) == (s->code ? 0.75 : 1.0));
		prong_future_free(f);
		f = submit(pool, nothing, NULL, 0, NULL);
		CHECK_OK(prong_future_wait(f, soon()));
		CHECK(prong_future_progress(f) == 1.0);
		prong_future_free(f);
		CHECK(prong_future_progress(NULL) == 0.0);
		prong_free(s);
		CHECK_OK(prong_pool_free(pool));
	}
}

static int say_and_hang(void *arg)
{
	(void)arg;
	prong_task_progress(0.5);
	for (;;)
		pause();
	return 0;
}

/* Who has said something still runs under the options of the pool. */
static void progress_leaves_the_options_as_they_are(void **state)
{
	const prong_pool_opts opts = { .task = { .limit_ms = 20 * slowness(), .grace_ms = 20 } };
	prong_pool *pool = open_pool("processes:1", &opts);
	prong_time began = prong_clock();
	prong_future *f = submit(pool, say_and_hang, NULL, 0, NULL);

	(void)state;
	CHECK_EQ(prong_future_get(f, NULL, 0, soon()), PRONG_OVERRUN);
	CHECK(prong_ns_between(began, prong_clock()) < (int64_t)900 * slowness() * MS);
	CHECK(prong_future_progress(f) == 0.5);
	prong_future_free(f);
	CHECK_OK(prong_pool_free(pool));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(a_worker_is_busy_while_its_task_runs),
		CASE(what_it_ran_last_is_told_when_that_is_freed),
		CASE(the_memory_of_a_live_worker_is_told),
		CASE(how_long_it_waited_is_told),
		CASE(who_runs_a_task_is_told),
		CASE(who_failed_in_what_worker_is_told),
		CASE(what_never_ran_has_no_process),
		CASE(the_caller_runs_what_is_sequential),
		CASE(progress_is_what_the_task_said_last),
		CASE(progress_leaves_the_options_as_they_are),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
