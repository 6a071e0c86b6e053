/* Waiting for a task, and what came of it. */
#include "pool/extra.h"
#include "run/group.h"
#include "sync/word.h"
#include <errno.h>
#include <stdio.h>

#define ROUSE_MS 5
#define POLITE   8 /* looks until the processor is offered to others */

/* --- is it one? ----------------------------------------------------------------------------- */

bool prongi_future_is(const struct prong_future *f)
{
	return f && (uintptr_t)f % 64 == 0 && prongi_inside(f) &&
	       prongi_word_valid((uintptr_t)f + sizeof *f - 8) &&
	       prongi_task_phase(prongi_task_look(f)) > PRONGI_TASK_MAKING &&
	       prongi_task_phase(prongi_task_look(f)) < PRONGI_TASK_FREEING && prongi_task_is(f);
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

/* What the caller runs as a worker of that pool; or NULL.  On top of it may be tasks of sequential
   pools. */
static struct prongi_running *inside(const struct prong_pool *pool)
{
	struct prongi_running *here = prongi_running;

	while (here && !here->worker)
		here = here->outer;
	return here && here->pool == pool ? here : NULL;
}

static bool runs_here(const struct prong_future *f)
{
	for (struct prongi_running *here = prongi_running; here; here = here->outer)
		if (here->task == f)
			return true;
	return false;
}

static bool is_told(const struct prongi_running *here)
{
	return prongi_task_look(here->task) & PRONGI_TASK_TOLD;
}

/* What the caller runs, or something beneath it, is to end. */
static bool told(const struct prongi_running *here)
{
	if (is_told(here))
		return true;
	/* seq_cst: pairs with tell_worker(); it finds us where we are, or we what it says. */
	if (!atomic_load_explicit(&here->worker->told, memory_order_seq_cst))
		return false;
	while ((here = here->outer) != NULL)
		if (here->worker && is_told(here))
			return true;
	return false;
}

/* f, which the caller runs or is about to, lies on one that was told: so it is told. */
static void pass_on(struct prongi_worker *w, struct prong_future *f)
{
	uint64_t v = prongi_task_look(f);
	struct prongi_scope scope = { (uint32_t)atomic_load_explicit(&w->scope_slot,
								     memory_order_relaxed),
				      atomic_load_explicit(&w->scope, memory_order_relaxed) };

	while (!(v & PRONGI_TASK_TOLD) && !prongi_task_step(f, &v, v | PRONGI_TASK_TOLD))
		;
	prongi_scope_cancel(scope);
}

/* On top of what the caller runs. */
static void run_on_top(struct prongi_running *here, struct prong_future *f)
{
	struct prongi_worker *w = here->worker;
	uint64_t current = atomic_load_explicit(&w->current, memory_order_relaxed);
	uint64_t began = atomic_load_explicit(&w->began, memory_order_relaxed);
	uint64_t scope = atomic_load_explicit(&w->scope, memory_order_relaxed), before;

	prongi_worker_clock(here->pool, w, f, prongi_os_now());
	prongi_worker_scope(w, &before);
	/* seq_cst: pairs with mind_task(), supervise.c, as told() says. */
	atomic_store_explicit(&w->current, f->index + 1, memory_order_seq_cst);
	if (told(here))
		pass_on(w, f);
	(void)prongi_task_run(here->pool, w, f);
	prongi_scope_end(before);
	/* release: pairs with cancel_task(), supervise.c. */
	atomic_store_explicit(&w->scope, scope, memory_order_release);
	atomic_store_explicit(&w->began, began, memory_order_relaxed);
	atomic_store_explicit(&w->deadline, 0, memory_order_relaxed);
	atomic_store_explicit(&w->current, current, memory_order_seq_cst); /* as above */
	if (told(here))
		pass_on(w, here->task); /* who told it may have cancelled the scope of f */
}

/* In a pool of threads.  Nothing but the awaited task is ever run on top of the one that waits, for
   it might wait for what lies beneath it; and nothing on top of one whose time may run out
   meanwhile, for only a wait can give up. */
bool prongi_wait_inside_run(struct prong_future *f, prong_time deadline)
{
	struct prongi_running *here = inside(prongi_task_pool(f));
	uint64_t v = prongi_task_look(f);

	if (!here || !here->pool->kind->shares || deadline.ns_ != PRONG_FOREVER.ns_ ||
	    atomic_load_explicit(&here->worker->deadline, memory_order_relaxed) || told(here))
		return false;
	if (prongi_task_phase(v) != PRONGI_TASK_QUEUED ||
	    !prongi_task_step(f, &v, prongi_worker_running(here->worker, v)))
		return false;
	run_on_top(here, f);
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

struct awake {
	struct prongi_looks looks;
	bool woke; /* the worker: no use to look for what it does before it has begun */
	bool gave_way;
};

/* False: the caller shall look again. */
static bool looked_enough(struct awake *a)
{
	if (!a->gave_way && (a->woke || a->looks.n == POLITE)) {
		a->gave_way = true;
		prongi_give_way();
		return false;
	}
	return a->woke || !prongi_look_again(&a->looks);
}

static int wait_for(struct prong_pool *pool, struct prong_future *f, prong_time deadline)
{
	struct awake awake = { .woke = prongi_todo_woke };
	bool roused = false;
	int r = 0;

	prongi_todo_woke = false;
	while (r == 0) {
		uint64_t v = prongi_task_look(f);

		if (prongi_task_over(v))
			return 0;
		if (deadline.ns_ <= 0)
			return PRONG_TIMEDOUT;
		if (looked_enough(&awake))
			r = sleep_on(pool, f, v, &roused, deadline);
	}
	return prongi_task_over(prongi_task_look(f)) ? 0 : r;
}

struct prongi_worker *prongi_wait_inside_begin(struct prong_pool *pool)
{
	struct prongi_running *here = inside(pool);

	if (!here)
		return NULL;
	if (!atomic_fetch_add_explicit(&here->worker->waits, 1, memory_order_relaxed))
		prongi_span_start(&here->worker->waiting, prongi_os_now());
	prongi_pool_ring(pool);
	return here->worker;
}

void prongi_wait_inside_end(struct prong_pool *pool, struct prongi_worker *w)
{
	if (!w)
		return;
	if (atomic_fetch_sub_explicit(&w->waits, 1, memory_order_relaxed) == 1)
		prongi_span_stop(&w->waiting, prongi_os_now());
	prongi_pool_ring(pool);
}

static int wait_inside(struct prong_pool *pool, struct prong_future *f, prong_time deadline)
{
	struct prongi_worker *w;
	int r;

	if (prongi_wait_inside_run(f, deadline))
		return 0;
	w = deadline.ns_ > 0 ? prongi_wait_inside_begin(pool) : NULL;
	r = wait_for(pool, f, deadline);
	prongi_wait_inside_end(pool, w);
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
	int r = check(f, "future_wait");

	if (r)
		return r;
	if (prongi_task_over(prongi_task_look(f)))
		return 0;
	if (runs_here(f))
		return prongi_fail(PRONG_DEADLOCK, "future_wait: it is the caller's own task");
	r = wait_inside(prongi_task_pool(f), f, deadline);
	return r ? prongi_gave_up(r, "future_wait", "the task is not done") : 0;
}

/* --- what came of it ------------------------------------------------------------------------ */

static int outcome_of(uint64_t state)
{
	return prongi_outcome(prongi_task_phase(state));
}

void *prong_future_data(prong_future *f, size_t *size)
{
	const struct prongi_notes *notes;
	struct prongi_result *result;

	if (!prongi_future_is(f) || prongi_task_phase(prongi_task_look(f)) != PRONGI_TASK_DONE)
		return NULL;
	result = (struct prongi_result *)(uintptr_t)f->result;
	if (size)
		*size = result ? result->size : prongi_task_size(f);
	if (result)
		return result->data;
	notes = prongi_notes(f);
	if (notes && notes->copy)
		return (void *)(uintptr_t)notes->copy;
	return f->small ? prongi_task_data(f) : f->in;
}

/* What is to be said of it, or "".  Who fails without a code never ran: its pool gave up. */
static const char *message_of(const struct prong_future *f, uint64_t v)
{
	const struct prongi_notes *notes = prongi_notes(f);

	if (notes && notes->message)
		return (const char *)(uintptr_t)notes->message;
	return prongi_task_phase(v) == PRONGI_TASK_FAILED && !f->code ? prongi_task_pool(f)->why
								      : "";
}

static int fail(const struct prong_future *f, int outcome)
{
	const char *message = message_of(f, prongi_task_look(f));

	return prongi_fail(outcome, "future_get: task \"%s\": %s%s%s",
			   prongi_task_name(prongi_task_pool(f), f), prong_strerror(outcome),
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
	const struct prongi_notes *notes;

	if (!prongi_future_is(f))
		return 0.0;
	if (prongi_task_phase(prongi_task_look(f)) == PRONGI_TASK_DONE)
		return 1.0;
	notes = prongi_notes(f);
	return notes ? atomic_load_explicit(&notes->progress, memory_order_relaxed) : 0.0;
}

void prong_future_report(const prong_future *f, prong_report *out)
{
	const struct prongi_notes *notes;
	const struct prong_pool *pool;
	uint64_t v;

	if (!out)
		return;
	memset(out, 0, sizeof *out);
	if (!prongi_future_is(f))
		return;
	v = prongi_task_look(f);
	pool = prongi_task_pool(f);
	notes = prongi_notes(f);
	if (prongi_task_over(v) && notes && notes->report)
		*out = *(const prong_report *)(uintptr_t)notes->report;
	else
		prongi_task_who_ran(pool, f, v, out);
	out->outcome = outcome_of(v);
	out->attempt = prongi_task_attempt(v);
	if (out->outcome == PRONG_FAILED)
		out->code = f->code;
	snprintf(out->name, sizeof out->name, "%s", prongi_task_name(pool, f));
	out->index = prongi_task_index(f);
	if (prongi_task_over(v) && message_of(f, v)[0])
		snprintf(out->message, sizeof out->message, "%s", message_of(f, v));
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

/* v: the state of f, which is told now; another may run on top of it. */
static void tell_worker(struct prong_pool *pool, const struct prong_future *f, uint64_t v)
{
	uint32_t place = prongi_task_who(v) & (PRONGI_PLACES - 1);

	/* seq_cst: pairs with told(). */
	if (pool->kind->shares)
		atomic_store_explicit(&prongi_worker_at(pool, place)->told, f->index + 1,
				      memory_order_seq_cst);
	prongi_pool_ring(pool);
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
			tell_worker(pool, f, v);
			return 0;
		}
	}
	return prongi_fail(PRONG_EMPTY, "future_cancel: the task is done");
}

/* --- waiting for it with others, in a group or prong_wait() ----------------------------------- */

static bool lend(const struct prong_future *f)
{
	return prongi_wait_inside_begin(prongi_task_pool(f));
}

static void take_back(void)
{
	struct prongi_running *here = prongi_running;

	while (!here->worker)
		here = here->outer;
	prongi_wait_inside_end(here->pool, here->worker);
}

/* --- as children of a group ----------------------------------------------------------------- */

static int group_outcome(const struct prong_future *f)
{
	return outcome_of(prongi_task_look(f));
}

static int64_t group_ended(const struct prong_future *f)
{
	return (int64_t)atomic_load_explicit(&prongi_notes(f)->ended, memory_order_relaxed);
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
						      prong_future_free, lend,
						      take_back,         prongi_future_is,
						      source_ready,      source_arm };

	prongi_future_ops = &ops;
}
