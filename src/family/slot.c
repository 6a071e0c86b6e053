/* Slots: taking one and giving it back.  A slot is claimed by one CAS that names the claimer's
   process, so that a claimer that dies before it has filled the slot leaves one that its
   process's repair finds.  Reuse goes round, so that a slot rests as long as possible. */
#include "family/cancel.h"
#include "family/check.h"
#include <errno.h>

#define AT_LEAST 16 /* so many slots take turns even when one would do */

/* Put memory behind the first n entries of a table.  Many may do it at once. */
static int commit(prongi_word *committed, void *table, size_t entry, uint32_t n, uint32_t most)
{
	uint64_t have = atomic_load_explicit(committed, memory_order_acquire);
	uint64_t want = (n + AT_LEAST - 1) / AT_LEAST * AT_LEAST;
	int r;

	if (n <= have)
		return 0;
	if (want > most)
		want = most;
	r = prongi_os_heap_commit(table, want * entry);
	if (r)
		return r;
	/* release: pairs with the acquire above; who reads the number may touch the memory. */
	while (have < want && !atomic_compare_exchange_weak_explicit(
				      committed, &have, want, memory_order_release,
				      memory_order_relaxed))
		;
	return 0;
}

/* Raise a high-water mark, before anything above it is used: repairers look below it. */
static void raise_to(_Atomic uint32_t *mark, uint32_t n)
{
	uint32_t have = atomic_load_explicit(mark, memory_order_relaxed);

	/* seq_cst: pairs with prongi_slots_used(). */
	while (have < n && !atomic_compare_exchange_weak_explicit(
				   mark, &have, n, memory_order_seq_cst, memory_order_relaxed))
		;
}

int prongi_slots_reach(uint32_t n)
{
	int r = commit(&prongi_heap->slots_committed, prongi_heap->slot,
		       sizeof(struct prongi_slot), n, PRONGI_SLOTS);

	if (r == 0)
		raise_to(&prongi_heap->slots_used, n);
	return r;
}

int prongi_processes_reach(uint32_t n)
{
	int r = commit(&prongi_heap->processes_committed, prongi_heap->process,
		       sizeof(struct prong_process), n, PRONGI_PROCESSES);

	if (r == 0)
		raise_to(&prongi_heap->processes_used, n);
	return r;
}

/* Claim one of the first n slots, in turn, or return NULL. */
static struct prongi_slot *claim_below(uint32_t n, uint64_t claim)
{
	uint32_t first = atomic_fetch_add_explicit(&prongi_heap->slots_hint, 1,
						   memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++) {
		struct prongi_slot *slot = &prongi_heap->slot[(first + i) % n];
		uint64_t free = 0;

		/* acquire: pairs with the release of the last store of prongi_repair(), so that
		   what the slot was is over. */
		if (!atomic_load_explicit(&slot->id, memory_order_relaxed) &&
		    atomic_compare_exchange_strong_explicit(&slot->id, &free, claim,
							    memory_order_acquire,
							    memory_order_relaxed))
			return slot;
	}
	return NULL;
}

/* Make a claimed slot a thread's of this process.  Return its id. */
static uint64_t settle(struct prongi_slot *slot, uint32_t process)
{
	uint64_t generation =
		atomic_load_explicit(&slot->generation, memory_order_relaxed) + 1;
	uint64_t id = generation << 16 | (uint64_t)(slot - prongi_heap->slot) << 2;

	atomic_store_explicit(&slot->generation, generation, memory_order_relaxed);
	atomic_store_explicit(&slot->process, process, memory_order_relaxed);
	atomic_store_explicit(&slot->tid, (uint32_t)prongi_os_tid(), memory_order_relaxed);
	atomic_store_explicit(&slot->wakes, 0, memory_order_relaxed);
	prongi_scope_claim(slot, &prongi_heap->process[process]);
	slot->filled = 0;
	slot->reading = 0;
	slot->detail[0] = '\0';
	/* release: pairs with the acquire of whoever reads the id and then the fields. */
	atomic_store_explicit(&slot->id, id, memory_order_release);
	prongi_scope_claimed(slot, &prongi_heap->process[process]);
	return id;
}

static int claim(uint32_t process, struct prongi_self *out)
{
	uint64_t name = PRONGI_CLAIMED | (PRONGI_MUTANT(75) ? 0 : (uint64_t)process << 2);
	uint32_t n = atomic_load_explicit(&prongi_heap->slots_used, memory_order_relaxed);

	for (n = n < AT_LEAST ? AT_LEAST : n;; n = n + n / 4 + AT_LEAST) {
		int r;

		if (n > PRONGI_SLOTS)
			n = PRONGI_SLOTS;
		r = prongi_slots_reach(n);
		if (r)
			return r;
		out->slot = claim_below(n, name);
		if (out->slot) {
			out->id = settle(out->slot, process);
			out->fast = prongi_checking ? 0 : out->id;
			return 0;
		}
		if (n == PRONGI_SLOTS)
			return -ENOSPC;
	}
}

int prongi_slot_claim(uint32_t process)
{
	prongi_hook *claimed = atomic_load_explicit(&prongi_on_claim, memory_order_relaxed);
	struct prongi_self self;
	int r = claim(process, &self);

	if (r)
		return r;
	prongi_self = self;
	prong_free_at((void **)&self.slot->spare); /* what its last owner has left */
	prong_free_at((void **)&self.slot->offer);
	prong_free_at((void **)&self.slot->awaits_more);
	if (claimed)
		claimed();
	return 0;
}

int prongi_slot_borrow(struct prongi_slot **out)
{
	struct prongi_self self = { NULL, 0, 0 };
	int saved = errno, r = 0;

	if (prongi_me)
		r = claim(prongi_process_index(prongi_me), &self);
	errno = saved;
	*out = self.slot;
	return r;
}

void prongi_slot_release(struct prongi_slot *slot)
{
	bool counted = prongi_writes_any(slot->writes);

	prongi_self.slot = NULL;
	prongi_self.id = prongi_self.fast = 0;
	prongi_repair_thread(slot);
	if (counted)
		prongi_ends_tell();
}
