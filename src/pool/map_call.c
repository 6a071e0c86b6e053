/* Maps, as their callers see them: made, shared out to the workers, waited for, taken apart. */
#include "flow/queue.h"
#include "pool/map.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PARTS 16 /* for each worker, so that all end together */

static uint64_t get(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* A call of map or for. */
struct call {
	struct prong_pool *pool;
	struct prong_future *holder;
	struct prongi_map *m;
	struct prong_future *share[PRONGI_WORKERS];
	uint32_t shares;
	const prong_map_opts *opts;
	char *items;        /* the caller's */
	uint64_t *reported; /* by part: the last item that failed, + 1; NULL: none yet */
	uint64_t first;     /* item that failed */
	int outcome, stopped;
};

/* --- making --------------------------------------------------------------------------------- */

static int check(const struct prong_pool *pool, const prong_map_opts *o, const char *what)
{
	int r = prongi_pool_check(pool, what);

	for (size_t i = 0; r == 0 && i < sizeof o->reserved_ / sizeof *o->reserved_; i++)
		if (o->reserved_[i])
			r = prongi_fail(-EINVAL, "%s: a reserved option is set", what);
	if (r == 0 && (o->task.group || o->task.backoff_ms))
		r = prongi_fail(-EINVAL, "%s: task.group or task.backoff_ms is set", what);
	return r ? r : prongi_task_opts_check(&o->task, what);
}

static int32_t chosen(int32_t own, int32_t pools)
{
	return own < 0 ? 0 : own ? own : pools;
}

static uint32_t workers(const struct prong_pool *pool)
{
	return pool->kind->start ? atomic_load_explicit(&pool->wanted, memory_order_relaxed) : 1;
}

static void describe(struct call *c, const struct prongi_map *plan)
{
	struct prongi_map *m = c->m;
	const prong_task_opts *own = &c->opts->task;
	const int32_t *pools = c->pool->defaults;

	m->fn = plan->fn;
	m->body = plan->body;
	m->ctx = plan->ctx;
	m->items = plan->items;
	m->n = plan->n;
	m->size = plan->size;
	m->chunk = plan->chunk;
	m->parts = plan->parts;
	m->opts.limit_ms = chosen(own->limit_ms, pools[PRONGI_LIMIT]);
	m->opts.grace_ms = own->grace_ms ? own->grace_ms : pools[PRONGI_GRACE];
	m->opts.retries = chosen(own->retries, pools[PRONGI_RETRIES]);
	snprintf(m->name, sizeof m->name, "%s",
		 own->name                  ? own->name
		 : c->pool->default_name[0] ? c->pool->default_name
					    : "item");
	for (uint64_t i = 0; i < m->parts; i++)
		m->part[i].next = i * m->chunk;
}

/* The record from which all of it hangs. */
static int make(struct call *c, struct prongi_map *plan)
{
	struct prong_future *f;
	int r;

	plan->chunk = c->opts->chunk ? c->opts->chunk
				     : plan->n / ((uint64_t)workers(c->pool) * PARTS) + 1;
	if (plan->chunk > plan->n)
		plan->chunk = plan->n;
	plan->parts = (plan->n + plan->chunk - 1) / plan->chunk;
	r = prongi_task_claim(c->pool, &f);
	if (r)
		return r;
	f->fn = prongi_map_holder;
	f->small = 0;
	f->code = 0;
	atomic_store_explicit(&f->arg, 0, memory_order_relaxed);
	atomic_store_explicit(&f->holder, prongi_ident(), memory_order_relaxed);
	c->holder = f;
	r = prong_alloc_to((void **)(uintptr_t)&f->result,
			   sizeof(struct prongi_map) + plan->parts * sizeof(struct prongi_part));
	if (r == 0) {
		c->m = (struct prongi_map *)(uintptr_t)get(&f->result);
		describe(c, plan);
		r = prong_queue_new(&c->m->failed, NULL);
	}
	/* release: pairs with the sweep, which frees it if we die. */
	atomic_store_explicit(&f->state, PRONGI_TASK_DONE | PRONGI_TASK_HELD, memory_order_release);
	return r;
}

/* Items from outside go through the heap. */
static int bounce(struct call *c)
{
	size_t bytes = c->m->n * c->m->size;
	int r;

	if (c->m->body || prong_shared(c->items, bytes))
		return 0;
	r = prongi_alloc_to((void **)(uintptr_t)&c->m->bounce, bytes, false);
	if (r)
		return r;
	c->m->items = (char *)(uintptr_t)get(&c->m->bounce);
	memcpy(c->m->items, c->items, bytes);
	return 0;
}

/* --- sharing out ---------------------------------------------------------------------------- */

static int share_out(struct call *c)
{
	const prong_task_opts opts = { .limit_ms = -1,
				       .retries = -1,
				       .backoff_ms = -1,
				       .grace_ms = c->m->opts.grace_ms,
				       .name = c->m->name,
				       .priority = c->opts->task.priority };
	const struct prongi_ask ask = { prongi_map_share, c->m, 0, &opts, true, 0 };
	uint64_t n = workers(c->pool) < c->m->parts ? workers(c->pool) : c->m->parts;
	int r = 0;

	for (; c->shares < n; c->shares++) {
		r = prongi_submit(c->pool, &c->share[c->shares], &ask);
		if (r)
			break;
	}
	/* With some the whole is done as well. */
	return c->shares && r != PRONG_CLOSED && r != PRONG_FAILED ? 0 : r;
}

/* --- failures ------------------------------------------------------------------------------- */

/* True when the item was reported before: by one who died before he went on. */
static bool again(struct call *c, uint64_t i)
{
	uint64_t part = i / c->m->chunk;

	if (!c->reported)
		c->reported = calloc(c->m->parts, sizeof *c->reported);
	if (!c->reported)
		return false;
	if (c->reported[part] > i)
		return true;
	c->reported[part] = i + 1;
	return false;
}

static void stop(struct call *c, int why)
{
	if (c->stopped)
		return;
	c->stopped = why;
	atomic_store_explicit(&c->m->stop, 1, memory_order_relaxed);
	for (uint32_t i = 0; i < c->shares; i++)
		(void)prong_future_cancel(c->share[i]);
}

static void hear(struct call *c, const prong_report *why)
{
	void *item = c->m->body ? NULL : c->items + why->index * c->m->size;
	int r = 0;

	if (again(c, why->index))
		return;
	if (!c->outcome || why->index < c->first) {
		c->outcome = why->outcome;
		c->first = why->index;
	}
	if (c->opts->failed && !c->stopped)
		r = c->opts->failed(item, why, c->opts->ctx);
	if (r)
		stop(c, r);
}

static void hear_all(struct call *c)
{
	prong_report why;

	while (prongi_queue_can_get(c->m->failed) &&
	       prong_queue_get(c->m->failed, &why, sizeof why, NULL, PRONG_NOW) == 0)
		hear(c, &why);
}

/* --- waiting -------------------------------------------------------------------------------- */

/* Sleep until f may be done, or something has failed. */
static int sleep_on(struct call *c, struct prong_future *f, prong_time deadline)
{
	_Atomic uint32_t *ne = &c->m->failed->ne;
	struct prongi_awaited a[4] = { { ne, prongi_queue_listen(ne), true } };
	uint64_t v = prongi_task_look(f);

	if (prongi_task_over(v) || prongi_queue_can_get(c->m->failed))
		return 0;
	if (!(v & PRONGI_TASK_WAITED) && !prongi_task_step(f, &v, v | PRONGI_TASK_WAITED))
		return 0;
	a[1] = (struct prongi_awaited){ prongi_low(&f->state), (uint32_t)(v | PRONGI_TASK_WAITED),
					true };
	if (!prongi_process_lives(c->pool->owner, &a[2]))
		return PRONG_CRASHED;
	return c->stopped ? prongi_os_wait_any(a, 3, PRONG_FOREVER)
			  : prongi_sleep_any(a, 3, deadline);
}

/* Until the share is done; from the deadline on it is told to end, and waited for all the same. */
static int await_share(struct call *c, struct prong_future *f, prong_time deadline)
{
	for (;;) {
		int r;

		hear_all(c);
		if (prong_future_done(f))
			return 0;
		r = deadline.ns_ <= 0 && !c->stopped ? PRONG_TIMEDOUT : sleep_on(c, f, deadline);
		if (r == PRONG_CRASHED)
			return r;
		if (r)
			stop(c, r);
	}
}

static int await_share_inside(struct call *c, struct prong_future *f, prong_time deadline)
{
	struct prongi_worker *w;
	int r;

	if (!prong_future_done(f) && !c->stopped)
		(void)prongi_wait_inside_run(f, deadline);
	w = prong_future_done(f) ? NULL : prongi_wait_inside_begin(c->pool);
	r = await_share(c, f, deadline);
	prongi_wait_inside_end(c->pool, w);
	return r;
}

/* What a share says when it is not done well, and nobody stopped it. */
static int share_outcome(struct prong_future *f)
{
	int r = prong_future_get(f, NULL, 0, PRONG_NOW);

	return r == PRONG_FAILED && f->code == ENOMEM ? -ENOMEM : r;
}

static int await_all(struct call *c, prong_time deadline)
{
	int r = 0;

	for (uint32_t i = 0; i < c->shares && r != PRONG_CRASHED; i++)
		r = await_share_inside(c, c->share[i], deadline);
	for (uint32_t i = 0; i < c->shares && r == 0 && !c->stopped; i++)
		r = share_outcome(c->share[i]);
	hear_all(c);
	return r;
}

/* --- the calls ------------------------------------------------------------------------------ */

static int finish(struct call *c, int r)
{
	for (uint32_t i = 0; i < c->shares; i++)
		prong_future_free(c->share[i]);
	if (c->m && get(&c->m->bounce))
		memcpy(c->items, c->m->items, c->m->n * c->m->size);
	if (c->holder)
		prong_future_free(c->holder);
	free(c->reported);
	if (r)
		return r;
	if (c->stopped)
		return c->stopped > 0 ? prongi_gave_up(c->stopped, "pool_map", "it was not done")
				      : c->stopped;
	return c->outcome ? prongi_fail(c->outcome, "pool_map: item %llu %s",
					(unsigned long long)c->first, prong_strerror(c->outcome))
			  : 0;
}

static int run(struct call *c, struct prongi_map *plan, prong_time deadline)
{
	int r = make(c, plan);

	if (r == 0)
		r = bounce(c);
	if (r == 0)
		r = share_out(c);
	if (r == 0 || c->shares) {
		int waited = await_all(c, deadline);

		r = r ? r : waited;
	}
	return finish(c, r);
}

int prong_pool_map(prong_pool *pool, prong_fn *fn, void *items, size_t n, size_t size,
		   const prong_map_opts *opts, prong_time deadline)
{
	static const prong_map_opts defaults;
	struct prongi_map plan = { .fn = fn, .items = items, .n = n, .size = size };
	struct call c = { .pool = pool, .opts = opts ? opts : &defaults, .items = items };
	int r = check(pool, c.opts, "pool_map");

	if (r)
		return r;
	if (!fn || !size)
		return prongi_fail(-EINVAL, "pool_map: %s", fn ? "size is 0" : "fn is NULL");
	if (n > SIZE_MAX / 2 / size)
		return prongi_fail(-EOVERFLOW, "pool_map: %zu items of %zu bytes", n, size);
	if (!n)
		return 0;
	if (!items)
		return prongi_fail(-EFAULT, "pool_map: items is NULL");
	return run(&c, &plan, deadline);
}

int prong_pool_for(prong_pool *pool, void (*body)(void *ctx, size_t begin, size_t end), void *ctx,
		   size_t n, const prong_map_opts *opts, prong_time deadline)
{
	static const prong_map_opts defaults;
	struct prongi_map plan = { .body = body, .ctx = ctx, .n = n };
	struct call c = { .pool = pool, .opts = opts ? opts : &defaults };
	int r = check(pool, c.opts, "pool_for");

	if (r)
		return r;
	if (!body)
		return prongi_fail(-EINVAL, "pool_for: body is NULL");
	if (ctx && pool->kind->stops && !prong_shared(ctx, 1))
		return prongi_fail(-EFAULT, "pool_for: ctx is not in the heap");
	if (n > SIZE_MAX / 2)
		return prongi_fail(-EOVERFLOW, "pool_for: %zu steps", n);
	return n ? run(&c, &plan, deadline) : 0;
}
