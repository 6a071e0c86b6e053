/* Repair of a queue's dead participants, by the rules of family/repair.c: never waits, may be
   killed anywhere and done again.  It moves the dead one's own hand on, as he would have done; what
   he had in hand comes back; and it wakes everybody, for he may have owed a wake that no word
   tells of.  The spare stays in the seat, for the next who sits there.

   A queue may be freed meanwhile by a living member.  So the repairer says in the slot which queue
   it is at, then looks whether that is still there; and who frees one takes its id away, then waits
   for those who are at it. */
#include "flow/queue.h"

static uint64_t header_of(struct prong_queue *q, uint32_t ref)
{
	return prongi_header_load(prongi_message_at(q, ref));
}

/* It was killed while it put mine for theirs.  Only it writes QUEUED with its own number, so
   another header means that the message was taken since. */
static void repair_put(struct prong_queue *q, struct prongi_seat *s, uint32_t who, uint64_t hand)
{
	uint32_t mine = prongi_hand_spare(hand), theirs = prongi_hand_other(hand);
	uint64_t header = header_of(q, mine), cell;
	bool in = !prongi_header_is(header, PRONGI_QUEUED, who);

	if (!in) {
		struct prongi_ring *r = prongi_ring_of(q, prongi_header_seq(header));

		cell = prongi_cell_load(prongi_cell_at(r, prongi_header_seq(header)));
		/* The header after the cell: it may have been taken in between. */
		in = (prongi_cell_ref(cell) == mine && (prongi_cell_state(cell) == PRONGI_FULL ||
							prongi_cell_state(cell) == PRONGI_LAST)) ||
		     header_of(q, mine) != header;
	}
	prongi_hand_store(s, PRONGI_IDLE, in ? theirs : mine, PRONGI_NONE);
}

/* It was killed while it took the other: finish that, if its lease was committed. */
static void repair_get(struct prong_queue *q, struct prongi_seat *s, uint32_t who, uint64_t hand)
{
	uint32_t spare = prongi_hand_spare(hand), ref = prongi_hand_other(hand);
	uint64_t header = header_of(q, ref), seq = prongi_header_seq(header);

	if (prongi_header_is(header, PRONGI_LEASED, who)) {
		struct prongi_ring *r = prongi_ring_of(q, seq);

		prongi_settle(prongi_cell_at(r, seq), prongi_cell_turn(prongi_cell_load(
							      prongi_cell_at(r, seq))),
			      ref, spare);
		spare = PRONGI_NONE;
	} else if (prongi_header_is(header, PRONGI_TAKEN, who)) {
		spare = ref;
	}
	prongi_hand_store(s, PRONGI_IDLE, spare, PRONGI_NONE);
}

static void repair_adopt(struct prong_queue *q, struct prongi_seat *s, uint32_t who, uint64_t hand)
{
	uint32_t ref = prongi_hand_other(hand);

	if (!prongi_header_is(header_of(q, ref), PRONGI_TAKEN, who))
		ref = PRONGI_NONE;
	prongi_hand_store(s, PRONGI_IDLE, ref, PRONGI_NONE);
}

static void repair_hand(struct prong_queue *q, struct prongi_seat *s, uint32_t who)
{
	uint64_t hand = atomic_load_explicit(&s->hand, memory_order_relaxed);

	switch (prongi_hand_op(hand)) {
	case PRONGI_PUT:
		repair_put(q, s, who, hand);
		break;
	case PRONGI_GET:
		repair_get(q, s, who, hand);
		break;
	case PRONGI_ADOPT:
		repair_adopt(q, s, who, hand);
		break;
	case PRONGI_IDLE:
		break;
	}
}

/* What it had leased comes back.  What is back is marked, for it may have died before it did. */
static void give_back(struct prong_queue *q, const struct prongi_caller *dead, uint32_t ref)
{
	uint64_t header = header_of(q, ref);

	if (prongi_header_is(header, PRONGI_LEASED, dead->who)) {
		header = prongi_header_returned(header);
		prongi_header_store(prongi_message_at(q, ref), header);
	}
	if (prongi_header_state(header) == PRONGI_BACK && !PRONGI_MUTANT(114))
		prongi_mark(q, ref);
}

static void wake_everybody(struct prong_queue *q)
{
	/* Whether the bit is there or not: a killed waker may have taken it away, no more. */
	prongi_queue_wake(&q->ne, true);
	prongi_queue_wake(&q->nf, true);
	prongi_queue_wake(&q->nj, true);
}

static void repair_seat(struct prong_queue *q, const struct prongi_caller *dead)
{
	struct prongi_seat *s = dead->seat;

	repair_hand(q, s, dead->who);
	for (int i = 0; i < PRONGI_HOLDS; i++) {
		uint32_t held = atomic_load_explicit(&s->held[i], memory_order_relaxed);

		if (held && prongi_ref_valid(q, held - 1))
			give_back(q, dead, held - 1);
	}
	if (atomic_load_explicit(&s->many, memory_order_relaxed))
		prongi_each_block(q, give_back, dead);
	if (!PRONGI_MUTANT(109))
		prongi_bump_back(q);
	if (!PRONGI_MUTANT(110))
		wake_everybody(q);
}

/* The queue that the entry names, guarded against being freed by its address in *guard; or NULL. */
static struct prong_queue *visit(prongi_word *guard, const struct prongi_seat_of *of)
{
	uint64_t at = atomic_load_explicit(&of->queue, memory_order_relaxed);
	struct prong_queue *q = (struct prong_queue *)(uintptr_t)at;

	if (!at || !prongi_word_valid(at))
		return NULL;
	atomic_store_explicit(guard, at, memory_order_relaxed);
	/* seq_cst: pairs with the fence in wait_for_visitors(): it sees us there, or we see that
	   the id has gone. */
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&q->id, memory_order_relaxed) ==
			       atomic_load_explicit(&of->id, memory_order_relaxed)
		       ? q : NULL;
}

static void repair_queue(struct prong_queue *q, uint64_t dead)
{
	struct prongi_seat *s;

	for (uint32_t i = 0; (s = prongi_seat_at(q, i)) != NULL; i++)
		if (atomic_load_explicit(&s->owner, memory_order_relaxed) == dead)
			repair_seat(q, &(struct prongi_caller){ s, i });
}

/* Of a stopped thread the server says where it is in a word of its own, for the thread may go on,
   end, and be at a queue itself. */
void prongi_queues_repair(struct prongi_slot *slot, uint64_t dead)
{
	prongi_word *guard = dead ? &slot->repairing : &prongi_heap->passing;
	const struct prongi_seat_of *of;

	for (uint64_t i = 0; (of = prongi_seats_of(slot, i)) != NULL; i++) {
		struct prong_queue *q = visit(guard, of);

		if (q && dead)
			repair_queue(q, dead);
		else if (q)
			wake_everybody(q);
	}
	/* release: pairs with the acquire in wait_while(): we have done with it. */
	atomic_store_explicit(guard, 0, memory_order_release);
}
