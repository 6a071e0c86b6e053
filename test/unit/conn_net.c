/* Network connections as conn.h has them: what a deadline cuts short goes on, what comes is
   believed as far as it has come, and who is cancelled waits no more. */
#include "raw.h"
#include "wire/net.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define MIB ((size_t)1 << 20)

static unsigned char *pattern(size_t size)
{
	unsigned char *p = malloc(size);

	CHECK(p != NULL);
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)(i * 31 + i / 257);
	return p;
}

static void both(prong_conn **a, prong_conn **b)
{
	prong_listener *l = raw_listener(NULL);

	raw_meet(l, NULL, a, b);
	prong_listener_close(l);
}

static void drop(prong_conn *a, prong_conn *b)
{
	prong_conn_free(a);
	prong_conn_free(b);
}

/* --- messages ------------------------------------------------------------------------------ */

static void what_does_not_fit_stays(void **state)
{
	prong_conn *a, *b;
	char buf[16];
	size_t n = 7;

	(void)state;
	both(&a, &b);
	raw_put(a, "twelve bytes");
	raw_put(a, "");
	CHECK_EQ(prong_conn_recv(b, buf, 11, &n, soon()), -EMSGSIZE);
	CHECK_EQ(prong_conn_recv(b, buf, 16, NULL, soon()), -EMSGSIZE);
	CHECK_EQ(prong_conn_recv(b, NULL, 0, &n, soon()), -EMSGSIZE);
	CHECK_EQ(n, 7);
	CHECK_OK(prong_conn_recv(b, buf, 12, NULL, soon()));
	CHECK_EQ(memcmp(buf, "twelve bytes", 12), 0);
	CHECK_OK(prong_conn_recv(b, NULL, 0, NULL, soon()));
	drop(a, b);
}

static void bad_arguments(void **state)
{
	prong_conn *a, *b;
	char buf[16];
	size_t n;
	void *block = buf;

	(void)state;
	both(&a, &b);
	CHECK_EQ(prong_conn_send(a, NULL, 1, PRONG_NOW), -EFAULT);
	CHECK_EQ(prong_conn_send(a, buf, SIZE_MAX, PRONG_NOW), -ENOMEM);
	CHECK_EQ(prong_conn_recv(a, NULL, 1, &n, PRONG_NOW), -EFAULT);
	CHECK_EQ(prong_conn_recv_take(a, NULL, &n, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_conn_recv_take(a, &block, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_conn_recv_take(a, &block, &n, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK(block == buf);
	CHECK_EQ(prong_conn_send_fd(a, 0, PRONG_NOW), -ENOTSUP);
	CHECK_EQ(prong_conn_recv_fd(a, &(int){ 0 }, PRONG_NOW), -ENOTSUP);
	CHECK_EQ(prong_conn_give(a, prong_process_self()), -ENOTSUP);
	prong_conn_free(a);
	CHECK_EQ(prong_conn_send(a, buf, 1, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_conn_recv(a, buf, 1, &n, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_conn_fd(a), -EINVAL);
	CHECK(prong_conn_peer(a) == NULL);
	prong_conn_free(a);
	CHECK_EQ(prong_conn_send((prong_conn *)((char *)b + 1), buf, 1, PRONG_NOW), -EINVAL);
	prong_conn_free(b);
}

static void take_into_the_heap(void **state)
{
	const size_t size[] = { 0, 1, 70000, 5 * MIB };
	struct {
		void *block;
	} *h = shared(sizeof *h);
	prong_conn *a, *b;

	(void)state;
	for (int i = 0; i < 8; i++) {
		unsigned char *data = pattern(size[i / 2]);
		void *block = NULL, **where = i % 2 ? &h->block : &block;
		size_t n;

		both(&a, &b);
		if (size[i / 2] < MIB)
			CHECK_OK(prong_conn_send(a, data, size[i / 2], soon()));
		else /* more than fits under way */
			CHECK_EQ(prong_conn_send(a, data, size[i / 2], PRONG_NOW), PRONG_TIMEDOUT);
		while (size[i / 2] >= MIB &&
		       prong_conn_send(a, data, size[i / 2], prong_in_ms(1)) == PRONG_TIMEDOUT)
			CHECK_EQ(prong_conn_recv_take(b, where, &n, PRONG_NOW), PRONG_TIMEDOUT);
		CHECK_OK(prong_conn_recv_take(b, where, &n, soon()));
		CHECK_EQ(n, size[i / 2]);
		CHECK(prong_shared(*where, n ? n : 1));
		CHECK_EQ(memcmp(*where, data, n), 0);
		prong_free(*where);
		h->block = NULL;
		free(data);
		drop(a, b);
	}
	prong_free(h);
}

static int reads_all(void *arg)
{
	prong_conn *c = *(prong_conn **)arg;
	unsigned char *want = pattern(20 * MIB), *got = malloc(20 * MIB);

	for (int i = 0; i < 3; i++) {
		memset(got, 0, 20 * MIB);
		CHECK_OK(prong_conn_recv(c, got, 20 * MIB, NULL, soon()));
		CHECK_EQ(memcmp(got, want, 20 * MIB), 0);
		CHECK_OK(prong_conn_send(c, "", 0, soon()));
	}
	free(want);
	free(got);
	return 0;
}

static void twenty_mib(void **state)
{
	unsigned char *data = pattern(20 * MIB);
	prong_conn *a, *b;
	prong_thread *t;

	(void)state;
	both(&a, &b);
	t = start_thread(reads_all, &b, sizeof b);
	for (int i = 0; i < 3; i++) {
		int r = prong_conn_send(a, data, 20 * MIB, i ? PRONG_FOREVER : soon());

		CHECK_OK(r);
		CHECK_OK(prong_conn_recv(a, NULL, 0, NULL, PRONG_FOREVER));
	}
	CHECK_EQ(end_thread(t), 0);
	free(data);
	drop(a, b);
}

enum {
	SENDERS = 4,
	EACH = 500
};

struct numbered {
	int sender, n;
	char fill[200];
};

static int sends_numbered(void *arg)
{
	struct {
		prong_conn *c;
		int sender;
	} *a = arg;
	struct numbered m = { .sender = a->sender };

	for (m.n = 0; m.n < EACH; m.n++)
		CHECK_OK(prong_conn_send(a->c, &m, 8 + (size_t)(m.n % 200), soon()));
	return 0;
}

/* Those who send at once take turns, and so do those who receive. */
static void many_senders(void **state)
{
	struct {
		prong_conn *c;
		int sender;
	} arg;
	int next[SENDERS] = { 0 };
	prong_thread *t[SENDERS];
	prong_conn *a, *b;

	(void)state;
	both(&a, &b);
	for (int i = 0; i < SENDERS; i++) {
		arg.c = a;
		arg.sender = i;
		t[i] = start_thread(sends_numbered, &arg, sizeof arg);
	}
	for (int i = 0; i < SENDERS * EACH; i++) {
		struct numbered m;
		size_t n;

		CHECK_OK(prong_conn_recv(b, &m, sizeof m, &n, soon()));
		CHECK(m.sender >= 0 && m.sender < SENDERS);
		CHECK_EQ(m.n, next[m.sender]++);
		CHECK_EQ(n, 8 + m.n % 200);
	}
	for (int i = 0; i < SENDERS; i++)
		CHECK_EQ(end_thread(t[i]), 0);
	drop(a, b);
}

/* --- cut short ------------------------------------------------------------------------------- */

static void a_receive_goes_on(void **state)
{
	static const char bytes[] = "\0\0\0\x05hello\0\0\0\0\0\0\0\x02hi";
	prong_conn *c;
	int fd;

	(void)state;
	c = raw_pair(NULL, &fd);
	for (size_t i = 0; i < sizeof bytes - 1; i++) {
		if (i != 9 && i != 13)
			CHECK_EQ(raw_now(c), PRONG_TIMEDOUT);
		raw_write(fd, bytes + i, 1);
		if (i == 8)
			raw_expect(c, "hello");
		if (i == 12)
			raw_expect(c, "");
	}
	raw_expect(c, "hi");
	CHECK_EQ(raw_now(c), PRONG_TIMEDOUT);
	close(fd);
	CHECK_EQ(prong_conn_recv(c, NULL, 0, NULL, soon()), PRONG_CLOSED);
	prong_conn_free(c);
}

static void a_send_goes_on_with_the_same(void **state)
{
	const size_t size = 8 * MIB;
	unsigned char *data = pattern(size), *got = malloc(size + 4);
	prong_conn *c;
	size_t done = 0;
	int fd, r = PRONG_TIMEDOUT;

	(void)state;
	c = raw_pair(NULL, &fd);
	CHECK_EQ(prong_conn_send(c, data, size, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK(strstr(prong_error_detail(), "the same message again") != NULL);
	CHECK_EQ(prong_conn_send(c, "other", 5, PRONG_FOREVER), -EBUSY);
	while (r == PRONG_TIMEDOUT) {
		ssize_t n = recv(fd, got + done, size + 4 - done, 0);

		CHECK(n > 0);
		done += n > 0 ? (size_t)n : 0;
		r = prong_conn_send(c, data, size, PRONG_NOW);
	}
	CHECK_OK(r);
	raw_read(fd, got + done, size + 4 - done);
	CHECK_EQ(memcmp(got, "\0\x80\0\0", 4), 0);
	CHECK_EQ(memcmp(got + 4, data, size), 0);
	CHECK_OK(prong_conn_send(c, "other", 5, PRONG_NOW));
	raw_read(fd, got, 9);
	CHECK_EQ(memcmp(got, "\0\0\0\5other", 9), 0);
	close(fd);
	prong_conn_free(c);
	free(data);
	free(got);
}

/* --- what is not believed ------------------------------------------------------------------ */

static void an_announced_length_costs_nothing(void **state)
{
	prong_auth auth = raw_auth();
	size_t before;
	prong_conn *c;
	char byte;
	int fd;

	(void)state;
	auth.message_max = (size_t)5 << 30;
	c = raw_pair(&auth, &fd);
	before = rss(getpid());
	raw_head(fd, (int64_t)4 << 30);
	raw_write(fd, "some", 4);
	CHECK_EQ(prong_conn_recv(c, &byte, 1, NULL, prong_in_ms(10)), -EMSGSIZE);
	CHECK_EQ(prong_conn_recv_take(c, &(void *){ NULL }, &before, prong_in_ms(10)),
		 PRONG_TIMEDOUT);
	CHECK(rss(getpid()) < before + MIB);
	close(fd);
	CHECK_EQ(prong_conn_recv_take(c, &(void *){ NULL }, &before, soon()), PRONG_CLOSED);
	CHECK(strstr(prong_error_detail(), "16 bytes of 4294967308") != NULL);
	prong_conn_free(c);
}

static void nonsense_ends_it(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		int r;
	} t[] = {
		{ "\xff\xff\xff\xfe", 4, -EPROTO },
		{ "\xff\xff\xff\xff\xff\0\0\0\0\0\0\0", 12, -EPROTO },
		{ "\0\0\x04\x01", 4, -EFBIG },
		{ "\xff\xff\xff\xff\0\0\0\1\0\0\0\0", 12, -EFBIG },
		{ "\0\0\0\x09"
		  "12345678",
		  12, PRONG_CLOSED },
		{ "\0\0", 2, PRONG_CLOSED },
		{ "", 0, PRONG_CLOSED },
	};
	prong_auth auth = raw_auth();

	(void)state;
	auth.message_max = 1024;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		char buf[2000] = "untouched";
		prong_conn *c;
		int fd;

		c = raw_pair(&auth, &fd);
		raw_write(fd, t[i].bytes, t[i].n);
		close(fd);
		for (int k = 0; k < 2; k++) {
			size_t n = 9;

			CHECK_EQ(prong_conn_recv(c, buf, sizeof buf, &n, soon()), t[i].r);
			CHECK_EQ(n, 9);
			CHECK_STR(buf, "untouched");
		}
		prong_conn_free(c);
	}
}

/* What came before the nonsense is good. */
static void what_came_before_is_good(void **state)
{
	prong_conn *c;
	int fd;

	(void)state;
	c = raw_pair(NULL, &fd);
	raw_write(fd, "\0\0\0\2ok\x80\0\0\0", 10);
	raw_expect(c, "ok");
	CHECK_EQ(prong_conn_recv(c, NULL, 0, NULL, soon()), -EPROTO);
	CHECK_OK(prong_conn_send(c, "we may still talk", 17, PRONG_NOW));
	close(fd);
	prong_conn_free(c);
}

/* --- waiting --------------------------------------------------------------------------------- */

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Also for messages that were read together with one that was received. */
static void it_is_polled(void **state)
{
	prong_conn *c;
	int fd, poll_fd;

	(void)state;
	c = raw_pair(NULL, &fd);
	raw_write(fd, "\0\0\0\1a\0\0\0\1b\0\0\0\1c\0\0", 17);
	raw_expect(c, "a");
	poll_fd = prong_conn_fd(c);
	CHECK(poll_fd >= 0);
	CHECK_EQ(prong_conn_fd(c), poll_fd);
	CHECK(readable(poll_fd, 0));
	raw_expect(c, "b");
	CHECK(readable(poll_fd, 0));
	raw_expect(c, "c");
	CHECK_EQ(raw_now(c), PRONG_TIMEDOUT);
	CHECK(!readable(poll_fd, 0));
	raw_write(fd, "\0\1d", 3);
	CHECK(readable(poll_fd, HANG_MS));
	raw_expect(c, "d");
	CHECK(!readable(poll_fd, 0));
	close(fd);
	CHECK(readable(poll_fd, HANG_MS));
	CHECK_EQ(raw_now(c), PRONG_CLOSED);
	CHECK(readable(poll_fd, 0));
	prong_conn_free(c);
}

static int sets_later(void *event)
{
	sleep_ms(10);
	prong_event_set(event);
	return 0;
}

/* Together with all else, and not before a message is whole. */
static void one_of_many_sources(void **state)
{
	prong_event *event = shared(sizeof *event);
	prong_conn *c, *pipe_a, *pipe_b;
	prong_thread *t;
	struct pollfd p;
	int fd;

	(void)state;
	CHECK_OK(prong_pipe(&pipe_a, &pipe_b, NULL));
	c = raw_pair(NULL, &fd);
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	for (int kind = 0; kind < 4; kind++) {
		prong_source s[] = {
			{ .conn = c }, { .conn = pipe_a }, { .event = event }, { .fd = &p }
		};
		size_t n = kind == 0 ? 1 : kind == 1 ? 2 : kind == 2 ? 3 : 4;

		CHECK_EQ(prong_wait(s, n, PRONG_NOW), PRONG_TIMEDOUT);
		raw_write(fd, "\0\0\0\2h", 5);
		CHECK_EQ(prong_wait(s, n, prong_in_ms(5)), PRONG_TIMEDOUT);
		if (n > 2) {
			t = start_thread(sets_later, event, 0);
			CHECK_OK(prong_wait(s, n, soon()));
			CHECK(s[2].ready && !s[0].ready);
			CHECK_EQ(end_thread(t), 0);
			prong_event_clear(event);
		}
		raw_write(fd, "i", 1);
		CHECK_OK(prong_wait(s, n, soon()));
		CHECK(s[0].ready && !s[1].ready);
		raw_expect(c, "hi");
		CHECK_EQ(prong_wait(s, n, PRONG_NOW), PRONG_TIMEDOUT);
		if (n > 1) {
			CHECK_OK(prong_conn_send(pipe_b, "x", 1, PRONG_NOW));
			CHECK_OK(prong_wait(s, n, soon()));
			CHECK(s[1].ready && !s[0].ready);
			raw_expect(pipe_a, "x");
		}
	}
	close(fd);
	CHECK_OK(prong_wait(&(prong_source){ .conn = c }, 1, soon()));
	CHECK_EQ(raw_now(c), PRONG_CLOSED);
	prong_conn_free(c);
	drop(pipe_a, pipe_b);
	prong_free(event);
}

/* A connection with little patience, and its other end. */
static prong_conn *impatient(int *other)
{
	static const prong_auth auth = { .key = "sixteen bytes...", .key_size = 16 };
	struct prongi_place place = { .at = { .ss_family = AF_UNIX } };
	struct prongi_terms terms;
	struct prongi_stream s;
	prong_conn *c;
	int fd[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	*other = fd[1];
	prongi_stream_init(&s, fd[0], MIB, 4096);
	s.grace_ns = 20 * 1000000;
	CHECK_OK(prongi_terms_make(&terms, &auth, "test"));
	CHECK_OK(prongi_conn_make(&c, &s, &terms, true, &place, "test"));
	prongi_terms_fini(&terms);
	return c;
}

/* Half a message is not waited for longer than a receive would: by nobody. */
static void a_slow_message_wakes_all(void **state)
{
	static const char bytes[] = "\0\0\0\2ok\0\0\0\7h";

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		int fd, poll_fd = -1;
		prong_conn *c = impatient(&fd);
		prong_source s = { .conn = c };

		if (kind == 2)
			CHECK((poll_fd = prong_conn_fd(c)) >= 0);
		raw_write(fd, bytes, sizeof bytes - 1);
		raw_expect(c, "ok");
		if (kind == 3)
			CHECK((poll_fd = prong_conn_fd(c)) >= 0);
		if (kind == 0)
			CHECK_OK(prong_wait(&s, 1, soon()));
		if (kind == 1) {
			CHECK_EQ(prong_wait(&s, 1, prong_in_ms(1)), PRONG_TIMEDOUT);
			CHECK_OK(prong_wait(&s, 1, soon()));
		}
		if (kind >= 2) {
			CHECK_EQ(raw_now(c), PRONG_TIMEDOUT);
			CHECK(readable(poll_fd, HANG_MS));
		}
		CHECK_EQ(raw_now(c), -ETIMEDOUT);
		CHECK(strstr(prong_error_detail(), "5 bytes of 11") != NULL);
		CHECK_EQ(prong_conn_recv(c, NULL, 0, NULL, PRONG_NOW), -ETIMEDOUT);
		CHECK(kind < 2 || readable(poll_fd, 0));
		CHECK_OK(prong_wait(&s, 1, PRONG_NOW));
		close(fd);
		prong_conn_free(c);
	}
}

struct waits {
	prong_conn *c;
	prong_listener *l;
	char address[64];
	atomic_int *waits;
	int kind;
};

static int is_cancelled(void *arg)
{
	struct waits *w = arg;
	const prong_auth auth = raw_auth();
	unsigned char *data = pattern(8 * MIB);
	prong_conn *c;
	char byte;
	int r = 0;

	atomic_store(w->waits, 1);
	if (w->kind == 0)
		r = prong_conn_recv(w->c, &byte, 1, NULL, PRONG_FOREVER);
	if (w->kind == 1)
		r = prong_conn_send(w->c, data, 8 * MIB, PRONG_FOREVER);
	if (w->kind == 2)
		r = prong_listener_accept(w->l, &c, PRONG_FOREVER);
	if (w->kind == 3)
		r = prong_connect(&c, w->address, &auth, PRONG_FOREVER);
	if (w->kind == 4)
		r = prong_wait(&(prong_source){ .conn = w->c }, 1, PRONG_FOREVER);
	free(data);
	CHECK_EQ(r, PRONG_CANCELLED);
	return 0;
}

static void who_is_cancelled_waits_no_more(void **state)
{
	atomic_int *waits = shared(sizeof *waits);
	struct waits w = { .waits = waits };
	prong_group *g;
	prong_thread *t;
	int fd, silent;

	(void)state;
	w.c = raw_pair(NULL, &fd);
	w.l = raw_listener(NULL);
	silent = raw_listen(w.address);
	for (w.kind = 0; w.kind < 5; w.kind++) {
		atomic_store(waits, 0);
		CHECK_OK(prong_group_open(&g, NULL));
		CHECK_OK(prong_thread_start(&t, is_cancelled, &w, sizeof w,
					    &(prong_thread_opts){ .group = g }));
		CHECK(wait_for(waits, 1));
		sleep_ms(w.kind % 2 ? 5 : 0); /* in the call, or just before */
		CHECK_OK(prong_group_close(g));
	}
	close(silent);
	close(fd);
	prong_conn_free(w.c);
	prong_listener_close(w.l);
	prong_free(waits);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(what_does_not_fit_stays),
		CASE(bad_arguments),
		CASE(take_into_the_heap),
		CASE(twenty_mib),
		CASE(many_senders),
		CASE(a_receive_goes_on),
		CASE(a_send_goes_on_with_the_same),
		CASE(an_announced_length_costs_nothing),
		CASE(nonsense_ends_it),
		CASE(what_came_before_is_good),
		CASE(it_is_polled),
		CASE(one_of_many_sources),
		CASE(a_slow_message_wakes_all),
		CASE(who_is_cancelled_waits_no_more),
	};

	test_begin(argc, argv, TEST_OPENED, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
