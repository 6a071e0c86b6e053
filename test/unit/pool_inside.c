/* Pools: tasks that wait for tasks of their own pool, by every call that waits, where there is one
   worker; and what their deadlines, limits and cancels do meanwhile. */
#include "pools.h"
#include <pthread.h>
/* --- every call ------------------------------------------------------------------------------- */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* What a task does with its pool, waiting until the deadline. */
typedef int way(prong_pool *pool, prong_time deadline);

static int by_wait(prong_pool *pool, prong_time deadline)
{
	prong_future *f = submit(pool, nothing, NULL, 0, NULL);
	int r = prong_future_wait(f, deadline);

	prong_future_free(f);
	return r;
}

static int by_apply(prong_pool *pool, prong_time deadline)
{
	return prong_pool_apply(pool, nothing, NULL, 0, NULL, deadline);
}

static int by_source(prong_pool *pool, prong_time deadline)
{
	prong_future *f = submit(pool, nothing, NULL, 0, NULL);
	prong_source s = { .future = f };
	int r = prong_wait(&s, 1, deadline);

	prong_future_free(f);
	return r;
}

static prong_group *group_of_two(prong_pool *pool)
{
	prong_group *g;

	CHECK_OK(prong_group_open(&g, NULL));
	for (int i = 0; i < 2; i++)
		(void)submit(pool, nothing, NULL, 0, &(prong_task_opts){ .group = g });
	return g;
}

static int by_join(prong_pool *pool, prong_time deadline)
{
	prong_group *g = group_of_two(pool);
	int r = prong_group_join(g, deadline);

	CHECK_OK(prong_group_close(g));
	return r;
}

static int by_next(prong_pool *pool, prong_time deadline)
{
	prong_group *g = group_of_two(pool);
	prong_child child;
	int r = prong_group_next(g, &child, deadline);

	if (r == 0)
		r = prong_group_next(g, &child, deadline);
	CHECK_OK(prong_group_close(g));
	return r;
}

static int by_close(prong_pool *pool, prong_time deadline)
{
	(void)deadline;
	CHECK_OK(prong_group_close(group_of_two(pool)));
	return 0;
}

static int twenty(void *ctx, const void **item, size_t *size)
{
	int *n = ctx;

	*item = n;
	*size = sizeof *n;
	return (*n)++ < 20 ? 0 : PRONG_EMPTY;
}

static int stream(prong_pool *pool, bool unordered, prong_time deadline)
{
	const prong_stream_opts opts = { .unordered = unordered };
	prong_stream *s;
	prong_future *f;
	int n = 0, got = 0, r;

	CHECK_OK(prong_stream_open(&s, pool, nothing, twenty, &n, &opts));
	while ((r = prong_stream_next(s, &f, deadline)) == 0)
		got++;
	prong_stream_close(s);
	return r == PRONG_EMPTY && got == 20 ? 0 : r;
}

static int by_stream(prong_pool *pool, prong_time deadline)
{
	return stream(pool, false, deadline);
}

static int by_unordered_stream(prong_pool *pool, prong_time deadline)
{
	return stream(pool, true, deadline);
}

static int by_map(prong_pool *pool, prong_time deadline)
{
	char items[100] = "";

	return prong_pool_map(pool, nothing, items, sizeof items, 1, NULL, deadline);
}

/* By a task of a pool in which it is run at once, on top of the caller's. */
static int by_another(prong_pool *pool, prong_time deadline);

struct task {
	prong_pool *pool;
	way *way;
	int wait_ms; /* 0: for ever */
};

static int go(void *arg)
{
	const struct task *t = arg;

	return t->way(t->pool, t->wait_ms ? prong_in_ms(t->wait_ms) : PRONG_FOREVER);
}

static int by_another(prong_pool *pool, prong_time deadline)
{
	const struct task t = { pool, by_wait, HANG_MS };
	prong_pool *other = open_pool("sequential", NULL);
	int r = outcome(submit(other, go, &t, sizeof t, NULL));

	(void)deadline;
	CHECK_OK(prong_pool_free(other));
	return r;
}

static void no_call_that_waits_inside_needs_a_second_worker(void **state)
{
	static const char *const one[] = { "processes:1", "threads:1", "sequential" };
	static way *const ways[] = {
		by_wait,  by_apply,  by_source,           by_join, by_next,
		by_close, by_stream, by_unordered_stream, by_map,  by_another
	};

	(void)state;
	for (int k = 0; k < 3; k++) {
		prong_pool *pool = open_pool(one[k], NULL);

		for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
			for (int ms = 0; ms <= HANG_MS; ms += HANG_MS) {
				const struct task t = { pool, ways[i], ms };

				CHECK_OK(outcome(submit(pool, go, &t, sizeof t, NULL)));
			}
		CHECK_OK(prong_pool_free(pool));
	}
}

/* --- maps inside of maps ---------------------------------------------------------------------- */

struct nest {
	int first, sum;
	prong_pool *pool;
};

static int doubles(void *arg)
{
	*(int *)arg *= 2;
	return 0;
}

static int maps_in_an_item(void *arg)
{
	struct nest *n = arg;
	int items[32];

	for (int i = 0; i < 32; i++)
		items[i] = n->first + i;
	CHECK_OK(prong_pool_map(n->pool, doubles, items, 32, sizeof *items, NULL, PRONG_FOREVER));
	for (int i = 0; i < 32; i++)
		n->sum += items[i];
	return 0;
}

static void an_item_may_have_a_map_of_its_own(void **state)
{
	static const char *const kinds[] = { "threads:1", "threads:2", "processes:2",
					     "sequential" };

	(void)state;
	for (int k = 0; k < 4; k++) {
		prong_pool *pool = open_pool(kinds[k], NULL);
		struct nest nests[16];

		for (int i = 0; i < 16; i++)
			nests[i] = (struct nest){ 100 * i, 0, pool };
		CHECK_OK(prong_pool_map(pool, maps_in_an_item, nests, 16, sizeof *nests, NULL,
					soon()));
		for (int i = 0; i < 16; i++) {
			CHECK_EQ(nests[i].first, 100 * i);
			CHECK_EQ(nests[i].sum, 32 * 2 * 100 * i + 31 * 32);
		}
		CHECK_OK(prong_pool_free(pool));
	}
}

/* --- time ------------------------------------------------------------------------------------- */

/* In a pool of threads; in its own memory. */
struct scene {
	prong_pool *pool;
	prong_future *inner;
	atomic_int began, over, gate;
	int got, cancelled;
};

/* Until the gate opens, or it is cancelled. */
static int stay(void *arg)
{
	struct scene *s = *(struct scene **)arg;

	atomic_fetch_add(&s->began, 1);
	while (!atomic_load(&s->gate) && !prong_cancelled())
		sleep_ms(1);
	s->cancelled = prong_cancelled();
	atomic_fetch_add(&s->over, 1);
	return s->cancelled ? 5 : 0;
}

static int gives_up(void *arg)
{
	struct scene *s = *(struct scene **)arg;

	s->inner = submit(s->pool, stay, &s, sizeof s, NULL);
	CHECK_EQ(prong_future_wait(s->inner, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_future_wait(s->inner, prong_time_(1)), PRONG_TIMEDOUT);
	CHECK_EQ(atomic_load(&s->over), 0);
	s->got = prong_future_wait(s->inner, prong_in_ms(5));
	atomic_store(&s->gate, 1);
	return outcome(s->inner);
}

static void a_deadline_inside_holds(void **state)
{
	prong_pool *pool = open_pool("threads:1", NULL);
	struct scene s = { .pool = pool }, *at = &s;

	(void)state;
	CHECK_OK(outcome(submit(pool, gives_up, &at, sizeof at, NULL)));
	CHECK_EQ(s.got, PRONG_TIMEDOUT);
	CHECK_OK(prong_pool_free(pool));
}

static int waits_for_ever(void *arg)
{
	struct scene *s = *(struct scene **)arg;

	s->inner = submit(s->pool, stay, &s, sizeof s, NULL);
	s->got = prong_future_get(s->inner, NULL, 0, PRONG_FOREVER);
	return s->got;
}

static void who_waits_is_stopped_by_his_limit(void **state)
{
	prong_pool *pool = open_pool("threads:1", NULL);
	struct scene s = { .pool = pool }, *at = &s;
	prong_future *outer =
		submit(pool, waits_for_ever, &at, sizeof at, &(prong_task_opts){ .limit_ms = 20 });

	(void)state;
	CHECK_EQ(outcome(outer), PRONG_OVERRUN);
	CHECK_EQ(s.got, PRONG_CANCELLED);
	CHECK_EQ(atomic_load(&s.over), 0);
	atomic_store(&s.gate, 1);
	CHECK_OK(outcome(s.inner)); /* which has no limit */
	CHECK_OK(prong_pool_free(pool));
}

/* --- cancelling ------------------------------------------------------------------------------- */

/* Two further tasks deep. */
static int waits_deeper(void *arg)
{
	struct scene *s = *(struct scene **)arg;
	prong_future *f = submit(s->pool, waits_for_ever, &s, sizeof s, NULL);
	int r = prong_future_wait(f, PRONG_FOREVER);

	r = r ? r : prong_future_get(f, NULL, 0, PRONG_NOW);
	prong_future_free(f);
	CHECK(prong_cancelled());
	CHECK_EQ(prong_sleep(PRONG_FOREVER), PRONG_CANCELLED);
	return r;
}

static void who_cancels_one_that_waits_cancels_what_it_runs(void **state)
{
	static prong_fn *const depth[] = { waits_for_ever, waits_deeper };

	(void)state;
	for (int i = 0; i < 2; i++) {
		prong_pool *pool = open_pool("threads:1", NULL);
		struct scene s = { .pool = pool }, *at = &s;
		prong_future *outer = submit(pool, depth[i], &at, sizeof at, NULL);

		CHECK(wait_for(&s.began, 1));
		CHECK_OK(prong_future_cancel(outer));
		CHECK_EQ(outcome(outer), PRONG_CANCELLED);
		CHECK(wait_for(&s.over, 1));
		CHECK(s.cancelled);
		CHECK_EQ(outcome(s.inner), PRONG_CANCELLED);
		CHECK_OK(prong_pool_apply(pool, nothing, NULL, 0, NULL, soon()));
		CHECK_OK(prong_pool_free(pool));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(no_call_that_waits_inside_needs_a_second_worker),
		CASE(an_item_may_have_a_map_of_its_own),
		CASE(a_deadline_inside_holds),
		CASE(who_waits_is_stopped_by_his_limit),
		CASE(who_cancels_one_that_waits_cancels_what_it_runs),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
