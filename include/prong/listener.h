/* Connections between programs, as Python's multiprocessing.connection makes them:
   prong_listener is its Listener, prong_connect() its Client.  Either end may be a
   Python program, of any version from 2.7 on.  What comes out is a prong_conn, with
   which conn.h deals as it does with a pipe's end, and prong_wait() too.

   Addresses:
	tcp://127.0.0.1:5000    or a name for the number; port 0 is any free one
	tcp://[::1]:5000        IPv6
	unix:/run/user/1000/x   a socket in the file system, for its owner alone

   Both ends prove to each other that they know the same key, and nobody else gets
   more than "#FAILURE#" for an answer.  That is all: what passes is neither secret nor
   safe from change by who is on the way, unless both ends are prong's and have .tls.
   So an address that other machines reach has to be asked for.

   A network connection belongs to the process that made it: it cannot be given away,
   carries no descriptors, and in a process that is forked later it is not there, nor is
   its descriptor.  Unlike a pipe it has a beginning that takes time, and an end that may
   come in the middle of a message.

   Example:
	prong_listener *l = NULL;
	prong_conn *c = NULL;
	const prong_auth auth = { .key = key, .key_size = sizeof key };
	int r = prong_listener_open(&l, "tcp://127.0.0.1:0", &auth);
	if (r == 0)
		printf("listening at %s\n", prong_listener_address(l));
	if (r == 0)
		r = prong_listener_accept(l, &c, PRONG_FOREVER);
	if (r == 0)
		r = prong_conn_send(c, "hello", 5, prong_in_ms(1000));        */
#ifndef PRONG_LISTENER_H
#define PRONG_LISTENER_H

#include <prong/conn.h>

PRONG_BEGIN_DECLS

typedef struct prong_listener prong_listener;

/* TLS 1.3 under it all, between programs of prong's: each shows a certificate and believes the
   other's only if it comes from its authority; then they prove the key.  Paths of files in PEM,
   which are read once, when the listener is opened, or what connects made. */
typedef struct prong_tls {
	const char *certificate; /* ours, and behind it those between it and the authority */
	const char *key;         /* its private key, without a password; NULL: in certificate */
	const char *authority;   /* one or more certificates: whom we believe.  Nobody else, also
				    not those that the system believes */
	const char *name;        /* what the other's certificate has to be for: a host, or a number
				    of IP.  NULL: the host in the address; a listener: any, and
				    so where the address is a path */
	bool any_name;           /* also where the address has a host */
	uint8_t reserved1_[7];   /* must be zero, and what follows */
	uint64_t reserved_[4];
} prong_tls;

/* Whom we talk to, and what we let them do.  All-zero means the defaults, but for the
   key, which has none. */
typedef struct prong_auth {
	const void *key;        /* 1 to 65,536 bytes.  Copied, to memory that is in no core
				   dump and no forked process, is locked where
				   RLIMIT_MEMLOCK allows it, and wiped at the end */
	size_t key_size;
	bool old_python;        /* HMAC-MD5 will do too: for Python before 3.12 */
	bool network;           /* listen also where other machines reach */
	bool weak_key;          /* also beyond this machine a key below 16 bytes */
	bool no_penalty;        /* answer all at once, failed proofs or not */
	uint8_t reserved1_[4];
	size_t message_max;     /* bytes that a message which comes may have; 0: 64 MiB */
	uint32_t body_rate;     /* bytes per second that a message which has begun must come
				   with, after ten seconds of waiting for it; 0: 1024 */
	uint32_t handshake_ms;  /* a listener's time for a stranger's proof; 0: 5,000 */
	uint32_t strangers_max; /* at once, in proof, at a listener; 0: 64; at most 65,536 */
	uint32_t penalty_ms;    /* the longest that who comes from where proofs have failed is
				   kept waiting; 0: 2,000; at most 60,000 */
	const prong_tls *tls;   /* NULL: none.  Who has it talks to nobody who has not */
	uint64_t reserved_[5];  /* must be zero */
} prong_auth;

/* Listen at address.  A name that has several numbers listens at its first of IPv4.  A
   Unix socket that a killed listener has left behind is taken over.
   Return 0; -EINVAL (no address, no key, or an option is not valid), -ENOENT (the name
   does not resolve; a directory is not there), -EAGAIN (it does not now), -EADDRINUSE,
   -EADDRNOTAVAIL, -EACCES, -EPERM (other machines reach it, and network is not set),
   -EKEYREJECTED (the key is too short for that), -ENAMETOOLONG, -EMFILE, -ENFILE,
   -ENOMEM.  With tls also what opening its files says, such as -ENOENT, and -EINVAL for
   what is in them: prong_error_detail() says which. */
PRONG_MUST int prong_listener_open(prong_listener **out, const char *address,
				   const prong_auth *auth);

/* Block until a client has proved the key, and store the connection.  The proofs of all
   who come go on at once, while a thread is in here: who cannot prove it or takes too
   long is never seen and holds nobody up.  When as many are in proof as may be, the one
   who has been there longest has to go for the next: at once when more have come from
   where he does, else after a second, or 20 ms when many wait.

   After a proof that failed, who comes from the same address (of IPv6: network) is asked
   for the key 50 ms later, after each further one twice as much, up to penalty_ms; a proof
   that is right, or a minute without a wrong one, ends that.  On loopback too, where short
   keys are allowed; not at a Unix socket, which its owner alone can reach.
   Return 0; PRONG_TIMEDOUT, PRONG_CANCELLED; -EMFILE, -ENFILE, -ENOMEM (who asks is still
   there: try again; it says so ten times a second at most, and waits in between), -EINVAL. */
PRONG_MUST int prong_listener_accept(prong_listener *l, prong_conn **out,
				     prong_time deadline);

/* Return the address with the port that was chosen.  Valid as long as l. */
PRONG_API const char *prong_listener_address(const prong_listener *l);

/* Return a descriptor that polls readable when prong_listener_accept() has something to
   do: call it with PRONG_NOW then; it may be no more than a part of a proof.  It belongs
   to l.  -EINVAL. */
PRONG_MUST int prong_listener_fd(prong_listener *l);

/* What became of those who came. */
typedef struct prong_listener_stats {
	uint64_t accepted;      /* proved the key */
	uint64_t wrong_key;     /* did not, or said that ours is wrong; or a certificate was */
	uint64_t old_python;    /* only knew HMAC-MD5, or a digest that is not allowed */
	uint64_t no_client;     /* sent something else */
	uint64_t hung_up;       /* closed, or were cut off */
	uint64_t too_slow;      /* ran out of time */
	uint64_t displaced;     /* had to go when strangers_max was reached */
	uint64_t waiting;       /* are in proof now */
	uint64_t slowed;        /* were kept waiting, as proofs from there had failed */
} prong_listener_stats;
PRONG_API void prong_listener_stat(prong_listener *l, prong_listener_stats *out);

/* Stop listening and free l; accepted connections stay.  A Unix socket's name goes too.
   NULL is fine. */
PRONG_API void prong_listener_close(prong_listener *l);

/* Connect to address, and prove the key to each other.  Of a name all numbers are tried.
   Return 0; PRONG_TIMEDOUT, PRONG_CANCELLED, -EKEYREJECTED (the keys differ, or ours is
   too short for another machine; or a certificate is not believed, here or there),
   -EKEYEXPIRED (a certificate is, here or there), -EPROTOTYPE (one of both has tls and the
   other has not; a listener that has it says so when its handshake_ms are over),
   -EPROTONOSUPPORT (it wants HMAC-MD5), -EPROTO (that is no such server), -ECONNRESET (it
   hung up), -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH,
   -ENOENT (the name does not resolve, or there is no such socket), -EAGAIN (it does not
   now), -EACCES, -EINVAL, -ENAMETOOLONG, -EMFILE, -ENFILE, -ENOMEM; of tls as
   prong_listener_open(). */
PRONG_MUST int prong_connect(prong_conn **out, const char *address,
			     const prong_auth *auth, prong_time deadline);

/* Return the address of the other end; NULL when c is no network connection.  A client
   of a Unix socket has none but "unix:".  Valid as long as c. */
PRONG_API const char *prong_conn_peer(const prong_conn *c);

PRONG_END_DECLS
#endif
