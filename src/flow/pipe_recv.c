/* Receiving.  A small message is copied out of the ring, and then the head moves: that is the
   receiving.  Of a large one the head moves first, and `in' keeps its block until that has been
   copied and freed, or handed over. */
#include "flow/outer.h"
#include "flow/pipe.h"
#include "family/cancel.h"
#include <errno.h>

struct record {
	enum prongi_record kind;
	size_t size;
	uint64_t at;	/* position */
	uint64_t block; /* of a large one */
};

static uint64_t head_of(const struct prongi_lane *l)
{
	return prongi_position(atomic_load_explicit(&l->head, memory_order_relaxed));
}

/* seq_cst: pairs with the steps in pipe_fd.c, and with the sleeper's announcement. */
static bool offered(const struct prongi_lane *l)
{
	return (atomic_load_explicit(&l->offer, memory_order_seq_cst) & 7) != PRONGI_OFFER_NONE;
}

/* There is something to receive. */
static bool something(const struct prongi_lane *l, uint64_t word, uint64_t unused)
{
	(void)unused;
	return prongi_position(word) != head_of(l) || offered(l);
}

static bool has_message(struct prongi_lane *l)
{
	if (l->tail_seen == head_of(l))
		/* acquire: pairs with prongi_lane_move(): the record can be read. */
		l->tail_seen = prongi_position(
			atomic_load_explicit(&l->tail, memory_order_acquire));
	return l->tail_seen != head_of(l);
}

/* Out of the ring, from byte `at' on. */
static void read_ring(const struct prongi_lane *l, uint64_t at, void *data, size_t size)
{
	uint64_t bytes = l->units * PRONGI_UNIT, begin = at & (bytes - 1);
	size_t first = size < bytes - begin ? size : bytes - begin;

	memcpy(data, l->ring + begin, first);
	if (size > first)
		memcpy((char *)data + first, l->ring, size - first);
}

/* The next record; there is one. */
static struct record look(const struct prongi_lane *l)
{
	uint64_t word[2];
	struct record m;

	m.at = head_of(l);
	read_ring(l, m.at * PRONGI_UNIT, word, sizeof word);
	m.kind = word[0] % 4;
	m.size = (size_t)(word[0] >> 2);
	m.block = m.kind == PRONGI_LARGE ? word[1] : 0;
	return m;
}

/* The next message is the caller's, or at least nobody else's. */
static void take(struct prongi_lane *l, const struct record *m)
{
	prongi_lane_move(&l->head, m->at + prongi_lane_span(l, m->size));
}

/* Say that the message's block is in, and take it.  Until the head moves, that means nothing. */
static void take_block(struct prongi_lane *l, const struct record *m)
{
	atomic_store_explicit(&l->in_at, m->at, memory_order_relaxed);
	prongi_then();
	if (PRONGI_MUTANT(142))
		take(l, m);
	atomic_store_explicit(&l->in, m->block, memory_order_relaxed);
	if (!PRONGI_MUTANT(142))
		take(l, m);
}

bool prongi_lane_skip(struct prongi_lane *l)
{
	struct record m;

	if (!has_message(l))
		return false;
	m = look(l);
	if (m.kind == PRONGI_LARGE) {
		take_block(l, &m);
		prong_free_at((void **)&l->in);
	} else {
		take(l, &m);
	}
	return true;
}

/* --- the common beginning ------------------------------------------------------------------ */

int prongi_lane_recv_fail(int r, const char *what)
{
	if (r == PRONG_TIMEDOUT || r == PRONG_CANCELLED)
		return prongi_gave_up(r, what, "no message until the deadline");
	if (r == PRONG_CLOSED)
		return prongi_fail(r, "%s: the other end is closed, or this one was freed", what);
	if (r == -EBADMSG)
		return prongi_fail(r, "%s: the next message is of the other kind", what);
	return r;
}

int prongi_lane_recv_check(const struct prong_conn *c, const char *what)
{
	int r = prongi_conn_check(c, what);

	if (r == 0 && !c->in)
		r = prongi_fail(-EBADF, "%s: this end only sends", what);
	return r;
}

/* There was no message, but an offer. */
static int what_is_offered(const struct prong_conn *c)
{
	bool gone = prongi_conn_closed(c->other);

	if (has_message(c->in))
		return 0;
	return gone ? PRONG_CLOSED : -EBADMSG;
}

int prongi_lane_recv_next(const struct prong_conn *c, prong_time deadline)
{
	struct prongi_lane *l = c->in;
	const struct prongi_lane_wait w = { c, l, &l->tail, something, 0, &l->receiver_misses };
	int r = prongi_lane_recv_begin(l, deadline);

	if (r)
		return r;
	if (prongi_conn_freed(c))
		r = PRONG_CLOSED;
	else if (!has_message(l))
		r = prongi_lane_await(&w, deadline);
	if (r == 0 && !has_message(l))
		r = what_is_offered(c);
	if (r && r != -EBADMSG)
		prongi_conn_leave(c, &l->receiving);
	return r;
}

/* The next record, with the lane held; or not held, and why. */
static int begin(const struct prong_conn *c, struct record *m, const char *what,
		 prong_time deadline)
{
	int r = prongi_lane_recv_next(c, deadline);

	if (r == 0)
		*m = look(c->in);
	if (r == -EBADMSG)
		prongi_conn_leave(c, &c->in->receiving);
	return r ? prongi_lane_recv_fail(r, what) : 0;
}

/* --- into the caller's memory -------------------------------------------------------------- */

static void copy_out(struct prongi_lane *l, const struct record *m, void *data)
{
	if (m->kind == PRONGI_LARGE) {
		take_block(l, m); /* first: the sender may go on meanwhile */
		memcpy(data, (const void *)(uintptr_t)m->block, m->size);
		prong_free_at((void **)&l->in);
		return;
	}
	if (m->size)
		read_ring(l, m->at * PRONGI_UNIT + sizeof(uint64_t), data, m->size);
	take(l, m);
}

int prong_conn_recv(prong_conn *c, void *data, size_t size, size_t *got, prong_time deadline)
{
	const struct prongi_outer *o = prongi_outer(c);
	struct record m;
	int r;

	if (o)
		return prongi_outer_ops(o)->recv(o->self, data, size, got, deadline);
	r = prongi_lane_recv_check(c, "conn_recv");
	if (r == 0 && !data && size)
		r = prongi_fail(-EFAULT, "conn_recv: data is NULL, and size is not 0");
	if (r)
		return r;
	r = begin(c, &m, "conn_recv", deadline);
	if (r)
		return r;
	if (m.size > size || (!got && m.size != size))
		r = prongi_fail(-EMSGSIZE, "conn_recv: the message has %zu bytes, not %zu", m.size,
				size);
	else
		copy_out(c->in, &m, data);
	prongi_conn_leave(c, &c->in->receiving);
	if (r == 0 && got)
		*got = m.size;
	return r;
}

/* --- as a block ---------------------------------------------------------------------------- */

/* A small message as a block of its own, which is in. */
static int copy_in(struct prongi_lane *l, struct record *m)
{
	int r;

	atomic_store_explicit(&l->in_at, m->at, memory_order_relaxed);
	prongi_then(); /* before it is in */
	r = prongi_alloc_to((void **)&l->in, m->size, false);
	if (r)
		return r;
	m->block = atomic_load_explicit(&l->in, memory_order_relaxed);
	if (m->size)
		read_ring(l, m->at * PRONGI_UNIT + sizeof(uint64_t),
			  (void *)(uintptr_t)m->block, m->size);
	take(l, m);
	return 0;
}

/* The block that is in becomes the caller's: in one step where the heap tells who is the caller. */
static void hand_over(struct prongi_lane *l, void **data, uint64_t block)
{
	if (!prongi_word_valid((uintptr_t)data)) {
		atomic_store_explicit(&l->in, 0, memory_order_relaxed);
		*data = (void *)(uintptr_t)block;
		return;
	}
	prongi_begin(&prongi_heap->pipes.lock);
	prongi_set(&l->in, 0);
	prongi_set((prongi_word *)(void *)data, block);
	prongi_commit();
	prongi_end(&prongi_heap->pipes.lock);
}

int prong_conn_recv_take(prong_conn *c, void **data, size_t *size, prong_time deadline)
{
	const struct prongi_outer *o = prongi_outer(c);
	struct record m;
	int r;

	if (o)
		return prongi_outer_ops(o)->recv_take(o->self, data, size, deadline);
	r = prongi_lane_recv_check(c, "conn_recv_take");
	if (r == 0 && (!data || !size))
		r = prongi_fail(-EINVAL, "conn_recv_take: data or size is NULL");
	if (r)
		return r;
	r = begin(c, &m, "conn_recv_take", deadline);
	if (r)
		return r;
	if (m.kind == PRONGI_LARGE)
		take_block(c->in, &m);
	else
		r = copy_in(c->in, &m);
	if (r == 0)
		hand_over(c->in, data, m.block);
	prongi_conn_leave(c, &c->in->receiving);
	if (r == 0)
		*size = m.size;
	return r;
}

/* --- for prong_wait() ---------------------------------------------------------------------- */

bool prongi_conn_ready(const struct prong_conn *c)
{
	/* In this order: what the other side sent, it sent before it ended. */
	bool gone = prongi_conn_gone(c->other, NULL);

	/* acquire: pairs with prongi_lane_move(). */
	return gone || prongi_conn_freed(c) ||
	       something(c->in, atomic_load_explicit(&c->in->tail, memory_order_acquire), 0);
}

size_t prongi_conn_arm(const struct prong_conn *c, struct prongi_awaited *a)
{
	prongi_word *word = &c->in->tail;
	/* seq_cst: pairs with prongi_lane_move(), as in sleep_on(). */
	uint64_t v = atomic_fetch_or_explicit(word, PRONGI_SLEEPER, memory_order_seq_cst);

	a[0] = (struct prongi_awaited){ prongi_low(word), (uint32_t)(v | PRONGI_SLEEPER), true };
	return prongi_conn_gone(c->other, &a[1]) || !a[1].word ? 1 : 2;
}

size_t prongi_conn_arm_taken(const struct prong_conn *c, struct prongi_awaited *a)
{
	prongi_word *word = &c->in->head;
	/* seq_cst: as in prongi_conn_arm(). */
	uint64_t v = atomic_fetch_or_explicit(word, PRONGI_SLEEPER, memory_order_seq_cst);

	a[0] = (struct prongi_awaited){ prongi_low(word), (uint32_t)(v | PRONGI_SLEEPER), true };
	return 1;
}
