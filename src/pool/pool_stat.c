/* What a pool says of itself. */
#include "pool/pool.h"
#include <errno.h>
#include <stdio.h>

static uint64_t get(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void count_task(struct prong_pool *pool, struct prong_future *f, void *ctx)
{
	prong_pool_stats *out = ctx;
	enum prongi_task phase = prongi_task_phase(get(&f->state));

	(void)pool;
	out->waiting += phase == PRONGI_TASK_QUEUED || phase == PRONGI_TASK_DELAYED;
	out->running += phase == PRONGI_TASK_RUNNING;
}

/* acquire: pairs with free_place(), supervise.c: they are there. */
static uint32_t places_of(const struct prong_pool *pool)
{
	return atomic_load_explicit(&pool->places, memory_order_acquire);
}

static uint64_t ended_so(const struct prong_pool *pool, enum prongi_task phase)
{
	uint64_t n =
		atomic_load_explicit(&pool->here[phase - PRONGI_TASK_DONE], memory_order_relaxed);

	for (uint32_t i = 0; i < places_of(pool); i++)
		n += get(&prongi_worker_at(pool, i)->ended[phase - PRONGI_TASK_DONE]);
	return n;
}

static void describe(const struct prong_pool *pool, const struct prongi_worker *w,
		     prong_worker_stats *out)
{
	uint64_t last = get(&w->last);
	const struct prongi_extra *e;

	memset(out, 0, sizeof *out);
	memcpy(out->name, w->name, sizeof out->name);
	out->pid = (int)get(&w->pid);
	out->starts = atomic_load_explicit(&w->starts, memory_order_relaxed);
	for (int i = 0; i < PRONGI_TASK_FREEING - PRONGI_TASK_DONE; i++)
		out->tasks += get(&w->ended[i]);
	e = last ? prongi_extra(prongi_task_at(pool, last - 1)) : NULL;
	if (e)
		snprintf(out->task, sizeof out->task, "%.63s", e->name);
	out->busy_ns = (int64_t)get(&w->busy_ns);
	out->idle_ns = (int64_t)get(&w->idle_ns);
	out->peak_rss = get(&w->peak_rss);
	out->alive = prongi_worker_phase(w) != PRONGI_NOBODY;
	out->waits = atomic_load_explicit(&w->waits, memory_order_relaxed) != 0;
}

size_t prong_pool_stat(prong_pool *pool, prong_pool_stats *out, prong_worker_stats *workers,
		       size_t max)
{
	prong_pool_stats unwanted;
	uint32_t places;

	out = out ? out : &unwanted;
	memset(out, 0, sizeof *out);
	if (prongi_pool_check(pool, "pool_stat"))
		return 0;
	prongi_each_task(pool, count_task, out);
	out->done = ended_so(pool, PRONGI_TASK_DONE);
	out->failed = ended_so(pool, PRONGI_TASK_FAILED);
	out->crashed = ended_so(pool, PRONGI_TASK_CRASHED);
	out->overrun = ended_so(pool, PRONGI_TASK_OVERRUN);
	out->cancelled = ended_so(pool, PRONGI_TASK_CANCELLED);
	out->retried = atomic_load_explicit(&pool->retried, memory_order_relaxed);
	out->started = atomic_load_explicit(&pool->started, memory_order_relaxed);
	places = places_of(pool);
	for (uint32_t i = 0; i < places; i++) {
		const struct prongi_worker *w = prongi_worker_at(pool, i);

		out->workers += prongi_worker_phase(w) != PRONGI_NOBODY;
		out->idle += atomic_load_explicit(&w->idle, memory_order_relaxed);
		if (i < max && workers)
			describe(pool, w, &workers[i]);
	}
	return places;
}

int prong_pool_dead_letter(prong_pool *pool, size_t i, prong_report *out)
{
	int r = prongi_pool_check(pool, "pool_dead_letter");
	uint64_t n, first;

	if (r || !out)
		return r ? r : prongi_fail(-EINVAL, "pool_dead_letter: nowhere to store");
	do {
		/* acquire: pairs with post(), settle.c. */
		n = atomic_load_explicit(&pool->letters, memory_order_acquire);
		first = n > PRONGI_LETTERS ? n - PRONGI_LETTERS : 0;
		if (i >= n - first)
			return prongi_fail(PRONG_EMPTY, "pool_dead_letter: there are %llu",
					   (unsigned long long)(n - first));
		memcpy(out, (void *)(uintptr_t)get(&pool->letter[(first + i) % PRONGI_LETTERS]),
		       sizeof *out);
		atomic_thread_fence(memory_order_acquire);
	} while (get(&pool->letters) > first + i + PRONGI_LETTERS);
	return 0;
}
