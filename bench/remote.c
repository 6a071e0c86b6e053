/* A client of Python's managers beside Python's own client, of the same Python: a call of a method
   that gives back a number, and a put and a get of a queue.  Client and manager are on processors 0
   and 1.

   The floor is a bare echo of 64 bytes over loopback TCP: a call is one there and back, a pair is
   two.  Most of a call's time is the manager's own, in Python.

   Not measured: connecting and the proof of the key. */
#include "connection.h"
#include <err.h>
#include <prong/net.h>
#include <stdlib.h>

enum {
	CALLS = 4000
};

struct plan {
	bool pair;
	const char *python; /* the command; NULL: the floor */
};

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

static unsigned count(void)
{
	return bench_count(CALLS);
}

/* --- prong ------------------------------------------------------------------------------------ */

static FILE *serve(const char *python, prong_remote **there)
{
	const prong_auth auth = { .key = "sixteen bytes...", .key_size = 16, .old_python = true };
	char command[600], address[60];
	unsigned port = 0;
	FILE *f;

	snprintf(command, sizeof command, "%s '%s' serve", python, BENCH_REMOTE);
	f = popen(command, "re");
	if (!f || fscanf(f, "%u", &port) != 1)
		errx(1, "no manager of %s", python);
	snprintf(address, sizeof address, "tcp://127.0.0.1:%u", port);
	must(prong_remote_open(there, address, &auth, prong_in_ms(10000)), "prong_remote_open");
	return f;
}

/* Return the nanoseconds of all. */
static int64_t calls(prong_remote *there, unsigned n)
{
	prong_proxy *thing;
	prong_value *v;
	int64_t t;

	must(prong_remote_make(there, "Thing", prong_args(0), &thing, prong_in_ms(10000)), "Thing");
	t = bench_now();
	for (unsigned i = 0; i < n; i++) {
		must(prong_proxy_call(thing, "echo", prong_args(1, prong_value_int(i)), &v,
				      prong_in_ms(10000)),
		     "echo");
		prong_value_free(v);
	}
	t = bench_now() - t;
	prong_proxy_free(thing);
	return t;
}

static int64_t pairs(prong_remote *there, unsigned n)
{
	prong_queue *q;
	prong_value *v;
	int64_t t;

	must(prong_remote_queue(there, "tasks", &q, prong_in_ms(10000)), "tasks");
	t = bench_now();
	for (unsigned i = 0; i < n; i++) {
		must(prong_queue_put_value(q, prong_value_int(i), prong_in_ms(10000)), "put");
		must(prong_queue_get_value(q, &v, NULL, prong_in_ms(10000)), "get");
		prong_value_free(v);
	}
	t = bench_now() - t;
	must(prong_queue_free(q), "free");
	return t;
}

static void run_prong(const void *arg, struct bench_out *out)
{
	const struct plan *p = arg;
	prong_remote *there;
	unsigned n = count();
	FILE *f = serve(p->python, &there);
	int64_t t;

	bench_pin(0);
	t = p->pair ? pairs(there, n) : calls(there, n);
	bench_unpin();
	bench_push(out, 0, (double)t / n / 1e3);
	must(prong_remote_shutdown(there, prong_in_ms(10000)), "shutdown");
	prong_remote_close(there);
	pclose(f);
}

/* --- others ----------------------------------------------------------------------------------- */

static void run_python(const void *arg, struct bench_out *out)
{
	const struct plan *p = arg;
	char command[600];
	double ns;
	FILE *f;

	snprintf(command, sizeof command, "%s '%s' %s %u 2>/dev/null", p->python, BENCH_REMOTE,
		 p->pair ? "pair" : "call", count());
	f = popen(command, "re");
	if (f && fscanf(f, "%lf", &ns) == 1)
		bench_push(out, 0, ns / 1e3);
	if (f)
		pclose(f);
}

static void run_bare(const void *arg, struct bench_out *out)
{
	const struct plan *p = arg;

	bench_tcp_echo(count(), out);
	if (p->pair)
		out->v[0][0] *= 2;
}

/* --- cases ------------------------------------------------------------------------------------ */

#define PLAN(pair_, python_) \
	&(const struct plan) \
	{ \
		pair_, python_ \
	}
#define REMOTE(name_, pair_, python_, no_) \
	{ \
		.name = "remote-" name_, .reps = 5, .before = no_, \
		.floor = { "bare socket", run_bare, PLAN(pair_, NULL), false, NULL }, \
		.subjects = { { "prong_remote", run_prong, PLAN(pair_, python_), true, NULL }, \
			      { "Python's client", run_python, PLAN(pair_, python_), false, \
				NULL } }, \
		.metrics = { { "", "us", 0, 0 } }, .versus = { \
			{ "prong : Python", 0, 0, 0, 2, false } \
		} \
	}

static const char *no_python(void)
{
	const char *why = bench_two_cpus();

	return why ? why : bench_no_python();
}

static const char *no_newest(void)
{
	const char *why = bench_two_cpus();

	return why ? why : bench_no_newest();
}

const struct bench_case bench_remote[] = {
	REMOTE("call", false, BENCH_PYTHON_IN_PATH, no_python),
	REMOTE("pair", true, BENCH_PYTHON_IN_PATH, no_python),
	REMOTE("call-newest", false, BENCH_PYTHON_NEWEST, no_newest),
	REMOTE("pair-newest", true, BENCH_PYTHON_NEWEST, no_newest),
	{ .name = NULL },
};
