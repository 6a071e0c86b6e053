/* Queues between processes: how many messages get through with one, two and four at each end, with
   a partner who sleeps, a message there and back, and 1 MiB; beside a ring of two semaphores,
   Boost, Concurrency Kit and what the system and Python have.

   All but Concurrency Kit's rings block when there is nothing to do.  prong looks for some 40 us
   before it sleeps, the others sleep at once; so a round trip awake and one with a wake on each
   side are compared.  "asleep" and "sleeper" have a pause before each trip or burst, in which the
   partner falls asleep, if it is one that does.  One to one, the parties are on processors 0 and 1;
   more of them are where the system puts them.  Each case begins with messages that do not count.

   Floors: cells that are looked at until they are there; a cache line there and back; two wakes
   with a futex; one copy.

   Not measured: a growing queue, messages that come back, closing. */
#include "channel.h"
#include <err.h>
#include <prong/prong.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PARTS = 10,
	PARTIES = 8,
	BURST = 8, /* fits into each kind */
	SMALL = 64
};

/* What the parties share. */
struct table {
	alignas(128) _Atomic uint32_t ready;
	alignas(128) _Atomic uint32_t go; /* how often all have met */
	alignas(128) int64_t begin;       /* when they met last */
	int64_t end[PARTIES];
	int64_t burst[PARTS][3]; /* the first put begins, the last ends, the last get ends */
	double part[PARTS];      /* ns of each trip */
};

struct party;

struct work {
	void (*puts)(const struct party *p);
	void (*gets)(const struct party *p);
	void (*report)(const struct party *p, struct bench_out *out);
};

struct plan {
	const struct work *work;
	size_t size;
	unsigned n, half; /* so many put, as many get */
	long pause_us;
	enum { MILLIONS, GIGABYTES, MICROSECONDS } unit;
};

/* A subject's argument. */
struct trial {
	const struct bench_channel *channel;
	struct plan plan;
};

struct party {
	struct table *t;
	const struct trial *trial;
	void *there, *back; /* channels */
	char *data;
	unsigned i, n; /* which one it is, and its messages or trips */
};

static void *or_die(void *p)
{
	if (!p)
		errx(1, "no memory");
	return p;
}

static double figure(const struct plan *p, double ns)
{
	if (p->unit == MICROSECONDS)
		return ns / 1e3;
	return p->unit == GIGABYTES ? (double)p->size / ns : 1e3 / ns;
}

/* Large messages and pauses take their time with anybody. */
static unsigned count(const struct plan *p, unsigned slow)
{
	bool same = p->pause_us || p->size >= BENCH_MIB;

	return bench_count(p->n) / (same ? 1 : slow) / p->half + 1;
}

/* Wait until all parties are here.  The last one wakes one, and each the next. */
static void meet(struct table *t, unsigned parties)
{
	uint32_t round = atomic_load_explicit(&t->go, memory_order_relaxed);

	/* acq_rel: pairs with itself, for who comes last; go's release with its acquire. */
	if (atomic_fetch_add_explicit(&t->ready, 1, memory_order_acq_rel) + 1 == parties) {
		atomic_store_explicit(&t->ready, 0, memory_order_relaxed);
		t->begin = bench_now();
		atomic_store_explicit(&t->go, round + 1, memory_order_release);
	}
	while (atomic_load_explicit(&t->go, memory_order_acquire) == round)
		bench_futex_wait(&t->go, round);
	bench_futex_wake(&t->go);
}

/* --- one way ---------------------------------------------------------------------------------- */

static void put_n(const struct party *p, unsigned n)
{
	const struct trial *t = p->trial;

	while (n-- > 0)
		t->channel->put(p->there, p->data, t->plan.size);
}

static void get_n(const struct party *p, unsigned n)
{
	const struct trial *t = p->trial;

	while (n-- > 0)
		t->channel->get(p->there, p->data, t->plan.size);
}

/* In as many messages as wait at most, twice, all memory has been touched. */
static void put_all(const struct party *p)
{
	put_n(p, 2 * bench_capacity(p->trial->plan.size));
	meet(p->t, 2 * p->trial->plan.half);
	put_n(p, p->n);
}

static void get_all(const struct party *p)
{
	get_n(p, 2 * bench_capacity(p->trial->plan.size));
	meet(p->t, 2 * p->trial->plan.half);
	get_n(p, p->n);
	p->t->end[p->i] = bench_now();
}

static void report_all(const struct party *p, struct bench_out *out)
{
	const struct plan *plan = &p->trial->plan;
	int64_t end = 0;

	for (unsigned i = 0; i < PARTIES; i++)
		if (p->t->end[i] > end)
			end = p->t->end[i];
	bench_push(out, 0, figure(plan, (double)(end - p->t->begin) / (p->n * plan->half)));
}

static const struct work one_way = { put_all, get_all, report_all };

/* --- to one who sleeps ------------------------------------------------------------------------ */

static void put_bursts(const struct party *p)
{
	for (unsigned i = 0; i < PARTS; i++) {
		int64_t *burst = p->t->burst[i];

		bench_sleep_us(p->trial->plan.pause_us);
		burst[0] = bench_now();
		put_n(p, BURST);
		burst[1] = bench_now();
	}
}

static void get_bursts(const struct party *p)
{
	for (unsigned i = 0; i < PARTS; i++) {
		get_n(p, BURST);
		p->t->burst[i][2] = bench_now();
	}
}

/* How fast they get through, in channel 0; what a put costs, in channel 1. */
static void report_bursts(const struct party *p, struct bench_out *out)
{
	for (unsigned i = 0; i < PARTS; i++) {
		const int64_t *burst = p->t->burst[i];

		bench_push(out, 0, (double)BURST * 1e3 / (double)(burst[2] - burst[0]));
		bench_push(out, 1, (double)(burst[1] - burst[0]) / BURST);
	}
}

static const struct work bursts = { put_bursts, get_bursts, report_bursts };

/* --- there and back --------------------------------------------------------------------------- */

static void trip(const struct party *p)
{
	const struct trial *t = p->trial;

	t->channel->put(p->there, p->data, t->plan.size);
	t->channel->get(p->back, p->data, t->plan.size);
}

static void make_trips(const struct party *p)
{
	long pause_us = p->trial->plan.pause_us;
	unsigned n = p->n / PARTS;

	for (unsigned part = 0; part < PARTS; part++) {
		int64_t begin = bench_now();
		int64_t paused = 0;

		for (unsigned i = 0; i < n; i++) {
			int64_t now = pause_us ? bench_now() : 0;

			if (pause_us) {
				bench_sleep_us(pause_us);
				paused += bench_now() - now;
			}
			trip(p);
		}
		p->t->part[part] = (double)(bench_now() - begin - paused) / n;
	}
}

static void answer_trips(const struct party *p)
{
	const struct trial *t = p->trial;

	for (unsigned i = 0; i < p->n / PARTS * PARTS; i++) {
		t->channel->get(p->there, p->data, t->plan.size);
		t->channel->put(p->back, p->data, t->plan.size);
	}
}

static void report_trips(const struct party *p, struct bench_out *out)
{
	double v[PARTS];

	for (unsigned i = 0; i < PARTS; i++)
		v[i] = figure(&p->trial->plan, p->t->part[i]);
	bench_push_median(out, 0, v, PARTS);
}

static const struct work trips = { make_trips, answer_trips, report_trips };

/* --- running ---------------------------------------------------------------------------------- */

/* Kept for the next run. */
static struct table *table_of(bool heap)
{
	static struct table *table[2];
	char *p;

	if (!table[heap]) {
		p = or_die(heap ? prong_alloc(2 * sizeof(struct table))
				: bench_shared(2 * sizeof(struct table)));
		p += -(uintptr_t)p % alignof(struct table);
		table[heap] = (struct table *)(void *)p;
	}
	memset(table[heap], 0, sizeof(struct table));
	return table[heap];
}

static int play(void *arg)
{
	struct party *p = arg;
	const struct plan *plan = &p->trial->plan;
	bool puts = p->i < plan->half;

	if (plan->half == 1)
		bench_pin(puts ? 0 : 1);
	p->data = or_die(malloc(plan->size));
	memset(p->data, 1, plan->size);
	(puts ? plan->work->puts : plan->work->gets)(p);
	free(p->data);
	return 0;
}

static void with_prong(struct party *p, unsigned parties)
{
	prong_process *all[PARTIES];

	for (p->i = 0; p->i < parties; p->i++)
		if (prong_process_start(&all[p->i], play, p, sizeof *p, NULL) != 0)
			errx(1, "prong_process_start: %s", prong_error_detail());
	for (unsigned i = 0; i < parties; i++) {
		if (prong_process_join(all[i], NULL, PRONG_FOREVER) != 0)
			errx(1, "prong_process_join: %s", prong_error_detail());
		prong_process_free(all[i]);
	}
}

static void with_fork(struct party *p, unsigned parties)
{
	for (p->i = 0; p->i < parties; p->i++)
		if (bench_fork() == 0)
			_exit(play(p));
	for (unsigned i = 0; i < parties; i++)
		if (wait(NULL) < 0)
			err(1, "wait");
}

static void run(const void *arg, struct bench_out *out)
{
	const struct trial *t = arg;
	const struct bench_channel *c = t->channel;
	bool crowd = t->plan.half > 1;
	struct party p = { .t = table_of(c->prong), .trial = t, .n = count(&t->plan, c->slow) };

	if (t->plan.work == &trips && p.n < PARTS)
		p.n = PARTS;
	p.there = c->begin(t->plan.size, crowd);
	p.back = c->begin(t->plan.size, crowd);
	(c->prong ? with_prong : with_fork)(&p, 2 * t->plan.half);
	t->plan.work->report(&p, out);
	c->end(p.there);
	c->end(p.back);
}

/* --- floors ----------------------------------------------------------------------------------- */

static void run_ping_pong(const void *arg, struct bench_out *out)
{
	(void)arg;
	bench_push(out, 0, bench_ping_pong(bench_count(200)) / 1e3);
}

static void run_copy(const void *arg, struct bench_out *out)
{
	const struct plan *p = arg;
	char *from = or_die(malloc(p->size)), *to = or_die(malloc(p->size));
	unsigned n = bench_count(p->n);
	int64_t t;

	memset(from, 1, p->size);
	memcpy(to, from, p->size);
	t = bench_now();
	for (unsigned i = 0; i < n; i++) {
		memcpy(to, from, p->size);
		__asm__ __volatile__("" : : "r"(to) : "memory");
	}
	bench_push(out, 0, figure(p, (double)(bench_now() - t) / n));
	free(from);
	free(to);
}

/* --- Python ----------------------------------------------------------------------------------- */

static const char *no_python(void)
{
	static int status = -1;

	if (status < 0)
		status = system("python3 -c 'import multiprocessing.synchronize' >/dev/null 2>&1");
	return status == 0 ? NULL : "there is no python3 with multiprocessing";
}

static void run_python(const void *arg, struct bench_out *out)
{
	static const char script[] =
		"import multiprocessing as m, time, sys\n"
		"size, n, half, trips, pause = map(int, sys.argv[1:])\n"
		"f = m.get_context(\"fork\"); d = bytes(size)\n"
		"a, b, met = f.Queue(), f.Queue(), f.Barrier(2 * half + 1)\n"
		"def put():\n"
		"    met.wait()\n"
		"    for i in range(n): a.put(d)\n"
		"def get():\n"
		"    met.wait()\n"
		"    for i in range(n): a.get()\n"
		"    b.put(time.perf_counter())\n"
		"def answer():\n"
		"    for i in range(n): b.put(a.get())\n"
		"def trip():\n"
		"    time.sleep(pause / 1e6); t = time.perf_counter()\n"
		"    a.put(d); b.get()\n"
		"    return time.perf_counter() - t\n"
		"for g in [answer] if trips else half * [put, get]:\n"
		"    f.Process(target=g).start()\n"
		"if trips:\n"
		"    s = sum(trip() for i in range(n))\n"
		"else:\n"
		"    met.wait(); t = time.perf_counter()\n"
		"    s = max(b.get() for i in range(half)) - t\n"
		"print(s * 1e9 / n / half)\n";
	const struct plan *p = arg;
	char command[1400];
	double ns;
	FILE *f;

	snprintf(command, sizeof command, "python3 -c '%s' %zu %u %u %d %ld 2>/dev/null", script,
		 p->size, count(p, 64), p->half, p->work == &trips, p->pause_us);
	f = popen(command, "re");
	if (f && fscanf(f, "%lf", &ns) == 1)
		bench_push(out, 0, figure(p, ns));
	if (f)
		pclose(f);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define TRIAL(channel, ...) \
	run, &(const struct trial){ &bench_channel_##channel, { __VA_ARGS__ } }
#define PRONG(...)    { "prong_queue", TRIAL(prong, __VA_ARGS__), true, NULL }
#define IN_PLACE(...) { "prong_queue, in place", TRIAL(in_place, __VA_ARGS__), true, NULL }
#define SEM(...)      { "ring of two sem_t", TRIAL(sem, __VA_ARGS__), false, NULL }
#define BOOST(...) \
	{ "Boost.Interprocess message_queue", TRIAL(boost, __VA_ARGS__), false, bench_no_boost }
#define PIPE(...)       { "pipe()", TRIAL(pipe, __VA_ARGS__), false, NULL }
#define SOCKETPAIR(...) { "socketpair()", TRIAL(socketpair, __VA_ARGS__), false, NULL }
#define MQ(...)         { "POSIX mq, of 10", TRIAL(mq, __VA_ARGS__), false, bench_no_mq }
#define CK(name, ...)   { name, TRIAL(ck, __VA_ARGS__), false, bench_no_ck }
#define PYTHON(...) \
	{ "Python Queue", run_python, &(const struct plan){ __VA_ARGS__ }, false, no_python }

/* The order of the subjects of all small messages. */
enum { FIRST, PLACE, SEMS, BOOSTS, CKS = 8 };

#define ALL(...) \
	PRONG(__VA_ARGS__), IN_PLACE(__VA_ARGS__), SEM(__VA_ARGS__), BOOST(__VA_ARGS__), \
		PIPE(__VA_ARGS__), SOCKETPAIR(__VA_ARGS__), MQ(__VA_ARGS__), PYTHON(__VA_ARGS__)
#define BESIDE(more) \
	.before = bench_two_cpus, \
	.versus = { { "prong : ring of two sem_t", 0, FIRST, 0, 1 << SEMS, more }, \
		    { "prong : Boost.Interprocess", 0, FIRST, 0, 1 << BOOSTS, more }, \
		    { "prong : best of the peers that sleep", 0, FIRST, 0, 0xfc, more }, \
		    { "prong : ck_ring, which spins", 0, FIRST, 0, 1 << CKS, more } }
#define RATE(ck, ...) \
	.reps = 7, .metrics = { { "rate", "M/s", 0, 0 } }, BESIDE(true), \
	.floor = { "cells, awake", TRIAL(cells, __VA_ARGS__), false, NULL }, \
	.subjects = { ALL(__VA_ARGS__), CK(ck, __VA_ARGS__) }
#define SPSC "ck_ring spsc (spins)"
#define MPMC "ck_ring mpmc (spins, yields)"
#define FUTEX(...) { "futex, two wakes", TRIAL(futex, __VA_ARGS__), false, NULL }
#define BURSTS &bursts, SMALL, 1, 1, 1000, MILLIONS
#define COPIES &one_way, BENCH_MIB, 100, 1, 0

const struct bench_case bench_queue[] = {
	{ .name = "queue-64-1+1", RATE(SPSC, &one_way, SMALL, 400000, 1, 0, MILLIONS) },
	{ .name = "queue-64-2+2", RATE(MPMC, &one_way, SMALL, 400000, 2, 0, MILLIONS) },
	{ .name = "queue-64-4+4", RATE(MPMC, &one_way, SMALL, 400000, 4, 0, MILLIONS) },
	{
		.name = "queue-64-sleeper",
		.reps = 5,
		.before = bench_two_cpus,
		.metrics = { { "rate", "M/s", 0, 0 }, { "put", "ns", 1, 0 } },
		.subjects = { PRONG(BURSTS), IN_PLACE(BURSTS), SEM(BURSTS), BOOST(BURSTS),
			      PIPE(BURSTS), SOCKETPAIR(BURSTS), MQ(BURSTS) },
		.versus = { { "prong : ring of two sem_t", 0, FIRST, 0, 1 << SEMS, true },
			    { "prong : best of the peers that sleep", 0, FIRST, 0, 0x7c, true },
			    { "prong : ring of two sem_t", 1, FIRST, 1, 1 << SEMS, false } },
	},
	{
		.name = "queue-round-trip-64",
		.reps = 5,
		.metrics = { { "", "us", 0, 0 } },
		.floor = { "cache line 0 - 1 - 0", run_ping_pong, NULL, false, NULL },
		BESIDE(false),
		.subjects = { ALL(&trips, SMALL, 8000, 1, 0, MICROSECONDS),
			      CK(SPSC, &trips, SMALL, 8000, 1, 0, MICROSECONDS) },
	},
	{
		.name = "queue-round-trip-64-asleep",
		.reps = 5,
		.metrics = { { "", "us", 0, 0 } },
		.floor = FUTEX(&trips, SMALL, 30, 1, 1000, MICROSECONDS),
		BESIDE(false),
		.subjects = { ALL(&trips, SMALL, 30, 1, 1000, MICROSECONDS) },
	},
	{
		.name = "queue-1MiB",
		.reps = 5,
		.before = bench_two_cpus,
		.metrics = { { "rate", "GB/s", 0, 0 } },
		.floor = { "a copy in one process", run_copy,
			   &(const struct plan){ COPIES, GIGABYTES }, false, NULL },
		.subjects = { PRONG(COPIES, GIGABYTES), SEM(COPIES, GIGABYTES),
			      BOOST(COPIES, GIGABYTES), PIPE(COPIES, GIGABYTES),
			      SOCKETPAIR(COPIES, GIGABYTES), PYTHON(COPIES, GIGABYTES),
			      { SPSC, TRIAL(ck_large, COPIES, GIGABYTES), false, bench_no_ck } },
		.versus = { { "prong : ring of two sem_t", 0, 0, 0, 2, true },
			    { "prong : best of the peers that sleep", 0, 0, 0, 0x3e, true },
			    { "prong : ck_ring, which spins", 0, 0, 0, 1 << 6, true } },
	},
	{
		.name = "queue-1MiB-in-place",
		.reps = 5,
		.before = bench_two_cpus,
		.metrics = { { "", "us", 0, 0 } },
		.floor = { "a copy in one process", run_copy,
			   &(const struct plan){ COPIES, MICROSECONDS }, false, NULL },
		.subjects = { IN_PLACE(COPIES, MICROSECONDS), PRONG(COPIES, MICROSECONDS),
			      { "ring of two sem_t, in place",
				TRIAL(sem_in_place, COPIES, MICROSECONDS), false, NULL } },
		.versus = { { "in place : copied", 0, 0, 0, 2, false },
			    { "prong : ring of two sem_t", 0, 0, 0, 4, false } },
	},
	{ .name = NULL },
};
