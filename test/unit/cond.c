/* A condition between threads, inside the heap and out of it.  Between processes, and their deaths:
   sync_process.c. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>

struct room {
	prong_mutex m;
	prong_cond c;
	int tickets;		/* under m */
	int asleep;		/* under m: those who are about to wait, or do */
	atomic_int through;
};

static void misuse(void **state)
{
	prong_mutex m = { 0 };
	prong_cond c = { 0 };
	uint64_t room[3] = { 0, 0, 0 };
	prong_cond *crooked = (prong_cond *)(void *)((char *)room + 4);

	(void)state;
	CHECK_EQ(prong_cond_wait(&c, &m, PRONG_NOW), -EPERM);
	CHECK_EQ(prong_cond_wait(NULL, &m, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_cond_wait(&c, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_cond_wait(crooked, &m, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_cond_wait(&c, (prong_mutex *)(void *)crooked, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_cond_signal(NULL), -EINVAL);
	CHECK_EQ(prong_cond_broadcast(NULL), -EINVAL);
	CHECK_EQ(prong_cond_signal(crooked), -EINVAL);
	CHECK_OK(prong_cond_signal(&c)); /* nobody waits */
	CHECK_OK(prong_cond_broadcast(&c));
	CHECK(!prong_mutex_held(&m));
}

static void a_deadline_passes(void **state)
{
	prong_mutex m = { 0 };
	prong_cond c = { 0 };
	prong_time begin;

	(void)state;
	CHECK_OK(prong_mutex_lock(&m, PRONG_NOW));
	CHECK_OK(prong_cond_signal(&c)); /* is not kept for later */
	CHECK_EQ(prong_cond_wait(&c, &m, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_cond_wait(&c, &m, prong_in_ms(-1000)), PRONG_TIMEDOUT);
	CHECK_EQ(prong_cond_wait(&c, &m, prong_time_(1)), PRONG_TIMEDOUT);
	begin = prong_clock();
	CHECK_EQ(prong_cond_wait(&c, &m, prong_in_ms(30)), PRONG_TIMEDOUT);
	CHECK(prong_ns_between(begin, prong_clock()) >= 30 * 1000000);
	CHECK(prong_mutex_held(&m));
	CHECK_OK(prong_mutex_unlock(&m));
	CHECK_EQ(prong_mutex_unlock(&m), -EPERM);
}

static void *take_ticket(void *arg)
{
	struct room *r = arg;

	CHECK_OK(prong_mutex_lock(&r->m, soon()));
	while (r->tickets == 0) {
		r->asleep++;
		CHECK_OK(prong_cond_wait(&r->c, &r->m, soon()));
		CHECK(prong_mutex_held(&r->m));
		r->asleep--;
	}
	r->tickets--;
	atomic_fetch_add(&r->through, 1);
	CHECK_OK(prong_mutex_unlock(&r->m));
	return NULL;
}

static void await_asleep(struct room *r, int n)
{
	int asleep;

	do {
		sleep_ms(1);
		CHECK_OK(prong_mutex_lock(&r->m, soon()));
		asleep = r->asleep;
		CHECK_OK(prong_mutex_unlock(&r->m));
	} while (asleep < n);
	sleep_ms(20); /* and really so */
}

static void give(struct room *r, int n, bool all)
{
	CHECK_OK(prong_mutex_lock(&r->m, soon()));
	r->tickets += n;
	for (int i = 0; i < n && !all; i++)
		CHECK_OK(prong_cond_signal(&r->c));
	if (all)
		CHECK_OK(prong_cond_broadcast(&r->c));
	CHECK_OK(prong_mutex_unlock(&r->m));
}

static void as_many_as_signals(struct room *r)
{
	pthread_t t[8];

	atomic_store(&r->through, 0);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, take_ticket, r), 0);
	await_asleep(r, 8);
	give(r, 1, false);
	CHECK(wait_for(&r->through, 1));
	await_asleep(r, 7);
	CHECK_EQ(atomic_load(&r->through), 1);
	give(r, 3, false);
	CHECK(wait_for(&r->through, 4));
	await_asleep(r, 4);
	CHECK_EQ(atomic_load(&r->through), 4);
	give(r, 4, true);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(r->tickets, 0);
	CHECK_EQ(r->asleep, 0);
}

static void a_signal_for_each(void **state)
{
	static struct room outside;
	struct room *heap = shared(sizeof *heap);

	(void)state;
	as_many_as_signals(&outside);
	as_many_as_signals(heap);
	prong_free(heap);
}

/* --- signals without tickets: how many are woken ---------------------------------------------- */

struct sleeper {
	struct room *r;
	atomic_int woken;
};

static void *sleep_once(void *arg)
{
	struct sleeper *s = arg;

	CHECK_OK(prong_mutex_lock(&s->r->m, soon()));
	s->r->asleep++;
	CHECK_OK(prong_cond_wait(&s->r->c, &s->r->m, soon()));
	s->r->asleep--;
	atomic_fetch_add(&s->woken, 1);
	CHECK_OK(prong_mutex_unlock(&s->r->m));
	return NULL;
}

/* With all asleep a signal wakes one and not more. */
static void a_signal_wakes_one(void **state)
{
	static struct room r;
	struct sleeper s = { .r = &r };
	pthread_t t[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, sleep_once, &s), 0);
	await_asleep(&r, 6);
	for (int n = 1; n <= 3; n++) {
		CHECK_OK(prong_cond_signal(&r.c)); /* the mutex need not be held */
		CHECK(wait_for(&s.woken, n));
		sleep_ms(10);
		CHECK_EQ(atomic_load(&s.woken), n);
	}
	CHECK_OK(prong_cond_broadcast(&r.c));
	for (int i = 0; i < 6; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

/* --- producer and consumer ------------------------------------------------------------------- */

enum { MOST = 4, PAIRS = 2 };

struct store {
	prong_mutex m;
	prong_cond room, goods;
	int n, rounds;
	long in, out;
};

static void *produce(void *arg)
{
	struct store *s = arg;

	for (int i = 0; i < s->rounds; i++) {
		CHECK_OK(prong_mutex_lock(&s->m, soon()));
		while (s->n == MOST)
			CHECK_OK(prong_cond_wait(&s->room, &s->m, soon()));
		s->n++;
		s->in++;
		CHECK_OK(prong_cond_signal(&s->goods));
		CHECK_OK(prong_mutex_unlock(&s->m));
	}
	return NULL;
}

static void *consume(void *arg)
{
	struct store *s = arg;

	for (int i = 0; i < s->rounds; i++) {
		CHECK_OK(prong_mutex_lock(&s->m, soon()));
		while (s->n == 0)
			CHECK_OK(prong_cond_wait(&s->goods, &s->m, soon()));
		s->n--;
		s->out++;
		CHECK_OK(prong_mutex_unlock(&s->m));
		CHECK_OK(prong_cond_signal(&s->room));
	}
	return NULL;
}

static void no_wake_is_lost(void **state)
{
	static struct store s;
	pthread_t t[2 * PAIRS];

	(void)state;
	s.rounds = scaled(10000);
	for (int i = 0; i < 2 * PAIRS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, i % 2 ? produce : consume, &s), 0);
	for (int i = 0; i < 2 * PAIRS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(s.n, 0);
	CHECK_EQ(s.in, (long)PAIRS * s.rounds);
	CHECK_EQ(s.out, s.in);
}

/* --- recursive ------------------------------------------------------------------------------- */

static void *wait_deep(void *arg)
{
	struct room *r = arg;

	for (int i = 0; i < 3; i++)
		CHECK_OK(prong_mutex_lock(&r->m, soon()));
	r->asleep++;
	while (r->tickets == 0)
		CHECK_OK(prong_cond_wait(&r->c, &r->m, soon()));
	for (int i = 0; i < 3; i++) {
		CHECK(prong_mutex_held(&r->m));
		CHECK_OK(prong_mutex_unlock(&r->m));
	}
	CHECK(!prong_mutex_held(&r->m));
	return NULL;
}

static void a_recursive_mutex_is_given_up_whole(void **state)
{
	struct room r = { .m = PRONG_MUTEX_RECURSIVE };
	pthread_t t;

	(void)state;
	CHECK_EQ(pthread_create(&t, NULL, wait_deep, &r), 0);
	await_asleep(&r, 1);
	give(&r, 1, false);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_OK(prong_mutex_lock(&r.m, PRONG_NOW));
	CHECK_OK(prong_mutex_unlock(&r.m));
}

/* --- an owner that ends -------------------------------------------------------------------- */

static void *wait_for_death(void *arg)
{
	struct room *r = arg;
	int got;

	CHECK_OK(prong_mutex_lock(&r->m, soon()));
	r->asleep++;
	while (r->tickets == 0) {
		got = prong_cond_wait(&r->c, &r->m, soon());
		if (got == PRONG_OWNERDEAD) {
			atomic_fetch_add(&r->through, 1);
			r->tickets = 1; /* puts right what the dead one left */
			CHECK_OK(prong_mutex_consistent(&r->m));
			CHECK_OK(prong_cond_broadcast(&r->c));
		} else {
			CHECK_OK(got);
		}
	}
	CHECK_OK(prong_mutex_unlock(&r->m));
	return NULL;
}

static void *end_owning(void *m)
{
	CHECK_OK(prong_mutex_lock(m, soon()));
	return NULL;
}

/* It ends before it has signalled: one of those who wait is told. */
static void the_owner_ends_without_a_signal(struct room *r)
{
	pthread_t t[3], owner;

	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, wait_for_death, r), 0);
	await_asleep(r, 3);
	CHECK_EQ(pthread_create(&owner, NULL, end_owning, &r->m), 0);
	CHECK_EQ(pthread_join(owner, NULL), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(atomic_load(&r->through), 1);
}

static void an_owner_ends(void **state)
{
	static struct room outside;
	struct room *heap = shared(sizeof *heap);

	(void)state;
	the_owner_ends_without_a_signal(&outside);
	the_owner_ends_without_a_signal(heap);
	prong_free(heap);
}

static const struct CMUnitTest tests[] = {
	CASE(misuse),
	CASE(a_deadline_passes),
	CASE(a_signal_for_each),
	CASE(a_signal_wakes_one),
	CASE(no_wake_is_lost),
	CASE(a_recursive_mutex_is_given_up_whole),
	CASE(an_owner_ends),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
