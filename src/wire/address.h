/* Addresses: "tcp://host:port", "tcp://[v6]:port", "unix:path". */
#ifndef PRONGI_ADDRESS_H
#define PRONGI_ADDRESS_H

#include <prong/deadline.h>
#include <sys/socket.h>

#define PRONGI_ADDRESS_MOST 300 /* bytes of text, its end too */

/* Where a socket is bound or connected to. */
struct prongi_place {
	struct sockaddr_storage at;
	socklen_t size;
};

#define PRONGI_PLACES 16 /* that one name may have */

struct prongi_places {
	struct prongi_place place[PRONGI_PLACES];
	size_t n;
};

/* Find what address means; names are looked up, and the first that were found are kept.  what is
   the public function's name.  Return 0, PRONG_TIMEDOUT, -EINVAL (no address), -ENAMETOOLONG,
   -ENOENT (the name does not resolve), -EAGAIN (not now), -ENOMEM, -EIO; explained. */
int prongi_address_find(struct prongi_places *out, const char *address, prong_time deadline,
			const char *what);

#define PRONGI_HOST_MOST 256 /* bytes of a name, its end too */

/* The name or number in what begins with tcp://; false: it is something else. */
bool prongi_address_host(const char *address, char host[PRONGI_HOST_MOST]);

/* The same text from a place. */
void prongi_address_text(const struct prongi_place *p, char text[PRONGI_ADDRESS_MOST]);

/* True when only this machine's programs can be there. */
bool prongi_address_is_local(const struct prongi_place *p);

/* Bytes that tell one machine, or one network of IPv6, from another; 0: a Unix socket's end. */
uint64_t prongi_address_source(const struct prongi_place *p);

#endif
