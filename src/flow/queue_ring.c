/* The swap ring itself: how a message gets into a cell, and out of it.  See queue.h for the idea,
   and queue_repair.c for what becomes of one who dies in here.

   What makes it sound:
     A block is in exactly one of: a cell, a hand as spare, LEASED or RESERVED or BACK, the list of
     free ones.
     When a header is LEASED and the cell still names the block as full, the holder's hand is
     GET(spare, block), and that spare is nowhere else: so anybody may put it into the cell.  The
     hand changes only after the cell has.
     Leases from the ring are committed in the order of seq, since nobody looks at a place before
     he has seen the one before it taken.  So a cell that is empty at the place to get means an
     empty ring; and one that is still full and QUEUED at the place to put means a full one.

   tail, head and the seat's own put_at and get_at are hints that only grow: a search goes on from
   the highest, over cells that lie in one line.  So the shared ones need to move only now and then.

   Not here: waiting, and what happens when there is no spare or no room, see queue_room.c. */
#include "flow/queue.h"
#include <errno.h>

#define SELDOM 8 /* cells in a line: the shared hints move by so many */

/* A place in the ring that is in use. */
struct place {
	struct prongi_ring *ring;
	prongi_word *cell;
	uint64_t seq, cur; /* cur: what the cell held */
	uint32_t turn;
	int32_t ahead;	   /* turns that the cell is ahead of the place */
};

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static struct prongi_ring *ring_at(const prongi_word *word)
{
	/* acquire: pairs with go_on(): the ring's base is seen. */
	return (struct prongi_ring *)(uintptr_t)atomic_load_explicit(word, memory_order_acquire);
}

/* The ring r has ended: use the next one. */
static void go_on(struct prong_queue *q, prongi_word *word, const struct prongi_ring *r)
{
	uint64_t at = (uintptr_t)r;
	uint64_t next = atomic_load_explicit(&q->ring[r->index + 1], memory_order_relaxed);

	/* acq_rel: pairs with ring_at(). */
	atomic_compare_exchange_strong_explicit(word, &at, next, memory_order_acq_rel,
						memory_order_relaxed);
}

/* Look at the cell of place seq. */
static void look(struct place *p, uint64_t seq)
{
	p->seq = seq;
	p->cell = prongi_cell_at(p->ring, seq);
	p->turn = prongi_turn_of(p->ring, seq);
	p->cur = prongi_cell_load(p->cell);
	p->ahead = (int32_t)(prongi_cell_turn(p->cur) - p->turn);
}

/* The shared hint: relaxed, for the cells say what is true. */
static uint64_t hint(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void raise_hint(prongi_word *word, uint64_t seq)
{
	uint64_t have = hint(word);

	while (have < seq && !atomic_compare_exchange_weak_explicit(
				     word, &have, seq, memory_order_relaxed,
				     memory_order_relaxed))
		;
}

static bool is_full(uint64_t cell)
{
	return prongi_cell_state(cell) == PRONGI_FULL || prongi_cell_state(cell) == PRONGI_LAST;
}

static bool queued_at(uint64_t header, uint64_t seq)
{
	return prongi_header_state(header) == PRONGI_QUEUED &&
	       prongi_header_seq(header ^ seq << 24) == 0;
}

/* What the cell becomes when its message is taken. */
static uint64_t emptied(uint64_t cur, uint32_t spare)
{
	return prongi_cell(prongi_cell_turn(cur) + 1, spare,
			   prongi_cell_state(cur) == PRONGI_LAST && !PRONGI_MUTANT(113)
				   ? PRONGI_MOVED
				   : PRONGI_EMPTY);
}

/* seq_cst: pairs with prongi_queue_listen(), by the look at nf that follows: the room may be made
   by a helper, and its owner still owes the wake.  And with prongi_cell_load(). */
static bool exchange(prongi_word *cell, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(cell, &from, to, memory_order_seq_cst,
						       memory_order_seq_cst);
}

void prongi_settle(prongi_word *cell, uint32_t turn, uint32_t ref, uint32_t spare)
{
	uint64_t cur = prongi_cell_load(cell);

	/* It may become LAST meanwhile; or a helper did it. */
	while (is_full(cur) && prongi_cell_turn(cur) == turn && prongi_cell_ref(cur) == ref &&
	       !exchange(cell, cur, emptied(cur, spare)))
		cur = prongi_cell_load(cell);
}

bool prongi_help(struct prong_queue *q, prongi_word *cell, uint64_t cur, uint64_t seq)
{
	uint32_t ref = prongi_cell_ref(cur);
	uint64_t header = prongi_header_load(prongi_message_at(q, ref)), hand;

	if (queued_at(header, seq))
		return prongi_cell_load(cell) != cur;
	if (prongi_header_state(header) != PRONGI_LEASED)
		return true;
	/* acquire: pairs with prongi_hand_store(): its spare is whole. */
	hand = atomic_load_explicit(&prongi_seat_at(q, prongi_header_who(header))->hand,
				    memory_order_acquire);
	if (prongi_hand_op(hand) == PRONGI_GET && prongi_hand_other(hand) == ref)
		exchange(cell, cur, emptied(cur, prongi_hand_spare(hand)));
	return true;
}

/* --- putting -------------------------------------------------------------------------------- */

/* Look at where the next message goes. */
static void look_to_put(struct prong_queue *q, struct prongi_seat *s, struct place *p)
{
	p->ring = ring_at(&q->put_ring);
	look(p, later(s->put_at, hint(&p->ring->base)));
	if (p->ahead == 0 && prongi_cell_state(p->cur) == PRONGI_EMPTY)
		return;
	if (hint(&p->ring->tail) > p->seq)
		look(p, hint(&p->ring->tail));
}

/* True when as many messages wait as may, though cells are left: the capacity is no power of 2. */
static bool over_limit(struct prong_queue *q, const struct place *p)
{
	const struct prongi_ring *r = p->ring;
	struct place oldest = { .ring = p->ring };

	if (r->limit == r->cells || p->seq - hint(&r->base) < r->limit)
		return false;
	look(&oldest, p->seq - r->limit);
	return oldest.ahead == 0 && is_full(oldest.cur) &&
	       !prongi_help(q, oldest.cell, oldest.cur, oldest.seq);
}

/* Swap the spare for the cell's.  The order is header, journal, commit: repair takes seq from the
   header and the displaced spare from the journal. */
static bool swap(struct prong_queue *q, const struct prongi_caller *me, const struct place *p)
{
	uint32_t mine = prongi_spare(me->seat), theirs = prongi_cell_ref(p->cur);
	struct prongi_message *m = prongi_message_at(q, mine);

	if (PRONGI_MUTANT(101))
		prongi_hand_store(me->seat, PRONGI_PUT, mine, theirs);
	prongi_header_store(m, prongi_header(p->seq, me->who, 0, PRONGI_QUEUED));
	if (!PRONGI_MUTANT(100) && !PRONGI_MUTANT(101))
		prongi_hand_store(me->seat, PRONGI_PUT, mine, theirs);
	if (!exchange(p->cell, p->cur, prongi_cell(p->turn, mine, PRONGI_FULL)))
		return false;
	prongi_then(); /* the commit is done before the hand says so */
	prongi_hand_store(me->seat, PRONGI_IDLE, theirs, PRONGI_NONE);
	prongi_os_prefetch_write(prongi_message_at(q, theirs));
	return true;
}

/* The message is in. */
static int put_done(struct prong_queue *q, struct prongi_seat *s, const struct place *p)
{
	s->put_at = p->seq + 1;
	if ((p->seq + 1) % SELDOM == 0)
		raise_hint(&p->ring->tail, p->seq + 1);
	prongi_queue_tell(&q->ne);
	return 0;
}

static int not_put(struct prongi_seat *s, int r)
{
	prongi_hand_store(s, PRONGI_IDLE, prongi_spare(s), PRONGI_NONE);
	return r;
}

enum { AGAIN = -10001 };

/* The cell still has the message of the turn before. */
static int behind(struct prong_queue *q, const struct place *p)
{
	if (prongi_cell_state(p->cur) == PRONGI_LAST) {
		go_on(q, &q->put_ring, p->ring);
		return AGAIN;
	}
	if (!is_full(p->cur) || prongi_help(q, p->cell, p->cur, p->seq - p->ring->cells))
		return AGAIN;
	if (!q->growing)
		return PRONGI_NOTHING;
	return prongi_grow(q, p->ring, p->seq, p->cur) ? -ENOMEM : AGAIN;
}

static int try_put(struct prong_queue *q, const struct prongi_caller *me, struct place *p)
{
	look_to_put(q, me->seat, p);
	if (p->ahead < 0)
		return behind(q, p);
	if (p->ahead == 0 && prongi_cell_state(p->cur) == PRONGI_EMPTY) {
		if (over_limit(q, p))
			return PRONGI_NOTHING;
		return swap(q, me, p) ? 0 : AGAIN;
	}
	if (p->ahead == 0 && prongi_cell_state(p->cur) == PRONGI_SEALED)
		return PRONG_CLOSED;
	if (p->ahead == 0 && prongi_cell_state(p->cur) == PRONGI_MOVED)
		go_on(q, &q->put_ring, p->ring);
	else /* taken by another, who perhaps died before he moved the hint */
		me->seat->put_at = p->seq + 1;
	return AGAIN;
}

int prongi_ring_put(struct prong_queue *q, const struct prongi_caller *me)
{
	struct place p;
	int r;

	do {
		/* acquire: pairs with the store in prong_queue_close(). */
		if (atomic_load_explicit(&q->closed, memory_order_acquire))
			return not_put(me->seat, PRONG_CLOSED);
		r = try_put(q, me, &p);
	} while (r == AGAIN);
	return r ? not_put(me->seat, r) : put_done(q, me->seat, &p);
}

/* --- what came back ------------------------------------------------------------------------- */

/* The word of marks for the block, and its bit: { version 32, a bit for each block 32 }. */
static prongi_word *marks_of(struct prong_queue *q, uint32_t ref)
{
	struct prongi_chunk *c = &q->chunk[ref >> 24];
	uint64_t n = atomic_load_explicit(&c->n, memory_order_relaxed);
	uint64_t at = atomic_load_explicit(&c->at, memory_order_relaxed) + n * q->stride;

	return (prongi_word *)(uintptr_t)at + (ref & 0xffffff) / 32;
}

void prongi_mark(struct prong_queue *q, uint32_t ref)
{
	prongi_word *word = marks_of(q, ref);
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed), to;

	do
		to = (v + ((uint64_t)1 << 32)) | (uint64_t)1 << ref % 32;
	/* release: pairs with the acquire in lowest_in(): the header that is BACK is seen. */
	while (!atomic_compare_exchange_weak_explicit(word, &v, to, memory_order_release,
						      memory_order_relaxed));
}

void prongi_bump_back(struct prong_queue *q)
{
	uint64_t v = atomic_load_explicit(&q->back, memory_order_relaxed);

	/* seq_cst: pairs with back_now(), and by the look at ne that follows with
	   prongi_queue_listen(). */
	while (!atomic_compare_exchange_weak_explicit(&q->back, &v, (v + 2) | 1,
						      memory_order_seq_cst,
						      memory_order_relaxed))
		;
}

static uint64_t back_now(const struct prong_queue *q)
{
	/* seq_cst: pairs with prongi_bump_back(). */
	return atomic_load_explicit(&q->back, memory_order_seq_cst);
}

struct lowest {
	uint32_t ref;
	uint64_t header;
};

static bool before(uint64_t header, uint64_t other)
{
	return (int64_t)((header >> 24 << 24) - (other >> 24 << 24)) < 0;
}

/* Among the 32 blocks of a word of marks. */
static void lowest_in(struct prong_queue *q, prongi_word *word, uint32_t first,
		      struct lowest *low)
{
	/* acquire: pairs with prongi_mark(). */
	uint64_t v = atomic_load_explicit(word, memory_order_acquire);

	for (uint32_t bits = (uint32_t)v; bits; bits &= bits - 1) {
		uint32_t bit = (uint32_t)__builtin_ctz(bits), ref = first + bit;
		uint64_t header = prongi_header_load(prongi_message_at(q, ref));

		if (prongi_header_state(header) != PRONGI_BACK) {
			uint64_t had = v;

			v &= ~((uint64_t)1 << bit);
			/* Fails when somebody marked meanwhile: then it stays for the next. */
			atomic_compare_exchange_strong_explicit(word, &had, v,
								memory_order_relaxed,
								memory_order_relaxed);
		} else if (low->ref == PRONGI_NONE || before(header, low->header)) {
			*low = (struct lowest){ ref, header };
		}
	}
}

static struct lowest lowest(struct prong_queue *q)
{
	struct lowest low = { PRONGI_NONE, 0 };

	for (uint32_t i = 0; i < PRONGI_CHUNKS; i++) {
		uint64_t n = 0;

		/* acquire: pairs with the release in prongi_ring_make() and the like. */
		if (atomic_load_explicit(&q->chunk[i].at, memory_order_acquire))
			n = atomic_load_explicit(&q->chunk[i].n, memory_order_relaxed);
		for (uint32_t k = 0; k < n; k += 32)
			lowest_in(q, marks_of(q, i << 24 | k), i << 24 | k, &low);
	}
	return low;
}

/* --- getting -------------------------------------------------------------------------------- */

static bool fits(const struct prongi_message *m, const struct prongi_fit *fit)
{
	uint64_t size = atomic_load_explicit(&m->size, memory_order_relaxed) &
			~PRONGI_BY_REFERENCE;

	return !fit || (fit->exact ? size == fit->size : size <= fit->size);
}

/* The lease of the block, by its header: the commit of every get. */
static bool lease(struct prong_queue *q, const struct prongi_caller *me, uint32_t ref,
		  uint64_t from, struct prongi_taken *out)
{
	struct prongi_message *m = prongi_message_at(q, ref);
	uint32_t tries = prongi_header_state(from) == PRONGI_BACK ? prongi_header_tries(from) : 0;
	uint64_t to = prongi_header(prongi_header_seq(from), me->who, tries, PRONGI_LEASED);

	out->ref = ref;
	out->header = to;
	/* acq_rel: pairs with prongi_header_store() of who put it, and by the release with
	   prongi_help(), which then sees our hand. */
	return atomic_compare_exchange_strong_explicit(&m->header, &from, to, memory_order_acq_rel,
						       memory_order_relaxed);
}

/* What is about to be taken, so that repair finds it when it is. */
static void about_to_hold(struct prongi_seat *s, uint32_t ref)
{
	if (!PRONGI_MUTANT(111))
		atomic_store_explicit(&s->held[0], ref + 1, memory_order_relaxed);
	prongi_then();
}

/* Take what came back first, if there is any. */
static int take_back(struct prong_queue *q, const struct prongi_caller *me,
		     const struct prongi_fit *fit, uint64_t back, struct prongi_taken *out)
{
	struct lowest low = lowest(q);

	if (low.ref == PRONGI_NONE) {
		atomic_compare_exchange_strong_explicit(&q->back, &back, back & ~(uint64_t)1,
							memory_order_relaxed,
							memory_order_relaxed);
		return AGAIN;
	}
	if (!fits(prongi_message_at(q, low.ref), fit))
		return prongi_header_load(prongi_message_at(q, low.ref)) == low.header ? -EMSGSIZE
										       : AGAIN;
	/* A GET that failed may still be in the hand, and name this very block. */
	prongi_hand_store(me->seat, PRONGI_IDLE, prongi_spare(me->seat), PRONGI_NONE);
	about_to_hold(me->seat, low.ref);
	out->ring = false;
	return lease(q, me, low.ref, low.header, out) ? 0 : AGAIN;
}

/* There is a message at the place: take it. */
static int take_full(struct prong_queue *q, const struct prongi_caller *me,
		     const struct prongi_fit *fit, const struct place *p, struct prongi_taken *out)
{
	uint32_t ref = prongi_cell_ref(p->cur), spare = prongi_spare(me->seat);
	struct prongi_message *m = prongi_message_at(q, ref);
	uint64_t header;

	prongi_os_prefetch_write(m);
	header = prongi_header_load(m);
	if (!queued_at(header, p->seq)) {
		prongi_help(q, p->cell, p->cur, p->seq);
		return AGAIN;
	}
	if (!fits(m, fit))
		return prongi_header_load(m) == header ? -EMSGSIZE : AGAIN;
	about_to_hold(me->seat, ref);
	if (!PRONGI_MUTANT(103))
		prongi_hand_store(me->seat, PRONGI_GET, spare, ref);
	if (!lease(q, me, ref, header, out))
		return AGAIN;
	prongi_settle(p->cell, p->turn, ref, spare);
	me->seat->get_at = p->seq + 1;
	out->ring = true;
	return 0;
}

/* Nothing is at the place to get.  It was so while nothing was BACK either. */
static int take_nothing(struct prong_queue *q, const struct prongi_caller *me,
			const struct place *p, uint64_t back)
{
	if (back_now(q) != back)
		return AGAIN;
	prongi_hand_store(me->seat, PRONGI_IDLE, prongi_spare(me->seat), PRONGI_NONE);
	if (prongi_cell_state(p->cur) == PRONGI_SEALED)
		return PRONG_CLOSED;
	/* acquire: pairs with the store in prong_queue_close(). */
	if (!atomic_load_explicit(&q->closed, memory_order_acquire))
		return PRONGI_NOTHING;
	/* Who put before this is not stranded, and who is about to will be told. */
	if (!exchange(p->cell, p->cur,
		      prongi_cell(p->turn, prongi_cell_ref(p->cur), PRONGI_SEALED)))
		return AGAIN;
	prongi_queue_tell(&q->ne);
	prongi_queue_tell(&q->nf);
	return PRONG_CLOSED;
}

/* Look at where the next message comes from. */
static void look_to_get(struct prong_queue *q, struct prongi_seat *s, struct place *p)
{
	p->ring = ring_at(&q->get_ring);
	look(p, later(s->get_at, hint(&p->ring->base)));
	if (p->ahead == 0 && is_full(p->cur))
		return;
	if (hint(&p->ring->head) > p->seq)
		look(p, hint(&p->ring->head));
}

static int try_take(struct prong_queue *q, const struct prongi_caller *me,
		    const struct prongi_fit *fit, struct prongi_taken *out)
{
	uint64_t back = back_now(q);
	struct place p;

	if (back & 1)
		return take_back(q, me, fit, back, out);
	look_to_get(q, me->seat, &p);
	if (p.ahead > 0) { /* taken by another, who perhaps died before he moved the hint */
		me->seat->get_at = p.seq + 1;
		return AGAIN;
	}
	if (prongi_cell_state(p.cur) == PRONGI_MOVED) {
		go_on(q, &q->get_ring, p.ring);
		return AGAIN;
	}
	if (!is_full(p.cur))
		return take_nothing(q, me, &p, back);
	if (prongi_refill(q, me->seat))
		return -ENOMEM;
	int r = take_full(q, me, fit, &p, out);
	if (r == 0 && (p.seq + 1) % SELDOM == 0)
		raise_hint(&p.ring->head, p.seq + 1);
	return r;
}

int prongi_ring_take(struct prong_queue *q, const struct prongi_caller *me,
		     const struct prongi_fit *fit, struct prongi_taken *out)
{
	int r;

	do
		r = try_take(q, me, fit, out);
	while (r == AGAIN);
	return r;
}
