/* The heap's caches and pages among the threads of one process: figures, blocks that change hands,
   memory that goes back to the system. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>

#define MIB ((size_t)1 << 20)

static bool all_are(const void *p, size_t size, unsigned char value)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < size; i++)
		if (c[i] != value)
			return false;
	return true;
}

static prong_family_stats stat_now(void)
{
	prong_family_stats st;

	prong_family_stat(&st);
	return st;
}

/* --- figures ------------------------------------------------------------------------------- */

static void what_is_cached_is_not_used(void **state)
{
	prong_family_stats a = stat_now(), b, c;
	void *p[1000];

	(void)state;
	for (int i = 0; i < 1000; i++)
		p[i] = prong_alloc(100);
	b = stat_now();
	CHECK_EQ(b.blocks, a.blocks + 1000);
	CHECK_EQ(b.heap_used, a.heap_used + 1000 * (112 + 16));
	CHECK(b.heap_peak >= b.heap_used + b.heap_cached);
	for (int i = 0; i < 1000; i++)
		prong_free(p[i]);
	c = stat_now();
	CHECK_EQ(c.blocks, a.blocks);
	CHECK_EQ(c.heap_used, a.heap_used);
	CHECK(c.heap_cached >= 100 * (112 + 16));
	CHECK(c.heap_peak >= b.heap_used && c.heap_committed <= c.heap_size);
	CHECK(c.heap_used + c.heap_cached <= c.heap_committed);
}

/* All that a thread may keep, of every class: a bound, and that it is not exceeded. */
static void what_is_cached_is_bounded(void **state)
{
	enum { N = 300 };
	static void *p[N];

	(void)state;
	for (size_t size = 1; size <= 5000; size += size < 256 ? 16 : 100) {
		for (int i = 0; i < N; i++)
			CHECK((p[i] = prong_alloc(size)) != NULL);
		for (int i = 0; i < N; i++)
			prong_free(p[i]);
	}
	CHECK(stat_now().heap_cached < 5 * MIB);
}

/* --- blocks of all classes, and from one to another ----------------------------------------- */

static void each_size_to_each(void **state)
{
	static const size_t sizes[] = { 1,   7,	  8,   9,    15,   16,	 17,   240,  256,  257,
					288, 289, 500, 1000, 4095, 4096, 4097, 5000, 20000 };
	enum { N = sizeof sizes / sizeof *sizes };
	void **where = shared(sizeof *where);

	(void)state;
	for (int i = 0; i < N; i++) {
		for (int k = 0; k < N; k++) {
			size_t kept = sizes[i] < sizes[k] ? sizes[i] : sizes[k];

			CHECK_OK(prong_alloc_to(where, sizes[i]));
			CHECK(all_are(*where, sizes[i], 0));
			memset(*where, 0x5a, sizes[i]);
			CHECK_OK(prong_realloc_at(where, sizes[k]));
			CHECK((uintptr_t)*where % 16 == 0);
			CHECK(all_are(*where, kept, 0x5a));
			CHECK(all_are((char *)*where + kept, sizes[k] - kept, 0));
			memset(*where, 0x5a, sizes[k]);
			CHECK_OK(prong_free_at(where));
		}
	}
	prong_free(where);
}

/* Bytes that were not asked for are nobody's, and zero when they are. */
static void slack_is_zero_when_asked_for(void **state)
{
	void **where = shared(sizeof *where);

	(void)state;
	for (size_t size = 1; size < 400; size++) {
		*where = prong_alloc(400);
		CHECK(*where != NULL);
		memset(*where, 0xff, 400);
		CHECK_OK(prong_realloc_at(where, size));
		CHECK_OK(prong_realloc_at(where, size + 1));
		CHECK(all_are((char *)*where + size, 1, 0));
		CHECK(all_are(*where, size, 0xff));
		CHECK_OK(prong_free_at(where));
	}
	prong_free(where);
}

/* --- one allocates, another frees ------------------------------------------------------------ */

enum { RING = 256 };

struct ring {
	void *_Atomic cell[RING];
	int n;
};

static void *consumes(void *arg)
{
	struct ring *r = arg;

	for (int i = 0; i < r->n; i++) {
		unsigned char *p;

		while (!(p = atomic_exchange(&r->cell[i % RING], NULL)))
			sched_yield();
		CHECK(p[0] == (unsigned char)i && p[39] == (unsigned char)i);
		prong_free(p);
	}
	return NULL;
}

static void *produces(void *arg)
{
	struct ring *r = arg;

	for (int i = 0; i < r->n; i++) {
		void *none = NULL;
		void *p = prong_alloc(40);

		CHECK(p != NULL);
		memset(p, i, 40);
		while (!atomic_compare_exchange_weak(&r->cell[i % RING], &none, p)) {
			none = NULL;
			sched_yield();
		}
	}
	return NULL;
}

static void four_allocate_and_four_free(void **state)
{
	enum { PAIRS = 4 };
	static struct ring rings[PAIRS];
	pthread_t t[2 * PAIRS];
	prong_family_stats a = stat_now(), b;

	(void)state;
	for (int i = 0; i < PAIRS; i++) {
		rings[i].n = scaled(40000);
		CHECK_EQ(pthread_create(&t[2 * i], NULL, produces, &rings[i]), 0);
		CHECK_EQ(pthread_create(&t[2 * i + 1], NULL, consumes, &rings[i]), 0);
	}
	for (int i = 0; i < 2 * PAIRS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	b = stat_now();
	CHECK_EQ(b.blocks, a.blocks);
	CHECK_EQ(b.heap_used, a.heap_used);
	CHECK(b.heap_peak < a.heap_peak + 2 * MIB); /* what one frees the other gets */
}

/* --- pages ----------------------------------------------------------------------------------- */

static void memory_behind_the_end_goes_back(void **state)
{
	prong_family_stats a = stat_now(), b, c;
	char *p = prong_alloc(64 * MIB);

	(void)state;
	CHECK(p != NULL);
	memset(p, 1, 64 * MIB);
	b = stat_now();
	prong_free(p);
	c = stat_now();
	CHECK(b.heap_committed >= a.heap_used + 64 * MIB);
	CHECK(c.heap_committed + 50 * MIB < b.heap_committed);
	CHECK(c.heap_returned >= a.heap_returned + 50 * MIB);
}

static void memory_inside_goes_back_and_comes_again(void **state)
{
	prong_family_stats b, c;
	char *p = prong_alloc(64 * MIB), *above = prong_alloc(5000);

	(void)state;
	CHECK(p && above);
	memset(p, 1, 64 * MIB);
	memset(above, 2, 5000);
	b = stat_now();
	prong_free(p);
	c = stat_now();
	CHECK(c.heap_committed + 50 * MIB < b.heap_committed);
	for (size_t size = MIB; size <= 64 * MIB; size *= 2) {
		CHECK((p = prong_calloc(1, size)) != NULL);
		CHECK(all_are(p, size, 0));
		memset(p, 3, size);
		prong_free(p);
	}
	CHECK(all_are(above, 5000, 2));
	prong_free(above);
	CHECK(stat_now().heap_used + stat_now().heap_cached <= stat_now().heap_committed);
}

static void a_loop_keeps_its_memory(void **state)
{
	prong_family_stats a = stat_now();

	(void)state;
	for (int i = 0; i < 300; i++) {
		char *p = prong_alloc(32 * MIB);

		CHECK(p != NULL);
		p[0] = 1;
		prong_free(p);
	}
	CHECK(stat_now().heap_returned - a.heap_returned < 40 * 32 * MIB);
}

static const struct CMUnitTest tests[] = {
	CASE(what_is_cached_is_not_used),
	CASE(what_is_cached_is_bounded),
	CASE(each_size_to_each),
	CASE(slack_is_zero_when_asked_for),
	CASE(four_allocate_and_four_free),
	CASE(memory_behind_the_end_goes_back),
	CASE(memory_inside_goes_back_and_comes_again),
	CASE(a_loop_keeps_its_memory),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
