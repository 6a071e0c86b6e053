/* The semaphore: nobody sleeps beside a token, and none is made or lost but in the hands of the
   dead. */
#include "referee.h"
#include <errno.h>
#include <prong/sem.h>

enum { TAKES_BEGUN = NOTE_FREE, TAKEN, PUTS_BEGUN, PUT };

static void count(int what)
{
	atomic_fetch_add(&kill_control->note[what], 1);
}

static uint64_t counted(int what)
{
	return atomic_load(&kill_control->note[what]);
}

/* --- the victim, whose takes and puts are counted -------------------------------------------- */

static void take(prong_time deadline)
{
	count(TAKES_BEGUN);
	if (prong_sem_wait(&world->sem, deadline))
		note_bad(KILL_STUCK);
	count(TAKEN);
}

static void put(void)
{
	count(PUTS_BEGUN);
	if (prong_sem_post(&world->sem, 1))
		note_bad(KILL_TORN);
	count(PUT);
}

/* --- the others ------------------------------------------------------------------------------ */

static unsigned pass(void)
{
	prong_time deadline = world_deadline();
	unsigned bad = prong_sem_wait(&world->sem, deadline) ? KILL_STUCK : in_time(deadline);

	if (!bad && prong_sem_post(&world->sem, 1))
		bad = KILL_TORN;
	note_over();
	return bad;
}

static unsigned poster(void)
{
	kill_gate(1);
	return prong_sem_post(&world->sem, 1) ? KILL_TORN : 0;
}

static unsigned late(void)
{
	if (prong_sem_post(&world->sem, 1))
		return KILL_TORN;
	return prong_sem_wait(&world->sem, world_deadline()) ? KILL_STUCK : 0;
}

static bool no_token(void)
{
	return prong_sem_value(&world->sem) == 0;
}

static void give_one(void)
{
	prong_sem_post(&world->sem, 1);
}

static unsigned watch_two(void)
{
	return referee(2, (prongi_word *)&world->sem.word_, no_token, give_one);
}

static unsigned watch_one(void)
{
	return referee(1, (prongi_word *)&world->sem.word_, no_token, give_one);
}

/* begin: tokens that there were, or that others put. */
static unsigned check_from(uint64_t begin)
{
	int64_t n = prong_sem_value(&world->sem);
	int64_t all = (int64_t)(begin + counted(NOTE_HELPED));

	if (n < all - (int64_t)counted(TAKES_BEGUN) + (int64_t)counted(PUT))
		return KILL_LOST;
	if (n > all - (int64_t)counted(TAKEN) + (int64_t)counted(PUTS_BEGUN))
		return KILL_TWICE;
	return world_check() | (unsigned)counted(NOTE_BAD);
}

static unsigned check_none(void)
{
	return check_from(0);
}

static unsigned check_one(void)
{
	return check_from(1);
}

static unsigned check_two(void)
{
	return check_from(2);
}

/* --- scenarios ------------------------------------------------------------------------------- */

static void two_tokens(void)
{
	world->sem = (prong_sem)PRONG_SEM_BOUNDED(2);
}

static void one_token(void)
{
	world->sem = (prong_sem)PRONG_SEM_BOUNDED(1);
}

static void no_tokens(void)
{
	world->sem = (prong_sem)PRONG_SEM(0);
}

static void take_and_put(void)
{
	take(PRONG_FOREVER);
	put();
}

static unsigned peer(void)
{
	take_and_put();
	return 0;
}

/* The peer of one that puts: a token that it has taken is its own. */
static unsigned takes_what_there_is(void)
{
	count(TAKES_BEGUN);
	if (prong_sem_wait(&world->sem, PRONG_NOW) == 0)
		count(TAKEN);
	else
		atomic_fetch_sub(&kill_control->note[TAKES_BEGUN], 1);
	return 0;
}

static void put_two(void)
{
	kill_gate(0);
	atomic_fetch_add(&kill_control->note[PUTS_BEGUN], 2);
	if (prong_sem_post(&world->sem, 2))
		note_bad(KILL_TORN);
	atomic_fetch_add(&kill_control->note[PUT], 2);
}

/* None, and more than it holds. */
static void put_badly(void)
{
	if (prong_sem_post(&world->sem, 0) || prong_sem_post(&world->sem, 2) != -EOVERFLOW ||
	    prong_sem_value(&world->sem) != 1)
		note_bad(KILL_TORN);
}

/* As a thread that has used nothing of prong so far: it borrows a slot. */
static void put_without_a_slot(void)
{
	struct prongi_self self = prongi_self;

	kill_gate(0);
	prongi_self = (struct prongi_self){ NULL, 0, 0 };
	put();
	prongi_self = self;
}

static void repair_process(void)
{
	world_repair();
	prongi_repair_process(1); /* what it has borrowed too */
}

static void put_gated(void)
{
	kill_gate(0);
	put();
}

static void take_not_now(void)
{
	if (prong_sem_wait(&world->sem, PRONG_NOW) != PRONG_TIMEDOUT)
		note_bad(KILL_TORN);
}

static prong_time soon;

static void set_soon(void)
{
	prongi_spins = false; /* so that it soon sleeps, stepped or not */
	soon = prong_in_ms(15);
}

static void take_too_late(void)
{
	if (prong_sem_wait(&world->sem, soon) != PRONG_TIMEDOUT)
		note_bad(KILL_TORN);
}

static void two_wait(struct kill_trial *t)
{
	for (int i = 0; i < 3; i++)
		kill_place(t, i);
}

static void two_come(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	two_wait(t);
	kill_open(0);
}

static void poster_comes(struct kill_trial *t)
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
	{ .name = "wait-post", .setup = one_token, .victim = take_and_put, .check = check_one },
	{ .name = "wait-post-beside", .setup = two_tokens, .victim = take_and_put, .peer = peer,
	  .check = check_two },
	{ .name = "post", .setup = no_tokens, .victim = put, .peer = takes_what_there_is,
	  .late = late, .check = check_none },
	{ .rare = true, .name = "post-refused", .setup = one_token, .victim = put_badly,
	  .check = check_one },
	{ .name = "post-both-two-asleep", .setup = no_tokens, .victim = put_two,
	  .asleep = two_come, .other = { pass, pass, watch_two }, .late = late,
	  .check = check_none },
	{ .name = "post-two-asleep", .setup = no_tokens, .victim = put_gated, .asleep = two_come,
	  .other = { pass, pass, watch_two }, .late = late, .check = check_none },
	{ .name = "wait-asleep-first-of-two", .setup = no_tokens, .before = poster_comes,
	  .victim = take_and_put, .asleep = second_comes, .other = { poster, pass, watch_one },
	  .late = late, .check = check_one },
	{ .name = "wait-not-now", .setup = no_tokens, .before = two_wait, .victim = take_not_now,
	  .other = { pass, pass, watch_two }, .late = late, .check = check_none },
	{ .name = "wait-timed-out", .setup = no_tokens, .before = two_wait, .prepare = set_soon,
	  .victim = take_too_late, .other = { pass, pass, watch_two }, .late = late,
	  .check = check_none },
	{ .name = NULL }
};

const struct kill_room room_sem = {
	.name = "sem", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .scenarios = scenarios, .files = "sem.c word.c prong_sem_ "
		"prongi_promise_ prongi_kept_ prongi_wake_some prongi_look_again",
};

static const struct kill_scenario borrowing[] = {
	{ .name = "post-without-a-slot", .setup = no_tokens, .victim = put_without_a_slot,
	  .asleep = two_come, .other = { pass, pass, watch_two }, .late = late,
	  .check = check_none },
	{ .name = NULL }
};

const struct kill_room room_borrowed = {
	.name = "sem", .open = world_open, .become = world_become, .repair = repair_process,
	.scenarios = borrowing, .files = "prongi_slot_borrow",
};
