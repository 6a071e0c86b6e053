/* Room: how rings and blocks lie in memory, blocks that nobody has, blocks of their own for large
   messages, and growth.  All of it is rare: an ordinary put or get does not come here, but for
   the first of a thread, or when it has several messages in hand.

   The list of free blocks is changed in sections, together with the hand of who takes or gives one;
   so a block is in the list or in a hand.  What is allocated is found from the queue's own words at
   each instruction.  A ring or chunk that was allocated by one who died before he made it is made
   by the next who needs it. */
#include "flow/queue.h"
#include <errno.h>

#define EXTRA_FIRST 16 /* blocks */
#define MOST_CELLS  ((uint64_t)1 << 24)

static void **place(prongi_word *word)
{
	return (void **)(uintptr_t)word;
}

static uint64_t get(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(prongi_word *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

prongi_word *prongi_queue_lock(const struct prong_queue *q)
{
	return &prongi_heap->locks[(uintptr_t)q / 64 % PRONGI_LOCKS].lock;
}

int prongi_provide(struct prong_queue *q, prongi_word *word, uint64_t size)
{
	prongi_word *offer = &prongi_self.slot->offer;
	int r;

	if (get(word))
		return 0;
	prong_free_at(place(offer)); /* what a dead owner of the slot left */
	r = prong_alloc_to(place(offer), size);
	if (r)
		return r;
	prongi_begin(prongi_queue_lock(q));
	if (!prongi_get(word)) {
		prongi_set(word, prongi_get(offer));
		prongi_set(offer, 0);
		prongi_commit();
	}
	prongi_end(prongi_queue_lock(q));
	return prong_free_at(place(offer)); /* another was quicker */
}

/* --- layout --------------------------------------------------------------------------------- */

static uint64_t marks_bytes(uint64_t blocks)
{
	return prongi_align64((blocks + 31) / 32 * 8);
}

static uint64_t chunk_bytes(const struct prong_queue *q, uint64_t blocks)
{
	return blocks * q->stride + marks_bytes(blocks);
}

static uint64_t ring_head_bytes(uint64_t cells)
{
	return prongi_align64(sizeof(struct prongi_ring) + cells * 8);
}

uint64_t prongi_ring_bytes(const struct prong_queue *q, uint64_t cells, uint64_t more)
{
	return ring_head_bytes(cells) + chunk_bytes(q, cells + more);
}

static void chunk_make(struct prong_queue *q, uint64_t id, uint64_t at, uint64_t blocks)
{
	set(&q->chunk[id].n, blocks);
	/* release: pairs with the acquire of who goes through all chunks. */
	atomic_store_explicit(&q->chunk[id].at, at, memory_order_release);
}

/* The n blocks from ref on, which nobody has and which lie from at on, become a list. */
static uint64_t chain(struct prong_queue *q, uint64_t ref, uint64_t at, uint64_t n, uint64_t then)
{
	while (n--) {
		struct prongi_message *m = (void *)(uintptr_t)(at + n * q->stride);

		set(&m->data[0], then);
		then = ref + n + 1;
	}
	return then;
}

void prongi_ring_make(struct prong_queue *q, uint64_t index, uint64_t at, uint64_t cells,
		      uint64_t more)
{
	struct prongi_ring *r = (struct prongi_ring *)(uintptr_t)at;

	r->index = index;
	r->cells = r->limit = cells;
	r->shift = (uint64_t)__builtin_ctzll(cells);
	for (uint64_t i = 0; i < cells; i++)
		set(&r->cell[i], prongi_cell(0, (uint32_t)(index << 24 | i), PRONGI_EMPTY));
	at += ring_head_bytes(cells);
	chunk_make(q, index, at, cells + more);
	if (more)
		set(&q->free, chain(q, index << 24 | cells, at + cells * q->stride, more, 0));
	prongi_then(); /* a ring that is named is whole */
	set(&q->ring[index], (uintptr_t)r);
}

bool prongi_ref_valid(const struct prong_queue *q, uint32_t ref)
{
	/* acquire: pairs with chunk_make(). */
	return ref >> 24 < PRONGI_CHUNKS &&
	       atomic_load_explicit(&q->chunk[ref >> 24].at, memory_order_acquire) &&
	       (ref & 0xffffff) < get(&q->chunk[ref >> 24].n);
}

void prongi_each_block(struct prong_queue *q, prongi_block_fn *fn, const struct prongi_caller *me)
{
	for (uint32_t id = 0; id < PRONGI_CHUNKS; id++)
		for (uint32_t i = 0; prongi_ref_valid(q, id << 24 | i); i++)
			fn(q, me, id << 24 | i);
}

struct prongi_ring *prongi_ring_of(struct prong_queue *q, uint64_t seq)
{
	/* acquire: pairs with the CAS that made it the ring in use: its base is seen. */
	uint64_t at = atomic_load_explicit(&q->put_ring, memory_order_acquire);
	struct prongi_ring *r = (struct prongi_ring *)(uintptr_t)at;

	/* Seq is the lower 40 bits of a number not far away. */
	while (r->index && (int64_t)((seq - get(&r->base)) << 24) < 0)
		r = (struct prongi_ring *)(uintptr_t)get(&q->ring[r->index - 1]);
	return r;
}

/* --- blocks of their own -------------------------------------------------------------------- */

void prongi_scrub_slow(struct prongi_message *m)
{
	prong_free_at(place(&m->data[0]));
	atomic_store_explicit(&m->size, 0, memory_order_relaxed);
}

/* --- blocks that nobody has ----------------------------------------------------------------- */

/* In a section: take one from the list into the hand. */
static bool pop(struct prong_queue *q, struct prongi_seat *s)
{
	uint64_t head = prongi_get(&q->free);
	struct prongi_message *m;

	if (!head)
		return false;
	m = prongi_message_at(q, (uint32_t)head - 1);
	prongi_set(&q->free, get(&m->data[0]));
	prongi_set(&s->hand, prongi_hand(PRONGI_IDLE, (uint32_t)head - 1, PRONGI_NONE));
	prongi_commit();
	return true;
}

static uint64_t extra_blocks(uint32_t k)
{
	return (uint64_t)EXTRA_FIRST << 2 * k < MOST_CELLS ? (uint64_t)EXTRA_FIRST << 2 * k
							   : MOST_CELLS;
}

/* In a section: the chunk that was allocated is made, its blocks go into the list. */
static void make_extra(struct prong_queue *q, uint32_t k)
{
	uint64_t id = PRONGI_RINGS + k;
	uint64_t at = prongi_align64(get(&q->raw_extra[k]));

	if (get(&q->chunk[id].at))
		return;
	set(&q->chunk[id].n, extra_blocks(k));
	prongi_set(&q->free, chain(q, id << 24, at, extra_blocks(k), prongi_get(&q->free)));
	prongi_set(&q->chunk[id].at, at);
	prongi_commit();
}

/* Have more free blocks. */
static int add_extra(struct prong_queue *q)
{
	uint32_t k = 0;
	int r;

	while (k < PRONGI_EXTRAS && get(&q->chunk[PRONGI_RINGS + k].at))
		k++;
	if (k == PRONGI_EXTRAS)
		return prongi_fail(-ENOMEM, "queue: too many messages in hand");
	r = prongi_provide(q, &q->raw_extra[k], chunk_bytes(q, extra_blocks(k)) + 63);
	if (r)
		return r;
	prongi_begin(prongi_queue_lock(q));
	make_extra(q, k);
	prongi_end(prongi_queue_lock(q));
	return 0;
}

int prongi_refill_slow(struct prong_queue *q, struct prongi_seat *s)
{
	for (;;) {
		bool had;
		int r;

		prongi_begin(prongi_queue_lock(q));
		had = pop(q, s);
		prongi_end(prongi_queue_lock(q));
		if (had)
			return 0;
		r = add_extra(q);
		if (r)
			return r;
	}
}

void prongi_drop(struct prong_queue *q, struct prongi_seat *s)
{
	uint32_t ref = prongi_spare(s);

	if (ref == PRONGI_NONE)
		return;
	prongi_scrub(prongi_message_at(q, ref));
	prongi_begin(prongi_queue_lock(q));
	set(&prongi_message_at(q, ref)->data[0], prongi_get(&q->free));
	prongi_set(&q->free, ref + 1);
	prongi_set(&s->hand, prongi_hand(PRONGI_IDLE, PRONGI_NONE, PRONGI_NONE));
	prongi_commit();
	prongi_end(prongi_queue_lock(q));
}

/* The seat does not hold the block any more. */
void prongi_let_go(struct prongi_seat *s, uint32_t ref)
{
	for (int i = 1; i < PRONGI_HOLDS; i++)
		if (atomic_load_explicit(&s->held[i], memory_order_relaxed) == ref + 1)
			atomic_store_explicit(&s->held[i], 0, memory_order_relaxed);
}

void prongi_adopt(struct prong_queue *q, const struct prongi_caller *me, uint32_t ref)
{
	struct prongi_message *m = prongi_message_at(q, ref);

	prongi_drop(q, me->seat);
	if (!PRONGI_MUTANT(112))
		prongi_hand_store(me->seat, PRONGI_ADOPT, PRONGI_NONE, ref);
	prongi_then(); /* the journal says what the commit means */
	/* seq_cst: pairs with prongi_queue_listen(), by the look at nj that follows. */
	atomic_store_explicit(&m->header, prongi_header(0, me->who, 0, PRONGI_TAKEN),
			      memory_order_seq_cst);
	prongi_then();
	prongi_hand_store(me->seat, PRONGI_IDLE, ref, PRONGI_NONE);
	prongi_let_go(me->seat, ref);
	prongi_scrub(m);
}

/* --- growth --------------------------------------------------------------------------------- */

/* With the lock: mark the message in the way as the ring's last, if it is still there. */
static void end_ring(struct prong_queue *q, struct prongi_ring *r, uint64_t seq, uint64_t cur)
{
	uint64_t index = r->index + 1;
	struct prongi_ring *next;

	if (!get(&q->ring[index]))
		prongi_ring_make(q, index, prongi_align64(get(&q->raw_ring[index])), r->cells * 2,
				 0);
	next = (struct prongi_ring *)(uintptr_t)get(&q->ring[index]);
	/* While the cell is what it was, the ring is full at seq, and the next not in use. */
	if (prongi_cell_load(prongi_cell_at(r, seq)) != cur)
		return;
	set(&next->base, seq);
	set(&next->tail, seq);
	set(&next->head, seq);
	/* seq_cst: pairs with prongi_cell_load(): who sees it sees the next ring. */
	atomic_compare_exchange_strong_explicit(
		prongi_cell_at(r, seq), &cur,
		prongi_cell(prongi_cell_turn(cur), prongi_cell_ref(cur), PRONGI_LAST),
		memory_order_seq_cst, memory_order_relaxed);
}

int prongi_grow(struct prong_queue *q, struct prongi_ring *r, uint64_t seq, uint64_t cur)
{
	uint64_t cells = r->cells * 2;
	int e;

	if (cells > MOST_CELLS)
		return prongi_fail(-ENOMEM, "queue: %llu messages wait already",
				   (unsigned long long)r->cells);
	e = prongi_provide(q, &q->raw_ring[r->index + 1], prongi_ring_bytes(q, cells, 0) + 63);
	if (e)
		return e;
	prongi_begin(prongi_queue_lock(q));
	end_ring(q, r, seq, cur);
	prongi_end(prongi_queue_lock(q));
	return 0;
}
