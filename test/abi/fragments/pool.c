/* The example of pool.h. */
#include <prong/pool.h>

struct square {
	long n, result;
};
int square(void *arg);
int ask(struct square s);

int ask(struct square s)
{
#include "pool.1.inc"
	return r;
}
