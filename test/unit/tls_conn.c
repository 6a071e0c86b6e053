/* A connection with TLS is one as any: messages of all sizes, deadlines, waiting, ends, forks,
   managers. */
#include "certs.h"
#include "wire/net.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define MIB ((size_t)1 << 20)

static void both(prong_conn **a, prong_conn **b)
{
	const prong_auth auth = certs_auth(&certs_good);
	prong_listener *l = raw_listener(&auth);

	raw_meet(l, &auth, a, b);
	prong_listener_close(l);
}

static void drop(prong_conn *a, prong_conn *b)
{
	prong_conn_free(a);
	prong_conn_free(b);
}

/* --- messages ------------------------------------------------------------------------------ */

static unsigned char *pattern(size_t size)
{
	unsigned char *p = malloc(size);

	CHECK(p != NULL);
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)(i * 31 + i / 257);
	return p;
}

static void messages_of_all_sizes(void **state)
{
	static const size_t size[] = { 0, 1, 4091, 4092, 4093, 16384, 16385, 70000, 3 * MIB + 1 };
	unsigned char *data = pattern(4 * MIB), *got = malloc(4 * MIB);
	prong_conn *a, *b;
	size_t n;

	(void)state;
	both(&a, &b);
	CHECK(strncmp(prong_conn_peer(b), "tcp://127.0.0.1:", 16) == 0);
	for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
		int r = prong_conn_send(a, data, size[i], PRONG_NOW);

		for (n = 99; r == PRONG_TIMEDOUT;
		     r = prong_conn_send(a, data, size[i], prong_in_ms(1)))
			CHECK_EQ(prong_conn_recv(b, got, 4 * MIB, &n, PRONG_NOW), PRONG_TIMEDOUT);
		CHECK_OK(r);
		CHECK_OK(prong_conn_recv(b, got, 4 * MIB, &n, soon()));
		CHECK_EQ(n, size[i]);
		CHECK_EQ(memcmp(got, data, n), 0);
	}
	drop(a, b);
	free(data);
	free(got);
}

struct one_way {
	prong_conn *c;
	const unsigned char *data;
	bool sends;
};

#define BIG   (4 * MIB)
#define TIMES 3

static int goes(void *arg)
{
	struct one_way *w = arg;
	unsigned char *got = w->sends ? NULL : malloc(BIG);
	size_t n;

	for (int i = 0; i < TIMES; i++) {
		if (w->sends) {
			CHECK_OK(prong_conn_send(w->c, w->data, BIG, i ? PRONG_FOREVER : soon()));
			continue;
		}
		CHECK_OK(prong_conn_recv(w->c, got, BIG, &n, i ? PRONG_FOREVER : soon()));
		CHECK_EQ(n, BIG);
		CHECK_EQ(memcmp(got, w->data, BIG), 0);
	}
	free(got);
	return 0;
}

static void large_ones_both_ways_at_once(void **state)
{
	unsigned char *data = pattern(BIG);
	prong_thread *t[4];
	prong_conn *c[2];

	(void)state;
	both(&c[0], &c[1]);
	for (int i = 0; i < 4; i++) {
		struct one_way w = { c[i / 2], data, i % 2 };

		t[i] = start_thread(goes, &w, sizeof w);
	}
	for (int i = 0; i < 4; i++)
		CHECK_EQ(end_thread(t[i]), 0);
	drop(c[0], c[1]);
	free(data);
}

/* A part that is made a record cannot be taken back: the same message goes on. */
static void a_send_that_was_cut_short_goes_on(void **state)
{
	unsigned char *data = pattern(64), *got = malloc(64);
	size_t n, sent = 0, came = 0;
	prong_conn *a, *b;

	(void)state;
	both(&a, &b);
	while (prong_conn_send(a, data, 64, PRONG_NOW) == 0)
		sent++;
	CHECK(sent > 100);
	CHECK_EQ(prong_conn_send(a, data, 63, PRONG_NOW), -EBUSY);
	CHECK_EQ(prong_conn_send(a, data, 64, prong_in_ms(5)), PRONG_TIMEDOUT);
	while (came < sent) {
		CHECK_OK(prong_conn_recv(b, got, 64, &n, soon()));
		CHECK_EQ(memcmp(got, data, 64), 0);
		came++;
	}
	CHECK_OK(prong_conn_send(a, data, 64, soon()));
	raw_put(a, "the next");
	CHECK_OK(prong_conn_recv(b, got, 64, &n, soon()));
	CHECK_EQ(n, 64);
	CHECK_EQ(memcmp(got, data, 64), 0);
	raw_expect(b, "the next");
	drop(a, b);
	free(data);
	free(got);
}

static void the_end_is_an_end(void **state)
{
	prong_conn *a, *b;
	char byte;
	int r = 0;

	(void)state;
	both(&a, &b);
	raw_put(a, "last words");
	prong_conn_free(a);
	raw_expect(b, "last words");
	CHECK_EQ(prong_conn_recv(b, &byte, 1, NULL, soon()), PRONG_CLOSED);
	/* no SIGPIPE either, which here would end the test */
	for (int i = 0; i < 1000 && r == 0; i++)
		r = prong_conn_send(b, "x", 1, soon());
	CHECK_EQ(r, PRONG_CLOSED);
	prong_conn_free(b);
}

static int sends_one_later(void *arg)
{
	sleep_ms(20);
	raw_put(*(prong_conn **)arg, "later");
	return 0;
}

static void waiting_sees_all_that_came(void **state)
{
	prong_source s = { 0 };
	struct pollfd p = { .events = POLLIN };
	prong_conn *a, *b;
	prong_thread *t;

	(void)state;
	both(&a, &b);
	s.conn = b;
	p.fd = prong_conn_fd(b);
	CHECK(p.fd >= 0);
	CHECK_EQ(prong_wait(&s, 1, PRONG_NOW), PRONG_TIMEDOUT);
	for (int i = 0; i < 50; i++)
		raw_put(a, "one of many");
	for (int i = 0; i < 50; i++) {
		CHECK_OK(prong_wait(&s, 1, soon()));
		CHECK_EQ(poll(&p, 1, HANG_MS), 1);
		raw_expect(b, "one of many");
	}
	CHECK_EQ(raw_now(b), PRONG_TIMEDOUT);
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(prong_wait(&s, 1, prong_in_ms(1)), PRONG_TIMEDOUT);
	t = start_thread(sends_one_later, &a, sizeof a);
	CHECK_OK(prong_wait(&s, 1, soon()));
	raw_expect(b, "later");
	CHECK_EQ(end_thread(t), 0);
	prong_conn_free(a);
	CHECK_OK(prong_wait(&s, 1, soon()));
	CHECK_EQ(poll(&p, 1, HANG_MS), 1);
	CHECK_EQ(raw_now(b), PRONG_CLOSED);
	prong_conn_free(b);
}

/* Of a record that holds more than one message, as ours never do, the rest is told of. */
static void the_rest_of_a_record_is_told_of(void **state)
{
	const prong_auth auth = certs_auth(&certs_good);
	struct prongi_stream a, b;
	struct prongi_terms terms;
	unsigned char record[2100 + 12 + 5 + 4] = { 0 };
	size_t n;
	int fd[2], r[2] = { PRONG_RUNNING, PRONG_RUNNING };
	struct pollfd p = { .events = POLLIN };

	(void)state;
	CHECK_OK(prongi_terms_make(&terms, &auth, "test"));
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	prongi_stream_init(&a, fd[0], MIB, 512);
	prongi_stream_init(&b, fd[1], MIB, 512);
	CHECK_OK(prongi_tls_new(&a.tls, terms.tls, fd[0], "unix:/nowhere"));
	CHECK_OK(prongi_tls_new(&b.tls, terms.tls, fd[1], NULL));
	while (r[0] == PRONG_RUNNING || r[1] == PRONG_RUNNING) {
		r[0] = prongi_tls_shake(a.tls);
		r[1] = prongi_tls_shake(b.tls);
	}
	CHECK_OK(r[0]);
	CHECK_OK(r[1]);
	n = prongi_frame_head(record, 2100) + 2100;
	n += prongi_frame_head(record + n, 5) + 5;
	CHECK_EQ(prongi_stream_push(&a, record, n), n);
	CHECK_OK(prongi_stream_recv(&b, soon()));
	CHECK_EQ(b.in.size, 2100);
	prongi_stream_take(&b);
	p.fd = fd[1];
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(prongi_inbox_look(&b.in), 0);
	CHECK(prongi_stream_holds(&b));
	CHECK_OK(prongi_stream_recv(&b, PRONG_NOW));
	CHECK_EQ(b.in.size, 5);
	CHECK(!prongi_stream_holds(&b));
	prongi_stream_fini(&a);
	prongi_stream_fini(&b);
	prongi_terms_fini(&terms);
}

/* --- forks --------------------------------------------------------------------------------- */

static int receives(void *arg)
{
	raw_expect(*(prong_conn **)arg, "after the fork");
	return 0;
}

static bool sleeps(void *thread)
{
	return pid_state(prong_thread_id(thread), NULL) == 'S';
}

static void a_forked_child_has_none_of_it(void **state)
{
	prong_conn *a, *b;
	prong_thread *t;
	int status;
	pid_t pid;

	(void)state;
	both(&a, &b);
	t = start_thread(receives, &b, sizeof b);
	CHECK(wait_until(sleeps, t, HANG_MS)); /* no sanitizer's allocator is in between */
	pid = fork();
	if (pid == 0)
		_exit(prong_conn_send(a, "x", 1, PRONG_NOW) != -EINVAL);
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	raw_put(a, "after the fork");
	CHECK_EQ(end_thread(t), 0);
	drop(a, b);
}

/* --- managers ------------------------------------------------------------------------------ */

static int gets_and_puts(void *arg)
{
	prong_queue **q = arg;
	char task[32];
	size_t n;

	for (int i = 0; i < 20; i++) {
		CHECK_OK(prong_queue_get(q[0], task, sizeof task, &n, soon()));
		CHECK_OK(prong_queue_put(q[1], task, n, soon()));
	}
	return 0;
}

static void managers_and_their_clients(void **state)
{
	const prong_manager_opts opts = { .auth = certs_auth(&certs_good), .types = true };
	prong_manager_stats stats;
	prong_queue *tasks = NULL, *results = NULL, *far[2] = { NULL, NULL };
	prong_manager *m = NULL;
	prong_remote *there = NULL;
	prong_proxy *dict = NULL;
	prong_value *v = NULL;
	unsigned char *data = pattern(2 * MIB);
	prong_auth plain = raw_auth();
	prong_thread *t;
	char text[32];
	size_t n;

	(void)state;
	CHECK_OK(prong_queue_new(&tasks, NULL));
	CHECK_OK(prong_queue_new(&results, NULL));
	CHECK_OK(prong_manager_open(&m, "tcp://127.0.0.1:0", &opts));
	CHECK_OK(prong_manager_share_queue(m, "tasks", tasks));
	CHECK_OK(prong_manager_share_queue(m, "results", results));
	CHECK_OK(prong_remote_open(&there, prong_manager_address(m), &opts.auth, soon()));
	CHECK_OK(prong_remote_queue(there, "tasks", &far[0], soon()));
	CHECK_OK(prong_remote_queue(there, "results", &far[1], soon()));
	t = start_thread(gets_and_puts, far, sizeof far);
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof text, "task %d", i);
		CHECK_OK(prong_queue_put(tasks, text, strlen(text), soon()));
	}
	for (int i = 0; i < 20; i++) {
		char want[32];

		snprintf(want, sizeof want, "task %d", i);
		CHECK_OK(prong_queue_get_value(results, &v, NULL, soon()));
		CHECK_STR(prong_value_data(v, NULL), want);
		prong_value_free(v);
	}
	CHECK_EQ(end_thread(t), 0);
	/* a large value there, and back */
	CHECK_OK(prong_remote_make(there, "dict", prong_args(0), &dict, soon()));
	CHECK_OK(prong_proxy_call(dict, "__setitem__",
				  prong_args(2, prong_value_text("big"),
					     prong_value_bytes(PRONG_BYTES, data, 2 * MIB)),
				  NULL, soon()));
	CHECK_OK(prong_proxy_call(dict, "get", prong_args(1, prong_value_text("big")), &v, soon()));
	CHECK(memcmp(prong_value_data(v, &n), data, 2 * MIB) == 0);
	CHECK_EQ(n, 2 * MIB);
	prong_value_free(v);
	prong_proxy_free(dict);
	prong_queue_free(far[0]);
	prong_queue_free(far[1]);
	prong_remote_close(there);
	there = NULL;
	CHECK_EQ(prong_remote_open(&there, prong_manager_address(m), &plain, prong_in_ms(50)),
		 PRONG_TIMEDOUT);
	CHECK(strstr(prong_error_detail(), "TLS") != NULL);
	prong_manager_stat(m, &stats);
	CHECK_EQ(stats.broken, 0);
	prong_manager_close(m);
	prong_queue_free(tasks);
	prong_queue_free(results);
	free(data);
}

/* A request as Python's, and its answer. */
static void ask(prong_conn *c, prong_value *first, const char *what, prong_value *args)
{
	prong_value *v =
		prong_args(4, first, prong_value_text(what), args, prong_value_new(PRONG_DICT));

	CHECK_OK(prong_conn_send_value(c, v, soon()));
}

static prong_value *hear(prong_conn *c)
{
	prong_value *v = NULL;

	CHECK_OK(prong_conn_recv_value(c, &v, NULL, soon()));
	CHECK_STR(prong_value_data(prong_value_at(v, 0), NULL), "#RETURN");
	return v;
}

struct figure {
	prong_manager *m;
	uint64_t calls, returned;
};

static bool is_so(void *arg)
{
	const struct figure *f = arg;
	prong_manager_stats s;

	prong_manager_stat(f->m, &s);
	return s.calls == f->calls && s.returned == f->returned;
}

/* Ask for a message of the queue, and hang up when the answer has come, read or not. */
static void takes_one(struct figure *f, const char *ident, bool reads)
{
	const prong_auth auth = certs_auth(&certs_good);
	prong_conn *c = NULL;

	CHECK_OK(prong_connect(&c, prong_manager_address(f->m), &auth, soon()));
	ask(c, prong_value_new(PRONG_NONE), "accept_connection",
	    prong_args(1, prong_value_text("a client")));
	prong_value_free(hear(c));
	ask(c, prong_value_text(ident), "get", prong_args(0));
	if (reads)
		prong_value_free(hear(c));
	f->calls += 2;
	CHECK(wait_until(is_so, f, HANG_MS));
	prong_conn_free(c);
}

/* By how a connection ends a manager knows whether its answer was read: TLS leaves nothing unread,
   and says nothing at the end. */
static void what_was_not_read_comes_back(void **state)
{
	const prong_manager_opts opts = { .auth = certs_auth(&certs_good) };
	struct figure f = { NULL, 0, 0 };
	prong_queue *q = NULL;
	prong_conn *c = NULL;
	prong_value *v;
	char ident[17];
	int64_t n = 0;

	(void)state;
	CHECK_OK(prong_queue_new(&q, NULL));
	CHECK_OK(prong_manager_open(&f.m, "tcp://127.0.0.1:0", &opts));
	CHECK_OK(prong_manager_share_queue(f.m, "q", q));
	for (int i = 1; i <= 2; i++)
		CHECK_OK(prong_queue_put_value(q, prong_value_int(i), soon()));
	CHECK_OK(prong_connect(&c, prong_manager_address(f.m), &opts.auth, soon()));
	ask(c, prong_value_new(PRONG_NONE), "create", prong_args(1, prong_value_text("q")));
	v = hear(c);
	snprintf(ident, sizeof ident, "%s",
		 prong_value_data(prong_value_at(prong_value_at(v, 1), 0), NULL));
	prong_value_free(v);
	prong_conn_free(c);
	f.calls = 1;
	takes_one(&f, ident, false);
	f.returned = 1;
	CHECK(wait_until(is_so, &f, HANG_MS));
	takes_one(&f, ident, true);
	CHECK_OK(prong_queue_get_value(q, &v, NULL, soon()));
	CHECK_OK(prong_value_as_int(v, &n));
	CHECK_EQ(n, 2);
	prong_value_free(v);
	prong_manager_close(f.m);
	CHECK_EQ(prong_queue_size(q), 0);
	prong_queue_free(q);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(messages_of_all_sizes),
		CASE(large_ones_both_ways_at_once),
		CASE(a_send_that_was_cut_short_goes_on),
		CASE(the_end_is_an_end),
		CASE(waiting_sees_all_that_came),
		CASE(the_rest_of_a_record_is_told_of),
		CASE(a_forked_child_has_none_of_it),
		CASE(managers_and_their_clients),
		CASE(what_was_not_read_comes_back),
	};
	int failed;

	test_begin(argc, argv, TEST_OPENED, NULL);
	certs_make();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	certs_remove();
	return test_end(failed);
}
