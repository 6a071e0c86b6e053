/* A prong_thread is a thread of the calling process.  It is started like a process, and
   ends by returning from its function, or with its process.

   Example: as in process.h, with "thread" for "process". */
#ifndef PRONG_THREAD_H
#define PRONG_THREAD_H

#include <prong/deadline.h>
#include <prong/error.h>

PRONG_BEGIN_DECLS

typedef struct prong_thread prong_thread;
struct prong_group;
struct prong_queue;

/* All-zero means the defaults.  Everything is copied. */
typedef struct prong_thread_opts {
	const char *name;      /* NULL: "Thread-1", "Thread-2", ... 63 bytes are kept; ps and
				  top show 15 */
	size_t stack_size;     /* bytes; 0: the system's default; less than a thread needs is
				  -EINVAL */
	const uint16_t *cpus;  /* the processors it may run on */
	size_t ncpus;          /* 0: the caller's */
	struct prong_queue *writes[4]; /* it counts as a writer of these until it has ended */
	struct prong_group *group; /* it belongs to this, which then has its handle: group.h */
	void *tag;             /* for what group hands out */
	uint64_t reserved_[4]; /* must be zero */
} prong_thread_opts;

/* Start a thread that calls fn on a copy of the size bytes at arg, or with size 0 on arg
   itself (see prong_fn), and store it in *out.  opts may be NULL.
   Return 0; -EINVAL (out or fn is NULL, or an option is not valid), -EFAULT (arg),
   -EAGAIN (thread limit), -ENOMEM. */
PRONG_MUST int prong_thread_start(prong_thread **out, prong_fn *fn, const void *arg,
				  size_t size, const prong_thread_opts *opts);

/* Block until t has ended; if result is not NULL store what fn returned.  Any thread of
   the process may join, and again.
   Return 0; PRONG_TIMEDOUT, PRONG_DEADLOCK (t is the caller),
   PRONG_CANCELLED (the caller is, see group.h), -EINVAL (t is NULL). */
PRONG_MUST int prong_thread_join(prong_thread *t, int *result, prong_time deadline);

/* Return true from start until fn has returned. */
PRONG_API bool prong_thread_alive(const prong_thread *t);

/* Return t's name; NULL means the calling thread: "MainThread" for the first of a
   process, "Dummy-1", ... for others that prong did not start.  Valid as long as t,
   or as the thread. */
PRONG_API const char *prong_thread_name(const prong_thread *t);

/* Return the system's number for t; NULL means the calling thread. */
PRONG_API int prong_thread_id(const prong_thread *t);

/* Return the calling thread, NULL when prong did not start it. */
PRONG_API prong_thread *prong_thread_self(void);

/* Store up to max living threads of this process that prong started in out; return how
   many there are. */
PRONG_API size_t prong_thread_list(prong_thread **out, size_t max);

/* Let go of t.  One that still runs goes on, without a handle.  NULL is fine. */
PRONG_API void prong_thread_free(prong_thread *t);

PRONG_END_DECLS
#endif
