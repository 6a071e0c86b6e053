/* Seats: the part that a thread has in a queue, from its first call on it until it ends.

   A thread that sits down says so in its slot first, then takes a seat by one CAS; so whoever
   repairs the slot finds the seat.  A seat is free again when its owner's slot is: what the owner
   left is repaired by then, but the spare, which the next owner takes over, and what it had
   reserved, which the next owner drops.  So repair never needs the list of free blocks.

   Not here: repair itself, see queue_repair.c. */
#include "family/check.h"
#include "flow/queue.h"
#include <errno.h>

_Thread_local struct prongi_seat_cache prongi_seat_cache[PRONGI_CACHED];

/* --- where seats are ------------------------------------------------------------------------ */

#define FIRST 4u/* seats in the queue itself */
#define TABLE 8u/* in the first table */

static void **place(prongi_word *word)
{
	return (void **)(uintptr_t)word;
}

struct prongi_seat *prongi_seat_at(struct prong_queue *q, uint32_t i)
{
	uint32_t k = 0;
	uint64_t at;

	if (i < FIRST)
		return &q->seat[i];
	i -= FIRST;
	for (; i >= TABLE << k; k++)
		i -= TABLE << k;
	if (k == PRONGI_TABLES)
		return NULL;
	/* acquire: pairs with the commit in prongi_provide(): its bytes are zero. */
	at = atomic_load_explicit(&q->raw_table[k], memory_order_acquire);
	return at ? (struct prongi_seat *)(uintptr_t)prongi_align64(at) + i : NULL;
}

/* Make the table that the seat i is in. */
static int make_table(struct prong_queue *q, uint32_t i)
{
	uint32_t k = 0;

	for (i -= FIRST; i >= TABLE << k; k++)
		i -= TABLE << k;
	if (k == PRONGI_TABLES)
		return -ENOSPC;
	return prongi_provide(q, &q->raw_table[k],
			      ((size_t)TABLE << k) * sizeof(struct prongi_seat) + 63);
}

/* --- what the slot says --------------------------------------------------------------------- */

static bool names(const struct prongi_seat_of *of, const struct prong_queue *q, uint64_t id)
{
	return atomic_load_explicit(&of->queue, memory_order_relaxed) == (uintptr_t)q &&
	       atomic_load_explicit(&of->id, memory_order_relaxed) == id;
}

/* True when the entry is free, or its queue has been freed. */
static bool stale(const struct prongi_seat_of *of)
{
	uint64_t at = atomic_load_explicit(&of->queue, memory_order_relaxed);
	const struct prong_queue *q = (const struct prong_queue *)(uintptr_t)at;

	return !at || !prongi_word_valid(at) ||
	       atomic_load_explicit(&q->id, memory_order_relaxed) !=
		       atomic_load_explicit(&of->id, memory_order_relaxed);
}

struct prongi_seat_of *prongi_seats_of(const struct prongi_slot *slot, uint64_t i)
{
	uint64_t more = atomic_load_explicit(&slot->more, memory_order_relaxed);
	prongi_word *word = (prongi_word *)(uintptr_t)more;

	if (i < PRONGI_SEATS)
		return (struct prongi_seat_of *)(uintptr_t)&slot->seat[i];
	i -= PRONGI_SEATS;
	if (!more || i >= atomic_load_explicit(word, memory_order_relaxed))
		return NULL;
	return (struct prongi_seat_of *)(void *)(word + 1) + i;
}

/* Have room for twice as many entries; those that are there stay what they are, all the time. */
static int more_entries(struct prongi_slot *slot, uint64_t have)
{
	uint64_t n = have ? have * 2 : PRONGI_SEATS;
	int r = prong_realloc_at(place(&slot->more), (1 + 2 * n) * sizeof(prongi_word));

	if (r)
		return r;
	prongi_then(); /* the entries are zero before they count */
	atomic_store_explicit((prongi_word *)(uintptr_t)atomic_load_explicit(
				      &slot->more, memory_order_relaxed),
			      n, memory_order_relaxed);
	return 0;
}

/* Let the slot name the queue.  1: it did already. */
static int enter_in_slot(const struct prong_queue *q, uint64_t id)
{
	struct prongi_slot *slot = prongi_self.slot;
	struct prongi_seat_of *of, *free = NULL;
	uint64_t i = 0;
	int r;

	for (; (of = prongi_seats_of(slot, i)) != NULL; i++) {
		if (names(of, q, id))
			return 1;
		if (!free && stale(of))
			free = of;
	}
	if (!free) {
		r = more_entries(slot, i - PRONGI_SEATS);
		if (r)
			return r;
		free = prongi_seats_of(slot, i);
	}
	atomic_store_explicit(&free->id, id, memory_order_relaxed);
	prongi_then(); /* an entry that names the queue has the right id */
	atomic_store_explicit(&free->queue, (uintptr_t)q, memory_order_relaxed);
	prongi_then(); /* and is there before any seat is taken */
	return 0;
}

/* --- sitting down --------------------------------------------------------------------------- */

bool prongi_seat_free(const struct prongi_seat *s)
{
	/* acquire: pairs with the CAS in claim(). */
	uint64_t owner = atomic_load_explicit(&s->owner, memory_order_acquire);
	/* acquire: pairs with the release of the slot's last store in its repair: what the owner
	   left is repaired. */
	uint64_t id = atomic_load_explicit(&prongi_heap->slot[prongi_slot_index(owner)].id,
					   memory_order_acquire);

	return !owner || prongi_owner(id) != owner;
}

static bool claim(struct prongi_seat *s)
{
	uint64_t owner = atomic_load_explicit(&s->owner, memory_order_relaxed);

	/* acq_rel: pairs with the same of the next owner, and of prongi_seat_free(). */
	return prongi_seat_free(s) &&
	       atomic_compare_exchange_strong_explicit(&s->owner, &owner, prongi_self.id,
						       memory_order_acq_rel, memory_order_relaxed);
}

/* A block that the seat's last owner may have had: drop it if it was reserved. */
static void drop_reserved(struct prong_queue *q, const struct prongi_caller *me, uint32_t ref)
{
	uint64_t header = prongi_header_load(prongi_message_at(q, ref));

	if (prongi_header_is(header, PRONGI_RESERVED, me->who))
		prongi_adopt(q, me, ref);
}

/* The last owner died while it reserved its spare: it is the spare, and no more. */
static void inherit_spare(struct prong_queue *q, const struct prongi_caller *me)
{
	uint32_t ref = prongi_spare(me->seat);

	if (ref == PRONGI_NONE)
		return;
	if (!PRONGI_MUTANT(115))
		prongi_header_store(prongi_message_at(q, ref),
				    prongi_header(0, me->who, 0, PRONGI_TAKEN));
	prongi_scrub(prongi_message_at(q, ref));
}

/* Take over what the last owner left. */
static void inherit(struct prong_queue *q, const struct prongi_caller *me)
{
	struct prongi_seat *s = me->seat;

	if (!atomic_load_explicit(&s->hand, memory_order_relaxed)) /* it never had one */
		prongi_hand_store(s, PRONGI_IDLE, PRONGI_NONE, PRONGI_NONE);
	inherit_spare(q, me);
	if (atomic_load_explicit(&s->many, memory_order_relaxed)) {
		prongi_each_block(q, drop_reserved, me);
		atomic_store_explicit(&s->many, 0, memory_order_relaxed);
	}
	for (int i = 0; i < PRONGI_HOLDS; i++) {
		uint32_t held = atomic_load_explicit(&s->held[i], memory_order_relaxed);

		if (held)
			drop_reserved(q, me, held - 1);
		atomic_store_explicit(&s->held[i], 0, memory_order_relaxed);
	}
	atomic_store_explicit(&s->asleep, 0, memory_order_relaxed);
}

static int take_seat(struct prong_queue *q, struct prongi_caller *me)
{
	for (uint32_t i = 0;; i++) {
		struct prongi_seat *s = prongi_seat_at(q, i);
		int r = s ? 0 : make_table(q, i);

		if (r)
			return r;
		s = prongi_seat_at(q, i);
		if (claim(s)) {
			*me = (struct prongi_caller){ s, i };
			return 0;
		}
	}
}

static bool find_seat(struct prong_queue *q, struct prongi_caller *me)
{
	struct prongi_seat *s;

	for (uint32_t i = 0; (s = prongi_seat_at(q, i)) != NULL; i++)
		if (atomic_load_explicit(&s->owner, memory_order_relaxed) == prongi_self.id) {
			*me = (struct prongi_caller){ s, i };
			return true;
		}
	return false;
}

int prongi_sit_slow(struct prong_queue *q, struct prongi_seat_cache *c)
{
	struct prongi_caller me;
	uint64_t id;
	int r;

	if (prongi_far_is(q))
		return PRONGI_FAR;
	r = prongi_enter();
	if (r == 0 && prongi_inside(q))
		r = prongi_check_use(q, "queue_put, queue_get or the like");
	if (r)
		return r;
	if (!prongi_queue_is(q))
		return prongi_fail(-EINVAL, "queue: %p is not a queue", (void *)q);
	id = atomic_load_explicit(&q->id, memory_order_relaxed);
	r = enter_in_slot(q, id);
	if (r < 0)
		return r;
	if (!r || !find_seat(q, &me)) {
		r = take_seat(q, &me);
		if (r)
			return r;
		inherit(q, &me);
	}
	*c = (struct prongi_seat_cache){ (uintptr_t)q + 1, id, prongi_self.id, me.seat,
					 me.who };
	return 0;
}

/* Here, for whoever has a seat needs it, and a static library has what is needed. */
__attribute__((constructor)) static void add_hooks(void)
{
	prongi_repair_add(prongi_queues_repair);
}
