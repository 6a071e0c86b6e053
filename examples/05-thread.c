/* LoopThread counts to five beside MainThread; each line names its thread.
   cc -std=c11 05-thread.c $(pkg-config --cflags --libs prong) -o 05-thread */
#include <prong/prong.h>
#include <stdio.h>
#include "must.h"

static int loop(void *arg)
{
	(void)arg;
	printf("Thread %s is running...\n", prong_thread_name(NULL));
	for (int n = 1; n <= 5; n++) {
		printf("Thread %s >>> %d\n", prong_thread_name(NULL), n);
		prong_sleep(prong_in_ms(100));
	}
	printf("Thread %s ended.\n", prong_thread_name(NULL));
	return 0;
}

int main(void)
{
	prong_thread *t;

	must(prong_open(NULL), "open");
	printf("Thread %s is running...\n", prong_thread_name(NULL));
	must(prong_thread_start(&t, loop, NULL, 0, &(prong_thread_opts){ .name = "LoopThread" }),
	     "start");
	must(prong_thread_join(t, NULL, PRONG_FOREVER), "join");
	prong_thread_free(t);
	printf("Thread %s ended.\n", prong_thread_name(NULL));
}
