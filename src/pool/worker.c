/* The life of a worker, of whatever kind: have a task, run it, have the next.

   The worker's place names the task before it is taken out of the line, and until it is over: so
   whoever dies has lost nothing. */
#include "pool/extra.h"
#include "os/thread_os.h"
#include "sync/word.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define LOOKS  100 /* before it sleeps */
#define POLITE 2   /* looks until the processor is offered to others */

struct worker {
	struct prong_pool *pool;
	struct prongi_worker *w;
	uint32_t tasks; /* that it has run */
	bool slept;     /* before it took its last task */
	int64_t now;    /* what the clock says, if that has been read just now; else 0 */
};

/* --- taking --------------------------------------------------------------------------------- */

/* The task is out of the line: make it ours, if it is to be run. */
static bool accept(struct worker *me, struct prong_future *f)
{
	uint64_t v = prongi_task_look(f);

	if (PRONGI_MUTANT(151))
		atomic_store_explicit(&me->w->current, 0, memory_order_relaxed);
	while (prongi_task_phase(v) == PRONGI_TASK_QUEUED)
		if (prongi_task_step(f, &v, prongi_worker_running(me->w, v)))
			return true;
	return false;
}

static struct prong_future *take_from(struct worker *me, struct prongi_todo *todo)
{
	uint32_t index;

	while (prongi_todo_get(todo, &me->w->current, &index)) {
		struct prong_future *f = prongi_task_at(me->pool, index);

		if (accept(me, f))
			return f;
	}
	return NULL;
}

static bool all_levels(const struct prong_pool *pool)
{
	/* seq_cst: pairs with prongi_task_put(). */
	return atomic_load_explicit(&pool->levels, memory_order_seq_cst);
}

static struct prong_future *take(struct worker *me)
{
	struct prong_future *f = NULL;

	if (!all_levels(me->pool))
		return take_from(me, &me->pool->todo[1]);
	for (int i = 0; i < PRONGI_LEVELS && !f; i++)
		f = take_from(me, &me->pool->todo[i]);
	return f;
}

/* --- having nothing to do ------------------------------------------------------------------- */

static bool wanted(const struct worker *me)
{
	/* acquire: pairs with the store of the supervisor. */
	return !atomic_load_explicit(&me->w->leave, memory_order_acquire);
}

static bool anything(const struct worker *me)
{
	if (!all_levels(me->pool))
		return prongi_todo_any(&me->pool->todo[1]);
	for (int i = 0; i < PRONGI_LEVELS; i++)
		if (prongi_todo_any(&me->pool->todo[i]))
			return true;
	return false;
}

static void pause_a_while(void)
{
	for (int k = 0; k < 32; k++)
		prongi_os_pause();
}

static bool look_awake(struct worker *me)
{
	bool slept = me->slept;

	me->slept = false;
	for (int i = 0; i < LOOKS && prongi_spins && wanted(me); i++) {
		if (anything(me))
			return true;
		/* Who waits for what it has done may wait for this processor: surely so when it was
		   woken for that, and did not run on another. */
		if (i == 0 && slept)
			prongi_give_way();
		else if (i == POLITE)
			prongi_os_yield();
		else
			pause_a_while();
	}
	return false;
}

/* As what it sleeps.  Others may be the same: then one of them is woken. */
static uint32_t bits_of(const struct worker *me)
{
	uint64_t place = atomic_load_explicit(&me->w->state, memory_order_relaxed) >> 4;

	return UINT32_C(1) << (place & 31);
}

/* Sleep until there may be something.  0 or PRONG_TIMEDOUT. */
static int sleep_once(const struct worker *me, prong_time until)
{
	struct prongi_awaited a[PRONGI_LEVELS];
	bool all = all_levels(me->pool);
	uint32_t bits = bits_of(me);
	size_t n = 0;

	for (int i = 0; i < PRONGI_LEVELS; i++)
		if (all || i == 1) {
			struct prongi_todo *todo = &me->pool->todo[i];

			a[n++] = (struct prongi_awaited){ &todo->word,
							  prongi_todo_listen(todo, bits), true };
		}
	if (anything(me) || !wanted(me) || all != all_levels(me->pool))
		return 0;
	return all ? prongi_os_wait_any(a, n, until)
		   : prongi_os_wait_as(a->word, a->seen, until, true, bits);
}

/* From being busy to being idle, or the other way. */
static void turn_over(prongi_word *from, prongi_word *to)
{
	int64_t now = prongi_os_now();

	prongi_span_stop(from, now);
	prongi_span_start(to, now);
}

/* Return false when it is time to end. */
static bool rest(struct worker *me)
{
	uint32_t idle_ms = me->pool->idle_ms;
	prong_time until = idle_ms ? prong_in_ms(idle_ms) : PRONG_FOREVER;
	int r = 0;

	me->now = 0;
	if (look_awake(me))
		return true;
	if (me->pool->kind->stops)
		fflush(NULL); /* what it has printed shall be seen, even if it is killed */
	turn_over(&me->w->busy, &me->w->idling);
	/* seq_cst: pairs with the supervisor's look whether all is done. */
	atomic_store_explicit(&me->w->idle, 1, memory_order_seq_cst);
	if (prongi_pool_phase(me->pool) != PRONGI_POOL_OPEN)
		prongi_pool_ring(me->pool);
	while (r == 0 && wanted(me) && !anything(me))
		r = sleep_once(me, until);
	atomic_store_explicit(&me->w->idle, 0, memory_order_seq_cst);
	turn_over(&me->w->idling, &me->w->busy);
	me->slept = true;
	return r == 0 || anything(me);
}

/* --- running -------------------------------------------------------------------------------- */

static void limit(struct prong_pool *pool, struct prongi_worker *w, int32_t limit_ms, int64_t now)
{
	uint64_t deadline = limit_ms > 0 ? (uint64_t)(now + (int64_t)limit_ms * 1000000) : 0;

	atomic_store_explicit(&w->began, (uint64_t)now, memory_order_relaxed);
	if (!deadline) {
		atomic_store_explicit(&w->deadline, 0, memory_order_relaxed);
		return;
	}
	/* seq_cst: pairs with the supervisor, who says when it looks next, and then looks. */
	atomic_store_explicit(&w->deadline, deadline, memory_order_seq_cst);
	if (deadline < atomic_load_explicit(&pool->alarm, memory_order_seq_cst))
		prongi_pool_ring(pool);
}

void prongi_worker_limit(struct prong_pool *pool, struct prongi_worker *w, int32_t limit_ms)
{
	limit(pool, w, limit_ms, prongi_os_now());
}

/* Keep the name of f, which is read meanwhile: in the one of the two places that is not read.  Who
   is killed at it has changed nothing: the next uses that place again. */
static void keep_name(const struct prong_pool *pool, struct prongi_worker *w,
		      const struct prong_future *f)
{
	char name[sizeof w->task[0]] = { 0 };
	uint64_t last = atomic_load_explicit(&w->last, memory_order_relaxed), n, word;

	if (!prongi_extra(f)) {
		atomic_store_explicit(&w->last, (last & ~PRONGI_RAN) | PRONGI_RAN_PLAIN,
				      memory_order_relaxed);
		return;
	}
	n = (last >> 2) + (PRONGI_MUTANT(157) ? 2 : 1);
	memcpy(name, prongi_task_name(pool, f), strlen(prongi_task_name(pool, f)));
	for (size_t i = 0; i < sizeof w->task[0] / sizeof word; i++) {
		memcpy(&word, name + i * sizeof word, sizeof word);
		/* release: pairs with copy_name(), pool_stat.c: who reads this name knows of the
		   one before it, in the other place. */
		atomic_store_explicit(&w->task[n & 1][i], word, memory_order_release);
	}
	/* release: pairs with the same; the name is whole. */
	atomic_store_explicit(&w->last, n << 2 | PRONGI_RAN_NAMED, memory_order_release);
}

void prongi_worker_clock(struct prong_pool *pool, struct prongi_worker *w,
			 const struct prong_future *f, int64_t now)
{
	uint64_t grace = (uint32_t)prongi_task_option(pool, f, PRONGI_GRACE);

	keep_name(pool, w, f);
	atomic_store_explicit(&w->grace, ((uint64_t)f->index + 1) << 32 | grace,
			      memory_order_relaxed);
	limit(pool, w, prongi_task_option(pool, f, PRONGI_LIMIT), now);
}

void prongi_worker_name(const struct prong_pool *pool, uint64_t number, char *out, size_t size)
{
	out[0] = '\0';
	if (number)
		snprintf(out, size, "%s-%llu", pool->name, (unsigned long long)number);
}

void prongi_worker_scope(struct prongi_worker *w, uint64_t *before)
{
	struct prongi_scope scope = prongi_scope_begin(before);

	atomic_store_explicit(&w->scope_slot, scope.slot, memory_order_relaxed);
	/* release: pairs with cancel_task(), supervise.c. */
	atomic_store_explicit(&w->scope, scope.word, memory_order_release);
}

/* Who cancels a task sets TOLD first, so a scope in which nobody was told serves the next task. */
static void run(struct worker *me, struct prong_future *f)
{
	uint64_t before;

	prongi_worker_clock(me->pool, me->w, f, me->now ? me->now : prongi_os_now());
	if (prongi_task_run(me->pool, me->w, f))
		prongi_worker_scope(me->w, &before);
	prongi_then(); /* the state says that it is over before the place does */
	atomic_store_explicit(&me->w->current, 0, memory_order_relaxed);
	me->tasks++;
	me->now = me->w->clock;
}

bool prongi_worker_step(struct prong_pool *pool, struct prongi_worker *w)
{
	struct worker me = { .pool = pool, .w = w };
	struct prong_future *f = take(&me);

	if (f)
		run(&me, f);
	return f;
}

static bool used_up(const struct worker *me)
{
	const struct prong_pool *pool = me->pool;

	return (pool->recycle_tasks && me->tasks >= pool->recycle_tasks) ||
	       (pool->recycle_rss && pool->kind->stops &&
		prongi_os_private_bytes() > pool->recycle_rss);
}

static void work(struct worker *me)
{
	uint64_t before;

	prongi_span_start(&me->w->busy, prongi_os_now());
	prongi_worker_scope(me->w, &before);
	while (wanted(me)) {
		struct prong_future *f = take(me);

		if (f)
			run(me, f);
		else if (!rest(me))
			break;
		if (f && used_up(me))
			break;
	}
	prongi_scope_end(before);
	prongi_span_stop(&me->w->busy, prongi_os_now());
}

/* --- beginning and end ---------------------------------------------------------------------- */

static void set_mask(uint64_t signals)
{
	sigset_t set;

	sigemptyset(&set);
	memcpy(&set, &signals, sizeof signals);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
}

static void pin(const struct worker *me)
{
	long n = sysconf(_SC_NPROCESSORS_CONF);
	uint16_t bad;

	for (long i = 0; i < n; i++) {
		uint16_t cpu = (uint16_t)(((long)prongi_worker_place(me->w) + i) % n);

		if (prongi_os_run_on(&cpu, 1, &bad) == 0)
			return;
	}
}

/* init may change its argument: each worker has a copy of its own. */
static int call_init(const struct prong_pool *pool)
{
	void *arg = (void *)(uintptr_t)pool->arg, *copy = NULL;
	int r;

	if (!pool->init)
		return 0;
	if (pool->arg_size) {
		copy = prong_alloc(pool->arg_size);
		if (!copy)
			return ENOMEM;
		arg = memcpy(copy, arg, pool->arg_size);
	}
	r = pool->init(arg);
	prong_free(copy);
	return r;
}

static void become(struct prongi_worker *w, enum prongi_place phase)
{
	uint64_t v = atomic_load_explicit(&w->state, memory_order_relaxed);

	/* release: pairs with the acquire of the supervisor. */
	atomic_store_explicit(&w->state, (v & ~(uint64_t)15) | phase, memory_order_release);
}

int prongi_worker_live(void *arg)
{
	const struct prongi_worker_arg *a = arg;
	struct worker me = { .pool = a->pool, .w = a->worker };
	int r = prongi_enter();

	if (r)
		return -r;
	/* release: pairs with pid_of(), pool_stat.c. */
	atomic_store_explicit(&me.w->pid, (uint64_t)prongi_os_pid(), memory_order_release);
	set_mask(me.pool->signals);
	if (me.pool->pin)
		pin(&me);
	r = call_init(me.pool);
	if (r)
		return r;
	become(me.w, PRONGI_WORKS);
	work(&me);
	become(me.w, PRONGI_GOES);
	if (me.pool->fini)
		me.pool->fini();
	return 0;
}
