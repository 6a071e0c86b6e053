/* The queue between threads of one process: the contract of each call.  Processes and deaths are in
   queue_process.c. */
#define _GNU_SOURCE
#include "support.h"

static prong_queue *make(size_t capacity, size_t max_size, size_t usual_size)
{
	prong_queue *q;

	CHECK_OK(prong_queue_new(&q, &(prong_queue_opts){ .capacity = capacity,
							  .max_size = max_size,
							  .usual_size = usual_size }));
	return q;
}

static void put(prong_queue *q, int i)
{
	CHECK_OK(prong_queue_put(q, &i, sizeof i, soon()));
}

static int get(prong_queue *q)
{
	int i = -1;

	CHECK_OK(prong_queue_get(q, &i, sizeof i, NULL, soon()));
	return i;
}

/* --- one thread ----------------------------------------------------------------------------- */

static void first_in_first_out(void **state)
{
	static const size_t capacities[] = { 0, 1, 2, 3, 7, 64 };

	(void)state;
	for (size_t k = 0; k < 6; k++) {
		prong_queue *q = make(capacities[k], 0, 0);
		int n = capacities[k] ? (int)capacities[k] : 1000, next = 0, out = 0;

		for (int round = 0; round < 5; round++) {
			for (int i = 0; i < n; i++)
				put(q, next++);
			CHECK_EQ(prong_queue_size(q), n);
			for (int i = 0; i < n; i++)
				CHECK_EQ(get(q), out++);
			CHECK_EQ(prong_queue_size(q), 0);
		}
		CHECK_OK(prong_queue_free(q));
	}
}

static void no_more_than_the_capacity(void **state)
{
	(void)state;
	for (int n = 1; n < 9; n++) {
		prong_queue *q = make((size_t)n, 0, 0);

		for (int through = 0; through < 3; through++) {
			for (int i = 0; i < n; i++)
				put(q, i);
			CHECK_EQ(prong_queue_put(q, "x", 1, PRONG_NOW), PRONG_TIMEDOUT);
			CHECK_EQ(prong_queue_put(q, "x", 1, prong_in_ms(5)), PRONG_TIMEDOUT);
			CHECK_EQ(get(q), 0);
			put(q, n);
			for (int i = 1; i <= n; i++)
				CHECK_EQ(get(q), i);
		}
		CHECK_OK(prong_queue_free(q));
	}
}

static void grows_and_loses_nothing(void **state)
{
	prong_queue *q = make(0, 0, 0);
	int n = scaled(200000), out = 0, in = 0;

	(void)state;
	while (in < n) { /* three in, one out: through all rings */
		for (int i = 0; i < 3; i++)
			put(q, in++);
		CHECK_EQ(get(q), out++);
	}
	CHECK_EQ(prong_queue_size(q), in - out);
	while (out < in)
		CHECK_EQ(get(q), out++);
	CHECK_OK(prong_queue_free(q));
}

static void deadlines(void **state)
{
	static const int64_t ms[] = { -1000, 0, 20 };
	prong_queue *q = make(1, 0, 0);
	char c;

	(void)state;
	for (int i = 0; i < 3; i++) {
		prong_time until = prong_in_ms(ms[i]);

		CHECK_EQ(prong_queue_get(q, &c, 1, NULL, until), PRONG_TIMEDOUT);
		CHECK(prong_ns_between(until, prong_clock()) >= 0);
	}
	CHECK_EQ(prong_queue_get(q, &c, 1, NULL, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_OK(prong_queue_put(q, "a", 1, prong_in_ms(-5)));
	CHECK_EQ(prong_queue_put(q, "b", 1, prong_in_ms(-5)), PRONG_TIMEDOUT);
	CHECK_EQ(prong_queue_join(q, prong_in_ms(5)), PRONG_TIMEDOUT);
	CHECK_OK(prong_queue_get(q, &c, 1, NULL, prong_in_ms(-5)));
	CHECK_OK(prong_queue_join(q, PRONG_NOW));
	CHECK_OK(prong_queue_free(q));
}

static void fill(unsigned char *p, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)(seed + i * 7 + (i >> 8));
}

static void all_sizes(void **state)
{
	static unsigned char in[70000], out[70000];
	prong_queue *q = make(0, 0, 0);
	size_t got;

	(void)state;
	for (size_t size = 0; size < sizeof in; size += size < 300 ? 1 : 997) {
		fill(in, size, (unsigned)size);
		CHECK_OK(prong_queue_put(q, in, size, PRONG_NOW));
	}
	for (size_t size = 0; size < sizeof in; size += size < 300 ? 1 : 997) {
		fill(in, size, (unsigned)size);
		CHECK_OK(prong_queue_get(q, out, sizeof out, &got, PRONG_NOW));
		CHECK_EQ(got, size);
		CHECK(memcmp(in, out, size) == 0);
	}
	CHECK_OK(prong_queue_put(q, NULL, 0, PRONG_NOW));
	CHECK_OK(prong_queue_get(q, NULL, 0, NULL, PRONG_NOW));
	CHECK_OK(prong_queue_free(q));
}

static void what_does_not_fit_stays(void **state)
{
	prong_queue *q = make(4, 0, 0);
	char out[200] = { 0 };
	size_t got = 77;

	(void)state;
	CHECK_OK(prong_queue_put(q, "12345678", 8, PRONG_NOW));
	CHECK_EQ(prong_queue_get(q, out, 7, &got, PRONG_NOW), -EMSGSIZE);
	CHECK_EQ(prong_queue_get(q, out, 9, NULL, PRONG_NOW), -EMSGSIZE);
	CHECK_EQ(got, 77);
	CHECK_EQ(out[0], 0);
	CHECK_EQ(prong_queue_size(q), 1);
	CHECK_OK(prong_queue_get(q, out, 9, &got, PRONG_NOW));
	CHECK_EQ(got, 8);
	CHECK_OK(prong_queue_free(q));
}

static void wrong_arguments(void **state)
{
	prong_queue *q, *unset = NULL;
	prong_message m = { 0 };
	char c;

	(void)state;
	CHECK_EQ(prong_queue_new(NULL, NULL), -EINVAL);
	CHECK_EQ(prong_queue_new(&unset, &(prong_queue_opts){ .reserved_ = { 0, 1 } }), -EINVAL);
	CHECK_EQ(prong_queue_new(&unset, &(prong_queue_opts){ .capacity = SIZE_MAX }), -EINVAL);
	CHECK_EQ(prong_queue_new(&unset, &(prong_queue_opts){ .usual_size = SIZE_MAX }), -EINVAL);
	CHECK(unset == NULL);
	q = make(0, 100, 0);
	CHECK_EQ(prong_queue_put(NULL, "x", 1, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_queue_put((prong_queue *)&m, "x", 1, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_queue_put(q, NULL, 1, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_queue_put(q, "x", 101, PRONG_NOW), -EMSGSIZE);
	CHECK_EQ(prong_queue_put(q, "x", SIZE_MAX, PRONG_NOW), -EMSGSIZE);
	CHECK_EQ(prong_queue_reserve(q, 101, &m), -EMSGSIZE);
	CHECK_EQ(prong_queue_reserve(q, 1, NULL), -EINVAL);
	CHECK_EQ(prong_queue_get(NULL, &c, 1, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_queue_get(q, NULL, 1, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_queue_lease(q, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_queue_ack(q, NULL), -EINVAL);
	CHECK_EQ(prong_queue_ack(q, &m), -EPERM);
	CHECK_EQ(prong_queue_commit(q, &m, PRONG_NOW), -EPERM);
	CHECK_EQ(prong_queue_abandon(q, &m), -EPERM);
	CHECK_EQ(prong_queue_size(NULL), 0);
	CHECK_EQ(prong_queue_close(NULL), -EINVAL);
	CHECK_EQ(prong_queue_join(NULL, PRONG_NOW), -EINVAL);
	CHECK_OK(prong_queue_free(q));
	CHECK_OK(prong_queue_free(NULL));
	q = make(0, 0, 0);
	CHECK_EQ(prong_queue_put(q, "x", SIZE_MAX, PRONG_NOW), -ENOMEM);
	CHECK_EQ(prong_queue_put(q, "x", (size_t)1 << 62, PRONG_NOW), -ENOMEM);
	put(q, 5);
	CHECK_EQ(get(q), 5);
	CHECK_OK(prong_queue_free(q));
}

/* --- in place ------------------------------------------------------------------------------- */

static void leased_and_acknowledged(void **state)
{
	prong_queue *q = make(8, 0, 0);
	prong_message m[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		put(q, i);
	for (int i = 0; i < 4; i++) {
		CHECK_OK(prong_queue_lease(q, &m[i], PRONG_NOW));
		CHECK_EQ(*(int *)m[i].data, i);
		CHECK_EQ(m[i].size, sizeof i);
		CHECK_EQ(m[i].tries, 1);
		CHECK_EQ((uintptr_t)m[i].data % 16, 0);
	}
	CHECK_EQ(prong_queue_size(q), 0);
	CHECK_EQ(prong_queue_join(q, PRONG_NOW), PRONG_TIMEDOUT);
	for (int i = 3; i >= 0; i--) {
		CHECK_OK(prong_queue_ack(q, &m[i]));
		CHECK_EQ(prong_queue_ack(q, &m[i]), -EPERM);
		CHECK_EQ(prong_queue_abandon(q, &m[i]), -EPERM);
	}
	CHECK_OK(prong_queue_join(q, PRONG_NOW));
	CHECK_OK(prong_queue_free(q));
}

static void abandoned_come_first_and_marked(void **state)
{
	prong_queue *q = make(8, 0, 0);
	prong_message m[3];

	(void)state;
	for (int i = 0; i < 5; i++)
		put(q, i);
	for (int i = 0; i < 3; i++)
		CHECK_OK(prong_queue_lease(q, &m[i], PRONG_NOW));
	for (int i = 2; i >= 0; i--)
		CHECK_OK(prong_queue_abandon(q, &m[i]));
	CHECK_EQ(prong_queue_size(q), 5);
	for (int i = 0; i < 5; i++) {
		CHECK_OK(prong_queue_lease(q, &m[0], PRONG_NOW));
		CHECK_EQ(*(int *)m[0].data, i);
		CHECK_EQ(m[0].tries, i < 3 ? 2 : 1);
		CHECK_OK(prong_queue_ack(q, &m[0]));
	}
	put(q, 9);
	for (uint32_t i = 1; i < 200; i++) {
		CHECK_OK(prong_queue_lease(q, &m[0], PRONG_NOW));
		CHECK_EQ(m[0].tries, i < 128 ? i : 128);
		CHECK_OK(prong_queue_abandon(q, &m[0]));
	}
	CHECK_EQ(get(q), 9);
	CHECK_OK(prong_queue_join(q, PRONG_NOW));
	CHECK_OK(prong_queue_free(q));
}

static void reserved_and_committed(void **state)
{
	prong_queue *q = make(2, 0, 0);
	prong_message m[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		CHECK_OK(prong_queue_reserve(q, 100 + (size_t)i * 1000, &m[i]));
		CHECK_EQ(m[i].size, 100 + i * 1000);
		memset(m[i].data, i, m[i].size);
	}
	CHECK_EQ(prong_queue_size(q), 0);
	CHECK_OK(prong_queue_commit(q, &m[2], PRONG_NOW));
	CHECK_EQ(prong_queue_commit(q, &m[2], PRONG_NOW), -EPERM);
	CHECK_OK(prong_queue_commit(q, &m[0], PRONG_NOW));
	CHECK_EQ(prong_queue_commit(q, &m[1], PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_queue_ack(q, &m[1]), -EPERM);
	for (int i = 2; i >= 0; i -= 2) {
		prong_message out;

		CHECK_OK(prong_queue_lease(q, &out, PRONG_NOW));
		CHECK_EQ(out.size, 100 + i * 1000);
		CHECK(out.data == m[i].data);
		CHECK_EQ(((char *)out.data)[out.size - 1], i);
		CHECK_OK(prong_queue_ack(q, &out));
	}
	CHECK_OK(prong_queue_commit(q, &m[1], PRONG_NOW));
	CHECK_OK(prong_queue_reserve(q, 0, &m[0]));
	CHECK(m[0].data != NULL);
	CHECK_OK(prong_queue_abandon(q, &m[0]));
	CHECK_EQ(prong_queue_abandon(q, &m[0]), -EPERM);
	CHECK_OK(prong_queue_free(q)); /* with one in it, by reference */
}

static void many_in_hand(void **state)
{
	prong_queue *q = make(0, 0, 0);
	int n = scaled(5000);
	prong_message *m = calloc((size_t)n, sizeof *m);

	(void)state;
	for (int i = 0; i < n; i++)
		put(q, i);
	for (int i = 0; i < n; i++)
		CHECK_OK(prong_queue_lease(q, &m[i], PRONG_NOW));
	for (int i = 0; i < n; i++)
		put(q, n + i);
	for (int i = 0; i < n; i += 2)
		CHECK_OK(prong_queue_ack(q, &m[i]));
	for (int i = n - 1 - (n & 1 ? 1 : 0); i > 0 && i >= n - 20; i -= 2)
		CHECK_OK(prong_queue_abandon(q, &m[i]));
	CHECK_EQ(prong_queue_size(q), n + 10);
	CHECK_OK(prong_queue_free(q));
	free(m);
}

static int body_uses(void *arg)
{
	prong_message *m = ((void **)arg)[1];

	return prong_queue_ack(((void **)arg)[0], m);
}

static void what_others_hold_is_not_mine(void **state)
{
	prong_queue *q = make(4, 0, 0);
	prong_message m;
	void *both[2] = { q, &m };

	(void)state;
	put(q, 1);
	CHECK_OK(prong_queue_lease(q, &m, PRONG_NOW));
	CHECK_EQ(end_thread(start_thread(body_uses, both, sizeof both)), -EPERM);
	CHECK_OK(prong_queue_ack(q, &m));
	CHECK_OK(prong_queue_free(q));
}

static int body_holds(void *arg)
{
	prong_message m;

	if (prong_queue_lease(arg, &m, soon()) || prong_queue_lease(arg, &m, soon()))
		return 1;
	return prong_queue_reserve(arg, 1000, &m);
}

static void a_threads_end_gives_back(void **state)
{
	prong_queue *q = make(0, 0, 0);
	prong_message m;

	(void)state;
	for (uint32_t round = 1; round < 4; round++) {
		put(q, 1);
		put(q, 2);
		CHECK_EQ(end_thread(start_thread(body_holds, q, 0)), 0);
		for (int i = 1; i < 3; i++) {
			CHECK_OK(prong_queue_lease(q, &m, PRONG_NOW));
			CHECK_EQ(*(int *)m.data, i);
			CHECK_EQ(m.tries, 2);
			CHECK_OK(prong_queue_ack(q, &m));
		}
		CHECK_OK(prong_queue_join(q, PRONG_NOW));
	}
	CHECK_OK(prong_queue_free(q));
}

/* --- closing and freeing -------------------------------------------------------------------- */

static void closed_queues_are_drained(void **state)
{
	prong_queue *q = make(4, 0, 0);
	prong_message m;
	char c;

	(void)state;
	put(q, 1);
	put(q, 2);
	CHECK_OK(prong_queue_reserve(q, 1, &m));
	CHECK_OK(prong_queue_close(q));
	CHECK_OK(prong_queue_close(q));
	CHECK_EQ(prong_queue_put(q, "x", 1, PRONG_FOREVER), PRONG_CLOSED);
	CHECK_EQ(prong_queue_commit(q, &m, PRONG_FOREVER), PRONG_CLOSED);
	CHECK_OK(prong_queue_abandon(q, &m));
	CHECK_EQ(prong_queue_reserve(q, 1, &m), PRONG_CLOSED);
	CHECK_EQ(get(q), 1);
	CHECK_OK(prong_queue_lease(q, &m, PRONG_FOREVER));
	CHECK_EQ(prong_queue_get(q, &c, 1, NULL, PRONG_FOREVER), PRONG_CLOSED);
	CHECK_OK(prong_queue_abandon(q, &m));
	CHECK_EQ(get(q), 2);
	CHECK_EQ(prong_queue_lease(q, &m, PRONG_FOREVER), PRONG_CLOSED);
	CHECK_OK(prong_queue_join(q, PRONG_FOREVER));
	CHECK_OK(prong_queue_free(q));
}

static int body_gets_closed(void *arg)
{
	char c;

	return prong_queue_get(arg, &c, 1, NULL, soon());
}

static int body_puts_closed(void *arg)
{
	return prong_queue_put(arg, "x", 1, soon());
}

static void close_wakes_all(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		prong_queue *q = make(1, 0, 0);
		prong_thread *t[4];

		if (full)
			put(q, 1);
		for (int i = 0; i < 4; i++)
			t[i] = start_thread(full ? body_puts_closed : body_gets_closed, q, 0);
		sleep_ms(5);
		CHECK_OK(prong_queue_close(q));
		for (int i = 0; i < 4; i++)
			CHECK_EQ(end_thread(t[i]), PRONG_CLOSED);
		CHECK_OK(prong_queue_free(q));
	}
}

/* Asleep at each of several looks, so that it is where it will stay. */
static bool asleep(void *tid)
{
	for (int i = 0; i < 5; i++) {
		if (pid_state(*(pid_t *)tid, NULL) != 'S')
			return false;
		sleep_ms(2);
	}
	return true;
}

static void not_freed_while_others_wait(void **state)
{
	prong_queue *q = make(1, 0, 0);
	prong_thread *t = start_thread(body_gets_closed, q, 0);
	pid_t tid = (pid_t)prong_thread_id(t);

	(void)state;
	CHECK(wait_until(asleep, &tid, 10000));
	CHECK_EQ(prong_queue_free(q), -EBUSY);
	CHECK_OK(prong_queue_close(q));
	CHECK_EQ(end_thread(t), PRONG_CLOSED);
	CHECK_OK(prong_queue_free(q));
}

static int body_joins(void *arg)
{
	return prong_queue_join(arg, soon());
}

static void join_waits_for_the_last(void **state)
{
	prong_queue *q = make(4, 0, 0);
	prong_thread *t;
	prong_message m;

	(void)state;
	put(q, 1);
	put(q, 2);
	t = start_thread(body_joins, q, 0);
	sleep_ms(2);
	CHECK_EQ(get(q), 1);
	CHECK_OK(prong_queue_lease(q, &m, PRONG_NOW));
	sleep_ms(2);
	CHECK(prong_thread_alive(t));
	CHECK_OK(prong_queue_ack(q, &m));
	CHECK_EQ(end_thread(t), 0);
	CHECK_OK(prong_queue_free(q));
}

/* --- many threads --------------------------------------------------------------------------- */

#define PRODUCERS 3
#define CONSUMERS 3

struct flood {
	prong_queue *q;
	int n, leases;
	atomic_int next;
	atomic_uchar seen[PRODUCERS * 20000];
};

static int body_puts(void *arg)
{
	struct flood *f = arg;
	int me = atomic_fetch_add(&f->next, 1);

	for (int i = 0; i < f->n; i++) {
		int v = me * f->n + i;

		CHECK_OK(prong_queue_put(f->q, &v, sizeof v, soon()));
	}
	return 0;
}

static int take_one(struct flood *f, int *v)
{
	prong_message m;
	int r;

	if (!f->leases)
		return prong_queue_get(f->q, v, sizeof *v, NULL, soon());
	r = prong_queue_lease(f->q, &m, soon());
	if (r)
		return r;
	*v = *(int *)m.data;
	CHECK_EQ(m.tries, 1);
	return prong_queue_ack(f->q, &m);
}

/* Each message once, and those of one producer in order. */
static int body_gets(void *arg)
{
	int last[PRODUCERS] = { -1, -1, -1 }, v, r;
	struct flood *f = arg;

	while ((r = take_one(f, &v)) == 0) {
		CHECK_EQ(atomic_fetch_add(&f->seen[v], 1), 0);
		CHECK(v > last[v / f->n]);
		last[v / f->n] = v;
	}
	return r == PRONG_CLOSED ? 0 : r;
}

static void flood(size_t capacity, int leases)
{
	struct flood *f = shared(sizeof *f);
	prong_thread *t[PRODUCERS + CONSUMERS];

	f->q = make(capacity, 0, 0);
	f->n = scaled(20000);
	f->leases = leases;
	for (int i = 0; i < CONSUMERS; i++)
		t[PRODUCERS + i] = start_thread(body_gets, f, 0);
	for (int i = 0; i < PRODUCERS; i++)
		t[i] = start_thread(body_puts, f, 0);
	for (int i = 0; i < PRODUCERS; i++)
		CHECK_EQ(end_thread(t[i]), 0);
	CHECK_OK(prong_queue_join(f->q, soon()));
	CHECK_OK(prong_queue_close(f->q));
	for (int i = 0; i < CONSUMERS; i++)
		CHECK_EQ(end_thread(t[PRODUCERS + i]), 0);
	for (int i = 0; i < PRODUCERS * f->n; i++)
		CHECK_EQ(f->seen[i], 1);
	CHECK_OK(prong_queue_free(f->q));
	prong_free(f);
}

static void each_once_and_in_order(void **state)
{
	(void)state;
	flood(64, 0);
	flood(5, 0);
	flood(1, 0);
	flood(0, 0);
	flood(16, 1);
}

static void many_queues_for_one_thread(void **state)
{
	prong_queue *q[100];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			q[i] = make(2, 0, 0);
			put(q[i], i);
		}
		for (int i = 0; i < 100; i++)
			CHECK_EQ(get(q[i]), i);
		for (int i = 0; i < 100; i++)
			CHECK_OK(prong_queue_free(q[i]));
	}
}

static const struct CMUnitTest tests[] = {
	CASE(first_in_first_out),
	CASE(no_more_than_the_capacity),
	CASE(grows_and_loses_nothing),
	CASE(deadlines),
	CASE(all_sizes),
	CASE(what_does_not_fit_stays),
	CASE(wrong_arguments),
	CASE(leased_and_acknowledged),
	CASE(abandoned_come_first_and_marked),
	CASE(reserved_and_committed),
	CASE(many_in_hand),
	CASE(what_others_hold_is_not_mine),
	CASE(a_threads_end_gives_back),
	CASE(closed_queues_are_drained),
	CASE(close_wakes_all),
	CASE(not_freed_while_others_wait),
	CASE(join_waits_for_the_last),
	CASE(each_once_and_in_order),
	cmocka_unit_test(many_queues_for_one_thread), /* the slot keeps a block for their names */
};

TEST_MAIN(tests, TEST_OPENED, NULL)
