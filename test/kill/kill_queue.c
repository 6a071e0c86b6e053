/* The queue: each call, killed at each instruction, in each state of the ring that matters.

   Who waits asleep when the death comes must not wait for ever: so a getter that sleeps is given a
   message by somebody else if, and only if, the dead one had put none.  A wake that was lost is
   not made good for by that: then nothing was owed. */
#include "kill_queue.h"
#include <errno.h>
#include <stdlib.h>

/* --- the others ----------------------------------------------------------------------------- */

static unsigned turn2(void)
{
	return queue_drain() | queue_turn(OTHERS + 1);
}

static unsigned sleeping_getter(void)
{
	return queue_get_one(world_deadline(), NULL);
}

static unsigned sleeping_putter(void)
{
	return queue_turn(OTHERS);
}

static unsigned only_puts(void)
{
	return queue_put_in_time(OTHERS);
}

/* --- the peers ------------------------------------------------------------------------------ */

static unsigned puts_one(void)
{
	return queue_put_in_time(OTHERS + 2);
}

static unsigned gets_one(void)
{
	return queue_get_one(PRONG_NOW, NULL);
}

static unsigned gets_and_puts(void)
{
	return gets_one() | puts_one();
}

/* --- put ------------------------------------------------------------------------------------ */

static void put_value(size_t size, prong_time deadline)
{
	char bytes[400];
	int r;

	memset(bytes, VICTIMS, sizeof bytes);
	kill_count_begun();
	r = prong_queue_put(queue, bytes, size, deadline);
	if (r == 0)
		kill_count_done();
	queue_note(r && r != PRONG_TIMEDOUT && r != PRONG_CLOSED ? KILL_TORN : 0);
}

static void put_small(void)
{
	put_value(1, PRONG_FOREVER);
}

static void put_large(void)
{
	put_value(300, PRONG_FOREVER);
}

static void put_now(void)
{
	put_value(1, PRONG_NOW);
}

static void put_twice(void)
{
	char c = OTHERS + 1;

	queue_note(prong_queue_put(queue, &c, 1, PRONG_FOREVER) ? KILL_TORN : 0);
	put_value(1, PRONG_FOREVER);
}

static void commit_reserved(void)
{
	prong_message m;

	kill_count_begun();
	if (prong_queue_reserve(queue, 300, &m)) {
		queue_note(KILL_TORN);
		return;
	}
	memset(m.data, VICTIMS, m.size);
	queue_note(prong_queue_commit(queue, &m, PRONG_FOREVER) ? KILL_TORN : 0);
	kill_count_done();
}

/* Two reserved: one is dropped, one put; and one that is dropped with its thread. */
static void reserve_three(void)
{
	prong_message m[3];

	for (int i = 0; i < 3; i++)
		if (prong_queue_reserve(queue, 1, &m[i])) {
			queue_note(KILL_TORN);
			return;
		}
	*(char *)m[1].data = VICTIMS;
	kill_count_begun();
	queue_note(prong_queue_abandon(queue, &m[0]) ? KILL_TORN : 0);
	queue_note(prong_queue_commit(queue, &m[1], PRONG_FOREVER) ? KILL_TORN : 0);
	kill_count_done();
}

/* --- get ------------------------------------------------------------------------------------ */

static void get_value(void)
{
	char bytes[400];
	size_t size;

	kill_count_begun();
	if (prong_queue_get(queue, bytes, sizeof bytes, &size, PRONG_FOREVER))
		return;
	atomic_store(&kill_control->note[VICTIM_GOT], (uint64_t)1 << bytes[0]);
	kill_count_done();
}

static void get_nothing(void)
{
	char c;
	int r = prong_queue_get(queue, &c, 1, NULL, PRONG_NOW);

	queue_note(r == PRONG_TIMEDOUT || r == PRONG_CLOSED ? 0 : KILL_TORN);
}

static void get_too_large(void)
{
	char c[2];

	queue_note(prong_queue_get(queue, c, 2, NULL, PRONG_NOW) == -EMSGSIZE ? 0 : KILL_TORN);
}

/* --- messages in hand ----------------------------------------------------------------------- */

/* What was acknowledged is gone, and is the victim's. */
static void lease_and_ack(void)
{
	prong_message m;

	kill_count_begun();
	if (prong_queue_lease(queue, &m, PRONG_FOREVER)) {
		queue_note(KILL_TORN);
		return;
	}
	atomic_store(&kill_control->note[VICTIM_GOT], (uint64_t)1 << *(char *)m.data);
	queue_note(prong_queue_ack(queue, &m) ? KILL_TORN : 0);
	kill_count_done();
	queue_note(prong_queue_ack(queue, &m) == -EPERM ? 0 : KILL_TORN);
}

static void lease_and_abandon(void)
{
	prong_message m;

	if (prong_queue_lease(queue, &m, PRONG_FOREVER) || prong_queue_abandon(queue, &m))
		queue_note(KILL_TORN);
}

static void lease_two(void)
{
	prong_message m[2];

	kill_count_begun();
	if (prong_queue_lease(queue, &m[0], PRONG_NOW) ||
	    prong_queue_lease(queue, &m[1], PRONG_NOW))
		queue_note(KILL_TORN);
	atomic_store(&kill_control->note[VICTIM_GOT], (uint64_t)1 << *(char *)m[1].data);
	queue_note(prong_queue_ack(queue, &m[1]) ? KILL_TORN : 0);
	queue_note(prong_queue_abandon(queue, &m[0]) ? KILL_TORN : 0);
	kill_count_done();
}

/* More than the seat has places for. */
static void lease_many(void)
{
	prong_message m;

	while (prong_queue_lease(queue, &m, PRONG_NOW) == 0)
		;
}

static void get_all(void)
{
	char c;

	while (prong_queue_get(queue, &c, 1, NULL, PRONG_NOW) == 0)
		;
}

/* --- the beginnings ------------------------------------------------------------------------- */

static void empty(void)
{
	queue_make(NULL);
	queue_victim_sits();
	queue_fill(0, 0);
}

static void fresh(void)
{
	queue_make(NULL);
	queue_fill(0, 1);
}

static void one(void)
{
	queue_make(NULL);
	queue_victim_sits();
	queue_fill(6, 1);
}

static void nearly_full(void)
{
	queue_make(NULL);
	queue_victim_sits();
	queue_fill(2, CAPACITY - 1);
}

static void full(void)
{
	queue_make(NULL);
	queue_victim_sits();
	queue_fill(1, CAPACITY);
}

/* A capacity that is no power of two. */
static void odd_full(void)
{
	queue_make(&(prong_queue_opts){ .capacity = 3, .usual_size = 48 });
	queue_victim_sits();
	queue_fill(2, 3);
}

static void growing_full(void)
{
	queue_make(NULL);
	queue->growing = 1;
	queue_victim_sits();
	queue_fill(2, CAPACITY);
}

/* The first ring has ended, and messages are in two. */
static void grown(void)
{
	queue_make(NULL);
	queue->growing = 1;
	queue_victim_sits();
	queue_fill(2, CAPACITY + 2);
}

static void large_one(void)
{
	queue_make(NULL);
	queue_victim_sits();
	world_become(1);
	queue_put_one(1, 300);
	atomic_store(&kill_control->note[PUT], 2);
	world_become(-1);
}

/* One message is leased by other 1 and given back, and more are behind it. */
static void come_back(void)
{
	prong_message m;

	queue_make(NULL);
	queue_victim_sits();
	queue_fill(1, 3);
	world_become(2);
	if (prong_queue_lease(queue, &m, PRONG_NOW) || prong_queue_abandon(queue, &m))
		die("nothing comes back");
	world_become(-1);
}

/* A dead one's seat is free: it had a spare, one in hand and one reserved. */
static void seat_left(void)
{
	prong_message m;

	queue_make(NULL);
	queue_fill(0, 2);
	world_become(3);
	if (prong_queue_lease(queue, &m, PRONG_NOW) || prong_queue_reserve(queue, 300, &m) ||
	    prong_queue_reserve(queue, 1, &m))
		die("nothing in hand");
	prongi_repair(world_slot(3));
	world_become(-1);
}

/* Somebody is held between the commit of his lease and the next instruction. */
static void half_taken(int n)
{
	struct prongi_caller held = { NULL, 0 };
	struct prongi_message *m;
	prongi_word *cell;

	queue_make(NULL);
	queue_victim_sits();
	queue_fill(1, n);
	world_become(2);
	if (prongi_sit(queue, &held) || prongi_refill(queue, held.seat))
		die("no seat");
	cell = &((struct prongi_ring *)(uintptr_t)queue->ring[0])->cell[(1 + 1) % CAPACITY];
	while (prongi_cell_state(*cell) != PRONGI_FULL ||
	       prongi_header_seq(prongi_message_at(queue, prongi_cell_ref(*cell))->header) != 2)
		die("the first message is elsewhere");
	m = prongi_message_at(queue, prongi_cell_ref(*cell));
	atomic_store(&held.seat->held[0], prongi_cell_ref(*cell) + 1);
	prongi_hand_store(held.seat, PRONGI_GET, prongi_spare(held.seat), prongi_cell_ref(*cell));
	prongi_header_store(m, prongi_header(2, held.who, 0, PRONGI_LEASED));
	world_become(-1);
}

static void half_taken_full(void)
{
	half_taken(CAPACITY);
}

static void half_taken_two(void)
{
	half_taken(2);
}

/* He goes on, and has taken it for good: the first message is his. */
static unsigned goes_on(void)
{
	struct prongi_caller me;
	uint32_t ref;
	prongi_word *cell = &((struct prongi_ring *)(uintptr_t)queue->ring[0])->cell[2];

	world_become(2);
	if (prongi_sit(queue, &me))
		return KILL_TORN;
	ref = prongi_hand_other(me.seat->hand);
	prongi_settle(cell, 0, ref, prongi_spare(me.seat));
	prongi_header_store(prongi_message_at(queue, ref),
			    prongi_header(0, me.who, 0, PRONGI_TAKEN));
	prongi_hand_store(me.seat, PRONGI_IDLE, ref, PRONGI_NONE);
	atomic_fetch_and(&kill_control->note[PUT], ~(uint64_t)2);
	return turn2();
}

/* --- close, leave, free --------------------------------------------------------------------- */

static void close_it(void)
{
	queue_note(prong_queue_close(queue) ? KILL_TORN : 0);
}

static void closed(void)
{
	one();
	world_become(1);
	if (prong_queue_close(queue))
		die("not closed");
	world_become(-1);
}

static void get_to_the_end(void)
{
	get_all();
	get_nothing();
}

/* Sleeps until it is closed; and closes it itself when that was not done. */
static unsigned sleeps_for_close(void)
{
	char c;
	int r = prong_queue_get(queue, &c, 1, NULL, world_deadline());

	return r == PRONG_CLOSED || r == 0 ? 0 : kill_because(KILL_STUCK, "close wakes nobody");
}

static void died_unclosed(struct kill_trial *t)
{
	if (!queue->closed)
		queue_died_feed(t);
}

static void leave(void)
{
	put_small();
	prongi_leave();
}

static void died_left(struct kill_trial *t)
{
	(void)t;
}

static const struct kill_scenario scenarios[] = {
	{ .name = "put-empty", .setup = empty, .victim = put_small, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .peer = gets_one,
	  .check = queue_check_put },
	{ .name = "put-beside-a-put", .setup = one, .victim = put_small, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .peer = puts_one,
	  .check = queue_check_put },
	{ .rare = true, .name = "put-first-of-a-thread",
	  .setup = fresh, .victim = put_small, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .peer = gets_and_puts,
	  .check = queue_check_put },
	{ .rare = true, .name = "put-last-place",
	  .setup = nearly_full, .victim = put_small, .died = queue_died,
	  .other = { queue_other, turn2 }, .late = queue_late, .check = queue_check_put },
	{ .name = "put-twice-wrapping", .setup = nearly_full, .victim = put_twice,
	  .died = queue_died, .asleep = queue_first_comes, .other = { queue_other },
	  .late = queue_late,
	  .check = queue_check_put },
	{ .rare = true, .name = "put-full-now",
	  .setup = full, .victim = put_now, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_put },
	{ .name = "put-full-asleep", .setup = full, .victim = put_small, .died = queue_died,
	  .asleep = queue_first_comes, .other = { sleeping_getter }, .late = queue_late,
	  .check = queue_check_put },
	{ .rare = true, .name = "put-odd-full-asleep",
	  .setup = odd_full, .victim = put_small, .died = queue_died,
	  .asleep = queue_first_comes, .other = { sleeping_getter }, .late = queue_late,
	  .check = queue_check_put },
	{ .name = "put-wakes-a-sleeper", .setup = empty, .before = queue_first_sleeps,
	  .victim = put_small, .died = queue_died_feed, .other = { sleeping_getter },
	  .late = queue_late, .check = queue_check_put },
	{ .rare = true, .name = "put-by-reference",
	  .setup = one, .victim = put_large, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_put },
	{ .rare = true, .name = "put-grows-beside-a-put",
	  .setup = growing_full, .victim = put_small, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .peer = puts_one,
	  .check = queue_check_put },
	{ .name = "put-grows", .setup = growing_full, .victim = put_small, .died = queue_died,
	  .other = { queue_other, turn2 }, .late = queue_late, .check = queue_check_put },
	{ .name = "put-helps", .setup = half_taken_full, .victim = put_small, .died = queue_died,
	  .other = { goes_on }, .late = queue_late, .check = queue_check_put },
	{ .rare = true, .name = "put-takes-a-dead-one's-seat",
	  .setup = seat_left, .victim = put_small,
	  .died = queue_died, .other = { queue_other }, .late = queue_late,
	  .check = queue_check_put },
	{ .rare = true, .name = "reserve-commit",
	  .setup = one, .victim = commit_reserved, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_put },
	{ .name = "reserve-three", .setup = one, .victim = reserve_three, .died = queue_died,
	  .other = { queue_other, turn2 }, .late = queue_late, .check = queue_check_put },
	{ .name = "put-and-leave", .setup = empty, .victim = leave, .died = died_left,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_put },

	{ .name = "get-one", .setup = one, .victim = get_value, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_get },
	{ .name = "get-beside-a-get", .setup = nearly_full, .victim = get_value,
	  .died = queue_died, .other = { queue_other }, .late = queue_late, .peer = gets_one,
	  .check = queue_check_get },
	{ .rare = true, .name = "get-first-of-a-thread",
	  .setup = fresh, .victim = get_value, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_get },
	{ .rare = true, .name = "get-full",
	  .setup = full, .victim = get_value, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .peer = gets_and_puts,
	  .check = queue_check_get },
	{ .name = "get-empty-asleep", .setup = empty, .victim = get_value, .died = queue_died,
	  .asleep = queue_first_comes, .other = { only_puts }, .late = queue_late,
	  .check = queue_check_get },
	{ .rare = true, .name = "lease-empty-asleep",
	  .setup = empty, .victim = lease_and_ack, .died = queue_died,
	  .asleep = queue_first_comes, .other = { only_puts }, .late = queue_late,
	  .check = queue_check_get },
	{ .rare = true, .name = "get-empty-now",
	  .setup = empty, .victim = get_nothing, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_all },
	{ .name = "get-wakes-a-putter", .setup = full, .before = queue_first_sleeps,
	  .victim = get_value, .died = queue_died_drain, .other = { sleeping_putter },
	  .late = queue_late, .check = queue_check_get },
	{ .rare = true, .name = "get-by-reference",
	  .setup = large_one, .victim = get_value, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_get },
	{ .rare = true, .name = "get-too-large",
	  .setup = one, .victim = get_too_large, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_all },
	{ .name = "get-next-ring", .setup = grown, .victim = lease_many, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_all },
	{ .name = "get-what-came-back", .setup = come_back, .victim = get_value,
	  .died = queue_died, .other = { queue_other }, .late = queue_late,
	  .check = queue_check_get },
	{ .name = "get-helps", .setup = half_taken_two, .victim = get_value, .died = queue_died,
	  .other = { goes_on }, .late = queue_late, .check = queue_check_get },
	{ .name = "lease-ack", .setup = nearly_full, .victim = lease_and_ack,
	  .died = queue_died, .other = { queue_other }, .late = queue_late, .peer = gets_one,
	  .check = queue_check_get },
	{ .rare = true, .name = "lease-ack-by-reference",
	  .setup = large_one, .victim = lease_and_ack,
	  .died = queue_died, .other = { queue_other }, .late = queue_late,
	  .check = queue_check_get },
	{ .rare = true, .name = "lease-ack-what-came-back",
	  .setup = come_back, .victim = lease_and_ack,
	  .died = queue_died, .other = { queue_other }, .late = queue_late,
	  .check = queue_check_get },
	{ .name = "lease-abandon", .setup = nearly_full, .victim = lease_and_abandon,
	  .died = queue_died, .other = { queue_other }, .late = queue_late, .peer = gets_one,
	  .check = queue_check_all },
	{ .rare = true, .name = "lease-abandon-by-reference",
	  .setup = large_one, .victim = lease_and_abandon,
	  .died = queue_died, .other = { queue_other }, .late = queue_late,
	  .check = queue_check_all },
	{ .name = "lease-two", .setup = nearly_full, .victim = lease_two, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_get },

	{ .rare = true, .name = "close",
	  .setup = one, .victim = close_it, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .peer = gets_and_puts,
	  .check = queue_check_all },
	{ .name = "close-wakes-a-sleeper", .setup = empty, .before = queue_first_sleeps,
	  .victim = close_it, .died = died_unclosed, .other = { sleeps_for_close },
	  .late = queue_late,
	  .check = queue_check_all },
	{ .rare = true, .name = "get-until-closed",
	  .setup = closed, .victim = get_to_the_end,
	  .died = queue_died, .other = { queue_other }, .late = queue_late,
	  .check = queue_check_get },
	{ .name = NULL }
};

const struct kill_room room_queue = {
	.name = "queue", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .scenarios = scenarios,
	.files = "queue.c queue_ring.c queue_room.c queue_seat.c queue_repair.c queue_life.c "
		 "prong_queue_ prongi_ring_ prongi_queue prongi_seat prongi_settle prongi_help "
		 "prongi_sit_slow prongi_provide prongi_refill_slow prongi_drop prongi_let_go "
		 "prongi_adopt prongi_grow prongi_scrub prongi_each_block prongi_ref_valid "
		 "prongi_mark prongi_bump_back",
};
