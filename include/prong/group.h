/* A prong_group is a set of children (processes, threads, tasks of pools) that do not outlive a
   piece of the program.  What is started with .group = g belongs to g, which owns its handle.
   prong_group_close() at the one exit of a function ends whatever still runs, waits for it, and
   frees all: there is no path on which a child is forgotten.

   A group is for the process that opened it.  Any of its threads may start children in it and
   cancel it; next, join and close are for one at a time.

   When a child fails, the others are cancelled, unless the group keeps going: at once when it is a
   thread, and otherwise when some thread is in a call on the group, or comes to it.

   Cancelled means: prong_cancelled() is true in the child, in all its threads, and in what those
   have started in groups of their own; and each call of theirs that would have to wait for
   somebody else (a get, a receive, a join, a sleep ...) returns PRONG_CANCELLED instead of
   waiting.  What need not wait is done as ever, and so are locks: mutex, rwlock and once.  A
   process that has not ended after grace_ms gets SIGTERM, and after as long again SIGKILL.  A
   thread cannot be killed: close waits for it, however long it takes.

   Example:
	prong_group *g = NULL;
	r = prong_group_open(&g, NULL);
	if (r == 0)
		r = prong_process_start(&p, left, q, 0, &(prong_process_opts){ .group = g });
	if (r == 0)
		r = prong_thread_start(&t, right, q, 0, &(prong_thread_opts){ .group = g });
	if (r == 0)
		r = prong_group_join(g, prong_in_ms(60000));
	prong_group_close(g);
	return r;                                                             */
#ifndef PRONG_GROUP_H
#define PRONG_GROUP_H

#include <prong/deadline.h>
#include <prong/report.h>

PRONG_BEGIN_DECLS

typedef struct prong_group prong_group;

/* All-zero means the defaults. */
typedef struct prong_group_opts {
	bool keep_going;       /* one child's failure does not cancel the others */
	uint32_t grace_ms;     /* 0: 1000 */
	uint64_t reserved_[6]; /* must be zero */
} prong_group_opts;

/* A child that has ended: one of the three pointers, and its tag. */
typedef struct prong_child {
	struct prong_process *process;
	struct prong_thread *thread;
	struct prong_future *future;
	void *tag;             /* from the options that it was started with */
	int outcome;           /* as in its report */
	uint32_t reserved0_;
	uint64_t reserved_[2];
} prong_child;

/* Make a group and store it in *out.  If the calling thread is itself a child of a group, or runs
   in a process that is, cancelling that cancels this.  opts may be NULL.
   Return 0, -EINVAL (out is NULL, a reserved option is set), -ENOMEM. */
PRONG_MUST int prong_group_open(prong_group **out, const prong_group_opts *opts);

/* Block until a child has ended that next has not handed out yet, and store it in *child.  Its
   handle stays valid until the following next, or close; do not free it.  Children come in the
   order in which they end.  More may be started meanwhile.
   Return 0, PRONG_EMPTY (no child is left), PRONG_TIMEDOUT, PRONG_CANCELLED (the caller is),
   -EINVAL (g is not a group of this process, or child is NULL). */
PRONG_MUST int prong_group_next(prong_group *g, prong_child *child, prong_time deadline);

/* Block until all children have ended.  Return 0 when all ended with 0; the outcome of the first
   that failed: PRONG_FAILED, PRONG_CRASHED or PRONG_OVERRUN; PRONG_CANCELLED (some ended only
   because they were cancelled, or the caller is); PRONG_TIMEDOUT; -EINVAL. */
PRONG_MUST int prong_group_join(prong_group *g, prong_time deadline);

/* Cancel all children, now and to come, and return at once.  From any thread; NULL is fine. */
PRONG_API void prong_group_cancel(prong_group *g);

/* Store the report of the first child that failed.  Return 0, PRONG_EMPTY, -EINVAL. */
PRONG_API int prong_group_report(prong_group *g, prong_report *out);

/* Cancel what still runs, wait for its end, and free all; also when the caller is cancelled.  NULL
   is fine.  Return 0; PRONG_DEADLOCK (the caller is a thread of g), -EINVAL. */
PRONG_API int prong_group_close(prong_group *g);

/* Return true when the calling thread, its process or its task has been cancelled.  Costs two
   loads.  For loops that wait for nobody. */
PRONG_API bool prong_cancelled(void);

PRONG_END_DECLS
#endif
