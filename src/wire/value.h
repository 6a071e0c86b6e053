/* How values lie in memory, for the files of this room.

   A group is an arena with a count of references from outside: a list of chunks, in which values
   and their arrays are laid one after the other.  All values that were ever put together are in one
   group and end with it: so cycles need no collector, freeing is a walk over chunks however deep
   the values nest, and a decoder allocates by adding to a pointer.  Two groups become one when a
   value of one is put into one of the other: the lists are joined, the smaller says where to.

   Nothing here is shared by processes.  Threads may read values at once, so what a reader writes is
   atomic: the count, the marks, and the fingerprint of a tuple or long data that is looked up. */
#ifndef PRONGI_VALUE_H
#define PRONGI_VALUE_H

#include <prong/object.h>
#include <prong/read.h>
#include <prong/deadline.h>
#include <prong/value.h>
#include "private.h"
#include <stdatomic.h>

struct prongi_group;

/* The head of what came from one malloc().  16 bytes are the unit of everything in it. */
struct prongi_chunk {
	struct prongi_chunk *next, *prev;
	struct prongi_group *group; /* the first it belonged to: see into */
	void *owned;                /* to be freed with it; NULL: nothing */
};

struct prongi_group {
	_Atomic uint64_t refs;
	struct prongi_group *into; /* this group has become part of another */
	struct prongi_chunk *first, *last;
	struct prongi_chunk *open; /* the chunk with room: */
	char *at, *end;            /* what is free in it */
	size_t chunks;
	size_t next; /* bytes of the next chunk */
	size_t left; /* bytes that may still be allocated */
	bool full;   /* what did not fit was beyond left, and not malloc()'s fault */
};

enum {
	PRONGI_STATIC = 1,  /* belongs to no group: None, truth values, small ints */
	PRONGI_SPOILT = 2,  /* something is missing in it */
	PRONGI_BIG = 4,     /* an int beyond 64 bits: size bytes of two's complement */
	PRONGI_OUTSIDE = 8, /* bytes that lie elsewhere: struct prongi_outside */
	PRONGI_INSIDE = 16, /* is an item of something */
	PRONGI_ASCII = 32,  /* text of nothing else */
	PRONGI_PLACED = 64, /* while it is read: it has a place in the memo */
	PRONGI_OLD = 128    /* text or a name as Python 2 writes its own: protocol 2 keeps it so */
};

enum {
	PRONGI_SHARED = 1, /* may be reached in two ways; never taken back */
	PRONGI_KEY = 2     /* its fingerprint is known: a tuple or frozenset must not change */
};

struct prong_value {
	uint8_t kind; /* enum prong_kind */
	uint8_t flags;
	_Atomic uint8_t marks; /* PRONGI_SHARED and _KEY: readers set them too */
	uint8_t how;           /* an object: enum prongi_how */
	uint32_t back;         /* distance to its chunk in units of 16 bytes */
	union {
		int64_t i;
		double f;
		uint64_t size; /* of the bytes that follow */
		struct {
			uint32_t count, room; /* items in use, and allocated */
		};
	};
};

/* From so many bytes on data has room for its fingerprint, so that it is hashed once, however often
   it is a key.  More than any float has as an int: those are hashed where they are met. */
enum {
	PRONGI_LONG = 256
};

/* Text, bytes, large ints, names of classes: the bytes follow, after them a NUL; then, on the next
   multiple of 16, the fingerprint of long ones, valid with PRONGI_KEY.  In the name of a class, how
   is not used; its module ends at the first NUL, and "module.name" comes after it. */
struct prongi_data {
	struct prong_value v;
	char data[];
};

struct prongi_outside {
	struct prong_value v;
	const char *data;
	_Atomic uint64_t print[2]; /* likewise */
};

/* A collection.  A dict has two pointers for each item, key and value; so has an object, whose key
   is NULL where the item was appended. */
struct prongi_items {
	struct prong_value v;
	prong_value **item;
	uint32_t height; /* collections in each other below this one, at least */
	uint32_t slots;  /* of the index, a power of two; 0: it has none yet */
};

/* A tuple.  Its fingerprint is known when it is marked PRONGI_KEY; several threads may write the
   same one at once. */
struct prongi_tuple {
	struct prongi_items items;
	_Atomic uint64_t print[2];
	_Atomic bool loose;
};

/* A dict, set or frozenset.  Each slot of the index is 0 or {hash 32, position + 1 32}.  sum is
   what the fingerprint of a frozenset is made of. */
struct prongi_table {
	struct prongi_items items;
	uint64_t *index;
	uint64_t sum[2];
	bool loose; /* a key is equal to itself alone */
};

enum prongi_how {
	PRONGI_CALL,    /* callable(*args) */
	PRONGI_NEW,     /* callable.__new__(callable, *args, **kwargs) */
	PRONGI_INSTANCE /* callable(*args), or without a call if it can do without */
};

struct prongi_object {
	struct prongi_items items;
	prong_value *callable, *args;
	prong_value *kwargs; /* NULL: none */
	prong_value *state;  /* NULL: none */
	prong_value *setter; /* NULL, or a list of calls that change the object, for their effect */
};

/* --- arena.c ---------------------------------------------------------------------------------- */

/* A group of its own with one reference and room for about size bytes, of which left may be
   allocated in all; NULL. */
struct prongi_group *prongi_group_new(size_t size, size_t left);
struct prongi_group *prongi_group_of(const prong_value *v);
void prongi_group_drop(struct prongi_group *g);

/* size bytes, aligned to 16; NULL.  The second for values: all but their head is zero. */
void *prongi_alloc(struct prongi_group *g, size_t size);
void *prongi_alloc_value(struct prongi_group *g, prong_kind kind, size_t size);

/* The same when the rest of the bytes, a multiple of 16, need not be zero. */
void *prongi_alloc_more(struct prongi_group *g, size_t size);
static inline prong_value *prongi_fast_value(struct prongi_group *g, prong_kind kind, size_t size)
{
	struct prongi_chunk *c = g->open;
	prong_value *v = (prong_value *)(void *)g->at;

	if (size <= (size_t)(g->end - g->at)) {
		g->at += size;
	} else {
		v = prongi_alloc_more(g, size);
		if (!v)
			return NULL;
		c = g->last;
	}
	v->kind = (uint8_t)kind;
	v->flags = 0;
	atomic_init(&v->marks, 0);
	v->how = 0;
	v->back = (uint32_t)(((char *)v - (char *)c) / 16);
	v->i = 0;
	return v;
}

/* Another place for an array of which used bytes are in use, with room for size; NULL. */
void *prongi_regrow(struct prongi_group *g, void *old, size_t used, size_t old_size, size_t size);
void prongi_release(struct prongi_group *g, void *old, size_t old_size);

/* What a reader needs of malloc()'s beside the values counts like them: another place for old_size
   bytes at old, with room for size; NULL.  And give it back. */
void *prongi_borrow(struct prongi_group *g, void *old, size_t old_size, size_t size);
void prongi_repay(struct prongi_group *g, void *p, size_t size);

/* malloc()'s memory is freed with the group from now on.  0, -ENOMEM. */
int prongi_group_own(struct prongi_group *g, void *memory);

/* item, of which a reference is given, becomes part of v's group. */
void prongi_join(prong_value *v, prong_value *item);

/* Room for n more items in the array of v, stride pointers each.  0, -ENOMEM, -E2BIG. */
int prongi_room(struct prongi_group *g, struct prongi_items *v, size_t n, unsigned stride);

/* A malloc()ed block is about to be filled for the first time: hint that it is large. */
void prongi_will_fill(void *p, size_t size);

/* --- value.c ---------------------------------------------------------------------------------- */

extern const prong_value prongi_none, prongi_false, prongi_true;

enum {
	PRONGI_SMALL_MIN = -256,
	PRONGI_SMALL_MAX = 1023
};
extern const prong_value prongi_small[PRONGI_SMALL_MAX - PRONGI_SMALL_MIN + 1];

/* Values in a group; NULL: memory. */
static inline prong_value *prongi_int(struct prongi_group *g, int64_t n)
{
	prong_value *v;

	if (n >= PRONGI_SMALL_MIN && n <= PRONGI_SMALL_MAX)
		return (prong_value *)(uintptr_t)&prongi_small[n - PRONGI_SMALL_MIN];
	v = prongi_fast_value(g, PRONG_INT, sizeof *v);
	if (v)
		v->i = n;
	return v;
}

prong_value *prongi_float(struct prongi_group *g, double x);

/* What data of n bytes takes without its fingerprint, and with it. */
static inline size_t prongi_bare_size(size_t n)
{
	return (sizeof(struct prongi_data) + n + 1 + 15) & ~(size_t)15;
}

static inline size_t prongi_data_size(size_t n)
{
	return prongi_bare_size(n) + (n >= PRONGI_LONG ? 2 * sizeof(uint64_t) : 0);
}

prong_value *prongi_data(struct prongi_group *g, prong_kind kind, const void *data, size_t n);
prong_value *prongi_big(struct prongi_group *g, const uint8_t *data, size_t n);
prong_value *prongi_class(struct prongi_group *g, const char *module, size_t module_size,
			  const char *name, size_t name_size);
prong_value *prongi_collection(struct prongi_group *g, prong_kind kind);
prong_value *prongi_object(struct prongi_group *g, enum prongi_how how, prong_value *callable,
			   prong_value *args, prong_value *kwargs);

/* n items into a list, tuple or object.  They are of v's group, or static.  0, -ENOMEM, -E2BIG. */
int prongi_append(struct prongi_group *g, prong_value *v, prong_value *const *items, size_t n);

/* One into a set; a pair into a dict; a pair into an object.  0, -ENOMEM, -E2BIG, -EINVAL: key has
   no hash. */
int prongi_insert(struct prongi_group *g, prong_value *v, prong_value *key, prong_value *item);
int prongi_give(struct prongi_group *g, prong_value *v, prong_value *key, prong_value *item);

/* item is now in v: its height counts. */
void prongi_embed(struct prongi_items *v, prong_value *item);

static inline bool prongi_is_collection(const prong_value *v)
{
	return v->kind >= PRONG_LIST && v->kind != PRONG_CLASS;
}

static inline bool prongi_has_pairs(const prong_value *v)
{
	return v->kind == PRONG_DICT || v->kind == PRONG_OBJECT;
}

static inline struct prongi_items *prongi_items(const prong_value *v)
{
	return (struct prongi_items *)(uintptr_t)v;
}

static inline struct prongi_object *prongi_as_object(const prong_value *v)
{
	return (struct prongi_object *)(uintptr_t)v;
}

static inline bool prongi_has_mark(const prong_value *v, uint8_t mark)
{
	return atomic_load_explicit(&v->marks, memory_order_relaxed) & mark;
}

static inline void prongi_set_mark(const prong_value *v, uint8_t mark)
{
	prong_value *w = (prong_value *)(uintptr_t)v;

	if (!(w->flags & PRONGI_STATIC) && !prongi_has_mark(w, mark))
		atomic_fetch_or_explicit(&w->marks, mark, memory_order_relaxed);
}

static inline const char *prongi_bytes(const prong_value *v)
{
	if (v->flags & PRONGI_OUTSIDE)
		return ((const struct prongi_outside *)v)->data;
	return ((const struct prongi_data *)v)->data;
}

static inline bool prongi_is_long(const prong_value *v)
{
	bool data = v->kind == PRONG_TEXT || v->kind == PRONG_BYTES || v->kind == PRONG_BYTEARRAY ||
		    v->kind == PRONG_CLASS || v->flags & PRONGI_BIG;

	return data && v->size >= PRONGI_LONG;
}

/* Bytes of long data hashed or compared, and items met again: what could be without bounds, so
   fuzzers look at it. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
extern uint64_t prongi_worked;
static inline void prongi_work(size_t n)
{
	prongi_worked += n;
}
#else
static inline void prongi_work(size_t n)
{
	(void)n;
}
#endif

/* A class may have these: names without NULs and ends of lines, and between dots of name there is
   something. */
bool prongi_is_name(const char *module, size_t module_size, const char *name, size_t name_size);

/* The name of a class: its module, and the rest after the dot. */
const char *prongi_class_module(const prong_value *v, size_t *n);
const char *prongi_class_name(const prong_value *v, size_t *n);

/* --- read.c ----------------------------------------------------------------------------------- */

/* "int", "list"; whatever kind is. */
const char *prongi_kind_name(prong_kind kind);

/* --- walk.c ----------------------------------------------------------------------------------- */

/* The parts of a collection: its items, a dict's keys and items in turn; of an object first what it
   is made of, of which some may be NULL. */
enum {
	PRONGI_CALLABLE,
	PRONGI_ARGS,
	PRONGI_KWARGS,
	PRONGI_STATE,
	PRONGI_SETTER,
	PRONGI_OBJECT_PARTS
};
const prong_value *prongi_part(const prong_value *v, size_t i);
size_t prongi_parts(const prong_value *v);

/* 0; -ELOOP: collections are in each other more than most deep, a cycle counting once; -ENOMEM. */
int prongi_depth(const prong_value *v, uint32_t most);

/* --- text.c ----------------------------------------------------------------------------------- */

/* True when the n bytes are UTF-8, in which surrogates are encoded as other characters are. */
bool prongi_is_text(const char *p, size_t n, bool *ascii);

/* How many of the n bytes are, up to the first that is not. */
size_t prongi_text_valid(const char *p, size_t n);

/* The character at *p, which is valid and before end; moves *p behind it. */
uint32_t prongi_text_next(const char **p);

/* Write c to p, which has room for 4; return how many bytes. */
size_t prongi_text_put(char *p, uint32_t c);

/* --- number.c --------------------------------------------------------------------------------- */

/* Decimal ones, of an int: more would cost too much time. */
enum {
	PRONGI_DIGITS = 4300
};

/* Two's complement of n bytes without bytes that say nothing. */
size_t prongi_big_trim(const uint8_t *p, size_t n);

/* n bytes of an int as a double, rounded; infinite when it does not fit. */
double prongi_big_float(const uint8_t *p, size_t n);

/* An integral double as two's complement; room for 129 bytes.  Return how many. */
size_t prongi_float_big(double x, uint8_t *p);

/* The digits (and sign) of an int of n bytes into text, which has room for PRONGI_DIGITS + 2.
   Return how many; 0: there are more than PRONGI_DIGITS. */
size_t prongi_big_decimal(const uint8_t *p, size_t n, char *text);

/* The value of n digits, after an optional sign; NULL with *r set: -EBADMSG, -ENOMEM. */
prong_value *prongi_decimal(struct prongi_group *g, const char *text, size_t n, int *r);

/* Shortest text that reads as x again, as Python's repr; room for 32.  Return its length. */
size_t prongi_float_text(double x, char *text);

/* The number that n characters of [+-] digits [. digits] [e [+-] digits] say; g lends memory.  0,
   -ENOMEM. */
int prongi_text_float(struct prongi_group *g, const char *text, size_t n, double *out);

/* --- key.c ------------------------------------------------------------------------------------ */

/* What equal keys have in common: hashes of 128 bits under a key that nobody outside knows, so
   tuples and frozensets are compared by them. */
struct prongi_print {
	uint64_t p[2];
	bool loose; /* an object, or nan, or it has such in it: those equal themselves alone */
};

/* 0; -EINVAL: v cannot be a key; -ENOMEM. */
int prongi_key_print(const prong_value *v, struct prongi_print *out);

/* Store where in t an equal of key is, SIZE_MAX: nowhere.  The second one is for who will put it at
   the end then.  0, -ENOMEM, -EINVAL. */
int prongi_key_find(const struct prongi_table *t, const prong_value *key, size_t *found);
int prongi_key_add(struct prongi_group *g, struct prongi_table *t, const prong_value *key,
		   size_t *found);

/* a and b are not collections; or objects, which are equal to themselves alone. */
bool prongi_equal_plain(const prong_value *a, const prong_value *b);

/* --- stack.c ---------------------------------------------------------------------------------- */

/* A map from values to numbers, for who walks over a graph. */
struct prongi_marks {
	const void **key;
	uint32_t *number;
	size_t slots, used;
};

/* The number of v, which is `fresh` when it had none; NULL: memory. */
uint32_t *prongi_marks_at(struct prongi_marks *m, const void *v, uint32_t fresh);
uint32_t *prongi_marks_find(const struct prongi_marks *m, const void *v);
void prongi_marks_free(struct prongi_marks *m);

/* A stack of things of one size in malloc()'s memory. */
struct prongi_stack {
	struct prongi_group *lender; /* it counts as memory of this one's; NULL: it does not */
	char *top;
	size_t size; /* of one */
	size_t n, room;
};

/* Another one on top, not set; NULL: memory.  All pointers to others become stale. */
void *prongi_push(struct prongi_stack *s);
void prongi_stack_free(struct prongi_stack *s);

#endif
