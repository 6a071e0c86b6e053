/* What the cases of managers share. */
#ifndef BENCH_MANAGER_H
#define BENCH_MANAGER_H

#include "bench.h"
#include <stdatomic.h>

enum {
	MANAGER_CLIENTS_MOST = 64,
	MANAGER_SAMPLES = 500 /* trips of one client whose times are kept */
};

struct manager_plan {
	unsigned clients, n;
	const char *python; /* NULL: prong's server */
};

/* In memory that the clients share. */
struct manager_board {
	_Atomic unsigned ready, go;
	double us[MANAGER_SAMPLES]; /* of the first client: a request and its answer */
};

/* Pairs that each client makes. */
unsigned manager_share(const struct manager_plan *p);

/* A client: it is ready, and waits for all; it made its pair i, from the moment `began'. */
void manager_meet(struct manager_board *b);
void manager_note(struct manager_board *b, bool first, unsigned i, int64_t began);

/* Push k/s in channel 0 and the trips in channel 1. */
void manager_push(const struct manager_plan *p, struct manager_board *b, int64_t ns,
		  struct bench_out *out);

/* Lists of Redis (redis.c): RPUSH and BLPOP. */
void run_redis(const void *arg, struct bench_out *out);
const char *no_redis(void);

/* A socket that sends at once, connected to this port of 127.0.0.1; -1: nobody is there. */
int manager_tcp(int port);

#endif
