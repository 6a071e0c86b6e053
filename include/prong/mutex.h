/* A prong_mutex lets one thread at a time, of any process of the family, into what it
   protects.  All-zero is an unlocked mutex: put it in the struct that it protects.  In the
   family's heap it works between processes, elsewhere between the threads of one.  It
   knows its owner, and there is nothing to destroy.

   If the owner dies, or its thread ends, the mutex passes to the next who asks, with
   PRONG_OWNERDEAD: it is held, and what it protects may be half changed.  Until someone has
   put that right and said so with prong_mutex_consistent(), each next owner is told the
   same.  A process that is stopped is not dead: nothing is taken from it.

   Example:
	struct account {
		prong_mutex lock;
		long balance, paid;   lock protects: balance + paid is total
	};
	...
	r = prong_mutex_lock(&a->lock, PRONG_FOREVER);
	if (r == PRONG_OWNERDEAD) {
		a->paid = total - a->balance;
		r = prong_mutex_consistent(&a->lock);
	}
	if (r)
		return r;
	a->balance -= n;
	a->paid += n;
	prong_mutex_unlock(&a->lock);                                         */
#ifndef PRONG_MUTEX_H
#define PRONG_MUTEX_H

#include <prong/deadline.h>
#include <prong/error.h>

PRONG_BEGIN_DECLS

typedef struct prong_mutex {
	uint64_t word_;         /* owner's slot and generation, waiters, died */
	uint32_t mode_, depth_; /* 0 or recursive; how often more its owner holds it */
} prong_mutex;

/* Initial value of a mutex that its owner may lock again; it is free when it was unlocked
   as often. */
#define PRONG_MUTEX_RECURSIVE { 0, 1, 0 }

/* Block until the caller owns m.
   Return 0; holding m: PRONG_OWNERDEAD; not holding it: PRONG_TIMEDOUT, PRONG_DEADLOCK (the
   caller owns m and it is not recursive), -EINVAL (m is NULL or not a mutex), -EOVERFLOW
   (locked 2^32 times).  In the checking mode, see family.h: -EFAULT (m is another process's
   copy too, or in a block that was freed); below as well. */
PRONG_MUST int prong_mutex_lock(prong_mutex *m, prong_time deadline);

/* Give m up.  Return 0; -EPERM when the caller does not own it, -EINVAL. */
PRONG_API int prong_mutex_unlock(prong_mutex *m);

/* Say that what m protects is whole again.  Return 0, also when it always was; -EPERM when
   the caller does not own it, -EINVAL. */
PRONG_MUST int prong_mutex_consistent(prong_mutex *m);

/* Return true when the calling thread owns m.  For assertions. */
PRONG_API bool prong_mutex_held(const prong_mutex *m);

PRONG_END_DECLS
#endif
