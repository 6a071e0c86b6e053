/* A loop over floats in parallel, and tasks that wait for tasks: fib.  The floors are half the loop
   in one thread, and fib in one. */
#include "pool.h"
#include <err.h>
#include <stdlib.h>

/* --- a loop, and fib -------------------------------------------------------------------------- */

enum {
	LOOPS = 20
};

void bench_pool_for(const void *spec, struct bench_out *out)
{
	prong_pool *pool = bench_pool_open(spec);
	float *f = bench_pool_heap(BENCH_POOL_FLOATS * sizeof *f);
	double us[LOOPS];

	for (int i = -2; i < LOOPS; i++) {
		int64_t begin = bench_now();

		bench_pool_must(prong_pool_for(pool, bench_pool_scale, f, BENCH_POOL_FLOATS, NULL,
					       PRONG_FOREVER),
				"prong_pool_for");
		if (i >= 0)
			us[i] = bench_pool_us_since(begin);
	}
	bench_push_median(out, 0, us, LOOPS);
	prong_free(f);
	bench_pool_end(pool);
}

void bench_pool_half(const void *arg, struct bench_out *out)
{
	float *f = calloc(BENCH_POOL_FLOATS, sizeof *f);
	double us[LOOPS];

	(void)arg;
	if (!f)
		err(1, "calloc");
	bench_pool_scale(f, 0, BENCH_POOL_FLOATS);
	for (int i = 0; i < LOOPS; i++) {
		int64_t begin = bench_now();

		bench_pool_scale(f, 0, BENCH_POOL_FLOATS / 2);
		us[i] = bench_pool_us_since(begin);
	}
	bench_push_median(out, 0, us, LOOPS);
	free(f);
}

struct fib {
	prong_pool *pool;
	unsigned n, result;
};

/* A task for one of the two, as the peers do. */
static int fib(void *arg)
{
	struct fib *f = arg, a = { f->pool, f->n - 1, 0 }, b = { f->pool, f->n - 2, 0 };
	prong_future *other;
	int r;

	if (f->n < 2) {
		f->result = f->n;
		return 0;
	}
	bench_pool_must(prong_pool_submit(f->pool, &other, fib, &a, sizeof a, NULL),
			"prong_pool_submit");
	r = fib(&b);
	bench_pool_must(prong_future_get(other, &a, sizeof a, PRONG_FOREVER), "prong_future_get");
	prong_future_free(other);
	f->result = a.result + b.result;
	return r;
}

void bench_pool_fib(const void *spec, struct bench_out *out)
{
	struct fib f = { bench_pool_open(spec), BENCH_POOL_FIB, 0 };
	int64_t begin = bench_now();

	bench_pool_must(prong_pool_apply(f.pool, fib, &f, sizeof f, NULL, PRONG_FOREVER),
			"prong_pool_apply");
	bench_push(out, 0, bench_pool_us_since(begin) * 1e3 / bench_pool_fib_calls(BENCH_POOL_FIB));
	if (f.result != 1597)
		errx(1, "fib(%d) is not %u", BENCH_POOL_FIB, f.result);
	bench_pool_end(f.pool);
}

static unsigned fib_alone(unsigned n)
{
	__asm__ __volatile__("" : "+r"(n)); /* it is not unrolled */
	return n < 2 ? n : fib_alone(n - 1) + fib_alone(n - 2);
}

void bench_pool_fib_alone(const void *arg, struct bench_out *out)
{
	int64_t begin = bench_now();
	volatile unsigned result = fib_alone(BENCH_POOL_FIB);

	(void)arg;
	(void)result;
	bench_push(out, 0, bench_pool_us_since(begin) * 1e3 / bench_pool_fib_calls(BENCH_POOL_FIB));
}
