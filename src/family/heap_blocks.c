/* Blocks: a two-level segregated fit (Masmano, Ripoll, Crespo, Real: "TLSF: a new dynamic memory
   allocator for real-time systems", ECRTS 2004) whose every change goes through one section of the
   lock kernel.

   Bytes of free blocks and of the unused end are written before the commit: who dies there leaves
   a free block with other bytes in it.  Only the first ones, which hold its links and its range,
   must not be touched that way: they are logged.

   Pages go back to the system when much is free: those inside a free block, which then says in its
   range that they are gone, and those behind the end.  First the section says so, then they go.
   committed and gone tell together what has memory; a block that is taken gets its pages first, so
   a full heap is an error.  How much stays is learned: what is wanted again soon was too much. */
#include "family/heap.h"
#include <errno.h>

#define H PRONGI_H

#define SMALL	   ((uint64_t)256) /* below this, lists are 16 bytes apart */
#define FEW	   4 /* blocks that are looked at before larger ones are split */
#define PAGE	   ((uint64_t)4096) /* the least there is; larger ones round for themselves */
#define STEP	   ((uint64_t)64 << 10)
#define WORTH	   ((uint64_t)128 << 10) /* a system call */
#define KEEP_LEAST PRONGI_KEEP
#define SOON	   10000000000 /* ns */

typedef struct prongi_block block;

struct range {
	uint64_t from, to; /* to is 0: none */
};

static uint64_t address(const void *p)
{
	return prongi_address(p);
}

static block *block_at(uint64_t at)
{
	return prongi_block_at(at);
}

uint64_t prongi_block_size(const block *b)
{
	return prongi_get(&b->size) & PRONGI_SIZE;
}

static uint64_t size_of(const block *b)
{
	return prongi_block_size(b);
}

static bool is_free(const block *b)
{
	return prongi_get(&b->size) & PRONGI_IS_FREE;
}

static struct range range_of(const block *b)
{
	if (!(prongi_get(&b->size) & PRONGI_IS_GONE))
		return (struct range){ 0, 0 };
	return (struct range){ prongi_get(&b->from), prongi_get(&b->to) };
}

static uint64_t page_down(uint64_t at)
{
	return at / PAGE * PAGE;
}

static uint64_t page_up(uint64_t at)
{
	return page_down(at + PAGE - 1);
}

static void add(prongi_word *word, uint64_t n)
{
	if (n)
		prongi_set(word, prongi_get(word) + n);
}

/* The block after b in memory, or NULL. */
static block *after(const block *b)
{
	uint64_t at = address(b) + size_of(b);

	return at == prongi_get(&H->end) ? NULL : block_at(at);
}

void prongi_block_tie(const block *b)
{
	block *next = after(b);

	prongi_set(next ? &next->prev : &H->last, address(b));
}

block *prongi_block_of(const void *p, const char *what)
{
	uint64_t first = address(prongi_heap->first), end = prongi_get(&H->end);
	uint64_t at = address(p) - PRONGI_HEAD;
	block *b = block_at(at);

	if (address(p) % 16 || at < first || at + PRONGI_LEAST > end ||
	    (prongi_get(&b->size) & (PRONGI_MARKS | PRONGI_IS)) != PRONGI_MARK ||
	    size_of(b) > end - at || prongi_get(after(b) ? &after(b)->prev : &H->last) != at)
		prongi_heap_misuse(what, p);
	return b;
}

void prongi_blocks_count(int64_t bytes, int64_t blocks)
{
	uint64_t used = prongi_get(&H->used) + (uint64_t)bytes;

	prongi_set(&H->used, used);
	add(&H->blocks, (uint64_t)blocks);
	if (used > prongi_get(&H->peak))
		prongi_set(&H->peak, used);
}

/* --- the lists ------------------------------------------------------------------------- */

struct list {
	unsigned fl, sl;
};

static unsigned log2_of(uint64_t n)
{
	return 63u - (unsigned)__builtin_clzll(n);
}

static struct list list_of(uint64_t size)
{
	if (size < SMALL)
		return (struct list){ 0, (unsigned)(size / 16) };
	unsigned log = log2_of(size);
	return (struct list){ log - 7, (unsigned)(size >> (log - 4)) & 15 };
}

static void list_remove(block *b)
{
	struct list l = list_of(size_of(b));
	uint64_t next = prongi_get(&b->next), back = prongi_get(&b->back);

	if (next)
		prongi_set(&block_at(next)->back, back);
	if (back) {
		prongi_set(&block_at(back)->next, next);
		return;
	}
	prongi_set(&H->head[l.fl][l.sl], next);
	if (next)
		return;
	prongi_set(&H->sl[l.fl], prongi_get(&H->sl[l.fl]) & ~((uint64_t)1 << l.sl));
	if (!prongi_get(&H->sl[l.fl]))
		prongi_set(&H->fl, prongi_get(&H->fl) & ~((uint64_t)1 << l.fl));
}

static void list_insert(block *b)
{
	struct list l = list_of(size_of(b));
	uint64_t head = prongi_get(&H->head[l.fl][l.sl]);

	prongi_set(&b->next, head);
	prongi_set(&b->back, 0);
	if (head)
		prongi_set(&block_at(head)->back, address(b));
	prongi_set(&H->head[l.fl][l.sl], address(b));
	prongi_set(&H->sl[l.fl], prongi_get(&H->sl[l.fl]) | (uint64_t)1 << l.sl);
	prongi_set(&H->fl, prongi_get(&H->fl) | (uint64_t)1 << l.fl);
}

/* A free block of at least size bytes, still in its list, or NULL. */
static block *list_find(uint64_t size)
{
	struct list l;
	uint64_t map;

	if (size >= SMALL) /* round up: every block of the list found is large enough */
		size += ((uint64_t)1 << (log2_of(size) - 4)) - 1;
	l = list_of(size);
	map = prongi_get(&H->sl[l.fl]) & (~(uint64_t)0 << l.sl);
	if (!map) {
		uint64_t fl = prongi_get(&H->fl) & (~(uint64_t)0 << (l.fl + 1));

		if (!fl)
			return NULL;
		l.fl = (unsigned)__builtin_ctzll(fl);
		map = prongi_get(&H->sl[l.fl]);
	}
	l.sl = (unsigned)__builtin_ctzll(map);
	return block_at(prongi_get(&H->head[l.fl][l.sl]));
}

/* Of the blocks that are about as large as size, of which list_find() knows nothing, since some are
   smaller: one that is large enough, among the first n; or NULL.  So a hole fits what left it. */
static block *list_look(uint64_t size, size_t n)
{
	struct list l = list_of(size);
	uint64_t at = size < SMALL ? 0 : prongi_get(&H->head[l.fl][l.sl]);

	for (; at && n; n--) {
		if (size_of(block_at(at)) >= size)
			return block_at(at);
		at = prongi_get(&block_at(at)->next);
	}
	return NULL;
}

/* Make b, which lies between two that are not free, a free block. */
static void put_free(block *b, uint64_t size, struct range gone)
{
	prongi_set(&b->size, size | PRONGI_IS_FREE | PRONGI_MARK | (gone.to ? PRONGI_IS_GONE : 0));
	if (gone.to) {
		prongi_set(&b->from, gone.from);
		prongi_set(&b->to, gone.to);
	}
	prongi_block_tie(b);
	list_insert(b);
}

/* --- memory from the system, and back ---------------------------------------------------- */

/* What keep, given_at and fresh hold is a hint, or harmless when it is too high: they are stored at
   once and not by the commit. */

/* Put memory behind what was perhaps given back.  If that was not long ago, it was too much. */
static bool have_memory(uint64_t from, uint64_t to)
{
	uint64_t given_at = prongi_load(&H->given_at), keep = prongi_load(&H->keep);

	if (prongi_os_heap_commit((void *)(uintptr_t)from, to - from))
		return false;
	if (given_at && (uint64_t)prongi_os_now() - given_at < SOON && keep < prongi_heap->size / 4)
		prongi_store(&H->keep, keep * 2);
	return true;
}

/* Have memory up to the address upto: in steps that double up to a chunk.  Under the lock,
   because it is rare; the commit of memory itself leaves nothing half done. */
static bool grow(uint64_t upto)
{
	uint64_t have = prongi_get(&H->committed), top = address(prongi_heap) + prongi_heap->size;
	uint64_t step = have - address(prongi_heap->first), want;

	if (upto <= have)
		return true;
	if (upto > top)
		return false;
	step = step < STEP ? STEP : step < PRONGI_CHUNK ? step : PRONGI_CHUNK;
	want = (upto - have + step - 1) / step * step + have;
	want = want < top ? want : top;
	if (!have_memory(have, want))
		return false;
	prongi_set(&H->committed, want);
	return true;
}

/* Have memory behind a block's gone pages before upto. */
static bool refill(struct range *gone, uint64_t upto)
{
	if (!gone->to || upto <= gone->from)
		return true;
	upto = page_up(upto) < gone->to ? page_up(upto) : gone->to;
	if (!have_memory(gone->from, upto))
		return false;
	add(&H->gone, gone->from - upto);
	gone->from = upto;
	if (gone->from == gone->to)
		gone->to = 0;
	return true;
}

void prongi_heap_finish(struct prongi_slot *slot)
{
	uint64_t from = prongi_load(&slot->gone_from), to = prongi_load(&slot->gone_to);

	if (from >= address(prongi_heap->first) && from < to &&
	    to <= address(prongi_heap) + prongi_heap->size &&
	    prongi_os_heap_give_back((void *)(uintptr_t)from, to - from) == 0 &&
	    from == prongi_load(&H->committed) && from < prongi_load(&H->fresh))
		prongi_store(&H->fresh, from); /* what comes back from there is zero */
	prongi_then(); /* they are gone before it is forgotten */
	prongi_store(&slot->gone_to, 0);
}

/* Whether so many bytes more of free memory are too many. */
static bool too_much(uint64_t bytes)
{
	uint64_t has = prongi_get(&H->committed) - address(prongi_heap->first);
	uint64_t used = prongi_get(&H->used) + prongi_get(&H->gone);

	return bytes >= WORTH && has - used > 2 * prongi_load(&H->keep);
}

/* With the commit, [from, to) has no memory any more; fewer bytes of it had some until now. */
static void give_pages(uint64_t from, uint64_t to, uint64_t bytes)
{
	uint64_t now = (uint64_t)prongi_os_now(), keep = prongi_load(&H->keep);

	prongi_set(&prongi_self.slot->gone_from, from);
	prongi_set(&prongi_self.slot->gone_to, to);
	add(&H->given_back, bytes);
	if (now - prongi_load(&H->given_at) > SOON && keep > KEEP_LEAST)
		prongi_store(&H->keep, keep / 2);
	prongi_store(&H->given_at, now);
}

void prongi_blocks_commit(void)
{
	struct prongi_slot *me = prongi_self.slot;

	prongi_commit();
	if (prongi_load(&me->gone_to) && !PRONGI_MUTANT(61))
		prongi_heap_finish(me);
}

/* The end is b now.  If it had gone pages, what is committed ends where they begin. */
static void give_end(const block *b, struct range gone)
{
	uint64_t have = prongi_get(&H->committed), keep = page_up(address(b) + STEP);

	prongi_set(&H->last, prongi_get(&b->prev));
	prongi_set(&H->end, address(b));
	if (gone.to)
		keep = gone.from;
	else if (keep >= have || !too_much(have - keep))
		return;
	add(&H->gone, gone.from - gone.to);
	prongi_set(&H->committed, keep);
	give_pages(keep, have, have - keep - (gone.to - gone.from));
}

/* The range of the free block at..end, which had two of them: a part that may be given back is. */
static struct range give_inside(uint64_t at, uint64_t end, struct range a, struct range b)
{
	struct range all = { page_up(at + sizeof(block)), page_down(end) };
	uint64_t was = a.to - a.from + b.to - b.from;

	if (all.to < all.from || !too_much(all.to - all.from - was)) {
		all = a.to ? a : b;
		if (a.to && b.to)
			all.to = b.to; /* what lies between them goes, for one has one range */
	}
	if (all.to - all.from > was) {
		add(&H->gone, all.to - all.from - was);
		give_pages(all.from, all.to, all.to - all.from - was);
	}
	return all;
}

/* --- taking and giving --------------------------------------------------------------------- */

void prongi_block_give(block *b)
{
	block *next = after(b), *prev = block_at(prongi_get(&b->prev));
	struct range low = { 0, 0 }, high = { 0, 0 };
	uint64_t size = size_of(b);

	if (next && is_free(next)) {
		list_remove(next);
		size += size_of(next);
		high = range_of(next);
	}
	prongi_set(&b->size, 0); /* whoever frees it once more is caught */
	if (prev && is_free(prev)) {
		list_remove(prev);
		size += size_of(prev);
		low = range_of(prev);
		b = prev;
	}
	if (address(b) + size == prongi_get(&H->end))
		give_end(b, low);
	else
		put_free(b, size, give_inside(address(b), address(b) + size, low, high));
}

/* Take the first *whole bytes of b, or all if the rest were no block, out of its list. */
static bool take(block *b, uint64_t *whole)
{
	uint64_t have = size_of(b), end = address(b) + *whole;
	bool split = have - *whole >= PRONGI_LEAST;
	struct range gone = range_of(b);

	list_remove(b);
	if (!refill(&gone, split ? end + sizeof(block) : address(b) + have))
		return false;
	if (!split) {
		*whole = have;
		return true;
	}
	prongi_set(&block_at(end)->prev, address(b));
	put_free(block_at(end), have - *whole, gone);
	return true;
}

void prongi_block_trim(block *b, uint64_t whole)
{
	uint64_t have = size_of(b);
	block *rest = block_at(address(b) + whole);

	if (have - whole < PRONGI_LEAST)
		return;
	prongi_set(&b->size, whole | PRONGI_MARK);
	prongi_set(&rest->size, (have - whole) | PRONGI_MARK);
	prongi_set(&rest->prev, address(b));
	prongi_block_tie(rest);
	prongi_block_give(rest);
}

/* Bytes before the new end may be written from now on. */
static void touch_end(uint64_t end)
{
	prongi_set(&H->end, end);
	if (end > prongi_load(&H->fresh))
		prongi_store(&H->fresh, end);
	prongi_then();
}

/* The first n bytes of the unused end. */
static block *take_end(uint64_t n)
{
	uint64_t end = prongi_get(&H->end);

	if (!grow(end + n))
		return NULL;
	prongi_set(&block_at(end)->prev, prongi_get(&H->last));
	prongi_set(&H->last, end);
	touch_end(end + n);
	return block_at(end);
}

block *prongi_block_obtain(uint64_t whole)
{
	block *b = list_look(whole, FEW), *end = NULL;

	if (!b)
		b = list_find(whole);
	if (!b)
		end = take_end(whole);
	if (!b && !end) /* the heap is full, but for what does not lie first */
		b = list_look(whole, SIZE_MAX);
	if (b && !take(b, &whole))
		return NULL;
	b = b ? b : end;
	if (b)
		prongi_set(&b->size, whole | PRONGI_MARK);
	return b;
}

bool prongi_blocks_hole(uint64_t whole)
{
	return list_find(whole) != NULL;
}

/* A hole from which blocks of whole bytes can be cut so that what is left is a block or nothing; in
   n how many of them, not more than it was. */
static block *find_row(uint64_t whole, uint32_t *n)
{
	block *b = list_find(whole);
	uint64_t fit;

	if (b && size_of(b) == whole + 16)
		b = list_find(whole + PRONGI_LEAST);
	if (!b)
		return NULL;
	fit = size_of(b) / whole;
	if (fit <= *n && size_of(b) - fit * whole == 16)
		fit--;
	*n = fit < *n ? (uint32_t)fit : *n;
	return fit ? b : NULL;
}

block *prongi_block_row(uint64_t whole, uint32_t *n)
{
	uint32_t fit = *n;
	block *b = find_row(whole, &fit);
	uint64_t bytes = fit * whole;

	if (b) {
		*n = fit;
		return take(b, &bytes) ? b : NULL;
	}
	if (!grow(prongi_get(&H->end) + *n * whole))
		*n = 1;
	return take_end(*n * whole);
}

void prongi_blank(uint64_t from, uint64_t to, uint64_t fresh)
{
	if (to > fresh)
		to = fresh;
	if (from < to)
		memset((void *)(uintptr_t)from, 0, to - from);
}

/* Take the first n bytes of the free block next, as they are needed by the body before it. */
static bool swallow(block *next, uint64_t *n)
{
	uint64_t at = address(next), logged;

	if (!take(next, n))
		return false;
	logged = *n < sizeof(block) ? *n : sizeof(block);
	for (uint64_t i = 0; i < logged; i += 8)
		prongi_set((prongi_word *)(uintptr_t)(at + i), 0);
	prongi_blank(at + logged, at + *n, prongi_load(&H->fresh));
	return true;
}

int prongi_block_extend(block *b, uint64_t whole)
{
	block *next = after(b);
	uint64_t have = size_of(b), n = whole - have, end = address(b) + whole;

	if (next) {
		if (!is_free(next) || size_of(next) < n)
			return -EBUSY;
		if (!swallow(next, &n))
			return -ENOMEM;
		prongi_set(&b->size, (have + n) | PRONGI_MARK);
		prongi_block_tie(b);
		return 0;
	}
	if (!grow(end))
		return -EBUSY; /* a hole elsewhere may do */
	prongi_blank(end - n, end, prongi_load(&H->fresh));
	prongi_set(&b->size, whole | PRONGI_MARK);
	touch_end(end);
	return 0;
}
