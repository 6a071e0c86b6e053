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

   What it costs.  Between two processors the lines that travel are the cells', eight to a line, and
   a block's; so each is asked for, to be written, before it is needed: the other's spare when it
   has been swapped in, and further ahead as long as nobody else is found at this end.  The rest is
   instructions: so the usual way through, prong_queue_put() and prong_queue_get() included, is
   compiled into one function whose values stay in registers; what is seldom is called, and gets
   them by value.

   Not here: waiting, see queue.c, and what happens when there is no spare or no room, see
   queue_room.c. */
#include "flow/queue.h"
#include <errno.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define SELDOM_CALLED __attribute__((noinline, cold))
#define AHEAD \
	8 /* places: their blocks are 16 lines, about as many as a processor asks for at once */
#define SELDOM 8 /* cells in a line: the shared hints move by so many */

enum {
	AGAIN = -10001
};

/* What the compiler may expect. */
static ALWAYS_INLINE bool usual(bool x)
{
	return __builtin_expect(x, true);
}

/* A place in the ring that is in use. */
struct place {
	struct prongi_ring *ring;
	prongi_word *cell;
	uint64_t seq, at; /* at: counted from the ring's first */
	uint64_t cur;     /* what the cell held */
	uint32_t turn;
};

/* The shared hint: relaxed, for the cells say what is true. */
static uint64_t hint(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

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

/* Look at the cell of the place seq, but not before the ring's first. */
static ALWAYS_INLINE struct place look(struct prongi_ring *r, uint64_t seq)
{
	uint64_t base = hint(&r->base);
	uint64_t at = later(seq, base) - base;
	prongi_word *cell = &r->cell[at & (r->cells - 1)];

	return (struct place){
		r, cell, base + at, at, prongi_cell_load(cell), (uint32_t)(at >> r->shift)
	};
}

/* How many turns the cell is ahead of the place. */
static int32_t ahead(const struct place *p)
{
	return (int32_t)(prongi_cell_turn(p->cur) - p->turn);
}

/* The cell's state when its turn is that of the place, else more than any state. */
static uint64_t state_now(const struct place *p)
{
	return (p->cur ^ prongi_cell(p->turn, 0, PRONGI_EMPTY)) &
	       ~prongi_cell(0, PRONGI_NONE, PRONGI_EMPTY);
}

static bool has_spare(const struct place *p)
{
	return state_now(p) == PRONGI_EMPTY;
}

static bool is_full(uint64_t cell)
{
	return prongi_cell_state(cell) == PRONGI_FULL || prongi_cell_state(cell) == PRONGI_LAST;
}

static bool has_message(const struct place *p)
{
	return state_now(p) - PRONGI_FULL <= PRONGI_LAST - PRONGI_FULL;
}

static void raise_hint(prongi_word *word, uint64_t seq)
{
	uint64_t have = hint(word);

	while (have < seq && !atomic_compare_exchange_weak_explicit(
				     word, &have, seq, memory_order_relaxed, memory_order_relaxed))
		;
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

/* --- lines that will be needed ---------------------------------------------------------------- */

/* Ask for the first two lines of a block, to be written. */
static ALWAYS_INLINE void ask_for(struct prongi_message *m)
{
	prongi_os_prefetch_write(m);
	prongi_os_prefetch_write((char *)m + 64);
}

/* For who is alone at this end, and so comes to the places that follow: what a cell names that is
   in that state; and now and then the cells of the line after it. */
static ALWAYS_INLINE void ask_ahead(struct prong_queue *q, const struct place *p,
				    enum prongi_cell state)
{
	uint64_t mask = p->ring->cells - 1;
	uint64_t cur = prongi_cell_load(&p->ring->cell[(p->at + AHEAD) & mask]);

	if (prongi_cell_state(cur) == state)
		ask_for(prongi_message_at(q, prongi_cell_ref(cur)));
	if (p->seq % SELDOM == 0)
		prongi_os_prefetch_write(&p->ring->cell[(p->at + AHEAD + SELDOM) & mask]);
}

/* --- putting -------------------------------------------------------------------------------- */

/* The capacity is no power of 2: whether the message of so long ago is still there. */
static SELDOM_CALLED bool limit_reached(struct prong_queue *q, struct prongi_ring *r, uint64_t seq)
{
	struct place oldest = look(r, seq - r->limit);

	return has_message(&oldest) && !prongi_help(q, oldest.cell, oldest.cur, oldest.seq);
}

/* True when as many messages wait as may, though cells are left. */
static ALWAYS_INLINE bool over_limit(struct prong_queue *q, const struct place *p)
{
	struct prongi_ring *r = p->ring;

	return r->limit != r->cells && p->seq - hint(&r->base) >= r->limit &&
	       limit_reached(q, r, p->seq);
}

/* Swap the spare for the cell's.  The order is header, journal, commit: repair takes seq from the
   header and the displaced spare from the journal. */
static ALWAYS_INLINE bool swap(struct prongi_caller me, struct prongi_message *m,
			       const struct place *p)
{
	uint32_t mine = prongi_spare(me.seat), theirs = prongi_cell_ref(p->cur);

	if (PRONGI_MUTANT(101))
		prongi_hand_store(me.seat, PRONGI_PUT, mine, theirs);
	prongi_header_store(m, prongi_header(p->seq, me.who, 0, PRONGI_QUEUED));
	if (!PRONGI_MUTANT(100) && !PRONGI_MUTANT(101))
		prongi_hand_store(me.seat, PRONGI_PUT, mine, theirs);
	if (!exchange(p->cell, p->cur, prongi_cell(p->turn, mine, PRONGI_FULL)))
		return false;
	prongi_then(); /* the commit is done before the hand says so */
	prongi_hand_store(me.seat, PRONGI_IDLE, theirs, PRONGI_NONE);
	return true;
}

/* The message is in. */
static ALWAYS_INLINE void put_done(struct prong_queue *q, struct prongi_seat *s,
				   const struct place *p)
{
	if (p->seq == s->put_at)
		ask_ahead(q, p, PRONGI_EMPTY);
	else
		ask_for(prongi_message_at(q, prongi_cell_ref(p->cur)));
	s->put_at = p->seq + 1;
	prongi_has_put = true;
	if ((p->seq + 1) % SELDOM == 0)
		raise_hint(&p->ring->tail, p->seq + 1);
	prongi_queue_tell(&q->ne);
}

static int not_put(struct prongi_seat *s, int r)
{
	prongi_hand_store(s, PRONGI_IDLE, prongi_spare(s), PRONGI_NONE);
	return r;
}

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

/* There is no spare at the place. */
static SELDOM_CALLED int no_spare_there(struct prong_queue *q, struct prongi_caller me,
					struct place p)
{
	if (hint(&p.ring->tail) > p.seq) {
		me.seat->put_at = hint(&p.ring->tail);
		return AGAIN;
	}
	if (ahead(&p) < 0)
		return behind(q, &p);
	if (state_now(&p) == PRONGI_SEALED)
		return PRONG_CLOSED;
	if (state_now(&p) == PRONGI_MOVED)
		go_on(q, &q->put_ring, p.ring);
	else /* taken by another, who perhaps died before he moved the hint */
		me.seat->put_at = p.seq + 1;
	return AGAIN;
}

static ALWAYS_INLINE int ring_put(struct prong_queue *q, struct prongi_caller me,
				  struct prongi_message *m)
{
	int r = AGAIN;

	do {
		struct place p;

		/* acquire: pairs with the store in prong_queue_close(). */
		if (!usual(!atomic_load_explicit(&q->closed, memory_order_acquire)))
			return not_put(me.seat, PRONG_CLOSED);
		p = look(ring_at(&q->put_ring), me.seat->put_at);
		if (!usual(has_spare(&p))) {
			r = no_spare_there(q, me, p);
		} else if (over_limit(q, &p)) {
			r = PRONGI_NOTHING;
		} else if (usual(swap(me, m, &p))) {
			put_done(q, me.seat, &p);
			return 0;
		}
	} while (r == AGAIN);
	return not_put(me.seat, r);
}

int prongi_ring_put(struct prong_queue *q, struct prongi_caller me, struct prongi_message *m)
{
	return ring_put(q, me, m);
}

unsigned prongi_ring_limit(const struct prong_queue *q)
{
	return (unsigned)ring_at(&q->put_ring)->limit;
}

bool prongi_ring_has_room(struct prong_queue *q, struct prongi_caller me, unsigned n)
{
	struct place p = look(ring_at(&q->put_ring), me.seat->put_at + n);

	return ahead(&p) > 0 || has_spare(&p) ||
	       atomic_load_explicit(&q->closed, memory_order_relaxed);
}

/* --- getting -------------------------------------------------------------------------------- */

static uint64_t back_now(const struct prong_queue *q)
{
	/* seq_cst: pairs with prongi_bump_back(). */
	return atomic_load_explicit(&q->back, memory_order_seq_cst);
}

static bool fits(const struct prongi_message *m, struct prongi_fit fit)
{
	return prongi_size_of(m) - fit.least <= fit.most - fit.least;
}

/* It does not fit, if it still is that message. */
static int misfit(const struct prongi_message *m, uint64_t header)
{
	return prongi_header_load(m) == header ? -EMSGSIZE : AGAIN;
}

/* The lease of the block, by its header: the commit of every get. */
static ALWAYS_INLINE bool lease(struct prongi_message *m, struct prongi_caller me, uint64_t from,
				uint32_t tries)
{
	uint64_t to = prongi_header(prongi_header_seq(from), me.who, tries, PRONGI_LEASED);

	/* acq_rel: pairs with prongi_header_store() of who put it, and by the release with
	   prongi_help(), which then sees our hand. */
	return atomic_compare_exchange_strong_explicit(&m->header, &from, to, memory_order_acq_rel,
						       memory_order_relaxed);
}

/* What is about to be taken, so that repair finds it when it is. */
static ALWAYS_INLINE void about_to_hold(struct prongi_seat *s, uint32_t ref)
{
	if (!PRONGI_MUTANT(111))
		atomic_store_explicit(&s->held[0], ref + 1, memory_order_relaxed);
	prongi_then();
}

/* Take what came back first, if there is any. */
static SELDOM_CALLED struct prongi_taken take_back(struct prong_queue *q, struct prongi_caller me,
						   struct prongi_fit fit, uint64_t back)
{
	struct prongi_lowest low = prongi_lowest_back(q);
	struct prongi_taken t = { NULL, low.ref, AGAIN };

	if (low.ref == PRONGI_NONE) {
		atomic_compare_exchange_strong_explicit(&q->back, &back, back & ~(uint64_t)1,
							memory_order_relaxed, memory_order_relaxed);
		return t;
	}
	t.m = prongi_message_at(q, low.ref);
	if (!fits(t.m, fit)) {
		t.r = misfit(t.m, low.header);
		return t;
	}
	/* A GET that failed may still be in the hand, and name this very block. */
	prongi_hand_store(me.seat, PRONGI_IDLE, prongi_spare(me.seat), PRONGI_NONE);
	about_to_hold(me.seat, low.ref);
	if (lease(t.m, me, low.header, prongi_header_tries(low.header)))
		t.r = 0;
	return t;
}

/* There is a message at the place: take it. */
static ALWAYS_INLINE int take_full(struct prong_queue *q, struct prongi_caller me,
				   struct prongi_fit fit, const struct place *p,
				   struct prongi_message *m)
{
	uint32_t ref = prongi_cell_ref(p->cur), spare = prongi_spare(me.seat);
	uint64_t header;

	ask_for(m);
	prongi_os_prefetch_write(p->cell);
	header = prongi_header_load(m);
	if (!usual(queued_at(header, p->seq))) {
		prongi_help(q, p->cell, p->cur, p->seq);
		return AGAIN;
	}
	if (!usual(fits(m, fit)))
		return misfit(m, header);
	about_to_hold(me.seat, ref);
	if (!PRONGI_MUTANT(103))
		prongi_hand_store(me.seat, PRONGI_GET, spare, ref);
	if (!usual(lease(m, me, header, 0)))
		return AGAIN;
	if (!usual(exchange(p->cell, p->cur, emptied(p->cur, spare))))
		prongi_settle(p->cell, p->turn, ref, spare);
	return 0;
}

/* The message is out. */
static ALWAYS_INLINE void take_done(struct prong_queue *q, struct prongi_seat *s,
				    const struct place *p)
{
	if (p->seq == s->get_at)
		ask_ahead(q, p, PRONGI_FULL);
	s->get_at = p->seq + 1;
	if ((p->seq + 1) % SELDOM == 0)
		raise_hint(&p->ring->head, p->seq + 1);
}

/* Nothing is at the place to get.  It was so while nothing was BACK either. */
static int take_nothing(struct prong_queue *q, struct prongi_caller me, const struct place *p,
			uint64_t back)
{
	/* Before the look at back, so that what came back before it was closed is found.  acquire:
	   pairs with the store in prong_queue_close(). */
	bool closed = atomic_load_explicit(&q->closed, memory_order_acquire);

	if (back_now(q) != back)
		return AGAIN;
	prongi_hand_store(me.seat, PRONGI_IDLE, prongi_spare(me.seat), PRONGI_NONE);
	if (prongi_cell_state(p->cur) == PRONGI_SEALED)
		return PRONG_CLOSED;
	if (!closed)
		return PRONGI_NOTHING;
	/* Who put before this is not stranded, and who is about to will be told. */
	if (!exchange(p->cell, p->cur,
		      prongi_cell(p->turn, prongi_cell_ref(p->cur), PRONGI_SEALED)))
		return AGAIN;
	prongi_queue_tell(&q->ne);
	prongi_queue_tell(&q->nf);
	return PRONG_CLOSED;
}

/* No message is at the place. */
static SELDOM_CALLED int no_message_there(struct prong_queue *q, struct prongi_caller me,
					  struct place p, uint64_t back)
{
	if (hint(&p.ring->head) > p.seq) {
		me.seat->get_at = hint(&p.ring->head);
		return AGAIN;
	}
	if (ahead(&p) > 0) { /* taken by another, who perhaps died before he moved the hint */
		me.seat->get_at = p.seq + 1;
		return AGAIN;
	}
	if (prongi_cell_state(p.cur) == PRONGI_MOVED) {
		go_on(q, &q->get_ring, p.ring);
		return AGAIN;
	}
	return take_nothing(q, me, &p, back);
}

static ALWAYS_INLINE struct prongi_taken ring_take(struct prong_queue *q, struct prongi_caller me,
						   struct prongi_fit fit)
{
	struct prongi_taken t;

	do {
		uint64_t back = back_now(q);
		struct place p;

		if (!usual(!(back & 1))) {
			t = take_back(q, me, fit, back);
			continue;
		}
		p = look(ring_at(&q->get_ring), me.seat->get_at);
		t.ref = prongi_cell_ref(p.cur);
		t.m = prongi_message_at(q, t.ref);
		if (!usual(has_message(&p)))
			t.r = no_message_there(q, me, p, back);
		else if (prongi_refill(q, me.seat))
			t.r = -ENOMEM;
		else
			t.r = take_full(q, me, fit, &p, t.m);
		if (usual(t.r == 0))
			take_done(q, me.seat, &p);
	} while (t.r == AGAIN);
	return t;
}

struct prongi_taken prongi_ring_take(struct prong_queue *q, struct prongi_caller me,
				     struct prongi_fit fit)
{
	return ring_take(q, me, fit);
}

/* --- put and get ---------------------------------------------------------------------------- */

int prong_queue_put(prong_queue *q, const void *data, size_t size, prong_time deadline)
{
	struct prongi_message *m;
	struct prongi_caller me;
	int r = prongi_sit(q, &me);

	if (r)
		return prongi_far_put(q, r, data, size, deadline);
	if (size && !data)
		return prongi_fail(-EINVAL, "queue_put: no data");
	r = prongi_prepare(q, me.seat, size, "queue_put", &m);
	if (r)
		return r;
	if (size)
		memcpy(prongi_data_of(m), data, size);
	r = ring_put(q, me, m);
	if (usual(r == 0))
		return 0;
	r = prongi_wait_to_put(q, me, r, deadline, "queue_put");
	if (r)
		prongi_scrub(m);
	return r;
}

/* What was taken from the ring is the caller's for good. */
static ALWAYS_INLINE void keep(struct prongi_caller me, struct prongi_message *m, uint32_t ref)
{
	/* No fence before the look at nj that follows: see left_of(). */
	prongi_header_store(m, prongi_header(0, me.who, 0, PRONGI_TAKEN));
	prongi_then(); /* the journal is about what has been committed */
	prongi_hand_store(me.seat, PRONGI_IDLE, ref, PRONGI_NONE);
	prongi_scrub(m);
}

int prong_queue_get(prong_queue *q, void *data, size_t size, size_t *got, prong_time deadline)
{
	const struct prongi_fit fit = { got ? 0 : size, size };
	struct prongi_taken taken;
	struct prongi_caller me;
	int r = prongi_sit(q, &me);

	if (r)
		return prongi_far_get(q, r, data, size, got, deadline);
	if (size && !data)
		return prongi_fail(-EINVAL, "queue_get: nowhere to store");
	taken = ring_take(q, me, fit);
	if (!usual(taken.r == 0))
		taken = prongi_wait_to_take(q, me, fit, taken.r, deadline, "queue_get");
	if (taken.r)
		return taken.r;
	prongi_queue_tell(&q->nf);
	size = prongi_size_of(taken.m);
	if (size)
		memcpy(data, prongi_data_of(taken.m), size);
	if (got)
		*got = size;
	if (usual(prongi_from_ring(me.seat)))
		keep(me, taken.m, taken.ref);
	else
		prongi_adopt(q, &me, taken.ref);
	prongi_queue_tell(&q->nj);
	return 0;
}
