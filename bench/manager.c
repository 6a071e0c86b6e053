/* Managers: clients that put an int on a queue of the server and get one from it, one to 64 of them
   at once; beside Python's own manager and lists of Redis.  The clients are the same for both
   managers, in C, and have one request under way each; so what differs is the server.

   A trip is a request and its answer, of the first client.

   The floor is as many pairs of processes that echo as many bytes over TCP, twice for a pair.

   Not measured: connecting, and proofs. */
#include "manager.h"
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

enum {
	BYTES = 40 /* as a request has */
};

static const prong_auth auth = { .key = "sixteen bytes...", .key_size = 16, .old_python = true };

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

/* --- a client --------------------------------------------------------------------------- */

static prong_value *tuple(prong_value *a, prong_value *b)
{
	prong_value *v = prong_value_new(PRONG_TUPLE);

	if (a)
		prong_value_add(v, a);
	if (b)
		prong_value_add(v, b);
	return v;
}

static prong_value *request(prong_value *who, const char *what, prong_value *args)
{
	prong_value *v = tuple(who, prong_value_text(what));

	prong_value_add(v, args);
	prong_value_add(v, prong_value_new(PRONG_DICT));
	return v;
}

static prong_conn *dial(const char *address)
{
	prong_conn *c;

	must(prong_connect(&c, address, &auth, prong_in_ms(20000)), "prong_connect");
	return c;
}

static void create(const char *address, char ident[64])
{
	prong_conn *c = dial(address);
	const char *text;
	prong_value *v;

	must(prong_conn_send_value(c,
				   request(prong_value_new(PRONG_NONE), "create",
					   tuple(prong_value_text("Queue"), NULL)),
				   PRONG_FOREVER),
	     "create");
	must(prong_conn_recv_value(c, &v, NULL, PRONG_FOREVER), "create");
	text = prong_value_data(prong_value_at(prong_value_at(v, 1), 0), NULL);
	if (!text)
		errx(1, "create failed");
	snprintf(ident, 64, "%s", text);
	prong_value_free(v);
	prong_conn_free(c);
}

struct client {
	char address[100], ident[64];
	unsigned n;
	bool first;
	struct manager_board *board;
};

unsigned manager_share(const struct manager_plan *p)
{
	return bench_count(p->n) / p->clients + 1;
}

void manager_meet(struct manager_board *b)
{
	atomic_fetch_add_explicit(&b->ready, 1, memory_order_relaxed);
	while (!atomic_load_explicit(&b->go, memory_order_relaxed))
		bench_sleep_us(50);
}

void manager_note(struct manager_board *b, bool first, unsigned i, int64_t began)
{
	if (first && i < MANAGER_SAMPLES)
		b->us[i] = (double)(bench_now() - began) / 2e3;
}

void manager_push(const struct manager_plan *p, struct manager_board *b, int64_t ns,
		  struct bench_out *out)
{
	unsigned n = manager_share(p);

	bench_push(out, 0, (double)n * p->clients * 1e6 / (double)ns);
	for (unsigned i = 0; i < n && i < MANAGER_SAMPLES; i++)
		bench_push(out, 1, b->us[i]);
}

/* One request, which is a pickle already. */
static void trip(prong_conn *c, const void *data, size_t size)
{
	char answer[512];
	size_t got;

	must(prong_conn_send(c, data, size, PRONG_FOREVER), "prong_conn_send");
	must(prong_conn_recv(c, answer, sizeof answer, &got, PRONG_FOREVER), "prong_conn_recv");
}

static int client(void *arg)
{
	const struct client *me = arg;
	prong_conn *c = dial(me->address);
	size_t put_size, get_size;
	void *put, *get;
	prong_value *v =
		request(prong_value_text(me->ident), "put", tuple(prong_value_int(12345), NULL));

	must(prong_encode(v, PRONG_PICKLE_3, &put, &put_size, NULL), "encode");
	prong_value_free(v);
	v = request(prong_value_text(me->ident), "get", tuple(NULL, NULL));
	must(prong_encode(v, PRONG_PICKLE_3, &get, &get_size, NULL), "encode");
	prong_value_free(v);
	must(prong_conn_send_value(c,
				   request(prong_value_new(PRONG_NONE), "accept_connection",
					   tuple(prong_value_text("bench"), NULL)),
				   PRONG_FOREVER),
	     "accept");
	must(prong_conn_recv_value(c, &v, NULL, PRONG_FOREVER), "accept");
	prong_value_free(v);
	trip(c, put, put_size); /* so that each has one to get at any time */
	manager_meet(me->board);
	for (unsigned i = 0; i < me->n; i++) {
		int64_t began = bench_now();

		trip(c, put, put_size);
		trip(c, get, get_size);
		manager_note(me->board, me->first, i, began);
	}
	free(put);
	free(get);
	prong_conn_free(c);
	return 0;
}

static void measure(const struct manager_plan *p, const char *address, struct bench_out *out)
{
	struct client me = { .n = manager_share(p), .board = prong_calloc(1, sizeof *me.board) };
	prong_process *child[MANAGER_CLIENTS_MOST];
	int64_t t;

	if (!me.board)
		errx(1, "no memory");
	snprintf(me.address, sizeof me.address, "%s", address);
	create(address, me.ident);
	for (unsigned i = 0; i < p->clients; i++) {
		me.first = i == 0;
		must(prong_process_start(&child[i], client, &me, sizeof me, NULL), "start");
	}
	while (atomic_load_explicit(&me.board->ready, memory_order_relaxed) < p->clients)
		bench_sleep_us(50);
	t = bench_now();
	atomic_store_explicit(&me.board->go, 1, memory_order_relaxed);
	for (unsigned i = 0; i < p->clients; i++) {
		must(prong_process_join(child[i], NULL, PRONG_FOREVER), "join");
		prong_process_free(child[i]);
	}
	manager_push(p, me.board, bench_now() - t, out);
	prong_free(me.board);
}

/* --- servers ---------------------------------------------------------------------------- */

static void run_prong(const void *arg, struct bench_out *out)
{
	const prong_manager_opts opts = { .auth = auth, .types = true };
	prong_manager *m;

	must(prong_manager_open(&m, "tcp://127.0.0.1:0", &opts), "prong_manager_open");
	measure(arg, prong_manager_address(m), out);
	prong_manager_close(m);
}

#define IN_PATH "python3"
#define NEWEST \
	"$(ls -d \"${PYENV_ROOT:-$HOME/.pyenv}\"/versions/3.*[0-9]/bin/python 2>/dev/null |" \
	" sort -V | tail -n 1)"

static const char *no_python(void)
{
	return system(IN_PATH " -c 'import multiprocessing' >/dev/null 2>&1")
		       ? "there is no python3 with multiprocessing"
		       : NULL;
}

static const char *no_newest(void)
{
	return system("test -x \"" NEWEST "\"") ? "there is no other Python" : NULL;
}

static void run_python(const void *arg, struct bench_out *out)
{
	const struct manager_plan *p = arg;
	char command[800], address[60];
	int in[2], of[2], pid, port = 0;
	FILE *f;

	if (pipe(in) || pipe(of))
		err(1, "pipe");
	snprintf(command, sizeof command, "exec %s '%s' 2>/dev/null", p->python, BENCH_MANAGER);
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(of[1], 1);
		for (int i = 0; i < 2; i++) {
			close(in[i]);
			close(of[i]);
		}
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(of[1]);
	f = fdopen(of[0], "r");
	if (f && fscanf(f, "%d", &port) == 1) {
		snprintf(address, sizeof address, "tcp://127.0.0.1:%d", port);
		measure(p, address, out);
	}
	close(in[1]);
	waitpid(pid, NULL, 0);
	if (f)
		fclose(f);
}

/* --- the floor -------------------------------------------------------------------------- */

static void move(int fd, bool out)
{
	char data[BYTES] = { 0 };

	for (size_t done = 0; done < sizeof data;) {
		ssize_t n = out ? write(fd, data + done, sizeof data - done)
				: read(fd, data + done, sizeof data - done);

		if (n <= 0)
			err(1, "echo");
		done += (size_t)n;
	}
}

static void tcp_pair(int fds[2])
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t size = sizeof in;
	const int yes = 1;
	int l = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(l, (struct sockaddr *)&in, sizeof in) || listen(l, 1) ||
	    getsockname(l, (struct sockaddr *)&in, &size) ||
	    connect(fds[1], (struct sockaddr *)&in, sizeof in))
		err(1, "connect");
	fds[0] = accept(l, NULL, NULL);
	close(l);
	for (int i = 0; i < 2; i++)
		if (setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes))
			err(1, "TCP_NODELAY");
}

int manager_tcp(int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int yes = 1;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)port);
	if (connect(fd, (struct sockaddr *)&in, sizeof in) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void echo(unsigned n)
{
	int fds[2], pid;

	tcp_pair(fds);
	pid = bench_fork();
	for (unsigned i = 0; i < 2 * n; i++) {
		move(fds[pid == 0], pid != 0);
		move(fds[pid == 0], pid == 0);
	}
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void run_bare(const void *arg, struct bench_out *out)
{
	const struct manager_plan *p = arg;
	unsigned n = manager_share(p);
	int pid[MANAGER_CLIENTS_MOST];
	int64_t t = bench_now();

	for (unsigned i = 0; i < p->clients; i++) {
		pid[i] = bench_fork();
		if (pid[i] == 0) {
			echo(n);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < p->clients; i++)
		waitpid(pid[i], NULL, 0);
	t = bench_now() - t;
	bench_push(out, 0, (double)n * p->clients * 1e6 / (double)t);
	bench_push(out, 1, (double)t / (2e3 * n));
}

/* --- cases ------------------------------------------------------------------------------ */

#define PLAN(clients_, python_) \
	&(const struct manager_plan) \
	{ \
		.clients = clients_, .n = 10000, .python = python_ \
	}
#define PAIRS(clients_) \
	{ \
		.name = "manager-pairs-" #clients_, .reps = 3, \
		.floor = { "bare TCP", run_bare, PLAN(clients_, NULL), false, NULL }, \
		.subjects = { { "prong_manager", run_prong, PLAN(clients_, NULL), true, NULL }, \
			      { "Python, in PATH", run_python, PLAN(clients_, IN_PATH), true, \
				no_python }, \
			      { "Python, the newest", run_python, PLAN(clients_, NEWEST), true, \
				no_newest }, \
			      { "Redis, lists", run_redis, PLAN(clients_, NULL), false, \
				no_redis } }, \
		.metrics = { { "", "k/s", 0, 0 }, \
			     { "trip", "us", 1, 0 }, \
			     { "trip-p99", "us", 1, 0.99 } }, \
		.versus = { \
			{ "prong : best Python", 0, 0, 0, 6, true }, \
			{ "prong : Redis", 0, 0, 0, 8, true } \
		} \
	}

const struct bench_case bench_manager[] = {
	PAIRS(1),
	PAIRS(2),
	PAIRS(8),
	PAIRS(64),
	{ .name = NULL },
};
