/* A member ends, and the program, each with a block of malloc()'s left and named from the heap
   alone: then memcheck looks for it in all that is mapped. */
#include <prong/prong.h>
#include <stdio.h>
#include <stdlib.h>

static int keep(void *arg)
{
	void **where = *(void ***)arg;

	*where = malloc(100);
	return *where ? 0 : 1;
}

int main(void)
{
	prong_process *p;
	void **where = prong_calloc(1, sizeof *where);
	int code;

	for (int i = 0; i < 3; i++) {
		if (!where || prong_process_start(&p, keep, &where, sizeof where, NULL) ||
		    prong_process_join(p, &code, PRONG_FOREVER) || code)
			return 1;
		prong_process_free(p);
	}
	*where = malloc(100);
	puts("3 started, 3 ended");
	return 0;
}
