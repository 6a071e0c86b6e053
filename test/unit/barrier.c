/* A barrier between threads.  Between processes, and their deaths: sync_process.c. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>

enum { N = 10, ROUNDS = 1000 };

struct party {
	prong_barrier b;
	int rounds;
	atomic_int inside, acted, result[N];
	atomic_int index[N]; /* how often each was given in this round */
};

static struct party *party(unsigned n)
{
	struct party *p = shared(sizeof *p);

	p->b = (prong_barrier)PRONG_BARRIER(n);
	return p;
}

static void misuse(void **state)
{
	prong_barrier none = { 0 }, many = PRONG_BARRIER(16385), one = PRONG_BARRIER(1);
	uint32_t index = 77;

	(void)state;
	CHECK_EQ(prong_barrier_wait(NULL, &index, NULL, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_barrier_wait(&none, &index, NULL, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_barrier_wait(&many, &index, NULL, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_barrier_abort(&none), -EINVAL);
	CHECK_EQ(prong_barrier_abort(NULL), -EINVAL);
	CHECK_EQ(prong_barrier_reset(&none), -EINVAL);
	CHECK_EQ(prong_barrier_reset(NULL), -EINVAL);
	CHECK(!prong_barrier_broken(NULL));
	CHECK_EQ(index, 77);
	for (int i = 0; i < 3; i++)
		CHECK_OK(prong_barrier_wait(&one, &index, NULL, NULL, PRONG_NOW));
	CHECK_EQ(index, 0);
}

/* --- a thousand rounds of ten ---------------------------------------------------------------- */

/* The last to come sees that each number was given once in the round before. */
static int count_indices(void *arg)
{
	struct party *p = arg;

	CHECK_EQ(atomic_load(&p->inside), N);
	for (int i = 0; i < N && atomic_load(&p->acted); i++)
		CHECK_EQ(atomic_exchange(&p->index[i], 0), 1);
	atomic_fetch_add(&p->acted, 1);
	return 0;
}

static int nobody_is_early(void *arg)
{
	struct party *p = arg;

	CHECK_EQ(atomic_load(&p->inside), 0);
	return 0;
}

static void *go_round(void *arg)
{
	struct party *p = arg;

	for (int i = 0; i < p->rounds; i++) {
		uint32_t index = N;

		atomic_fetch_add(&p->inside, 1);
		CHECK_OK(prong_barrier_wait(&p->b, &index, count_indices, p, soon()));
		CHECK(index < N);
		atomic_fetch_add(&p->index[index], 1);
		atomic_fetch_sub(&p->inside, 1);
		CHECK_OK(prong_barrier_wait(&p->b, NULL, nobody_is_early, p, soon()));
	}
	return NULL;
}

static void all_come_before_any_goes(void **state)
{
	struct party *p = party(N);
	pthread_t t[N];

	(void)state;
	p->rounds = scaled(ROUNDS);
	for (int i = 0; i < N; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, go_round, p), 0);
	for (int i = 0; i < N; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(atomic_load(&p->acted), p->rounds);
	for (int i = 0; i < N; i++) /* of the last round */
		CHECK_EQ(atomic_load(&p->index[i]), 1);
	prong_free(p);
}

static void *go_round_plainly(void *arg)
{
	struct party *p = arg;

	for (int i = 0; i < p->rounds; i++)
		CHECK_OK(prong_barrier_wait(&p->b, NULL, NULL, NULL, soon()));
	return NULL;
}

/* More threads than the barrier is for: any n of them make a round. */
static void more_than_n(void **state)
{
	struct party *p = party(2);
	pthread_t t[4];

	(void)state;
	p->rounds = scaled(5000);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, go_round_plainly, p), 0);
	/* When two are left, or one, the other partner may be missing: so the main thread helps. */
	while (!prong_barrier_broken(&p->b) &&
	       prong_barrier_wait(&p->b, NULL, NULL, NULL, prong_in_ms(300)) == 0)
		;
	CHECK(prong_barrier_broken(&p->b));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	prong_free(p);
}

/* --- breaking -------------------------------------------------------------------------------- */

struct guest {
	struct party *p;
	int i;
	prong_time deadline;
	prong_fn *action;
};

static void *come(void *arg)
{
	struct guest *g = arg;
	int r = prong_barrier_wait(&g->p->b, NULL, g->action, g->p, g->deadline);

	atomic_store(&g->p->result[g->i], r == 0 ? -1 : r);
	return NULL;
}

static void invite(struct party *p, struct guest *g, pthread_t *t, int n, prong_fn *action)
{
	for (int i = 0; i < n; i++) {
		g[i] = (struct guest){ p, i, PRONG_FOREVER, action };
		CHECK_EQ(pthread_create(&t[i], NULL, come, &g[i]), 0);
	}
	sleep_ms(30);
}

static void all_got(struct party *p, pthread_t *t, int n, int result)
{
	for (int i = 0; i < n; i++) {
		CHECK_EQ(pthread_join(t[i], NULL), 0);
		CHECK_EQ(atomic_load(&p->result[i]), result);
	}
}

static void abort_breaks(void **state)
{
	struct party *p = party(5);
	struct guest g[4];
	pthread_t t[4];

	(void)state;
	invite(p, g, t, 4, NULL);
	CHECK_OK(prong_barrier_abort(&p->b));
	all_got(p, t, 4, PRONG_BROKEN);
	CHECK(prong_barrier_broken(&p->b));
	CHECK_OK(prong_barrier_abort(&p->b));
	CHECK_EQ(prong_barrier_wait(&p->b, NULL, NULL, NULL, PRONG_FOREVER), PRONG_BROKEN);
	prong_free(p);
}

static void reset_sends_away(void **state)
{
	struct party *p = party(5);
	struct guest g[5];
	pthread_t t[5];

	(void)state;
	CHECK_OK(prong_barrier_reset(&p->b)); /* empty and whole: nothing to do */
	for (int round = 0; round < 20; round++) {
		invite(p, g, t, 4, NULL);
		CHECK_OK(prong_barrier_reset(&p->b));
		all_got(p, t, 4, PRONG_BROKEN);
		CHECK(!prong_barrier_broken(&p->b));
		invite(p, g, t, 4, NULL);
		CHECK_OK(prong_barrier_abort(&p->b));
		CHECK_OK(prong_barrier_reset(&p->b)); /* they are told all the same */
		all_got(p, t, 4, PRONG_BROKEN);
		invite(p, g, t, 5, NULL);
		all_got(p, t, 5, -1);
	}
	prong_free(p);
}

static void who_gives_up_breaks(void **state)
{
	struct party *p = party(4);
	prong_time begin;
	struct guest g[2];
	pthread_t t[2];
	uint32_t index = 77;

	(void)state;
	invite(p, g, t, 2, NULL);
	begin = prong_clock();
	CHECK_EQ(prong_barrier_wait(&p->b, &index, NULL, NULL, prong_in_ms(30)), PRONG_TIMEDOUT);
	CHECK(prong_ns_between(begin, prong_clock()) >= 30 * 1000000);
	CHECK_EQ(index, 77);
	all_got(p, t, 2, PRONG_BROKEN);
	CHECK_OK(prong_barrier_reset(&p->b));
	CHECK_EQ(prong_barrier_wait(&p->b, NULL, NULL, NULL, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK(prong_barrier_broken(&p->b));
	CHECK_EQ(prong_barrier_wait(&p->b, NULL, NULL, NULL, PRONG_NOW), PRONG_BROKEN);
	prong_free(p);
}

/* --- actions --------------------------------------------------------------------------------- */

static int action_fails(void *arg)
{
	struct party *p = arg;

	atomic_fetch_add(&p->acted, 1);
	return -EIO;
}

static int action_waits(void *arg)
{
	struct party *p = arg;
	prong_barrier other = PRONG_BARRIER(1);

	CHECK_EQ(prong_barrier_wait(&p->b, NULL, NULL, NULL, PRONG_FOREVER), PRONG_DEADLOCK);
	CHECK_EQ(prong_barrier_wait(&other, NULL, NULL, NULL, PRONG_FOREVER), PRONG_DEADLOCK);
	return 0;
}

static int action_aborts(void *arg)
{
	struct party *p = arg;

	CHECK_OK(prong_barrier_abort(&p->b));
	return 0;
}

static void an_action_fails(void **state)
{
	struct party *p = party(4);
	struct guest g[3];
	pthread_t t[3];

	(void)state;
	invite(p, g, t, 3, action_fails);
	CHECK_EQ(prong_barrier_wait(&p->b, NULL, action_fails, p, soon()), -EIO);
	all_got(p, t, 3, PRONG_BROKEN);
	CHECK_EQ(atomic_load(&p->acted), 1);
	CHECK_OK(prong_barrier_reset(&p->b));
	invite(p, g, t, 3, action_waits);
	CHECK_OK(prong_barrier_wait(&p->b, NULL, action_waits, p, soon()));
	all_got(p, t, 3, -1);
	invite(p, g, t, 3, action_aborts);
	CHECK_EQ(prong_barrier_wait(&p->b, NULL, action_aborts, p, soon()), PRONG_BROKEN);
	all_got(p, t, 3, PRONG_BROKEN);
	prong_free(p);
}

static int action_is_slow(void *arg)
{
	struct party *p = arg;

	sleep_ms(100);
	atomic_store(&p->acted, 1);
	return 0;
}

/* Who comes while the action runs is of the next round. */
static void a_slow_action(void **state)
{
	struct party *p = party(2);
	struct guest g[2];
	pthread_t t[2];

	(void)state;
	invite(p, g, t, 2, action_is_slow);
	CHECK_EQ(prong_barrier_wait(&p->b, NULL, NULL, NULL, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK(!prong_barrier_broken(&p->b) || atomic_load(&p->acted)); /* it had not come */
	all_got(p, t, 2, -1);
	prong_free(p);
}

static const struct CMUnitTest tests[] = {
	CASE(misuse),
	CASE(all_come_before_any_goes),
	CASE(more_than_n),
	CASE(abort_breaks),
	CASE(reset_sends_away),
	CASE(who_gives_up_breaks),
	CASE(an_action_fails),
	CASE(a_slow_action),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
