/* Objects of a manager by what they are: a lock, an event, a dict, a list.  What remote.h calls by
   name is here a function of its own, with the errors that it may have; all else that the objects
   can do is prong_proxy_call()'s, and a queue is prong_remote_queue()'s.

   Waiting is the manager's: it is told how long, at most a second at a time, so that a client that
   is killed does not take the lock for longer than that; and its word is waited for up to a second
   beyond the deadline, so PRONG_NOW asks once.  If it does not come: -ETIMEDOUT, and it is not
   known what happened.  Then, and when the caller is cancelled, a manager of prong's frees what it
   may have given; one of Python's keeps it locked for nobody.

   Keys and values that are put in are taken over, also on failure.  What comes out is the
   caller's; see prong_proxy_of() for one that is an object of the manager itself.

   All return 0, or what prong_proxy_call() does, and
      PRONG_MISMATCH    the object has no such method: it is of another kind
   The deadline is for the manager's answer, where nothing else is said.

   Example:
	r = prong_proxy_lock(lock, prong_in_ms(5000));
	if (r == 0) {
		r = prong_proxy_put(settings, prong_value_text("limit"), prong_value_int(10),
				    prong_in_ms(1000));
		if (r == 0)
			r = prong_proxy_set(changed, prong_in_ms(1000));
		r2 = prong_proxy_unlock(lock, prong_in_ms(1000));
	}                                                                     */
#ifndef PRONG_PROXY_H
#define PRONG_PROXY_H

#include <prong/remote.h>

PRONG_BEGIN_DECLS

/* Block until the calling thread has p: a Lock, an RLock, a Semaphore, a BoundedSemaphore, or the
   lock of a Condition.  From 3.2 on Python's managers wait themselves; before, they are asked again
   and again.
   Return also PRONG_TIMEDOUT, -ETIMEDOUT. */
PRONG_MUST int prong_proxy_lock(prong_proxy *p, prong_time deadline);

/* Give p up; an RLock has to be given up by the thread that has it.
   Return PRONG_RAISED when it is not locked, or not by this thread. */
PRONG_MUST int prong_proxy_unlock(prong_proxy *p, prong_time deadline);

/* Block until the Event p is set.  Return also PRONG_TIMEDOUT, -ETIMEDOUT. */
PRONG_MUST int prong_proxy_wait(prong_proxy *p, prong_time deadline);

/* Set the Event p, so that all who wait for it go on. */
PRONG_MUST int prong_proxy_set(prong_proxy *p, prong_time deadline);

/* Have an Event no longer set, or a dict, set or list empty; a list of Python's before 3.14 is
   PRONG_MISMATCH. */
PRONG_MUST int prong_proxy_clear(prong_proxy *p, prong_time deadline);

/* Store what is in a dict under key, or in a list or Array at that index, which counts from the end
   when it is negative.  Return also PRONG_EMPTY: nothing is there. */
PRONG_MUST int prong_proxy_get(prong_proxy *p, prong_value *key, prong_value **out,
			       prong_time deadline);

/* Put item there, in place of what is there.  Return also PRONG_EMPTY: a list or Array has no such
   index. */
PRONG_MUST int prong_proxy_put(prong_proxy *p, prong_value *key, prong_value *item,
			       prong_time deadline);

/* Take out what is in a dict under key, or in a list at that index.
   Return also PRONG_EMPTY: nothing is there. */
PRONG_MUST int prong_proxy_remove(prong_proxy *p, prong_value *key, prong_time deadline);

/* Put item at the end of a list. */
PRONG_MUST int prong_proxy_append(prong_proxy *p, prong_value *item, prong_time deadline);

/* Store how many items a dict, set, list or Array has. */
PRONG_MUST int prong_proxy_count(prong_proxy *p, size_t *out, prong_time deadline);

/* Store a copy of all that is in a dict, set or list, as it was at one moment. */
PRONG_MUST int prong_proxy_copy(prong_proxy *p, prong_value **out, prong_time deadline);

PRONG_END_DECLS
#endif
