/* The example of error.h, in a function that stops a process. */
#include <err.h>
#include <prong/error.h>
#include <prong/process.h>
#include <signal.h>

int stop(prong_process *p);

int stop(prong_process *p)
{
	int code = 0, r;
#include "error.1.inc"
	return code;
}
