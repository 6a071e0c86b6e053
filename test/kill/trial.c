/* One trial: the same beginning, one death or several in a row, repair, and what the others then
   make of it.

   A held other is stopped by ptrace when it comes out of the system call that it slept in: it was
   really asleep, and the wake that it got is used up, but it has done nothing yet. */
#include "engine.h"
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct kill_control *kill_control;
int kill_patience_ms = 8000;

/* For a victim to get to its point; it takes microseconds.  A broken one may never get there. */
#define REACH_MS (options.mutant ? 2 * kill_patience_ms : 10000)
#define QUIET_MS    400 /* asleep after that, and not at its point: it will not get there */
#define CPU_SECONDS 2 /* for all the steps that a survivor takes: it needs some thousand */

/* --- gates -------------------------------------------------------------------------------- */

static long futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

void kill_gate(int gate)
{
	_Atomic uint32_t *word = &kill_control->gate[gate];

	/* The value slept on is a constant: one that was loaded again could be the open one. */
	while (atomic_load_explicit(word, memory_order_acquire) == 0)
		futex(word, FUTEX_WAIT, 0);
}

void kill_open(int gate)
{
	atomic_store_explicit(&kill_control->gate[gate], 1, memory_order_release);
	futex(&kill_control->gate[gate], FUTEX_WAKE, 1 << 30);
}

unsigned kill_because(unsigned bad, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (bad && !kill_control->why[0])
		vsnprintf(kill_control->why, sizeof kill_control->why, format, args);
	va_end(args);
	if (bad & KILL_STUCK)
		row_stuck(NULL, getpid());
	return bad;
}

/* --- processes ---------------------------------------------------------------------------- */

struct role {
	struct kill_trial *t;
	int i;
	bool traced;
};

static void limit_steps(void)
{
	struct rlimit limit = { CPU_SECONDS, CPU_SECONDS + 1 };

	setrlimit(RLIMIT_CPU, &limit);
}

typedef unsigned function(void);

/* What other i does; the last is the late one. */
static function *function_of(const struct kill_scenario *s, int i)
{
	return i < KILL_OTHERS - 1 ? s->other[i] : s->late;
}

static int run_other(void *arg)
{
	struct role *role = arg;

	limit_steps();
	role->t->room->become(role->i + 1);
	if (role->traced)
		kill_begin();
	return (int)function_of(role->t->s, role->i)();
}

static int run_victim(void *arg)
{
	struct kill_trial *t = arg;

	t->room->become(0);
	if (t->s->prepare)
		t->s->prepare();
	kill_begin();
	t->s->victim();
	kill_end();
	return 0;
}

static int run_repairer(void *arg)
{
	struct kill_trial *t = arg;

	t->room->become(-1);
	kill_begin();
	t->room->repair();
	kill_end();
	return 0;
}

static int run_repair(void *arg)
{
	struct kill_trial *t = arg;

	limit_steps();
	t->room->become(-1);
	t->room->repair();
	return 0;
}

static int run_stopped(void *arg)
{
	struct kill_trial *t = arg;

	t->room->become(-1);
	t->room->stopped();
	return 0;
}

static int run_peer(void *arg)
{
	struct kill_trial *t = arg;
	unsigned bad;

	limit_steps();
	t->room->become(KILL_PEER + 1);
	kill_begin();
	bad = t->s->peer();
	kill_end();
	return (int)bad;
}

static int run_check(void *arg)
{
	struct kill_trial *t = arg;

	limit_steps();
	t->room->become(-1);
	return (int)t->s->check();
}

/* What it means that a process ended like this. */
unsigned trial_verdict(int status)
{
	if (WIFEXITED(status))
		return (unsigned)WEXITSTATUS(status);
	return kill_because(WTERMSIG(status) == SIGXCPU ? KILL_STUCK : KILL_TORN,
			    "a process ended by signal %d", WTERMSIG(status));
}

/* Run body in a process of its own to its end. */
static unsigned run(struct kill_trial *t, int (*body)(void *))
{
	pid_t pid = trace_fork(body, t, false);
	struct trace_event e = trace_wait(pid, kill_patience_ms, false);

	if (e.rest == TRACE_GONE)
		return trial_verdict(e.status);
	trace_kill(pid);
	return KILL_STUCK;
}

/* --- the others --------------------------------------------------------------------------- */

static void over(struct kill_trial *t, int i, int status)
{
	t->other[i].over = true;
	t->bad |= trial_verdict(status);
}

void trial_settle(struct kill_trial *t, int i)
{
	pid_t pid = t->other[i].pid;

	for (;;) {
		struct trace_event e = trace_wait(pid, kill_patience_ms, true);

		if (e.rest == TRACE_ASLEEP)
			return;
		if (e.rest == TRACE_GONE) {
			over(t, i, e.status);
			return;
		}
		if (e.rest == TRACE_BUSY)
			die("%s: other %d does not come to rest", t->s->name, i);
		if (e.rest == TRACE_SIGNAL)
			trace_continue(pid, WSTOPSIG(e.status));
		else
			trace_to_syscall(pid);
	}
}

static void start(struct kill_trial *t, int i, bool traced)
{
	struct role role = { t, i, traced };

	t->other[i].pid = trace_fork(run_other, &role, traced);
	t->other[i].over = false;
	if (traced) {
		trace_adopt(t->other[i].pid);
		trace_to_syscall(t->other[i].pid);
	}
}

void kill_place(struct kill_trial *t, int i)
{
	if (!t->other[i].pid)
		start(t, i, t->hold);
	trial_settle(t, i);
}

void kill_pass(struct kill_trial *t, int gate, int i)
{
	kill_open(gate);
	if (!t->other[i].over)
		trial_settle(t, i);
}

static void stop(struct kill_trial *t, int i)
{
	if (!t->other[i].over)
		trace_kill(t->other[i].pid);
	t->other[i].over = true;
}

void kill_other(struct kill_trial *t, int i)
{
	stop(t, i);
	atomic_fetch_or(&kill_control->dead, (uint64_t)1 << i);
}

static void open_gates(void)
{
	for (int g = 0; g < KILL_GATES; g++)
		kill_open(g);
}

/* Start others first to last - 1, unless they were. */
static void start_rest(struct kill_trial *t, int first, int last)
{
	for (int i = first; i < last; i++)
		if (function_of(t->s, i) && !t->other[i].pid)
			start(t, i, false);
}

static int other_of(const struct kill_trial *t, pid_t pid)
{
	for (int i = 0; i < KILL_OTHERS; i++)
		if (t->other[i].pid == pid && !t->other[i].over)
			return i;
	return -1;
}

static bool all_over(const struct kill_trial *t)
{
	for (int i = 0; i < KILL_OTHERS; i++)
		if (t->other[i].pid && !t->other[i].over)
			return false;
	return true;
}

/* Wait until all others have ended, or are stuck. */
static void collect(struct kill_trial *t)
{
	int64_t until = now_ms() + kill_patience_ms + 1000;

	while (!all_over(t) && !(t->bad & KILL_STUCK)) {
		struct trace_event e;
		pid_t pid = trace_wait_any((int)(until - now_ms()), &e);
		int i = pid ? other_of(t, pid) : -1;

		if (!pid) {
			t->bad |= KILL_STUCK;
			return;
		}
		if (i < 0)
			continue;
		if (e.rest == TRACE_GONE)
			over(t, i, e.status);
		else if (t->peer && i == KILL_PEER)
			trace_continue(pid, 0); /* it has a marker before it */
		else
			trace_detach(pid, e.rest == TRACE_SIGNAL ? WSTOPSIG(e.status) : 0);
	}
}

/* --- deaths ------------------------------------------------------------------------------- */

void trial_begin(struct kill_trial *t, const struct change *changed)
{
	for (int i = 0; i < KILL_OTHERS; i++)
		t->other[i] = (struct other){ 0, false };
	t->bad = 0;
	t->peer = false;
	if (changed)
		image_restore_changed(t->image, changed);
	else
		image_restore(t->image);
	if (!changed && t->s->before)
		t->s->before(t);
}

pid_t trial_start(struct kill_trial *t, int level)
{
	pid_t pid = trace_fork(level ? run_repairer : run_victim, t, true);

	trace_adopt(pid);
	return pid;
}

/* Step over the instruction that the trap was put on. */
static bool step_over(pid_t pid)
{
	trace_step(pid, 0);
	return trace_wait(pid, REACH_MS, false).rest == TRACE_TRAP;
}

/* Wait until pid comes to rest.  Who has gone to sleep for good will not: it went another way. */
static struct trace_event await_rest(pid_t pid)
{
	int64_t until = now_ms() + REACH_MS;
	struct trace_event e;

	do
		e = trace_wait(pid, QUIET_MS, false);
	while (e.rest == TRACE_BUSY && now_ms() < until && !trace_asleep(pid));
	return e;
}

/* Run pid to the visit-th time that it gets to pc. */
static bool run_to(pid_t pid, uint64_t pc, uint32_t visit)
{
	long was = trace_break(pid, pc);

	for (;;) {
		trace_continue(pid, 0);
		if (await_rest(pid).rest != TRACE_TRAP || trace_trap(pid) != pc)
			return false;
		trace_unbreak(pid, pc, was);
		trace_set_pc(pid, pc);
		if (--visit == 0)
			return true;
		if (!step_over(pid))
			return false;
		trace_break(pid, pc);
	}
}

enum crossing trial_cross(struct kill_trial *t, pid_t pid, int level, int nth, bool inside)
{
	enum crossing how = CROSSED;
	struct trace_event e;

	trace_to_syscall(pid);
	if (trace_wait(pid, REACH_MS, false).rest != TRACE_SYSCALL)
		return LOST;
	trace_to_syscall(pid);
	e = trace_wait(pid, REACH_MS, true);
	if (e.rest == TRACE_ASLEEP) {
		how = SLEPT;
		if (inside)
			return how;
		if (level == 0 && t->s->asleep)
			t->s->asleep(t, nth);
		e = trace_wait(pid, REACH_MS, false);
	}
	return e.rest == TRACE_SYSCALL ? how : LOST;
}

/* As reach(), but by single steps alone. */
static bool reach_by_step(struct kill_trial *t, pid_t pid, int level, const struct point *p)
{
	int naps = 0;

	for (uint32_t n = 0; n < p->steps; n++) {
		if (trace_is_syscall(pid, trace_pc(pid))) {
			enum crossing how = trial_cross(t, pid, level, naps, false);

			if (how == LOST)
				return false;
			naps += how == SLEPT;
		} else if (!step_over(pid)) {
			return false;
		}
	}
	return trace_pc(pid) == p->pc && naps == p->naps;
}

static bool reach(struct kill_trial *t, pid_t pid, int level, const struct death *d)
{
	const struct point *p = &d->trace->point[d->point];

	if (t->by_step && !reach_by_step(t, pid, level, p))
		return false;
	if (!t->by_step) {
		for (int i = 0; i < p->naps; i++) {
			const struct point *nap = &d->trace->nap[i];

			if (!run_to(pid, nap->pc, nap->visit) ||
			    trial_cross(t, pid, level, i, false) != SLEPT)
				return false;
		}
		if (!run_to(pid, p->pc, p->visit))
			return false;
	}
	return !p->inside || trial_cross(t, pid, level, p->naps, true) == SLEPT;
}

bool trial_hold(struct kill_trial *t, pid_t *pid, int level, const struct death *death)
{
	*pid = trial_start(t, level);
	if (reach(t, *pid, level, death))
		return true;
	trace_kill(*pid);
	return false;
}

bool trial_death(struct kill_trial *t, int level, const struct death *death)
{
	pid_t pid = trial_start(t, level);
	bool there = reach(t, pid, level, death);

	trace_kill(pid);
	if (there && t->hold)
		t->left = trial_key(t, true);
	if (there && t->s->died)
		t->s->died(t);
	if (level == 0 && !t->hold) {
		open_gates();
		start_rest(t, 0, KILL_OTHERS - 1);
	}
	return there;
}

/* --- the held ----------------------------------------------------------------------------- */

pid_t trial_start_peer(struct kill_trial *t)
{
	pid_t pid = trace_fork(run_peer, t, true);

	trace_adopt(pid);
	t->other[KILL_PEER] = (struct other){ pid, false };
	t->peer = true;
	return pid;
}

bool trial_hold_peer(struct kill_trial *t, const struct death *death)
{
	return reach(t, trial_start_peer(t), LEVEL_PEER, death);
}

void trial_let_go(struct kill_trial *t, int i)
{
	trace_continue(t->other[i].pid, 0);
	trial_settle(t, i);
}

bool trial_others_wait(struct kill_trial *t)
{
	bool wait = false;

	start_rest(t, 0, KILL_OTHERS - 1);
	for (int i = 0; i < KILL_OTHERS - 1; i++) {
		if (t->other[i].pid && !t->other[i].over)
			trial_settle(t, i);
		wait |= t->other[i].pid && !t->other[i].over;
	}
	return wait;
}

uint64_t trial_key(struct kill_trial *t, bool crossed)
{
	if (crossed) {
		t->awake = 0;
		for (int i = 0; i < KILL_OTHERS; i++)
			if (t->other[i].pid)
				t->awake += (t->other[i].over			  ? 3u
					     : trace_asleep(t->other[i].pid) ? 2u
									     : 1u)
					    * (0x9e3779b97f4a7c15u << i);
	}
	return image_key() + t->awake;
}

void trial_repair(struct kill_trial *t)
{
	if (t->room->repair)
		t->bad |= run(t, run_repair);
}

void trial_stopped(struct kill_trial *t)
{
	if (t->room->stopped)
		t->bad |= run(t, run_stopped);
}

unsigned trial_end(struct kill_trial *t)
{
	trial_repair(t);
	return trial_finish(t);
}

unsigned trial_finish(struct kill_trial *t)
{
	open_gates();
	collect(t);
	start_rest(t, 0, KILL_OTHERS - 1);
	collect(t);
	start_rest(t, KILL_OTHERS - 1, KILL_OTHERS);
	collect(t);
	if (!(t->bad & KILL_STUCK) && t->s->check)
		t->bad |= run(t, run_check);
	trial_abandon(t);
	return t->bad;
}

void trial_abandon(struct kill_trial *t)
{
	for (int i = 0; i < KILL_OTHERS; i++)
		if (t->other[i].pid)
			stop(t, i);
}
