/* The event: who waits passes once it is set, whoever dies. */
#include "referee.h"
#include <prong/event.h>

static uint32_t turn(void)
{
	return (uint32_t)(world->event.word_ & PRONGI_TURNS);
}

static unsigned waiter(void)
{
	prong_time deadline = world_deadline();
	unsigned bad = prong_event_wait(&world->event, deadline) ? KILL_STUCK : in_time(deadline);

	note_over();
	return bad;
}

static unsigned setter(void)
{
	kill_gate(1);
	return prong_event_set(&world->event) ? KILL_TORN : 0;
}

static unsigned late(void)
{
	if (prong_event_set(&world->event) || !prong_event_is_set(&world->event))
		return KILL_TORN;
	return prong_event_wait(&world->event, world_deadline()) ? KILL_STUCK : 0;
}

/* The victim has not set it: it had no turn. */
static bool never_set(void)
{
	return turn() == 0;
}

static void set(void)
{
	prong_event_set(&world->event);
}

static unsigned watch_two(void)
{
	return referee(2, (prongi_word *)&world->event.word_, never_set, set);
}

static unsigned watch_one(void)
{
	return referee(1, (prongi_word *)&world->event.word_, never_set, set);
}

static unsigned check(void)
{
	unsigned bad = world_check() | (unsigned)atomic_load(&kill_control->note[NOTE_BAD]);

	return bad | (prong_event_is_set(&world->event) ? 0 : KILL_LOST);
}

/* --- scenarios ------------------------------------------------------------------------------- */

static void set_gated(void)
{
	kill_gate(0);
	if (prong_event_set(&world->event))
		note_bad(KILL_TORN);
}

static void pulse_gated(void)
{
	set_gated();
	if (prong_event_clear(&world->event))
		note_bad(KILL_TORN);
}

static void wait_for_it(void)
{
	if (prong_event_wait(&world->event, PRONG_FOREVER))
		note_bad(KILL_STUCK);
}

static void set_alone(void)
{
	if (prong_event_set(&world->event) || prong_event_set(&world->event))
		note_bad(KILL_TORN);
}

static unsigned peer(void)
{
	prong_event_set(&world->event);
	prong_event_clear(&world->event);
	if (prong_event_wait(&world->event, PRONG_NOW) > PRONG_TIMEDOUT)
		return KILL_TORN;
	return 0;
}

static prong_time soon;

static void set_soon(void)
{
	prongi_spins = false; /* so that it soon sleeps, stepped or not */
	soon = prong_in_ms(15);
}

static void wait_too_late(void)
{
	if (prong_event_wait(&world->event, PRONG_NOW) != PRONG_TIMEDOUT ||
	    prong_event_wait(&world->event, soon) != PRONG_TIMEDOUT)
		note_bad(KILL_TORN);
}

static void all_come(struct kill_trial *t)
{
	for (int i = 0; i < 3; i++)
		kill_place(t, i);
}

static void two_come(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	all_come(t);
	kill_open(0);
}

static void setter_sets(struct kill_trial *t, int nth)
{
	if (nth == 0)
		kill_pass(t, 1, 0);
}

static const struct kill_scenario scenarios[] = {
	{ .name = "set-two-asleep", .victim = set_gated, .asleep = two_come,
	  .other = { waiter, waiter, watch_two }, .late = late, .check = check },
	{ .name = "set-clear-two-asleep", .victim = pulse_gated, .asleep = two_come,
	  .other = { waiter, waiter, watch_two }, .late = late, .check = check },
	{ .name = "wait-asleep", .before = all_come, .victim = wait_for_it,
	  .asleep = setter_sets, .other = { setter, waiter, watch_one }, .late = late,
	  .check = check },
	{ .name = "set", .victim = set_alone, .late = late, .peer = peer, .check = check },
	{ .rare = true, .name = "wait-timed-out", .before = all_come, .prepare = set_soon,
	  .victim = wait_too_late, .other = { waiter, waiter, watch_two }, .late = late,
	  .check = check },
	{ .name = NULL }
};

const struct kill_room room_event = {
	.name = "event", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .scenarios = scenarios, .files = "event.c prong_event_",
};
