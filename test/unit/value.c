/* Values: making, reading, comparing, printing and freeing them. */
#include "support.h"

#include <math.h>
#include <pthread.h>
#include <prong/net.h>

static prong_value *list_of(int n, ...)
{
	prong_value *v = prong_value_new(PRONG_LIST);
	va_list args;

	va_start(args, n);
	while (n-- > 0)
		CHECK_OK(prong_value_add(v, va_arg(args, prong_value *)));
	va_end(args);
	return v;
}

/* A value from JSON, where ' stands for ". */
static prong_value *from(const char *json)
{
	char *copy = strdup(json);
	prong_value *v = NULL;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	CHECK_OK(prong_decode(&v, PRONG_JSON, copy, strlen(copy), NULL));
	free(copy);
	return v;
}

static void prints(prong_value *v, const char *want)
{
	char text[512];

	prong_value_print(v, text, sizeof text);
	CHECK_STR(text, want);
	prong_value_free(v);
}

/* --- making and reading ----------------------------------------------------------------------- */

static void each_kind_is_what_was_made(void **state)
{
	static const prong_kind empty[] = { PRONG_NONE,      PRONG_TEXT, PRONG_BYTES,
					    PRONG_BYTEARRAY, PRONG_LIST, PRONG_TUPLE,
					    PRONG_DICT,      PRONG_SET,  PRONG_FROZENSET };

	(void)state;
	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		prong_value *v = prong_value_new(empty[i]);

		CHECK(v != NULL);
		CHECK_EQ(prong_value_kind(v), empty[i]);
		CHECK_EQ(prong_value_count(v), 0);
		prong_value_free(v);
	}
	CHECK(!prong_value_new(PRONG_INT));
	CHECK(!prong_value_new(PRONG_OBJECT));
	CHECK(!prong_value_new((prong_kind)99));
	CHECK_EQ(prong_value_kind(NULL), PRONG_NONE);
	prong_value_free(NULL);
}

static void ints_of_any_size(void **state)
{
	static const int64_t some[] = { 0,    1,    -1,   255,       -256, -257,
					1023, 1024, -1e9, INT64_MAX, 1e18, INT64_MIN };
	static const uint8_t two_64[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1 };
	static const uint8_t long_one[] = { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	int64_t n = 7;
	size_t size;
	prong_value *v;

	(void)state;
	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		v = prong_value_int(some[i]);
		CHECK_OK(prong_value_as_int(v, &n));
		CHECK_EQ(n, some[i]);
		CHECK(!prong_value_data(v, &size));
		prong_value_free(v);
	}
	v = prong_value_bytes(PRONG_INT, two_64, sizeof two_64);
	n = 7;
	CHECK_EQ(prong_value_as_int(v, &n), -ERANGE);
	CHECK_STR(prong_error_detail(), "value_as_int: an int of 9 bytes, and 8 are the most");
	CHECK_EQ(n, 7);
	CHECK(prong_value_data(v, &size) && size == sizeof two_64);
	prints(v, "18446744073709551616");
	v = prong_value_bytes(PRONG_INT, long_one, sizeof long_one);
	CHECK_OK(prong_value_as_int(v, &n));
	CHECK_EQ(n, 1);
	prong_value_free(v);
	v = prong_value_bytes(PRONG_INT, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9);
	CHECK_OK(prong_value_as_int(v, &n));
	CHECK_EQ(n, -1);
	prong_value_free(v);
}

static void floats_take_ints(void **state)
{
	uint8_t big[130] = { 0 };
	prong_value *v = prong_value_float(1.5);
	double x = 0;
	int64_t n = 7;

	(void)state;
	CHECK_OK(prong_value_as_float(v, &x));
	CHECK(x == 1.5);
	CHECK_EQ(prong_value_as_int(v, &n), PRONG_MISMATCH);
	CHECK_EQ(n, 7);
	CHECK_EQ(prong_value_as_int(v, NULL), -EINVAL);
	prong_value_free(v);
	CHECK_OK(prong_value_as_float(prong_value_bool(true), &x));
	CHECK(x == 1);
	big[16] = 1;
	v = prong_value_bytes(PRONG_INT, big, 17);
	CHECK_OK(prong_value_as_float(v, &x));
	CHECK(x == 0x1p128);
	prong_value_free(v);
	big[0] = 1; /* beyond what a double keeps: to even */
	v = prong_value_bytes(PRONG_INT, big, 17);
	CHECK_OK(prong_value_as_float(v, &x));
	CHECK(x == 0x1p128);
	prong_value_free(v);
	big[128] = 1;
	v = prong_value_bytes(PRONG_INT, big, 130);
	CHECK_EQ(prong_value_as_float(v, &x), -ERANGE);
	prong_value_free(v);
	CHECK_EQ(prong_value_as_float(NULL, &x), PRONG_MISMATCH);
	CHECK(strstr(prong_error_detail(), "None"));
}

static void text_is_utf8_with_surrogates(void **state)
{
	static const char *const good[] = { "", "abc", "\xc3\xa9", "\xed\xa0\x80",
					    "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = { "\xff",
					   "\xc3",
					   "\xc0\x80",
					   "\xe0\x80\x80",
					   "\xf4\x90\x80\x80",
					   "abcdefgh\x80",
					   "\xf0\x80\x80\x80",
					   "\xed\xa0",
					   "\xf8\x88\x80\x80\x80" };
	size_t n;
	prong_value *v;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		v = prong_value_text(good[i]);
		CHECK_EQ(strcmp(prong_value_data(v, &n), good[i]), 0);
		CHECK_EQ(n, strlen(good[i]));
		prong_value_free(v);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK(!prong_value_text(bad[i]));
		CHECK(strstr(prong_error_detail(), "UTF-8"));
	}
	CHECK(!prong_value_text("abcdefgh\xc3\xa9\x80z"));
	CHECK_STR(prong_error_detail(), "value: the text is not UTF-8 at byte 10 of 12");
	CHECK(!prong_value_text(NULL));
	v = prong_value_bytes(PRONG_TEXT, "a\0b", 3);
	CHECK(prong_value_data(v, &n) && n == 3);
	prints(v, "'a\\x00b'");
	prints(prong_value_textf("%d of %s", 3, "four"), "'3 of four'");
	v = prong_value_textf("%0400d", 1);
	CHECK(prong_value_data(v, &n) && n == 400);
	prong_value_free(v);
}

static void a_spoilt_tree_tells_in_the_end(void **state)
{
	prong_value *v = prong_value_new(PRONG_DICT), *list = prong_value_new(PRONG_LIST);
	void *data;
	size_t size;

	(void)state;
	CHECK_EQ(prong_value_add(list, NULL), -ENOMEM);
	CHECK_EQ(prong_value_put(v, prong_value_text("list"), list), -ENOMEM);
	CHECK_EQ(prong_encode(v, PRONG_PICKLE, &data, &size, NULL), -ENOMEM);
	CHECK_EQ(prong_encode(v, PRONG_JSON, &data, &size, NULL), -ENOMEM);
	CHECK_EQ(prong_encode(NULL, PRONG_JSON, &data, &size, NULL), -ENOMEM);
	prong_value_free(v);
	v = prong_value_new(PRONG_LIST); /* spoilt when it is in something already */
	list = prong_value_new(PRONG_LIST);
	CHECK_OK(prong_value_add(v, list));
	CHECK_EQ(prong_value_add(list, NULL), -ENOMEM);
	CHECK_EQ(prong_encode(v, PRONG_PICKLE, &data, &size, NULL), -ENOMEM);
	prong_value_free(v);
}

static void what_takes_no_items_says_so(void **state)
{
	prong_value *d = prong_value_new(PRONG_DICT), *l = prong_value_new(PRONG_LIST);
	prong_value *s = prong_value_new(PRONG_SET);

	(void)state;
	CHECK_EQ(prong_value_add(NULL, prong_value_int(5000)), -EINVAL);
	CHECK_EQ(prong_value_add(d, prong_value_int(5000)), -EINVAL);
	CHECK_STR(prong_error_detail(),
		  "value_add: the value is of kind dict, and takes no such items");
	CHECK(!prong_value_new(PRONG_INT));
	CHECK_STR(prong_error_detail(), "value_new: int (kind 2) has no empty one");
	CHECK(!prong_value_bytes((prong_kind)99, "", 0));
	CHECK_STR(prong_error_detail(),
		  "value_bytes: what is no kind (kind 99) is not made of bytes");
	CHECK(!prong_value_bytes(PRONG_TEXT, NULL, 1));
	CHECK_STR(prong_error_detail(), "value_bytes: data is NULL, and n is not 0");
	CHECK_EQ(prong_value_put(l, prong_value_int(5000), prong_value_int(6000)), -EINVAL);
	CHECK_EQ(prong_value_put(NULL, prong_value_int(5000), NULL), -EINVAL);
	CHECK_EQ(prong_value_add(prong_value_bool(true), prong_value_int(5000)), -EINVAL);
	CHECK_EQ(prong_value_add(s, prong_value_new(PRONG_LIST)), -EINVAL);
	CHECK_EQ(prong_value_add(s, prong_value_new(PRONG_BYTEARRAY)), -EINVAL);
	prong_value_free(d);
	prong_value_free(l);
	prong_value_free(s);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void equal_keys_are_one(void **state)
{
	prong_value *d = prong_value_new(PRONG_DICT), *k = prong_value_float(1);
	int64_t n;

	(void)state;
	CHECK_OK(prong_value_put(d, prong_value_int(1), prong_value_text("int")));
	CHECK_OK(prong_value_put(d, prong_value_bool(true), prong_value_text("bool")));
	CHECK_OK(prong_value_put(d, prong_value_dup(k), prong_value_text("float")));
	CHECK_OK(prong_value_put(d, prong_value_text("1"), prong_value_int(5)));
	CHECK_EQ(prong_value_count(d), 2);
	CHECK_STR(prong_value_data(prong_value_lookup(d, k), NULL), "float");
	CHECK_OK(prong_value_as_int(prong_value_find(d, "1"), &n));
	CHECK_EQ(n, 5);
	CHECK(!prong_value_find(d, "2"));
	CHECK(!prong_value_find(NULL, "2"));
	CHECK(!prong_value_find(d, NULL));
	prong_value_free(k);
	prints(d, "{1: 'float', '1': 5}");
}

static void a_large_dict_finds_each(void **state)
{
	prong_value *d = prong_value_new(PRONG_DICT), *s = prong_value_new(PRONG_SET), *k;
	int n = scaled(20000);
	char text[32];
	int64_t x;

	(void)state;
	for (int i = 0; i < n; i++) {
		CHECK_OK(prong_value_put(d, prong_value_textf("key %d", i), prong_value_int(i)));
		CHECK_OK(prong_value_put(d, prong_value_int(i), prong_value_int(-i)));
		CHECK_OK(prong_value_add(s, prong_value_int(i % 1000 * 7)));
	}
	CHECK_EQ(prong_value_count(d), 2 * n);
	CHECK_EQ(prong_value_count(s), n < 1000 ? n : 1000);
	for (int i = 0; i < n; i++) {
		snprintf(text, sizeof text, "key %d", i);
		CHECK_OK(prong_value_as_int(prong_value_find(d, text), &x));
		CHECK_EQ(x, i);
		k = prong_value_int(i);
		CHECK_OK(prong_value_as_int(prong_value_lookup(d, k), &x));
		CHECK_EQ(x, -i);
		prong_value_free(k);
	}
	prong_value_free(d);
	prong_value_free(s);
}

static prong_value *tuple(prong_value *a, prong_value *b)
{
	prong_value *t = prong_value_new(PRONG_TUPLE);

	CHECK_OK(prong_value_add(t, a));
	CHECK_OK(prong_value_add(t, b));
	return t;
}

static void tuples_and_frozensets_are_keys(void **state)
{
	prong_value *d = prong_value_new(PRONG_DICT), *t, *f = prong_value_new(PRONG_FROZENSET);
	prong_value *g = prong_value_new(PRONG_FROZENSET);

	(void)state;
	for (int i = 0; i < 20; i++) {
		CHECK_OK(prong_value_add(f, prong_value_int(i)));
		CHECK_OK(prong_value_add(g, prong_value_float(19 - i)));
	}
	CHECK_OK(prong_value_put(d, tuple(prong_value_text("a"), f), prong_value_int(1)));
	t = tuple(prong_value_text("a"), g);
	CHECK(prong_value_lookup(d, t) != NULL);
	CHECK_EQ(prong_value_add(t, prong_value_int(5000)), -EINVAL); /* it has been a key */
	CHECK_EQ(prong_value_add(f, prong_value_int(5000)), -EINVAL);
	prong_value_free(t);
	t = tuple(prong_value_text("a"), prong_value_new(PRONG_LIST));
	CHECK(!prong_value_lookup(d, t));
	CHECK_EQ(prong_value_put(d, t, prong_value_int(5000)), -EINVAL);
	prong_value_free(d);
}

static void nothing_is_a_key_in_itself(void **state)
{
	prong_value *f = prong_value_new(PRONG_FROZENSET), *t = prong_value_new(PRONG_TUPLE);
	prong_value *d = prong_value_new(PRONG_DICT);

	(void)state;
	CHECK_EQ(prong_value_add(f, prong_value_dup(f)), -EINVAL);
	CHECK_OK(prong_value_add(t, prong_value_dup(t)));
	CHECK_EQ(prong_value_put(d, t, prong_value_int(1)), -EINVAL);
	prong_value_free(f);
	prong_value_free(d);
}

/* Each tuple holds the one before twice: to look at all ways in it would take for ever. */
static prong_value *doubled(int n)
{
	prong_value *t = tuple(prong_value_int(1), prong_value_int(2));

	for (int i = 0; i < n; i++)
		t = tuple(t, prong_value_dup(t));
	return t;
}

static void sharing_costs_nothing(void **state)
{
	prong_value *a = doubled(200), *b = doubled(200), *c = doubled(201);
	prong_value *d = prong_value_new(PRONG_DICT);
	void *data;
	size_t size;

	(void)state;
	CHECK(prong_value_equal(a, b));
	CHECK(!prong_value_equal(a, c));
	CHECK_OK(prong_value_put(d, a, prong_value_int(1)));
	CHECK(prong_value_lookup(d, b) != NULL);
	CHECK(!prong_value_lookup(d, c));
	CHECK_OK(prong_encode(d, PRONG_PICKLE, &data, &size, NULL));
	CHECK(size < 2000);
	free(data);
	CHECK_EQ(prong_encode(d, PRONG_REPR, &data, &size, &(prong_limits){ .bytes = 100000 }),
		 -EMSGSIZE);
	prong_value_free(b);
	prong_value_free(c);
	prong_value_free(d);
}

/* --- equality --------------------------------------------------------------------------------- */

static void equality_is_pythons(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} pairs[] = {
		{ "1", "1.0", true },
		{ "true", "1", true },
		{ "false", "0.0", true },
		{ "0", "-0.0", true },
		{ "1", "'1'", false },
		{ "null", "0", false },
		{ "null", "false", false },
		{ "1180591620717411303424", "1180591620717411303424.0", true },
		{ "1180591620717411303425", "1180591620717411303424.0", false },
		{ "9007199254740993", "9007199254740992.0", false },
		{ "1e300", "1", false },
		{ "-9223372036854775808", "-9223372036854775808.0", true },
		{ "[1,[2,{'a':3}]]", "[1.0,[2.0,{'a':3.0}]]", true },
		{ "[1,2]", "[1,2,3]", false },
		{ "[1,2]", "[2,1]", false },
		{ "{'a':1,'b':2}", "{'b':2,'a':1}", true },
		{ "{'a':1,'b':2}", "{'b':2,'a':3}", false },
		{ "{'a':1}", "{'b':1}", false },
		{ "{'a':null}", "{'b':null}", false },
		{ "[]", "{}", false },
		{ "'\xc3\xa9'", "'\\u00e9'", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		prong_value *a = from(pairs[i].a), *b = from(pairs[i].b);

		if (prong_value_equal(a, b) != pairs[i].equal ||
		    prong_value_equal(b, a) != pairs[i].equal)
			check_failed(__FILE__, __LINE__, "%s == %s is wrong", pairs[i].a,
				     pairs[i].b);
		CHECK(prong_value_equal(a, a));
		prong_value_free(a);
		prong_value_free(b);
	}
}

static void equality_of_sets_and_bytes(void **state)
{
	prong_value *s = prong_value_new(PRONG_SET), *f = prong_value_new(PRONG_FROZENSET);
	prong_value *b = prong_value_bytes(PRONG_BYTES, "ab", 2);
	prong_value *a = prong_value_bytes(PRONG_BYTEARRAY, "ab", 2);
	prong_value *t = prong_value_text("ab"), *nan = prong_value_float(NAN);
	prong_value *nan2 = prong_value_float(NAN);

	(void)state;
	for (int i = 0; i < 100; i++) {
		CHECK_OK(prong_value_add(s, prong_value_int(1000 * i)));
		CHECK_OK(prong_value_add(f, prong_value_int(1000 * (99 - i))));
	}
	CHECK(prong_value_equal(s, f));
	CHECK_OK(prong_value_add(f, prong_value_int(-1)));
	CHECK(!prong_value_equal(s, f));
	CHECK(prong_value_equal(a, b));
	CHECK(!prong_value_equal(b, t));
	CHECK(prong_value_equal(nan, nan));
	CHECK(!prong_value_equal(nan, nan2));
	CHECK(prong_value_equal(NULL, NULL));
	CHECK(!prong_value_equal(NULL, t));
	prong_value_free(list_of(7, s, f, a, b, t, nan, nan2));
}

/* --- cycles, depth, lifetime ------------------------------------------------------------------ */

static prong_value *ring(int n)
{
	prong_value *first = prong_value_new(PRONG_LIST), *v = first, *next;

	while (--n > 0) {
		next = prong_value_new(PRONG_LIST);
		CHECK_OK(prong_value_add(v, next));
		v = next;
	}
	CHECK_OK(prong_value_add(v, prong_value_dup(first)));
	return first;
}

static void cycles_compare_print_and_end(void **state)
{
	prong_value *a = ring(1), *b = ring(2), *c = ring(3), *d = list_of(1, prong_value_int(1));
	prong_value *dict = prong_value_new(PRONG_DICT);

	(void)state;
	CHECK(prong_value_equal(a, b));
	CHECK(prong_value_equal(b, c));
	CHECK(!prong_value_equal(a, d));
	CHECK(prong_value_at(prong_value_at(b, 0), 0) == b);
	prints(a, "[[...]]");
	prints(b, "[[[...]]]");
	CHECK_OK(prong_value_put(dict, prong_value_text("me"), prong_value_dup(dict)));
	prints(dict, "{'me': {...}}");
	prong_value_free(c);
	prong_value_free(d);
}

static prong_value *nested(int n)
{
	prong_value *v = prong_value_new(PRONG_LIST), *outer;

	while (n-- > 0) {
		outer = prong_value_new(n % 3 ? PRONG_LIST : PRONG_TUPLE);
		CHECK_OK(prong_value_add(outer, v));
		v = outer;
	}
	return v;
}

static void nesting_has_no_end(void **state)
{
	int n = 100000;
	prong_value *a = nested(n), *b = nested(n), *c = nested(n + 1);
	void *text, *pickle;
	size_t size;
	prong_value *back;

	(void)state;
	CHECK(prong_value_equal(a, b));
	CHECK(!prong_value_equal(a, c));
	CHECK_OK(prong_encode(a, PRONG_REPR, &text, &size, NULL));
	CHECK(size > 2 * (size_t)n);
	free(text);
	CHECK_OK(prong_encode(a, PRONG_JSON, &text, &size, NULL));
	CHECK_EQ(size, 2 * n + 2);
	CHECK_EQ(prong_decode(&back, PRONG_JSON, text, size, NULL), -ELOOP);
	CHECK_OK(prong_decode(&back, PRONG_JSON, text, size, &(prong_limits){ .depth = n + 1 }));
	prong_value_free(back);
	free(text);
	CHECK_OK(prong_encode(a, PRONG_PICKLE, &pickle, &size, NULL));
	CHECK_EQ(prong_decode(&back, PRONG_PICKLE, pickle, size, NULL), -ELOOP);
	CHECK_OK(prong_decode(&back, PRONG_PICKLE, pickle, size,
			      &(prong_limits){ .depth = (uint32_t)n + 1 }));
	CHECK(prong_value_equal(a, back));
	prong_value_free(back);
	free(pickle);
	prong_value_free(a);
	prong_value_free(b);
	prong_value_free(c);
}

static void an_item_outlives_its_tree(void **state)
{
	prong_value *v = from("{'a': [1, 'two', [3]]}");
	prong_value *item = prong_value_dup(prong_value_find(v, "a"));
	prong_value *other = list_of(2, prong_value_dup(item), prong_value_text("x"));

	(void)state;
	prong_value_free(v);
	prints(item, "[1, 'two', [3]]");
	prints(other, "[[1, 'two', [3]], 'x']");
}

static void *read_and_dup(void *v)
{
	for (int i = 0; i < 1000; i++) {
		prong_value *one = prong_value_dup(prong_value_find(v, "list"));
		prong_value *key = tuple(prong_value_int(1), prong_value_int(i % 2));

		CHECK_EQ(prong_value_count(one), 3);
		CHECK(prong_value_equal(one, prong_value_find(v, "same")));
		CHECK(!prong_value_lookup(v, key));
		prong_value_free(key);
		prong_value_free(one);
	}
	return NULL;
}

static void threads_read_at_once(void **state)
{
	prong_value *v = from("{'list': [1, 2, 3], 'same': [1.0, 2.0, 3.0]}");
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, read_and_dup, v), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	prong_value_free(v);
}

/* --- text for people -------------------------------------------------------------------------- */

static void what_is_cut_ends_with_dots(void **state)
{
	prong_value *v = prong_value_text("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
	char buf[16];

	(void)state;
	CHECK_EQ(prong_value_print(v, buf, 16), 12);
	CHECK_STR(buf, "'\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9'");
	CHECK_EQ(prong_value_print(v, buf, 12), 10);
	CHECK_STR(buf, "'\xc3\xa9\xc3\xa9\xc3\xa9...");
	CHECK_EQ(prong_value_print(v, buf, 1), 0);
	CHECK_STR(buf, "");
	CHECK_EQ(prong_value_print(v, NULL, 9), 0);
	prong_value_free(v);
	for (size_t n = 0; n < sizeof buf; n++) {
		v = from("['abc', 12345, 1.5]");
		CHECK(prong_value_print(v, buf, n) < (n ? n : 1));
		prong_value_free(v);
	}
}

static const struct CMUnitTest tests[] = {
	CASE(each_kind_is_what_was_made),
	CASE(ints_of_any_size),
	CASE(floats_take_ints),
	CASE(text_is_utf8_with_surrogates),
	CASE(a_spoilt_tree_tells_in_the_end),
	CASE(what_takes_no_items_says_so),
	CASE(equal_keys_are_one),
	CASE(a_large_dict_finds_each),
	CASE(tuples_and_frozensets_are_keys),
	CASE(nothing_is_a_key_in_itself),
	CASE(sharing_costs_nothing),
	CASE(equality_is_pythons),
	CASE(equality_of_sets_and_bytes),
	CASE(cycles_compare_print_and_end),
	CASE(nesting_has_no_end),
	CASE(an_item_outlives_its_tree),
	CASE(threads_read_at_once),
	CASE(what_is_cut_ends_with_dots),
};

TEST_MAIN(tests, TEST_CLOSED, NULL)
