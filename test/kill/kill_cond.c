/* The condition: who waits for a ticket gets it, whoever dies.  Tickets are world->a, under the
   mutex; who is told of a death makes them as many as are still wanted, and broadcasts. */
#include "referee.h"
#include <prong/cond.h>

#define WANTED NOTE_FREE /* by the others that wait */

static void wanted(uint64_t n)
{
	atomic_store(&world->a, 0);
	atomic_store(&kill_control->note[WANTED], n);
}

static void two_want(void)
{
	wanted(2);
}

static void one_wants(void)
{
	wanted(1);
}

static uint64_t still_wanted(void)
{
	return atomic_load(&kill_control->note[WANTED]);
}

/* Holding the mutex: r is how the caller got it. */
static int recover(int r)
{
	if (r != PRONG_OWNERDEAD)
		return r;
	atomic_store(&world->a, still_wanted());
	r = prong_mutex_consistent(&world->mutex);
	return r ? r : prong_cond_broadcast(&world->cond);
}

static int get_ticket(prong_time deadline)
{
	int r = recover(prong_mutex_lock(&world->mutex, deadline));

	while (r == 0 && atomic_load(&world->a) == 0)
		r = recover(prong_cond_wait(&world->cond, &world->mutex, deadline));
	if (r == 0)
		atomic_fetch_sub(&world->a, 1);
	return r;
}

static int put_tickets(uint64_t n, bool all)
{
	int r = recover(prong_mutex_lock(&world->mutex, world_deadline()));

	if (r)
		return r;
	atomic_store(&world->a, n);
	for (uint64_t i = 0; i < n && r == 0; i++)
		r = all ? prong_cond_broadcast(&world->cond) : prong_cond_signal(&world->cond);
	return r ? r : prong_mutex_unlock(&world->mutex);
}

static unsigned taker(void)
{
	prong_time deadline = world_deadline();
	int r = get_ticket(deadline);
	unsigned late = in_time(deadline);

	if (r == 0) {
		atomic_fetch_sub(&kill_control->note[WANTED], 1);
		r = prong_mutex_unlock(&world->mutex);
	}
	note_over();
	return r == 0 ? late : r == PRONG_TIMEDOUT ? KILL_STUCK : KILL_TORN;
}

static unsigned giver(void)
{
	kill_gate(1);
	return put_tickets(1, false) ? KILL_TORN : 0;
}

/* The mutex is free and nobody is owed a call. */
static bool no_ticket(void)
{
	return atomic_load(&world->a) == 0 && !prongi_owner(world->mutex.word_);
}

static void help(void)
{
	put_tickets(still_wanted(), true);
}

static unsigned watch_two(void)
{
	return referee(2, (prongi_word *)&world->cond.word_, no_ticket, help);
}

static unsigned watch_one(void)
{
	return referee(1, (prongi_word *)&world->cond.word_, no_ticket, help);
}

static unsigned check(void)
{
	return world_check() | (unsigned)atomic_load(&kill_control->note[NOTE_BAD]) |
	       (still_wanted() ? KILL_LOST : 0);
}

/* --- the victim ------------------------------------------------------------------------------ */

static void signal_gated(void)
{
	kill_gate(0);
	if (put_tickets(2, false))
		note_bad(KILL_TORN);
}

static void broadcast_gated(void)
{
	kill_gate(0);
	if (put_tickets(2, true))
		note_bad(KILL_TORN);
}

static void wait_for_ticket(void)
{
	if (get_ticket(PRONG_FOREVER) || prong_mutex_unlock(&world->mutex))
		note_bad(KILL_STUCK);
}

static prong_time soon;

static void set_soon(void)
{
	prongi_spins = false; /* so that it soon sleeps, stepped or not */
	soon = prong_in_ms(15);
}

static void wait_too_late(void)
{
	if (recover(prong_mutex_lock(&world->mutex, PRONG_FOREVER)))
		note_bad(KILL_TORN);
	if (recover(prong_cond_wait(&world->cond, &world->mutex, soon)) != PRONG_TIMEDOUT ||
	    prong_mutex_unlock(&world->mutex))
		note_bad(KILL_TORN);
}

static void nobody_wants(void)
{
	wanted(0);
}

/* Its own beginning of a wait, and a call that nobody hears. */
static unsigned waits_and_calls(void)
{
	int r = recover(prong_mutex_lock(&world->mutex, PRONG_FOREVER));

	if (r == 0)
		r = recover(prong_cond_wait(&world->cond, &world->mutex, PRONG_NOW));
	if (r != 0 && r != PRONG_TIMEDOUT)
		return KILL_TORN;
	if (prong_cond_signal(&world->cond) || prong_cond_broadcast(&world->cond))
		return KILL_TORN;
	return prong_mutex_unlock(&world->mutex) ? KILL_TORN : 0;
}

static void wait_and_call(void)
{
	note_bad(waits_and_calls());
}

/* One ticket more, while two are asleep. */
static unsigned give_one(bool all)
{
	int r = recover(prong_mutex_lock(&world->mutex, PRONG_FOREVER));

	if (r)
		return KILL_TORN;
	atomic_fetch_add(&world->a, 1);
	r = all ? prong_cond_broadcast(&world->cond) : prong_cond_signal(&world->cond);
	return r || prong_mutex_unlock(&world->mutex) ? KILL_TORN : 0;
}

static unsigned signals_one(void)
{
	return give_one(false);
}

static void signal_one(void)
{
	note_bad(give_one(false));
}

static void broadcast_one(void)
{
	note_bad(give_one(true));
}

/* The peer has the place between them. */
static void two_and_referee(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_place(t, 3);
	kill_place(t, 2);
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

static void giver_comes(struct kill_trial *t)
{
	kill_place(t, 0);
}

static void second_comes(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 1);
	kill_place(t, 2); /* not before those it waits for */
	kill_pass(t, 1, 0);
}

static const struct kill_scenario scenarios[] = {
	{ .name = "signal-two-asleep", .setup = two_want, .victim = signal_gated,
	  .asleep = two_come, .other = { taker, taker, watch_two }, .check = check },
	{ .name = "broadcast-two-asleep", .setup = two_want, .victim = broadcast_gated,
	  .asleep = two_come, .other = { taker, taker, watch_two }, .check = check },
	{ .alone = true, .name = "wait-asleep-first-of-two", .setup = one_wants,
	  .before = giver_comes, .victim = wait_for_ticket, .asleep = second_comes,
	  .other = { giver, taker, watch_one }, .check = check },
	{ .name = "wait-timed-out", .setup = two_want, .before = all_come, .prepare = set_soon,
	  .victim = wait_too_late, .other = { taker, taker, watch_two }, .check = check },
	{ .name = "wait-and-call", .setup = nobody_wants, .victim = wait_and_call,
	  .late = waits_and_calls, .peer = waits_and_calls, .check = check },
	{ .rare = true, .name = "signal-beside-a-signal",
	  .setup = two_want, .before = two_and_referee, .victim = signal_one,
	  .other = { taker, NULL, watch_two }, .late = taker, .peer = signals_one,
	  .check = check },
	{ .rare = true, .name = "broadcast-beside-a-signal",
	  .setup = two_want, .before = two_and_referee, .victim = broadcast_one,
	  .other = { taker, NULL, watch_two }, .late = taker, .peer = signals_one,
	  .check = check },
	{ .name = NULL }
};

const struct kill_room room_cond = {
	.name = "cond", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .scenarios = scenarios, .files = "cond.c prong_cond_",
};
