/* The same work() for the program itself, for threads, and for processes.  Only processes can
   die alone; then what they held is given back and another takes their place. */
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include "../must.h"
#include "run.h"

/* What kills whoever does it would keep us busy for ever. */
enum {
	MAX_DEATHS = 5, /* over one batch */
	MAX_REPLACED = 1000
};

struct worker {
	prong_process *process; /* NULL: it has ended */
	int number;             /* as a member */
};

void run_sequential(struct job *j, const struct plan *plan)
{
	struct member m = { j, 1 };

	(void)plan;
	work(&m);
}

void run_threads(struct job *j, const struct plan *plan)
{
	prong_thread *t[MAX_WORKERS];
	int failed;

	for (int i = 0; i < plan->workers; i++) {
		struct member m = { j, i + 1 };

		must(prong_thread_start(&t[i], work, &m, sizeof m, NULL), "start");
	}
	for (int i = 0; i < plan->workers; i++) {
		must(prong_thread_join(t[i], &failed, PRONG_FOREVER), "join");
		if (failed)
			errx(1, "worker-%d failed", i + 1);
		prong_thread_free(t[i]);
	}
}

/* A daemon, so that no worker outlives the program if it has to give up.  Return a descriptor
   that tells the worker's end. */
static int start_worker(struct worker *w, struct job *j, int number)
{
	struct member m = { j, number };
	char name[32];
	int fd;

	snprintf(name, sizeof name, "worker-%d", number);
	w->number = number;
	must(prong_process_start(&w->process, work, &m, sizeof m,
				 &(prong_process_opts){ .name = name, .daemon = true }),
	     "start");
	fd = prong_process_fd(w->process);
	if (fd < 0)
		must(fd, "watch");
	return fd;
}

/* Give what a killed worker held to the others. */
static void inherit(struct job *j, const struct worker *w)
{
	struct batch *b = job_give_back(j, w->number);
	prong_report report;
	char text[200];

	prong_process_report(w->process, &report);
	prong_report_text(&report, text, sizeof text);
	if (j->progress)
		fputc('\r', stderr);
	warnx("%s; %zu files that it held go to the others", text, b ? b->nfiles : 0);
	if (b && b->deaths == MAX_DEATHS)
		errx(1, "%d workers died over %s or the %zu files after it: giving up", MAX_DEATHS,
		     b->files[0].path, b->nfiles - 1);
}

/* Clean up after a worker that has ended.  Return whether it did its work to the end. */
static bool bury(struct job *j, struct worker *w)
{
	int code;

	must(prong_process_join(w->process, &code, PRONG_FOREVER), "join");
	if (code > 0)
		errx(1, "worker-%d failed", w->number);
	if (code < 0)
		inherit(j, w);
	prong_process_free(w->process);
	w->process = NULL;
	return code == 0;
}

/* Kill a worker that holds a batch, when half of all are taken; return whether that is done.
   While we have the lock, none can merge what it holds. */
static bool kill_a_holder(struct job *j, struct worker *workers, int n)
{
	struct worker *victim = NULL;

	job_lock(j);
	for (size_t k = 0; 2 * j->next >= j->nbatches && k < j->nbatches && !victim; k++)
		for (int i = 0; i < n && !j->batches[k].merged; i++)
			if (workers[i].process && workers[i].number == j->batches[k].holder)
				victim = &workers[i];
	if (victim) {
		must(prong_process_signal(victim->process, SIGKILL), "kill");
		must(prong_process_join(victim->process, NULL, PRONG_FOREVER), "join");
	}
	job_unlock(j);
	return victim != NULL;
}

void run_processes(struct job *j, const struct plan *plan)
{
	struct worker workers[MAX_WORKERS];
	struct pollfd ends[MAX_WORKERS];
	int alive = plan->workers, number = 0;
	bool kill_one = plan->kill_one;

	for (int i = 0; i < plan->workers; i++)
		ends[i] = (struct pollfd){ start_worker(&workers[i], j, ++number), POLLIN, 0 };
	while (alive > 0) {
		int ready = poll(ends, (nfds_t)plan->workers, kill_one ? 1 : -1);

		if (kill_one)
			kill_one = !kill_a_holder(j, workers, plan->workers);
		for (int i = 0; i < plan->workers && ready > 0; i++) {
			if (!ends[i].revents)
				continue;
			close(ends[i].fd);
			ends[i].fd = -1; /* poll passes it over */
			if (bury(j, &workers[i]))
				alive--;
			else if (number < plan->workers + MAX_REPLACED)
				ends[i].fd = start_worker(&workers[i], j, ++number);
			else
				errx(1, "%d workers died: giving up", MAX_REPLACED);
		}
	}
	if (kill_one)
		warnx("nobody was killed: the work was done before");
}
