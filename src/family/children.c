/* Waiting for processes, and the end of a process's children when it ends itself. */
#include "family/family.h"
#include <signal.h>

#define SPINS	 1000 /* some 30 us */
#define SLICE_MS 250 /* how long a wait trusts that there is a server */

static bool over(enum prongi_phase phase)
{
	return phase == PRONGI_ENDED || phase == PRONGI_REFUSED || phase == PRONGI_FREE;
}

static prong_time sooner(prong_time a, prong_time b)
{
	return a.ns_ < b.ns_ ? a : b;
}

/* The deadline has passed; but who polled the process's descriptor knows that it has ended, and the
   server is about to say so. */
static bool ended_but_unsaid(const struct prong_process *p)
{
	uint64_t v = prongi_state(p);

	if (prongi_phase(v) == PRONGI_DYING)
		return true;
	return prongi_phase(v) == PRONGI_RUNNING && prongi_os_ended(prongi_state_pid(v));
}

/* The server is at it, and will be done sooner than a sleep would cost. */
static void watch_dying(const struct prong_process *p)
{
	for (int i = 0; i < SPINS && prongi_spins && prongi_phase_of(p) == PRONGI_DYING; i++)
		prongi_os_pause();
}

int prongi_await_any(const struct prongi_awaited *a, size_t n, prong_time deadline)
{
	int r;

	do {
		r = prongi_os_wait_any(a, n, sooner(deadline, prong_in_ms(SLICE_MS)));
		if (r == 0 || prongi_os_now() >= deadline.ns_)
			return r;
	} while (prongi_server_alive());
	prongi_server_lost();
	return 0;
}

/* Sleep until p's state changes, the server's death could have gone unseen, or the deadline. */
static void sleep_on(struct prong_process *p, prong_time deadline)
{
	struct prongi_awaited a = { prongi_low(&p->state), 0, true };
	uint64_t v;

	watch_dying(p);
	v = prongi_state(p);
	if (over(prongi_phase(v)))
		return;
	a.seen = (uint32_t)v;
	prongi_await_any(&a, 1, deadline);
}

int prongi_process_await(struct prong_process *p, prong_time deadline)
{
	while (!over(prongi_phase_of(p))) {
		if (deadline.ns_ != PRONG_FOREVER.ns_ && prongi_os_now() >= deadline.ns_) {
			if (!ended_but_unsaid(p))
				return PRONG_TIMEDOUT;
			sleep_on(p, PRONG_FOREVER);
			continue;
		}
		sleep_on(p, deadline);
	}
	return 0;
}

/* --- at the end of their starter ----------------------------------------------------------- */

/* Call visit for each child of this process that runs. */
static int each_child(int (*visit)(struct prong_process *p, prong_time deadline),
		      prong_time deadline)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	uint64_t me = prongi_process_ref(prongi_me);
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++) {
		struct prong_process *p = &prongi_heap->process[i];

		if (!over(prongi_phase_of(p)) && prongi_phase_of(p) != PRONGI_BEING &&
		    atomic_load_explicit(&p->parent, memory_order_relaxed) == me)
			r = visit(p, deadline);
	}
	return r;
}

static bool is_daemon(const struct prong_process *p)
{
	return atomic_load_explicit(&p->state, memory_order_relaxed) & PRONGI_DAEMON;
}

static bool still_runs(const void *ctx)
{
	return prongi_phase_of(ctx) == PRONGI_RUNNING;
}

static void send(struct prong_process *p, int sig)
{
	uint64_t v = prongi_state(p);

	if (prongi_phase(v) == PRONGI_RUNNING)
		prongi_os_signal(prongi_state_pid(v), sig, still_runs, p);
}

static int ask_daemon(struct prong_process *p, prong_time deadline)
{
	(void)deadline;
	if (is_daemon(p))
		send(p, SIGTERM);
	return 0;
}

static int join_child(struct prong_process *p, prong_time deadline)
{
	return is_daemon(p) ? 0 : prongi_process_await(p, deadline);
}

static int end_daemon(struct prong_process *p, prong_time grace)
{
	if (is_daemon(p) && prongi_process_await(p, grace)) {
		send(p, SIGKILL);
		return prongi_process_await(p, PRONG_FOREVER);
	}
	return 0;
}

int prongi_children_end(prong_time deadline)
{
	int64_t ms = prongi_heap->server.exit_ms;
	int r = each_child(join_child, deadline);

	if (r)
		return prongi_fail(r, "close: a child still runs");
	if (ms >= 0)
		each_child(ask_daemon, PRONG_NOW);
	return each_child(end_daemon, prong_in_ms(ms < 0 ? 0 : ms ? ms : 2000));
}
