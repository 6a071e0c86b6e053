/* Pipes: descriptors that travel and that can be polled, threads, and what may be done wrong. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

static void make(prong_conn **a, prong_conn **b)
{
	CHECK_OK(prong_pipe(a, b, NULL));
}

static void make_one_way(prong_conn **a, prong_conn **b)
{
	CHECK_OK(prong_pipe(a, b, &(prong_pipe_opts){ .one_way = true }));
}

static void drop(prong_conn *a, prong_conn *b)
{
	prong_conn_free(a);
	prong_conn_free(b);
}

static void put(prong_conn *c, const char *text)
{
	CHECK_OK(prong_conn_send(c, text, strlen(text), soon()));
}

static void expect(prong_conn *c, const char *text)
{
	char buf[256];
	size_t n = 999;

	CHECK_OK(prong_conn_recv(c, buf, sizeof buf - 1, &n, soon()));
	buf[n] = '\0';
	CHECK_STR(buf, text);
}

static int now(prong_conn *c)
{
	char byte[64];
	size_t n = 999;
	int r = prong_conn_recv(c, byte, sizeof byte, &n, PRONG_NOW);

	CHECK(r == 0 || n == 999);
	return r;
}

/* A process that has end c, which it owns; it may have ended already. */
static prong_process *give_to(prong_conn *c, prong_fn *fn)
{
	prong_process *p = start(fn, c, 0);
	int r = prong_conn_give(c, p);

	CHECK(r == 0 || r == -ESRCH);
	return p;
}

static int says_hello(void *arg)
{
	put(arg, "hello");
	return 0;
}

/* --- descriptors --------------------------------------------------------------------------- */

static int sends_a_file(void *arg)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	put(arg, "before");
	CHECK_OK(prong_conn_send_fd(arg, fd, soon()));
	put(arg, "after");
	close(fd);
	return 0;
}

static void a_descriptor_travels(void **state)
{
	prong_conn *a, *b;
	struct stat got, want;
	int fd = -1;
	prong_process *p;

	(void)state;
	make(&a, &b);
	p = give_to(b, sends_a_file);
	CHECK_EQ(prong_conn_recv_fd(a, &fd, soon()), -EBADMSG);
	expect(a, "before");
	while (now(a) == PRONG_TIMEDOUT)
		sleep_ms(1);
	CHECK_EQ(now(a), -EBADMSG);
	CHECK_EQ(fd, -1);
	CHECK_OK(prong_conn_recv_fd(a, &fd, PRONG_NOW));
	CHECK_EQ(fstat(fd, &got), 0);
	CHECK_EQ(stat("/dev/null", &want), 0);
	CHECK(got.st_rdev == want.st_rdev && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	close(fd);
	expect(a, "after");
	CHECK_EQ(end(p), 0);
	prong_conn_free(a);
}

static int receives_a_file(void *arg)
{
	int fd;

	CHECK_OK(prong_conn_recv_fd(arg, &fd, soon()));
	CHECK_EQ(write(fd, "x", 1), 1);
	return 0;
}

static void a_descriptor_is_waited_for(void **state)
{
	int n = scaled(50);

	(void)state;
	for (int i = 0; i < n; i++) {
		prong_conn *a, *b;
		prong_process *p;
		int ends[2];
		char c;

		make(&a, &b);
		CHECK_EQ(pipe(ends), 0);
		p = give_to(b, receives_a_file);
		CHECK_OK(prong_conn_send_fd(a, ends[1], soon()));
		close(ends[1]);
		CHECK_EQ(read(ends[0], &c, 1), 1);
		CHECK_EQ(read(ends[0], &c, 1), 0); /* the child's copy was the last */
		close(ends[0]);
		CHECK_EQ(end(p), 0);
		prong_conn_free(a);
	}
}

static void a_descriptor_nobody_wants(void **state)
{
	prong_conn *a, *b;
	prong_process *p;
	int fd = -1;

	(void)state;
	make(&a, &b);
	CHECK_EQ(prong_conn_send_fd(a, 0, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_conn_send_fd(a, 0, prong_in_ms(20)), PRONG_TIMEDOUT);
	CHECK_EQ(now(b), PRONG_TIMEDOUT); /* it is not under way */
	CHECK_EQ(prong_conn_recv_fd(b, &fd, prong_in_ms(20)), PRONG_TIMEDOUT);
	CHECK_EQ(prong_conn_send_fd(a, 999, PRONG_NOW), -EBADF);
	CHECK_EQ(prong_conn_recv_fd(b, NULL, PRONG_NOW), -EFAULT);
	p = give_to(b, body_sleep);
	CHECK_OK(prong_process_signal(p, SIGKILL));
	CHECK_EQ(prong_conn_send_fd(a, 0, soon()), PRONG_CLOSED);
	CHECK_EQ(prong_conn_recv_fd(a, &fd, soon()), PRONG_CLOSED);
	CHECK_EQ(fd, -1);
	CHECK_EQ(end(p), -SIGKILL);
	prong_conn_free(a);
}

static int offers_a_descriptor(void *arg)
{
	return prong_conn_send_fd(arg, 0, soon());
}

static int wants_a_descriptor(void *arg)
{
	int fd = -1, r = prong_conn_recv_fd(arg, &fd, soon());

	CHECK(r || fd >= 0);
	return r;
}

static bool asleep(void *tid)
{
	for (int i = 0; i < 5; i++) {
		if (pid_state(*(pid_t *)tid, NULL) != 'S')
			return false;
		sleep_ms(2);
	}
	return true;
}

/* The end is freed under him who offers one there, or wants one; with or without the other end. */
static void freed_under_who_sleeps_for_a_descriptor(void **state)
{
	prong_fn *const sleeper[] = { offers_a_descriptor, wants_a_descriptor };

	(void)state;
	for (int i = 0; i < 4; i++) {
		prong_conn *a, *b;
		prong_thread *t;
		pid_t tid;

		make(&a, &b);
		t = start_thread(sleeper[i % 2], a, 0);
		tid = (pid_t)prong_thread_id(t);
		CHECK(wait_until(asleep, &tid, HANG_MS));
		prong_conn_free(a);
		if (i / 2)
			prong_conn_free(b);
		CHECK_EQ(end_thread(t), PRONG_CLOSED);
		if (!(i / 2))
			prong_conn_free(b);
	}
}

/* --- the pollable descriptor --------------------------------------------------------------- */

static int polled(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = poll(&p, 1, ms);

	CHECK(n >= 0);
	return n;
}

static bool silent(void *arg)
{
	return polled(*(int *)arg, 0) == 0;
}

static void poll_a_connection(void **state)
{
	prong_conn *a, *b;
	prong_process *p;
	int fd;

	(void)state;
	make(&a, &b);
	fd = prong_conn_fd(a);
	CHECK(fd >= 0);
	CHECK_EQ(prong_conn_fd(a), fd);
	CHECK_EQ(polled(fd, 0), 0);
	put(b, "1");
	put(b, "2");
	CHECK_EQ(polled(fd, HANG_MS), 1);
	expect(a, "1");
	CHECK_EQ(polled(fd, HANG_MS), 1);
	expect(a, "2");
	CHECK(wait_until(silent, &fd, HANG_MS));
	p = give_to(b, says_hello);
	CHECK_EQ(polled(fd, HANG_MS), 1);
	expect(a, "hello");
	CHECK_EQ(end(p), 0);
	CHECK_EQ(polled(fd, HANG_MS), 1);
	CHECK_EQ(now(a), PRONG_CLOSED);
	prong_conn_free(a);
	CHECK(fcntl(fd, F_GETFD) < 0);
}

struct watched {
	prong_conn *c;
	bool frees;
	atomic_int watches;
};

static int watches(void *arg)
{
	struct watched *w = arg;
	struct pollfd fd = { .fd = prong_conn_fd(w->c), .events = POLLIN };

	CHECK(fd.fd >= 0);
	atomic_store(&w->watches, 1);
	CHECK_EQ(poll(&fd, 1, HANG_MS), 1);
	CHECK_EQ(now(w->c), -EINVAL);
	if (w->frees)
		prong_conn_free(w->c);
	return 0;
}

/* Another process has the descriptor: it is told, and the pipe stays until it has let go. */
static void freed_while_another_process_watches(void **state)
{
	struct watched *w = shared(sizeof *w);
	prong_conn *other;
	prong_process *p;

	(void)state;
	for (int i = 0; i < 4; i++) {
		*w = (struct watched){ .frees = i & 1 };
		make(&w->c, &other);
		p = start(watches, w, 0);
		CHECK(wait_for(&w->watches, 1));
		prong_conn_free(w->c);
		if (i & 2)
			prong_conn_free(other);
		CHECK_EQ(end(p), 0);
		if (!(i & 2))
			prong_conn_free(other);
		for (int k = 0; k < 2 && !w->frees; k++) { /* it goes with the next ones */
			prong_conn *a, *b;

			make(&a, &b);
			drop(a, b);
		}
	}
	prong_free(w);
}

/* Descriptors of more connections than a slot names by itself. */
static void many_descriptors(void **state)
{
	prong_conn *a[20], *b[20];

	(void)state;
	for (int i = 0; i < 20; i++) {
		make(&a[i], &b[i]);
		CHECK(prong_conn_fd(a[i]) >= 0);
	}
	for (int i = 0; i < 20; i++)
		drop(i % 2 ? a[i] : b[i], i % 2 ? b[i] : a[i]);
}

/* --- prong_wait() ---------------------------------------------------------------------------- */

struct wait_for_conn {
	prong_conn *c;
	bool descriptor;
};

static int waits_for_conn(void *arg)
{
	struct wait_for_conn *w = arg;
	struct pollfd fd = { .events = POLLIN };
	prong_source s[] = { { .conn = w->c }, { .fd = &fd } };
	int ends[2], r;

	CHECK_EQ(pipe(ends), 0);
	fd.fd = ends[0];
	r = prong_wait(s, w->descriptor ? 2 : 1, soon());
	CHECK(r || s[0].ready);
	close(ends[0]);
	close(ends[1]);
	return r;
}

/* A receive would not block: it would say that the end is freed. */
static void an_end_that_is_freed_is_ready(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct wait_for_conn w = { .descriptor = i & 1 };
		prong_conn *other;
		prong_thread *t;
		pid_t tid;

		CHECK_OK(prong_pipe(&w.c, &other, NULL));
		t = start_thread(waits_for_conn, &w, sizeof w);
		tid = (pid_t)prong_thread_id(t);
		CHECK(wait_until(asleep, &tid, HANG_MS));
		prong_conn_free(w.c);
		if (i & 2)
			prong_conn_free(other);
		CHECK_EQ(end_thread(t), 0);
		if (!(i & 2))
			prong_conn_free(other);
	}
}

/* --- threads ------------------------------------------------------------------------------- */

static int sends_a_thousand(void *arg)
{
	for (int i = 0; i < 1000; i++)
		CHECK_OK(prong_conn_send(arg, &i, sizeof i, soon()));
	return 0;
}

/* Both ends may be one process's, and each side of an end many threads'. */
static void threads_take_turns(void **state)
{
	prong_conn *a, *b;
	prong_thread *t[4];
	int seen[1000] = { 0 }, x;

	(void)state;
	make_one_way(&b, &a);
	for (int i = 0; i < 4; i++)
		t[i] = start_thread(sends_a_thousand, a, 0);
	for (int i = 0; i < 4000; i++) {
		CHECK_OK(prong_conn_recv(b, &x, sizeof x, NULL, soon()));
		seen[x]++;
	}
	for (int i = 0; i < 4; i++)
		CHECK_EQ(end_thread(t[i]), 0);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(seen[i], 4);
	drop(a, b);
}

/* --- what may be done wrong ---------------------------------------------------------------- */

static void one_way_is_one_way(void **state)
{
	prong_conn *in, *out;
	size_t n;
	void *p;
	int fd;

	(void)state;
	make_one_way(&in, &out);
	CHECK_EQ(prong_conn_send(in, "x", 1, soon()), -EBADF);
	CHECK_EQ(prong_conn_send_fd(in, 0, soon()), -EBADF);
	CHECK_EQ(prong_conn_recv(out, &n, 1, NULL, soon()), -EBADF);
	CHECK_EQ(prong_conn_recv_take(out, &p, &n, soon()), -EBADF);
	CHECK_EQ(prong_conn_recv_fd(out, &fd, soon()), -EBADF);
	CHECK_EQ(prong_conn_fd(out), -EBADF);
	put(out, "right");
	expect(in, "right");
	drop(in, out);
}

static void what_does_not_fit_stays(void **state)
{
	static char large[100000], got[100000];
	prong_conn *a, *b;
	char small[4] = "ab";
	size_t n = 999;

	(void)state;
	make(&a, &b);
	put(a, "12345");
	CHECK_OK(prong_conn_send(a, large, sizeof large, soon()));
	CHECK_EQ(prong_conn_recv(b, small, 4, &n, soon()), -EMSGSIZE);
	CHECK_EQ(prong_conn_recv(b, small, 0, &n, soon()), -EMSGSIZE);
	CHECK_EQ(prong_conn_recv(b, got, 6, NULL, soon()), -EMSGSIZE);
	CHECK(n == 999 && strcmp(small, "ab") == 0);
	expect(b, "12345");
	CHECK_EQ(prong_conn_recv(b, got, sizeof got - 1, &n, soon()), -EMSGSIZE);
	CHECK_OK(prong_conn_recv(b, got, sizeof got, NULL, soon()));
	drop(a, b);
}

static void bad_arguments(void **state)
{
	static uint64_t not_one[64];
	prong_conn *a, *b, *wrong[] = { NULL, (prong_conn *)(void *)not_one, (prong_conn *)8,
					(prong_conn *)1, shared(4096) };
	size_t n;

	(void)state;
	CHECK_EQ(prong_pipe(NULL, &b, NULL), -EINVAL);
	CHECK_EQ(prong_pipe(&a, NULL, NULL), -EINVAL);
	CHECK_EQ(prong_pipe(&a, &b, &(prong_pipe_opts){ .buffer = SIZE_MAX }), -EINVAL);
	CHECK_EQ(prong_pipe(&a, &b, &(prong_pipe_opts){ .reserved_ = { 0, 1 } }), -EINVAL);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		CHECK_EQ(prong_conn_send(wrong[i], "", 0, PRONG_NOW), -EINVAL);
		CHECK_EQ(prong_conn_recv(wrong[i], &n, 1, NULL, PRONG_NOW), -EINVAL);
		CHECK_EQ(prong_conn_fd(wrong[i]), -EINVAL);
		CHECK_EQ(prong_conn_give(wrong[i], prong_process_self()), -EINVAL);
		prong_conn_free(wrong[i]);
	}
	make(&a, &b);
	CHECK_EQ(prong_conn_send(a, NULL, 1, PRONG_NOW), -EFAULT);
	CHECK_EQ(prong_conn_send(a, "x", SIZE_MAX, PRONG_NOW), -ENOMEM);
	CHECK_EQ(prong_conn_send(a, "x", (size_t)1 << 45, PRONG_NOW), -ENOMEM);
	CHECK_EQ(prong_conn_recv(a, NULL, 1, NULL, PRONG_NOW), -EFAULT);
	CHECK_EQ(prong_conn_recv_take(a, NULL, &n, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_conn_recv(a, &n, 1, NULL, prong_in_ms(-5)), PRONG_TIMEDOUT);
	CHECK(strstr(prong_error_detail(), "conn_recv") != NULL);
	CHECK_OK(prong_conn_send(a, NULL, 0, prong_in_ms(-5)));
	CHECK_OK(prong_conn_recv(b, NULL, 0, NULL, prong_in_ms(-5)));
	drop(a, b);
	prong_free(wrong[4]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(a_descriptor_travels),
		CASE(a_descriptor_is_waited_for),
		CASE(a_descriptor_nobody_wants),
		CASE(freed_under_who_sleeps_for_a_descriptor),
		CASE(poll_a_connection),
		CASE(freed_while_another_process_watches),
		CASE(many_descriptors),
		CASE(an_end_that_is_freed_is_ready),
		CASE(threads_take_turns),
		CASE(one_way_is_one_way),
		CASE(what_does_not_fit_stays),
		CASE(bad_arguments),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
