/* Turns: one thread of this process at a time, the others wait until their deadlines, or until they
   are cancelled.  For what may block under it, which a plain lock is not for. */
#ifndef PRONGI_TURN_H
#define PRONGI_TURN_H

#include <prong/deadline.h>

/* All-zero: free.  0: free; 1: taken; 2: taken, and somebody may sleep.  By CAS and exchange. */
struct prongi_turn {
	_Atomic uint32_t word;
};

/* Return 0, PRONG_TIMEDOUT or PRONG_CANCELLED. */
int prongi_turn_take(struct prongi_turn *t, prong_time deadline);

/* Wait for it also when cancelled. */
void prongi_turn_insist(struct prongi_turn *t);

void prongi_turn_give(struct prongi_turn *t);

#endif
