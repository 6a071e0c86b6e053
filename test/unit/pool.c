/* Pools: what is handed in is done once, what came of it is told, and a crash costs its task. */
#include "pools.h"

struct square {
	long n, result;
};

static int square(void *arg)
{
	struct square *s = arg;

	s->result = s->n * s->n;
	return 0;
}

static const char *const all_kinds[] = { "processes:2", "threads:2", "sequential" };
static const char *const worker_kinds[] = { "processes:2", "threads:2" };

#define EACH(kind, kinds) \
	for (size_t k_ = 0; k_ < sizeof(kinds) / sizeof *(kinds) && ((kind) = (kinds)[k_]); k_++)
/* --- what works --------------------------------------------------------------------------- */

static void apply_stores_the_result_over_the_argument(void **state)
{
	const char *kind;

	(void)state;
	EACH(kind, all_kinds)
	{
		prong_pool *pool = open_pool(kind, NULL);
		struct square s = { 12, 0 };

		CHECK_OK(prong_pool_apply(pool, square, &s, sizeof s, NULL, soon()));
		CHECK_EQ(s.result, 144);
		finish(pool);
	}
}

enum {
	MANY = 1000
};

static void a_thousand_tasks_on_one_worker_are_all_done(void **state)
{
	static const char *const one[] = { "processes:1", "threads:1", "sequential" };
	const char *kind;

	(void)state;
	EACH(kind, one)
	{
		prong_pool *pool = open_pool(kind, NULL);
		prong_future *f[MANY];

		for (int i = 0; i < MANY; i++) {
			struct square s = { i, 0 };

			f[i] = submit(pool, square, &s, sizeof s, NULL);
		}
		for (int i = 0; i < MANY; i++) {
			struct square s;

			CHECK_OK(prong_future_get(f[i], &s, sizeof s, soon()));
			CHECK_EQ(s.result, (long)i * i);
			CHECK(prong_future_done(f[i]));
			prong_future_free(f[i]);
		}
		finish(pool);
	}
}

static int add_one(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

static void what_was_handed_in_before_close_is_done_by_join(void **state)
{
	const char *kind;

	(void)state;
	EACH(kind, all_kinds)
	{
		prong_pool *pool = open_pool(kind, NULL);
		atomic_int *n = shared(sizeof *n);
		prong_pool_stats stats;

		for (int i = 0; i < MANY; i++)
			CHECK_OK(prong_pool_submit(pool, NULL, add_one, n, 0, NULL));
		CHECK_OK(prong_pool_close(pool));
		CHECK_OK(prong_pool_join(pool, soon()));
		CHECK_EQ(atomic_load(n), MANY);
		prong_pool_stat(pool, &stats, NULL, 0);
		CHECK_EQ(stats.done, MANY);
		CHECK_EQ(stats.waiting + stats.running + stats.workers, 0);
		CHECK_OK(prong_pool_free(pool));
		prong_free(n);
	}
}

/* Sum of the bytes; and all of them doubled, as a result of its own size. */
static int double_bytes(void *arg)
{
	size_t n = prong_task_size();
	unsigned char *from = arg, *to = prong_task_result(2 * n);

	if (!to)
		return ENOMEM;
	for (size_t i = 0; i < n; i++)
		to[i] = to[n + i] = from[i];
	return 0;
}

static void a_result_has_the_size_that_the_task_gives_it(void **state)
{
	static const size_t sizes[] = { 1, 32, 33, 4096, 1 << 20 };
	const char *kind;

	(void)state;
	EACH(kind, all_kinds)
	{
		prong_pool *pool = open_pool(kind, NULL);

		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			size_t n = sizes[i], got;
			unsigned char *bytes = malloc(n), *data;
			prong_future *f;

			memset(bytes, (int)i + 7, n);
			f = submit(pool, double_bytes, bytes, n, NULL);
			CHECK_OK(prong_future_get(f, NULL, 0, soon()));
			data = prong_future_data(f, &got);
			CHECK_EQ(got, 2 * n);
			CHECK(!memcmp(data, bytes, n) && !memcmp(data + n, bytes, n));
			CHECK_EQ(prong_future_get(f, bytes, n, soon()), -EMSGSIZE);
			prong_future_free(f);
			free(bytes);
		}
		finish(pool);
	}
}

static int fail_with(void *arg)
{
	return prong_task_message(*(int *)arg, "cannot do %d", *(int *)arg);
}

static void a_failure_is_told_with_its_code_and_message(void **state)
{
	const char *kind;

	(void)state;
	EACH(kind, all_kinds)
	{
		prong_pool *pool = open_pool(kind, NULL);
		int code = 42;
		prong_future *f = submit(pool, fail_with, &code, sizeof code,
					 &(prong_task_opts){ .name = "failing" });
		prong_report why;

		CHECK_EQ(prong_future_get(f, &code, sizeof code, soon()), PRONG_FAILED);
		prong_future_report(f, &why);
		CHECK_EQ(why.outcome, PRONG_FAILED);
		CHECK_EQ(why.code, 42);
		CHECK_EQ(why.attempt, 1);
		CHECK_STR(why.name, "failing");
		CHECK_STR(why.message, "cannot do 42");
		CHECK(!prong_future_data(f, NULL));
		prong_future_free(f);
		finish(pool);
	}
}

static int hand_in_from_process(void *arg)
{
	struct square s = { 9, 0 };

	return prong_pool_apply(arg, square, &s, sizeof s, NULL, soon()) || s.result != 81;
}

static void any_member_may_submit_and_wait(void **state)
{
	prong_pool *pool = open_pool("processes:2", NULL);

	(void)state;
	CHECK_EQ(run(hand_in_from_process, pool, 0), 0);
	finish(pool);
	pool = open_pool("threads:2", NULL);
	CHECK_EQ(run(hand_in_from_process, pool, 0), 0);
	CHECK_EQ(end_thread(start_thread(hand_in_from_process, pool, 0)), 0);
	finish(pool);
}

/* --- deaths --------------------------------------------------------------------------------- */

static int die_of(void *arg)
{
	int how = *(int *)arg;

	if (how < 0)
		exit(-how);
	signal(how, SIG_DFL);
	raise(how);
	return 0;
}

static int write_to_nowhere(void *arg)
{
	*(volatile int *)*(void **)arg = 1;
	return 0;
}

static void a_crash_is_told_with_its_stack(void **state)
{
	prong_pool *pool = open_pool("processes:1", NULL);
	void *nowhere = (void *)(uintptr_t)64;
	prong_future *f = submit(pool, write_to_nowhere, &nowhere, sizeof nowhere,
				 &(prong_task_opts){ .name = "b.h" });
	prong_report why;
	char text[4096];

	(void)state;
	CHECK_EQ(prong_future_get(f, NULL, 0, soon()), PRONG_CRASHED);
	prong_future_report(f, &why);
	CHECK_STR(why.name, "b.h");
	if (!TEST_ASAN && !TEST_TSAN && !under_valgrind()) { /* which have their own handlers */
		CHECK_EQ(why.signal, SIGSEGV);
		CHECK(why.has_address && why.address == 64);
		CHECK(why.frames > 0);
		prong_report_text(&why, text, sizeof text);
		CHECK(strstr(text, "write_to_nowhere"));
	}
	prong_future_free(f);
	finish(pool);
}

static void a_crash_costs_its_task_alone(void **state)
{
	static const int ways[] = { SIGSEGV, SIGKILL, SIGABRT, -3 };
	prong_pool *pool = open_pool("processes:2", NULL);
	enum {
		N = sizeof ways / sizeof *ways
	};
	prong_future *bad[N], *good[N];
	prong_pool_stats stats;
	prong_report why;

	(void)state;
	for (int i = 0; i < N; i++) {
		struct square s = { i, 0 };

		bad[i] = submit(pool, die_of, &ways[i], sizeof ways[i],
				&(prong_task_opts){ .name = "dying" });
		good[i] = submit(pool, square, &s, sizeof s, NULL);
	}
	for (int i = 0; i < N; i++) {
		struct square s;

		CHECK_OK(prong_future_get(good[i], &s, sizeof s, soon()));
		CHECK_EQ(prong_future_get(bad[i], NULL, 0, soon()), PRONG_CRASHED);
		prong_future_report(bad[i], &why);
		CHECK_EQ(why.signal, ways[i] > 0 ? ways[i] : 0);
		CHECK_EQ(why.code, ways[i] < 0 ? 3 : 0);
		CHECK_STR(why.name, "dying");
		CHECK(why.pid > 0 && why.worker[0]);
		CHECK_OK(prong_pool_dead_letter(pool, (size_t)i, &why));
		CHECK_EQ(why.outcome, PRONG_CRASHED);
		prong_future_free(bad[i]);
		prong_future_free(good[i]);
	}
	CHECK_EQ(prong_pool_dead_letter(pool, N, &why), PRONG_EMPTY);
	prong_pool_stat(pool, &stats, NULL, 0);
	CHECK_EQ(stats.crashed, N);
	finish(pool);
}

struct attempts {
	atomic_int *n;
	int wanted, seen;
};

static int die_until(void *arg)
{
	struct attempts *a = arg;

	a->seen++; /* each attempt begins with what was submitted */
	if (atomic_fetch_add(a->n, 1) + 1 < a->wanted)
		raise(SIGKILL);
	return a->seen == 1 && prong_task_attempt() == (uint32_t)a->wanted ? 0 : 1;
}

static void a_task_is_tried_again_as_often_as_it_may(void **state)
{
	prong_pool *pool = open_pool("processes:2", NULL);
	struct attempts a = { shared(sizeof(atomic_int)), 3, 0 };
	prong_pool_stats stats;

	(void)state;
	CHECK_OK(prong_pool_apply(pool, die_until, &a, sizeof a, &(prong_task_opts){ .retries = 2 },
				  soon()));
	CHECK_EQ(atomic_load(a.n), 3);
	atomic_store(a.n, 0);
	a = (struct attempts){ a.n, 3, 0 };
	CHECK_EQ(prong_pool_apply(pool, die_until, &a, sizeof a,
				  &(prong_task_opts){ .retries = 1, .backoff_ms = 5 }, soon()),
		 PRONG_CRASHED);
	CHECK_EQ(atomic_load(a.n), 2);
	prong_pool_stat(pool, &stats, NULL, 0);
	CHECK_EQ(stats.retried, 3);
	prong_free(a.n);
	finish(pool);
}

/* --- misuse --------------------------------------------------------------------------------- */

static void what_is_wrong_is_refused(void **state)
{
	static const char *const bad[] = { "",
					   "process",
					   "processes:",
					   "processes:0",
					   "processes:1000000",
					   "processes:-1",
					   "threads:2x",
					   "sequential:1",
					   "nats://localhost" };
	const struct square s = { 1, 0 };
	prong_pool *pool = NULL;
	const char *kind;
	int local = 0;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_EQ(prong_pool_open(&pool, bad[i], NULL), -EINVAL);
	CHECK_EQ(prong_pool_open(&pool, NULL, NULL), -EINVAL);
	CHECK_EQ(prong_pool_open(NULL, "threads", NULL), -EINVAL);
	CHECK_EQ(prong_pool_open(&pool, "threads", &(prong_pool_opts){ .reserved_ = { 1 } }),
		 -EINVAL);
	CHECK_EQ(prong_pool_open(&pool, "threads", &(prong_pool_opts){ .arg_size = 4 }), -EFAULT);
	CHECK(!pool);
	EACH(kind, all_kinds)
	{
		prong_future *f = NULL;

		pool = open_pool(kind, NULL);
		CHECK_EQ(prong_pool_submit(pool, &f, NULL, &s, sizeof s, NULL), -EINVAL);
		CHECK_EQ(prong_pool_submit(pool, &f, square, NULL, 8, NULL), -EFAULT);
		CHECK_EQ(prong_pool_submit(pool, &f, square, &local, 0, NULL), -EFAULT);
		CHECK_EQ(prong_pool_submit(pool, &f, square, &s, SIZE_MAX, NULL), -ENOMEM);
		CHECK_EQ(prong_pool_submit(pool, &f, square, &s, sizeof s,
					   &(prong_task_opts){ .limit_ms = -2 }),
			 -EINVAL);
		CHECK_EQ(prong_pool_submit(pool, &f, square, &s, sizeof s,
					   &(prong_task_opts){ .reserved_ = { 1 } }),
			 -EINVAL);
		CHECK(!f);
		CHECK_EQ(prong_pool_join(pool, PRONG_NOW), -EBUSY);
		CHECK_OK(prong_pool_close(pool));
		CHECK_OK(prong_pool_close(pool));
		CHECK_EQ(prong_pool_submit(pool, &f, square, &s, sizeof s, NULL), PRONG_CLOSED);
		CHECK_OK(prong_pool_join(pool, soon()));
		CHECK_OK(prong_pool_join(pool, PRONG_NOW));
		CHECK_OK(prong_pool_free(pool));
		CHECK_EQ(prong_pool_close(pool), -EINVAL);
	}
	CHECK_OK(prong_pool_free(NULL));
	CHECK_EQ(prong_future_wait(NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_future_wait((prong_future *)(void *)&local, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_future_cancel(NULL), -EINVAL);
	prong_future_free(NULL);
	CHECK_EQ(prong_task_size() + prong_task_attempt(), 0);
	CHECK(!prong_task_result(1));
	CHECK_EQ(prong_task_message(3, "nowhere"), 3);
}

static void is_no_future(prong_future *f)
{
	long got = 42;

	CHECK_EQ(prong_future_wait(f, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_future_get(f, &got, sizeof got, PRONG_NOW), -EINVAL);
	CHECK_EQ(got, 42);
	CHECK_EQ(prong_future_cancel(f), -EINVAL);
	CHECK(!prong_future_done(f));
	CHECK(!prong_future_data(f, NULL));
	prong_future_free(f); /* nothing happens */
}

/* Memory of the user's, whatever is in it: also the bytes of a future, elsewhere. */
static void heap_memory_is_no_future(void **state)
{
	enum {
		BYTES = 16384
	};
	prong_pool *pool = open_pool("processes:1", NULL);
	struct square s = { 12, 0 };
	prong_future *f = submit(pool, square, &s, sizeof s, NULL), *other;
	char *memory = shared(BYTES);

	(void)state;
	other = (prong_future *)(void *)(((uintptr_t)memory + BYTES / 2) & ~(uintptr_t)63);
	for (int byte = 0; byte < 256; byte++) {
		memset(memory, byte, BYTES);
		is_no_future(other);
	}
	CHECK_OK(prong_future_wait(f, soon()));
	memcpy((void *)other, (const void *)f, 64);
	is_no_future(other);
	is_no_future((prong_future *)(void *)pool);
	CHECK_OK(prong_future_get(f, &s, sizeof s, soon()));
	CHECK_EQ(s.result, 144);
	prong_future_free(f);
	finish(pool);
	is_no_future(f);
	prong_free(memory);
}

static void who_frees_a_pool_cancels_what_is_left(void **state)
{
	const char *kind;

	(void)state;
	EACH(kind, worker_kinds)
	{
		prong_pool *pool = open_pool(kind, NULL);
		atomic_int *n = shared(sizeof *n);

		for (int i = 0; i < 100; i++)
			CHECK_OK(prong_pool_submit(pool, NULL, add_one, n, 0, NULL));
		CHECK_OK(prong_pool_free(pool));
		CHECK(atomic_load(n) <= 100);
		prong_free(n);
	}
}

static int always_fails(void *arg)
{
	(void)arg;
	return 7;
}

static void a_pool_whose_workers_cannot_start_says_so(void **state)
{
	const struct square s = { 1, 0 };
	const char *kind;

	(void)state;
	EACH(kind, worker_kinds)
	{
		prong_pool *pool = open_pool(
			kind, &(prong_pool_opts){ .init = always_fails, .max_restarts = 3 });
		prong_future *f;
		int r = prong_pool_submit(pool, &f, square, &s, sizeof s, NULL);

		if (r == 0) {
			CHECK_EQ(prong_future_get(f, NULL, 0, soon()), PRONG_FAILED);
			prong_future_free(f);
		}
		CHECK_EQ(prong_pool_submit(pool, &f, square, &s, sizeof s, NULL), PRONG_FAILED);
		CHECK(strstr(prong_error_detail(), "init"));
		CHECK_OK(prong_pool_join(pool, soon()));
		CHECK_OK(prong_pool_free(pool));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(apply_stores_the_result_over_the_argument),
		CASE(a_thousand_tasks_on_one_worker_are_all_done),
		CASE(what_was_handed_in_before_close_is_done_by_join),
		CASE(a_result_has_the_size_that_the_task_gives_it),
		CASE(a_failure_is_told_with_its_code_and_message),
		CASE(any_member_may_submit_and_wait),
		CASE(a_crash_is_told_with_its_stack),
		CASE(a_crash_costs_its_task_alone),
		CASE(a_task_is_tried_again_as_often_as_it_may),
		CASE(what_is_wrong_is_refused),
		CASE(heap_memory_is_no_future),
		CASE(who_frees_a_pool_cancels_what_is_left),
		CASE(a_pool_whose_workers_cannot_start_says_so),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
