/* The example of process.h; it declares what it uses, but for the result. */
#include <prong/process.h>
#include <stdio.h>

#include "process.1.inc"

int run(void);

int run(void)
{
#include "process.2.inc"
	return r ? r : code;
}
