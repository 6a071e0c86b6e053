/* Queues that are not in the heap, but a manager's somewhere: another library's, see private.h.
   Who asks for such a queue's seat is told that there is none, and comes here. */
#include "flow/outer.h"
#include "flow/queue.h"
#include <errno.h>

bool prongi_far_is(const struct prong_queue *q)
{
	void *self;

	return prongi_outer_queue(q, &self) != NULL;
}

/* Its functions, or NULL: it has been freed in the meantime. */
static const struct prongi_queue_ops *ops_of(const struct prong_queue *q, void **self)
{
	const struct prongi_queue_ops *ops = prongi_outer_queue(q, self);

	if (!ops)
		prongi_fail(-EINVAL, "queue: %p is not a queue", (const void *)q);
	return ops;
}

int prongi_far_put(struct prong_queue *q, int r, const void *data, size_t size, prong_time deadline)
{
	const struct prongi_queue_ops *ops;
	void *self;

	if (r != PRONGI_FAR)
		return r;
	if (size && !data)
		return prongi_fail(-EINVAL, "queue_put: no data");
	ops = ops_of(q, &self);
	return ops ? ops->put(self, data, size, deadline) : -EINVAL;
}

int prongi_far_get(struct prong_queue *q, int r, void *data, size_t size, size_t *got,
		   prong_time deadline)
{
	const struct prongi_queue_ops *ops;
	void *self;

	if (r != PRONGI_FAR)
		return r;
	if (size && !data)
		return prongi_fail(-EINVAL, "queue_get: nowhere to store");
	ops = ops_of(q, &self);
	return ops ? ops->get(self, data, size, got, deadline) : -EINVAL;
}

int prongi_far_join(struct prong_queue *q, int r, prong_time deadline)
{
	const struct prongi_queue_ops *ops;
	void *self;

	if (r != PRONGI_FAR)
		return r;
	ops = ops_of(q, &self);
	return ops ? ops->join(self, deadline) : -EINVAL;
}

int prongi_far_close(struct prong_queue *q, int r)
{
	const struct prongi_queue_ops *ops;
	void *self;

	if (r != PRONGI_FAR)
		return r;
	ops = ops_of(q, &self);
	return ops ? ops->close(self) : -EINVAL;
}

int prongi_far_cannot(int r, const char *what)
{
	return r == PRONGI_FAR ? prongi_fail(-ENOTSUP, "%s: the queue is a manager's", what) : r;
}

size_t prongi_far_size(const struct prong_queue *q)
{
	void *self;
	const struct prongi_queue_ops *ops = prongi_outer_queue(q, &self);

	return ops ? ops->size(self) : 0;
}
