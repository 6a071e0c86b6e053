/* The example of object.h. */
#include <prong/net.h>

prong_value *no_such_task(void);

prong_value *no_such_task(void)
{
#include "object.1.inc"
}
