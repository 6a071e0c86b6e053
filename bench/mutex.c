/* Mutexes: one thread that has the lock for itself, and two that fight for it, in one process or
   in two.

   A second thread is alive in every case: glibc drops its locked instructions in programs of one.
   Rivals are pinned to processors 0 and 1.  The floor of a fight is the rate at which one thread
   alone does the work of the section; the round trip of a cache line between the two is printed
   beside it, since each hand-over costs at least half of one.

   Not measured: more rivals than processors, deadlines, recursion. */
#include "bench.h"
#include "lock.h"
#include <err.h>
#include <prong/prong.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

enum {
	PARTS = 10,
	PLACES = 31
};

/* --- alone ------------------------------------------------------------------------------------ */

struct alone {
	const struct bench_lock *lock;
	bool heap; /* the lock lies in the family's heap */
};

static void *stay(void *arg)
{
	_Atomic uint32_t *leave = arg;

	/* acquire: pairs with the release in run_alone(). */
	while (!atomic_load_explicit(leave, memory_order_acquire))
		bench_futex_wait(leave, 0);
	return NULL;
}

/* In parts, of which the median counts: one may meet an interrupt. */
static void time_pairs(const struct bench_lock *lock, void *at, struct bench_out *out)
{
	double ns[PARTS];
	unsigned n = bench_count(1000000) / PARTS;

	lock->init(at);
	lock->pairs(at, n);
	for (unsigned i = 0; i < PARTS; i++) {
		int64_t t = bench_now();

		lock->pairs(at, n);
		ns[i] = (double)(bench_now() - t) / n;
	}
	bench_push_median(out, 0, ns, PARTS);
}

/* Another place in each run, for a lock may happen to lie where its cache line and another hot one
   evict each other. */
static void *place_in(char (*place)[128])
{
	static unsigned turn;

	return place ? place[turn++ % PLACES] : NULL;
}

static void run_alone(const void *arg, struct bench_out *out)
{
	const struct alone *a = arg;
	static alignas(128) char own[PLACES][128];
	char(*in_heap)[128] = a->heap ? prong_alloc(sizeof(own)) : NULL;
	void *at = place_in(a->heap ? in_heap : own);
	_Atomic uint32_t leave = 0;
	pthread_t second;

	if (!at || pthread_create(&second, NULL, stay, &leave) != 0)
		errx(1, "no memory or no thread for a lock");
	bench_pin(0);
	time_pairs(a->lock, at, out);
	bench_unpin();
	/* release: pairs with the acquire in stay(). */
	atomic_store_explicit(&leave, 1, memory_order_release);
	bench_futex_wake(&leave);
	pthread_join(second, NULL);
	prong_free(in_heap);
}

/* --- a fight ---------------------------------------------------------------------------------- */

enum {
	RATE,
	FAIRNESS,
	PING_PONG
}; /* channels */
enum {
	BOUT_US = 50000
};

struct rival {
	struct bench_ring *ring;
	const struct bench_lock *lock;
	unsigned i, outside;
};

/* Start a rival and later wait for its end. */
struct corner {
	union {
		pthread_t posix;
		prong_thread *thread;
		prong_process *process;
		pid_t pid;
	} u;
};

struct ways {
	void (*start)(struct corner *, const struct rival *);
	void (*join)(struct corner *);
	bool heap;
};

static int rival_main(void *arg)
{
	struct rival *me = arg;
	struct bench_ring *r = me->ring;

	bench_pin((int)me->i);
	/* release and acquire: pair with those in bout(). */
	atomic_fetch_add_explicit(&r->ready, 1, memory_order_release);
	while (!atomic_load_explicit(&r->go, memory_order_acquire))
		bench_pause();
	r->rounds[me->i][0] = me->lock->fight(r, me->outside);
	return 0;
}

static void *rival_posix(void *arg)
{
	rival_main(arg);
	return NULL;
}

static void posix_start(struct corner *c, const struct rival *r)
{
	static struct rival copy[2];

	copy[r->i] = *r;
	if (pthread_create(&c->u.posix, NULL, rival_posix, &copy[r->i]) != 0)
		errx(1, "pthread_create");
}

static void posix_join(struct corner *c)
{
	pthread_join(c->u.posix, NULL);
}

static void fork_start(struct corner *c, const struct rival *r)
{
	struct rival copy = *r;

	c->u.pid = bench_fork();
	if (c->u.pid == 0)
		_exit(rival_main(&copy));
}

static void fork_join(struct corner *c)
{
	int status;

	if (waitpid(c->u.pid, &status, 0) != c->u.pid || status != 0)
		errx(1, "a rival failed");
}

static void thread_start(struct corner *c, const struct rival *r)
{
	must(prong_thread_start(&c->u.thread, rival_main, r, sizeof(*r), NULL),
	     "prong_thread_start");
}

static void thread_join(struct corner *c)
{
	must(prong_thread_join(c->u.thread, NULL, PRONG_FOREVER), "prong_thread_join");
	prong_thread_free(c->u.thread);
}

static void process_start(struct corner *c, const struct rival *r)
{
	must(prong_process_start(&c->u.process, rival_main, r, sizeof(*r), NULL),
	     "prong_process_start");
}

static void process_join(struct corner *c)
{
	int code;

	must(prong_process_join(c->u.process, &code, PRONG_FOREVER), "prong_process_join");
	if (code != 0)
		errx(1, "a rival ended with %d", code);
	prong_process_free(c->u.process);
}

static const struct ways by_posix = { posix_start, posix_join, false },
			 by_fork = { fork_start, fork_join, false },
			 by_thread = { thread_start, thread_join, true },
			 by_process = { process_start, process_join, true };

struct bout {
	const struct bench_lock *lock;
	const struct ways *ways;
	unsigned outside;
};

/* Memory that the rivals share, in the family's heap or not; kept for the next bout. */
static struct bench_ring *ring_of(bool heap)
{
	static struct bench_ring *ring[2];
	const size_t align = alignof(struct bench_ring);

	if (!ring[heap]) {
		char *p = heap ? prong_alloc(sizeof(struct bench_ring) + align)
			       : bench_shared(sizeof(struct bench_ring));

		if (!p)
			errx(1, "prong_alloc");
		p += (align - (uintptr_t)p % align) % align;
		ring[heap] = (struct bench_ring *)(void *)p;
	}
	memset(ring[heap], 0, sizeof(struct bench_ring));
	return ring[heap];
}

/* Let the ready rivals fight for a while; return the seconds. */
static double fight(struct bench_ring *r)
{
	int64_t t;

	/* acquire and release: pair with those in rival_main(). */
	while (atomic_load_explicit(&r->ready, memory_order_acquire) != 2)
		bench_sleep_us(100);
	t = bench_now();
	atomic_store_explicit(&r->go, 1, memory_order_release);
	bench_sleep_us((long)bench_count(BOUT_US));
	atomic_store_explicit(&r->stop, 1, memory_order_relaxed);
	return (double)(bench_now() - t) / 1e9;
}

static void run_bout(const void *arg, struct bench_out *out)
{
	const struct bout *b = arg;
	struct bench_ring *r = ring_of(b->ways->heap);
	struct corner corner[2];
	double seconds, x, y;

	b->lock->init(r->lock);
	for (unsigned i = 0; i < 2; i++)
		b->ways->start(&corner[i], &(struct rival){ r, b->lock, i, b->outside });
	seconds = fight(r);
	for (unsigned i = 0; i < 2; i++)
		b->ways->join(&corner[i]);
	x = (double)r->rounds[0][0];
	y = (double)r->rounds[1][0];
	bench_push(out, RATE, (x + y) / seconds / 1e6);
	if (x + y > 0)
		bench_push(out, FAIRNESS, x < y ? x / y : y / x);
}

static void run_fight_floor(const void *arg, struct bench_out *out)
{
	static alignas(128) volatile uint64_t v;
	unsigned n = bench_count(20000);
	int64_t t;

	(void)arg;
	bench_pin(0);
	t = bench_now();
	for (unsigned i = 0; i < n; i++)
		bench_work(&v, 100);
	bench_push(out, RATE, n * 1e3 / (double)(bench_now() - t));
	bench_unpin();
	bench_push(out, PING_PONG, bench_ping_pong(bench_count(200)));
}

/* --- cases ------------------------------------------------------------------------------------ */

#define ALONE(kind, heap) run_alone, &(const struct alone){ &bench_lock_##kind, heap }
#define BOUT(kind, ways, outside) \
	run_bout, &(const struct bout){ &bench_lock_##kind, &ways, outside }

#define AT		   ", cpus 0 and 1"
#define PRONG_BOUT(w, out) { "prong (up to 1,800 pauses)" AT, BOUT(prong, w, out), true, NULL }
#define PEER(text, ...)	   { text AT, BOUT(__VA_ARGS__), false, NULL }
#define SHARED_PEERS(w, out) \
	PEER("glibc pshared (sleeps at once)", pshared, w, out), \
	PEER("glibc robust pshared (sleeps at once)", robust, w, out), \
	PEER("glibc adaptive pshared (up to 100 pauses)", adaptive_pshared, w, out), \
	PEER("hand futex lock (up to 100 pauses)", futex, w, out), \
	PEER("sem_t (sleeps at once)", semaphore, w, out), \
	PEER("pthread_spinlock (never sleeps)", spin, w, out)
#define THREADS_ONLY_PEERS(w, out) \
	PEER("glibc default (sleeps at once)", plain, w, out), \
	PEER("glibc adaptive (up to 100 pauses)", adaptive, w, out), \
	{ "nsync_mu (spins, then sleeps)" AT, BOUT(nsync, w, out), false, bench_no_nsync }
#define CK_PEERS(w, out) \
	{ "ck_spinlock_fas (never sleeps)" AT, BOUT(ck_fas, w, out), false, bench_no_ck }, \
	{ "ck_spinlock_ticket (never sleeps)" AT, BOUT(ck_ticket, w, out), false, bench_no_ck }

/* Subject 6, of SHARED_PEERS, never sleeps; nor do ck's, which are the last two. */
#define VERSUS(sleepers, ck) \
	.versus = { \
		{ "prong : best peer", 0, 0, 0, (sleepers) | 1u << 6 | (ck), true }, \
		{ "prong : best peer that sleeps", 0, 0, 0, sleepers, true }, \
	}
#define FIGHT \
	.before = bench_two_cpus, \
	.floor = { "100 increments alone; cache line 0 - 1 - 0", run_fight_floor, NULL, false, \
		   NULL }, \
	.metrics = { \
		{ "rate", "M/s", RATE, 0 }, \
		{ "fairness", "min/max", FAIRNESS, 0 }, \
		{ "ping-pong", "ns", PING_PONG, 0 }, \
	}
#define THREADS(out) \
	FIGHT, VERSUS(0x3be, 0xc00), \
	.subjects = { PRONG_BOUT(by_thread, out), SHARED_PEERS(by_posix, out), \
		      THREADS_ONLY_PEERS(by_posix, out), CK_PEERS(by_posix, out) }
#define PROCESSES(out) \
	FIGHT, VERSUS(0x3e, 0x180), \
	.subjects = { PRONG_BOUT(by_process, out), SHARED_PEERS(by_fork, out), \
		      CK_PEERS(by_fork, out) }

const struct bench_case bench_mutex[] = {
	{
		.name = "mutex-uncontended",
		.floor = { "CAS + release store", ALONE(cas, false), false, NULL },
		.metrics = { { "", "ns", 0, 0 } },
		.before = bench_two_cpus,
		.subjects = {
			{ "prong, in the heap", ALONE(prong, true), true, NULL },
			{ "prong, outside the heap", ALONE(prong, false), true, NULL },
			{ "glibc default", ALONE(plain, false), false, NULL },
			{ "glibc pshared", ALONE(pshared, false), false, NULL },
			{ "glibc robust pshared", ALONE(robust, false), false, NULL },
			{ "glibc adaptive", ALONE(adaptive, false), false, NULL },
			{ "nsync_mu", ALONE(nsync, false), false, bench_no_nsync },
			{ "hand futex lock", ALONE(futex, false), false, NULL },
			{ "sem_t", ALONE(semaphore, false), false, NULL },
			{ "pthread_spinlock", ALONE(spin, false), false, NULL },
			{ "ck_spinlock_fas", ALONE(ck_fas, false), false, bench_no_ck },
			{ "ck_spinlock_ticket", ALONE(ck_ticket, false), false, bench_no_ck },
		},
		.versus = {
			{ "prong : glibc default", 0, 0, 0, 1 << 2, false },
			{ "prong : glibc robust pshared", 0, 0, 0, 1 << 4, false },
		},
	},
	{ .name = "mutex-2-threads", THREADS(0) },
	{ .name = "mutex-2-processes", PROCESSES(0) },
	{ .name = "mutex-2-threads-300-outside", THREADS(300) },
	{ .name = "mutex-2-processes-300-outside", PROCESSES(300) },
	{ .name = NULL },
};
