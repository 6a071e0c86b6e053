/* Python's Barrier.  A client that vanishes at it breaks it. */
#include "manager/types.h"
#include <errno.h>
#include <prong/error.h>
#include <stdlib.h>

struct barrier {
	int64_t parties, count;
	prong_time timeout; /* as a span in ns; PRONG_FOREVER: none */
	bool broken;
};

enum {
	PASSED = 1,
	BROKEN
};

static int raise_broken(prong_call *c)
{
	return prongi_call_raise_value(c, "threading.BrokenBarrierError", NULL);
}

/* All that wait are told, and nobody is there. */
static void break_it(prong_call *c, bool stays)
{
	struct barrier *b = c->self;

	b->broken = stays;
	b->count = 0;
	prongi_decide(c, BROKEN);
}

static int answer_place(prong_call *c)
{
	return prong_call_return(c, prong_value_int((int64_t)c->number));
}

static int arrive(prong_call *c)
{
	struct barrier *b = c->self;

	if (b->broken)
		return raise_broken(c);
	if (!prongi_call_until(c, "timeout"))
		return 0;
	if (!prong_call_value(c, "timeout") && b->timeout.ns_ != PRONG_FOREVER.ns_)
		c->deadline.ns_ = prong_clock().ns_ + b->timeout.ns_;
	c->number = (uint64_t)b->count++;
	if (b->count < b->parties)
		return PRONGI_PARK;
	b->count = 0;
	prongi_decide(c, PASSED);
	return answer_place(c);
}

static int barrier_wait(prong_call *c)
{
	if (!c->parked)
		return arrive(c);
	if (c->verdict == PASSED)
		return answer_place(c);
	if (!c->verdict && !c->late)
		return PRONGI_PARK;
	if (!c->verdict)
		break_it(c, true);
	return raise_broken(c);
}

/* One that had arrived has gone. */
static void barrier_left(prong_call *c)
{
	if (!c->verdict)
		break_it(c, true);
}

static int barrier_abort(prong_call *c)
{
	break_it(c, true);
	return prongi_call_none(c);
}

static int barrier_reset(prong_call *c)
{
	break_it(c, false);
	return prongi_call_none(c);
}

static int barrier_attribute(prong_call *c)
{
	const struct barrier *b = c->self;
	const char *name = prong_call_text(c, "name");

	if (strcmp(name, "parties") == 0)
		return prong_call_return(c, prong_value_int(b->parties));
	if (strcmp(name, "n_waiting") == 0)
		return prong_call_return(c, prong_value_int(b->count));
	if (strcmp(name, "broken") == 0)
		return prong_call_return(c, prong_value_bool(b->broken));
	return prong_call_raise(c, "AttributeError", "'Barrier' object has no attribute '%.60s'",
				name);
}

static const prong_method barrier_methods[] = {
	{ "__getattribute__", "name: str", barrier_attribute, NULL },
	{ "wait", "timeout=None", barrier_wait, NULL },
	{ "abort", NULL, barrier_abort, NULL },
	{ "reset", NULL, barrier_reset, NULL },
	{ NULL, NULL, NULL, NULL },
};

static void barrier_fini(struct prong_manager *m, void *self)
{
	(void)m;
	free(self);
}

static const struct prongi_type barrier_type = {
	.name = "Barrier",
	.methods = barrier_methods,
	.fini = barrier_fini,
	.left = barrier_left,
	.each = true,
};

static int make_barrier(prong_call *c, void **self)
{
	int64_t parties = prong_call_int(c, "parties");
	const prong_value *timeout = prong_call_value(c, "timeout");
	struct barrier *b;
	double s;

	if (prong_call_value(c, "action"))
		return prong_call_raise(c, "TypeError", "a barrier of C has no action");
	if (parties < 1)
		return prong_call_raise(c, "ValueError", "parties must be > 0");
	if (timeout && (prong_value_as_float(timeout, &s) || !(s >= 0)))
		return prong_call_raise(c, "ValueError", "timeout must be a non-negative number");
	b = calloc(1, sizeof *b);
	if (!b)
		return -ENOMEM;
	b->parties = parties;
	b->timeout = PRONG_FOREVER;
	if (timeout && s < 1e9)
		b->timeout.ns_ = (int64_t)(s * 1e9);
	*self = b;
	return 0;
}

const struct prongi_maker prongi_make_barrier = {
	{ "Barrier", "parties: int, action=None, timeout=None", NULL, NULL },
	&barrier_type,
	make_barrier
};
