/* Pickles: golden bytes, what is refused and why, limits, and that no damage does harm. */
#include "support.h"

#include <prong/net.h>

#define BYTES(text) text, sizeof(text) - 1

static int decode(prong_value **v, const char *data, size_t size, const prong_limits *limits)
{
	return prong_decode(v, PRONG_PICKLE, data, size, limits);
}

/* --- reading ---------------------------------------------------------------------------------- */

static const struct {
	const char *pickle;
	size_t size;
	const char *shown;
} good[] = {
	/* what real Pythons write for the calls of a manager's protocol */
	{ BYTES("\x80\x04\x95\x10\0\0\0\0\0\0\0(N\x8c\x05"
		"dummy\x94)}\x94t\x94."),
	  "(None, 'dummy', (), {})" },
	{ BYTES("\x80\x04\x95\x0e\0\0\0\0\0\0\0\x8c\x07#RETURN\x94N\x86\x94."),
	  "('#RETURN', None)" },
	{ BYTES("\x80\x05\x95\x22\0\0\0\0\0\0\0\x8c\x06#ERROR\x94\x8c\x06_queue\x94\x8c\x05"
		"Empty"
		"\x94\x93\x94)R\x94\x86\x94."),
	  "('#ERROR', queue.Empty())" },
	{ BYTES("\x80\x04\x95\x15\0\0\0\0\0\0\0(\x8c\x02id\x94\x8c\x03put\x94"
		"h\x01\x85\x94}\x94t\x94."),
	  "('id', 'put', ('put',), {})" },
	/* protocol 0, as Python 2 writes it */
	{ BYTES("(lp0\nI1\naL-2L\naF1.5\naI01\naI00\naS'a\\'\\n\\xff'\np1\na"
		"Vb\\u20ac\\u005c\np2\na."),
	  "[1, -2, 1.5, True, False, b\"a'\\n\\xff\", 'b\xe2\x82\xac\\\\']" },
	{ BYTES("(dp0\nS'a'\nI1\ns."), "{'a': 1}" },
	{ BYTES("(I1\nI2\nt."), "(1, 2)" },
	{ BYTES("(c__main__\nOld\nI1\no}U\x01xK\x02sb."), "<__main__.Old(1) state {'x': 2}>" },
	{ BYTES("(I1\ni__main__\nOld\n."), "<__main__.Old(1)>" },
	{ BYTES("\x80\x02"
		"c__builtin__\nset\n](K\x01K\x02"
		"e\x85R."),
	  "{1, 2}" },
	{ BYTES("\x80\x02"
		"c_codecs\nencode\nX\x03\0\0\0a\xc3\xbfX\x06\0\0\0latin1\x86R."),
	  "b'a\\xff'" },
	{ BYTES("\x80\x02"
		"c__builtin__\nbytes\n)R."),
	  "b''" },
	{ BYTES("\x80\x02"
		"c__builtin__\nbytearray\nX\x02\0\0\0\xc3\xbfX\x07\0\0\0latin-1\x86R."),
	  "bytearray(b'\\xff')" },
	{ BYTES("\x80\x03"
		"cbuiltins\nbytearray\nC\x01x\x85R."),
	  "bytearray(b'x')" },
	{ BYTES("\x80\x02"
		"cexceptions\nStandardError\n)R."),
	  "Exception()" },
	{ BYTES("\x80\x02"
		"c__builtin__\ngetattr\nca\nB\nX\x01\0\0\0C\x86R."),
	  "<class 'a.B.C'>" },
	{ BYTES("\x8a\x09\0\0\0\0\0\0\0\0\x01."), "18446744073709551616" },
	{ BYTES("\x8a\0."), "0" },
	{ BYTES("K\x01K\x02\x30."), "1" },       /* POP */
	{ BYTES("K\x01(K\x02K\x03\x31."), "1" }, /* POP_MARK */
	{ BYTES("K\x01\x32\x86."), "(1, 1)" },   /* DUP */
	{ BYTES("]q\x05h\x05\x61."), "[[...]]" },
	{ BYTES("\x8f\x28K\x01K\x01\x90."), "{1}" },
	{ BYTES("(K\x01K\x01K\x02\x91."), "frozenset({1, 2})" },
	{ BYTES("\x96\x02\0\0\0\0\0\0\0ab."), "bytearray(b'ab')" },
	{ BYTES("}(K\x01K\x02G\x3f\xf0\0\0\0\0\0\0K\x03\x88K\x04u."), "{1: 4}" },
	{ BYTES("G\x7f\xf0\0\0\0\0\0\0."), "inf" },
	{ BYTES("cm\nC\n)}X\x01\0\0\0kK\x01s\x92."), "<m.C() with {'k': 1}>" },
};

static void real_pickles_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		prong_value *v;
		char text[256];

		if (decode(&v, good[i].pickle, good[i].size, NULL))
			check_failed(__FILE__, __LINE__, "%s: %s", good[i].shown,
				     prong_error_detail());
		prong_value_print(v, text, sizeof text);
		CHECK_STR(text, good[i].shown);
		prong_value_free(v);
	}
}

static const struct {
	const char *pickle;
	size_t size;
	const char *detail;
} bad[] = {
	{ BYTES("\x80\x06N."), "protocol 6" },
	{ BYTES("N"), "byte 1: it ends before" },
	{ BYTES("N.N"), "byte 2: something follows" },
	{ BYTES("."), "stack is too short" },
	{ BYTES("(."), "stack is too short" },
	{ BYTES("\xff."), "no such opcode" },
	{ BYTES("\0."), "no such opcode" },
	{ BYTES("a."), "stack is too short" },
	{ BYTES("e."), "mark is missing" },
	{ BYTES("(e."), "stack is too short" },
	{ BYTES("K\x01(e."), "takes no such" },
	{ BYTES("](K\x01u."), "takes no such" },
	{ BYTES("}(K\x01u."), "key without a value" },
	{ BYTES("}(]K\x01u."), "no hash" },
	{ BYTES("(K\x01"
		"d."),
	  "key without a value" },
	{ BYTES("\x8f(}\x90."), "no hash" },
	{ BYTES("](K\x01\x90."), "takes no such" },
	{ BYTES("\x85."), "stack is too short" },
	{ BYTES("(\x85."), "stack is too short" },
	{ BYTES("h\0."), "this place of the memo" },
	{ BYTES("g9\n."), "this place of the memo" },
	{ BYTES("gx\n."), "memo that is none" },
	{ BYTES("g\n."), "memo that is none" },
	{ BYTES("q\0."), "stack is too short" },
	{ BYTES("X\x05\0\0\0abc."), "cut short" },
	{ BYTES("X\xff\xff\xff\xff"
		"abc."),
	  "cut short" },
	{ BYTES("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
		"abc."),
	  "cut short" },
	{ BYTES("\x8e\0\0\0\0\x01\0\0\0"
		"abc."),
	  "cut short" },
	{ BYTES("\x8b\xff\xff\xff\xff"
		"abc."),
	  "cut short" },
	{ BYTES("\x95\x09\0\0\0\0\0\0\0N."), "frame is cut" },
	{ BYTES("X\x01\0\0\0\xff."), "not UTF-8" },
	{ BYTES("Sabc\n."), "quotes" },
	{ BYTES("S'\\xg'\n."), "bad escape" },
	{ BYTES("V\\u12\n."), "bad escape" },
	{ BYTES("V\\U00110000\n."), "bad escape" },
	{ BYTES("I12a\n."), "an int that is none" },
	{ BYTES("I\n."), "an int that is none" },
	{ BYTES("F1.5x\n."), "a float that is none" },
	{ BYTES("F.\n."), "a float that is none" },
	{ BYTES("I1"), "line is cut" },
	{ BYTES("cbuiltins\nlen"), "line is cut" },
	{ BYTES("c\nx\n."), "name of a class" },
	{ BYTES("ca\nb..c\n."), "name of a class" },
	{ BYTES("K\x01K\x02\x93."), "name of a class" },
	{ BYTES("K\x01)}b."), "takes none" },
	{ BYTES("ca\nb\nK\x01R."), "no tuple" },
	{ BYTES("ca\nb\n)]\x92."), "no tuple" },
	{ BYTES("o."), "mark is missing" },
	{ BYTES("(o."), "stack is too short" },
	{ BYTES("Pid\n."), "outside of the pickle" },
	{ BYTES("NQ."), "outside of the pickle" },
	{ BYTES("\x82\x01."), "outside of the pickle" },
	{ BYTES("\x97."), "outside of the pickle" },
	{ BYTES("\x80\x02"
		"c_codecs\nencode\nX\x03\0\0\0\xe2\x82\xacX\x06\0\0\0latin1\x86R."),
	  "Latin 1" },
	{ BYTES("\x80\x02"
		"c__builtin__\nset\n]]a\x85R."),
	  "no hash" },
};

static void damage_is_told_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		prong_value *v = NULL;
		int r = decode(&v, bad[i].pickle, bad[i].size, NULL);

		if (r != -EBADMSG || v || !strstr(prong_error_detail(), bad[i].detail) ||
		    !strstr(prong_error_detail(), "at byte "))
			check_failed(__FILE__, __LINE__, "number %zu: %d, %s, not %s", i, r,
				     prong_error_detail(), bad[i].detail);
	}
}

/* --- limits ----------------------------------------------------------------------------------- */

static char *repeat(const char *head, const char *part, size_t n, const char *tail, size_t *size)
{
	size_t h = strlen(head), p = strlen(part), t = strlen(tail);
	char *data = malloc(h + n * p + t);

	memcpy(data, head, h);
	for (size_t i = 0; i < n; i++)
		memcpy(data + h + i * p, part, p);
	memcpy(data + h + n * p, tail, t);
	*size = h + n * p + t;
	return data;
}

static void limit(const char *head, const char *part, size_t n, const char *tail,
		  const prong_limits *limits, int want)
{
	size_t size;
	char *data = repeat(head, part, n, tail, &size);
	prong_value *v = NULL;
	int r = decode(&v, data, size, limits);

	if (r != want)
		check_failed(__FILE__, __LINE__, "%zu x %s: %d, %s", n, part, r,
			     prong_error_detail());
	prong_value_free(r ? NULL : v);
	free(data);
}

static void limits_have_an_error_each(void **state)
{
	(void)state;
	limit("](", "N", 99, "e.", &(prong_limits){ .bytes = 102 }, -EMSGSIZE);
	limit("](", "N", 99, "e.", &(prong_limits){ .bytes = 103 }, 0);
	limit("](", "N", 99, "e.", &(prong_limits){ .objects = 99 }, -E2BIG);
	limit("](", "N", 99, "e.", &(prong_limits){ .objects = 100 }, 0);
	limit(")", "\x85", 99, ".", &(prong_limits){ .depth = 99 }, -ELOOP);
	limit(")", "\x85", 99, ".", &(prong_limits){ .depth = 100 }, 0);
	limit("", "]", 100,
	      "q\x01"
	      "aaaaaaaaaaaa.",
	      &(prong_limits){ .depth = 9 }, -ELOOP);
	limit("]", "\x94", 1, ".", &(prong_limits){ .memo = 1 }, 0);
	limit("]", "q\x07", 1, ".", &(prong_limits){ .memo = 7 }, -ENOBUFS);
	limit("]", "p7\n", 1, ".", &(prong_limits){ .memo = 7 }, -ENOBUFS);
	limit("]", "q\x07", 1, ".", &(prong_limits){ .memo = 8 }, 0);
	limit("](", "]", 999, "e.", &(prong_limits){ .memory = 20000 }, -EDQUOT);
	limit("](", "]", 999, "e.", &(prong_limits){ .memory = 200000 }, 0);
}

static void small_input_takes_no_large_memory(void **state)
{
	static const char bombs[][64] = {
		"]r\xff\xff\xff\x7f.",          "]r\xff\xff\xff\xff.", "]p4294967295\n.",
		"]p99999999999999999999999\n.", "B\xff\xff\xff\x7f",   "T\xff\xff\xff\xff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
		prong_value *v;
		int r = decode(&v, bombs[i], strlen(bombs[i]),
			       &(prong_limits){ .memo = UINT32_MAX });

		CHECK(r == -ENOBUFS || r == -EBADMSG || r == -EDQUOT);
	}
}

static void a_call_cannot_multiply_memory(void **state)
{
	size_t text = 65536, calls = 100000, n = 0;
	char *data = malloc(text + calls * 8 + 200);
	prong_value *v;

	(void)state;
	n += (size_t)sprintf(data, "c_codecs\nencode\nq%c", 1);
	data[n++] = 'X';
	data[n++] = 0, data[n++] = 0, data[n++] = 1, data[n++] = 0;
	memset(data + n, 'x', text);
	n += text;
	n += (size_t)sprintf(data + n, "q%cU%clatin1q%c]", 2, 6, 3);
	for (size_t i = 0; i < calls; i++) {
		memcpy(data + n, "h\1h\2h\3\x86R", 8);
		n += 8;
	}
	data[n++] = '.';
	CHECK_EQ(decode(&v, data, n, NULL), -EDQUOT);
	free(data);
}

/* Lists that are put into others before they are filled: only the whole shows the depth. */
static void depth_is_found_behind_the_memo(void **state)
{
	size_t n = 0, lists = 200;
	char data[4000];
	prong_value *v;

	(void)state;
	for (size_t i = 0; i < lists; i++)
		n += (size_t)sprintf(data + n, "]p%zu\n0", i);
	data[n++] = '(';
	for (size_t i = 0; i + 1 < lists; i++) /* the outermost last, so each looks shallow */
		n += (size_t)sprintf(data + n, "g%zu\ng%zu\na", i, i + 1);
	memcpy(data + n, "1g0\n.", 5);
	n += 5;
	CHECK_EQ(decode(&v, data, n, &(prong_limits){ .depth = 199 }), -ELOOP);
	CHECK_OK(decode(&v, data, n, &(prong_limits){ .depth = 200 }));
	prong_value_free(v);
}

/* --- there and back --------------------------------------------------------------------------- */

static const prong_format protocols[] = { PRONG_PICKLE_2, PRONG_PICKLE_3, PRONG_PICKLE_4,
					  PRONG_PICKLE_5 };

/* v is the same after an encoding in each protocol. */
static void there_and_back(const prong_value *v)
{
	for (int i = 0; i < 4; i++) {
		prong_value *back;
		void *data;
		size_t size;

		CHECK_OK(prong_encode(v, protocols[i], &data, &size, NULL));
		CHECK_OK(prong_decode_take(&back, PRONG_PICKLE, data, size, NULL));
		CHECK(prong_value_equal(v, back));
		prong_value_free(back);
	}
}

static void every_kind_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		prong_value *v;

		if (decode(&v, good[i].pickle, good[i].size, NULL))
			continue;
		there_and_back(v);
		prong_value_free(v);
	}
}

static void encoded(prong_value *v, prong_format format, const char *want, size_t n)
{
	void *data;
	size_t size;

	CHECK_OK(prong_encode(v, format, &data, &size, NULL));
	CHECK_EQ(size, n);
	CHECK(memcmp(data, want, n) == 0);
	free(data);
	prong_value_free(v);
}

static void golden_bytes(void **state)
{
	prong_value *v = prong_value_new(PRONG_LIST);

	(void)state;
	encoded(prong_value_int(5), PRONG_PICKLE, BYTES("\x80\x02K\x05."));
	encoded(prong_value_int(-1), PRONG_PICKLE, BYTES("\x80\x02J\xff\xff\xff\xff."));
	encoded(prong_value_int(65535), PRONG_PICKLE, BYTES("\x80\x02M\xff\xff."));
	encoded(prong_value_int((int64_t)1 << 31), PRONG_PICKLE,
		BYTES("\x80\x02\x8a\x05\0\0\0\x80\0."));
	encoded(prong_value_text("a"), PRONG_PICKLE, BYTES("\x80\x02X\x01\0\0\0a."));
	encoded(prong_value_text("a"), PRONG_PICKLE_4,
		BYTES("\x80\x04\x8c\x01"
		      "a."));
	encoded(prong_value_bytes(PRONG_BYTES, "\xff", 1), PRONG_PICKLE_3,
		BYTES("\x80\x03"
		      "C\x01\xff."));
	encoded(prong_value_new(PRONG_SET), PRONG_PICKLE_5, BYTES("\x80\x05\x8f."));
	CHECK_OK(prong_value_add(v, prong_value_dup(v)));
	encoded(v, PRONG_PICKLE, BYTES("\x80\x02]q\0h\0a."));
	v = prong_value_object("builtins.FileNotFoundError", NULL, NULL);
	encoded(v, PRONG_PICKLE,
		BYTES("\x80\x02"
		      "cexceptions\nOSError\n)\x81."));
	v = prong_value_object("queue.Empty", prong_value_new(PRONG_TUPLE), NULL);
	encoded(v, PRONG_PICKLE,
		BYTES("\x80\x02"
		      "cQueue\nEmpty\n)R."));
	v = prong_value_object("queue.Empty", prong_value_new(PRONG_TUPLE), NULL);
	encoded(v, PRONG_PICKLE_3,
		BYTES("\x80\x03"
		      "cqueue\nEmpty\n)R."));
}

static void bad_arguments(void **state)
{
	prong_value *v = prong_value_int(5);
	void *data;
	size_t size;

	(void)state;
	CHECK_EQ(prong_encode(v, (prong_format)1, &data, &size, NULL), -EINVAL);
	CHECK_EQ(prong_encode(v, (prong_format)6, &data, &size, NULL), -EINVAL);
	CHECK_EQ(prong_encode(v, PRONG_PICKLE, NULL, &size, NULL), -EINVAL);
	CHECK_EQ(prong_encode(v, PRONG_PICKLE, &data, NULL, NULL), -EINVAL);
	CHECK_EQ(prong_encode(v, PRONG_PICKLE, &data, &size, &(prong_limits){ .bytes = 3 }),
		 -EMSGSIZE);
	CHECK_EQ(prong_encode(v, PRONG_PICKLE, &data, &size, &(prong_limits){ .reserved0_ = 1 }),
		 -EINVAL);
	prong_value_free(v);
}

static void protocol_2_does_not_change_a_meaning(void **state)
{
	prong_value *v = prong_value_object("Queue.Mine", NULL, NULL);
	void *data;
	size_t size;

	(void)state;
	CHECK_EQ(prong_encode(v, PRONG_PICKLE_2, &data, &size, NULL), PRONG_MISMATCH);
	CHECK(strstr(prong_error_detail(), "Queue"));
	encoded(v, PRONG_PICKLE_3, BYTES("\x80\x03" "cQueue\nMine\n)\x81."));
}

static void a_tuple_in_itself_cannot_be_written(void **state)
{
	prong_value *t = prong_value_new(PRONG_TUPLE), *u = prong_value_new(PRONG_TUPLE);
	void *data;
	size_t size;

	(void)state;
	CHECK_OK(prong_value_add(t, u));
	CHECK_OK(prong_value_add(u, prong_value_dup(t)));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(prong_encode(t, protocols[i], &data, &size, NULL), -ELOOP);
	CHECK_STR(prong_error_detail(), "pickle: a tuple, or what an object is made of, is part of "
					"itself at [0][0][0][0]");
	prong_value_free(t);
}

/* A graph at random: tuples, lists, dicts and objects that contain each other. */
static prong_value *graph(unsigned *seed, int n)
{
	static const prong_kind kinds[] = { PRONG_TUPLE, PRONG_LIST, PRONG_DICT, PRONG_TUPLE };
	prong_value *v[32];

	for (int i = 0; i < n; i++)
		v[i] = rand_r(seed) % 5 ? prong_value_new(kinds[rand_r(seed) % 4])
					: prong_value_object("a.B", NULL, NULL);
	for (int i = 0; i < 3 * n; i++) {
		int a = rand_r(seed) % n, b = rand_r(seed) % n;
		prong_value *item = rand_r(seed) % 4 ? prong_value_dup(v[b]) : prong_value_int(i);

		if (prong_value_kind(v[a]) == PRONG_DICT)
			CHECK_OK(prong_value_put(v[a], prong_value_int(rand_r(seed) % 3), item));
		else if (prong_value_kind(v[a]) == PRONG_TUPLE && b <= a)
			prong_value_free(item); /* tuples are not in each other in a circle */
		else
			CHECK_OK(prong_value_add(v[a], item));
	}
	for (int i = 1; i < n; i++)
		prong_value_free(v[i]);
	return v[0];
}

static void graphs_come_back(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < scaled(2000); i++) {
		prong_value *v = graph(&seed, 2 + i % 30);

		there_and_back(v);
		prong_value_free(v);
	}
}

/* --- damage ----------------------------------------------------------------------------------- */

/* Whatever the bytes are: an error, or a value that comes back from an encoding. */
static void survive(const char *data, size_t size)
{
	static const prong_limits limits = { .memory = 1 << 20, .memo = 1000, .objects = 1000 };
	prong_value *v;
	void *again;
	size_t n;
	int r = decode(&v, data, size, &limits);

	if (r)
		return;
	r = prong_encode(v, PRONG_PICKLE_5, &again, &n, NULL);
	CHECK(r == 0 || r == -ELOOP);
	if (r == 0) {
		prong_value *back;

		CHECK_OK(prong_decode_take(&back, PRONG_PICKLE, again, n, NULL));
		prong_value_free(back);
	}
	prong_value_free(v);
}

static void no_damage_does_harm(void **state)
{
	char copy[256];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		size_t n = good[i].size;
		prong_value *v;

		for (size_t k = 0; k < n; k++)
			CHECK(decode(&v, good[i].pickle, k, NULL) == -EBADMSG);
		for (size_t k = 0; k < n; k++) {
			memcpy(copy, good[i].pickle, n);
			for (int c = 0; c < 256; c += 1 + slowness() / 4) {
				copy[k] = (char)c;
				survive(copy, n);
			}
		}
	}
}

static void bytes_are_taken_over(void **state)
{
	size_t n = 100000;
	char *data = malloc(n + 6);
	prong_value *v, *part;
	size_t size;

	(void)state;
	memcpy(data, "B\xa0\x86\x01\0", 5);
	memset(data + 5, 'x', n);
	data[n + 5] = '.';
	CHECK_EQ(prong_decode_take(&v, PRONG_PICKLE, data, n + 5, NULL), -EBADMSG); /* still ours */
	CHECK_OK(prong_decode_take(&v, PRONG_PICKLE, data, n + 6, NULL));
	CHECK(prong_value_data(v, &size) == data + 5 && size == n);
	part = prong_value_new(PRONG_LIST);
	CHECK_OK(prong_value_add(part, prong_value_dup(v)));
	prong_value_free(v);
	there_and_back(part);
	prong_value_free(part);
	data = malloc(2);
	memcpy(data, "N.", 2);
	CHECK_OK(prong_decode_take(&v, PRONG_PICKLE, data, 2, NULL));
	prong_value_free(v);
}

static const struct CMUnitTest tests[] = {
	CASE(real_pickles_are_read),
	CASE(damage_is_told_with_its_place),
	CASE(limits_have_an_error_each),
	CASE(small_input_takes_no_large_memory),
	CASE(a_call_cannot_multiply_memory),
	CASE(depth_is_found_behind_the_memo),
	CASE(every_kind_comes_back),
	CASE(golden_bytes),
	CASE(bad_arguments),
	CASE(protocol_2_does_not_change_a_meaning),
	CASE(a_tuple_in_itself_cannot_be_written),
	CASE(graphs_come_back),
	CASE(no_damage_does_harm),
	CASE(bytes_are_taken_over),
};

TEST_MAIN(tests, TEST_CLOSED, NULL)
