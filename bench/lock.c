/* Each kind of lock, and the loops over it, with its calls written into them: a call through a
   pointer would be a large part of what is measured. */
#define _GNU_SOURCE
#include "lock.h"
#include <err.h>
#include <errno.h>
#include <prong/prong.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#if defined(BENCH_NSYNC)
#include <nsync.h>
#endif
#if defined(BENCH_CK)
#include <ck_spinlock.h>
#endif

enum {
	INSIDE = 100
};

/* kind: the name in bench_lock_kind; LOCK and UNLOCK take a pointer to type. */
#define LOOPS(kind, type, LOCK, UNLOCK) \
	static void kind##_pairs(void *at, unsigned n) \
	{ \
		type *l = at; \
\
		while (n-- > 0) { \
			LOCK(l); \
			UNLOCK(l); \
		} \
	} \
	static uint64_t kind##_fight(struct bench_ring *r, unsigned outside) \
	{ \
		type *l = (type *)(void *)r->lock; \
		volatile uint64_t mine = 0; \
		uint64_t rounds = 0; \
\
		while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) { \
			LOCK(l); \
			bench_work(&r->inside, INSIDE); \
			UNLOCK(l); \
			bench_work(&mine, outside); \
			rounds++; \
		} \
		return rounds; \
	} \
	const struct bench_lock bench_lock_##kind = { kind##_init, kind##_pairs, kind##_fight }

static void check(int r, const char *what)
{
	if (r)
		errx(1, "%s: %d", what, r);
}

/* --- prong ------------------------------------------------------------------------------------ */

static void prong_init(void *at)
{
	memset(at, 0, sizeof(prong_mutex));
}

#define PRONG_LOCK(l)   check(prong_mutex_lock(l, PRONG_FOREVER), "prong_mutex_lock")
#define PRONG_UNLOCK(l) check(prong_mutex_unlock(l), "prong_mutex_unlock")
LOOPS(prong, prong_mutex, PRONG_LOCK, PRONG_UNLOCK);

/* --- glibc ------------------------------------------------------------------------------------ */

static void glibc_init(void *at, int type, int shared, int robust)
{
	pthread_mutexattr_t a;

	check(pthread_mutexattr_init(&a), "pthread_mutexattr_init");
	check(pthread_mutexattr_settype(&a, type), "pthread_mutexattr_settype");
	check(pthread_mutexattr_setpshared(&a, shared), "pthread_mutexattr_setpshared");
	check(pthread_mutexattr_setrobust(&a, robust), "pthread_mutexattr_setrobust");
	check(pthread_mutex_init(at, &a), "pthread_mutex_init");
	pthread_mutexattr_destroy(&a);
}

static void plain_init(void *at)
{
	glibc_init(at, PTHREAD_MUTEX_DEFAULT, PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_STALLED);
}

static void pshared_init(void *at)
{
	glibc_init(at, PTHREAD_MUTEX_DEFAULT, PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_STALLED);
}

static void robust_init(void *at)
{
	glibc_init(at, PTHREAD_MUTEX_DEFAULT, PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_ROBUST);
}

static void adaptive_init(void *at)
{
	glibc_init(at, PTHREAD_MUTEX_ADAPTIVE_NP, PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_STALLED);
}

static void adaptive_pshared_init(void *at)
{
	glibc_init(at, PTHREAD_MUTEX_ADAPTIVE_NP, PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_STALLED);
}

static void spin_init(void *at)
{
	check(pthread_spin_init(at, PTHREAD_PROCESS_SHARED), "pthread_spin_init");
}

static void semaphore_init(void *at)
{
	check(sem_init(at, 1, 1), "sem_init");
}

LOOPS(plain, pthread_mutex_t, pthread_mutex_lock, pthread_mutex_unlock);
LOOPS(pshared, pthread_mutex_t, pthread_mutex_lock, pthread_mutex_unlock);
LOOPS(robust, pthread_mutex_t, pthread_mutex_lock, pthread_mutex_unlock);
LOOPS(adaptive, pthread_mutex_t, pthread_mutex_lock, pthread_mutex_unlock);
LOOPS(adaptive_pshared, pthread_mutex_t, pthread_mutex_lock, pthread_mutex_unlock);
LOOPS(spin, pthread_spinlock_t, pthread_spin_lock, pthread_spin_unlock);
LOOPS(semaphore, sem_t, sem_wait, sem_post);

/* --- the shortest lock that can sleep: 0 free, 1 held, 2 held and somebody may sleep ---------- */

typedef _Atomic uint32_t word;

enum {
	FUTEX_SPINS = 100
};

static void futex_init(void *at)
{
	*(word *)at = 0;
}

/* Each exchange or CAS from 0: acquire, pairs with the release in futex_unlock(). */
static void futex_lock_slow(word *l)
{
	for (int i = 0; i < FUTEX_SPINS; i++) {
		uint32_t seen = 0;

		bench_pause();
		if (atomic_load_explicit(l, memory_order_relaxed) == 0 &&
		    atomic_compare_exchange_strong_explicit(l, &seen, 1, memory_order_acquire,
							    memory_order_relaxed))
			return;
	}
	while (atomic_exchange_explicit(l, 2, memory_order_acquire) != 0)
		bench_futex_wait(l, 2);
}

static inline void futex_lock(word *l)
{
	uint32_t seen = 0;

	/* acquire: pairs with the release in futex_unlock(). */
	if (!atomic_compare_exchange_strong_explicit(l, &seen, 1, memory_order_acquire,
						     memory_order_relaxed))
		futex_lock_slow(l);
}

static inline void futex_unlock(word *l)
{
	/* release: pairs with the acquires above. */
	if (atomic_exchange_explicit(l, 0, memory_order_release) == 2)
		bench_futex_wake(l);
}
LOOPS(futex, word, futex_lock, futex_unlock);

/* --- the floor: one locked instruction and a plain store -------------------------------------- */

static void cas_init(void *at)
{
	*(word *)at = 0;
}

static inline void cas_lock(word *l)
{
	uint32_t seen = 0;

	/* acquire: pairs with the release in cas_unlock(). */
	while (!atomic_compare_exchange_weak_explicit(l, &seen, 1, memory_order_acquire,
						      memory_order_relaxed))
		seen = 0;
}

static inline void cas_unlock(word *l)
{
	/* release: pairs with the acquire in cas_lock(). */
	atomic_store_explicit(l, 0, memory_order_release);
}
LOOPS(cas, word, cas_lock, cas_unlock);

/* --- Concurrency Kit's ------------------------------------------------------------------------ */

#if defined(BENCH_CK)
static void ck_fas_init(void *at)
{
	ck_spinlock_fas_init(at);
}

static void ck_ticket_init(void *at)
{
	ck_spinlock_ticket_init(at);
}
LOOPS(ck_fas, ck_spinlock_fas_t, ck_spinlock_fas_lock, ck_spinlock_fas_unlock);
LOOPS(ck_ticket, ck_spinlock_ticket_t, ck_spinlock_ticket_lock, ck_spinlock_ticket_unlock);
#else
const struct bench_lock bench_lock_ck_fas, bench_lock_ck_ticket;
#endif

/* --- nsync ------------------------------------------------------------------------------------ */

#if defined(BENCH_NSYNC)
static void nsync_init(void *at)
{
	nsync_mu_init(at);
}
LOOPS(nsync, nsync_mu, nsync_mu_lock, nsync_mu_unlock);

const char *bench_no_nsync(void)
{
	return NULL;
}
#else
const struct bench_lock bench_lock_nsync;

const char *bench_no_nsync(void)
{
	return "it was built without libnsync";
}
#endif
