/* A prong_pool runs tasks (task.h) on workers.  Its spec says on what kind, and on how many:
      "processes"  "processes:8"   a crash costs its task only, and work can be stopped
      "threads"    "threads:8"     starts sooner, and crashes together
      "sequential"                 in the caller, inside submit: to debug
   Without a number there are prong_cpu_count() workers.

   Who holds which task is in the family's heap before the worker begins it.  When a worker dies,
   its task alone fails, with PRONG_CRASHED, or is tried again if it has retries left; all others
   go on, and a new worker comes.  A worker process that a task has left stopped, or in an endless
   loop, is killed when the task has a limit.

   Any member of the family may submit and wait.  The workers are children of the process that
   opened the pool: a thread of the library in it starts them, watches them and replaces them; and
   they end with it.  What was not done by then fails with PRONG_CRASHED.  Workers do not end at an
   interrupt from the terminal: it reaches the program, and the program decides.

   A task may wait for others of its pool, at any depth, by any call of the library.  One that waits
   is not counted as a worker meanwhile: another comes in its place.  In a pool of threads, one that
   has no limit and waits with PRONG_FOREVER for a task that has not begun, runs it itself; then
   who cancels the one that waits, cancels both.  Two pools must not wait for each other: a task
   keeps its worker while it waits for another pool's.

   The end: close, then join; free does all that is needed.

   Example:
	prong_pool *pool = NULL;
	int r = prong_pool_open(&pool, "processes", NULL);
	if (r == 0)
		r = prong_pool_apply(pool, square, &s, sizeof s, NULL, PRONG_FOREVER);
	prong_pool_free(pool);                                                */
#ifndef PRONG_POOL_H
#define PRONG_POOL_H

#include <prong/deadline.h>
#include <prong/future.h>
#include <prong/task.h>

PRONG_BEGIN_DECLS

typedef struct prong_pool prong_pool;

/* All-zero means the defaults.  Everything is copied. */
typedef struct prong_pool_opts {
	const char *name;   /* workers are "NAME-1", ...; NULL: "Pool-1", "Pool-2" */
	prong_fn *init;     /* called first in each worker, on a copy of arg; anything but 0
				   ends the worker */
	void (*fini)(void); /* called last in each worker that ends by itself */
	const void *arg;    /* size bytes; or with arg_size 0 the pointer itself, see prong_fn */
	size_t arg_size;
	prong_task_opts task;   /* for tasks that do not say otherwise; no group */
	size_t max_waiting;     /* tasks of a priority not yet begun; 0: no bound but the heap */
	uint32_t recycle_tasks; /* replace a worker after so many; 0: never */
	uint32_t idle_ms;       /* end a worker without work after; 0: never */
	uint64_t recycle_rss;   /* replace a worker process above so many bytes; 0: never */
	uint32_t
		max_restarts; /* workers that end, in 5 s, before init is done, until the pool gives
				   up, or, if others work, tries less often; 0: 3 a worker */
	bool pin;             /* each worker stays on one processor */
	bool no_trace;        /* worker processes get no handlers of prong's for crashes, as without
			  prong_process_opts.trace: reports say the signal, but not where */
	uint8_t reserved0_[2];
	uint64_t reserved_[6]; /* must be zero */
} prong_pool_opts;

/* Open a pool and store it in *out; its workers start meanwhile.
   Return 0; -EINVAL (unknown spec, no workers or more than 1024, an option out of range), -EFAULT
   (arg), -ENOMEM, -EAGAIN (no thread to watch them), -ENOSPC (the family has 64 pools);
   PRONG_NOSERVER, PRONG_PRIVILEGE (processes, see prong_process_start()). */
PRONG_MUST int prong_pool_open(prong_pool **out, const char *spec, const prong_pool_opts *opts);

/* Hand in fn with a copy of the size bytes at arg, or with size 0 arg itself (see prong_fn).  If
   out is not NULL store a future there, which the caller frees.  Never blocks, but in a sequential
   pool, where the task is done on return.
   Return 0; PRONG_FULL (max_waiting), PRONG_CLOSED, PRONG_FAILED (the pool gave up, for its workers
   cannot start), PRONG_CRASHED (the process that opened it has ended), -EINVAL (fn is NULL, an
   option is out of range, or pool is not one), -EFAULT (arg), -ENOMEM. */
PRONG_MUST int prong_pool_submit(prong_pool *pool, prong_future **out, prong_fn *fn,
				 const void *arg, size_t size, const prong_task_opts *opts);

/* Submit, wait, and store the result over the size bytes at arg.  At the deadline the task is
   cancelled.  Return as prong_pool_submit() and prong_future_get(). */
PRONG_MUST int prong_pool_apply(prong_pool *pool, prong_fn *fn, void *arg, size_t size,
				const prong_task_opts *opts, prong_time deadline);

/* Have so many workers, 1 to 1024.  Those too many end after their task.
   Return 0, -EINVAL, -ENOTSUP (sequential), PRONG_CLOSED. */
PRONG_MUST int prong_pool_resize(prong_pool *pool, uint32_t workers);

typedef struct prong_pool_stats {
	uint64_t waiting, running;                          /* tasks not yet begun; begun */
	uint64_t done, failed, crashed, overrun, cancelled; /* ended so */
	uint64_t retried;                                   /* further attempts */
	uint32_t workers, idle;                             /* alive now; of these without work */
	uint64_t started;                                   /* workers ever */
	uint64_t reserved_[6];
} prong_pool_stats;

typedef struct prong_worker_stats {
	char name[64];
	int pid;                  /* of its process */
	uint32_t starts;          /* how many workers this place has had */
	uint64_t tasks;           /* ended, by all of them */
	char task[64];            /* name of what it runs, or ran last; "": nothing yet */
	int64_t busy_ns, idle_ns; /* of all of them, until now: with tasks; without */
	uint64_t peak_rss;        /* the most that one of them has had; processes, else 0 */
	bool alive, waits;        /* it runs; in a task that waits for another */
	uint8_t reserved0_[6];
	uint64_t rss;     /* bytes that its process has in memory; 0: no process, or not alive */
	int64_t waits_ns; /* how much of busy_ns their tasks have waited for others */
	uint64_t reserved_[2];
} prong_worker_stats;

/* Store the pool's figures in *out, and those of up to max places for workers in workers, which
   may be NULL with max 0; each is right, but not all at one moment.  Return how many places there
   are. */
PRONG_API size_t prong_pool_stat(prong_pool *pool, prong_pool_stats *out,
				 prong_worker_stats *workers, size_t max);

/* Store the i-th report, from 0, of the tasks that crashed or overran and had no attempt left; the
   last 1024 are kept, the oldest first.  Return 0, PRONG_EMPTY, -EINVAL. */
PRONG_API int prong_pool_dead_letter(prong_pool *pool, size_t i, prong_report *out);

/* Take no more tasks; those handed in are still done.  Closing again is fine.
   Return 0, -EINVAL. */
PRONG_API int prong_pool_close(prong_pool *pool);

/* Close the pool and cancel all its tasks: those that wait never run; those that run are told, and
   their processes are killed after the grace.  Returns at once.  Return 0, -EINVAL. */
PRONG_API int prong_pool_terminate(prong_pool *pool);

/* Block until all tasks of a closed pool are done and all workers have ended.
   Return 0, PRONG_TIMEDOUT, PRONG_CANCELLED (the caller is), PRONG_DEADLOCK (in a task of its own),
   -EBUSY (it is not closed), -EINVAL. */
PRONG_MUST int prong_pool_join(prong_pool *pool, prong_time deadline);

/* Terminate the pool if it is not done, wait until it is and the calling process's callbacks for
   its tasks have been called, and free it; callbacks in other processes are dropped.  From any
   member, also in a callback; not while others are in calls on it.  Futures of its become invalid.
   NULL is fine.
   Return 0, PRONG_DEADLOCK (in a task of its own: nothing was done), -EINVAL. */
PRONG_API int prong_pool_free(prong_pool *pool);

PRONG_END_DECLS
#endif
