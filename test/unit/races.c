/* Members as threads: each has its slot, as each process has, and all work on the same objects in
   the heap.  Under the thread sanitizer, which does not know of memory that processes share, this
   is what shows a missing order; elsewhere it is a test of the same under load.

   What it cannot show: signal fences, which order one thread's stores for its own repairer alone,
   and what a killed process leaves.  That is for test/kill, and for the models. */
#define _GNU_SOURCE
#include "support.h"

#define MEMBERS 4

/* Run fn(arg) in each of some threads; each returns 0. */
static void all_run(prong_fn *fn, void *arg)
{
	prong_thread *t[MEMBERS];

	for (int i = 0; i < MEMBERS; i++)
		t[i] = start_thread(fn, arg, 0);
	for (int i = 0; i < MEMBERS; i++)
		CHECK_EQ(end_thread(t[i]), 0);
}

static int rounds(void)
{
	return scaled(20000) / (TEST_TSAN ? 4 : 1);
}

/* --- the mutex ------------------------------------------------------------------------------- */

struct counted {
	prong_mutex m;
	long count; /* plain: the mutex alone protects it */
};

static int count_up(void *arg)
{
	struct counted *c = arg;

	for (int i = 0, n = rounds(); i < n; i++) {
		CHECK_OK(prong_mutex_lock(&c->m, soon()));
		c->count++;
		CHECK_OK(prong_mutex_unlock(&c->m));
	}
	return 0;
}

static void a_mutex_orders_what_it_protects(void **state)
{
	struct counted *c = shared(sizeof *c);

	(void)state;
	all_run(count_up, c);
	CHECK_EQ(c->count, (long)rounds() * MEMBERS);
	prong_free(c);
}

/* Who waits with a deadline and gives up. */
static int count_or_give_up(void *arg)
{
	struct counted *c = arg;

	for (int i = 0, n = rounds() / 4; i < n; i++) {
		int r = prong_mutex_lock(&c->m, i % 2 ? prong_in_ms(1) : PRONG_NOW);

		if (r == PRONG_TIMEDOUT)
			continue;
		CHECK_OK(r);
		c->count++;
		CHECK_OK(prong_mutex_unlock(&c->m));
	}
	return 0;
}

static void a_deadline_leaves_no_race(void **state)
{
	struct counted *c = shared(sizeof *c);

	(void)state;
	all_run(count_or_give_up, c);
	CHECK(c->count > 0);
	prong_free(c);
}

/* A thread ends with the mutex: what it wrote is seen by who is told. */
static int end_with_it(void *arg)
{
	struct counted *c = arg;
	int r = prong_mutex_lock(&c->m, soon());

	CHECK(r == 0 || r == PRONG_OWNERDEAD);
	c->count++;
	return 0;
}

static int end_with_it_often(void *arg)
{
	for (int i = 0, n = rounds() / 400 + 1; i < n; i++)
		CHECK_EQ(end_thread(start_thread(end_with_it, arg, 0)), 0);
	return 0;
}

static void an_owners_end_orders_too(void **state)
{
	struct counted *c = shared(sizeof *c);

	(void)state;
	all_run(end_with_it_often, c);
	CHECK_EQ(prong_mutex_lock(&c->m, soon()), PRONG_OWNERDEAD);
	CHECK_EQ(c->count, (long)(rounds() / 400 + 1) * MEMBERS);
	CHECK_OK(prong_mutex_unlock(&c->m));
	prong_free(c);
}

/* --- sections and the allocator --------------------------------------------------------------- */

struct list {
	prong_mutex m;
	struct node {
		struct node *next;
		int bytes[14];
	} *first;
};

/* Blocks go from hand to hand: one allocates and writes, another reads and frees. */
static int pass_blocks(void *arg)
{
	struct list *l = arg;

	for (int i = 0, n = rounds() / 4; i < n; i++) {
		struct node *mine = prong_alloc(sizeof *mine), *theirs;

		CHECK(mine != NULL);
		for (int k = 0; k < 14; k++)
			mine->bytes[k] = i;
		CHECK_OK(prong_mutex_lock(&l->m, soon()));
		mine->next = l->first;
		l->first = mine;
		CHECK_OK(prong_mutex_unlock(&l->m));
		CHECK_OK(prong_mutex_lock(&l->m, soon()));
		theirs = l->first;
		l->first = theirs->next;
		CHECK_OK(prong_mutex_unlock(&l->m));
		for (int k = 1; k < 14; k++)
			CHECK_EQ(theirs->bytes[k], theirs->bytes[0]);
		prong_free(theirs);
	}
	return 0;
}

static void blocks_change_hands(void **state)
{
	struct list *l = shared(sizeof *l);

	(void)state;
	all_run(pass_blocks, l);
	CHECK(l->first == NULL);
	prong_free(l);
}

struct places {
	struct counted turn; /* count: whose place is next */
	void *place[MEMBERS];
};

/* Each at a place of its own, in turn at others'. */
static int alloc_at_places(void *arg)
{
	struct places *p = arg;

	for (int i = 0, n = rounds() / 4; i < n; i++) {
		void **place;

		CHECK_OK(prong_mutex_lock(&p->turn.m, soon()));
		place = &p->place[p->turn.count++ % MEMBERS];
		if (*place)
			CHECK_OK(prong_realloc_at(place, (size_t)(i % 700)));
		else
			CHECK_OK(prong_alloc_to(place, (size_t)(i % 500)));
		if (i % 3 == 0)
			CHECK_OK(prong_free_at(place));
		CHECK_OK(prong_mutex_unlock(&p->turn.m));
	}
	return 0;
}

static void pointers_change_with_their_blocks(void **state)
{
	struct places *p = shared(sizeof *p);

	(void)state;
	all_run(alloc_at_places, p);
	for (int i = 0; i < MEMBERS; i++)
		CHECK_OK(prong_free_at(&p->place[i]));
	prong_free(p);
}

/* --- the other nouns -------------------------------------------------------------------------- */

struct nouns {
	prong_sem sem;
	prong_rwlock lock;
	prong_mutex m;
	prong_cond cond;
	long count, a, b; /* plain */
	int turn;
	atomic_int number;
};

/* The semaphore as a lock. */
static int count_with_sem(void *arg)
{
	struct nouns *n = arg;

	for (int i = 0, r = rounds() / 4; i < r; i++) {
		CHECK_OK(prong_sem_wait(&n->sem, soon()));
		n->count++;
		CHECK_OK(prong_sem_post(&n->sem, 1));
	}
	return 0;
}

static void a_semaphore_orders(void **state)
{
	struct nouns *n = shared(sizeof *n);

	(void)state;
	CHECK_OK(prong_sem_post(&n->sem, 1));
	all_run(count_with_sem, n);
	CHECK_EQ(n->count, (long)(rounds() / 4) * MEMBERS);
	prong_free(n);
}

static int read_and_write(void *arg)
{
	struct nouns *n = arg;

	for (int i = 0, r = rounds() / 4; i < r; i++) {
		if (i % 8 == 0) {
			CHECK_OK(prong_rwlock_write(&n->lock, soon()));
			n->a++;
			n->b++;
		} else {
			CHECK_OK(prong_rwlock_read(&n->lock, soon()));
			CHECK_EQ(n->a, n->b);
		}
		CHECK_OK(prong_rwlock_unlock(&n->lock));
	}
	return 0;
}

static void readers_and_writers_are_ordered(void **state)
{
	struct nouns *n = shared(sizeof *n);

	(void)state;
	all_run(read_and_write, n);
	CHECK_EQ(n->a, n->b);
	prong_free(n);
}

/* Each in turn. */
static int take_turns(void *arg)
{
	struct nouns *n = arg;
	int me = atomic_fetch_add(&n->number, 1);

	CHECK_OK(prong_mutex_lock(&n->m, soon()));
	for (int i = 0, r = rounds() / 200; i < r; i++) {
		while (n->turn != me)
			CHECK_OK(prong_cond_wait(&n->cond, &n->m, soon()));
		n->turn = (me + 1) % MEMBERS;
		n->count++;
		CHECK_OK(prong_cond_broadcast(&n->cond));
	}
	CHECK_OK(prong_mutex_unlock(&n->m));
	return 0;
}

static void a_condition_orders(void **state)
{
	struct nouns *n = shared(sizeof *n);

	(void)state;
	all_run(take_turns, n);
	CHECK_EQ(n->count, (long)(rounds() / 200) * MEMBERS);
	prong_free(n);
}

/* --- the queue --------------------------------------------------------------------------- */

/* What a message points to is plain memory: the queue alone orders it. */
static int put_and_get(void *arg)
{
	prong_queue *q = *(prong_queue **)arg;

	for (int i = 0, n = rounds() / 8; i < n; i++) {
		int *mine = prong_alloc(2 * sizeof *mine), *theirs = NULL;

		CHECK(mine != NULL);
		mine[0] = mine[1] = i;
		CHECK_OK(prong_queue_put(q, &mine, sizeof mine, soon()));
		CHECK_OK(prong_queue_get(q, &theirs, sizeof theirs, NULL, soon()));
		CHECK_EQ(theirs[0], theirs[1]);
		prong_free(theirs);
	}
	return 0;
}

static void a_message_orders_what_it_points_to(void **state)
{
	const prong_queue_opts opts = { .capacity = MEMBERS };
	prong_queue **q = shared(sizeof *q);

	(void)state;
	CHECK_OK(prong_queue_new(q, &opts));
	all_run(put_and_get, q);
	CHECK_OK(prong_queue_free(*q));
	prong_free(q);
}

static const struct CMUnitTest tests[] = {
	CASE(a_mutex_orders_what_it_protects),
	CASE(a_deadline_leaves_no_race),
	CASE(an_owners_end_orders_too),
	CASE(blocks_change_hands),
	CASE(pointers_change_with_their_blocks),
	CASE(a_semaphore_orders),
	CASE(readers_and_writers_are_ordered),
	CASE(a_condition_orders),
	CASE(a_message_orders_what_it_points_to),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
