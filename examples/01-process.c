/* A child process prints its name and number; its parent waits for it.
   cc -std=c11 01-process.c $(pkg-config --cflags --libs prong) -o 01-process */
#include <prong/prong.h>
#include <stdio.h>
#include "must.h"

static int run_proc(void *arg)
{
	printf("Run child process %s (%d)...\n", (char *)arg, prong_process_pid(NULL));
	return 0;
}

int main(void)
{
	prong_process *p;

	must(prong_open(NULL), "open");
	setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, into a file too */

	printf("Parent process %d.\n", prong_process_pid(NULL));
	puts("Child process will start.");
	must(prong_process_start(&p, run_proc, "test", sizeof "test", NULL), "start");
	must(prong_process_join(p, NULL, PRONG_FOREVER), "join");
	puts("Child process end.");
	prong_process_free(p);
}
