/* A prong_future stands for a task whose result may not be there yet.  It lies in the family's
   heap: any member may wait for it, until the process that submitted the task has freed it or
   ended.

   Two questions, two functions.  prong_future_wait() asks whether it is done, prong_future_get()
   what came of it.  So PRONG_TIMEDOUT always means that the caller has run out of time, and
   PRONG_OVERRUN that the task has.

   Example:
	prong_future *f;
	int r = prong_pool_submit(pool, &f, square, &s, sizeof s, NULL);
	...
	r = prong_future_get(f, &s, sizeof s, prong_in_ms(1000));
	prong_future_free(f);                                                 */
#ifndef PRONG_FUTURE_H
#define PRONG_FUTURE_H

#include <prong/deadline.h>
#include <prong/report.h>

PRONG_BEGIN_DECLS

typedef struct prong_future prong_future;

/* Block until f is done, well or not.  In a task of the same pool that holds no worker up: see
   pool.h.
   Return 0, PRONG_TIMEDOUT, PRONG_CANCELLED (the caller is), PRONG_DEADLOCK (f is the caller's own
   task), -EINVAL (f is no future). */
PRONG_MUST int prong_future_wait(prong_future *f, prong_time deadline);

/* Block until f is done, and copy its result, which must be size bytes long, to data; NULL with
   size 0 when the result is not wanted.
   Return 0, PRONG_FAILED, PRONG_CRASHED, PRONG_OVERRUN, PRONG_CANCELLED (the task, or the caller),
   PRONG_TIMEDOUT, PRONG_DEADLOCK, -EMSGSIZE, -EINVAL. */
PRONG_MUST int prong_future_get(prong_future *f, void *data, size_t size, prong_time deadline);

/* Return true when f is done: a wait would not block. */
PRONG_API bool prong_future_done(const prong_future *f);

/* Return where the result is, and store its length in *size if size is not NULL.  NULL when f is
   not done, or did not end with 0.  Valid as long as f. */
PRONG_API void *prong_future_data(prong_future *f, size_t *size);

/* Store who ran it and how it ended, or who runs it and PRONG_RUNNING, in *out.  One that ended
   with 0 has the pid only until its worker has been replaced, unless it told progress; and its time
   to seven digits.  In a pool of threads one that waits, while its thread runs what it waits for,
   has no time yet. */
PRONG_API void prong_future_report(const prong_future *f, prong_report *out);

/* Return what the task last said with prong_task_progress(); 1.0 when it ended with 0. */
PRONG_API double prong_future_progress(const prong_future *f);

/* Cancel f.  If it waits, it never runs.  If it runs it is told, see prong_cancelled(), and after
   its grace its process is killed and replaced; in a pool of threads it is told, and no more.
   Return 0; PRONG_EMPTY (it was done already), -EINVAL. */
PRONG_API int prong_future_cancel(prong_future *f);

/* Call then(f, ctx) once when f is done, at once if it is: in the calling process, in a thread of
   the library that all callbacks share.  One that blocks holds up the others; it may call whatever
   it likes, and free f, or its pool.  f must not be freed before.
   Return 0, -ENOMEM, -EAGAIN (no thread), -EINVAL. */
PRONG_MUST int prong_future_then(prong_future *f, void (*then)(prong_future *f, void *ctx),
				 void *ctx);

/* Let go of f and its result; the task still runs.  By the process that submitted it.  NULL is
   fine. */
PRONG_API void prong_future_free(prong_future *f);

PRONG_END_DECLS
#endif
