/* The proof of a key, message by message: who knows it gets in, in both generations, and nobody
   else learns anything. */
#include "support.h"
#include "wire/auth.h"
#include "wire/frame.h"
#include <openssl/evp.h>

struct end {
	struct prongi_proof p;
	struct prongi_key *key;
	int r;
};

static void begin(struct end *e, const char *key, bool server, bool old)
{
	CHECK_OK(prongi_key_new(&e->key, key, strlen(key)));
	e->r = prongi_proof_begin(&e->p, e->key, server, old);
	CHECK_OK(e->r);
}

static void finish(struct end *e)
{
	prongi_key_free(e->key);
}

/* The next message that e has to say, or NULL. */
static const unsigned char *says(struct end *e, size_t *size)
{
	static unsigned char message[256];

	if (e->p.out_size < 4)
		return NULL;
	*size = e->p.out[3];
	memcpy(message, e->p.out + 4, *size);
	e->p.out_size -= 4 + *size;
	memmove(e->p.out, e->p.out + 4 + *size, e->p.out_size);
	return message;
}

static bool said(struct end *e, const char *word)
{
	size_t n = 0;
	const unsigned char *m = says(e, &n);

	return m && n == strlen(word) && memcmp(m, word, n) == 0;
}

static int feed(struct end *e, const void *message, size_t n)
{
	if (e->r == 0)
		e->r = prongi_proof_feed(&e->p, message, n);
	return e->r;
}

/* Carry what both say to the other until both are silent. */
static void talk(struct end *a, struct end *b)
{
	const unsigned char *m;
	size_t n;

	do {
		while ((m = says(a, &n)))
			feed(b, m, n);
		while ((m = says(b, &n)))
			feed(a, m, n);
	} while (a->p.out_size);
}

static void meet(const char *server_key, bool server_old, const char *client_key, bool client_old,
		 int server_r, int client_r)
{
	struct end s, c;

	begin(&s, server_key, true, server_old);
	begin(&c, client_key, false, client_old);
	talk(&s, &c);
	CHECK_EQ(s.r, server_r);
	CHECK_EQ(c.r, client_r);
	finish(&s);
	finish(&c);
}

static void who_knows_the_key_gets_in(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		meet("the key", i & 1, "the key", i & 2, 1, 1);
	meet("a", false, "a", false, 1, 1);
	meet("the key", false, "the keys", false, -EKEYREJECTED, -EKEYREJECTED);
	meet("the key", true, "The key", true, -EKEYREJECTED, -EKEYREJECTED);
}

/* --- other generations --------------------------------------------------------------------- */

static size_t mac(const char *digest, const char *key, const void *data, size_t n, void *out)
{
	size_t size = 0;

	CHECK(EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, key, strlen(key), data, n, out, 64,
			&size) != NULL);
	return size;
}

/* A server of ours, and what it asks after #CHALLENGE#. */
static size_t asked(struct end *s, bool old, unsigned char question[64])
{
	const unsigned char *m;
	size_t n;

	begin(s, "the key", true, old);
	m = says(s, &n);
	CHECK_EQ(n, 59);
	CHECK_EQ(memcmp(m, "#CHALLENGE#{sha256}", 19), 0);
	memcpy(question, m + 11, n - 11);
	return n - 11;
}

static void each_digest_that_is_allowed(void **state)
{
	static const struct {
		const char *prefix, *name;
		int strict, lax;
	} t[] = {
		{ "{sha256}", "SHA256", 0, 0 },         { "{sha384}", "SHA384", 0, 0 },
		{ "{sha3_256}", "SHA3-256", 0, 0 },     { "{sha3_384}", "SHA3-384", 0, 0 },
		{ "{md5}", "MD5", -EPROTO, 0 },         { "", "MD5", -EPROTONOSUPPORT, 0 },
		{ "{sha1}", "SHA1", -EPROTO, -EPROTO }, { "{SHA256}", "SHA256", -EPROTO, -EPROTO },
		{ "", "SHA256", -EPROTO, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof t / sizeof *t; i++) {
		const bool lax = i % 2;
		const int want = lax ? t[i / 2].lax : t[i / 2].strict;
		unsigned char question[64], answer[80];
		size_t n, prefix = strlen(t[i / 2].prefix);
		struct end s;

		n = asked(&s, lax, question);
		memcpy(answer, t[i / 2].prefix, prefix);
		n = mac(t[i / 2].name, "the key", question, n, answer + prefix);
		CHECK_EQ(feed(&s, answer, prefix + n), want);
		CHECK(said(&s, want ? "#FAILURE#" : "#WELCOME#"));
		CHECK_EQ(s.p.out_size, 0);
		finish(&s);
	}
}

/* As Python 2.7 to 3.11 on either side, and as 3.12 on either side. */
static void challenge_us(bool server, bool old, const char *question, size_t n, int want,
			 const char *prefix, const char *digest)
{
	unsigned char message[128], expected[80];
	const unsigned char *got;
	struct end e;
	size_t size;

	begin(&e, "the key", server, old);
	e.p.out_size = 0;
	e.p.step = PRONGI_AWAIT_CHALLENGE;
	memcpy(message, "#CHALLENGE#", 11);
	memcpy(message + 11, question, n);
	CHECK_EQ(feed(&e, message, 11 + n), want);
	got = says(&e, &size);
	CHECK(!got == !!want);
	if (got && prefix) {
		memcpy(expected, prefix, strlen(prefix));
		n = mac(digest, "the key", question, n, expected + strlen(prefix));
		CHECK_EQ(size, n + strlen(prefix));
		CHECK_EQ(memcmp(got, expected, size), 0);
	}
	finish(&e);
}

static void each_challenge_that_is_allowed(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		challenge_us(server, true, "twenty random bytes.", 20, 0, "", "MD5");
		challenge_us(server, false, "twenty random bytes.", 20, -EPROTONOSUPPORT, "", "");
		challenge_us(server, true, "{md5}0123456789abcdefgh", 23, 0, "{md5}", "MD5");
		challenge_us(server, false, "{md5}0123456789abcdefgh", 23, -EPROTONOSUPPORT, "",
			     "");
		challenge_us(server, false, "{sha256}0123456789abcdefgh", 26, 0, "{sha256}",
			     "SHA256");
		challenge_us(server, true, "{sha3_384}0123456789abcdefgh", 28, 0, "{sha3_384}",
			     "SHA3-384");
		challenge_us(server, true, "{sha512}0123456789abcdefgh", 26, -EPROTONOSUPPORT, "",
			     "");
		challenge_us(server, true, "{sha256}too short..", 19, -EPROTO, "", "");
		challenge_us(server, true, "no digest, and not of twenty bytes", 34,
			     -EPROTONOSUPPORT, "", "");
		challenge_us(server, true, "", 0, -EPROTO, "", "");
	}
}

/* --- strangers ----------------------------------------------------------------------------- */

/* A question that a client asks is answered by no client, nor a server's by a server. */
static void nobody_answers_for_another(void **state)
{
	unsigned char message[64];
	struct end e[2], c;
	const unsigned char *m;
	size_t n;

	(void)state;
	for (int server = 0; server < 2; server++) {
		begin(&e[0], "the key", true, true);
		begin(&c, "the key", false, true);
		if (!server) { /* have a client ask */
			m = says(&e[0], &n);
			feed(&c, m, n);
			m = says(&c, &n);
			feed(&e[0], m, n);
			m = says(&e[0], &n);
			feed(&c, m, n);
		}
		m = says(server ? &e[0] : &c, &n);
		CHECK_EQ(n, 59);
		memcpy(message, m, n);
		begin(&e[1], "the key", server, true);
		e[1].p.out_size = 0;
		e[1].p.step = PRONGI_AWAIT_CHALLENGE;
		CHECK_EQ(feed(&e[1], message, n), -EKEYREJECTED);
		CHECK_EQ(e[1].p.out_size, 0);
		finish(&e[0]);
		finish(&e[1]);
		finish(&c);
	}
}

/* Questions do not repeat. */
static void each_question_is_new(void **state)
{
	unsigned char first[64], second[64];
	struct end a, b;
	size_t n;

	(void)state;
	n = asked(&a, false, first);
	CHECK_EQ(asked(&b, false, second), n);
	CHECK(memcmp(first + 8, second + 8, 32) != 0);
	finish(&a);
	finish(&b);
}

/* Anything but the right answer: #FAILURE#, and nothing more, whatever comes. */
static void a_stranger_learns_nothing(void **state)
{
	unsigned char question[64], answer[512];
	struct end s;
	size_t n;

	(void)state;
	for (size_t size = 0; size <= PRONGI_AUTH_MOST; size++)
		for (int kind = 0; kind < 3; kind++) {
			n = asked(&s, true, question);
			memset(answer, 'x', sizeof answer);
			if (kind > 0)
				memcpy(answer, "{sha256}", 8);
			if (kind > 1) /* right, but for its length or its last byte */
				mac("SHA256", "the key", question, n, answer + 8);
			if (size == 40)
				answer[39] ^= 1;
			CHECK(feed(&s, answer, size) < 0);
			CHECK(!s.p.proved);
			CHECK(said(&s, "#FAILURE#"));
			CHECK_EQ(s.p.out_size, 0);
			finish(&s);
		}
	asked(&s, true, question);
	CHECK_EQ(feed(&s, answer, PRONGI_AUTH_MOST + 1), -EPROTO);
	CHECK_EQ(s.p.out_size, 0);
	finish(&s);
}

/* A server that skips the proof, or says welcome to itself, is none. */
static void a_false_server_gets_nowhere(void **state)
{
	struct end c;
	size_t n;

	(void)state;
	begin(&c, "the key", false, false);
	CHECK_EQ(feed(&c, "#WELCOME#", 9), -EPROTO);
	finish(&c);

	begin(&c, "the key", false, false);
	CHECK_EQ(feed(&c, "#CHALLENGE#{sha256}0123456789abcdef", 35), 0);
	says(&c, &n);
	CHECK_EQ(feed(&c, "#WELCOME#", 9), 0);
	CHECK(says(&c, &n) && n == 59);
	CHECK(feed(&c, "#WELCOME#", 9) < 0);
	CHECK(said(&c, "#FAILURE#"));
	finish(&c);

	begin(&c, "the key", false, false);
	CHECK_EQ(feed(&c, "#CHALLENGE#{sha256}0123456789abcdef", 35), 0);
	CHECK_EQ(feed(&c, "#FAILURE#", 9), -EKEYREJECTED);
	finish(&c);

	begin(&c, "the key", false, false);
	CHECK_EQ(feed(&c, "#CHALLENGE#{sha256}0123456789abcdef", 35), 0);
	CHECK_EQ(feed(&c, "#WELCOME", 8), -EPROTO);
	finish(&c);
}

/* A configuration of OpenSSL, which the environment may name, has no say: this one forbids MD5. */
static int old_ways_with_a_configuration(const char *path)
{
	unsigned char mac[64];
	size_t n;

	CHECK_EQ(setenv("OPENSSL_CONF", path, 1), 0);
	challenge_us(false, true, "twenty random bytes.", 20, 0, NULL, NULL);
	CHECK(!EVP_Q_mac(NULL, "HMAC", NULL, "MD5", NULL, "k", 1, (unsigned char *)"x", 1, mac,
			 sizeof mac, &n)); /* it would have had one */
	return 0;
}

static void no_door_through_openssl(void **state)
{
	static const char text[] = "openssl_conf = a\n[a]\nalg_section = b\n"
				   "[b]\ndefault_properties = fips=yes\n";
	char path[] = "/tmp/prong-test-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, sizeof text - 1), sizeof text - 1);
	close(fd);
	helper_run("old_ways", path);
	unlink(path);
}

static const struct helper helpers[] = {
	{ "old_ways", old_ways_with_a_configuration },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(who_knows_the_key_gets_in),
		CASE(each_digest_that_is_allowed),
		CASE(each_challenge_that_is_allowed),
		CASE(nobody_answers_for_another),
		CASE(each_question_is_new),
		CASE(a_stranger_learns_nothing),
		CASE(a_false_server_gets_nowhere),
		CASE(no_door_through_openssl),
	};

	test_begin(argc, argv, TEST_CLOSED, helpers);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
