/* Pools: how many tasks get through with one message each, and by a map; one task there and back
   when all sleep; a killed worker's replacement; arguments of 1 MiB; what a task that waits costs
   in memory; and with threads empty tasks, a loop, and tasks that wait for tasks.

   All have two workers and one who submits, and nothing is pinned: three parties on two processors
   are where the system puts them.  Of OpenMP and TBB, the one who submits is one of two, and helps
   while it waits; OpenMP's threads spin all the time, the others' sleep when there is nothing to
   do.  Each begins with as many tasks as are measured then, which do not count: the table of tasks
   and the queue have grown.  Who submits without futures knows by the last task that all are done.

   Floors: a ring of cells from one process to two, without results or account; the calls alone, in
   one process; two wakes with a futex; kill, waitpid and a fork; one copy; one thread with half the
   loop; fib by itself.

   A killed worker: prong's waits for a task when it is killed.  Python's Pool would hang for good
   then, for its worker waits with the lock of the queue; so that one is killed within a task.  The
   executors break for good, and the time is until a new one has run a task.  Libraries of threads
   lose the whole program.

   Not measured: streams, groups, callbacks, limits. */
#include "channel.h"
#include "pool.h"
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SMALL = 64,
	WINDOW = 1000, /* futures that are held at once */
	QUEUED = 100000,
	TASKS = 200000,
	ITEMS = 1000000,
	COPIES = 200
};

struct small {
	char data[SMALL];
};

void bench_pool_must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

void *bench_pool_heap(size_t size)
{
	void *p = prong_calloc(1, size);

	if (!p)
		errx(1, "prong_calloc: %s", prong_error_detail());
	return p;
}

prong_pool *bench_pool_open(const char *spec)
{
	prong_pool *pool;

	bench_pool_must(prong_pool_open(&pool, spec, NULL), "prong_pool_open");
	return pool;
}

void bench_pool_end(prong_pool *pool)
{
	bench_pool_must(prong_pool_close(pool), "prong_pool_close");
	bench_pool_must(prong_pool_join(pool, PRONG_FOREVER), "prong_pool_join");
	bench_pool_must(prong_pool_free(pool), "prong_pool_free");
}

static int empty(void *arg)
{
	(void)arg;
	__asm__ __volatile__("" : : : "memory");
	return 0;
}

static int touch(void *arg)
{
	++*(char *)arg;
	return 0;
}

static int add_one(void *arg)
{
	++*(long *)arg;
	return 0;
}

/* --- rates ------------------------------------------------------------------------------------ */

struct rate {
	const char *spec;
	void (*submit)(prong_pool *pool, const struct rate *r, unsigned n);
	prong_fn *fn;
	size_t size; /* of arguments */
	unsigned n;
	double bytes; /* an item stands for so many: the rate is in GB/s; 0: M/s */
};

static void take(prong_future *f, size_t size)
{
	bench_pool_must(prong_future_wait(f, PRONG_FOREVER), "prong_future_wait");
	if (size && !prong_future_data(f, NULL))
		errx(1, "a task has no result");
	prong_future_free(f);
}

static void without_futures(prong_pool *pool, const struct rate *r, unsigned n)
{
	char arg[SMALL] = { 0 };
	prong_future *last;

	for (unsigned i = 0; i + 1 < n; i++)
		bench_pool_must(
			prong_pool_submit(pool, NULL, r->fn, r->size ? arg : NULL, r->size, NULL),
			"prong_pool_submit");
	bench_pool_must(prong_pool_submit(pool, &last, empty, NULL, 0, NULL), "prong_pool_submit");
	take(last, 0);
}

static void with_futures(prong_pool *pool, const struct rate *r, unsigned n)
{
	prong_future *f[WINDOW];
	char arg[SMALL] = { 0 };

	for (unsigned i = 0; i < n + WINDOW; i++) {
		if (i >= WINDOW && i - WINDOW < n)
			take(f[i % WINDOW], r->size);
		if (i < n)
			bench_pool_must(prong_pool_submit(pool, &f[i % WINDOW], r->fn,
							  r->size ? arg : NULL, r->size, NULL),
					"prong_pool_submit");
	}
}

/* A few are held at once, as one would with such. */
static void large(prong_pool *pool, const struct rate *r, unsigned n)
{
	enum {
		HELD = 4
	};
	prong_future *f[HELD];
	char *arg = calloc(1, r->size);

	if (!arg)
		err(1, "calloc");
	for (unsigned i = 0; i < n + HELD; i++) {
		if (i >= HELD && i - HELD < n)
			take(f[i % HELD], r->size);
		if (i < n)
			bench_pool_must(
				prong_pool_submit(pool, &f[i % HELD], r->fn, arg, r->size, NULL),
				"prong_pool_submit");
	}
	free(arg);
}

/* The block is in the heap, and only its address goes there and back. */
static void large_in_heap(prong_pool *pool, const struct rate *r, unsigned n)
{
	char *arg = bench_pool_heap(r->size);

	for (unsigned i = 0; i < n; i++)
		bench_pool_must(prong_pool_apply(pool, r->fn, arg, 0, NULL, PRONG_FOREVER),
				"prong_pool_apply");
	prong_free(arg);
}

static void *items;

static void map_by_one(prong_pool *pool, const struct rate *r, unsigned n)
{
	bench_pool_must(prong_pool_map(pool, r->fn, items, n, r->size,
				       &(prong_map_opts){ .chunk = 1 }, PRONG_FOREVER),
			"prong_pool_map");
}

static void map(prong_pool *pool, const struct rate *r, unsigned n)
{
	bench_pool_must(prong_pool_map(pool, r->fn, items, n, r->size, NULL, PRONG_FOREVER),
			"prong_pool_map");
}

static void push_rate(struct bench_out *out, const struct rate *r, unsigned n, int64_t begin)
{
	double ns = (double)(bench_now() - begin) / n;

	bench_push(out, 0, r->bytes > 0 ? r->bytes / ns : 1e3 / ns);
}

static void run_rate(const void *arg, struct bench_out *out)
{
	const struct rate *r = arg;
	unsigned n = bench_count(r->n);
	prong_pool *pool = bench_pool_open(r->spec);
	int64_t begin;

	if (r->submit == map || r->submit == map_by_one)
		items = bench_pool_heap(n * r->size);
	r->submit(pool, r, n);
	begin = bench_now();
	r->submit(pool, r, n);
	push_rate(out, r, n, begin);
	bench_pool_end(pool);
	prong_free(items);
	items = NULL;
}

/* --- floors of rates -------------------------------------------------------------------------- */

/* Take until the message that says that it is the last. */
static void cells_take(void *ring)
{
	const struct bench_channel *c = &bench_channel_cells;
	struct small s;

	do
		c->get(ring, &s, sizeof s);
	while (!s.data[0]);
	_exit(0);
}

static void run_cells(const void *arg, struct bench_out *out)
{
	const struct rate *r = arg;
	const struct bench_channel *c = &bench_channel_cells;
	unsigned n = bench_count(r->n);
	void *ring = c->begin(SMALL, true);
	struct small s = { { 0 } };
	int64_t begin;

	for (int i = 0; i < 2; i++)
		if (bench_fork() == 0)
			cells_take(ring);
	for (unsigned i = 0; i < 2 * 1024; i++)
		c->put(ring, &s, sizeof s);
	begin = bench_now();
	for (unsigned i = 0; i < n; i++)
		c->put(ring, &s, sizeof s);
	push_rate(out, r, n, begin);
	s.data[0] = 1;
	for (int i = 0; i < 2; i++)
		c->put(ring, &s, sizeof s);
	for (int i = 0; i < 2; i++)
		if (wait(NULL) < 0)
			err(1, "wait");
	c->end(ring);
}

/* Each call through a pointer. */
static void run_calls(const void *arg, struct bench_out *out)
{
	const struct rate *r = arg;
	unsigned n = bench_count(r->n);
	prong_fn *volatile fn = r->fn;
	char *a = calloc(n, r->size + 1);
	int64_t begin;

	if (!a)
		err(1, "calloc");
	memset(a, 0, n * (r->size + 1));
	begin = bench_now();
	for (unsigned i = 0; i < n; i++)
		fn(a + i * r->size);
	push_rate(out, r, n, begin);
	free(a);
}

static void run_copy(const void *arg, struct bench_out *out)
{
	const struct rate *r = arg;
	unsigned n = bench_count(r->n);
	char *from = calloc(1, r->size), *to = calloc(1, r->size);
	int64_t begin;

	if (!from || !to)
		err(1, "calloc");
	memset(from, 1, r->size);
	memcpy(to, from, r->size);
	begin = bench_now();
	for (unsigned i = 0; i < n; i++) {
		memcpy(to, from, r->size);
		__asm__ __volatile__("" : : "r"(to) : "memory");
	}
	push_rate(out, r, n, begin);
	free(from);
	free(to);
}

/* --- memory ----------------------------------------------------------------------------------- */

static int wait_for_gate(void *gate)
{
	return prong_event_wait(gate, PRONG_FOREVER);
}

static uint64_t heap_used(void)
{
	prong_family_stats s;

	prong_family_stat(&s);
	return s.heap_used;
}

struct memory {
	size_t own; /* bytes of the argument */
	const prong_task_opts *opts;
};

/* Bytes of the heap for each of the tasks that wait, beside the bytes that were submitted. */
static void run_memory(const void *how, struct bench_out *out)
{
	prong_pool *pool = bench_pool_open("threads:1");
	prong_event *gate = bench_pool_heap(sizeof *gate);
	const struct memory *m = how;
	char arg[SMALL] = { 0 };
	uint64_t before;

	bench_pool_must(prong_pool_submit(pool, NULL, wait_for_gate, gate, 0, NULL),
			"prong_pool_submit");
	before = heap_used();
	for (unsigned i = 0; i < QUEUED; i++)
		bench_pool_must(prong_pool_submit(pool, NULL, touch, arg, m->own, m->opts),
				"prong_pool_submit");
	bench_push(out, 0, (double)(heap_used() - before) / QUEUED - (double)m->own);
	bench_pool_must(prong_event_set(gate), "prong_event_set");
	bench_pool_end(pool);
	prong_free(gate);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define RATE(name, ...) \
	{ \
		name, run_rate, &(const struct rate){ __VA_ARGS__ }, true, NULL \
	}
#define PROCESSES(name, ...) RATE(name, "processes:2", __VA_ARGS__)
#define THREADS(name, ...)   RATE(name, "threads:2", __VA_ARGS__)
#define FLOOR(name, run, ...) \
	{ \
		name, run, &(const struct rate){ __VA_ARGS__ }, false, NULL \
	}
#define PROGRAM(name, python, what, n, missing) \
	{ \
		name, bench_pool_py, &(const struct bench_pool_py){ python, what, n }, false, \
			missing \
	}
#define PYTHON(name, what, n) PROGRAM("python3 " name, BENCH_PYTHON3, what, n, bench_pool_no_python)
#define NEWEST(name, what, n) \
	PROGRAM("newest Python " name, BENCH_NEWEST, what, n, bench_pool_no_newest)
#define JOBLIB(name, what, n) PROGRAM("joblib " name, BENCH_JOBLIB, what, n, bench_pool_no_joblib)
#define PEER(name, path, missing, ...) \
	{ \
		name, bench_pool_peer, &(const struct bench_pool_peer){ path, __VA_ARGS__ }, \
			false, missing \
	}
#define LIBGOMP(name, ...) PEER("libgomp" name, BENCH_LIBGOMP, bench_pool_no_libgomp, __VA_ARGS__)
#define LIBOMP(name, ...)  PEER("libomp" name, BENCH_LIBOMP, bench_pool_no_libomp, __VA_ARGS__)
#define TBB(name, ...)     PEER("TBB" name, BENCH_TBB, bench_pool_no_tbb, __VA_ARGS__)
#define GLIB(name, ...)    PEER("GLib" name, BENCH_GLIB, bench_pool_no_glib, __VA_ARGS__)
#define LIBUV(name, ...)   PEER("libuv" name, BENCH_LIBUV, bench_pool_no_libuv, __VA_ARGS__)
/* The five, and the three that have chunks and tasks that wait. */
#define LIBRARIES(...) \
	TBB(" (the submitter is one)", __VA_ARGS__), GLIB(" GThreadPool", __VA_ARGS__), \
		LIBUV(" uv_queue_work", __VA_ARGS__), \
		LIBGOMP(" (the submitter is one)", __VA_ARGS__), \
		LIBOMP(" (the submitter is one)", __VA_ARGS__)
#define SUBMITTERS(...) \
	TBB(" (the submitter is one)", __VA_ARGS__), \
		LIBGOMP(" (the submitter is one)", __VA_ARGS__), \
		LIBOMP(" (the submitter is one)", __VA_ARGS__)
#define OWN(name, run, arg) \
	{ \
		name, run, arg, true, NULL \
	}
#define MIB 1048576.0

static const struct memory own_8 = { 8, NULL }, own_32 = { 32, NULL }, own_64 = { 64, NULL };
static const struct memory named = { 8, &(const prong_task_opts){ .name = "count words",
								  .limit_ms = 1000 } };

const struct bench_case bench_pool[] = {
	{
		.name = "pool-64",
		.reps = 5,
		.metrics = { { "rate", "M/s", 0, 0 } },
		.floor = FLOOR("ring of cells to two, awake", run_cells, .n = TASKS),
		.subjects = {
			PROCESSES("prong, no futures", without_futures, touch, SMALL, TASKS, 0),
			PROCESSES("prong, futures", with_futures, touch, SMALL, TASKS, 0),
			PROCESSES("prong map, chunk 1", map_by_one, touch, SMALL, TASKS, 0),
			PYTHON("Pool.map, chunk 1", "map-1", 20000),
			NEWEST("Pool.map, chunk 1", "map-1", 20000),
			PYTHON("ProcessPoolExecutor", "executor", 5000),
			NEWEST("ProcessPoolExecutor", "executor", 5000),
			JOBLIB("Parallel, batches of 1", "joblib-1", 2000),
		},
		.versus = { { "prong, futures : best Python", 0, 1, 0, 0xf8, true },
			    { "prong map, chunk 1 : best Python", 0, 2, 0, 0xf8, true } },
	},
	{
		.name = "pool-8",
		.reps = 5,
		.metrics = { { "rate", "M/s", 0, 0 } },
		.floor = FLOOR("ring of cells to two, awake", run_cells, .n = TASKS),
		.subjects = {
			PROCESSES("prong, no futures", without_futures, touch, 8, TASKS, 0),
			PROCESSES("prong, futures", with_futures, touch, 8, TASKS, 0),
		},
	},
	{
		.name = "pool-map",
		.reps = 5,
		.metrics = { { "rate", "M/s", 0, 0 } },
		.floor = FLOOR("the calls, in one process", run_calls, .fn = add_one,
			       .size = sizeof(long), .n = ITEMS),
		.subjects = {
			PROCESSES("prong map", map, add_one, sizeof(long), ITEMS, 0),
			PYTHON("Pool.map", "map", ITEMS),
			NEWEST("Pool.map", "map", ITEMS),
			JOBLIB("Parallel, its own batches", "joblib", 50000),
		},
		.versus = { { "prong : best Python", 0, 0, 0, 0xe, true } },
	},
	{
		.name = "pool-idle",
		.reps = 5,
		.metrics = { { "", "us", 0, 0 } },
		.floor = { "futex, two wakes", bench_pool_wakes, NULL, false, NULL },
		.subjects = {
			OWN("prong, processes", bench_pool_idle, "processes:2"),
			OWN("prong, threads", bench_pool_idle, "threads:2"),
			PYTHON("ProcessPoolExecutor", "executor-idle", 100),
			NEWEST("ProcessPoolExecutor", "executor-idle", 100),
			PYTHON("Pool.apply", "apply", 100),
			JOBLIB("loky", "loky-idle", 100),
			TBB(" enqueue", "idle", 300, false),
			GLIB(" GThreadPool", "idle", 300, false),
			LIBUV(" uv_queue_work", "idle", 300, false),
			LIBGOMP(" region (spins)", "idle", 300, false),
			LIBOMP(" region (spins)", "idle", 300, false),
		},
		.versus = { { "prong, processes : best Python", 0, 0, 0, 0x3c, false },
			    { "prong, threads : best library that sleeps", 0, 1, 0, 0x1c0,
			      false } },
	},
	{
		.name = "pool-replace",
		.reps = 5,
		.metrics = { { "", "us", 0, 0 }, { "p99", "us", 0, 0.99 } },
		.floor = { "kill, waitpid, fork, its first instruction",
			   bench_pool_kill_and_fork, NULL, false, NULL },
		.subjects = {
			OWN("prong", bench_pool_replace, "processes:1"),
			PYTHON("Pool, killed within a task", "pool-replace", 10),
			PYTHON("ProcessPoolExecutor, made anew", "executor-replace", 10),
			JOBLIB("loky, made anew", "loky-replace", 3),
		},
		.versus = { { "prong : best Python", 0, 0, 0, 0xe, false } },
	},
	{
		.name = "pool-1MiB",
		.reps = 5,
		.metrics = { { "rate", "GB/s", 0, 0 } },
		.floor = FLOOR("a copy in one process", run_copy, .size = BENCH_MIB, .n = COPIES,
			       .bytes = MIB),
		.subjects = {
			PROCESSES("prong, copied in", large, touch, BENCH_MIB, COPIES, MIB),
			PROCESSES("prong, in the heap, one at a time", large_in_heap, touch,
				  BENCH_MIB, COPIES, MIB),
			PYTHON("Pool.map, chunk 1", "mib", 100),
			NEWEST("Pool.map, chunk 1", "mib", 100),
			JOBLIB("Parallel, batches of 1", "joblib-mib", 50),
			THREADS("prong, threads, copied in", large, touch, BENCH_MIB, COPIES, MIB),
			LIBRARIES("mib", COPIES, false),
		},
		.versus = { { "prong, copied in : best Python", 0, 0, 0, 0x1c, true },
			    { "prong, threads : best library", 0, 5, 0, 0x7c0, true } },
	},
	{
		.name = "pool-memory",
		.reps = 1,
		.metrics = { { "", "B/task", 0, 0 } },
		.subjects = { OWN("prong, beside 8 bytes", run_memory, &own_8),
			      OWN("prong, beside 32 bytes", run_memory, &own_32),
			      OWN("prong, beside 64 bytes", run_memory, &own_64),
			      OWN("prong, with a name and a limit", run_memory, &named) },
	},
	{
		.name = "pool-threads",
		.reps = 5,
		.metrics = { { "rate", "M/s", 0, 0 } },
		.floor = FLOOR("the calls, in one thread", run_calls, .fn = empty, .n = ITEMS),
		.subjects = {
			THREADS("prong, no futures", without_futures, empty, 0, TASKS, 0),
			THREADS("prong, futures", with_futures, empty, 0, TASKS, 0),
			LIBRARIES("tasks", TASKS, false),
		},
		.versus = { { "prong, no futures : best library", 0, 0, 0, 0x7c, true },
			    { "prong, no futures : GLib or libuv", 0, 0, 0, 0x18, true } },
	},
	{
		.name = "pool-threads-map-1",
		.reps = 5,
		.metrics = { { "rate", "M/s", 0, 0 } },
		.floor = FLOOR("the calls, in one thread", run_calls, .fn = add_one,
			       .size = sizeof(long), .n = ITEMS),
		.subjects = {
			THREADS("prong map, chunk 1", map_by_one, add_one, sizeof(long), TASKS, 0),
			SUBMITTERS("map-1", TASKS, false),
		},
		.versus = { { "prong : best library", 0, 0, 0, 0xe, true } },
	},
	{
		.name = "pool-threads-map",
		.reps = 5,
		.metrics = { { "rate", "M/s", 0, 0 } },
		.floor = FLOOR("the calls, in one thread", run_calls, .fn = add_one,
			       .size = sizeof(long), .n = ITEMS),
		.subjects = {
			THREADS("prong map", map, add_one, sizeof(long), ITEMS, 0),
			SUBMITTERS("map", ITEMS, false),
		},
		.versus = { { "prong : best library", 0, 0, 0, 0xe, true } },
	},
	{
		.name = "pool-for",
		.reps = 5,
		.metrics = { { "", "us", 0, 0 } },
		.floor = { "half the loop, in one thread", bench_pool_half, NULL, false, NULL },
		.subjects = {
			OWN("prong, threads", bench_pool_for, "threads:2"),
			OWN("prong, processes", bench_pool_for, "processes:2"),
			LIBRARIES("for", 20, true),
		},
		.versus = { { "prong, threads : best library", 0, 0, 0, 0x7c, false },
			    { "prong, threads : GLib or libuv", 0, 0, 0, 0x18, false } },
	},
	{
		.name = "pool-fib",
		.reps = 5,
		.metrics = { { "call", "ns", 0, 0 } },
		.floor = { "fib in one thread", bench_pool_fib_alone, NULL, false, NULL },
		.subjects = {
			OWN("prong, threads", bench_pool_fib, "threads:2"),
			SUBMITTERS("fib", BENCH_POOL_FIB, true),
		},
		.versus = { { "prong, threads : best library", 0, 0, 0, 0xe, false } },
	},
	{ .name = NULL },
};
