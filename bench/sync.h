/* What sync.c measures: prong's nouns and those of others, on a table that the parties share. */
#ifndef BENCH_SYNC_H
#define BENCH_SYNC_H

#include "bench.h"
#include <prong/prong.h>
#include <pthread.h>
#include <semaphore.h>

/* Each is on lines of its own. */
struct bench_table {
	alignas(128) union {
		struct {
			prong_mutex m;
			prong_cond c;
			prong_sem sem[2];
			prong_event e[2];
			prong_barrier b;
			prong_rwlock rw;
			prong_once o;
		} ours;
		struct {
			pthread_mutex_t m;
			pthread_cond_t c;
			sem_t sem[2];
			struct {
				pthread_mutex_t m;
				pthread_cond_t c;
				bool set; /* under m */
			} e[2];
			pthread_barrier_t b;
			pthread_rwlock_t rw;
			pthread_once_t o;
		} theirs;
		char others[1024];
	} u;
	alignas(128) volatile int turn; /* under m */
	alignas(128) _Atomic uint32_t ready;
};

struct bench_kind {
	void (*init)(struct bench_table *t);
	void (*alone)(struct bench_table *t, unsigned n);
	void (*half)(struct bench_table *t, int me, unsigned n); /* of each of n rounds; me: 0, 1 */
};

/* --- others (sync_peers.c); barrier1 is for one, barrier2 for two ----------------------------- */

extern const struct bench_kind bench_glibc_sem, bench_glibc_event, bench_glibc_cond,
	bench_glibc_barrier1, bench_glibc_barrier2, bench_glibc_reading, bench_glibc_writing,
	bench_glibc_once;

/* Concurrency Kit's barrier, rwlock and brlock: see bench_no_ck(). */
extern const struct bench_kind bench_ck_barrier1, bench_ck_barrier2, bench_ck_reading,
	bench_ck_writing, bench_ck_br_reading, bench_ck_br_writing;

/* Boost.Interprocess' sharable mutex: see bench_no_boost() of channel.h. */
extern const struct bench_kind bench_boost_reading, bench_boost_writing;

#endif
