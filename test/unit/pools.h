/* Pools, for their tests: calls that have to go well. */
#ifndef TEST_POOLS_H
#define TEST_POOLS_H

#include "support.h"

prong_pool *open_pool(const char *spec, const prong_pool_opts *opts);
prong_future *submit(prong_pool *pool, prong_fn *fn, const void *arg, size_t size,
		     const prong_task_opts *opts);

/* What came of f, which is let go of. */
int outcome(prong_future *f);

/* Close, join, free. */
void finish(prong_pool *pool);

#endif
