/* The allocator's parts of each other: how blocks lie in memory, and what is in a slot's caches. */
#ifndef PRONGI_HEAP_H
#define PRONGI_HEAP_H

#include "family/family.h"

/* A block is a head of two words and a body.  Blocks fill the heap from prongi_heap->first to end
   without gaps; two free ones are never neighbours, and the last is never free: it goes back to
   the unused end.
     size  { mark 8, slack 8, bytes with the head 48 }; they are a multiple of 16, so that the low
	   bits are flags.  Of an allocated or cached block it is its owner's alone; else it changes
	   in sections of the heap's lock
     prev  the block before it in memory; 0: none.  In sections
   The body of a free block begins with its list's links, and the range of its pages that have been
   given back; that of a cached block with the rest of its chain. */
struct prongi_block {
	prongi_word size, prev;
	prongi_word next, back;
	prongi_word from, to; /* if GONE */
};

#define PRONGI_HEAD  ((uint64_t)16)
#define PRONGI_LEAST ((uint64_t)32) /* of a block */

#define PRONGI_IS_FREE	 ((uint64_t)1)
#define PRONGI_IS_CACHED ((uint64_t)2) /* in a chain of a class: allocated, as the lists see it */
#define PRONGI_IS_GONE	 ((uint64_t)4) /* free, and [from, to) has no memory */
#define PRONGI_IS	 ((uint64_t)7)
#define PRONGI_MARK	 ((uint64_t)0xb1 << 56)
#define PRONGI_MARKS	 ((uint64_t)0xff << 56)
#define PRONGI_SIZE	 (((uint64_t)1 << 48) - 16)
/* Slack: the body's bytes that were not asked for.  They may be anything: whatever makes a block
   larger zeroes them. */
#define PRONGI_SLACK 48

#define PRONGI_H (&prongi_heap->heap)

static inline uint64_t prongi_address(const void *p)
{
	return (uintptr_t)p;
}

static inline struct prongi_block *prongi_block_at(uint64_t at)
{
	return (struct prongi_block *)(uintptr_t)at;
}

static inline void *prongi_body(const struct prongi_block *b)
{
	return (char *)(uintptr_t)b + PRONGI_HEAD;
}

/* The size word of an allocated block of whole bytes, of whose body size are asked for. */
static inline uint64_t prongi_size_word(uint64_t whole, size_t size)
{
	return PRONGI_MARK | (whole - PRONGI_HEAD - size) << PRONGI_SLACK | whole;
}

/* How many bytes of the body were asked for. */
static inline size_t prongi_asked(uint64_t word)
{
	return (size_t)((word & PRONGI_SIZE) - PRONGI_HEAD - (word >> PRONGI_SLACK & 0xff));
}

static inline uint64_t prongi_load(const prongi_word *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

static inline void prongi_store(prongi_word *at, uint64_t value)
{
	atomic_store_explicit(at, value, memory_order_relaxed);
}

/* End the program: p is not what it should be. */
_Noreturn void prongi_heap_misuse(const char *what, const void *p);

/* --- blocks (heap_blocks.c): all inside a section of the heap's lock ----------------------- */

/* The block whose body p is, or the end of the program. */
struct prongi_block *prongi_block_of(const void *p, const char *what);

/* Add to the figures. */
void prongi_blocks_count(int64_t bytes, int64_t blocks);

/* A block of whole bytes, or some more; in no list, its size word still to be set.  NULL: there is
   no memory, and the section must not be committed. */
struct prongi_block *prongi_block_obtain(uint64_t whole);

/* True when there is a hole for a block of whole bytes. */
bool prongi_blocks_hole(uint64_t whole);

/* Where n blocks of whole bytes, at least one, can lie one after the other, and nothing is left
   between them and the next; they are not there yet.  Store how many.  NULL: as above. */
struct prongi_block *prongi_block_row(uint64_t whole, uint32_t *n);

/* Give b, which is in no list, back: with its free neighbours, to a list or to the end. */
void prongi_block_give(struct prongi_block *b);

/* Keep whole bytes of b and give the rest back, if that is enough for a block. */
void prongi_block_trim(struct prongi_block *b, uint64_t whole);

/* Make b larger where it is, to whole bytes or some more; what is new is zero.  0; -EBUSY: another
   block is in the way; -ENOMEM: as obtain. */
int prongi_block_extend(struct prongi_block *b, uint64_t whole);

/* Make the block after b, or the heap's end, know that b is before it. */
void prongi_block_tie(const struct prongi_block *b);

uint64_t prongi_block_size(const struct prongi_block *b);

/* Zero what lies between two addresses of unused memory, and was there before fresh. */
void prongi_blank(uint64_t from, uint64_t to, uint64_t fresh);

/* Commit; and give back the pages that the section has found to be too many. */
void prongi_blocks_commit(void);

/* --- caches (heap_cache.c) ----------------------------------------------------------------- */

/* Classes of bodies: 16 bytes apart up to 256, then eight to a doubling. */
#define PRONGI_CACHED_MOST 4096

extern const uint16_t prongi_class_body[PRONGI_CLASSES];
extern const uint8_t prongi_class_batch[PRONGI_CLASSES]; /* blocks in a full chain */

/* Of a body of 1 to PRONGI_CACHED_MOST bytes. */
static inline unsigned prongi_class_of(size_t size)
{
	unsigned log;

	if (size <= 256)
		return (unsigned)(size - 1) / 16;
	log = 63u - (unsigned)__builtin_clzll(size - 1);
	return (log - 6) * 8 + ((unsigned)(size - 1) >> (log - 3) & 7);
}

/* The word of a chain: { blocks in it 16, address of the first 48 }; 0: empty.  Each block's next
   is such a word for what follows it, so that one store takes a block or puts one. */
#define PRONGI_CHAIN_ONE ((uint64_t)1 << 48)

static inline struct prongi_block *prongi_chain_first(uint64_t chain)
{
	return prongi_block_at(chain & (PRONGI_CHAIN_ONE - 1));
}

static inline uint64_t prongi_chain_count(uint64_t chain)
{
	return chain >> 48;
}

/* The chain with b before it. */
static inline uint64_t prongi_chain_with(uint64_t chain, const struct prongi_block *b)
{
	return (chain & ~(PRONGI_CHAIN_ONE - 1)) + PRONGI_CHAIN_ONE + prongi_address(b);
}

/* Let the slot's cache of the class have a block at least; false: there is no memory. */
bool prongi_cache_fill(struct prongi_slot *me, unsigned class);

/* Let it have room for one. */
void prongi_cache_room(struct prongi_slot *me, unsigned class);

/* Give back all that is cached by the calling thread, by nobody, and in between.  Return whether
   there was any. */
bool prongi_cache_reclaim(void);

/* A block of whole bytes is wanted: if the heap would have to grow for it, though more than half of
   it is free, give back what is cached. */
void prongi_cache_make_room(uint64_t whole);

/* A private section: as one of the lock kernel, but what it changes is nobody else's, so it needs
   no lock: words of the own slot and of blocks that its caches hold or get; and the caller's
   pointer, which the caller answers for. */
static inline void prongi_note(struct prongi_slot *me, uint32_t i, prongi_word *at, uint64_t value)
{
	prongi_store(&me->log[i].at, prongi_address(at));
	prongi_store(&me->log[i].value, value);
}

/* The n words that were noted are committed: what follows does the same to each of them. */
static inline void prongi_alone_begin(struct prongi_slot *me, uint32_t n)
{
	prongi_then(); /* the log is whole before it counts */
	if (!PRONGI_MUTANT(60))
		prongi_store(&me->count, PRONGI_ALONE | n);
	prongi_then(); /* it counts before any of it is done */
}

static inline void prongi_alone_do(prongi_word *at, uint64_t value)
{
	/* release: pairs with whatever load finds a block through the word. */
	atomic_store_explicit(at, value, memory_order_release);
}

static inline void prongi_alone_end(struct prongi_slot *me)
{
	prongi_then(); /* all is done before it ceases to count */
	prongi_store(&me->count, 0);
	prongi_then(); /* and that before anybody may change the words again */
}

#endif
