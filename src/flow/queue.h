/* What a queue is in the heap, and the parts of its code of each other.

   The swap ring.  Messages lie in blocks; a cell of the ring is one word that always names exactly
   one block, full or spare.  Each participant has a spare block.  To put is to fill the spare and
   to swap it, by one CAS, for the spare in the cell; to get is to commit in the block's header and
   to leave the own spare in the cell, which anybody may finish.  So there is no half-written cell,
   nobody waits for one who was stopped, blocks are conserved, and no allocator is on the way.

   A growing queue has a row of rings, each twice as large as the one before.  When one is full, its
   oldest message is marked: with it the ring ends, and the next begins with the next number.

   seq   position of a message in the queue, from 0; never reused
   turn  (seq - base of the ring) / cells of the ring, 32 bits of it
   ref   number of a block: { chunk 5, index 24 }

   Words for sleepers (ne: "not empty", nf: "not full", nj: "nothing left to wait for") are
   { written 1, version 30, bit 0: somebody may sleep }.  A sleeper sets the bit, looks again, and
   sleeps while the word is what it was then; a waker that finds the bit changes the word without it
   and wakes all.  The bit may be set with nobody asleep, never the reverse.  Of ne alone, written
   says that there was a counted writer: see family/writers.c. */
#ifndef PRONGI_FLOW_QUEUE_H
#define PRONGI_FLOW_QUEUE_H

#include "family/family.h"
#include <prong/queue.h>

#define PRONGI_RINGS  19	   /* of 2^6 to 2^24 cells when growing */
#define PRONGI_EXTRAS 13	   /* chunks of further blocks, each 4 times the one before */
#define PRONGI_CHUNKS (PRONGI_RINGS + PRONGI_EXTRAS)
#define PRONGI_TABLES 12	   /* of further seats, each twice the one before */
#define PRONGI_HOLDS   6

#define PRONGI_NONE 0x1fffffffu /* no block */

/* --- words ---------------------------------------------------------------------------------- */

/* cell: { turn 32, ref 29, state 3 } */
enum prongi_cell {
	PRONGI_EMPTY = 0,
	PRONGI_FULL,
	PRONGI_LAST,   /* full; when this is taken, the ring has ended */
	PRONGI_SEALED, /* empty, and stays so: the queue is closed */
	PRONGI_MOVED   /* empty, and stays so: go on in the next ring */
};

/* A block's header: { seq 40, who 14, tries 7, state 3 }.  Of the states, LEASED, BACK and RESERVED
   are always true; QUEUED only together with a full cell that names the block; TAKEN says that
   somebody's lease has ended, and stays on a block that travels as a spare. */
enum prongi_state_of_block {
	PRONGI_FRESH = 0,
	PRONGI_QUEUED,
	PRONGI_LEASED,
	PRONGI_BACK, /* returned: to be taken before all others */
	PRONGI_TAKEN,
	PRONGI_RESERVED
};

/* A seat's hand: { op 6, spare 29, other 29 }.  What its thread is about to do, and with what. */
enum prongi_op {
	PRONGI_IDLE = 0, /* nothing; it has the spare */
	PRONGI_PUT,	 /* put the spare into a cell for the other */
	PRONGI_GET,	 /* take the other out, and leave the spare in its cell */
	PRONGI_ADOPT	 /* have the other, which it holds, for a spare */
};

static inline uint64_t prongi_cell(uint32_t turn, uint32_t ref, enum prongi_cell state)
{
	return (uint64_t)turn << 32 | (uint64_t)ref << 3 | state;
}

static inline uint32_t prongi_cell_turn(uint64_t cell)
{
	return (uint32_t)(cell >> 32);
}

static inline uint32_t prongi_cell_ref(uint64_t cell)
{
	return (uint32_t)cell >> 3;
}

static inline enum prongi_cell prongi_cell_state(uint64_t cell)
{
	return (enum prongi_cell)(cell & 7);
}

static inline uint64_t prongi_header(uint64_t seq, uint32_t who, uint32_t tries,
				     enum prongi_state_of_block state)
{
	return seq << 24 | (uint64_t)who << 10 | (uint64_t)tries << 3 | state;
}

static inline uint64_t prongi_header_seq(uint64_t header)
{
	return header >> 24;
}

static inline uint32_t prongi_header_who(uint64_t header)
{
	return (uint32_t)(header >> 10) & 0x3fff;
}

static inline uint32_t prongi_header_tries(uint64_t header)
{
	return (uint32_t)(header >> 3) & 0x7f;
}

static inline enum prongi_state_of_block prongi_header_state(uint64_t header)
{
	return (enum prongi_state_of_block)(header & 7);
}

/* Given back by who had leased it. */
static inline uint64_t prongi_header_returned(uint64_t header)
{
	uint32_t tries = prongi_header_tries(header);

	return prongi_header(prongi_header_seq(header), prongi_header_who(header),
			     tries < 0x7f ? tries + 1 : tries, PRONGI_BACK);
}

static inline bool prongi_header_is(uint64_t header, enum prongi_state_of_block state, uint32_t who)
{
	return prongi_header_state(header) == state && prongi_header_who(header) == who;
}

static inline uint64_t prongi_hand(enum prongi_op op, uint32_t spare, uint32_t other)
{
	return (uint64_t)op << 58 | (uint64_t)spare << 29 | other;
}

static inline enum prongi_op prongi_hand_op(uint64_t hand)
{
	return (enum prongi_op)(hand >> 58);
}

static inline uint32_t prongi_hand_spare(uint64_t hand)
{
	return (uint32_t)(hand >> 29) & PRONGI_NONE;
}

static inline uint32_t prongi_hand_other(uint64_t hand)
{
	return (uint32_t)hand & PRONGI_NONE;
}

/* --- in the heap ---------------------------------------------------------------------------- */

/* Written by whoever has it for himself, but for the header. */
struct prongi_message {
	prongi_word header;	/* the owner of a private block, by a store; QUEUED to LEASED and
				   BACK to LEASED by CAS of anybody; LEASED to anything by its
				   holder, or the holder's repairer */
	_Atomic uint64_t size;	/* with the bit: data[0] points to a block of the heap */
	prongi_word data[];	/* while in the list of free ones, data[0] is the next, + 1 */
};
#define PRONGI_BY_REFERENCE ((uint64_t)1 << 63)

/* The part that one thread has in one queue.  Two lines: others read the first, when they help. */
struct prongi_seat {
	_Alignas(64) prongi_word owner; /* id of its slot; free when that slot is another's or
				nobody's.  CAS by who sits down */
	prongi_word hand;	  /* its thread; its repairer when dead; helpers read it */
	uint64_t put_at, get_at;  /* not before here is a place to put or get.  Its thread */
	_Atomic uint32_t held[PRONGI_HOLDS]; /* ref + 1 of what it may hold, before it does.  [0]:
					       what it is about to take.  As hand */
	_Atomic uint32_t many;	  /* it may hold more than fits there.  As hand */
	_Atomic uint32_t asleep;  /* its thread sleeps in a call.  Its thread */

	uint64_t waited_at;	  /* get_at when it waited last.  Its thread */
	uint32_t gather;	  /* pauses before it looks then.  Its thread */
};

struct prongi_ring {
	uint64_t index;	       /* the how manieth ring; read-only */
	uint64_t cells, shift; /* 2^shift; read-only */
	uint64_t limit;	       /* messages at most; read-only */
	prongi_word base;      /* seq of cell 0 at turn 0.  The grower, before the ring is in use */
	_Alignas(64) prongi_word tail; /* not beyond here is the next place to put: only raised */
	_Alignas(64) prongi_word head; /* the same to get */
	_Alignas(64) prongi_word cell[]; /* anybody, by CAS */
};

struct prongi_chunk {
	prongi_word at;	  /* its blocks; 0: not there.  Under the lock, before any ref is used */
	prongi_word n;	  /* and how many; behind them are the marks, a word for each 32 */
};

struct prong_queue {
	struct prongi_queue_head head; /* what the rooms below know */
	/* Read by all, seldom written. */
	prongi_word id;	      /* of this queue among all that there ever were; 0: freed */
	prongi_word put_ring, get_ring; /* addresses of the rings in use: CAS to the next */
	prongi_word back;     /* { version 63, bit 0: some block may be BACK }.  Set with a new
				 version by who returned one, cleared by who found none */
	_Atomic uint32_t closed;
	uint32_t growing, usual, stride; /* read-only: bytes in a block, and with its header */

	_Alignas(64) _Atomic uint32_t ne; /* for who waits for a message */
	_Alignas(64) _Atomic uint32_t nf; /* for who waits for room */
	_Atomic uint32_t nj;   /* for who waits for the end of all messages */

	/* Rarely used. */
	_Alignas(64) uint64_t most; /* bytes of a message; read-only */
	uint64_t raw;	      /* the block of the heap that begins with the queue; read-only */
	prongi_word free;      /* list of blocks that nobody has, ref + 1.  Under the lock */
	prongi_word tickets;   /* reserves so far: makes each one's header unique */
	_Atomic uint32_t large;/* a message was in a block of its own once */
	prongi_word ring[PRONGI_RINGS];	    /* addresses; 0: not made yet.  Under the lock */
	struct prongi_chunk chunk[PRONGI_CHUNKS]; /* of the rings, then further ones */
	prongi_word raw_ring[PRONGI_RINGS]; /* what was allocated for them: by alloc_to */
	prongi_word raw_extra[PRONGI_EXTRAS];
	prongi_word raw_table[PRONGI_TABLES];
	struct prongi_seat seat[4];	    /* the first ones; others in the tables */
};

_Static_assert(offsetof(struct prong_queue, ne) == PRONGI_QUEUE_BELL, "as writers.c knows it");

/* --- queue.c: finding things ---------------------------------------------------------------- */

static inline uint64_t prongi_align64(uint64_t at)
{
	return (at + 63) & ~(uint64_t)63;
}

static inline struct prongi_message *prongi_message_at(const struct prong_queue *q, uint32_t ref)
{
	/* relaxed: whoever learnt ref did so by an acquire that pairs with a release after this. */
	uint64_t at = atomic_load_explicit(&q->chunk[ref >> 24].at, memory_order_relaxed);

	return (struct prongi_message *)(uintptr_t)(at + (uint64_t)(ref & 0xffffff) * q->stride);
}

/* The i-th seat, or NULL when there is none yet. */
struct prongi_seat *prongi_seat_at(struct prong_queue *q, uint32_t i);

/* The ring that has or had the place seq, of which the lower 40 bits are given. */
struct prongi_ring *prongi_ring_of(struct prong_queue *q, uint64_t seq);

static inline prongi_word *prongi_cell_at(struct prongi_ring *r, uint64_t seq)
{
	uint64_t base = atomic_load_explicit(&r->base, memory_order_relaxed);

	return &r->cell[(seq - base) & (r->cells - 1)];
}

static inline uint32_t prongi_turn_of(const struct prongi_ring *r, uint64_t seq)
{
	return (uint32_t)((seq - atomic_load_explicit(&r->base, memory_order_relaxed)) >>
			  r->shift);
}

/* --- orders that the whole queue shares ----------------------------------------------------- */

/* acquire: pairs with the seq_cst CAS of whoever put the value there: the block's header and bytes,
   and the putter's or taker's hand, are seen. */
static inline uint64_t prongi_cell_load(const prongi_word *cell)
{
	return atomic_load_explicit(cell, memory_order_acquire);
}

/* acquire: pairs with the stores and CAS of headers: the taker's hand and the bytes are seen. */
static inline uint64_t prongi_header_load(const struct prongi_message *m)
{
	return atomic_load_explicit(&m->header, memory_order_acquire);
}

/* release: pairs with prongi_header_load(), and with the CAS of who takes the message. */
static inline void prongi_header_store(struct prongi_message *m, uint64_t header)
{
	atomic_store_explicit(&m->header, header, memory_order_release);
}

/* release: pairs with the acquire of helpers, who go on for its owner. */
static inline void prongi_hand_store(struct prongi_seat *s, enum prongi_op op, uint32_t spare,
				     uint32_t other)
{
	atomic_store_explicit(&s->hand, prongi_hand(op, spare, other), memory_order_release);
}

/* By its own thread. */
static inline uint32_t prongi_spare(const struct prongi_seat *s)
{
	return prongi_hand_spare(atomic_load_explicit(&s->hand, memory_order_relaxed));
}

static inline size_t prongi_size_of(const struct prongi_message *m)
{
	return atomic_load_explicit(&m->size, memory_order_relaxed) & ~PRONGI_BY_REFERENCE;
}

static inline void *prongi_data_of(struct prongi_message *m)
{
	if (atomic_load_explicit(&m->size, memory_order_relaxed) & PRONGI_BY_REFERENCE)
		return (void *)(uintptr_t)atomic_load_explicit(&m->data[0], memory_order_relaxed);
	return m->data;
}

/* --- sleeping and waking (queue.c) ---------------------------------------------------------- */

/* Say that somebody will sleep on the word; return the value to sleep on.  Then look again. */
static inline uint32_t prongi_queue_listen(_Atomic uint32_t *word)
{
	/* seq_cst: pairs with prongi_queue_tell(): either it sees the bit, or the look that follows
	   sees what it told of. */
	uint32_t v = atomic_fetch_or_explicit(word, 1, memory_order_seq_cst) | 1;

	atomic_thread_fence(memory_order_seq_cst);
	return v;
}

/* The next version of the word, in which nobody sleeps. */
static inline uint32_t prongi_queue_told(uint32_t v)
{
	return (v & PRONGI_WRITTEN) | (((v | 1) + 1) & ~PRONGI_WRITTEN);
}

/* Change the word, and wake who sleeps on it.  always: even if nobody seems to. */
void prongi_queue_wake(_Atomic uint32_t *word, bool always);

/* Wake who sleeps on the word.  After a seq_cst change of what they wait for. */
static inline void prongi_queue_tell(_Atomic uint32_t *word)
{
	/* seq_cst: pairs with prongi_queue_listen(). */
	if (atomic_load_explicit(word, memory_order_seq_cst) & 1)
		prongi_queue_wake(word, false);
}

/* For who waits for several things: after listening on ne or nf, whether a get or a put would
   return at once, be it with PRONG_CLOSED. */
bool prongi_queue_can_get(struct prong_queue *q);
bool prongi_queue_can_put(struct prong_queue *q);

/* As prong_queue_free(), and *where, in the heap, is NULL in the same step.  Nobody has a message
   of it in hand. */
int prongi_queue_free_at(prong_queue **where);

/* True when q is the address of a queue. */
bool prongi_queue_is(const struct prong_queue *q);

/* --- seats, blocks and growth (queue_seat.c, queue_room.c) ---------------------------------- */

/* Which seats this thread had last. */
struct prongi_seat_cache {
	_Alignas(64) uintptr_t queue; /* address + 1 */
	uint64_t id, me;
	struct prongi_seat *seat;
	uint32_t who;
};
#define PRONGI_CACHED 8
extern _Thread_local struct prongi_seat_cache prongi_seat_cache[PRONGI_CACHED]
	__attribute__((tls_model("initial-exec")));

/* What a call works with. */
struct prongi_caller {
	struct prongi_seat *seat;
	uint32_t who; /* its number */
};

/* Have the cache name the thread's seat in q.  PRONGI_FAR: q is not in the heap. */
#define PRONGI_FAR 0x7fff
int prongi_sit_slow(struct prong_queue *q, struct prongi_seat_cache *c);

/* What the functions of these names return when the caller could not sit down, for the reason r:
   after having asked the queue's own functions, when it is far (queue_far.c).  No near queue pays
   for that. */
int prongi_far_put(struct prong_queue *q, int r, const void *data, size_t size,
		   prong_time deadline);
int prongi_far_get(struct prong_queue *q, int r, void *data, size_t size, size_t *got,
		   prong_time deadline);
int prongi_far_join(struct prong_queue *q, int r, prong_time deadline);
int prongi_far_close(struct prong_queue *q, int r);
int prongi_far_cannot(int r, const char *what);
size_t prongi_far_size(const struct prong_queue *q); /* 0 when it is not far */
bool prongi_far_is(const struct prong_queue *q);

static inline int prongi_sit(struct prong_queue *q, struct prongi_caller *me)
{
	struct prongi_seat_cache *c =
		&prongi_seat_cache[(uintptr_t)q >> 8 & (PRONGI_CACHED - 1)];

	if (__builtin_expect(c->queue != (uintptr_t)q + 1 || c->me != prongi_self.id ||
			     c->id != atomic_load_explicit(&q->id, memory_order_relaxed), 0)) {
		int r = prongi_sit_slow(q, c);

		if (r)
			return r;
	}
	me->seat = c->seat;
	me->who = c->who;
	return 0;
}

/* True when the seat's thread has gone and what it left is repaired. */
bool prongi_seat_free(const struct prongi_seat *s);

/* The lock of q's rare steps: one of some that all queues share, for queues come and go. */
prongi_word *prongi_queue_lock(const struct prong_queue *q);

/* The i-th entry of what the slot says of its thread's seats, or NULL. */
struct prongi_seat_of *prongi_seats_of(const struct prongi_slot *slot, uint64_t i);

/* Have a block of size zero bytes in the queue's word, unless there is one.  0 or -ENOMEM. */
int prongi_provide(struct prong_queue *q, prongi_word *word, uint64_t size);

int prongi_refill_slow(struct prong_queue *q, struct prongi_seat *s);

/* Have a spare.  0 or -ENOMEM. */
static inline int prongi_refill(struct prong_queue *q, struct prongi_seat *s)
{
	return prongi_spare(s) != PRONGI_NONE ? 0 : prongi_refill_slow(q, s);
}

/* Make m, the spare, a message of more than the usual size. */
int prongi_prepare_large(struct prong_queue *q, struct prongi_message *m, size_t size,
			 const char *what);

/* Make the spare a message of size bytes, and store where it is.  0, -EMSGSIZE or -ENOMEM. */
static inline int prongi_prepare(struct prong_queue *q, struct prongi_seat *s, size_t size,
				 const char *what, struct prongi_message **m)
{
	int r = prongi_refill(q, s);

	if (r)
		return r;
	*m = prongi_message_at(q, prongi_spare(s));
	if (__builtin_expect(size > q->usual, 0))
		return prongi_prepare_large(q, *m, size, what);
	atomic_store_explicit(&(*m)->size, size, memory_order_relaxed);
	return 0;
}

/* Give the spare away, if there is one. */
void prongi_drop(struct prong_queue *q, struct prongi_seat *s);

/* Have the block, LEASED or RESERVED by the caller, for the spare: its message is done with. */
void prongi_adopt(struct prong_queue *q, const struct prongi_caller *me, uint32_t ref);

/* The seat does not hold the block any more. */
void prongi_let_go(struct prongi_seat *s, uint32_t ref);

/* True when there is such a block. */
bool prongi_ref_valid(const struct prong_queue *q, uint32_t ref);

typedef void prongi_block_fn(struct prong_queue *q, const struct prongi_caller *me, uint32_t ref);
void prongi_each_block(struct prong_queue *q, prongi_block_fn *fn, const struct prongi_caller *me);

/* Free the memory of its own that the block may have. */
void prongi_scrub_slow(struct prongi_message *m);

static inline void prongi_scrub(struct prongi_message *m)
{
	if (atomic_load_explicit(&m->size, memory_order_relaxed) & PRONGI_BY_REFERENCE)
		prongi_scrub_slow(m);
}

/* Bytes for a ring and its blocks; and make them at the address, in memory that is zero.  more:
   blocks for seats. */
uint64_t prongi_ring_bytes(const struct prong_queue *q, uint64_t cells, uint64_t more);
void prongi_ring_make(struct prong_queue *q, uint64_t index, uint64_t at, uint64_t cells,
		      uint64_t more);

/* The ring was found full at seq, with the value cur in its cell: go on in a next one. */
int prongi_grow(struct prong_queue *q, struct prongi_ring *r, uint64_t seq, uint64_t cur);

/* --- repair (queue_repair.c) ---------------------------------------------------------------- */

/* In all queues where the slot's thread has a seat: put right what the dead one left; or, dead
   being 0, pass on the wakes that a stopped one may owe. */
void prongi_queues_repair(struct prongi_slot *slot, uint64_t dead);

/* --- the ring (queue_ring.c) ---------------------------------------------------------------- */

enum { PRONGI_NOTHING = -10000 }; /* it is empty, or full */

/* Put the spare m, which is filled.  0, PRONG_CLOSED, PRONGI_NOTHING, -ENOMEM. */
int prongi_ring_put(struct prong_queue *q, struct prongi_caller me, struct prongi_message *m);

/* How long a message may be that is taken. */
struct prongi_fit {
	size_t least, most;
};

/* What was taken, if r is 0.  The hand is GET when it is from the ring, for the spare; else it came
   back, and the spare is still there. */
struct prongi_taken {
	struct prongi_message *m;
	uint32_t ref;
	int r;
};

/* Take a message, if it fits: it is LEASED by the caller, and in held[0].  0, PRONG_CLOSED,
   PRONGI_NOTHING, -EMSGSIZE, -ENOMEM. */
struct prongi_taken prongi_ring_take(struct prong_queue *q, struct prongi_caller me,
				     struct prongi_fit fit);

/* What was just taken is from the ring. */
static inline bool prongi_from_ring(const struct prongi_seat *s)
{
	return prongi_hand_op(atomic_load_explicit(&s->hand, memory_order_relaxed)) == PRONGI_GET;
}

/* For who waits awake, hints: the messages that may wait; whether a put would find room, and n more
   after it, or would be told of the end. */
unsigned prongi_ring_limit(const struct prong_queue *q);
bool prongi_ring_has_room(struct prong_queue *q, struct prongi_caller me, unsigned n);

/* The thread has put a message since it waited for one. */
extern _Thread_local bool prongi_has_put __attribute__((tls_model("initial-exec")));

/* prongi_ring_put() said r, or prongi_ring_take() did: wait when there was nothing, for as long as
   there is time; and word what becomes of it. */
int prongi_wait_to_put(struct prong_queue *q, struct prongi_caller me, int r, prong_time deadline,
		       const char *what);
struct prongi_taken prongi_wait_to_take(struct prong_queue *q, struct prongi_caller me,
					struct prongi_fit fit, int r, prong_time deadline,
					const char *what);

/* Take cell's message, of which the header is LEASED, out of it, and leave the spare. */
void prongi_settle(prongi_word *cell, uint32_t turn, uint32_t ref, uint32_t spare);

/* Go on for whoever is taking the message seq, if anybody is.  False: nobody has taken it. */
bool prongi_help(struct prong_queue *q, prongi_word *cell, uint64_t cur, uint64_t seq);

/* --- what came back (queue_back.c) ---------------------------------------------------------- */

/* The block is BACK: let it be found. */
void prongi_mark(struct prong_queue *q, uint32_t ref);
void prongi_bump_back(struct prong_queue *q);

/* Of what is BACK the first that was put, or PRONGI_NONE. */
struct prongi_lowest {
	uint32_t ref;
	uint64_t header;
};
struct prongi_lowest prongi_lowest_back(struct prong_queue *q);

#endif
