/* Values as messages: what is sent arrives, and what is no value harms nobody. */
#include "raw.h"

#include <openssl/evp.h>

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

/* --- older Pythons ---------------------------------------------------------------------------- */

static size_t read_frame(int fd, unsigned char *message, size_t room)
{
	unsigned char head[4];

	raw_read(fd, head, 4);
	CHECK(!head[0] && !head[1] && !head[2] && head[3] <= room);
	raw_read(fd, message, head[3]);
	return head[3];
}

static void write_frame(int fd, const void *message, size_t n)
{
	raw_head(fd, (int64_t)n);
	raw_write(fd, message, n);
}

struct old_python {
	const char *address;
	int fd;
};

/* Prove the key as Python before 3.12 does, and believe that the other end has it. */
static int old_python(void *arg)
{
	struct old_python *p = *(struct old_python **)arg;
	unsigned char message[256], mac[64];
	size_t n, size;

	p->fd = raw_dial(p->address);
	n = read_frame(p->fd, message, sizeof message);
	CHECK(EVP_Q_mac(NULL, "HMAC", NULL, "MD5", NULL, raw_key, 16, message + 11, n - 11, mac,
			sizeof mac, &size) != NULL);
	write_frame(p->fd, mac, size);
	CHECK_EQ(read_frame(p->fd, message, sizeof message), 9);
	write_frame(p->fd, "#CHALLENGE#twenty random bytes.", 31);
	read_frame(p->fd, message, sizeof message);
	write_frame(p->fd, "#WELCOME#", 9);
	return 0;
}

static prong_conn *meet_old_python(int *fd)
{
	prong_auth auth = raw_auth();
	struct old_python p = { .fd = -1 }, *at = &p;
	prong_listener *l;
	prong_conn *c;
	prong_thread *t;

	auth.old_python = true;
	l = raw_listener(&auth);
	p.address = prong_listener_address(l);
	t = start_thread(old_python, &at, sizeof at);
	CHECK_OK(prong_listener_accept(l, &c, soon()));
	CHECK_EQ(end_thread(t), 0);
	prong_listener_close(l);
	*fd = p.fd;
	return c;
}

/* c sends a TimeoutError, which are these bytes. */
static void expect_bytes(prong_conn *c, int fd, const char *want, size_t n)
{
	unsigned char got[256];
	prong_value *v =
		prong_value_object("builtins.TimeoutError", prong_value_new(PRONG_TUPLE), NULL);

	CHECK_OK(prong_conn_send_value(c, v, soon()));
	CHECK_EQ(read_frame(fd, got, sizeof got), n);
	CHECK(memcmp(got, want, n) == 0);
}

static void hear(prong_conn *c, int fd, const char *pickle)
{
	prong_value *v;

	write_frame(fd, pickle, 4);
	CHECK_OK(prong_conn_recv_value(c, &v, NULL, soon()));
	prong_value_free(v);
}

#define EXPECT(text) expect_bytes(c, fd, text, sizeof(text) - 1)

/* A Python is answered in the protocol that it writes; before it has written anything nothing is
   said that an older one would take for something else. */
static void each_python_is_answered_in_its_protocol(void **state)
{
	int fd;
	prong_conn *c = meet_old_python(&fd);
	prong_value *v;

	(void)state;
	EXPECT("\x80\x02"
	       "c__builtin__\nTimeoutError\n)R.");
	hear(c, fd, "\x80\x02N.");
	EXPECT("\x80\x02"
	       "cexceptions\nOSError\n)R.");
	hear(c, fd, "\x80\x03N.");
	EXPECT("\x80\x03"
	       "cbuiltins\nTimeoutError\n)R.");
	hear(c, fd, "\x80\x04N.");
	EXPECT("\x80\x04\x8c\x08"
	       "builtins\x8c\x0cTimeoutError\x93)R.");
	hear(c, fd, "\x80\x02N.");
	write_frame(fd, "\x80\xffN.", 4);
	CHECK_EQ(prong_conn_recv_value(c, &v, NULL, soon()), -EPROTO);
	EXPECT("\x80\x04\x8c\x08"
	       "builtins\x8c\x0cTimeoutError\x93)R.");
	prong_conn_free(c);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(through_a_pipe),
		CASE(through_a_network),
		CASE(through_a_queue),
		CASE(each_python_is_answered_in_its_protocol),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
