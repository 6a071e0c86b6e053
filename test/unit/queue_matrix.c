/* The queue's calls, in each state of the queue, with each kind of deadline: what they return, that
   they wait no shorter than they should, and that a call which did nothing has changed nothing.

   The rules are those of CPython's queues where these make sense: get(block, timeout) and
   put(block, timeout) of an empty, a full and a closed queue. */
#include "support.h"
#include <limits.h>

#define CAPACITY 2

enum state { EMPTY, SOME, FULL, CLOSED_EMPTY, CLOSED_SOME, IN_HAND, STATES };
enum call { PUT, GET, LEASE, COMMIT, RESERVE, JOIN, CALLS };
enum deadline { NOW, PAST, SOON, DEADLINES };

#define SOON_MS 12

/* T: timed out; C: closed; 0: done. */
#define T PRONG_TIMEDOUT
#define C PRONG_CLOSED
static const int wanted[STATES][CALLS] = {
	/*                 put  get  lease commit reserve join */
	[EMPTY] =        { 0,   T,   T,    0,     0,      0 },
	[SOME] =         { 0,   0,   0,    0,     0,      T },
	[FULL] =         { T,   0,   0,    T,     0,      T },
	[CLOSED_EMPTY] = { C,   C,   C,    C,     C,      0 },
	[CLOSED_SOME] =  { C,   0,   0,    C,     C,      T },
	[IN_HAND] =      { 0,   T,   T,    0,     0,      T },
};

/* How many wait, at the beginning. */
static const size_t waiting[STATES] = { 0, 1, CAPACITY, 0, 1, 0 };

struct trial {
	prong_queue *q;
	prong_message held, reserved;
	enum state state;
};

static void prepare(struct trial *t, enum state state)
{
	size_t n = waiting[state] + (state == IN_HAND);

	memset(t, 0, sizeof *t);
	t->state = state;
	CHECK_OK(prong_queue_new(&t->q, &(prong_queue_opts){ .capacity = CAPACITY }));
	CHECK_OK(prong_queue_reserve(t->q, 1, &t->reserved));
	*(char *)t->reserved.data = 'r';
	for (size_t i = 0; i < n; i++)
		CHECK_OK(prong_queue_put(t->q, &(char){ (char)('a' + i) }, 1, PRONG_NOW));
	if (state == IN_HAND)
		CHECK_OK(prong_queue_lease(t->q, &t->held, PRONG_NOW));
	if (state == CLOSED_EMPTY || state == CLOSED_SOME)
		CHECK_OK(prong_queue_close(t->q));
}

static prong_time deadline_of(enum deadline d)
{
	return d == NOW ? PRONG_NOW : prong_in_ms(d == PAST ? -1000 : SOON_MS);
}

static int call(struct trial *t, enum call c, prong_time deadline)
{
	prong_message m = { 0 };
	char byte = 'p';
	int r;

	switch (c) {
	case PUT:
		return prong_queue_put(t->q, &byte, 1, deadline);
	case GET:
		r = prong_queue_get(t->q, &byte, 1, NULL, deadline);
		CHECK_EQ(byte, r ? 'p' : 'a');
		return r;
	case LEASE:
		r = prong_queue_lease(t->q, &m, deadline);
		CHECK_EQ(m.data != NULL, r == 0);
		if (r == 0)
			CHECK_OK(prong_queue_ack(t->q, &m));
		return r;
	case COMMIT:
		return prong_queue_commit(t->q, &t->reserved, deadline);
	case RESERVE:
		r = prong_queue_reserve(t->q, 1, &m);
		if (r == 0)
			CHECK_OK(prong_queue_abandon(t->q, &m));
		return r;
	default:
		return prong_queue_join(t->q, deadline);
	}
}

/* What is left, in its order; and what is in hand is still. */
static void finish(struct trial *t, enum call c, int r)
{
	size_t n = waiting[t->state], first = 0, got = 0;
	char byte;

	if (r == 0 && (c == GET || c == LEASE))
		first = 1;
	if (r == 0 && (c == PUT || c == COMMIT))
		n++;
	CHECK_EQ(prong_queue_size(t->q), n - first);
	if (t->state == IN_HAND)
		CHECK_OK(prong_queue_abandon(t->q, &t->held)); /* comes first */
	while (prong_queue_get(t->q, &byte, 1, NULL, PRONG_NOW) == 0) {
		size_t i = first + got++;
		bool new = r == 0 && (c == PUT || c == COMMIT) &&
			   i == waiting[t->state] + (t->state == IN_HAND);

		CHECK_EQ(byte, new ? (c == PUT ? 'p' : 'r') : (char)('a' + i));
	}
	CHECK_EQ(got, n - first + (t->state == IN_HAND));
	if (r && c == COMMIT)
		CHECK_OK(prong_queue_abandon(t->q, &t->reserved)); /* still in hand */
	CHECK_OK(prong_queue_free(t->q));
}

static void block_times_timeout(void **state)
{
	(void)state;
	for (int s = 0; s < STATES; s++)
		for (int c = 0; c < CALLS; c++)
			for (int d = 0; d < DEADLINES; d++) {
				struct trial t;
				prong_time deadline;
				int r;

				prepare(&t, (enum state)s);
				deadline = deadline_of((enum deadline)d);
				r = call(&t, (enum call)c, deadline);
				if (r != wanted[s][c])
					print_error("state %d, call %d, deadline %d\n", s, c, d);
				CHECK_EQ(r, wanted[s][c]);
				if (r == PRONG_TIMEDOUT)
					CHECK(prong_ns_between(deadline, prong_clock()) >= 0);
				finish(&t, (enum call)c, r);
			}
}

/* What need not wait does not, with no deadline at all. */
static void for_ever_where_there_is_nothing_to_wait_for(void **state)
{
	(void)state;
	for (int s = 0; s < STATES; s++)
		for (int c = 0; c < CALLS; c++) {
			struct trial t;
			int r;

			if (wanted[s][c] == PRONG_TIMEDOUT)
				continue;
			prepare(&t, (enum state)s);
			r = call(&t, (enum call)c, PRONG_FOREVER);
			CHECK_EQ(r, wanted[s][c]);
			finish(&t, (enum call)c, r);
		}
}

/* --- a full heap ---------------------------------------------------------------------------- */

#define LARGE ((size_t)1 << 20)

/* Puts until the heap says no; nothing that was put is lost, and all goes on when there is room. */
static int helper_full_heap(const char *unused)
{
	char *bytes = calloc(1, LARGE);
	prong_queue *q;
	size_t n = 0, got;
	int r;

	(void)unused;
	CHECK(bytes != NULL);
	CHECK_OK(prong_open(&(prong_family_opts){ .heap_size = (size_t)96 << 20 }));
	CHECK_OK(prong_queue_new(&q, NULL));
	for (;; n++) {
		memcpy(bytes, &n, sizeof n);
		r = prong_queue_put(q, bytes, LARGE, PRONG_NOW);
		if (r)
			break;
	}
	CHECK_EQ(r, -ENOMEM);
	CHECK(n > 2);
	CHECK_EQ(prong_queue_size(q), n);
	CHECK_EQ(prong_queue_reserve(q, LARGE, &(prong_message){ 0 }), -ENOMEM);
	CHECK_EQ(prong_queue_size(q), n);
	for (size_t i = 0; i < 3 * n; i++) { /* one out, one in */
		size_t number;

		CHECK_OK(prong_queue_get(q, bytes, LARGE, &got, PRONG_NOW));
		CHECK_EQ(got, LARGE);
		memcpy(&number, bytes, sizeof number);
		CHECK_EQ(number, i);
		number += n;
		memcpy(bytes, &number, sizeof number);
		CHECK_OK(prong_queue_put(q, bytes, LARGE, PRONG_NOW));
	}
	CHECK_OK(prong_queue_free(q));
	free(bytes);
	return 0;
}

static void a_full_heap_loses_nothing(void **state)
{
	(void)state;
	if (slowness() > 1)
		SKIP("takes too long here");
	helper_run("full_heap", NULL);
}

static const struct CMUnitTest tests[] = {
	CASE(block_times_timeout),
	CASE(for_ever_where_there_is_nothing_to_wait_for),
	CASE(a_full_heap_loses_nothing),
};

static const struct helper helpers[] = {
	{ "full_heap", helper_full_heap },
	{ NULL, NULL },
};

TEST_MAIN(tests, TEST_OPENED, helpers)
