/* Caches: small blocks that are kept ready, so that most calls need no lock.

   Each slot has two chains for each class: one that its thread takes from and puts to, and a spare
   that is full or empty; between slots lies a depot of full chains.  Whole chains change places,
   in a step that does not depend on their length: so it costs next to nothing that one thread
   allocates what another frees.  Only when the depot has enough do blocks go back to the lists,
   each in a section of its own.

   A cached block is allocated as far as the lists know.  Its mark tells that it is cached, and is
   written when it is in the chain already, or still is: who dies in between leaves the wrong mark
   on the first block of a chain, and repair puts that right.

   Not here: taking and putting one block, see heap.c. */
#include "family/heap.h"

#define H PRONGI_H

#define DEPOT ((uint64_t)64 << 10) /* bytes of a class in the depot */

typedef struct prongi_block block;

const uint16_t prongi_class_body[PRONGI_CLASSES] = {
	16,   32,   48,	  64,	80,   96,   112,  128,	144,  160,  176,  192,
	208,  224,  240,  256,	288,  320,  352,  384,	416,  448,  480,  512,
	576,  640,  704,  768,	832,  896,  960,  1024, 1152, 1280, 1408, 1536,
	1664, 1792, 1920, 2048, 2304, 2560, 2816, 3072, 3328, 3584, 3840, 4096,
};

/* Some 4 KiB, but 2 at least. */
const uint8_t prongi_class_batch[PRONGI_CLASSES] = {
	64, 64, 64, 51, 42, 36, 32, 28, 25, 23, 21, 19, 18, 17, 16, 15,
	13, 12, 11, 10, 9,  8,	8,  7,	6,  6,	5,  5,	4,  4,	4,  3,
	3,  3,	2,  2,	2,  2,	2,  2,	2,  2,	2,  2,	2,  2,	2,  2,
};

static uint64_t whole_of(unsigned class)
{
	return prongi_class_body[class] + PRONGI_HEAD;
}

/* --- blocks from the lists and back ---------------------------------------------------------- */

/* In a new row, which nobody knows before the commit: words of its first two blocks may still be a
   free block's, so they are logged. */
static void put_word(prongi_word *at, uint64_t value, uint32_t i)
{
	if (i < 2)
		prongi_set(at, value);
	else
		prongi_store(at, value);
}

/* In the section: a chain of n blocks of the class, cut from what lies at b.  Return its word. */
static uint64_t cut(block *b, unsigned class, uint32_t n)
{
	uint64_t whole = whole_of(class), at = prongi_address(b);

	for (uint32_t i = 0; i < n; i++, at += whole) {
		uint64_t rest = n - i - 1;

		b = prongi_block_at(at);
		put_word(&b->size, PRONGI_MARK | PRONGI_IS_CACHED | whole, i);
		if (i)
			put_word(&b->prev, at - whole, i);
		put_word(&b->next, rest ? rest * PRONGI_CHAIN_ONE + at + whole : 0, i);
	}
	prongi_block_tie(b);
	prongi_blocks_count((int64_t)(n * whole), n);
	return n * PRONGI_CHAIN_ONE + at - n * whole;
}

/* In the section: a chain of the class, from the depot or the lists; 0: no memory. */
static uint64_t get_chain(unsigned class)
{
	uint64_t chain = prongi_get(&H->depot[class].first);
	uint32_t n = prongi_class_batch[class];
	block *b;

	if (chain) {
		prongi_set(&H->depot[class].first, prongi_get(&prongi_chain_first(chain)->back));
		prongi_set(&H->depot[class].count,
			   prongi_get(&H->depot[class].count) - prongi_chain_count(chain));
		return chain;
	}
	b = prongi_block_row(whole_of(class), &n);
	return b ? cut(b, class, n) : 0;
}

/* In the section: give the first block of the chain at *word back, and commit. */
static void give_first(prongi_word *word)
{
	block *b = prongi_chain_first(prongi_get(word));

	if (PRONGI_MUTANT(58))
		prongi_store(word, prongi_load(&b->next));
	else
		prongi_set(word, prongi_get(&b->next));
	prongi_blocks_count(-(int64_t)prongi_block_size(b), -1);
	prongi_block_give(b);
	prongi_blocks_commit();
}

/* Give all blocks of the chain at *word back. */
static bool give_chain(prongi_word *word)
{
	if (!prongi_load(word))
		return false;
	prongi_begin(&H->lock);
	while (prongi_get(word))
		give_first(word);
	prongi_end(&H->lock);
	return true;
}

/* --- chains that change places -------------------------------------------------------------- */

/* Make the chain the spare, or the other way round; one of them is empty. */
static void swap(struct prongi_slot *me, struct prongi_cache *cache)
{
	uint64_t chain = prongi_load(&cache->chain), spare = prongi_load(&cache->spare);

	prongi_note(me, 0, &cache->chain, spare);
	prongi_note(me, 1, &cache->spare, chain);
	prongi_alone_begin(me, 2);
	prongi_alone_do(&cache->chain, spare);
	prongi_alone_do(&cache->spare, chain);
	prongi_alone_end(me);
}

static bool give_slot(struct prongi_slot *slot)
{
	bool found = false;

	for (unsigned c = 0; c < PRONGI_CLASSES; c++) {
		found |= give_chain(&slot->cache[c].chain);
		found |= give_chain(&slot->cache[c].spare);
	}
	return found;
}

/* Somebody found the heap full, or full of holes: give all back, once each time.  Only where
   nothing has been made ready in a chain: so not when room is made in one. */
static void tidy(struct prongi_slot *me)
{
	uint64_t asked = prongi_load(&H->tidy);

	if (asked == prongi_load(&me->tidied))
		return;
	prongi_store(&me->tidied, asked);
	give_slot(me);
}

bool prongi_cache_fill(struct prongi_slot *me, unsigned class)
{
	struct prongi_cache *cache = &me->cache[class];
	uint64_t chain;

	tidy(me);
	if (prongi_load(&cache->chain))
		return true;
	if (prongi_load(&cache->spare)) {
		swap(me, cache);
		return true;
	}
	prongi_begin(&H->lock);
	chain = get_chain(class);
	if (chain) {
		prongi_set(&cache->chain, chain);
		prongi_blocks_commit();
	}
	prongi_end(&H->lock);
	return chain != 0;
}

/* Move the spare to the depot.  False: that has enough. */
static bool to_depot(struct prongi_cache *cache, unsigned class)
{
	uint64_t spare = prongi_load(&cache->spare), count;

	prongi_begin(&H->lock);
	count = prongi_get(&H->depot[class].count) + prongi_chain_count(spare);
	if (count * whole_of(class) <= DEPOT) {
		prongi_set(&prongi_chain_first(spare)->back, prongi_get(&H->depot[class].first));
		prongi_set(&H->depot[class].first, spare);
		prongi_set(&H->depot[class].count, count);
		prongi_set(&cache->spare, 0);
		prongi_blocks_commit();
	}
	prongi_end(&H->lock);
	return count * whole_of(class) <= DEPOT;
}

void prongi_cache_room(struct prongi_slot *me, unsigned class)
{
	struct prongi_cache *cache = &me->cache[class];

	if (prongi_chain_count(prongi_load(&cache->chain)) < prongi_class_batch[class])
		return;
	if (prongi_load(&cache->spare) && !to_depot(cache, class))
		give_chain(&cache->spare);
	swap(me, cache);
}

/* --- a full heap, or one of holes ------------------------------------------------------------ */

/* Give what is in a slot that nobody owns: it is claimed for the time.  Who dies then leaves one
   that the repair of its process frees, once it has repaired the flusher's own. */
static bool give_free_slot(struct prongi_slot *slot)
{
	uint64_t claim = PRONGI_CLAIMED | (uint64_t)prongi_process_index(prongi_me) << 2, id = 0;
	bool found;

	/* acquire: pairs with the release of the id's last store by its repairer. */
	if (!atomic_compare_exchange_strong_explicit(&slot->id, &id, claim, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	found = give_slot(slot);
	/* release: pairs with the acquire of the next claimer. */
	atomic_store_explicit(&slot->id, 0, memory_order_release);
	return found;
}

/* The depot's chains, a block at a time: what is left of a chain stays first. */
static bool give_depot(unsigned class)
{
	prongi_word *first = &H->depot[class].first;
	bool found;

	prongi_begin(&H->lock);
	found = prongi_get(first) != 0;
	while (prongi_get(first)) {
		block *b = prongi_chain_first(prongi_get(first));
		uint64_t back = prongi_get(&b->back), rest = prongi_get(&b->next);

		if (rest)
			prongi_set(&prongi_chain_first(rest)->back, back);
		prongi_set(first, rest ? rest : back);
		prongi_set(&H->depot[class].count, prongi_get(&H->depot[class].count) - 1);
		prongi_blocks_count(-(int64_t)prongi_block_size(b), -1);
		prongi_block_give(b);
		prongi_blocks_commit();
	}
	prongi_end(&H->lock);
	return found;
}

bool prongi_cache_reclaim(void)
{
	uint32_t n = prongi_slots_used();
	bool found = give_slot(prongi_self.slot);

	atomic_fetch_add_explicit(&H->tidy, 1, memory_order_relaxed); /* others will */
	for (unsigned c = 0; c < PRONGI_CLASSES; c++)
		found |= give_depot(c);
	for (uint32_t i = 0; i < n; i++)
		found |= give_free_slot(&prongi_heap->slot[i]);
	return found;
}

/* The heap would grow, and less than half of it is used.  Without the lock, so it may be wrong. */
static bool holed(uint64_t whole)
{
	uint64_t end = prongi_load(&H->end), used = prongi_load(&H->used);

	return end + whole > prongi_load(&H->committed) &&
	       end - prongi_address(prongi_heap->first) > 2 * used;
}

/* Cached blocks, of which nobody has need now, may be what parts the holes. */
void prongi_cache_make_room(uint64_t whole)
{
	bool hole;

	if (!whole || !holed(whole))
		return;
	prongi_begin(&H->lock);
	hole = prongi_blocks_hole(whole);
	prongi_end(&H->lock);
	if (!hole)
		prongi_cache_reclaim();
}

/* --- repair, and figures --------------------------------------------------------------------- */

void prongi_cache_repair(struct prongi_slot *slot)
{
	for (unsigned c = 0; c < PRONGI_CLASSES; c++) {
		uint64_t chain = prongi_load(&slot->cache[c].chain);
		block *b = prongi_chain_first(chain);

		if (!chain || !prongi_word_valid(prongi_address(b)) || PRONGI_MUTANT(62))
			continue;
		if (!(prongi_load(&b->size) & PRONGI_IS_CACHED))
			prongi_store(&b->size, prongi_load(&b->size) | PRONGI_IS_CACHED);
	}
}

/* Blocks of the class that are cached. */
static uint64_t cached(unsigned class, uint32_t slots)
{
	uint64_t n = prongi_load(&H->depot[class].count);

	for (uint32_t i = 0; i < slots; i++) {
		const struct prongi_cache *cache = &prongi_heap->slot[i].cache[class];

		n += prongi_chain_count(prongi_load(&cache->chain)) +
		     prongi_chain_count(prongi_load(&cache->spare));
	}
	return n;
}

/* Nobody is stopped for it, so what moves meanwhile may count twice, but never below zero. */
static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

void prongi_heap_stat(prong_family_stats *out)
{
	uint32_t slots = prongi_slots_used();
	uint64_t blocks = 0;

	out->heap_size = prongi_heap->size;
	for (unsigned c = 0; c < PRONGI_CLASSES; c++) {
		uint64_t n = cached(c, slots);

		blocks += n;
		out->heap_cached += n * whole_of(c);
	}
	out->heap_used = less(prongi_load(&H->used), out->heap_cached);
	out->heap_peak = prongi_load(&H->peak);
	out->blocks = less(prongi_load(&H->blocks), blocks);
	out->heap_committed = prongi_load(&H->committed) - (uintptr_t)prongi_heap -
			      prongi_load(&H->gone);
	out->heap_returned = prongi_load(&H->given_back);
}
