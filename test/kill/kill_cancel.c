/* Cancelling: who sleeps and is cancelled wakes up, whoever dies; and a wake that meets a cancel is
   not lost for others. */
#include "referee.h"
#include "family/cancel.h"

#define SCOPE ((uint64_t)7 << 2) /* of every actor */

/* The scenario's own notes: of the victim and of the other that takes. */
enum {
	BEGUN = NOTE_FREE, /* it is about to take a token */
	TAKEN,		   /* it has one */
	OTHERS		   /* so many have others */
};

static struct prongi_scope scope_of(int actor)
{
	return (struct prongi_scope){ (uint32_t)(world_slot(actor) - prongi_heap->slot),
				      SCOPE | PRONGI_CANCEL_CAN };
}

static void setup(void)
{
	world->sem = (prong_sem)PRONG_SEM(0);
	for (int i = 0; i <= KILL_OTHERS; i++)
		atomic_store(&world_slot(i)->cancel, SCOPE | (i < 3 ? PRONGI_CANCEL_CAN : 0));
}

static bool is_cancelled(int actor)
{
	return atomic_load(&world_slot(actor)->cancel) & PRONGI_CANCEL_IS;
}

/* --- who cancels dies ----------------------------------------------------------------------- */

static unsigned cancelled(void)
{
	prong_time deadline = world_deadline();
	int r = prong_sem_wait(&world->sem, deadline);

	note_over();
	return (r == PRONG_CANCELLED ? 0 : KILL_STUCK) | in_time(deadline);
}

static bool not_both(void)
{
	return !is_cancelled(1) || !is_cancelled(2);
}

static void cancel_both(void)
{
	prongi_scope_cancel(scope_of(1));
	prongi_scope_cancel(scope_of(2));
}

static unsigned watch_both(void)
{
	return referee(2, &world_slot(1)->cancel, not_both, cancel_both);
}

static void cancel_gated(void)
{
	kill_gate(0);
	cancel_both();
	if (not_both())
		note_bad(KILL_LOST);
}

static void all_come(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	for (int i = 0; i < 3; i++)
		kill_place(t, i);
	kill_open(0);
}

static unsigned late(void)
{
	return prong_sem_post(&world->sem, 1) || prong_sem_wait(&world->sem, world_deadline())
		       ? KILL_STUCK
		       : 0;
}

static unsigned check_cancelled(void)
{
	return world_check() | (unsigned)atomic_load(&kill_control->note[NOTE_BAD]) |
	       (not_both() ? KILL_LOST : 0);
}

/* --- who is cancelled, and chosen by a wake, dies --------------------------------------------- */

static void take_or_be_cancelled(void)
{
	int r;

	atomic_store(&kill_control->note[BEGUN], 1);
	r = prong_sem_wait(&world->sem, PRONG_FOREVER);
	if (r == 0)
		atomic_store(&kill_control->note[TAKEN], 1);
	else if (r != PRONG_CANCELLED)
		note_bad(KILL_STUCK);
}

/* Both at once, as far as one can. */
static unsigned cancel_and_post(void)
{
	kill_gate(1);
	prongi_scope_cancel(scope_of(0));
	return prong_sem_post(&world->sem, 1) ? KILL_TORN : 0;
}

static unsigned post_and_cancel(void)
{
	unsigned bad;

	kill_gate(1);
	bad = prong_sem_post(&world->sem, 1) ? KILL_TORN : 0;
	prongi_scope_cancel(scope_of(0));
	return bad;
}

static unsigned takes(void)
{
	prong_time deadline = world_deadline();
	unsigned bad = prong_sem_wait(&world->sem, deadline) ? KILL_STUCK : in_time(deadline);

	if (!bad)
		atomic_fetch_add(&kill_control->note[OTHERS], 1);
	note_over();
	return bad;
}

static bool no_token(void)
{
	return prong_sem_value(&world->sem) == 0;
}

static void give_one(void)
{
	prong_sem_post(&world->sem, 1);
}

static unsigned watch_one(void)
{
	return referee(1, (prongi_word *)&world->sem.word_, no_token, give_one);
}

static void other_comes(struct kill_trial *t)
{
	kill_place(t, 0);
}

static void second_comes(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 1);
	kill_place(t, 2);
	kill_pass(t, 1, 0);
}

static unsigned check_tokens(void)
{
	uint64_t left = prong_sem_value(&world->sem);
	uint64_t put = 1 + atomic_load(&kill_control->note[NOTE_HELPED]);
	uint64_t taken = atomic_load(&kill_control->note[OTHERS]);
	unsigned bad = (unsigned)atomic_load(&kill_control->note[NOTE_BAD]);

	if (left + taken + atomic_load(&kill_control->note[BEGUN]) < put)
		bad |= KILL_LOST;
	if (left + taken + atomic_load(&kill_control->note[TAKEN]) > put)
		bad |= KILL_TWICE;
	return world_check() | bad;
}

static const struct kill_scenario scenarios[] = {
	{ .name = "cancel-two-asleep", .setup = setup, .victim = cancel_gated, .asleep = all_come,
	  .other = { cancelled, cancelled, watch_both }, .late = late, .check = check_cancelled },
	{ .name = "cancelled-then-woken", .setup = setup, .before = other_comes,
	  .victim = take_or_be_cancelled, .asleep = second_comes,
	  .other = { cancel_and_post, takes, watch_one }, .late = late, .check = check_tokens },
	{ .name = "woken-then-cancelled", .setup = setup, .before = other_comes,
	  .victim = take_or_be_cancelled, .asleep = second_comes,
	  .other = { post_and_cancel, takes, watch_one }, .late = late, .check = check_tokens },
	{ .name = NULL }
};

const struct kill_room room_cancel = {
	.name = "cancel", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .holds = world_holds, .scenarios = scenarios,
	.files = "cancel.c prongi_scope prongi_sleep",
};
