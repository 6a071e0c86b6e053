/* What a few bytes must not multiply: memory beyond the limits, and work. */
#include "support.h"

#include <prong/net.h>
#include <time.h>

static int decode(prong_value **v, const char *data, size_t size, const prong_limits *limits)
{
	return prong_decode(v, PRONG_PICKLE, data, size, limits);
}

static int json(const char *data, prong_value **v, const prong_limits *limits)
{
	return prong_decode(v, PRONG_JSON, data, strlen(data), limits);
}

/* A pickle of n parts between head and tail is decoded with this result. */
static void limit(const char *head, const char *part, size_t n, const char *tail,
		  const prong_limits *limits, int want)
{
	size_t size = strlen(head);
	char *data = malloc(size + n * strlen(part) + strlen(tail) + 1);
	prong_value *v = NULL;
	int r;

	strcpy(data, head);
	for (size_t i = 0; i < n; i++, size += strlen(part))
		strcpy(data + size, part);
	strcpy(data + size, tail);
	r = decode(&v, data, size + strlen(tail), limits);
	if (r != want)
		check_failed(__FILE__, __LINE__, "%zu x %s: %d, %s", n, part, r,
			     prong_error_detail());
	prong_value_free(r ? NULL : v);
	free(data);
}

/* What the machine itself needs is memory too: its stack, its marks, a line without its escapes. */
static void the_machine_stays_within_memory(void **state)
{
	static const prong_limits mib = { .memory = 1 << 20 };
	size_t n = 200000;

	(void)state;
	limit("", "(", n, "", &mib, -EDQUOT);
	limit("N", "2", n, "", &mib, -EDQUOT);
	limit("Nq\x01", "h\x01", n, "", &mib, -EDQUOT);
	limit("V", "x", 400000, "\n.", &mib, -EDQUOT);
	limit("V", "x", 100000, "\n.", &mib, 0);
	limit("S'", "x", 600000, "'\n.", &mib, -EDQUOT);
	limit("S'", "x", 400000, "'\n.", &mib, 0);
	limit("F", "1", 1100000, "\n.", &mib, -EDQUOT);
}

/* Who refers to a value again has one more. */
static void references_are_values(void **state)
{
	(void)state;
	limit("(N", "2", 9, "t.", &(prong_limits){ .objects = 10 }, -E2BIG);
	limit("(N", "2", 9, "t.", &(prong_limits){ .objects = 11 }, 0);
	limit("(Nq\x01", "h\x01", 9, "t.", &(prong_limits){ .objects = 10 }, -E2BIG);
	limit("(Nq\x01", "h\x01", 9, "t.", &(prong_limits){ .objects = 11 }, 0);
}

/* A set of a list of equal items takes no memory, and yet each is looked at in each call. */
static void a_call_cannot_multiply_work(void **state)
{
	size_t items = 1000, calls = 100, n = 0;
	char *data = malloc(items * 2 + calls * 6 + 200);
	prong_value *v;

	(void)state;
	n += (size_t)sprintf(data, "c__builtin__\nset\nq%c]q%c(", 1, 2);
	for (size_t i = 0; i < items; i++, n += 2)
		memcpy(data + n, "K\1", 2);
	n += (size_t)sprintf(data + n, "e\x85q%c0", 3);
	for (size_t i = 0; i < calls; i++, n += 6)
		memcpy(data + n, "h\1h\3R0", 6);
	memcpy(data + n, "N.", 2);
	n += 2;
	CHECK_EQ(decode(&v, data, n, &(prong_limits){ .objects = 50 * items }), -E2BIG);
	CHECK_OK(decode(&v, data, n, &(prong_limits){ .objects = 102 * items }));
	prong_value_free(v);
	free(data);
}

/* Put n bytes that are the opcode of long data, or of a class, at data; return how many. */
static size_t long_leaf(char *data, int op, size_t n)
{
	size_t head = 5;

	memcpy(data, (char[]){ (char)op, (char)n, (char)(n >> 8), (char)(n >> 16), 0 }, 5);
	if (op == 'c') {
		memcpy(data + n, "\nC\n", 3);
		head = 1;
	}
	memset(data + head, 'x', op == 'c' ? n - 1 : n);
	return op == 'c' ? n + 3 : n + head;
}

/* The same long key again and again, and one that is equal to it: each is hashed once.  A class
   with such a name may be called again and again as well. */
static void a_long_key_is_hashed_once(void **state)
{
	static const char use[] = "h\1Nh\2Nh\1)R0"; /* and as a callable, which is dropped */
	size_t longs = 1 << 20, uses = (size_t)scaled(20000), n, room = 2 * longs + uses * 16 + 200;
	char *data = malloc(room);
	clock_t begin = clock();

	(void)state;
	for (const char *op = "XB\x8b\x63"; *op; op++) {
		prong_value *v;

		n = long_leaf(data, (unsigned char)*op, longs);
		n += (size_t)sprintf(data + n, "q%c0", 1);
		n += long_leaf(data + n, (unsigned char)*op, longs);
		n += (size_t)sprintf(data + n, "q%c0}(", 2);
		for (int i = 1; i < 20; i++) /* so many that they have an index */
			n += (size_t)sprintf(data + n, "K%cN", i);
		for (size_t i = 0; i < uses; i++, n += sizeof use - 1)
			memcpy(data + n, use, sizeof use - 1);
		data[n++] = 'u';
		data[n++] = '.';
		CHECK_OK(decode(&v, data, n, NULL));
		CHECK_EQ(prong_value_count(v), 20);
		prong_value_free(v);
	}
	CHECK((clock() - begin) / CLOCKS_PER_SEC < 3 * slowness());
	free(data);
}

/* What the reader itself needs is memory too: a place for each open bracket, text with escapes. */
static void the_reader_stays_within_memory(void **state)
{
	size_t n = 100000;
	char *data = malloc(n + 8);
	prong_value *v;

	(void)state;
	memset(data, '[', n);
	data[n] = 0;
	CHECK_EQ(json(data, &v, &(prong_limits){ .depth = 1 << 20, .memory = 36 * n }), -EDQUOT);
	CHECK_EQ(json(data, &v, &(prong_limits){ .depth = 1 << 20, .memory = 90 * n }), -EBADMSG);
	memset(data, 'x', n);
	memcpy(data, "\"\\n", 3);
	data[n] = '"';
	data[n + 1] = 0;
	CHECK_EQ(json(data, &v, &(prong_limits){ .memory = 3 * n / 2 }), -EDQUOT);
	CHECK_OK(json(data, &v, &(prong_limits){ .memory = 3 * n }));
	prong_value_free(v);
	free(data);
}

static prong_value *long_text(size_t n, char last)
{
	char *data = malloc(n);
	prong_value *v;

	memset(data, 'x', n);
	data[n - 1] = last;
	v = prong_value_bytes(PRONG_TEXT, data, n);
	free(data);
	return v;
}

static prong_value *repeated(prong_value *v, int n)
{
	prong_value *list = prong_value_new(PRONG_LIST);

	for (int i = 0; i < n; i++)
		CHECK_OK(prong_value_add(list, prong_value_dup(v)));
	prong_value_free(v);
	return list;
}

/* However often long text is in two values, it is compared once; and hashed once. */
static void long_text_costs_once(void **state)
{
	size_t n = 4 << 20;
	int times = scaled(20000);
	prong_value *a = repeated(long_text(n, 'x'), times);
	prong_value *b = repeated(long_text(n, 'x'), times);
	prong_value *c = repeated(long_text(n, 'y'), times), *d = prong_value_new(PRONG_DICT);
	const prong_value *text = prong_value_at(a, 0), *other = prong_value_at(b, 0);
	clock_t begin = clock();

	(void)state;
	CHECK(prong_value_equal(a, b));
	CHECK(!prong_value_equal(a, c));
	CHECK_OK(prong_value_put(d, prong_value_dup(text), prong_value_int(1)));
	for (int i = 0; i < times; i++) {
		CHECK(prong_value_lookup(d, other) != NULL);
		CHECK(!prong_value_lookup(d, prong_value_at(c, 0)));
	}
	for (int i = 0; i < 20; i++)
		CHECK_OK(prong_value_put(d, prong_value_int(i), prong_value_int(i)));
	for (int i = 0; i < times; i++) {
		CHECK(prong_value_lookup(d, other) != NULL);
		CHECK(!prong_value_lookup(d, prong_value_at(c, 0)));
	}
	CHECK((clock() - begin) / CLOCKS_PER_SEC < 2 * slowness());
	prong_value_free(b);
	prong_value_free(c);
	prong_value_free(d);
	prong_value_free(a);
}

static const struct CMUnitTest tests[] = {
	CASE(the_machine_stays_within_memory), CASE(the_reader_stays_within_memory),
	CASE(references_are_values),           CASE(a_call_cannot_multiply_work),
	CASE(a_long_key_is_hashed_once),       CASE(long_text_costs_once),
};

TEST_MAIN(tests, TEST_CLOSED, NULL)
