/* A prong_rwlock lets many threads read what it protects, or one write it.  All-zero is an
   unlocked one.  In the family's heap it works between processes, elsewhere between the threads
   of one.  There is nothing to destroy.

   Readers write nothing that they share, so reading scales with the processors; to write where
   somebody has read costs a look at each thread of the family.  Writers come first: once one
   waits for readers to leave, no other reader is let in, but one that reads already may lock
   again.

   A reader that dies is forgotten.  If a writer dies, the lock passes on as a prong_mutex does,
   with PRONG_OWNERDEAD: each who locks it is told, readers too, until a writer has put right
   what it protects and said so with prong_rwlock_consistent().  A reader that is told can look,
   but not mend: it unlocks, and locks for writing.  One that is stopped is not dead.

   Example:
	struct index {
		prong_rwlock lock;
		int n, entry[100];
	};
	...
	r = prong_rwlock_read(&x->lock, deadline);
	if (r == 0) {
		sum = add_up(x->entry, x->n);
		prong_rwlock_unlock(&x->lock);
	}                                                                     */
#ifndef PRONG_RWLOCK_H
#define PRONG_RWLOCK_H

#include <prong/deadline.h>
#include <prong/error.h>

PRONG_BEGIN_DECLS

typedef struct prong_rwlock {
	uint64_t word_; /* writer's slot and generation, waiters, died */
	uint64_t left_; /* where a writer waits for readers */
	uint32_t seen_; /* somebody has read since the last writer */
	uint32_t reserved_;
} prong_rwlock;

/* Block until the caller may read.  It may read up to 8 such locks at a time, each as often as it
   likes.
   Return 0; reading: PRONG_OWNERDEAD; not reading: PRONG_TIMEDOUT, PRONG_DEADLOCK (the caller
   writes), -ENOLCK (it reads 8 others), -EOVERFLOW (locked 2^32 times), -EINVAL (l is NULL or
   not an rwlock). */
PRONG_MUST int prong_rwlock_read(prong_rwlock *l, prong_time deadline);

/* Block until the caller may write.
   Return 0; writing: PRONG_OWNERDEAD; not writing: PRONG_TIMEDOUT, PRONG_DEADLOCK (the caller
   reads or writes already), -EINVAL. */
PRONG_MUST int prong_rwlock_write(prong_rwlock *l, prong_time deadline);

/* Give up what the caller has: one of its reads, or the write.
   Return 0; -EPERM when it has neither, -EINVAL. */
PRONG_API int prong_rwlock_unlock(prong_rwlock *l);

/* Say, as the writer, that what l protects is whole again.  Return 0, also when it always was;
   -EPERM when the caller does not write, -EINVAL. */
PRONG_MUST int prong_rwlock_consistent(prong_rwlock *l);

PRONG_END_DECLS
#endif
