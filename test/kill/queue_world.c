/* The queue that the rows of kill_queue.c play with, and what must be true of it at the end. */
#include "kill_queue.h"
#include <stdlib.h>

prong_queue *queue;

static void note_bit(int note, uint64_t value)
{
	atomic_fetch_or(&kill_control->note[note], (uint64_t)1 << (value & 63));
}

static bool has_bit(int note, int value)
{
	return atomic_load(&kill_control->note[note]) >> value & 1;
}

void queue_note(unsigned bad)
{
	atomic_fetch_or(&kill_control->note[1], bad);
}

/* --- the beginning -------------------------------------------------------------------------- */

static uint64_t blocks; /* of the heap, before there was a queue */

void queue_count_blocks(void)
{
	world_become(KILL_OTHERS);
	blocks = world_blocks();
	world_become(-1);
}

void queue_make(const prong_queue_opts *opts)
{
	static const prong_queue_opts plain = { .capacity = CAPACITY, .usual_size = 48 };

	queue_count_blocks();
	world_become(1);
	if (prong_queue_new(&queue, opts ? opts : &plain))
		die("no queue");
}

void queue_fill_heap(void)
{
	blocks += world_fill_heap();
}

void queue_victim_sits(void)
{
	char c;

	world_become(0);
	if (prong_queue_put(queue, "x", 1, PRONG_NOW) ||
	    prong_queue_get(queue, &c, 1, NULL, PRONG_NOW))
		die("the victim has no seat");
	world_become(-1);
}

void queue_put_one(int value, size_t size)
{
	char *bytes = calloc(1, size);

	if (!bytes)
		die("no memory for a message");
	memset(bytes, value, size);
	queue_note(prong_queue_put(queue, bytes, size, PRONG_NOW) ? KILL_TORN : 0);
	free(bytes);
}

void queue_fill(int through, int n)
{
	char c;

	world_become(1);
	for (int i = 0; i < through; i++)
		if (prong_queue_put(queue, "x", 1, PRONG_NOW) ||
		    prong_queue_get(queue, &c, 1, NULL, PRONG_NOW))
			die("nothing goes through the queue");
	for (int i = 1; i <= n; i++) {
		queue_put_one(i, 1);
		note_bit(PUT, (uint64_t)i);
	}
	world_become(-1);
}

/* --- survivors ------------------------------------------------------------------------------ */

/* All bytes of a message are its number. */
static unsigned got(const unsigned char *data, size_t size, uint32_t tries)
{
	for (size_t i = 1; i < size; i++)
		if (data[i] != data[0])
			return kill_because(KILL_TORN, "message %d is torn", data[0]);
	if (!size || data[0] > 63)
		return kill_because(KILL_TORN, "a message that nobody put");
	if (has_bit(GOT, data[0]) && tries < 2)
		note_bit(GOT_TWICE, data[0]);
	note_bit(GOT, data[0]);
	return 0;
}

unsigned queue_get_one(prong_time deadline, bool *empty)
{
	prong_message m;
	unsigned bad;
	int r = prong_queue_lease(queue, &m, deadline);

	if (empty)
		*empty = r == PRONG_TIMEDOUT || r == PRONG_CLOSED;
	if (r == PRONG_TIMEDOUT && deadline.ns_)
		return kill_because(KILL_STUCK, "a get waits for ever");
	if (r)
		return r > 0 ? 0 : kill_because(KILL_TORN, "lease: %d", r);
	bad = got(m.data, m.size, m.tries);
	return prong_queue_ack(queue, &m) ? bad | KILL_TORN : bad;
}

unsigned queue_drain(void)
{
	unsigned bad = 0;

	for (bool empty = false; !empty && !bad;)
		bad = queue_get_one(PRONG_NOW, &empty);
	return bad;
}

unsigned queue_put_in_time(int value)
{
	char c = (char)value;
	int r = prong_queue_put(queue, &c, 1, world_deadline());

	if (r == PRONG_TIMEDOUT)
		return kill_because(KILL_STUCK, "a put waits for ever");
	if (r && r != PRONG_CLOSED)
		return kill_because(KILL_TORN, "put: %d", r);
	if (r == 0)
		note_bit(PUT, (uint64_t)value);
	return 0;
}

unsigned queue_turn(int value)
{
	return queue_put_in_time(value) | queue_drain();
}

unsigned queue_other(void)
{
	return queue_drain() | queue_turn(OTHERS);
}

/* Three times round the ring. */
unsigned queue_late(void)
{
	unsigned bad = queue_drain();

	for (int i = 0; i < 3 * CAPACITY && !bad; i++) {
		char c = 'x';
		bool closed = prong_queue_put(queue, &c, 1, PRONG_NOW) == PRONG_CLOSED;

		if (!closed && prong_queue_get(queue, &c, 1, NULL, PRONG_NOW))
			bad = kill_because(KILL_LOST, "what was put is not there");
	}
	return bad | queue_drain();
}

void queue_first_sleeps(struct kill_trial *t)
{
	kill_place(t, 0);
}

void queue_first_comes(struct kill_trial *t, int nth)
{
	if (nth == 0)
		kill_place(t, 0);
}

/* --- between death and repair --------------------------------------------------------------- */

static struct prongi_seat *victims_seat(uint32_t *who)
{
	uint64_t id = prongi_owner(world_slot(0)->id);
	struct prongi_seat *s;

	for (*who = 0; id && (s = prongi_seat_at(queue, *who)) != NULL; ++*who)
		if (s->owner == id)
			return s;
	return NULL;
}

/* What the victim had leased has to be found again, whatever else is excused. */
static void what_must_come_back(struct prong_queue *q, const struct prongi_caller *victim,
				uint32_t ref)
{
	struct prongi_message *m = prongi_message_at(q, ref);

	if (prongi_header_is(m->header, PRONGI_LEASED, victim->who))
		note_bit(MUST_COME_BACK, *(unsigned char *)(m->size & PRONGI_BY_REFERENCE
								     ? (void *)m->data[0]
								     : (void *)m->data));
}

void queue_died(struct kill_trial *t)
{
	struct prongi_caller victim;

	(void)t;
	victim.seat = victims_seat(&victim.who);
	if (victim.seat)
		prongi_each_block(queue, what_must_come_back, &victim);
}

static int step_in(void *value)
{
	char c = *(char *)value;

	world_become(KILL_OTHERS);
	if (c)
		return prong_queue_put(queue, &c, 1, PRONG_NOW);
	return (int)queue_get_one(PRONG_NOW, NULL);
}

static void let_step_in(char value)
{
	pid_t pid = trace_fork(step_in, &value, false);

	if (trace_wait(pid, kill_patience_ms, false).rest != TRACE_GONE)
		trace_kill(pid);
}

void queue_died_feed(struct kill_trial *t)
{
	queue_died(t);
	if (prong_queue_size(queue) == 0 && !has_bit(PUT, STEPPED_IN)) {
		note_bit(PUT, STEPPED_IN);
		let_step_in(STEPPED_IN);
	}
}

void queue_died_drain(struct kill_trial *t)
{
	queue_died(t);
	if (prong_queue_size(queue) >= CAPACITY)
		let_step_in(0);
}

/* --- the end -------------------------------------------------------------------------------- */

struct walk {
	unsigned char seen[PRONGI_CHUNKS][256];
	unsigned bad;
};

static void see(struct walk *w, uint32_t ref)
{
	if (ref == PRONGI_NONE)
		return;
	if (ref >> 24 >= PRONGI_CHUNKS || (ref & 0xffffff) >= 256)
		w->bad |= kill_because(KILL_TORN, "a reference to nothing");
	else if (w->seen[ref >> 24][ref & 0xff]++)
		w->bad |= kill_because(KILL_TWICE, "block %x is in two places", ref);
}

static void see_cells(struct walk *w)
{
	for (int i = 0; i < PRONGI_RINGS && queue->ring[i]; i++) {
		const struct prongi_ring *r = (const void *)(uintptr_t)queue->ring[i];

		for (uint64_t k = 0; k < r->cells; k++)
			see(w, prongi_cell_ref(r->cell[k]));
	}
}

static void see_free(struct walk *w)
{
	int n = 0;

	for (uint64_t next = queue->free; next && n < 1000 && !w->bad; n++) {
		see(w, (uint32_t)next - 1);
		next = prongi_message_at(queue, (uint32_t)next - 1)->data[0];
	}
}

static void see_seats(struct walk *w)
{
	struct prongi_seat *s;

	for (uint32_t i = 0; (s = prongi_seat_at(queue, i)) != NULL; i++)
		if (s->hand)
			see(w, prongi_hand_spare(s->hand));
}

/* A ring that was begun and is not made yet has blocks, but nobody has heard of them. */
static bool in_use(uint32_t id)
{
	return id >= PRONGI_RINGS || queue->ring[id];
}

/* Each block is in exactly one place. */
unsigned queue_check_blocks(void)
{
	struct walk w = { .bad = 0 };

	see_cells(&w);
	see_free(&w);
	see_seats(&w);
	for (uint32_t id = 0; id < PRONGI_CHUNKS && !w.bad; id++)
		for (uint32_t i = 0; in_use(id) && prongi_ref_valid(queue, id << 24 | i); i++) {
			uint64_t header = prongi_message_at(queue, id << 24 | i)->header;
			enum prongi_state_of_block state = prongi_header_state(header);
			bool held = state == PRONGI_LEASED || state == PRONGI_BACK ||
				    state == PRONGI_RESERVED;

			if (!w.seen[id][i] && !held)
				w.bad |= kill_because(KILL_LEAKED, "block %x is lost", i);
			if (state == PRONGI_LEASED || state == PRONGI_BACK)
				w.bad |= kill_because(KILL_LOST, "block %x is still held", i);
			if (w.seen[id][i] && state == PRONGI_LEASED)
				w.bad |= kill_because(KILL_TWICE, "block %x is held too", i);
		}
	return w.bad;
}

unsigned queue_leaked(uint64_t allowed)
{
	uint64_t now;

	world_become(KILL_OTHERS);
	now = world_blocks();
	world_become(-1);
	return now >= blocks && now - blocks <= allowed
		       ? 0 : kill_because(KILL_LEAKED, "%lld blocks of the heap are left",
					  (long long)(now - blocks));
}

unsigned queue_leaked_with_it(void)
{
	if (world_slot(0)->id == 0)
		world_succeed(0); /* it drops what its predecessor had reserved */
	else
		world_become(KILL_OTHERS);
	if (prong_queue_free(queue))
		return kill_because(KILL_STUCK, "it cannot be freed: %s", prong_error_detail());
	return queue_leaked(0);
}

static unsigned check_common(void)
{
	unsigned bad = world_check() | (unsigned)atomic_load(&kill_control->note[1]);

	if (prongi_heap->locks[0].lock || *prongi_queue_lock(queue))
		bad |= KILL_STUCK;
	if (atomic_load(&kill_control->note[GOT_TWICE]))
		bad |= kill_because(KILL_TWICE, "a message came twice, not marked");
	if (atomic_load(&kill_control->note[MUST_COME_BACK]) &
	    ~atomic_load(&kill_control->note[GOT]))
		bad |= kill_because(KILL_LOST, "a leased message did not come back");
	bad |= queue_check_blocks();
	return bad ? bad : queue_leaked_with_it();
}

/* Messages that were put and that nobody got. */
static uint64_t missing(void)
{
	uint64_t put = atomic_load(&kill_control->note[PUT]);

	return put & ~atomic_load(&kill_control->note[GOT]) & ~((uint64_t)1 << STEPPED_IN);
}

unsigned queue_check_put(void)
{
	unsigned bad = check_common() | kill_check_count(has_bit(GOT, VICTIMS));

	return missing() ? bad | kill_because(KILL_LOST, "a message is lost") : bad;
}

/* One message may have gone with the victim, if it was its own by then. */
unsigned queue_check_get(void)
{
	uint64_t gone = missing();

	if (kill_control->done && gone != atomic_load(&kill_control->note[VICTIM_GOT]))
		return check_common() | kill_because(KILL_LOST, "another is missing than was got");
	if (gone & (gone - 1))
		return check_common() | kill_because(KILL_LOST, "two messages are missing");
	return check_common();
}

unsigned queue_check_all(void)
{
	unsigned bad = check_common();

	return missing() ? bad | kill_because(KILL_LOST, "a message is lost") : bad;
}
