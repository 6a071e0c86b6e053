/* What the tests of pools do again and again. */
#include "pools.h"

prong_pool *open_pool(const char *spec, const prong_pool_opts *opts)
{
	prong_pool *pool;

	CHECK_OK(prong_pool_open(&pool, spec, opts));
	return pool;
}

prong_future *submit(prong_pool *pool, prong_fn *fn, const void *arg, size_t size,
		     const prong_task_opts *opts)
{
	prong_future *f;

	CHECK_OK(prong_pool_submit(pool, &f, fn, arg, size, opts));
	return f;
}

int outcome(prong_future *f)
{
	int r = prong_future_get(f, NULL, 0, soon());

	prong_future_free(f);
	return r;
}

void finish(prong_pool *pool)
{
	CHECK_OK(prong_pool_close(pool));
	CHECK_OK(prong_pool_join(pool, soon()));
	CHECK_OK(prong_pool_free(pool));
}
