/* The heap's caches: blocks that come and go without a lock; chains that change places; a full heap
   that takes them all back; and pages given back to the system. */
#include "heap_walk.h"
#include "trace.h"
#include <stdlib.h>
#include <string.h>

#define PATTERN 0xa5
#define LARGE   ((size_t)300 << 10)
#define MORE    ((size_t)340 << 10)

/* Classes whose chains are short, so that little happens often: by the bodies' size. */
#define TWO   1400 /* blocks in a full chain */
#define THREE 1100

static void must(bool ok)
{
	if (!ok)
		atomic_fetch_or(&kill_control->note[1], KILL_TORN);
}

static bool filled(const void *p, int with, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (((const unsigned char *)p)[i] != with)
			return false;
	return true;
}

/* --- what the others do ------------------------------------------------------------------- */

/* Blocks of the classes that the victims use come, are right, and go. */
static unsigned life(void **root)
{
	static const size_t sizes[] = { 40, TWO, THREE };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		if (prong_alloc_to(root, sizes[i]) || !filled(*root, 0, 0, sizes[i]))
			return KILL_TORN;
		memset(*root, PATTERN, sizes[i]);
		if (prong_free_at(root))
			return KILL_TORN;
	}
	return 0;
}

static unsigned other(void)
{
	return life(&world->root[ROOTS - 1]);
}

/* As many come and go as make two chains change places with the depot.  A few bytes of each will
   do, for its steps are recorded again and again. */
static unsigned peer(void)
{
	for (int i = 1; i <= 5; i++) {
		if (prong_alloc_to(&world->root[i], TWO) || !filled(world->root[i], 0, 0, 8))
			return KILL_TORN;
		*(char *)world->root[i] = (char)i;
	}
	for (int i = 1; i <= 5; i++)
		if (*(char *)world->root[i] != i || prong_free_at(&world->root[i]))
			return KILL_TORN;
	return 0;
}

static unsigned late(void)
{
	return life(&world->root[ROOTS - 2]);
}

/* What the victim's mutex protects is as the victim left it, as soon as another has it. */
static unsigned heir(void)
{
	int r = prong_mutex_lock(&world->mutex, world_deadline());

	if (r == PRONG_OWNERDEAD)
		r = prong_mutex_consistent(&world->mutex);
	if (r)
		return KILL_STUCK;
	if (prong_free_at(&world->root[0]) || prong_alloc_to(&world->root[0], 40))
		return KILL_TORN;
	memset(world->root[0], PATTERN, 40);
	return prong_mutex_unlock(&world->mutex) ? KILL_TORN : 0;
}

/* --- the beginnings ----------------------------------------------------------------------- */

/* As actor: n blocks of size bytes come, and go again. */
static void pass(int actor, size_t size, unsigned n)
{
	void *p[16];

	world_become(actor);
	for (unsigned i = 0; i < n; i++)
		if (!(p[i] = prong_alloc(size)))
			die("no block");
	for (unsigned i = 0; i < n; i++)
		prong_free(p[i]);
	world_become(-1);
}

static void have(int i, size_t size)
{
	world_become(0);
	if (prong_alloc_to(&world->root[i], size))
		die("no block");
	memset(world->root[i], PATTERN, size);
	world_become(-1);
}

static void empty(void)
{
}

static void one_chain(void)
{
	pass(0, 40, 1);
	pass(0, TWO, 1);
}

static void with_block(void)
{
	have(0, 40);
}

/* Two blocks are out, so the chain is empty; the spare is full. */
static void only_spare(void)
{
	pass(0, TWO, 5);
	have(1, TWO);
	have(2, TWO);
}

static void in_depot(void)
{
	pass(1, TWO, 8);
}

/* The chain is full, and the spare too if both. */
static void full_chain(void)
{
	have(0, TWO);
	pass(0, TWO, 2);
}

static void both_full(void)
{
	have(0, TWO);
	pass(0, TWO, 4);
}

/* A depot that takes no more: seen by its count alone, which the check puts right. */
#define PRETENDED ((uint64_t)1 << 20)

static prongi_word *depot_count(void)
{
	world_become(0);
	for (unsigned c = 0; c < PRONGI_CLASSES; c++)
		if (prongi_heap->slot[world_slot(0) - prongi_heap->slot].cache[c].spare)
			return &prongi_heap->heap.depot[c].count;
	die("no spare");
}

static void depot_full(void)
{
	both_full();
	*depot_count() += PRETENDED;
}

/* Blocks are cached in the victim's slot, in the depot, and in a slot that is free. */
static void cached_everywhere(void)
{
	struct prongi_slot *slot;

	pass(0, TWO, 3);
	pass(1, THREE, 12);
	world_become(-1);
	if (prongi_slot_claim(0))
		die("no slot");
	prong_free(prong_alloc(TWO));
	slot = prongi_self.slot;
	prongi_slot_release(slot);
	world_become(-1);
}

/* A hole of 300 KiB among what is cached, and less than half of all in use: what needs more than
   the hole finds no place before the end of what is committed. */
static void holes(void)
{
	struct prongi_blocks *h = &prongi_heap->heap;
	uintptr_t head;

	cached_everywhere();
	have(0, LARGE);
	have(1, 5000);
	head = (uintptr_t)world->root[1] - 16;
	world_become(0);
	if (prong_free_at(&world->root[0]) || h->committed - h->end > MORE)
		die("the heap is not as it should be");
	world_become(-1);
	/* From there on to behind what is to come. */
	image_add((void *)(head & ~(uintptr_t)4095), 4 * (size_t)4096 + MORE);
}

/* Somebody has found such a heap: the victim gives back what it has, when it needs more. */
static void asked_to_tidy(void)
{
	pass(0, 40, 1);
	only_spare();
	pass(0, THREE, 5);
	atomic_fetch_add(&prongi_heap->heap.tidy, 1);
}

/* --- the operations ----------------------------------------------------------------------- */

static void victim_alloc_to(void)
{
	kill_count_begun();
	must(prong_alloc_to(&world->root[0], TWO) == 0);
	kill_count_done();
}

static void victim_alloc_small_to(void)
{
	kill_count_begun();
	must(prong_alloc_to(&world->root[0], 40) == 0);
	kill_count_done();
}

static void victim_alloc_large_to(void)
{
	kill_count_begun();
	must(prong_alloc_to(&world->root[0], MORE) == 0);
	kill_count_done();
}

static void victim_free_at(void)
{
	kill_count_begun();
	must(prong_free_at(&world->root[0]) == 0);
	kill_count_done();
}

static void victim_under_mutex(void)
{
	must(prong_mutex_lock(&world->mutex, PRONG_FOREVER) == 0);
	must(prong_free_at(&world->root[0]) == 0);
	must(prong_alloc_to(&world->root[0], 40) == 0);
}

/* Somebody asks for the mutex between two repairers, when it can know of the death. */
static void heir_comes(struct kill_trial *t)
{
	if ((prongi_load(&world_slot(0)->id) & PRONGI_DEAD) &&
	    atomic_fetch_add(&kill_control->note[2], 1) == 0)
		kill_place(t, 0);
}

static void victim_within_class(void)
{
	kill_count_begun();
	must(prong_realloc_at(&world->root[0], 46) == 0);
	kill_count_done();
}

static void victim_other_class(void)
{
	kill_count_begun();
	must(prong_realloc_at(&world->root[0], 100) == 0);
	kill_count_done();
}

/* The caller keeps the pointers: killed before it has, it takes the block with it. */
static void victim_plain(void)
{
	char *p = prong_alloc(40), *q = prong_calloc(3, 400);

	must(p && q && filled(q, 0, 0, 1200));
	p = prong_realloc(p, 300);
	must(p != NULL);
	world->root[0] = p;
	world->root[1] = q;
	world->root[0] = NULL;
	prong_free(p);
	world->root[1] = NULL;
	prong_free(q);
}

/* One allocates, the victim frees. */
static void victim_frees_others(void)
{
	for (int i = 0; i < 5; i++)
		must(prong_free_at(&world->root[i]) == 0);
}

static void others_blocks(void)
{
	world_become(1);
	for (int i = 0; i < 5; i++)
		must(prong_alloc_to(&world->root[i], TWO) == 0);
	world_become(-1);
}

static void victim_reclaims(void)
{
	must(prongi_cache_reclaim());
}

/* --- pages -------------------------------------------------------------------------------- */

/* Blocks of these sizes, one after the other; and there is much too much memory. */
static void large(size_t first, size_t second)
{
	struct prongi_blocks *h = &prongi_heap->heap;

	have(0, first);
	if (second)
		have(1, second);
	/* Its head, and what is used behind it. */
	image_add(
		(void *)(uintptr_t)(((uint64_t)world->root[second ? 1 : 0] - 16) & ~(uint64_t)4095),
		4096);
	image_add((void *)(uintptr_t)(h->end & ~(uint64_t)4095), (size_t)64 << 10);
	atomic_store(&h->keep, 4096);
}

static void large_at_end(void)
{
	large(LARGE, 0);
}

static void large_inside(void)
{
	large(LARGE, 5000);
}

static void pages_gone(void)
{
	large_inside();
	world_become(0);
	if (prong_free_at(&world->root[0]) || !prongi_heap->heap.gone)
		die("no page goes");
	world_become(-1);
}

/* However long the row takes: they went just now. */
static void pages_went(struct kill_trial *t)
{
	(void)t;
	prongi_heap->heap.given_at = (uint64_t)prongi_os_now();
}

static void victim_takes_gone(void)
{
	kill_count_begun();
	must(prong_alloc_to(&world->root[0], 20000) == 0);
	kill_count_done();
}

/* --- checks ------------------------------------------------------------------------------- */

static unsigned common(uint64_t leaks_allowed)
{
	return world_check() | heap_walk(leaks_allowed) |
	       (unsigned)atomic_load(&kill_control->note[1]);
}

static unsigned check_zero(size_t size)
{
	const void *p = world->root[0];

	return common(0) | kill_check_count(p != NULL) |
	       (!p || filled(p, 0, 0, size) ? 0 : KILL_TORN);
}

static unsigned check_alloc(void)
{
	return check_zero(TWO);
}

static unsigned check_alloc_small(void)
{
	return check_zero(40);
}

static unsigned check_alloc_large(void)
{
	return check_zero(MORE);
}

static unsigned check_takes_gone(void)
{
	return check_zero(20000);
}

static unsigned check_free(void)
{
	return common(0) | kill_check_count(world->root[0] == NULL);
}

static unsigned check_depot_full(void)
{
	for (unsigned c = 0; c < PRONGI_CLASSES; c++)
		if (prongi_heap->heap.depot[c].count >= PRETENDED)
			prongi_heap->heap.depot[c].count -= PRETENDED;
	return check_free();
}

static unsigned check_heir(void)
{
	return common(0) |
	       (world->root[0] && filled(world->root[0], PATTERN, 0, 40) ? 0 : KILL_TORN);
}

static unsigned check_within(void)
{
	return common(0) |
	       (filled(world->root[0], PATTERN, 0, 40) && filled(world->root[0], 0, 40, 46)
			? 0
			: KILL_TORN);
}

static unsigned check_other_class(void)
{
	const void *p = world->root[0];
	bool done = heap_body_size(p) >= 100;

	return common(0) | kill_check_count(done) |
	       (filled(p, PATTERN, 0, 40) && (!done || filled(p, 0, 40, 100)) ? 0 : KILL_TORN);
}

static unsigned check_plain(void)
{
	return common(2);
}

static unsigned check_common(void)
{
	return common(0);
}

/* As the server does: also the slots that the victim had claimed. */
static void repair(void)
{
	uint64_t dead = atomic_load(&kill_control->dead);

	for (uint32_t i = 0; i < KILL_OTHERS; i++)
		if (dead >> i & 1)
			prongi_repair_process(i + 2);
	prongi_repair_process(1);
}

#define ROW(n, s, v, c) \
	{ \
		.name = n, .setup = s, .victim = v, .other = { other }, .late = late, .check = c \
	}

#define SLOW(n, s, v, c) \
	{ \
		.name = n, .setup = s, .victim = v, .other = { other }, .late = late, \
		.slow = true, .check = c \
	}

#define BESIDE(n, s, v, c) \
	{ \
		.name = n, .setup = s, .victim = v, .other = { other }, .late = late, \
		.peer = peer, .check = c \
	}

static const struct kill_scenario scenarios[] = {
	ROW("alloc_to", one_chain, victim_alloc_small_to, check_alloc_small),
	ROW("alloc_to-first-of-a-class", empty, victim_alloc_to, check_alloc),
	ROW("alloc_to-from-the-spare", only_spare, victim_alloc_to, check_alloc),
	BESIDE("alloc_to-from-the-depot", in_depot, victim_alloc_to, check_alloc),
	ROW("free_at", with_block, victim_free_at, check_free),
	ROW("free_at-to-the-spare", full_chain, victim_free_at, check_free),
	BESIDE("free_at-to-the-depot", both_full, victim_free_at, check_free),
	ROW("free_at-depot-is-full", depot_full, victim_free_at, check_depot_full),
	ROW("free_at-of-another's", others_blocks, victim_frees_others, check_common),
	{ .name = "under-a-mutex",
	  .setup = with_block,
	  .victim = victim_under_mutex,
	  .died = heir_comes,
	  .other = { heir },
	  .late = late,
	  .check = check_heir },
	ROW("realloc_at-in-its-class", with_block, victim_within_class, check_within),
	ROW("realloc_at-to-another-class", with_block, victim_other_class, check_other_class),
	ROW("alloc-calloc-realloc-free", one_chain, victim_plain, check_plain),
	SLOW("reclaim", cached_everywhere, victim_reclaims, check_common),
	SLOW("alloc_to-heap-of-holes", holes, victim_alloc_large_to, check_alloc_large),
	SLOW("alloc_to-asked-to-tidy", asked_to_tidy, victim_alloc_to, check_alloc),
	ROW("pages-behind-the-end-go", large_at_end, victim_free_at, check_free),
	ROW("pages-inside-go", large_inside, victim_free_at, check_free),
	{ .name = "pages-come-back",
	  .slow = true,
	  .setup = pages_gone,
	  .before = pages_went,
	  .victim = victim_takes_gone,
	  .other = { other },
	  .late = late,
	  .check = check_takes_gone },
	{ .name = NULL }
};

const struct kill_room room_cache = {
	.name = "cache",
	.open = heap_open,
	.become = world_become,
	.repair = repair,
	.stopped = world_stopped,
	.scenarios = scenarios,
	.files = "heap_cache.c prongi_cache prongi_heap_finish prongi_blocks_commit",
};
