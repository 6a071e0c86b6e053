/* A mutex in the heap between processes, and their deaths. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>

struct account {
	prong_mutex lock;
	atomic_int ready;
	int rounds;
	long a, b; /* equal, whenever lock is free */
};

static int body_adds(void *arg)
{
	struct account *c = arg;

	for (int i = 0; i < c->rounds; i++) {
		CHECK_OK(prong_mutex_lock(&c->lock, soon()));
		if (c->a++ != c->b++)
			return 1;
		CHECK_OK(prong_mutex_unlock(&c->lock));
	}
	return 0;
}

static void one_at_a_time(void **state)
{
	struct account *c = shared(sizeof *c);
	prong_process *p[4];

	(void)state;
	c->rounds = scaled(50000);
	for (int i = 0; i < 4; i++)
		p[i] = start(body_adds, c, 0);
	CHECK_EQ(body_adds(c), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(end(p[i]), 0);
	CHECK_EQ(c->a, 5L * c->rounds);
	CHECK_EQ(c->b, c->a);
	prong_free(c);
}

/* Outside the heap each process has its own. */
static prong_mutex outside;

static int body_tries_outside(void *arg)
{
	(void)arg;
	return prong_mutex_lock(&outside, PRONG_NOW);
}

static void outside_the_heap_each_has_its_own(void **state)
{
	(void)state;
	CHECK_OK(prong_mutex_lock(&outside, PRONG_NOW));
	CHECK_EQ(run(body_tries_outside, NULL, 0), 0);
	CHECK_OK(prong_mutex_unlock(&outside));
}

static int body_holds(void *arg)
{
	struct account *c = arg;

	CHECK_OK(prong_mutex_lock(&c->lock, soon()));
	c->a++;
	atomic_store(&c->ready, 1);
	return body_sleep(NULL);
}

static prong_process *start_holder(struct account *c)
{
	prong_process *p;

	atomic_store(&c->ready, 0);
	p = start(body_holds, c, 0);
	CHECK(wait_for(&c->ready, 1));
	return p;
}

static void repair(struct account *c)
{
	c->a = c->b;
	CHECK_OK(prong_mutex_consistent(&c->lock));
}

static void the_owner_is_killed(void **state)
{
	struct account *c = shared(sizeof *c);
	prong_process *p;

	(void)state;
	for (int i = 0; i < 10; i++) {
		p = start_holder(c);
		CHECK_EQ(prong_mutex_lock(&c->lock, PRONG_NOW), PRONG_TIMEDOUT);
		kill_and_end(p);
		CHECK_EQ(prong_mutex_lock(&c->lock, PRONG_NOW), PRONG_OWNERDEAD);
		repair(c);
		CHECK_OK(prong_mutex_unlock(&c->lock));
		CHECK_OK(prong_mutex_lock(&c->lock, PRONG_NOW));
		CHECK_OK(prong_mutex_unlock(&c->lock));
	}
	prong_free(c);
}

static int body_returns_holding(void *arg)
{
	return prong_mutex_lock(arg, PRONG_NOW);
}

static int body_exits_holding(void *arg)
{
	if (prong_mutex_lock(arg, PRONG_NOW) == 0)
		_exit(0);
	return 1;
}

static void the_owner_ends_well(void **state)
{
	struct account *c = shared(sizeof *c);
	prong_fn *fn[2] = { body_returns_holding, body_exits_holding };

	(void)state;
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(run(fn[i], c, 0), 0);
		CHECK_EQ(prong_mutex_lock(&c->lock, PRONG_NOW), PRONG_OWNERDEAD);
		repair(c);
		CHECK_OK(prong_mutex_unlock(&c->lock));
	}
	prong_free(c);
}

static void *take_over(void *arg)
{
	struct account *c = arg;
	int r = prong_mutex_lock(&c->lock, soon());

	if (r == PRONG_OWNERDEAD)
		repair(c);
	else
		CHECK_OK(r);
	CHECK_EQ(c->a, c->b);
	CHECK_OK(prong_mutex_unlock(&c->lock));
	return (void *)(intptr_t)r;
}

static int body_takes_over(void *arg)
{
	return take_over(arg) ? 1 : 0;
}

/* Threads and processes sleep on it when its owner is killed: one is told, all get in. */
static void sleepers_learn_of_the_death(void **state)
{
	struct account *c = shared(sizeof *c);

	(void)state;
	for (int round = 0; round < 10; round++) {
		prong_process *owner = start_holder(c), *p[3];
		pthread_t t[3];
		int told = 0;
		void *r;

		for (int i = 0; i < 3; i++) {
			p[i] = start(body_takes_over, c, 0);
			CHECK_EQ(pthread_create(&t[i], NULL, take_over, c), 0);
		}
		sleep_ms(round);
		kill_and_end(owner);
		for (int i = 0; i < 3; i++) {
			CHECK_EQ(pthread_join(t[i], &r), 0);
			told += (r != NULL) + end(p[i]);
		}
		CHECK_EQ(told, 1);
	}
	prong_free(c);
}

/* The one that sleeps is killed, and the one that was just woken. */
static void sleepers_are_killed(void **state)
{
	struct account *c = shared(sizeof *c);
	prong_process *p[4];

	(void)state;
	for (int round = 0; round < scaled(50); round++) {
		CHECK_OK(prong_mutex_lock(&c->lock, soon()));
		for (int i = 0; i < 4; i++)
			p[i] = start(body_takes_over, c, 0);
		sleep_ms(round % 4);
		CHECK_OK(prong_process_signal(p[0], SIGKILL));
		CHECK_OK(prong_mutex_unlock(&c->lock));
		CHECK_OK(prong_process_signal(p[1], SIGKILL));
		for (int i = 0; i < 4; i++)
			CHECK(end(p[i]) <= 1);
		take_over(c);
	}
	prong_free(c);
}

static int body_dies_marked(void *arg)
{
	CHECK_EQ(prong_mutex_lock(arg, soon()), PRONG_OWNERDEAD);
	raise(SIGKILL);
	return 0;
}

static void the_next_owner_dies_before_it_is_consistent(void **state)
{
	struct account *c = shared(sizeof *c);

	(void)state;
	kill_and_end(start_holder(c));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(run(body_dies_marked, c, 0), -SIGKILL);
	CHECK_EQ(prong_mutex_lock(&c->lock, soon()), PRONG_OWNERDEAD);
	repair(c);
	CHECK_OK(prong_mutex_unlock(&c->lock));
	prong_free(c);
}

static void the_server_repairs_what_nobody_asks_for(void **state)
{
	struct account *c = shared(64 * sizeof *c);
	prong_process *p[64];

	(void)state;
	for (int i = 0; i < 64; i++)
		p[i] = start_holder(&c[i]);
	for (int i = 0; i < 64; i++)
		kill_and_end(p[i]);
	for (int i = 0; i < 64; i++) {
		CHECK_EQ(prong_mutex_lock(&c[i].lock, PRONG_NOW), PRONG_OWNERDEAD);
		CHECK_OK(prong_mutex_unlock(&c[i].lock));
	}
	prong_free(c);
}

/* --- stress -------------------------------------------------------------------------------- */

static int body_adds_for_ever(void *arg)
{
	struct account *c = arg;

	for (;;) {
		int r = prong_mutex_lock(&c->lock, soon());

		if (r == PRONG_OWNERDEAD)
			repair(c);
		else
			CHECK_OK(r);
		if (c->a++ != c->b)
			return 1;
		c->b++;
		CHECK_OK(prong_mutex_unlock(&c->lock));
	}
}

static void kills_all_the_time(void **state)
{
	enum { N = 4 };
	struct account *c = shared(sizeof *c);
	prong_time until = prong_in_ms(3000);
	prong_process *p[N];
	int kills = 0;

	(void)state;
	for (int i = 0; i < N; i++)
		p[i] = start(body_adds_for_ever, c, 0);
	while (prong_ns_between(prong_clock(), until) > 0) {
		int victim = rand() % N;

		sleep_ms(rand() % 5);
		kill_and_end(p[victim]);
		p[victim] = start(body_adds_for_ever, c, 0);
		kills++;
	}
	for (int i = 0; i < N; i++)
		kill_and_end(p[i]);
	take_over(c);
	CHECK_EQ(c->a, c->b);
	print_message("%d kills, %ld rounds\n", kills, c->a);
	prong_free(c);
}

static void stops_all_the_time(void **state)
{
	enum { N = 3 };
	struct account *c = shared(sizeof *c);
	prong_time until = prong_in_ms(2000);
	prong_process *p[N];

	(void)state;
	for (int i = 0; i < N; i++)
		p[i] = start(body_adds_for_ever, c, 0);
	while (prong_ns_between(prong_clock(), until) > 0) {
		prong_process *victim = p[rand() % N];

		CHECK_OK(prong_process_signal(victim, SIGSTOP));
		sleep_ms(rand() % 3);
		CHECK_OK(prong_process_signal(victim, SIGCONT));
	}
	for (int i = 0; i < N; i++) {
		CHECK_EQ(prong_process_join(p[i], NULL, PRONG_NOW), PRONG_TIMEDOUT);
		kill_and_end(p[i]);
	}
	take_over(c);
	CHECK(c->b > 0);
	prong_free(c);
}

static const struct CMUnitTest tests[] = {
	CASE(one_at_a_time),
	CASE(outside_the_heap_each_has_its_own),
	CASE(the_owner_is_killed),
	CASE(the_owner_ends_well),
	CASE(sleepers_learn_of_the_death),
	CASE(sleepers_are_killed),
	CASE(the_next_owner_dies_before_it_is_consistent),
	CASE(the_server_repairs_what_nobody_asks_for),
	CASE(kills_all_the_time),
	CASE(stops_all_the_time),
};

TEST_MAIN(tests, TEST_WARM, NULL)
