/* How the calls of prong_queue wait, and those that have a message in hand.  The ring itself, put
   and get are in queue_ring.c; queues come and go in queue_life.c. */
#include "flow/queue.h"
#include "family/cancel.h"
#include <errno.h>

/* Who waits awake counts in pauses of the processor. */
#define AWAKE        2200 /* in all, before a sleep */
#define PAUSES       64   /* between two looks, at the most */
#define GATHER       256  /* before the first look for messages that come quickly, at the most */
#define GATHER_LEAST 16
#define QUICK        25  /* one in so many pauses */
#define ROOM         256 /* places that are waited for, at the most */

_Thread_local bool prongi_has_put;

static void **place(prongi_word *word)
{
	return (void **)(uintptr_t)word;
}

/* --- waking --------------------------------------------------------------------------------- */

void prongi_queue_wake(_Atomic uint32_t *word, bool always)
{
	/* seq_cst: pairs with prongi_queue_listen(). */
	uint32_t v = atomic_load_explicit(word, memory_order_seq_cst);

	while (always || (v & 1))
		if (atomic_compare_exchange_weak_explicit(word, &v, prongi_queue_told(v),
							  memory_order_seq_cst,
							  memory_order_seq_cst)) {
			prongi_os_wake(word, 0x7fffffff, true);
			return;
		}
}

/* --- waiting -------------------------------------------------------------------------------- */

static unsigned least_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* What a call tries to do, until it does not return PRONGI_NOTHING any more. */
struct attempt {
	struct prong_queue *q;
	struct prongi_caller me;
	struct prongi_fit fit;
	struct prongi_taken *taken;
	_Atomic uint32_t *word; /* that tells of a change */
	int (*once)(const struct attempt *a);
};

static int try_put(const struct attempt *a)
{
	return prongi_ring_put(a->q, a->me, prongi_message_at(a->q, prongi_spare(a->me.seat)));
}

static int try_take(const struct attempt *a)
{
	*a->taken = prongi_ring_take(a->q, a->me, a->fit);
	return a->taken->r;
}

/* A look fetches the line that the other side is about to change, and holds it up: so looks are few
   while much is going on.

   Of a wait for a message, the pauses before its first look.  While messages come quickly some are
   let gather, more as long as that many come; no more than the queue can hold.  Who has put
   something since is given no time: it may be waiting for the answer. */
static unsigned gather(const struct attempt *a)
{
	struct prongi_seat *s = a->me.seat;
	unsigned most = least_of(prongi_ring_limit(a->q) / 4 + 1, GATHER);
	uint64_t came = s->get_at - s->waited_at;

	s->waited_at = s->get_at;
	if (prongi_has_put) {
		prongi_has_put = false;
		return 1;
	}
	s->gather = came * QUICK >= s->gather ? s->gather * 2 : s->gather / 2;
	if (s->gather < GATHER_LEAST)
		s->gather = GATHER_LEAST;
	return s->gather = least_of(s->gather, most);
}

/* Of a wait for room, the further places that are waited for: what is in the queue has to be worked
   off first, so there is time. */
static unsigned room(const struct attempt *a)
{
	return least_of(prongi_ring_limit(a->q) / 4, ROOM);
}

/* Wait awake, for as long as a sleep would cost. */
static int spin(const struct attempt *a)
{
	unsigned first = a->taken ? gather(a) : 1, places = a->taken ? 0 : room(a);
	int r = PRONGI_NOTHING;

	for (unsigned done = 0; done < AWAKE && r == PRONGI_NOTHING && prongi_spins;) {
		unsigned pause = done < first ? first : least_of(first + done / 8, PAUSES);

		for (unsigned k = 0; k < pause; k++)
			prongi_os_pause();
		done += pause;
		if (!places || done >= AWAKE || prongi_ring_has_room(a->q, a->me, places))
			r = a->once(a);
	}
	return r;
}

/* The counted writers have gone: take what they left. */
static int last_words(const struct attempt *a)
{
	int r = a->once(a);

	return r == PRONGI_NOTHING ? PRONG_CLOSED : r;
}

static enum prongi_writers writers(const struct attempt *a)
{
	return a->taken ? prongi_queue_writers(&a->q->head) : PRONGI_WRITERS_NEVER;
}

/* Sleep while the word is v; who waits for a message, also until a counted writer has gone. */
static int sleep_while(const struct attempt *a, uint32_t v, prong_time deadline)
{
	struct prongi_awaited both[3] = { { a->word, v, true }, prongi_ends() };
	int r;

	switch (writers(a)) {
	case PRONGI_WRITERS_GONE:
		return last_words(a);
	case PRONGI_WRITERS_SOME:
		r = prongi_sleep_any(both, 2, deadline);
		break;
	default:
		r = prongi_sleep(a->word, v, deadline, true);
	}
	return r ? r : PRONGI_NOTHING;
}

static int sleep_once(const struct attempt *a, prong_time deadline)
{
	uint32_t v = prongi_queue_listen(a->word);
	int r = a->once(a);

	return r == PRONGI_NOTHING ? sleep_while(a, v, deadline) : r;
}

/* Until it is done, the deadline has passed, or the caller is cancelled. */
static int wait_for(const struct attempt *a, prong_time deadline)
{
	int r;

	if (deadline.ns_ <= 0)
		return writers(a) == PRONGI_WRITERS_GONE ? last_words(a) : PRONG_TIMEDOUT;
	r = spin(a);
	/* For who frees the queue: somebody sleeps here. */
	atomic_store_explicit(&a->me.seat->asleep, 1, memory_order_relaxed);
	while (r == PRONGI_NOTHING)
		r = sleep_once(a, deadline);
	atomic_store_explicit(&a->me.seat->asleep, 0, memory_order_relaxed);
	return r;
}

/* --- messages ------------------------------------------------------------------------------- */

/* m, the caller's spare, gets a block of its own for size bytes. */
static int allocate(struct prong_queue *q, struct prongi_message *m, size_t size)
{
	int r;

	atomic_store_explicit(&q->large, 1, memory_order_relaxed);
	atomic_store_explicit(&m->data[0], 0, memory_order_relaxed);
	prongi_then(); /* what size says is by reference, is */
	atomic_store_explicit(&m->size, size | PRONGI_BY_REFERENCE, memory_order_relaxed);
	prongi_then();
	r = prongi_alloc_to(place(&m->data[0]), size, false);
	if (r)
		atomic_store_explicit(&m->size, 0, memory_order_relaxed);
	return r;
}

static int check_put(const struct prong_queue *q, size_t size, const char *what)
{
	if (size > q->most)
		return prongi_fail(-EMSGSIZE, "%s: %zu bytes; the queue's max_size is %llu", what,
				   size, (unsigned long long)q->most);
	if (size >= PRONGI_BY_REFERENCE)
		return prongi_fail(-ENOMEM, "%s: no %zu bytes", what, size);
	return 0;
}

int prongi_prepare_large(struct prong_queue *q, struct prongi_message *m, size_t size,
			 const char *what)
{
	int r = check_put(q, size, what);

	return r ? r : allocate(q, m, size);
}

static int blocked(int r, const char *what, const char *why)
{
	return r > 0 ? prongi_gave_up(r, what, why) : r;
}

int prongi_wait_to_put(struct prong_queue *q, struct prongi_caller me, int r, prong_time deadline,
		       const char *what)
{
	const struct attempt a = { .q = q, .me = me, .word = &q->nf, .once = try_put };

	if (r == PRONGI_NOTHING)
		r = wait_for(&a, deadline);
	return r ? blocked(r, what, r == PRONG_CLOSED ? "the queue is closed" : "it is full") : 0;
}

struct prongi_taken prongi_wait_to_take(struct prong_queue *q, struct prongi_caller me,
					struct prongi_fit fit, int r, prong_time deadline,
					const char *what)
{
	struct prongi_taken t = { NULL, 0, r };
	const struct attempt a = {
		.q = q, .me = me, .fit = fit, .taken = &t, .word = &q->ne, .once = try_take
	};

	if (r == PRONGI_NOTHING)
		r = wait_for(&a, deadline);
	t.r = r;
	if (r == -EMSGSIZE)
		prongi_fail(r, "%s: the next message is %s", what,
			    fit.least == fit.most ? "of another size" : "too large");
	else if (r)
		blocked(r, what, r == PRONG_CLOSED ? "the queue is closed" : "it is empty");
	return t;
}

/* --- messages in hand ----------------------------------------------------------------------- */

/* The seat may hold the block: repair will look there. */
static void hold(struct prongi_seat *s, uint32_t ref)
{
	for (int i = 1; i < PRONGI_HOLDS; i++)
		if (!atomic_load_explicit(&s->held[i], memory_order_relaxed)) {
			atomic_store_explicit(&s->held[i], ref + 1, memory_order_relaxed);
			prongi_then();
			return;
		}
	atomic_store_explicit(&s->many, 1, memory_order_relaxed);
	prongi_then();
}

static void in_hand(struct prongi_message *block, uint32_t ref, uint64_t header, prong_message *m)
{
	m->data = prongi_data_of(block);
	m->size = prongi_size_of(block);
	m->tries = prongi_header_tries(header) + 1;
	m->block_ = ref;
	m->hold_ = header;
}

/* The message that m names, in the caller's hands in that state; or an error. */
static int held(struct prong_queue *q, const prong_message *m, const struct prongi_caller *me,
		enum prongi_state_of_block state, const char *what)
{
	if (!m)
		return prongi_fail(-EINVAL, "%s: no message", what);
	if (!prongi_header_is(m->hold_, state, me->who) || !prongi_ref_valid(q, m->block_) ||
	    prongi_header_load(prongi_message_at(q, m->block_)) != m->hold_)
		return prongi_fail(-EPERM, "%s: the thread has not got it in hand", what);
	return 0;
}

int prong_queue_reserve(prong_queue *q, size_t size, prong_message *m)
{
	struct prongi_caller me;
	struct prongi_message *block;
	uint64_t ticket, header;
	uint32_t ref;
	int r = prongi_sit(q, &me);

	if (r)
		return prongi_far_cannot(r, "queue_reserve");
	if (!m)
		return prongi_fail(-EINVAL, "queue_reserve: nowhere to store");
	/* acquire: pairs with the store in prong_queue_close(). */
	if (atomic_load_explicit(&q->closed, memory_order_acquire))
		return blocked(PRONG_CLOSED, "queue_reserve", "the queue is closed");
	r = prongi_prepare(q, me.seat, size, "queue_reserve", &block);
	if (r)
		return r;
	ticket = atomic_fetch_add_explicit(&q->tickets, 1, memory_order_relaxed);
	header = prongi_header(ticket, me.who, 0, PRONGI_RESERVED);
	ref = prongi_spare(me.seat);
	hold(me.seat, ref);
	prongi_header_store(block, header);
	prongi_then(); /* while both say so, it is the spare */
	prongi_hand_store(me.seat, PRONGI_IDLE, PRONGI_NONE, PRONGI_NONE);
	in_hand(block, ref, header, m);
	return 0;
}

/* The reserved block is the spare, to be put. */
static void unreserve(struct prong_queue *q, const struct prongi_caller *me, uint32_t ref)
{
	prongi_drop(q, me->seat);
	prongi_hand_store(me->seat, PRONGI_ADOPT, PRONGI_NONE, ref);
	prongi_then(); /* the journal says what the commit means */
	prongi_header_store(prongi_message_at(q, ref), prongi_header(0, me->who, 0, PRONGI_TAKEN));
	prongi_then();
	prongi_hand_store(me->seat, PRONGI_IDLE, ref, PRONGI_NONE);
}

/* It could not be put, and is reserved again. */
static void rereserve(struct prong_queue *q, const struct prongi_caller *me, const prong_message *m)
{
	prongi_header_store(prongi_message_at(q, m->block_), m->hold_);
	prongi_then(); /* while both say so, it is the spare */
	prongi_hand_store(me->seat, PRONGI_IDLE, PRONGI_NONE, PRONGI_NONE);
}

int prong_queue_commit(prong_queue *q, prong_message *m, prong_time deadline)
{
	struct prongi_caller me;
	int r = prongi_sit(q, &me);

	if (r)
		return prongi_far_cannot(r, "queue_commit");
	r = held(q, m, &me, PRONGI_RESERVED, "queue_commit");
	if (r)
		return r;
	unreserve(q, &me, m->block_);
	r = prongi_ring_put(q, me, prongi_message_at(q, m->block_));
	if (r)
		r = prongi_wait_to_put(q, me, r, deadline, "queue_commit");
	if (r)
		rereserve(q, &me, m);
	else
		prongi_let_go(me.seat, m->block_);
	return r;
}

int prong_queue_lease(prong_queue *q, prong_message *m, prong_time deadline)
{
	const struct prongi_fit any = { 0, SIZE_MAX };
	struct prongi_taken taken;
	struct prongi_caller me;
	int r = prongi_sit(q, &me);

	if (r)
		return prongi_far_cannot(r, "queue_lease");
	if (!m)
		return prongi_fail(-EINVAL, "queue_lease: nowhere to store");
	taken = prongi_ring_take(q, me, any);
	if (taken.r)
		taken = prongi_wait_to_take(q, me, any, taken.r, deadline, "queue_lease");
	if (taken.r)
		return taken.r;
	hold(me.seat, taken.ref);
	if (prongi_from_ring(me.seat))
		prongi_hand_store(me.seat, PRONGI_IDLE, PRONGI_NONE, PRONGI_NONE);
	prongi_queue_tell(&q->nf);
	in_hand(taken.m, taken.ref, prongi_header_load(taken.m), m);
	return 0;
}

int prong_queue_ack(prong_queue *q, prong_message *m)
{
	struct prongi_caller me;
	int r = prongi_sit(q, &me);

	if (r)
		return prongi_far_cannot(r, "queue_ack");
	r = held(q, m, &me, PRONGI_LEASED, "queue_ack");
	if (r)
		return r;
	prongi_adopt(q, &me, m->block_);
	prongi_queue_tell(&q->nj);
	return 0;
}

static void give_back(struct prong_queue *q, const struct prongi_caller *me, const prong_message *m)
{
	prongi_header_store(prongi_message_at(q, m->block_), prongi_header_returned(m->hold_));
	prongi_then(); /* while the seat holds it, repair marks it */
	prongi_mark(q, m->block_);
	prongi_bump_back(q);
	prongi_let_go(me->seat, m->block_);
	prongi_queue_tell(&q->ne);
}

int prong_queue_abandon(prong_queue *q, prong_message *m)
{
	struct prongi_caller me;
	int r = prongi_sit(q, &me);

	if (r)
		return prongi_far_cannot(r, "queue_abandon");
	if (m && prongi_header_state(m->hold_) == PRONGI_RESERVED) {
		r = held(q, m, &me, PRONGI_RESERVED, "queue_abandon");
		if (r == 0)
			prongi_adopt(q, &me, m->block_);
		return r;
	}
	r = held(q, m, &me, PRONGI_LEASED, "queue_abandon");
	if (r == 0)
		give_back(q, &me, m);
	return r;
}
