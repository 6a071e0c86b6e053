/* Asking a process: its end, its name, its relatives.  Everything is read from its record in the
   heap; only signals and descriptors concern the system. */
#include "run/process.h"
#include "family/cancel.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>

static bool over(uint64_t state)
{
	return prongi_phase(state) == PRONGI_ENDED || prongi_phase(state) == PRONGI_REFUSED;
}

static int invalid(const char *what)
{
	return prongi_fail(-EINVAL, "%s: not a process's handle, or freed", what);
}

int prong_process_join(prong_process *p, int *code, prong_time deadline)
{
	int r;

	if (!prongi_process_valid(p))
		return invalid("process_join");
	r = prongi_enter();
	if (r)
		return r;
	if (p == prongi_me)
		return prongi_fail(PRONG_DEADLOCK, "process_join: of the calling process");
	r = prongi_process_join(p, deadline);
	if (r == PRONG_CANCELLED)
		return prongi_gave_up(r, "process_join", "");
	if (r)
		return prongi_fail(r, "process_join: %s still runs", p->name);
	if (code)
		*code = p->signal ? -p->signal : p->code;
	prongi_nanny_reap(p);
	return 0;
}

/* The process is still the one of the state seen. */
struct seen {
	const struct prong_process *p;
	uint64_t state;
};

static bool unchanged(const void *ctx)
{
	const struct seen *s = ctx;

	return (prongi_state(s->p) & ~PRONGI_HELD) == (s->state & ~PRONGI_HELD);
}

int prong_process_signal(prong_process *p, int sig)
{
	struct seen s = { p, 0 };

	if (!prongi_process_valid(p) || sig < 0 || sig > SIGRTMAX)
		return -EINVAL; /* no words: this may be a signal handler */
	s.state = prongi_state(p);
	if (prongi_phase(s.state) != PRONGI_RUNNING)
		return 0;
	return prongi_os_signal(prongi_state_pid(s.state), sig, unchanged, &s);
}

bool prong_process_alive(const prong_process *p)
{
	return prongi_process_valid(p) && !over(prongi_state(p));
}

const char *prong_process_name(const prong_process *p)
{
	if (!p)
		p = prong_process_self();
	return p ? p->name : "MainProcess";
}

int prong_process_pid(const prong_process *p)
{
	return p ? prongi_state_pid(prongi_state(p)) : prongi_os_pid();
}

static int outcome_of(const struct prong_process *p, uint64_t state)
{
	bool cancelled = atomic_load_explicit(&p->cancel, memory_order_relaxed) & PRONGI_CANCEL_IS;

	if (!over(state))
		return PRONG_RUNNING;
	if (cancelled && (p->code || p->signal == SIGTERM || p->signal == SIGKILL))
		return PRONG_CANCELLED;
	return p->signal ? PRONG_CRASHED : p->code ? PRONG_FAILED : 0;
}

/* What its handler wrote, if it was that which killed it. */
static void report_crash(const struct prong_process *p, prong_report *out)
{
	const struct prongi_crash *c = prongi_block(p) ? p->crash : NULL;

	if (!c || !p->signal ||
	    atomic_load_explicit(&c->whole, memory_order_relaxed) != (uint32_t)p->signal)
		return;
	out->has_address = c->has_address;
	out->address = c->address;
	out->frames = prongi_os_unwind(c, out->frame, PRONG_FRAMES);
}

void prong_process_report(const prong_process *p, prong_report *out)
{
	uint64_t state;

	if (!out)
		return;
	memset(out, 0, sizeof *out);
	if (!p)
		p = prong_process_self();
	if (!prongi_process_valid(p))
		return;
	state = prongi_state(p);
	out->outcome = outcome_of(p, state);
	out->pid = prongi_state_pid(state);
	out->elapsed_ns = (over(state) ? p->ended : prongi_os_now()) - p->started;
	memcpy(out->name, p->name, sizeof out->name);
	if (!over(state))
		return;
	/* acquire: pairs with the release in run(), child.c. */
	out->code = atomic_load_explicit(&p->has_result, memory_order_acquire) && !p->signal
			    ? atomic_load_explicit(&p->result, memory_order_relaxed)
			    : p->code;
	out->signal = p->signal;
	out->core = p->core;
	out->server_lost = p->server_lost;
	out->peak_rss = p->peak_rss;
	report_crash(p, out);
}

int prong_process_fd(const prong_process *p)
{
	int fd;

	if (!prongi_process_valid(p))
		return invalid("process_fd");
	for (;;) {
		uint64_t state = prongi_state(p);

		if (over(state))
			return prongi_os_ready_fd();
		fd = prongi_os_pidfd(prongi_state_pid(state));
		if (fd == -ESRCH) {
			prongi_process_await((prong_process *)(uintptr_t)p, PRONG_FOREVER);
			continue; /* between its reaping and the word of it */
		}
		if (fd < 0)
			return prongi_fail(fd, "process_fd: no descriptor for %s", p->name);
		if (prongi_state(p) == state || over(prongi_state(p)))
			return fd;
		prongi_os_fd_close(fd);
	}
}

prong_process *prong_process_self(void)
{
	return prongi_me;
}

prong_process *prong_process_parent(void)
{
	return prongi_me ? prongi_process_by_ref(atomic_load_explicit(&prongi_me->parent,
								      memory_order_relaxed))
			 : NULL;
}

size_t prong_process_children(prong_process **out, size_t max)
{
	size_t found = 0;
	uint32_t n;
	uint64_t me;

	if (!prongi_me)
		return 0;
	n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	me = prongi_process_ref(prongi_me);
	for (uint32_t i = 0; i < n; i++) {
		struct prong_process *p = &prongi_heap->process[i];
		uint64_t state = prongi_state(p);

		if (prongi_phase(state) <= PRONGI_BEING || over(state) ||
		    atomic_load_explicit(&p->parent, memory_order_relaxed) != me)
			continue;
		if (found < max)
			out[found] = p;
		found++;
	}
	return found;
}

void prong_process_free(prong_process *p)
{
	if (!p || !prongi_process_valid(p) || prongi_enter())
		return;
	prongi_nanny_reap(p);
	if (over(prongi_state(p)))
		prong_free_at((void **)&p->block);
	prongi_process_let_go(p);
}
