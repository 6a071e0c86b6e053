/* The heap under its lock: each call that changes it, for each way that a block can come and go
   which is too large for the caches.  For those see kill_heap_cache.c. */
#include "heap_walk.h"
#include "trace.h"
#include <errno.h>
#include <string.h>

#define WINDOW	((size_t)32 << 10) /* behind the end: what may be used */
#define PATTERN 0xa5
#define SOME	4200 /* bytes: more than the caches have */

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
	if (prong_realloc_at(root, 4500) || !filled(*root, PATTERN, 0, 48) ||
	    !filled(*root, 0, 48, 4500))
		return KILL_TORN;
	memset(*root, PATTERN, 4500);
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
	arrange((size_t[]){ SOME, SOME, 0 }, 1);
}

static void hole_large(void)
{
	arrange((size_t[]){ 9000, SOME, 0 }, 1);
}

static void at_end(void)
{
	arrange((size_t[]){ SOME, 0 }, 0);
}

static void at_end_behind_hole(void)
{
	arrange((size_t[]){ SOME, SOME, SOME, 0 }, 2);
	world->root[3] = world->root[0];
	world->root[0] = world->root[2];
	world->root[2] = NULL;
}

static void between(void)
{
	arrange((size_t[]){ SOME, SOME, 0 }, 0);
}

static void between_holes(void)
{
	arrange((size_t[]){ 4600, SOME, 4400, SOME, 4600, 0 }, 1 | 4 | 16);
	world->root[0] = world->root[1];
	world->root[1] = NULL;
}

static void before_hole(void)
{
	arrange((size_t[]){ SOME, 9000, SOME, 0 }, 2);
}

/* The heap ends right before memory that is not there yet. */
static void before_growth(void)
{
	struct prongi_blocks *h = &prongi_heap->heap;
	uint64_t room = h->committed - h->end;

	if (room > 1024) {
		world_become(1);
		world->root[1] = prong_alloc(room - 1024);
		world_become(-1);
	}
	image_add((void *)(uintptr_t)(h->end & ~(uint64_t)4095), 2 * WINDOW);
}

/* --- the operations ----------------------------------------------------------------------- */

static void victim_alloc_to(void)
{
	kill_count_begun();
	must(prong_alloc_to(&world->root[0], SOME));
	kill_count_done();
}

static void victim_alloc_much(void)
{
	kill_count_begun();
	must(prong_alloc_to(&world->root[0], 6000));
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
	must(prong_realloc_at(&world->root[0], 4700));
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
	char *p = prong_alloc(SOME), *q = prong_calloc(3, 2000);

	must(!p || !q);
	p = prong_realloc(p, 6000);
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

	must(prong_alloc_to(&here, SOME) != -EFAULT);
	must(prong_alloc_to(&world->root[0], (size_t)1 << 40) != -ENOMEM);
	must(prong_alloc_to(&world->root[1], SOME) != -EEXIST);
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
	return world_check() | heap_walk(leaks_allowed) |
	       (unsigned)atomic_load(&kill_control->note[1]);
}

static unsigned check_alloc(void)
{
	const void *p = world->root[0];

	return common(0) | kill_check_count(p != NULL) |
	       (!p || filled(p, 0, 0, SOME) ? 0 : KILL_TORN);
}

static unsigned check_free(void)
{
	return common(0) | kill_check_count(world->root[0] == NULL);
}

static unsigned check_grow(void)
{
	const void *p = world->root[0];
	bool done = p && heap_body_size(p) >= 4700;

	return common(0) | kill_check_count(done) |
	       (p && filled(p, PATTERN, 0, SOME) && (!done || filled(p, 0, SOME, 4700)) ? 0
										     : KILL_TORN);
}

static unsigned check_grow_new(void)
{
	const void *p = world->root[0];

	return common(0) | kill_check_count(p != NULL) |
	       (!p || filled(p, 0, 0, 4700) ? 0 : KILL_TORN);
}

static unsigned check_shrink(void)
{
	const void *p = world->root[0];
	bool done = p && heap_body_size(p) < SOME;

	return common(0) | kill_check_count(done) |
	       (p && filled(p, PATTERN, 0, done ? 20 : SOME) ? 0 : KILL_TORN);
}

static unsigned check_plain(void)
{
	return common(2);
}

static unsigned check_refused(void)
{
	return common(0) | (filled(world->root[1], PATTERN, 0, SOME) ? 0 : KILL_TORN);
}

static void refused(void)
{
	arrange((size_t[]){ SOME, SOME, 0 }, 1);
}

static const struct kill_scenario scenarios[] = {
	{ .name = "alloc_to-at-the-end", .setup = empty, .victim = victim_alloc_to,
	  .other = { other }, .late = late, .peer = second, .check = check_alloc },
	{ .name = "alloc_to-a-hole-that-fits", .setup = hole_fits, .victim = victim_alloc_to,
	  .other = { other }, .late = late, .check = check_alloc },
	{ .name = "alloc_to-a-hole-to-split", .setup = hole_large, .victim = victim_alloc_to,
	  .other = { other }, .late = late, .peer = second, .check = check_alloc },
	{ .name = "alloc_to-heap-grows", .setup = before_growth, .victim = victim_alloc_much,
	  .other = { other }, .late = late, .check = check_alloc },
	{ .name = "alloc_to-asleep", .setup = hole_fits, .before = held,
	  .victim = victim_alloc_to, .asleep = holder_ends, .other = { holder, second },
	  .late = late, .check = check_alloc },
	{ .name = "alloc_to-asleep-first-of-two", .setup = hole_fits, .before = held,
	  .victim = victim_alloc_to, .asleep = second_comes, .other = { holder, second },
	  .late = late, .check = check_alloc },
	{ .name = "free_at-at-the-end", .setup = at_end, .victim = victim_free_at,
	  .other = { other }, .late = late, .peer = second, .check = check_free },
	{ .name = "free_at-at-the-end-behind-a-hole", .setup = at_end_behind_hole,
	  .victim = victim_free_at, .other = { other }, .late = late, .check = check_free },
	{ .name = "free_at-between-blocks", .setup = between, .victim = victim_free_at,
	  .other = { other }, .late = late, .check = check_free },
	{ .name = "free_at-between-holes", .setup = between_holes, .victim = victim_free_at,
	  .other = { other }, .late = late, .peer = second, .check = check_free },
	{ .name = "realloc_at-in-place-at-the-end", .setup = at_end, .victim = victim_grow,
	  .other = { other }, .late = late, .check = check_grow },
	{ .name = "realloc_at-into-a-hole", .setup = before_hole, .victim = victim_grow,
	  .other = { other }, .late = late, .check = check_grow },
	{ .name = "realloc_at-moved", .setup = between, .victim = victim_grow,
	  .other = { other }, .late = late, .peer = second, .check = check_grow },
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
	.name = "heap", .open = heap_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .holds = world_holds,
	.scenarios = scenarios,
	.files = "heap.c heap_blocks.c prong_alloc prong_free prong_realloc prong_calloc "
		 "prongi_block",
};
