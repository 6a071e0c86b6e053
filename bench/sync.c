/* Semaphore, event, condition, barrier, rwlock and once beside glibc's process-shared ones.

   Alone: one thread does the pair of calls again and again, in the heap, while a second thread
   sleeps, for glibc leaves its atomics out where there is one thread.  Two: a partner on the other
   processor does its half of each round.  A round of two semaphores or of a condition is there and
   back; of a barrier, both have come; the readers of an rwlock do not wait for each other.

   Not measured: more parties than processors, deadlines, signal handlers. */
#define _GNU_SOURCE
#include "bench.h"
#include <err.h>
#include <prong/prong.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PARTS = 10,
	ROUNDS = 20000,
	PAIRS = 1000000
};

static void check(int r, const char *what)
{
	if (r)
		errx(1, "%s: %d", what, r);
}

/* What the parties share: each on lines of its own. */
struct table {
	alignas(128) union {
		struct {
			prong_mutex m;
			prong_cond c;
			prong_sem sem[2];
			prong_event e;
			prong_barrier b;
			prong_rwlock rw;
			prong_once o;
		} ours;
		struct {
			pthread_mutex_t m;
			pthread_cond_t c;
			sem_t sem[2];
			pthread_barrier_t b;
			pthread_rwlock_t rw;
			pthread_once_t o;
		} theirs;
	} u;
	alignas(128) volatile int turn; /* under m */
	alignas(128) _Atomic uint32_t ready;
};

struct kind {
	void (*init)(struct table *t);
	void (*alone)(struct table *t, unsigned n);
	void (*half)(struct table *t, int me, unsigned n); /* of each of n rounds; me: 0, 1 */
};

static void nothing(struct table *t)
{
	(void)t;
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void do_nothing_either(void)
{
}

/* --- prong ------------------------------------------------------------------------------------ */

static void sem_alone(struct table *t, unsigned n)
{
	while (n-- > 0) {
		check(prong_sem_post(&t->u.ours.sem[0], 1), "prong_sem_post");
		check(prong_sem_wait(&t->u.ours.sem[0], PRONG_FOREVER), "prong_sem_wait");
	}
}

static void sem_half(struct table *t, int me, unsigned n)
{
	while (n-- > 0) {
		if (me == 0)
			check(prong_sem_post(&t->u.ours.sem[1], 1), "prong_sem_post");
		check(prong_sem_wait(&t->u.ours.sem[me], PRONG_FOREVER), "prong_sem_wait");
		if (me == 1)
			check(prong_sem_post(&t->u.ours.sem[0], 1), "prong_sem_post");
	}
}

static void event_alone(struct table *t, unsigned n)
{
	while (n-- > 0) {
		check(prong_event_set(&t->u.ours.e), "prong_event_set");
		check(prong_event_wait(&t->u.ours.e, PRONG_FOREVER), "prong_event_wait");
		check(prong_event_clear(&t->u.ours.e), "prong_event_clear");
	}
}

static void cond_alone(struct table *t, unsigned n)
{
	while (n-- > 0) {
		check(prong_mutex_lock(&t->u.ours.m, PRONG_FOREVER), "prong_mutex_lock");
		check(prong_cond_signal(&t->u.ours.c), "prong_cond_signal");
		check(prong_mutex_unlock(&t->u.ours.m), "prong_mutex_unlock");
	}
}

static void cond_half(struct table *t, int me, unsigned n)
{
	while (n-- > 0) {
		check(prong_mutex_lock(&t->u.ours.m, PRONG_FOREVER), "prong_mutex_lock");
		while (t->turn != me)
			check(prong_cond_wait(&t->u.ours.c, &t->u.ours.m, PRONG_FOREVER),
			      "prong_cond_wait");
		t->turn = !me;
		check(prong_cond_signal(&t->u.ours.c), "prong_cond_signal");
		check(prong_mutex_unlock(&t->u.ours.m), "prong_mutex_unlock");
	}
}

static void barrier_one(struct table *t)
{
	t->u.ours.b = (prong_barrier)PRONG_BARRIER(1);
}

static void barrier_two(struct table *t)
{
	t->u.ours.b = (prong_barrier)PRONG_BARRIER(2);
}

static void barrier_alone(struct table *t, unsigned n)
{
	while (n-- > 0)
		check(prong_barrier_wait(&t->u.ours.b, NULL, NULL, NULL, PRONG_FOREVER),
		      "prong_barrier_wait");
}

static void barrier_half(struct table *t, int me, unsigned n)
{
	(void)me;
	barrier_alone(t, n);
}

static void read_alone(struct table *t, unsigned n)
{
	while (n-- > 0) {
		check(prong_rwlock_read(&t->u.ours.rw, PRONG_FOREVER), "prong_rwlock_read");
		check(prong_rwlock_unlock(&t->u.ours.rw), "prong_rwlock_unlock");
	}
}

static void read_half(struct table *t, int me, unsigned n)
{
	(void)me;
	read_alone(t, n);
}

static void write_alone(struct table *t, unsigned n)
{
	while (n-- > 0) {
		check(prong_rwlock_write(&t->u.ours.rw, PRONG_FOREVER), "prong_rwlock_write");
		check(prong_rwlock_unlock(&t->u.ours.rw), "prong_rwlock_unlock");
	}
}

static void once_alone(struct table *t, unsigned n)
{
	while (n-- > 0)
		check(prong_once_run(&t->u.ours.o, do_nothing, NULL, PRONG_FOREVER),
		      "prong_once_run");
}

/* --- glibc ------------------------------------------------------------------------------------ */

static void glibc_init(struct table *t, unsigned parties)
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
}

static void glibc_one(struct table *t)
{
	glibc_init(t, 1);
}

static void glibc_two(struct table *t)
{
	glibc_init(t, 2);
}

static void glibc_sem_alone(struct table *t, unsigned n)
{
	while (n-- > 0) {
		check(sem_post(&t->u.theirs.sem[0]), "sem_post");
		check(sem_wait(&t->u.theirs.sem[0]), "sem_wait");
	}
}

static void glibc_sem_half(struct table *t, int me, unsigned n)
{
	while (n-- > 0) {
		if (me == 0)
			check(sem_post(&t->u.theirs.sem[1]), "sem_post");
		check(sem_wait(&t->u.theirs.sem[me]), "sem_wait");
		if (me == 1)
			check(sem_post(&t->u.theirs.sem[0]), "sem_post");
	}
}

static void glibc_cond_alone(struct table *t, unsigned n)
{
	while (n-- > 0) {
		check(pthread_mutex_lock(&t->u.theirs.m), "pthread_mutex_lock");
		check(pthread_cond_signal(&t->u.theirs.c), "pthread_cond_signal");
		check(pthread_mutex_unlock(&t->u.theirs.m), "pthread_mutex_unlock");
	}
}

static void glibc_cond_half(struct table *t, int me, unsigned n)
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

static void glibc_barrier_alone(struct table *t, unsigned n)
{
	while (n-- > 0)
		pthread_barrier_wait(&t->u.theirs.b);
}

static void glibc_barrier_half(struct table *t, int me, unsigned n)
{
	(void)me;
	glibc_barrier_alone(t, n);
}

static void glibc_read_alone(struct table *t, unsigned n)
{
	while (n-- > 0) {
		check(pthread_rwlock_rdlock(&t->u.theirs.rw), "pthread_rwlock_rdlock");
		check(pthread_rwlock_unlock(&t->u.theirs.rw), "pthread_rwlock_unlock");
	}
}

static void glibc_read_half(struct table *t, int me, unsigned n)
{
	(void)me;
	glibc_read_alone(t, n);
}

static void glibc_write_alone(struct table *t, unsigned n)
{
	while (n-- > 0) {
		check(pthread_rwlock_wrlock(&t->u.theirs.rw), "pthread_rwlock_wrlock");
		check(pthread_rwlock_unlock(&t->u.theirs.rw), "pthread_rwlock_unlock");
	}
}

static void glibc_once_alone(struct table *t, unsigned n)
{
	while (n-- > 0)
		check(pthread_once(&t->u.theirs.o, do_nothing_either), "pthread_once");
}

/* --- the floor -------------------------------------------------------------------------------- */

static void cas_alone(struct table *t, unsigned n)
{
	while (n-- > 0) {
		/* acquire and release: of nobody, but a lock needs them. */
		atomic_exchange_explicit(&t->ready, 1, memory_order_acquire);
		atomic_store_explicit(&t->ready, 0, memory_order_release);
	}
}

/* --- running ---------------------------------------------------------------------------------- */

struct plan {
	const struct kind *kind;
	enum { THREADS, PROCESSES } parties;
	bool heap;
};

struct party {
	struct table *t;
	const struct kind *kind;
	int me;
	unsigned n;
	double ns; /* for a round */
};

/* Kept for the next run. */
static struct table *table_of(bool heap)
{
	static struct table *table[2];

	if (!table[heap]) {
		char *p = heap ? prong_alloc(2 * sizeof(struct table))
			       : bench_shared(2 * sizeof(struct table));

		if (!p)
			errx(1, "no memory for a table");
		p += -(uintptr_t)p % alignof(struct table);
		table[heap] = (struct table *)(void *)p;
	}
	memset(table[heap], 0, sizeof(struct table));
	return table[heap];
}

static void *stay(void *arg)
{
	_Atomic uint32_t *leave = arg;

	/* acquire: pairs with the release in run_alone(). */
	while (!atomic_load_explicit(leave, memory_order_acquire))
		bench_futex_wait(leave, 0);
	return NULL;
}

static void run_alone(const void *arg, struct bench_out *out)
{
	const struct plan *plan = arg;
	struct table *t = table_of(plan->heap);
	unsigned n = bench_count(PAIRS) / PARTS;
	_Atomic uint32_t leave = 0;
	double ns[PARTS];
	pthread_t second;

	plan->kind->init(t);
	if (pthread_create(&second, NULL, stay, &leave) != 0)
		errx(1, "pthread_create");
	bench_pin(0);
	plan->kind->alone(t, n);
	for (unsigned i = 0; i < PARTS; i++) {
		int64_t begin = bench_now();

		plan->kind->alone(t, n);
		ns[i] = (double)(bench_now() - begin) / n;
	}
	bench_push_median(out, 0, ns, PARTS);
	bench_unpin();
	/* release: pairs with the acquire in stay(). */
	atomic_store_explicit(&leave, 1, memory_order_release);
	bench_futex_wake(&leave);
	pthread_join(second, NULL);
}

/* Both meet, and then do their halves. */
static int play(void *arg)
{
	struct party *p = arg;
	int64_t begin;

	bench_pin(p->me);
	/* release and acquire: pair with those of the other party. */
	atomic_fetch_add_explicit(&p->t->ready, 1, memory_order_release);
	while (atomic_load_explicit(&p->t->ready, memory_order_acquire) != 2)
		bench_pause();
	begin = bench_now();
	p->kind->half(p->t, p->me, p->n);
	p->ns = (double)(bench_now() - begin) / p->n;
	return 0;
}

static void *play_posix(void *arg)
{
	play(arg);
	return NULL;
}

static void with_prong(const struct plan *plan, struct party *mine, struct party *other)
{
	prong_process *process;
	prong_thread *thread;

	if (plan->parties == THREADS) {
		check(prong_thread_start(&thread, play, other, sizeof *other, NULL), "start");
		play(mine);
		check(prong_thread_join(thread, NULL, PRONG_FOREVER), "join");
		prong_thread_free(thread);
	} else {
		check(prong_process_start(&process, play, other, sizeof *other, NULL), "start");
		play(mine);
		check(prong_process_join(process, NULL, PRONG_FOREVER), "join");
		prong_process_free(process);
	}
}

static void with_posix(const struct plan *plan, struct party *mine, struct party *other)
{
	pthread_t thread;
	pid_t pid;

	if (plan->parties == THREADS) {
		if (pthread_create(&thread, NULL, play_posix, other) != 0)
			errx(1, "pthread_create");
		play(mine);
		pthread_join(thread, NULL);
	} else {
		pid = bench_fork();
		if (pid == 0)
			_exit(play(other));
		play(mine);
		waitpid(pid, NULL, 0);
	}
}

static void run_two(const void *arg, struct bench_out *out)
{
	const struct plan *plan = arg;
	struct table *t = table_of(plan->heap);
	struct party mine = { t, plan->kind, 0, bench_count(ROUNDS), 0 };
	struct party other = { t, plan->kind, 1, mine.n, 0 };

	plan->kind->init(t);
	(plan->heap ? with_prong : with_posix)(plan, &mine, &other);
	bench_push(out, 0, mine.ns);
	bench_unpin();
}

static void run_ping_pong(const void *arg, struct bench_out *out)
{
	(void)arg;
	bench_push(out, 0, bench_ping_pong(bench_count(200)));
}

/* --- cases ------------------------------------------------------------------------------------ */

static const struct kind sem = { nothing, sem_alone, sem_half },
			 event = { nothing, event_alone, NULL },
			 cond = { nothing, cond_alone, cond_half },
			 barrier1 = { barrier_one, barrier_alone, NULL },
			 barrier2 = { barrier_two, NULL, barrier_half },
			 reading = { nothing, read_alone, read_half },
			 writing = { nothing, write_alone, NULL },
			 once = { nothing, once_alone, NULL },
			 glibc_sem = { glibc_two, glibc_sem_alone, glibc_sem_half },
			 glibc_cond = { glibc_two, glibc_cond_alone, glibc_cond_half },
			 glibc_barrier1 = { glibc_one, glibc_barrier_alone, NULL },
			 glibc_barrier2 = { glibc_two, NULL, glibc_barrier_half },
			 glibc_reading = { glibc_two, glibc_read_alone, glibc_read_half },
			 glibc_writing = { glibc_two, glibc_write_alone, NULL },
			 glibc_once = { glibc_two, glibc_once_alone, NULL },
			 cas = { nothing, cas_alone, NULL };

#define PLAN(kind, parties, heap) &(const struct plan){ &kind, parties, heap }
#define CAS_FLOOR \
	.before = bench_two_cpus, .metrics = { { "", "ns", 0, 0 } }, \
	.floor = { "exchange + release store", run_alone, PLAN(cas, THREADS, false), false, NULL }
#define LINE_FLOOR \
	.before = bench_two_cpus, .metrics = { { "", "ns", 0, 0 } }, \
	.floor = { "cache line 0 - 1 - 0", run_ping_pong, NULL, false, NULL }
#define ALONE(what, kind) \
	{ .name = what, CAS_FLOOR, \
	  .subjects = { { "prong", run_alone, PLAN(kind, THREADS, true), true, NULL }, \
			{ "glibc pshared", run_alone, PLAN(glibc_##kind, THREADS, false), false, \
			  NULL } }, \
	  .versus = { { "prong : glibc", 0, 0, 0, 2, false } } }
#define TWO(what, kind, parties) \
	{ .name = what, LINE_FLOOR, \
	  .subjects = { { "prong, cpus 0 and 1", run_two, PLAN(kind, parties, true), true, NULL }, \
			{ "glibc pshared, cpus 0 and 1", run_two, \
			  PLAN(glibc_##kind, parties, false), false, NULL } }, \
	  .versus = { { "prong : glibc", 0, 0, 0, 2, false } } }

const struct bench_case bench_sync[] = {
	ALONE("sync-sem-post-wait", sem),
	ALONE("sync-cond-signal-nobody", cond),
	ALONE("sync-barrier-of-1", barrier1),
	ALONE("sync-rwlock-read", reading),
	ALONE("sync-rwlock-write", writing),
	ALONE("sync-once-done", once),
	{
		.name = "sync-event-set-wait-clear",
		CAS_FLOOR,
		.subjects = { { "prong", run_alone, PLAN(event, THREADS, true), true, NULL } },
	},
	TWO("sync-sem-round-2-threads", sem, THREADS),
	TWO("sync-sem-round-2-processes", sem, PROCESSES),
	TWO("sync-cond-turns-2-threads", cond, THREADS),
	TWO("sync-cond-turns-2-processes", cond, PROCESSES),
	TWO("sync-barrier-2-threads", barrier2, THREADS),
	TWO("sync-barrier-2-processes", barrier2, PROCESSES),
	TWO("sync-rwlock-2-readers-threads", reading, THREADS),
	TWO("sync-rwlock-2-readers-processes", reading, PROCESSES),
	{ .name = NULL },
};
