/* Maps, ranges, streams and callbacks. */
#include "pools.h"

static const char *const all_kinds[] = { "processes:2", "threads:2", "sequential" };
#define EACH_KIND(kind) for (size_t k_ = 0; k_ < 3 && ((kind) = all_kinds[k_]); k_++)

struct item {
	long n, answer, pad[3];
};

static int answer(void *arg)
{
	struct item *i = arg;

	i->answer = 3 * i->n;
	return 0;
}

static void fill(struct item *items, int n)
{
	for (int i = 0; i < n; i++)
		items[i] = (struct item){ .n = i };
}

static void check_all(const struct item *items, int n)
{
	for (int i = 0; i < n; i++)
		if (items[i].n != i || items[i].answer != 3L * i)
			check_failed(__FILE__, __LINE__, "item %d is {%ld, %ld}", i, items[i].n,
				     items[i].answer);
}

enum {
	N = 5000
};

static void each_item_is_done_once_in_the_heap_or_not(void **state)
{
	static const size_t chunks[] = { 0, 1, 7, N, 10 * N };
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);
		struct item *in = shared(N * sizeof *in), *out = malloc(N * sizeof *out);

		for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
			const prong_map_opts opts = { .chunk = chunks[c] };

			fill(in, N);
			CHECK_OK(prong_pool_map(pool, answer, in, N, sizeof *in, &opts, soon()));
			check_all(in, N);
			fill(out, N);
			CHECK_OK(prong_pool_map(pool, answer, out, N, sizeof *out, &opts, soon()));
			check_all(out, N);
		}
		prong_free(in);
		free(out);
		CHECK_OK(prong_pool_free(pool));
	}
}

static int fail_some(void *arg)
{
	struct item *i = arg;

	i->answer = 3 * i->n;
	if (i->n % 1000 == 999)
		return prong_task_message(5, "item %ld", i->n);
	return 0;
}

struct failures {
	int n, stop_at;
	long sum;
};

static int note(void *item, const prong_report *why, void *ctx)
{
	struct failures *f = ctx;
	char text[32];

	CHECK_EQ(((struct item *)item)->n, why->index);
	CHECK_EQ(((struct item *)item)->answer, 0); /* it is as it was */
	if (why->outcome == PRONG_FAILED) {
		CHECK_EQ(why->code, 5);
		snprintf(text, sizeof text, "item %d", (int)why->index);
		CHECK_STR(why->message, text);
	}
	f->sum += (long)why->index;
	return ++f->n == f->stop_at ? 77 : 0;
}

static void who_fails_is_told_and_the_others_are_done(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);
		struct item *in = shared(N * sizeof *in);
		struct failures f = { 0, 0, 0 };
		prong_map_opts opts = { .failed = note, .ctx = &f };

		fill(in, N);
		CHECK_EQ(prong_pool_map(pool, fail_some, in, N, sizeof *in, &opts, soon()),
			 PRONG_FAILED);
		CHECK_EQ(f.n, 5);
		CHECK_EQ(f.sum, 999 + 1999 + 2999 + 3999 + 4999);
		for (int i = 0; i < N; i++)
			CHECK_EQ(in[i].answer, i % 1000 == 999 ? 0 : 3L * i);
		f = (struct failures){ 0, 1, 0 };
		fill(in, N);
		CHECK_EQ(prong_pool_map(pool, fail_some, in, N, sizeof *in, &opts, soon()), 77);
		prong_free(in);
		CHECK_OK(prong_pool_free(pool));
	}
}

static int die_some(void *arg)
{
	struct item *i = arg;

	i->answer = 1;
	if (i->n % 1000 == 500)
		raise(SIGKILL);
	i->answer = 3 * i->n;
	return 0;
}

/* Dies in its first attempt only: of that tells memory beside the item. */
static int die_once(void *arg)
{
	struct item *i = arg;
	atomic_int *times = (atomic_int *)i->pad[0];

	if (i->n % 1000 == 500 && atomic_fetch_add(times, 1) == 0)
		raise(SIGKILL);
	i->answer = 3 * i->n;
	return 0;
}

static void a_crash_costs_its_item_alone(void **state)
{
	prong_pool *pool = open_pool("processes:2", NULL);
	struct item *in = shared(N * sizeof *in);
	atomic_int *times = shared(N * sizeof *times);
	struct failures f = { 0, 0, 0 };
	prong_map_opts opts = { .failed = note, .ctx = &f };
	prong_report why;

	(void)state;
	fill(in, N);
	CHECK_EQ(prong_pool_map(pool, die_some, in, N, sizeof *in, &opts, soon()), PRONG_CRASHED);
	CHECK_EQ(f.n, 5);
	CHECK_EQ(f.sum, 500 + 1500 + 2500 + 3500 + 4500);
	for (int i = 0; i < N; i++)
		CHECK_EQ(in[i].answer, i % 1000 == 500 ? 0 : 3L * i);
	CHECK_OK(prong_pool_dead_letter(pool, 4, &why));
	CHECK_EQ(why.index % 1000, 500);
	CHECK_EQ(prong_pool_dead_letter(pool, 5, &why), PRONG_EMPTY);
	fill(in, N);
	for (int i = 0; i < N; i++)
		in[i].pad[0] = (long)&times[i];
	opts = (prong_map_opts){ .task = { .retries = 1 } };
	CHECK_OK(prong_pool_map(pool, die_once, in, N, sizeof *in, &opts, soon()));
	check_all(in, N);
	prong_free(in);
	prong_free(times);
	CHECK_OK(prong_pool_free(pool));
}

static int hang_some(void *arg)
{
	struct item *i = arg;

	if (i->n == 3)
		for (;;)
			pause();
	i->answer = 3 * i->n;
	return i->n == 5 ? prong_sleep(PRONG_FOREVER) : 0;
}

static void an_item_that_takes_too_long_is_stopped(void **state)
{
	prong_pool *pool = open_pool("processes:2", NULL);
	struct item *in = shared(8 * sizeof *in);
	struct failures f = { 0, 0, 0 };
	const prong_map_opts opts = { .failed = note,
				      .ctx = &f,
				      .task = { .limit_ms = 50, .grace_ms = 20 } };

	(void)state;
	fill(in, 8);
	CHECK_EQ(prong_pool_map(pool, hang_some, in, 8, sizeof *in, &opts, soon()), PRONG_OVERRUN);
	CHECK_EQ(f.n, 2);
	CHECK_EQ(f.sum, 8);
	CHECK_EQ(in[7].answer, 21);
	prong_free(in);
	CHECK_OK(prong_pool_free(pool));
}

static int sleep_long(void *arg)
{
	(void)arg;
	return prong_sleep(PRONG_FOREVER);
}

static void at_the_deadline_a_map_is_told_to_end(void **state)
{
	static const char *const kinds[] = { "processes:2", "threads:2" };

	(void)state;
	for (int k = 0; k < 2; k++) {
		prong_pool *pool = open_pool(kinds[k], NULL);
		struct item *in = shared(8 * sizeof *in);

		CHECK_EQ(prong_pool_map(pool, sleep_long, in, 8, sizeof *in, NULL, prong_in_ms(30)),
			 PRONG_TIMEDOUT);
		CHECK_OK(prong_pool_map(pool, answer, in, 8, sizeof *in, NULL, soon()));
		prong_free(in);
		CHECK_OK(prong_pool_free(pool));
	}
}

static void add_range(void *ctx, size_t begin, size_t end)
{
	atomic_long *sum = ctx;
	long part = 0;

	for (size_t i = begin; i < end; i++)
		part += (long)i;
	atomic_fetch_add(sum, part);
}

static void a_range_is_covered_once(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);
		atomic_long *sum = shared(sizeof *sum);

		CHECK_OK(prong_pool_for(pool, add_range, sum, 100000, NULL, soon()));
		CHECK_EQ(atomic_load(sum), 100000L * 99999 / 2);
		prong_free(sum);
		CHECK_OK(prong_pool_free(pool));
	}
}

static void wrong_maps_are_refused(void **state)
{
	prong_pool *pool = open_pool("processes:1", NULL);
	struct item i = { 0 };
	atomic_long local;

	(void)state;
	CHECK_EQ(prong_pool_map(pool, NULL, &i, 1, sizeof i, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_pool_map(pool, answer, &i, 1, 0, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_pool_map(pool, answer, NULL, 1, sizeof i, NULL, PRONG_NOW), -EFAULT);
	CHECK_EQ(prong_pool_map(pool, answer, &i, SIZE_MAX / 2, 8, NULL, PRONG_NOW), -EOVERFLOW);
	CHECK_EQ(prong_pool_map(pool, answer, &i, 1, sizeof i,
				&(prong_map_opts){ .task = { .backoff_ms = 1 } }, PRONG_NOW),
		 -EINVAL);
	CHECK_EQ(prong_pool_map(NULL, answer, &i, 1, sizeof i, NULL, PRONG_NOW), -EINVAL);
	CHECK_OK(prong_pool_map(pool, answer, NULL, 0, sizeof i, NULL, PRONG_NOW));
	CHECK_EQ(prong_pool_for(pool, add_range, &local, 1, NULL, PRONG_NOW), -EFAULT);
	CHECK_EQ(prong_pool_for(pool, NULL, NULL, 1, NULL, PRONG_NOW), -EINVAL);
	CHECK_OK(prong_pool_close(pool));
	CHECK_EQ(prong_pool_map(pool, answer, &i, 1, sizeof i, NULL, soon()), PRONG_CLOSED);
	CHECK_OK(prong_pool_free(pool));
}

/* --- streams ---------------------------------------------------------------------------------- */

struct source {
	struct item item;
	long n, most, under_way;
};

static int supply(void *ctx, const void **item, size_t *size)
{
	struct source *s = ctx;

	if (s->n == s->most)
		return PRONG_EMPTY;
	CHECK(++s->under_way <= 8);
	s->item = (struct item){ .n = s->n++ };
	*item = &s->item;
	*size = sizeof s->item;
	return 0;
}

static void a_stream_hands_all_out_with_a_window(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);

		for (int unordered = 0; unordered < 2; unordered++) {
			const prong_stream_opts opts = { .window = 8, .unordered = unordered };
			struct source source = { .most = 500 };
			long sum = 0, n = 0;
			prong_stream *s;
			prong_future *f;
			int r;

			CHECK_OK(prong_stream_open(&s, pool, answer, supply, &source, &opts));
			while ((r = prong_stream_next(s, &f, soon())) == 0) {
				const struct item *i = prong_future_data(f, NULL);

				CHECK_EQ(i->answer, 3 * i->n);
				CHECK(unordered || i->n == n);
				sum += i->n;
				n++;
				source.under_way--;
			}
			CHECK_EQ(r, PRONG_EMPTY);
			CHECK_EQ(prong_stream_next(s, &f, soon()), PRONG_EMPTY);
			CHECK_EQ(n, 500);
			CHECK_EQ(sum, 500 * 499 / 2);
			prong_stream_close(s);
		}
		CHECK_OK(prong_pool_free(pool));
	}
}

static int supply_two(void *ctx, const void **item, size_t *size)
{
	static const struct item one;

	*item = &one;
	*size = sizeof one;
	return ++*(int *)ctx > 2 ? -EIO : 0;
}

static void what_supply_says_comes_after_the_results(void **state)
{
	prong_pool *pool = open_pool("threads:2", NULL);
	prong_stream *s;
	prong_future *f;
	int n = 0;

	(void)state;
	CHECK_OK(prong_stream_open(&s, pool, answer, supply_two, &n, NULL));
	CHECK_OK(prong_stream_next(s, &f, soon()));
	CHECK_OK(prong_stream_next(s, &f, soon()));
	CHECK_EQ(prong_stream_next(s, &f, soon()), -EIO);
	prong_stream_close(s);
	CHECK_EQ(prong_stream_open(&s, pool, NULL, supply_two, &n, NULL), -EINVAL);
	CHECK_EQ(prong_stream_open(&s, pool, answer, supply_two, &n,
				   &(prong_stream_opts){ .window = 100000 }),
		 -EINVAL);
	CHECK_EQ(prong_stream_next(NULL, &f, PRONG_NOW), -EINVAL);
	prong_stream_close(NULL);
	CHECK_OK(prong_pool_free(pool));
}

/* --- callbacks -------------------------------------------------------------------------------- */

static void count_and_free(prong_future *f, void *ctx)
{
	CHECK(prong_future_done(f));
	prong_future_free(f);
	atomic_fetch_add((atomic_int *)ctx, 1);
}

static void each_callback_comes_once(void **state)
{
	const char *kind;

	(void)state;
	EACH_KIND(kind)
	{
		prong_pool *pool = open_pool(kind, NULL);
		atomic_int n = 0;
		struct item i = { .n = 1 };

		for (int k = 0; k < 200; k++) {
			prong_future *f;

			CHECK_OK(prong_pool_submit(pool, &f, answer, &i, sizeof i, NULL));
			CHECK_OK(prong_future_then(f, count_and_free, &n));
		}
		CHECK(wait_for(&n, 200));
		CHECK_OK(prong_pool_close(pool));
		CHECK_OK(prong_pool_join(pool, soon()));
		CHECK_EQ(atomic_load(&n), 200);
		CHECK_OK(prong_pool_free(pool));
	}
	CHECK_EQ(prong_future_then(NULL, count_and_free, NULL), -EINVAL);
}

static void end_it_all(prong_future *f, void *ctx)
{
	_Atomic(prong_pool *) *pool = ctx;

	prong_future_free(f);
	CHECK_OK(prong_pool_close(*pool));
	CHECK_OK(prong_pool_join(*pool, soon()));
	CHECK_OK(prong_pool_free(*pool));
	*pool = NULL;
}

static bool gone(void *arg)
{
	return !*(_Atomic(prong_pool *) *)arg;
}

static void a_callback_may_end_the_pool(void **state)
{
	static const char *const kinds[] = { "processes:2", "threads:2" };

	(void)state;
	for (int k = 0; k < 2; k++) {
		_Atomic(prong_pool *) pool = open_pool(kinds[k], NULL);
		struct item i = { .n = 1 };
		prong_future *f;

		CHECK_OK(prong_pool_submit(pool, &f, answer, &i, sizeof i, NULL));
		CHECK_OK(prong_future_then(f, end_it_all, &pool));
		CHECK(wait_until(gone, &pool, HANG_MS));
	}
}

struct farewell {
	prong_pool *pool;
	atomic_int n, began;
};

static int until_told(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return prong_sleep(PRONG_FOREVER);
}

static void look_and_free(prong_future *f, void *ctx)
{
	struct farewell *end = ctx;

	CHECK(prong_future_done(f));
	sleep_ms(1);
	prong_future_free(f);
	atomic_fetch_add(&end->n, 1);
}

static void free_it(prong_future *f, void *ctx)
{
	struct farewell *end = ctx;

	prong_future_free(f);
	CHECK_OK(prong_pool_free(end->pool));
	CHECK_EQ(atomic_load(&end->n), 20);
	end->pool = NULL;
	atomic_fetch_add(&end->n, 1);
}

/* One runs, and the others never do. */
static void call_back_twenty(struct farewell *end, atomic_int *began)
{
	for (int i = 0; i < 20; i++) {
		prong_future *f;

		CHECK_OK(prong_pool_submit(end->pool, &f, until_told, began, 0, NULL));
		CHECK_OK(prong_future_then(f, look_and_free, end));
	}
	CHECK(wait_for(began, 2));
}

static void who_frees_a_pool_waits_for_its_callbacks(void **state)
{
	static const char *const kinds[] = { "processes:2", "threads:2" };

	(void)state;
	for (int k = 0; k < 4; k++) {
		struct farewell end = { .pool = open_pool(kinds[k % 2], NULL) };
		atomic_int *began = shared(sizeof *began);
		prong_pool *other = open_pool("sequential", NULL);
		struct item i = { .n = 1 };
		prong_future *f;

		call_back_twenty(&end, began);
		if (k < 2) {
			CHECK_OK(prong_pool_free(end.pool));
			CHECK_EQ(atomic_load(&end.n), 20);
		} else {
			CHECK_OK(prong_pool_submit(other, &f, answer, &i, sizeof i, NULL));
			CHECK_OK(prong_future_then(f, free_it, &end));
			CHECK(wait_for(&end.n, 21));
		}
		CHECK_OK(prong_pool_free(other));
		prong_free(began);
	}
}

/* --- what an item is told of itself ----------------------------------------------------------- */

static int says_its_attempt(void *arg)
{
	int *item = arg;

	if (prong_task_size() != sizeof *item)
		return EINVAL;
	if (*item == 7 && prong_task_attempt() == 1)
		raise(SIGKILL);
	*item = (int)prong_task_attempt();
	return 0;
}

static void an_item_knows_its_attempt_and_its_size(void **state)
{
	const prong_map_opts opts = { .task = { .retries = 1 }, .chunk = 5 };
	prong_pool *pool = open_pool("processes:2", NULL);
	int items[20];

	(void)state;
	for (int i = 0; i < 20; i++)
		items[i] = i;
	CHECK_OK(prong_pool_map(pool, says_its_attempt, items, 20, sizeof *items, &opts, soon()));
	for (int i = 0; i < 20; i++)
		CHECK_EQ(items[i], i == 7 ? 2 : 1);
	CHECK_OK(prong_pool_free(pool));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(each_item_is_done_once_in_the_heap_or_not),
		CASE(who_fails_is_told_and_the_others_are_done),
		CASE(a_crash_costs_its_item_alone),
		CASE(an_item_that_takes_too_long_is_stopped),
		CASE(at_the_deadline_a_map_is_told_to_end),
		CASE(a_range_is_covered_once),
		CASE(wrong_maps_are_refused),
		CASE(a_stream_hands_all_out_with_a_window),
		CASE(what_supply_says_comes_after_the_results),
		CASE(each_callback_comes_once),
		CASE(a_callback_may_end_the_pool),
		CASE(who_frees_a_pool_waits_for_its_callbacks),
		CASE(an_item_knows_its_attempt_and_its_size),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
