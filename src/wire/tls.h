/* TLS under a stream of frames: who we are and whom we trust (tls_files.c), and one connection's
   state (tls.c).  Nothing here waits: the socket is read and written as far as it goes at once. */
#ifndef PRONGI_TLS_H
#define PRONGI_TLS_H

#include <prong/listener.h>
#include <sys/types.h>

/* What prong_tls names, read. */
struct prongi_credentials {
	struct ssl_ctx_st *ctx;
	bool any_name;
	char *name; /* what the other's certificate has to be for; NULL: the address says it */
};

/* Read the files.  Return 0, -EINVAL, -ENOMEM or what opening one says; explained. */
int prongi_credentials_new(struct prongi_credentials **out, const prong_tls *tls, const char *what);
void prongi_credentials_free(struct prongi_credentials *c);

struct prongi_tls;

/* For a connection over fd, which stays the caller's.  address: what a client connects to; NULL for
   a server.  Return 0 or -ENOMEM. */
int prongi_tls_new(struct prongi_tls **out, const struct prongi_credentials *c, int fd,
		   const char *address);

/* Nothing is sent: see tls.c.  In a forked child it is left as it is. */
void prongi_tls_free(struct prongi_tls *t);

/* Go on with the handshake.  Return 0: it is done; PRONG_RUNNING: wait for what prongi_tls_wants()
   says; for good: -EPROTOTYPE (that is no TLS), -EKEYREJECTED, -EKEYEXPIRED (a certificate's
   fault), -EPROTO, -ECONNRESET, -errno. */
int prongi_tls_shake(struct prongi_tls *t);

/* True when the socket has to have room for the handshake to go on, else something has to come. */
bool prongi_tls_wants_room(const struct prongi_tls *t);

/* False while nothing at all has come. */
bool prongi_tls_heard(const struct prongi_tls *t);

/* Why it is over, for people; NULL: it is not, or the result says it all. */
const char *prongi_tls_why(const struct prongi_tls *t);

/* Read at most size bytes.  Return how many; 0: the end; -EAGAIN: nothing is held here, and the
   socket has nothing; and as prongi_tls_shake(). */
ssize_t prongi_tls_read(struct prongi_tls *t, void *at, size_t size);

/* Send of the size bytes, at least 1, what one record has room for.  Return how many; -EAGAIN: the
   same have to be given again when the socket has room, and nothing else; -errno. */
ssize_t prongi_tls_write(struct prongi_tls *t, const void *data, size_t size);

/* A write said -EAGAIN, and was not given again.  The sender's. */
bool prongi_tls_owes(const struct prongi_tls *t);

/* True when bytes have come that polling the socket does not tell of. */
bool prongi_tls_holds(struct prongi_tls *t);

#endif
