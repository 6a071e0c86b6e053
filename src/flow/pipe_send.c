/* Sending.  The record is written where nobody looks yet, and then the tail moves: that is the
   sending.  A large message is written into a block of its own first, which `out' keeps until it
   has been sent. */
#include "flow/outer.h"
#include "flow/pipe.h"
#include "family/cancel.h"
#include <errno.h>

static uint64_t tail_of(const struct prongi_lane *l)
{
	return prongi_position(atomic_load_explicit(&l->tail, memory_order_relaxed));
}

static bool large(const struct prongi_lane *l, size_t size)
{
	return size > l->units * PRONGI_UNIT / 4;
}

static bool room(const struct prongi_lane *l, uint64_t word, uint64_t span)
{
	return tail_of(l) + span - prongi_position(word) <= l->units;
}

/* There is room; without a look at the receiver's line, if that is known. */
static bool has_room(struct prongi_lane *l, uint64_t span)
{
	uint64_t head;

	if (tail_of(l) + span - l->head_seen <= l->units)
		return true;
	/* acquire: pairs with prongi_lane_move(): what was there has been read. */
	head = atomic_load_explicit(&l->head, memory_order_acquire);
	l->head_seen = prongi_position(head);
	return room(l, head, span);
}

static int await_room(const struct prong_conn *c, uint64_t span, prong_time deadline)
{
	const struct prongi_lane_wait w = { c, c->out, &c->out->head, room, span,
					    &c->out->sender_misses };

	if (prongi_conn_closed(c->other))
		return PRONG_CLOSED;
	return has_room(c->out, span) ? 0 : prongi_lane_await(&w, deadline);
}

/* Into the ring, from byte `at' on. */
static void write_ring(struct prongi_lane *l, uint64_t at, const void *data, size_t size)
{
	uint64_t bytes = l->units * PRONGI_UNIT, begin = at & (bytes - 1);
	size_t first = size < bytes - begin ? size : bytes - begin;

	memcpy(l->ring + begin, data, first);
	if (size > first)
		memcpy(l->ring, (const char *)data + first, size - first);
}

static int send_small(const struct prong_conn *c, const void *data, size_t size,
		      prong_time deadline)
{
	struct prongi_lane *l = c->out;
	uint64_t span = prongi_lane_span(l, size), at = tail_of(l) * PRONGI_UNIT, begin;
	int r = await_room(c, span, deadline);

	if (r)
		return r;
	begin = (uint64_t)size << 2 | PRONGI_SMALL;
	write_ring(l, at, &begin, sizeof begin);
	if (size)
		write_ring(l, at + sizeof begin, data, size);
	prongi_lane_move(&l->tail, at / PRONGI_UNIT + span);
	return 0;
}

/* The block is filled before there is room, while the receiver may be busy with the last one. */
static int send_large(const struct prong_conn *c, const void *data, size_t size,
		      prong_time deadline)
{
	struct prongi_lane *l = c->out;
	uint64_t span = prongi_lane_span(l, size), tail = tail_of(l), record[2];
	int r;

	if (prongi_conn_closed(c->other))
		return PRONG_CLOSED;
	if (deadline.ns_ <= PRONG_NOW.ns_ && !has_room(l, span))
		return PRONG_TIMEDOUT;
	atomic_store_explicit(&l->out_at, tail, memory_order_relaxed);
	prongi_then(); /* before it is out */
	r = prongi_alloc_to((void **)&l->out, size, false);
	if (r)
		return r;
	record[0] = (uint64_t)size << 2 | PRONGI_LARGE;
	record[1] = atomic_load_explicit(&l->out, memory_order_relaxed);
	memcpy((void *)(uintptr_t)record[1], data, size);
	r = await_room(c, span, deadline);
	if (r) {
		prong_free_at((void **)&l->out);
		return r;
	}
	write_ring(l, tail * PRONGI_UNIT, record, sizeof record);
	if (PRONGI_MUTANT(141))
		atomic_store_explicit(&l->out, 0, memory_order_relaxed);
	prongi_lane_move(&l->tail, tail + span);
	prongi_then(); /* it is the record's before it ceases to be ours */
	atomic_store_explicit(&l->out, 0, memory_order_relaxed);
	return 0;
}

static int check(const struct prong_conn *c, const void *data, size_t size)
{
	int r = prongi_conn_check(c, "conn_send");

	if (r)
		return r;
	if (!c->out)
		return prongi_fail(-EBADF, "conn_send: this end only receives");
	if (!data && size)
		return prongi_fail(-EFAULT, "conn_send: data is NULL, and size is not 0");
	if (size > PTRDIFF_MAX)
		return prongi_fail(-ENOMEM, "conn_send: a message of %zu bytes", size);
	return 0;
}

static int explain(int r)
{
	if (r == PRONG_TIMEDOUT || r == PRONG_CANCELLED)
		return prongi_gave_up(r, "conn_send", "the line was full until the deadline");
	if (r == PRONG_CLOSED)
		return prongi_fail(r, "conn_send: the other end is closed, or this one was freed");
	return r;
}

int prong_conn_send(prong_conn *c, const void *data, size_t size, prong_time deadline)
{
	const struct prongi_outer *o = prongi_outer(c);
	int r = o ? 0 : check(c, data, size);

	if (o)
		return prongi_outer_ops(o)->send(o->self, data, size, deadline);
	if (r)
		return r;
	r = prongi_lane_send_begin(c->out, deadline);
	if (r)
		return explain(r);
	if (prongi_conn_freed(c)) /* while the caller waited for its turn */
		r = PRONG_CLOSED;
	else
		r = large(c->out, size) ? send_large(c, data, size, deadline)
					: send_small(c, data, size, deadline);
	prongi_conn_leave(c, &c->out->sending);
	return r ? explain(r) : 0;
}
