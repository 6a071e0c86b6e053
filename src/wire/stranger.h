/* Strangers: clients of a listener that are proving the key. */
#ifndef PRONGI_STRANGER_H
#define PRONGI_STRANGER_H

#include "wire/net.h"

struct prongi_stranger {
	struct prongi_stream stream; /* fd -1: the place is free */
	struct prongi_proof proof;
	struct prongi_place peer;
	bool shaken;       /* TLS is there, or not wanted */
	size_t said;       /* bytes of proof.out that are sent */
	bool waits_to_say; /* the set watches for room */
	prong_time came;   /* to his place */

	/* The house's (house.h). */
	struct prongi_stranger *before, *after; /* in the lobby */
	bool lobbied;
	bool settled;            /* the key is proved */
	prong_time wakes;        /* when he has to be seen to */
	uint32_t timer;          /* his place in the heap of these + 1; 0: none */
	uint32_t source;         /* where he comes from; of there are also: */
	uint32_t older, younger; /* the next in age */

	/* The listener's. */
	bool begun;                   /* he was asked for the key */
	struct prongi_stranger *next; /* who proved it after him */
};

/* Go on with the proof as far as it goes without waiting.  Return PRONG_RUNNING: wait for what
   prongi_stranger_wants() says; 0: the key is proved; -EKEYREJECTED, -EKEYEXPIRED, -EPROTOTYPE,
   -EPROTONOSUPPORT, -EPROTO, -ECONNRESET or -errno: hang up.  What it has to be told is told. */
int prongi_stranger_go_on(struct prongi_stranger *s);

/* His time is over: tell him that TLS is spoken here, if he did not speak at all. */
void prongi_stranger_too_slow(struct prongi_stranger *s);

/* PRONGI_SET_OUT while something is still to be said, else PRONGI_SET_IN. */
unsigned prongi_stranger_wants(const struct prongi_stranger *s);

#endif
