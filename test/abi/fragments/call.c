/* The example of call.h. */
#include <prong/call.h>

const prong_method *methods(void);

#include "call.1.inc"

const prong_method *methods(void)
{
	return ruler;
}
