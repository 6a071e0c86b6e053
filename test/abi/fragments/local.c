/* The example of local.h: each thread's student. */
#include <prong/local.h>

struct student {
	int marks;
};

#include "local.1.inc"

int mark(void);

int mark(void)
{
#include "local.2.inc"
	return s ? ++s->marks : 0;
}
