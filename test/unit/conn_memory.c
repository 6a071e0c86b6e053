/* Pipes and memory: messages above 4 GiB, and a full heap. */
#include "support.h"

#define MIB  ((size_t)1 << 20)
#define HEAP (64 * MIB)

static char large[1 << 20];

static void make(prong_conn **a, prong_conn **b)
{
	CHECK_OK(prong_pipe(a, b, NULL));
}

static void drop(prong_conn *a, prong_conn *b)
{
	prong_conn_free(a);
	prong_conn_free(b);
}

/* --- above 4 GiB --------------------------------------------------------------------------- */

/* One byte of each MiB is not zero, and the last one. */
static void mark(unsigned char *data, size_t size)
{
	for (size_t at = 0; at < size; at += MIB)
		data[at] = (unsigned char)(1 + at % 251);
	data[size - 1] = 'z';
}

static void check_marks(const unsigned char *data, size_t size)
{
	for (size_t at = 0; at < size; at += MIB) {
		CHECK_EQ(data[at], 1 + at % 251);
		CHECK_EQ(data[at + 1], 0);
	}
	CHECK_EQ(data[size - 1], 'z');
}

static prong_time in_minutes(void)
{
	return prong_in_ms(600000);
}

/* Pages of data that nobody has written cost nothing: so there are 8 GiB at the most, the block and
   the copy. */
static void above_4_gib(void **state)
{
	size_t size = ((size_t)4 << 30) + 3, n = 0;
	unsigned char *data, *copy, *got;
	prong_conn *a, *b;

	(void)state;
	if (!full_numbers())
		SKIP("8 GiB: only with PRONG_TEST_SCALE=100");
	make(&a, &b);
	data = calloc(1, size);
	copy = malloc(size);
	CHECK(data && copy);
	mark(data, size);
	CHECK_OK(prong_conn_send(a, data, size, in_minutes()));
	CHECK_OK(prong_conn_recv_take(b, (void **)&got, &n, in_minutes()));
	CHECK_EQ(n, size);
	check_marks(got, size);
	prong_free(got);
	CHECK_OK(prong_conn_send(a, data, size, in_minutes()));
	CHECK_EQ(prong_conn_recv(b, copy, size - 1, &n, in_minutes()), -EMSGSIZE);
	CHECK_OK(prong_conn_recv(b, copy, size, &n, in_minutes()));
	CHECK_EQ(n, size);
	check_marks(copy, size);
	free(data);
	free(copy);
	drop(a, b);
}

/* --- a full heap --------------------------------------------------------------------------- */

struct filler {
	struct filler *next;
};

/* Nothing of 64 bytes and more is left. */
static void fill_heap(struct filler **all)
{
	for (size_t size = MIB; size >= 64; size /= 2)
		for (struct filler *f; (f = prong_alloc(size)) != NULL; *all = f)
			f->next = *all;
}

static void empty_heap(struct filler **all)
{
	while (*all) {
		struct filler *f = *all;

		*all = f->next;
		prong_free(f);
	}
}

/* Who is told so has sent and received nothing; and what needs no memory goes on. */
static void fails_whole(prong_conn *a, prong_conn *b)
{
	prong_conn *c = a, *d = b;
	char text[100] = "small enough for the ring, too large for what is left of the heap";
	void *data = &data;
	size_t n = 7;

	CHECK_EQ(prong_conn_send(a, large, MIB, soon()), -ENOMEM);
	CHECK_OK(prong_conn_send(a, text, sizeof text, soon()));
	CHECK_EQ(prong_conn_recv_take(b, &data, &n, soon()), -ENOMEM);
	CHECK(data == &data && n == 7);
	CHECK_OK(prong_conn_recv(b, text, sizeof text, NULL, soon()));
	CHECK_EQ(prong_conn_recv(b, &n, sizeof n, NULL, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_pipe(&c, &d, NULL), -ENOMEM);
	CHECK(c == a && d == b);
}

static int makes_pipes_and_dies(void *arg)
{
	prong_conn *a, *b;

	for (int i = 0; i < 5; i++) {
		make(&a, &b);
		CHECK_OK(prong_conn_send(a, large, MIB, PRONG_NOW));
	}
	(void)arg;
	raise(SIGKILL);
	return 0;
}

static int helper_full(const char *arg)
{
	prong_family_opts opts = { .heap_size = HEAP };
	struct filler *all = NULL;
	prong_conn *a, *b, *c, *d;
	void *data;
	size_t n;

	(void)arg;
	CHECK_OK(prong_open(&opts));
	make(&a, &b);
	CHECK_OK(prong_conn_send(b, large, MIB, soon()));
	fill_heap(&all);
	fails_whole(a, b);
	/* A block that is under way already changes hands. */
	CHECK_OK(prong_conn_recv_take(a, &data, &n, soon()));
	CHECK_EQ(n, MIB);
	prong_free(data);
	CHECK_OK(prong_conn_send(a, large, MIB / 2, soon()));
	CHECK_OK(prong_conn_recv(b, large, MIB, &n, soon()));
	CHECK_EQ(n, MIB / 2);
	empty_heap(&all);
	/* What is in the way are the dead one's: whoever makes a pipe lets it go. */
	CHECK_EQ(run(makes_pipes_and_dies, NULL, 0), -SIGKILL);
	fill_heap(&all);
	make(&c, &d);
	CHECK_OK(prong_conn_send(c, large, MIB, soon()));
	drop(c, d);
	empty_heap(&all);
	fill_heap(&all);
	fails_whole(a, b);
	empty_heap(&all);
	drop(a, b);
	return 0;
}

static void a_full_heap(void **state)
{
	(void)state;
	helper_run("full", NULL);
}

static const struct helper helpers[] = {
	{ "full", helper_full },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(above_4_gib),
	CASE(a_full_heap),
};

TEST_MAIN(tests, TEST_WARM, helpers)
