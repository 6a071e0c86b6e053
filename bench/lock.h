/* The locks that are measured beside each other: a table of kinds, for mutex.c. */
#ifndef BENCH_LOCK_H
#define BENCH_LOCK_H

#include "bench.h"

/* What two rivals fight over, each part on cache lines of its own. */
struct bench_ring {
	alignas(128) char lock[128];
	alignas(128) volatile uint64_t inside; /* changed while holding the lock */
	alignas(128) _Atomic uint32_t ready, go, stop;
	alignas(128) uint64_t rounds[2][16]; /* how often each had the lock, at [i][0] */
};

struct bench_lock {
	void (*init)(void *at);
	void (*pairs)(void *at, unsigned n);                      /* lock and unlock n times */
	uint64_t (*fight)(struct bench_ring *, unsigned outside); /* until stop; rounds */
};

extern const struct bench_lock bench_lock_prong, bench_lock_plain, bench_lock_pshared,
	bench_lock_robust, bench_lock_adaptive, bench_lock_adaptive_pshared, bench_lock_spin,
	bench_lock_semaphore, bench_lock_futex, bench_lock_nsync, bench_lock_ck_fas,
	bench_lock_ck_ticket, bench_lock_cas;

/* n increments of *v that no compiler may gather: the work of a critical section. */
static inline void bench_work(volatile uint64_t *v, unsigned n)
{
	while (n-- > 0)
		(*v)++;
}

/* Why nsync is not measured; NULL when it is. */
const char *bench_no_nsync(void);

#endif
