/* Trials with a whole family: see family_trial.h. */
#include "family_trial.h"
#include "trace.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAP_SIZE ((size_t)64 << 20)
#define REACH_MS  10000 /* much, for a machine that others use as well */
#define QUIET_MS  400	/* asleep after that, and not at its point: it will not get there */
#define TRIES	  3	/* to get to a point */
#define GONE_MS	  5000 /* for a family to be gone; the promise is 50, of an idle machine */

const struct family_scenario *family_now;

static struct {
	pid_t main, victim;
	int signal; /* that the victim stopped for, at its beginning */
	int64_t longest; /* milliseconds until a family was gone */
	FILE *out;
} now;

/* --- a family begins ---------------------------------------------------------------------- */

static void await_stage(uint64_t stage)
{
	int64_t until = now_ms() + REACH_MS;

	while (family_note(FAMILY_STAGE) < stage) {
		int status;

		if (waitpid(now.main, &status, WNOHANG) == now.main)
			die("main ended before its time with %#x", status);
		if (now_ms() > until) {
			row_stuck(now.out, now.main);
			die("main does not get to stage %d", (int)stage);
		}
		family_nap();
	}
}

/* Server, guard and ready children have nothing to do. */
static bool quiet(void)
{
	const struct prongi_server *s = &prongi_heap->server;

	for (int k = 0; k < PRONGI_READY; k++) {
		if ((s->ready[k] & 3) != PRONGI_READY_WAITS) {
			prongi_ring(); /* the server makes one when it has something to do */
			return false;
		}
		if (!trace_asleep((pid_t)(s->ready[k] >> 32)))
			return false;
	}
	return trace_asleep(s->pid) && trace_asleep(s->guard);
}

static void await_quiet(void)
{
	int64_t until = now_ms() + REACH_MS;

	while (!quiet()) {
		if (now_ms() > until)
			die("server, guard and ready children do not come to rest");
		family_nap();
	}
}

static void map_heap(void)
{
	if (prongi_heap)
		prongi_os_heap_unmap(prongi_heap, HEAP_SIZE);
	prongi_heap = NULL;
	if (!family_now->early && prongi_family_map(HEAP_SIZE))
		die("no heap");
}

static void family_begin(void)
{
	map_heap();
	memset(kill_control, 0, sizeof *kill_control);
	fflush(now.out);
	now.main = trace_fork(family_main, NULL, false);
	await_stage(1);
	if (!family_now->early)
		await_quiet();
}

/* --- the victim stops at the beginning of its operation ----------------------------------- */

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

static bool rests(pid_t pid, enum trace_rest as)
{
	return await_rest(pid).rest == as;
}

/* It waits at a gate, and then runs into its first marker. */
static bool stop_at_marker(pid_t pid, int gate)
{
	trace_seize(pid, false);
	kill_open(gate);
	return rests(pid, TRACE_TRAP) && trace_trap(pid) == (uintptr_t)&kill_begin;
}

/* Main has done the operation, or waits in it for somebody, or has ended. */
static bool operated(void)
{
	return family_note(FAMILY_STAGE) == 2 || prongi_os_ended(now.main) ||
	       (family_note(FAMILY_GOING) && trace_asleep(now.main));
}

static bool await_operation(void)
{
	int64_t until = now_ms() + REACH_MS;

	while (!operated()) {
		if (now_ms() > until)
			return false;
		family_nap();
	}
	return true;
}

/* It sleeps, and is kept from waking until the operation has called it. */
static bool stop_asleep(pid_t pid)
{
	struct trace_event e;

	trace_seize(pid, false);
	trace_interrupt(pid);
	if (!rests(pid, TRACE_TRAP))
		return false;
	kill_open(FAMILY_GATE_MAIN);
	if (!await_operation())
		return false;
	trace_to_syscall(pid); /* begins again what it slept in, unless there is a signal */
	e = await_rest(pid);
	now.signal = e.rest == TRACE_SIGNAL ? WSTOPSIG(e.status) : 0;
	if (now.signal)
		return true;
	trace_to_syscall(pid);
	return e.rest == TRACE_SYSCALL && rests(pid, TRACE_SYSCALL);
}

/* Follow the forks of prong_open(): main, guard, server. */
static bool stop_at_birth(int generation)
{
	pid_t pid = now.main;

	trace_seize(pid, true);
	kill_open(FAMILY_GATE_MAIN);
	for (int i = 0; i < generation; i++) {
		pid_t child = trace_forked(pid, REACH_MS);

		if (!child)
			return false;
		trace_detach(pid, 0);
		pid = child;
		if (!rests(pid, TRACE_TRAP))
			return false;
		if (i + 1 < generation)
			trace_continue(pid, 0);
	}
	trace_no_forks(pid);
	now.victim = pid;
	return true;
}

static bool stop_victim(void)
{
	const struct prongi_server *s = prongi_heap ? &prongi_heap->server : NULL;

	now.signal = 0;
	switch (family_now->victim) {
	case VICTIM_MAIN:
		now.victim = now.main;
		return stop_at_marker(now.main, FAMILY_GATE_MAIN);
	case VICTIM_MEMBER:
		now.victim = (pid_t)family_note(FAMILY_MEMBER);
		return stop_at_marker(now.victim, FAMILY_GATE_MEMBER);
	case VICTIM_NEW_GUARD:
		return stop_at_birth(1);
	case VICTIM_NEW_SERVER:
		return stop_at_birth(2);
	case VICTIM_SERVER:
		now.victim = s->pid;
		break;
	case VICTIM_GUARD:
		now.victim = s->guard;
		break;
	case VICTIM_READY:
		now.victim = (pid_t)(s->ready[0] >> 32);
		break;
	case VICTIM_PROCESS:
		now.victim = (pid_t)family_note(FAMILY_PROCESS);
	}
	return stop_asleep(now.victim);
}

/* --- recording, and getting to a point ---------------------------------------------------- */

/* Those who serve go to sleep when they are done; the others when they wait for them. */
static bool sleep_is_end(void)
{
	return family_now->victim == VICTIM_SERVER || family_now->victim == VICTIM_GUARD ||
	       family_now->victim == VICTIM_NEW_GUARD || family_now->victim == VICTIM_NEW_SERVER;
}

/* Through a system call.  Return what it rests at after it. */
static struct trace_event cross(pid_t pid, bool *slept)
{
	struct trace_event e;

	*slept = false;
	trace_to_syscall(pid);
	e = await_rest(pid);
	if (e.rest != TRACE_SYSCALL)
		return e;
	trace_to_syscall(pid);
	e = trace_wait(pid, REACH_MS, true);
	if (e.rest != TRACE_ASLEEP)
		return e;
	*slept = true;
	return sleep_is_end() ? e : await_rest(pid);
}

/* Signals go into their handlers.  False: pid does not rest at an instruction. */
static bool pass_signals(pid_t pid, struct trace_event e)
{
	while (e.rest == TRACE_SIGNAL) {
		trace_step(pid, WSTOPSIG(e.status));
		e = await_rest(pid);
	}
	return e.rest == TRACE_TRAP || e.rest == TRACE_SYSCALL;
}

/* One instruction, or one system call.  False: that was the end. */
static bool advance(pid_t pid, struct trace *out, struct point p)
{
	struct trace_event e;
	bool slept = false;

	if (trace_is_syscall(pid, p.pc)) {
		e = cross(pid, &slept);
	} else {
		trace_step(pid, 0);
		e = await_rest(pid);
	}
	if (slept) {
		p.inside = true;
		trace_add(out, p);
	}
	return pass_signals(pid, e);
}

static void record_family(pid_t pid, struct trace *out)
{
	struct visits *visits = visits_new();

	*out = (struct trace){ .failed = NULL };
	if (now.signal) {
		trace_step(pid, now.signal);
		pass_signals(pid, await_rest(pid));
	}
	for (;;) {
		struct point p = { .pc = trace_pc(pid) };

		p.visit = visits_add(visits, p.pc, 1);
		trace_add(out, p);
		if (p.pc == (uintptr_t)&kill_end || !advance(pid, out, p))
			break;
	}
	visits_free(visits);
}

static bool reach(pid_t pid, const struct point *p)
{
	uint32_t visit = p->visit;
	int signal = now.signal;
	bool slept;

	if (p->pc == (uintptr_t)&kill_end) {
		trace_continue(pid, signal);
		return rests(pid, TRACE_TRAP) && trace_trap(pid) == p->pc;
	}
	trace_watch(pid, p->pc);
	while (visit) {
		struct trace_event e;

		trace_continue(pid, signal);
		e = await_rest(pid);
		signal = e.rest == TRACE_SIGNAL ? WSTOPSIG(e.status) : 0;
		if (e.rest == TRACE_TRAP && trace_pc(pid) == p->pc)
			visit--;
		else if (e.rest != TRACE_SIGNAL)
			return false;
	}
	trace_watch(pid, 0);
	if (!p->inside)
		return true;
	trace_to_syscall(pid);
	if (!rests(pid, TRACE_SYSCALL))
		return false;
	trace_to_syscall(pid);
	slept = trace_wait(pid, REACH_MS, true).rest == TRACE_ASLEEP;
	return slept;
}

/* --- the end of a family ------------------------------------------------------------------ */

/* Children of the harness; orphans of the family are among them.  All are killed if asked to. */
static int children(bool kill_them)
{
	char path[64], text[4096];
	int fd, n = 0;
	ssize_t got;

	snprintf(path, sizeof path, "/proc/self/task/%ld/children", syscall(SYS_gettid));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("cannot list children");
	got = read(fd, text, sizeof text - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	for (char *p = text, *end; *p; p = end + (*end != '\0'), n++) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		if (kill_them)
			kill((pid_t)pid, SIGKILL);
	}
	return n;
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
}

/* True when nobody of the family is left, soon. */
static bool gone(void)
{
	int64_t began = now_ms();

	for (;;) {
		reap();
		if (children(false) == 0)
			break;
		if (now_ms() - began > GONE_MS)
			return false;
		family_nap();
	}
	if (now_ms() - began > now.longest)
		now.longest = now_ms() - began;
	return true;
}

static void sweep_away(void)
{
	while (children(true)) {
		family_nap();
		reap();
	}
}

static unsigned stuck_main(void)
{
	row_stuck(now.out, now.main);
	return kill_because(KILL_STUCK, "main does not end");
}

/* All may go on; what does main find? */
static unsigned family_end(void)
{
	unsigned bad = 0;

	for (int g = 0; g < KILL_GATES; g++)
		kill_open(g);
	if (family_now->victim != VICTIM_MAIN) {
		int ms = options.wait ? INT_MAX : 3 * kill_patience_ms;
		struct trace_event e = trace_wait(now.main, ms, false);

		if (e.rest != TRACE_GONE)
			bad = stuck_main();
		else if (WIFEXITED(e.status))
			bad = (unsigned)WEXITSTATUS(e.status);
		else
			bad = kill_because(KILL_TORN, "main was killed by signal %d",
					   WTERMSIG(e.status));
		if (e.rest != TRACE_GONE)
			trace_kill(now.main);
	}
	if (!gone())
		bad |= kill_because(KILL_LEAKED, "%d processes are left after main",
				    children(false));
	sweep_away();
	return bad;
}

/* --- exploring ---------------------------------------------------------------------------- */

static void family_abandon(void)
{
	if (now.victim && now.victim != now.main)
		trace_kill(now.victim);
	trace_kill(now.main);
	sweep_away();
}

/* Begin a family, and get its victim to the point.  False: it went another way, each time. */
static bool begin_at(const struct point *p)
{
	for (int i = 0; i < (options.shortly ? 1 : TRIES); i++) {
		now.victim = 0;
		family_begin();
		if (stop_victim() && reach(now.victim, p))
			return true;
		family_abandon();
	}
	return false;
}

static void try_point(struct row *row, const struct kill_scenario *s, const struct point *p)
{
	unsigned bad;

	if (!begin_at(p)) {
		row->missed++;
		return;
	}
	trace_kill(now.victim);
	bad = family_end();
	row_count(row, bad);
	coverage_add(p->pc);
	if (bad && (row->bad <= 5 || options.verbose))
		row_describe(now.out, "process", s->name, p, bad);
}

/* Each point is a family of its own, and takes milliseconds: so of long traces a part. */
static size_t budget(void)
{
	if (options.all || options.mutant)
		return SIZE_MAX / 4;
	return options.shortly ? options.share / 4 : 3000;
}

static size_t common_divisor(size_t a, size_t b)
{
	while (b) {
		size_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* A step that takes one through n points in a mixed order: so what is left out for want of time is
   left out everywhere. */
static size_t stride(size_t n)
{
	size_t step = n / 8 * 5 + 1;

	while (common_divisor(n, step) != 1)
		step++;
	return step;
}

struct row family_explore(const struct kill_scenario *s, FILE *out)
{
	struct row row = { .room = "process", .scenario = s->name, .began = now_ms() };
	struct trace trace;
	size_t *at, n, step;

	if (options.mutant && !mutant_set(options.mutant))
		die("this program was built with a library that cannot be broken");
	family_now = s->family;
	now.out = out;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	kill_control = mmap(NULL, sizeof *kill_control, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	family_begin();
	if (!stop_victim())
		die("%s: the victim does not get to its beginning", s->name);
	record_family(now.victim, &trace);
	family_abandon();
	n = points_sampled(&trace, SIZE_MAX / 4, 0, false, &at);
	step = stride(n);
	for (size_t k = 0, i = 0; k < n && !row_enough(&row); k++, i = (i + step) % n) {
		const struct point *p = &trace.point[at[i]];

		if (sampled(i, n, budget(), 0) || point_uncovered(p))
			try_point(&row, s, p);
	}
	row.sampled = trace.n - row.points;
	free(at);
	if (!options.shortly && !options.mutant)
		fprintf(out, "    of %zu instructions every %.1fth; gone after %lld ms at most\n",
			trace.n, (double)trace.n / (double)(row.points ? row.points : 1),
			(long long)now.longest);
	trace_free(&trace);
	row.ms = now_ms() - row.began;
	return row;
}
