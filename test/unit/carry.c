/* Values as messages: what is sent arrives, and what is no value harms nobody. */
#include "raw.h"

static void both(prong_conn **a, prong_conn **b)
{
	prong_listener *l = raw_listener(NULL);

	raw_meet(l, NULL, a, b);
	prong_listener_close(l);
}

static prong_value *sample(void)
{
	prong_value *v = prong_value_new(PRONG_DICT);
	prong_value *list = prong_value_new(PRONG_LIST);

	for (int i = 0; i < 300; i++)
		prong_value_add(list, prong_value_int(i * 1000003LL));
	prong_value_put(v, prong_value_text("numbers"), list);
	prong_value_put(v, prong_value_text("bytes"), prong_value_bytes(PRONG_BYTES, "a\0b", 3));
	return v;
}

static void check_sample(prong_value *got)
{
	prong_value *want = sample();

	CHECK_EQ(prong_value_equal(got, want), 1);
	prong_value_free(want);
	prong_value_free(got);
}

static void there_and_back(prong_conn *a, prong_conn *b)
{
	prong_value *got = NULL;

	CHECK_OK(prong_conn_send_value(a, sample(), soon()));
	CHECK_OK(prong_conn_recv_value(b, &got, NULL, soon()));
	check_sample(got);
	CHECK_OK(prong_conn_send_value(b, prong_value_new(PRONG_NONE), soon()));
	CHECK_OK(prong_conn_recv_value(a, &got, NULL, soon()));
	CHECK_EQ(prong_value_kind(got), PRONG_NONE);
	prong_value_free(got);
}

/* What comes is no value, or too large: said so, and the next message is as it should be. */
static void bad_ones_pass(prong_conn *a, prong_conn *b)
{
	prong_limits few = { .objects = 10 };
	prong_value *got = NULL;

	CHECK_OK(prong_conn_send(a, "no pickle", 9, soon()));
	CHECK_EQ(prong_conn_recv_value(b, &got, NULL, soon()), -EPROTO);
	CHECK_OK(prong_conn_send_value(a, sample(), soon()));
	CHECK_EQ(prong_conn_recv_value(b, &got, &few, soon()), -E2BIG);
	CHECK(got == NULL);
	CHECK_EQ(prong_conn_recv_value(b, &got, NULL, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_conn_recv_value(b, NULL, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_conn_send_value(a, NULL, PRONG_NOW), -ENOMEM);
	there_and_back(a, b);
}

static void through_a_pipe(void **state)
{
	prong_conn *a, *b;

	(void)state;
	CHECK_OK(prong_pipe(&a, &b, NULL));
	there_and_back(a, b);
	bad_ones_pass(a, b);
	prong_conn_free(a);
	prong_conn_free(b);
}

static void through_a_network(void **state)
{
	prong_conn *a, *b;

	(void)state;
	both(&a, &b);
	there_and_back(a, b);
	bad_ones_pass(a, b);
	prong_conn_free(a);
	prong_conn_free(b);
}

static void through_a_queue(void **state)
{
	prong_value *got = NULL;
	prong_message m;
	prong_queue *q;

	(void)state;
	CHECK_OK(prong_queue_new(&q, NULL));
	CHECK_OK(prong_queue_put_value(q, sample(), soon()));
	CHECK_OK(prong_queue_get_value(q, &got, NULL, soon()));
	check_sample(got);
	CHECK_OK(prong_queue_put(q, "no pickle", 9, soon()));
	CHECK_EQ(prong_queue_get_value(q, &got, NULL, soon()), -EBADMSG);
	CHECK_OK(prong_queue_lease(q, &m, soon()));
	CHECK_EQ(m.tries, 2);
	CHECK_EQ(m.size, 9);
	CHECK_OK(prong_queue_ack(q, &m));
	CHECK_EQ(prong_queue_get_value(q, NULL, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_queue_put_value(q, NULL, PRONG_NOW), -ENOMEM);
	CHECK_OK(prong_queue_close(q));
	CHECK_EQ(prong_queue_put_value(q, prong_value_int(1), PRONG_NOW), PRONG_CLOSED);
	CHECK_EQ(prong_queue_get_value(q, &got, NULL, PRONG_NOW), PRONG_CLOSED);
	CHECK_OK(prong_queue_free(q));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(through_a_pipe),
		CASE(through_a_network),
		CASE(through_a_queue),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
