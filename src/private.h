/* What libprong shows to libprong-net beyond its public headers, under the node PRONG_PRIVATE of
   prong.map.  Nobody else may use it: it has no contract, and the node changes its name when
   anything here changes, so that two libraries that do not belong together are not loaded. */
#ifndef PRONGI_PRIVATE_H
#define PRONGI_PRIVATE_H

#include <prong/deadline.h>

/* Remember what went wrong, for prong_error_detail(), and return result.  Errors have one place per
   thread, whichever library they come from. */
PRONG_API int prongi_fail(int result, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* --- waits that end when the caller is cancelled ---------------------------------------------- */

/* True when the calling thread may be cancelled: then it must wait by these alone. */
PRONG_API bool prongi_cancellable(void);

/* poll() until one of the n, at most 4, is ready or the deadline passes, whatever signals arrive.
   Return how many are ready, perhaps one too many; -ECANCELED; -errno (flow/bell.c). */
struct pollfd;
PRONG_API int prongi_poll(struct pollfd *fds, size_t n, prong_time deadline);

/* Block until word is not what was seen.  shared: in the heap.  Return 0, perhaps too early;
   PRONG_TIMEDOUT, PRONG_CANCELLED; and wake n who do (family/cancel.c, os/linux_futex.c). */
PRONG_API int prongi_sleep(_Atomic uint32_t *word, uint32_t seen, prong_time deadline, bool shared);
PRONG_API int prongi_os_wake(_Atomic uint32_t *word, int n, bool shared);

/* --- connections that are no pipes (flow/outer.c) --------------------------------------------- */

struct prong_conn;

/* What there is to do with one; each gets the object that it was made for, and explains its
   failures, as the functions of conn.h that have these names. */
struct prongi_conn_ops {
	int (*send)(void *self, const void *data, size_t size, prong_time deadline);
	int (*recv)(void *self, void *data, size_t size, size_t *got, prong_time deadline);
	int (*recv_take)(void *self, void **data, size_t *size, prong_time deadline);
	int (*fd)(void *self);
	void (*free)(void *self);

	/* For prong_wait(): whether a receive would not block, after a look at what has come; and
	   what tells that it may be so: a descriptor that polls readable, or a moment. */
	bool (*ready)(void *self);
	int (*socket)(void *self);
	prong_time (*due)(void *self);
};

/* Make a connection of the calling process for self.  0, -ENOMEM, -EMFILE (there are too many). */
PRONG_API int prongi_outer_new(struct prong_conn **out, const struct prongi_conn_ops *ops,
			       void *self);

/* The object of c, when c is one of ops' connections of this process; else NULL. */
PRONG_API void *prongi_outer_self(const struct prong_conn *c, const struct prongi_conn_ops *ops);

/* --- queues that are not in the heap (flow/outer.c) ------------------------------------------- */

struct prong_queue;
struct prong_value;

/* As the functions of queue.h and carry.h that have these names, with the object that the queue was
   made for. */
struct prongi_queue_ops {
	int (*put)(void *self, const void *data, size_t size, prong_time deadline);
	int (*get)(void *self, void *data, size_t size, size_t *got, prong_time deadline);
	int (*put_value)(void *self, struct prong_value *v, prong_time deadline);
	int (*get_value)(void *self, struct prong_value **out, prong_time deadline);
	int (*join)(void *self, prong_time deadline);
	size_t (*size)(void *self);
	int (*close)(void *self);
	void (*free)(void *self);
};

/* Make a queue of the calling process for self.  As prongi_outer_new(). */
PRONG_API int prongi_outer_queue_new(struct prong_queue **out, const struct prongi_queue_ops *ops,
				     void *self);

/* What there is to do with q, and its object, when it is such a queue of this process; else
   NULL. */
PRONG_API const struct prongi_queue_ops *prongi_outer_queue(const struct prong_queue *q,
							    void **self);

#endif
