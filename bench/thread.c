/* Threads: start and join, one after the other, not pinned.  The floor is a bare clone() with the
   flags of a thread on a stack that is there, joined by a futex.

   Not measured: many at once, and stacks of other sizes. */
#include "bench.h"
#include <err.h>
#include <prong/prong.h>
#include <pthread.h>
#include <threads.h>

typedef void life_fn(void);

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void *nothing_posix(void *arg)
{
	return arg;
}

static void live_prong(void)
{
	prong_thread *t;
	int r = prong_thread_start(&t, nothing, NULL, 0, NULL);

	if (r == 0)
		r = prong_thread_join(t, NULL, PRONG_FOREVER);
	if (r)
		errx(1, "prong_thread: %s: %s", prong_strerror(r), prong_error_detail());
	prong_thread_free(t);
}

static void live_pthread(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, nothing_posix, NULL) != 0 || pthread_join(t, NULL) != 0)
		errx(1, "pthread_create");
}

static void live_thrd(void)
{
	thrd_t t;

	if (thrd_create(&t, nothing, NULL) != thrd_success || thrd_join(t, NULL) != thrd_success)
		errx(1, "thrd_create");
}

struct lives {
	life_fn *live;
	unsigned n;
};

static void run(const void *arg, struct bench_out *out)
{
	const struct lives *l = arg;
	unsigned n = bench_count(l->n);
	int64_t t = bench_now();

	for (unsigned i = 0; i < n; i++)
		l->live();
	bench_push(out, 0, (double)(bench_now() - t) / 1e3 / n);
}

static const struct lives by_prong = { live_prong, 1000 }, by_pthread = { live_pthread, 1000 },
			  by_thrd = { live_thrd, 1000 }, bare = { bench_bare_thread, 500 };

const struct bench_case bench_thread[] = {
	{
		.name = "thread",
		.floor = { "clone(CLONE_THREAD) + futex join, in a row", run, &bare, false, NULL },
		.metrics = { { "start-join", "us", 0, 0 } },
		.subjects = {
			{ "prong", run, &by_prong, true, NULL },
			{ "pthread_create + pthread_join", run, &by_pthread, false, NULL },
			{ "C11 thrd_create + thrd_join", run, &by_thrd, false, NULL },
		},
		.versus = { { "prong : pthread", 0, 0, 0, 1 << 1, false } },
	},
	{ .name = NULL },
};
