/* What listeners, connecting and connections share. */
#ifndef PRONGI_NET_H
#define PRONGI_NET_H

#include "private.h"
#include "wire/address.h"
#include "wire/auth.h"
#include "wire/mine.h"
#include "wire/stream.h"
#include "wire/tls.h"
#include "wire/turn.h"
#include <prong/carry.h>
#include <prong/listener.h>

/* The options with their defaults filled in. */
struct prongi_terms {
	struct prongi_key *key;
	struct prongi_credentials *tls; /* NULL: none */
	bool old_python;
	size_t message_max;
	uint32_t body_rate, handshake_ms, strangers_max, penalty_ms;
};

/* Check the options, copy the key, and read the files of tls.  Return 0, -EINVAL, -ENOMEM or what
   the files say, explained. */
int prongi_terms_make(struct prongi_terms *out, const prong_auth *auth, const char *what);
void prongi_terms_fini(struct prongi_terms *terms);

/* As prong_connect(), on terms that were made of auth, of which the key and tls are not looked at
   again. */
int prongi_connect(prong_conn **out, const char *address, const prong_auth *auth,
		   const struct prongi_terms *terms, prong_time deadline);

/* Check that the key is good enough for a place.  Return 0 or -EKEYREJECTED, explained. */
int prongi_terms_suit(const prong_auth *auth, const struct prongi_place *p, const char *what);

/* Make a connection of a stream whose other end has proved the key.  *s becomes the connection's
   when it succeeds. */
int prongi_conn_make(prong_conn **out, struct prongi_stream *s, const struct prongi_terms *terms,
		     bool modern, const struct prongi_place *peer, const char *what);

/* As prong_listener_accept() with PRONG_NOW, for who serves many: the bare stream, of which the
   limits are still those of a proof. */
int prongi_listener_accept(prong_listener *l, struct prongi_stream *out);

/* Encode v as the pickle that the other end of c understands, and that keeps the most.  As
   prong_encode(). */
int prongi_conn_encode(const prong_conn *c, const prong_value *v, void **data, size_t *size);

/* The protocol of pickles that the other end of a network connection understands, as far as it is
   known; 0: nothing came yet that tells. */
int prongi_conn_protocol(const prong_conn *c);

/* True when c is a network connection of this process. */
bool prongi_conn_is_net(const prong_conn *c);

/* End it in both directions, so that who waits at it, in any thread, need not wait longer. */
void prongi_conn_shut(prong_conn *c);

/* True when a receive would not wait: a message is there, or an end. */
bool prongi_conn_has_news(prong_conn *c);

/* Receive a message from a network connection as memory from malloc(), a pickle: its protocol is
   the other end's.  As prong_conn_recv(). */
int prongi_conn_recv_private(prong_conn *c, void **data, size_t *size, prong_time deadline,
			     const char *what);

#endif
