/* Nesting of 100,000 levels, of each kind that nests, on a stack of 64 KiB: it is decoded,
   compared, printed, encoded and freed, or refused by its limit. */
#include "support.h"

#include <prong/net.h>
#include <pthread.h>

enum {
	LEVELS = 100000,
	STACK = 64 << 10
};

struct nest {
	const char *name;
	prong_format format;
	const char *open, *middle, *close; /* so many of the first and last as there are levels */
	size_t open_size, close_size;
	int json; /* what it is to encode it as such */
};

static const struct nest nests[] = {
	{ "list", PRONG_PICKLE, "]", "]", "a", 1, 1, 0 },
	{ "tuple", PRONG_PICKLE, "", ")", "\x85", 0, 1, 0 },
	{ "dict", PRONG_PICKLE, "}K\1", "}", "s", 3, 1, PRONG_MISMATCH },
	{ "dict of text", PRONG_PICKLE, "}X\1\0\0\0k", "}", "s", 7, 1, 0 },
	{ "frozenset", PRONG_PICKLE, "(", "K\1", "\x91", 1, 1, PRONG_MISMATCH },
	{ "argument of a call", PRONG_PICKLE, "cm\nf\n", ")", "R\x85", 5, 2, PRONG_MISMATCH },
	{ "state of an object", PRONG_PICKLE, "cm\nC\n)\x81", "N", "b", 7, 1, PRONG_MISMATCH },
	{ "array", PRONG_JSON, "[", "1", "]", 1, 1, 0 },
	{ "object", PRONG_JSON, "{\"k\":", "1", "}", 5, 1, 0 },
};

static const prong_limits wide = { .depth = 1 << 20, .memory = (size_t)1 << 30 };

static char *compose(const struct nest *n, size_t *size)
{
	size_t middle = strlen(n->middle);
	char *data = malloc(LEVELS * (n->open_size + n->close_size) + middle + 1), *at = data;

	CHECK(data != NULL);
	for (int i = 0; i < LEVELS; i++, at += n->open_size)
		memcpy(at, n->open, n->open_size);
	memcpy(at, n->middle, middle);
	at += middle;
	for (int i = 0; i < LEVELS; i++, at += n->close_size)
		memcpy(at, n->close, n->close_size);
	if (n->format != PRONG_JSON)
		*at++ = '.';
	*size = (size_t)(at - data);
	return data;
}

/* There and back: it is the same. */
static void through(const prong_value *v, prong_format format)
{
	prong_value *back = NULL;
	size_t size = 0;
	void *data = NULL;

	CHECK_OK(prong_encode(v, format, &data, &size, NULL));
	CHECK_OK(prong_decode(&back, format == PRONG_JSON ? PRONG_JSON : PRONG_PICKLE, data, size,
			      &wide));
	CHECK_EQ(prong_value_count(back), prong_value_count(v));
	if (prong_value_kind(back) == prong_value_kind(v) && prong_value_kind(v) != PRONG_OBJECT)
		CHECK(prong_value_equal(v, back));
	prong_value_free(back);
	free(data);
}

static void nest(const struct nest *n)
{
	prong_value *v = NULL;
	size_t size;
	char *data = compose(n, &size), text[100];
	void *json = NULL, *all = NULL;

	CHECK_EQ(prong_decode(&v, n->format, data, size, NULL), -ELOOP);
	CHECK_OK(prong_decode(&v, n->format, data, size, &wide));
	CHECK_EQ(prong_value_print(v, text, sizeof text), sizeof text - 1); /* it is cut */
	CHECK_OK(prong_encode(v, PRONG_REPR, &all, &size, NULL));
	CHECK(size > LEVELS);
	free(all);
	through(v, PRONG_PICKLE_2);
	through(v, PRONG_PICKLE_4);
	if (n->json == 0)
		through(v, PRONG_JSON);
	else
		CHECK_EQ(prong_encode(v, PRONG_JSON, &json, &size, NULL), n->json);
	CHECK(!json);
	prong_value_free(v);
	free(data);
}

static void *nest_all(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof nests / sizeof *nests; i++)
		nest(&nests[i]);
	return NULL;
}

static void no_nesting_needs_a_stack(void **state)
{
	size_t size = TEST_ASAN || TEST_TSAN ? 4 * STACK : STACK;
	pthread_attr_t small;
	pthread_t t;

	(void)state;
	CHECK_EQ(pthread_attr_init(&small), 0);
	CHECK_EQ(pthread_attr_setstacksize(&small, size), 0);
	CHECK_EQ(pthread_create(&t, &small, nest_all, NULL), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	pthread_attr_destroy(&small);
}

static const struct CMUnitTest tests[] = {
	CASE(no_nesting_needs_a_stack),
};

TEST_MAIN(tests, TEST_CLOSED, NULL)
