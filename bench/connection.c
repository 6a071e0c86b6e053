/* Connections between two processes, on processors 0 and 1, over loopback TCP and a Unix socket: a
   message there and back, and one way, of 64 bytes and of 1 MiB; beside Python's
   multiprocessing.connection.

   The floor is a bare echo over the same kind of socket: write() and read() of as many bytes, with
   no lengths and no deadlines.  TCP has TCP_NODELAY everywhere; what Python sets is its own.

   Not measured: the proof of the key, and values. */
#include "connection.h"
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <prong/net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum {
	PARTS = 5,
	SMALL = 64
};

struct plan {
	bool tcp;
	size_t size;
	unsigned n;
	bool trips;
	const char *python; /* NULL, or the command */
};

/* One side: prong's connection, or a socket. */
struct side {
	prong_conn *c;
	int fd;
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
		if ((done = write(s->fd, data, size)) <= 0)
			err(1, "write");
}

static void recv_it(const struct side *s, char *data, size_t size)
{
	if (s->c) {
		must(prong_conn_recv(s->c, data, size, NULL, PRONG_FOREVER), "prong_conn_recv");
		return;
	}
	for (ssize_t done; size; data += done, size -= (size_t)done)
		if ((done = read(s->fd, data, size)) <= 0)
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

static void answer(const struct plan *p, const struct side *s, unsigned n)
{
	char *data = buffer(p->size);

	bench_pin(1);
	for (unsigned i = 0; i < n; i++) {
		recv_it(s, data, p->size);
		if (p->trips)
			send_it(s, data, p->size);
	}
	if (!p->trips)
		send_it(s, data, 1);
	free(data);
}

/* Work with the partner; return the nanoseconds of each message or trip. */
static double go_on(const struct plan *p, const struct side *s, unsigned n)
{
	char *data = buffer(p->size);
	int64_t t;

	bench_pin(0);
	t = bench_now();
	for (unsigned i = 0; i < n; i++) {
		send_it(s, data, p->size);
		if (p->trips)
			recv_it(s, data, p->size);
	}
	if (!p->trips)
		recv_it(s, data, 1);
	t = bench_now() - t;
	bench_unpin();
	free(data);
	return (double)t / n;
}

/* Times in us, rates in millions a second, or in GB/s for what is large. */
static double figure(const struct plan *p, double ns)
{
	if (p->trips)
		return ns / 1e3;
	return p->size >= MIB ? (double)p->size / ns : 1e3 / ns;
}

/* --- prong ------------------------------------------------------------------------------------ */

struct work {
	struct plan plan;
	unsigned n;
	char address[100];
};

static const prong_auth auth = { .key = "sixteen bytes...", .key_size = 16 };

static int partner(void *arg)
{
	const struct work *w = arg;
	struct side s = { NULL, -1 };

	must(prong_connect(&s.c, w->address, &auth, PRONG_FOREVER), "prong_connect");
	answer(&w->plan, &s, w->n);
	prong_conn_free(s.c);
	return 0;
}

static double part_prong(const struct plan *p, unsigned n)
{
	char directory[] = "/tmp/prong-bench-XXXXXX", address[100] = "tcp://127.0.0.1:0";
	struct work w = { .plan = *p, .n = n };
	struct side s = { NULL, -1 };
	prong_process *child;
	prong_listener *l;
	double ns;

	if (!p->tcp) {
		if (!mkdtemp(directory))
			err(1, "mkdtemp");
		snprintf(address, sizeof address, "unix:%s/x", directory);
	}
	must(prong_listener_open(&l, address, &auth), "prong_listener_open");
	snprintf(w.address, sizeof w.address, "%s", prong_listener_address(l));
	must(prong_process_start(&child, partner, &w, sizeof w, NULL), "start");
	must(prong_listener_accept(l, &s.c, PRONG_FOREVER), "prong_listener_accept");
	ns = go_on(p, &s, n);
	must(prong_process_join(child, NULL, PRONG_FOREVER), "join");
	prong_process_free(child);
	prong_conn_free(s.c);
	prong_listener_close(l);
	if (!p->tcp)
		rmdir(directory);
	return ns;
}

/* --- the floor -------------------------------------------------------------------------------- */

static void nodelay(int fd)
{
	const int yes = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes))
		err(1, "TCP_NODELAY");
}

static void tcp_pair(int fds[2])
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t size = sizeof in;
	int l = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(l, (struct sockaddr *)&in, sizeof in) || listen(l, 1) ||
	    getsockname(l, (struct sockaddr *)&in, &size))
		err(1, "listen");
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fds[1], (struct sockaddr *)&in, sizeof in))
		err(1, "connect");
	fds[0] = accept(l, NULL, NULL);
	if (fds[0] < 0)
		err(1, "accept");
	close(l);
	nodelay(fds[0]);
	nodelay(fds[1]);
}

static double part_bare(const struct plan *p, unsigned n)
{
	int fds[2], pid;
	double ns;

	if (p->tcp)
		tcp_pair(fds);
	else if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		err(1, "socketpair");
	pid = bench_fork();
	if (pid == 0) {
		answer(p, &(const struct side){ NULL, fds[1] }, n);
		_exit(0);
	}
	close(fds[1]);
	ns = go_on(p, &(const struct side){ NULL, fds[0] }, n);
	if (waitpid(pid, NULL, 0) != pid)
		err(1, "waitpid");
	close(fds[0]);
	return ns;
}

/* --- subjects --------------------------------------------------------------------------------- */

static void run(const struct plan *p, double (*part)(const struct plan *, unsigned),
		struct bench_out *out)
{
	unsigned n = bench_count(p->n) / PARTS + 1;
	double v[PARTS];

	for (unsigned i = 0; i < PARTS; i++)
		v[i] = figure(p, part(p, n));
	bench_push_median(out, 0, v, PARTS);
}

static void run_prong(const void *arg, struct bench_out *out)
{
	run(arg, part_prong, out);
}

static void run_bare(const void *arg, struct bench_out *out)
{
	run(arg, part_bare, out);
}

void bench_tcp_echo(unsigned n, struct bench_out *out)
{
	const struct plan plan = { .tcp = true, .size = SMALL, .trips = true };

	bench_push(out, 0, figure(&plan, part_bare(&plan, n)));
}

#define IN_PATH BENCH_PYTHON_IN_PATH
#define NEWEST	BENCH_PYTHON_NEWEST

const char *bench_no_python(void)
{
	static int status = -1;

	if (status < 0)
		status = system(IN_PATH " -c 'import multiprocessing' >/dev/null 2>&1");
	return status == 0 ? NULL : "there is no python3 with multiprocessing";
}

const char *bench_no_newest(void)
{
	static int status = -1;

	if (status < 0)
		status = system("test -x \"" NEWEST "\"");
	return status == 0 ? NULL : "there is no other Python";
}

static void run_python(const void *arg, struct bench_out *out)
{
	const struct plan *p = arg;
	char command[800];
	double ns;
	FILE *f;

	snprintf(command, sizeof command, "%s '%s' %s %zu %u %d 2>/dev/null", p->python,
		 BENCH_CONNECTION, p->tcp ? "tcp" : "unix", p->size, bench_count(p->n) / PARTS + 1,
		 p->trips);
	f = popen(command, "re");
	if (f && fscanf(f, "%lf", &ns) == 1)
		bench_push(out, 0, figure(p, ns));
	if (f)
		pclose(f);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define PLAN(python, ...) \
	&(const struct plan) \
	{ \
		__VA_ARGS__, python \
	}
#define CONNECTION(name_, unit_, more_, ...) \
	{ \
		.name = "connection-" name_, .reps = 5, .before = bench_two_cpus, \
		.floor = { "bare socket", run_bare, PLAN(NULL, __VA_ARGS__), false, NULL }, \
		.subjects = { { "prong_conn", run_prong, PLAN(NULL, __VA_ARGS__), true, NULL }, \
			      { "Python, in PATH", run_python, PLAN(IN_PATH, __VA_ARGS__), false, \
				bench_no_python }, \
			      { "Python, the newest", run_python, PLAN(NEWEST, __VA_ARGS__), \
				false, bench_no_newest } }, \
		.metrics = { { "", unit_, 0, 0 } }, .versus = { \
			{ "prong : best Python", 0, 0, 0, 6, more_ } \
		} \
	}

const struct bench_case bench_connection[] = {
	CONNECTION("tcp-round-trip-64", "us", false, true, SMALL, 20000, true),
	CONNECTION("tcp-round-trip-1MiB", "us", false, true, MIB, 200, true),
	CONNECTION("tcp-64", "M/s", true, true, SMALL, 200000, false),
	CONNECTION("tcp-1MiB", "GB/s", true, true, MIB, 500, false),
	CONNECTION("unix-round-trip-64", "us", false, false, SMALL, 20000, true),
	CONNECTION("unix-round-trip-1MiB", "us", false, false, MIB, 200, true),
	CONNECTION("unix-64", "M/s", true, false, SMALL, 200000, false),
	CONNECTION("unix-1MiB", "GB/s", true, false, MIB, 500, false),
	{ .name = NULL },
};
