/* Processes: start, join, signal and free as their starter, the server and the child see them; the
   guard; opening and closing. */
#include "family_trial.h"
#include <signal.h>
#include <unistd.h>

static prong_process *victim; /* in main: the member that is to die */
static prong_process *child;

static int seven(void *arg)
{
	(void)arg;
	return 7;
}

static int waits(void *arg)
{
	(void)arg;
	kill_gate(FAMILY_GATE_CHILD);
	return 7;
}

static int sleeps(void *arg)
{
	(void)arg;
	prong_sleep(prong_in_ms(60000));
	return 7;
}

static int marked(void *arg)
{
	(void)arg;
	kill_end();
	return 7;
}

/* Start p, and wait until it runs into its gate. */
static unsigned start(prong_process **p, prong_fn *fn)
{
	int r = prong_process_start(p, fn, NULL, 0, NULL);

	return r ? kill_because(KILL_STUCK, "start: %s", prong_error_detail()) : 0;
}

static unsigned join(prong_process *p, int *code)
{
	int r = prong_process_join(p, code, prong_in_ms(kill_patience_ms));

	return r ? kill_because(KILL_STUCK, "join: %s", prong_error_detail()) : 0;
}

/* p has ended with this code, or was killed. */
static unsigned ended(prong_process *p, int wanted)
{
	int code = wanted;
	unsigned bad = join(p, &code);

	prong_process_free(p);
	return bad | (code == wanted || code == -SIGKILL
			      ? 0 : kill_because(KILL_LOST, "its code is %d", code));
}

/* --- a starter dies ----------------------------------------------------------------------- */

static unsigned member_waits(void)
{
	unsigned bad = start(&victim, family_member);
	int64_t until = now_ms() + kill_patience_ms;

	while (!family_note(FAMILY_MEMBER) && now_ms() < until)
		family_nap();
	return bad;
}

static unsigned member_died(void)
{
	return ended(victim, 7) | family_healthy();
}

static unsigned op_start(void)
{
	return start(&child, seven);
}

static unsigned op_start_join_free(void)
{
	prong_process *p;
	unsigned bad = start(&p, seven);
	int code;

	bad |= join(p, &code);
	prong_process_free(p);
	return bad;
}

static unsigned op_start_with_options(void)
{
	static char argument[1000];
	prong_process_opts opts = { .name = "worker", .cwd = "/", .out = { .kind = PRONG_DISCARD },
				    .env = (const char *const[]){ "KILL=1", NULL } };
	prong_process *p;
	int r = prong_process_start(&p, seven, argument, sizeof argument, &opts);

	return r ? KILL_STUCK : 0;
}

static unsigned op_start_with_files(void)
{
	prong_process_opts opts = { .fds = (const int[]){ 50 }, .nfds = 1 };
	prong_process *p;

	dup2(0, 50);
	return prong_process_start(&p, seven, NULL, 0, &opts) ? KILL_STUCK : 0;
}

static unsigned op_start_signal_join(void)
{
	prong_process *p;
	unsigned bad = start(&p, sleeps);
	int code = 0;

	prong_process_signal(p, SIGTERM);
	bad |= join(p, &code);
	prong_process_free(p);
	return bad | (code == -SIGTERM ? 0 : KILL_LOST);
}

static unsigned op_start_daemon(void)
{
	prong_process *p;
	prong_process_opts opts = { .daemon = true };

	return prong_process_start(&p, sleeps, NULL, 0, &opts) ? KILL_STUCK : 0;
}

/* --- the server dies ---------------------------------------------------------------------- */

static unsigned child_ended(void)
{
	return ended(child, 7) | family_healthy();
}

static unsigned child_waits(void)
{
	return start(&child, waits);
}

static bool has_ended(const prong_process *p)
{
	int64_t until = now_ms() + kill_patience_ms;

	while (!prongi_os_ended(prong_process_pid(p))) {
		if (now_ms() > until)
			return false;
		family_nap();
	}
	return true;
}

/* The child ends, and the server has not seen it yet. */
static unsigned op_child_ends(void)
{
	kill_open(FAMILY_GATE_CHILD);
	return has_ended(child) ? 0 : KILL_STUCK;
}

/* A server that is killed while it reaps a child that has ended by itself must not make that a
   death by a signal: the guard takes it in, and knows. */
static unsigned child_ended_itself(void)
{
	int code = 0;
	unsigned bad = join(child, &code);

	prong_process_free(child);
	return bad | (code == 7 ? 0 : kill_because(KILL_LOST, "its code is %d", code)) |
	       family_healthy();
}

/* A child that dies inside the allocator, with others to be repaired. */
static int dies_inside(void *arg)
{
	(void)arg;
	prongi_begin(&prongi_heap->heap.lock);
	kill_gate(FAMILY_GATE_CHILD);
	raise(SIGKILL);
	return 0;
}

static unsigned child_inside(void)
{
	int64_t until = now_ms() + kill_patience_ms;
	unsigned bad = start(&child, dies_inside);

	while (!prongi_heap->heap.lock && now_ms() < until)
		family_nap();
	return bad;
}

static unsigned killed_inside(void)
{
	unsigned bad = ended(child, -SIGKILL);
	void *p = prong_alloc(100);

	prong_free(p);
	return bad | (p ? 0 : KILL_STUCK) | family_healthy();
}

static unsigned child_sleeps(void)
{
	return start(&child, sleeps);
}

static unsigned child_was_killed(void)
{
	int code = 0;
	unsigned bad = join(child, &code);

	prong_process_free(child);
	return bad | (code == -SIGKILL ? 0 : kill_because(KILL_LOST, "its code is %d", code)) |
	       family_healthy();
}

/* The server passes on what a stopped child had been given. */
static unsigned op_stop_child(void)
{
	return prong_process_signal(child, SIGSTOP) ? KILL_STUCK : 0;
}

/* --- groups --------------------------------------------------------------------------------- */

static prong_group *group;

static unsigned start_in_group(prong_fn *fn, uint32_t grace_ms, enum prong_start_method method)
{
	prong_group_opts opts = { .grace_ms = grace_ms };
	prong_process_opts start = { .method = method };

	if (prong_group_open(&group, &opts))
		return KILL_STUCK;
	start.group = group;
	if (prong_process_start(&child, fn, NULL, 0, &start))
		return kill_because(KILL_STUCK, "group: %s", prong_error_detail());
	return 0;
}

static unsigned group_waits(void)
{
	return start_in_group(waits, 0, PRONG_FORKSERVER);
}

/* Who waits for its children sleeps on one word for all of them. */
static unsigned group_hears(void)
{
	prong_time deadline = prong_in_ms(kill_patience_ms);
	prong_child c;
	int r = prong_group_next(group, &c, deadline);
	unsigned bad = r ? kill_because(KILL_STUCK, "next: %s", prong_error_detail()) : 0;

	if (!bad && prong_ns_between(prong_clock(), deadline) <= 0)
		bad = kill_because(KILL_STUCK, "next: it was not told");
	if (!bad && c.outcome != 0 && c.outcome != PRONG_FAILED)
		bad = kill_because(KILL_LOST, "its outcome is %d", c.outcome);
	prong_group_close(group);
	return bad | family_healthy();
}

/* Asleep before the child ends. */
static unsigned op_child_ends_unseen(void)
{
	kill_open(FAMILY_GATE_CHILD);
	return group_hears();
}

static int hears_nothing(void *arg)
{
	(void)arg;
	signal(SIGTERM, SIG_IGN);
	family_set_note(FAMILY_PROCESS, (uint64_t)getpid());
	for (;;)
		pause();
	return 0;
}

/* A copy of main: it does not end with the server, so the next one has to see to it. */
static unsigned group_hears_nothing(void)
{
	int64_t until = now_ms() + kill_patience_ms;
	unsigned bad = start_in_group(hears_nothing, 1, PRONG_FORK);

	while (!family_note(FAMILY_PROCESS) && now_ms() < until)
		family_nap();
	return bad;
}

/* The server sends SIGTERM, then SIGKILL, and then sees it end. */
static unsigned op_cancel(void)
{
	prong_group_cancel(group);
	return has_ended(child) ? 0 : KILL_STUCK;
}

static unsigned group_was_ended(void)
{
	int r = prong_group_join(group, prong_in_ms(kill_patience_ms));
	unsigned bad = r == PRONG_CANCELLED ? 0 : kill_because(KILL_STUCK, "join: %d", r);

	prong_group_close(group);
	return bad | family_healthy();
}

static unsigned op_group(void)
{
	unsigned bad = start_in_group(sleeps, 1, PRONG_FORKSERVER);

	prong_group_cancel(group);
	return bad | (prong_group_close(group) ? KILL_STUCK : 0);
}

/* --- the child dies ----------------------------------------------------------------------- */

static unsigned op_start_marked(void)
{
	return start(&child, marked);
}

static unsigned op_start_marked_with_options(void)
{
	prong_process_opts opts = { .name = "worker", .cwd = "/", .new_session = true,
				    .out = { .kind = PRONG_DISCARD },
				    .env = (const char *const[]){ "KILL=1", NULL } };
	int r = prong_process_start(&child, marked, NULL, 0, &opts);

	child = r ? NULL : child;
	return 0; /* killed before it runs, it may be refused */
}

static unsigned child_ended_or_refused(void)
{
	return (child ? ended(child, 7) : 0) | family_healthy();
}

static int ends(void *arg)
{
	(void)arg;
	family_set_note(FAMILY_PROCESS, (uint64_t)getpid());
	kill_gate(FAMILY_GATE_CHILD);
	return 7;
}

static unsigned child_is_about_to_end(void)
{
	int64_t until = now_ms() + kill_patience_ms;
	unsigned bad = start(&child, ends);

	while (!family_note(FAMILY_PROCESS) && now_ms() < until)
		family_nap();
	return bad;
}

static unsigned op_open_gate(void)
{
	kill_open(FAMILY_GATE_CHILD);
	return 0;
}

/* A starter that waits for the allocator has taken its ready child, and not told it yet what it is
   to run: the child is killed, and another must do. */
static prong_process *second;

static unsigned op_start_much(void)
{
	static char argument[1000];
	int r = prong_process_start(&second, seven, argument, sizeof argument, NULL);

	return r ? kill_because(KILL_STUCK, "start: %s", prong_error_detail()) : 0;
}

static unsigned both_ended(void)
{
	return ended(second, 7) | ended(child, -SIGKILL) | family_healthy();
}

/* --- the guard dies ----------------------------------------------------------------------- */

static unsigned op_kill_server(void)
{
	pid_t server = prongi_heap->server.pid;
	int64_t until = now_ms() + kill_patience_ms;

	kill(server, SIGKILL);
	while (!prongi_os_ended(server) && now_ms() < until)
		family_nap();
	return 0;
}

static unsigned op_end_main(void)
{
	_exit(0);
}

/* --- opening and closing ------------------------------------------------------------------ */

static unsigned op_open(void)
{
	return prong_open(NULL) ? KILL_STUCK : 0;
}

static unsigned op_try_open(void)
{
	if (prong_open(NULL)) {
		/* The server was killed as it came up: an error, and one may try again. */
	}
	return 0;
}

static unsigned opened_anyway(void)
{
	if (prong_open(NULL))
		return KILL_STUCK;
	family_baseline();
	return family_healthy();
}

static unsigned op_close(void)
{
	return prong_close(PRONG_FOREVER) ? KILL_STUCK : 0;
}

static unsigned closed(void)
{
	return prong_open(NULL) ? KILL_STUCK : family_healthy();
}

static unsigned daemon_runs(void)
{
	prong_process_opts opts = { .daemon = true };

	return prong_process_start(&child, sleeps, NULL, 0, &opts) ? KILL_STUCK : 0;
}

#define FAMILY(...) .family = &(const struct family_scenario){ __VA_ARGS__ }

static const struct kill_scenario scenarios[] = {
	{ .name = "start-by-main",
	  FAMILY(VICTIM_MAIN, .operation = op_start) },
	{ .name = "start-by-a-process",
	  FAMILY(VICTIM_MEMBER, .before = member_waits, .operation = op_start,
		 .after = member_died) },
	{ .name = "start-with-options",
	  FAMILY(VICTIM_MEMBER, .before = member_waits, .operation = op_start_with_options,
		 .after = member_died) },
	{ .name = "start-with-files",
	  FAMILY(VICTIM_MEMBER, .before = member_waits, .operation = op_start_with_files,
		 .after = member_died) },
	{ .name = "start-a-daemon",
	  FAMILY(VICTIM_MEMBER, .before = member_waits, .operation = op_start_daemon,
		 .after = member_died) },
	{ .name = "start-join-free",
	  FAMILY(VICTIM_MEMBER, .before = member_waits, .operation = op_start_join_free,
		 .after = member_died) },
	{ .name = "start-signal-join",
	  FAMILY(VICTIM_MEMBER, .before = member_waits, .operation = op_start_signal_join,
		 .after = member_died) },
	{ .name = "server-at-a-start",
	  FAMILY(VICTIM_SERVER, .operation = op_start, .after = child_ended) },
	{ .name = "server-at-an-end",
	  FAMILY(VICTIM_SERVER, .before = child_waits, .operation = op_child_ends,
		 .after = child_ended_itself) },
	{ .name = "server-at-a-repair",
	  FAMILY(VICTIM_SERVER, .before = child_inside, .operation = op_child_ends,
		 .after = killed_inside) },
	{ .rare = true, .name = "server-at-a-stop",
	  FAMILY(VICTIM_SERVER, .before = child_sleeps, .operation = op_stop_child,
		 .after = child_was_killed) },
	{ .name = "server-at-an-end-of-a-group",
	  FAMILY(VICTIM_SERVER, .before = group_waits, .operation = op_child_ends_unseen,
		 .after = family_healthy) },
	{ .name = "server-at-an-alarm",
	  FAMILY(VICTIM_SERVER, .before = group_hears_nothing, .operation = op_cancel,
		 .after = group_was_ended) },
	{ .name = "group-cancel-close",
	  FAMILY(VICTIM_MEMBER, .before = member_waits, .operation = op_group,
		 .after = member_died) },
	{ .name = "child-at-its-beginning",
	  FAMILY(VICTIM_READY, .operation = op_start_marked, .after = child_ended) },
	{ .name = "child-at-its-beginning-options",
	  FAMILY(VICTIM_READY, .operation = op_start_marked_with_options,
		 .after = child_ended_or_refused) },
	{ .name = "child-while-its-starter-waits",
	  FAMILY(VICTIM_READY, .before = child_inside, .operation = op_start_much,
		 .after = both_ended) },
	{ .name = "child-at-its-end",
	  FAMILY(VICTIM_PROCESS, .before = child_is_about_to_end, .operation = op_open_gate,
		 .after = child_ended) },
	{ .name = "guard-server-killed",
	  FAMILY(VICTIM_GUARD, .before = child_sleeps, .operation = op_kill_server,
		 .after = child_was_killed) },
	{ .name = "guard-main-ends",
	  FAMILY(VICTIM_GUARD, .operation = op_end_main) },
	{ .name = "open-main", FAMILY(VICTIM_MAIN, .early = true, .operation = op_open) },
	{ .name = "open-guard",
	  FAMILY(VICTIM_NEW_GUARD, .early = true, .operation = op_try_open,
		 .after = opened_anyway) },
	{ .name = "open-server",
	  FAMILY(VICTIM_NEW_SERVER, .early = true, .operation = op_try_open,
		 .after = opened_anyway) },
	{ .name = "close-main", FAMILY(VICTIM_MAIN, .before = daemon_runs, .operation = op_close) },
	{ .name = "close-server",
	  FAMILY(VICTIM_SERVER, .operation = op_close, .after = closed) },
	{ .name = NULL }
};

const struct kill_room room_process = {
	.name = "process", .explore = family_explore, .scenarios = scenarios,
	.files = "proc.c child.c children.c start.c process.c prong_process_ prongi_process_ "
		 "prongi_child prongi_start_ guard.c server.c family.c prongi_guard prongi_server_ "
		 "prongi_serve prongi_ring prongi_roots_changed prong_open prong_close "
		 "prongi_enter_slow prongi_signals_ prongi_await_any",
};
