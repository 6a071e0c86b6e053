/* The example of heap.h: append a node to a list in the heap, and take it off again. */
#include <prong/heap.h>

#include "heap.1.inc"

int append_and_remove(struct node *n);

int append_and_remove(struct node *n)
{
	int r;

	*list = n;
#include "heap.2.inc"
	if (r)
		return r;
#include "heap.3.inc"
	return 0;
}
