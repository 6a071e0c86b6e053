/* The line of what a pool has to do.  See todo.h for the idea.

   What makes it sound: entries are taken in the order of seq, since nobody takes one before he has
   seen the one before it taken.  So a cell that is empty at the place to get means an empty line,
   and one that still has the entry of the turn before, at the place to put, means a full ring.

   tail and head are hints that only grow, and move once in a line of cells: a search goes on from
   there. */
#include "pool/todo.h"
#include "flow/queue.h"
#include <errno.h>
#include <limits.h>

#define FIRST_SHIFT 6
#define SELDOM      8 /* cells in a line */

enum {
	AGAIN = -10001
};

enum state {
	EMPTY = 0,
	FULL,
	LAST, /* full; when this is taken, the ring has ended */
	MOVED /* empty, and stays so: go on in the next ring */
};

static void **place_of(prongi_word *word)
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

static uint64_t cell_of(uint32_t turn, uint32_t index, enum state state)
{
	return (uint64_t)turn << 32 | (uint64_t)index << 3 | state;
}

static uint32_t index_of(uint64_t cell)
{
	return (uint32_t)cell >> 3;
}

/* --- places --------------------------------------------------------------------------------- */

/* A place in a ring, and what its cell held. */
struct place {
	struct prongi_todo_ring *ring;
	prongi_word *cell;
	uint64_t seq, cur;
	uint32_t turn;
};

static struct prongi_todo_ring *ring_at(const struct prongi_todo *t, const prongi_word *number)
{
	/* acquire: pairs with go_on(): the ring's base is seen. */
	uint64_t i = atomic_load_explicit(number, memory_order_acquire);

	return (struct prongi_todo_ring *)(uintptr_t)prongi_align64(get(&t->ring[i]));
}

/* The ring r has ended: use the next one. */
static void go_on(prongi_word *number, const struct prongi_todo_ring *r)
{
	uint64_t have = r->index;

	/* acq_rel: pairs with ring_at(). */
	atomic_compare_exchange_strong_explicit(number, &have, have + 1, memory_order_acq_rel,
						memory_order_relaxed);
}

/* The place seq, but not before the ring's first. */
static struct place look(struct prongi_todo_ring *r, uint64_t seq)
{
	uint64_t base = get(&r->base), at = seq > base ? seq - base : 0;
	prongi_word *cell = &r->cell[at & (((uint64_t)1 << r->shift) - 1)];

	/* acquire: pairs with exchange(): the record, and the next ring, are seen. */
	return (struct place){ r, cell, base + at, atomic_load_explicit(cell, memory_order_acquire),
			       (uint32_t)(at >> r->shift) };
}

/* How many turns the cell is ahead of the place. */
static int32_t ahead(const struct place *p)
{
	return (int32_t)((uint32_t)(p->cur >> 32) - p->turn);
}

static enum state state_of(uint64_t cell)
{
	return (enum state)(cell & 7);
}

static bool is_full(uint64_t cell)
{
	return state_of(cell) == FULL || state_of(cell) == LAST;
}

/* seq_cst: pairs with look(), and with prongi_todo_listen(), by the look at the word that follows a
   put. */
static bool exchange(const struct place *p, uint64_t to)
{
	uint64_t from = p->cur;

	return atomic_compare_exchange_strong_explicit(p->cell, &from, to, memory_order_seq_cst,
						       memory_order_relaxed);
}

static void raise_hint(prongi_word *word, uint64_t seq)
{
	uint64_t have = get(word);

	while (have < seq && !atomic_compare_exchange_weak_explicit(
				     word, &have, seq, memory_order_relaxed, memory_order_relaxed))
		;
}

/* The first place whose entry has not been taken; its cell is empty when there is none. */
static struct place first(struct prongi_todo *t)
{
	struct prongi_todo_ring *r = ring_at(t, &t->get_ring);
	struct place p = look(r, get(&r->head));

	for (;;) {
		if (ahead(&p) > 0) {
			p = look(r, p.seq + 1);
		} else if (ahead(&p) == 0 && state_of(p.cur) == MOVED) {
			go_on(&t->get_ring, r);
			r = ring_at(t, &t->get_ring);
			p = look(r, get(&r->head));
		} else {
			return p;
		}
	}
}

/* --- growth --------------------------------------------------------------------------------- */

static prongi_word *lock_of(const struct prongi_todo *t)
{
	return &prongi_heap->locks[(uintptr_t)t / 64 % PRONGI_LOCKS].lock;
}

static void make(uint64_t at, uint64_t index)
{
	struct prongi_todo_ring *r = (struct prongi_todo_ring *)(uintptr_t)at;

	r->index = index;
	r->shift = FIRST_SHIFT + index;
}

/* Have the ring with that number. */
static int provide(struct prongi_todo *t, uint64_t index)
{
	prongi_word *offer = &prongi_self.slot->offer;
	uint64_t cells = (uint64_t)1 << (FIRST_SHIFT + index);
	int r;

	if (get(&t->ring[index]))
		return 0;
	prong_free_at(place_of(offer)); /* what a dead owner of the slot left */
	r = prong_alloc_to(place_of(offer), 63 + sizeof(struct prongi_todo_ring) + cells * 8);
	if (r)
		return r;
	make(prongi_align64(get(offer)), index);
	prongi_begin(lock_of(t));
	if (!prongi_get(&t->ring[index])) {
		prongi_set(&t->ring[index], prongi_get(offer));
		prongi_set(offer, 0);
		prongi_commit();
	}
	prongi_end(lock_of(t));
	return prong_free_at(place_of(offer)); /* another was quicker */
}

/* With the lock: mark the entry in the way as the ring's last, if it is still there.  While the
   cell is what it was the ring is full at p, and the next not in use. */
static void end_ring(struct prongi_todo *t, const struct place *p)
{
	uint64_t at = prongi_align64(get(&t->ring[p->ring->index + 1]));
	struct prongi_todo_ring *next = (struct prongi_todo_ring *)(uintptr_t)at;

	if (get(p->cell) != p->cur)
		return;
	set(&next->base, p->seq);
	set(&next->tail, p->seq);
	set(&next->head, p->seq);
	(void)exchange(p, (p->cur & ~(uint64_t)7) | LAST);
}

static int grow(struct prongi_todo *t, const struct place *p)
{
	uint64_t index = p->ring->index + 1;
	int r;

	if (index == PRONGI_TODO_RINGS)
		return prongi_fail(-ENOMEM, "pool: too many tasks wait");
	r = provide(t, index);
	if (r)
		return r;
	prongi_begin(lock_of(t));
	end_ring(t, p);
	prongi_end(lock_of(t));
	return AGAIN;
}

/* --- putting -------------------------------------------------------------------------------- */

/* True when as many wait as may. */
static bool over_limit(struct prongi_todo *t, uint64_t seq)
{
	return t->limit && seq - get(&ring_at(t, &t->get_ring)->head) >= t->limit &&
	       seq - first(t).seq >= t->limit;
}

/* There is no room at the place: *seq is where to look next. */
static int no_room_there(struct prongi_todo *t, const struct place *p, uint64_t *seq)
{
	bool now = ahead(p) == 0;

	if ((now && state_of(p->cur) == MOVED) || (ahead(p) < 0 && state_of(p->cur) == LAST))
		go_on(&t->put_ring, p->ring);
	else if (ahead(p) < 0)
		return grow(t, p);
	else
		*seq = p->seq + 1;
	return AGAIN;
}

static int try_put(struct prongi_todo *t, uint32_t index, uint64_t *seq)
{
	struct prongi_todo_ring *r = ring_at(t, &t->put_ring);
	uint64_t tail = get(&r->tail);
	struct place p = look(r, tail > *seq ? tail : *seq);

	if (ahead(&p) != 0 || state_of(p.cur) != EMPTY)
		return no_room_there(t, &p, seq);
	if (over_limit(t, p.seq))
		return PRONG_FULL;
	if (!exchange(&p, cell_of(p.turn, index, FULL)))
		return AGAIN;
	if ((p.seq + 1) % SELDOM == 0)
		raise_hint(&r->tail, p.seq + 1);
	return 0;
}

_Thread_local bool prongi_todo_woke;

/* Return how many there were. */
static int wake_one(struct prongi_todo *t)
{
	uint32_t bits = atomic_load_explicit(&t->newest, memory_order_relaxed);

	if (bits) {
		atomic_store_explicit(&t->newest, 0, memory_order_relaxed);
		if (prongi_os_wake_as(&t->word, bits, true))
			return 1;
	}
	return prongi_os_wake(&t->word, 1, true);
}

static void wake(struct prongi_todo *t)
{
	int woken;

	/* seq_cst: pairs with prongi_todo_listen(). */
	uint32_t v = atomic_load_explicit(&t->word, memory_order_seq_cst);

	while ((v & 1) && !atomic_compare_exchange_weak_explicit(
				  &t->word, &v, v + 2, memory_order_seq_cst, memory_order_seq_cst))
		;
	if (!(v & 1))
		return;
	v += 2;
	/* None: nobody is left, but for who has changed the word since. */
	woken = wake_one(t);
	prongi_todo_woke |= woken > 0;
	if (!woken)
		atomic_compare_exchange_strong_explicit(&t->word, &v, v & ~(uint32_t)1,
							memory_order_relaxed, memory_order_relaxed);
}

int prongi_todo_put(struct prongi_todo *t, uint32_t index)
{
	uint64_t seq = 0;
	int r;

	do
		r = try_put(t, index, &seq);
	while (r == AGAIN);
	if (r == 0)
		wake(t);
	return r;
}

/* --- getting -------------------------------------------------------------------------------- */

bool prongi_todo_get(struct prongi_todo *t, prongi_word *journal, uint32_t *index)
{
	for (;;) {
		struct place p = first(t);
		enum state then = state_of(p.cur) == LAST && !PRONGI_MUTANT(155) ? MOVED : EMPTY;

		if (!is_full(p.cur))
			break;
		*index = index_of(p.cur);
		if (!PRONGI_MUTANT(150))
			set(journal, *index + 1);
		prongi_then(); /* who takes it out is found by that */
		if (!exchange(&p, cell_of(p.turn + 1, 0, then)))
			continue;
		if (PRONGI_MUTANT(150))
			set(journal, *index + 1);
		if ((p.seq + 1) % SELDOM == 0)
			raise_hint(&p.ring->head, p.seq + 1);
		return true;
	}
	set(journal, 0);
	return false;
}

bool prongi_todo_any(struct prongi_todo *t)
{
	return is_full(first(t).cur);
}

/* --- sleeping ------------------------------------------------------------------------------- */

uint32_t prongi_todo_listen(struct prongi_todo *t, uint32_t bits)
{
	uint32_t v = atomic_load_explicit(&t->word, memory_order_relaxed);

	atomic_store_explicit(&t->newest, bits, memory_order_relaxed);
	/* seq_cst: pairs with wake(): either it sees the bit, or the look that follows sees what
	   was put. */
	while (!atomic_compare_exchange_weak_explicit(&t->word, &v, (v + 2) | 1,
						      memory_order_seq_cst, memory_order_relaxed))
		;
	atomic_thread_fence(memory_order_seq_cst);
	return (v + 2) | 1;
}

void prongi_todo_rouse(struct prongi_todo *t)
{
	/* Always changed: who is about to sleep may have looked before what he is to see. */
	/* seq_cst: as in wake(). */
	atomic_fetch_add_explicit(&t->word, 2, memory_order_seq_cst);
	prongi_os_wake(&t->word, INT_MAX, true);
}

/* --- beginning and end ---------------------------------------------------------------------- */

int prongi_todo_init(struct prongi_todo *t, uint64_t limit)
{
	t->limit = limit;
	return provide(t, 0);
}

void prongi_todo_fini(struct prongi_todo *t)
{
	for (int i = 0; i < PRONGI_TODO_RINGS; i++)
		prong_free_at(place_of(&t->ring[i]));
}
