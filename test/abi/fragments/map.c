/* The example of map.h. */
#include <prong/prong.h>
#include <stdio.h>

int count_one(void *n);
int count_all(prong_pool *pool);

int count_all(prong_pool *pool)
{
#include "map.1.inc"
	return r;
}
