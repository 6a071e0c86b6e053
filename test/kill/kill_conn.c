/* Pipes: sending, receiving, giving away, closing, making; with others asleep, lines full and
   empty, small and large messages.

   The actors are processes of their own here: who dies is marked so in its record, as the server
   does before it repairs.  The victim uses end `a', others end `b'.  In most scenarios the victim
   owns its end; in those called "-thread" another process does, so that the late one goes on where
   the dead one was. */
#include "flow/pipe.h"
#include "heap_walk.h"
#include <errno.h>
#include <prong/family.h>
#include <string.h>
#include <unistd.h>

#define BUFFER 1024
#define SMALL  24
#define LARGE  400 /* above a quarter of the buffer */

enum { RECEIVED, BAD, FIRST }; /* notes: messages received; what the victim found; by the setup */

static uint64_t blocks; /* of the heap, before the scenario made its own */

static uint64_t blocks_now(void)
{
	prong_family_stats stats;

	prong_family_stat(&stats);
	return stats.blocks;
}

static prong_conn *a(void)
{
	return world->root[0];
}

static prong_conn *b(void)
{
	return world->root[1];
}

static struct prong_process *process_of(int actor)
{
	return &prongi_heap->process[actor + 1];
}

/* --- the world ----------------------------------------------------------------------------- */

static void conn_open(void)
{
	heap_open();
	for (int i = 0; i <= KILL_OTHERS; i++)
		atomic_store(&process_of(i)->state,
			     prongi_state_with(((uint64_t)1 << PRONGI_GEN_SHIFT) | PRONGI_ROOT,
					       PRONGI_RUNNING, 1));
	/* There is a server, to all appearances. */
	atomic_store(&prongi_heap->server.guard, (int32_t)getpid());
	atomic_store(&prongi_heap->server.state, PRONGI_SERVER_UP);
}

static void process_ends(int actor)
{
	if (prongi_process_step(process_of(actor), PRONGI_RUNNING, PRONGI_DYING, 1) ||
	    prongi_phase_of(process_of(actor)) == PRONGI_DYING)
		prongi_process_wake(process_of(actor));
}

static void conn_repair(void)
{
	process_ends(0);
	world_repair();
}

/* A pipe, whose ends belong to the victim, or another, and to other 0. */
static void make(int owner)
{
	world_become(1);
	blocks = blocks_now();
	if (prong_pipe((prong_conn **)&world->root[0], (prong_conn **)&world->root[1],
		       &(prong_pipe_opts){ .buffer = BUFFER }))
		_exit(1);
	if (prong_conn_give(a(), process_of(owner)))
		_exit(1);
	for (int i = 0; i < 2; i++) { /* sleep soon: awake, all points are alike */
		struct prongi_lane *l = i ? a()->in : a()->out;

		l->sender_misses = l->receiver_misses = 9;
	}
}

static void make_for_victim(void)
{
	make(0);
	world_become(-1);
}

static void make_for_thread(void)
{
	make(KILL_OTHERS);
	world_become(-1);
}

/* Both ends are other 0's: so it sleeps without looking up now and then for the server's sake. */
static void make_for_one(void)
{
	make(1);
	world_become(-1);
}

/* --- messages: numbered, and of one byte's value ------------------------------------------- */

static int send(prong_conn *c, uint64_t number, size_t size, prong_time deadline)
{
	char text[LARGE];

	memset(text, (int)number + 1, size);
	return prong_conn_send(c, text, size, deadline);
}

/* The number, or what is wrong instead, as a large one. */
static uint64_t number_of(const char *text, size_t size)
{
	for (size_t i = 1; i < size; i++)
		if (text[i] != text[0])
			return UINT64_MAX;
	return (uint64_t)text[0] - 1;
}

static int recv(prong_conn *c, uint64_t *number, prong_time deadline)
{
	char text[LARGE];
	size_t size;
	int r = prong_conn_recv(c, text, sizeof text, &size, deadline);

	if (r == 0)
		*number = number_of(text, size);
	return r;
}

static void note_bad(unsigned bad)
{
	atomic_fetch_or(&kill_control->note[BAD], bad);
}

static unsigned leaked(void)
{
	uint64_t now;

	world_become(KILL_OTHERS);
	for (int i = 0; i <= KILL_OTHERS; i++)
		prong_free_at((void **)&world_slot(i)->spare); /* its next owner would */
	now = blocks_now();
	world_become(-1);
	return now == blocks ? 0
			     : kill_because(KILL_LEAKED, "%lld blocks are left",
					    (long long)(now - blocks));
}

/* What the dead have left goes with the next pipes. */
static unsigned sweep(void)
{
	for (int i = 0; i < 3; i++) {
		prong_conn *c, *d;

		if (prong_pipe(&c, &d, NULL))
			return kill_because(KILL_STUCK, "no pipe: %s", prong_error_detail());
		prong_conn_free(c);
		prong_conn_free(d);
	}
	return 0;
}

static unsigned check(void)
{
	return world_check() | leaked() | (unsigned)atomic_load(&kill_control->note[BAD]) |
	       (prongi_heap->pipes.lock ? KILL_STUCK : 0);
}

static unsigned check_received(void)
{
	return check() | kill_check_count(atomic_load(&kill_control->note[RECEIVED]) -
					  atomic_load(&kill_control->note[FIRST]));
}

/* --- sending ------------------------------------------------------------------------------- */

static void send_one(size_t size)
{
	kill_count_begun();
	if (send(a(), atomic_load(&kill_control->note[FIRST]), size, PRONG_FOREVER))
		note_bad(KILL_STUCK);
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

	while ((r = recv(b(), &number, world_deadline())) == 0) {
		if (number != wanted++)
			return kill_because(KILL_TORN, "message %llu instead of %llu",
					    (unsigned long long)number,
					    (unsigned long long)wanted - 1);
		atomic_fetch_add(&kill_control->note[RECEIVED], 1);
	}
	return r == PRONG_CLOSED ? 0 : kill_because(KILL_STUCK, "recv: %s", prong_error_detail());
}

static void placed(struct kill_trial *t)
{
	kill_place(t, 0);
}

static void both_placed(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_place(t, 1);
}

static void other_comes(struct kill_trial *t, int nth)
{
	if (nth == 0)
		kill_place(t, 0);
}

static unsigned end_b(void)
{
	prong_conn_free(b());
	return sweep();
}

/* So many that the next does not find room. */
static void fill(size_t size)
{
	uint64_t n = 0;

	make(0);
	while (send(a(), n, size, PRONG_NOW) == 0)
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

	while (recv(b(), &number, PRONG_NOW) == 0)
		atomic_fetch_add(&kill_control->note[RECEIVED], 1);
	if (atomic_load(&kill_control->note[RECEIVED]) > before + 1)
		bad = KILL_TWICE;
	for (int i = 0; i < 3 && !bad; i++)
		if (send(a(), (uint64_t)i + 7, i % 2 ? SMALL : LARGE, world_deadline()) ||
		    recv(b(), &number, world_deadline()) || number != (uint64_t)i + 7)
			bad = kill_because(KILL_TORN, "after it: %s", prong_error_detail());
	prong_conn_free(a());
	return bad | end_b();
}

static unsigned receives_one(void)
{
	prong_time deadline = world_deadline();
	uint64_t number;

	/* Its last look, after a lost wake, would find the message too. */
	if (recv(b(), &number, deadline) || prong_ns_between(prong_clock(), deadline) <= 0)
		return kill_because(KILL_STUCK, "recv: %s", prong_error_detail());
	atomic_fetch_add(&kill_control->note[RECEIVED], 1);
	return 0;
}

/* Another thread at the dead one's end; it does not wake for what that has sent. */
static unsigned sends_unless_sent(void)
{
	kill_gate(0);
	if (prongi_lane_send_begin(a()->out, world_deadline()))
		return KILL_STUCK;
	prong_mutex_unlock(&a()->out->sending);
	if (prongi_position(atomic_load(&a()->out->tail)))
		return 0;
	atomic_fetch_add(&kill_control->note[FIRST], 1);
	return send(a(), 0, SMALL, world_deadline()) ? KILL_STUCK : 0;
}

static unsigned ends_both(void)
{
	prong_conn_free(a());
	return end_b();
}

/* --- receiving ----------------------------------------------------------------------------- */

static void three(size_t size)
{
	make(KILL_OTHERS);
	for (uint64_t i = 0; i < 3; i++)
		if (send(b(), i, i % 2 ? LARGE + SMALL - size : size, PRONG_NOW))
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
	if (recv(a(), &number, PRONG_FOREVER) || number != 0)
		note_bad(KILL_TORN);
	kill_count_done();
}

static void take_one(void)
{
	size_t size = 0;

	kill_count_begun();
	if (prong_conn_recv_take(a(), &world->root[2], &size, PRONG_FOREVER) ||
	    number_of(world->root[2], size) != 0)
		note_bad(KILL_TORN);
	kill_count_done();
}

static void recv_too_long(void)
{
	char byte;

	if (prong_conn_recv(a(), &byte, 1, NULL, PRONG_FOREVER) != -EMSGSIZE)
		note_bad(KILL_TORN);
}

static unsigned sends_three(void)
{
	for (uint64_t i = 0; i < 3; i++)
		if (send(b(), i, i % 2 ? LARGE : SMALL, world_deadline()))
			return kill_because(KILL_STUCK, "send: %s", prong_error_detail());
	atomic_store(&kill_control->note[FIRST], 3);
	return 0;
}

/* The late one receives what the dead thread has not. */
static unsigned goes_on_receiving(void)
{
	uint64_t number = 0, next = UINT64_MAX, left = 0;
	unsigned bad = 0;

	while (recv(a(), &number, PRONG_NOW) == 0) {
		if (next != UINT64_MAX && number != next)
			bad = kill_because(KILL_TORN, "message %llu instead of %llu",
					   (unsigned long long)number, (unsigned long long)next);
		next = number + 1;
		left++;
	}
	if (left && next != atomic_load(&kill_control->note[FIRST]))
		bad |= kill_because(KILL_LOST, "the last one is missing");
	/* Those that the victim has. */
	atomic_store(&kill_control->note[RECEIVED],
		     2 * atomic_load(&kill_control->note[FIRST]) - left);
	prong_free_at(&world->root[2]);
	prong_conn_free(a());
	return bad | end_b();
}

/* --- closing and giving -------------------------------------------------------------------- */

static void close_mine(void)
{
	prong_conn_free(a());
}

/* The other end is closed already, and there is something of each kind in both lanes. */
static void last_one(void)
{
	make(0);
	for (uint64_t i = 0; i < 2; i++)
		if (send(a(), i, i ? LARGE : SMALL, PRONG_NOW) ||
		    send(b(), i, i ? LARGE : SMALL, PRONG_NOW))
			_exit(1);
	prong_conn_free(b());
	world_become(-1);
}

static void give_away(void)
{
	if (prong_conn_give(a(), process_of(2)))
		note_bad(KILL_TORN);
}

/* Other 1, who has a now, if that was given: it sends one, and closes. */
static unsigned new_owner(void)
{
	kill_gate(0);
	prongi_begin(&prongi_heap->pipes.lock); /* the dead one's section is over */
	prongi_end(&prongi_heap->pipes.lock);
	if (atomic_load(&a()->owner) != prongi_process_ref(process_of(2)))
		return 0;
	if (send(a(), 0, SMALL, world_deadline()))
		return KILL_STUCK;
	prong_conn_free(a());
	return 0;
}

static void make_one(void)
{
	if (prong_pipe((prong_conn **)&world->root[0], (prong_conn **)&world->root[1],
		       &(prong_pipe_opts){ .buffer = BUFFER }))
		note_bad(KILL_TORN);
}

static void count_blocks(void)
{
	blocks = blocks_now();
}

static const struct kill_scenario scenarios[] = {
	{ .name = "send-asleep", .setup = make_for_victim, .before = placed, .victim = send_small,
	  .other = { receiver }, .late = end_b, .check = check_received },
	{ .name = "send-large-asleep", .setup = make_for_victim, .before = placed,
	  .victim = send_large, .other = { receiver }, .late = end_b, .check = check_received },
	{ .name = "send-full", .setup = fill_small, .victim = send_small, .asleep = other_comes,
	  .other = { receiver }, .late = end_b, .check = check_received },
	{ .name = "send-large-full", .setup = fill_large, .victim = send_large,
	  .asleep = other_comes, .other = { receiver }, .late = end_b, .check = check_received },
	{ .name = "send-asleep-thread", .setup = make_for_one, .before = both_placed,
	  .victim = send_small, .other = { receives_one, sends_unless_sent },
	  .late = ends_both, .check = check_received },
	{ .name = "send-thread", .setup = make_for_thread, .victim = send_small,
	  .late = goes_on_sending, .check = check_received },
	{ .name = "send-large-thread", .setup = make_for_thread, .victim = send_large,
	  .late = goes_on_sending, .check = check_received },
	{ .name = "recv-thread", .setup = three_small, .victim = recv_one,
	  .late = goes_on_receiving, .check = check_received },
	{ .name = "recv-large-thread", .setup = three_large, .victim = recv_one,
	  .late = goes_on_receiving, .check = check_received },
	{ .name = "recv-empty-thread", .setup = make_for_thread, .victim = recv_one,
	  .asleep = other_comes, .other = { sends_three }, .late = goes_on_receiving,
	  .check = check_received },
	{ .name = "recv_take-thread", .setup = three_small, .victim = take_one,
	  .late = goes_on_receiving, .check = check_received },
	{ .name = "recv_take-large-thread", .setup = three_large, .victim = take_one,
	  .late = goes_on_receiving, .check = check_received },
	{ .name = "recv-too-long-thread", .setup = three_large, .victim = recv_too_long,
	  .late = goes_on_receiving, .check = check_received },
	{ .name = "close-asleep", .setup = make_for_victim, .before = placed,
	  .victim = close_mine, .other = { receiver }, .late = end_b, .check = check },
	{ .name = "close-last", .setup = last_one, .victim = close_mine, .late = sweep,
	  .check = check },
	{ .name = "give-asleep", .setup = make_for_victim, .before = both_placed,
	  .victim = give_away, .other = { receiver, new_owner }, .late = end_b, .check = check },
	{ .name = "pipe", .setup = count_blocks, .victim = make_one, .late = sweep,
	  .check = check },
	{ .name = NULL }
};

const struct kill_room room_conn = {
	.name = "conn", .open = conn_open, .become = world_become, .repair = conn_repair,
	.scenarios = scenarios,
	.files = "pipe.c pipe_send.c pipe_recv.c pipe_lane.c prong_conn_send prong_conn_recv "
		 "prong_conn_give prong_conn_free prong_pipe prongi_lane_ prongi_conn_",
};
