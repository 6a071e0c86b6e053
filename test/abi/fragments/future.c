/* The example of future.h. */
#include <prong/future.h>
#include <prong/pool.h>

struct square {
	long n, result;
};
int square(void *arg);
int ask(prong_pool *pool, struct square s);

int ask(prong_pool *pool, struct square s)
{
#include "future.1.inc"
#include "future.2.inc"
	return r;
}
