/* Lanes: how the two sides of one sleep for each other, and how each side takes turns.

   A side that must wait looks at the other's word for a while, for to wake a sleeper costs as much,
   and then sleeps on it, together with the state of the process that owns the other end. */
#include "flow/pipe.h"
#include "family/cancel.h"
#include <errno.h>
#include <limits.h>

#define LOOKS	  1000 /* some 40 us */
#define LOOKS_FEW 40
#define TURN	  ((uint64_t)4)
#define TURNS	  ((uint64_t)0xfc)

#define OFFER	   ((uint64_t)7) /* an offer's phase */
#define OFFER_TURN ((uint64_t)8)

/* --- the words ----------------------------------------------------------------------------- */

/* Who is killed between the change of the word and the wake has said here that he owes it; but a
   repairer, who has no slot, is followed by the next. */
static void owe_wake(prongi_word *word)
{
	if (!PRONGI_MUTANT(140) && prongi_self.slot)
		atomic_store_explicit(&prongi_self.slot->wake_lock, (uintptr_t)word,
				      memory_order_relaxed);
	prongi_then();
}

void prongi_lane_move(prongi_word *word, uint64_t position)
{
	uint64_t was;

	owe_wake(word);
	/* acq_rel: pairs with the acquire in ready() and its like: what was written to the ring, or
	   read from it, was so before.  And with the sleeper's announcement in the same
	   word: we find it, or it finds the position. */
	was = atomic_exchange_explicit(word, position << 8, memory_order_acq_rel);
	if (was & PRONGI_SLEEPER)
		prongi_os_wake(prongi_low(word), INT_MAX, true);
}

void prongi_lane_nudge(prongi_word *word)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed), next;

	owe_wake(word);
	do
		next = (v & ~(TURNS | PRONGI_SLEEPER)) | ((v + TURN) & TURNS);
	/* seq_cst: pairs with the sleeper, who looks at the owner after his announcement. */
	while (!atomic_compare_exchange_weak_explicit(word, &v, next, memory_order_seq_cst,
						      memory_order_relaxed));
	prongi_os_wake(prongi_low(word), INT_MAX, true);
}

void prongi_lane_nudge_offer(struct prongi_lane *l)
{
	uint64_t v = atomic_load_explicit(&l->offer, memory_order_relaxed);

	while (v & OFFER) {
		/* seq_cst: pairs with offer_now(), pipe_fd.c, and the look whether it is freed. */
		if (!atomic_compare_exchange_weak_explicit(&l->offer, &v,
							   (uint32_t)(v + OFFER_TURN),
							   memory_order_seq_cst,
							   memory_order_relaxed))
			continue;
		prongi_os_wake(prongi_low(&l->offer), INT_MAX, true);
		return;
	}
}

/* --- waiting ------------------------------------------------------------------------------- */

static bool ready(const struct prongi_lane_wait *w)
{
	/* acquire: pairs with prongi_lane_move(). */
	return w->ready(w->l, atomic_load_explicit(w->word, memory_order_acquire), w->arg);
}

/* Wait awake; not long when that has come to nothing lately, but for every eighth time: the other
   side may share our processor, or be quick now. */
static bool spin(const struct prongi_lane_wait *w)
{
	int looks = *w->misses < 8 || *w->misses % 8 == 0 ? LOOKS : LOOKS_FEW;

	if (!prongi_spins)
		return false;
	for (int i = 0; i < looks; i++) {
		prongi_os_pause();
		if (ready(w)) {
			*w->misses = 0;
			return true;
		}
	}
	++*w->misses;
	return false;
}

/* Sleep until there is something to look at.  0, PRONG_TIMEDOUT or PRONG_CANCELLED. */
static int sleep_on(const struct prongi_lane_wait *w, prong_time deadline)
{
	struct prongi_awaited a[3];
	/* seq_cst: pairs with prongi_lane_move(), and with the nudge after a change of owners. */
	uint64_t v = atomic_fetch_or_explicit(w->word, PRONGI_SLEEPER, memory_order_seq_cst);

	a[0] = (struct prongi_awaited){ prongi_low(w->word), (uint32_t)(v | PRONGI_SLEEPER), true };
	if (w->ready(w->l, v, w->arg) || prongi_conn_gone(w->c->other, &a[1]) ||
	    prongi_conn_freed(w->c))
		return 0;
	/* Without a second word the other end is this process's own, and only threads can come. */
	return a[1].word ? prongi_sleep_served(a, 2, deadline) : prongi_sleep_any(a, 1, deadline);
}

int prongi_lane_await(const struct prongi_lane_wait *w, prong_time deadline)
{
	int r = 0;

	for (;;) {
		/* In this order: what the other side did, it did before it ended. */
		bool gone = prongi_conn_closed(w->c->other) || prongi_conn_freed(w->c);

		if (ready(w))
			return 0;
		if (gone)
			return PRONG_CLOSED;
		if (r || deadline.ns_ <= PRONG_NOW.ns_)
			return r ? r : PRONG_TIMEDOUT;
		if (spin(w))
			return 0;
		r = sleep_on(w, deadline);
	}
}

/* --- taking turns -------------------------------------------------------------------------- */

/* The repair of a dead thread may still store what it had committed: to be waited for by who takes
   its place.  The mutex may come sooner. */
static void await_repaired(uint64_t id)
{
	const prongi_word *at = &prongi_heap->slot[prongi_slot_index(id)].id;

	/* acquire: pairs with the release in wipe(), repair.c. */
	while (id && atomic_load_explicit(at, memory_order_acquire) == (id | PRONGI_DEAD))
		prongi_os_sleep(prong_in_ms(1));
}

/* A block at *place is on its way at *begin; it is over when the word has moved on. */
static bool moved_on(prongi_word *word, const prongi_word *begin)
{
	/* acquire: pairs with prongi_lane_move(). */
	return prongi_position(atomic_load_explicit(word, memory_order_acquire)) !=
	       atomic_load_explicit(begin, memory_order_relaxed);
}

/* The block that is out was sent, or never will be. */
static void mend_sender(struct prongi_lane *l)
{
	if (moved_on(&l->tail, &l->out_at) && !PRONGI_MUTANT(143))
		atomic_store_explicit(&l->out, 0, memory_order_relaxed);
	else
		prong_free_at((void **)&l->out);
}

/* The block that is in was received, by one who is dead; or it is still the next message's; or it
   is the copy of one that is still there. */
static void mend_receiver(struct prongi_lane *l)
{
	uint64_t at = atomic_load_explicit(&l->in_at, memory_order_relaxed);
	const uint64_t *record = (const uint64_t *)(const void *)
		(l->ring + (at & (l->units - 1)) * PRONGI_UNIT);

	if (!moved_on(&l->head, &l->in_at) && record[0] % 4 == PRONGI_LARGE &&
	    record[1] == atomic_load_explicit(&l->in, memory_order_relaxed))
		atomic_store_explicit(&l->in, 0, memory_order_relaxed);
	else
		prong_free_at((void **)&l->in);
}

/* Own the mutex; *last is who owned it before. */
static int begin(prong_mutex *m, prongi_word *last, void (*mend)(struct prongi_lane *),
		 struct prongi_lane *l, prong_time deadline)
{
	int r = prong_mutex_lock(m, deadline);

	if (r == PRONG_OWNERDEAD) {
		await_repaired(atomic_load_explicit(last, memory_order_relaxed));
		mend(l);
		r = prong_mutex_consistent(m);
	}
	if (r == 0)
		atomic_store_explicit(last, prongi_self.id, memory_order_relaxed);
	return r;
}

/* What a dead sender had offered beside the ring is off; and what a dead receiver had asked for is
   on offer again. */
static void mend_offer(struct prongi_lane *l, uint64_t from, uint64_t to, uint64_t turn)
{
	uint64_t v = atomic_load_explicit(&l->offer, memory_order_relaxed);

	while ((v & OFFER) >= from) {
		/* acq_rel: pairs with the steps in pipe_fd.c. */
		if (!atomic_compare_exchange_weak_explicit(&l->offer, &v,
							   (v & ~OFFER) + turn + to,
							   memory_order_acq_rel,
							   memory_order_relaxed))
			continue;
		prongi_os_wake(prongi_low(&l->offer), INT_MAX, true);
		return;
	}
}

static void sender_died(struct prongi_lane *l)
{
	mend_sender(l);
	mend_offer(l, PRONGI_OFFER_MADE, PRONGI_OFFER_NONE, OFFER_TURN);
}

static void receiver_died(struct prongi_lane *l)
{
	mend_receiver(l);
	mend_offer(l, PRONGI_OFFER_ASKED, PRONGI_OFFER_MADE, OFFER_TURN);
}

int prongi_lane_send_begin(struct prongi_lane *l, prong_time deadline)
{
	return begin(&l->sending, &l->sender, sender_died, l, deadline);
}

int prongi_lane_recv_begin(struct prongi_lane *l, prong_time deadline)
{
	return begin(&l->receiving, &l->receiver, receiver_died, l, deadline);
}

void prongi_lane_drain(struct prongi_lane *l)
{
	await_repaired(atomic_load_explicit(&l->sender, memory_order_relaxed));
	await_repaired(atomic_load_explicit(&l->receiver, memory_order_relaxed));
	mend_sender(l);
	mend_receiver(l);
	/* For who follows if we die here. */
	atomic_store_explicit(&l->receiver, prongi_self.id, memory_order_relaxed);
	while (prongi_lane_skip(l))
		;
}
