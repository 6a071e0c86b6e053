/* The example of value.h. */
#include <prong/net.h>

int squares(void);

int squares(void)
{
	void *data;
	size_t size;
	int r;
#include "value.1.inc"
	return r;
}
