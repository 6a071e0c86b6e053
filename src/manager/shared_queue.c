/* A queue of the heap, as Python sees it: queue.Queue's methods.

   What is taken is leased, so it comes back when this process is killed, too. */
#include "manager/manager.h"
#include <errno.h>
#include <prong/carry.h>
#include <prong/error.h>
#include <prong/wait.h>

/* --- putting ---------------------------------------------------------------------------- */

static int closed(prong_call *c)
{
	return prong_call_raise(c, "EOFError", "the queue is closed");
}

static int try_put(prong_call *c, bool block)
{
	prong_value *item = prong_value_dup(prongi_call_argument(c, "item"));
	int r = prong_queue_put_value(c->self, item, PRONG_NOW);

	if (r == 0)
		return prongi_call_none(c);
	if (r == PRONG_CLOSED)
		return closed(c);
	if (r == -EMSGSIZE)
		return prong_call_raise(c, "ValueError", "%s", prong_error_detail());
	if (r != PRONG_TIMEDOUT)
		return r;
	if (!block || c->late)
		return prongi_call_raise_value(c, "queue.Full", NULL);
	c->stage = PRONGI_WANT_PLACE;
	return PRONGI_PARK;
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

/* What is no value goes out as bytes.  0 or -ENOMEM. */
static int say_message(prong_call *c, const prong_message *m)
{
	struct prongi_out *o = prongi_call_begin(c, PRONGI_RETURN);
	prong_value *v = NULL;
	int r = prong_decode(&v, PRONG_PICKLE, m->data, m->size, NULL);

	if (r && r != -ENOMEM)
		v = prong_value_bytes(PRONG_BYTES, m->data, m->size);
	if (!v)
		return prongi_fail(-ENOMEM, "no memory for the message");
	prongi_say_value(o, c->protocol, v);
	prong_value_free(v);
	return prongi_call_give(c);
}

static int give(prong_call *c, prong_message *m)
{
	int r = say_message(c, m);

	if (r) {
		prong_queue_abandon(c->self, m); /* it is the next again */
		return r;
	}
	prongi_thing_hold(c->thing);
	c->guest->given_by = c->thing;
	c->guest->given = *m;
	return 0;
}

static int try_get(prong_call *c, bool block)
{
	prong_message m;
	int r = prong_queue_lease(c->self, &m, PRONG_NOW);

	if (r == 0)
		return give(c, &m);
	if (r == PRONG_CLOSED)
		return closed(c);
	if (r != PRONG_TIMEDOUT)
		return r;
	if (!block || c->late)
		return prongi_call_raise_value(c, "queue.Empty", NULL);
	c->stage = PRONGI_WANT_MESSAGE;
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

static void settle(struct prongi_guest *g, bool delivered, struct prongi_thing *t)
{
	if (delivered)
		prong_queue_ack(t->self, &g->given);
	else
		prong_queue_abandon(t->self, &g->given);
}

/* --- looking ---------------------------------------------------------------------------- */

static int qsize(prong_call *c)
{
	return prong_call_return(c, prong_value_int((int64_t)prong_queue_size(c->self)));
}

static int empty(prong_call *c)
{
	return prong_call_return(c, prong_value_bool(prong_queue_size(c->self) == 0));
}

static int full(prong_call *c)
{
	prong_source s = { .room = c->self };

	return prong_call_return(c, prong_value_bool(prong_wait(&s, 1, PRONG_NOW) != 0));
}

/* A client that has what it took tells by whatever it asks next; so there is nothing to do. */
static int task_done(prong_call *c)
{
	return prongi_call_none(c);
}

static int join(prong_call *c)
{
	int r = prong_queue_join(c->self, PRONG_NOW);

	if (r == 0)
		return prongi_call_none(c);
	if (r != PRONG_TIMEDOUT)
		return r;
	c->stage = PRONGI_WANT_END;
	return PRONGI_PARK;
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
	{ NULL, NULL, NULL, NULL },
};

const struct prongi_type prongi_shared_queue = {
	.name = "Queue",
	.methods = methods,
	.settle = settle,
};
