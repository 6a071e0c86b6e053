/* One task being run, and what it can ask and say meanwhile. */
#include "pool/extra.h"
#include "sync/word.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define WHO ((uint64_t)0xffffffff << 32)

_Thread_local struct prongi_running *prongi_running;

static void **place(prongi_word *word)
{
	return (void **)(uintptr_t)word;
}

static uint64_t get(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static struct prongi_result *result_of(const struct prong_future *f)
{
	return (struct prongi_result *)(uintptr_t)get(&f->result);
}

/* --- the end -------------------------------------------------------------------------------- */

/* It is over, held and in nobody's hand any more: tell who waits.  Its holder may free it just now,
   so but for the record itself nothing of it is read. */
static void tell(struct prong_pool *pool, struct prong_future *f, uint64_t v)
{
	uint32_t holder = atomic_load_explicit(&f->holder, memory_order_relaxed);

	if (v & PRONGI_TASK_GROUP)
		prongi_news_tell(prongi_ident_process(holder));
	if (v & PRONGI_TASK_WAITED)
		prongi_os_wake(prongi_low(&f->state), INT_MAX, true);
	if (v & PRONGI_TASK_THEN) {
		/* seq_cst: pairs with the look of who calls back. */
		atomic_fetch_add_explicit(&pool->thens, 1, memory_order_seq_cst);
		prongi_os_wake(&pool->thens, INT_MAX, true);
	}
}

/* The supervisor has taken f from w, and kills it now. */
void prongi_await_the_end(void)
{
	for (;;)
		prongi_os_sleep(PRONG_FOREVER);
}

uint64_t prongi_task_end_by(struct prong_pool *pool, struct prong_future *f, uint64_t from,
			    enum prongi_task phase, uint32_t by)
{
	struct prongi_notes *notes = prongi_notes(f);
	struct prongi_promise promise;
	uint64_t v = from, to;

	if (notes)
		atomic_store_explicit(&notes->ended, (uint64_t)prongi_os_now(),
				      memory_order_relaxed);
	(void)prongi_promise(&promise, PRONGI_MUTANT(154) ? &f->extra : &f->state);
	do {
		if ((v ^ from) & (PRONGI_TASK_PHASE | PRONGI_TASK_DOOMED | WHO)) {
			prongi_kept(&promise);
			return 0;
		}
		to = v & PRONGI_TASK_HELD ? prongi_task_state(v, phase, by)
					  : PRONGI_TASK_FREEING | (uint64_t)prongi_ident() << 32;
	} while (!prongi_task_step(f, &v, to));
	if (v & PRONGI_TASK_HELD)
		tell(pool, f, v);
	prongi_kept(&promise);
	if (!(v & PRONGI_TASK_HELD))
		prongi_task_clear(pool, f);
	return v;
}

/* --- the call ------------------------------------------------------------------------------- */

/* What fn works on: a copy of the argument, if it may be tried again. */
static int prepare(const struct prong_pool *pool, struct prong_future *f, void **data)
{
	struct prongi_notes *notes;
	uint64_t size = prongi_task_size(f);
	int r;

	if (f->result)
		prong_free_at(place(&f->result)); /* of an attempt that died */
	*data = prongi_task_data(f);
	if (!size || !prongi_task_option(pool, f, PRONGI_RETRIES))
		return 0;
	notes = prongi_notes_of(f);
	r = !notes ? -ENOMEM : notes->copy ? 0 : prongi_alloc_to(place(&notes->copy), size, false);
	if (r)
		return r;
	*data = memcpy((void *)(uintptr_t)notes->copy, *data, size);
	return 0;
}

static int call(struct prong_pool *pool, struct prongi_worker *w, struct prong_future *f)
{
	struct prongi_running here = { pool,
				       w,
				       f,
				       prongi_running,
				       prongi_task_attempt(prongi_task_look(f)),
				       prongi_task_size(f) };
	void *data;
	int r = prepare(pool, f, &data);

	if (r)
		return r;
	prongi_running = &here;
	r = f->fn(data);
	prongi_running = here.outer;
	return r;
}

static void count(struct prong_pool *pool, struct prongi_worker *w, enum prongi_task phase)
{
	prongi_word *n = w ? &w->ended[phase - PRONGI_TASK_DONE] : NULL;

	if (n)
		atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
				      memory_order_relaxed);
	else
		prongi_count_here(pool, phase);
}

/* f has returned something else than 0. */
static enum prongi_task failure(const struct prongi_worker *w, const struct prong_future *f,
				uint64_t state)
{
	if (!(state & PRONGI_TASK_TOLD))
		return PRONGI_TASK_FAILED;
	/* acquire: pairs with the release of the supervisor. */
	return w && atomic_load_explicit(&w->verdict, memory_order_acquire) ==
				       prongi_verdict(f->index, state, PRONGI_TASK_OVERRUN)
		       ? PRONGI_TASK_OVERRUN
		       : PRONGI_TASK_CANCELLED;
}

/* What a report of f will tell, which has returned just now. */
static void note(const struct prongi_worker *w, struct prong_future *f, int code, int64_t took)
{
	struct prongi_notes *notes = code ? prongi_notes_of(f) : prongi_notes(f);

	if (code)
		f->code = code;
	else
		f->took = (float)took * 1e-9f;
	if (!notes)
		return;
	atomic_store_explicit(&notes->took, (uint64_t)took, memory_order_relaxed);
	atomic_store_explicit(&notes->pid, w ? get(&w->pid) : (uint64_t)prongi_os_pid(),
			      memory_order_relaxed);
}

bool prongi_task_run(struct prong_pool *pool, struct prongi_worker *w, struct prong_future *f)
{
	int64_t began = w ? (int64_t)get(&w->began) : prongi_os_now(), now;
	enum prongi_task phase = PRONGI_TASK_DONE;
	int code = call(pool, w, f);
	uint64_t v = prongi_task_look(f);

	now = prongi_os_now();
	if (code)
		phase = failure(w, f, v);
	note(w, f, code, now - began);
	v = v & PRONGI_TASK_DOOMED
		    ? 0
		    : prongi_task_end_by(pool, f, v, phase, w ? (uint32_t)get(&w->number) : 0);
	if (!v)
		prongi_await_the_end();
	count(pool, w, phase);
	if (w) {
		w->clock = now;
		atomic_store_explicit(&w->began, 0, memory_order_relaxed);
	}
	return v & PRONGI_TASK_TOLD;
}

/* --- from inside ---------------------------------------------------------------------------- */

void *prong_task_result(size_t size)
{
	struct prong_future *f = prongi_running ? prongi_running->task : NULL;

	if (!f || size > SIZE_MAX - sizeof(struct prongi_result))
		return NULL;
	prong_free_at(place(&f->result));
	if (prong_alloc_to(place(&f->result), sizeof(struct prongi_result) + size))
		return NULL;
	result_of(f)->size = size;
	return result_of(f)->data;
}

size_t prong_task_size(void)
{
	return prongi_running ? prongi_running->size : 0;
}

uint32_t prong_task_attempt(void)
{
	return prongi_running ? prongi_running->attempt : 0;
}

int prong_task_message(int code, const char *format, ...)
{
	struct prongi_notes *notes = prongi_running ? prongi_notes_of(prongi_running->task) : NULL;
	char text[sizeof(((prong_report *)0)->message)];
	va_list args;

	if (!notes)
		return code;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (!get(&notes->message) && prong_alloc_to(place(&notes->message), sizeof text))
		return code;
	memcpy((void *)(uintptr_t)get(&notes->message), text, sizeof text);
	return code;
}

void prong_task_progress(double done)
{
	struct prongi_notes *notes = prongi_running ? prongi_notes_of(prongi_running->task) : NULL;

	if (notes)
		atomic_store_explicit(&notes->progress, done, memory_order_relaxed);
}
