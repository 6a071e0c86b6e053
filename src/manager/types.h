/* What Python's kinds of object have in common. */
#ifndef PRONGI_TYPES_H
#define PRONGI_TYPES_H

#include "manager/manager.h"

/* --- locks: py_sync.c ------------------------------------------------------------------- */

/* A condition that has a lock of its own besides it. */
struct prongi_lock_user {
	struct prongi_thing *thing;
	struct prongi_lock_user *next;
};

struct prongi_lock {
	bool again;                 /* its owner may take it again */
	uint64_t depth;             /* 0: it is free */
	struct prongi_guest *owner; /* who took it */
	struct prongi_lock *next;   /* of its owner's */
	struct prongi_thing *thing; /* whose calls wait for it; and those of: */
	struct prongi_lock_user *users;
};

/* --- keep.c: items that stay: they count as memory, and keep objects alive --- */

/* Keep v.  0, or the call is answered or a result that answers it. */
int prongi_keep(prong_call *c, const prong_value *v, struct prongi_item *out);

/* Of items that were kept: so many bytes more are needed beside them.  As prongi_keep(). */
int prongi_keep_room(prong_call *c, size_t size);
void prongi_keep_less(struct prong_manager *m, size_t size);

void prongi_let(struct prong_manager *m, struct prongi_item *item);

/* The same item once more. */
int prongi_keep_again(prong_call *c, const struct prongi_item *item, struct prongi_item *out);

/* True when the item is v. */
bool prongi_item_equals(const struct prongi_item *item, const prong_value *v);

/* --- row.c: items in a row -------------------------------------------------------------- */

struct prongi_row {
	struct prongi_item *item; /* n of them, from first on, around */
	size_t first, n, room;
};

static inline struct prongi_item *prongi_row_at(const struct prongi_row *r, size_t i)
{
	return &r->item[(r->first + i) % r->room];
}

/* Take an item over at place i.  0, -ENOMEM: it is the caller's still. */
int prongi_row_put(struct prongi_row *r, size_t i, struct prongi_item item);
struct prongi_item prongi_row_take(struct prongi_row *r, size_t i);
void prongi_row_free(struct prong_manager *m, struct prongi_row *r);

/* The items of what can be iterated over, one after the other.  0; else as prongi_keep(), and what
   is in the row then goes with it. */
int prongi_row_of(prong_call *c, const prong_value *v, struct prongi_row *out);

/* Say those from first on, step apart, n of them, as a list. */
void prongi_row_say(struct prongi_out *o, int protocol, const struct prongi_row *r, int64_t first,
		    int64_t step, size_t n);

/* The smallest first, or last; the same keep their order.  0; PRONG_MISMATCH, -ENOMEM: nothing is
   done. */
int prongi_row_sort(const struct prongi_row *row, bool down);

/* --- map.c: items by keys, in the order in which they came ------------------------------ */

struct prongi_entry {
	uint64_t print[2];
	struct prongi_item key, item; /* key.data NULL: it was taken out */
};

struct prongi_map {
	struct prongi_entry *entry;
	size_t used, room, n; /* of entries; n are there */
	uint32_t *index;      /* entry + 1; 0: none */
	size_t slots;
};

/* The entry of a key, or NULL; r: 0, -EINVAL: it cannot be a key, -ENOMEM. */
struct prongi_entry *prongi_map_find(const struct prongi_map *map, const prong_value *key, int *r);

/* As prongi_keep(). */
int prongi_map_put(prong_call *c, struct prongi_map *map, const prong_value *key,
		   const prong_value *item);
void prongi_map_drop(struct prong_manager *m, struct prongi_map *map, struct prongi_entry *e);
void prongi_map_free(struct prong_manager *m, struct prongi_map *map);

/* --- order.c ---------------------------------------------------------------------------- */

/* Store whether a < b.  0; PRONG_MISMATCH: Python does not know either, or C does not. */
int prongi_less(const prong_value *a, const prong_value *b, bool *out);

/* The name of v's class, for messages. */
const char *prongi_class_of(const prong_value *v, char buf[PRONGI_NAME_MOST]);

/* --- span.c ------------------------------------------------------------------------------- */

/* n items, from first on, step apart. */
struct prongi_span {
	int64_t first, step;
	size_t n;
	bool one; /* an index, not a slice */
};

int64_t prongi_clamp(int64_t i, int64_t low, int64_t high);

/* Of n items those that the slice v means.  False: it is none. */
bool prongi_span_of_slice(const prong_value *v, int64_t n, struct prongi_span *out);

/* --- typecode.c ------------------------------------------------------------------------- */

bool prongi_is_typecode(char code);

/* False: v may not be in an Array of that code, and the call is answered.  0: anything may. */
bool prongi_suits(prong_call *c, char code, const prong_value *v);

/* --- the kinds -------------------------------------------------------------------------- */

/* Deadlines of threading: below 0 is now. */
bool prongi_call_until(prong_call *c, const char *name);

/* Every parked call of t has this verdict from now on, and goes on. */
void prongi_decide(prong_call *c, int verdict);

extern const struct prongi_maker prongi_make_queue, prongi_make_joinable, prongi_make_lifo,
	prongi_make_priority, prongi_make_event, prongi_make_lock, prongi_make_rlock,
	prongi_make_semaphore, prongi_make_bounded, prongi_make_condition, prongi_make_barrier,
	prongi_make_list, prongi_make_dict, prongi_make_set, prongi_make_namespace,
	prongi_make_value, prongi_make_array;

#endif
