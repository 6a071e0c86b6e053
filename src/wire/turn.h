/* Turns: one thread of this process at a time, the others wait until their deadlines.  For what may
   block under it, which a plain lock is not for. */
#ifndef PRONGI_TURN_H
#define PRONGI_TURN_H

#include <prong/deadline.h>
#include <pthread.h>

struct prongi_turn {
	pthread_mutex_t lock; /* protects taken; nothing is held when it is taken, nor inside */
	pthread_cond_t free;
	bool taken;
};

int prongi_turn_init(struct prongi_turn *t); /* 0 or -ENOMEM */
void prongi_turn_fini(struct prongi_turn *t);

/* Return 0 or PRONG_TIMEDOUT. */
int prongi_turn_take(struct prongi_turn *t, prong_time deadline);
void prongi_turn_give(struct prongi_turn *t);

#endif
