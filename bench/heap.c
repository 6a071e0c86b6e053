/* The heap: a block allocated and freed at once, by one thread while a second is alive, beside
   malloc() and Boost.Interprocess' allocator for shared memory, which is as prong's for processes.
   For information: one size of one pattern says little about an allocator.

   What prong_alloc_to() gives is zeroed, so calloc() is the like of it: of 4 KiB the zeros are most
   of what it costs.  prong_alloc() is as malloc().  No floor: nothing here crosses processors. */
#include "bench.h"
#include "boost.h"
#include "channel.h"
#include <err.h>
#include <prong/prong.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	PARTS = 10
};

struct plan {
	void (*pairs)(size_t size, unsigned n);
	size_t size;
	unsigned n;
};

/* A use that the compiler cannot see through, so that it keeps the block. */
static void use(void *p)
{
	if (!p)
		errx(1, "no memory");
	__asm__ __volatile__("" : : "r"(p) : "memory");
}

static void by_alloc(size_t size, unsigned n)
{
	while (n-- > 0) {
		void *p = prong_alloc(size);

		use(p);
		prong_free(p);
	}
}

static void by_alloc_to(size_t size, unsigned n)
{
	void **where = prong_calloc(1, sizeof(*where));

	use(where);
	while (n-- > 0) {
		int r = prong_alloc_to(where, size);

		if (r || prong_free_at(where))
			errx(1, "prong_alloc_to: %s: %s", prong_strerror(r), prong_error_detail());
	}
	prong_free(where);
}

static void by_malloc(size_t size, unsigned n)
{
	while (n-- > 0) {
		void *p = malloc(size);

		use(p);
		free(p);
	}
}

static void by_calloc(size_t size, unsigned n)
{
	while (n-- > 0) {
		void *p = calloc(1, size);

		use(p);
		free(p);
	}
}

#if defined(BENCH_BOOST)
static void by_boost(size_t size, unsigned n)
{
	enum {
		ALL = 1 << 20
	};
	static void *heap;

	if (!heap)
		use(heap = bench_boost_heap_new(bench_shared(ALL), ALL));
	bench_boost_heap_pairs(heap, size, n);
}
#else
#define by_boost NULL
#endif

static void *stay(void *arg)
{
	_Atomic uint32_t *leave = arg;

	/* acquire: pairs with the release in run(). */
	while (!atomic_load_explicit(leave, memory_order_acquire))
		bench_futex_wait(leave, 0);
	return NULL;
}

/* In parts, of which the median counts: one may meet an interrupt. */
static void time_pairs(const struct plan *p, struct bench_out *out)
{
	double ns[PARTS];
	unsigned n = bench_count(p->n) / PARTS;

	p->pairs(p->size, n);
	for (unsigned i = 0; i < PARTS; i++) {
		int64_t t = bench_now();

		p->pairs(p->size, n);
		ns[i] = (double)(bench_now() - t) / n;
	}
	bench_push_median(out, 0, ns, PARTS);
}

static void run(const void *arg, struct bench_out *out)
{
	_Atomic uint32_t leave = 0;
	pthread_t second;

	if (pthread_create(&second, NULL, stay, &leave) != 0)
		errx(1, "pthread_create");
	time_pairs(arg, out);
	/* release: pairs with the acquire in stay(). */
	atomic_store_explicit(&leave, 1, memory_order_release);
	bench_futex_wake(&leave);
	pthread_join(second, NULL);
}

#define PLAN(pairs, size) run, &(const struct plan){ pairs, size, 100000 }
#define CASE(bytes) \
	.metrics = { { "", "ns", 0, 0 } }, \
	.subjects = { \
		{ "prong_alloc + prong_free", PLAN(by_alloc, bytes), true, NULL }, \
		{ "prong_alloc_to + prong_free_at", PLAN(by_alloc_to, bytes), true, NULL }, \
		{ "malloc + free", PLAN(by_malloc, bytes), false, NULL }, \
		{ "calloc + free", PLAN(by_calloc, bytes), false, NULL }, \
		{ "Boost.Interprocess' allocator", PLAN(by_boost, bytes), false, bench_no_boost }, \
	}, \
	.versus = { { "prong_alloc : malloc", 0, 0, 0, 1 << 2, false }, \
		    { "prong_alloc_to : malloc", 0, 1, 0, 1 << 2, false }, \
		    { "prong_alloc_to : calloc", 0, 1, 0, 1 << 3, false }, \
		    { "prong_alloc : Boost.Interprocess", 0, 0, 0, 1 << 4, false } }

const struct bench_case bench_heap[] = {
	{ .name = "alloc-free-16", CASE(16) },
	{ .name = "alloc-free-64", CASE(64) },
	{ .name = "alloc-free-256", CASE(256) },
	{ .name = "alloc-free-1024", CASE(1024) },
	{ .name = "alloc-free-4096", CASE(4096) },
	{ .name = NULL },
};
