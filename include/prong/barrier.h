/* A prong_barrier holds threads back until n of them have come, and then lets all go on; and
   again, round after round.  In the family's heap it works between processes, elsewhere between
   the threads of one.  There is nothing to destroy.

   If one that has come gives up, because its deadline passes, it is cancelled, its action fails, or
   it dies in the call, the barrier breaks: all who wait, and all who come, get PRONG_BROKEN, until
   someone resets it.  One that dies before it comes is missed by nobody but the others' deadlines:
   a barrier does not know its members.  One that is stopped is waited for.

   Example:
	static prong_barrier *all;            in the heap
	...
	*all = (prong_barrier)PRONG_BARRIER(8);
	...
	for (int step = 0; step < steps && r == 0; step++) {
		compute(part);
		r = prong_barrier_wait(all, NULL, exchange, grid, PRONG_FOREVER);
	}                                                                     */
#ifndef PRONG_BARRIER_H
#define PRONG_BARRIER_H

#include <prong/deadline.h>
#include <prong/error.h>

PRONG_BEGIN_DECLS

typedef struct prong_barrier {
	uint64_t word_;   /* round, broken, how many have come, sleepers, past rounds */
	uint32_t n_;
	uint32_t reserved_;
} prong_barrier;

/* Initial value of a barrier for n threads, 1 to 16,384. */
#define PRONG_BARRIER(n) { 0, (n), 0 }

/* Come to b and block until n have come.  If index is not NULL, store a number from 0 to n - 1
   that is another for each of them.  The last to come, which has n - 1, first calls action(arg),
   if action is not NULL; all who come give the same, for nobody knows who is last.  The action
   returns, and waits at no barrier.
   Return 0; PRONG_BROKEN; what action returned, if that is not 0, having broken b;
   PRONG_TIMEDOUT, having broken b (or, when the round before had not ended by then, not having
   come); PRONG_DEADLOCK (called from an action); -EINVAL (b is NULL, all-zero or no barrier). */
PRONG_MUST int prong_barrier_wait(prong_barrier *b, uint32_t *index, prong_fn *action, void *arg,
				  prong_time deadline);

/* Break b, if it is whole.  Return 0; -EINVAL. */
PRONG_API int prong_barrier_abort(prong_barrier *b);

/* Make b whole and empty, sending those who wait away with PRONG_BROKEN.  Return 0; -EINVAL. */
PRONG_API int prong_barrier_reset(prong_barrier *b);

/* Return true when b is broken. */
PRONG_API bool prong_barrier_broken(const prong_barrier *b);

PRONG_END_DECLS
#endif
