/* The example of event.h: a job that can be stopped. */
#include <prong/event.h>

#include "event.1.inc"

void step(struct job *j);
void work(struct job *j);
void stop(struct job *j);

void work(struct job *j)
{
#include "event.2.inc"
}

void stop(struct job *j)
{
#include "event.3.inc"
}
