/* The example of rwlock.h: an index that is mostly read. */
#include <prong/rwlock.h>

#include "rwlock.1.inc"

int add_up(const int *entry, int n);
int total(struct index *x, int *out, prong_time deadline);

int total(struct index *x, int *out, prong_time deadline)
{
	int r, sum = 0;
#include "rwlock.2.inc"
	*out = sum;
	return r;
}
