/* Consumers are killed at random while a queue drains: every item is handled, repeats are marked.
   cc -std=c11 16-survivors.c $(pkg-config --cflags --libs prong) -o 16-survivors */
#include <prong/prong.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "must.h"

#define ITEMS	  20000
#define CONSUMERS 3
#define KILLS	  50

struct job {
	prong_queue *items;
	atomic_int handled[ITEMS]; /* how often each was */
	atomic_int unmarked;	   /* repeats that looked like the first time */
};

static int consumer(void *arg)
{
	struct job *job = arg;
	prong_message m;
	int r;

	while ((r = prong_queue_lease(job->items, &m, PRONG_FOREVER)) == 0) {
		if (atomic_fetch_add(&job->handled[*(int *)m.data], 1) && m.tries == 1)
			atomic_fetch_add(&job->unmarked, 1);
		must(prong_queue_ack(job->items, &m), "acknowledge");
	}
	return r == PRONG_CLOSED ? 0 : 1;
}

static void start(prong_process **p, struct job *job)
{
	must(prong_process_start(p, consumer, job, 0, NULL), "start");
}

static void end(prong_process *p)
{
	must(prong_process_join(p, NULL, PRONG_FOREVER), "join");
	prong_process_free(p);
}

static void report(const struct job *job)
{
	int lost = 0;

	for (int i = 0; i < ITEMS; i++)
		lost += job->handled[i] == 0;
	printf("%d items put, %d consumers killed.\n", ITEMS, KILLS);
	printf("Lost: %d. Handled again without a mark: %d.\n", lost, job->unmarked);
}

int main(void)
{
	prong_process *p[CONSUMERS];
	struct job *job;

	must(prong_open(NULL), "open");
	job = prong_calloc(1, sizeof *job);
	if (!job)
		errx(1, "the heap is full");
	must(prong_queue_new(&job->items, &(prong_queue_opts){ .capacity = 100 }), "queue");
	for (int i = 0; i < CONSUMERS; i++)
		start(&p[i], job);
	for (int i = 0; i < ITEMS; i++) {
		must(prong_queue_put(job->items, &i, sizeof i, PRONG_FOREVER), "put");
		if (i % (ITEMS / KILLS) == 0) {
			int victim = rand() % CONSUMERS;

			must(prong_process_signal(p[victim], SIGKILL), "kill");
			end(p[victim]);
			start(&p[victim], job);
		}
	}
	must(prong_queue_join(job->items, PRONG_FOREVER), "wait for the rest");
	must(prong_queue_close(job->items), "close");
	for (int i = 0; i < CONSUMERS; i++)
		end(p[i]);
	report(job);
	prong_queue_free(job->items);
	prong_free(job);
}
