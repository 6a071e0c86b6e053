/* Pipes: sending, receiving, giving away, closing, making; with others asleep, lines full and
   empty, small and large messages. */
#include "conn_world.h"
#include "engine.h"
#include <errno.h>
#include <unistd.h>

/* --- sending ------------------------------------------------------------------------------- */

static void send_one(size_t size)
{
	kill_count_begun();
	if (conn_send(conn_a(), atomic_load(&kill_control->note[FIRST]), size, PRONG_FOREVER))
		conn_note_bad(KILL_STUCK);
	kill_count_done();
}

static void send_small(void)
{
	send_one(SMALL);
}

static void send_large(void)
{
	send_one(LARGE);
}

/* Receives all, in order, to the end. */
static unsigned receiver(void)
{
	uint64_t number = 0, wanted = 0;
	int r;

	while ((r = conn_recv(conn_b(), &number, world_deadline())) == 0) {
		if (number != wanted++)
			return kill_because(KILL_TORN, "message %llu instead of %llu",
					    (unsigned long long)number,
					    (unsigned long long)wanted - 1);
		atomic_fetch_add(&kill_control->note[RECEIVED], 1);
	}
	return r == PRONG_CLOSED ? 0 : kill_because(KILL_STUCK, "recv: %s", prong_error_detail());
}

static void other_comes(struct kill_trial *t, int nth)
{
	if (nth == 0)
		kill_place(t, 0);
}

/* So many that the next does not find room. */
static void fill(size_t size)
{
	uint64_t n = 0;

	conn_make(0);
	while (conn_send(conn_a(), n, size, PRONG_NOW) == 0)
		n++;
	atomic_store(&kill_control->note[FIRST], n);
	world_become(-1);
}

static void fill_small(void)
{
	fill(SMALL);
}

static void fill_large(void)
{
	fill(LARGE);
}

/* The late one sends on the end that the dead thread used. */
static unsigned goes_on_sending(void)
{
	uint64_t before = atomic_load(&kill_control->note[RECEIVED]), number = 0;
	unsigned bad = 0;

	while (conn_recv(conn_b(), &number, PRONG_NOW) == 0)
		atomic_fetch_add(&kill_control->note[RECEIVED], 1);
	if (atomic_load(&kill_control->note[RECEIVED]) > before + 1)
		bad = KILL_TWICE;
	for (int i = 0; i < 3 && !bad; i++)
		if (conn_send(conn_a(), (uint64_t)i + 7, i % 2 ? SMALL : LARGE, world_deadline()) ||
		    conn_recv(conn_b(), &number, world_deadline()) || number != (uint64_t)i + 7)
			bad = kill_because(KILL_TORN, "after it: %s", prong_error_detail());
	prong_conn_free(conn_a());
	return bad | conn_end_b();
}

static unsigned receives_one(void)
{
	prong_time deadline = world_deadline();
	uint64_t number;

	/* Its last look, after a lost wake, would find the message too. */
	if (conn_recv(conn_b(), &number, deadline) ||
	    prong_ns_between(prong_clock(), deadline) <= 0)
		return kill_because(KILL_STUCK, "recv: %s", prong_error_detail());
	atomic_fetch_add(&kill_control->note[RECEIVED], 1);
	return 0;
}

/* Another thread at the dead one's end; it does not wake for what that has sent. */
static unsigned sends_unless_sent(void)
{
	kill_gate(0);
	if (prongi_lane_send_begin(conn_a()->out, world_deadline()))
		return KILL_STUCK;
	prong_mutex_unlock(&conn_a()->out->sending);
	if (prongi_position(atomic_load(&conn_a()->out->tail)))
		return 0;
	atomic_fetch_add(&kill_control->note[FIRST], 1);
	return conn_send(conn_a(), 0, SMALL, world_deadline()) ? KILL_STUCK : 0;
}

static unsigned ends_both(void)
{
	prong_conn_free(conn_a());
	return conn_end_b();
}

/* --- receiving ----------------------------------------------------------------------------- */

static void three(size_t size)
{
	conn_make(KILL_OTHERS);
	for (uint64_t i = 0; i < 3; i++)
		if (conn_send(conn_b(), i, i % 2 ? LARGE + SMALL - size : size, PRONG_NOW))
			_exit(1);
	atomic_store(&kill_control->note[FIRST], 3);
	world_become(-1);
}

static void three_small(void)
{
	three(SMALL);
}

static void three_large(void)
{
	three(LARGE);
}

static void recv_one(void)
{
	uint64_t number = 99;

	kill_count_begun();
	if (conn_recv(conn_a(), &number, PRONG_FOREVER) || number != 0)
		conn_note_bad(KILL_TORN);
	kill_count_done();
}

static void take_one(void)
{
	size_t size = 0;

	kill_count_begun();
	if (prong_conn_recv_take(conn_a(), &world->root[2], &size, PRONG_FOREVER) ||
	    conn_number(world->root[2], size) != 0)
		conn_note_bad(KILL_TORN);
	kill_count_done();
}

static void recv_too_long(void)
{
	char byte;

	if (prong_conn_recv(conn_a(), &byte, 1, NULL, PRONG_FOREVER) != -EMSGSIZE)
		conn_note_bad(KILL_TORN);
}

static unsigned sends_three(void)
{
	for (uint64_t i = 0; i < 3; i++)
		if (conn_send(conn_b(), i, i % 2 ? LARGE : SMALL, world_deadline()))
			return kill_because(KILL_STUCK, "send: %s", prong_error_detail());
	atomic_store(&kill_control->note[FIRST], 3);
	return 0;
}

/* The late one receives what the dead thread has not. */
static unsigned goes_on_receiving(void)
{
	uint64_t number = 0, next = UINT64_MAX, left = 0;
	unsigned bad = 0;

	while (conn_recv(conn_a(), &number, PRONG_NOW) == 0) {
		if (next != UINT64_MAX && number != next)
			bad = kill_because(KILL_TORN, "message %llu instead of %llu",
					   (unsigned long long)number, (unsigned long long)next);
		next = number + 1;
		left++;
	}
	if (left && conn_peer_died(KILL_PEER))
		atomic_store(&kill_control->note[FIRST], next); /* it may have sent one or not */
	if (left && next != atomic_load(&kill_control->note[FIRST]))
		bad |= kill_because(KILL_LOST, "the last one is missing");
	/* Those that the victim has. */
	atomic_store(&kill_control->note[RECEIVED],
		     2 * atomic_load(&kill_control->note[FIRST]) - left);
	prong_free_at(&world->root[2]);
	prong_conn_free(conn_a());
	return bad | conn_end_b();
}

/* --- round the end of the ring ------------------------------------------------------------- */

#define UNITS (BUFFER / PRONGI_UNIT)

/* The next message has its first unit at the ring's end, and the others at its beginning. */
static void sends_wrap(void)
{
	conn_make(KILL_OTHERS);
	conn_pass(true, UNITS - 1);
	world_become(-1);
}

static void three_wrap(void)
{
	conn_make(KILL_OTHERS);
	conn_pass(false, UNITS - 1);
	for (uint64_t i = 0; i < 3; i++)
		if (conn_send(conn_b(), i, SMALL, PRONG_NOW))
			die("no room for three");
	atomic_store(&kill_control->note[FIRST], 3);
	world_become(-1);
}

/* --- no memory ----------------------------------------------------------------------------- */

static void no_memory_to_send(void)
{
	conn_make_for_thread();
	conn_fill_heap();
}

static void no_memory_to_take(void)
{
	three_small();
	conn_fill_heap();
}

/* Nothing is sent, and a small one needs no memory. */
static void send_no_memory(void)
{
	if (conn_send(conn_a(), 0, LARGE, PRONG_NOW) != -ENOMEM)
		conn_note_bad(KILL_TORN);
	send_small();
}

/* It is still the next message, which needs no memory to be copied. */
static void take_no_memory(void)
{
	size_t size = 0;

	if (prong_conn_recv_take(conn_a(), &world->root[2], &size, PRONG_NOW) != -ENOMEM ||
	    world->root[2] || size)
		conn_note_bad(KILL_TORN);
	recv_one();
}

static unsigned goes_on_sending_with_memory(void)
{
	world_memory_back();
	return goes_on_sending();
}

static unsigned goes_on_receiving_with_memory(void)
{
	world_memory_back();
	return goes_on_receiving();
}

/* --- the peers ----------------------------------------------------------------------------- */

static unsigned receives_what_there_is(void)
{
	uint64_t number;

	if (conn_recv(conn_b(), &number, PRONG_NOW) == 0)
		atomic_fetch_add(&kill_control->note[RECEIVED], 1);
	return 0;
}

static unsigned sends_the_fourth(void)
{
	if (conn_send(conn_b(), 3, SMALL, PRONG_NOW))
		return kill_because(KILL_TORN, "send: %s", prong_error_detail());
	atomic_fetch_add(&kill_control->note[FIRST], 1);
	return 0;
}

/* --- closing and giving -------------------------------------------------------------------- */

static void close_mine(void)
{
	prong_conn_free(conn_a());
}

/* The other end is closed already, and there is something of each kind in both lanes. */
static void last_one(void)
{
	conn_make(0);
	for (uint64_t i = 0; i < 2; i++)
		if (conn_send(conn_a(), i, i ? LARGE : SMALL, PRONG_NOW) ||
		    conn_send(conn_b(), i, i ? LARGE : SMALL, PRONG_NOW))
			_exit(1);
	prong_conn_free(conn_b());
	world_become(-1);
}

static void give_away(void)
{
	if (prong_conn_give(conn_a(), conn_process(2)))
		conn_note_bad(KILL_TORN);
}

/* Who is to have it has ended; it is closed then, and its owner until now no longer has it. */
static void for_one_who_ended(void)
{
	conn_make_for_victim();
	conn_process_ends(2);
}

static void give_to_nobody(void)
{
	if (prong_conn_give(conn_a(), conn_process(2)) != -ESRCH)
		conn_note_bad(KILL_TORN);
	if (conn_send(conn_b(), 0, SMALL, PRONG_NOW) != PRONG_CLOSED)
		conn_note_bad(KILL_TORN);
}

/* The other end is closed at the same time, with messages of all kinds in both lanes. */
static void some_under_way(void)
{
	conn_make(0);
	for (uint64_t i = 0; i < 2; i++)
		if (conn_send(conn_a(), i, i ? LARGE : SMALL, PRONG_NOW) ||
		    conn_send(conn_b(), i, i ? LARGE : SMALL, PRONG_NOW))
			die("no room for two");
	world_become(-1);
}

static unsigned closes_theirs(void)
{
	prong_conn_free(conn_b());
	return 0;
}

static void give_on(void)
{
	if (prong_conn_give(conn_a(), conn_process(KILL_OTHERS)))
		conn_note_bad(KILL_TORN);
}

/* As the owner that a may have by now; then b, unless that was done. */
static unsigned closes_both(void)
{
	prong_conn_free(conn_a());
	return conn_end_b();
}

/* Another makes a pipe and closes it. */
static unsigned makes_one_too(void)
{
	prong_conn *c, *d;

	if (prong_pipe(&c, &d, &(prong_pipe_opts){ .buffer = BUFFER }))
		return KILL_TORN;
	prong_conn_free(c);
	prong_conn_free(d);
	return 0;
}

/* Other 1, who has a now, if that was given: it sends one, and closes. */
static unsigned new_owner(void)
{
	kill_gate(0);
	prongi_begin(&prongi_heap->pipes.lock); /* the dead one's section is over */
	prongi_end(&prongi_heap->pipes.lock);
	if (atomic_load(&conn_a()->owner) != prongi_process_ref(conn_process(2)))
		return 0;
	if (conn_send(conn_a(), 0, SMALL, world_deadline()))
		return KILL_STUCK;
	prong_conn_free(conn_a());
	return 0;
}

/* Other 0 sleeps on the victim's own end, as a thread of the victim's could. */
static unsigned sleeps_on_mine(void)
{
	prong_time deadline = world_deadline();
	uint64_t number;
	int r = conn_recv(conn_a(), &number, deadline);

	/* A wake that was lost would be made good for at the deadline. */
	if (r != PRONG_CLOSED || prong_ns_between(prong_clock(), deadline) <= 0)
		return kill_because(KILL_STUCK, "recv on the own end: %s", prong_error_detail());
	return 0;
}

/* Other 1: the sleeper learns of that only if the victim has not got so far. */
static unsigned closes_unless_freed(void)
{
	kill_gate(0);
	prongi_begin(&prongi_heap->pipes.lock); /* the dead one's section is over */
	prongi_end(&prongi_heap->pipes.lock);
	if (!prongi_conn_freed(conn_a()))
		prong_conn_free(conn_b());
	return 0;
}

static void make_one(void)
{
	if (prong_pipe((prong_conn **)&world->root[0], (prong_conn **)&world->root[1],
		       &(prong_pipe_opts){ .buffer = BUFFER }))
		conn_note_bad(KILL_TORN);
}

static const struct kill_scenario scenarios[] = {
	{ .name = "send-asleep", .setup = conn_make_for_victim, .before = conn_placed,
	  .victim = send_small, .other = { receiver }, .late = conn_end_b,
	  .check = conn_check_received },
	{ .name = "send-large-asleep", .setup = conn_make_for_victim, .before = conn_placed,
	  .victim = send_large, .other = { receiver }, .late = conn_end_b,
	  .check = conn_check_received },
	{ .name = "send-full", .setup = fill_small, .victim = send_small, .asleep = other_comes,
	  .other = { receiver }, .late = conn_end_b, .check = conn_check_received },
	{ .name = "send-large-full", .setup = fill_large, .victim = send_large,
	  .asleep = other_comes, .other = { receiver }, .late = conn_end_b,
	  .check = conn_check_received },
	{ .name = "send-asleep-thread", .setup = conn_make_for_one, .before = conn_both_placed,
	  .victim = send_small, .other = { receives_one, sends_unless_sent },
	  .late = ends_both, .check = conn_check_received },
	{ .name = "send-thread", .setup = conn_make_for_thread, .victim = send_small,
	  .late = goes_on_sending, .peer = receives_what_there_is, .check = conn_check_received },
	{ .name = "send-large-thread", .setup = conn_make_for_thread, .victim = send_large,
	  .late = goes_on_sending, .peer = receives_what_there_is, .check = conn_check_received },
	{ .name = "recv-thread", .setup = three_small, .victim = recv_one,
	  .late = goes_on_receiving, .peer = sends_the_fourth, .check = conn_check_received },
	{ .name = "recv-large-thread", .setup = three_large, .victim = recv_one,
	  .late = goes_on_receiving, .peer = sends_the_fourth, .check = conn_check_received },
	{ .name = "recv-empty-thread", .setup = conn_make_for_thread, .victim = recv_one,
	  .asleep = other_comes, .other = { sends_three }, .late = goes_on_receiving,
	  .check = conn_check_received },
	{ .name = "recv_take-thread", .setup = three_small, .victim = take_one,
	  .late = goes_on_receiving, .check = conn_check_received },
	{ .name = "recv_take-large-thread", .setup = three_large, .victim = take_one,
	  .late = goes_on_receiving, .check = conn_check_received },
	{ .name = "recv-too-long-thread", .setup = three_large, .victim = recv_too_long,
	  .late = goes_on_receiving, .check = conn_check_received },
	{ .name = "close-asleep", .setup = conn_make_for_victim, .before = conn_placed,
	  .victim = close_mine, .other = { receiver }, .late = conn_end_b, .check = conn_check },
	{ .name = "close-own-asleep", .setup = conn_make_for_victim, .before = conn_both_placed,
	  .victim = close_mine, .other = { sleeps_on_mine, closes_unless_freed },
	  .late = conn_end_b, .check = conn_check },
	{ .name = "close-last", .setup = last_one, .victim = close_mine, .late = conn_sweep,
	  .check = conn_check },
	{ .name = "give-asleep", .setup = conn_make_for_victim, .before = conn_both_placed,
	  .victim = give_away, .other = { receiver, new_owner }, .late = conn_end_b,
	  .check = conn_check },
	{ .name = "pipe", .setup = conn_count_blocks, .victim = make_one, .late = conn_sweep,
	  .check = conn_check },
	{ .rare = true, .name = "send-wraps-thread",
	  .setup = sends_wrap, .victim = send_small, .late = goes_on_sending,
	  .peer = receives_what_there_is, .check = conn_check_received },
	{ .rare = true, .name = "recv-wraps-thread",
	  .setup = three_wrap, .victim = recv_one, .late = goes_on_receiving,
	  .peer = sends_the_fourth, .check = conn_check_received },
	{ .rare = true, .name = "recv_take-wraps-thread",
	  .setup = three_wrap, .victim = take_one, .late = goes_on_receiving,
	  .check = conn_check_received },
	{ .rare = true, .name = "send-large-no-memory-thread",
	  .setup = no_memory_to_send, .victim = send_no_memory,
	  .late = goes_on_sending_with_memory, .check = conn_check_received },
	{ .rare = true, .name = "recv_take-no-memory-thread",
	  .setup = no_memory_to_take, .victim = take_no_memory,
	  .late = goes_on_receiving_with_memory, .check = conn_check_received },
	{ .rare = true, .name = "give-to-one-ended",
	  .setup = for_one_who_ended, .before = conn_placed, .victim = give_to_nobody,
	  .other = { receiver }, .late = conn_end_b, .check = conn_check },
	{ .name = "close-beside-a-close", .setup = some_under_way, .victim = close_mine,
	  .late = closes_both, .peer = closes_theirs, .check = conn_check },
	{ .rare = true, .name = "give-beside-a-close",
	  .setup = some_under_way, .victim = give_on, .late = closes_both,
	  .peer = closes_theirs, .check = conn_check },
	{ .rare = true, .name = "pipe-beside-a-pipe",
	  .setup = conn_count_blocks, .victim = make_one, .late = conn_sweep,
	  .peer = makes_one_too, .check = conn_check },
	{ .name = NULL }
};

const struct kill_room room_conn = {
	.name = "conn", .open = conn_open, .become = world_become, .repair = conn_repair,
	.stopped = world_stopped, .scenarios = scenarios,
	.files = "pipe.c pipe_send.c pipe_recv.c pipe_lane.c prong_conn_send prong_conn_recv "
		 "prong_conn_give prong_conn_free prong_pipe prongi_lane_ prongi_conn_",
};
