/* A task is one call of a function by a pool.  The function gets a pointer to a copy of the bytes
   that were submitted.  When it returns 0, the result is those bytes as it left them: a struct with
   a field for the question and a field for the answer is argument and result in one.  A result of
   another size is made with prong_task_result().

   When it returns anything else the task has failed with that code.  When it dies half-way nobody
   sees what it had written: a further attempt starts from the bytes that were submitted.

   The functions below may be called anywhere inside a running task, at any depth.  Outside of one
   they return NULL, 0, or code, and do nothing.

   Example:
	struct square {
		long n, result;
	};
	static int square(void *arg)
	{
		struct square *s = arg;

		if (s->n > 3037000499)
			return prong_task_message(ERANGE, "%ld is too large", s->n);
		s->result = s->n * s->n;
		return 0;
	}                                                                     */
#ifndef PRONG_TASK_H
#define PRONG_TASK_H

#include <prong/report.h>

PRONG_BEGIN_DECLS

struct prong_group;

/* How to run a task.  All-zero means as the pool's own options for tasks say, and those, when they
   are zero: once, and without limit.  A number of -1 means none where the pool has one. */
typedef struct prong_task_opts {
	const char *name;          /* for reports; copied, 63 bytes are kept; NULL: "task" */
	struct prong_group *group; /* it is a child of this group, which owns its future */
	void *tag;                 /* of the group's child */
	int32_t limit_ms;          /* how long one attempt may run; then it is cancelled */
	int32_t grace_ms;          /* from cancelled to killed; 0: 1000; -1: killed at once */
	int32_t retries;           /* further attempts after a crash or an overrun; they go before
				      all that waits, whatever its priority */
	int32_t backoff_ms;        /* before the first of them; twice as long before each other */
	int32_t priority;          /* 1: before all with 0; -1: after them */
	uint32_t reserved0_;
	uint64_t reserved_[4]; /* must be zero */
} prong_task_opts;

/* Return a block of size bytes, all zero, in the family's heap: it is the task's result from now
   on, if the task returns 0.  A later call replaces it.  It belongs to the task's future, and is
   freed with it, or when the attempt dies.  NULL: there is no memory, or no task. */
PRONG_API void *prong_task_result(size_t size);

/* Return the size of the bytes that were submitted. */
PRONG_API size_t prong_task_size(void);

/* Return 1 in the first attempt, 2 in the second ... */
PRONG_API uint32_t prong_task_attempt(void);

/* Set the text that the task's report will have; 255 bytes are kept.  Return code, so that a task
   can end with
	return prong_task_message(EINVAL, "line %d has no colon", n);         */
PRONG_API int prong_task_message(int code, const char *format, ...) PRONG_PRINTF(2, 3);

/* Tell how far the task is, 0.0 to 1.0: what prong_future_progress() returns. */
PRONG_API void prong_task_progress(double done);

PRONG_END_DECLS
#endif
