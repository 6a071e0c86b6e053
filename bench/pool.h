/* What the files of the bench of pools have from each other: pool.c has the cases. */
#ifndef BENCH_POOL_H
#define BENCH_POOL_H

#include "bench.h"
#include "peer.h"
#include <prong/prong.h>

/* --- pool.c ----------------------------------------------------------------------------------- */

enum {
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

/* --- peers (pool_peers.c): programs that print figures ---------------------------------------- */

/* A figure of pool.py. */
struct bench_pool_py {
	enum bench_pool_python {
		BENCH_PYTHON3, /* of PATH */
		BENCH_NEWEST,  /* of pyenv's */
		BENCH_JOBLIB,  /* one that has joblib */
		BENCH_PYTHONS
	} python;
	const char *what;
	unsigned n; /* full, see bench_count() */
};

void bench_pool_py(const void *py, struct bench_out *out);
const char *bench_pool_no_python(void);
const char *bench_pool_no_newest(void);
const char *bench_pool_no_joblib(void);

/* A figure of another library's program, see peer.h. */
struct bench_pool_peer {
	const char *program; /* "" where it was not built */
	const char *what;
	unsigned n;
	bool whole; /* n stays as it is */
};

void bench_pool_peer(const void *peer, struct bench_out *out);
const char *bench_pool_no_libgomp(void);
const char *bench_pool_no_libomp(void);
const char *bench_pool_no_tbb(void);
const char *bench_pool_no_glib(void);
const char *bench_pool_no_libuv(void);

#endif
