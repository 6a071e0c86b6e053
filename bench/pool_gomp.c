/* The same work by OpenMP's two threads: empty tasks from one of them, a loop over floats, and fib
   with a task for one of each two calls. */
#include "pool.h"
#include <err.h>
#include <stdlib.h>

/* Both threads are there, and warm, when the time begins. */
static void warm(void)
{
	for (int i = 0; i < 10; i++) {
#pragma omp parallel num_threads(2)
		__asm__ __volatile__("" : : : "memory");
	}
}

static void empty(void)
{
	__asm__ __volatile__("" : : : "memory");
}

double bench_gomp_tasks(unsigned n)
{
	int64_t begin;

	warm();
	begin = bench_now();
#pragma omp parallel num_threads(2)
#pragma omp single
	for (unsigned i = 0; i < n; i++) {
#pragma omp task
		empty();
	}
	return n * 1e3 / (double)(bench_now() - begin);
}

double bench_gomp_for(unsigned n)
{
	enum {
		ROUNDS = 20
	};
	float *f = calloc(n, sizeof *f);
	double us[ROUNDS];

	if (!f)
		err(1, "calloc");
	warm();
	for (int i = 0; i < ROUNDS; i++) {
		int64_t begin = bench_now();

#pragma omp parallel for schedule(static, 1) num_threads(2)
		for (unsigned half = 0; half < 2; half++)
			bench_pool_scale(f, (size_t)n * half / 2, (size_t)n * (half + 1) / 2);
		us[i] = (double)(bench_now() - begin) / 1e3;
	}
	free(f);
	return bench_quantile(us, ROUNDS, 0.5);
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

double bench_gomp_fib(unsigned n)
{
	volatile unsigned result;
	int64_t begin;

	warm();
	begin = bench_now();
#pragma omp parallel num_threads(2)
#pragma omp single
	result = fib(n);
	(void)result;
	return (double)(bench_now() - begin) / bench_pool_fib_calls(n);
}
