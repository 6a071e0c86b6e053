/* The example of deadline.h, in a function that joins n processes. */
#include <prong/deadline.h>
#include <prong/process.h>

int join_all(prong_process **p, size_t n);

int join_all(prong_process **p, size_t n)
{
	int r = 0;
#include "deadline.1.inc"
	return r;
}
