/* Workers that are threads of the process that opened the pool.  They cannot be killed, and crash
   with it. */
#include "pool/pool.h"

/* The supervisor sleeps on the pool's bell: a thread's end is not told elsewhere. */
static int live(void *arg)
{
	const struct prongi_worker_arg *a = arg;
	struct prong_pool *pool = a->pool;
	int r = prongi_worker_live(arg);

	/* release: pairs with ended(). */
	atomic_store_explicit(&a->worker->over, 1, memory_order_release);
	prongi_pool_ring(pool);
	return r;
}

static int start(struct prong_pool *pool, struct prongi_worker *w)
{
	const struct prongi_worker_arg arg = { pool, w };

	atomic_store_explicit(&w->over, 0, memory_order_relaxed);
	return prong_thread_start(&w->thread, live, &arg, sizeof arg,
				  &(prong_thread_opts){ .name = w->name });
}

/* It rings a moment before it has ended; join waits for that moment. */
static bool ended(struct prongi_worker *w, struct prongi_worker_end *end)
{
	int result;

	/* acquire: pairs with live(). */
	if (!w->thread || !atomic_load_explicit(&w->over, memory_order_acquire))
		return false;
	if (prong_thread_join(w->thread, &result, PRONG_FOREVER))
		return false;
	*end = (struct prongi_worker_end){ .by_itself = true };
	end->report.code = result;
	end->report.pid = prongi_os_pid();
	end->report.outcome = result ? PRONG_FAILED : 0;
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
