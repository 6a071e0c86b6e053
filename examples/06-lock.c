/* Two threads, then two processes, change one balance: without a lock it goes wrong.
   cc -std=c11 06-lock.c $(pkg-config --cflags --libs prong) -o 06-lock */
#include <prong/prong.h>
#include <stdio.h>
#include "must.h"

struct account {
	prong_mutex lock; /* protects the rest */
	long balance;
	prong_time changed; /* when it was last */
};

struct job {
	struct account *account;
	long n;
	long locked; /* not bool: what pads it would be sent, too */
};

static void add(struct account *a, long n)
{
	long balance = a->balance;

	a->changed = prong_clock(); /* meanwhile the other may change the balance */
	a->balance = balance + n;
}

static int change(void *arg)
{
	struct job *j = arg;

	for (int i = 0; i < 100000; i++) {
		if (j->locked)
			must(prong_mutex_lock(&j->account->lock, PRONG_FOREVER), "lock");
		add(j->account, j->n);
		add(j->account, -j->n);
		if (j->locked)
			prong_mutex_unlock(&j->account->lock);
	}
	return 0;
}

static void run(struct job job[2], bool processes)
{
	prong_process *p[2] = { NULL };
	prong_thread *t[2] = { NULL };

	for (int i = 0; i < 2; i++)
		must(processes ? prong_process_start(&p[i], change, &job[i], sizeof *job, NULL)
			       : prong_thread_start(&t[i], change, &job[i], sizeof *job, NULL),
		     "start");
	for (int i = 0; i < 2; i++)
		must(processes ? prong_process_join(p[i], NULL, PRONG_FOREVER)
			       : prong_thread_join(t[i], NULL, PRONG_FOREVER),
		     "join");
	for (int i = 0; i < 2; i++) {
		prong_process_free(p[i]);
		prong_thread_free(t[i]);
	}
}

static void show(struct account *a, bool processes, bool locked)
{
	a->balance = 0;
	for (int i = 0; i < (locked ? 1 : 20) && a->balance == 0; i++)
		run((struct job[]){ { a, 5, locked }, { a, 8, locked } }, processes);
	printf("Two %s %s the lock: the balance is %ld%s\n", processes ? "processes" : "threads",
	       locked ? "with" : "without", a->balance,
	       locked || a->balance ? "" : ", by chance, twenty times");
}

int main(void)
{
	must(prong_open(NULL), "open");
	struct account *a = prong_calloc(1, sizeof *a); /* in the heap, which all share */
	if (!a)
		errx(1, "the heap is full");
	for (int i = 0; i < 4; i++)
		show(a, i / 2, i % 2);
	prong_free(a);
}
