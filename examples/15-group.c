/* A function that starts children and has one exit: whichever step fails, and whoever fails first,
   nothing of it is left when it returns. */
#include <prong/prong.h>
#include <stdio.h>
#include "must.h"

static int produce(void *arg)
{
	prong_queue *q = arg;
	int r = 0;

	for (long n = 1; n <= 1000 && r == 0; n++)
		r = prong_queue_put(q, &n, sizeof n, PRONG_FOREVER);
	prong_queue_close(q);
	return r;
}

static int consume(void *arg)
{
	prong_queue *q = arg;
	long n;
	int r;

	while ((r = prong_queue_get(q, &n, sizeof n, NULL, PRONG_FOREVER)) == 0)
		if (n == 500)
			return 3; /* gives up: the producer must not hang on a full queue */
	return r == PRONG_CLOSED ? 0 : r;
}

static int pipeline(prong_report *why)
{
	prong_queue *q = NULL;
	prong_group *g = NULL;
	prong_process *p;
	prong_thread *t;
	int r;

	r = prong_queue_new(&q, &(prong_queue_opts){ .capacity = 16 });
	if (r == 0)
		r = prong_group_open(&g, NULL);
	if (r == 0)
		r = prong_process_start(&p, produce, q, 0,
					&(prong_process_opts){ .name = "producer", .group = g });
	if (r == 0)
		r = prong_thread_start(&t, consume, q, 0,
				       &(prong_thread_opts){ .name = "consumer", .group = g });
	if (r == 0)
		r = prong_group_join(g, prong_in_ms(10000));
	if (r == PRONG_FAILED)
		(void)prong_group_report(g, why);
	prong_group_close(g);
	prong_queue_close(q);
	prong_queue_free(q);
	return r;
}

int main(void)
{
	prong_report why;
	int r;

	must(prong_open(NULL), "open");
	r = pipeline(&why);
	if (r == PRONG_FAILED)
		printf("%s gave up with %d\n", why.name, why.code);
	else
		must(r, "pipeline");
	printf("children left: %zu\n",
	       prong_process_children(NULL, 0) + prong_thread_list(NULL, 0));
}
