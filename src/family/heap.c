/* The heap's calls.

   Small blocks come from the slot's caches and go there: plain ones by one store, those that change
   hands with a pointer by a private section.  All else, and what a cache cannot do, is done under
   the heap's lock, see heap_cache.c and heap_blocks.c.

   In a plain call the size word is written before a block leaves its chain, and after it has come
   there: so it is in the chain or the caller's, and its mark is wrong only while it is first. */
#include "family/heap.h"
#include "family/check.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define H PRONGI_H

#define CALLER __builtin_return_address(0)
#define MOST  ((size_t)1 << 46)
#define NONE  PRONGI_CLASSES

typedef struct prongi_block block;

/* --- taking from a cache and putting there ---------------------------------------------------- */

/* Of 1 byte and more; NONE when it is not cached. */
static inline unsigned class_of(size_t size)
{
	return size <= PRONGI_CACHED_MOST ? prongi_class_of(size) : NONE;
}

/* Whether p may be the start of an allocated block, of a class; NONE when that has to be found out
   under the lock. */
static inline unsigned class_of_block(const block *b)
{
	uint64_t at = prongi_address(b), first = prongi_address(prongi_heap->first), word;
	unsigned class;

	if (at % 16 || at - first >= prongi_load(&H->committed) - first)
		return NONE;
	word = prongi_load(&b->size);
	if ((word & (PRONGI_MARKS | PRONGI_IS)) != PRONGI_MARK)
		return NONE;
	word = (word & PRONGI_SIZE) - PRONGI_HEAD;
	class = word - 1 < PRONGI_CACHED_MOST ? prongi_class_of(word) : NONE;
	return class != NONE && prongi_class_body[class] == word ? class : NONE;
}

static inline block *block_of(const void *p)
{
	return prongi_block_at(prongi_address(p) - PRONGI_HEAD);
}

/* The first block of the cache gets the mark of one of whose body size are asked for.  NULL: the
   cache is empty. */
static inline block *mark_first(struct prongi_slot *me, unsigned class, size_t size)
{
	uint64_t chain = prongi_load(&me->cache[class].chain);
	block *b = prongi_chain_first(chain);

	if (!chain)
		return NULL;
	prongi_store(&b->size,
		     prongi_size_word(prongi_class_body[class] + PRONGI_HEAD, size));
	prongi_then(); /* it has it when it leaves the chain */
	return b;
}

/* Take a block for size bytes. */
static inline void *pop(struct prongi_slot *me, unsigned class, size_t size)
{
	block *b = mark_first(me, class, size);

	if (!b)
		return NULL;
	if (PRONGI_MUTANT(67))
		prongi_store(&b->size, prongi_load(&b->size) | PRONGI_IS_CACHED);
	prongi_store(&me->cache[class].chain, prongi_load(&b->next));
	if (PRONGI_MUTANT(67))
		prongi_store(&b->size, prongi_load(&b->size) & ~PRONGI_IS_CACHED);
	return prongi_body(b);
}

static inline bool has_room(struct prongi_slot *me, unsigned class)
{
	return prongi_chain_count(prongi_load(&me->cache[class].chain)) <
	       prongi_class_batch[class];
}

static inline void mark_cached(block *b)
{
	prongi_then(); /* it is in the chain by now */
	prongi_store(&b->size, prongi_load(&b->size) | PRONGI_IS_CACHED);
}

static inline void push(struct prongi_slot *me, unsigned class, block *b)
{
	prongi_word *chain = &me->cache[class].chain;

	if (PRONGI_MUTANT(66))
		prongi_store(&b->size, prongi_load(&b->size) | PRONGI_IS_CACHED);
	prongi_store(&b->next, prongi_load(chain));
	prongi_then(); /* what follows it is known before it is in the chain */
	prongi_store(chain, prongi_chain_with(prongi_load(chain), b));
	mark_cached(b);
}

/* The same together with the pointer, NULL before. */
static inline void pop_to(struct prongi_slot *me, unsigned class, block *b, prongi_word *where)
{
	prongi_word *chain = &me->cache[class].chain;
	uint64_t next = prongi_load(&b->next), body = prongi_address(prongi_body(b));

	prongi_note(me, 0, chain, next);
	prongi_note(me, 1, &b->next, 0);
	prongi_note(me, 2, where, body);
	prongi_alone_begin(me, 3);
	prongi_alone_do(chain, next);
	prongi_alone_do(&b->next, 0);
	prongi_alone_do(where, body);
	prongi_alone_end(me);
}

static inline void push_at(struct prongi_slot *me, unsigned class, block *b, prongi_word *where)
{
	prongi_word *chain = &me->cache[class].chain;
	uint64_t next = prongi_load(chain), with = prongi_chain_with(next, b);

	prongi_note(me, 0, &b->next, next);
	prongi_note(me, 1, chain, with);
	prongi_note(me, 2, where, 0);
	prongi_alone_begin(me, 3);
	prongi_alone_do(&b->next, next);
	prongi_alone_do(chain, with);
	prongi_alone_do(where, 0);
	prongi_alone_end(me);
	mark_cached(b);
}

/* All of the body's first size bytes but the first 8, which still are its link. */
static inline void zero_behind_link(block *b, size_t size)
{
	if (size > sizeof b->next)
		memset((char *)prongi_body(b) + sizeof b->next, 0, size - sizeof b->next);
}

/* --- under the lock ------------------------------------------------------------------------ */

/* Bytes of the block for a body of size bytes; 0 when that is too much. */
static uint64_t block_size(size_t size)
{
	if (size > MOST)
		return 0;
	if (size < PRONGI_LEAST - PRONGI_HEAD)
		size = PRONGI_LEAST - PRONGI_HEAD;
	return ((uint64_t)size + PRONGI_HEAD + 15) & ~(uint64_t)15;
}

_Noreturn void prongi_heap_misuse(const char *what, const void *p)
{
	char line[96];
	int n = snprintf(line, sizeof line, "prong: %s: %p is not an allocated block\n", what, p);

	if (write(2, line, (size_t)n)) {
	}
	abort();
}

static int full(size_t size, const char *what)
{
	return prongi_fail(-ENOMEM, "%s: no %zu bytes left: heap of %zu MiB, or the system", what,
			   size, (size_t)(prongi_heap->size >> 20));
}

/* There is no memory: find some once. */
static bool reclaimed(bool *tried)
{
	if (prongi_process_sweep())
		return true;
	if (*tried)
		return false;
	*tried = true;
	return prongi_cache_reclaim();
}

/* True when a pointer may be kept there. */
static inline bool place(void *const *where)
{
	uint64_t at = prongi_address((const void *)where);

	return prongi_heap && at % sizeof(uint64_t) == 0 &&
	       at >= prongi_address(prongi_heap->pools) && at < prongi_load(&H->committed);
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

/* Fill the first n bytes of the new block's body from p, and what else is asked for with zeros.
   fresh: as it was before the block was obtained. */
static void fill(block *b, const char *p, size_t n, size_t size, uint64_t fresh)
{
	uint64_t head[4] = { 0 }, to = prongi_address(prongi_body(b)), most = prongi_block_size(b);

	if (n)
		memcpy(head, p, n < sizeof head ? n : sizeof head);
	for (unsigned i = 0; i < 4 && 8 * i < most - PRONGI_HEAD; i++)
		prongi_set(&b->next + i, head[i]);
	if (n > sizeof head)
		memcpy((char *)prongi_body(b) + sizeof head, p + sizeof head, n - sizeof head);
	else
		n = sizeof head;
	if (size > n)
		prongi_blank(to + n, to + size, fresh);
}

static void set_asked(block *b, size_t size)
{
	prongi_set(&b->size, prongi_size_word(prongi_block_size(b), size));
}

/* In a section: allocate and say in *where; commit. */
static void *allocate(prongi_word *where, size_t size, bool zero)
{
	uint64_t fresh = prongi_load(&H->fresh), whole = block_size(size);
	block *b = whole ? prongi_block_obtain(whole) : NULL;

	if (!b)
		return NULL;
	fill(b, NULL, 0, zero ? size : 0, fresh);
	set_asked(b, size);
	if (where && PRONGI_MUTANT(74))
		prongi_store(where, prongi_address(prongi_body(b)));
	else if (where)
		prongi_set(where, prongi_address(prongi_body(b)));
	prongi_blocks_count((int64_t)prongi_block_size(b), 1);
	prongi_blocks_commit();
	return prongi_body(b);
}

/* In a section: free what *where names, and commit.  0; in the checking mode also -EBUSY. */
static int release(prongi_word *where, void *p, const char *what, const void *caller)
{
	block *b = prongi_block_of(p, what);

	if (prongi_checking &&
	    prongi_check_free(p, prongi_block_size(b) - PRONGI_HEAD, what, caller))
		return -EBUSY;
	prongi_blocks_count(-(int64_t)prongi_block_size(b), -1);
	prongi_block_give(b);
	if (where)
		prongi_set(where, 0);
	prongi_blocks_commit();
	return 0;
}

/* In a section: give b whole bytes where it is.  0, -EBUSY, -ENOMEM. */
static int resize_here(block *b, uint64_t whole)
{
	if (whole > prongi_block_size(b))
		return prongi_block_extend(b, whole);
	prongi_block_trim(b, whole);
	return 0;
}

/* In a section: give the block of p the size, in place or elsewhere; commit.  NULL: no memory. */
static void *resize(prongi_word *where, void *p, size_t size, const char *what)
{
	block *b = prongi_block_of(p, what), *to = b;
	uint64_t whole = block_size(size), have = prongi_block_size(b);
	uint64_t fresh = prongi_load(&H->fresh);
	size_t asked = prongi_asked(prongi_get(&b->size));
	int r = whole ? resize_here(b, whole) : -ENOMEM;

	if (r == -ENOMEM)
		return NULL;
	if (r) {
		to = prongi_block_obtain(whole);
		if (!to)
			return NULL;
		fill(to, p, asked, size, fresh);
	} else if (size > asked) { /* the slack is nobody's until the commit */
		size_t end = have - PRONGI_HEAD < size ? have - PRONGI_HEAD : size;

		memset((char *)p + asked, 0, end - asked);
	}
	set_asked(to, size);
	prongi_blocks_count((int64_t)prongi_block_size(to) - (int64_t)have, 0);
	if (r)
		prongi_block_give(b);
	if (where)
		prongi_set(where, prongi_address(prongi_body(to)));
	prongi_blocks_commit();
	return prongi_body(to);
}

/* --- both ways ------------------------------------------------------------------------------ */

static void *alloc_somewhere(prongi_word *where, size_t size, bool zero)
{
	struct prongi_slot *me = prongi_self.slot;
	bool tried = false;
	unsigned class;
	void *p;

	size += !size;
	class = class_of(size);
	do {
		if (class != NONE && prongi_cache_fill(me, class)) {
			block *b = mark_first(me, class, size);

			if (zero)
				zero_behind_link(b, size);
			if (!where)
				return pop(me, class, size);
			pop_to(me, class, b, where);
			return prongi_body(b);
		}
		prongi_cache_make_room(block_size(size));
		prongi_begin(&H->lock);
		p = allocate(where, size, zero);
		prongi_end(&H->lock);
	} while (!p && reclaimed(&tried));
	return p;
}

/* Allocate, when the short way was not possible. */
static void *alloc_slow(prongi_word *where, size_t size, bool zero)
{
	void *p = alloc_somewhere(where, size, zero);

	if (p && prongi_checking)
		prongi_check_alloc(p, size);
	return p;
}

static int free_slow(prongi_word *where, void *p, const char *what, const void *caller)
{
	int r;
	struct prongi_slot *me = prongi_self.slot;
	unsigned class = class_of_block(block_of(p));

	if (class != NONE) {
		if (prongi_checking && prongi_check_free(p, prongi_class_body[class], what, caller))
			return -EBUSY;
		prongi_cache_room(me, class);
		if (where)
			push_at(me, class, block_of(p), where);
		else
			push(me, class, block_of(p));
		return 0;
	}
	prongi_begin(&H->lock);
	r = release(where, p, what, caller);
	prongi_end(&H->lock);
	return r;
}

/* Give a cached size another one in another class, with what was asked for and zeros. */
static void *change_class(prongi_word *where, block *b, unsigned from, unsigned to, size_t size)
{
	struct prongi_slot *me = prongi_self.slot;
	size_t asked = prongi_asked(prongi_load(&b->size)), n = asked < size ? asked : size;
	uint64_t head = 0, chain = prongi_load(&me->cache[from].chain);
	block *b2 = mark_first(me, to, size);
	uint64_t next = prongi_load(&b2->next);
	char *body = prongi_body(b2);

	memcpy(&head, prongi_body(b), n < sizeof head ? n : sizeof head);
	if (n > sizeof head)
		memcpy(body + sizeof head, (char *)prongi_body(b) + sizeof head, n - sizeof head);
	else
		n = sizeof head;
	if (size > n)
		memset(body + n, 0, size - n);
	prongi_note(me, 0, &me->cache[to].chain, next);
	prongi_note(me, 1, &b2->next, head);
	prongi_note(me, 2, &b->next, chain);
	prongi_note(me, 3, &me->cache[from].chain, prongi_chain_with(chain, b));
	prongi_note(me, 4, where, prongi_address(body));
	prongi_alone_begin(me, where ? 5 : 4);
	prongi_alone_do(&me->cache[to].chain, next);
	prongi_alone_do(&b2->next, head);
	prongi_alone_do(&b->next, chain);
	prongi_alone_do(&me->cache[from].chain, prongi_chain_with(chain, b));
	if (where)
		prongi_alone_do(where, prongi_address(body));
	prongi_alone_end(me);
	mark_cached(b);
	return body;
}

/* Without the lock: within its class, or to another one.  NULL: that cannot be. */
static void *resize_small(prongi_word *where, void *p, size_t size)
{
	struct prongi_slot *me = prongi_self.slot;
	block *b = block_of(p);
	unsigned from = class_of_block(b), to = class_of(size);

	if (from == NONE || to == NONE)
		return NULL;
	if (from != to) {
		if (!prongi_cache_fill(me, to))
			return NULL;
		prongi_cache_room(me, from);
		return change_class(where, b, from, to, size);
	}
	if (size > prongi_asked(prongi_load(&b->size))) { /* the slack is nobody's until then */
		size_t asked = prongi_asked(prongi_load(&b->size));

		memset((char *)p + asked, 0, size - asked);
	}
	prongi_then(); /* they are zero before they are asked for */
	prongi_store(&b->size, prongi_size_word(prongi_class_body[to] + PRONGI_HEAD, size));
	return p;
}

static void *realloc_slow(prongi_word *where, void *p, size_t size, const char *what)
{
	bool tried = false;
	void *q;

	size += !size;
	do {
		q = resize_small(where, p, size);
		if (q)
			return q;
		prongi_begin(&H->lock);
		q = resize(where, p, size, what);
		prongi_end(&H->lock);
	} while (!q && reclaimed(&tried));
	return q;
}

/* --- the calls ----------------------------------------------------------------------------- */

int prongi_alloc_to(void **where, size_t size, bool zero)
{
	int r = start(where, "alloc_to");

	if (r)
		return r;
	if (prongi_load((prongi_word *)where))
		return prongi_fail(-EEXIST, "alloc_to: there is a pointer at %p already",
				   (void *)where);
	return alloc_slow((prongi_word *)where, size, zero) ? 0 : full(size, "alloc_to");
}

int prong_alloc_to(void **where, size_t size)
{
	struct prongi_slot *me = prongi_self.slot;
	prongi_word *word = (prongi_word *)where;
	unsigned class;
	block *b;

	if (!prongi_self.fast || size - 1 >= PRONGI_CACHED_MOST || !place(where) ||
	    prongi_load(word))
		return prongi_alloc_to(where, size, true);
	class = prongi_class_of(size);
	b = mark_first(me, class, size);
	if (!b)
		return prongi_alloc_to(where, size, true);
	zero_behind_link(b, size);
	pop_to(me, class, b, word);
	return 0;
}

static int free_at_slow(void **where, const void *caller)
{
	int r = start(where, "free_at");
	void *p = r ? NULL : (void *)(uintptr_t)prongi_load((prongi_word *)where);

	return p ? free_slow((prongi_word *)where, p, "free_at", caller) : r;
}

int prong_free_at(void **where)
{
	struct prongi_slot *me = prongi_self.slot;
	unsigned class;
	block *b;

	if (!prongi_self.fast || !place(where))
		return free_at_slow(where, CALLER);
	b = block_of((void *)(uintptr_t)prongi_load((prongi_word *)where));
	class = class_of_block(b);
	if (class == NONE || !has_room(me, class))
		return free_at_slow(where, CALLER);
	push_at(me, class, b, (prongi_word *)where);
	return 0;
}

int prong_realloc_at(void **where, size_t size)
{
	prongi_word *word = (prongi_word *)where;
	int r = start(where, "realloc_at");
	uint64_t at;
	void *p;

	if (r)
		return r;
	at = prongi_load(word);
	p = at ? realloc_slow(word, (void *)(uintptr_t)at, size, "realloc_at")
	       : alloc_slow(word, size, true);
	return p ? 0 : full(size, "realloc_at");
}

static void *alloc(size_t size, bool zero, const char *what)
{
	void *p;

	if (prongi_enter())
		return NULL;
	p = alloc_slow(NULL, size, zero);
	if (p && zero && size <= PRONGI_CACHED_MOST)
		memset(p, 0, sizeof(uint64_t)); /* where its link was */
	if (!p)
		full(size, what);
	return p;
}

void *prong_alloc(size_t size)
{
	struct prongi_slot *me = prongi_self.slot;

	if (prongi_self.fast && size - 1 < PRONGI_CACHED_MOST) {
		void *p = pop(me, prongi_class_of(size), size);

		if (p)
			return p;
	}
	return alloc(size, false, "alloc");
}

void *prong_calloc(size_t n, size_t size)
{
	struct prongi_slot *me = prongi_self.slot;

	if (size && n > SIZE_MAX / size) {
		prongi_fail(-ENOMEM, "calloc: %zu times %zu bytes", n, size);
		return NULL;
	}
	n *= size;
	if (prongi_self.fast && n - 1 < PRONGI_CACHED_MOST) {
		void *p = pop(me, prongi_class_of(n), n);

		if (p)
			return memset(p, 0, n);
	}
	return alloc(n, true, "calloc");
}

void *prong_realloc(void *p, size_t size)
{
	void *q;

	if (!p)
		return prong_alloc(size);
	if (prongi_enter())
		return NULL;
	if (!prongi_heap || !place(p))
		prongi_heap_misuse("realloc", p);
	q = realloc_slow(NULL, p, size, "realloc");
	if (!q)
		full(size, "realloc");
	return q;
}

void prong_free(void *p)
{
	struct prongi_slot *me = prongi_self.slot;

	if (!p)
		return;
	if (prongi_self.fast) {
		unsigned class = class_of_block(block_of(p));

		if (class != NONE && has_room(me, class)) {
			push(me, class, block_of(p));
			return;
		}
	}
	if (prongi_enter() || !place(p))
		prongi_heap_misuse("free", p);
	free_slow(NULL, p, "free", CALLER);
}

bool prong_shared(const void *p, size_t size)
{
	return prongi_inside(p) &&
	       size <= prongi_heap->size - ((uintptr_t)p - (uintptr_t)prongi_heap);
}
