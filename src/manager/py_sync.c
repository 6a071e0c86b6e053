/* Python's Event, Lock, RLock, Semaphore, BoundedSemaphore and Condition.

   Who owns a lock is the connection that acquired it: that is one thread of one client, as it is a
   thread of the server in Python's own.  When it hangs up, however, what it owned is free. */
#include "manager/types.h"
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>

static void changed(prong_call *c)
{
	prongi_thing_changed(c->guest->m, c->thing);
}

static int answer_bool(prong_call *c, bool b)
{
	return prong_call_return(c, prong_value_bool(b));
}

static void fini(struct prong_manager *m, void *self)
{
	(void)m;
	free(self);
}

void prongi_decide(prong_call *c, int verdict)
{
	for (prong_call *w = c->thing->first; w; w = w->next)
		if (!w->verdict)
			w->verdict = verdict;
	changed(c);
}

/* --- events ----------------------------------------------------------------------------- */

static int event_is_set(prong_call *c)
{
	return answer_bool(c, *(bool *)c->self);
}

static int event_set(prong_call *c)
{
	*(bool *)c->self = true;
	prongi_decide(c, 1);
	return prongi_call_none(c);
}

static int event_clear(prong_call *c)
{
	*(bool *)c->self = false;
	return prongi_call_none(c);
}

static int event_wait(prong_call *c)
{
	if (!prongi_call_until(c, "timeout"))
		return 0;
	if (*(bool *)c->self || c->verdict || c->late)
		return answer_bool(c, *(bool *)c->self || c->verdict);
	return PRONGI_PARK;
}

static const prong_method event_methods[] = {
	{ "is_set", NULL, event_is_set, NULL },
	{ "set", NULL, event_set, NULL },
	{ "clear", NULL, event_clear, NULL },
	{ "wait", "timeout=None", event_wait, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const struct prongi_type event_type = {
	.name = "Event",
	.methods = event_methods,
	.fini = fini,
};

static int make_event(prong_call *c, void **self)
{
	(void)c;
	*self = calloc(1, sizeof(bool));
	return *self ? 0 : -ENOMEM;
}

/* --- locks ------------------------------------------------------------------------------ */

/* Take it if it is free, or the caller's already and may be taken again. */
static bool lock_take(struct prongi_lock *l, struct prongi_guest *g, uint64_t depth)
{
	if (l->depth && !(l->again && l->owner == g))
		return false;
	if (!l->depth) {
		l->owner = g;
		l->next = g->locks;
		g->locks = l;
	}
	l->depth += depth;
	return true;
}

static void lock_free(struct prong_manager *m, struct prongi_lock *l)
{
	struct prongi_lock **at = &l->owner->locks;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	l->owner = NULL;
	l->depth = 0;
	prongi_thing_changed(m, l->thing);
	for (struct prongi_lock_user *u = l->users; u; u = u->next)
		if (u->thing) /* else nobody has asked it for anything yet */
			prongi_thing_changed(m, u->thing);
}

void prongi_locks_free(struct prongi_guest *g)
{
	while (g->locks)
		lock_free(g->m, g->locks);
}

static int acquire(prong_call *c, struct prongi_lock *l)
{
	const prong_value *timeout = prong_call_value(c, "timeout");
	bool blocking = prongi_call_truth(c, "blocking");
	double s;

	l->thing = c->thing;
	if (timeout && prong_value_as_float(timeout, &s) == 0 && s == -1)
		timeout = NULL;
	if (timeout && !blocking)
		return prong_call_raise(c, "ValueError",
					"can't specify a timeout for a non-blocking call");
	if (timeout && !prongi_call_timeout(c, "timeout"))
		return 0;
	if (lock_take(l, c->guest, 1))
		return answer_bool(c, true);
	if (!blocking || c->late)
		return answer_bool(c, false);
	return PRONGI_PARK;
}

static int release(prong_call *c, struct prongi_lock *l)
{
	if (!l->depth)
		return prong_call_raise(c, "RuntimeError",
					l->again ? "cannot release un-acquired lock"
						 : "release unlocked lock");
	if (l->again && l->owner != c->guest)
		return prong_call_raise(c, "RuntimeError", "cannot release un-acquired lock");
	if (--l->depth == 0)
		lock_free(c->guest->m, l);
	return prongi_call_none(c);
}

static int lock_acquire(prong_call *c)
{
	return acquire(c, c->self);
}

static int lock_release(prong_call *c)
{
	return release(c, c->self);
}

static int lock_locked(prong_call *c)
{
	const struct prongi_lock *l = c->self;

	return answer_bool(c, l->depth != 0);
}

static const prong_method lock_methods[] = {
	{ "acquire", "blocking=True, timeout=None", lock_acquire, NULL },
	{ "release", NULL, lock_release, NULL },
	{ "locked", NULL, lock_locked, NULL },
	{ NULL, NULL, NULL, NULL },
};

static void lock_fini(struct prong_manager *m, void *self)
{
	struct prongi_lock *l = self;

	if (l->depth)
		lock_free(m, l);
	free(l);
}

static const struct prongi_type lock_type = {
	.name = "Lock",
	.methods = lock_methods,
	.fini = lock_fini,
};

static int make_lock(prong_call *c, void **self)
{
	(void)c;
	*self = calloc(1, sizeof(struct prongi_lock));
	return *self ? 0 : -ENOMEM;
}

static int make_rlock(prong_call *c, void **self)
{
	struct prongi_lock *l;
	int r = make_lock(c, self);

	if (r)
		return r;
	l = *self;
	l->again = true;
	return 0;
}

/* --- semaphores ------------------------------------------------------------------------- */

struct semaphore {
	int64_t value, most; /* most -1: no bound */
};

static int semaphore_acquire(prong_call *c)
{
	struct semaphore *s = c->self;
	bool blocking = prongi_call_truth(c, "blocking");

	if (!blocking && prong_call_value(c, "timeout"))
		return prong_call_raise(c, "ValueError",
					"can't specify timeout for non-blocking acquire");
	if (blocking && !prongi_call_until(c, "timeout"))
		return 0;
	if (s->value > 0) {
		s->value--;
		return answer_bool(c, true);
	}
	if (!blocking || c->late)
		return answer_bool(c, false);
	return PRONGI_PARK;
}

static int semaphore_release(prong_call *c)
{
	struct semaphore *s = c->self;
	int64_t n = prong_call_int(c, "n");

	if (n < 1)
		return prong_call_raise(c, "ValueError", "n must be one or more");
	if (s->value > INT64_MAX - n || (s->most >= 0 && s->value + n > s->most))
		return prong_call_raise(c, "ValueError", "Semaphore released too many times");
	s->value += n;
	changed(c);
	return prongi_call_none(c);
}

static const prong_method semaphore_methods[] = {
	{ "acquire", "blocking=True, timeout=None", semaphore_acquire, NULL },
	{ "release", "n: int = 1", semaphore_release, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const struct prongi_type semaphore_type = {
	.name = "Semaphore",
	.methods = semaphore_methods,
	.fini = fini,
};

static int make_semaphore(prong_call *c, void **self)
{
	int64_t value = prong_call_int(c, "value");
	struct semaphore *s;

	if (value < 0)
		return prong_call_raise(c, "ValueError", "semaphore initial value must be >= 0");
	s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->value = value;
	s->most = -1;
	*self = s;
	return 0;
}

static int make_bounded(prong_call *c, void **self)
{
	int r = make_semaphore(c, self);
	struct semaphore *s = *self;

	if (s)
		s->most = s->value;
	return r;
}

/* --- conditions ------------------------------------------------------------------------- */

struct condition {
	struct prongi_lock own;
	struct prongi_lock *lock;
	struct prongi_lock_user user; /* of a lock that is another object */
	struct prongi_thing *other;   /* that one, held; at the very end it may be gone */
	uint64_t other_ident;
};

static struct prongi_lock *lock_of(prong_call *c)
{
	struct condition *k = c->self;

	if (k->other)
		k->user.thing = c->thing;
	else
		k->own.thing = c->thing;
	return k->lock;
}

static int condition_acquire(prong_call *c)
{
	struct condition *k = c->self;
	struct prongi_lock *l = lock_of(c);
	struct prongi_thing *thing = k->other ? k->other : c->thing;
	int r = acquire(c, l);

	l->thing = thing;
	return r;
}

static int condition_release(prong_call *c)
{
	return release(c, lock_of(c));
}

enum {
	WAITS = 1 /* the stage of those that can be notified */
};

/* In turn: let go of the lock; be notified, or late; have the lock again. */
static int condition_wait(prong_call *c)
{
	struct prongi_lock *l = lock_of(c);

	if (!c->parked) {
		if (!l->depth || l->owner != c->guest)
			return prong_call_raise(c, "RuntimeError",
						"cannot wait on un-acquired lock");
		if (!prongi_call_until(c, "timeout"))
			return 0;
		c->stage = WAITS;
		c->number = l->depth;
		lock_free(c->guest->m, l);
		return PRONGI_PARK;
	}
	if (!c->verdict && !c->late)
		return PRONGI_PARK;
	if (!c->verdict)
		c->verdict = -1;
	c->deadline = PRONG_FOREVER;
	if (!lock_take(l, c->guest, c->number))
		return PRONGI_PARK;
	return answer_bool(c, c->verdict > 0);
}

static int notify(prong_call *c, int64_t n)
{
	struct prongi_lock *l = lock_of(c);

	if (!l->depth || l->owner != c->guest)
		return prong_call_raise(c, "RuntimeError", "cannot notify on un-acquired lock");
	for (prong_call *w = c->thing->first; w && n > 0; w = w->next)
		if (w->stage == WAITS && !w->verdict) {
			w->verdict = 1;
			n--;
		}
	changed(c);
	return prongi_call_none(c);
}

static int condition_notify(prong_call *c)
{
	return notify(c, prong_call_int(c, "n"));
}

static int condition_notify_all(prong_call *c)
{
	return notify(c, INT64_MAX);
}

static const prong_method condition_methods[] = {
	{ "acquire", "blocking=True, timeout=None", condition_acquire, NULL },
	{ "release", NULL, condition_release, NULL },
	{ "wait", "timeout=None", condition_wait, NULL },
	{ "notify", "n: int = 1", condition_notify, NULL },
	{ "notify_all", NULL, condition_notify_all, NULL },
	{ NULL, NULL, NULL, NULL },
};

static void forget_lock(struct prong_manager *m, struct condition *k)
{
	struct prongi_lock_user **at = &k->lock->users;

	while (*at != &k->user)
		at = &(*at)->next;
	*at = k->user.next;
	prongi_thing_drop(m, k->other);
}

static void condition_fini(struct prong_manager *m, void *self)
{
	struct condition *k = self;

	if (k->own.depth)
		lock_free(m, &k->own);
	if (k->other && prongi_thing_at(m, k->other_ident))
		forget_lock(m, k);
	free(k);
}

static const struct prongi_type condition_type = {
	.name = "Condition",
	.methods = condition_methods,
	.fini = condition_fini,
	.each = true,
};

static int make_condition(prong_call *c, void **self)
{
	const prong_value *lock = prong_call_value(c, "lock");
	struct prongi_thing *t = NULL;
	struct condition *k;

	if (lock) { /* a proxy: RebuildProxy(class, token, ...) */
		t = prongi_thing_find(
			c->guest->m,
			prong_value_at(prong_value_state(prong_value_at(prong_value_args(lock), 1)),
				       2));
		if (!t || t->class->type != &lock_type)
			return prong_call_raise(c, "TypeError", "lock is no Lock of this server");
	}
	k = calloc(1, sizeof *k);
	if (!k)
		return -ENOMEM;
	k->own.again = true;
	k->lock = &k->own;
	if (t) {
		prongi_thing_hold(t);
		k->other = t;
		k->other_ident = t->ident;
		k->lock = t->self;
		k->lock->thing = t;
		k->user.next = k->lock->users;
		k->lock->users = &k->user;
	}
	*self = k;
	return 0;
}

const struct prongi_maker
	prongi_make_event = { { "Event", NULL, NULL, NULL }, &event_type, make_event },
	prongi_make_lock = { { "Lock", NULL, NULL, NULL }, &lock_type, make_lock },
	prongi_make_rlock = { { "RLock", NULL, NULL, NULL }, &lock_type, make_rlock },
	prongi_make_semaphore = { { "Semaphore", "value: int = 1", NULL, NULL },
				  &semaphore_type,
				  make_semaphore },
	prongi_make_bounded = { { "BoundedSemaphore", "value: int = 1", NULL, NULL },
				&semaphore_type,
				make_bounded },
	prongi_make_condition = { { "Condition", "lock=None", NULL, NULL },
				  &condition_type,
				  make_condition };
