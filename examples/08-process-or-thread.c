/* The same program on processes and on threads, one word changed: what a start, a task and a crash
   cost, and which of the two survives that.
   cc 08-process-or-thread.c $(pkg-config --cflags --libs prong) && ./a.out */
#include <prong/prong.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "must.h"

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int crash(void *arg)
{
	(void)arg;
	abort();
}

static double us_since(prong_time t)
{
	return (double)prong_ns_between(t, prong_clock()) / 1e3;
}

static int experiment(void *spec)
{
	enum {
		N = 2000
	};
	prong_pool *pool;
	prong_time t = prong_clock();
	int r;

	must(prong_pool_open(&pool, spec, NULL), "pool");
	must(prong_pool_apply(pool, nothing, NULL, 0, NULL, PRONG_FOREVER), "first");
	printf("%-10s start %8.1f us", (char *)spec, us_since(t));
	t = prong_clock();
	for (int i = 0; i < N; i++)
		must(prong_pool_apply(pool, nothing, NULL, 0, NULL, PRONG_FOREVER), "apply");
	printf("   hand-over %6.2f us", us_since(t) / N);
	fflush(stdout);
	t = prong_clock();
	r = prong_pool_apply(pool, crash, NULL, 0, NULL, PRONG_FOREVER);
	must(prong_pool_apply(pool, nothing, NULL, 0, NULL, PRONG_FOREVER), "after the crash");
	printf("   crash: %s, going on after %.1f us\n", prong_strerror(r), us_since(t));
	prong_pool_free(pool);
	return 0;
}

int main(void)
{
	static const char *const on[] = { "processes", "threads" };

	for (int i = 0; i < 2; i++) {
		prong_process *p;
		int code;

		must(prong_process_start(&p, experiment, on[i], strlen(on[i]) + 1, NULL), "start");
		must(prong_process_join(p, &code, PRONG_FOREVER), "join");
		if (code < 0)
			printf("   crash: the whole program died of signal %d\n", -code);
		prong_process_free(p);
	}
}
