/* libuv's uv_queue_work() with two threads; who submits runs the loop until all are done.  As
   GLib's it has neither items nor a way to wait within a task. */
#include "peer.h"
#include <err.h>
#include <stdlib.h>
#include <uv.h>

/* Before libuv looks at it. */
static uv_loop_t *loop_of(void)
{
	setenv("UV_THREADPOOL_SIZE", "2", 1);
	return uv_default_loop();
}

static void queue(uv_work_t *w, uv_work_cb work, uv_after_work_cb after)
{
	if (uv_queue_work(loop_of(), w, work, after) != 0)
		errx(1, "uv_queue_work");
}

static void run(void)
{
	uv_run(loop_of(), UV_RUN_DEFAULT);
}

static void empty(uv_work_t *w)
{
	(void)w;
	peer_empty();
}

static void nothing(uv_work_t *w, int status)
{
	(void)w;
	(void)status;
}

static void submit(uv_work_t *works, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		queue(&works[i], empty, nothing);
	run();
}

static void tasks(unsigned n)
{
	uv_work_t *works = peer_alloc(n * sizeof *works);
	int64_t begin;

	submit(works, n);
	begin = peer_now();
	submit(works, n);
	peer_print_rate(n, begin);
	free(works);
}

static void idle(unsigned n)
{
	uv_work_t work;

	submit(&work, 1);
	for (unsigned i = 0; i < n; i++) {
		int64_t begin;

		peer_pause();
		begin = peer_now();
		submit(&work, 1);
		peer_print_us(begin);
	}
}

static unsigned left; /* of the loop's thread: blocks to come */

static void end_block(uv_work_t *w)
{
	peer_mib_end(w->data);
}

static void next_block(uv_work_t *w, int status)
{
	(void)status;
	if (left == 0)
		return;
	left--;
	w->data = peer_mib();
	queue(w, end_block, next_block);
}

static void blocks(unsigned n)
{
	uv_work_t works[PEER_HELD];

	left = n;
	for (unsigned i = 0; i < PEER_HELD; i++)
		next_block(&works[i], 0);
	run();
}

static void mib(unsigned n)
{
	int64_t begin;

	blocks(n);
	begin = peer_now();
	blocks(n);
	peer_print_mibs(n, begin);
}

static void scale(uv_work_t *w)
{
	bench_pool_scale(w->data, 0, BENCH_POOL_FLOATS / 2);
}

static void loops(unsigned n)
{
	float *f = peer_alloc(BENCH_POOL_FLOATS * sizeof *f);
	uv_work_t half[2] = { { .data = f }, { .data = f + BENCH_POOL_FLOATS / 2 } };

	bench_pool_scale(f, 0, BENCH_POOL_FLOATS);
	for (unsigned i = 0; i < n; i++) {
		int64_t begin = peer_now();

		queue(&half[0], scale, nothing);
		queue(&half[1], scale, nothing);
		run();
		peer_print_us(begin);
	}
	free(f);
}

const struct peer_work peer_works[] = {
	{ "tasks", tasks }, { "idle", idle }, { "mib", mib }, { "for", loops }, { NULL, NULL },
};
