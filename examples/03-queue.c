/* A writer puts A, B and C; a reader reads for ever, and is terminated when all is read.
   cc -std=c11 03-queue.c $(pkg-config --cflags --libs prong) -o 03-queue */
#include <prong/prong.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include "must.h"

static int writer(void *q)
{
	for (char c = 'A'; c <= 'C'; c++) {
		printf("Put %c to queue...\n", c);
		fflush(stdout);
		must(prong_queue_put(q, &c, 1, PRONG_FOREVER), "put");
		must(prong_queue_join(q, PRONG_FOREVER), "wait until it is read");
		prong_sleep(prong_in_ms(rand() % 100));
	}
	return 0;
}

static int reader(void *q)
{
	prong_message m;

	while (prong_queue_lease(q, &m, PRONG_FOREVER) == 0) {
		printf("Get %c from queue.\n", *(char *)m.data);
		fflush(stdout); /* a process that is terminated loses what it has not written */
		must(prong_queue_ack(q, &m), "acknowledge");
	}
	return 0;
}

int main(void)
{
	prong_queue *q;
	prong_process *w, *r;

	must(prong_open(NULL), "open");
	must(prong_queue_new(&q, NULL), "queue");
	must(prong_process_start(&w, writer, q, 0, NULL), "start the writer");
	must(prong_process_start(&r, reader, q, 0, NULL), "start the reader");
	must(prong_process_join(w, NULL, PRONG_FOREVER), "join the writer");
	must(prong_process_signal(r, SIGTERM), "terminate the reader");
	must(prong_process_join(r, NULL, PRONG_FOREVER), "join the reader");
	prong_process_free(w);
	prong_process_free(r);
	prong_queue_free(q);
}
