/* Once: it has happened, and was not begun anew after that; or somebody else makes it happen. */
#include "referee.h"
#include <prong/once.h>

enum { BEGUN = NOTE_FREE, MADE };

/* Two steps, which a death may part: the next maker begins by looking. */
static int make(void *arg)
{
	(void)arg;
	atomic_fetch_add(&kill_control->note[BEGUN], 1);
	atomic_store(&world->a, WORLD_TOTAL - 1);
	atomic_store(&world->b, 1);
	atomic_fetch_add(&kill_control->note[MADE], 1);
	return 0;
}

static int make_gated(void *arg)
{
	kill_gate(0);
	return make(arg);
}

static unsigned run(prong_fn *fn, prong_time deadline)
{
	int r = prong_once_run(&world->once, fn, NULL, deadline);

	if (r)
		return r == PRONG_TIMEDOUT ? KILL_STUCK : KILL_TORN;
	if (in_time(deadline))
		return KILL_STUCK;
	return prong_once_done(&world->once) && atomic_load(&world->b) == 1 ? 0 : KILL_LOST;
}

static unsigned other(void)
{
	return run(make, world_deadline());
}

static int make_at_gate(void *arg)
{
	kill_gate(1);
	return make(arg);
}

static unsigned maker(void)
{
	return run(make_at_gate, world_deadline());
}

/* Made by one, or half by the dead one and then by another; or whole by the dead one, which had not
   said so. */
static unsigned check(void)
{
	uint64_t begun = atomic_load(&kill_control->note[BEGUN]);

	uint64_t dead = (uint64_t)__builtin_popcountll(atomic_load(&kill_control->dead));

	return world_check() | (unsigned)atomic_load(&kill_control->note[NOTE_BAD]) |
	       (prong_once_done(&world->once) ? 0 : KILL_LOST) |
	       (begun > 2 + dead ? KILL_TWICE : 0);
}

static void first(void)
{
	note_bad(run(make, PRONG_FOREVER));
}

static void first_gated(void)
{
	note_bad(run(make_gated, PRONG_FOREVER));
}

static unsigned peer(void)
{
	return run(make, PRONG_FOREVER);
}

static int fails_gated(void *arg)
{
	(void)arg;
	kill_gate(0);
	return 5;
}

/* It has not happened: the next runs it. */
static void first_fails(void)
{
	if (prong_once_run(&world->once, fails_gated, NULL, PRONG_FOREVER) != 5)
		note_bad(KILL_TORN);
}

static void run_not_now(void)
{
	if (prong_once_run(&world->once, make, NULL, PRONG_NOW) != PRONG_TIMEDOUT)
		note_bad(KILL_TORN);
}

static void two_come(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 0);
	kill_place(t, 1);
	kill_open(0);
}

static void maker_is_at_it(struct kill_trial *t)
{
	kill_place(t, 0);
}

static void two_are_at_it(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_place(t, 1);
}

static void second_comes(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 1);
	kill_pass(t, 1, 0);
}

static const struct kill_scenario scenarios[] = {
	{ .name = "run", .victim = first, .other = { other }, .late = other, .peer = peer,
	  .check = check },
	{ .name = "run-fails-two-asleep", .victim = first_fails, .asleep = two_come,
	  .other = { other, other }, .late = other, .check = check },
	{ .rare = true, .name = "run-not-now", .before = two_are_at_it, .victim = run_not_now,
	  .other = { maker, other }, .late = other, .check = check },
	{ .name = "run-two-asleep", .victim = first_gated, .asleep = two_come,
	  .other = { other, other }, .late = other, .check = check },
	{ .name = "run-asleep-first-of-two", .before = maker_is_at_it, .victim = first,
	  .asleep = second_comes, .other = { maker, other }, .late = other, .check = check },
	{ .name = NULL }
};

const struct kill_room room_once = {
	.name = "once", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .scenarios = scenarios, .files = "once.c prong_once_",
};
