/* thread.h says: "as in process.h, with thread for process".  So it is done here. */
#include <prong/thread.h>
#include <stdio.h>

#define prong_process	    prong_thread
#define prong_process_start prong_thread_start
#define prong_process_join  prong_thread_join
#define prong_process_free  prong_thread_free

#include "process.1.inc"

int run(void);

int run(void)
{
#include "process.2.inc"
	return r ? r : code;
}
