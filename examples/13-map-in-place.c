/* Ten million structs changed in place by a pool of processes: they lie in the shared heap, so
   nothing is sent; three of them kill their worker.
   cc 13-map-in-place.c $(pkg-config --cflags --libs prong) -lm && ./a.out */
#include <err.h>
#include <math.h>
#include <prong/prong.h>
#include <stdio.h>
#include <stdlib.h>
#include "must.h"

struct point {
	float x, y, length;
};

static int measure(void *arg)
{
	struct point *p = arg;

	if (p->x < 0)
		abort();
	p->length = sqrtf(p->x * p->x + p->y * p->y);
	return 0;
}

static int lost(void *item, const prong_report *why, void *ctx)
{
	struct point *p = item;

	p->length = -1;
	printf("point %llu: signal %d in %s\n", (unsigned long long)why->index, why->signal,
	       why->worker);
	++*(int *)ctx;
	return 0;
}

int main(void)
{
	enum {
		N = 10000000
	};
	struct point *p;
	prong_pool *pool;
	int r, nlost = 0;

	must(prong_open(NULL), "open");
	p = prong_alloc(N * sizeof *p);
	if (!p)
		errx(1, "the heap is full");
	for (int i = 0; i < N; i++)
		p[i] = (struct point){ (i % 4000000 == 7) ? -1 : 3, 4, 0 };
	must(prong_pool_open(&pool, "processes", NULL), "pool");
	r = prong_pool_map(pool, measure, p, N, sizeof *p,
			   &(prong_map_opts){ .failed = lost, .ctx = &nlost }, PRONG_FOREVER);
	if (r != PRONG_CRASHED)
		must(r, "map");
	printf("last %g, lost %d\n", (double)p[N - 1].length, nlost);
	prong_pool_free(pool);
	prong_free(p);
}
