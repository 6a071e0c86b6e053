/* GLib's GThreadPool of two threads.  What the pool does not have is left out: to wait for a task,
   and so fib; items, and so map.  A loop is two halves. */
#include "peer.h"
#include <glib.h>
#include <stdlib.h>

/* Who waits is woken by the task itself. */
struct gate {
	GMutex mutex;
	GCond cond;
	unsigned open; /* under mutex: so many may pass */
};

static void gate_open(struct gate *g)
{
	g_mutex_lock(&g->mutex);
	g->open++;
	g_cond_signal(&g->cond);
	g_mutex_unlock(&g->mutex);
}

static void gate_pass(struct gate *g)
{
	g_mutex_lock(&g->mutex);
	while (g->open == 0)
		g_cond_wait(&g->cond, &g->mutex);
	g->open--;
	g_mutex_unlock(&g->mutex);
}

static GThreadPool *pool_of(GFunc task, struct gate *gate)
{
	GError *error = NULL;
	GThreadPool *pool = g_thread_pool_new(task, gate, 2, TRUE, &error);

	if (!pool)
		g_error("g_thread_pool_new: %s", error->message);
	return pool;
}

static void end(GThreadPool *pool)
{
	g_thread_pool_free(pool, FALSE, TRUE);
}

/* Data is whether it is the last, and not NULL. */
static void empty(gpointer data, gpointer gate)
{
	peer_empty();
	if (GPOINTER_TO_INT(data) == 2)
		gate_open(gate);
}

static void submit(GThreadPool *pool, struct gate *gate, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		g_thread_pool_push(pool, GINT_TO_POINTER(i + 1 < n ? 1 : 2), NULL);
	gate_pass(gate);
}

static void tasks(unsigned n)
{
	struct gate gate = { 0 };
	GThreadPool *pool = pool_of(empty, &gate);
	int64_t begin;

	submit(pool, &gate, n);
	begin = peer_now();
	submit(pool, &gate, n);
	peer_print_rate(n, begin);
	end(pool);
}

static void idle(unsigned n)
{
	struct gate gate = { 0 };
	GThreadPool *pool = pool_of(empty, &gate);

	submit(pool, &gate, 10);
	for (unsigned i = 0; i < n; i++) {
		int64_t begin;

		peer_pause();
		begin = peer_now();
		submit(pool, &gate, 1);
		peer_print_us(begin);
	}
	end(pool);
}

static void end_block(gpointer block, gpointer gate)
{
	peer_mib_end(block);
	gate_open(gate);
}

static void blocks(GThreadPool *pool, struct gate *gate, unsigned n)
{
	for (unsigned i = 0; i < n + PEER_HELD; i++) {
		if (i >= PEER_HELD)
			gate_pass(gate);
		if (i < n)
			g_thread_pool_push(pool, peer_mib(), NULL);
	}
}

static void mib(unsigned n)
{
	struct gate gate = { 0 };
	GThreadPool *pool = pool_of(end_block, &gate);
	int64_t begin;

	blocks(pool, &gate, n);
	begin = peer_now();
	blocks(pool, &gate, n);
	peer_print_mibs(n, begin);
	end(pool);
}

static void scale(gpointer floats, gpointer gate)
{
	bench_pool_scale(floats, 0, BENCH_POOL_FLOATS / 2);
	gate_open(gate);
}

static void loops(unsigned n)
{
	struct gate gate = { 0 };
	GThreadPool *pool = pool_of(scale, &gate);
	float *f = peer_alloc(BENCH_POOL_FLOATS * sizeof *f);

	bench_pool_scale(f, 0, BENCH_POOL_FLOATS);
	for (unsigned i = 0; i < n; i++) {
		int64_t begin = peer_now();

		g_thread_pool_push(pool, f, NULL);
		g_thread_pool_push(pool, f + BENCH_POOL_FLOATS / 2, NULL);
		gate_pass(&gate);
		gate_pass(&gate);
		peer_print_us(begin);
	}
	free(f);
	end(pool);
}

const struct peer_work peer_works[] = {
	{ "tasks", tasks }, { "idle", idle }, { "mib", mib }, { "for", loops }, { NULL, NULL },
};
