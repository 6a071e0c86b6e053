/* The example of queue.h: a worker that may be killed at any time. */
#include <prong/queue.h>

void work(const void *data, uint32_t tries);
int worker(prong_queue *jobs);

int worker(prong_queue *jobs)
{
#include "queue.1.inc"
}
