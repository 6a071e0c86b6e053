/* A graph of tasks that grows while it runs: each page names further pages.
   Pages here are invented: page n links to 2n+1 and 2n+2, and 13 cannot be read.
   cc 12-crawl.c $(pkg-config --cflags --libs prong) && ./a.out */
#include <prong/prong.h>
#include <stdio.h>
#include "must.h"

enum {
	PAGES = 100
};

struct page {
	int n;        /* asked */
	int links[2]; /* answered */
};

static int fetch(void *arg)
{
	struct page *p = arg;

	if (p->n == 13)
		return prong_task_message(5, "page %d: connection reset", p->n);
	(void)prong_sleep(prong_in_ms(p->n % 7));
	p->links[0] = 2 * p->n + 1;
	p->links[1] = 2 * p->n + 2;
	return 0;
}

static void visit(prong_pool *pool, prong_group *g, bool *seen, int n)
{
	if (n >= PAGES || seen[n])
		return;
	seen[n] = true;
	must(prong_pool_submit(pool, NULL, fetch, &(struct page){ .n = n }, sizeof(struct page),
			       &(prong_task_opts){ .group = g, .limit_ms = 5000, .retries = 2 }),
	     "submit");
}

int main(void)
{
	static bool seen[PAGES];
	prong_pool *pool;
	prong_group *g;
	prong_child c;
	prong_report why;
	struct page page;
	int r, read = 0;

	must(prong_pool_open(&pool, "threads:32", NULL), "pool");
	must(prong_group_open(&g, &(prong_group_opts){ .keep_going = true }), "group");
	visit(pool, g, seen, 0);
	while ((r = prong_group_next(g, &c, prong_in_ms(60000))) == 0) {
		if (prong_future_get(c.future, &page, sizeof page, PRONG_NOW) == 0) {
			read++;
			visit(pool, g, seen, page.links[0]);
			visit(pool, g, seen, page.links[1]);
		} else {
			prong_future_report(c.future, &why);
			printf("%s: %s\n", prong_strerror(why.outcome), why.message);
		}
	}
	if (r != PRONG_EMPTY)
		must(r, "crawl");
	printf("%d pages\n", read);
	prong_group_close(g);
	prong_pool_free(pool);
}
