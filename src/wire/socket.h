/* Sockets at places, without a word about keys. */
#ifndef PRONGI_SOCKET_H
#define PRONGI_SOCKET_H

#include "wire/address.h"

/* Listen at a place.  Store the socket, and in *bound where it is.  -errno. */
int prongi_socket_listen(const struct prongi_place *at, struct prongi_place *bound);

/* Connect to a place, and store the socket.  0, PRONG_TIMEDOUT, PRONG_CANCELLED, -errno. */
int prongi_socket_connect(int *out, const struct prongi_place *to, prong_time deadline);

/* -1 is fine. */
void prongi_socket_close(int fd);

/* Where the other end is. */
void prongi_socket_peer(int fd, struct prongi_place *out);

/* A Unix socket's file, as it is named in the file system. */
struct prongi_file {
	uint64_t device, inode; /* inode 0: none */
};
void prongi_socket_file(const struct prongi_place *at, struct prongi_file *out);

/* Remove its name, if that is still the same file. */
void prongi_socket_unlink(const struct prongi_place *at, const struct prongi_file *file);

#endif
