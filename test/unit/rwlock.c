/* An rwlock between threads, inside the heap and out of it.  Between processes, and their deaths:
   sync_process.c. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>

static void misuse(void **state)
{
	prong_rwlock l = { 0 }, odd;

	(void)state;
	CHECK_EQ(prong_rwlock_read(NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_rwlock_write(NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_rwlock_unlock(NULL), -EINVAL);
	CHECK_EQ(prong_rwlock_consistent(NULL), -EINVAL);
	memset(&odd, 0x5a, sizeof odd);
	CHECK_EQ(prong_rwlock_read(&odd, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_rwlock_write(&odd, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_rwlock_unlock(&odd), -EINVAL);
	CHECK_EQ(prong_rwlock_unlock(&l), -EPERM);
	CHECK_EQ(prong_rwlock_consistent(&l), -EPERM);
	CHECK_OK(prong_rwlock_read(&l, PRONG_NOW));
	CHECK_EQ(prong_rwlock_consistent(&l), -EPERM);
	CHECK_EQ(prong_rwlock_write(&l, PRONG_FOREVER), PRONG_DEADLOCK);
	CHECK_OK(prong_rwlock_unlock(&l));
	CHECK_EQ(prong_rwlock_unlock(&l), -EPERM);
	CHECK_OK(prong_rwlock_write(&l, PRONG_NOW));
	CHECK_EQ(prong_rwlock_read(&l, PRONG_FOREVER), PRONG_DEADLOCK);
	CHECK_EQ(prong_rwlock_write(&l, PRONG_FOREVER), PRONG_DEADLOCK);
	CHECK_OK(prong_rwlock_consistent(&l));
	CHECK_OK(prong_rwlock_unlock(&l));
	CHECK_EQ(prong_rwlock_unlock(&l), -EPERM);
}

/* --- what another thread can have ---------------------------------------------------------- */

struct attempt {
	prong_rwlock *l;
	bool write;
	int result;
};

static void *try(void *arg)
{
	struct attempt *a = arg;

	a->result = a->write ? prong_rwlock_write(a->l, PRONG_NOW)
			     : prong_rwlock_read(a->l, PRONG_NOW);
	if (a->result == 0)
		CHECK_OK(prong_rwlock_unlock(a->l));
	CHECK_EQ(prong_rwlock_unlock(a->l), -EPERM);
	return NULL;
}

static int elsewhere(prong_rwlock *l, bool write)
{
	struct attempt a = { l, write, 0 };
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, try, &a), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	return a.result;
}

static void who_keeps_out_whom(prong_rwlock *l)
{
	CHECK_OK(prong_rwlock_read(l, PRONG_NOW));
	CHECK_EQ(elsewhere(l, false), 0);
	CHECK_EQ(elsewhere(l, true), PRONG_TIMEDOUT);
	CHECK_EQ(elsewhere(l, false), 0); /* the writer gave up */
	CHECK_EQ(elsewhere(l, true), PRONG_TIMEDOUT);
	CHECK_OK(prong_rwlock_unlock(l));
	CHECK_EQ(elsewhere(l, true), 0);
	CHECK_OK(prong_rwlock_write(l, PRONG_NOW));
	CHECK_EQ(elsewhere(l, false), PRONG_TIMEDOUT);
	CHECK_EQ(elsewhere(l, true), PRONG_TIMEDOUT);
	CHECK_OK(prong_rwlock_unlock(l));
	CHECK_EQ(elsewhere(l, true), 0);
	CHECK_EQ(elsewhere(l, false), 0);
}

static void readers_or_a_writer(void **state)
{
	prong_rwlock outside = { 0 }, *heap = shared(sizeof *heap);

	(void)state;
	for (int i = 0; i < 3; i++) {
		who_keeps_out_whom(&outside);
		who_keeps_out_whom(heap);
	}
	prong_free(heap);
}

static void reading_often_and_much(void **state)
{
	prong_rwlock l[9] = { { 0 } };

	(void)state;
	for (int k = 0; k < 3; k++)
		for (int i = 0; i < 8; i++)
			CHECK_OK(prong_rwlock_read(&l[i], PRONG_NOW));
	CHECK_EQ(prong_rwlock_read(&l[8], PRONG_NOW), -ENOLCK);
	CHECK_OK(prong_rwlock_write(&l[8], PRONG_NOW)); /* writing is not limited */
	CHECK_OK(prong_rwlock_unlock(&l[8]));
	CHECK_OK(prong_rwlock_unlock(&l[3]));
	CHECK_EQ(prong_rwlock_read(&l[8], PRONG_NOW), -ENOLCK);
	CHECK_OK(prong_rwlock_unlock(&l[3]));
	CHECK_OK(prong_rwlock_unlock(&l[3]));
	CHECK_OK(prong_rwlock_read(&l[8], PRONG_NOW));
	for (int k = 0; k < 3; k++)
		for (int i = 0; i < 8; i++) {
			if (i == 3)
				continue;
			CHECK_EQ(elsewhere(&l[i], true), PRONG_TIMEDOUT);
			CHECK_OK(prong_rwlock_unlock(&l[i]));
		}
	CHECK_OK(prong_rwlock_unlock(&l[8]));
	for (int i = 0; i < 9; i++)
		CHECK_EQ(elsewhere(&l[i], true), 0);
}

/* --- waiting ------------------------------------------------------------------------------- */

struct visitor {
	prong_rwlock *l;
	bool write;
	atomic_int began, has;
};

static void *visit(void *arg)
{
	struct visitor *v = arg;

	atomic_store(&v->began, 1);
	CHECK_OK(v->write ? prong_rwlock_write(v->l, soon()) : prong_rwlock_read(v->l, soon()));
	atomic_store(&v->has, 1);
	CHECK_OK(prong_rwlock_unlock(v->l));
	return NULL;
}

static void begin(pthread_t *t, struct visitor *v)
{
	CHECK_EQ(pthread_create(t, NULL, visit, v), 0);
	CHECK(wait_for(&v->began, 1));
	sleep_ms(20);
}

static void a_writer_comes_first(void **state)
{
	prong_rwlock l = { 0 };
	struct visitor writer = { .l = &l, .write = true }, reader = { .l = &l };
	pthread_t w, r;

	(void)state;
	CHECK_OK(prong_rwlock_read(&l, PRONG_NOW));
	begin(&w, &writer);
	CHECK_EQ(elsewhere(&l, false), PRONG_TIMEDOUT);
	CHECK_OK(prong_rwlock_read(&l, PRONG_NOW)); /* again: would wait for itself */
	begin(&r, &reader);
	CHECK_OK(prong_rwlock_unlock(&l));
	sleep_ms(10);
	CHECK(!atomic_load(&writer.has));
	CHECK(!atomic_load(&reader.has));
	CHECK_OK(prong_rwlock_unlock(&l));
	CHECK_EQ(pthread_join(w, NULL), 0);
	CHECK_EQ(pthread_join(r, NULL), 0);
	CHECK(atomic_load(&writer.has) && atomic_load(&reader.has));
}

static void *time_out(void *arg)
{
	struct visitor *v = arg;
	prong_time begin = prong_clock();

	CHECK_EQ(v->write ? prong_rwlock_write(v->l, prong_in_ms(30))
			  : prong_rwlock_read(v->l, prong_in_ms(30)), PRONG_TIMEDOUT);
	CHECK(prong_ns_between(begin, prong_clock()) >= 30 * 1000000);
	CHECK_EQ(prong_rwlock_unlock(v->l), -EPERM);
	return NULL;
}

static void times_out(prong_rwlock *l, bool write)
{
	struct visitor v = { .l = l, .write = write };
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, time_out, &v), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void a_deadline_passes(void **state)
{
	prong_rwlock l = { 0 };

	(void)state;
	CHECK_OK(prong_rwlock_read(&l, prong_in_ms(-1))); /* free: no wait is needed */
	times_out(&l, true);
	CHECK_OK(prong_rwlock_unlock(&l));
	CHECK_OK(prong_rwlock_write(&l, prong_in_ms(-1)));
	times_out(&l, true);
	times_out(&l, false);
	CHECK_OK(prong_rwlock_unlock(&l));
	CHECK_EQ(elsewhere(&l, true), 0);
}

/* A writer that gives up lets those readers in that it kept out. */
static void *write_for_a_while(void *arg)
{
	struct visitor *v = arg;

	atomic_store(&v->began, 1);
	CHECK_EQ(prong_rwlock_write(v->l, prong_in_ms(100)), PRONG_TIMEDOUT);
	return NULL;
}

static void a_writer_gives_up(void **state)
{
	prong_rwlock l = { 0 };
	struct visitor writer = { .l = &l }, reader = { .l = &l };
	pthread_t w, r;

	(void)state;
	CHECK_OK(prong_rwlock_read(&l, PRONG_NOW));
	CHECK_EQ(pthread_create(&w, NULL, write_for_a_while, &writer), 0);
	CHECK(wait_for(&writer.began, 1));
	begin(&r, &reader);
	CHECK_EQ(pthread_join(w, NULL), 0);
	CHECK_EQ(pthread_join(r, NULL), 0);
	CHECK_EQ(elsewhere(&l, true), PRONG_TIMEDOUT); /* it still knows of the reader */
	CHECK_OK(prong_rwlock_unlock(&l));
	CHECK_EQ(elsewhere(&l, true), 0);
}

/* --- many threads -------------------------------------------------------------------------- */

enum { THREADS = 4 };

struct data {
	prong_rwlock *l;
	int rounds;
	atomic_int readers;
	long a, b; /* equal, but for a writer's while */
};

static void *mix(void *arg)
{
	struct data *d = arg;
	unsigned seed = (unsigned)(uintptr_t)&seed;

	for (int i = 0; i < d->rounds; i++) {
		if (rand_r(&seed) % 8 == 0) {
			CHECK_OK(prong_rwlock_write(d->l, soon()));
			CHECK_EQ(atomic_load(&d->readers), 0);
			CHECK_EQ(d->a++, d->b++);
		} else {
			CHECK_OK(prong_rwlock_read(d->l, soon()));
			atomic_fetch_add(&d->readers, 1);
			CHECK_EQ(d->a, d->b);
			if (i % 16 == 0) {
				CHECK_OK(prong_rwlock_read(d->l, soon()));
				CHECK_OK(prong_rwlock_unlock(d->l));
			}
			atomic_fetch_sub(&d->readers, 1);
		}
		CHECK_OK(prong_rwlock_unlock(d->l));
	}
	return NULL;
}

static void mix_on(prong_rwlock *l)
{
	struct data d = { .l = l, .rounds = scaled(20000) };
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, mix, &d), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(d.a, d.b);
}

static void readers_see_it_whole(void **state)
{
	prong_rwlock outside = { 0 }, *heap = shared(sizeof *heap);

	(void)state;
	mix_on(&outside);
	mix_on(heap);
	prong_free(heap);
}

/* --- threads that end holding ---------------------------------------------------------------- */

static void *end_reading(void *l)
{
	CHECK_OK(prong_rwlock_read(l, PRONG_NOW));
	CHECK_OK(prong_rwlock_read(l, PRONG_NOW));
	return NULL;
}

static void *end_reading_late(void *l)
{
	CHECK_OK(prong_rwlock_read(l, PRONG_NOW));
	sleep_ms(60);
	return NULL;
}

static void *end_writing(void *l)
{
	CHECK_OK(prong_rwlock_write(l, PRONG_NOW));
	return NULL;
}

static void end_with(void *(*body)(void *), prong_rwlock *l)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, body, l), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void who_ends(prong_rwlock *l)
{
	pthread_t t;

	end_with(end_reading, l);
	CHECK_OK(prong_rwlock_write(l, soon()));
	CHECK_OK(prong_rwlock_unlock(l));
	CHECK_EQ(pthread_create(&t, NULL, end_reading_late, l), 0);
	sleep_ms(20);
	CHECK_OK(prong_rwlock_write(l, soon())); /* asleep when the reader ends */
	CHECK_OK(prong_rwlock_unlock(l));
	CHECK_EQ(pthread_join(t, NULL), 0);
	end_with(end_writing, l);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(prong_rwlock_read(l, soon()), PRONG_OWNERDEAD);
		CHECK_EQ(prong_rwlock_read(l, soon()), PRONG_OWNERDEAD);
		CHECK_OK(prong_rwlock_unlock(l));
		CHECK_OK(prong_rwlock_unlock(l));
		CHECK_EQ(prong_rwlock_write(l, soon()), PRONG_OWNERDEAD);
		CHECK_OK(prong_rwlock_unlock(l));
	}
	CHECK_EQ(prong_rwlock_write(l, soon()), PRONG_OWNERDEAD);
	CHECK_OK(prong_rwlock_consistent(l));
	CHECK_OK(prong_rwlock_unlock(l));
	CHECK_OK(prong_rwlock_read(l, PRONG_NOW));
	CHECK_OK(prong_rwlock_unlock(l));
}

static void a_thread_ends_holding(void **state)
{
	prong_rwlock outside = { 0 }, *heap = shared(sizeof *heap);

	(void)state;
	for (int i = 0; i < 5; i++) {
		who_ends(&outside);
		who_ends(heap);
	}
	prong_free(heap);
}

static const struct CMUnitTest tests[] = {
	CASE(misuse),
	CASE(readers_or_a_writer),
	CASE(reading_often_and_much),
	CASE(a_writer_comes_first),
	CASE(a_deadline_passes),
	CASE(a_writer_gives_up),
	CASE(readers_see_it_whole),
	CASE(a_thread_ends_holding),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
