/* TLS under connections: who is believed, what each is told of the other, and what a stranger can
   do. */
#include "certs.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

static void drop(prong_conn *a, prong_conn *b)
{
	prong_conn_free(a);
	prong_conn_free(b);
}

/* --- who is believed ----------------------------------------------------------------------- */

/* A client in a thread of its own, and what it is told. */
struct client {
	char address[100];
	prong_auth auth;
	prong_time deadline;
	struct told {
		prong_conn *c;
		int r;
		char detail[256];
	} * told;
};

static int connects(void *arg)
{
	const struct client *c = arg;
	struct told *t = c->told;

	t->r = prong_connect(&t->c, c->address, &c->auth, c->deadline);
	snprintf(t->detail, sizeof t->detail, "%s", t->r ? prong_error_detail() : "");
	return 0;
}

/* Serve l until the client knows where it is. */
static void meet_at(prong_listener *l, const prong_auth *auth, prong_time deadline,
		    struct told *told)
{
	struct client client = { .auth = *auth, .deadline = deadline, .told = told };
	prong_thread *thread;
	prong_conn *c = NULL;
	int r;

	*told = (struct told){ .r = 99 };
	snprintf(client.address, sizeof client.address, "%s", prong_listener_address(l));
	thread = start_thread(connects, &client, sizeof client);
	do
		r = prong_listener_accept(l, &c, prong_in_ms(5));
	while (r == PRONG_TIMEDOUT && prong_thread_join(thread, NULL, PRONG_NOW) == PRONG_TIMEDOUT);
	CHECK_EQ(end_thread(thread), 0);
	if (told->r == 0) {
		if (r)
			CHECK_OK(prong_listener_accept(l, &c, soon()));
		raw_put(c, "inside");
		raw_expect(told->c, "inside");
	} else {
		CHECK(!told->c);
	}
	drop(c, told->c);
}

static void meet(const char *address, const prong_tls *server, const prong_tls *client,
		 struct told *told, prong_listener_stats *stats)
{
	prong_auth at_door = certs_auth(server), caller = certs_auth(client);
	prong_listener *l = NULL;
	prong_conn *c = NULL;

	at_door.handshake_ms = 300 * (uint32_t)slowness();
	CHECK_OK(prong_listener_open(&l, address, &at_door));
	meet_at(l, &caller, soon(), told);
	for (prong_listener_stat(l, stats); stats->waiting; prong_listener_stat(l, stats))
		CHECK_EQ(prong_listener_accept(l, &c, prong_in_ms(5)), PRONG_TIMEDOUT);
	CHECK_EQ(stats->accepted, told->r == 0);
	CHECK_EQ(stats->waiting, 0);
	prong_listener_close(l);
}

static const char *places[2] = { "tcp://127.0.0.1:0", NULL };

static void certificates_are_believed_or_not(void **state)
{
	static const struct {
		const char *server, *server_trusts, *client, *client_trusts;
		int r;
		const char *detail;
		int wrong_key; /* as the listener counts */
	} t[] = {
		{ "good", "ca", "good", "ca", 0, "", 0 },
		{ "chain", "ca", "chain", "ca", 0, "", 0 },
		{ "good", "other_ca", "stranger", "ca", 0, "", 0 },
		{ "good", "ca", "stranger", "ca", -EKEYREJECTED, "not accept our certificate", 1 },
		{ "good", "ca", "leaf", "ca", -EKEYREJECTED, "not accept our certificate", 1 },
		{ "good", "ca", "expired", "ca", -EKEYEXPIRED, "our certificate has expired", 1 },
		{ "stranger", "ca", "good", "ca", -EKEYREJECTED, "its certificate", 1 },
		{ "leaf", "ca", "good", "ca", -EKEYREJECTED, "its certificate", 1 },
		{ "expired", "ca", "good", "ca", -EKEYEXPIRED, "has expired", 1 },
		{ "early", "ca", "good", "ca", -EKEYEXPIRED, "not yet valid", 1 },
		{ "stranger", "ca", "stranger", "ca", -EKEYREJECTED, "its certificate", 1 },
	};

	(void)state;
	for (size_t i = 0; i < 2 * (sizeof t / sizeof *t); i++) {
		size_t k = i / 2;
		prong_tls server = certs_tls(t[k].server, t[k].server_trusts);
		prong_tls client = certs_tls(t[k].client, t[k].client_trusts);
		prong_listener_stats stats;
		struct told told;

		meet(places[i % 2], &server, &client, &told, &stats);
		if (told.r != t[k].r || !strstr(told.detail, t[k].detail))
			print_message("%s by %s: %d, %s\n", t[k].client, t[k].server, told.r,
				      told.detail);
		CHECK_EQ(told.r, t[k].r);
		CHECK(strstr(told.detail, t[k].detail) != NULL);
		CHECK_EQ(stats.wrong_key, t[k].wrong_key);
	}
}

/* A name is looked at where one is connected to, or asked for; of a path there is none. */
static void names_are_looked_at(void **state)
{
	prong_tls elsewhere = certs_tls("elsewhere", "ca"), asks = certs_good;
	prong_listener_stats stats;
	struct told told;

	(void)state;
	meet(places[0], &elsewhere, &certs_good, &told, &stats);
	CHECK_EQ(told.r, -EKEYREJECTED);
	CHECK(strstr(told.detail, "IP address mismatch") != NULL);
	meet(places[1], &elsewhere, &certs_good, &told, &stats);
	CHECK_EQ(told.r, 0);
	asks.any_name = true;
	meet(places[0], &elsewhere, &asks, &told, &stats);
	CHECK_EQ(told.r, 0);
	asks.any_name = false;
	asks.name = "elsewhere.example";
	meet(places[0], &elsewhere, &asks, &told, &stats);
	CHECK_EQ(told.r, 0);
	meet(places[1], &certs_good, &asks, &told, &stats);
	CHECK_EQ(told.r, -EKEYREJECTED);
	CHECK(strstr(told.detail, "ostname mismatch") != NULL);
}

/* The name that a client must have is the listener's .name. */
static void a_listener_asks_for_a_name(void **state)
{
	prong_tls server = certs_good, elsewhere = certs_tls("elsewhere", "ca");
	prong_listener_stats stats;
	struct told told;

	(void)state;
	server.name = "elsewhere.example";
	meet(places[0], &server, &elsewhere, &told, &stats);
	CHECK_EQ(told.r, 0);
	meet(places[0], &server, &certs_good, &told, &stats);
	CHECK_EQ(told.r, -EKEYREJECTED);
	CHECK(strstr(told.detail, "not accept our certificate") != NULL);
	CHECK_EQ(stats.wrong_key, 1);
}

static void the_key_is_proved_too(void **state)
{
	prong_auth server = certs_auth(&certs_good), client = certs_auth(&certs_good);
	prong_listener *l = raw_listener(&server);
	prong_listener_stats stats;
	struct told told;

	(void)state;
	client.key = "another key of 16";
	meet_at(l, &client, soon(), &told);
	CHECK_EQ(told.r, -EKEYREJECTED);
	CHECK(strstr(told.detail, "key is wrong") != NULL);
	prong_listener_stat(l, &stats);
	CHECK_EQ(stats.wrong_key, 1);
	prong_listener_close(l);
}

/* --- with a client that is not ours ---------------------------------------------------------- */

static bool was_refused(void *l)
{
	prong_listener_stats s;

	prong_listener_stat(l, &s);
	return s.wrong_key == 1;
}

static int serves_nobody(void *arg)
{
	prong_listener *l = *(prong_listener **)arg;
	prong_conn *c = NULL;

	while (!was_refused(l))
		CHECK_EQ(prong_listener_accept(l, &c, prong_in_ms(5)), PRONG_TIMEDOUT);
	return 0;
}

static void who_shows_no_certificate_is_out(void **state)
{
	const prong_auth auth = certs_auth(&certs_good);
	prong_listener *l = raw_listener(&auth);
	prong_thread *t = start_thread(serves_nobody, &l, sizeof l);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	int fd = raw_dial(prong_listener_address(l));
	char byte;

	(void)state;
	CHECK(SSL_set_fd(ssl, fd));
	CHECK_EQ(SSL_connect(ssl), 1); /* the client's part: it does not know yet */
	CHECK(SSL_read(ssl, &byte, 1) <= 0);
	CHECK_EQ(end_thread(t), 0);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	prong_listener_close(l);
}

/* --- one of both has none -------------------------------------------------------------------- */

static void a_plain_server_is_told_from_one_with_tls(void **state)
{
	prong_listener_stats stats;
	struct told told;

	(void)state;
	for (int i = 0; i < 2; i++) {
		meet(places[i], NULL, &certs_good, &told, &stats);
		CHECK_EQ(told.r, -EPROTOTYPE);
		CHECK(strstr(told.detail, "does not speak TLS") != NULL);
	}
}

/* It says nothing, and waits for a challenge: so it is told when its time is over. */
static void a_plain_client_is_told(void **state)
{
	prong_auth server = certs_auth(&certs_good), client = raw_auth();
	prong_listener_stats stats;
	prong_listener *l;
	struct told told;

	(void)state;
	for (int i = 0; i < 2; i++) {
		meet(places[i], &certs_good, NULL, &told, &stats);
		CHECK_EQ(told.r, -EPROTOTYPE);
		CHECK(strstr(told.detail, "TLS") != NULL);
		CHECK_EQ(stats.too_slow, 1);
	}
	/* whose own time is over before asks himself */
	l = raw_listener(&server);
	meet_at(l, &client, prong_in_ms(50), &told);
	CHECK_EQ(told.r, PRONG_TIMEDOUT);
	CHECK(strstr(told.detail, "TLS") != NULL);
	prong_listener_close(l);
}

static void other_clients_are_none(void **state)
{
	static const char *const words[] = { "GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\x02junk",
					     "\x16\x03\x01\0\4\1\0\0\0" };
	const prong_auth auth = certs_auth(&certs_good);
	prong_listener *l = raw_listener(&auth);
	prong_conn *c = NULL;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		prong_listener_stats stats;
		int fd = raw_dial(prong_listener_address(l));

		raw_write(fd, words[i], i < 2 ? strlen(words[i]) : 9);
		shutdown(fd, SHUT_WR);
		do {
			CHECK_EQ(prong_listener_accept(l, &c, prong_in_ms(2)), PRONG_TIMEDOUT);
			prong_listener_stat(l, &stats);
		} while (stats.no_client + stats.hung_up < i + 1);
		CHECK_EQ(stats.waiting, 0);
		close(fd);
	}
	prong_listener_close(l);
}

/* --- time ---------------------------------------------------------------------------------- */

struct dribble {
	int fd;
	atomic_int *over;
};

/* A handshake that begins well, a byte at a time. */
static int dribbles(void *arg)
{
	static const unsigned char hello[] = { 0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3 };
	struct dribble *d = arg;
	unsigned char zero = 0;
	char buf[256];

	for (size_t i = 0;; i++) {
		if (send(d->fd, i < sizeof hello ? &hello[i] : &zero, 1, MSG_NOSIGNAL) < 0)
			break;
		if (recv(d->fd, buf, sizeof buf, MSG_DONTWAIT) == 0)
			break;
		sleep_ms(2);
	}
	atomic_store(d->over, 1);
	return 0;
}

static void who_dribbles_runs_out_of_time(void **state)
{
	prong_auth auth = certs_auth(&certs_good);
	atomic_int over = 0;
	struct dribble d = { .over = &over };
	prong_listener_stats stats;
	prong_time begin = prong_clock();
	prong_listener *l;
	prong_conn *a = NULL, *b = NULL;
	prong_thread *t;

	(void)state;
	auth.handshake_ms = 150;
	l = raw_listener(&auth);
	d.fd = raw_dial(prong_listener_address(l));
	t = start_thread(dribbles, &d, sizeof d);
	auth.handshake_ms = 0;
	raw_meet(l, &auth, &a, &b); /* he holds nobody up */
	drop(a, b);
	a = NULL;
	while (!atomic_load(&over))
		CHECK_EQ(prong_listener_accept(l, &a, prong_in_ms(5)), PRONG_TIMEDOUT);
	CHECK(prong_ns_between(begin, prong_clock()) >= 140 * (int64_t)1000000);
	CHECK_EQ(end_thread(t), 0);
	prong_listener_stat(l, &stats);
	CHECK_EQ(stats.too_slow, 1);
	close(d.fd);
	prong_listener_close(l);
}

static void a_server_that_says_nothing(void **state)
{
	const prong_auth auth = certs_auth(&certs_good);
	char address[64];
	int fd = raw_listen(address);
	prong_conn *c = NULL;

	(void)state;
	CHECK_EQ(prong_connect(&c, address, &auth, prong_in_ms(30)), PRONG_TIMEDOUT);
	CHECK(strstr(prong_error_detail(), "no TLS until the deadline") != NULL);
	CHECK_EQ(prong_connect(&c, address, &auth, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK(!c);
	close(fd);
}

/* --- files and options ----------------------------------------------------------------------- */

static void wrong_files(void **state)
{
	static const struct {
		const char *certificate, *key, *authority;
		int r;
		const char *detail;
	} t[] = {
		{ "nothing", NULL, "ca", -ENOENT, "the certificate" },
		{ "good", "nothing", "ca", -ENOENT, "the key" },
		{ "good", NULL, "nothing", -ENOENT, "the authority" },
		{ "noise", NULL, "ca", -EINVAL, "the certificate" },
		{ "good", "noise", "ca", -EINVAL, "the key" },
		{ "good", NULL, "noise", -EINVAL, "the authority" },
		{ "good", "key", "ca", -EINVAL, "not the certificate's" },
		{ "locked", NULL, "ca", -EINVAL, "without a password" },
		{ "", NULL, "ca", -EINVAL, "the certificate" }, /* a directory */
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		const prong_tls tls = { .certificate = cert(t[i].certificate),
					.key = t[i].key ? cert(t[i].key) : NULL,
					.authority = cert(t[i].authority) };
		const prong_auth auth = certs_auth(&tls);
		prong_listener *l = NULL;
		prong_conn *c = NULL;

		CHECK_EQ(prong_listener_open(&l, places[0], &auth), t[i].r);
		CHECK(strstr(prong_error_detail(), t[i].detail) != NULL);
		CHECK_EQ(prong_connect(&c, "tcp://127.0.0.1:1", &auth, soon()), t[i].r);
		CHECK(!l && !c);
	}
}

static void wrong_options(void **state)
{
	prong_tls bad[6];
	prong_listener *l = NULL;

	(void)state;
	for (int i = 0; i < 6; i++)
		bad[i] = certs_good;
	bad[0].certificate = NULL;
	bad[1].authority = NULL;
	bad[2].name = "";
	bad[3].name = "x";
	bad[3].any_name = true;
	bad[4].reserved1_[6] = 1;
	bad[5].reserved_[3] = 1;
	for (int i = 0; i < 6; i++) {
		const prong_auth auth = certs_auth(&bad[i]);

		CHECK_EQ(prong_listener_open(&l, places[0], &auth), -EINVAL);
		CHECK(strstr(prong_error_detail(), "tls") != NULL);
	}
	CHECK(!l);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(certificates_are_believed_or_not),
		CASE(names_are_looked_at),
		CASE(a_listener_asks_for_a_name),
		CASE(the_key_is_proved_too),
		CASE(who_shows_no_certificate_is_out),
		CASE(a_plain_server_is_told_from_one_with_tls),
		CASE(a_plain_client_is_told),
		CASE(other_clients_are_none),
		CASE(who_dribbles_runs_out_of_time),
		CASE(a_server_that_says_nothing),
		CASE(wrong_files),
		CASE(wrong_options),
	};
	char local[100];
	int failed;

	test_begin(argc, argv, TEST_OPENED, NULL);
	certs_make();
	snprintf(local, sizeof local, "unix:%s", cert("socket"));
	places[1] = local;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	certs_remove();
	return test_end(failed);
}
