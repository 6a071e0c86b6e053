/* The life of a queue: made, freed, joined, closed; and its counted writers.

   A queue that is being made or freed is found, at each instruction, from the caller's pointer or
   from its slot: so when the next owner of the slot has made and freed one of its own, as many
   blocks of the heap are in use as before. */
#include "engine.h"
#include "kill_queue.h"
#include <errno.h>

enum { JOINED = 7 };

static const prong_queue_opts plain = { .capacity = CAPACITY, .usual_size = 48 };

/* --- made ----------------------------------------------------------------------------------- */

static prong_queue **place(void)
{
	return (prong_queue **)&world->root[0];
}

static void nothing(void)
{
	queue_count_blocks();
}

static void make_in_heap(void)
{
	kill_count_begun();
	queue_note(prong_queue_new(place(), &plain) ? KILL_TORN : 0);
	kill_count_done();
}

static void make_growing(void)
{
	kill_count_begun();
	queue_note(prong_queue_new(place(), NULL) ? KILL_TORN : 0);
	kill_count_done();
}

static void make_for_itself(void)
{
	prong_queue *q = NULL;

	queue_note(prong_queue_new(&q, &plain) || !q ? KILL_TORN : 0);
}

static void make_badly(void)
{
	queue_note(prong_queue_new(NULL, &plain) == -EINVAL ? 0 : KILL_TORN);
	queue_note(prong_queue_new(place(), &(prong_queue_opts){ .capacity = (size_t)1 << 40 }) ==
			   -EINVAL ? 0 : KILL_TORN);
}

/* What is there works. */
static unsigned works(prong_queue *q)
{
	char c = 'a';

	if (prong_queue_put(q, &c, 1, PRONG_NOW) || prong_queue_put(q, "bcd", 3, PRONG_NOW) ||
	    prong_queue_get(q, &c, 1, NULL, PRONG_NOW) || c != 'a')
		return kill_because(KILL_TORN, "it does not work: %s", prong_error_detail());
	return prong_queue_free(q) ? kill_because(KILL_TORN, "it cannot be freed: %s",
						  prong_error_detail()) : 0;
}

static unsigned noted(void)
{
	return world_check() | (unsigned)atomic_load(&kill_control->note[1]);
}

/* The next owner of the actor's slot makes a queue and frees it. */
static unsigned succeeds_of(int actor)
{
	prong_queue *q = NULL;

	world_succeed(actor);
	if (prong_queue_new(&q, &plain))
		return kill_because(KILL_STUCK, "no queue: %s", prong_error_detail());
	return works(q);
}

static unsigned succeeds(void)
{
	return succeeds_of(0);
}

/* Another makes and frees one at the same time. */
static unsigned makes_and_frees(void)
{
	prong_queue **mine = (prong_queue **)&world->root[1];

	if (prong_queue_new(mine, &plain))
		return kill_because(KILL_TORN, "no queue: %s", prong_error_detail());
	return prongi_queue_free_at(mine) ? KILL_TORN : 0;
}

/* What the peer left, and the next owner of its slot finishes. */
static unsigned clear_up_peer(void)
{
	prong_queue *q = world->root[1];

	if (!(atomic_load(&kill_control->dead) >> KILL_PEER & 1))
		return q ? kill_because(KILL_TORN, "the peer's queue is there") : 0;
	return succeeds_of(KILL_PEER + 1) | (q ? works(q) : 0);
}

static unsigned check_made(void)
{
	unsigned bad = noted();
	prong_queue *q = *place();

	if (!q && kill_control->done)
		return bad | kill_because(KILL_LOST, "the queue that was made is gone");
	bad |= succeeds() | clear_up_peer();
	return bad | (q ? works(q) : 0) | queue_leaked(0);
}

static unsigned check_made_for_itself(void)
{
	return noted() | succeeds() | queue_leaked(1);
}

/* --- freed ---------------------------------------------------------------------------------- */

static void sit_and_fill(const prong_queue_opts *opts, int n, size_t size)
{
	queue_make(opts);
	*place() = queue;
	world_become(0);
	for (int i = 1; i <= n; i++)
		queue_put_one(i, i % 2 ? size : 1);
	world_become(-1);
}

static void some(void)
{
	sit_and_fill(&plain, 3, 1);
}

static void some_large(void)
{
	sit_and_fill(&plain, 3, 300);
}

static void grown(void)
{
	sit_and_fill(&plain, 0, 1);
	queue->growing = 1;
	world_become(0);
	for (int i = 1; i <= 2 * CAPACITY + 2; i++)
		queue_put_one(i, 1);
	world_become(-1);
}

/* One who is dead, and repaired, had messages in hand there; and reserved so many that more blocks
   were made. */
static void in_dead_hands(void)
{
	prong_message m;

	sit_and_fill(&plain, 3, 300);
	world_become(3);
	if (prong_queue_lease(queue, &m, PRONG_NOW))
		die("nothing in hand");
	for (int i = 0; i < 10; i++)
		if (prong_queue_reserve(queue, i == 3 ? 300 : 1, &m))
			die("nothing reserved");
	prongi_repair(world_slot(3));
	world_become(-1);
}

/* Another, who lives, has messages in hand, of all kinds. */
static prong_message in_hand[3];

static void in_live_hands(void)
{
	sit_and_fill(&plain, 3, 300);
	world_become(1);
	if (prong_queue_lease(queue, &in_hand[0], PRONG_NOW) ||
	    prong_queue_reserve(queue, 300, &in_hand[1]) ||
	    prong_queue_reserve(queue, 1, &in_hand[2]))
		die("nothing in hand");
	world_become(-1);
}

/* He is told that it is no queue any more, or lets go of all. */
static unsigned lets_go(void)
{
	for (int i = 0; i < 3; i++) {
		int r = prong_queue_abandon(queue, &in_hand[i]);

		if (prongi_queue_is(queue) ? r != 0 : r != -EINVAL)
			return kill_because(KILL_TORN, "abandon: %d", r);
	}
	return 0;
}

static void free_it(void)
{
	kill_count_begun();
	queue_note(prong_queue_free(*place()) ? KILL_TORN : 0);
	kill_count_done();
}

/* Freed, or not because of him; what he has in hand is never half gone. */
static void free_from_hands(void)
{
	int r;

	kill_count_begun();
	r = prong_queue_free(*place());
	queue_note(r == 0 || r == -EBUSY ? 0 : KILL_TORN);
	if (r == 0)
		kill_count_done();
}

/* Whole, or gone; never in between. */
static unsigned check_freed(void)
{
	unsigned bad = noted();
	prong_queue *q = *place();
	bool there = prongi_queue_is(q);

	if (there && kill_control->done)
		return bad | kill_because(KILL_LOST, "it was freed, and is there");
	if (there) {
		world_become(KILL_OTHERS);
		bad |= queue_drain();
		bad |= works(q);
	}
	return bad | succeeds() | clear_up_peer() | queue_leaked(0);
}

/* An owner of the slot was killed when it had begun to free a queue: the next one finishes that,
   and is killed as well. */
static void scrap_left(void)
{
	grown();
	world_become(0);
	prongi_begin(prongi_queue_lock(queue));
	prongi_set(&world_slot(0)->scrap, queue->raw);
	prongi_set(&queue->head.kind, 0);
	prongi_set(&queue->id, 0);
	prongi_commit();
	prongi_end(prongi_queue_lock(queue));
	world_become(-1);
	*place() = NULL;
}

static void free_in_use(void)
{
	queue_note(prong_queue_free(queue) == -EBUSY ? 0 : KILL_TORN);
}

static void empty(void)
{
	queue_make(&plain);
}

static unsigned sleeping_getter(void)
{
	return queue_get_one(world_deadline(), NULL);
}

static void first_sleeps(struct kill_trial *t)
{
	kill_place(t, 0);
}

static unsigned late_turn(void)
{
	return queue_drain() | queue_turn(OTHERS);
}

/* --- joined --------------------------------------------------------------------------------- */

static void one(void)
{
	queue_make(&plain);
	queue_fill(1, 1);
}

static void join_it(void)
{
	queue_note(prong_queue_join(queue, PRONG_FOREVER) ? KILL_STUCK : 0);
}

static void join_not_now(void)
{
	queue_note(prong_queue_join(queue, PRONG_NOW) == PRONG_TIMEDOUT ? 0 : KILL_TORN);
}

/* Done is done; and while the message is there, it is not. */
static void join_beside(void)
{
	int r = prong_queue_join(queue, PRONG_NOW);

	if (r == 0 && !atomic_load(&kill_control->note[GOT]))
		queue_note(kill_because(KILL_TORN, "joined too soon"));
	queue_note(r == 0 || r == PRONG_TIMEDOUT ? 0 : KILL_TORN);
}

static unsigned gets_it(void)
{
	return queue_get_one(PRONG_NOW, NULL);
}

static void lease_and_ack(void)
{
	prong_message m;

	kill_gate(0);
	kill_count_begun();
	if (prong_queue_lease(queue, &m, PRONG_FOREVER)) {
		queue_note(KILL_TORN);
		return;
	}
	atomic_store(&kill_control->note[VICTIM_GOT], (uint64_t)1 << *(char *)m.data);
	queue_note(prong_queue_ack(queue, &m) ? KILL_TORN : 0);
	kill_count_done();
}

static void get_it(void)
{
	char c;

	kill_gate(0);
	kill_count_begun();
	if (prong_queue_get(queue, &c, 1, NULL, PRONG_FOREVER)) {
		queue_note(KILL_TORN);
		return;
	}
	atomic_store(&kill_control->note[VICTIM_GOT], (uint64_t)1 << c);
	kill_count_done();
}

static unsigned joiner(void)
{
	prong_time deadline = world_deadline();
	int r = prong_queue_join(queue, deadline);

	atomic_store(&kill_control->note[JOINED], 1);
	/* A wake that was lost would be made good for at the deadline. */
	if (r || prong_ns_between(prong_clock(), deadline) <= 0)
		return kill_because(KILL_STUCK, "a join waits for ever");
	return prong_queue_size(queue) ? kill_because(KILL_TORN, "joined too soon") : 0;
}

/* Takes what came back from the dead, while the joiner waits; wakes nobody when there is none. */
static unsigned clears_up(void)
{
	int64_t until = now_ms() + kill_patience_ms;
	unsigned bad = 0;

	kill_gate(3);
	while (!atomic_load(&kill_control->note[JOINED]) && now_ms() < until && !bad) {
		bad = queue_drain();
		prong_sleep(prong_in_ms(1));
	}
	return bad;
}

static void joiner_comes(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 0);
	kill_place(t, 1);
	kill_open(0);
}

/* The victim sleeps in its join: another comes to it, and then the message is taken. */
static unsigned takes(void)
{
	kill_gate(1);
	return queue_get_one(world_deadline(), NULL);
}

static void taker_waits(struct kill_trial *t)
{
	kill_place(t, 1);
}

static void joined_by_another(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 0);
	kill_pass(t, 1, 1);
}

/* --- counted writers ------------------------------------------------------------------------ */

static void life_repair(void)
{
	world_repair();
	prongi_ends_tell(); /* as the server does when it has repaired a process */
}

/* What a thread does that was started with the queue in its options. */
static void write_and_leave(void)
{
	prong_queue *writes[PRONGI_WRITES] = { queue };

	prongi_writes_mine(writes);
	kill_count_begun();
	queue_note(prong_queue_put(queue, &(char){ VICTIMS }, 1, PRONG_FOREVER) ? KILL_TORN : 0);
	kill_count_done();
	prongi_leave();
}

/* What a starter does whose start fails. */
static void start_nobody(void)
{
	prong_queue *writes[PRONGI_WRITES] = { queue };

	prongi_writes_begin(writes);
	prongi_writes_mark(world_slot(0)->starts);
	prongi_writes_end();
}

/* To the end of the writers; where the victim had not begun to count there is no end, and nobody
   is at fault. */
static unsigned reader(void)
{
	prong_time deadline = world_deadline();
	prong_message m;
	int r;

	while ((r = prong_queue_lease(queue, &m, deadline)) == 0) {
		atomic_fetch_or(&kill_control->note[GOT], (uint64_t)1 << *(char *)m.data);
		if (prong_queue_ack(queue, &m))
			return KILL_TORN;
	}
	atomic_store(&kill_control->note[JOINED], 1);
	return r == PRONG_CLOSED ? 0 : kill_because(KILL_STUCK, "a reader waits for who is gone");
}

/* A second writer, who comes when the first is gone, and had never begun. */
static unsigned writes_if_nobody_did(void)
{
	prong_queue *writes[PRONGI_WRITES] = { queue };

	kill_gate(3);
	while (atomic_load(&world_slot(0)->id))
		prong_sleep(prong_in_ms(1));
	if (queue->ne & PRONGI_WRITTEN)
		return 0;
	prongi_writes_mine(writes);
	prongi_leave();
	return 0;
}

static void reader_waits(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_place(t, 1);
}

static unsigned check_written(void)
{
	unsigned bad = queue_check_blocks() | noted();
	bool got = atomic_load(&kill_control->note[GOT]) >> VICTIMS & 1;

	return bad | kill_check_count(got) | queue_leaked_with_it();
}

/* --- closed --------------------------------------------------------------------------------- */

/* The peer has the only message in hand; it gives it back, and then closes the queue. */
static prong_message peers;

static void leased_by_peer(void)
{
	one();
	world_become(KILL_PEER + 1);
	if (prong_queue_lease(queue, &peers, PRONG_NOW))
		die("nothing to lease");
	world_become(-1);
}

static unsigned abandons_and_closes(void)
{
	return prong_queue_abandon(queue, &peers) || prong_queue_close(queue) ? KILL_TORN : 0;
}

/* When the peer did not come. */
static unsigned clears_up_for_peer(void)
{
	if (prongi_header_load(prongi_message_at(queue, peers.block_)) == peers.hold_) {
		world_become(KILL_PEER + 1);
		if (abandons_and_closes())
			return KILL_TORN;
	}
	return queue_drain();
}

/* Who is told that it is closed finds nothing more. */
static void get_while_it_is_closed(void)
{
	char c;
	int r, told;

	kill_count_begun();
	r = told = prong_queue_get(queue, &c, 1, NULL, PRONG_NOW);
	if (told == PRONG_CLOSED)
		r = prong_queue_get(queue, &c, 1, NULL, PRONG_NOW);
	if (told == PRONG_CLOSED && r == 0)
		queue_note(kill_because(KILL_LOST, "closed, and a message is left"));
	if (r)
		return;
	atomic_store(&kill_control->note[VICTIM_GOT], (uint64_t)1 << c);
	kill_count_done();
}

static void close_it(void)
{
	queue_note(prong_queue_close(queue) ? KILL_TORN : 0);
}

/* A close does not end the wait of who joins: he waits for the last message. */
static unsigned takes_at_last(void)
{
	kill_gate(3);
	if (atomic_load(&kill_control->note[JOINED]))
		return kill_because(KILL_TORN, "a close ends a join");
	return queue_get_one(world_deadline(), NULL);
}

static void joiner_waits(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_place(t, 1);
}

static const struct kill_scenario scenarios[] = {
	{ .rare = true, .name = "new-beside-a-new",
	  .setup = nothing, .victim = make_in_heap, .peer = makes_and_frees,
	  .check = check_made },
	{ .rare = true, .name = "free-beside-a-new",
	  .setup = some_large, .victim = free_it, .peer = makes_and_frees,
	  .check = check_freed },
	{ .rare = true, .name = "free-in-live-hands",
	  .setup = in_live_hands, .victim = free_from_hands, .other = { lets_go }, .alone = true,
	  .check = check_freed },
	{ .rare = true, .name = "join-beside-an-ack",
	  .setup = one, .victim = join_beside, .peer = gets_it, .late = late_turn,
	  .check = queue_check_all },
	{ .rare = true, .name = "close-beside-a-joiner",
	  .setup = one, .before = joiner_waits, .victim = close_it,
	  .other = { joiner, takes_at_last }, .late = queue_late, .check = queue_check_all },

	{ .name = "new", .setup = nothing, .victim = make_in_heap, .check = check_made },
	{ .rare = true, .name = "new-growing", .setup = nothing, .victim = make_growing,
	  .check = check_made },
	{ .rare = true, .name = "new-outside", .setup = nothing, .victim = make_for_itself,
	  .check = check_made_for_itself },
	{ .rare = true, .name = "new-refused", .setup = nothing, .victim = make_badly,
	  .check = check_made },
	{ .name = "new-finishes-a-free", .setup = scrap_left, .victim = make_in_heap,
	  .check = check_made },
	{ .name = "free", .setup = some, .victim = free_it, .check = check_freed },
	{ .rare = true, .name = "free-by-reference", .setup = some_large, .victim = free_it,
	  .check = check_freed },
	{ .name = "free-grown", .setup = grown, .victim = free_it, .check = check_freed },
	{ .rare = true, .name = "free-in-dead-hands", .setup = in_dead_hands, .victim = free_it,
	  .check = check_freed },
	{ .alone = true, .name = "free-in-use", .setup = empty, .before = first_sleeps,
	  .victim = free_in_use, .died = queue_died_feed, .other = { sleeping_getter },
	  .late = late_turn, .check = queue_check_all },
	{ .name = "join-asleep", .setup = one, .before = taker_waits, .victim = join_it,
	  .asleep = joined_by_another, .other = { joiner, takes }, .late = late_turn,
	  .check = queue_check_all },
	{ .rare = true, .name = "join-not-now", .setup = one, .victim = join_not_now,
	  .late = late_turn, .check = queue_check_all },
	{ .name = "ack-wakes-a-joiner", .setup = one, .victim = lease_and_ack,
	  .asleep = joiner_comes, .died = queue_died, .other = { joiner, clears_up },
	  .late = late_turn, .check = queue_check_get },
	{ .rare = true, .name = "get-wakes-a-joiner", .setup = one, .victim = get_it,
	  .asleep = joiner_comes, .died = queue_died, .other = { joiner, clears_up },
	  .late = late_turn, .check = queue_check_get },
	{ .name = "get-while-another-closes", .setup = leased_by_peer,
	  .victim = get_while_it_is_closed, .died = queue_died, .other = { clears_up_for_peer },
	  .late = late_turn, .peer = abandons_and_closes, .check = queue_check_get },
	{ .name = "writer-leaves", .setup = empty, .before = reader_waits,
	  .victim = write_and_leave, .other = { reader, writes_if_nobody_did },
	  .check = check_written },
	{ .name = "writer-not-started", .setup = empty, .before = reader_waits,
	  .victim = start_nobody, .other = { reader, writes_if_nobody_did },
	  .check = check_written },
	{ .name = NULL }
};

const struct kill_room room_queue_life = {
	.name = "queue", .open = world_open, .become = world_become, .repair = life_repair,
	.stopped = world_stopped, .scenarios = scenarios,
	.files = "queue_life.c writers.c prongi_writes_ prongi_ends prongi_queue_writers",
};
