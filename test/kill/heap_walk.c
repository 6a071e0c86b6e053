/* The walk through the whole heap.  It knows how src/family lays blocks out, and uses none of its
   code. */
#include "heap_walk.h"
#include "trace.h"
#include <stdlib.h>

struct block {
	uint64_t size, prev, next, back, from, to;
};
#define HEAD   16u
#define FREE   ((uint64_t)1)
#define CACHED ((uint64_t)2)
#define GONE   ((uint64_t)4)
#define MARK   ((uint64_t)0xb1)
#define SIZE   ((((uint64_t)1 << 48) - 1) & ~(uint64_t)15)
#define COUNT  ((uint64_t)1 << 48)

#define BLOCKS (128 << 10) /* bytes of the blocks that are part of the image here */
#define WINDOW ((size_t)16 << 10) /* behind what was used: must be zero */

struct walk {
	unsigned bad;
	uint64_t used, blocks, free_blocks, cached, gone, reachable;
	unsigned char *seen; /* for each 16 bytes: 1 a cached block begins here, 2 in a chain */
};

static struct block *block_at(uint64_t at)
{
	return (struct block *)(uintptr_t)at;
}

static uint64_t size_of(const struct block *b)
{
	return b->size & SIZE;
}

size_t heap_body_size(const void *p)
{
	return size_of((const void *)((const char *)p - HEAD)) - HEAD;
}

static void wrong(struct walk *w, unsigned bad, const char *what, uint64_t at)
{
	w->bad |= kill_because(bad, "%s at %#llx", what, (unsigned long long)at);
}

static unsigned char *seen(struct walk *w, uint64_t at)
{
	return &w->seen[(at - (uintptr_t)prongi_heap->first) / 16];
}

/* --- blocks ------------------------------------------------------------------------------- */

static bool reachable(const struct block *b)
{
	const void *body = (const char *)b + HEAD;

	for (size_t i = 0; i < ROOTS; i++)
		if (world->root[i] == body)
			return true;
	return body == (void *)world;
}

static void walk_free(struct walk *w, const struct block *b)
{
	uint64_t at = (uintptr_t)b;

	w->free_blocks++;
	if (reachable(b))
		wrong(w, KILL_TORN, "somebody's block is free", at);
	if (!(b->size & GONE))
		return;
	w->gone += b->to - b->from;
	if (b->from < at + sizeof *b || b->to <= b->from || b->to > at + size_of(b) ||
	    b->from % 4096 || b->to % 4096)
		wrong(w, KILL_TORN, "pages that are not a free block's are gone", at);
}

static void walk_block(struct walk *w, const struct block *b)
{
	w->blocks++;
	w->used += size_of(b);
	if (b->size & CACHED) {
		w->cached++;
		*seen(w, (uintptr_t)b) = 1;
		if (reachable(b))
			wrong(w, KILL_TORN, "somebody's block is cached", (uintptr_t)b);
	} else {
		w->reachable += reachable(b);
	}
}

/* All blocks, in memory's order. */
static void walk_memory(struct walk *w)
{
	const struct prongi_blocks *h = &prongi_heap->heap;
	uint64_t at = (uintptr_t)prongi_heap->first, prev = 0;
	bool was_free = false;

	while (at < h->end && !w->bad) {
		const struct block *b = block_at(at);
		bool free = b->size & FREE;

		if (b->size >> 56 != MARK || size_of(b) < 32 || b->prev != prev ||
		    (free && was_free))
			wrong(w, KILL_TORN, "no block", at);
		else if (free)
			walk_free(w, b);
		else
			walk_block(w, b);
		was_free = free;
		prev = at;
		at += size_of(b);
	}
	if (at != h->end || h->last != prev || was_free)
		wrong(w, KILL_TORN, "a wrong end", at);
}

/* --- lists -------------------------------------------------------------------------------- */

/* The list that a free block of this size belongs to, as fl * PRONGI_SL + sl. */
static unsigned list_of(uint64_t size)
{
	unsigned log;

	if (size < 256)
		return (unsigned)(size / 16);
	log = 63u - (unsigned)__builtin_clzll(size);
	return (log - 7) * PRONGI_SL + ((unsigned)(size >> (log - 4)) & 15);
}

static void walk_list(struct walk *w, unsigned list, uint64_t *found)
{
	uint64_t at = prongi_heap->heap.head[list / PRONGI_SL][list % PRONGI_SL], back = 0;
	bool mapped = prongi_heap->heap.sl[list / PRONGI_SL] >> list % PRONGI_SL & 1;

	if (mapped != (at != 0))
		wrong(w, KILL_TORN, "a list that the map does not know", at);
	for (; at && !w->bad; at = block_at(at)->next) {
		const struct block *b = block_at(at);

		if (!(b->size & FREE) || list_of(size_of(b)) != list || b->back != back ||
		    ++*found > w->free_blocks)
			wrong(w, KILL_TORN, "a block in a wrong list", at);
		back = at;
	}
}

static void walk_lists(struct walk *w)
{
	uint64_t found = 0;

	for (unsigned list = 0; list < PRONGI_FL * PRONGI_SL && !w->bad; list++)
		walk_list(w, list, &found);
	for (unsigned fl = 0; fl < PRONGI_FL; fl++)
		if ((prongi_heap->heap.fl >> fl & 1) != (prongi_heap->heap.sl[fl] != 0))
			wrong(w, KILL_TORN, "a wrong map of lists", fl);
	if (found != w->free_blocks)
		wrong(w, KILL_LEAKED, "free blocks in no list", found);
}

/* --- chains ------------------------------------------------------------------------------- */

static uint64_t body_of(unsigned class)
{
	unsigned doubling = class / 8 - 2;

	if (class < 16)
		return 16u * (class + 1);
	return (256u << doubling) + ((class % 8 + 1) * 32u << doubling);
}

/* Return the number of blocks in the chain. */
static uint64_t walk_chain(struct walk *w, uint64_t chain, unsigned class)
{
	uint64_t n = chain / COUNT;

	for (uint64_t left = n; chain && !w->bad; left--) {
		uint64_t at = chain % COUNT;

		if (chain / COUNT != left || at < (uintptr_t)prongi_heap->first ||
		    at >= prongi_heap->heap.end || *seen(w, at) != 1 ||
		    size_of(block_at(at)) != body_of(class) + HEAD) {
			wrong(w, KILL_TORN, "a wrong block in a chain", at);
			break;
		}
		*seen(w, at) = 2;
		chain = block_at(at)->next;
		if (left == 1 && chain)
			wrong(w, KILL_TORN, "a chain longer than it says", at);
	}
	return n;
}

/* Return the number of blocks of the class in the depot. */
static uint64_t walk_depot(struct walk *w, unsigned class)
{
	uint64_t chain = prongi_heap->heap.depot[class].first, n = 0;

	while (chain && !w->bad) {
		n += walk_chain(w, chain, class);
		chain = block_at(chain % COUNT)->back;
	}
	if (n != prongi_heap->heap.depot[class].count)
		wrong(w, KILL_TORN, "a wrong count in the depot", n);
	return n;
}

static void walk_chains(struct walk *w)
{
	uint64_t n = 0;

	for (unsigned c = 0; c < PRONGI_CLASSES && !w->bad; c++) {
		n += walk_depot(w, c);
		for (uint32_t i = 0; i < prongi_heap->slots_used && !w->bad; i++) {
			const struct prongi_cache *cache = &prongi_heap->slot[i].cache[c];

			n += walk_chain(w, cache->chain, c) + walk_chain(w, cache->spare, c);
		}
	}
	if (n < w->cached)
		wrong(w, KILL_LEAKED, "cached blocks in no chain", w->cached - n);
}

/* --- the rest ----------------------------------------------------------------------------- */

/* Memory that was never used is zero. */
static bool zero_from(uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		if (*(const char *)(uintptr_t)from)
			return false;
	return true;
}

static void compare_figures(struct walk *w)
{
	const struct prongi_blocks *h = &prongi_heap->heap;
	uint64_t to = h->fresh + WINDOW < h->committed ? h->fresh + WINDOW : h->committed;

	if (w->used != h->used || w->blocks != h->blocks || h->peak < h->used || w->gone != h->gone)
		wrong(w, KILL_TORN, "a wrong figure", w->used);
	if (h->fresh < h->end || h->end > h->committed)
		wrong(w, KILL_TORN, "a wrong bound", h->end);
	if (!zero_from(h->fresh, to))
		wrong(w, KILL_TORN, "fresh bytes that are not zero", h->fresh);
	for (uint32_t i = 0; i < prongi_heap->slots_used; i++)
		if (prongi_heap->slot[i].gone_to || prongi_heap->slot[i].count)
			wrong(w, KILL_LEAKED, "a section left open in a slot", i);
}

void heap_open(void)
{
	world_open();
	world_add_blocks(BLOCKS);
	image_ignore(&prongi_heap->heap.given_at);
}

unsigned heap_walk(uint64_t leaks_allowed)
{
	struct walk w = { 0 };

	w.seen = calloc((prongi_heap->heap.end - (uintptr_t)prongi_heap->first) / 16 + 1, 1);
	if (!w.seen)
		die("no memory for a walk");
	walk_memory(&w);
	if (!w.bad)
		walk_lists(&w);
	if (!w.bad)
		walk_chains(&w);
	if (!w.bad)
		compare_figures(&w);
	if (!w.bad && w.blocks - w.cached > w.reachable + leaks_allowed)
		wrong(&w, KILL_LEAKED, "blocks that nobody has", w.blocks - w.cached);
	free(w.seen);
	return w.bad;
}
