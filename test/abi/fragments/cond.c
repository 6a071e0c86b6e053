/* The example of cond.h: wait until an account has enough. */
#include <prong/cond.h>

#include "cond.1.inc"

int await(struct account *a, long n, prong_time deadline);
int pay_in(struct account *a, long n);

int await(struct account *a, long n, prong_time deadline)
{
	int r;
#include "cond.2.inc"
	return r;
}

int pay_in(struct account *a, long n)
{
	int r = prong_mutex_lock(&a->lock, PRONG_FOREVER);

	if (r)
		return r;
#include "cond.3.inc"
	return 0;
}
