/* What becomes of a task whose worker has ended: by the supervisor alone, so that the report is
   whole, and the task is tried again by one who knows when.  And of all tasks, at the end. */
#include "pool/extra.h"
#include "pool/map.h"
#include <stdio.h>

static void **place(prongi_word *word)
{
	return (void **)(uintptr_t)word;
}

static uint64_t get(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(prongi_word *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

/* --- reports -------------------------------------------------------------------------------- */

static void describe(const struct prong_pool *pool, const struct prongi_worker *w,
		     const struct prong_future *f, uint64_t v, enum prongi_task phase,
		     const struct prongi_worker_end *end, prong_report *out)
{
	const struct prongi_notes *notes = prongi_notes(f);
	int64_t began = (int64_t)get(&w->began);

	*out = end->report;
	out->outcome = prongi_outcome(phase);
	out->attempt = prongi_task_attempt(v);
	out->elapsed_ns = began ? prongi_os_now() - began : 0;
	prongi_worker_name(pool, get(&w->number), out->worker, sizeof out->worker);
	snprintf(out->name, sizeof out->name, "%s", prongi_task_name(pool, f));
	out->index = prongi_task_index(f);
	if (notes && notes->message)
		memcpy(out->message, (const char *)(uintptr_t)notes->message, sizeof out->message);
}

/* Keep it where the future's holder finds it.  Without memory the outcome is all there is. */
static void attach(struct prong_future *f, const prong_report *report)
{
	struct prongi_notes *notes = prongi_notes_of(f);

	if (!notes || (!notes->report && prong_alloc_to(place(&notes->report), sizeof *report)))
		return;
	*(prong_report *)(uintptr_t)notes->report = *report;
}

static void post(struct prong_pool *pool, const prong_report *report)
{
	uint64_t n = get(&pool->letters);
	prongi_word *letter = &pool->letter[n % PRONGI_LETTERS];

	if (!*letter && prong_alloc_to(place(letter), sizeof *report))
		return;
	*(prong_report *)(uintptr_t)get(letter) = *report;
	/* release: pairs with the acquire of who reads it. */
	atomic_store_explicit(&pool->letters, n + 1, memory_order_release);
}

void prongi_report_task(struct prong_pool *pool, const prong_report *report)
{
	if (report->outcome == PRONG_CRASHED || report->outcome == PRONG_OVERRUN)
		post(pool, report);
}

/* --- again ---------------------------------------------------------------------------------- */

static void put_first(struct prong_pool *pool, const struct prong_future *f)
{
	while (prongi_task_put_first(pool, f))
		prongi_os_sleep(prong_in_ms(1)); /* until there is memory */
}

/* Put f, which was seen in state v, once more; more: PRONGI_TASK_ONE for a further attempt, or 0.
   Its flags may change meanwhile, since others begin to wait for it.  Return false when it is in
   another phase by now. */
static bool queue_again(struct prong_pool *pool, struct prong_future *f, uint64_t v, uint64_t more)
{
	enum prongi_task phase = prongi_task_phase(v);
	uint64_t to;

	do {
		if (prongi_task_phase(v) != phase)
			return false;
		to = prongi_task_state((v & ~(PRONGI_TASK_TOLD | PRONGI_TASK_DOOMED)) + more,
				       PRONGI_TASK_QUEUED, prongi_ident());
	} while (!prongi_task_step(f, &v, to));
	put_first(pool, f);
	return true;
}

static void put_again(struct prong_pool *pool, struct prong_future *f, uint64_t v)
{
	if (queue_again(pool, f, v, PRONGI_TASK_ONE))
		atomic_fetch_add_explicit(&pool->retried, 1, memory_order_relaxed);
}

static void put_later(struct prong_future *f, uint64_t v, int64_t when)
{
	set(&prongi_notes(f)->not_before, (uint64_t)when);
	while (!prongi_task_step(f, &v,
				 prongi_task_state(v & ~(PRONGI_TASK_TOLD | PRONGI_TASK_DOOMED),
						   PRONGI_TASK_DELAYED, 0)))
		;
}

/* Return whether that is later.  Once it is in the line it may end at once, and be freed. */
static bool try_again(struct prong_pool *pool, struct prong_future *f, uint64_t v)
{
	int64_t wait_ms = prongi_task_option(pool, f, PRONGI_BACKOFF);
	uint32_t times = prongi_task_attempt(v) - 1;

	wait_ms = wait_ms > 0 ? wait_ms << (times < 20 ? times : 20) : 0;
	if (wait_ms && prongi_notes_of(f)) {
		put_later(f, v, prongi_os_now() + wait_ms * 1000000);
		return true;
	}
	put_again(pool, f, v);
	return false;
}

struct due {
	int64_t now, next;
};

static void put_if_due(struct prong_pool *pool, struct prong_future *f, void *ctx)
{
	uint64_t v = prongi_task_look(f);
	const struct prongi_notes *notes;
	struct due *due = ctx;
	int64_t when;

	if (prongi_task_phase(v) != PRONGI_TASK_DELAYED)
		return;
	/* Who cancels it, and frees it then, may do so just now: what they were may be anything. */
	notes = prongi_notes(f);
	if (!prongi_inside(notes) || !prongi_word_valid((uintptr_t)(notes + 1) - 8))
		return;
	when = (int64_t)get(&notes->not_before);
	if (prongi_task_phase(prongi_task_look(f)) != PRONGI_TASK_DELAYED)
		return;
	if (when <= due->now)
		put_again(pool, f, v);
	else if (!due->next || when < due->next)
		due->next = when;
}

int64_t prongi_put_delayed(struct prong_pool *pool)
{
	struct due due = { prongi_os_now(), 0 };

	prongi_each_task(pool, put_if_due, &due);
	return due.next;
}

/* --- one ------------------------------------------------------------------------------------ */

static bool has_another(const struct prong_pool *pool, const struct prong_future *f, uint64_t v)
{
	enum prongi_pool_phase phase = prongi_pool_phase(pool);

	return (phase == PRONGI_POOL_OPEN || phase == PRONGI_POOL_CLOSED) &&
	       prongi_task_attempt(v) <= (uint32_t)prongi_task_option(pool, f, PRONGI_RETRIES);
}

/* How the attempt ended that died with w. */
static enum prongi_task sentence(const struct prongi_worker *w, const struct prong_future *f,
				 uint64_t v)
{
	uint64_t verdict = get(&w->verdict);

	if (verdict >> 8 == prongi_verdict(f->index, v, 0) >> 8)
		return (enum prongi_task)(verdict & 255);
	return v & PRONGI_TASK_TOLD ? PRONGI_TASK_CANCELLED : PRONGI_TASK_CRASHED;
}

/* f, in state v, ran in w.  Return whether it is to be tried again later. */
static bool settle(struct prong_pool *pool, struct prongi_worker *w, struct prong_future *f,
		   uint64_t v, const struct prongi_worker_end *end)
{
	enum prongi_task phase = sentence(w, f, v);
	prong_report report;

	f->code = 0; /* it may have returned, and been doomed just then */
	if (f->fn == prongi_map_share) {
		describe(pool, w, f, v, phase, end, &report);
		prongi_map_settle(pool, w, f, phase, &report);
		if (phase != PRONGI_TASK_CANCELLED &&
		    prongi_pool_phase(pool) <= PRONGI_POOL_CLOSED) {
			/* Its attempts are its items'. */
			(void)queue_again(pool, f, v, 0);
			return false;
		}
	}
	if (phase != PRONGI_TASK_CANCELLED && has_another(pool, f, v))
		return try_again(pool, f, v);
	describe(pool, w, f, v, phase, end, &report);
	attach(f, &report);
	prongi_report_task(pool, &report);
	prongi_count_here(pool, phase);
	prongi_task_end(pool, f, v, phase);
	return false;
}

static bool ran_in(const struct prongi_worker *w, uint64_t v)
{
	return prongi_task_phase(v) == PRONGI_TASK_RUNNING &&
	       prongi_task_who(v) == (uint32_t)(get(&w->state) >> 4);
}

struct beneath {
	struct prongi_worker *w;
	const struct prongi_worker_end *end;
	bool later;
};

static void settle_beneath(struct prong_pool *pool, struct prong_future *f, void *ctx)
{
	struct beneath *b = ctx;
	uint64_t v = prongi_task_look(f);

	if (ran_in(b->w, v))
		b->later |= settle(pool, b->w, f, v, b->end);
}

/* Return whether one is to be tried again later. */
bool prongi_settle_worker(struct prong_pool *pool, struct prongi_worker *w,
			  const struct prongi_worker_end *end)
{
	uint64_t current = get(&w->current), v;
	struct prong_future *f = current ? prongi_task_at(pool, current - 1) : NULL;
	struct beneath beneath = { w, end, false };

	v = f ? prongi_task_look(f) : 0;
	if (prongi_task_phase(v) == PRONGI_TASK_QUEUED && !PRONGI_MUTANT(156))
		put_first(pool, f); /* w may have taken it out of the line, and no more */
	set(&w->current, 0);
	if (ran_in(w, v)) /* else it had not begun, or had ended */
		beneath.later = settle(pool, w, f, v, end);
	if (end->stacked) {
		set(&w->began, 0); /* when those began is not known */
		prongi_each_task(pool, settle_beneath, &beneath);
	}
	return beneath.later;
}

/* --- all ------------------------------------------------------------------------------------ */

static void end_one(struct prong_pool *pool, struct prong_future *f, void *ctx)
{
	const enum prongi_task *phase = ctx;
	uint64_t v = prongi_task_look(f);

	if (prongi_task_phase(v) == PRONGI_TASK_RUNNING && *phase == PRONGI_TASK_CANCELLED) {
		while (!(v & PRONGI_TASK_TOLD) && prongi_task_phase(v) == PRONGI_TASK_RUNNING &&
		       !prongi_task_step(f, &v, v | PRONGI_TASK_TOLD))
			;
		return;
	}
	if (prongi_task_phase(v) != PRONGI_TASK_QUEUED &&
	    prongi_task_phase(v) != PRONGI_TASK_DELAYED)
		return;
	if (prongi_task_end(pool, f, v, *phase))
		prongi_count_here(pool, *phase);
}

void prongi_end_all(struct prong_pool *pool, enum prongi_task phase)
{
	prongi_each_task(pool, end_one, &phase);
}
