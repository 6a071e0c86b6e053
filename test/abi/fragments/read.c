/* The example of read.h. */
#include <prong/net.h>

int sum(const prong_value *v);

int sum(const prong_value *v)
{
	int r;
#include "read.1.inc"
	return sum > 0;
}
