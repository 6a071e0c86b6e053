/* What the files of the bench of pools have from each other: pool.c has the cases. */
#ifndef BENCH_POOL_H
#define BENCH_POOL_H

#include "bench.h"
#include <prong/prong.h>

/* --- pool.c ----------------------------------------------------------------------------------- */

enum {
	BENCH_POOL_FLOATS = 1000000,
	BENCH_POOL_FIB = 17
};

/* End the program when r is not 0. */
void bench_pool_must(int r, const char *what);

/* Zeroed memory of the family's heap. */
void *bench_pool_heap(size_t size);

prong_pool *bench_pool_open(const char *spec);

/* Close, join, free. */
void bench_pool_end(prong_pool *pool);

static inline double bench_pool_us_since(int64_t begin)
{
	return (double)(bench_now() - begin) / 1e3;
}

/* --- one task at a time (pool_trip.c); each takes a spec -------------------------------------- */

void bench_pool_idle(const void *spec, struct bench_out *out);
void bench_pool_wakes(const void *arg, struct bench_out *out);
void bench_pool_replace(const void *spec, struct bench_out *out);
void bench_pool_kill_and_fork(const void *arg, struct bench_out *out);

/* --- a loop, and fib (pool_loop.c); each takes a spec ----------------------------------------- */

void bench_pool_for(const void *spec, struct bench_out *out);
void bench_pool_half(const void *arg, struct bench_out *out);
void bench_pool_fib(const void *spec, struct bench_out *out);
void bench_pool_fib_alone(const void *arg, struct bench_out *out);

/* --- peers (pool_peers.c) --------------------------------------------------------------------- */

/* A figure of pool.py, which is run by python3 from PATH, or by the newest of pyenv. */
struct bench_pool_py {
	const char *what;
	unsigned n;
	bool newest;
};

void bench_pool_py(const void *py, struct bench_out *out);
const char *bench_pool_no_python(void);
const char *bench_pool_no_newest(void);

/* Runs in a process of its own, so that its threads end.  n is full, see bench_count(). */
struct bench_pool_gomp {
	double (*run)(unsigned n);
	unsigned n;
	bool whole; /* n stays as it is */
};

void bench_pool_gomp(const void *gomp, struct bench_out *out);
const char *bench_pool_no_gomp(void);
const char *bench_pool_no_glib(void);

/* --- OpenMP (pool_gomp.c) --------------------------------------------------------------------- */

/* M/s of n empty tasks; us of the loop over n floats; ns a call of fib(n). */
double bench_gomp_tasks(unsigned n);
double bench_gomp_for(unsigned n);
double bench_gomp_fib(unsigned n);

/* --- what is done (pool_work.c) --------------------------------------------------------------- */

void bench_pool_scale(void *floats, size_t begin, size_t end);
unsigned bench_pool_fib_calls(unsigned n);

#endif
