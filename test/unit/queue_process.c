/* The queue between processes, and their deaths. */
#include "support.h"

enum { PRODUCERS = 3, CONSUMERS = 3, MANY = 8000 };

struct line {
	prong_queue *q;
	int each; /* messages of a producer */
	atomic_int producer, ready;
	atomic_uchar seen[PRODUCERS * MANY];
};

static struct line *line(size_t capacity)
{
	struct line *l = shared(sizeof *l);

	CHECK_OK(prong_queue_new(&l->q, &(prong_queue_opts){ .capacity = capacity }));
	return l;
}

static void drop(struct line *l)
{
	CHECK_OK(prong_queue_free(l->q));
	prong_free(l);
}

static void put(prong_queue *q, int i)
{
	CHECK_OK(prong_queue_put(q, &i, sizeof i, soon()));
}

/* Take the next one, which must be this, tried so often. */
static void expect(prong_queue *q, int i, uint32_t tries)
{
	prong_message m;

	CHECK_OK(prong_queue_lease(q, &m, soon()));
	CHECK_EQ(m.size, sizeof i);
	CHECK_EQ(*(int *)m.data, i);
	CHECK_EQ(m.tries, tries);
	CHECK_OK(prong_queue_ack(q, &m));
}

/* --- N x M ----------------------------------------------------------------------------------- */

static int body_produces(void *arg)
{
	struct line *l = arg;
	int me = atomic_fetch_add(&l->producer, 1);

	for (int i = 0; i < l->each; i++)
		put(l->q, me * l->each + i);
	return 0;
}

/* Of each producer what comes here comes in its order. */
static int body_consumes(void *arg)
{
	struct line *l = arg;
	int last[PRODUCERS] = { -1, -1, -1 }, i = 0, r;

	while ((r = prong_queue_get(l->q, &i, sizeof i, NULL, soon())) == 0) {
		CHECK(i >= 0 && i < PRODUCERS * l->each);
		CHECK(i > last[i / l->each]);
		last[i / l->each] = i;
		atomic_fetch_add(&l->seen[i], 1);
	}
	CHECK_EQ(r, PRONG_CLOSED);
	return 0;
}

static void once(size_t capacity)
{
	struct line *l = line(capacity);
	prong_process *producer[PRODUCERS], *consumer[CONSUMERS];

	l->each = scaled(MANY) < MANY ? scaled(MANY) : MANY;
	for (int i = 0; i < PRODUCERS; i++)
		producer[i] = start(body_produces, l, 0);
	for (int i = 0; i < CONSUMERS; i++)
		consumer[i] = start(body_consumes, l, 0);
	for (int i = 0; i < PRODUCERS; i++)
		CHECK_EQ(end(producer[i]), 0);
	CHECK_OK(prong_queue_join(l->q, soon()));
	CHECK_OK(prong_queue_close(l->q));
	for (int i = 0; i < CONSUMERS; i++)
		CHECK_EQ(end(consumer[i]), 0);
	/* Only now: a message that was got may not have been written down yet. */
	for (int i = 0; i < PRODUCERS * l->each; i++)
		CHECK_EQ(atomic_load(&l->seen[i]), 1);
	drop(l);
}

static void each_message_exactly_once(void **state)
{
	(void)state;
	once(0);
	once(64);
}

/* --- death ----------------------------------------------------------------------------------- */

/* Has the first two in hand, and more to put. */
static int body_leases_two(void *arg)
{
	struct line *l = arg;
	prong_message m;

	for (int i = 0; i < 2; i++)
		CHECK_OK(prong_queue_lease(l->q, &m, soon()));
	CHECK_OK(prong_queue_reserve(l->q, sizeof(int), &m));
	atomic_fetch_add(&l->ready, 1);
	return body_sleep(NULL);
}

static void what_the_killed_had_in_hand_comes_first(void **state)
{
	struct line *l = line(0);

	(void)state;
	for (int i = 0; i < 4; i++)
		put(l->q, i);
	for (int death = 0; death < 2; death++) {
		prong_process *p = start(body_leases_two, l, 0);

		CHECK(wait_for(&l->ready, death + 1));
		CHECK_EQ(prong_queue_size(l->q), 2);
		CHECK_EQ(prong_queue_join(l->q, PRONG_NOW), PRONG_TIMEDOUT);
		kill_and_end(p);
	}
	CHECK_EQ(prong_queue_size(l->q), 4);
	for (int i = 0; i < 4; i++)
		expect(l->q, i, i < 2 ? 3 : 1);
	CHECK_OK(prong_queue_join(l->q, soon()));
	drop(l);
}

/* A get makes it his for good: it dies with him. */
static int body_gets_one(void *arg)
{
	struct line *l = arg;
	int i;

	CHECK_OK(prong_queue_get(l->q, &i, sizeof i, NULL, soon()));
	CHECK_EQ(i, 0);
	atomic_fetch_add(&l->ready, 1);
	return body_sleep(NULL);
}

static void what_the_killed_got_is_gone(void **state)
{
	struct line *l = line(2);
	prong_process *p;

	(void)state;
	put(l->q, 0);
	put(l->q, 1);
	p = start(body_gets_one, l, 0);
	CHECK(wait_for(&l->ready, 1));
	kill_and_end(p);
	expect(l->q, 1, 1);
	CHECK_OK(prong_queue_join(l->q, soon()));
	drop(l);
}

static int body_puts_for_ever(void *arg)
{
	struct line *l = arg;

	for (int i = 0;; i++) {
		put(l->q, i);
		atomic_store(&l->ready, i + 1);
	}
	return 0;
}

/* Killed as it puts: what it had put is there, in order; the last one is whole, or is not. */
static void a_killed_producer_leaves_what_it_put(void **state)
{
	struct line *l = line(0);
	prong_process *p = start(body_puts_for_ever, l, 0);
	int done, n = 0, i;

	(void)state;
	CHECK(wait_for(&l->ready, 100));
	kill_and_end(p);
	done = atomic_load(&l->ready);
	for (; prong_queue_get(l->q, &i, sizeof i, NULL, PRONG_NOW) == 0; n++)
		CHECK_EQ(i, n);
	CHECK(n == done || n == done + 1);
	CHECK_EQ(prong_queue_size(l->q), 0);
	drop(l);
}

/* --- closed ---------------------------------------------------------------------------------- */

static int body_waits_to_get(void *arg)
{
	struct line *l = arg;
	int i;

	atomic_fetch_add(&l->ready, 1);
	CHECK_EQ(prong_queue_get(l->q, &i, sizeof i, NULL, soon()), PRONG_CLOSED);
	return 0;
}

static int body_waits_to_put(void *arg)
{
	struct line *l = arg;

	atomic_fetch_add(&l->ready, 1);
	CHECK_EQ(prong_queue_put(l->q, "x", 1, soon()), PRONG_CLOSED);
	return 0;
}

static bool all_asleep(void *arg)
{
	prong_process **p = arg;

	for (int i = 0; p[i]; i++)
		if (pid_state((pid_t)prong_process_pid(p[i]), NULL) != 'S')
			return false;
	return true;
}

static void close_wakes_all(prong_fn *body, size_t capacity, int n)
{
	struct line *l = line(capacity);
	prong_process *p[4] = { NULL };

	for (int i = 0; i < n; i++)
		put(l->q, i);
	for (int i = 0; i < 3; i++)
		p[i] = start(body, l, 0);
	CHECK(wait_for(&l->ready, 3));
	CHECK(wait_until(all_asleep, p, HANG_MS));
	CHECK_OK(prong_queue_close(l->q));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(end(p[i]), 0);
	for (int i = 0; i < n; i++)
		expect(l->q, i, 1);
	drop(l);
}

static void close_wakes_processes(void **state)
{
	(void)state;
	close_wakes_all(body_waits_to_get, 0, 0);
	close_wakes_all(body_waits_to_put, 2, 2);
}

/* --- no feeder ------------------------------------------------------------------------------- */

enum { LARGE = 1 << 20, LARGE_ONES = 16 };

static int body_puts_large(void *arg)
{
	struct line *l = arg;
	char *data = prong_alloc(LARGE);

	CHECK(data != NULL);
	for (int i = 0; i < LARGE_ONES; i++) {
		memset(data, i, LARGE);
		CHECK_OK(prong_queue_put(l->q, data, LARGE, soon()));
	}
	prong_free(data);
	return 0;
}

/* A process that has put what nobody reads is joined at once, and what it put outlives it. */
static void a_join_waits_for_no_drain(void **state)
{
	struct line *l = line(0);

	(void)state;
	CHECK_EQ(run(body_puts_large, l, 0), 0);
	CHECK_EQ(prong_queue_size(l->q), LARGE_ONES);
	for (int i = 0; i < LARGE_ONES; i++) {
		prong_message m;

		CHECK_OK(prong_queue_lease(l->q, &m, PRONG_NOW));
		CHECK_EQ(m.size, LARGE);
		for (size_t at = 0; at < LARGE; at += 4095)
			CHECK_EQ(((char *)m.data)[at], i);
		CHECK_OK(prong_queue_ack(l->q, &m));
	}
	drop(l);
}

static const struct CMUnitTest tests[] = {
	CASE(each_message_exactly_once),
	CASE(what_the_killed_had_in_hand_comes_first),
	CASE(what_the_killed_got_is_gone),
	CASE(a_killed_producer_leaves_what_it_put),
	CASE(close_wakes_processes),
	CASE(a_join_waits_for_no_drain),
};

TEST_MAIN(tests, TEST_WARM, NULL)
