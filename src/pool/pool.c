/* How a pool comes, what it says of itself, and how it goes.

   It is found from one of the family's places for pools, which names the process that opened it,
   and from which all its memory hangs; so one whose process died is taken apart by who opens the
   next, when nobody holds a future of it any more.

   Not here: what makes it live, see supervise.c. */
#include "pool/pool.h"
#include "family/check.h"
#include "flow/queue.h"
#include "os/thread_os.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void **place(prongi_word *word)
{
	return (void **)(uintptr_t)word;
}

static uint64_t get(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

bool prongi_pool_is(const struct prong_pool *pool)
{
	return pool && (uintptr_t)pool % 64 == 0 && prongi_inside(pool) &&
	       prongi_word_valid((uintptr_t)pool + sizeof *pool - 8) &&
	       get(&pool->kind_word) == PRONGI_POOL;
}

int prongi_pool_check(const struct prong_pool *pool, const char *what)
{
	if (!prongi_pool_is(pool))
		return prongi_fail(-EINVAL, "%s: %p is not a pool", what, (const void *)pool);
	return prongi_enter();
}

/* --- telling -------------------------------------------------------------------------------- */

void prongi_pool_ring(struct prong_pool *pool)
{
	/* seq_cst: pairs with the supervisor, who notes the bell before it looks around. */
	atomic_fetch_add_explicit(&pool->bell, 1, memory_order_seq_cst);
	prongi_os_wake(&pool->bell, 1, true);
}

void prongi_pool_rouse(struct prong_pool *pool)
{
	for (int i = 0; i < PRONGI_LEVELS; i++)
		prongi_todo_rouse(&pool->todo[i]);
}

void prongi_pool_raise(struct prong_pool *pool, enum prongi_pool_phase phase)
{
	uint64_t v = get(&pool->phase);

	/* seq_cst: pairs with prongi_pool_phase(). */
	while (v < (uint64_t)phase &&
	       !atomic_compare_exchange_weak_explicit(&pool->phase, &v, phase, memory_order_seq_cst,
						      memory_order_relaxed))
		;
	prongi_os_wake(prongi_low(&pool->phase), 0x7fffffff, true);
	prongi_pool_ring(pool);
}

typedef int sleep_fn(struct prongi_awaited *a, size_t n, prong_time deadline);

/* Whoever frees a pool waits for its end even when he is cancelled. */
static int sleep_through(struct prongi_awaited *a, size_t n, prong_time deadline)
{
	return prongi_os_wait_any(a, n, deadline);
}

static int await_end(struct prong_pool *pool, sleep_fn *sleep, prong_time deadline)
{
	struct prongi_awaited a[4] = { { prongi_low(&pool->phase), 0, true } };
	int r = 0;

	while (r == 0) {
		uint64_t v = get(&pool->phase);
		bool lives = prongi_process_lives(pool->owner, &a[1]);

		if (prongi_pool_phase(pool) == PRONGI_POOL_ENDED || !lives)
			return 0;
		a[0].seen = (uint32_t)v;
		r = sleep(a, 2, deadline);
	}
	return prongi_pool_phase(pool) == PRONGI_POOL_ENDED ? 0 : r;
}

/* --- taking apart --------------------------------------------------------------------------- */

static struct prong_pool *pool_at(uint64_t raw)
{
	return raw ? (struct prong_pool *)(uintptr_t)prongi_align64(raw) : NULL;
}

static void clear(struct prong_pool *pool, struct prong_future *f, void *ctx)
{
	(void)ctx;
	if (get(&f->state) != PRONGI_TASK_FREE)
		prongi_task_clear(pool, f);
}

/* All that hangs from the family's place, whoever was at it before.  Repeatable. */
static void dismantle(struct prongi_pool_place *at)
{
	struct prong_pool *pool = pool_at(get(&at->raw));

	if (!pool)
		return;
	atomic_store_explicit(&pool->kind_word, 0, memory_order_relaxed);
	prongi_each_task(pool, clear, NULL);
	for (int i = 0; i < PRONGI_TASK_CHUNKS; i++)
		prong_free_at(place(&pool->tasks[i]));
	for (uint32_t i = 0; i < atomic_load_explicit(&pool->places, memory_order_relaxed); i++)
		prong_free_at(place(&prongi_worker_at(pool, i)->buffer));
	atomic_store_explicit(&pool->places, 0, memory_order_relaxed);
	for (int i = 0; i < PRONGI_PLACES / PRONGI_PLACE_CHUNK; i++)
		prong_free_at(place(&pool->place[i]));
	for (int i = 0; i < PRONGI_LEVELS; i++)
		prongi_todo_fini(&pool->todo[i]);
	for (int i = 0; i < PRONGI_LETTERS; i++)
		prong_free_at(place(&pool->letter[i]));
	if (pool->arg_size)
		prong_free_at(place(&pool->arg));
	prong_free_at(place(&at->raw));
}

static void is_held(struct prong_pool *pool, struct prong_future *f, void *ctx)
{
	bool *held = ctx;

	(void)pool;
	*held |= prongi_task_held(f);
}

/* Places of processes that died are free, when nobody needs what is there. */
static void reap_place(struct prongi_pool_place *at)
{
	uint64_t owner = get(&at->owner), mine = prongi_process_ref(prongi_me);
	struct prong_pool *pool;
	bool held = false;

	if (!owner || prongi_process_lives(owner, NULL))
		return;
	/* acq_rel: pairs with the same of another. */
	if (!atomic_compare_exchange_strong_explicit(&at->owner, &owner, mine, memory_order_acq_rel,
						     memory_order_relaxed))
		return;
	pool = pool_at(get(&at->raw));
	if (pool)
		prongi_each_task(pool, is_held, &held);
	if (!held)
		dismantle(at);
	atomic_store_explicit(&at->owner, held ? owner : 0, memory_order_release);
}

static struct prongi_pool_place *take_place(void)
{
	for (int i = 0; i < PRONGI_POOLS; i++)
		reap_place(&prongi_heap->pools[i]);
	for (int i = 0; i < PRONGI_POOLS; i++) {
		struct prongi_pool_place *at = &prongi_heap->pools[i];
		uint64_t nobody = 0;

		/* acq_rel: pairs with give_place() and with reap_place() of another. */
		if (atomic_compare_exchange_strong_explicit(
			    &at->owner, &nobody, prongi_process_ref(prongi_me),
			    memory_order_acq_rel, memory_order_relaxed))
			return at;
	}
	return NULL;
}

static void give_place(struct prongi_pool_place *at)
{
	dismantle(at);
	/* release: pairs with the CAS of the next. */
	atomic_store_explicit(&at->owner, 0, memory_order_release);
}

/* --- what is asked for ---------------------------------------------------------------------- */

static int parse(const char *spec, const struct prongi_kind **kind, uint32_t *workers)
{
	static const struct prongi_kind *const kinds[] = { &prongi_processes, &prongi_threads,
							   &prongi_sequential };
	char *end = NULL;
	unsigned long n = 0;

	for (size_t i = 0; spec && i < sizeof kinds / sizeof *kinds; i++) {
		size_t length = strlen(kinds[i]->name);

		if (strncmp(spec, kinds[i]->name, length))
			continue;
		*kind = kinds[i];
		*workers = (uint32_t)prong_cpu_count();
		if (!spec[length])
			return 0;
		if (spec[length] != ':' || spec[length + 1] < '0' || spec[length + 1] > '9' ||
		    !kinds[i]->start)
			break;
		n = strtoul(spec + length + 1, &end, 10);
		if (*end)
			break;
		*workers = n <= PRONGI_WORKERS ? (uint32_t)n : 0;
		return *workers ? 0
				: prongi_fail(-EINVAL,
					      "pool_open: \"%s\" asks for %lu workers, not "
					      "1 to %d",
					      spec, n, PRONGI_WORKERS);
	}
	return prongi_fail(-EINVAL,
			   "pool_open: \"%s\" is neither processes, threads nor sequential",
			   spec ? spec : "(null)");
}

static int check_opts(const prong_pool_opts *o)
{
	for (size_t i = 0; i < sizeof o->reserved_ / sizeof *o->reserved_; i++)
		if (o->reserved_[i])
			return prongi_fail(-EINVAL, "pool_open: a reserved option is set");
	if (o->reserved0_[0] || o->reserved0_[1])
		return prongi_fail(-EINVAL, "pool_open: a reserved option is set");
	if (o->task.group || o->max_waiting > (size_t)1 << 24)
		return prongi_fail(-EINVAL, "pool_open: task.group is set, or max_waiting is above "
					    "16,777,216");
	if (o->arg_size && !o->arg)
		return prongi_fail(-EFAULT, "pool_open: arg is NULL, its size is not 0");
	if (!o->arg_size && o->arg && !prong_shared(o->arg, 1))
		return prongi_fail(-EFAULT, "pool_open: arg is not in the heap, its size is 0");
	return prongi_task_opts_check(&o->task, "pool_open");
}

/* --- opening -------------------------------------------------------------------------------- */

static _Atomic uint32_t opened; /* by this process */

static int32_t or_none(int32_t option)
{
	return option > 0 ? option : 0;
}

static void set_defaults(struct prong_pool *pool, const prong_task_opts *o)
{
	pool->defaults[PRONGI_LIMIT] = or_none(o->limit_ms);
	pool->defaults[PRONGI_GRACE] = o->grace_ms;
	pool->defaults[PRONGI_RETRIES] = or_none(o->retries);
	pool->defaults[PRONGI_BACKOFF] = or_none(o->backoff_ms);
	pool->defaults[PRONGI_PRIORITY] = o->priority;
	snprintf(pool->default_name, sizeof pool->default_name, "%s", o->name ? o->name : "");
}

static void configure(struct prong_pool *pool, const struct prongi_kind *kind, uint32_t workers,
		      const prong_pool_opts *o)
{
	pool->id = atomic_fetch_add_explicit(&prongi_heap->queues, 1, memory_order_relaxed) + 1;
	pool->owner = prongi_process_ref(prongi_me);
	pool->kind = kind;
	set_defaults(pool, &o->task);
	pool->wanted = workers;
	pool->arg_size = o->arg_size;
	pool->init = o->init;
	pool->fini = o->fini;
	pool->max_waiting = o->max_waiting;
	pool->recycle_tasks = o->recycle_tasks;
	pool->recycle_rss = o->recycle_rss;
	pool->idle_ms = o->idle_ms;
	pool->max_restarts = o->max_restarts;
	pool->pin = o->pin;
	pool->trace = !o->no_trace;
	pool->alarm = INT64_MAX;
	pool->number = atomic_fetch_add_explicit(&opened, 1, memory_order_relaxed) + 1;
	if (o->name)
		snprintf(pool->name, sizeof pool->name, "%s", o->name);
	else
		snprintf(pool->name, sizeof pool->name, "Pool-%u", pool->number);
	pool->phase = PRONGI_POOL_OPEN;
}

static int furnish(struct prong_pool *pool, const prong_pool_opts *o)
{
	int r = 0;

	for (int i = 0; i < PRONGI_LEVELS && r == 0; i++)
		r = prongi_todo_init(&pool->todo[i], o->max_waiting);
	atomic_store_explicit(&pool->arg, o->arg_size ? 0 : (uintptr_t)o->arg,
			      memory_order_relaxed);
	if (r || !o->arg_size)
		return r;
	r = prongi_alloc_to(place(&pool->arg), o->arg_size, false);
	if (r == 0)
		memcpy((void *)(uintptr_t)get(&pool->arg), o->arg, o->arg_size);
	return r;
}

static void *live(void *arg)
{
	struct prong_pool *pool = arg;

	prongi_os_set_title("prong-pool");
	while (prongi_enter())
		prongi_os_sleep(prong_in_ms(10)); /* all slots are taken: one will be free */
	prongi_supervise(pool);
	prongi_leave();
	prongi_os_threads_own(-1);
	/* seq_cst: as in prongi_pool_raise().  Nothing of the pool is touched after that, for who
	   waits for it may free it. */
	atomic_store_explicit(&pool->phase, PRONGI_POOL_ENDED, memory_order_seq_cst);
	prongi_os_wake(prongi_low(&pool->phase), INT_MAX, true);
	return NULL;
}

static int start_supervisor(struct prong_pool *pool)
{
	int r = prongi_os_thread_own(live, pool);

	return r ? prongi_fail(r, "pool_open: no thread to watch the workers") : 0;
}

/* There is nobody to watch the first worker: it ends. */
static void fire(struct prong_pool *pool)
{
	struct prongi_worker *w = prongi_worker_at(pool, 0);
	struct prongi_worker_end end;

	/* release: pairs with wanted(), worker.c. */
	atomic_store_explicit(&w->leave, 1, memory_order_release);
	pool->kind->kill(w);
	prongi_pool_rouse(pool);
	while (!pool->kind->ended(w, &end))
		prongi_os_sleep(prong_in_ms(1));
}

/* The first worker is started by the caller, who so hears why none can be. */
static int start(struct prong_pool *pool)
{
	sigset_t set;
	int r;

	if (!pool->kind->start)
		return 0;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	memcpy(&pool->signals, &set, sizeof pool->signals);
	r = prongi_hire(pool);
	if (r)
		return r;
	r = start_supervisor(pool);
	if (r)
		fire(pool);
	return r;
}

static int open_at(struct prongi_pool_place *at, const struct prongi_kind *kind, uint32_t workers,
		   const prong_pool_opts *o)
{
	struct prong_pool *pool;
	int r = prong_alloc_to(place(&at->raw), 63 + sizeof(struct prong_pool));

	if (r)
		return r;
	pool = pool_at(get(&at->raw));
	configure(pool, kind, workers, o);
	r = furnish(pool, o);
	if (r == 0) {
		/* release: pairs with whatever gives the address to others; they see it whole. */
		atomic_store_explicit(&pool->kind_word, PRONGI_POOL, memory_order_release);
		r = start(pool);
	}
	return r;
}

/* --- forks and exits of the process --------------------------------------------------------- */

static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static bool mine(const struct prongi_pool_place *at, const struct prong_pool *pool)
{
	return pool && get(&at->owner) == prongi_process_ref(prongi_me) &&
	       get(&pool->kind_word) == PRONGI_POOL && pool->kind->start;
}

static void is_held_elsewhere(struct prong_pool *pool, struct prong_future *f, void *ctx)
{
	if (atomic_load_explicit(&f->holder, memory_order_relaxed) != prongi_ident())
		is_held(pool, f, ctx);
}

/* The process ends: workers that are processes at once, and before it waits for its children. */
static void end_pools(void)
{
	for (int i = 0; i < PRONGI_POOLS; i++) {
		struct prongi_pool_place *at = &prongi_heap->pools[i];
		struct prong_pool *pool = pool_at(get(&at->raw));
		bool held = false;

		if (!mine(at, pool) || !pool->kind->stops)
			continue;
		atomic_store_explicit(&pool->hurry, 1, memory_order_relaxed);
		prongi_pool_raise(pool, PRONGI_POOL_TERMINATED);
		(void)await_end(pool, sleep_through, PRONG_FOREVER);
		prongi_each_task(pool, is_held_elsewhere, &held);
		if (!held)
			give_place(at);
	}
}

static void prepare(void)
{
	atomic_store_explicit(&prongi_on_exit, end_pools, memory_order_relaxed);
}

int prong_pool_open(prong_pool **out, const char *spec, const prong_pool_opts *opts)
{
	static const prong_pool_opts defaults;
	const struct prongi_kind *kind = NULL;
	struct prongi_pool_place *at;
	uint32_t workers = 0;
	int r;

	if (!out)
		return prongi_fail(-EINVAL, "pool_open: nowhere to store");
	if (!opts)
		opts = &defaults;
	r = parse(spec, &kind, &workers);
	if (r == 0)
		r = prongi_enter();
	if (r == 0)
		r = check_opts(opts);
	if (r == 0 && kind->stops)
		r = prongi_check_argument(opts->arg, opts->arg_size, "pool_open",
					  __builtin_return_address(0));
	if (r)
		return r;
	pthread_once(&prepared, prepare);
	at = take_place();
	if (!at)
		return prongi_fail(-ENOSPC, "pool_open: the family has %d pools", PRONGI_POOLS);
	r = open_at(at, kind, workers, opts);
	if (r) {
		give_place(at);
		return r;
	}
	*out = pool_at(get(&at->raw));
	return 0;
}

/* --- the end -------------------------------------------------------------------------------- */

static int close_as(prong_pool *pool, enum prongi_pool_phase phase, const char *what)
{
	int r = prongi_pool_check(pool, what);

	if (r == 0)
		prongi_pool_raise(pool, pool->kind->start ? phase : PRONGI_POOL_ENDED);
	return r;
}

int prong_pool_close(prong_pool *pool)
{
	return close_as(pool, PRONGI_POOL_CLOSED, "pool_close");
}

int prong_pool_terminate(prong_pool *pool)
{
	return close_as(pool, PRONGI_POOL_TERMINATED, "pool_terminate");
}

int prong_pool_resize(prong_pool *pool, uint32_t workers)
{
	int r = prongi_pool_check(pool, "pool_resize");

	if (r)
		return r;
	if (workers < 1 || workers > PRONGI_WORKERS)
		return prongi_fail(-EINVAL, "pool_resize: %u is not 1 to %d workers", workers,
				   PRONGI_WORKERS);
	if (!pool->kind->start)
		return prongi_fail(-ENOTSUP, "pool_resize: a sequential pool has no workers");
	if (prongi_pool_phase(pool) != PRONGI_POOL_OPEN)
		return prongi_fail(PRONG_CLOSED, "pool_resize: the pool is closed");
	atomic_store_explicit(&pool->wanted, workers, memory_order_relaxed);
	prongi_pool_ring(pool);
	return 0;
}

static bool in_task_of(const struct prong_pool *pool)
{
	for (struct prongi_running *here = prongi_running; here; here = here->outer)
		if (here->pool == pool)
			return true;
	return false;
}

int prong_pool_join(prong_pool *pool, prong_time deadline)
{
	int r = prongi_pool_check(pool, "pool_join");

	if (r)
		return r;
	if (prongi_pool_phase(pool) == PRONGI_POOL_OPEN)
		return prongi_fail(-EBUSY, "pool_join: the pool is not closed");
	if (in_task_of(pool))
		return prongi_fail(PRONG_DEADLOCK, "pool_join: in a task of its own");
	r = await_end(pool, prongi_sleep_any, deadline);
	return r ? prongi_gave_up(r, "pool_join", "tasks or workers are left") : 0;
}

static struct prongi_pool_place *place_of(const struct prong_pool *pool)
{
	for (int i = 0; i < PRONGI_POOLS; i++)
		if (pool_at(get(&prongi_heap->pools[i].raw)) == pool)
			return &prongi_heap->pools[i];
	return NULL;
}

/* Who calls back in another process shall not look for it any more. */
static void bid_farewell(struct prong_pool *pool)
{
	atomic_store_explicit(&pool->kind_word, 0, memory_order_relaxed);
	/* seq_cst: pairs with arm(), then.c. */
	atomic_fetch_add_explicit(&pool->thens, 1, memory_order_seq_cst);
	prongi_os_wake(&pool->thens, INT_MAX, true);
}

int prong_pool_free(prong_pool *pool)
{
	int r = pool ? prongi_pool_check(pool, "pool_free") : 0;

	if (r || !pool)
		return r;
	if (in_task_of(pool))
		return prongi_fail(PRONG_DEADLOCK, "pool_free: in a task of its own");
	if (prongi_pool_phase(pool) < PRONGI_POOL_ENDED)
		close_as(pool, PRONGI_POOL_TERMINATED, "pool_free");
	(void)await_end(pool, sleep_through, PRONG_FOREVER);
	prongi_then_finish(pool);
	bid_farewell(pool);
	give_place(place_of(pool));
	return 0;
}
