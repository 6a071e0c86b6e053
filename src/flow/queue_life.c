/* How a queue comes, ends and goes, and what can be seen of it from outside.

   A queue begins as one block of the heap: its words, the first ring, the first blocks.  While it
   is made or freed the caller's slot names that block as scrap: when the caller is killed, whoever
   claims the slot next finishes what is left.

   Not here: what moves messages. */
#include "flow/queue.h"
#include "family/cancel.h"
#include "flow/outer.h"
#include <errno.h>

#define USUAL      112
#define USUAL_MOST ((size_t)1 << 20)
#define CELLS_MOST ((uint64_t)1 << 24)
#define GROWS_FROM 64 /* cells */
#define SPARES     4  /* for the first threads */

/* ns after which a join looks again, when it cannot count on being woken: at first, at most. */
#define LOOK_AGAIN      20000
#define LOOK_AGAIN_MOST 10000000

static struct prong_queue *queue_at(uint64_t raw)
{
	return (struct prong_queue *)(uintptr_t)prongi_align64(raw);
}

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

bool prongi_queue_is(const struct prong_queue *q)
{
	uint64_t at = (uintptr_t)q;

	return q && at % 64 == 0 && prongi_inside(q) &&
	       prongi_word_valid(at + sizeof(struct prong_queue) - 8) &&
	       get(&q->head.kind) == PRONGI_QUEUE;
}

static int check(const struct prong_queue *q, const char *what)
{
	if (prongi_queue_is(q))
		return prongi_enter();
	return prongi_fail(-EINVAL, "%s: %p is not a queue", what, (const void *)q);
}

/* --- the end -------------------------------------------------------------------------------- */

static void free_message(struct prong_queue *q, const struct prongi_caller *me, uint32_t ref)
{
	(void)me;
	prongi_scrub(prongi_message_at(q, ref));
}

/* Free the scrap of the calling thread's slot, piece by piece. */
static void dismantle(void)
{
	prongi_word *scrap = &prongi_self.slot->scrap;
	struct prong_queue *q = queue_at(get(scrap));

	if (!get(scrap))
		return;
	if (atomic_load_explicit(&q->large, memory_order_relaxed))
		prongi_each_block(q, free_message, NULL);
	for (int i = 0; i < PRONGI_TABLES; i++)
		prong_free_at(place(&q->raw_table[i]));
	for (int i = 0; i < PRONGI_EXTRAS; i++) {
		set(&q->chunk[PRONGI_RINGS + i].at, 0);
		prong_free_at(place(&q->raw_extra[i]));
	}
	for (int i = 1; i < PRONGI_RINGS; i++) {
		set(&q->chunk[i].at, 0);
		prong_free_at(place(&q->raw_ring[i]));
	}
	prong_free_at(place(scrap));
}

__attribute__((constructor)) static void tell_slots(void)
{
	atomic_store_explicit(&prongi_on_claim, dismantle, memory_order_relaxed);
}

static bool alive(const struct prongi_seat *s)
{
	return !prongi_seat_free(s) && !prongi_owner_dead(get(&s->owner));
}

static bool sleeps(const struct prongi_seat *s)
{
	return atomic_load_explicit(&s->asleep, memory_order_relaxed) && alive(s);
}

static bool anybody_asleep(struct prong_queue *q)
{
	struct prongi_seat *s;

	for (uint32_t i = 0; (s = prongi_seat_at(q, i)) != NULL; i++)
		if (sleeps(s))
			return true;
	return prongi_is_awaited(q, 1); /* by prong_wait() */
}

static bool has(const struct prong_queue *q, uint32_t ref, uint32_t who)
{
	uint64_t header = prongi_header_load(prongi_message_at(q, ref));

	return prongi_header_is(header, PRONGI_LEASED, who) ||
	       prongi_header_is(header, PRONGI_RESERVED, who);
}

static bool has_any(const struct prong_queue *q, const struct prongi_seat *s, uint32_t who)
{
	for (int k = 0; k < PRONGI_HOLDS; k++) {
		uint32_t held = atomic_load_explicit(&s->held[k], memory_order_relaxed);

		if (held && prongi_ref_valid(q, held - 1) && has(q, held - 1, who))
			return true;
	}
	if (!atomic_load_explicit(&s->many, memory_order_relaxed))
		return false;
	for (uint32_t id = 0; id < PRONGI_CHUNKS; id++)
		for (uint32_t i = 0; prongi_ref_valid(q, id << 24 | i); i++)
			if (has(q, id << 24 | i, who))
				return true;
	return false;
}

/* Another living thread has a message in hand.  What the caller has itself, it knows. */
static bool in_hands(struct prong_queue *q)
{
	struct prongi_seat *s;

	for (uint32_t i = 0; (s = prongi_seat_at(q, i)) != NULL; i++)
		if (get(&s->owner) != prongi_self.id && alive(s) && has_any(q, s, i))
			return true;
	return false;
}

static void wait_while(const prongi_word *guard, const struct prong_queue *q)
{
	/* acquire: pairs with the release in prongi_queues_repair(). */
	while (atomic_load_explicit(guard, memory_order_acquire) == (uintptr_t)q)
		prongi_os_yield();
}

/* Wait until no repairer is at q any more; none begins, for its id has gone. */
static void wait_for_visitors(const struct prong_queue *q)
{
	uint32_t n = prongi_slots_used();

	/* seq_cst: pairs with the fence in visit(). */
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < n; i++)
		wait_while(&prongi_heap->slot[i].repairing, q);
	wait_while(&prongi_heap->passing, q);
}

/* Free q; and if its address is in *where, in the heap, that is NULL from the same moment on. */
static int free_queue(prong_queue *q, prong_queue **where)
{
	int r;

	if (!q)
		return 0;
	r = check(q, "queue_free");
	if (r)
		return r;
	if (anybody_asleep(q))
		return prongi_fail(-EBUSY, "queue_free: a thread waits for it");
	if (!where && in_hands(q))
		return prongi_fail(-EBUSY, "queue_free: a thread has a message of it in hand");
	dismantle(); /* what a dead owner of the slot left */
	prongi_begin(prongi_queue_lock(q));
	prongi_set(&prongi_self.slot->scrap, q->raw);
	prongi_set(&q->head.kind, 0);
	prongi_set(&q->id, 0);
	if (where)
		prongi_set((prongi_word *)where, 0);
	prongi_commit();
	prongi_end(prongi_queue_lock(q));
	wait_for_visitors(q);
	dismantle();
	return 0;
}

int prong_queue_free(prong_queue *q)
{
	if (prongi_outer_queue_free(q))
		return 0;
	return free_queue(q, NULL);
}

int prongi_queue_free_at(prong_queue **where)
{
	return free_queue(*where, where);
}

/* --- the beginning -------------------------------------------------------------------------- */

static int check_opts(const prong_queue_opts *opts)
{
	for (size_t i = 0; opts && i < sizeof opts->reserved_ / sizeof *opts->reserved_; i++)
		if (opts->reserved_[i])
			return prongi_fail(-EINVAL, "queue_new: a reserved option is set");
	if (opts && opts->capacity > CELLS_MOST)
		return prongi_fail(-EINVAL, "queue_new: capacity %zu is above %llu", opts->capacity,
				   (unsigned long long)CELLS_MOST);
	if (opts && opts->usual_size > USUAL_MOST)
		return prongi_fail(-EINVAL, "queue_new: usual_size %zu is above %zu",
				   opts->usual_size, USUAL_MOST);
	return 0;
}

static uint64_t cells_for(uint64_t capacity)
{
	uint64_t cells = 1;

	while (cells < capacity)
		cells *= 2;
	return cells;
}

/* What the queue will be; the same words before and after it has memory. */
static void plan(struct prong_queue *q, const prong_queue_opts *opts, uint64_t *limit)
{
	uint64_t usual = opts && opts->usual_size ? opts->usual_size : USUAL;

	q->most = opts && opts->max_size ? opts->max_size : UINT64_MAX;
	if (usual > q->most)
		usual = q->most;
	if (usual < sizeof(prongi_word))
		usual = sizeof(prongi_word); /* the address of a block must fit */
	q->stride = (uint32_t)prongi_align64(sizeof(struct prongi_message) + usual);
	q->usual = q->stride - (uint32_t)sizeof(struct prongi_message);
	if (q->usual > q->most)
		q->usual = (uint32_t)q->most;
	*limit = opts && opts->capacity ? opts->capacity : GROWS_FROM;
	q->growing = !(opts && opts->capacity);
}

/* Lay it out in its block, which is zero. */
static struct prong_queue *make(uint64_t raw, const prong_queue_opts *opts)
{
	struct prong_queue *q = queue_at(raw);
	uint64_t limit, at = prongi_align64((uintptr_t)q + sizeof *q);

	plan(q, opts, &limit);
	q->raw = raw;
	prongi_ring_make(q, 0, at, cells_for(limit), SPARES);
	((struct prongi_ring *)(uintptr_t)at)->limit = limit;
	set(&q->put_ring, at);
	set(&q->get_ring, at);
	prongi_then(); /* what is a queue is whole */
	set(&q->id, atomic_fetch_add_explicit(&prongi_heap->queues, 1, memory_order_relaxed) + 1);
	set(&q->head.kind, PRONGI_QUEUE);
	return q;
}

/* From the slot to its owner. */
static void hand_over(prong_queue **out, struct prong_queue *q)
{
	prongi_word *scrap = &prongi_self.slot->scrap;

	if (!prongi_inside(out) || (uintptr_t)out % sizeof(prongi_word)) {
		set(scrap, 0);
		prongi_then(); /* rather lost than owned twice */
		*out = q;
		return;
	}
	prongi_begin(prongi_queue_lock(q));
	prongi_set((prongi_word *)out, (uintptr_t)q);
	prongi_set(scrap, 0);
	prongi_commit();
	prongi_end(prongi_queue_lock(q));
}

int prong_queue_new(prong_queue **out, const prong_queue_opts *opts)
{
	struct prong_queue planned = { 0 };
	uint64_t limit;
	int r = check_opts(opts);

	if (r)
		return r;
	if (!out)
		return prongi_fail(-EINVAL, "queue_new: nowhere to store");
	r = prongi_enter();
	if (r)
		return r;
	plan(&planned, opts, &limit);
	dismantle(); /* what a dead owner of the slot left */
	r = prong_alloc_to(place(&prongi_self.slot->scrap),
			   63 + sizeof planned + 63 +
				   prongi_ring_bytes(&planned, cells_for(limit), SPARES));
	if (r)
		return r;
	hand_over(out, make(get(&prongi_self.slot->scrap), opts));
	return 0;
}

/* --- closing -------------------------------------------------------------------------------- */

int prong_queue_close(prong_queue *q)
{
	struct prongi_caller me;
	int r = prongi_sit(q, &me); /* so that its death here wakes all the same */

	if (r)
		return prongi_far_close(q, r);
	/* seq_cst: pairs with the acquire of who puts and gets, and with prongi_queue_listen(). */
	atomic_store_explicit(&q->closed, 1, memory_order_seq_cst);
	prongi_queue_tell(&q->ne);
	prongi_queue_tell(&q->nf);
	return 0;
}

/* --- a look --------------------------------------------------------------------------------- */

static struct prongi_ring *ring_at(const prongi_word *word)
{
	/* acquire: pairs with the CAS that made it the ring in use. */
	return (struct prongi_ring *)(uintptr_t)atomic_load_explicit(word, memory_order_acquire);
}

static bool is_full(uint64_t cell)
{
	return prongi_cell_state(cell) == PRONGI_FULL || prongi_cell_state(cell) == PRONGI_LAST;
}

static bool queued(const struct prong_queue *q, uint64_t cell, uint64_t seq)
{
	uint64_t header = prongi_header_load(prongi_message_at(q, prongi_cell_ref(cell)));

	return prongi_header_state(header) == PRONGI_QUEUED &&
	       prongi_header_seq(header ^ seq << 24) == 0;
}

/* Where the next message will be put. */
static uint64_t tail_of(const struct prong_queue *q)
{
	struct prongi_ring *r = ring_at(&q->put_ring);
	uint64_t seq = get(&r->tail);

	for (;; seq++) {
		uint64_t cell = prongi_cell_load(prongi_cell_at(r, seq));
		int32_t ahead = (int32_t)(prongi_cell_turn(cell) - prongi_turn_of(r, seq));

		if (ahead < 0 || (ahead == 0 && !is_full(cell)))
			return seq;
	}
}

/* Where the next one will be taken, but for those that came back. */
static uint64_t head_of(const struct prong_queue *q)
{
	struct prongi_ring *r = ring_at(&q->get_ring);
	uint64_t seq = get(&r->head);

	for (;; seq++) {
		uint64_t cell = prongi_cell_load(prongi_cell_at(r, seq));
		int32_t ahead = (int32_t)(prongi_cell_turn(cell) - prongi_turn_of(r, seq));

		if (ahead == 0 && prongi_cell_state(cell) == PRONGI_MOVED) {
			r = (struct prongi_ring *)(uintptr_t)get(&q->ring[r->index + 1]);
			seq = get(&r->base) - 1;
		} else if (ahead < 0 || (ahead == 0 && (!is_full(cell) || queued(q, cell, seq)))) {
			return seq;
		}
	}
}

/* How many blocks came back. */
static uint64_t count_back(struct prong_queue *q)
{
	uint64_t n = 0;

	for (uint32_t id = 0; id < PRONGI_CHUNKS; id++)
		for (uint32_t i = 0; prongi_ref_valid(q, id << 24 | i); i++)
			n += prongi_header_state(prongi_header_load(
				     prongi_message_at(q, id << 24 | i))) == PRONGI_BACK;
	return n;
}

static bool perhaps_back(const struct prong_queue *q)
{
	/* seq_cst: pairs with prongi_bump_back(). */
	return atomic_load_explicit(&q->back, memory_order_seq_cst) & 1;
}

size_t prong_queue_size(const prong_queue *q)
{
	uint64_t head, tail;

	if (!prongi_queue_is(q))
		return prongi_far_size(q);
	head = head_of(q);
	tail = tail_of(q);
	return (tail > head ? tail - head : 0) +
	       (perhaps_back(q) ? count_back((struct prong_queue *)(uintptr_t)q) : 0);
}

bool prongi_queue_can_get(struct prong_queue *q)
{
	/* acquire: pairs with the store in prong_queue_close(). */
	return perhaps_back(q) || atomic_load_explicit(&q->closed, memory_order_acquire) ||
	       head_of(q) != tail_of(q);
}

bool prongi_queue_can_put(struct prong_queue *q)
{
	/* acquire: pairs with the store in prong_queue_close(). */
	return q->growing || atomic_load_explicit(&q->closed, memory_order_acquire) ||
	       tail_of(q) - head_of(q) < ring_at(&q->put_ring)->limit;
}

/* --- join ----------------------------------------------------------------------------------- */

/* What is left of all that was put before the call.  PASSING: only messages that a get is just
   copying. */
enum left {
	NOTHING_LEFT,
	PASSING,
	LEFT
};

/* Of the block, with that header.  A get has no fence between its last store and its look at who
   joins, so it need not wake who began to wait meanwhile: its hand tells that it is under way.
   Whoever has the message in hand for longer has one, see prongi_adopt(). */
static enum left left_of(struct prong_queue *q, uint32_t ref, uint64_t header)
{
	uint64_t hand;

	if (prongi_header_state(header) == PRONGI_BACK)
		return LEFT;
	if (prongi_header_state(header) != PRONGI_LEASED)
		return NOTHING_LEFT;
	/* acquire: pairs with prongi_hand_store(): if it is past the get, so is the header. */
	hand = atomic_load_explicit(&prongi_seat_at(q, prongi_header_who(header))->hand,
				    memory_order_acquire);
	if (prongi_hand_op(hand) == PRONGI_GET && prongi_hand_other(hand) == ref)
		return PASSING;
	return prongi_header_load(prongi_message_at(q, ref)) == header ? LEFT : PASSING;
}

static enum left most(enum left a, enum left b)
{
	return a > b ? a : b;
}

/* What the seats' threads have in hand: a quick look, which may miss some. */
static enum left held_in_seats(struct prong_queue *q)
{
	enum left left = NOTHING_LEFT;
	struct prongi_seat *s;

	for (uint32_t i = 0; left != LEFT && (s = prongi_seat_at(q, i)) != NULL; i++)
		for (int k = 0; k < PRONGI_HOLDS; k++) {
			uint32_t held = atomic_load_explicit(&s->held[k], memory_order_relaxed);
			uint64_t header;

			if (!held || !prongi_ref_valid(q, held - 1))
				continue;
			header = prongi_header_load(prongi_message_at(q, held - 1));
			if (prongi_header_is(header, PRONGI_LEASED, i))
				left = most(left, left_of(q, held - 1, header));
		}
	return left;
}

/* A message in hand stays in its block until it is done with, be it given back and leased again; so
   to look once at each block is enough. */
static enum left look_for_left(struct prong_queue *q)
{
	enum left left;

	if (head_of(q) != tail_of(q))
		return LEFT;
	left = held_in_seats(q);
	if (left != NOTHING_LEFT)
		return left;
	for (uint32_t id = 0; id < PRONGI_CHUNKS && left != LEFT; id++)
		for (uint32_t i = 0; prongi_ref_valid(q, id << 24 | i); i++) {
			uint32_t ref = id << 24 | i;

			left = most(left,
				    left_of(q, ref, prongi_header_load(prongi_message_at(q, ref))));
		}
	return left;
}

/* Wait until the word changes.  For what is only passing no longer than ns: it may not tell. */
static int wait_for_rest(_Atomic uint32_t *word, uint32_t v, enum left left, int64_t ns,
			 prong_time deadline)
{
	prong_time soon = prong_clock();
	int r;

	soon.ns_ += ns;
	if (left == LEFT || deadline.ns_ <= soon.ns_)
		return prongi_sleep(word, v, deadline, true);
	r = prongi_sleep(word, v, soon, true);
	return r == PRONG_TIMEDOUT ? 0 : r;
}

int prong_queue_join(prong_queue *q, prong_time deadline)
{
	struct prongi_caller me;
	int r = prongi_sit(q, &me);

	if (r)
		return prongi_far_join(q, r, deadline);
	atomic_store_explicit(&me.seat->asleep, 1, memory_order_relaxed);
	for (int64_t ns = LOOK_AGAIN; r == 0 && look_for_left(q) != NOTHING_LEFT;
	     ns = ns < LOOK_AGAIN_MOST ? ns * 2 : ns) {
		uint32_t v = prongi_queue_listen(&q->nj);
		enum left left = look_for_left(q);

		if (left != NOTHING_LEFT)
			r = wait_for_rest(&q->nj, v, left, ns, deadline);
	}
	atomic_store_explicit(&me.seat->asleep, 0, memory_order_relaxed);
	return r ? prongi_gave_up(r, "queue_join", "messages are left") : 0;
}
