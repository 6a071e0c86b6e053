/* The example of group.h: two children of two kinds, of which nothing is left. */
#include <prong/group.h>
#include <prong/process.h>
#include <prong/thread.h>

int left(void *arg);
int right(void *arg);
int both(void *q);

int both(void *q)
{
	prong_process *p;
	prong_thread *t;
	int r;
#include "group.1.inc"
}
