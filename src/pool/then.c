/* Callbacks: one thread for a process, there while any callback is to come, calls them one after
   the other.  It sleeps on a word of each pool concerned, which changes when a task with a callback
   ends; so the end of a task costs its worker no more than one wake, and no list is in the heap
   that a death could tear.

   Who frees a pool waits until those of its tasks are called, or, in a callback, calls them itself.
   Where another process frees it they are dropped: there is nothing left to call them with.

   lock  protects the list.  Never held while something is called. */
#include "pool/pool.h"
#include "os/thread_os.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct callback {
	struct callback *next;
	struct prong_future *f;
	struct prong_pool *pool;
	uint64_t id; /* of the pool, of which the address may be another's by now */
	void (*then)(struct prong_future *f, void *ctx);
	void *ctx;
};

static struct {
	pthread_mutex_t lock;
	struct callback *first, **last;
	const struct prong_pool *calls; /* a callback for a task of it is being called */
	pthread_cond_t called;
	_Atomic uint32_t turn; /* changes with each new one */
	bool runs, prepared;
} me = { .lock = PTHREAD_MUTEX_INITIALIZER, .called = PTHREAD_COND_INITIALIZER, .last = &me.first };

/* The calling thread is the one that calls. */
static _Thread_local bool caller __attribute__((tls_model("initial-exec")));

/* --- the thread ----------------------------------------------------------------------------- */

/* Under lock. */
static struct callback *take_out(struct callback **at)
{
	struct callback *c = *at;

	*at = c->next;
	if (!c->next)
		me.last = at;
	return c;
}

/* Those of pools that others have freed.  Under lock. */
static void drop_lost(void)
{
	for (struct callback **at = &me.first; *at;)
		if (prongi_pool_is((*at)->pool) && (*at)->pool->id == (*at)->id)
			at = &(*at)->next;
		else
			free(take_out(at));
}

static bool is_due(const struct callback *c)
{
	if (!prong_future_done(c->f) && !prongi_pool_lives(c->pool))
		prongi_future_lose(c->pool, c->f);
	return prong_future_done(c->f);
}

/* Take out one that is due; pool: of which, NULL: of any.  Under lock. */
static struct callback *due(const struct prong_pool *pool)
{
	for (struct callback **at = &me.first; *at; at = &(*at)->next)
		if ((!pool || (*at)->pool == pool) && is_due(*at))
			return take_out(at);
	return NULL;
}

static void call(struct callback *c)
{
	c->then(c->f, c->ctx);
	free(c);
}

static bool has(const struct prongi_awaited *a, size_t n, const _Atomic uint32_t *word)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].word == word)
			return true;
	return false;
}

/* The words of all pools concerned.  Under lock. */
static size_t arm(struct prongi_awaited *a, size_t most)
{
	size_t n = 0;

	/* acquire: pairs with prong_future_then(). */
	a[n++] = (struct prongi_awaited){ &me.turn,
					  atomic_load_explicit(&me.turn, memory_order_acquire),
					  false };
	for (struct callback *c = me.first; c && n + 2 <= most; c = c->next) {
		if (has(a, n, &c->pool->thens))
			continue;
		/* seq_cst: pairs with tell(), run.c. */
		a[n++] = (struct prongi_awaited){
			&c->pool->thens,
			atomic_load_explicit(&c->pool->thens, memory_order_seq_cst), true
		};
		if (prongi_process_lives(c->pool->owner, &a[n]))
			n++;
	}
	return n;
}

/* Return false when there is nothing more to come. */
static bool call_one(struct prongi_awaited *a, size_t most)
{
	struct callback *c;
	bool more;
	size_t n;

	pthread_mutex_lock(&me.lock);
	drop_lost();
	n = arm(a, most); /* before the look */
	c = due(NULL);
	more = me.first || c;
	me.runs = more;
	me.calls = c ? c->pool : NULL;
	pthread_cond_broadcast(&me.called);
	pthread_mutex_unlock(&me.lock);
	if (c) {
		call(c);
	} else if (more) {
		prongi_await_any(a, n, PRONG_FOREVER);
	}
	return more;
}

static void *live(void *unused)
{
	struct prongi_awaited a[2 * PRONGI_POOLS + 1];

	caller = true;
	prongi_os_set_title("prong-then");
	(void)prongi_enter(); /* without a slot: then what is called says so */
	while (call_one(a, sizeof a / sizeof *a))
		;
	prongi_leave();
	prongi_os_threads_own(-1);
	return unused;
}

/* --- asking --------------------------------------------------------------------------------- */

static void before_fork(void)
{
	pthread_mutex_lock(&me.lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&me.lock);
}

/* The thread is not here, and what it was to call is the parent's. */
static void in_child(void)
{
	me.first = NULL;
	me.last = &me.first;
	me.runs = false;
	me.calls = NULL;
	pthread_mutex_init(&me.lock, NULL);
	pthread_cond_init(&me.called, NULL);
}

/* Under lock. */
static int start(void)
{
	int r;

	if (me.runs)
		return 0;
	if (!me.prepared && pthread_atfork(before_fork, after_fork, in_child))
		return -ENOMEM;
	me.prepared = true;
	r = prongi_os_thread_own(live, NULL);
	me.runs = r == 0;
	return r;
}

/* Under lock. */
static int add(struct callback *c)
{
	int r = start();

	if (r)
		return r;
	*me.last = c;
	me.last = &c->next;
	/* release: pairs with arm(). */
	atomic_fetch_add_explicit(&me.turn, 1, memory_order_release);
	prongi_os_wake(&me.turn, 1, false);
	return 0;
}

int prong_future_then(prong_future *f, void (*then)(prong_future *f, void *ctx), void *ctx)
{
	struct callback *c;
	int r = prongi_enter();

	if (r)
		return r;
	if (!prongi_future_is(f) || !then)
		return prongi_fail(-EINVAL, "future_then: f is no future, or then is NULL");
	c = malloc(sizeof *c);
	if (!c)
		return prongi_fail(-ENOMEM, "future_then: no memory");
	*c = (struct callback){ NULL, f, prongi_task_pool(f), prongi_task_pool(f)->id, then, ctx };
	prongi_future_watch(f);
	pthread_mutex_lock(&me.lock);
	r = add(c);
	pthread_mutex_unlock(&me.lock);
	if (r == 0)
		return 0;
	free(c);
	return prongi_fail(r, "future_then: no thread to call back");
}

/* --- the end of a pool ---------------------------------------------------------------------- */

/* Under lock. */
static bool any_of(const struct prong_pool *pool)
{
	for (const struct callback *c = me.first; c; c = c->next)
		if (c->pool == pool)
			return true;
	return me.calls == pool;
}

static void call_all(const struct prong_pool *pool)
{
	struct callback *c;

	do {
		pthread_mutex_lock(&me.lock);
		c = due(pool);
		pthread_mutex_unlock(&me.lock);
		if (c)
			call(c);
	} while (c);
}

void prongi_then_finish(const struct prong_pool *pool)
{
	int state;

	if (caller) {
		call_all(pool);
		return;
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&me.lock);
	while (any_of(pool))
		pthread_cond_wait(&me.called, &me.lock);
	pthread_mutex_unlock(&me.lock);
	pthread_setcancelstate(state, NULL);
}
