/* What pool.c measures of prong's pools, done by another library's two threads: a program for each
   library, for two OpenMPs in one do not get along.

       PROGRAM WHAT N

   prints a figure on each line:

       tasks  M/s of N empty tasks from one thread, which then waits for all, or for the last
       map-1  M/s of N calls, each on an item of an array, with chunks of 1
       map    the same, with the chunks that the library makes
       idle   us of each of N tasks that come one at a time, with a pause before
       mib    GB/s of N blocks of 1 MiB: each is copied by who submits, and freed by the task
       for    us of each of N loops over BENCH_POOL_FLOATS floats
       fib    ns a call of fib(N), with a task for one of each two calls

   What a library does not have is not in its list.  All begin with what does not count.

   Here the one who submits is one of OpenMP's and of TBB's two threads, and a third beside GLib's
   and libuv's.  OpenMP's threads spin between regions, and TBB's for a moment; the others sleep. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	BENCH_POOL_FLOATS = 1000000,
	PEER_HELD = 4 /* blocks of 1 MiB that are on their way at once, as in pool.c */
};

/* --- what a library's file has ---------------------------------------------------------------- */

struct peer_work {
	const char *what; /* NULL ends a list */
	void (*run)(unsigned n);
};

extern const struct peer_work peer_works[];

/* --- what it is given (peer.c) ---------------------------------------------------------------- */

int64_t peer_now(void); /* ns of CLOCK_MONOTONIC */
void peer_pause(void);  /* all fall asleep meanwhile, or might */

void peer_print(double value);
void peer_print_rate(unsigned n, int64_t begin); /* M/s since begin */
void peer_print_us(int64_t begin);

void peer_empty(void);
void *peer_alloc(size_t size); /* zeroed */

/* A new block of 1 MiB with a copy of what the program has; end it. */
void *peer_mib(void);
void peer_mib_end(void *block);
void peer_print_mibs(unsigned n, int64_t begin);

/* --- what is done (pool_work.c) --------------------------------------------------------------- */

/* In a file of its own: no compiler can make less of it for one of them. */
void bench_pool_scale(void *floats, size_t begin, size_t end);
void bench_pool_add(long *item);
unsigned bench_pool_fib_calls(unsigned n);

#ifdef __cplusplus
}
#endif

#endif
