/* Listeners: who gets in, and that nobody who does not know the key holds anybody up. */
#include "raw.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

static char directory[] = "/tmp/prong-test-XXXXXX";

/* "unix:" and a path in the directory of this test. */
static const char *path(const char *name)
{
	static char text[2][80];
	static int which;

	which = !which;
	snprintf(text[which], sizeof text[which], "unix:%s/%s", directory, name);
	return text[which];
}

static prong_listener_stats stats(prong_listener *l)
{
	prong_listener_stats s;

	prong_listener_stat(l, &s);
	return s;
}

/* --- who gets in --------------------------------------------------------------------------- */

static void talk_at(const char *address)
{
	const prong_auth auth = raw_auth();
	prong_listener *l;
	prong_conn *a, *b;

	CHECK_OK(prong_listener_open(&l, address, &auth));
	CHECK(strncmp(prong_listener_address(l), address, strlen(address) - 1) == 0);
	CHECK(prong_listener_address(l)[strlen(prong_listener_address(l)) - 1] != ':');
	raw_meet(l, NULL, &a, &b);
	CHECK_STR(prong_conn_peer(b), prong_listener_address(l));
	raw_put(a, "one");
	raw_put(a, "");
	raw_put(b, "back");
	raw_put(a, "three");
	raw_expect(b, "one");
	raw_expect(b, "");
	raw_expect(b, "three");
	raw_expect(a, "back");
	CHECK_EQ(raw_now(a), PRONG_TIMEDOUT);
	CHECK_EQ(raw_now(b), PRONG_TIMEDOUT);
	raw_put(b, "last");
	prong_conn_free(b);
	prong_listener_close(l);
	raw_expect(a, "last");
	CHECK_EQ(raw_now(a), PRONG_CLOSED);
	CHECK_EQ(raw_now(a), PRONG_CLOSED);
	prong_conn_free(a);
}

static bool has_v6(void)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof in) == 0;

	close(fd);
	return has;
}

static void over_each_kind_of_address(void **state)
{
	const prong_auth auth = raw_auth();
	prong_listener *l;

	(void)state;
	CHECK_OK(prong_listener_open(&l, "tcp://[::ffff:127.0.0.1]:0", &auth));
	CHECK(strncmp(prong_listener_address(l), "tcp://127.0.0.1:", 16) == 0);
	prong_listener_close(l);
	talk_at("tcp://127.0.0.1:0");
	talk_at(path("talk"));
	CHECK(access(path("talk") + 5, F_OK) != 0); /* its name went with it */
	if (has_v6())
		talk_at("tcp://[::1]:0");
}

static void a_name_will_do(void **state)
{
	const prong_auth auth = raw_auth();
	prong_listener *l;
	prong_conn *a, *b;

	(void)state;
	CHECK_OK(prong_listener_open(&l, "tcp://localhost:0", &auth));
	CHECK(strncmp(prong_listener_address(l), "tcp://127.0.0.1:", 16) == 0);
	raw_meet(l, NULL, &a, &b);
	prong_conn_free(a);
	prong_conn_free(b);
	prong_listener_close(l);
}

static void another_key_does_not(void **state)
{
	prong_listener *l = raw_listener(NULL);
	prong_conn *in = NULL, *out = NULL;
	int r = 0;
	struct raw_call c = { .auth = { .key = "sixteen bytes..!", .key_size = 16 },
			      .out = &out,
			      .result = &r };
	prong_thread *t;

	(void)state;
	snprintf(c.address, sizeof c.address, "%s", prong_listener_address(l));
	t = start_thread(raw_calls, &c, sizeof c);
	while (stats(l).wrong_key == 0)
		CHECK_EQ(prong_listener_accept(l, &in, prong_in_ms(1)), PRONG_TIMEDOUT);
	CHECK_EQ(end_thread(t), 0);
	CHECK_EQ(r, -EKEYREJECTED);
	CHECK(!in && !out);
	CHECK_EQ(stats(l).accepted, 0);
	CHECK_EQ(stats(l).waiting, 0);
	prong_listener_close(l);
}

/* What a stranger gets to read is a challenge and #FAILURE#, whatever he says. */
static void a_stranger_reads_failure_alone(void **state)
{
	static const struct {
		const char *says;
		size_t n;
		bool told; /* #FAILURE#, if he waits for it */
	} t[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 18, false },
		{ "\0\0\0\x05hello", 9, true },
		{ "\0\0\0\x10"
		  "0123456789abcdef",
		  20, true },
		{ "\0\0\0\0", 4, true },
		{ "\0\0\1\1", 4, false }, /* a length above what a proof takes */
		{ "\xff\xff\xff\xff\0\0\0\1\0\0\0\0", 12, false },
		{ "\x80\0\0\0", 4, false },
		{ "\0\0\0\x09#WELCOME#", 13, true },
	};
	prong_auth auth = raw_auth();
	prong_listener *l;
	prong_conn *in;

	(void)state;
	auth.no_penalty = true;
	l = raw_listener(&auth);
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		char got[200];
		int fd = raw_dial(prong_listener_address(l));
		size_t n;

		raw_write(fd, t[i].says, t[i].n);
		CHECK_EQ(prong_listener_accept(l, &in, prong_in_ms(1)), PRONG_TIMEDOUT);
		while (stats(l).no_client + stats(l).old_python <= i)
			CHECK_EQ(prong_listener_accept(l, &in, prong_in_ms(1)), PRONG_TIMEDOUT);
		n = raw_rest(fd, got, sizeof got);
		if (t[i].told) {
			CHECK_EQ(n, 63 + 13);
			CHECK_EQ(memcmp(got + 63, "\0\0\0\x09#FAILURE#", 13), 0);
		} else {
			CHECK(n == 63 || n == 0); /* 0: it was reset */
		}
		close(fd);
	}
	CHECK_EQ(stats(l).accepted, 0);
	CHECK_EQ(stats(l).waiting, 0);
	prong_listener_close(l);
}

/* --- strangers hold nobody up ---------------------------------------------------------------- */

enum {
	CROWD = 40
};

static void the_silent_hold_nobody_up(void **state)
{
	prong_listener *l = raw_listener(NULL);
	prong_conn *a, *b;
	int fd[CROWD];

	(void)state;
	for (int i = 0; i < CROWD; i++)
		fd[i] = raw_dial(prong_listener_address(l));
	for (int i = 0; i < CROWD; i += 2)
		raw_write(fd[i], "\0\0\0\x28{sha", 7); /* and half an answer */
	for (int i = 0; i < 5; i++) {
		raw_meet(l, NULL, &a, &b);
		raw_put(a, "hello");
		raw_expect(b, "hello");
		prong_conn_free(a);
		prong_conn_free(b);
	}
	CHECK_EQ(stats(l).accepted, 5);
	CHECK_EQ(stats(l).waiting, CROWD);
	for (int i = 0; i < CROWD; i++)
		close(fd[i]);
	while (stats(l).hung_up < CROWD)
		CHECK_EQ(prong_listener_accept(l, &a, prong_in_ms(1)), PRONG_TIMEDOUT);
	CHECK_EQ(stats(l).waiting, 0);
	prong_listener_close(l);
}

static void who_takes_too_long_is_gone(void **state)
{
	prong_auth auth = raw_auth();
	prong_listener *l;
	prong_conn *c;
	char got[100];
	int fd;

	(void)state;
	auth.handshake_ms = 20;
	l = raw_listener(&auth);
	fd = raw_dial(prong_listener_address(l));
	while (stats(l).too_slow == 0)
		CHECK_EQ(prong_listener_accept(l, &c, prong_in_ms(5)), PRONG_TIMEDOUT);
	CHECK_EQ(raw_rest(fd, got, sizeof got), 63);
	close(fd);
	prong_listener_close(l);
}

/* The house is full of silent ones: after their second one goes for each who comes. */
static void a_full_house_makes_room(void **state)
{
	prong_auth auth = raw_auth();
	prong_listener *l;
	prong_conn *a, *b;
	int fd[3];

	(void)state;
	auth.strangers_max = 2;
	l = raw_listener(&auth);
	for (int i = 0; i < 3; i++)
		fd[i] = raw_dial(prong_listener_address(l));
	CHECK_EQ(prong_listener_accept(l, &a, prong_in_ms(1)), PRONG_TIMEDOUT);
	CHECK_EQ(stats(l).waiting, 2);
	raw_meet(l, NULL, &a, &b); /* behind the third */
	CHECK(stats(l).displaced >= 1);
	CHECK_EQ(stats(l).too_slow, 0);
	prong_conn_free(a);
	prong_conn_free(b);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	prong_listener_close(l);
}

/* The house is full of silent ones from one machine: they make room for another's at once. */
static void the_largest_crowd_goes_at_once(void **state)
{
	prong_auth auth = raw_auth();
	prong_listener *l;
	prong_conn *c;
	int fd[9];

	(void)state;
	auth.strangers_max = 8;
	l = raw_listener(&auth);
	for (int i = 0; i < 8; i++)
		fd[i] = raw_dial_from(2, prong_listener_address(l));
	while (stats(l).waiting < 8)
		CHECK_EQ(prong_listener_accept(l, &c, PRONG_NOW), PRONG_TIMEDOUT);
	fd[8] = raw_dial(prong_listener_address(l));
	CHECK_EQ(prong_listener_accept(l, &c, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_listener_accept(l, &c, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(stats(l).displaced, 1);
	CHECK_EQ(stats(l).waiting, 8);
	for (int i = 0; i < 9; i++)
		close(fd[i]);
	prong_listener_close(l);
}

/* --- failures ------------------------------------------------------------------------------ */

static void fail_from(prong_listener *l, int n)
{
	const uint64_t before = stats(l).wrong_key + stats(l).old_python;
	int fd = raw_dial_from(n, prong_listener_address(l));
	prong_conn *c;
	char got[100];

	raw_write(fd, "\0\0\0\x28{sha256}wrong wrong wrong wrong wrong .", 44);
	while (stats(l).wrong_key + stats(l).old_python == before)
		CHECK_EQ(prong_listener_accept(l, &c, prong_in_ms(1)), PRONG_TIMEDOUT);
	CHECK_EQ(raw_rest(fd, got, sizeof got), 63 + 13);
	close(fd);
}

static int proves(void *arg)
{
	CHECK_EQ(raw_prove(*(int *)arg, false), 1);
	return 0;
}

static void log_in_from(prong_listener *l, int n)
{
	int fd = raw_dial_from(n, prong_listener_address(l));
	prong_thread *t = start_thread(proves, &fd, sizeof fd);
	prong_conn *c = NULL;

	CHECK_OK(prong_listener_accept(l, &c, soon()));
	CHECK_EQ(end_thread(t), 0);
	prong_conn_free(c);
	close(fd);
}

static void who_fails_is_answered_later(void **state)
{
	prong_listener *l = raw_listener(NULL);

	(void)state;
	log_in_from(l, 2);
	fail_from(l, 2);
	CHECK_EQ(stats(l).slowed, 0);
	fail_from(l, 2);
	CHECK_EQ(stats(l).slowed, 1);
	log_in_from(l, 1); /* from elsewhere */
	CHECK_EQ(stats(l).slowed, 1);
	log_in_from(l, 2); /* it is right, but from where it was wrong */
	CHECK_EQ(stats(l).slowed, 2);
	log_in_from(l, 2); /* and forgotten */
	fail_from(l, 2);
	CHECK_EQ(stats(l).slowed, 2);
	CHECK_EQ(stats(l).accepted, 4);
	prong_listener_close(l);
}

/* The one who waits is not spoken to, and costs nobody anything. */
static void who_waits_hears_nothing_yet(void **state)
{
	prong_auth auth = raw_auth();
	prong_listener *l;
	prong_conn *c;
	char got[100];
	int fd;

	(void)state;
	auth.penalty_ms = 60000;
	l = raw_listener(&auth);
	for (int i = 0; i < 3; i++)
		fail_from(l, 2);
	fd = raw_dial_from(2, prong_listener_address(l)); /* waits 200 ms */
	log_in_from(l, 1);
	CHECK_EQ(recv(fd, got, sizeof got, MSG_DONTWAIT), -1);
	CHECK_EQ(stats(l).waiting, 1);
	close(fd); /* which shows when his time has come */
	while (stats(l).waiting)
		CHECK_EQ(prong_listener_accept(l, &c, prong_in_ms(5)), PRONG_TIMEDOUT);
	prong_listener_close(l);
}

static void nobody_waits_where_that_is_off(void **state)
{
	prong_auth auth = raw_auth();
	prong_listener *l;

	(void)state;
	auth.no_penalty = true;
	l = raw_listener(&auth);
	for (int i = 0; i < 8; i++)
		fail_from(l, 2);
	log_in_from(l, 2);
	CHECK_EQ(stats(l).slowed, 0);
	prong_listener_close(l);
}

/* --- many ---------------------------------------------------------------------------------- */

enum {
	MANY = 100
};

static int many_calls(void *arg)
{
	struct raw_call *c = arg;

	for (int i = 0; i < MANY / 4; i++) {
		CHECK_OK(prong_connect(c->out, c->address, &c->auth, soon()));
		raw_expect(*c->out, "hello");
		prong_conn_free(*c->out);
	}
	return 0;
}

/* From several threads to several threads, with fewer places than those who come. */
static int many_accepts(void *arg)
{
	prong_listener *l = *(prong_listener **)arg;
	prong_conn *c;

	for (int i = 0; i < MANY / 4; i++) {
		CHECK_OK(prong_listener_accept(l, &c, soon()));
		raw_put(c, "hello");
		CHECK_EQ(prong_conn_recv(c, NULL, 0, NULL, soon()), PRONG_CLOSED);
		prong_conn_free(c);
	}
	return 0;
}

static void many_at_once(void **state)
{
	prong_auth auth = raw_auth();
	prong_thread *t[8];
	prong_listener *l;
	prong_conn *out[4];

	(void)state;
	auth.strangers_max = 3;
	l = raw_listener(&auth);
	for (int i = 0; i < 4; i++) {
		struct raw_call c = { .auth = auth, .out = &out[i] };

		snprintf(c.address, sizeof c.address, "%s", prong_listener_address(l));
		t[i] = start_thread(many_calls, &c, sizeof c);
		t[4 + i] = start_thread(many_accepts, &l, sizeof l);
	}
	for (int i = 0; i < 8; i++)
		CHECK_EQ(end_thread(t[i]), 0);
	CHECK_EQ(stats(l).accepted, MANY);
	prong_listener_close(l);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* The descriptor alone says when there is something to do, up to the connection. */
static void a_listener_is_polled(void **state)
{
	prong_listener *l = raw_listener(NULL);
	prong_conn *in = NULL, *out[2] = { NULL, NULL };
	int r[2] = { 99, 99 }, fd = prong_listener_fd(l), got = 0;
	prong_thread *t[2];

	(void)state;
	CHECK(fd >= 0);
	CHECK(!readable(fd, 0));
	for (int i = 0; i < 2; i++) {
		struct raw_call c = { .auth = raw_auth(), .out = &out[i], .result = &r[i] };

		snprintf(c.address, sizeof c.address, "%s", prong_listener_address(l));
		t[i] = start_thread(raw_calls, &c, sizeof c);
	}
	while (got < 2) {
		CHECK(readable(fd, HANG_MS));
		if (prong_listener_accept(l, &in, PRONG_NOW) == 0) {
			prong_conn_free(in);
			got++;
		}
	}
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(end_thread(t[i]), 0);
		CHECK_OK(r[i]);
		prong_conn_free(out[i]);
	}
	CHECK(!readable(fd, 0));
	prong_listener_close(l);
}

/* Also when a silent one's time is over. */
static void the_alarm_is_polled_too(void **state)
{
	prong_auth auth = raw_auth();
	prong_listener *l;
	prong_conn *c;
	int fd;

	(void)state;
	auth.handshake_ms = 30;
	l = raw_listener(&auth);
	fd = raw_dial(prong_listener_address(l));
	CHECK_EQ(prong_listener_accept(l, &c, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK(readable(prong_listener_fd(l), HANG_MS));
	while (stats(l).too_slow == 0) {
		CHECK(readable(prong_listener_fd(l), HANG_MS));
		CHECK_EQ(prong_listener_accept(l, &c, PRONG_NOW), PRONG_TIMEDOUT);
	}
	CHECK(!readable(prong_listener_fd(l), 0));
	close(fd);
	prong_listener_close(l);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(over_each_kind_of_address),
		CASE(a_name_will_do),
		CASE(another_key_does_not),
		CASE(a_stranger_reads_failure_alone),
		CASE(the_silent_hold_nobody_up),
		CASE(who_takes_too_long_is_gone),
		CASE(a_full_house_makes_room),
		CASE(the_largest_crowd_goes_at_once),
		CASE(who_fails_is_answered_later),
		CASE(who_waits_hears_nothing_yet),
		CASE(nobody_waits_where_that_is_off),
		CASE(many_at_once),
		CASE(a_listener_is_polled),
		CASE(the_alarm_is_polled_too),
	};
	int failed;

	test_begin(argc, argv, TEST_OPENED, NULL);
	if (!mkdtemp(directory))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(directory);
	return test_end(failed);
}
