/* Pipes between two processes, on processors 0 and 1: a message there and back, and how many get
   through one way, of 64 bytes and of 1 MiB; beside pipe(), socketpair() and Python's Pipe.

   prong looks for some 40 us before it sleeps, the others sleep at once; so a round trip awake and
   one with a wake on each side are compared.  "asleep" has a pause before each trip, in which both
   fall asleep.  Floors: a cache line there and back; for 1 MiB one copy of it.

   Not measured: many senders, which take turns here. */
#include "bench.h"
#include <err.h>
#include <prong/prong.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum {
	PARTS = 10,
	TRIPS = 20000,
	SLOW_TRIPS = 300,
	SMALL = 64
};

/* One side: a connection, or descriptors of a stream. */
struct side {
	prong_conn *c;
	int in, out;
};

struct work {
	struct side side;
	size_t size;
	unsigned n;
	bool echo; /* else one byte after all */
};

struct plan {
	void (*begin)(struct side ours_theirs[2]);
	size_t size;
	unsigned n;
	bool trips;
	long pause_us;
};

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

static void send_it(const struct side *s, const char *data, size_t size)
{
	if (s->c) {
		must(prong_conn_send(s->c, data, size, PRONG_FOREVER), "prong_conn_send");
		return;
	}
	for (ssize_t done; size; data += done, size -= (size_t)done)
		if ((done = write(s->out, data, size)) <= 0)
			err(1, "write");
}

static void recv_it(const struct side *s, char *data, size_t size)
{
	if (s->c) {
		must(prong_conn_recv(s->c, data, size, NULL, PRONG_FOREVER), "prong_conn_recv");
		return;
	}
	for (ssize_t done; size; data += done, size -= (size_t)done)
		if ((done = read(s->in, data, size)) <= 0)
			err(1, "read");
}

static char *buffer(size_t size)
{
	char *p = malloc(size);

	if (!p)
		errx(1, "malloc");
	memset(p, 1, size);
	return p;
}

/* The partner. */
static int partner(void *arg)
{
	const struct work *w = arg;
	char *data = buffer(w->size);

	bench_pin(1);
	for (unsigned i = 0; i < w->n; i++) {
		recv_it(&w->side, data, w->size);
		if (w->echo)
			send_it(&w->side, data, w->size);
	}
	if (!w->echo)
		send_it(&w->side, data, 1);
	free(data);
	return 0;
}

static void begin_prong(struct side s[2])
{
	s[0] = s[1] = (struct side){ NULL, -1, -1 };
	must(prong_pipe(&s[0].c, &s[1].c, NULL), "prong_pipe");
}

static void begin_pipe(struct side s[2])
{
	int a[2], b[2];

	if (pipe(a) || pipe(b))
		err(1, "pipe");
	s[0] = (struct side){ NULL, a[0], b[1] };
	s[1] = (struct side){ NULL, b[0], a[1] };
}

static void begin_socketpair(struct side s[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		err(1, "socketpair");
	s[0] = (struct side){ NULL, fds[0], fds[0] };
	s[1] = (struct side){ NULL, fds[1], fds[1] };
}

static void close_side(const struct side *s)
{
	prong_conn_free(s->c);
	if (s->in >= 0)
		close(s->in);
	if (s->out >= 0 && s->out != s->in)
		close(s->out);
}

/* Work with the partner; return the nanoseconds of each message or trip. */
static double go_on(const struct plan *p, const struct side *s, unsigned n)
{
	char *data = buffer(p->size);
	int64_t t = bench_now(), paused = 0;

	for (unsigned i = 0; i < n; i++) {
		if (p->pause_us) {
			int64_t begin = bench_now();

			bench_sleep_us(p->pause_us);
			paused += bench_now() - begin;
		}
		send_it(s, data, p->size);
		if (p->trips)
			recv_it(s, data, p->size);
	}
	if (!p->trips)
		recv_it(s, data, 1);
	t = bench_now() - t - paused;
	free(data);
	return (double)t / n;
}

static double part(const struct plan *p, unsigned n)
{
	struct side s[2];
	struct work w = { .size = p->size, .n = n, .echo = p->trips };
	prong_process *child = NULL;
	double ns;
	int pid = 0;

	p->begin(s);
	w.side = s[1];
	if (s[0].c) {
		must(prong_process_start(&child, partner, &w, sizeof w, NULL), "start");
		must(prong_conn_give(s[1].c, child), "prong_conn_give");
	} else {
		pid = bench_fork();
		if (pid == 0)
			_exit(partner(&w));
		close_side(&s[1]);
	}
	ns = go_on(p, &s[0], n);
	if (child)
		must(prong_process_join(child, NULL, PRONG_FOREVER), "join");
	else if (waitpid(pid, NULL, 0) != pid)
		err(1, "waitpid");
	prong_process_free(child);
	close_side(&s[0]);
	return ns;
}

/* Times in us, rates in millions a second, or in GB/s for what is large. */
static double figure(const struct plan *p, double ns)
{
	if (p->trips)
		return ns / 1e3;
	return p->size >= MIB ? (double)p->size / ns : 1e3 / ns;
}

static void run(const void *arg, struct bench_out *out)
{
	const struct plan *p = arg;
	double v[PARTS];
	unsigned n = bench_count(p->n) / PARTS + 1;

	bench_pin(0);
	for (unsigned i = 0; i < PARTS; i++)
		v[i] = figure(p, part(p, n));
	bench_unpin();
	bench_push_median(out, 0, v, PARTS);
}

/* --- floors ----------------------------------------------------------------------------------- */

static void run_ping_pong(const void *arg, struct bench_out *out)
{
	(void)arg;
	bench_push(out, 0, bench_ping_pong(bench_count(200)) / 1e3);
}

static void run_copy(const void *arg, struct bench_out *out)
{
	char *from = buffer(MIB), *to = buffer(MIB);
	unsigned n = bench_count(200);
	int64_t t = bench_now();

	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		memcpy(to, from, MIB);
		__asm__ __volatile__("" : : "r"(to) : "memory");
	}
	bench_push(out, 0, (double)MIB * n / (double)(bench_now() - t));
	free(from);
	free(to);
}

/* --- Python ----------------------------------------------------------------------------------- */

static const char *no_python(void)
{
	static int status = -1;

	if (status < 0)
		status = system("python3 -c 'import multiprocessing' >/dev/null 2>&1");
	return status == 0 ? NULL : "there is no python3 with multiprocessing";
}

static void run_python(const void *arg, struct bench_out *out)
{
	static const char script[] =
		"import multiprocessing as m, time, sys\n"
		"size, n, trips = map(int, sys.argv[1:])\n"
		"def partner(c):\n"
		"    for i in range(n):\n"
		"        d = c.recv_bytes()\n"
		"        if trips: c.send_bytes(d)\n"
		"    if not trips: c.send_bytes(b\"x\")\n"
		"a, b = m.Pipe()\n"
		"p = m.get_context(\"fork\").Process(target=partner, args=(b,)); p.start()\n"
		"d = bytes(size); t = time.perf_counter()\n"
		"for i in range(n):\n"
		"    a.send_bytes(d)\n"
		"    if trips: a.recv_bytes()\n"
		"if not trips: a.recv_bytes()\n"
		"print((time.perf_counter() - t) * 1e9 / n)\n";
	const struct plan *p = arg;
	char command[1024];
	double ns;
	FILE *f;

	snprintf(command, sizeof command, "python3 -c '%s' %zu %u %d 2>/dev/null", script, p->size,
		 bench_count(p->n), p->trips);
	f = popen(command, "re");
	if (f && fscanf(f, "%lf", &ns) == 1)
		bench_push(out, 0, figure(p, ns));
	if (f)
		pclose(f);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define PLAN(begin, ...) run, &(const struct plan){ begin, __VA_ARGS__ }
#define SUBJECTS(...) \
	.before = bench_two_cpus, \
	.subjects = { \
		{ "prong_conn, cpus 0 and 1", PLAN(begin_prong, __VA_ARGS__), true, NULL }, \
		{ "pipe(), cpus 0 and 1", PLAN(begin_pipe, __VA_ARGS__), false, NULL }, \
		{ "socketpair(), cpus 0 and 1", PLAN(begin_socketpair, __VA_ARGS__), false, \
		  NULL }, \
		{ "Python Pipe", run_python, &(const struct plan){ NULL, __VA_ARGS__ }, false, \
		  no_python }, \
	}
#define PING_PONG .floor = { "cache line 0 - 1 - 0", run_ping_pong, NULL, false, NULL }

const struct bench_case bench_pipe[] = {
	{
		.name = "pipe-round-trip-64",
		PING_PONG,
		.metrics = { { "", "us", 0, 0 } },
		SUBJECTS(SMALL, TRIPS, true, 0),
		.versus = { { "prong : best of pipe, socketpair", 0, 0, 0, 6, false } },
	},
	{
		.name = "pipe-round-trip-64-asleep",
		PING_PONG,
		.metrics = { { "", "us", 0, 0 } },
		SUBJECTS(SMALL, SLOW_TRIPS, true, 2000),
		.versus = { { "prong : best of pipe, socketpair", 0, 0, 0, 6, false } },
	},
	{
		.name = "pipe-64",
		.metrics = { { "rate", "M/s", 0, 0 } },
		SUBJECTS(SMALL, 1000000, false, 0),
		.versus = { { "prong : best of pipe, socketpair", 0, 0, 0, 6, true } },
	},
	{
		.name = "pipe-1MiB",
		.floor = { "a copy in one process", run_copy, NULL, false, NULL },
		.metrics = { { "rate", "GB/s", 0, 0 } },
		SUBJECTS(MIB, 1000, false, 0),
		.versus = { { "prong : best of pipe, socketpair", 0, 0, 0, 6, true } },
	},
	{ .name = NULL },
};
