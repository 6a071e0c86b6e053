/* The example of conn.h: ask a child, and see it end. */
#include <prong/conn.h>
#include <stdio.h>

int ask(prong_process **started, prong_fn *child);

int ask(prong_process **started, prong_fn *child)
{
	prong_process *p = NULL;
	char reply[80];
	size_t n;

#include "conn.1.inc"
	prong_conn_free(ours);
	*started = p;
	return r;
}
