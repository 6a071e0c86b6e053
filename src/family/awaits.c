/* What threads wait for in prong_wait(), or at an event: each names it in its slot while it sleeps,
   so that who frees one of these things sees that somebody needs it.  A dead thread's names do not
   count.  The waker needs none of this: all who sleep on such a word are woken together.

   A few names lie in the slot; where there are more, all the others are in one block.  Who looks
   takes no lock: that block may be freed meanwhile, and then its thread sleeps no more.

   Not here: who sleeps in a call on a queue, or at a lock; they say so in other words. */
#include "family/family.h"

static uint64_t load(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(prongi_word *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static prongi_word *word_at(uint64_t at)
{
	return (prongi_word *)(uintptr_t)at;
}

/* --- by the slot's thread --------------------------------------------------------------------- */

int prongi_awaits_begin(const void *const *names, size_t n)
{
	struct prongi_slot *slot = prongi_self.slot;
	size_t few = n < PRONGI_AWAITS ? n : PRONGI_AWAITS, more = n - few;
	prongi_word *block;
	int r;

	for (size_t i = 0; i < few; i++)
		store(&slot->awaits[i], (uintptr_t)names[i]);
	if (!more)
		return 0;
	r = prong_alloc_to((void **)&slot->awaits_more, (1 + more) * sizeof *block);
	if (r) {
		prongi_awaits_end();
		return r;
	}
	block = word_at(load(&slot->awaits_more));
	for (size_t i = 0; i < more; i++)
		store(&block[1 + i], (uintptr_t)names[few + i]);
	/* release: pairs with names_more(). */
	atomic_store_explicit(block, more, memory_order_release);
	return 0;
}

void prongi_awaits_wipe(struct prongi_slot *slot)
{
	uint64_t more = load(&slot->awaits_more);

	for (int i = 0; i < PRONGI_AWAITS; i++)
		store(&slot->awaits[i], 0);
	if (prongi_word_valid(more)) /* of a dead one: its next owner frees the block */
		store(word_at(more), 0);
}

void prongi_awaits_end(void)
{
	prongi_awaits_wipe(prongi_self.slot);
	if (load(&prongi_self.slot->awaits_more))
		prong_free_at((void **)&prongi_self.slot->awaits_more);
}

/* --- for a slot that is borrowed for its names ----------------------------------------------- */

/* The place that has the value, or NULL. */
static prongi_word *find(struct prongi_slot *slot, uint64_t value)
{
	uint64_t at = load(&slot->awaits_more);

	for (int i = 0; i < PRONGI_AWAITS; i++)
		if (load(&slot->awaits[i]) == value)
			return &slot->awaits[i];
	for (uint64_t i = 1; at && i <= load(word_at(at)); i++)
		if (load(word_at(at) + i) == value)
			return word_at(at) + i;
	return NULL;
}

/* What is named stays so all the time. */
static int more_room(struct prongi_slot *slot)
{
	uint64_t at = load(&slot->awaits_more), n = at ? load(word_at(at)) : 0;
	int r;

	n = n ? 2 * n : PRONGI_AWAITS;
	r = prong_realloc_at((void **)&slot->awaits_more, (1 + n) * sizeof(prongi_word));
	if (r)
		return r;
	/* release: pairs with names_more(): the new ones are zero. */
	atomic_store_explicit(word_at(load(&slot->awaits_more)), n, memory_order_release);
	return 0;
}

int prongi_awaits_add(struct prongi_slot *slot, const void *name)
{
	int r = find(slot, 0) ? 0 : more_room(slot);

	if (r == 0)
		store(find(slot, 0), (uintptr_t)name);
	return r;
}

void prongi_awaits_remove(struct prongi_slot *slot, const void *name)
{
	prongi_word *at = find(slot, (uintptr_t)name);

	if (at)
		store(at, 0);
}

/* --- by who frees something ------------------------------------------------------------------- */

static bool within(uint64_t at, const void *p, size_t size)
{
	return at - (uintptr_t)p < size;
}

/* The block is the slot's while the word says so: only then its words mean something, and the first
   one how many there are.  *stays: so it was. */
static bool names_more(const struct prongi_slot *slot, const void *p, size_t size, bool *stays)
{
	uint64_t at = load(&slot->awaits_more), n;
	bool found = false;

	*stays = true;
	if (!prongi_word_valid(at))
		return false;
	/* acquire: pairs with prongi_awaits_begin() and more_room(). */
	n = atomic_load_explicit(word_at(at), memory_order_acquire);
	*stays = load(&slot->awaits_more) == at;
	for (uint64_t i = 1; *stays && i <= n && !found; i++)
		found = prongi_word_valid(at + i * sizeof at) &&
			within(load(word_at(at) + i), p, size);
	*stays = *stays && load(&slot->awaits_more) == at;
	return found && *stays;
}

bool prongi_slot_awaits(const struct prongi_slot *slot, const void *p, size_t size)
{
	uint64_t id = load(&slot->id);
	bool found = false, stays = true;

	if (!id || (id & PRONGI_FLAGS))
		return false;
	for (int i = 0; i < PRONGI_AWAITS; i++)
		found = found || within(load(&slot->awaits[i]), p, size);
	do
		found = found || names_more(slot, p, size, &stays);
	while (!stays && !found);
	return found;
}

bool prongi_is_awaited(const void *p, size_t size)
{
	uint32_t n = prongi_slots_used();

	for (uint32_t i = 0; i < n; i++)
		if (prongi_slot_awaits(&prongi_heap->slot[i], p, size))
			return true;
	return false;
}

bool prongi_lock_is_awaited(const void *p, size_t size)
{
	uint32_t n = prongi_slots_used();

	for (uint32_t i = 0; i < n; i++) {
		const struct prongi_slot *slot = &prongi_heap->slot[i];
		uint64_t id = load(&slot->id);

		if (id && !(id & PRONGI_FLAGS) && within(load(&slot->wait_lock), p, size))
			return true;
	}
	return false;
}
