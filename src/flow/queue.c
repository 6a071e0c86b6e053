/* The calls of prong_queue that move messages: what they check, and when they wait.  The ring
   itself is in queue_ring.c; queues come and go in queue_life.c. */
#include "flow/queue.h"
#include "family/cancel.h"
#include <errno.h>

#define LOOKS  40 /* before a sleep */
#define PAUSES 64 /* between two looks, at the most */

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

/* What a call tries to do, until it does not return PRONGI_NOTHING any more. */
struct attempt {
	struct prong_queue *q;
	struct prongi_caller me;
	const struct prongi_fit *fit;
	struct prongi_taken *taken;
	_Atomic uint32_t *word; /* that tells of a change */
	int (*once)(const struct attempt *a);
};

static int try_put(const struct attempt *a)
{
	return prongi_ring_put(a->q, &a->me);
}

static int try_take(const struct attempt *a)
{
	return prongi_ring_take(a->q, &a->me, a->fit, a->taken);
}

/* Wait awake, for as long as a sleep would cost. */
static int spin(const struct attempt *a)
{
	int r = PRONGI_NOTHING;

	for (int i = 0, pause = 1; i < LOOKS && r == PRONGI_NOTHING && prongi_spins; i++) {
		for (int k = 0; k < pause; k++)
			prongi_os_pause();
		pause = pause < PAUSES ? pause * 2 : PAUSES;
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

static size_t size_of(const struct prongi_message *m)
{
	return atomic_load_explicit(&m->size, memory_order_relaxed) & ~PRONGI_BY_REFERENCE;
}

static void *data_of(struct prongi_message *m)
{
	if (atomic_load_explicit(&m->size, memory_order_relaxed) & PRONGI_BY_REFERENCE)
		return *place(&m->data[0]);
	return m->data;
}

/* Make the caller's spare a message of size bytes. */
static int prepare(struct prong_queue *q, struct prongi_seat *s, size_t size, void **data)
{
	struct prongi_message *m;
	int r = prongi_refill(q, s);

	if (r)
		return r;
	m = prongi_message_at(q, prongi_spare(s));
	if (size <= q->usual) {
		atomic_store_explicit(&m->size, size, memory_order_relaxed);
		*data = m->data;
		return 0;
	}
	atomic_store_explicit(&q->large, 1, memory_order_relaxed);
	atomic_store_explicit(&m->data[0], 0, memory_order_relaxed);
	prongi_then(); /* what size says is by reference, is */
	atomic_store_explicit(&m->size, size | PRONGI_BY_REFERENCE, memory_order_relaxed);
	prongi_then();
	r = prongi_alloc_to(place(&m->data[0]), size, false);
	if (r)
		atomic_store_explicit(&m->size, 0, memory_order_relaxed);
	*data = data_of(m);
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

static int blocked(int r, const char *what, const char *why)
{
	return r > 0 ? prongi_gave_up(r, what, why) : r;
}

/* Put the caller's spare, which is filled. */
static int put_spare(struct prong_queue *q, const struct prongi_caller *me, prong_time deadline,
		     const char *what)
{
	int r = prongi_ring_put(q, me);

	if (r == PRONGI_NOTHING) {
		const struct attempt a = { .q = q, .me = *me, .word = &q->nf, .once = try_put };

		r = wait_for(&a, deadline);
	}
	return r ? blocked(r, what, r == PRONG_CLOSED ? "the queue is closed" : "it is full") : 0;
}

/* --- put and get ---------------------------------------------------------------------------- */

int prong_queue_put(prong_queue *q, const void *data, size_t size, prong_time deadline)
{
	struct prongi_caller me;
	void *to;
	int r = prongi_sit(q, &me);

	if (r)
		return r;
	if (size && !data)
		return prongi_fail(-EINVAL, "queue_put: no data");
	if (size > q->usual) {
		r = check_put(q, size, "queue_put");
		if (r)
			return r;
	}
	r = prepare(q, me.seat, size, &to);
	if (r)
		return r;
	if (size)
		memcpy(to, data, size);
	r = put_spare(q, &me, deadline, "queue_put");
	if (r)
		prongi_scrub(q, prongi_spare(me.seat));
	return r;
}

/* Take a message, in the time there is. */
static int take(struct prong_queue *q, const struct prongi_caller *me, const struct prongi_fit *fit,
		struct prongi_taken *out, prong_time deadline, const char *what)
{
	int r = prongi_ring_take(q, me, fit, out);

	if (r == PRONGI_NOTHING) {
		const struct attempt a = { .q = q, .me = *me, .fit = fit, .taken = out,
					   .word = &q->ne, .once = try_take };

		r = wait_for(&a, deadline);
	}
	if (r == -EMSGSIZE)
		return prongi_fail(r, "%s: the next message is %s", what,
				   fit->exact ? "of another size" : "too large");
	return r ? blocked(r, what, r == PRONG_CLOSED ? "the queue is closed" : "it is empty") : 0;
}

/* What was taken from the ring is the caller's for good. */
static void keep(struct prong_queue *q, const struct prongi_caller *me, uint32_t ref)
{
	struct prongi_message *m = prongi_message_at(q, ref);

	/* No fence before the look at nj that follows: see left_of(). */
	prongi_header_store(m, prongi_header(0, me->who, 0, PRONGI_TAKEN));
	prongi_then(); /* the journal is about what has been committed */
	prongi_hand_store(me->seat, PRONGI_IDLE, ref, PRONGI_NONE);
	prongi_scrub(q, ref);
}

int prong_queue_get(prong_queue *q, void *data, size_t size, size_t *got, prong_time deadline)
{
	const struct prongi_fit fit = { size, !got };
	struct prongi_message *m;
	struct prongi_taken taken;
	struct prongi_caller me;
	int r = prongi_sit(q, &me);

	if (r)
		return r;
	if (size && !data)
		return prongi_fail(-EINVAL, "queue_get: nowhere to store");
	r = take(q, &me, &fit, &taken, deadline, "queue_get");
	if (r)
		return r;
	prongi_queue_tell(&q->nf);
	m = prongi_message_at(q, taken.ref);
	size = size_of(m);
	if (size)
		memcpy(data, data_of(m), size);
	if (got)
		*got = size;
	if (taken.ring)
		keep(q, &me, taken.ref);
	else
		prongi_adopt(q, &me, taken.ref);
	prongi_queue_tell(&q->nj);
	return 0;
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

static void in_hand(struct prong_queue *q, uint32_t ref, uint64_t header, prong_message *m)
{
	struct prongi_message *block = prongi_message_at(q, ref);

	m->data = data_of(block);
	m->size = size_of(block);
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
	uint64_t ticket, header;
	uint32_t ref;
	void *data;
	int r = prongi_sit(q, &me);

	if (r)
		return r;
	if (!m)
		return prongi_fail(-EINVAL, "queue_reserve: nowhere to store");
	r = check_put(q, size, "queue_reserve");
	if (r)
		return r;
	/* acquire: pairs with the store in prong_queue_close(). */
	if (atomic_load_explicit(&q->closed, memory_order_acquire))
		return blocked(PRONG_CLOSED, "queue_reserve", "the queue is closed");
	r = prepare(q, me.seat, size, &data);
	if (r)
		return r;
	ticket = atomic_fetch_add_explicit(&q->tickets, 1, memory_order_relaxed);
	header = prongi_header(ticket, me.who, 0, PRONGI_RESERVED);
	ref = prongi_spare(me.seat);
	hold(me.seat, ref);
	prongi_header_store(prongi_message_at(q, ref), header);
	prongi_then(); /* while both say so, it is the spare */
	prongi_hand_store(me.seat, PRONGI_IDLE, PRONGI_NONE, PRONGI_NONE);
	in_hand(q, ref, header, m);
	return 0;
}

/* The reserved block is the spare, to be put. */
static void unreserve(struct prong_queue *q, const struct prongi_caller *me, uint32_t ref)
{
	prongi_drop(q, me->seat);
	prongi_hand_store(me->seat, PRONGI_ADOPT, PRONGI_NONE, ref);
	prongi_then(); /* the journal says what the commit means */
	prongi_header_store(prongi_message_at(q, ref),
			    prongi_header(0, me->who, 0, PRONGI_TAKEN));
	prongi_then();
	prongi_hand_store(me->seat, PRONGI_IDLE, ref, PRONGI_NONE);
}

/* It could not be put, and is reserved again. */
static void rereserve(struct prong_queue *q, const struct prongi_caller *me,
		      const prong_message *m)
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
		return r;
	r = held(q, m, &me, PRONGI_RESERVED, "queue_commit");
	if (r)
		return r;
	unreserve(q, &me, m->block_);
	r = put_spare(q, &me, deadline, "queue_commit");
	if (r)
		rereserve(q, &me, m);
	else
		prongi_let_go(me.seat, m->block_);
	return r;
}

int prong_queue_lease(prong_queue *q, prong_message *m, prong_time deadline)
{
	struct prongi_taken taken;
	struct prongi_caller me;
	int r = prongi_sit(q, &me);

	if (r)
		return r;
	if (!m)
		return prongi_fail(-EINVAL, "queue_lease: nowhere to store");
	r = take(q, &me, NULL, &taken, deadline, "queue_lease");
	if (r)
		return r;
	hold(me.seat, taken.ref);
	if (taken.ring)
		prongi_hand_store(me.seat, PRONGI_IDLE, PRONGI_NONE, PRONGI_NONE);
	prongi_queue_tell(&q->nf);
	in_hand(q, taken.ref, taken.header, m);
	return 0;
}

int prong_queue_ack(prong_queue *q, prong_message *m)
{
	struct prongi_caller me;
	int r = prongi_sit(q, &me);

	if (r)
		return r;
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
		return r;
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
