/* A prong_conn is one end of a line that keeps message boundaries: of a pipe between
   two members of the family, both ways or one way; or, with libprong-net, of a connection
   to another program (listener.h), to which what is said at the end applies.

   An end belongs to the process that made it, until it is given to another.  When
   its owner has ended, however it went, the end is closed: whoever is at the other
   end receives what was sent before, and then PRONG_CLOSED.  So nobody has to close
   "the other ends" after starting a child.  An end that is still the caller's own is
   open: receive only after you have given the other one away, or kept it on purpose.

   A message has from 0 bytes to whatever the heap holds, and arrives whole or not
   at all: one that a killed sender had not finished was never sent.  Small ones are
   copied through the pipe; large ones lie in a block of the heap, of which only the
   address travels.  A receiver that is killed takes along the message that it was
   receiving, at most.

   Any thread of any member may use an end; those that send at once, or receive at
   once, take turns.

   A network connection differs in this.  It is of one process alone, and elsewhere
   -EINVAL; give, send_fd and recv_fd are -ENOTSUP.  A send that the deadline cut short
   may have sent a part: the same message, given again, goes on from there, and any other
   is -EBUSY.  A receive that was cut short goes on with the next.  The other end may be
   gone in the middle of a message, which then never was: PRONG_CLOSED.  And for good,
   because nothing in the stream has a meaning any more: -EPROTO (what came is no
   message), -EFBIG (a message above the limit), -ETIMEDOUT (one came too slowly, or
   the other machine has vanished) and what else the system says.

   Example:
	prong_conn *ours, *theirs;
	int r = prong_pipe(&ours, &theirs, NULL);
	if (r == 0)
		r = prong_process_start(&p, child, theirs, 0, NULL);
	if (r == 0)
		r = prong_conn_give(theirs, p);
	if (r == 0)
		r = prong_conn_send(ours, "ping", 4, PRONG_FOREVER);
	if (r == 0)
		r = prong_conn_recv(ours, reply, sizeof reply, &n, PRONG_FOREVER);
	if (r == PRONG_CLOSED)
		puts("the child has ended");                                  */
#ifndef PRONG_CONN_H
#define PRONG_CONN_H

#include <prong/deadline.h>
#include <prong/error.h>
#include <prong/process.h>

PRONG_BEGIN_DECLS

typedef struct prong_conn prong_conn;

/* All-zero means the defaults. */
typedef struct prong_pipe_opts {
	bool one_way;          /* the first end only receives, the second only sends */
	size_t buffer;         /* bytes under way in one direction before send blocks; 0:
				  64 KiB.  Rounded up to a power of two; at least 1 KiB, at
				  most 64 MiB.  A message above a quarter of it is a large one,
				  and counts as half of it at the most */
	uint64_t reserved_[4]; /* must be zero */
} prong_pipe_opts;

/* Make a pipe and store its ends.  opts may be NULL.
   Return 0; -EINVAL (a or b is NULL, or an option is not valid), -ENOMEM. */
PRONG_MUST int prong_pipe(prong_conn **a, prong_conn **b, const prong_pipe_opts *opts);

/* Make process p the owner of c, from now on.
   Return 0; -ESRCH when p has ended: then c is closed; -EINVAL (c, or p is not a
   handle). */
PRONG_MUST int prong_conn_give(prong_conn *c, prong_process *p);

/* Copy the size bytes at data into a message, and send it; block while the line is
   full.
   Return 0; and, with nothing sent, PRONG_TIMEDOUT, PRONG_CLOSED (the other end is, or c
   was freed meanwhile: so for all below),
   -EBADF (c only receives), -ENOMEM, -EFAULT (data is NULL and size is not 0),
   -EINVAL. */
PRONG_MUST int prong_conn_send(prong_conn *c, const void *data, size_t size,
			       prong_time deadline);

/* Block until there is a message, and copy it to the size bytes at data.  With got,
   store its length there; without, it must be exactly size bytes long.
   Return 0; and, with nothing received, PRONG_TIMEDOUT, PRONG_CLOSED (the other end
   is, and there is no message left), -EMSGSIZE (the next message does not fit),
   -EBADMSG (the next one is a descriptor), -EBADF (c only sends), -EFAULT, -EINVAL.
   What was not received is still the next message. */
PRONG_MUST int prong_conn_recv(prong_conn *c, void *data, size_t size, size_t *got,
			       prong_time deadline);

/* Receive a message of any size as a block of the heap, which the caller frees with
   prong_free() or, when data lies in the heap, prong_free_at(); then the block and
   *data change hands in one step.  A large message is handed over without a copy.
   One of 0 bytes is a block too.
   Return as prong_conn_recv(), and -ENOMEM. */
PRONG_MUST int prong_conn_recv_take(prong_conn *c, void **data, size_t *size,
				    prong_time deadline);

/* Send a duplicate of descriptor fd, and block until the other end has received it
   with prong_conn_recv_fd(): it is never under way by itself.
   Return 0; PRONG_TIMEDOUT, PRONG_CLOSED (then the other end may have it, if it was
   closed just now), -EBADF (fd is not open, or c only receives), -EMFILE, -EINVAL. */
PRONG_MUST int prong_conn_send_fd(prong_conn *c, int fd, prong_time deadline);

/* Block until there is a message, which must be a descriptor; store it, close-on-exec, in
   *fd.  The caller closes it.  Even with PRONG_NOW it takes the moments in which the
   sender hands it over.
   Return as prong_conn_recv(), where -EBADMSG means that the next message is none;
   and -EMFILE: it stays the next message. */
PRONG_MUST int prong_conn_recv_fd(prong_conn *c, int *fd, prong_time deadline);

/* Return a descriptor that polls readable when a receive would not block, for use
   in the calling process.  It belongs to c, and is closed with it.  When another process
   frees c it stays readable, and the pipe's memory is kept, until this one frees c too
   or ends: only then may a handle be freed twice.  It may still be
   readable for a moment after the last message was taken: receive with PRONG_NOW.
   The first call starts a thread in the process, which watches and runs none of the
   program's code.
   Negative: -EBADF (c only sends), -EMFILE, -EAGAIN, -ENOMEM, -EINVAL. */
PRONG_MUST int prong_conn_fd(prong_conn *c);

/* Close c and let go of it, in any process; NULL is fine.  Who is asleep in a call on c,
   anywhere, is woken and gets PRONG_CLOSED, and in prong_wait() that c is ready.  No other
   thread may begin one: it gets -EINVAL, or harms who has that memory then.
   The pipe's memory goes with its second end, when the last sleeper has left, or some time
   after that or after both owners have ended. */
PRONG_API void prong_conn_free(prong_conn *c);

PRONG_END_DECLS
#endif
