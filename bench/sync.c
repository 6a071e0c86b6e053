/* Semaphore, event, condition, barrier, rwlock and once beside glibc's process-shared ones, and
   those of Boost.Interprocess, Concurrency Kit and Python that are not glibc's in another coat.

   Alone: one thread does the pair of calls again and again, in the heap, while a second thread
   sleeps, for glibc leaves its atomics out where there is one thread.  Two: a partner on the other
   processor does its half of each round.  A round of two semaphores, two events or of a condition
   is there and back; of a barrier, both have come; the readers of an rwlock do not wait for each
   other.  glibc has no event: a mutex, a condition and a flag stand for it, as they do in Python.

   Not measured: more parties than processors, deadlines, signal handlers. */
#include "sync.h"
#include "channel.h"
#include "connection.h"
#include <err.h>
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

static void nothing(struct bench_table *t)
{
	(void)t;
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* --- prong ------------------------------------------------------------------------------------ */

static void sem_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		check(prong_sem_post(&t->u.ours.sem[0], 1), "prong_sem_post");
		check(prong_sem_wait(&t->u.ours.sem[0], PRONG_FOREVER), "prong_sem_wait");
	}
}

static void sem_half(struct bench_table *t, int me, unsigned n)
{
	while (n-- > 0) {
		if (me == 0)
			check(prong_sem_post(&t->u.ours.sem[1], 1), "prong_sem_post");
		check(prong_sem_wait(&t->u.ours.sem[me], PRONG_FOREVER), "prong_sem_wait");
		if (me == 1)
			check(prong_sem_post(&t->u.ours.sem[0], 1), "prong_sem_post");
	}
}

static void event_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		check(prong_event_set(&t->u.ours.e[0]), "prong_event_set");
		check(prong_event_wait(&t->u.ours.e[0], PRONG_FOREVER), "prong_event_wait");
		check(prong_event_clear(&t->u.ours.e[0]), "prong_event_clear");
	}
}

static void event_half(struct bench_table *t, int me, unsigned n)
{
	prong_event *mine = &t->u.ours.e[me], *other = &t->u.ours.e[!me];

	while (n-- > 0) {
		if (me == 0)
			check(prong_event_set(other), "prong_event_set");
		check(prong_event_wait(mine, PRONG_FOREVER), "prong_event_wait");
		check(prong_event_clear(mine), "prong_event_clear");
		if (me == 1)
			check(prong_event_set(other), "prong_event_set");
	}
}

static void cond_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		check(prong_mutex_lock(&t->u.ours.m, PRONG_FOREVER), "prong_mutex_lock");
		check(prong_cond_signal(&t->u.ours.c), "prong_cond_signal");
		check(prong_mutex_unlock(&t->u.ours.m), "prong_mutex_unlock");
	}
}

static void cond_half(struct bench_table *t, int me, unsigned n)
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

static void barrier_one(struct bench_table *t)
{
	t->u.ours.b = (prong_barrier)PRONG_BARRIER(1);
}

static void barrier_two(struct bench_table *t)
{
	t->u.ours.b = (prong_barrier)PRONG_BARRIER(2);
}

static void barrier_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0)
		check(prong_barrier_wait(&t->u.ours.b, NULL, NULL, NULL, PRONG_FOREVER),
		      "prong_barrier_wait");
}

static void barrier_half(struct bench_table *t, int me, unsigned n)
{
	(void)me;
	barrier_alone(t, n);
}

static void read_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		check(prong_rwlock_read(&t->u.ours.rw, PRONG_FOREVER), "prong_rwlock_read");
		check(prong_rwlock_unlock(&t->u.ours.rw), "prong_rwlock_unlock");
	}
}

static void read_half(struct bench_table *t, int me, unsigned n)
{
	(void)me;
	read_alone(t, n);
}

static void write_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		check(prong_rwlock_write(&t->u.ours.rw, PRONG_FOREVER), "prong_rwlock_write");
		check(prong_rwlock_unlock(&t->u.ours.rw), "prong_rwlock_unlock");
	}
}

static void once_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0)
		check(prong_once_run(&t->u.ours.o, do_nothing, NULL, PRONG_FOREVER),
		      "prong_once_run");
}

/* --- the floor -------------------------------------------------------------------------------- */

static void cas_alone(struct bench_table *t, unsigned n)
{
	while (n-- > 0) {
		/* acquire and release: of nobody, but a lock needs them. */
		atomic_exchange_explicit(&t->ready, 1, memory_order_acquire);
		atomic_store_explicit(&t->ready, 0, memory_order_release);
	}
}

/* --- running ---------------------------------------------------------------------------------- */

struct plan {
	const struct bench_kind *kind;
	enum { THREADS, PROCESSES } parties;
	bool heap;
};

struct party {
	struct bench_table *t;
	const struct bench_kind *kind;
	int me;
	unsigned n;
	double ns; /* for a round */
};

/* Kept for the next run. */
static struct bench_table *table_of(bool heap)
{
	static struct bench_table *table[2];

	if (!table[heap]) {
		char *p = heap ? prong_alloc(2 * sizeof(struct bench_table))
			       : bench_shared(2 * sizeof(struct bench_table));

		if (!p)
			errx(1, "no memory for a table");
		p += -(uintptr_t)p % alignof(struct bench_table);
		table[heap] = (struct bench_table *)(void *)p;
	}
	memset(table[heap], 0, sizeof(struct bench_table));
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
	struct bench_table *t = table_of(plan->heap);
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
	struct bench_table *t = table_of(plan->heap);
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

/* --- Python ----------------------------------------------------------------------------------- */

struct script {
	const char *what;
	unsigned n;
};

static void run_python(const void *arg, struct bench_out *out)
{
	const struct script *script = arg;
	char command[800];
	double ns;
	FILE *f;

	snprintf(command, sizeof command, BENCH_PYTHON_IN_PATH " '%s' %s %u 2>/dev/null",
		 BENCH_SYNC_PY, script->what, bench_count(script->n));
	f = popen(command, "re");
	if (f && fscanf(f, "%lf", &ns) == 1)
		bench_push(out, 0, ns);
	if (f)
		pclose(f);
}

/* --- cases ------------------------------------------------------------------------------------ */

static const struct bench_kind sem = { nothing, sem_alone, sem_half },
			       event = { nothing, event_alone, event_half },
			       cond = { nothing, cond_alone, cond_half },
			       barrier1 = { barrier_one, barrier_alone, NULL },
			       barrier2 = { barrier_two, NULL, barrier_half },
			       reading = { nothing, read_alone, read_half },
			       writing = { nothing, write_alone, NULL },
			       once = { nothing, once_alone, NULL },
			       cas = { nothing, cas_alone, NULL };

#define PLAN(kind, parties, heap) &(const struct plan){ &kind, parties, heap }
#define OF(name, run, kind, parties, missing) \
	{ \
		name, run, PLAN(kind, parties, false), false, missing \
	}
#define PYTHON(what, n) \
	{ \
		"Python multiprocessing", run_python, &(const struct script){ what, n }, false, \
			bench_no_python \
	}

/* The subjects after prong and glibc.  What prong waits for it looks at first, for some 40 us;
   glibc, Boost and Python sleep at once; ck spins for ever. */
#define CK(name, run, kind, parties) \
	OF("ck_" name, run, bench_ck_##kind, parties, bench_no_ck)
#define BOOST(run, kind, parties) \
	OF("Boost sharable mutex (sleeps at once)", run, bench_boost_##kind, parties, \
	   bench_no_boost)
#define RWLOCKS(run, kind, parties) \
	BOOST(run, kind, parties), CK("rwlock (never sleeps)", run, kind, parties), \
		CK("brlock (never sleeps)", run, br_##kind, parties)

#define CAS_FLOOR \
	.before = bench_two_cpus, .metrics = { { "", "ns", 0, 0 } }, \
	.floor = { "exchange + release store", run_alone, PLAN(cas, THREADS, false), false, NULL }
#define LINE_FLOOR \
	.before = bench_two_cpus, .metrics = { { "", "ns", 0, 0 } }, \
	.floor = { "cache line 0 - 1 - 0", run_ping_pong, NULL, false, NULL }
#define ALONE(what, kind, ...) \
	{ .name = what, CAS_FLOOR, \
	  .subjects = { { "prong", run_alone, PLAN(kind, THREADS, true), true, NULL }, \
			OF("glibc pshared", run_alone, bench_glibc_##kind, THREADS, NULL), \
			__VA_ARGS__ }, \
	  .versus = { { "prong : glibc", 0, 0, 0, 2, false } } }
#define TWO(what, kind, parties, ...) \
	{ .name = what, LINE_FLOOR, \
	  .subjects = { { "prong (looks, then sleeps), cpus 0 and 1", run_two, \
			  PLAN(kind, parties, true), true, NULL }, \
			OF("glibc pshared (sleeps at once), cpus 0 and 1", run_two, \
			   bench_glibc_##kind, parties, NULL), \
			__VA_ARGS__ }, \
	  .versus = { { "prong : glibc", 0, 0, 0, 2, false } } }
#define NO_MORE { NULL, NULL, NULL, false, NULL }

const struct bench_case bench_sync[] = {
	ALONE("sync-sem-post-wait", sem, PYTHON("sem", 100000)),
	ALONE("sync-event-set-wait-clear", event, PYTHON("event", 20000)),
	ALONE("sync-cond-signal-nobody", cond, PYTHON("cond", 50000)),
	ALONE("sync-barrier-of-1", barrier1, CK("barrier (spins)", run_alone, barrier1, THREADS),
	      PYTHON("barrier", 5000)),
	ALONE("sync-rwlock-read", reading, RWLOCKS(run_alone, reading, THREADS)),
	ALONE("sync-rwlock-write", writing, RWLOCKS(run_alone, writing, THREADS)),
	ALONE("sync-once-done", once, NO_MORE),
	TWO("sync-sem-round-2-threads", sem, THREADS, NO_MORE),
	TWO("sync-sem-round-2-processes", sem, PROCESSES, PYTHON("sem-2", 2000)),
	TWO("sync-event-round-2-threads", event, THREADS, NO_MORE),
	TWO("sync-event-round-2-processes", event, PROCESSES, PYTHON("event-2", 2000)),
	TWO("sync-cond-turns-2-threads", cond, THREADS, NO_MORE),
	TWO("sync-cond-turns-2-processes", cond, PROCESSES, PYTHON("cond-2", 2000)),
	TWO("sync-barrier-2-threads", barrier2, THREADS,
	    CK("barrier (spins)", run_two, barrier2, THREADS)),
	TWO("sync-barrier-2-processes", barrier2, PROCESSES,
	    CK("barrier (spins)", run_two, barrier2, PROCESSES), PYTHON("barrier-2", 1000)),
	TWO("sync-rwlock-2-readers-threads", reading, THREADS, RWLOCKS(run_two, reading, THREADS)),
	TWO("sync-rwlock-2-readers-processes", reading, PROCESSES,
	    RWLOCKS(run_two, reading, PROCESSES)),
	{ .name = NULL },
};
