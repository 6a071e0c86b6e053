/* One task being run, and what it can ask and say meanwhile. */
#include "pool/pool.h"
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

static struct prongi_result *result_of(const struct prong_future *f)
{
	uint64_t at = atomic_load_explicit(&f->result, memory_order_relaxed);

	return (struct prongi_result *)(uintptr_t)at;
}

/* --- the end -------------------------------------------------------------------------------- */

/* It is over, held and in nobody's hand any more: tell who waits. */
static void tell(struct prong_pool *pool, struct prong_future *f, uint64_t v)
{
	uint32_t holder = atomic_load_explicit(&f->holder, memory_order_relaxed);
	const struct prongi_extra *e = prongi_extra(f);

	if (e && e->opts.group)
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

uint64_t prongi_task_end(struct prong_pool *pool, struct prong_future *f, uint64_t from,
			 enum prongi_task phase)
{
	struct prongi_extra *e = prongi_extra(f);
	struct prongi_promise promise;
	uint64_t v = from, to;

	if (e)
		atomic_store_explicit(&e->ended, (uint64_t)prongi_os_now(), memory_order_relaxed);
	(void)prongi_promise(&promise, PRONGI_MUTANT(154) ? &f->extra : &f->state);
	do {
		if ((v ^ from) & (PRONGI_TASK_PHASE | PRONGI_TASK_DOOMED | WHO)) {
			prongi_kept(&promise);
			return 0;
		}
		to = v & PRONGI_TASK_HELD ? prongi_task_state(v, phase, 0)
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
static int prepare(struct prong_future *f, void **data)
{
	struct prongi_extra *e = prongi_extra(f);
	uint64_t size = prongi_task_size(f);
	int r;

	if (f->result)
		prong_free_at(place(&f->result)); /* of an attempt that died */
	*data = prongi_task_data(f);
	if (!e || e->opts.retries <= 0 || !size)
		return 0;
	r = e->copy ? 0 : prongi_alloc_to(place(&e->copy), size, false);
	if (r)
		return r;
	*data = memcpy((void *)(uintptr_t)e->copy, *data, size);
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
	int r = prepare(f, &data);

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

bool prongi_task_run(struct prong_pool *pool, struct prongi_worker *w, struct prong_future *f)
{
	enum prongi_task phase = PRONGI_TASK_DONE;
	uint64_t v;

	f->code = call(pool, w, f);
	v = prongi_task_look(f);
	if (f->code)
		phase = failure(w, f, v);
	v = v & PRONGI_TASK_DOOMED ? 0 : prongi_task_end(pool, f, v, phase);
	if (!v)
		prongi_await_the_end();
	count(pool, w, phase);
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
	struct prongi_extra *e = prongi_running ? prongi_extra_of(prongi_running->task) : NULL;
	char text[sizeof(((prong_report *)0)->message)];
	va_list args;

	if (!e)
		return code;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (!atomic_load_explicit(&e->message, memory_order_relaxed) &&
	    prong_alloc_to(place(&e->message), sizeof text))
		return code;
	memcpy((void *)(uintptr_t)atomic_load_explicit(&e->message, memory_order_relaxed), text,
	       sizeof text);
	return code;
}

void prong_task_progress(double done)
{
	struct prongi_extra *e = prongi_running ? prongi_extra_of(prongi_running->task) : NULL;

	if (e)
		atomic_store_explicit(&e->progress, done, memory_order_relaxed);
}
