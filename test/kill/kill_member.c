/* What members do beside starting processes from the server: copies of themselves, threads, plain
   forks that join the family; and counted writers, seen by a reader that sleeps all the while. */
#include "family_trial.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static prong_process *victim; /* in main: the member that is to die, */
static prong_process *child;  /* another that was started, */
static prong_process *reader; /* and one that reads */
static prong_queue *queue;

static int seven(void *arg)
{
	(void)arg;
	return 7;
}

static int marked(void *arg)
{
	(void)arg;
	kill_end();
	return 7;
}

static int ends(void *arg)
{
	(void)arg;
	family_set_note(FAMILY_PROCESS, (uint64_t)getpid());
	kill_gate(FAMILY_GATE_CHILD);
	return 7;
}

static unsigned await_note(int note)
{
	int64_t until = now_ms() + kill_patience_ms;

	while (!family_note(note))
		if (now_ms() < until)
			family_nap();
		else
			return kill_because(KILL_STUCK, "a process does not get to its function");
	return 0;
}

static unsigned start(prong_process **p, prong_fn *fn, const prong_process_opts *opts)
{
	int r = prong_process_start(p, fn, NULL, 0, opts);

	return r ? kill_because(KILL_STUCK, "start: %s", prong_error_detail()) : 0;
}

/* p has ended with 7, or was killed where that may be. */
static unsigned ended(prong_process *p, bool may_be_killed)
{
	int code = 0, r = prong_process_join(p, &code, prong_in_ms(kill_patience_ms));

	prong_process_free(p);
	if (r)
		return kill_because(KILL_STUCK, "join: %s", prong_error_detail());
	return code == 7 || (may_be_killed && code == -SIGKILL)
		       ? 0 : kill_because(KILL_LOST, "its code is %d", code);
}

static unsigned member_waits(void)
{
	return start(&victim, family_member, NULL) | await_note(FAMILY_MEMBER);
}

static unsigned member_died(void)
{
	return ended(victim, true) | family_healthy();
}

/* --- copies --------------------------------------------------------------------------------- */

static const prong_process_opts copy = { .method = PRONG_FORK };

static unsigned op_copy(void)
{
	return start(&child, seven, &copy);
}

/* Killed before it runs, it may be refused. */
static unsigned try_copy(prong_fn *fn)
{
	if (prong_process_start(&child, fn, NULL, 0, &copy))
		child = NULL;
	return 0;
}

static unsigned op_try_copy(void)
{
	return try_copy(seven);
}

static unsigned op_copy_marked(void)
{
	return try_copy(marked);
}

static unsigned copy_ended(void)
{
	return (child ? ended(child, true) : 0) | family_healthy();
}

static unsigned copy_is_about_to_end(void)
{
	unsigned bad = start(&child, ends, &copy) | await_note(FAMILY_PROCESS);

	family_set_note(FAMILY_PROCESS, (uint64_t)prongi_nanny_of(child));
	return bad;
}

static unsigned op_open_gate(void)
{
	kill_open(FAMILY_GATE_CHILD);
	return 0;
}

/* --- threads and forks ---------------------------------------------------------------------- */

static unsigned op_thread(void)
{
	prong_thread *t;
	int result = 0;

	if (prong_thread_start(&t, seven, NULL, 0, NULL) ||
	    prong_thread_join(t, &result, prong_in_ms(kill_patience_ms)))
		return KILL_STUCK;
	prong_thread_free(t);
	return result == 7 ? 0 : KILL_LOST;
}

/* A fork of the program's own, which the family learns of by its first call. */
static unsigned fork_joins(bool is_marked)
{
	static prong_mutex own;
	pid_t pid = fork();

	if (pid == 0) {
		if (prong_mutex_lock(&own, PRONG_NOW) || prong_mutex_unlock(&own))
			_exit(1);
		if (is_marked)
			kill_end();
		_exit(7);
	}
	return pid < 0 || waitpid(pid, NULL, 0) != pid ? KILL_STUCK : 0;
}

static unsigned op_fork(void)
{
	return fork_joins(true);
}

/* One that was killed before it had told the guard is found when the next one joins. */
static unsigned another_joins(void)
{
	return fork_joins(false) | family_healthy();
}

/* --- counted writers ------------------------------------------------------------------------ */

/* In the reader, and in main: to the end of the writers. */
static unsigned read_all(void)
{
	char c;
	int r;

	while ((r = prong_queue_get(queue, &c, 1, NULL, prong_in_ms(kill_patience_ms))) == 0)
		;
	return r == PRONG_CLOSED ? 0 : kill_because(KILL_STUCK, "a reader waits for who is gone");
}

static int reads(void *arg)
{
	queue = arg;
	return read_all() ? 1 : 7;
}

static int writes(void *arg)
{
	return prong_queue_put(arg, "x", 1, prong_in_ms(kill_patience_ms)) ? 1 : 7;
}

static int writes_at_gate(void *arg)
{
	int r = ends(NULL);

	return prong_queue_put(arg, "x", 1, prong_in_ms(kill_patience_ms)) ? 1 : r;
}

static unsigned start_writer(prong_process **p, prong_fn *fn)
{
	prong_process_opts opts = { .writes = { queue } };
	int r = prong_process_start(p, fn, queue, 0, &opts);

	return r ? kill_because(KILL_STUCK, "start: %s", prong_error_detail()) : 0;
}

static unsigned make_queue(void)
{
	return prong_queue_new(&queue, &(prong_queue_opts){ .capacity = 8 }) ? KILL_STUCK : 0;
}

static unsigned reader_waits(void)
{
	unsigned bad = make_queue();

	if (prong_process_start(&reader, reads, queue, 0, NULL))
		bad |= kill_because(KILL_STUCK, "start: %s", prong_error_detail());
	return bad;
}

static unsigned reader_and_member_wait(void)
{
	unsigned bad = reader_waits();

	if (prong_process_start(&victim, family_member, queue, 0, NULL))
		return bad | kill_because(KILL_STUCK, "start: %s", prong_error_detail());
	return bad | await_note(FAMILY_MEMBER);
}

static unsigned reader_and_writer_wait(void)
{
	return reader_waits() | start_writer(&child, writes_at_gate) |
	       await_note(FAMILY_PROCESS);
}

static unsigned writer_waits(void)
{
	return make_queue() | start_writer(&child, writes_at_gate) | await_note(FAMILY_PROCESS);
}

/* In the member: where the queue is its argument says. */
static unsigned op_start_writer(void)
{
	queue = prong_process_self()->arg;
	return start_writer(&child, writes);
}

static unsigned free_queue(void)
{
	return prong_queue_free(queue) ? kill_because(KILL_STUCK, "free: %s",
						      prong_error_detail()) : 0;
}

/* One more writer, for the victim may have been killed before there was one at all. */
static unsigned reader_ended(void)
{
	unsigned bad = ended(victim, true);
	prong_process *p;

	bad |= start_writer(&p, writes);
	bad |= ended(p, false) | ended(reader, false);
	return bad | free_queue() | family_healthy();
}

static unsigned reader_heard_of_it(void)
{
	return ended(child, true) | ended(reader, false) | free_queue() | family_healthy();
}

static unsigned op_read(void)
{
	kill_open(FAMILY_GATE_CHILD);
	return read_all();
}

static unsigned main_heard_of_it(void)
{
	return ended(child, true) | free_queue() | family_healthy();
}

#define FAMILY(...) .family = &(const struct family_scenario){ __VA_ARGS__ }

static const struct kill_scenario scenarios[] = {
	{ .rare = true, .name = "start-a-copy",
	  FAMILY(VICTIM_MEMBER, .before = member_waits, .operation = op_copy,
		 .after = member_died) },
	{ .rare = true, .name = "nanny-at-its-beginning",
	  FAMILY(VICTIM_NEW_GUARD, .operation = op_try_copy, .after = copy_ended) },
	{ .rare = true, .name = "copy-at-its-beginning",
	  FAMILY(VICTIM_NEW_SERVER, .operation = op_copy_marked, .after = copy_ended) },
	{ .rare = true, .name = "nanny-at-its-end",
	  FAMILY(VICTIM_PROCESS, .before = copy_is_about_to_end, .operation = op_open_gate,
		 .after = copy_ended) },
	{ .rare = true, .name = "start-a-thread",
	  FAMILY(VICTIM_MEMBER, .before = member_waits, .operation = op_thread,
		 .after = member_died) },
	{ .rare = true, .name = "fork-joins",
	  FAMILY(VICTIM_NEW_GUARD, .operation = op_fork, .after = another_joins) },
	{ .name = "start-a-writer",
	  FAMILY(VICTIM_MEMBER, .before = reader_and_member_wait, .operation = op_start_writer,
		 .after = reader_ended) },
	{ .rare = true, .name = "writer-at-its-end",
	  FAMILY(VICTIM_PROCESS, .before = reader_and_writer_wait, .operation = op_open_gate,
		 .after = reader_heard_of_it) },
	{ .rare = true, .name = "server-at-a-writer's-end",
	  FAMILY(VICTIM_SERVER, .before = writer_waits, .operation = op_read,
		 .after = main_heard_of_it) },
	{ .name = NULL }
};

const struct kill_room room_member = {
	.name = "process", .explore = family_explore, .scenarios = scenarios,
	.files = "fork.c thread.c writers.c prong_thread_ prongi_start_fork",
};
