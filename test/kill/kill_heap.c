/* The heap: each call that changes it, for each way that a block can come and go.

   The check walks all blocks and lists on its own account: that blocks fill the heap without gaps,
   free ones are in exactly the list where they belong, the counts are right, memory not used yet is
   zero, and every block in use belongs to somebody. */
#include "trace.h"
#include "world.h"
#include <errno.h>
#include <string.h>

/* As src/family/heap.c lays blocks out. */
struct block {
	uint64_t size, prev, next, back;
};
#define HEAD 16u
#define FREE ((uint64_t)1)
#define MARK ((uint64_t)0xb10c << 48)
#define SIZE ((((uint64_t)1 << 48) - 1) & ~(uint64_t)15)

#define ROOTS	(sizeof world->root / sizeof *world->root)
#define WINDOW	((size_t)32 << 10) /* behind the end: what may be used, or must be zero */
#define PATTERN 0xa5

/* --- the walk ----------------------------------------------------------------------------- */

struct walk {
	unsigned bad;
	uint64_t used, blocks, free_blocks, reachable;
};

static struct block *block_at(uint64_t at)
{
	return (struct block *)(uintptr_t)at;
}

static uint64_t size_of(const struct block *b)
{
	return b->size & SIZE;
}

static bool reachable(const struct block *b)
{
	const void *body = (const char *)b + HEAD;

	for (size_t i = 0; i < ROOTS; i++)
		if (world->root[i] == body)
			return true;
	return body == (void *)world;
}

static void walk_block(struct walk *w, const struct block *b, bool free)
{
	if (free) {
		w->free_blocks++;
		w->bad |= reachable(b) ? KILL_TORN : 0;
		return;
	}
	w->blocks++;
	w->used += size_of(b);
	w->reachable += reachable(b);
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

		if ((b->size & ~SIZE & ~FREE) != MARK || size_of(b) < 32 || b->prev != prev ||
		    (free && was_free))
			w->bad |= KILL_TORN;
		walk_block(w, b, free);
		was_free = free;
		prev = at;
		at += size_of(b);
	}
	if (at != h->end || h->last != prev || was_free)
		w->bad |= KILL_TORN;
}

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
		w->bad |= KILL_TORN;
	for (; at && !w->bad; at = block_at(at)->next) {
		const struct block *b = block_at(at);

		if (!(b->size & FREE) || list_of(size_of(b)) != list || b->back != back ||
		    ++*found > w->free_blocks)
			w->bad |= KILL_TORN;
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
			w->bad |= KILL_TORN;
	if (found != w->free_blocks)
		w->bad |= KILL_LEAKED;
}

/* Memory that was never used is zero. */
static bool zero_from(uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		if (*(const char *)(uintptr_t)from)
			return false;
	return true;
}

static unsigned check_heap(uint64_t leaks_allowed)
{
	const struct prongi_blocks *h = &prongi_heap->heap;
	struct walk w = { 0 };
	uint64_t to = h->fresh + WINDOW / 2 < h->committed ? h->fresh + WINDOW / 2 : h->committed;

	walk_memory(&w);
	if (!w.bad)
		walk_lists(&w);
	if (w.bad)
		return w.bad;
	if (w.used != h->used || w.blocks != h->blocks || h->peak < h->used || h->fresh < h->end ||
	    !zero_from(h->fresh, to))
		return KILL_TORN;
	return w.blocks > w.reachable + leaks_allowed ? KILL_LEAKED : 0;
}

/* --- what the processes do ---------------------------------------------------------------- */

static void must(int r)
{
	if (r)
		atomic_fetch_or(&kill_control->note[1], KILL_TORN);
}

static bool filled(const void *p, int with, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (((const unsigned char *)p)[i] != with)
			return false;
	return true;
}

/* The life of a block, in which everything is looked at.  Each other has its own root. */
static unsigned life(void **root)
{
	if (prong_alloc_to(root, 48) || !filled(*root, 0, 0, 48))
		return KILL_TORN;
	memset(*root, PATTERN, 48);
	if (prong_realloc_at(root, 3000) || !filled(*root, PATTERN, 0, 48) ||
	    !filled(*root, 0, 48, 3000))
		return KILL_TORN;
	memset(*root, PATTERN, 3000);
	if (prong_realloc_at(root, 20) || !filled(*root, PATTERN, 0, 20) ||
	    prong_realloc_at(root, 40) || !filled(*root, 0, 20, 40))
		return KILL_TORN;
	return prong_free_at(root) ? KILL_TORN : 0;
}

static unsigned other(void)
{
	return life(&world->root[ROOTS - 1]);
}

static unsigned second(void)
{
	return life(&world->root[ROOTS - 2]);
}

static unsigned late(void)
{
	return life(&world->root[ROOTS - 3]);
}

/* --- the beginnings ----------------------------------------------------------------------- */

/* Blocks of these sizes one after another, at root[0] and up; 0 ends the list.  Then some are
   freed: a bit for each. */
static void arrange(const size_t *sizes, unsigned freed)
{
	world_become(1);
	for (int i = 0; sizes[i]; i++) {
		if (prong_alloc_to(&world->root[i], sizes[i]))
			die("no block of %zu bytes", sizes[i]);
		memset(world->root[i], PATTERN, sizes[i]);
	}
	for (int i = 0; i < 5; i++)
		if (freed >> i & 1)
			prong_free_at(&world->root[i]);
	world_become(-1);
}

static void empty(void)
{
}

static void hole_fits(void)
{
	arrange((size_t[]){ 100, 100, 0 }, 1);
}

static void hole_large(void)
{
	arrange((size_t[]){ 1500, 100, 0 }, 1);
}

static void at_end(void)
{
	arrange((size_t[]){ 100, 0 }, 0);
}

static void at_end_behind_hole(void)
{
	arrange((size_t[]){ 100, 100, 100, 0 }, 2);
	world->root[3] = world->root[0];
	world->root[0] = world->root[2];
	world->root[2] = NULL;
}

static void between(void)
{
	arrange((size_t[]){ 100, 100, 0 }, 0);
}

static void between_holes(void)
{
	arrange((size_t[]){ 300, 100, 200, 100, 300, 0 }, 1 | 4 | 16);
	world->root[0] = world->root[1];
	world->root[1] = NULL;
}

static void before_hole(void)
{
	arrange((size_t[]){ 100, 1500, 100, 0 }, 2);
}

/* The heap ends right before memory that is not there yet. */
static void before_growth(void)
{
	struct prongi_blocks *h = &prongi_heap->heap;
	uint64_t room = h->committed - h->end;

	if (room > 128) {
		world_become(1);
		world->root[1] = prong_alloc(room - 128);
		world_become(-1);
	}
	image_add((void *)(uintptr_t)((h->end - WINDOW) & ~(uint64_t)4095), 3 * WINDOW);
}

/* --- the operations ----------------------------------------------------------------------- */

static void victim_alloc_to(void)
{
	kill_count_begun();
	must(prong_alloc_to(&world->root[0], 100));
	kill_count_done();
}

static void victim_alloc_much(void)
{
	kill_count_begun();
	must(prong_alloc_to(&world->root[0], 1000));
	kill_count_done();
}

static void victim_free_at(void)
{
	kill_count_begun();
	must(prong_free_at(&world->root[0]));
	kill_count_done();
}

static void victim_grow(void)
{
	kill_count_begun();
	must(prong_realloc_at(&world->root[0], 500));
	kill_count_done();
}

static void victim_shrink(void)
{
	kill_count_begun();
	must(prong_realloc_at(&world->root[0], 20));
	kill_count_done();
}

/* The caller keeps the pointers: killed before it has, it takes the block with it. */
static void victim_plain(void)
{
	char *p = prong_alloc(100), *q = prong_calloc(3, 20);

	must(!p || !q);
	p = prong_realloc(p, 300);
	must(!p);
	world->root[0] = p;
	world->root[1] = q;
	world->root[0] = NULL;
	prong_free(p);
	world->root[1] = NULL;
	prong_free(q);
}

static void victim_refused(void)
{
	void *here = NULL;

	must(prong_alloc_to(&here, 100) != -EFAULT);
	must(prong_alloc_to(&world->root[0], (size_t)1 << 40) != -ENOMEM);
	must(prong_alloc_to(&world->root[1], 100) != -EEXIST);
	must(prong_realloc_at(&world->root[1], (size_t)1 << 40) != -ENOMEM);
	must(prong_free_at(&world->root[0]));
	must(prong_alloc((size_t)1 << 40) != NULL);
}

/* --- others asleep on the heap's lock ----------------------------------------------------- */

static unsigned holder(void)
{
	prongi_begin(&prongi_heap->heap.lock);
	kill_gate(1);
	prongi_end(&prongi_heap->heap.lock);
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

static void second_comes(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 1);
	kill_pass(t, 1, 0);
}

/* --- checks ------------------------------------------------------------------------------- */

static unsigned common(uint64_t leaks_allowed)
{
	return world_check() | check_heap(leaks_allowed) |
	       (unsigned)atomic_load(&kill_control->note[1]);
}

static unsigned check_alloc(void)
{
	const void *p = world->root[0];

	return common(0) | kill_check_count(p != NULL) |
	       (!p || filled(p, 0, 0, 100) ? 0 : KILL_TORN);
}

static unsigned check_free(void)
{
	return common(0) | kill_check_count(world->root[0] == NULL);
}

static size_t body_size(const void *p)
{
	const struct block *b = (const void *)((const char *)p - HEAD);

	return size_of(b) - HEAD;
}

static unsigned check_grow(void)
{
	const void *p = world->root[0];
	bool done = p && body_size(p) >= 500;

	return common(0) | kill_check_count(done) |
	       (p && filled(p, PATTERN, 0, 100) && (!done || filled(p, 0, 100, 500)) ? 0
										     : KILL_TORN);
}

static unsigned check_grow_new(void)
{
	const void *p = world->root[0];

	return common(0) | kill_check_count(p != NULL) |
	       (!p || filled(p, 0, 0, 500) ? 0 : KILL_TORN);
}

static unsigned check_shrink(void)
{
	const void *p = world->root[0];
	bool done = p && body_size(p) < 100;

	return common(0) | kill_check_count(done) |
	       (p && filled(p, PATTERN, 0, done ? 20 : 100) ? 0 : KILL_TORN);
}

static unsigned check_plain(void)
{
	return common(2);
}

static unsigned check_refused(void)
{
	return common(0) | (filled(world->root[1], PATTERN, 0, 100) ? 0 : KILL_TORN);
}

static void refused(void)
{
	arrange((size_t[]){ 100, 100, 0 }, 1);
}

static const struct kill_scenario scenarios[] = {
	{ .name = "alloc_to-at-the-end", .setup = empty, .victim = victim_alloc_to,
	  .other = { other }, .late = late, .check = check_alloc },
	{ .name = "alloc_to-a-hole-that-fits", .setup = hole_fits, .victim = victim_alloc_to,
	  .other = { other }, .late = late, .check = check_alloc },
	{ .name = "alloc_to-a-hole-to-split", .setup = hole_large, .victim = victim_alloc_to,
	  .other = { other }, .late = late, .check = check_alloc },
	{ .name = "alloc_to-heap-grows", .setup = before_growth, .victim = victim_alloc_much,
	  .other = { other }, .late = late, .check = check_alloc },
	{ .name = "alloc_to-asleep", .setup = hole_fits, .before = held,
	  .victim = victim_alloc_to, .asleep = holder_ends, .other = { holder, second },
	  .late = late, .check = check_alloc },
	{ .name = "alloc_to-asleep-first-of-two", .setup = hole_fits, .before = held,
	  .victim = victim_alloc_to, .asleep = second_comes, .other = { holder, second },
	  .late = late, .check = check_alloc },
	{ .name = "free_at-at-the-end", .setup = at_end, .victim = victim_free_at,
	  .other = { other }, .late = late, .check = check_free },
	{ .name = "free_at-at-the-end-behind-a-hole", .setup = at_end_behind_hole,
	  .victim = victim_free_at, .other = { other }, .late = late, .check = check_free },
	{ .name = "free_at-between-blocks", .setup = between, .victim = victim_free_at,
	  .other = { other }, .late = late, .check = check_free },
	{ .name = "free_at-between-holes", .setup = between_holes, .victim = victim_free_at,
	  .other = { other }, .late = late, .check = check_free },
	{ .name = "realloc_at-in-place-at-the-end", .setup = at_end, .victim = victim_grow,
	  .other = { other }, .late = late, .check = check_grow },
	{ .name = "realloc_at-into-a-hole", .setup = before_hole, .victim = victim_grow,
	  .other = { other }, .late = late, .check = check_grow },
	{ .name = "realloc_at-moved", .setup = between, .victim = victim_grow,
	  .other = { other }, .late = late, .check = check_grow },
	{ .name = "realloc_at-shrunk", .setup = between, .victim = victim_shrink,
	  .other = { other }, .late = late, .check = check_shrink },
	{ .name = "realloc_at-of-nothing", .setup = empty, .victim = victim_grow,
	  .other = { other }, .late = late, .check = check_grow_new },
	{ .name = "alloc-calloc-realloc-free", .setup = hole_large, .victim = victim_plain,
	  .other = { other }, .late = late, .check = check_plain },
	{ .name = "refused", .setup = refused, .victim = victim_refused, .other = { other },
	  .late = late, .check = check_refused },
	{ .name = NULL }
};

const struct kill_room room_heap = {
	.name = "heap", .open = world_open, .become = world_become, .repair = world_repair,
	.scenarios = scenarios, .files = "heap.c prong_alloc prong_free prong_realloc prong_calloc",
};
