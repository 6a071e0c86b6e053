/* The other end of a network connection, byte by byte: a plain socket, which proves the key with
   the library's own proof and then sends what a test likes. */
#ifndef TEST_RAW_H
#define TEST_RAW_H

#include "support.h"
#include <prong/net.h>

extern const char raw_key[17];

/* A key of 16 bytes, and limits that tests change. */
prong_auth raw_auth(void);

/* A listener at a loopback address, and its port. */
prong_listener *raw_listener(const prong_auth *auth);

/* Connect to the address of a listener, and say nothing. */
int raw_dial(const char *address);

/* The same from 127.0.0.n. */
int raw_dial_from(int n, const char *address);

/* Listen at 127.0.0.1; store the address.  Accept. */
int raw_listen(char address[64]);
int raw_accept(int listener);

/* Prove the key as client or server.  The result of prongi_proof_feed(): 1 when both have. */
int raw_prove(int fd, bool server);

/* For a thread: connect to the address, and store the connection and the result. */
struct raw_call {
	char address[100];
	prong_auth auth;
	prong_conn **out;
	int *result;
};
int raw_calls(void *raw_call);

/* Connect both ends of a connection through l.  auth may be NULL. */
void raw_meet(prong_listener *l, const prong_auth *auth, prong_conn **ours, prong_conn **theirs);

/* Send a text; receive that text; receive what is there now, and return the result. */
void raw_put(prong_conn *c, const char *text);
void raw_expect(prong_conn *c, const char *text);
int raw_now(prong_conn *c);

/* A connection of prong's, and its other end. */
prong_conn *raw_pair(const prong_auth *auth, int *fd);

void raw_write(int fd, const void *data, size_t size);
void raw_read(int fd, void *data, size_t size);

/* Read up to the end, at most size bytes; return how many. */
size_t raw_rest(int fd, void *data, size_t size);

/* A frame's head for a message of size bytes. */
void raw_head(int fd, int64_t size);

#endif
