/* The example of barrier.h: steps of a computation. */
#include <prong/barrier.h>

#include "barrier.1.inc"

struct part;
struct grid;
void compute(struct part *part);
void prepare(void);
int steps_of(struct part *part, struct grid *grid, int steps, prong_fn *exchange);

void prepare(void)
{
#include "barrier.2.inc"
}

int steps_of(struct part *part, struct grid *grid, int steps, prong_fn *exchange)
{
	int r = 0;

#include "barrier.3.inc"
	return r;
}
