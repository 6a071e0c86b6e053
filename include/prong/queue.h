/* A prong_queue carries whole messages between any threads and processes of the family, first in
   first out.  Any number may put and get at once.

   What is promised, whoever is killed at whatever instruction:
   - a put that returned 0 is never lost, and is there for the next get;
   - a put that was cut short has put the whole message, or left no trace;
   - get makes a message yours for good; a message that was leased, by a thread that ended without
     acknowledging it, comes back before all others, with its tries counted up: so each is handled
     at least once, and marked when it may be more than once;
   - messages of one thread arrive in the order in which it put them, but for those that come back;
   - "nothing there" is said only if there was a moment during the call when the queue was empty,
     and "full" likewise;
   - a process that is stopped holds up nobody, and nothing is taken from it.

   There are two ways through.  By copy: put and get.  In place: reserve a message, write it where
   it will stay, commit it; lease it, read it where it is, acknowledge it.  A message in hand
   belongs to the thread that has it.  Messages beyond the usual size lie in the heap on their
   own, and only their address travels.

   With libprong-net a handle may also be that of a queue in a manager, somewhere on a network: see
   prong_remote_queue() in remote.h, which says what is different then.

   Example:
	prong_message m;
	int r;

	while ((r = prong_queue_lease(jobs, &m, PRONG_FOREVER)) == 0) {
		work(m.data, m.tries);
		prong_queue_ack(jobs, &m);
	}
	return r == PRONG_CLOSED ? 0 : r;                       no more jobs */
#ifndef PRONG_QUEUE_H
#define PRONG_QUEUE_H

#include <prong/deadline.h>
#include <prong/error.h>

PRONG_BEGIN_DECLS

typedef struct prong_queue prong_queue;

typedef struct prong_queue_opts {
	size_t capacity;       /* messages that wait at most, those not counted that are in hand or
				  came back; 0: it grows, to 16,777,216 */
	size_t max_size;       /* bytes of a message; 0: no bound but the heap */
	size_t usual_size;     /* bytes up to which they lie in the queue itself; 0: 112 */
	uint64_t reserved_[5]; /* must be zero */
} prong_queue_opts;

/* A message in the caller's hands; reserve and lease fill it in. */
typedef struct prong_message {
	void *data;     /* in the heap, aligned to 16; never NULL */
	size_t size;
	uint32_t tries; /* 1: it was in nobody's hands before; 2 and more: it came back.  Counts
			   to 128 */
	uint32_t block_;
	uint64_t hold_;
} prong_message;

/* Make a queue and store its address in *out.  When out lies in the heap, both happen or neither;
   else a process killed in here may take the queue's memory with it.
   Return 0, -EINVAL (an option out of range), -ENOMEM. */
PRONG_MUST int prong_queue_new(prong_queue **out, const prong_queue_opts *opts);

/* Copy size bytes to the end of q, blocking while it is full.
   Return 0, PRONG_TIMEDOUT (it was full), PRONG_CLOSED, -EMSGSIZE (above max_size), -EINVAL (data
   is NULL and size is not 0, or q is not a queue: so do all below), -ENOMEM (the heap is full, or
   the queue has grown as far as it can). */
PRONG_MUST int prong_queue_put(prong_queue *q, const void *data, size_t size,
			       prong_time deadline);

/* Block until there is a message, take it out and copy it to data.  With got, it may be shorter
   than size, and its length is stored in *got; without, it must be exactly size bytes long.
   That a message came back does not show here: lease it where that matters.
   Return 0, PRONG_TIMEDOUT (it was empty), PRONG_CLOSED (and empty), -EMSGSIZE (it does not fit,
   and stays where it is), -EINVAL, -ENOMEM. */
PRONG_MUST int prong_queue_get(prong_queue *q, void *data, size_t size, size_t *got,
			       prong_time deadline);

/* Have a message of size bytes to be written, whose bytes are not set.  It has no place in the
   order yet.  Never blocks.  Return 0, PRONG_CLOSED, -EMSGSIZE, -EINVAL, -ENOMEM. */
PRONG_MUST int prong_queue_reserve(prong_queue *q, size_t size, prong_message *m);

/* Put a reserved message at the end of q, blocking while it is full.
   Return 0; and with the message still in hand: PRONG_TIMEDOUT, PRONG_CLOSED, -EPERM (the calling
   thread has not got it, or no longer), -EINVAL, -ENOMEM. */
PRONG_MUST int prong_queue_commit(prong_queue *q, prong_message *m, prong_time deadline);

/* Block until there is a message, and take it without copying it: it is in hand until
   acknowledged, abandoned, or until the calling thread or its process ends, without limit of time.
   Return as get. */
PRONG_MUST int prong_queue_lease(prong_queue *q, prong_message *m, prong_time deadline);

/* Acknowledge a leased message: it is done with, and its memory is reused.
   Return 0, -EPERM (the calling thread has not got it, or no longer), -EINVAL. */
PRONG_API int prong_queue_ack(prong_queue *q, prong_message *m);

/* Let a message in hand go: a leased one goes back to be the next that anyone takes, with its
   tries counted up; a reserved one is dropped.  Return as ack. */
PRONG_API int prong_queue_abandon(prong_queue *q, prong_message *m);

/* Block until each message that was put has been got or acknowledged.
   Return 0, PRONG_TIMEDOUT, -EINVAL. */
PRONG_MUST int prong_queue_join(prong_queue *q, prong_time deadline);

/* Return how many messages wait, those in hand not counted; 0 when q is not a queue.  With others
   at work on it, it was so at some moment of the call, give or take what they did meanwhile. */
PRONG_API size_t prong_queue_size(const prong_queue *q);

/* Let no more messages in.  What is there can still be taken, and what is in hand may come back;
   who finds nothing more gets PRONG_CLOSED.  Wakes all.  Closing again is fine.
   Return 0, -EINVAL, -ENOMEM. */
PRONG_API int prong_queue_close(prong_queue *q);

/* Free q and what is in it, what the caller has in hand too; from any thread; NULL is fine.  No
   other may be in a call on it.  Return 0, -EINVAL; -EBUSY: nothing was done, for another living
   thread is asleep in a call on it or in prong_wait() for it (close it first), or has a message of
   it in hand. */
PRONG_API int prong_queue_free(prong_queue *q);

PRONG_END_DECLS
#endif
