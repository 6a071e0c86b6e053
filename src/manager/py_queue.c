/* Python's queues: Queue and JoinableQueue, which are the same, LifoQueue, PriorityQueue.

   Priorities: what Python compares by itself, numbers, text, bytes, and tuples and lists of such;
   put raises a TypeError for what has no order, or one that only its class knows. */
#include "manager/types.h"
#include <errno.h>
#include <prong/error.h>
#include <stdlib.h>

enum order {
	FIFO,
	LIFO,
	PRIORITY
};

struct queue {
	struct prongi_row row;
	enum order order;
	int64_t most; /* 0 and below: no bound */
	uint64_t unfinished;
	bool closed;
};

enum {
	GET = 1,
	PUT,
	JOIN
};

static void changed(prong_call *c)
{
	prongi_thing_changed(c->guest->m, c->thing);
}

/* --- places ----------------------------------------------------------------------------- */

/* Where an item belongs among those that are ordered, the smallest last.  The call is answered when
   that cannot be said. */
static int place(prong_call *c, const struct queue *q, const prong_value *v, size_t *out)
{
	size_t low = 0, high = q->row.n;

	while (low < high) {
		size_t i = low + (high - low) / 2;
		prong_value *other = prongi_item_value(prongi_row_at(&q->row, i));
		char a[PRONGI_NAME_MOST], b[PRONGI_NAME_MOST];
		bool less = false;
		int r = other ? prongi_less(v, other, &less) : -ENOMEM;

		if (r == PRONG_MISMATCH)
			prong_call_raise(c, "TypeError",
					 "'<' not supported between instances of '%s' and '%s'",
					 prongi_class_of(v, a), prongi_class_of(other, b));
		prong_value_free(other);
		if (r)
			return r;
		if (less)
			low = i + 1;
		else
			high = i;
	}
	*out = low;
	return 0;
}

/* The one that is next. */
static size_t front(const struct queue *q)
{
	return q->order == FIFO ? 0 : q->row.n - 1;
}

/* --- putting ---------------------------------------------------------------------------- */

static int try_put(prong_call *c, bool block)
{
	struct queue *q = c->self;
	const prong_value *v = prong_call_value(c, "item");
	struct prongi_item item;
	size_t i = q->row.n;
	int r;

	if (q->closed)
		return prongi_call_raise_value(c, "queue.ShutDown", NULL);
	if (q->most > 0 && q->row.n >= (size_t)q->most) {
		if (!block || c->late)
			return prongi_call_raise_value(c, "queue.Full", NULL);
		c->stage = PUT;
		return PRONGI_PARK;
	}
	r = q->order == PRIORITY ? place(c, q, v, &i) : 0;
	if (r == 0)
		r = prongi_keep(c, v, &item);
	if (r == 0 && prongi_row_put(&q->row, i, item)) {
		prongi_let(c->guest->m, &item);
		r = -ENOMEM;
	}
	if (r)
		return r;
	q->unfinished++;
	changed(c);
	return prongi_call_none(c);
}

static int put(prong_call *c)
{
	return prongi_call_blocking(c, try_put);
}

static int put_nowait(prong_call *c)
{
	return try_put(c, false);
}

/* --- getting ---------------------------------------------------------------------------- */

static int try_get(prong_call *c, bool block)
{
	struct queue *q = c->self;
	struct prongi_guest *g = c->guest;

	if (q->row.n) {
		const size_t at = front(q);
		int r;

		prongi_say_item(prongi_call_begin(c, PRONGI_RETURN), c->protocol,
				prongi_row_at(&q->row, at));
		r = prongi_call_give(c);
		if (r)
			return r; /* it stays */
		g->given_item = prongi_row_take(&q->row, at);
		g->given_by = c->thing;
		prongi_thing_hold(c->thing);
		changed(c);
		return 0;
	}
	if (q->closed)
		return prongi_call_raise_value(c, "queue.ShutDown", NULL);
	if (!block || c->late)
		return prongi_call_raise_value(c, "queue.Empty", NULL);
	c->stage = GET;
	return PRONGI_PARK;
}

static int get(prong_call *c)
{
	return prongi_call_blocking(c, try_get);
}

static int get_nowait(prong_call *c)
{
	return try_get(c, false);
}

/* What comes back is the next; in order of priority as far as nothing smaller came meanwhile. */
static void settle(struct prongi_guest *g, bool delivered, struct prongi_thing *t)
{
	struct queue *q = t->self;

	if (delivered || prongi_row_put(&q->row, q->order == FIFO ? 0 : q->row.n, g->given_item))
		prongi_let(g->m, &g->given_item);
}

/* --- the rest --------------------------------------------------------------------------- */

static int qsize(prong_call *c)
{
	const struct queue *q = c->self;

	return prong_call_return(c, prong_value_int((int64_t)q->row.n));
}

static int empty(prong_call *c)
{
	const struct queue *q = c->self;

	return prong_call_return(c, prong_value_bool(q->row.n == 0));
}

static int full(prong_call *c)
{
	const struct queue *q = c->self;

	return prong_call_return(c, prong_value_bool(q->most > 0 && q->row.n >= (size_t)q->most));
}

static int task_done(prong_call *c)
{
	struct queue *q = c->self;

	if (!q->unfinished)
		return prong_call_raise(c, "ValueError", "task_done() called too many times");
	q->unfinished--;
	changed(c);
	return prongi_call_none(c);
}

static int join(prong_call *c)
{
	const struct queue *q = c->self;

	if (!q->unfinished)
		return prongi_call_none(c);
	c->stage = JOIN;
	return PRONGI_PARK;
}

static int shut_down(prong_call *c)
{
	struct queue *q = c->self;

	q->closed = true;
	if (prongi_call_truth(c, "immediate")) {
		q->unfinished -= q->unfinished < q->row.n ? q->unfinished : q->row.n;
		prongi_row_free(c->guest->m, &q->row);
	}
	changed(c);
	return prongi_call_none(c);
}

static const prong_method methods[] = {
	{ "put", "item, block=True, timeout=None", put, NULL },
	{ "get", "block=True, timeout=None", get, NULL },
	{ "put_nowait", "item", put_nowait, NULL },
	{ "get_nowait", NULL, get_nowait, NULL },
	{ "qsize", NULL, qsize, NULL },
	{ "empty", NULL, empty, NULL },
	{ "full", NULL, full, NULL },
	{ "task_done", NULL, task_done, NULL },
	{ "join", NULL, join, NULL },
	{ "shutdown", "immediate=False", shut_down, NULL },
	{ NULL, NULL, NULL, NULL },
};

static void fini(struct prong_manager *m, void *self)
{
	struct queue *q = self;

	prongi_row_free(m, &q->row);
	free(q);
}

static const struct prongi_type type = {
	.name = "Queue",
	.methods = methods,
	.fini = fini,
	.settle = settle,
};

static int make(prong_call *c, void **self, enum order order)
{
	struct queue *q = calloc(1, sizeof *q);

	if (!q)
		return -ENOMEM;
	q->order = order;
	q->most = prong_call_int(c, "maxsize");
	*self = q;
	return 0;
}

static int make_fifo(prong_call *c, void **self)
{
	return make(c, self, FIFO);
}

static int make_lifo(prong_call *c, void **self)
{
	return make(c, self, LIFO);
}

static int make_priority(prong_call *c, void **self)
{
	return make(c, self, PRIORITY);
}

#define MAKER(name, fn) \
	{ \
		{ name, "maxsize: int = 0", NULL, NULL }, &type, fn \
	}
const struct prongi_maker prongi_make_queue = MAKER("Queue", make_fifo),
			  prongi_make_joinable = MAKER("JoinableQueue", make_fifo),
			  prongi_make_lifo = MAKER("LifoQueue", make_lifo),
			  prongi_make_priority = MAKER("PriorityQueue", make_priority);
