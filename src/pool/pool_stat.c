/* What a pool says of itself. */
#include "pool/extra.h"
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

/* What w runs, or ran last. */
static void copy_name(const struct prong_pool *pool, const struct prongi_worker *w, char *out)
{
	/* acquire: pairs with keep_name(), worker.c: the name is whole; and so below: if words of a
	   later one were read, last is seen to be a later one. */
	uint64_t last = atomic_load_explicit(&w->last, memory_order_acquire), before;

	do {
		before = last;
		if ((last & PRONGI_RAN) != PRONGI_RAN_NAMED) {
			snprintf(out, PRONGI_NAME_MOST + 1, "%s",
				 !last                   ? ""
				 : pool->default_name[0] ? pool->default_name
							 : "task");
			return;
		}
		for (size_t i = 0; i < sizeof w->task[0] / sizeof **w->task; i++) {
			const prongi_word *from = &w->task[last >> 2 & 1][i];
			uint64_t word = atomic_load_explicit(from, memory_order_acquire);

			memcpy(out + i * sizeof word, &word, sizeof word);
		}
		last = atomic_load_explicit(&w->last, memory_order_acquire);
	} while (last != before);
}

static void describe(const struct prong_pool *pool, const struct prongi_worker *w,
		     prong_worker_stats *out)
{
	int64_t now = prongi_os_now();
	uint64_t peak;
	bool alive = prongi_worker_phase(w) != PRONGI_NOBODY;

	memset(out, 0, sizeof *out);
	prongi_worker_name(pool, get(&w->number), out->name, sizeof out->name);
	out->pid = (int)get(&w->pid);
	out->starts = atomic_load_explicit(&w->starts, memory_order_relaxed);
	for (int i = 0; i < PRONGI_TASK_FREEING - PRONGI_TASK_DONE; i++)
		out->tasks += get(&w->ended[i]);
	copy_name(pool, w, out->task);
	out->busy_ns = prongi_span(&w->busy, now);
	out->idle_ns = prongi_span(&w->idling, now);
	out->waits_ns = prongi_span(&w->waiting, now);
	out->peak_rss = get(&w->peak_rss);
	if (alive && pool->kind->stops && prongi_os_resident(out->pid, &out->rss, &peak) &&
	    peak > out->peak_rss)
		out->peak_rss = peak;
	out->alive = alive;
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

/* --- who ran a task ------------------------------------------------------------------------- */

static void tell_pid(uint32_t ident, prong_report *out)
{
	out->pid = prongi_state_pid(prongi_state(prongi_ident_process(ident)));
}

/* The task runs in w: what w says, if that still is so afterwards. */
static void tell_running(const struct prong_pool *pool, const struct prongi_worker *w,
			 const struct prong_future *f, uint64_t v, prong_report *out)
{
	int64_t began = (int64_t)get(&w->began);

	prongi_worker_name(pool, get(&w->number), out->worker, sizeof out->worker);
	out->pid = (int)get(&w->pid);
	if (began && get(&w->current) == (uint64_t)f->index + 1)
		out->elapsed_ns = prongi_os_now() - began;
	/* acquire: pairs with the steps of the state and the release of prongi_hire(): what was
	   read is this worker's, if the states are the same after it. */
	atomic_thread_fence(memory_order_acquire);
	if ((uint32_t)(get(&w->state) >> 4) == prongi_task_who(v) &&
	    !((prongi_task_look(f) ^ v) & ~PRONGI_TASK_FLAGS))
		return;
	out->pid = 0;
	out->elapsed_ns = 0;
	memset(out->worker, 0, sizeof out->worker);
}

/* 0: w has another number by now. */
static int pid_of(const struct prongi_worker *w, uint32_t number)
{
	uint64_t pid;

	if ((uint32_t)get(&w->number) != number)
		return 0;
	/* acquire: pairs with the release of who stores it: of a later worker's pid the number is
	   seen. */
	pid = atomic_load_explicit(&w->pid, memory_order_acquire);
	return (uint32_t)get(&w->number) == number ? (int)pid : 0;
}

/* It was ended by the worker of that number, or by nobody. */
static void tell_ended(const struct prong_pool *pool, const struct prong_future *f, uint64_t v,
		       prong_report *out)
{
	const struct prongi_notes *notes = prongi_notes(f);
	uint32_t number = prongi_task_who(v);

	if (prongi_task_phase(v) == PRONGI_TASK_DONE)
		out->elapsed_ns = (int64_t)((double)f->took * 1e9);
	else if (notes)
		out->elapsed_ns = (int64_t)get(&notes->took);
	if (notes)
		out->pid = (int)get(&notes->pid);
	prongi_worker_name(pool, number, out->worker, sizeof out->worker);
	for (uint32_t i = 0; number && i < places_of(pool) && !out->pid; i++)
		out->pid = pid_of(prongi_worker_at(pool, i), number);
}

void prongi_task_who_ran(const struct prong_pool *pool, const struct prong_future *f, uint64_t v,
			 prong_report *out)
{
	uint32_t place = prongi_task_who(v) & (PRONGI_PLACES - 1);

	if (prongi_task_over(v))
		tell_ended(pool, f, v, out);
	else if (prongi_task_phase(v) == PRONGI_TASK_RUNNING && pool->kind->start &&
		 place < places_of(pool))
		tell_running(pool, prongi_worker_at(pool, place), f, v, out);
	if (!pool->kind->start && !out->pid)
		tell_pid(atomic_load_explicit(&f->holder, memory_order_relaxed), out);
}

/* --- letters -------------------------------------------------------------------------------- */

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
