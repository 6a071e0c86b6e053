/* JSON: what is read, what is refused, and what is written. */
#include "support.h"

#include <locale.h>
#include <prong/net.h>

static int decode(const char *json, prong_value **v, const prong_limits *limits)
{
	return prong_decode(v, PRONG_JSON, json, strlen(json), limits);
}

static void read_and_written_again(void **state)
{
	static const char *const pairs[][2] = {
		{ "null", "null" },
		{ " [ ] ", "[]" },
		{ "{ }", "{}" },
		{ "\t[1 , true,\r\nfalse,null]", "[1,true,false,null]" },
		{ "{\"a\":{\"b\":[{}]}}", "{\"a\":{\"b\":[{}]}}" },
		{ "{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}" },
		{ "-0", "0" },
		{ "-0.0", "-0.0" },
		{ "1E2", "100.0" },
		{ "1.5e-7", "1.5e-07" },
		{ "0.1", "0.1" },
		{ "123456789012345678901234567890", "123456789012345678901234567890" },
		{ "-123456789012345678901234567890", "-123456789012345678901234567890" },
		{ "9223372036854775808", "9223372036854775808" },
		{ "-9223372036854775808", "-9223372036854775808" },
		{ "1.7976931348623157e308", "1.7976931348623157e+308" },
		{ "5e-324", "5e-324" },
		{ "0.000000000000000000000000000000000000001", "1e-39" },
		{ "1234567890.12345678901234567890123456789", "1234567890.1234567" },
		{ "1e-99999999999", "0.0" },
		{ "\"\\u0041\\n\\/\\\"\\\\\\b\\f\\r\\t\"", "\"A\\n/\\\"\\\\\\b\\f\\r\\t\"" },
		{ "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
		{ "\"\\ud83d\"", "\"\\ud83d\"" },
		{ "\"\\ude00\\ud83d\"", "\"\\ude00\\ud83d\"" },
		{ "\"\\ud83d\\u0041\"", "\"\\ud83dA\"" },
		{ "\"\\u0000\\u001f\"", "\"\\u0000\\u001f\"" },
		{ "\"\xed\x95\x9c\xc3\xa9\"", "\"\xed\x95\x9c\xc3\xa9\"" },
		{ "\"\x7f\xc2\x9b\xc2\xa0\"", "\"\\u007f\\u009b\xc2\xa0\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		prong_value *v;
		void *data;
		size_t size;
		char text[256];

		CHECK_OK(decode(pairs[i][0], &v, NULL));
		CHECK_OK(prong_encode(v, PRONG_JSON, &data, &size, NULL));
		snprintf(text, sizeof text, "%.*s", (int)size, (char *)data);
		CHECK_STR(text, pairs[i][1]);
		free(data);
		prong_value_free(v);
	}
}

static void malformed_is_refused_at_its_place(void **state)
{
	static const struct {
		const char *json, *where;
	} bad[] = {
		{ " ", "byte 1:" },
		{ "[", "byte 1:" },
		{ "[1", "byte 2:" },
		{ "[1,]", "byte 3:" },
		{ "[,1]", "byte 1:" },
		{ "[1 2]", "byte 3:" },
		{ "{\"a\"}", "byte 4:" },
		{ "{\"a\":}", "byte 5:" },
		{ "{\"a\":1,}", "byte 7:" },
		{ "{a:1}", "byte 1:" },
		{ "{1:1}", "byte 1:" },
		{ "[1}", "byte 2:" },
		{ "1 2", "byte 2:" },
		{ "nul", "byte 0:" },
		{ "nan", "byte 0:" },
		{ "NaN", "byte 0:" },
		{ "Infinity", "byte 0:" },
		{ "01", "byte 2:" },
		{ "-", "byte 1:" },
		{ "+1", "byte 0:" },
		{ "1.", "byte 2:" },
		{ ".5", "byte 0:" },
		{ "1e", "byte 2:" },
		{ "1e+", "byte 3:" },
		{ "1e400", "byte 5:" },
		{ "0x10", "byte 1:" },
		{ "\"abc", "byte 4:" },
		{ "\"a\nb\"", "byte 2:" },
		{ "\"\\x\"", "byte 3:" },
		{ "\"\\u12\"", "byte" },
		{ "\"\\u12g4\"", "byte" },
		{ "\"\xff\"", "byte 1:" },
		{ "\"\xed\xa0\x80\"", "byte 1:" },
		{ "'a'", "byte 0:" },
		{ "[1] // comment", "byte 4:" },
		{ "\xef\xbb\xbf"
		  "1",
		  "byte 0:" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		prong_value *v = NULL;
		int r = decode(bad[i].json, &v, NULL);

		if (r != -EBADMSG || v || !strstr(prong_error_detail(), bad[i].where))
			check_failed(__FILE__, __LINE__, "%s: %d, %s", bad[i].json, r,
				     prong_error_detail());
	}
}

static void limits_have_an_error_each(void **state)
{
	prong_value *v;

	(void)state;
	CHECK_EQ(decode("[1,2,3]", &v, &(prong_limits){ .bytes = 6 }), -EMSGSIZE);
	CHECK_EQ(decode("[[[1]]]", &v, &(prong_limits){ .depth = 2 }), -ELOOP);
	CHECK_EQ(decode("[1,2,3]", &v, &(prong_limits){ .objects = 3 }), -E2BIG);
	CHECK_EQ(decode("[[1],[2],[3],[4],[5],[6],[7],[8],[9]]", &v,
			&(prong_limits){ .memory = 300 }),
		 -EDQUOT);
	CHECK_EQ(decode("1", &v, &(prong_limits){ .reserved_ = { 1 } }), -EINVAL);
	CHECK_EQ(decode("", &v, NULL), -EBADMSG);
	CHECK_EQ(prong_decode(&v, PRONG_REPR, "1", 1, NULL), -EINVAL);
	CHECK_EQ(prong_decode(&v, (prong_format)1, "1", 1, NULL), -EINVAL);
	CHECK_EQ(prong_decode(NULL, PRONG_JSON, "1", 1, NULL), -EINVAL);
	CHECK_EQ(prong_decode(&v, PRONG_JSON, NULL, 1, NULL), -EINVAL);
	CHECK_OK(decode("[[[1]]]", &v, &(prong_limits){ .bytes = 7, .depth = 3, .objects = 4 }));
	prong_value_free(v);
}

/* With these words. */
static void refused(prong_value *v, int want, const char *detail)
{
	void *data = &data;
	size_t size;

	CHECK_EQ(prong_encode(v, PRONG_JSON, &data, &size, NULL), want);
	CHECK_STR(prong_error_detail(), detail);
	CHECK(data == &data);
	prong_value_free(v);
}

static void some_values_have_no_json(void **state)
{
	uint8_t large[2000] = { [1999] = 1 };
	prong_value *v;

	(void)state;
	refused(prong_value_float(1.0 / 0.0), PRONG_MISMATCH, "json: there is no inf");
	refused(prong_value_float(0.0 / 0.0), PRONG_MISMATCH, "json: there is no nan");
	refused(prong_value_bytes(PRONG_BYTES, "x", 1), PRONG_MISMATCH, "json: there is no bytes");
	refused(prong_value_new(PRONG_SET), PRONG_MISMATCH, "json: there is no set");
	refused(prong_value_object("a.b", NULL, NULL), PRONG_MISMATCH, "json: there is no object");
	refused(prong_value_bytes(PRONG_CLASS, "a.b", 3), PRONG_MISMATCH,
		"json: there is no class");
	refused(prong_value_bytes(PRONG_INT, large, sizeof large), PRONG_MISMATCH,
		"json: an int of more than 4,300 digits");
	v = prong_value_new(PRONG_DICT);
	CHECK_OK(prong_value_put(v, prong_value_int(1), prong_value_int(2)));
	refused(v, PRONG_MISMATCH, "json: a key must be text, and is of kind int at key 1");
	v = prong_value_new(PRONG_LIST);
	CHECK_OK(prong_value_add(v, prong_value_dup(v)));
	refused(v, -ELOOP, "json: a collection is in itself at [0]");
	v = prong_value_new(PRONG_LIST);
	CHECK_EQ(prong_value_add(v, NULL), -ENOMEM);
	refused(v, -ENOMEM, "json: a value is spoilt");
}

/* The third item of a list, which is the third item of a list, and so on. */
static prong_value *third(prong_value *v, int times)
{
	while (times-- > 0) {
		prong_value *list = prong_value_new(PRONG_LIST);

		CHECK_OK(prong_value_add(list, prong_value_int(1)));
		CHECK_OK(prong_value_add(list, prong_value_int(2)));
		CHECK_OK(prong_value_add(list, v));
		v = list;
	}
	return v;
}

static prong_value *under(const char *key, prong_value *v)
{
	prong_value *dict = prong_value_new(PRONG_DICT);

	CHECK_OK(prong_value_put(dict, prong_value_text("first"), prong_value_int(1)));
	CHECK_OK(prong_value_put(dict, prong_value_text(key), v));
	return dict;
}

static void it_says_where(void **state)
{
	(void)state;
	refused(under("jobs", third(under("x", prong_value_new(PRONG_SET)), 2)), PRONG_MISMATCH,
		"json: there is no set at ['jobs'][2][2]['x']");
	refused(under("\x1b[31m and more than has room here", prong_value_float(1.0 / 0.0)),
		PRONG_MISMATCH, "json: there is no inf at ['\\x1b[31m and more than ...]");
	refused(under("jobs", third(prong_value_float(1.0 / 0.0), 1000)), PRONG_MISMATCH,
		"json: there is no inf at ...[2][2][2][2][2][2][2][2][2][2][2][2][2][2][2][2][2]"
		"[2][2][2][2][2][2][2][2]");
}

static void the_locale_changes_nothing(void **state)
{
	prong_value *v;
	char text[64];

	(void)state;
	if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8"))
		SKIP("no locale with a decimal comma");
	CHECK_OK(decode("[1.5, 123456789012345678.9e-3]", &v, NULL));
	prong_value_print(v, text, sizeof text);
	CHECK_STR(text, "[1.5, 123456789012345.69]");
	prong_value_free(v);
	setlocale(LC_ALL, "C");
}

static const struct CMUnitTest tests[] = {
	CASE(read_and_written_again),
	CASE(malformed_is_refused_at_its_place),
	CASE(limits_have_an_error_each),
	CASE(some_values_have_no_json),
	CASE(it_says_where),
	CASE(the_locale_changes_nothing),
};

TEST_MAIN(tests, TEST_CLOSED, NULL)
