/* The heap in one process: the contract of each call, and a random test against a model.  With
   other processes, and what must abort, in heap_process.c. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>

static bool all_zero(const void *p, size_t size)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < size; i++)
		if (c[i])
			return false;
	return true;
}

static void fill(void *p, size_t size, unsigned seed)
{
	unsigned char *c = p;

	for (size_t i = 0; i < size; i++)
		c[i] = (unsigned char)(seed + i * 13);
}

static bool is_filled(const void *p, size_t size, unsigned seed)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < size; i++)
		if (c[i] != (unsigned char)(seed + i * 13))
			return false;
	return true;
}

/* --- as malloc ----------------------------------------------------------------------------- */

static void all_sizes(void **state)
{
	void *p;

	(void)state;
	for (size_t size = 0; size < 5000; size += size < 300 ? 1 : 61) {
		p = prong_alloc(size);
		CHECK(p != NULL);
		CHECK_EQ((uintptr_t)p % 16, 0);
		CHECK(prong_shared(p, size));
		fill(p, size, 1);
		CHECK(is_filled(p, size, 1));
		prong_free(p);
	}
	for (size_t size = 1; size <= (size_t)64 << 20; size *= 4) {
		p = prong_alloc(size + 5);
		CHECK(p != NULL);
		fill(p, 100 < size ? 100 : size, 2);
		((char *)p)[size + 4] = 1;
		prong_free(p);
	}
}

static void size_0_counts_as_1(void **state)
{
	void *a = prong_alloc(0), *b = prong_alloc(0), *c = prong_calloc(0, 10),
	     *d = prong_calloc(10, 0), *e = prong_realloc(NULL, 0);

	(void)state;
	CHECK(a && b && c && d && e);
	CHECK(a != b && c != d && b != c && d != e);
	*(char *)a = *(char *)b = *(char *)c = *(char *)d = *(char *)e = 'x';
	e = prong_realloc(e, 0);
	CHECK(e != NULL);
	CHECK_EQ(*(char *)e, 'x');
	prong_free(a);
	prong_free(b);
	prong_free(c);
	prong_free(d);
	prong_free(e);
	prong_free(NULL);
}

static void sizes_that_cannot_be(void **state)
{
	static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 1,	 SIZE_MAX - 15, SIZE_MAX - 64,
					SIZE_MAX / 2, SIZE_MAX / 2 + 1, (size_t)1 << 62,
					(size_t)1 << 47 };
	prong_family_stats st;
	char *p = shared(10);

	(void)state;
	strcpy(p, "untouched");
	prong_family_stat(&st);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		CHECK(prong_alloc(sizes[i]) == NULL);
		CHECK(prong_calloc(1, sizes[i]) == NULL);
		CHECK(prong_realloc(p, sizes[i]) == NULL);
		CHECK_STR(p, "untouched");
	}
	CHECK(prong_alloc(st.heap_size) == NULL);
	CHECK(prong_calloc(SIZE_MAX / 2, 3) == NULL);
	CHECK(prong_calloc(3, SIZE_MAX / 2) == NULL);
	CHECK(prong_calloc(SIZE_MAX, SIZE_MAX) == NULL);
	CHECK(prong_calloc((size_t)1 << 32, (size_t)1 << 32) == NULL);
	CHECK(prong_calloc(((size_t)1 << 32) + 1, (size_t)1 << 32) == NULL);
	prong_free(p);
}

static void calloc_gives_zeros(void **state)
{
	(void)state;
	for (size_t size = 1; size < 3000000; size = size * 3 + 1) {
		void *p = prong_alloc(size);

		CHECK(p != NULL);
		memset(p, 0xff, size);
		prong_free(p);
		p = prong_calloc(1, size);
		CHECK(p && all_zero(p, size));
		memset(p, 0xff, size);
		prong_free(p);
		p = prong_calloc(size, 1);
		CHECK(p && all_zero(p, size));
		prong_free(p);
	}
}

static void realloc_keeps_bytes(void **state)
{
	static const size_t sizes[] = { 1,    16,    17,      15,  100,    1000, 999,
					4096, 70000, 3000000, 500, 100000, 3,	 8 };
	size_t size = 1;
	char *p = prong_realloc(NULL, size), *other;

	(void)state;
	fill(p, size, 5);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			size_t kept = sizes[i] < size ? sizes[i] : size;

			other = prong_alloc(64); /* so that it cannot always stay */
			p = prong_realloc(p, sizes[i]);
			CHECK(p && (uintptr_t)p % 16 == 0);
			CHECK(is_filled(p, kept, 5));
			size = sizes[i];
			fill(p, size, 5);
			prong_free(other);
		}
	}
	prong_free(p);
}

/* --- pointer and block in one step --------------------------------------------------------- */

static void alloc_to(void **state)
{
	void **where = shared(2 * sizeof *where), *p;

	(void)state;
	for (size_t size = 0; size < 200000; size = size * 2 + 1) {
		CHECK_OK(prong_alloc_to(where, size));
		p = where[0];
		CHECK(p && (uintptr_t)p % 16 == 0);
		CHECK(all_zero(p, size ? size : 1));
		memset(p, 0xff, size);
		CHECK_EQ(prong_alloc_to(where, size), -EEXIST);
		CHECK(where[0] == p && where[1] == NULL);
		CHECK_OK(prong_free_at(where));
		CHECK(where[0] == NULL);
		CHECK_OK(prong_free_at(where));
	}
	prong_free(where);
}

static void alloc_to_what_is_no_place(void **state)
{
	static void *variable;
	void *local = NULL, **private = calloc(1, sizeof *private), **where = shared(32);
	void **places[] = { NULL, &variable, &local, private,
			    (void **)(void *)((char *)where + 1),
			    (void **)(void *)((char *)where + 4),
			    (void **)(uintptr_t)8, (void **)(UINTPTR_MAX - 7) };

	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		CHECK_EQ(prong_alloc_to(places[i], 10), -EFAULT);
		CHECK_EQ(prong_realloc_at(places[i], 10), -EFAULT);
		CHECK_EQ(prong_free_at(places[i]), -EFAULT);
	}
	CHECK(variable == NULL && local == NULL && *private == NULL && all_zero(where, 32));
	CHECK_EQ(prong_alloc_to(where, SIZE_MAX), -ENOMEM);
	CHECK_EQ(prong_alloc_to(where, (size_t)1 << 47), -ENOMEM);
	CHECK_EQ(prong_realloc_at(where, SIZE_MAX), -ENOMEM);
	CHECK(all_zero(where, 32));
	free(private);
	prong_free(where);
}

static void realloc_at(void **state)
{
	static const size_t sizes[] = { 0,    1,     16,      17,  100, 5,     4096,
					4097, 70000, 3000000, 500, 3,	100000 };
	void **where = shared(2 * sizeof *where), *before;
	size_t size = 0;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t kept = sizes[i] < size ? sizes[i] : size;

		CHECK_OK(prong_realloc_at(where, sizes[i]));
		CHECK(*where != NULL && (uintptr_t)*where % 16 == 0);
		CHECK(is_filled(*where, kept, 9));
		CHECK(all_zero((char *)*where + kept, sizes[i] - kept));
		fill(*where, sizes[i], 9);
		size = sizes[i];
	}
	before = *where;
	CHECK_EQ(prong_realloc_at(where, SIZE_MAX - 32), -ENOMEM);
	CHECK(*where == before && is_filled(before, size, 9));
	CHECK_OK(prong_free_at(where));
	CHECK(where[1] == NULL);
	prong_free(where);
}

/* A shrunk block that grows again must not show what it had. */
static void what_grows_is_zero(void **state)
{
	void **where = shared(sizeof *where);

	(void)state;
	for (size_t small = 0; small < 300; small += 7) {
		CHECK_OK(prong_alloc_to(where, 300));
		memset(*where, 0xff, 300);
		CHECK_OK(prong_realloc_at(where, small));
		CHECK_OK(prong_realloc_at(where, 300));
		CHECK(all_zero((char *)*where + (small ? small : 1), 300 - (small ? small : 1)));
		CHECK_OK(prong_free_at(where));
	}
	prong_free(where);
}

static void the_two_ways_may_be_mixed(void **state)
{
	void **where = shared(sizeof *where);

	(void)state;
	CHECK_OK(prong_alloc_to(where, 100));
	prong_free(*where);
	*where = prong_alloc(100);
	CHECK_OK(prong_realloc_at(where, 1000));
	*where = prong_realloc(*where, 10);
	CHECK_OK(prong_free_at(where));
	prong_free(where);
}

/* --- what lies in it ----------------------------------------------------------------------- */

static int a_function(void *arg)
{
	return arg != NULL;
}

static void what_is_shared(void **state)
{
	static int variable;
	int local;
	char *p = shared(100), *private = malloc(100);

	(void)state;
	CHECK(prong_shared(p, 100));
	CHECK(prong_shared(p + 99, 1));
	CHECK(prong_shared(p, 0));
	CHECK(!prong_shared(p, SIZE_MAX));
	CHECK(!prong_shared(p, SIZE_MAX - (uintptr_t)p + 1));
	CHECK(!prong_shared(NULL, 0));
	CHECK(!prong_shared(NULL, 1));
	CHECK(!prong_shared(NULL, SIZE_MAX));
	CHECK(!prong_shared(&variable, sizeof variable));
	CHECK(!prong_shared(&local, sizeof local));
	CHECK(!prong_shared(private, 100));
	CHECK(!prong_shared((void *)(uintptr_t)a_function, 1));
	CHECK(!prong_shared("literal", 1));
	CHECK(!prong_shared((void *)(UINTPTR_MAX - 10), 100));
	free(private);
	prong_free(p);
}

static void figures(void **state)
{
	prong_family_stats a, b, c;
	void *p[50];

	(void)state;
	prong_family_stat(&a);
	CHECK(a.heap_size >= (uint64_t)64 << 20);
	CHECK(a.heap_committed <= a.heap_size && a.heap_used <= a.heap_committed);
	CHECK(a.heap_peak >= a.heap_used);
	CHECK_EQ(a.processes, 1);
	for (int i = 0; i < 50; i++)
		p[i] = prong_alloc(1000);
	prong_family_stat(&b);
	CHECK_EQ(b.blocks, a.blocks + 50);
	CHECK(b.heap_used >= a.heap_used + 50 * 1000);
	CHECK(b.heap_peak >= b.heap_used);
	for (int i = 0; i < 50; i++)
		prong_free(p[i]);
	prong_family_stat(&c);
	CHECK_EQ(c.blocks, a.blocks);
	CHECK_EQ(c.heap_used, a.heap_used);
	CHECK(c.heap_peak >= b.heap_used);
}

static void freed_memory_is_used_again(void **state)
{
	prong_family_stats a, b;

	(void)state;
	prong_free(prong_alloc(10 << 20));
	prong_family_stat(&a);
	for (int i = 0; i < 1000; i++) {
		char *p = prong_alloc(10 << 20);

		CHECK(p != NULL);
		p[i] = 1;
		prong_free(p);
	}
	prong_family_stat(&b);
	CHECK_EQ(b.heap_committed, a.heap_committed);
}

/* --- against a model ----------------------------------------------------------------------- */

enum { SLOTS = 200 };

struct model {
	void *p[SLOTS];
	size_t size[SLOTS];
	unsigned seed[SLOTS];
};

static size_t random_size(unsigned *seed)
{
	static const size_t below[] = { 1, 17, 100, 300, 5000, 100000 };

	return (size_t)rand_r(seed) % below[rand_r(seed) % 6];
}

static void random_step(struct model *m, unsigned *seed)
{
	int i = rand_r(seed) % SLOTS;
	size_t size = random_size(seed), kept;

	if (!m->p[i]) {
		m->p[i] = rand_r(seed) % 2 ? prong_alloc(size) : prong_calloc(1, size);
	} else if (rand_r(seed) % 3) {
		CHECK(is_filled(m->p[i], m->size[i], m->seed[i]));
		prong_free(m->p[i]);
		m->p[i] = NULL;
		return;
	} else {
		kept = size < m->size[i] ? size : m->size[i];
		m->p[i] = prong_realloc(m->p[i], size);
		CHECK(m->p[i] && is_filled(m->p[i], kept, m->seed[i]));
	}
	CHECK(m->p[i] && (uintptr_t)m->p[i] % 16 == 0);
	m->size[i] = size;
	m->seed[i] = (unsigned)rand_r(seed);
	fill(m->p[i], size, m->seed[i]);
}

static void *random_steps(void *arg)
{
	struct model *m = calloc(1, sizeof *m);
	unsigned seed = *(unsigned *)arg;

	CHECK(m != NULL);
	for (int i = 0; i < scaled(50000); i++)
		random_step(m, &seed);
	for (int i = 0; i < SLOTS; i++) {
		CHECK(!m->p[i] || is_filled(m->p[i], m->size[i], m->seed[i]));
		prong_free(m->p[i]);
	}
	free(m);
	return NULL;
}

static void random_use(void **state)
{
	unsigned seed = 1;

	(void)state;
	random_steps(&seed);
}

static void random_use_by_threads(void **state)
{
	unsigned seeds[4] = { 2, 3, 4, 5 };
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, random_steps, &seeds[i]), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

static void *free_all(void *arg)
{
	void **p = arg;

	for (int i = 0; i < 1000; i++)
		prong_free(p[i]);
	return NULL;
}

static void freed_by_another_thread(void **state)
{
	void *p[1000];
	pthread_t t;

	(void)state;
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 1000; i++) {
			p[i] = prong_alloc((size_t)i);
			CHECK(p[i] != NULL);
		}
		CHECK_EQ(pthread_create(&t, NULL, free_all, p), 0);
		CHECK_EQ(pthread_join(t, NULL), 0);
	}
}

static const struct CMUnitTest tests[] = {
	CASE(all_sizes),
	CASE(size_0_counts_as_1),
	CASE(sizes_that_cannot_be),
	CASE(calloc_gives_zeros),
	CASE(realloc_keeps_bytes),
	CASE(alloc_to),
	CASE(alloc_to_what_is_no_place),
	CASE(realloc_at),
	CASE(what_grows_is_zero),
	CASE(the_two_ways_may_be_mixed),
	CASE(what_is_shared),
	CASE(figures),
	CASE(freed_memory_is_used_again),
	CASE(random_use),
	CASE(random_use_by_threads),
	CASE(freed_by_another_thread),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
