/* Handing a task in. */
#include "pool/extra.h"
#include "family/check.h"
#include "run/group.h"
#include <errno.h>
#include <stdio.h>

#define MS_MOST      ((int32_t)1 << 30)
#define RETRIES_MOST 200

static void **place(prongi_word *word)
{
	return (void **)(uintptr_t)word;
}

/* --- options -------------------------------------------------------------------------------- */

int prongi_task_opts_check(const prong_task_opts *o, const char *what)
{
	for (size_t i = 0; i < sizeof o->reserved_ / sizeof *o->reserved_; i++)
		if (o->reserved_[i])
			return prongi_fail(-EINVAL, "%s: a reserved task option is set", what);
	if (o->reserved0_ || o->limit_ms < -1 || o->grace_ms < -1 || o->backoff_ms < -1 ||
	    o->retries < -1 || o->limit_ms > MS_MOST || o->grace_ms > MS_MOST ||
	    o->backoff_ms > MS_MOST || o->retries > RETRIES_MOST || o->priority < -1 ||
	    o->priority > 1)
		return prongi_fail(-EINVAL, "%s: a task option is out of range", what);
	return 0;
}

/* --- the record ----------------------------------------------------------------------------- */

static int fill(struct prong_pool *pool, struct prong_future *f, const struct prongi_ask *ask)
{
	int r;

	f->fn = ask->fn;
	f->code = 0;
	atomic_store_explicit(&f->holder, prongi_ident(), memory_order_relaxed);
	r = prongi_extra_fill(pool, f, ask->opts, ask->index);
	if (r)
		return r;
	if (ask->size <= PRONGI_CALLER_BYTES) {
		f->small = (uint32_t)ask->size;
		prongi_then(); /* what is not LARGE is no block */
		atomic_store_explicit(&f->arg, (uintptr_t)ask->arg, memory_order_relaxed);
		if (ask->size)
			memcpy(f->in, ask->arg, ask->size);
		return 0;
	}
	f->bytes = ask->size;
	atomic_store_explicit(&f->arg, 0, memory_order_relaxed);
	prongi_then(); /* who finds LARGE, if we die, frees what arg names */
	f->small = PRONGI_LARGE;
	prongi_then();
	r = prongi_alloc_to(place(&f->arg), ask->size, false);
	if (r == 0)
		memcpy((void *)(uintptr_t)f->arg, ask->arg, ask->size);
	return r;
}

static void drop(struct prong_pool *pool, struct prong_future *f)
{
	/* release: pairs with the sweep, if we die here. */
	atomic_store_explicit(&f->state, PRONGI_TASK_FREEING | (uint64_t)prongi_ident() << 32,
			      memory_order_release);
	prongi_task_clear(pool, f);
}

/* What a pool that takes nothing more says. */
static int refused(const struct prong_pool *pool)
{
	if (!prongi_pool_lives(pool))
		return prongi_fail(PRONG_CRASHED, "pool_submit: the pool's process has ended");
	if (prongi_pool_phase(pool) == PRONGI_POOL_OPEN)
		return 0;
	return pool->why[0] ? prongi_fail(PRONG_FAILED, "pool_submit: %s", pool->why)
			    : prongi_fail(PRONG_CLOSED, "pool_submit: the pool is closed");
}

/* As the kind has it: into the line, or done at once. */
static int hand_in(struct prong_pool *pool, struct prong_future *f, const struct prongi_ask *ask)
{
	uint64_t v = PRONGI_TASK_QUEUED | (ask->held ? PRONGI_TASK_HELD : 0) | PRONGI_TASK_ONE |
		     (ask->opts && ask->opts->group ? PRONGI_TASK_GROUP : 0) |
		     (uint64_t)prongi_ident() << 32;
	int r;

	if (!pool->kind->start) {
		v = prongi_task_state(v, PRONGI_TASK_RUNNING, prongi_ident());
		atomic_store_explicit(&f->state, v, memory_order_release);
		prongi_task_run(pool, NULL, f);
		return 0;
	}
	/* release: pairs with the CAS of whoever takes it. */
	atomic_store_explicit(&f->state, v, memory_order_release);
	r = prongi_task_put(pool, f);
	if (r == 0) {
		if (atomic_load_explicit(&pool->lacking, memory_order_relaxed))
			prongi_pool_ring(pool);
		return 0;
	}
	/* Nobody has seen it, but for a sweep or the end of the pool. */
	if (prongi_task_step(f, &v, PRONGI_TASK_FREEING | (uint64_t)prongi_ident() << 32))
		prongi_task_clear(pool, f);
	else
		prong_future_free(f);
	return r;
}

static int submit(struct prong_pool *pool, struct prong_future **out, const struct prongi_ask *ask)
{
	struct prong_future *f;
	int r = prongi_task_claim(pool, &f);

	if (r)
		return r;
	/* The claim before this look: so the supervisor waits for us, or we see the end. */
	r = refused(pool);
	if (r == 0)
		r = fill(pool, f, ask);
	if (r) {
		drop(pool, f);
		return r;
	}
	r = hand_in(pool, f, ask);
	if (r == 0 && out)
		*out = f;
	return r == PRONG_FULL ? prongi_fail(r, "pool_submit: max_waiting tasks wait already") : r;
}

/* As a child of its group, if it has one. */
int prongi_submit(struct prong_pool *pool, struct prong_future **out, const struct prongi_ask *ask)
{
	struct prong_group *group = ask->opts ? ask->opts->group : NULL;
	struct prongi_ask held = *ask;
	struct prongi_child *child;
	struct prong_future *f;
	int r;

	if (!group)
		return submit(pool, out, ask);
	r = prongi_group_place(&child, group, ask->opts->tag, "pool_submit");
	if (r)
		return r;
	held.held = true;
	r = submit(pool, &f, &held);
	if (r) {
		prongi_group_withdraw(child);
		return r;
	}
	if (out)
		*out = f;
	prongi_group_add_future(child, f);
	return 0;
}

int prongi_ask_check(const struct prongi_ask *ask, const char *what)
{
	if (!ask->fn)
		return prongi_fail(-EINVAL, "%s: fn is NULL", what);
	if (ask->size && !ask->arg)
		return prongi_fail(-EFAULT, "%s: arg is NULL, but size is %zu", what, ask->size);
	if (!ask->size && ask->arg && !prong_shared(ask->arg, 1))
		return prongi_fail(-EFAULT, "%s: arg %p with size 0 is not in the heap", what,
				   ask->arg);
	if (ask->size > (size_t)1 << 46)
		return prongi_fail(-ENOMEM, "%s: an argument of %zu bytes", what, ask->size);
	return ask->opts ? prongi_task_opts_check(ask->opts, what) : 0;
}

int prong_pool_submit(prong_pool *pool, prong_future **out, prong_fn *fn, const void *arg,
		      size_t size, const prong_task_opts *opts)
{
	const struct prongi_ask ask = { fn, arg, size, opts, out != NULL, 0 };
	int r = prongi_pool_check(pool, "pool_submit");

	if (r == 0)
		r = prongi_ask_check(&ask, "pool_submit");
	if (r == 0 && pool->kind->stops)
		r = prongi_check_argument(arg, size, "pool_submit", __builtin_return_address(0));
	return r ? r : prongi_submit(pool, out, &ask);
}

int prong_pool_apply(prong_pool *pool, prong_fn *fn, void *arg, size_t size,
		     const prong_task_opts *opts, prong_time deadline)
{
	prong_future *f;
	int r = prong_pool_submit(pool, &f, fn, arg, size, opts);

	if (r)
		return r;
	r = prong_future_get(f, size ? arg : NULL, size, deadline);
	if (r == PRONG_TIMEDOUT)
		(void)prong_future_cancel(f);
	prong_future_free(f);
	return r;
}
