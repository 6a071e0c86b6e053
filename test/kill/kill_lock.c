/* The lock kernel: sections of one and of many words, alone and with others asleep. */
#include "world.h"

/* Move one from a to b. */
static void section(void)
{
	prongi_begin(&world->lock);
	prongi_set(&world->a, prongi_get(&world->a) - 1);
	prongi_set(&world->b, prongi_get(&world->b) + 1);
	prongi_commit();
	prongi_end(&world->lock);
}

static void counted(void)
{
	kill_count_begun();
	section();
	kill_count_done();
}

static unsigned other(void)
{
	section();
	return 0;
}

static unsigned peer(void)
{
	counted();
	return 0;
}

/* Every other that ran has done one section; so the victim has done the rest. */
static unsigned check(void)
{
	uint64_t b = atomic_load(&world->b), others = atomic_load(&kill_control->note[0]);
	unsigned bad = atomic_load(&world->a) + b == WORLD_TOTAL ? 0 : KILL_TORN;

	bad |= world_check() | kill_check_count(b - others);
	return kill_because(bad, "%lld and %lld, %lld of them by others", (long long)world->a,
			    (long long)b, (long long)others);
}

static void with_others(uint64_t n)
{
	atomic_store(&kill_control->note[0], n);
}

static void one_other(void)
{
	with_others(1);
}

static void two_others(void)
{
	with_others(2);
}

/* --- alone -------------------------------------------------------------------------------- */

static void three(void)
{
	counted();
	prongi_begin(&world->lock2);
	for (int i = 0; i < WORLD_WORDS; i++)
		prongi_set(&world->word[i], 1);
	prongi_commit();
	prongi_end(&world->lock2);
	counted();
}

static unsigned other_three(void)
{
	prongi_begin(&world->lock2);
	for (int i = 0; i < WORLD_WORDS; i++)
		prongi_set(&world->word[i], prongi_get(&world->word[i]) + 1);
	prongi_commit();
	prongi_end(&world->lock2);
	section();
	return 0;
}

static unsigned check_three(void)
{
	unsigned bad = check();

	for (int i = 1; i < WORLD_WORDS; i++)
		if (atomic_load(&world->word[i]) != atomic_load(&world->word[0]))
			bad |= KILL_TORN;
	return bad;
}

/* A section that changes its mind. */
static void nothing(void)
{
	prongi_begin(&world->lock);
	prongi_set(&world->a, 7);
	prongi_end(&world->lock);
}

/* --- with two asleep ---------------------------------------------------------------------- */

/* In the middle of the section the victim sleeps, and the others come. */
static void gated(void)
{
	kill_count_begun();
	prongi_begin(&world->lock);
	kill_gate(0);
	prongi_set(&world->a, prongi_get(&world->a) - 1);
	prongi_set(&world->b, prongi_get(&world->b) + 1);
	prongi_commit();
	prongi_end(&world->lock);
	kill_count_done();
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
	prongi_begin(&world->lock);
	kill_gate(1);
	prongi_set(&world->a, prongi_get(&world->a) - 1);
	prongi_set(&world->b, prongi_get(&world->b) + 1);
	prongi_commit();
	prongi_end(&world->lock);
	return 0;
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

/* One more comes to sleep behind the victim; so the wake chooses the victim. */
static void second_comes(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 1);
	kill_pass(t, 1, 0);
}

/* --- a third comes between death and repair ----------------------------------------------- */

/* It takes the lock without knowing of those who sleep there, and has it during the repair. */
static unsigned third(void)
{
	prongi_begin(&world->lock);
	kill_gate(2);
	prongi_set(&world->a, prongi_get(&world->a) - 1);
	prongi_set(&world->b, prongi_get(&world->b) + 1);
	prongi_commit();
	prongi_end(&world->lock);
	return 0;
}

static void third_comes(struct kill_trial *t)
{
	if (!prongi_owner(world->lock))
		kill_place(t, 2);
}

static void three_others(void)
{
	with_others(3);
}

/* --- two deaths --------------------------------------------------------------------------- */

/* The holder dies in its section, committed but half applied, as a kill between two stores leaves
   it; the victim finds that and has to wait for the repair. */
static unsigned dying_holder(void)
{
	struct prongi_slot *me = prongi_self.slot;

	prongi_begin(&world->lock);
	prongi_set(&world->a, prongi_get(&world->a) - 1);
	prongi_set(&world->b, prongi_get(&world->b) + 1);
	atomic_store(&me->count, me->filled);
	atomic_store(&world->a, atomic_load(&me->log[0].value));
	kill_gate(1);
	return KILL_TORN; /* it is never to get here */
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

static const struct kill_scenario scenarios[] = {
	{ .name = "section", .setup = one_other, .victim = counted, .other = { other },
	  .peer = peer, .check = check },
	{ .name = "section-nothing-changed", .setup = one_other, .victim = nothing,
	  .other = { other }, .peer = peer, .check = check },
	{ .name = "three-sections-two-locks", .setup = one_other, .victim = three,
	  .other = { other_three }, .peer = peer, .check = check_three },
	{ .name = "section-two-asleep", .setup = two_others, .victim = gated,
	  .asleep = two_come, .other = { other, other }, .check = check },
	{ .name = "section-asleep", .setup = one_other, .before = held, .victim = counted,
	  .asleep = holder_ends, .other = { holder }, .check = check },
	{ .name = "section-asleep-first-of-two", .setup = two_others, .before = held,
	  .victim = counted, .asleep = second_comes, .other = { holder, other }, .check = check },
	{ .name = "section-two-asleep-third-comes", .setup = three_others, .victim = gated,
	  .asleep = two_come, .died = third_comes, .other = { other, other, third },
	  .check = check },
	{ .name = "section-asleep-third-comes", .setup = three_others, .before = held,
	  .victim = counted, .asleep = second_comes, .died = third_comes,
	  .other = { holder, other, third }, .check = check },
	{ .name = "section-holder-dead", .setup = one_other, .before = holder_died,
	  .victim = counted, .asleep = holder_is_repaired, .other = { dying_holder },
	  .check = check },
	{ .name = "section-holder-dead-first-of-two", .setup = two_others, .before = holder_died,
	  .victim = counted, .asleep = second_comes_then_repair, .other = { dying_holder, other },
	  .check = check },
	{ .name = NULL }
};

const struct kill_room room_lock = {
	.name = "lock", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .holds = world_holds,
	.scenarios = scenarios, .files = "lock.c repair.c prongi_begin prongi_get prongi_set "
	"prongi_commit prongi_end prongi_lock_ prongi_unlock prongi_wake_one prongi_repair "
		"prongi_word_valid prongi_slot_wipe prongi_pass_on",
};
