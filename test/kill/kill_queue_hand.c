/* The queue, when a reserved message finds no room, and when it is closed then; and when the heap
   has no memory left: who is told so has changed nothing, keeps what he has in hand, and what is in
   the queue can be taken. */
#include "kill_queue.h"
#include <errno.h>

#define LARGE 300 /* bytes: a block of its own */
#define MANY  64

/* --- reserved ------------------------------------------------------------------------------- */

static prong_message hand;

static void reserve(size_t size)
{
	if (prong_queue_reserve(queue, size, &hand)) {
		queue_note(KILL_TORN);
		return;
	}
	memset(hand.data, VICTIMS, size);
}

static void reserve_small(void)
{
	reserve(1);
}

static void reserve_large(void)
{
	reserve(LARGE);
}

static void commit_it(void)
{
	kill_count_begun();
	queue_note(prong_queue_commit(queue, &hand, PRONG_FOREVER) ? KILL_TORN : 0);
	kill_count_done();
}

/* It stays in hand, and can be let go. */
static void commit_too_late(void)
{
	queue_note(prong_queue_commit(queue, &hand, PRONG_NOW) == PRONG_TIMEDOUT ? 0 : KILL_TORN);
	queue_note(prong_queue_abandon(queue, &hand) ? KILL_TORN : 0);
}

static void reserve_and_abandon(void)
{
	reserve(LARGE);
	queue_note(prong_queue_abandon(queue, &hand) ? KILL_TORN : 0);
}

static unsigned sleeping_getter(void)
{
	return queue_get_one(world_deadline(), NULL);
}

/* --- closed --------------------------------------------------------------------------------- */

static void close_it(void)
{
	queue_note(prong_queue_close(queue) ? KILL_TORN : 0);
}

/* Sleeps until it is closed, or there is room because it will not be. */
static unsigned sleeping_putter(void)
{
	prong_time deadline = world_deadline();
	unsigned bad = queue_put_in_time(OTHERS);

	/* A wake that was lost would be made good for at the deadline. */
	return prong_ns_between(prong_clock(), deadline) > 0
		       ? bad : kill_because(KILL_STUCK, "close wakes no putter");
}

static void died_unclosed(struct kill_trial *t)
{
	if (!queue->closed)
		queue_died_drain(t);
}

static unsigned puts_another(void)
{
	return queue_put_in_time(OTHERS + 2);
}

/* --- no memory ------------------------------------------------------------------------------ */

static void put_large(void)
{
	char bytes[LARGE] = { VICTIMS };

	queue_note(prong_queue_put(queue, bytes, sizeof bytes, PRONG_NOW) == -ENOMEM ? 0
										       : KILL_TORN);
}

static void put_then_small(void)
{
	char c = VICTIMS;

	put_large();
	kill_count_begun();
	queue_note(prong_queue_put(queue, &c, 1, PRONG_FOREVER) ? KILL_TORN : 0);
	kill_count_done();
}

/* The queue grows no further; a place that comes free is as good as before. */
static void put_beyond(void)
{
	char c = VICTIMS;

	queue_note(prong_queue_put(queue, &c, 1, PRONG_FOREVER) == -ENOMEM ? 0 : KILL_TORN);
	queue_note(queue_get_one(PRONG_NOW, NULL));
	kill_count_begun();
	queue_note(prong_queue_put(queue, &c, 1, PRONG_FOREVER) ? KILL_TORN : 0);
	kill_count_done();
}

static void reserve_too_large(void)
{
	queue_note(prong_queue_reserve(queue, LARGE, &hand) == -ENOMEM ? 0 : KILL_TORN);
	reserve(1);
	commit_it();
}

/* All blocks that nobody has; the last one is committed. */
static void reserve_all(void)
{
	prong_message m[MANY];
	int n = 0, r;

	while (n < MANY && (r = prong_queue_reserve(queue, 1, &m[n])) == 0)
		n++;
	queue_note(n && n < MANY && r == -ENOMEM ? 0 : KILL_TORN);
	while (n-- > 1)
		queue_note(prong_queue_abandon(queue, &m[n]) ? KILL_TORN : 0);
	hand = m[0];
	*(char *)hand.data = VICTIMS;
	commit_it();
}

/* --- the beginnings ------------------------------------------------------------------------- */

static void with(int n)
{
	queue_make(NULL);
	queue_victim_sits();
	queue_fill(1, n);
}

static void one(void)
{
	with(1);
}

static void full(void)
{
	with(CAPACITY);
}

/* In two rings. */
static void growing(void)
{
	queue_make(NULL);
	queue->growing = 1;
	queue_victim_sits();
	queue_fill(2, CAPACITY + 2);
}

/* The late one has a seat and a block by then, for there is none to be had. */
static void no_memory(void)
{
	char c;

	with(0);
	world_become(KILL_OTHERS);
	if (prong_queue_put(queue, "x", 1, PRONG_NOW) ||
	    prong_queue_get(queue, &c, 1, NULL, PRONG_NOW))
		die("the late one has no seat");
	world_become(-1);
	queue_fill(0, 1);
	queue_fill_heap();
}

static void no_memory_to_grow(void)
{
	with(CAPACITY);
	queue->growing = 1;
	queue_fill_heap();
}

static const struct kill_scenario scenarios[] = {
	{ .name = "commit-full-asleep", .setup = full, .prepare = reserve_small,
	  .victim = commit_it, .died = queue_died, .asleep = queue_first_comes,
	  .other = { sleeping_getter }, .late = queue_late, .check = queue_check_put },
	{ .rare = true, .name = "commit-full-asleep-by-reference",
	  .setup = full, .prepare = reserve_large, .victim = commit_it, .died = queue_died,
	  .asleep = queue_first_comes, .other = { sleeping_getter }, .late = queue_late,
	  .check = queue_check_put },
	{ .rare = true, .name = "commit-full-now-abandon-by-reference",
	  .setup = full, .prepare = reserve_large, .victim = commit_too_late,
	  .died = queue_died, .other = { queue_other }, .late = queue_late, .alone = true,
	  .check = queue_check_all },
	{ .rare = true, .name = "reserve-abandon-by-reference",
	  .setup = one, .victim = reserve_and_abandon, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_all },

	{ .name = "close-wakes-a-putter", .setup = full, .before = queue_first_sleeps,
	  .victim = close_it, .died = died_unclosed, .other = { sleeping_putter },
	  .late = queue_late, .check = queue_check_all },
	{ .rare = true, .name = "close-growing",
	  .setup = growing, .victim = close_it, .died = queue_died, .other = { queue_other },
	  .late = queue_late, .peer = puts_another, .check = queue_check_all },

	{ .name = "put-by-reference-no-memory", .setup = no_memory, .victim = put_then_small,
	  .died = queue_died, .other = { queue_other }, .late = queue_late,
	  .check = queue_check_put },
	{ .rare = true, .name = "put-grows-no-memory",
	  .setup = no_memory_to_grow, .victim = put_beyond, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .alone = true,
	  .check = queue_check_put },
	{ .rare = true, .name = "reserve-by-reference-no-memory",
	  .setup = no_memory, .victim = reserve_too_large, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .check = queue_check_put },
	{ .rare = true, .name = "reserve-all-no-memory",
	  .setup = no_memory, .victim = reserve_all, .died = queue_died,
	  .other = { queue_other }, .late = queue_late, .alone = true,
	  .check = queue_check_put },
	{ .name = NULL }
};

const struct kill_room room_queue_hand = {
	.name = "queue", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .scenarios = scenarios,
	.files = "queue.c queue_room.c prong_queue_commit prong_queue_abandon "
		 "prong_queue_reserve prong_queue_close",
};
