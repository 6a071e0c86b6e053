/* A prong_sem is a number of tokens: who takes one when there is none waits for one to be put.
   All-zero is a semaphore without tokens and without a bound.  In the family's heap it works
   between processes, elsewhere between the threads of one.  There is nothing to destroy.

   Tokens have no owner: those that a process had taken when it died are not given back, and
   those that it had put stay.  Killed inside a call, it has taken or put them, or not; nobody
   else is kept waiting beside a token.  Where a death must give back what was held, use a
   prong_mutex.

   prong_sem_post() may be called from a signal handler, in any thread of any member.  A thread
   that has used nothing of prong so far has no slot of its own; it borrows one for the time of
   the call.  (A process that the program forked itself belongs to the family from its first
   other call on: killed inside a post before that, it may leave a sleeper asleep.)

   Example:
	struct door {
		prong_sem places;
	};
	...
	d->places = (prong_sem)PRONG_SEM_BOUNDED(4);
	...
	r = prong_sem_wait(&d->places, prong_in_ms(1000));
	if (r)
		return r;
	r = pass(d);                       at most four at a time
	prong_sem_post(&d->places, 1);                                        */
#ifndef PRONG_SEM_H
#define PRONG_SEM_H

#include <prong/deadline.h>
#include <prong/error.h>

PRONG_BEGIN_DECLS

typedef struct prong_sem {
	uint64_t word_;   /* tokens, turn, sleepers */
	uint32_t bound_;  /* 0: 2^32 - 1 */
	uint32_t reserved_;
} prong_sem;

/* Initial values: n tokens; n tokens and never more.  n is at most 2^32 - 1: higher bits do not
   count.  A bound of 0 is none: PRONG_SEM_BOUNDED(0) is as PRONG_SEM(0). */
#define PRONG_SEM(n)	     { (uint64_t)(n) << 32, 0, 0 }
#define PRONG_SEM_BOUNDED(n) { (uint64_t)(n) << 32, (n), 0 }

/* Block until there is a token, and take it.
   Return 0; PRONG_TIMEDOUT; -EINVAL (s is NULL or not a semaphore). */
PRONG_MUST int prong_sem_wait(prong_sem *s, prong_time deadline);

/* Put n tokens; n may be 0.
   Return 0; putting none, and without a detail, for it may be called from signal handlers:
   -EOVERFLOW (there would be more than the bound), -EINVAL. */
PRONG_API int prong_sem_post(prong_sem *s, uint32_t n);

/* Return how many tokens there are at some moment of the call; 0 when s is not a semaphore. */
PRONG_API uint32_t prong_sem_value(const prong_sem *s);

PRONG_END_DECLS
#endif
