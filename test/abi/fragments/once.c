/* The example of once.h: a table that the first who needs it makes. */
#include <prong/heap.h>
#include <prong/once.h>

#include "once.1.inc"

int need(struct table *t);

int need(struct table *t)
{
	int r;
#include "once.2.inc"
	return r;
}
