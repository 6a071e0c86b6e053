/* The heap's allocator: a two-level segregated fit (Masmano, Ripoll, Crespo, Real: "TLSF: a new
   dynamic memory allocator for real-time systems", ECRTS 2004) whose every change goes through one
   section of the lock kernel, together with the pointer that the caller keeps the block by.

   A block is a head of two words and a body.  Blocks fill the heap from prongi_heap->first to end
   without gaps; two free ones are never neighbours, and the last is never free: it goes back to
   the unused end.  A free block's body begins with its list's links.
      size  bytes with the head, a multiple of 16; bit 0: free; the top 16 bits are a mark
      prev  the block before it in memory; 0: none
      next, back  of a free block: its list

   Bytes of a body are written before the commit, while the block still counts as free: who dies
   there leaves a free block with other bytes in it.  Only its links must not be touched that way,
   they are logged.

   Not here yet: caches for small sizes, and giving pages back. */
#include "family/family.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct block {
	prongi_word size, prev;
	prongi_word next, back; /* of a free block; else the body begins here */
};

#define HEAD  ((uint64_t)16)
#define LEAST ((uint64_t)32)
#define FREE  ((uint64_t)1)
#define MARK  ((uint64_t)0xb10c << 48)
#define SIZE  (((uint64_t)1 << 48) - 16)
#define SMALL ((uint64_t)256) /* below this, lists are 16 bytes apart */
#define MOST  ((uint64_t)1 << 46)

#define H (&prongi_heap->heap)

static uint64_t address(const void *p)
{
	return (uintptr_t)p;
}

static struct block *block_at(uint64_t at)
{
	return (struct block *)(uintptr_t)at;
}

static void *body(const struct block *b)
{
	return (char *)(uintptr_t)b + HEAD;
}

static uint64_t size_of(const struct block *b)
{
	return prongi_get(&b->size) & SIZE;
}

static bool is_free(const struct block *b)
{
	return prongi_get(&b->size) & FREE;
}

/* The block after b in memory, or NULL. */
static struct block *after(const struct block *b)
{
	uint64_t at = address(b) + size_of(b);

	return at == prongi_get(&H->end) ? NULL : block_at(at);
}

/* Make the block after b, or the heap's end, know that b is before it. */
static void tie(const struct block *b)
{
	struct block *next = after(b);

	prongi_set(next ? &next->prev : &H->last, address(b));
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

static void list_remove(struct block *b)
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

static void list_insert(struct block *b)
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
static struct block *list_find(uint64_t size)
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

/* --- taking and giving, inside a section -------------------------------------------------- */

static void count(int64_t bytes, int64_t blocks)
{
	uint64_t used = prongi_get(&H->used) + (uint64_t)bytes;

	prongi_set(&H->used, used);
	prongi_set(&H->blocks, prongi_get(&H->blocks) + (uint64_t)blocks);
	if (used > prongi_get(&H->peak))
		prongi_set(&H->peak, used);
}

/* Give b, which is in no list, back: with its free neighbours, to a list or to the end. */
static void give(struct block *b)
{
	struct block *next = after(b), *prev = block_at(prongi_get(&b->prev));
	uint64_t size = size_of(b);

	if (next && is_free(next)) {
		list_remove(next);
		size += size_of(next);
	}
	if (prev && is_free(prev)) {
		list_remove(prev);
		size += size_of(prev);
		b = prev;
	}
	if (address(b) + size == prongi_get(&H->end)) {
		prongi_set(&H->last, prongi_get(&b->prev));
		prongi_set(&H->end, address(b));
		return;
	}
	prongi_set(&b->size, size | FREE | MARK);
	tie(b);
	list_insert(b);
}

/* Keep the first size bytes of b and give the rest back, if that is enough for a block. */
static void trim(struct block *b, uint64_t size)
{
	uint64_t have = size_of(b);
	struct block *rest = block_at(address(b) + size);

	if (have - size < LEAST)
		return;
	prongi_set(&b->size, size | MARK);
	prongi_set(&rest->size, (have - size) | MARK);
	prongi_set(&rest->prev, address(b));
	tie(rest);
	give(rest);
}

/* Have memory up to the address upto: in steps that double up to a chunk.  Under the lock,
   because it is rare; the commit of memory itself leaves nothing half done. */
static int grow(uint64_t upto)
{
	uint64_t have = prongi_get(&H->committed), top = address(prongi_heap) + prongi_heap->size;
	uint64_t step = have - address(prongi_heap->first), want;

	if (upto <= have)
		return 0;
	if (upto > top)
		return -ENOMEM;
	step = step < PRONGI_CHUNK ? step : PRONGI_CHUNK;
	want = (upto - have + step - 1) / step * step + have;
	want = want < top ? want : top;
	if (prongi_os_heap_commit((void *)(uintptr_t)have, want - have))
		return -ENOMEM;
	prongi_set(&H->committed, want);
	return 0;
}

/* Bytes before the new end may be written from now on.  fresh is raised at once and not with the
   commit, for they are written before that; too high a value costs no more than a memset. */
static void touch_end(uint64_t end)
{
	prongi_set(&H->end, end);
	if (end > atomic_load_explicit(&H->fresh, memory_order_relaxed))
		atomic_store_explicit(&H->fresh, end, memory_order_relaxed);
	prongi_then();
}

static uint64_t fresh_now(void)
{
	return atomic_load_explicit(&H->fresh, memory_order_relaxed);
}

/* A block of size bytes, in no list; NULL when there is no memory. */
static struct block *obtain(uint64_t size)
{
	struct block *b = list_find(size);
	uint64_t end = prongi_get(&H->end);

	if (b) {
		list_remove(b);
		prongi_set(&b->size, size_of(b) | MARK);
		trim(b, size);
		return b;
	}
	if (grow(end + size))
		return NULL;
	b = block_at(end);
	prongi_set(&b->prev, prongi_get(&H->last));
	prongi_set(&b->size, size | MARK);
	prongi_set(&H->last, end);
	touch_end(end + size);
	return b;
}

/* Zero what lies between two addresses of unused memory; from fresh on it is zero already. */
static void blank(uint64_t from, uint64_t to, uint64_t fresh)
{
	if (to > fresh)
		to = fresh;
	if (from < to)
		memset((void *)(uintptr_t)from, 0, to - from);
}

/* The free block next becomes part of the body before it, and all zero. */
static void swallow(struct block *next)
{
	uint64_t at = address(next), size = size_of(next);

	list_remove(next);
	for (uint64_t i = 0; i < LEAST; i += 8) /* head and links: logged, they count until then */
		prongi_set((prongi_word *)(uintptr_t)(at + i), 0);
	blank(at + LEAST, at + size, fresh_now());
}

/* Make b larger where it is, to size bytes, if what follows is free or the end. */
static bool extend(struct block *b, uint64_t size)
{
	struct block *next = after(b);
	uint64_t end = address(b) + size, have = size_of(b);

	if (!next) {
		if (grow(end))
			return false;
		blank(address(b) + have, end, fresh_now());
		prongi_set(&b->size, size | MARK);
		touch_end(end);
		return true;
	}
	if (!is_free(next) || have + size_of(next) < size)
		return false;
	have += size_of(next);
	swallow(next);
	prongi_set(&b->size, have | MARK);
	tie(b);
	trim(b, size);
	return true;
}

/* Fill the first n bytes of the new block's body from p, and the rest with zeros if asked to.
   fresh: as it was before the block was obtained. */
static void fill(struct block *b, const char *p, uint64_t n, bool zero, uint64_t fresh)
{
	uint64_t links[2] = { 0, 0 }, to = address(body(b));

	if (n)
		memcpy(links, p, n < sizeof links ? n : sizeof links);
	prongi_set(&b->next, links[0]);
	prongi_set(&b->back, links[1]);
	if (n > sizeof links)
		memcpy((char *)body(b) + sizeof links, p + sizeof links, n - sizeof links);
	else
		n = sizeof links;
	if (zero)
		blank(to + n, address(b) + size_of(b), fresh);
}

/* Zero the bytes of the body from size on: what was cut off must not come back.  Logged, for until
   the commit they are somebody's.  They are few: the rest went back in trim(). */
static void clean_tail(struct block *b, uint64_t size)
{
	uint64_t n = size_of(b) - HEAD;

	for (uint64_t i = size / 8 * 8; i < n && n - size < LEAST + 16; i += 8) {
		prongi_word *at = (prongi_word *)(void *)((char *)body(b) + i);
		uint64_t value = prongi_get(at);

		if (i < size)
			memset((char *)&value + (size - i), 0, 8 - (size - i));
		else
			value = 0;
		prongi_set(at, value);
	}
}

/* --- the calls ----------------------------------------------------------------------------- */

/* Bytes of the block for a body of size bytes; 0 when that is too much. */
static uint64_t block_size(size_t size)
{
	if (size > MOST)
		return 0;
	if (size < LEAST - HEAD)
		size = LEAST - HEAD;
	return ((uint64_t)size + HEAD + 15) & ~(uint64_t)15;
}

static _Noreturn void misuse(const char *what, const void *p)
{
	char line[96];
	int n = snprintf(line, sizeof line, "prong: %s: %p is not an allocated block\n", what, p);

	if (write(2, line, (size_t)n)) {
	}
	abort();
}

/* The block whose body p is, or the end of the program.  In the section. */
static struct block *block_of(const void *p, const char *what)
{
	uint64_t first = address(prongi_heap->first), end = prongi_get(&H->end);
	uint64_t at = address(p) - HEAD;
	struct block *b = block_at(at);

	if (address(p) % 16 || at < first || at + LEAST > end ||
	    (prongi_get(&b->size) & ~SIZE) != MARK || size_of(b) > end - at ||
	    prongi_get(after(b) ? &after(b)->prev : &H->last) != at)
		misuse(what, p);
	return b;
}

static int full(size_t size, const char *what)
{
	return prongi_fail(-ENOMEM, "%s: no %zu bytes left: heap of %zu MiB, or the system", what,
			   size, (size_t)(prongi_heap->size >> 20));
}

/* True when a pointer may be kept there. */
static bool place(void *const *where)
{
	uint64_t at = address((const void *)where);

	return prongi_heap && at % sizeof(uint64_t) == 0 && at >= address(prongi_heap->process) &&
	       at < atomic_load_explicit(&H->committed, memory_order_relaxed);
}

static int start(void **where, const char *what)
{
	int r = prongi_enter();

	if (r)
		return r;
	if (!place(where))
		return prongi_fail(-EFAULT, "%s: %p does not lie in the heap", what, (void *)where);
	return 0;
}

/* In a section: allocate and say in *where; commit. */
static void *allocate(prongi_word *where, size_t size, bool zero)
{
	uint64_t fresh = fresh_now();
	struct block *b;

	size += !size;
	b = block_size(size) ? obtain(block_size(size)) : NULL;
	if (!b)
		return NULL;
	fill(b, NULL, 0, zero, fresh);
	clean_tail(b, size);
	if (where && PRONGI_MUTANT(74))
		atomic_store_explicit(where, address(body(b)), memory_order_relaxed);
	else if (where)
		prongi_set(where, address(body(b)));
	count((int64_t)size_of(b), 1);
	prongi_commit();
	return body(b);
}

int prong_alloc_to(void **where, size_t size)
{
	int r = start(where, "alloc_to");

	if (r)
		return r;
	do {
		prongi_begin(&H->lock);
		r = prongi_get((prongi_word *)where)		       ? -EEXIST
		    : allocate((prongi_word *)where, size, true) ? 0
								 : -ENOMEM;
		prongi_end(&H->lock);
	} while (r == -ENOMEM && prongi_process_sweep());
	if (r == -EEXIST)
		return prongi_fail(r, "alloc_to: there is a pointer at %p already", (void *)where);
	return r ? full(size, "alloc_to") : 0;
}

/* In a section: free what *where names, and commit. */
static void release(prongi_word *where, void *p, const char *what)
{
	struct block *b = block_of(p, what);

	count(-(int64_t)size_of(b), -1);
	give(b);
	if (where)
		prongi_set(where, 0);
	prongi_commit();
}

int prong_free_at(void **where)
{
	int r = start(where, "free_at");
	uint64_t at;

	if (r)
		return r;
	prongi_begin(&H->lock);
	at = prongi_get((prongi_word *)where);
	if (at)
		release((prongi_word *)where, (void *)(uintptr_t)at, "free_at");
	prongi_end(&H->lock);
	return 0;
}

/* In a section: give the block of p the size, in place or elsewhere; commit.  NULL: no memory. */
static void *resize(prongi_word *where, void *p, size_t size, const char *what)
{
	struct block *b = block_of(p, what), *to = b;
	uint64_t want, have = size_of(b), fresh = fresh_now();

	size += !size;
	want = block_size(size);
	if (!want)
		return NULL;
	if (want <= have) {
		trim(b, want);
		clean_tail(b, size);
	} else if (!extend(b, want)) {
		to = obtain(want);
		if (!to)
			return NULL;
		fill(to, p, have - HEAD, true, fresh);
		give(b);
	}
	count((int64_t)size_of(to) - (int64_t)have, 0);
	if (where)
		prongi_set(where, address(body(to)));
	prongi_commit();
	return body(to);
}

int prong_realloc_at(void **where, size_t size)
{
	prongi_word *word = (prongi_word *)where;
	int r = start(where, "realloc_at");
	uint64_t at;
	void *p;

	if (r)
		return r;
	prongi_begin(&H->lock);
	at = prongi_get(word);
	p = at ? resize(word, (void *)(uintptr_t)at, size, "realloc_at")
	       : allocate(word, size, true);
	prongi_end(&H->lock);
	return p ? 0 : full(size, "realloc_at");
}

static void *alloc(size_t size, bool zero, const char *what)
{
	void *p;

	if (prongi_enter())
		return NULL;
	do {
		prongi_begin(&H->lock);
		p = allocate(NULL, size, zero);
		prongi_end(&H->lock);
	} while (!p && prongi_process_sweep());
	if (!p)
		full(size, what);
	return p;
}

void *prong_alloc(size_t size)
{
	return alloc(size, false, "alloc");
}

void *prong_calloc(size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size) {
		prongi_fail(-ENOMEM, "calloc: %zu times %zu bytes", n, size);
		return NULL;
	}
	return alloc(n * size, true, "calloc");
}

void *prong_realloc(void *p, size_t size)
{
	void *q;

	if (!p)
		return prong_alloc(size);
	if (prongi_enter())
		return NULL;
	if (!prongi_heap || !place(p))
		misuse("realloc", p);
	prongi_begin(&H->lock);
	q = resize(NULL, p, size, "realloc");
	prongi_end(&H->lock);
	if (!q)
		full(size, "realloc");
	return q;
}

void prong_free(void *p)
{
	if (!p)
		return;
	if (prongi_enter() || !place(p))
		misuse("free", p);
	prongi_begin(&H->lock);
	release(NULL, p, "free");
	prongi_end(&H->lock);
}

bool prong_shared(const void *p, size_t size)
{
	return prongi_inside(p) &&
	       size <= prongi_heap->size - ((uintptr_t)p - (uintptr_t)prongi_heap);
}
