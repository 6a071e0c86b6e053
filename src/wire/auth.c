/* The proof of a key, as Python's multiprocessing.connection does it:

      server                                   client
      #CHALLENGE# {sha256} 40 bytes     ->
                                        <-     {sha256} HMAC of all after #CHALLENGE#
      #WELCOME# or #FAILURE#            ->
                                        <-     #CHALLENGE# {sha256} 40 bytes
      {sha256} HMAC                     ->
                                        <-     #WELCOME# or #FAILURE#

   Python before 3.12 asks with 20 bytes and no digest, and answers with a bare HMAC-MD5, whatever
   it was asked; so one kind of question is good for all.

   The protocol does not say who asks.  So a false server could hand the question that one client of
   ours asks to another of ours, and get the answer from it.  Between two of prong's that is closed:
   the last 8 of our 40 bytes say who asks, and nobody answers a question of its own kind.  What
   stays open is the relay that sits between both for good: only TLS helps against it.

   What is asked of libcrypto is asked in a context of its own, so that no configuration file, which
   an environment variable may name, has a say in it. */
#include "wire/auth.h"
#include "os/net_os.h"
#include "wire/frame.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#define OLD_QUESTION 20
#define OLD_ANSWER   16
#define RANDOM       32
#define LABEL        8
#define MAC_MOST     48

static const char challenge[] = "#CHALLENGE#", welcome[] = "#WELCOME#", failure[] = "#FAILURE#";
static const char our_digest[] = "{sha256}";

static const struct digest {
	const char *prefix, *name;
	size_t size;
} digests[] = {
	{ "{sha256}", "SHA256", 32 },     { "{sha384}", "SHA384", 48 },
	{ "{sha3_256}", "SHA3-256", 32 }, { "{sha3_384}", "SHA3-384", 48 },
	{ "{md5}", "MD5", 16 }, /* last: for the old alone */
};
#define DIGESTS (sizeof digests / sizeof *digests)
#define MD5     (&digests[DIGESTS - 1])

/* --- keys ---------------------------------------------------------------------------------- */

int prongi_key_new(struct prongi_key **out, const void *key, size_t size)
{
	struct prongi_key *k = prongi_os_secret_new(sizeof *k + size);

	if (!k)
		return -ENOMEM;
	k->size = size;
	memcpy(k->bytes, key, size);
	*out = k;
	return 0;
}

void prongi_key_free(struct prongi_key *key)
{
	if (!key)
		return;
	prongi_os_secret_free(key, sizeof *key + key->size);
}

/* --- HMAC ---------------------------------------------------------------------------------- */

static OSSL_LIB_CTX *crypto;
static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;

static void make_crypto(void)
{
	crypto = OSSL_LIB_CTX_new();
}

OSSL_LIB_CTX *prongi_crypto(void)
{
	pthread_once(&crypto_once, make_crypto);
	return crypto;
}

/* False when libcrypto cannot do it: no memory, or no such digest. */
static bool mac(const struct prongi_key *key, const struct digest *d, const unsigned char *data,
		size_t size, unsigned char out[MAC_MOST])
{
	size_t n = 0;

	OSSL_LIB_CTX *context = prongi_crypto();

	return context &&
	       EVP_Q_mac(context, "HMAC", NULL, d->name, NULL, key->bytes, key->size, data, size,
			 out, MAC_MOST, &n) &&
	       n == d->size;
}

/* --- what is sent -------------------------------------------------------------------------- */

static void say(struct prongi_proof *p, const void *a, size_t a_size, const void *b, size_t b_size)
{
	unsigned char *at = p->out + p->out_size;

	at += prongi_frame_head(at, a_size + b_size);
	memcpy(at, a, a_size);
	if (b_size)
		memcpy(at + a_size, b, b_size);
	p->out_size = (size_t)(at - p->out) + a_size + b_size;
}

static void say_word(struct prongi_proof *p, const char *word)
{
	say(p, word, strlen(word), NULL, 0);
}

static const char *label(bool server)
{
	return server ? "\0prong/S" : "\0prong/C";
}

static int ask(struct prongi_proof *p)
{
	const size_t prefix = sizeof our_digest - 1;

	memcpy(p->asked, our_digest, prefix);
	if (prongi_os_random(p->asked + prefix, RANDOM)) {
		p->why = "the system has no random bytes";
		return -EIO;
	}
	memcpy(p->asked + prefix + RANDOM, label(p->server), LABEL);
	p->asked_size = prefix + RANDOM + LABEL;
	say(p, challenge, sizeof challenge - 1, p->asked, p->asked_size);
	p->step = PRONGI_AWAIT_ANSWER;
	return 0;
}

/* --- what is heard ------------------------------------------------------------------------- */

static int fail(struct prongi_proof *p, int r, const char *why)
{
	p->why = why;
	return r;
}

/* The digest that the bytes begin with, or NULL. */
static const struct digest *digest_of(const struct prongi_proof *p, const unsigned char *data,
				      size_t size)
{
	for (size_t i = 0; i < DIGESTS - !p->old; i++) {
		size_t n = strlen(digests[i].prefix);

		if (size >= n && memcmp(data, digests[i].prefix, n) == 0)
			return &digests[i];
	}
	return NULL;
}

static bool is(const unsigned char *message, size_t size, const char *word)
{
	return size == strlen(word) && memcmp(message, word, size) == 0;
}

static int answer(struct prongi_proof *p, const unsigned char *question, size_t size)
{
	const struct digest *d = size == OLD_QUESTION ? NULL : digest_of(p, question, size);
	unsigned char bytes[MAC_MOST];

	if (size < OLD_QUESTION)
		return fail(p, -EPROTO, "a challenge below 20 bytes");
	if (size == OLD_QUESTION && !p->old)
		return fail(p, -EPROTONOSUPPORT, "it wants HMAC-MD5, as Python before 3.12 does");
	if (size != OLD_QUESTION && !d)
		return fail(p, -EPROTONOSUPPORT, "it wants a digest that is not allowed");
	if (memcmp(question + size - LABEL, label(p->server), LABEL) == 0)
		return fail(p, -EKEYREJECTED, "the challenge is one that this side asks");
	p->modern = d != NULL;
	if (!mac(p->key, d ? d : MD5, question, size, bytes))
		return fail(p, -EPROTONOSUPPORT, "libcrypto does not do that digest");
	if (d)
		say(p, d->prefix, strlen(d->prefix), bytes, d->size);
	else
		say(p, bytes, OLD_ANSWER, NULL, 0);
	p->step = PRONGI_AWAIT_VERDICT;
	return 0;
}

static int hear_challenge(struct prongi_proof *p, const unsigned char *message, size_t size)
{
	const size_t n = sizeof challenge - 1;

	if (size >= 5 && memcmp(message, PRONGI_TLS_ONLY, 5) == 0)
		return fail(p, -EPROTOTYPE, "it speaks TLS alone, and this side was told of none");
	if (size < n || memcmp(message, challenge, n) != 0)
		return fail(p, -EPROTO, "it sent something else than a challenge");
	return answer(p, message + n, size - n);
}

/* True when the answer is the right one. */
static bool right(struct prongi_proof *p, const struct digest *d, const unsigned char *bytes,
		  size_t size)
{
	unsigned char expected[MAC_MOST];

	return size == d->size && mac(p->key, d, p->asked, p->asked_size, expected) &&
	       CRYPTO_memcmp(bytes, expected, size) == 0;
}

static int hear_answer(struct prongi_proof *p, const unsigned char *message, size_t size)
{
	const struct digest *d = size == OLD_ANSWER ? NULL : digest_of(p, message, size);
	size_t prefix = d ? strlen(d->prefix) : 0;
	int r = 0;

	if (size == OLD_ANSWER && !p->old)
		r = fail(p, -EPROTONOSUPPORT, "it answers by HMAC-MD5, as Python before 3.12 does");
	else if (size != OLD_ANSWER && !d)
		r = fail(p, -EPROTO, "it sent something else than an answer");
	else if (!right(p, d ? d : MD5, message + prefix, size - prefix))
		r = fail(p, -EKEYREJECTED, "its key is another one");
	if (r) {
		say_word(p, failure);
		return r;
	}
	p->proved = true;
	p->modern = d != NULL;
	say_word(p, welcome);
	p->step = PRONGI_AWAIT_CHALLENGE;
	return !p->server; /* the client asks second */
}

static int hear_verdict(struct prongi_proof *p, const unsigned char *message, size_t size)
{
	if (is(message, size, failure))
		return fail(p, -EKEYREJECTED, "it says that our key is wrong");
	if (!is(message, size, welcome))
		return fail(p, -EPROTO, "it sent something else than a verdict");
	if (!p->server)
		return ask(p);
	return p->proved ? 1 : fail(p, -EPROTO, "a verdict out of turn");
}

/* --- from outside -------------------------------------------------------------------------- */

int prongi_proof_begin(struct prongi_proof *p, const struct prongi_key *key, bool server, bool old)
{
	*p = (struct prongi_proof){ .key = key, .server = server, .old = old };
	return server ? ask(p) : 0;
}

int prongi_proof_feed(struct prongi_proof *p, const unsigned char *message, size_t size)
{
	if (size > PRONGI_AUTH_MOST)
		return fail(p, -EPROTO, "a message above 256 bytes");
	switch (p->step) {
	case PRONGI_AWAIT_CHALLENGE:
		return hear_challenge(p, message, size);
	case PRONGI_AWAIT_ANSWER:
		return hear_answer(p, message, size);
	case PRONGI_AWAIT_VERDICT:
		return hear_verdict(p, message, size);
	}
	return fail(p, -EPROTO, "out of turn");
}
