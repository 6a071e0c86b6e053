/* Take numbers from a queue that is in a manager on the network, and put back their squares as
   text, until none has come for a second.  The manager may be 09-task-master or its twin in Python:
   both queues are to this program as if they were its own.

      10-task-worker [tcp://127.0.0.1:5000 [FILE]]      the address, and where the key is

   cc -std=c11 10-task-worker.c $(pkg-config --cflags --libs prong-net) -o 10-task-worker */
#include <errno.h>
#include <inttypes.h>
#include <prong/net.h>
#include <stdio.h>
#include <string.h>
#include "key.h"

static int64_t take_number(prong_value *v)
{
	int64_t n;

	must(prong_value_as_int(v, &n), "the task is no number");
	prong_value_free(v);
	return n;
}

/* It would do as well on queues of this program. */
static int work(prong_queue *tasks, prong_queue *results)
{
	prong_value *v;
	int r;

	while ((r = prong_queue_get_value(tasks, &v, NULL, prong_in_ms(1000))) == 0) {
		int64_t n = take_number(v);

		printf("run task %" PRId64 " * %" PRId64 "...\n", n, n);
		v = prong_value_textf("%" PRId64 " * %" PRId64 " = %" PRId64, n, n, n * n);
		must(prong_queue_put_value(results, v, PRONG_FOREVER), "put");
	}
	return r;
}

int main(int argc, char **argv)
{
	const char *address = argc > 1 ? argv[1] : "tcp://127.0.0.1:5000";
	const char *key = key_from(argc > 2 ? argv[2] : NULL);
	const prong_auth auth = { .key = key, .key_size = strlen(key), .old_python = true };
	prong_queue *tasks, *results;
	prong_remote *there;
	int r;

	printf("Connect to %s...\n", address);
	must(prong_remote_open(&there, address, &auth, prong_in_ms(5000)), "connect");
	must(prong_remote_queue(there, "get_task_queue", &tasks, prong_in_ms(5000)), "tasks");
	must(prong_remote_queue(there, "get_result_queue", &results, prong_in_ms(5000)), "results");
	r = work(tasks, results);
	if (r != PRONG_TIMEDOUT && r != -ECONNRESET && r != -ECONNREFUSED)
		must(r, "get"); /* else none is left, or the master has ended */
	prong_queue_free(tasks);
	prong_queue_free(results);
	prong_remote_close(there);
	puts("worker exit.");
}
