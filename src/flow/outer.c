/* The table of connections that are no pipes, and of queues that are not in the heap. */
#include "flow/outer.h"
#include "family/family.h"
#include <errno.h>
#include <pthread.h>

_Atomic(struct prongi_outer *) prongi_outers;

/* Protects the chain of the free ones, which begins in the first entry: that one is no handle.
   Nothing else is taken with it.  It is held across a fork, for the child's sake. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct head {
	uint32_t first, last; /* of the chain; 0: it is empty */
	uint32_t used;        /* how many entries were ever in use */
};

_Static_assert(sizeof(struct head) <= sizeof(struct prongi_outer), "the head has room");

static struct prongi_outer *table(void)
{
	return atomic_load_explicit(&prongi_outers, memory_order_relaxed);
}

static struct head *head(void)
{
	return (struct head *)(void *)table();
}

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

/* Under lock. */
static int make_table(void)
{
	static bool prepared;
	struct prongi_outer *t;

	if (table())
		return 0;
	if (!prepared && pthread_atfork(before_fork, after_fork, after_fork))
		return -ENOMEM;
	prepared = true;
	t = prongi_os_private(PRONGI_OUTERS * sizeof *t);
	if (!t)
		return -ENOMEM;
	atomic_store_explicit(&prongi_outers, t, memory_order_relaxed);
	return 0;
}

/* Under lock: an entry, the one that was freed first, so that stale handles are found out for long;
   0: there is none. */
static uint32_t take(void)
{
	struct head *h = head();
	uint32_t i = h->first;

	if (h->used + 1 < PRONGI_OUTERS && !i)
		return ++h->used;
	if (i)
		h->first = table()[i].next;
	if (!h->first)
		h->last = 0;
	return i;
}

static void give(struct prongi_outer *o)
{
	struct head *h = head();
	uint32_t i = (uint32_t)(o - table());

	o->next = 0;
	if (h->last)
		table()[h->last].next = i;
	else
		h->first = i;
	h->last = i;
}

/* An entry for self, of which no ops are set. */
static int entry(struct prongi_outer **out, void *self)
{
	uint32_t i = 0;
	int r;

	pthread_mutex_lock(&lock);
	r = make_table();
	if (r == 0)
		i = take();
	pthread_mutex_unlock(&lock);
	if (r)
		return prongi_fail(r, "no memory for the table of connections");
	if (!i)
		return prongi_fail(-EMFILE, "this process has %zu connections", PRONGI_OUTERS - 1);
	table()[i].self = self;
	*out = &table()[i];
	return 0;
}

/* The entry that a handle is the address of, in use or not; or NULL. */
static struct prongi_outer *at(const void *handle)
{
	struct prongi_outer *t = table();
	size_t offset = (size_t)((uintptr_t)handle - (uintptr_t)t);

	if (!t || offset < sizeof *t || offset >= PRONGI_OUTERS * sizeof *t || offset % sizeof *t)
		return NULL;
	return t + offset / sizeof *t;
}

static void vacate(struct prongi_outer *o)
{
	pthread_mutex_lock(&lock);
	give(o);
	pthread_mutex_unlock(&lock);
}

/* --- connections --------------------------------------------------------------------------- */

int prongi_outer_new(prong_conn **out, const struct prongi_conn_ops *ops, void *self)
{
	struct prongi_outer *o;
	int r = entry(&o, self);

	if (r)
		return r;
	/* release: pairs with prongi_outer_find(), for who got the handle by chance. */
	atomic_store_explicit(&o->ops, ops, memory_order_release);
	*out = (prong_conn *)(void *)o;
	return 0;
}

const struct prongi_outer *prongi_outer_find(const prong_conn *c)
{
	const struct prongi_outer *o = at(c);

	/* acquire: pairs with prongi_outer_new(). */
	return o && atomic_load_explicit(&o->ops, memory_order_acquire) ? o : NULL;
}

void *prongi_outer_self(const prong_conn *c, const struct prongi_conn_ops *ops)
{
	const struct prongi_outer *o = prongi_outer(c);

	return o && atomic_load_explicit(&o->ops, memory_order_relaxed) == ops ? o->self : NULL;
}

void prongi_outer_free(const struct prongi_outer *found)
{
	struct prongi_outer *o = table() + (found - table());
	const struct prongi_conn_ops *ops = atomic_load_explicit(&o->ops, memory_order_relaxed);
	void *self = o->self;

	atomic_store_explicit(&o->ops, NULL, memory_order_relaxed);
	vacate(o);
	ops->free(self);
}

int prongi_outer_cannot(const char *what)
{
	return prongi_fail(-ENOTSUP, "%s: this is a network connection", what);
}

/* --- queues -------------------------------------------------------------------------------- */

int prongi_outer_queue_new(prong_queue **out, const struct prongi_queue_ops *ops, void *self)
{
	struct prongi_outer *o;
	int r = entry(&o, self);

	if (r)
		return r;
	/* release: pairs with prongi_outer_queue(), for who got the handle by chance. */
	atomic_store_explicit(&o->queue, ops, memory_order_release);
	*out = (prong_queue *)(void *)o;
	return 0;
}

const struct prongi_queue_ops *prongi_outer_queue(const prong_queue *q, void **self)
{
	const struct prongi_outer *o = at(q);
	const struct prongi_queue_ops *ops;

	if (!o)
		return NULL;
	/* acquire: pairs with prongi_outer_queue_new(). */
	ops = atomic_load_explicit(&o->queue, memory_order_acquire);
	*self = o->self;
	return ops;
}

bool prongi_outer_queue_free(prong_queue *q)
{
	void *self;
	const struct prongi_queue_ops *ops = prongi_outer_queue(q, &self);
	struct prongi_outer *o = at(q);

	if (!ops)
		return false;
	atomic_store_explicit(&o->queue, NULL, memory_order_relaxed);
	vacate(o);
	ops->free(self);
	return true;
}
