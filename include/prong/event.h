/* A prong_event is a flag that can be waited for.  All-zero is a cleared one.  In the family's
   heap it works between processes, elsewhere between the threads of one.  There is nothing to
   destroy.

   Nobody owns it: a process that dies leaves it set or cleared, as it was.  Killed inside
   prong_event_set(), it has set it and all who waited go on, or it has not.

   prong_event_set() may be called from a signal handler, under the same rules as
   prong_sem_post().

   Example:
	struct job {
		prong_event stop;
	};
	...
	while (prong_event_wait(&j->stop, prong_in_ms(100)) == PRONG_TIMEDOUT)
		step(j);
	...
	prong_event_set(&j->stop);         in another process, or on SIGTERM  */
#ifndef PRONG_EVENT_H
#define PRONG_EVENT_H

#include <prong/deadline.h>
#include <prong/error.h>

PRONG_BEGIN_DECLS

typedef struct prong_event {
	uint64_t word_; /* set, turn, sleepers */
} prong_event;

/* Set e and let all go on who wait for it; or clear it.
   Return 0; -EINVAL (e is NULL or no address of an event). */
PRONG_API int prong_event_set(prong_event *e);
PRONG_API int prong_event_clear(prong_event *e);

/* Return true when e is set. */
PRONG_API bool prong_event_is_set(const prong_event *e);

/* Block until e is set.  One who waits when it is set passes, even if it is cleared at once.
   Return 0; PRONG_TIMEDOUT; -EINVAL. */
PRONG_MUST int prong_event_wait(prong_event *e, prong_time deadline);

PRONG_END_DECLS
#endif
