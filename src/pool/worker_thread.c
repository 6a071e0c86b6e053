/* Workers that are threads of the process that opened the pool.  They cannot be killed, and crash
   with it. */
#include "pool/pool.h"
#include <pthread.h>
#include <stdio.h>

enum {
	RETURNED = 1,
	CUT_SHORT
};

/* The supervisor sleeps on the pool's bell: a thread's end is not told elsewhere. */
static void tell(const struct prongi_worker_arg *a, uint32_t how)
{
	struct prong_pool *pool = a->pool;

	/* release: pairs with ended(). */
	atomic_store_explicit(&a->worker->over, how, memory_order_release);
	prongi_pool_ring(pool);
}

/* By pthread_exit() or pthread_cancel(), in a task or in init. */
static void cut_short(void *arg)
{
	tell(arg, CUT_SHORT);
}

static int live(void *arg)
{
	int r;

	pthread_cleanup_push(cut_short, arg);
	r = prongi_worker_live(arg);
	pthread_cleanup_pop(0);
	tell(arg, RETURNED);
	return r;
}

static int start(struct prong_pool *pool, struct prongi_worker *w)
{
	const struct prongi_worker_arg arg = { pool, w };
	char name[64];

	atomic_store_explicit(&w->over, 0, memory_order_relaxed);
	prongi_worker_name(pool, atomic_load_explicit(&w->number, memory_order_relaxed), name,
			   sizeof name);
	return prong_thread_start(&w->thread, live, &arg, sizeof arg,
				  &(prong_thread_opts){ .name = name });
}

/* It rings a moment before it has ended; join waits for that moment. */
static bool ended(struct prongi_worker *w, struct prongi_worker_end *end)
{
	uint32_t how;
	int result;

	/* acquire: pairs with tell(). */
	how = atomic_load_explicit(&w->over, memory_order_acquire);
	if (!w->thread || !how)
		return false;
	if (prong_thread_join(w->thread, &result, PRONG_FOREVER))
		return false;
	*end = (struct prongi_worker_end){ .by_itself = how == RETURNED,
					   .stacked = how != RETURNED };
	end->report.code = how == RETURNED ? result : 0;
	end->report.pid = prongi_os_pid();
	end->report.outcome = how != RETURNED ? PRONG_CRASHED : result ? PRONG_FAILED : 0;
	if (how != RETURNED)
		snprintf(end->report.message, sizeof end->report.message,
			 "pthread_exit() or pthread_cancel() has ended its thread");
	prong_thread_free(w->thread);
	w->thread = NULL;
	return true;
}

static void end_it(struct prongi_worker *w)
{
	(void)w;
}

static int number(const struct prongi_worker *w)
{
	(void)w;
	return prongi_os_pid();
}

const struct prongi_kind prongi_threads = {
	.name = "threads",
	.shares = true,
	.start = start,
	.ended = ended,
	.kill = end_it,
	.pid = number,
};
