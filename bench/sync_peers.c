/* The peers of sync.c: glibc's process-shared nouns, Concurrency Kit's, and Boost's sharable mutex,
   which is the only one of Boost.Interprocess that is not glibc's inside. */
#define _GNU_SOURCE
#include "sync.h"
#include "boost.h"
#include <err.h>
#include <stddef.h>

#if defined(BENCH_CK)
#include <ck_barrier.h>
#include <ck_brlock.h>
#include <ck_rwlock.h>
#endif

static void check(int r, const char *what)
{
	if (r)
		errx(1, "%s: %d", what, r);
}

static void do_nothing_either(void)
{
}

/* --- glibc ------------------------------------------------------------------------------------ */

static void glibc_init(struct bench_table *t, unsigned parties)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	pthread_barrierattr_t ba;
	pthread_rwlockattr_t ra;

	pthread_mutexattr_init(&ma);
	pthread_condattr_init(&ca);
	pthread_barrierattr_init(&ba);
	pthread_rwlockattr_init(&ra);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
	pthread_barrierattr_setpshared(&ba, PTHREAD_PROCESS_SHARED);
	pthread_rwlockattr_setpshared(&ra, PTHREAD_PROCESS_SHARED);
	check(pthread_mutex_init(&t->u.theirs.m, &ma), "pthread_mutex_init");
	check(pthread_cond_init(&t->u.theirs.c, &ca), "pthread_cond_init");
	check(pthread_barrier_init(&t->u.theirs.b, &ba, parties), "pthread_barrier_init");
	check(pthread_rwlock_init(&t->u.theirs.rw, &ra), "pthread_rwlock_init");
	check(sem_init(&t->u.theirs.sem[0], 1, 0), "sem_init");
	check(sem_init(&t->u.theirs.sem[1], 1, 0), "sem_init");
	for (int i = 0; i < 2; i++) {
		check(pthread_mutex_init(&t->u.theirs.e[i].m, &ma), "pthread_mutex_init");
		check(pthread_cond_init(&t->u.theirs.e[i].c, &ca), "pthread_cond_init");
	}
}

static void glibc_one(struct bench_table *t)
{
	glibc_init(t, 1);
}

static void glibc_two(struct bench_table *t)
{
	glibc_init(t, 2);
}

static void glibc_sem_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		check(sem_post(&t->u.theirs.sem[0]), "sem_post");
		check(sem_wait(&t->u.theirs.sem[0]), "sem_wait");
	}
}

static void glibc_sem_half(struct bench_table *t, int me, unsigned n)
{
	while (n-- > 0) {
		if (me == 0)
			check(sem_post(&t->u.theirs.sem[1]), "sem_post");
		check(sem_wait(&t->u.theirs.sem[me]), "sem_wait");
		if (me == 1)
			check(sem_post(&t->u.theirs.sem[0]), "sem_post");
	}
}

static void glibc_event_put(struct bench_table *t, int i, bool set)
{
	check(pthread_mutex_lock(&t->u.theirs.e[i].m), "pthread_mutex_lock");
	t->u.theirs.e[i].set = set;
	if (set)
		check(pthread_cond_broadcast(&t->u.theirs.e[i].c), "pthread_cond_broadcast");
	check(pthread_mutex_unlock(&t->u.theirs.e[i].m), "pthread_mutex_unlock");
}

static void glibc_event_wait(struct bench_table *t, int i)
{
	check(pthread_mutex_lock(&t->u.theirs.e[i].m), "pthread_mutex_lock");
	while (!t->u.theirs.e[i].set)
		check(pthread_cond_wait(&t->u.theirs.e[i].c, &t->u.theirs.e[i].m),
		      "pthread_cond_wait");
	check(pthread_mutex_unlock(&t->u.theirs.e[i].m), "pthread_mutex_unlock");
}

static void glibc_event_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		glibc_event_put(t, 0, true);
		glibc_event_wait(t, 0);
		glibc_event_put(t, 0, false);
	}
}

static void glibc_event_half(struct bench_table *t, int me, unsigned n)
{
	while (n-- > 0) {
		if (me == 0)
			glibc_event_put(t, 1, true);
		glibc_event_wait(t, me);
		glibc_event_put(t, me, false);
		if (me == 1)
			glibc_event_put(t, 0, true);
	}
}

static void glibc_cond_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		check(pthread_mutex_lock(&t->u.theirs.m), "pthread_mutex_lock");
		check(pthread_cond_signal(&t->u.theirs.c), "pthread_cond_signal");
		check(pthread_mutex_unlock(&t->u.theirs.m), "pthread_mutex_unlock");
	}
}

static void glibc_cond_half(struct bench_table *t, int me, unsigned n)
{
	while (n-- > 0) {
		check(pthread_mutex_lock(&t->u.theirs.m), "pthread_mutex_lock");
		while (t->turn != me)
			check(pthread_cond_wait(&t->u.theirs.c, &t->u.theirs.m),
			      "pthread_cond_wait");
		t->turn = !me;
		check(pthread_cond_signal(&t->u.theirs.c), "pthread_cond_signal");
		check(pthread_mutex_unlock(&t->u.theirs.m), "pthread_mutex_unlock");
	}
}

static void glibc_barrier_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0)
		pthread_barrier_wait(&t->u.theirs.b);
}

static void glibc_barrier_half(struct bench_table *t, int me, unsigned n)
{
	(void)me;
	glibc_barrier_alone(t, n);
}

static void glibc_read_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		check(pthread_rwlock_rdlock(&t->u.theirs.rw), "pthread_rwlock_rdlock");
		check(pthread_rwlock_unlock(&t->u.theirs.rw), "pthread_rwlock_unlock");
	}
}

static void glibc_read_half(struct bench_table *t, int me, unsigned n)
{
	(void)me;
	glibc_read_alone(t, n);
}

static void glibc_write_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		check(pthread_rwlock_wrlock(&t->u.theirs.rw), "pthread_rwlock_wrlock");
		check(pthread_rwlock_unlock(&t->u.theirs.rw), "pthread_rwlock_unlock");
	}
}

static void glibc_once_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0)
		check(pthread_once(&t->u.theirs.o, do_nothing_either), "pthread_once");
}

const struct bench_kind bench_glibc_sem = { glibc_two, glibc_sem_alone, glibc_sem_half },
			bench_glibc_event = { glibc_two, glibc_event_alone, glibc_event_half },
			bench_glibc_cond = { glibc_two, glibc_cond_alone, glibc_cond_half },
			bench_glibc_barrier1 = { glibc_one, glibc_barrier_alone, NULL },
			bench_glibc_barrier2 = { glibc_two, NULL, glibc_barrier_half },
			bench_glibc_reading = { glibc_two, glibc_read_alone, glibc_read_half },
			bench_glibc_writing = { glibc_two, glibc_write_alone, NULL },
			bench_glibc_once = { glibc_two, glibc_once_alone, NULL };

/* --- Concurrency Kit -------------------------------------------------------------------------- */

#if defined(BENCH_CK)
struct ck {
	alignas(128) ck_barrier_centralized_t barrier;
	alignas(128) ck_rwlock_t rw;
	alignas(128) ck_brlock_t br;
	struct {
		alignas(128) ck_brlock_reader_t reader;
		ck_barrier_centralized_state_t sense;
	} party[2];
	unsigned parties;
};

_Static_assert(sizeof(struct ck) <= sizeof(((struct bench_table *)0)->u), "it has its place");

static struct ck *ck_of(struct bench_table *t)
{
	return (struct ck *)(void *)t->u.others;
}

/* The table is zeroed, which is how all of them begin. */
static void ck_init(struct bench_table *t, unsigned parties)
{
	struct ck *c = ck_of(t);

	c->parties = parties;
	for (unsigned i = 0; i < parties; i++)
		ck_brlock_read_register(&c->br, &c->party[i].reader);
}

static void ck_one(struct bench_table *t)
{
	ck_init(t, 1);
}

static void ck_two(struct bench_table *t)
{
	ck_init(t, 2);
}

static void ck_barrier_half(struct bench_table *t, int me, unsigned n)
{
	struct ck *c = ck_of(t);

	while (n-- > 0)
		ck_barrier_centralized(&c->barrier, &c->party[me].sense, c->parties);
}

static void ck_read_half(struct bench_table *t, int me, unsigned n)
{
	struct ck *c = ck_of(t);

	(void)me;
	while (n-- > 0) {
		ck_rwlock_read_lock(&c->rw);
		ck_rwlock_read_unlock(&c->rw);
	}
}

static void ck_write_half(struct bench_table *t, int me, unsigned n)
{
	struct ck *c = ck_of(t);

	(void)me;
	while (n-- > 0) {
		ck_rwlock_write_lock(&c->rw);
		ck_rwlock_write_unlock(&c->rw);
	}
}

static void ck_br_read_half(struct bench_table *t, int me, unsigned n)
{
	struct ck *c = ck_of(t);

	while (n-- > 0) {
		ck_brlock_read_lock(&c->br, &c->party[me].reader);
		ck_brlock_read_unlock(&c->party[me].reader);
	}
}

static void ck_br_write_half(struct bench_table *t, int me, unsigned n)
{
	struct ck *c = ck_of(t);

	(void)me;
	while (n-- > 0) {
		ck_brlock_write_lock(&c->br);
		ck_brlock_write_unlock(&c->br);
	}
}

#define ALONE(half) \
	static void half##_alone(struct bench_table *t, unsigned n) \
	{ \
		half(t, 0, n); \
	}
ALONE(ck_barrier_half)
ALONE(ck_read_half)
ALONE(ck_write_half)
ALONE(ck_br_read_half)
ALONE(ck_br_write_half)

const struct bench_kind bench_ck_barrier1 = { ck_one, ck_barrier_half_alone, NULL },
			bench_ck_barrier2 = { ck_two, NULL, ck_barrier_half },
			bench_ck_reading = { ck_two, ck_read_half_alone, ck_read_half },
			bench_ck_writing = { ck_two, ck_write_half_alone, NULL },
			bench_ck_br_reading = { ck_two, ck_br_read_half_alone, ck_br_read_half },
			bench_ck_br_writing = { ck_two, ck_br_write_half_alone, NULL };
#else
const struct bench_kind bench_ck_barrier1, bench_ck_barrier2, bench_ck_reading, bench_ck_writing,
	bench_ck_br_reading, bench_ck_br_writing;
#endif

/* --- Boost ------------------------------------------------------------------------------------ */

#if defined(BENCH_BOOST)
static void boost_init(struct bench_table *t)
{
	if (!bench_boost_sharable_init(t->u.others, sizeof t->u.others))
		errx(1, "Boost's sharable mutex cannot be made");
}

static void boost_read_alone(struct bench_table *t, unsigned n)
{
	bench_boost_share(t->u.others, n);
}

static void boost_read_half(struct bench_table *t, int me, unsigned n)
{
	(void)me;
	bench_boost_share(t->u.others, n);
}

static void boost_write_alone(struct bench_table *t, unsigned n)
{
	bench_boost_lock(t->u.others, n);
}

const struct bench_kind bench_boost_reading = { boost_init, boost_read_alone, boost_read_half },
			bench_boost_writing = { boost_init, boost_write_alone, NULL };
#else
const struct bench_kind bench_boost_reading, bench_boost_writing;
#endif
