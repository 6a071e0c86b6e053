/* A prong_cond is where threads wait until something that a mutex protects has become true.
   All-zero is a condition that nobody waits at.  In the family's heap it works between
   processes, elsewhere between the threads of one.  There is nothing to destroy.  All who wait
   at it at one time use the same mutex.

   Waking is a hint: wait in a loop that looks whether it is true.  A wait may end without a
   signal, and one signal may end several.

   If someone dies who was woken, another is woken in its place.  If a process dies that owned
   the mutex, it may have died before it signalled: then one of those who wait at the condition
   is woken with PRONG_OWNERDEAD, or who locks the mutex first is told.  That one puts right
   what the mutex protects, and calls prong_cond_broadcast().  So signal while you own the
   mutex: who dies between unlocking and signalling wakes nobody.

   Example:
	struct account {
		prong_mutex lock;
		prong_cond paid_in;
		long balance;
	};
	...
	r = prong_mutex_lock(&a->lock, deadline);
	while (r == 0 && a->balance < n)
		r = prong_cond_wait(&a->paid_in, &a->lock, deadline);
	...
	a->balance += n;                         holding the lock
	prong_cond_signal(&a->paid_in);
	prong_mutex_unlock(&a->lock);                                         */
#ifndef PRONG_COND_H
#define PRONG_COND_H

#include <prong/mutex.h>

PRONG_BEGIN_DECLS

typedef struct prong_cond {
	uint64_t word_; /* those who came, turn, sleepers */
} prong_cond;

/* Give m up, block until woken, and take m again: however long that takes, for the caller owns m
   on every return but those with -EPERM and -EINVAL.  A recursive m is given up whole.
   Return 0; PRONG_TIMEDOUT; PRONG_OWNERDEAD (as prong_mutex_lock()); -EPERM (the caller does
   not own m), -EINVAL (c or m is NULL, or no address of one). */
PRONG_MUST int prong_cond_wait(prong_cond *c, prong_mutex *m, prong_time deadline);

/* Wake one who waits at c, or all.  When nobody does, nothing happens.
   Return 0; -EINVAL. */
PRONG_API int prong_cond_signal(prong_cond *c);
PRONG_API int prong_cond_broadcast(prong_cond *c);

PRONG_END_DECLS
#endif
