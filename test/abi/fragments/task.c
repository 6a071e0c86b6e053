/* The example of task.h: a question and its answer in one. */
#include <prong/task.h>
#include <errno.h>

int square_it(void *arg);

#include "task.1.inc"

int square_it(void *arg)
{
	return square(arg);
}
