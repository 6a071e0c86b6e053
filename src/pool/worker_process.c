/* Workers that are processes: each can crash alone, and be killed alone. */
#include "pool/pool.h"
#include <signal.h>

static void interrupted(int sig)
{
	(void)sig;
}

/* An interrupt from the terminal is for the program, which decides.  A handler, and not to ignore
   it, so that what a task executes gets it again. */
static int live(void *arg)
{
	struct sigaction action = { .sa_handler = interrupted, .sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	return prongi_worker_live(arg);
}

static int start(struct prong_pool *pool, struct prongi_worker *w)
{
	const struct prongi_worker_arg arg = { pool, w };
	char name[64];

	prongi_worker_name(pool, atomic_load_explicit(&w->number, memory_order_relaxed), name,
			   sizeof name);
	return prong_process_start(&w->process, live, &arg, sizeof arg,
				   &(prong_process_opts){ .name = name, .trace = pool->trace });
}

static bool ended(struct prongi_worker *w, struct prongi_worker_end *end)
{
	if (!w->process || prong_process_alive(w->process))
		return false;
	*end = (struct prongi_worker_end){ .by_itself = false };
	prong_process_report(w->process, &end->report);
	end->by_itself = !end->report.signal;
	prong_process_free(w->process);
	w->process = NULL;
	return true;
}

static void end_it(struct prongi_worker *w)
{
	if (w->process)
		(void)prong_process_signal(w->process, SIGKILL);
}

static int number(const struct prongi_worker *w)
{
	return w->process ? prong_process_pid(w->process) : 0;
}

const struct prongi_kind prongi_processes = {
	.name = "processes",
	.stops = true,
	.start = start,
	.ended = ended,
	.kill = end_it,
	.pid = number,
};
