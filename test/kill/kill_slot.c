/* Slots: claimed and given back, also in the middle of something.  Repair is what the server does
   for a process that has ended. */
#include "world.h"

#define FULL 64 /* so many slots take turns before the table grows; see slot.c */

static void repair(void)
{
	prongi_repair_process(1);
}

static void no_slot(void)
{
	prongi_self = (struct prongi_self){ NULL, 0, 0 };
}

static void claim(void)
{
	if (prongi_slot_claim(1))
		atomic_store(&kill_control->note[0], KILL_STUCK);
}

static void claim_and_release(void)
{
	claim();
	prongi_leave();
	claim();
	prongi_leave();
}

/* Take a slot beside the one there is, and give it back. */
static unsigned other(void)
{
	uint32_t process = prongi_process_index(prongi_me);

	no_slot();
	if (prongi_slot_claim(process))
		return KILL_STUCK;
	if (atomic_load(&prongi_self.slot->id) != prongi_self.id ||
	    atomic_load(&prongi_self.slot->process) != process)
		return KILL_TORN;
	prongi_leave();
	return 0;
}

/* Only the actors' slots are taken now, and the victim's is free. */
static unsigned check(void)
{
	uint32_t n = atomic_load(&prongi_heap->slots_used);
	unsigned bad = world_check() | (unsigned)atomic_load(&kill_control->note[0]);
	uint64_t expected = atomic_load(&kill_control->note[1]), used = 0;

	for (uint32_t i = 0; i < n; i++)
		used += atomic_load(&prongi_heap->slot[i].id) != 0;
	return bad | (used == expected ? 0 : used > expected ? KILL_LEAKED : KILL_TORN);
}

static void setup(void)
{
	atomic_store(&kill_control->note[1], KILL_OTHERS);
}

/* All slots that there are so far are taken, by a process that goes on living. */
static void fill_table(void)
{
	image_add(&prongi_heap->slot[WORLD_SLOTS], FULL * sizeof prongi_heap->slot[0]);
	for (int i = WORLD_SLOTS; i < WORLD_SLOTS + FULL; i++)
		image_ignore(&prongi_heap->slot[i].tid);
	for (int i = KILL_OTHERS + 1; i < FULL; i++)
		if (prongi_slot_claim(0))
			atomic_store(&kill_control->note[0], KILL_STUCK);
	atomic_store(&kill_control->note[1], FULL - 1);
	no_slot();
}

/* --- with mutexes held -------------------------------------------------------------------- */

static void leave_holding(void)
{
	if (prong_mutex_lock(&world->mutex, PRONG_FOREVER) ||
	    prong_mutex_lock(&world->mutex2, PRONG_FOREVER))
		atomic_store(&kill_control->note[0], KILL_TORN);
	kill_gate(0);
	prongi_leave();
}

static void two_come(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 0);
	kill_place(t, 1);
	kill_open(0);
}

static unsigned take(prong_mutex *m)
{
	int r = prong_mutex_lock(m, world_deadline());

	if (r == PRONG_OWNERDEAD)
		r = prong_mutex_consistent(m);
	return r ? KILL_STUCK : prong_mutex_unlock(m) ? KILL_TORN : 0;
}

static unsigned take_first(void)
{
	return take(&world->mutex);
}

static unsigned take_second(void)
{
	return take(&world->mutex2);
}

static unsigned take_both(void)
{
	return take(&world->mutex) | take(&world->mutex2) | other();
}

static const struct kill_scenario scenarios[] = {
	{ .name = "claim", .setup = setup, .prepare = no_slot, .victim = claim, .other = { other },
	  .late = other, .check = check },
	{ .name = "claim-leave-twice", .setup = setup, .prepare = no_slot,
	  .victim = claim_and_release, .other = { other }, .late = other, .check = check },
	{ .name = "claim-table-grows", .setup = fill_table, .prepare = no_slot, .victim = claim,
	  .other = { other }, .late = other, .check = check },
	{ .name = "leave-mutexes-held", .setup = setup, .victim = leave_holding,
	  .asleep = two_come, .other = { take_first, take_second }, .late = take_both,
	  .check = check },
	{ .name = NULL }
};

const struct kill_room room_slot = {
	.name = "slot", .open = world_open, .become = world_become, .repair = repair,
	.scenarios = scenarios,
	.files = "slot.c prongi_slot prongi_slots prongi_processes_reach prongi_leave",
};
