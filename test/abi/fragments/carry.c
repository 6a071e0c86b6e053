/* The example of carry.h. */
#include <prong/carry.h>
#include <prong/read.h>

int ask(prong_conn *c, int i);

int ask(prong_conn *c, int i)
{
	prong_value *answer;
	char text[100];
	int r;
#include "carry.1.inc"
	return r;
}
