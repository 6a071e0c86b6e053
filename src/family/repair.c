/* Repair: what a dead thread was in the middle of is finished or undone, from what its slot says.

   Rules that make it sound.  It never waits: it enters no section and takes no lock, so that one
   more death cannot block it.  It may be killed at any instruction and done again from the start:
   it writes absolute values, or by CAS from a state that only the dead can have left; wakes may
   repeat; nothing in the slot is cleared before all is done, and the slot's id is the last.  One
   repairer at a time: the server, or the thread itself when it ends in good order; and those two
   do not meet, since the server repairs slots of processes that have ended.

   A mutex that nobody wants stays in the dead one's name; the next who locks it sees that the
   owner is gone.  So a million of them cost nothing here. */
#include "family/family.h"

#define EVERYBODY 0x7fffffff

prongi_repair_hook *prongi_on_repair[PRONGI_HOOKS];

void prongi_repair_add(prongi_repair_hook *hook)
{
	int i = 0;

	while (prongi_on_repair[i])
		i++;
	prongi_on_repair[i] = hook;
}

bool prongi_word_valid(uint64_t at)
{
	uint64_t base = (uintptr_t)prongi_heap;

	return at >= base && at % sizeof(uint64_t) == 0 &&
	       at < atomic_load_explicit(&prongi_heap->heap.committed, memory_order_relaxed);
}

static prongi_word *word_at(uint64_t at)
{
	return (prongi_word *)(uintptr_t)at;
}

static void wake_all(uint64_t at)
{
	if (prongi_word_valid(at))
		prongi_os_wake(prongi_low(word_at(at)), EVERYBODY, true);
}

/* Do the committed changes of a section, again if need be. */
static void replay(struct prongi_slot *slot)
{
	uint64_t n = atomic_load_explicit(&slot->count, memory_order_relaxed) & ~PRONGI_ALONE;

	if (PRONGI_MUTANT(29))
		return;
	for (uint64_t i = 0; i < n && i < PRONGI_LOG; i++) {
		uint64_t at = atomic_load_explicit(&slot->log[i].at, memory_order_relaxed);

		if (prongi_word_valid(at))
			/* release: as in prongi_commit(). */
			atomic_store_explicit(
				word_at(at),
				atomic_load_explicit(&slot->log[i].value, memory_order_relaxed),
				memory_order_release);
	}
}

/* The kernel lock that the dead thread owned or was about to enter or to leave. */
static void repair_section(struct prongi_slot *slot, uint64_t dead)
{
	uint64_t lock = atomic_load_explicit(&slot->klock, memory_order_relaxed);
	bool owned;

	if (!prongi_word_valid(lock))
		return;
	owned = prongi_owner(atomic_load_explicit(word_at(lock), memory_order_relaxed)) == dead;
	if (owned) {
		if (PRONGI_MUTANT(6))
			atomic_exchange_explicit(word_at(lock), 0, memory_order_release);
		replay(slot);
		if (!PRONGI_MUTANT(68))
			prongi_heap_finish(slot);
		/* release: pairs with take() of the next owner. */
		if (!PRONGI_MUTANT(6))
			atomic_exchange_explicit(word_at(lock), 0, memory_order_release);
	}
	/* Whoever owns it now: a repairer killed right here has freed it and woken nobody. */
	if (owned || !PRONGI_MUTANT(7))
		wake_all(lock);
}

/* What the dead thread had committed is done before anybody can know of its death: for who then
   takes a mutex of its must not find what the mutex protects as it was before. */
static void finish(struct prongi_slot *slot, uint64_t dead)
{
	uint64_t count = atomic_load_explicit(&slot->count, memory_order_relaxed);

	if ((count & PRONGI_ALONE) && !PRONGI_MUTANT(63)) {
		replay(slot);
		prongi_then(); /* all is done before it ceases to count: a successor leaves it */
		if (!PRONGI_MUTANT(64))
			atomic_store_explicit(&slot->count, 0, memory_order_relaxed);
	}
	repair_section(slot, dead);
	prongi_cache_repair(slot);
}

/* Let go of the lock at word, if the dead thread owns it: its next owner is told.  WAIT stays, for
   who is quicker than the sleepers must wake the others.  A lock without an owner may be one that a
   killed repairer has freed, but told nobody: so that wakes too.  Return whether the lock is one
   that such an owner left. */
static bool disown(prongi_word *word, uint64_t dead, bool shared)
{
	uint64_t freed = (PRONGI_MUTANT(72) ? 0 : PRONGI_DIED) |
			 (PRONGI_MUTANT(13) ? 0 : PRONGI_WAIT);
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

	/* release: pairs with take() of the next owner. */
	while (prongi_owner(v) == dead)
		if (atomic_compare_exchange_weak_explicit(word, &v, freed,
							  memory_order_release,
							  memory_order_relaxed))
			break;
	if (prongi_owner(v) == dead || (!prongi_owner(v) && !PRONGI_MUTANT(14)))
		prongi_os_wake(prongi_low(word), EVERYBODY, shared);
	return prongi_owner(v) == dead || (!prongi_owner(v) && (v & PRONGI_DIED));
}

/* Give a one-word noun a turn, and wake all who sleep there or are about to. */
static void turn(prongi_word *word, bool shared)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

	/* release: pairs with the acquire in rwlock.c: who sees the turn sees the slot DEAD. */
	while (!atomic_compare_exchange_weak_explicit(word, &v, prongi_turned(v),
						      memory_order_release,
						      memory_order_relaxed))
		;
	prongi_os_wake(prongi_low(word), EVERYBODY, shared);
}

/* The slot's thread wants a lock whose owner is dead, but may sleep at a condition: it shall not
   wait for a signal that may never come.  A condition outside the heap is of the same process as
   whoever repairs, or it does not matter. */
static void call_back(const struct prongi_slot *slot)
{
	uint64_t at = atomic_load_explicit(&slot->wait_obj, memory_order_relaxed);
	bool here = prongi_me && atomic_load_explicit(&slot->process, memory_order_relaxed) ==
					 prongi_process_index(prongi_me);

	if (PRONGI_MUTANT(50))
		return;
	if (prongi_word_valid(at))
		turn(word_at(at), true);
	else if (at && here && !prongi_inside(word_at(at)))
		turn(word_at(at), false);
}

/* Locks that the dead thread owned and that somebody waits for. */
static void repair_awaited(uint64_t dead)
{
	uint32_t n = prongi_slots_used();

	for (uint32_t i = 0; i < n; i++) {
		struct prongi_slot *slot = &prongi_heap->slot[i];
		uint64_t at = atomic_load_explicit(&slot->wait_lock, memory_order_relaxed);

		if (prongi_word_valid(at) && disown(word_at(at), dead, true))
			call_back(slot);
	}
}

/* The same among the threads of this process for locks outside the heap. */
static void repair_awaited_here(uint64_t dead, uint32_t process)
{
	uint32_t n = prongi_slots_used();

	for (uint32_t i = 0; i < n; i++) {
		struct prongi_slot *slot = &prongi_heap->slot[i];
		uint64_t at = atomic_load_explicit(&slot->wait_private, memory_order_relaxed);

		if (at && atomic_load_explicit(&slot->process, memory_order_relaxed) == process &&
		    disown(word_at(at), dead, false))
			call_back(slot);
	}
}

/* The owner word of the slot's thread, or 0 when it had not got one yet. */
static uint64_t owner_of(struct prongi_slot *slot)
{
	uint64_t id = atomic_load_explicit(&slot->id, memory_order_relaxed);

	if (PRONGI_MUTANT(79) && (id & PRONGI_DEAD))
		return 0;
	return id & PRONGI_CLAIMED ? 0 : prongi_owner(id);
}

/* Say that the slot's thread is dead. */
static void pronounce(struct prongi_slot *slot)
{
	/* release: pairs with prongi_owner_dead(): who sees it sees what was finished. */
	atomic_fetch_or_explicit(&slot->id, PRONGI_DEAD, memory_order_release);
	/* seq_cst: pairs with the fence in announce(). */
	atomic_thread_fence(memory_order_seq_cst);
}

/* Break the barrier that the dead thread was coming to or waiting at, if that round is still on;
   or wake those whom it, or a killed repairer, did not wake. */
static void repair_barrier(struct prongi_slot *slot)
{
	uint64_t at = atomic_load_explicit(&slot->bar, memory_order_relaxed), v;
	uint32_t phase = atomic_load_explicit(&slot->bar_phase, memory_order_relaxed);

	if (!prongi_word_valid(at))
		return;
	v = atomic_load_explicit(word_at(at), memory_order_relaxed);
	/* release: pairs with the acquire in barrier.c, of whoever leaves it broken. */
	while ((uint32_t)v == phase && !PRONGI_MUTANT(45) &&
	       !atomic_compare_exchange_weak_explicit(word_at(at), &v, v | PRONGI_BROKEN,
						      memory_order_release,
						      memory_order_relaxed))
		;
	if ((uint32_t)v == phase || !PRONGI_MUTANT(46))
		wake_all(at);
}

/* Forget what the dead thread read: with the slot DEAD it does not count any more. */
static void repair_reads(struct prongi_slot *slot)
{
	for (int i = 0; i < PRONGI_READS; i++) {
		uint64_t at = atomic_load_explicit(&slot->reads[i], memory_order_relaxed);

		at &= ~PRONGI_LEAVES;
		if (prongi_word_valid(at))
			turn(word_at(at), true);
	}
}

/* The same of locks outside the heap, by the thread itself. */
static void repair_reads_here(struct prongi_slot *slot)
{
	for (int i = 0; i < PRONGI_READS; i++) {
		uint64_t at = atomic_load_explicit(&slot->reads[i], memory_order_relaxed);

		if (at && !prongi_inside(word_at(at)))
			turn(word_at(at & ~PRONGI_LEAVES), false);
	}
}

/* Wake who waits where the dead thread was about to wake, and who waits where it waited: the wake
   that chose it may have died with it. */
static void pass_wakes_on(struct prongi_slot *slot)
{
	if (!PRONGI_MUTANT(5))
		wake_all(atomic_load_explicit(&slot->wake_lock, memory_order_relaxed));
	if (!PRONGI_MUTANT(3))
		wake_all(atomic_load_explicit(&slot->wait_lock, memory_order_relaxed));
	for (int i = 0; i < PRONGI_WAKES && !PRONGI_MUTANT(40); i++)
		wake_all(atomic_load_explicit(&slot->wake_obj[i], memory_order_relaxed));
	if (!PRONGI_MUTANT(41))
		wake_all(atomic_load_explicit(&slot->wait_obj, memory_order_relaxed));
}

static void wipe_seats(struct prongi_slot *slot)
{
	uint64_t more = atomic_load_explicit(&slot->more, memory_order_relaxed);
	prongi_word *word = word_at(more);

	for (int i = 0; i < PRONGI_SEATS; i++)
		atomic_store_explicit(&slot->seat[i].queue, 0, memory_order_relaxed);
	for (uint64_t n = more ? atomic_load_explicit(word, memory_order_relaxed) : 0; n; n--)
		atomic_store_explicit(word + 2 * n - 1, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->repairing, 0, memory_order_relaxed);
}

/* A reader that is stopped while it gives a lock up owes the writer a turn. */
static void pass_leave_on(struct prongi_slot *slot)
{
	for (int i = 0; i < PRONGI_READS; i++) {
		uint64_t at = atomic_load_explicit(&slot->reads[i], memory_order_relaxed);

		if ((at & PRONGI_LEAVES) && prongi_word_valid(at & ~PRONGI_LEAVES))
			turn(word_at(at & ~PRONGI_LEAVES), true);
	}
}

void prongi_slot_wipe(struct prongi_slot *slot)
{
	wipe_seats(slot);
	atomic_store_explicit(&slot->count, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->klock, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->wake_lock, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->wait_lock, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->wait_private, 0, memory_order_relaxed);
	for (int i = 0; i < PRONGI_WRITES; i++) {
		atomic_store_explicit(&slot->writes[i], 0, memory_order_relaxed);
		atomic_store_explicit(&slot->starts[i], 0, memory_order_relaxed);
	}
	for (int i = 0; i < PRONGI_WAKES; i++)
		atomic_store_explicit(&slot->wake_obj[i], 0, memory_order_relaxed);
	atomic_store_explicit(&slot->wait_obj, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->bar, 0, memory_order_relaxed);
	prongi_awaits_wipe(slot);
	atomic_store_explicit(&slot->closing, 0, memory_order_relaxed);
	for (int i = 0; i < PRONGI_READS; i++)
		atomic_store_explicit(&slot->reads[i], 0, memory_order_relaxed);
	/* release: pairs with the acquire of the next claimer, and of prongi_owner_dead(). */
	atomic_store_explicit(&slot->id, 0, memory_order_release);
}

void prongi_repair(struct prongi_slot *slot)
{
	uint64_t dead = owner_of(slot);

	if (PRONGI_MUTANT(69))
		pronounce(slot);
	if (dead)
		finish(slot, dead);
	pronounce(slot);
	if (dead) {
		repair_barrier(slot);
		repair_reads(slot);
		if (PRONGI_MUTANT(70))
			prongi_slot_wipe(slot);
		pass_wakes_on(slot);
		if (PRONGI_MUTANT(71))
			prongi_slot_wipe(slot);
		if (!PRONGI_MUTANT(10))
			repair_awaited(dead);
		for (int i = 0; i < PRONGI_HOOKS && prongi_on_repair[i]; i++)
			prongi_on_repair[i](slot, dead);
	}
	prongi_slot_wipe(slot);
}

void prongi_repair_thread(struct prongi_slot *slot)
{
	uint64_t dead = prongi_owner(atomic_load_explicit(&slot->id, memory_order_relaxed));
	uint32_t process = atomic_load_explicit(&slot->process, memory_order_relaxed);

	pronounce(slot);
	repair_awaited_here(dead, process);
	repair_reads_here(slot);
	prongi_repair(slot);
}

void prongi_repair_stopped(struct prongi_slot *slot)
{
	wake_all(atomic_load_explicit(&slot->klock, memory_order_relaxed));
	pass_wakes_on(slot);
	pass_leave_on(slot);
	for (int i = 0; i < PRONGI_HOOKS && prongi_on_repair[i]; i++)
		prongi_on_repair[i](slot, 0);
}

/* True when the slot is one of the process's, or was being claimed by it. */
static bool belongs(const struct prongi_slot *slot, uint32_t process)
{
	/* acquire: pairs with the release in settle(): the process is its own. */
	uint64_t id = atomic_load_explicit(&slot->id, memory_order_acquire);

	if (!id)
		return false;
	if (id & PRONGI_CLAIMED)
		return prongi_slot_index(id) == process;
	return atomic_load_explicit(&slot->process, memory_order_relaxed) == process;
}

void prongi_repair_process(uint32_t process)
{
	uint32_t n = prongi_slots_used();

	/* Those last that were only claimed: it may have been emptying one, and its own slot says
	   what it had changed there. */
	for (uint64_t claimed = 0; claimed <= PRONGI_CLAIMED; claimed += PRONGI_CLAIMED)
		for (uint32_t i = 0; i < n; i++) {
			struct prongi_slot *slot = &prongi_heap->slot[i];
			uint64_t id = atomic_load_explicit(&slot->id, memory_order_relaxed);

			if ((id & PRONGI_CLAIMED) == claimed && belongs(slot, process))
				prongi_repair(slot);
		}
}

void prongi_pass_on_process(uint32_t process)
{
	uint32_t n = prongi_slots_used();

	for (uint32_t i = 0; i < n; i++)
		if (belongs(&prongi_heap->slot[i], process))
			prongi_repair_stopped(&prongi_heap->slot[i]);
}

void prongi_repair_first_thread(int pid)
{
	uint32_t n = prongi_slots_used();

	for (uint32_t i = 0; i < n; i++) {
		struct prongi_slot *slot = &prongi_heap->slot[i];
		/* acquire: pairs with the release in settle(): the number is its own. */
		uint64_t id = atomic_load_explicit(&slot->id, memory_order_acquire);

		if (id && !(id & PRONGI_CLAIMED) &&
		    atomic_load_explicit(&slot->tid, memory_order_relaxed) == (uint32_t)pid)
			prongi_repair(slot);
	}
}
