/* Waiting for a task, and what came of it. */
#include "pool/pool.h"
#include "run/group.h"
#include "sync/word.h"
#include <errno.h>
#include <stdio.h>

#define ROUSE_MS 5

/* --- is it one? ----------------------------------------------------------------------------- */

bool prongi_future_is(const struct prong_future *f)
{
	return f && (uintptr_t)f % 64 == 0 && prongi_inside(f) &&
	       prongi_word_valid((uintptr_t)f + sizeof *f - 8) &&
	       prongi_task_phase(prongi_task_look(f)) > PRONGI_TASK_MAKING &&
	       prongi_task_phase(prongi_task_look(f)) < PRONGI_TASK_FREEING;
}

static int check(const struct prong_future *f, const char *what)
{
	if (!prongi_future_is(f))
		return prongi_fail(-EINVAL, "%s: not a future, or freed", what);
	return prongi_enter();
}

bool prong_future_done(const prong_future *f)
{
	return prongi_future_is(f) && prongi_task_over(prongi_task_look(f));
}

/* --- waiting -------------------------------------------------------------------------------- */

/* The worker in which the caller waits, for a task of the same pool; or NULL. */
static struct prongi_running *inside(const struct prong_pool *pool)
{
	struct prongi_running *here = prongi_running;

	return here && here->pool == pool && here->worker ? here : NULL;
}

static bool runs_here(const struct prong_future *f)
{
	for (struct prongi_running *here = prongi_running; here; here = here->outer)
		if (here->task == f)
			return true;
	return false;
}

/* In a pool of threads: if f has not begun, do it at once.  Nothing else is ever run on top of the
   task that waits, for that might wait for what lies beneath it. */
static bool run_here(struct prongi_running *here, struct prong_future *f)
{
	uint64_t v = prongi_task_look(f), current, deadline, before, scope;
	struct prongi_worker *w = here->worker;

	if (!here->pool->kind->shares || prongi_task_phase(v) != PRONGI_TASK_QUEUED ||
	    !prongi_task_step(f, &v, prongi_worker_running(w, v)))
		return false;
	current = atomic_load_explicit(&w->current, memory_order_relaxed);
	deadline = atomic_load_explicit(&w->deadline, memory_order_relaxed);
	atomic_store_explicit(&w->current, f->index + 1, memory_order_relaxed);
	prongi_worker_clock(here->pool, w, f);
	scope = atomic_load_explicit(&w->scope, memory_order_relaxed);
	prongi_worker_scope(w, &before);
	(void)prongi_task_run(here->pool, w, f);
	prongi_scope_end(before);
	/* release: pairs with cancel_task(), supervise.c. */
	atomic_store_explicit(&w->scope, scope, memory_order_release);
	atomic_store_explicit(&w->current, current, memory_order_relaxed);
	atomic_store_explicit(&w->deadline, deadline, memory_order_relaxed);
	if (prongi_task_look(here->task) & PRONGI_TASK_TOLD)
		prongi_pool_ring(here->pool); /* nobody could see whose scope it was */
	return true;
}

void prongi_future_lose(struct prong_pool *pool, struct prong_future *f)
{
	uint64_t v = prongi_task_look(f);

	if (!prongi_task_over(v))
		prongi_task_end(pool, f, v, PRONGI_TASK_CRASHED);
}

/* The one worker that was woken for f may have been stopped just then: so who waits for f in vain,
   has the others look, once. */
static int sleep_or_rouse(struct prong_pool *pool, struct prongi_awaited *a, size_t n, bool *roused,
			  prong_time deadline)
{
	prong_time soon = prong_in_ms(ROUSE_MS);
	int r;

	if (*roused || deadline.ns_ <= soon.ns_)
		return prongi_sleep_any(a, n, deadline);
	r = prongi_sleep_any(a, n, soon);
	if (r != PRONG_TIMEDOUT)
		return r;
	*roused = true;
	prongi_pool_rouse(pool);
	return 0;
}

/* Sleep until f may be done.  v: its state, not done.  0, PRONG_TIMEDOUT or PRONG_CANCELLED. */
static int sleep_on(struct prong_pool *pool, struct prong_future *f, uint64_t v, bool *roused,
		    prong_time deadline)
{
	struct prongi_awaited a[4];
	size_t n = 1;

	if (!(v & PRONGI_TASK_WAITED) && !prongi_task_step(f, &v, v | PRONGI_TASK_WAITED))
		return 0;
	a[0] = (struct prongi_awaited){ prongi_low(&f->state), (uint32_t)(v | PRONGI_TASK_WAITED),
					true };
	if (pool->owner != prongi_process_ref(prongi_me)) {
		if (!prongi_process_lives(pool->owner, &a[1])) {
			prongi_future_lose(pool, f);
			return 0;
		}
		n = 2;
	}
	*roused |= prongi_task_phase(v) == PRONGI_TASK_RUNNING;
	return sleep_or_rouse(pool, a, n, roused, deadline);
}

static int wait_for(struct prong_pool *pool, struct prong_future *f, prong_time deadline)
{
	struct prongi_looks looks = { prongi_todo_woke ? PRONGI_LOOKED_ENOUGH : 0, 0 };
	bool roused = false;
	int r = 0;

	prongi_todo_woke = false;

	while (r == 0) {
		uint64_t v = prongi_task_look(f);

		if (prongi_task_over(v))
			return 0;
		if (deadline.ns_ <= 0)
			return PRONG_TIMEDOUT;
		if (!prongi_look_again(&looks))
			r = sleep_on(pool, f, v, &roused, deadline);
	}
	return prongi_task_over(prongi_task_look(f)) ? 0 : r;
}

void prongi_wait_inside_begin(struct prong_pool *pool)
{
	struct prongi_running *here = inside(pool);

	if (!here)
		return;
	atomic_fetch_add_explicit(&here->worker->waits, 1, memory_order_relaxed);
	prongi_pool_ring(pool);
}

void prongi_wait_inside_end(struct prong_pool *pool)
{
	struct prongi_running *here = inside(pool);

	if (!here)
		return;
	atomic_fetch_sub_explicit(&here->worker->waits, 1, memory_order_relaxed);
	prongi_pool_ring(pool);
}

static int wait_inside(struct prongi_running *here, struct prong_future *f, prong_time deadline)
{
	int r;

	if (run_here(here, f))
		return 0;
	prongi_wait_inside_begin(here->pool);
	r = wait_for(here->pool, f, deadline);
	prongi_wait_inside_end(here->pool);
	return r;
}

void prongi_future_watch(struct prong_future *f)
{
	uint64_t v = prongi_task_look(f);

	while (!prongi_task_over(v) && !(v & PRONGI_TASK_THEN) &&
	       !prongi_task_step(f, &v, v | PRONGI_TASK_THEN))
		;
}

int prong_future_wait(prong_future *f, prong_time deadline)
{
	struct prongi_running *here;
	struct prong_pool *pool;
	int r = check(f, "future_wait");

	if (r)
		return r;
	if (prongi_task_over(prongi_task_look(f)))
		return 0;
	if (runs_here(f))
		return prongi_fail(PRONG_DEADLOCK, "future_wait: it is the caller's own task");
	pool = prongi_task_pool(f);
	here = inside(pool);
	r = here && deadline.ns_ > 0 ? wait_inside(here, f, deadline) : wait_for(pool, f, deadline);
	return r ? prongi_gave_up(r, "future_wait", "the task is not done") : 0;
}

/* --- what came of it ------------------------------------------------------------------------ */

static int outcome_of(uint64_t state)
{
	return prongi_outcome(prongi_task_phase(state));
}

void *prong_future_data(prong_future *f, size_t *size)
{
	const struct prongi_extra *e;
	struct prongi_result *result;

	if (!prongi_future_is(f) || prongi_task_phase(prongi_task_look(f)) != PRONGI_TASK_DONE)
		return NULL;
	result = (struct prongi_result *)(uintptr_t)f->result;
	if (size)
		*size = result ? result->size : prongi_task_size(f);
	if (result)
		return result->data;
	e = prongi_extra(f);
	return e && e->copy ? (void *)(uintptr_t)e->copy : f->small ? prongi_task_data(f) : f->in;
}

static int fail(const struct prong_future *f, int outcome)
{
	const struct prongi_extra *e = prongi_extra(f);
	const char *message = e && e->message ? (const char *)(uintptr_t)e->message : "";

	return prongi_fail(outcome, "future_get: task %s %s%s%s",
			   e && e->name[0] ? e->name : "without a name", prong_strerror(outcome),
			   message[0] ? ": " : "", message);
}

int prong_future_get(prong_future *f, void *data, size_t size, prong_time deadline)
{
	int r = prong_future_wait(f, deadline);
	size_t have;
	void *from;

	if (r)
		return r;
	r = outcome_of(prongi_task_look(f));
	if (r)
		return fail(f, r);
	if (!data && !size)
		return 0;
	from = prong_future_data(f, &have);
	if (have != size || !data)
		return prongi_fail(data ? -EMSGSIZE : -EINVAL,
				   "future_get: the result has %zu bytes, not %zu", have, size);
	if (size)
		memcpy(data, from, size);
	return 0;
}

double prong_future_progress(const prong_future *f)
{
	const struct prongi_extra *e = prongi_future_is(f) ? prongi_extra(f) : NULL;

	if (prongi_future_is(f) && prongi_task_phase(prongi_task_look(f)) == PRONGI_TASK_DONE)
		return 1.0;
	return e ? atomic_load_explicit(&e->progress, memory_order_relaxed) : 0.0;
}

void prong_future_report(const prong_future *f, prong_report *out)
{
	const struct prongi_extra *e;
	uint64_t v;

	if (!out)
		return;
	memset(out, 0, sizeof *out);
	if (!prongi_future_is(f))
		return;
	v = prongi_task_look(f);
	e = prongi_extra(f);
	if (prongi_task_over(v) && e && e->report)
		*out = *(const prong_report *)(uintptr_t)e->report;
	out->outcome = outcome_of(v);
	out->attempt = prongi_task_attempt(v);
	if (out->outcome == PRONG_FAILED)
		out->code = f->code;
	snprintf(out->name, sizeof out->name, "%s", e && e->name[0] ? e->name : "task");
	if (e)
		out->index = e->index;
	if (prongi_task_over(v) && e && e->message)
		memcpy(out->message, (const char *)(uintptr_t)e->message, sizeof out->message);
}

/* --- letting go ----------------------------------------------------------------------------- */

void prong_future_free(prong_future *f)
{
	struct prong_pool *pool;
	uint64_t v;

	if (!f || check(f, "future_free"))
		return;
	pool = prongi_task_pool(f);
	v = prongi_task_look(f);
	while (v & PRONGI_TASK_HELD)
		if (prongi_task_over(v)) {
			if (!prongi_task_step(f, &v,
					      PRONGI_TASK_FREEING | (uint64_t)prongi_ident() << 32))
				continue;
			prongi_task_clear(pool, f);
			return;
		} else if (prongi_task_step(f, &v, v & ~PRONGI_TASK_HELD)) {
			return;
		}
}

int prong_future_cancel(prong_future *f)
{
	struct prong_pool *pool;
	int r = check(f, "future_cancel");
	uint64_t v;

	if (r)
		return r;
	pool = prongi_task_pool(f);
	for (v = prongi_task_look(f); !prongi_task_over(v); v = prongi_task_look(f)) {
		if (prongi_task_phase(v) != PRONGI_TASK_RUNNING) {
			if (prongi_task_phase(v) == PRONGI_TASK_FREEING)
				break;
			if (!prongi_task_end(pool, f, v, PRONGI_TASK_CANCELLED))
				continue;
			prongi_count_here(pool, PRONGI_TASK_CANCELLED);
			return 0;
		}
		if ((v & PRONGI_TASK_TOLD) || prongi_task_step(f, &v, v | PRONGI_TASK_TOLD)) {
			prongi_pool_ring(pool);
			return 0;
		}
	}
	return prongi_fail(PRONG_EMPTY, "future_cancel: the task is done");
}

/* --- as children of a group ----------------------------------------------------------------- */

static int group_outcome(const struct prong_future *f)
{
	return outcome_of(prongi_task_look(f));
}

static int64_t group_ended(const struct prong_future *f)
{
	return (int64_t)atomic_load_explicit(&prongi_extra(f)->ended, memory_order_relaxed);
}

static void group_cancel(struct prong_future *f)
{
	(void)prong_future_cancel(f);
}

/* --- as sources of prong_wait() ------------------------------------------------------------- */

static bool source_ready(const struct prong_future *f)
{
	return prong_future_done(f) || !prongi_pool_lives(prongi_task_pool(f));
}

static size_t source_arm(struct prong_future *f, struct prongi_awaited *a)
{
	uint64_t v = prongi_task_look(f);

	while (!(v & PRONGI_TASK_WAITED) && !prongi_task_over(v))
		if (prongi_task_step(f, &v, v | PRONGI_TASK_WAITED))
			v |= PRONGI_TASK_WAITED;
	a[0] = (struct prongi_awaited){ prongi_low(&f->state), (uint32_t)v, true };
	return prongi_process_lives(prongi_task_pool(f)->owner, &a[1]) ? 2 : 1;
}

__attribute__((constructor)) static void tell_groups(void)
{
	static const struct prongi_future_ops ops = { group_outcome,     group_ended,
						      group_cancel,      prong_future_report,
						      prong_future_free, prongi_future_is,
						      source_ready,      source_arm };

	prongi_future_ops = &ops;
}
