/* The example of mutex.h: pay n from an account. */
#include <prong/mutex.h>

#include "mutex.1.inc"

int pay(struct account *a, long total, long n);

int pay(struct account *a, long total, long n)
{
	int r;
#include "mutex.2.inc"
	return 0;
}
