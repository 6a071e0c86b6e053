/* OpenMP: libgomp when gcc compiles this, libomp when clang does.

   With more than 64 tasks for each thread, libgomp's submitter runs what comes next itself. */
#include "peer.h"
#include <omp.h>
#include <stdlib.h>

/* Both threads are there, and warm, when the time begins. */
static void warm(void)
{
	for (int i = 0; i < 10; i++) {
#pragma omp parallel num_threads(2)
		peer_empty();
	}
}

static void submit(unsigned n)
{
#pragma omp parallel num_threads(2)
#pragma omp single
	for (unsigned i = 0; i < n; i++) {
#pragma omp task
		peer_empty();
	}
}

static void tasks(unsigned n)
{
	int64_t begin;

	warm();
	submit(n);
	begin = peer_now();
	submit(n);
	peer_print_rate(n, begin);
}

static void add_by_one(long *items, unsigned n)
{
#pragma omp parallel for schedule(dynamic, 1) num_threads(2)
	for (unsigned i = 0; i < n; i++)
		bench_pool_add(&items[i]);
}

static void add(long *items, unsigned n)
{
#pragma omp parallel for num_threads(2)
	for (unsigned i = 0; i < n; i++)
		bench_pool_add(&items[i]);
}

static void map_with(void (*each)(long *, unsigned), unsigned n)
{
	long *items = peer_alloc(n * sizeof *items);
	int64_t begin;

	each(items, n);
	begin = peer_now();
	each(items, n);
	peer_print_rate(n, begin);
	free(items);
}

static void map_1(unsigned n)
{
	map_with(add_by_one, n);
}

static void map(unsigned n)
{
	map_with(add, n);
}

/* There are no tasks outside a region: a region, in which the second thread does something. */
static void idle(unsigned n)
{
	long item = 0;

	warm();
	for (unsigned i = 0; i < n; i++) {
		int64_t begin;

		peer_pause();
		begin = peer_now();
#pragma omp parallel num_threads(2)
		if (omp_get_thread_num() == 1)
			bench_pool_add(&item);
		peer_print_us(begin);
	}
}

static void blocks(unsigned n)
{
#pragma omp parallel num_threads(2)
#pragma omp single
	for (unsigned i = 0; i < n; i++) {
		void *block = peer_mib();

#pragma omp task firstprivate(block)
		peer_mib_end(block);
		if (i % PEER_HELD == PEER_HELD - 1) {
#pragma omp taskwait
		}
	}
}

static void mib(unsigned n)
{
	int64_t begin;

	blocks(n);
	begin = peer_now();
	blocks(n);
	peer_print_mibs(n, begin);
}

static void loops(unsigned n)
{
	float *f = peer_alloc(BENCH_POOL_FLOATS * sizeof *f);

	warm();
	bench_pool_scale(f, 0, BENCH_POOL_FLOATS);
	for (unsigned i = 0; i < n; i++) {
		int64_t begin = peer_now();

#pragma omp parallel for schedule(static, 1) num_threads(2)
		for (size_t half = 0; half < 2; half++)
			bench_pool_scale(f, BENCH_POOL_FLOATS / 2 * half,
					 BENCH_POOL_FLOATS / 2 * (half + 1));
		peer_print_us(begin);
	}
	free(f);
}

static unsigned fib(unsigned n)
{
	unsigned a, b;

	if (n < 2)
		return n;
#pragma omp task shared(a)
	a = fib(n - 1);
	b = fib(n - 2);
#pragma omp taskwait
	return a + b;
}

static void fibs(unsigned n)
{
	volatile unsigned result;
	int64_t begin;

	warm();
	begin = peer_now();
#pragma omp parallel num_threads(2)
#pragma omp single
	result = fib(n);
	(void)result;
	peer_print((double)(peer_now() - begin) / bench_pool_fib_calls(n));
}

const struct peer_work peer_works[] = {
	{ "tasks", tasks }, { "map-1", map_1 }, { "map", map },  { "idle", idle },
	{ "mib", mib },     { "for", loops },   { "fib", fibs }, { NULL, NULL },
};
