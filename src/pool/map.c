/* Maps, as workers see them: parts are taken, item by item is called, and what a dead worker had is
   put right.  What the caller does is in map_call.c.

   The order of the stores for one item is what makes it whole or not at all:
      part.next = i          the item is in hand
      copy, call             on a buffer that hangs from the worker's place
      committing = i + 1     from here on the buffer counts: who repairs copies it, again
      copy back
      part.next = i + 1      from here on the item is done
      committing = 0         and the buffer may be reused */
#include "flow/queue.h"
#include "pool/extra.h"
#include "pool/map.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NOBODY 0xffffffffu

static uint64_t get(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(prongi_word *word, uint64_t value)
{
	prongi_then();
	atomic_store_explicit(word, value, memory_order_relaxed);
	prongi_then();
}

static uint64_t word_of(uint64_t state, uint64_t attempt, uint32_t who)
{
	return state | attempt << 8 | (uint64_t)who << 32;
}

static uint64_t end_of(const struct prongi_map *m, uint64_t part)
{
	uint64_t end = (part + 1) * m->chunk;

	return end < m->n ? end : m->n;
}

/* --- one share ------------------------------------------------------------------------------ */

struct share {
	struct prongi_map *m;
	struct prong_pool *pool;
	struct prongi_worker *w;       /* NULL in a sequential pool */
	struct prongi_worker *journal; /* the same; NULL on top of another share, whose it is */
	struct prong_future *f;
	uint32_t who;
	char *buffer;
};

static bool told(const struct share *s)
{
	return atomic_load_explicit(&s->m->stop, memory_order_relaxed) ||
	       (atomic_load_explicit(&s->f->state, memory_order_relaxed) & PRONGI_TASK_TOLD);
}

static void journal(const struct share *s, uint64_t part)
{
	if (s->journal)
		set(&s->journal->part, part + 1);
}

static bool try_part(const struct share *s, uint64_t part)
{
	prongi_word *word = &s->m->part[part].word;
	uint64_t v = get(word);

	if ((v & 3) != PRONGI_PART_FREE)
		return false;
	journal(s, part);
	/* acq_rel: pairs with the release of who gave it back: next is seen. */
	return atomic_compare_exchange_strong_explicit(
		word, &v, word_of(PRONGI_PART_TAKEN, v >> 8 & 255, s->who), memory_order_acq_rel,
		memory_order_relaxed);
}

/* A part to do, or parts when none is left. */
static uint64_t take_part(const struct share *s)
{
	uint64_t parts = s->m->parts, part = get(&s->m->next);

	while (part < parts) {
		part = atomic_fetch_add_explicit(&s->m->next, 1, memory_order_relaxed);
		if (part < parts && try_part(s, part))
			return part;
	}
	for (part = 0; part < parts; part++) /* those that came back */
		if (try_part(s, part))
			return part;
	return parts;
}

static void leave_part(const struct share *s, uint64_t part, uint64_t state)
{
	/* release: pairs with try_part(), and with the caller's look at the items. */
	atomic_store_explicit(&s->m->part[part].word, word_of(state, 0, 0), memory_order_release);
	if (s->journal)
		set(&s->journal->part, 0);
}

static void post(struct prongi_map *m, const prong_report *report)
{
	int r = m->failed ? prong_queue_put(m->failed, report, sizeof *report, PRONG_NOW) : 0;

	(void)r; /* without memory the item is as it was, and nobody is told why */
}

static void item_failed(const struct share *s, uint64_t i, int code, int outcome, uint32_t attempt)
{
	prong_report report = { .outcome = outcome,
				.code = code,
				.pid = prongi_os_pid(),
				.attempt = attempt,
				.index = i };
	struct prongi_notes *notes = prongi_notes(s->f);

	snprintf(report.name, sizeof report.name, "%s", s->m->name);
	if (s->w)
		prongi_worker_name(s->pool, get(&s->w->number), report.worker,
				   sizeof report.worker);
	if (notes && notes->message) {
		char *message = (char *)(uintptr_t)get(&notes->message);

		memcpy(report.message, message, sizeof report.message);
		message[0] = '\0';
	}
	if (outcome == PRONG_OVERRUN)
		prongi_report_task(s->pool, &report);
	post(s->m, &report);
}

/* The share was told to end since this item took too long; the item has returned all the same. */
static bool was_overrun(const struct share *s)
{
	uint64_t v = prongi_task_look(s->f), before;
	bool overrun = s->w && (v & PRONGI_TASK_TOLD) &&
		       get(&s->w->verdict) == prongi_verdict(s->f->index, v, PRONGI_TASK_OVERRUN);

	if (!overrun)
		return false;
	set(&s->w->deadline, 0);
	while (!(v & PRONGI_TASK_DOOMED) && !prongi_task_step(s->f, &v, v & ~PRONGI_TASK_TOLD))
		;
	if (v & PRONGI_TASK_DOOMED)
		prongi_await_the_end();
	set(&s->w->verdict, 0);
	prongi_worker_scope(s->w, &before);
	return true;
}

static void item_done(const struct share *s, struct prongi_part *part, uint64_t i)
{
	if (s->journal)
		set(&s->journal->committing, i + 1);
	memcpy(s->m->items + i * s->m->size, s->buffer, s->m->size);
	set(&part->next, i + 1);
	if (s->journal)
		set(&s->journal->committing, 0);
}

static uint32_t attempt_of(const struct prongi_part *part)
{
	return (uint32_t)(get(&part->word) >> 8 & 255) + 1;
}

static void do_item(const struct share *s, struct prongi_part *part, uint64_t i)
{
	int r;

	if (s->w && s->m->opts.limit_ms > 0)
		prongi_worker_limit(s->pool, s->w, s->m->opts.limit_ms);
	memcpy(s->buffer, s->m->items + i * s->m->size, s->m->size);
	r = s->m->fn(s->buffer);
	if (r == 0) {
		if (s->m->opts.limit_ms > 0)
			(void)was_overrun(s);
		item_done(s, part, i);
		return;
	}
	if (s->m->opts.limit_ms > 0 && was_overrun(s))
		item_failed(s, i, r, PRONG_OVERRUN, attempt_of(part));
	else if (told(s))
		return; /* it was cancelled, and is as it was */
	else
		item_failed(s, i, r, PRONG_FAILED, attempt_of(part));
	set(&part->next, i + 1);
}

/* An item that is behind the part's first attempt has attempts of its own. */
static void forget_attempts(const struct share *s, struct prongi_part *part)
{
	if (get(&part->word) >> 8 & 255)
		set(&part->word, word_of(PRONGI_PART_TAKEN, 0, s->who));
}

static void do_part(const struct share *s, uint64_t p)
{
	struct prongi_part *part = &s->m->part[p];
	uint64_t end = end_of(s->m, p), i;

	prongi_running->size = s->m->body ? 0 : s->m->size;
	prongi_running->attempt = attempt_of(part);
	if (s->m->body) {
		if (s->w && s->m->opts.limit_ms > 0)
			prongi_worker_limit(s->pool, s->w, s->m->opts.limit_ms);
		s->m->body(s->m->ctx, p * s->m->chunk, end);
		leave_part(s, p, PRONGI_PART_DONE);
		return;
	}
	while ((i = get(&part->next)) < end) {
		if (told(s)) {
			leave_part(s, p, PRONGI_PART_FREE);
			return;
		}
		do_item(s, part, i);
		forget_attempts(s, part);
		prongi_running->attempt = 1;
	}
	leave_part(s, p, PRONGI_PART_DONE);
}

/* What the worker works on: as large as this map's items. */
static int have_buffer(struct share *s)
{
	if (s->m->body)
		return 0;
	if (!s->journal) {
		s->buffer = malloc(s->m->size);
		return s->buffer ? 0 : ENOMEM;
	}
	if (s->w->buffer_size < s->m->size) {
		s->w->buffer_size = 0;
		prongi_then(); /* what is said to be there, is */
		if (prong_realloc_at((void **)(uintptr_t)&s->w->buffer, s->m->size))
			return ENOMEM;
		s->w->buffer_size = s->m->size;
	}
	s->buffer = (char *)(uintptr_t)get(&s->w->buffer);
	return 0;
}

/* In a pool of threads, one that waits in an item may run another map's share on top of it. */
static bool on_another(const struct prongi_running *here)
{
	while ((here = here->outer) != NULL)
		if (here->worker && here->task->fn == prongi_map_share)
			return true;
	return false;
}

int prongi_map_share(void *map)
{
	struct prongi_running *here = prongi_running;
	struct share s = { .m = map,
			   .pool = here->pool,
			   .w = here->worker,
			   .journal = on_another(here) ? NULL : here->worker,
			   .f = here->task,
			   .who = NOBODY };
	uint64_t part;
	int r = have_buffer(&s);

	if (r)
		return r;
	if (s.w)
		s.who = (uint32_t)(get(&s.w->state) >> 4);
	while (!told(&s) && (part = take_part(&s)) < s.m->parts)
		do_part(&s, part);
	if (!s.journal)
		free(s.buffer);
	return told(&s) ? ECANCELED : 0;
}

int prongi_map_holder(void *map)
{
	(void)map;
	return 0;
}

/* --- after a death -------------------------------------------------------------------------- */

static void crashed(struct prong_pool *pool, struct prongi_map *m, uint64_t i, uint64_t attempt,
		    const struct prongi_worker *w, const prong_report *report)
{
	prong_report r = *report;

	r.index = i;
	r.attempt = (uint32_t)attempt + 1;
	memcpy(r.name, m->name, sizeof r.name);
	prongi_worker_name(pool, get(&w->number), r.worker, sizeof r.worker);
	prongi_report_task(pool, &r);
	post(m, &r);
}

/* The item that w had in hand: done after all, to be tried again, or lost.  Return the next. */
static uint64_t settle_item(struct prong_pool *pool, struct prongi_worker *w, struct prongi_map *m,
			    uint64_t p, uint64_t *attempt, const prong_report *report)
{
	uint64_t i = get(&m->part[p].next), committing = get(&w->committing);

	if (committing && committing - 1 < m->n && !m->body)
		memcpy(m->items + (committing - 1) * m->size,
		       (const char *)(uintptr_t)get(&w->buffer), m->size);
	if (committing > i) {
		*attempt = 0;
		return committing;
	}
	if (i >= end_of(m, p) || report->outcome == PRONG_CANCELLED)
		return i;
	if (*attempt < (uint64_t)m->opts.retries) {
		++*attempt;
		atomic_fetch_add_explicit(&pool->retried, 1, memory_order_relaxed);
		return i;
	}
	crashed(pool, m, i, *attempt, w, report);
	*attempt = 0;
	return m->body ? end_of(m, p) : i + 1;
}

void prongi_map_settle(struct prong_pool *pool, struct prongi_worker *w,
		       const struct prong_future *f, enum prongi_task phase,
		       const prong_report *report)
{
	struct prongi_map *m = (struct prongi_map *)(uintptr_t)get(&f->arg);
	uint64_t p = get(&w->part) - 1, v, attempt, next;

	(void)phase;
	if (p >= m->parts)
		return;
	v = get(&m->part[p].word);
	if ((v & 3) != PRONGI_PART_TAKEN || v >> 32 != get(&w->state) >> 4)
		return; /* it had not got it, or was done with it */
	attempt = v >> 8 & 255;
	next = settle_item(pool, w, m, p, &attempt, report);
	set(&w->committing, 0);
	set(&m->part[p].next, next);
	/* release: pairs with try_part(). */
	atomic_store_explicit(
		&m->part[p].word,
		word_of(next >= end_of(m, p) ? PRONGI_PART_DONE : PRONGI_PART_FREE, attempt, 0),
		memory_order_release);
}

/* --- after the caller's --------------------------------------------------------------------- */

struct look {
	const struct prongi_map *m;
	bool busy;
};

static void is_share(struct prong_pool *pool, struct prong_future *f, void *ctx)
{
	uint64_t v = prongi_task_look(f);
	struct look *look = ctx;

	(void)pool;
	if (f->fn == prongi_map_share && get(&f->arg) == (uintptr_t)look->m &&
	    prongi_task_phase(v) > PRONGI_TASK_MAKING && prongi_task_phase(v) < PRONGI_TASK_DONE)
		look->busy = true;
}

bool prongi_map_over(struct prong_pool *pool, const struct prong_future *f)
{
	struct prongi_map *m = (struct prongi_map *)(uintptr_t)get(&f->result);
	struct look look = { m, false };

	if (!m)
		return true;
	atomic_store_explicit(&m->stop, 1, memory_order_relaxed);
	prongi_each_task(pool, is_share, &look);
	return !look.busy;
}

void prongi_map_clear(struct prong_future *f)
{
	struct prongi_map *m = (struct prongi_map *)(uintptr_t)get(&f->result);

	if (!m)
		return;
	(void)prongi_queue_free_at(&m->failed);
	prong_free_at((void **)(uintptr_t)&m->bounce);
}
