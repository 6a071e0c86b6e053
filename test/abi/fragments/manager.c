/* The example of manager.h. */
#include <prong/manager.h>

int serve(prong_queue *tasks);

int serve(prong_queue *tasks)
{
#include "manager.1.inc"
	return r;
}
