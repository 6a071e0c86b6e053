/* Frames and streams of them: what comes out is what went in, however it was cut, and nothing is
   taken on a stranger's word. */
#include "support.h"
#include "wire/stream.h"
#include <sys/socket.h>

#define MIB ((size_t)1 << 20)

static uint32_t seed = 1;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void heads_are_as_pythons(void **state)
{
	static const struct {
		size_t size;
		unsigned char head[PRONGI_HEAD];
		size_t n;
	} want[] = {
		{ 0, { 0, 0, 0, 0 }, 4 },
		{ 1, { 0, 0, 0, 1 }, 4 },
		{ 0x01020304, { 1, 2, 3, 4 }, 4 },
		{ 0x7fffffff, { 0x7f, 0xff, 0xff, 0xff }, 4 },
		{ 0x80000000, { 255, 255, 255, 255, 0, 0, 0, 0, 0x80, 0, 0, 0 }, 12 },
		{ 0x123456789a, { 255, 255, 255, 255, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0x9a }, 12 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		unsigned char head[PRONGI_HEAD];

		CHECK_EQ(prongi_frame_head(head, want[i].size), want[i].n);
		CHECK_EQ(memcmp(head, want[i].head, want[i].n), 0);
	}
}

/* --- the box ------------------------------------------------------------------------------- */

static unsigned char byte_of(size_t message, size_t i)
{
	return (unsigned char)(message * 7 + i * 13 + i / 251);
}

/* Write messages of these sizes, framed, one after the other. */
static unsigned char *frames(const size_t *size, size_t n, size_t *whole)
{
	unsigned char *data, *at;

	*whole = 0;
	for (size_t i = 0; i < n; i++)
		*whole += 4 + size[i];
	data = at = malloc(*whole);
	for (size_t i = 0; i < n; i++) {
		at += prongi_frame_head(at, size[i]);
		for (size_t k = 0; k < size[i]; k++)
			*at++ = byte_of(i, k);
	}
	return data;
}

static void check_message(const struct prongi_inbox *in, size_t message, size_t size)
{
	const unsigned char *data = prongi_inbox_data(in);
	bool same = true;

	CHECK_EQ(in->size, size);
	for (size_t k = 0; k < size; k++)
		same = same && data[k] == byte_of(message, k);
	CHECK(same);
}

/* Pour all into a box, at most `cut' bytes at once, and take out what is whole. */
static void pour(const size_t *size, size_t n, size_t cut, bool random)
{
	size_t whole, done = 0, taken = 0;
	unsigned char *data = frames(size, n, &whole);
	struct prongi_inbox in;

	prongi_inbox_init(&in, 4 * MIB, 4096);
	while (taken < n) {
		int r = prongi_inbox_look(&in);
		size_t room, part;
		void *where;

		CHECK(r >= 0);
		if (r == 1) {
			check_message(&in, taken, size[taken]);
			prongi_inbox_take(&in);
			taken++;
			continue;
		}
		CHECK(done < whole);
		CHECK_OK(prongi_inbox_room(&in, &where, &room));
		CHECK(room > 0);
		part = random ? 1 + dice((uint32_t)cut) : cut;
		part = part < room ? part : room;
		part = part < whole - done ? part : whole - done;
		memcpy(where, data + done, part);
		prongi_inbox_add(&in, part);
		done += part;
		CHECK(in.room <= MIB || in.room <= 2 * in.end);
	}
	CHECK_EQ(done, whole);
	prongi_inbox_fini(&in);
	free(data);
}

static void however_it_is_cut(void **state)
{
	static const size_t small[] = { 0, 1, 0, 0, 5, 255, 256, 4091, 4092, 4093, 7, 0 };
	static const size_t large[] = { 10, 4096, 4097, 3 * MIB, 0, 70000, 4 * MIB, 1, 9000 };

	(void)state;
	for (size_t cut = 1; cut < 40; cut++)
		pour(small, sizeof small / sizeof *small, cut, false);
	for (int i = 0; i < scaled(200); i++)
		pour(small, sizeof small / sizeof *small, 6000, true);
	for (int i = 0; i < 3; i++)
		pour(large, sizeof large / sizeof *large, 300000, true);
}

static int look_at(const void *bytes, size_t n, size_t most)
{
	struct prongi_inbox in;
	size_t room;
	void *where;
	int r;

	prongi_inbox_init(&in, most, 64);
	CHECK_OK(prongi_inbox_room(&in, &where, &room));
	memcpy(where, bytes, n);
	prongi_inbox_add(&in, n);
	r = prongi_inbox_look(&in);
	if (r == 0 && in.head) {
		CHECK_OK(prongi_inbox_room(&in, &where, &room)); /* and takes next to nothing */
		CHECK(in.room <= 128);
	}
	prongi_inbox_fini(&in);
	return r;
}

static void nothing_is_taken_on_a_word(void **state)
{
	(void)state;
	CHECK_EQ(look_at("\0\0\0", 3, 100), 0);
	CHECK_EQ(look_at("\0\0\0\0", 4, 100), 1);
	CHECK_EQ(look_at("\0\0\0\x64", 4, 100), 0);
	CHECK_EQ(look_at("\0\0\0\x65", 4, 100), -EFBIG);
	CHECK_EQ(look_at("\x7f\xff\xff\xff", 4, SIZE_MAX / 2), 0);
	CHECK_EQ(look_at("\xff\xff\xff\xfe", 4, SIZE_MAX / 2), -EPROTO);
	CHECK_EQ(look_at("\x80\0\0\0", 4, SIZE_MAX / 2), -EPROTO);
	CHECK_EQ(look_at("\xff\xff\xff\xff\0\0\0\1\0\0\0", 11, SIZE_MAX / 2), 0);
	CHECK_EQ(look_at("\xff\xff\xff\xff\0\0\0\1\0\0\0\0", 12, SIZE_MAX / 2), 0);
	CHECK_EQ(look_at("\xff\xff\xff\xff\0\0\0\1\0\0\0\0", 12, 4 * MIB), -EFBIG);
	CHECK_EQ(look_at("\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", 12, SIZE_MAX / 2), -EPROTO);
	/* the long form of a short length, which nobody sends, means what it says */
	CHECK_EQ(look_at("\xff\xff\xff\xff\0\0\0\0\0\0\0\1x", 13, 100), 1);
}

/* --- streams ------------------------------------------------------------------------------- */

static void make(struct prongi_stream *a, struct prongi_stream *b)
{
	int fd[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	prongi_stream_init(a, fd[0], 64 * MIB, 4096);
	prongi_stream_init(b, fd[1], 64 * MIB, 4096);
}

static void drop(struct prongi_stream *a, struct prongi_stream *b)
{
	prongi_stream_fini(a);
	prongi_stream_fini(b);
}

static void a_slow_message_ends_it(void **state)
{
	struct prongi_stream a, b;

	(void)state;
	make(&a, &b);
	b.grace_ns = 20 * 1000000;
	b.rate = 1000000;
	CHECK_EQ(prongi_stream_recv(&b, prong_in_ms(60)), PRONG_TIMEDOUT); /* idle is not slow */
	CHECK_EQ(send(a.fd, "\0\0\0\x09" "123", 7, 0), 7);
	CHECK_EQ(prongi_stream_recv(&b, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prongi_stream_recv(&b, prong_in_ms(5)), PRONG_TIMEDOUT);
	CHECK_EQ(prongi_stream_recv(&b, PRONG_FOREVER), -ETIMEDOUT);
	CHECK_EQ(b.part, 7);
	CHECK_EQ(b.whole, 13);
	CHECK_EQ(prongi_stream_recv(&b, PRONG_NOW), -ETIMEDOUT);
	drop(&a, &b);
}

/* Whoever never waits is told too. */
static void a_slow_message_ends_for_who_polls(void **state)
{
	prong_time begun;
	struct prongi_stream a, b;
	int r;

	(void)state;
	make(&a, &b);
	b.grace_ns = 20 * 1000000;
	CHECK_EQ(send(a.fd, "\0\0", 2, 0), 2);
	begun = prong_clock();
	CHECK(prongi_stream_due(&b).ns_ == PRONG_FOREVER.ns_);
	while ((r = prongi_stream_recv(&b, PRONG_NOW)) == PRONG_TIMEDOUT) {
		CHECK(prong_ns_between(begun, prongi_stream_due(&b)) >= b.grace_ns);
		sleep_ms(1);
	}
	CHECK_EQ(r, -ETIMEDOUT);
	CHECK(prong_ns_between(begun, prong_clock()) >= b.grace_ns);
	CHECK(prongi_stream_due(&b).ns_ == PRONG_FOREVER.ns_);
	drop(&a, &b);
}

/* What arrives buys time; and what is there when the receiver comes back is not too slow. */
static void who_comes_along_has_time(void **state)
{
	struct prongi_stream a, b;

	(void)state;
	make(&a, &b);
	b.grace_ns = 60 * 1000000;
	b.rate = 1;
	CHECK_EQ(send(a.fd, "\0\0\0\3" "1", 5, 0), 5);
	CHECK_EQ(prongi_stream_recv(&b, PRONG_NOW), PRONG_TIMEDOUT);
	sleep_ms(120);
	CHECK_EQ(prongi_stream_recv(&b, prong_in_ms(100)), PRONG_TIMEDOUT); /* 5 bytes: 5 s */
	CHECK_EQ(send(a.fd, "23", 2, 0), 2);
	CHECK_OK(prongi_stream_recv(&b, PRONG_NOW));
	prongi_stream_take(&b);
	CHECK(prongi_stream_due(&b).ns_ == PRONG_FOREVER.ns_);
	b.rate = 1000000;
	CHECK_EQ(send(a.fd, "\0\0\0\3" "1", 5, 0), 5);
	CHECK_EQ(prongi_stream_recv(&b, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(send(a.fd, "23", 2, 0), 2);
	sleep_ms(120);
	CHECK_OK(prongi_stream_recv(&b, PRONG_NOW));
	drop(&a, &b);
}

static void what_is_whole_comes_before_the_end(void **state)
{
	struct prongi_stream a, b;

	(void)state;
	make(&a, &b);
	CHECK_OK(prongi_stream_send(&a, "one", 3, PRONG_NOW));
	CHECK_OK(prongi_stream_send(&a, NULL, 0, PRONG_NOW));
	CHECK_EQ(send(a.fd, "\0\0", 2, 0), 2);
	prongi_stream_fini(&a);
	CHECK_OK(prongi_stream_recv(&b, PRONG_NOW));
	CHECK_EQ(b.in.size, 3);
	prongi_stream_take(&b);
	CHECK_OK(prongi_stream_recv(&b, PRONG_NOW));
	CHECK_EQ(b.in.size, 0);
	prongi_stream_take(&b);
	CHECK_EQ(prongi_stream_recv(&b, PRONG_FOREVER), PRONG_CLOSED);
	CHECK_EQ(b.part, 2);
	CHECK_EQ(prongi_stream_send(&b, "x", 1, PRONG_FOREVER), PRONG_CLOSED);
	CHECK_EQ(prongi_stream_send(&b, "x", 1, PRONG_NOW), PRONG_CLOSED);
	drop(&a, &b);
}

/* A message that was cut short goes on, byte for byte, when it is given again, and only then. */
static void a_begun_message_is_given_again(void **state)
{
	const size_t size = 4 * MIB;
	unsigned char *m = malloc(size), *other = malloc(size);
	struct prongi_stream a, b;
	int r = PRONG_TIMEDOUT, turns = 0;

	(void)state;
	for (size_t i = 0; i < size; i++)
		m[i] = byte_of(3, i);
	memcpy(other, m, size);
	other[size - 3] ^= 1;
	make(&a, &b);
	CHECK_EQ(prongi_stream_send(&a, m, size, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK(a.busy);
	CHECK_EQ(prongi_stream_send(&a, m, size - 1, PRONG_NOW), -EBUSY);
	CHECK_EQ(prongi_stream_send(&a, other, size, PRONG_NOW), -EBUSY);
	while (r == PRONG_TIMEDOUT) {
		CHECK_EQ(prongi_stream_recv(&b, PRONG_NOW), PRONG_TIMEDOUT);
		r = prongi_stream_send(&a, m, size, turns++ % 2 ? PRONG_NOW : prong_in_ms(1));
	}
	CHECK_OK(r);
	CHECK(!a.busy);
	CHECK_OK(prongi_stream_recv(&b, soon()));
	check_message(&b.in, 3, size);
	prongi_stream_take(&b);
	CHECK_EQ(b.in.room, 0); /* given back */
	CHECK_OK(prongi_stream_send(&a, "next", 4, PRONG_NOW));
	CHECK_OK(prongi_stream_recv(&b, PRONG_NOW));
	CHECK_EQ(b.in.size, 4);
	drop(&a, &b);
	free(m);
	free(other);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(heads_are_as_pythons),
		CASE(however_it_is_cut),
		CASE(nothing_is_taken_on_a_word),
		CASE(a_slow_message_ends_it),
		CASE(a_slow_message_ends_for_who_polls),
		CASE(who_comes_along_has_time),
		CASE(what_is_whole_comes_before_the_end),
		CASE(a_begun_message_is_given_again),
	};

	test_begin(argc, argv, TEST_CLOSED, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
