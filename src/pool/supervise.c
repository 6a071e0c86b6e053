/* The supervisor of a pool: a thread of the process that opened it, asleep but when something is
   to be done.  It starts workers and sees them end, settles what they had, minds the clock, and
   carries the pool to its end.

   Why a thread and not the server: the server runs none of the program's code and must never wait,
   and starting a process waits.  Why in that process: the workers are its children, and end with
   it, so there is no moment when a supervisor is missing but its workers are there.  All it knows
   about tasks and workers is in the heap; its own memory is for what needs no memory.

   It blocks all signals, and takes one slot. */
#include "pool/extra.h"
#include <errno.h>
#include <stdio.h>

#define GRACE_MS  1000
#define PERIOD_NS ((int64_t)5000000000) /* in which restarts are counted */
#define LINGER_NS ((int64_t)100000000)  /* for which a worker too many may stay */
#define SWEEP_NS  ((int64_t)20000000)   /* between two sweeps */
#define RETRY_NS  ((int64_t)10000000)   /* after a start that failed */
#define FAR       INT64_MAX

struct supervisor {
	struct prong_pool *pool;
	uint32_t ends;   /* what the family's word was at the last sweep */
	int64_t swept;   /* when that was */
	int64_t surplus; /* since when there is a worker too many; 0: there is not */
	int64_t retry;   /* not before is another start tried; 0: at once */
	bool delayed;    /* some task may be */
	int64_t next_delayed;
	uint32_t failures; /* workers that ended before their first task */
	int64_t failing;   /* since when they are counted */
	bool told_all;     /* the pool has been terminated, and each task was told */
	int64_t over;      /* since when all tasks of the closed pool are over; 0: they are not */
};

static uint64_t get(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(prongi_word *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static uint32_t places(const struct prong_pool *pool)
{
	return atomic_load_explicit(&pool->places, memory_order_relaxed);
}

static bool alive(const struct prongi_worker *w)
{
	return prongi_worker_phase(w) != PRONGI_NOBODY;
}

static bool leaving(const struct prongi_worker *w)
{
	return prongi_worker_phase(w) == PRONGI_GOES ||
	       atomic_load_explicit(&w->leave, memory_order_relaxed);
}

/* --- the end of a worker -------------------------------------------------------------------- */

static void give_up(struct prong_pool *pool, const char *why)
{
	if (prongi_pool_phase(pool) >= PRONGI_POOL_FAILED)
		return;
	snprintf(pool->why, sizeof pool->why, "%s", why);
	prongi_pool_raise(pool, PRONGI_POOL_FAILED);
}

static uint32_t most_failures(const struct prong_pool *pool)
{
	return pool->max_restarts ? pool->max_restarts
				  : 3 * atomic_load_explicit(&pool->wanted, memory_order_relaxed);
}

static bool any_works(const struct prong_pool *pool)
{
	for (uint32_t i = 0; i < places(pool); i++)
		if (prongi_worker_phase(prongi_worker_at(pool, i)) == PRONGI_WORKS)
			return true;
	return false;
}

/* A worker has ended before it was ready, or could not be started.  Too many of them, and the pool
   gives up; or waits, as long as others work. */
static void count_failure(struct supervisor *s, const char *why)
{
	int64_t now = prongi_os_now();

	if (now - s->failing > PERIOD_NS) {
		s->failing = now;
		s->failures = 0;
	}
	if (++s->failures <= most_failures(s->pool))
		return;
	if (any_works(s->pool))
		s->retry = now + 10 * RETRY_NS;
	else
		give_up(s->pool, why);
}

static void mourn(struct supervisor *s, const struct prongi_worker *w,
		  const struct prongi_worker_end *end)
{
	prong_report report = end->report;
	char text[200], who[160], name[64];

	report.frames = 0; /* one line */
	prong_report_text(&report, who, sizeof who);
	prongi_worker_name(s->pool, get(&w->number), name, sizeof name);
	if (end->by_itself && end->report.code)
		snprintf(text, sizeof text, "workers end in init: %.60s, with %d", name,
			 end->report.code);
	else
		snprintf(text, sizeof text, "workers end before they are ready: %s", who);
	count_failure(s, text);
}

static void bury(struct supervisor *s, struct prongi_worker *w, struct prongi_worker_end *end)
{
	struct prong_pool *pool = s->pool;
	bool ready = prongi_worker_phase(w) != PRONGI_COMES;

	s->delayed |= prongi_settle_worker(pool, w, end);
	if (end->report.peak_rss > get(&w->peak_rss))
		set(&w->peak_rss, end->report.peak_rss);
	if (!ready && !leaving(w))
		mourn(s, w, end);
	atomic_store_explicit(&w->idle, 0, memory_order_relaxed);
	atomic_store_explicit(&w->waits, 0, memory_order_relaxed);
	set(&w->deadline, 0);
	prongi_span_stop(&w->busy, prongi_os_now());
	prongi_span_stop(&w->idling, prongi_os_now());
	prongi_span_stop(&w->waiting, prongi_os_now());
	set(&w->state, get(&w->state) & ~(uint64_t)15); /* NOBODY */
}

static void look_after_ends(struct supervisor *s)
{
	for (uint32_t i = 0; i < places(s->pool); i++) {
		struct prongi_worker *w = prongi_worker_at(s->pool, i);
		struct prongi_worker_end end;

		if (alive(w) && s->pool->kind->ended(w, &end))
			bury(s, w, &end);
	}
}

static bool runs(const struct prongi_worker *w, uint64_t v)
{
	return prongi_task_phase(v) == PRONGI_TASK_RUNNING &&
	       prongi_task_who(v) == (uint32_t)(get(&w->state) >> 4);
}

/* --- the clock ------------------------------------------------------------------------------ */

/* How long f, which w runs, may go on.  It may have ended just now, and its holder have freed what
   it had: so the worker says it, before the task's function is called. */
static int64_t grace_of(const struct prong_pool *pool, const struct prongi_worker *w,
			const struct prong_future *f)
{
	uint64_t grace = get(&w->grace);
	int32_t ms = grace >> 32 == (uint64_t)f->index + 1 ? (int32_t)grace
							   : pool->defaults[PRONGI_GRACE];

	return (int64_t)(ms > 0 ? ms : ms < 0 ? 0 : GRACE_MS) * 1000000;
}

/* Cancel what f, in state v, waits for.  While f still is in that state, in which it has been told,
   the scope is its own; and when it ends, w takes a new one. */
static void cancel_task(struct prongi_worker *w, const struct prong_future *f, uint64_t v)
{
	/* acquire: pairs with prongi_worker_scope(). */
	uint64_t word = atomic_load_explicit(&w->scope, memory_order_acquire);
	uint32_t slot = (uint32_t)get(&w->scope_slot);

	if (((prongi_task_look(f) ^ v) & ~PRONGI_TASK_FLAGS) == 0)
		prongi_scope_cancel((struct prongi_scope){ slot, word });
}

/* The task f of w is to end: as of now its grace runs. */
static void tell(struct prongi_worker *w, const struct prong_future *f, uint64_t v,
		 enum prongi_task phase, int64_t now)
{
	/* release: pairs with failure(), run.c. */
	atomic_store_explicit(&w->verdict, prongi_verdict(f->index, v, phase),
			      memory_order_release);
	w->told_at = now;
	cancel_task(w, f, v);
}

/* Its time is over.  Who runs it may have ended it and begun another meanwhile: then what was
   said is taken back. */
static uint64_t overrun(struct prongi_worker *w, struct prong_future *f, uint64_t v,
			uint64_t deadline, int64_t now)
{
	uint64_t told = v | PRONGI_TASK_TOLD;

	if (!prongi_task_step(f, &v, told))
		return v;
	if (get(&w->deadline) != deadline) {
		prongi_task_step(f, &told, told & ~PRONGI_TASK_TOLD);
		return prongi_task_look(f);
	}
	tell(w, f, told, PRONGI_TASK_OVERRUN, now);
	return told;
}

/* Kill w for f, whose state is v, if that is still so; f is nobody's to end then. */
static void condemn(struct prong_pool *pool, struct prongi_worker *w, struct prong_future *f,
		    uint64_t v)
{
	while (!(v & PRONGI_TASK_DOOMED))
		if (prongi_task_step(f, &v, v | PRONGI_TASK_DOOMED)) {
			pool->kind->kill(w);
			return;
		} else if (!runs(w, v)) {
			return;
		}
}

/* f, in state v, is what w runs: on top of one that has been told to end, it is told.  Return what
   its state is then. */
static uint64_t pass_on(struct prong_pool *pool, struct prongi_worker *w, struct prong_future *f,
			uint64_t v)
{
	uint64_t beneath = get(&w->told), u;
	struct prong_future *b = beneath ? prongi_task_at(pool, beneath - 1) : NULL;

	u = b && b != f ? prongi_task_look(b) : 0;
	if (!runs(w, u) || !(u & PRONGI_TASK_TOLD))
		return v;
	while (runs(w, v) && !(v & PRONGI_TASK_TOLD))
		if (prongi_task_step(f, &v, v | PRONGI_TASK_TOLD))
			v |= PRONGI_TASK_TOLD;
	return v;
}

/* Return when w is to be looked at next. */
static int64_t mind_task(struct prong_pool *pool, struct prongi_worker *w, int64_t now)
{
	/* seq_cst: pairs with prongi_worker_clock(), and current with run_on_top(), future.c. */
	uint64_t deadline = atomic_load_explicit(&w->deadline, memory_order_seq_cst), v;
	uint64_t current = atomic_load_explicit(&w->current, memory_order_seq_cst);
	struct prong_future *f = current ? prongi_task_at(pool, current - 1) : NULL;

	v = f ? prongi_task_look(f) : 0;
	if (!runs(w, v))
		return deadline ? sooner((int64_t)deadline, now + 1000000) : FAR;
	if (!(v & PRONGI_TASK_TOLD) && get(&w->told))
		v = pass_on(pool, w, f, v);
	if (!(v & PRONGI_TASK_TOLD) && deadline && (int64_t)deadline <= now)
		v = overrun(w, f, v, deadline, now);
	if (!runs(w, v))
		return now + 1000000;
	if (!(v & PRONGI_TASK_TOLD))
		return deadline ? (int64_t)deadline : FAR;
	if (get(&w->verdict) >> 8 != prongi_verdict(f->index, v, 0) >> 8)
		tell(w, f, v, PRONGI_TASK_CANCELLED, now);
	if (!pool->kind->stops)
		return FAR;
	if (now < w->told_at + grace_of(pool, w, f))
		return w->told_at + grace_of(pool, w, f);
	condemn(pool, w, f, v);
	return FAR;
}

static int64_t mind_clock(struct supervisor *s)
{
	struct prong_pool *pool = s->pool;
	int64_t now = prongi_os_now(), next = FAR;

	/* seq_cst: pairs with prongi_worker_clock(): whose deadline we do not see rings. */
	atomic_store_explicit(&pool->alarm, (uint64_t)INT64_MAX, memory_order_seq_cst);
	for (uint32_t i = 0; i < places(pool); i++) {
		struct prongi_worker *w = prongi_worker_at(pool, i);

		if (prongi_worker_phase(w) == PRONGI_WORKS)
			next = sooner(next, mind_task(pool, w, now));
	}
	if (s->delayed) {
		if (s->next_delayed <= now)
			s->next_delayed = prongi_put_delayed(pool);
		s->delayed = s->next_delayed != 0;
		if (s->delayed)
			next = sooner(next, s->next_delayed);
	}
	atomic_store_explicit(&pool->alarm, (uint64_t)next, memory_order_seq_cst);
	return next;
}

/* --- how many ------------------------------------------------------------------------------- */

struct census {
	uint32_t alive, active, idle;
};

static struct census count(const struct prong_pool *pool)
{
	struct census n = { 0, 0, 0 };

	for (uint32_t i = 0; i < places(pool); i++) {
		const struct prongi_worker *w = prongi_worker_at(pool, i);

		if (!alive(w))
			continue;
		n.alive++;
		if (leaving(w) || atomic_load_explicit(&w->waits, memory_order_relaxed))
			continue;
		n.active++;
		n.idle += atomic_load_explicit(&w->idle, memory_order_relaxed);
	}
	return n;
}

static bool tasks_wait(struct prong_pool *pool)
{
	for (int i = 0; i < PRONGI_LEVELS; i++)
		if (prongi_todo_any(&pool->todo[i]))
			return true;
	return false;
}

/* A place that nobody has; NULL: there is no memory, or no more. */
static struct prongi_worker *free_place(struct prong_pool *pool)
{
	uint32_t n = places(pool);

	for (uint32_t i = 0; i < n; i++)
		if (!alive(prongi_worker_at(pool, i)))
			return prongi_worker_at(pool, i);
	if (n == PRONGI_PLACES)
		return NULL;
	if (n % PRONGI_PLACE_CHUNK == 0 && !pool->place[n / PRONGI_PLACE_CHUNK] &&
	    prong_alloc_to((void **)(uintptr_t)&pool->place[n / PRONGI_PLACE_CHUNK],
			   63 + PRONGI_PLACE_CHUNK * sizeof(struct prongi_worker)))
		return NULL;
	set(&prongi_worker_at(pool, n)->state, (uint64_t)n << 4);
	/* release: pairs with the acquire of who counts places. */
	atomic_store_explicit(&pool->places, n + 1, memory_order_release);
	return prongi_worker_at(pool, n);
}

int prongi_hire(struct prong_pool *pool)
{
	struct prongi_worker *w = free_place(pool);
	uint64_t started = atomic_fetch_add_explicit(&pool->started, 1, memory_order_relaxed) + 1;
	uint64_t v;
	int r;

	if (!w)
		return prongi_fail(-ENOMEM, "pool: no place for one more worker");
	v = (get(&w->state) & ~(uint64_t)15) + ((uint64_t)1 << 16); /* its next */
	set(&w->number, started);
	set(&w->current, 0);
	set(&w->began, 0);
	set(&w->deadline, 0);
	set(&w->verdict, 0);
	set(&w->told, 0);
	atomic_store_explicit(&w->leave, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->starts, 1, memory_order_relaxed);
	/* release: pairs with the worker, and with who reads the figures. */
	atomic_store_explicit(&w->state, (v & 0xffffffff0u) | PRONGI_COMES, memory_order_release);
	r = pool->kind->start(pool, w);
	if (r) {
		set(&w->state, get(&w->state) & ~(uint64_t)15);
		return r;
	}
	/* release: pairs with pid_of(), pool_stat.c. */
	atomic_store_explicit(&w->pid, (uint64_t)pool->kind->pid(w), memory_order_release);
	return 0;
}

static void dismiss(struct prong_pool *pool, struct prongi_worker *w)
{
	/* release: pairs with wanted(), worker.c. */
	atomic_store_explicit(&w->leave, 1, memory_order_release);
	prongi_pool_rouse(pool);
}

/* One worker too many: an idle one ends, or else whoever is not waiting, after its task. */
static void reduce(struct prong_pool *pool)
{
	struct prongi_worker *choice = NULL;

	for (uint32_t i = places(pool); i--;) {
		struct prongi_worker *w = prongi_worker_at(pool, i);

		if (!alive(w) || leaving(w) ||
		    atomic_load_explicit(&w->waits, memory_order_relaxed))
			continue;
		if (!choice || (!atomic_load_explicit(&choice->idle, memory_order_relaxed) &&
				atomic_load_explicit(&w->idle, memory_order_relaxed)))
			choice = w;
	}
	if (choice)
		dismiss(pool, choice);
}

/* One more is started at once where there are fewer than asked for; for those that wait in their
   tasks, and where idle ones end, only when there is something to do. */
static bool should_hire(struct prong_pool *pool, const struct census *n, uint32_t wanted)
{
	if (n->active >= wanted)
		return false;
	return (!pool->idle_ms && n->alive < wanted) || (!n->idle && tasks_wait(pool));
}

static int64_t hire(struct supervisor *s, struct census *n, uint32_t wanted, int64_t now)
{
	if (now < s->retry)
		return s->retry;
	while (should_hire(s->pool, n, wanted)) {
		if (prongi_hire(s->pool)) {
			count_failure(s, prong_error_detail());
			s->retry = now + RETRY_NS;
			return s->retry;
		}
		n->alive++;
		n->active++;
	}
	return FAR;
}

/* Have as many workers as there should be.  Return when to look again. */
static int64_t adjust(struct supervisor *s)
{
	struct prong_pool *pool = s->pool;
	uint32_t wanted = atomic_load_explicit(&pool->wanted, memory_order_relaxed);
	struct census n = count(pool);
	int64_t now = prongi_os_now(), next = FAR;

	if (prongi_pool_phase(pool) >= PRONGI_POOL_FAILED)
		return FAR;
	/* seq_cst: pairs with who submits: it rings, or we see what it put. */
	atomic_store_explicit(&pool->lacking, n.active < wanted, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	if (prongi_pool_phase(pool) == PRONGI_POOL_OPEN || tasks_wait(pool))
		next = hire(s, &n, wanted, now);
	if (n.active <= wanted) {
		s->surplus = 0;
		return next;
	}
	s->surplus = s->surplus ? s->surplus : now;
	if (now < s->surplus + LINGER_NS && n.alive > wanted)
		return sooner(next, s->surplus + LINGER_NS);
	for (; n.active > wanted; n.active--)
		reduce(pool);
	return next;
}

/* --- phases --------------------------------------------------------------------------------- */

/* No worker has a task, for the moment. */
static bool all_rest(const struct prong_pool *pool)
{
	for (uint32_t i = 0; i < places(pool); i++)
		if (get(&prongi_worker_at(pool, i)->current))
			return false;
	return true;
}

static bool nobody_left(const struct prong_pool *pool)
{
	for (uint32_t i = 0; i < places(pool); i++)
		if (alive(prongi_worker_at(pool, i)))
			return false;
	return true;
}

static void dismiss_all(struct prong_pool *pool, bool kill)
{
	for (uint32_t i = 0; i < places(pool); i++) {
		struct prongi_worker *w = prongi_worker_at(pool, i);

		if (!alive(w))
			continue;
		/* release: pairs with wanted(), worker.c. */
		atomic_store_explicit(&w->leave, 1, memory_order_release);
		if (kill && pool->kind->stops)
			pool->kind->kill(w);
	}
	prongi_pool_rouse(pool);
}

/* Cancel what is left, when that is asked for. */
static void end_tasks(struct supervisor *s)
{
	switch (prongi_pool_phase(s->pool)) {
	case PRONGI_POOL_FAILED:
		prongi_end_all(s->pool, PRONGI_TASK_FAILED);
		break;
	case PRONGI_POOL_TERMINATED:
		prongi_end_all(s->pool, PRONGI_TASK_CANCELLED);
		if (!s->told_all)
			prongi_pool_ring(s->pool); /* for the graces: one more look at the clock */
		s->told_all = true;
		break;
	default:
		break;
	}
}

/* All tasks are over: let the workers end.  One that does not is killed, if the pool has been
   terminated. */
static int64_t end_workers(struct supervisor *s)
{
	struct prong_pool *pool = s->pool;
	int64_t now = prongi_os_now(), kill_at;

	if (!s->over)
		s->over = now;
	kill_at = s->over + (int64_t)GRACE_MS * 1000000;
	if (prongi_pool_phase(pool) != PRONGI_POOL_TERMINATED)
		kill_at = FAR;
	dismiss_all(pool, now >= kill_at);
	return now >= kill_at ? FAR : kill_at;
}

/* Return true when the pool has ended; else *next is when to look again. */
static bool mind_end(struct supervisor *s, int64_t *next)
{
	struct prong_pool *pool = s->pool;

	if (prongi_pool_phase(pool) == PRONGI_POOL_OPEN)
		return false;
	end_tasks(s);
	if (atomic_load_explicit(&pool->hurry, memory_order_relaxed))
		dismiss_all(pool, true);
	if (!s->over && !all_rest(pool))
		return false;
	if (!s->over && prongi_sweep(pool)) {
		/* Waiting ones, or somebody in the middle of a submit. */
		*next = sooner(*next, prongi_os_now() + 1000000);
		return false;
	}
	*next = sooner(*next, end_workers(s));
	return nobody_left(pool);
}

/* --- life ----------------------------------------------------------------------------------- */

static int64_t sweep_if_due(struct supervisor *s, uint32_t ends)
{
	int64_t now = prongi_os_now();

	if (ends == s->ends)
		return FAR;
	if (now < s->swept + SWEEP_NS)
		return s->swept + SWEEP_NS;
	s->ends = ends;
	s->swept = now;
	prongi_sweep(s->pool);
	return FAR;
}

/* One round.  Return false when it was the last. */
static bool look_around(struct supervisor *s, uint32_t ends, int64_t *next)
{
	look_after_ends(s);
	*next = adjust(s);
	*next = sooner(*next, mind_clock(s));
	*next = sooner(*next, sweep_if_due(s, ends));
	return !mind_end(s, next);
}

void prongi_supervise(struct prong_pool *pool)
{
	struct supervisor s = { .pool = pool };
	int64_t next;

	s.ends = prongi_ends().seen;
	for (;;) {
		struct prongi_awaited a[2] = { { &pool->bell, 0, true }, prongi_ends() };

		/* seq_cst: pairs with prongi_pool_ring(). */
		a[0].seen = atomic_load_explicit(&pool->bell, memory_order_seq_cst);
		if (!look_around(&s, a[1].seen, &next))
			return;
		prongi_await_any(a, 2, prong_time_(next));
	}
}
