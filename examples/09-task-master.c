/* Put ten random numbers on a queue that other programs reach over the network, and print what they
   put on another.  Run 10-task-worker meanwhile, or its twin in Python, as many as you like.

      09-task-master [tcp://127.0.0.1:5000 [FILE]]      the address, and where the key is

   cc -std=c11 09-task-master.c $(pkg-config --cflags --libs prong-net) -o 09-task-master */
#include <prong/net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "key.h"

enum {
	TASKS = 10,
	PATIENCE_MS = 60000 /* for each result */
};

static void put_tasks(prong_queue *tasks)
{
	srand((unsigned)time(NULL));
	for (int i = 0; i < TASKS; i++) {
		int n = rand() % 10000;

		printf("Put task %d...\n", n);
		must(prong_queue_put_value(tasks, prong_value_int(n), PRONG_FOREVER), "put");
	}
}

static void print_results(prong_queue *results)
{
	prong_value *v;

	puts("Try get results...");
	for (int i = 0; i < TASKS; i++) {
		must(prong_queue_get_value(results, &v, NULL, prong_in_ms(PATIENCE_MS)), "result");
		printf("Result: %s\n", prong_value_data(v, NULL));
		prong_value_free(v);
	}
}

int main(int argc, char **argv)
{
	const char *address = argc > 1 ? argv[1] : "tcp://127.0.0.1:5000";
	const char *key = key_from(argc > 2 ? argv[2] : NULL);
	const prong_manager_opts opts = {
		.auth = { .key = key, .key_size = strlen(key), .old_python = true }
	};
	prong_queue *tasks, *results;
	prong_manager *m;

	setvbuf(stdout, NULL, _IOLBF, 0);
	must(prong_open(NULL), "open");
	must(prong_queue_new(&tasks, NULL), "queue");
	must(prong_queue_new(&results, NULL), "queue");
	must(prong_manager_open(&m, address, &opts), "manager");
	must(prong_manager_share_queue(m, "get_task_queue", tasks), "share");
	must(prong_manager_share_queue(m, "get_result_queue", results), "share");
	printf("Serve at %s...\n", prong_manager_address(m));
	put_tasks(tasks);
	print_results(results);
	prong_manager_close(m);
	prong_queue_free(tasks);
	prong_queue_free(results);
	puts("master exit.");
}
