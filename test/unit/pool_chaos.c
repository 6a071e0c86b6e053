/* Chaos: workers, submitters and whole sub-families are killed at random while a pool works, and
   everything that is promised holds. */
#include "support.h"

#define SLOTS 48 /* more than have ever been in use here */

static _Atomic uint32_t seed = 1;

/* Ends when all have a slot. */
static int has_a_slot(void *arg)
{
	atomic_int *there = arg;

	atomic_fetch_add(there, 1);
	return wait_for(there, SLOTS) ? 0 : 1;
}

/* What a killed thread had in hand is freed by the next that has its slot: so many at a time have
   all slots. */
static void use_each_slot(void)
{
	atomic_int *there = shared(sizeof *there);
	prong_process *p[SLOTS];

	for (int i = 0; i < SLOTS; i++)
		p[i] = start(has_a_slot, there, 0);
	for (int i = 0; i < SLOTS; i++)
		CHECK_EQ(end(p[i]), 0);
	prong_free(there);
}

static uint32_t next_random(void)
{
	uint32_t x = atomic_load(&seed);

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	atomic_store(&seed, x);
	return x;
}

struct item {
	uint32_t n, answer;
};

static int answer(void *arg)
{
	struct item *i = arg;
	uint32_t x = i->n;

	for (int k = 0; k < 20; k++)
		x = x * 2654435761u + 1;
	i->answer = x;
	return 0;
}

/* Where it is slow, many workers are killed before they are ready. */
static const prong_pool_opts patient = { .task = { .retries = 100 }, .max_restarts = 1000000 };

struct killer {
	prong_pool *pool;
	atomic_int stop, killed;
};

/* Kill a random worker every 10 ms. */
static int kill_workers(void *arg)
{
	struct killer *k = arg;
	prong_worker_stats workers[16];
	prong_pool_stats stats;

	while (!atomic_load(&k->stop)) {
		size_t n = prong_pool_stat(k->pool, &stats, workers, 16), victim;

		sleep_ms(10);
		if (!n)
			continue;
		victim = next_random() % (n < 16 ? n : 16);
		if (workers[victim].alive && workers[victim].pid &&
		    kill(workers[victim].pid, SIGKILL) == 0)
			atomic_fetch_add(&k->killed, 1);
	}
	return 0;
}

static void a_map_is_right_whoever_is_killed(void **state)
{
	const int n = scaled(1000000);
	struct item *items = shared((size_t)n * sizeof *items);
	struct killer *k = shared(sizeof *k);
	prong_map_opts opts = { .task = { .retries = 100 }, .chunk = 100 };
	prong_thread *t;
	int rounds = 0;

	(void)state;
	CHECK_OK(prong_pool_open(&k->pool, "processes:3", &patient));
	t = start_thread(kill_workers, k, 0);
	do {
		for (int i = 0; i < n; i++)
			items[i] = (struct item){ (uint32_t)i, 0 };
		CHECK_OK(prong_pool_map(k->pool, answer, items, (size_t)n, sizeof *items, &opts,
					soon()));
		for (int i = 0; i < n; i++) {
			struct item want = { (uint32_t)i, 0 };

			answer(&want);
			if (items[i].n != want.n || items[i].answer != want.answer)
				check_failed(__FILE__, __LINE__, "item %d is wrong", i);
		}
	} while (++rounds < 3 || atomic_load(&k->killed) < 10);
	atomic_store(&k->stop, 1);
	end_thread(t);
	CHECK_OK(prong_pool_free(k->pool));
	prong_free(items);
	prong_free(k);
	use_each_slot();
}

/* --- who submits ------------------------------------------------------------------------------ */

struct shop {
	prong_pool *pool;
	atomic_int submitted, done;
	char large[100];
};

static int count(void *arg)
{
	struct shop *s = *(struct shop **)arg;

	atomic_fetch_add(&s->done, 1);
	return 0;
}

/* Submits for ever, with arguments of two sizes, keeps some futures and waits for some. */
static int submit_for_ever(void *arg)
{
	struct shop *s = arg;
	char large[sizeof s->large] = { 0 };

	memcpy(large, &s, sizeof s);
	for (int i = 0;; i++) {
		prong_future *f = NULL;
		bool big = i % 3 == 0;

		atomic_fetch_add(&s->submitted, 1);
		CHECK_OK(prong_pool_submit(s->pool, i % 2 ? &f : NULL, count, large,
					   big ? sizeof large : sizeof s, NULL));
		if (i % 4 == 1)
			CHECK_OK(prong_future_wait(f, soon()));
		if (i % 4 == 1 && i % 8 != 1)
			prong_future_free(f);
	}
	return 0;
}

static void submitters_may_be_killed(void **state)
{
	struct shop *s = shared(sizeof *s);
	prong_pool_stats stats;
	struct killer *k = shared(sizeof *k);
	prong_thread *t;

	(void)state;
	CHECK_OK(prong_pool_open(&s->pool, "processes:2", &patient));
	k->pool = s->pool;
	t = start_thread(kill_workers, k, 0);
	for (int i = 0; i < scaled(30); i++) {
		prong_process *p[2];

		for (int j = 0; j < 2; j++)
			p[j] = start(submit_for_ever, s, 0);
		sleep_ms(1 + (int)(next_random() % 10));
		for (int j = 0; j < 2; j++)
			kill_and_end(p[j]);
	}
	atomic_store(&k->stop, 1);
	end_thread(t);
	CHECK_OK(prong_pool_close(s->pool));
	CHECK_OK(prong_pool_join(s->pool, soon()));
	prong_pool_stat(s->pool, &stats, NULL, 0);
	CHECK_EQ(stats.waiting + stats.running, 0);
	CHECK_EQ(stats.failed + stats.crashed + stats.cancelled, 0);
	/* Each that was handed in was done; a submitter may have died before it did so.  More often
	   than once is a task done only when its worker was killed after it, which is counted. */
	CHECK((uint64_t)atomic_load(&s->done) <=
	      (uint64_t)atomic_load(&s->submitted) + stats.retried);
	CHECK(atomic_load(&s->done) >= atomic_load(&s->submitted) - 2 * scaled(30));
	CHECK_OK(prong_pool_free(s->pool));
	prong_free(s);
	prong_free(k);
	use_each_slot();
}

/* --- whole families --------------------------------------------------------------------------- */

static int have_a_pool(void *arg)
{
	prong_pool *pool;
	struct shop *s = arg;
	struct item items[100] = { { 0 } };

	CHECK_OK(prong_pool_open(&pool, "processes:2", NULL));
	for (;;) {
		CHECK_OK(prong_pool_map(pool, answer, items, 100, sizeof *items, NULL, soon()));
		atomic_fetch_add(&s->done, 1);
	}
	return 0;
}

static void a_pool_goes_with_its_process(void **state)
{
	struct shop *s = shared(sizeof *s);
	prong_pool *pool;

	(void)state;
	for (int i = 0; i < scaled(20); i++) {
		prong_process *p = start(have_a_pool, s, 0);

		sleep_ms((int)(next_random() % 12));
		kill_and_end(p);
	}
	CHECK_OK(prong_pool_open(&pool, "sequential", NULL)); /* takes the dead ones' memory */
	CHECK_OK(prong_pool_free(pool));
	prong_free(s);
	use_each_slot();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(a_map_is_right_whoever_is_killed),
		CASE(submitters_may_be_killed),
		CASE(a_pool_goes_with_its_process),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
