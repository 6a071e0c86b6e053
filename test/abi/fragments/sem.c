/* The example of sem.h: a door with four places. */
#include <prong/sem.h>

#include "sem.1.inc"

void open_door(struct door *d);
int pass(struct door *d);
int enter(struct door *d);

void open_door(struct door *d)
{
#include "sem.2.inc"
}

int enter(struct door *d)
{
	int r;
#include "sem.3.inc"
	return r;
}
