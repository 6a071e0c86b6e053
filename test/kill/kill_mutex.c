/* The mutex: all its calls, alone, with others asleep, timed out, and after an owner's death. */
#include "world.h"

/* What a user does who holds the mutex after its owner died: put right what it protects. */
static int recover(prong_mutex *m)
{
	atomic_store(&world->b, WORLD_TOTAL - atomic_load(&world->a));
	return prong_mutex_consistent(m);
}

/* Lock, whole data assured.  Return what is wrong. */
static unsigned enter(prong_mutex *m, prong_time deadline)
{
	int r = prong_mutex_lock(m, deadline);

	if (r == PRONG_OWNERDEAD) {
		atomic_store(&world->inside, 0);
		r = recover(m);
	}
	if (r)
		return r == PRONG_TIMEDOUT ? KILL_STUCK : KILL_TORN;
	if (atomic_exchange(&world->inside, prongi_self.id) ||
	    atomic_load(&world->a) + atomic_load(&world->b) != WORLD_TOTAL ||
	    !prong_mutex_held(m))
		return KILL_TORN;
	return 0;
}

static void change(void)
{
	atomic_fetch_sub(&world->a, 1);
	atomic_fetch_add(&world->b, 1);
}

static unsigned leave(prong_mutex *m)
{
	unsigned bad = atomic_load(&world->inside) == prongi_self.id ? 0 : KILL_TORN;

	atomic_store(&world->inside, 0);
	return prong_mutex_unlock(m) ? bad | KILL_TORN : bad;
}

static unsigned other(void)
{
	unsigned bad = enter(&world->mutex, world_deadline());

	if (bad)
		return bad;
	change();
	return leave(&world->mutex);
}

/* What the victim thinks is wrong has to outlive it. */
static void note(unsigned bad)
{
	atomic_fetch_or(&kill_control->note[1], bad);
}

static void critical(void)
{
	note(enter(&world->mutex, PRONG_FOREVER));
	kill_count_begun();
	change();
	kill_count_done();
	note(leave(&world->mutex));
}

static unsigned peer(void)
{
	critical();
	return 0;
}

static void others(uint64_t n)
{
	atomic_store(&kill_control->note[0], n);
}

static void none(void)
{
	others(0);
}

/* So many of the others, and the late one, change the data. */
static void late(void)
{
	others(1);
}

static void one_and_late(void)
{
	others(2);
}

static void two_and_late(void)
{
	others(3);
}

static unsigned check(void)
{
	uint64_t moved = WORLD_TOTAL - atomic_load(&world->a);

	return world_check() | kill_check_count(moved - atomic_load(&kill_control->note[0])) |
	       (unsigned)atomic_load(&kill_control->note[1]) |
	       (atomic_load(&world->a) + atomic_load(&world->b) == WORLD_TOTAL ? 0 : KILL_TORN);
}

/* --- with two asleep ---------------------------------------------------------------------- */

static void gated(void)
{
	note(enter(&world->mutex, PRONG_FOREVER));
	kill_gate(0);
	kill_count_begun();
	change();
	kill_count_done();
	note(leave(&world->mutex));
}

static void two_come(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 0);
	kill_place(t, 1);
	kill_open(0);
}

/* --- asleep itself ------------------------------------------------------------------------ */

static unsigned holder(void)
{
	unsigned bad = enter(&world->mutex, world_deadline());

	if (bad)
		return bad;
	kill_gate(1);
	change();
	return leave(&world->mutex);
}

static void held(struct kill_trial *t)
{
	kill_place(t, 0);
}

static void holder_ends(struct kill_trial *t, int nth)
{
	if (nth == 0)
		kill_pass(t, 1, 0);
}

static void second_comes(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 1);
	kill_pass(t, 1, 0);
}

static void held_and_wanted(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_place(t, 1);
}

/* --- a third comes between death and repair ----------------------------------------------- */

/* It takes the mutex without knowing of those who sleep there, and has it during the repair. */
static unsigned third(void)
{
	unsigned bad = enter(&world->mutex, world_deadline());

	if (bad)
		return bad;
	kill_gate(2);
	change();
	return leave(&world->mutex);
}

static void third_comes(struct kill_trial *t)
{
	if (!prongi_owner(world->mutex.word_))
		kill_place(t, 2);
}

static void three_and_late(void)
{
	others(4);
}

/* --- timed out ---------------------------------------------------------------------------- */

static prong_time soon;

static void set_soon(void)
{
	soon = prong_in_ms(45);
}

static void too_late(void)
{
	if (prong_mutex_lock(&world->mutex, soon) != PRONG_TIMEDOUT)
		note(KILL_TORN);
}

static void not_now(void)
{
	if (prong_mutex_lock(&world->mutex, PRONG_NOW) != PRONG_TIMEDOUT)
		note(KILL_TORN);
}

/* --- recursive ---------------------------------------------------------------------------- */

static void make_recursive(void)
{
	world->mutex = (prong_mutex)PRONG_MUTEX_RECURSIVE;
	two_and_late();
}

static void recursive(void)
{
	note(enter(&world->mutex, PRONG_FOREVER));
	if (prong_mutex_lock(&world->mutex, PRONG_NOW))
		note(KILL_STUCK);
	kill_gate(0);
	kill_count_begun();
	change();
	kill_count_done();
	if (prong_mutex_unlock(&world->mutex) || !prong_mutex_held(&world->mutex))
		note(KILL_TORN);
	note(leave(&world->mutex));
}

/* --- after an owner's death --------------------------------------------------------------- */

/* Other 2 died inside and is repaired; nobody waited, so the mutex is still in its name. */
static void owner_died_before(void)
{
	one_and_late();
	world_become(3);
	if (enter(&world->mutex, PRONG_NOW))
		atomic_store(&kill_control->note[1], KILL_TORN);
	atomic_fetch_sub(&world->a, 1); /* half done */
	prongi_repair(world_slot(3));
	world_become(-1);
}

/* The victim does not put right what the dead one left: so the next must be told as well. */
static void look_away(void)
{
	int r = prong_mutex_lock(&world->mutex, PRONG_FOREVER);
	bool whole = atomic_load(&world->a) + atomic_load(&world->b) == WORLD_TOTAL;

	/* Unless another has recovered it while this one was stopped. */
	if (r != (whole ? 0 : PRONG_OWNERDEAD))
		note(KILL_TORN);
	if (prong_mutex_unlock(&world->mutex))
		note(KILL_TORN);
}

/* The dead one's half a change counts: whoever recovers completes it. */
static unsigned check_with_death(void)
{
	atomic_fetch_add(&kill_control->note[0], 1);
	return check();
}

static unsigned dying_holder(void)
{
	unsigned bad = enter(&world->mutex, world_deadline());

	atomic_fetch_sub(&world->a, 1);
	kill_gate(1);
	return bad | KILL_TORN;
}

static void holder_died(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_other(t, 0);
}

static void holder_is_repaired(struct kill_trial *t, int nth)
{
	if (nth == 0)
		world_repair_other(t, 0);
}

static void second_comes_then_repair(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 1);
	world_repair_other(t, 0);
}

/* --- two mutexes -------------------------------------------------------------------------- */

static void both(void)
{
	if (prong_mutex_lock(&world->mutex, PRONG_FOREVER) ||
	    prong_mutex_lock(&world->mutex2, PRONG_FOREVER))
		note(KILL_TORN);
	kill_gate(0);
	prong_mutex_unlock(&world->mutex);
	prong_mutex_unlock(&world->mutex2);
}

static unsigned pass_through(prong_mutex *m)
{
	int r = prong_mutex_lock(m, world_deadline());

	if (r == PRONG_OWNERDEAD)
		r = prong_mutex_consistent(m);
	return r ? KILL_STUCK : prong_mutex_unlock(m) ? KILL_TORN : 0;
}

static unsigned through_first(void)
{
	return pass_through(&world->mutex);
}

static unsigned through_second(void)
{
	return pass_through(&world->mutex2);
}

static unsigned through_both(void)
{
	return pass_through(&world->mutex) | pass_through(&world->mutex2);
}

/* --- misuse ------------------------------------------------------------------------------- */

static void misuse(void)
{
	note(enter(&world->mutex, PRONG_FOREVER));
	if (prong_mutex_lock(&world->mutex, PRONG_FOREVER) != PRONG_DEADLOCK)
		note(KILL_TORN);
	note(leave(&world->mutex));
	if (!prong_mutex_unlock(&world->mutex))
		note(KILL_TORN);
}

static const struct kill_scenario scenarios[] = {
	{ .name = "lock-unlock", .setup = late, .victim = critical, .late = other, .peer = peer,
	  .check = check },
	{ .name = "unlock-two-asleep", .setup = two_and_late, .victim = gated,
	  .asleep = two_come, .other = { other, other }, .late = other, .check = check },
	{ .name = "lock-asleep", .setup = one_and_late, .before = held, .victim = critical,
	  .asleep = holder_ends, .other = { holder }, .late = other, .check = check },
	{ .name = "lock-asleep-first-of-two", .setup = two_and_late, .before = held,
	  .victim = critical, .asleep = second_comes, .other = { holder, other }, .late = other,
	  .check = check },
	{ .name = "unlock-two-asleep-third-comes", .setup = three_and_late, .victim = gated,
	  .asleep = two_come, .died = third_comes, .other = { other, other, third },
	  .late = other, .check = check },
	{ .name = "lock-asleep-third-comes", .setup = three_and_late, .before = held,
	  .victim = critical, .asleep = second_comes, .died = third_comes,
	  .other = { holder, other, third }, .late = other, .check = check },
	{ .name = "lock-timed-out", .setup = two_and_late, .before = held_and_wanted,
	  .prepare = set_soon, .victim = too_late, .other = { holder, other }, .late = other,
	  .check = check },
	{ .name = "lock-not-now", .setup = two_and_late, .before = held_and_wanted,
	  .victim = not_now, .other = { holder, other }, .late = other, .check = check },
	{ .name = "recursive-two-asleep", .setup = make_recursive, .victim = recursive,
	  .asleep = two_come, .other = { other, other }, .late = other, .check = check },
	{ .name = "owner-dead-consistent", .setup = owner_died_before, .victim = critical,
	  .other = { other }, .late = other, .peer = peer, .check = check_with_death },
	{ .name = "owner-dead-unlocked", .setup = owner_died_before, .victim = look_away,
	  .other = { other }, .late = other, .check = check_with_death },
	{ .name = "owner-dies-asleep", .setup = late, .before = holder_died,
	  .victim = critical, .asleep = holder_is_repaired, .other = { dying_holder },
	  .late = other,
	  .check = check_with_death },
	{ .name = "owner-dies-asleep-first-of-two", .setup = one_and_late, .before = holder_died,
	  .victim = critical, .asleep = second_comes_then_repair,
	  .other = { dying_holder, other }, .late = other, .check = check_with_death },
	{ .name = "two-mutexes-held", .setup = none, .victim = both, .asleep = two_come,
	  .other = { through_first, through_second }, .late = through_both,
	  .check = check },
	{ .name = "misuse", .setup = late, .victim = misuse, .late = other, .peer = peer,
	  .check = check },
	{ .name = NULL }
};

const struct kill_room room_mutex = {
	.name = "mutex", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .holds = world_holds,
	.scenarios = scenarios, .files = "mutex.c prong_mutex_",
};
