/* Descriptors through a pipe; and waiting for many things, of which a pipe is one. */
#include "conn_world.h"
#include <errno.h>
#include <unistd.h>

/* --- descriptors --------------------------------------------------------------------------- */

#define AFTER 5 /* number of the message that follows a descriptor */

/* What names the processes differs from run to run. */
static void ignore_numbers(void)
{
	for (int i = 0; i < 2; i++) {
		struct prongi_lane *l = i ? conn_a()->in : conn_a()->out;

		image_ignore(&l->offerer);
		image_ignore(&l->address[0]);
		image_ignore(&l->address[8]);
	}
}

static void make_for_victims_fd(void)
{
	conn_make_for_victim();
	ignore_numbers();
}

static void make_for_threads_fd(void)
{
	conn_make_for_thread();
	ignore_numbers();
}

static void send_fd(void)
{
	kill_count_begun();
	if (prong_conn_send_fd(conn_a(), 1, PRONG_FOREVER))
		conn_note_bad(KILL_STUCK);
	kill_count_done();
}

static void recv_fd(void)
{
	int fd = -1;

	if (prong_conn_recv_fd(conn_a(), &fd, PRONG_FOREVER) || close(fd))
		conn_note_bad(KILL_TORN);
}

/* One more step of the handshake. */
static void other_goes_on(struct kill_trial *t, int nth)
{
	(void)nth;
	kill_place(t, 0);
}

/* Receives descriptors, and the message AFTER, to the end. */
static unsigned fd_receiver(void)
{
	uint64_t number = AFTER;
	int fd, r;

	while ((r = prong_conn_recv_fd(conn_b(), &fd, world_deadline())) == 0 || r == -EBADMSG) {
		if (r == 0 && close(fd) == 0)
			atomic_fetch_add(&kill_control->note[RECEIVED], 1);
		else if (r == 0 || conn_recv(conn_b(), &number, PRONG_NOW) || number != AFTER)
			return kill_because(KILL_TORN, "something else came");
	}
	return r == PRONG_CLOSED ? 0 : kill_because(KILL_STUCK, "recv_fd: %s",
						    prong_error_detail());
}

/* The same end goes on after the dead one. */
static unsigned sends_after(void)
{
	kill_gate(0);
	if (conn_send(conn_a(), AFTER, SMALL, world_deadline()))
		return kill_because(KILL_STUCK, "send: %s", prong_error_detail());
	prong_conn_free(conn_a());
	return 0;
}

static unsigned fd_sender(void)
{
	int r = prong_conn_send_fd(conn_b(), 1, world_deadline());

	return r == 0 || r == PRONG_CLOSED ? 0 : kill_because(KILL_STUCK, "send_fd: %s",
							      prong_error_detail());
}

/* Another thread receives it where the dead one has not. */
static unsigned receives_after(void)
{
	int fd, r;

	kill_gate(0);
	r = prong_conn_recv_fd(conn_a(), &fd, prong_in_ms(300));
	if (r == 0)
		close(fd);
	prong_conn_free(conn_a());
	return r == 0 || r == PRONG_TIMEDOUT ? 0 : kill_because(KILL_STUCK, "recv_fd: %s",
								prong_error_detail());
}

/* --- waiting for many things --------------------------------------------------------------- */

static prong_queue *queue(void)
{
	return world->root[3];
}

static void make_with_queue(void)
{
	conn_make(KILL_OTHERS);
	if (prong_queue_new((prong_queue **)&world->root[3],
			    &(prong_queue_opts){ .capacity = 4 }))
		_exit(1);
	world_become(-1);
}

static void wait_for_many(void)
{
	prong_source s[] = { { .conn = conn_a() }, { .queue = queue() }, { .event = &world->event },
			     { .process = conn_process(2) } };

	if (prong_wait(s, 4, PRONG_FOREVER) || s[0].ready || !s[1].ready || s[2].ready)
		conn_note_bad(KILL_TORN);
}

/* For more than a slot names by itself: the others' names are in a block. */
static void wait_for_more(void)
{
	prong_source s[] = { { .event = &world->event }, { .event = &world->event },
			     { .event = &world->event }, { .conn = conn_a() },
			     { .queue = queue() }, { .queue = queue() } };

	if (prong_wait(s, 6, PRONG_FOREVER) || s[0].ready || s[3].ready || !s[4].ready)
		conn_note_bad(KILL_TORN);
}

static void wait_for_room(void)
{
	prong_source s[] = { { .room = queue() }, { .conn = conn_a() } };

	if (prong_wait(s, 2, PRONG_FOREVER) || !s[0].ready || s[1].ready)
		conn_note_bad(KILL_TORN);
}

static unsigned puts_two(void)
{
	kill_gate(1);
	for (int i = 0; i < 2; i++)
		if (prong_queue_put(queue(), "x", 1, world_deadline()))
			return KILL_STUCK;
	return 0;
}

/* It sleeps beside the victim, and is called as well. */
static unsigned gets_one(void)
{
	prong_time deadline = world_deadline();
	char c;

	if (prong_queue_get(queue(), &c, 1, NULL, deadline) ||
	    prong_ns_between(prong_clock(), deadline) <= 0)
		return kill_because(KILL_STUCK, "get: %s", prong_error_detail());
	return 0;
}

static void getter_comes(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 1);
	kill_pass(t, 1, 0);
}

static unsigned frees_all(void)
{
	if (prong_queue_close(queue()) || prong_queue_free(queue()))
		return kill_because(KILL_STUCK, "free: %s", prong_error_detail());
	prong_conn_free(conn_a());
	return conn_end_b();
}

static const struct kill_scenario scenarios[] = {
	{ .name = "send_fd", .setup = make_for_victims_fd, .before = conn_placed, .victim = send_fd,
	  .asleep = other_goes_on, .other = { fd_receiver }, .late = conn_end_b,
	  .check = conn_check_received },
	{ .rare = true, .name = "send_fd-thread", .setup = make_for_threads_fd,
	  .before = conn_both_placed, .victim = send_fd, .asleep = other_goes_on,
	  .other = { fd_receiver, sends_after }, .late = conn_end_b, .check = conn_check_received },
	{ .name = "recv_fd", .setup = make_for_victims_fd, .before = conn_placed, .victim = recv_fd,
	  .asleep = other_goes_on, .other = { fd_sender }, .late = conn_end_b,
	  .check = conn_check },
	{ .rare = true, .name = "recv_fd-thread", .setup = make_for_threads_fd,
	  .before = conn_both_placed, .victim = recv_fd, .asleep = other_goes_on,
	  .other = { fd_sender, receives_after }, .late = conn_end_b, .check = conn_check },
	{ .name = "wait-asleep", .setup = make_with_queue, .before = conn_placed,
	  .victim = wait_for_many, .asleep = getter_comes, .other = { puts_two, gets_one },
	  .late = frees_all, .check = conn_check },
	{ .rare = true, .name = "wait-asleep-for-more", .setup = make_with_queue,
	  .before = conn_placed, .victim = wait_for_more, .asleep = getter_comes,
	  .other = { puts_two, gets_one }, .late = frees_all, .check = conn_check },
	{ .rare = true, .name = "wait-ready", .setup = make_with_queue, .victim = wait_for_room,
	  .late = frees_all, .check = conn_check },
	{ .name = NULL }
};

const struct kill_room room_conn_fd = {
	.name = "conn", .open = conn_open, .become = world_become, .repair = conn_repair,
	.stopped = world_stopped, .scenarios = scenarios,
	.files = "pipe_fd.c wait.c prong_wait prongi_source_ prongi_event_arm awaits.c",
};
