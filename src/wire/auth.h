/* The proof of a key, in both generations of Python's: what is sent, what is expected, and HMAC
   from libcrypto.  No descriptor and no clock here. */
#ifndef PRONGI_AUTH_H
#define PRONGI_AUTH_H

#include <prong/api.h>

#define PRONGI_AUTH_MOST 256 /* that a message may have while keys are being proved */

/* libcrypto's context for all that we ask of it; NULL: no memory. */
struct ossl_lib_ctx_st *prongi_crypto(void);

/* What a listener says, as one message, to who does not speak TLS there. */
#define PRONGI_TLS_ONLY "#TLS#: nothing else is spoken here"

/* A key, in memory that is neither swapped out, dumped nor inherited. */
struct prongi_key {
	size_t size;
	unsigned char bytes[];
};

/* Copy a key.  Return 0 or -ENOMEM. */
int prongi_key_new(struct prongi_key **out, const void *key, size_t size);
void prongi_key_free(struct prongi_key *key);

/* One side of a proof, which is mutual: the server asks first, the client second.  The owner feeds
   it the messages that come, and sends what is in `out', whole frames. */
struct prongi_proof {
	const struct prongi_key *key;
	bool server;
	bool old; /* HMAC-MD5 is good enough too */

	enum {
		PRONGI_AWAIT_CHALLENGE,
		PRONGI_AWAIT_ANSWER,
		PRONGI_AWAIT_VERDICT
	} step;
	bool proved; /* the other side has proved the key */
	bool modern; /* it speaks of digests: Python 3.12 or later, or prong */
	unsigned char asked[64]; /* what it has to prove it with */
	size_t asked_size;

	unsigned char out[192];
	size_t out_size;
	const char *why; /* for people, when it has failed */
};

/* Begin: a server has something to send at once.  Return 0, or -EIO: there is no randomness. */
int prongi_proof_begin(struct prongi_proof *p, const struct prongi_key *key, bool server, bool old);

/* A message has come.  Return 0: go on; 1: both have proved it; and, when it is over,
   -EKEYREJECTED: one of both did not; -EPROTOTYPE: it wants TLS; -EPROTONOSUPPORT: HMAC-MD5 was
   wanted, or an unknown digest; -EPROTO: that is not how it goes.  What is in `out' is to be sent
   in any case. */
int prongi_proof_feed(struct prongi_proof *p, const unsigned char *message, size_t size);

#endif
