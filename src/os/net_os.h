/* The seam of libprong-net, beside os.h: what connections need of a system beyond POSIX sockets.
   Results are 0 or -errno unless said otherwise. */
#ifndef PRONGI_NET_OS_H
#define PRONGI_NET_OS_H

#include <prong/deadline.h>

/* size zeroed bytes for a secret: not in core dumps, not in forked processes, which see zeros, and
   not in swap as far as the limits let it be locked.  NULL: no memory. */
void *prongi_os_secret_new(size_t size);

/* Wipe and give back. */
void prongi_os_secret_free(void *secret, size_t size);

/* Fill with bytes that nobody can guess; at most 256. */
int prongi_os_random(void *bytes, size_t size);

/* Accept a connection without waiting: the descriptor, close-on-exec; -EAGAIN: none is there. */
struct sockaddr;
int prongi_os_accept(int listener, struct sockaddr *peer, unsigned *size);

/* A socket that is close-on-exec from birth. */
int prongi_os_socket(int family);

/* Of a TCP connection: send small messages at once, and notice within some minutes when the other
   machine has vanished. */
void prongi_os_tcp_tune(int fd);

/* How many bytes were sent that the other end's system has not confirmed, or that a Unix socket's
   other end has not read; -errno. */
int prongi_os_unconfirmed(int fd);

/* How many wait to be accepted by a TCP listener; 0 when it cannot be told. */
int prongi_os_backlog(int listener);

/* Who is at the other end of a Unix socket; false when it cannot be told. */
bool prongi_os_unix_peer(int fd, int *pid, unsigned *uid);

/* --- sets of descriptors, each one itself, readable while one of them is ready ---------------- */

#define PRONGI_SET_IN  1u
#define PRONGI_SET_OUT 2u

int prongi_os_set_new(void);

/* Have the set watch fd for `what', or for something else than before; 0: no longer. */
int prongi_os_set_watch(int set, int fd, unsigned what, uint64_t tag);
int prongi_os_set_change(int set, int fd, unsigned what, uint64_t tag);
void prongi_os_set_forget(int set, int fd);

/* Store the tags of those that are ready now, up to max, and return how many. */
int prongi_os_set_ready(int set, uint64_t *tags, int max);

/* The same after waiting until one is, or the deadline, to the millisecond. */
int prongi_os_set_wait(int set, uint64_t *tags, int max, prong_time deadline);

/* A descriptor that polls readable from a moment on; PRONG_FOREVER: it does not. */
int prongi_os_alarm_new(void);
void prongi_os_alarm_set(int alarm, prong_time t);

/* A descriptor that polls readable while it rings. */
int prongi_os_ring_new(void);
void prongi_os_ring(int ring, bool rings);

#endif
