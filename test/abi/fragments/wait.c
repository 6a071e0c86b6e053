/* The example of wait.h: a message, or the end of who sends it. */
#include <prong/wait.h>
#include <stdio.h>

int message_or_end(prong_conn *c, prong_process *worker);

int message_or_end(prong_conn *c, prong_process *worker)
{
	int r;

#include "wait.1.inc"
	return r;
}
