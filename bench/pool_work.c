/* What the pools of pool.c and of its peers' programs work on, in a file of its own: no compiler
   can make less of it for one of them. */
#include "peer.h"

void bench_pool_scale(void *floats, size_t begin, size_t end)
{
	float *f = floats;

	for (size_t i = begin; i < end; i++)
		f[i] = f[i] * 0.999f + 1.0f;
}

void bench_pool_add(long *item)
{
	++*item;
}

/* How often fib(n) calls fib, with the call itself. */
unsigned bench_pool_fib_calls(unsigned n)
{
	unsigned a = 1, b = 1;

	for (; n > 1; n--) {
		unsigned c = a + b + 1;

		a = b;
		b = c;
	}
	return b;
}
