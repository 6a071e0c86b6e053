/* A manager with 10,000 connections: what one of an idle client costs in memory; and how long a
   login takes among as many strangers who say nothing.

   The floor of a login is what it costs when nobody else is there. */
#include "manager.h"
#include <err.h>
#include <prong/net.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

enum {
	MANY = 10000,
	LOGINS = 500
};

static const prong_auth auth = { .key = "sixteen bytes...", .key_size = 16 };

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

/* How many connections there may be; both ends are in one process. */
static unsigned many(unsigned ends)
{
	struct rlimit files;
	unsigned n = bench_count(MANY);

	if (getrlimit(RLIMIT_NOFILE, &files))
		err(1, "RLIMIT_NOFILE");
	if (files.rlim_cur < (rlim_t)ends * n + 300) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	return files.rlim_cur < (rlim_t)ends * n + 300 ? (unsigned)files.rlim_cur / ends - 300 : n;
}

static double resident(void)
{
	unsigned long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%lu %lu", &size, &pages) != 2)
		errx(1, "statm");
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static prong_manager *manager(uint32_t strangers)
{
	prong_manager_opts opts = { .auth = auth };
	prong_manager *m;

	opts.auth.strangers_max = strangers;
	opts.auth.handshake_ms = 600000;
	must(prong_manager_open(&m, "tcp://127.0.0.1:0", &opts), "prong_manager_open");
	return m;
}

/* --- idle clients ----------------------------------------------------------------------- */

/* In a process of their own, so that the memory is the server's. */
struct idle {
	char address[100];
	unsigned n;
	atomic_uint *ready, *go;
};

static int idle(void *arg)
{
	const struct idle *me = arg;

	(void)many(1);
	for (unsigned i = 0; i < me->n; i++) { /* which end with the process */
		prong_conn *c;
		prong_value *v;

		must(prong_connect(&c, me->address, &auth, prong_in_ms(60000)), "prong_connect");
		v = prong_args(
			4, prong_value_new(PRONG_NONE), prong_value_text("accept_connection"),
			prong_args(1, prong_value_text("idle")), prong_value_new(PRONG_DICT));
		must(prong_conn_send_value(c, v, PRONG_FOREVER), "accept_connection");
		must(prong_conn_recv_value(c, &v, NULL, PRONG_FOREVER), "accept_connection");
		prong_value_free(v);
	}
	atomic_store(me->ready, 1);
	while (!atomic_load(me->go))
		bench_sleep_us(1000);
	_exit(0);
}

static void run_idle(const void *arg, struct bench_out *out)
{
	struct idle me = { .n = many(1) };
	prong_manager *m = manager(0);
	prong_process *p;
	double before;

	(void)arg;
	me.ready = prong_calloc(2, sizeof *me.ready);
	if (!me.ready)
		errx(1, "no memory");
	me.go = me.ready + 1;
	snprintf(me.address, sizeof me.address, "%s", prong_manager_address(m));
	before = resident();
	must(prong_process_start(&p, idle, &me, sizeof me, NULL), "start");
	while (!atomic_load(me.ready))
		bench_sleep_us(1000);
	bench_push(out, 0, (resident() - before) / me.n);
	atomic_store(me.go, 1);
	must(prong_process_join(p, NULL, PRONG_FOREVER), "join");
	prong_process_free(p);
	prong_manager_close(m);
	prong_free(me.ready);
}

/* --- logins ----------------------------------------------------------------------------- */

/* From 127.0.0.2 to 127.0.0.5, which have ports enough. */
static int knock(const char *address, unsigned i)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + i % 4);
	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof in))
		err(1, "a stranger");
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	if (connect(fd, (struct sockaddr *)&in, sizeof in))
		err(1, "a stranger");
	return fd;
}

static void log_in(const char *address, struct bench_out *out)
{
	for (unsigned i = 0; i < bench_count(LOGINS); i++) {
		int64_t t = bench_now();
		prong_conn *c;

		must(prong_connect(&c, address, &auth, prong_in_ms(60000)), "prong_connect");
		bench_push(out, 0, (double)(bench_now() - t) / 1e3);
		prong_conn_free(c);
	}
}

static void run_logins(const void *arg, struct bench_out *out)
{
	const unsigned n = *(const unsigned *)arg ? many(2) : 0;
	prong_manager *m = manager(n + 100);
	int *fd = calloc(n + 1, sizeof *fd);
	prong_manager_stats s = { .calls = 0 };

	if (!fd)
		errx(1, "no memory");
	for (unsigned i = 0; i < n; i++)
		fd[i] = knock(prong_manager_address(m), i);
	while (s.door.waiting < n) {
		bench_sleep_us(1000);
		prong_manager_stat(m, &s);
	}
	log_in(prong_manager_address(m), out);
	for (unsigned i = 0; i < n; i++)
		close(fd[i]);
	free(fd);
	prong_manager_close(m);
}

static const unsigned none = 0, all = 1;

const struct bench_case bench_crowd[] = {
	{ .name = "manager-idle",
	  .reps = 1,
	  .subjects = { { "prong, each of 10,000 clients", run_idle, &none, true, NULL } },
	  .metrics = { { "", "B", 0, 0 } } },
	{ .name = "manager-login",
	  .reps = 3,
	  .floor = { "nobody else is there", run_logins, &none, true, NULL },
	  .subjects = { { "prong, 10,000 strangers", run_logins, &all, true, NULL } },
	  .metrics = { { "", "us", 0, 0 }, { "p99", "us", 0, 0.99 } } },
	{ .name = NULL },
};
