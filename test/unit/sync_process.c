/* Event, condition, barrier, rwlock and once in the heap, between processes, and their deaths. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>

struct room {
	prong_mutex m;
	prong_cond c;
	prong_event e;
	prong_barrier b;
	prong_rwlock l;
	prong_once o;
	atomic_int ready, through, calls, index[10];
	int tickets, rounds;
	long x, y;
};

static prong_process *start_in(prong_fn *body, struct room *r)
{
	int before = atomic_load(&r->ready);
	prong_process *p = start(body, r, 0);

	CHECK(wait_for(&r->ready, before + 1));
	return p;
}

/* True when all children sleep at each of several looks: none has the mutex, for who has it is on
   its way to give it up. */
static bool all_asleep(void *unused)
{
	prong_process *p[8];
	size_t n = prong_process_children(p, 8);

	(void)unused;
	for (int look = 0; look < 5; look++) {
		for (size_t i = 0; i < n && i < 8; i++)
			if (pid_state((pid_t)prong_process_pid(p[i]), NULL) != 'S')
				return false;
		sleep_ms(2);
	}
	return true;
}

static void stop_and_settle(void)
{
	CHECK(wait_until(all_asleep, NULL, 20000));
}

/* --- event --------------------------------------------------------------------------------- */

static int body_awaits(void *arg)
{
	struct room *r = arg;

	atomic_fetch_add(&r->ready, 1);
	CHECK_OK(prong_event_wait(&r->e, soon()));
	return 0;
}

static void an_event_lets_all_go_on(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *p[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		p[i] = start_in(body_awaits, r);
	stop_and_settle();
	kill_and_end(p[0]);
	CHECK_OK(prong_event_set(&r->e));
	for (int i = 1; i < 4; i++)
		CHECK_EQ(end(p[i]), 0);
	prong_free(r);
}

/* --- condition ------------------------------------------------------------------------------- */

static int body_takes(void *arg)
{
	struct room *r = arg;
	int got = prong_mutex_lock(&r->m, soon());

	atomic_fetch_add(&r->ready, 1);
	while (got == 0 && r->tickets == 0)
		got = prong_cond_wait(&r->c, &r->m, soon());
	if (got == PRONG_OWNERDEAD) {
		r->tickets = 3; /* as the dead one would have done */
		CHECK_OK(prong_mutex_consistent(&r->m));
		CHECK_OK(prong_cond_broadcast(&r->c));
		got = 0;
	}
	CHECK_OK(got);
	r->tickets--;
	CHECK_OK(prong_mutex_unlock(&r->m));
	return 0;
}

static void give(struct room *r, int n)
{
	CHECK_OK(prong_mutex_lock(&r->m, soon()));
	r->tickets += n;
	for (int i = 0; i < n; i++)
		CHECK_OK(prong_cond_signal(&r->c));
	CHECK_OK(prong_mutex_unlock(&r->m));
}

static void sleepers_at_a_condition_are_killed(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *p[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		p[i] = start_in(body_takes, r);
	stop_and_settle();
	CHECK_OK(prong_mutex_lock(&r->m, soon())); /* so all have let go of it, and wait */
	CHECK_OK(prong_mutex_unlock(&r->m));
	kill_and_end(p[0]);
	kill_and_end(p[1]);
	give(r, 1);
	give(r, 2);
	for (int i = 2; i < 5; i++)
		CHECK_EQ(end(p[i]), 0);
	CHECK_EQ(r->tickets, 0);
	prong_free(r);
}

static int body_holds(void *arg)
{
	struct room *r = arg;

	CHECK_OK(prong_mutex_lock(&r->m, soon()));
	atomic_fetch_add(&r->ready, 1);
	return body_sleep(NULL);
}

/* It dies owning the mutex, before it could signal. */
static void the_owner_of_the_mutex_is_killed(void **state)
{
	struct room *r = shared(sizeof *r);

	(void)state;
	for (int round = 0; round < 5; round++) {
		prong_process *p[3], *owner;

		for (int i = 0; i < 3; i++)
			p[i] = start_in(body_takes, r);
		stop_and_settle();
		owner = start_in(body_holds, r);
		kill_and_end(owner);
		for (int i = 0; i < 3; i++)
			CHECK_EQ(end(p[i]), 0);
		CHECK_EQ(r->tickets, 0);
	}
	prong_free(r);
}

/* --- barrier --------------------------------------------------------------------------------- */

static int body_rounds(void *arg)
{
	struct room *r = arg;

	atomic_fetch_add(&r->ready, 1);
	for (int i = 0; i < r->rounds; i++) {
		int got = prong_barrier_wait(&r->b, NULL, NULL, NULL, soon());

		if (got)
			return got;
	}
	return 0;
}

static void a_barrier_between_processes(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *p[4];

	(void)state;
	r->b = (prong_barrier)PRONG_BARRIER(4);
	r->rounds = scaled(500);
	for (int i = 0; i < 4; i++)
		p[i] = start(body_rounds, r, 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(end(p[i]), 0);
	prong_free(r);
}

enum { TEN = 10 };

/* In each round each number is given once. */
static int body_counts_indices(void *arg)
{
	struct room *r = arg;

	for (int i = 0; i < r->rounds; i++) {
		uint32_t index = TEN;

		CHECK_OK(prong_barrier_wait(&r->b, &index, NULL, NULL, soon()));
		CHECK(index < TEN);
		CHECK_EQ(atomic_fetch_add(&r->index[index], 1), i);
		CHECK_OK(prong_barrier_wait(&r->b, NULL, NULL, NULL, soon()));
	}
	return 0;
}

static void ten_processes_have_ten_numbers(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *p[TEN];

	(void)state;
	r->b = (prong_barrier)PRONG_BARRIER(TEN);
	r->rounds = many(1000);
	for (int i = 0; i < TEN; i++)
		p[i] = start(body_counts_indices, r, 0);
	for (int i = 0; i < TEN; i++)
		CHECK_EQ(end(p[i]), 0);
	for (int i = 0; i < TEN; i++)
		CHECK_EQ(atomic_load(&r->index[i]), r->rounds);
	prong_free(r);
}

static void who_waits_at_a_barrier_is_killed(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *p[3];

	(void)state;
	r->b = (prong_barrier)PRONG_BARRIER(4);
	r->rounds = 1;
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 3; i++)
			p[i] = start_in(body_rounds, r);
		stop_and_settle();
		kill_and_end(p[1]);
		CHECK_EQ(end(p[0]), PRONG_BROKEN);
		CHECK_EQ(end(p[2]), PRONG_BROKEN);
		CHECK(prong_barrier_broken(&r->b));
		CHECK_EQ(prong_barrier_wait(&r->b, NULL, NULL, NULL, soon()), PRONG_BROKEN);
		CHECK_OK(prong_barrier_reset(&r->b));
	}
	prong_free(r);
}

static int action_hangs(void *arg)
{
	struct room *r = arg;

	atomic_fetch_add(&r->calls, 1);
	return body_sleep(NULL);
}

static int body_acts(void *arg)
{
	struct room *r = arg;

	atomic_fetch_add(&r->ready, 1);
	return prong_barrier_wait(&r->b, NULL, action_hangs, r, PRONG_FOREVER);
}

static void who_acts_is_killed(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *first, *last;

	(void)state;
	r->b = (prong_barrier)PRONG_BARRIER(2);
	first = start_in(body_acts, r);
	stop_and_settle();
	last = start_in(body_acts, r);
	CHECK(wait_for(&r->calls, 1));
	kill_and_end(last);
	CHECK_EQ(end(first), PRONG_BROKEN);
	prong_free(r);
}

/* --- rwlock ---------------------------------------------------------------------------------- */

static int body_reads(void *arg)
{
	struct room *r = arg;

	CHECK_OK(prong_rwlock_read(&r->l, soon()));
	atomic_fetch_add(&r->ready, 1);
	return body_sleep(NULL);
}

static int body_writes(void *arg)
{
	struct room *r = arg;
	int got = prong_rwlock_write(&r->l, soon());

	atomic_fetch_add(&r->ready, 1);
	return got ? got : body_sleep(NULL);
}

static int body_writes_once(void *arg)
{
	struct room *r = arg;

	atomic_fetch_add(&r->ready, 1);
	CHECK_OK(prong_rwlock_write(&r->l, soon()));
	CHECK_OK(prong_rwlock_unlock(&r->l));
	return 0;
}

static void a_dead_reader_is_forgotten(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *reader, *other, *writer;

	(void)state;
	for (int round = 0; round < 5; round++) {
		reader = start_in(body_reads, r);
		other = start_in(body_reads, r);
		CHECK_EQ(prong_rwlock_write(&r->l, PRONG_NOW), PRONG_TIMEDOUT);
		writer = start_in(body_writes_once, r);
		stop_and_settle();
		kill_and_end(reader);
		CHECK_EQ(prong_rwlock_read(&r->l, PRONG_NOW), PRONG_TIMEDOUT);
		kill_and_end(other);
		CHECK_EQ(end(writer), 0);
	}
	prong_free(r);
}

static int body_reads_told(void *arg)
{
	struct room *r = arg;

	atomic_fetch_add(&r->ready, 1);
	CHECK_EQ(prong_rwlock_read(&r->l, soon()), PRONG_OWNERDEAD);
	CHECK_OK(prong_rwlock_unlock(&r->l));
	return 0;
}

static void a_dead_writer_is_told(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *writer, *reader[2];

	(void)state;
	for (int round = 0; round < 5; round++) {
		writer = start_in(body_writes, r);
		CHECK_EQ(prong_rwlock_read(&r->l, PRONG_NOW), PRONG_TIMEDOUT);
		for (int i = 0; i < 2; i++)
			reader[i] = start_in(body_reads_told, r);
		stop_and_settle();
		kill_and_end(writer);
		for (int i = 0; i < 2; i++)
			CHECK_EQ(end(reader[i]), 0);
		CHECK_EQ(prong_rwlock_write(&r->l, PRONG_NOW), PRONG_OWNERDEAD);
		CHECK_OK(prong_rwlock_consistent(&r->l));
		CHECK_OK(prong_rwlock_unlock(&r->l));
	}
	prong_free(r);
}

/* Killed while it waits for a reader: the next writer must not overlook that one. */
static void a_waiting_writer_is_killed(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *reader = start_in(body_reads, r), *writer;

	(void)state;
	atomic_store(&r->ready, 0);
	writer = start(body_writes, r, 0);
	while (prong_rwlock_read(&r->l, PRONG_NOW) == 0) {
		CHECK_OK(prong_rwlock_unlock(&r->l));
		sleep_ms(1);
	}
	kill_and_end(writer);
	CHECK_EQ(prong_rwlock_write(&r->l, prong_in_ms(20)), PRONG_TIMEDOUT);
	CHECK_EQ(prong_rwlock_read(&r->l, PRONG_NOW), PRONG_OWNERDEAD);
	CHECK_OK(prong_rwlock_unlock(&r->l));
	kill_and_end(reader);
	CHECK_EQ(prong_rwlock_write(&r->l, soon()), PRONG_OWNERDEAD);
	CHECK_OK(prong_rwlock_consistent(&r->l));
	CHECK_OK(prong_rwlock_unlock(&r->l));
	prong_free(r);
}

static int body_mixes(void *arg)
{
	struct room *r = arg;

	for (int i = 0; i < r->rounds; i++) {
		CHECK_OK(i % 4 ? prong_rwlock_read(&r->l, soon())
			       : prong_rwlock_write(&r->l, soon()));
		if (i % 4 ? r->x != r->y : r->x++ != r->y++)
			return 1;
		CHECK_OK(prong_rwlock_unlock(&r->l));
	}
	return 0;
}

static void readers_see_it_whole(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *p[4];

	(void)state;
	r->rounds = scaled(10000);
	for (int i = 0; i < 4; i++)
		p[i] = start(body_mixes, r, 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(end(p[i]), 0);
	CHECK_EQ(r->x, 4L * ((r->rounds + 3) / 4));
	prong_free(r);
}

/* --- once ------------------------------------------------------------------------------------ */

static int make(void *arg)
{
	struct room *r = arg;

	atomic_fetch_add(&r->calls, 1);
	return 0;
}

static int make_hangs(void *arg)
{
	struct room *r = arg;

	atomic_fetch_add(&r->ready, 1);
	return body_sleep(NULL);
}

static int body_makes(void *arg)
{
	struct room *r = arg;

	return prong_once_run(&r->o, make_hangs, r, PRONG_FOREVER);
}

static int body_wants(void *arg)
{
	struct room *r = arg;

	atomic_fetch_add(&r->ready, 1);
	return prong_once_run(&r->o, make, r, soon());
}

static void who_makes_is_killed(void **state)
{
	struct room *r = shared(sizeof *r);
	prong_process *maker = start_in(body_makes, r), *p[3];

	(void)state;
	CHECK_EQ(prong_once_run(&r->o, make, r, PRONG_NOW), PRONG_TIMEDOUT);
	for (int i = 0; i < 3; i++)
		p[i] = start_in(body_wants, r);
	stop_and_settle();
	CHECK(!prong_once_done(&r->o));
	kill_and_end(maker);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(end(p[i]), 0);
	CHECK(prong_once_done(&r->o));
	CHECK_EQ(atomic_load(&r->calls), 1);
	prong_free(r);
}

static const struct CMUnitTest tests[] = {
	CASE(an_event_lets_all_go_on),
	CASE(sleepers_at_a_condition_are_killed),
	CASE(the_owner_of_the_mutex_is_killed),
	CASE(a_barrier_between_processes),
	CASE(ten_processes_have_ten_numbers),
	CASE(who_waits_at_a_barrier_is_killed),
	CASE(who_acts_is_killed),
	CASE(a_dead_reader_is_forgotten),
	CASE(a_dead_writer_is_told),
	CASE(a_waiting_writer_is_killed),
	CASE(readers_see_it_whole),
	CASE(who_makes_is_killed),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
