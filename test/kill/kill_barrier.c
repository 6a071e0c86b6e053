/* The barrier: a round ends well for all of the living, or for none; and nobody stays. */
#include "referee.h"
#include <prong/barrier.h>

enum { GOOD = NOTE_FREE, BAD, ACTED };

static void for_three(void)
{
	world->barrier = (prong_barrier)PRONG_BARRIER(3);
}

static int act(void *arg)
{
	(void)arg;
	atomic_fetch_add(&kill_control->note[ACTED], 1);
	return 0;
}

static unsigned come(prong_fn *action, prong_time deadline)
{
	bool alone = world_slot(0)->id == 0; /* a victim that is repaired does not count */
	uint32_t index = 3;
	int r = prong_barrier_wait(&world->barrier, &index, action, NULL, deadline);

	if (r == 0 && alone)
		return KILL_TWICE;
	if (in_time(deadline))
		return KILL_STUCK;
	if (r == 0)
		atomic_fetch_add(&kill_control->note[GOOD], (uint64_t)1 << index * 8);
	if (r == PRONG_BROKEN)
		atomic_fetch_add(&kill_control->note[BAD], 1);
	return r == 0 || r == PRONG_BROKEN ? 0 : r == PRONG_TIMEDOUT ? KILL_STUCK : KILL_TORN;
}

static unsigned guest(void)
{
	unsigned bad = come(NULL, world_deadline());

	note_over();
	return bad;
}

static unsigned guest_who_acts(void)
{
	unsigned bad = come(act, world_deadline());

	note_over();
	return bad;
}

/* The victim has not come, so nobody knows of it. */
static bool only_two(void)
{
	return !prong_barrier_broken(&world->barrier) && (world->barrier.word_ >> 32 & 0x7fff) == 2;
}

static void help(void)
{
	prong_barrier_abort(&world->barrier);
}

static unsigned watch(void)
{
	return referee(2, (prongi_word *)&world->barrier.word_, only_two, help);
}

/* Those who live have the same result; each number is given once. */
static unsigned check(void)
{
	uint64_t good = atomic_load(&kill_control->note[GOOD]);
	uint64_t bad = atomic_load(&kill_control->note[BAD]);
	unsigned wrong = world_check() | (unsigned)atomic_load(&kill_control->note[NOTE_BAD]);

	if ((good && bad) || good & ~(uint64_t)0x010101)
		wrong |= KILL_TORN;
	return wrong | (atomic_load(&kill_control->note[ACTED]) > 1 ? KILL_TWICE : 0);
}

/* Whatever it has gone through, a reset makes it whole. */
static unsigned late(void)
{
	if (prong_barrier_reset(&world->barrier) || prong_barrier_broken(&world->barrier))
		return KILL_TORN;
	return prong_barrier_wait(&world->barrier, NULL, NULL, NULL, PRONG_NOW) == PRONG_TIMEDOUT
		       ? 0 : KILL_TORN;
}

/* --- the victim ------------------------------------------------------------------------------ */

static void come_gated(void)
{
	kill_gate(0);
	note_bad(come(NULL, PRONG_FOREVER));
}

static void come_and_act(void)
{
	kill_gate(0);
	note_bad(come(act, PRONG_FOREVER));
}

static void come_first(void)
{
	note_bad(come(NULL, PRONG_FOREVER));
}

static void break_it(void)
{
	kill_gate(0);
	if (prong_barrier_abort(&world->barrier))
		note_bad(KILL_TORN);
}

static void reset_it(void)
{
	kill_gate(0);
	if (prong_barrier_reset(&world->barrier))
		note_bad(KILL_TORN);
}

static void come_not_now(void)
{
	kill_gate(0);
	if (prong_barrier_wait(&world->barrier, NULL, NULL, NULL, PRONG_NOW) != PRONG_TIMEDOUT)
		note_bad(KILL_TORN);
}

static void for_one(void)
{
	world->barrier = (prong_barrier)PRONG_BARRIER(1);
}

/* Round after round. */
static unsigned comes_alone(void)
{
	for (int i = 0; i < 3; i++) {
		uint32_t index = 3;
		int r = prong_barrier_wait(&world->barrier, &index, act, NULL, PRONG_FOREVER);

		if (r != PRONG_BROKEN && (r || index))
			return KILL_TORN;
	}
	return 0;
}

static void come_alone(void)
{
	note_bad(comes_alone());
}

static unsigned comes_and_resets(void)
{
	unsigned bad = comes_alone();

	return bad | (prong_barrier_reset(&world->barrier) ? KILL_TORN : 0);
}

static unsigned late_alone(void)
{
	if (prong_barrier_reset(&world->barrier))
		return KILL_TORN;
	atomic_store(&kill_control->note[ACTED], 0);
	return comes_alone() | (atomic_load(&kill_control->note[ACTED]) == 3 ? 0 : KILL_LOST);
}

static unsigned check_alone(void)
{
	return world_check() | (unsigned)atomic_load(&kill_control->note[NOTE_BAD]);
}

static int fails(void *arg)
{
	(void)arg;
	return 5;
}

static void come_and_fail(void)
{
	kill_gate(0);
	if (prong_barrier_wait(&world->barrier, NULL, fails, NULL, PRONG_FOREVER) != 5)
		note_bad(KILL_TORN);
}

static prong_time soon;

static void set_soon(void)
{
	prongi_spins = false; /* so that it soon sleeps, stepped or not */
	soon = prong_in_ms(15);
}

static void come_too_late(void)
{
	if (prong_barrier_wait(&world->barrier, NULL, NULL, NULL, soon) != PRONG_TIMEDOUT)
		note_bad(KILL_TORN);
}

static void two_are_there(struct kill_trial *t)
{
	for (int i = 0; i < 3; i++)
		kill_place(t, i);
}

static void all_come(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	for (int i = 0; i < 3; i++)
		kill_place(t, i);
	kill_open(0);
}

/* The victim is the third, while the peer aborts: all of them are well, or none is. */
static void comes_last(void)
{
	note_bad(come(NULL, PRONG_FOREVER));
}

static unsigned aborts(void)
{
	return prong_barrier_abort(&world->barrier) ? KILL_TORN : 0;
}

/* The peer has the place between them. */
static void two_and_referee(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_place(t, 3);
	kill_place(t, 2);
}

static void for_four(void)
{
	world->barrier = (prong_barrier)PRONG_BARRIER(4);
}

static const struct kill_scenario scenarios[] = {
	{ .name = "wait-last", .setup = for_three, .victim = come_gated, .asleep = all_come,
	  .other = { guest, guest, watch }, .late = late, .check = check },
	{ .name = "wait-last-acts", .setup = for_three, .victim = come_and_act,
	  .asleep = all_come, .other = { guest_who_acts, guest_who_acts, watch }, .late = late,
	  .check = check },
	{ .name = "wait-first", .setup = for_three, .victim = come_first, .asleep = all_come,
	  .other = { guest, guest, watch }, .late = late, .check = check },
	{ .name = "wait-not-now", .setup = for_four, .victim = come_not_now, .asleep = all_come,
	  .other = { guest, guest, watch }, .late = late, .check = check },
	{ .name = "abort-two-asleep", .setup = for_three, .victim = break_it, .asleep = all_come,
	  .other = { guest, guest, watch }, .late = late, .check = check },
	{ .name = "reset-two-asleep", .setup = for_three, .victim = reset_it, .asleep = all_come,
	  .other = { guest, guest, watch }, .late = late, .check = check },
	{ .name = "wait-alone", .setup = for_one, .victim = come_alone, .late = late_alone,
	  .peer = comes_and_resets, .check = check_alone },
	{ .rare = true, .name = "wait-last-fails", .setup = for_three, .victim = come_and_fail,
	  .asleep = all_come, .other = { guest, guest, watch }, .late = late, .check = check },
	{ .rare = true, .name = "wait-timed-out", .setup = for_four, .before = two_are_there,
	  .prepare = set_soon, .victim = come_too_late, .other = { guest, guest, watch },
	  .late = late, .check = check },
	{ .rare = true, .name = "wait-last-beside-an-abort",
	  .setup = for_three, .before = two_and_referee, .victim = comes_last,
	  .other = { guest, NULL, watch }, .late = guest, .peer = aborts, .check = check },
	{ .name = NULL }
};

const struct kill_room room_barrier = {
	.name = "barrier", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .scenarios = scenarios, .files = "barrier.c prong_barrier_",
};
