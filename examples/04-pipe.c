/* Parent and child talk through a pipe, until the child has ended.
   cc -std=c11 04-pipe.c $(pkg-config --cflags --libs prong) -o 04-pipe */
#include <prong/prong.h>
#include <stdio.h>
#include "must.h"

static int child(void *arg)
{
	prong_conn *c = arg;
	char text[80];

	must(prong_conn_recv(c, text, sizeof text, &(size_t){ 0 }, PRONG_FOREVER), "recv");
	printf("child heard: %s\n", text);
	must(prong_conn_send(c, "fine", sizeof "fine", PRONG_FOREVER), "send");
	must(prong_conn_send(c, "bye", sizeof "bye", PRONG_FOREVER), "send");
	return 0;
}

int main(void)
{
	prong_conn *ours, *theirs;
	prong_process *p;
	char text[80];
	size_t n;
	int r;

	setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, into a file too, and in children */
	must(prong_open(NULL), "open");

	must(prong_pipe(&ours, &theirs, NULL), "pipe");
	must(prong_process_start(&p, child, theirs, 0, NULL), "start");
	must(prong_conn_give(theirs, p), "give");
	must(prong_conn_send(ours, "how are you?", sizeof "how are you?", PRONG_FOREVER), "send");
	while ((r = prong_conn_recv(ours, text, sizeof text, &n, PRONG_FOREVER)) == 0)
		printf("parent heard: %s (%zu bytes)\n", text, n);
	if (r != PRONG_CLOSED)
		must(r, "recv");
	must(prong_process_join(p, NULL, PRONG_FOREVER), "join");
	puts("the child has ended");
	prong_conn_free(ours);
	prong_process_free(p);
}
