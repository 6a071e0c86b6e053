/* Five tasks of random length on a pool of four processes.
   cc 02-pool.c $(pkg-config --cflags --libs prong) && ./a.out */
#include <prong/prong.h>
#include <stdio.h>
#include <stdlib.h>
#include "must.h"

static int long_time_task(void *arg)
{
	int *name = arg;

	printf("Run task %d (%d)...\n", *name, prong_process_pid(NULL));
	fflush(stdout);
	srand((unsigned)(prong_process_pid(NULL) + *name));
	return prong_sleep(prong_in_ms(rand() % 300));
}

int main(void)
{
	prong_pool *pool;

	must(prong_pool_open(&pool, "processes:4", NULL), "pool");
	for (int i = 0; i < 5; i++)
		must(prong_pool_submit(pool, NULL, long_time_task, &i, sizeof i, NULL), "submit");
	puts("Waiting for all subprocesses done...");
	fflush(stdout);
	must(prong_pool_close(pool), "close");
	must(prong_pool_join(pool, PRONG_FOREVER), "join");
	puts("All subprocesses done.");
	prong_pool_free(pool);
}
