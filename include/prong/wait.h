/* prong_wait() waits for the first of many things, of different kinds.

   Nothing is taken, and whoever is quicker takes it: so take with PRONG_NOW, and wait
   again if it is gone.  Things that are ready always are reported always, all of them:
   none starves another.

   What it costs: without descriptors the caller sleeps on all at once, as long as they
   are not more than 127 words of memory: one for each source, two for each connection,
   future, and queue to get from (Linux 5.16 or later).  Above that, and on older systems,
   it looks at them every two milliseconds.  Descriptors alone are a poll().  Descriptors
   together with others need a thread, started by the first such call of a process, that
   waits for the others in the caller's stead.

   Example:
	prong_source s[] = { { .conn = c }, { .process = worker } };
	r = prong_wait(s, 2, PRONG_FOREVER);
	if (r == 0 && s[1].ready)
		puts("the worker has ended");                                 */
#ifndef PRONG_WAIT_H
#define PRONG_WAIT_H

#include <prong/conn.h>
#include <prong/event.h>
#include <prong/process.h>
#include <prong/queue.h>
#include <prong/thread.h>

PRONG_BEGIN_DECLS

struct pollfd;
struct prong_future;

/* Set exactly one pointer; all others stay NULL.  What makes it ready: */
typedef struct prong_source {
	prong_queue *queue;            /* a get would not block */
	prong_queue *room;             /* a put would not block */
	prong_conn *conn;              /* a receive would not block */
	prong_process *process;        /* it has ended: a join would not block */
	prong_thread *thread;          /* it has ended */
	prong_event *event;            /* it is set */
	struct prong_future *future;   /* it is done; see below */
	struct pollfd *fd;             /* poll() would report it; its revents are set */
	bool ready;                    /* out: it is */
	bool reserved_[7];
	uint64_t reserved2_[5];        /* must be zero */
} prong_source;

/* Block until at least one of the n sources is ready, and say in each whether it is.  Who waits
   so in a task, for another of the same pool, holds no worker up: see pool.h.
   What is waited for is not freed meanwhile: prong_queue_free() is -EBUSY, and a connection
   that is freed is ready.
   Return 0; and, with nothing stored, PRONG_TIMEDOUT; -EINVAL (a source with no pointer
   or two, or one that is not valid, a reserved field is set, s is NULL, or more descriptors
   than the process may have open, RLIMIT_NOFILE), -EBADF (a connection that only sends),
   -ENOTSUP (a queue of a manager: see remote.h), -ENOMEM; with descriptors among others also
   -EMFILE and -EAGAIN (no thread is to be had). */
PRONG_MUST int prong_wait(prong_source *s, size_t n, prong_time deadline);

PRONG_END_DECLS
#endif
