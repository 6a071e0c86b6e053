/* A victim that was held, and is not killed: it goes on to its end, or until it sleeps. */
#include "engine.h"

/* Wait for the victim, which may wait for the peer: that one stops when it wakes up. */
static struct trace_event await_victim(struct kill_trial *t, pid_t pid)
{
	const struct other *peer = &t->other[KILL_PEER];
	int64_t until = now_ms() + kill_patience_ms;
	struct trace_event e;

	do {
		e = trace_wait(pid, 0, false);
		if (e.rest == TRACE_BUSY && peer->pid && !peer->over)
			trial_settle(t, KILL_PEER);
	} while (e.rest == TRACE_BUSY && now_ms() < until);
	return e;
}

/* Through one system call, in which it may be asleep already. */
static struct trace_event cross_on(struct kill_trial *t, pid_t pid, int *naps, bool asleep)
{
	if (!asleep) {
		struct trace_event e;

		trace_to_syscall(pid);
		e = trace_wait(pid, kill_patience_ms, true);
		if (e.rest != TRACE_ASLEEP)
			return e;
	}
	if (t->s->asleep)
		t->s->asleep(t, *naps);
	++*naps;
	return await_victim(t, pid);
}

void trial_go_on(struct kill_trial *t, pid_t pid, const struct point *p)
{
	int naps = p->naps;
	struct trace_event e = { TRACE_TRAP, 0 };

	if (p->inside)
		e = cross_on(t, pid, &naps, true);
	while (e.rest == TRACE_TRAP || e.rest == TRACE_SYSCALL) {
		trace_to_syscall(pid);
		e = await_victim(t, pid);
		if (e.rest == TRACE_SYSCALL)
			e = cross_on(t, pid, &naps, false);
	}
	if (e.rest == TRACE_GONE) {
		t->bad |= trial_verdict(e.status);
		return;
	}
	t->bad |= kill_because(KILL_STUCK, "the victim does not go on");
	trace_kill(pid);
}

bool trial_let_victim_go(struct kill_trial *t, pid_t pid, bool to_its_end)
{
	struct trace_event e = { TRACE_TRAP, 0 };

	while (e.rest == TRACE_TRAP) {
		trace_continue(pid, 0);
		e = to_its_end ? await_victim(t, pid) : trace_wait(pid, kill_patience_ms, true);
	}
	if (e.rest == TRACE_ASLEEP)
		return false;
	if (e.rest == TRACE_GONE) {
		t->bad |= trial_verdict(e.status);
		return true;
	}
	t->bad |= kill_because(KILL_STUCK, "the victim does not go on");
	trace_kill(pid);
	return true;
}
