/* Objects and classes: their parts, how they are shown, and that no name is hidden. */
#include "support.h"

#include <prong/net.h>

#define BYTES(text) text, sizeof(text) - 1

static int decode(prong_value **v, const char *data, size_t size)
{
	return prong_decode(v, PRONG_PICKLE, data, size, NULL);
}

static void prints(prong_value *v, const char *want)
{
	char text[512];

	prong_value_print(v, text, sizeof text);
	CHECK_STR(text, want);
	prong_value_free(v);
}

static void objects_are_shown_as_calls(void **state)
{
	prong_value *list = prong_value_new(PRONG_LIST), *no_7 = prong_value_new(PRONG_TUPLE);
	prong_value *attributes = prong_value_new(PRONG_DICT), *v;

	(void)state;
	CHECK(!prong_value_object("builtins.ValueError", prong_value_dup(list),
				  NULL)); /* no tuple */
	CHECK_OK(prong_value_add(list, prong_value_int(1)));
	CHECK_OK(prong_value_add(list, prong_value_int(2)));
	CHECK_OK(prong_value_put(attributes, prong_value_text("x"), list));
	CHECK_OK(prong_value_add(no_7, prong_value_text("no")));
	CHECK_OK(prong_value_add(no_7, prong_value_int(7)));
	CHECK(!prong_value_object("nodot", NULL, NULL));
	CHECK(!prong_value_object(NULL, NULL, NULL));
	CHECK(!prong_value_object("a.b\n", NULL, NULL));
	CHECK_STR(prong_error_detail(), "value: 'a.b\\n' is no name of a class");
	prints(prong_value_object("builtins.ValueError", no_7, NULL), "ValueError('no', 7)");
	v = prong_value_object("app.model:Outer.Inner", NULL, attributes);
	CHECK_STR(prong_value_class(v), "app.model.Outer.Inner");
	CHECK_EQ(prong_value_count(prong_value_args(v)), 0);
	CHECK_EQ(prong_value_kind(prong_value_find(prong_value_state(v), "x")), PRONG_LIST);
	CHECK_EQ(prong_value_kind(v), PRONG_OBJECT);
	CHECK_OK(prong_value_add(v, prong_value_int(5)));
	CHECK_OK(prong_value_put(v, prong_value_text("k"), prong_value_int(6)));
	CHECK_EQ(prong_value_count(v), 2);
	CHECK(!prong_value_key(v, 0));
	CHECK_STR(prong_value_data(prong_value_key(v, 1), NULL), "k");
	prints(v, "<app.model.Outer.Inner() state {'x': [1, 2]} items 5, 'k': 6>");
	prints(prong_value_bytes(PRONG_CLASS, "builtins.len", 12), "<class 'len'>");
	CHECK(!prong_value_class(NULL));
	CHECK(!prong_value_args(NULL));
}

/* Not in text, and not in names, which a stranger writes too. */
static void nothing_commands_a_terminal(void **state)
{
	(void)state;
	prints(prong_value_text("\x1b]0;evil\x07\xc2\x9b\xd8\x9c\xe2\x80\xae\xe2\x81\xa6|"
				"\xe1\xa0\x8e\x7f\xf3\xa0\x81\x81\xe3\x85\xa4\xc3\xa9"),
	       "'\\x1b]0;evil\\x07\\x9b\\u061c\\u202e\\u2066|"
	       "\\u180e\\x7f\\U000e0041\\u3164\xc3\xa9'");
	prints(prong_value_bytes(PRONG_CLASS,
				 "\x1b]0;a\x07.\xe2\x80\xae"
				 "b",
				 11),
	       "<class '\\x1b]0;a\\x07.\\u202eb'>");
	prints(prong_value_object("my-app.f.<locals>.\xc3\xa9_1", prong_value_new(PRONG_TUPLE),
				  NULL),
	       "my-app.f.<locals>.\xc3\xa9_1()");
	prints(prong_value_object("m.f('x'), g\\", prong_value_new(PRONG_TUPLE), NULL),
	       "m.f\\x28\\x27x\\x27\\x29\\x2c\\x20g\\\\()");
}

/* The parts of objects have names. */
static void an_error_says_where(void **state)
{
	static const struct {
		const char *pickle;
		size_t size;
		const char *where;
	} t[] = {
		{ BYTES("]cmy\nC\n)\x81}X\1\0\0\0x]cQueue\nMine\nasba."), "[0].state['x'][0]" },
		{ BYTES("]cmy\nC\n(cQueue\nMine\ntRa."), "[0].args[0]" },
		{ BYTES("(cmy\nC\nK\1cQueue\nMine\no."), ".args[1]" },
		{ BYTES("cQueue\nMine\n)R."), ".class" },
		{ BYTES("cmy\nC\n)}X\1\0\0\0kcQueue\nMine\ns\x92."), ".kwargs['k']" },
		{ BYTES("cmy\nC\n)R(K\1cQueue\nMine\ne."), "[1]" },
		{ BYTES("cmy\nC\n)RK\1cQueue\nMine\ns."), "[1]" },
		{ BYTES("cmy\nC\n)RcQueue\nMine\nK\1s."), "key <class 'Queue.Mine'>" },
		{ BYTES("cmy\nC\n)\x81q\0cmy\nset\nh\0cQueue\nMine\n\x86R0."),
		  ".changes[0].args[1]" },
		{ BYTES("cbuiltins\nset\n](K\1cQueue\nMine\ne\x85R."), "element 1" },
		{ BYTES("}K\5(K\1K\2cQueue\nMine\nts."), "[5][2]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		char want[200], pickle[100] = "\x80\x03";
		prong_value *v;
		void *data;
		size_t size;

		memcpy(pickle + 2, t[i].pickle, t[i].size);
		CHECK_OK(decode(&v, pickle, t[i].size + 2));
		CHECK_EQ(prong_encode(v, PRONG_PICKLE_2, &data, &size, NULL), PRONG_MISMATCH);
		snprintf(
			want, sizeof want,
			"pickle: protocol 2 takes <class 'Queue.Mine'> for one of Python 2's at %s",
			t[i].where);
		CHECK_STR(prong_error_detail(), want);
		prong_value_free(v);
	}
}

/* --- what Python would look up ---------------------------------------------------------------- */

static void named(const char *data, size_t size, const char *want)
{
	prong_value *names;
	char text[200];

	CHECK_OK(prong_pickle_names(&names, data, size, NULL));
	prong_value_print(names, text, sizeof text);
	CHECK_STR(text, want);
	prong_value_free(names);
}

/* Wherever it is: among keywords, in what changes an object, in what is called, or dropped. */
static void no_name_is_hidden(void **state)
{
	(void)state;
	named(BYTES("cm\nC\n)}X\x01\0\0\0kcposix\nsystem\nU\x02ls\x85Rs\x92."),
	      "{'m.C', 'posix.system'}");
	named(BYTES("coperator\nattrgetter\nX\x06\0\0\0system\x85Rc__builtin__\n__import__\n"
		    "X\x02\0\0\0os\x85R\x85RX\x02\0\0\0ls\x85R."),
	      "{'operator.attrgetter', 'builtins.__import__'}");
	named(BYTES("cm\nC\n)\x81"
		    "cposix\nsystem\nU\x02ls\x85R0."),
	      "{'m.C', 'posix.system'}");
	named(BYTES("cm\nC\n)\x81q\0cposix\nsystem\nh\0U\x02ls\x86R0."), "{'m.C', 'posix.system'}");
	named(BYTES("cposix\nsystem\nU\x02ls\x85R0K\x01."), "{'posix.system'}");
	named(BYTES("\x80\x04(\x8c\5posix\x8c\6system\x93\x8c\2ls\x85R1\x8c\5posix\x8c\6system\x93"
		    "0(K\1iq\nr\n0)0cos.path\nx.y\n0N."),
	      "{'posix.system', 'q.r', 'os.path.x.y'}");
	named(BYTES("K\1."), "set()");
}

/* Nor behind many others. */
static void no_name_is_too_far(void **state)
{
	enum {
		MANY = 10001
	};
	static const char call[] = "cposix\nsystem\nU\x02ls\x85Re.";
	char *data = malloc(2 + 2 * MANY + sizeof call), *at = data;

	(void)state;
	*at++ = ']';
	*at++ = '(';
	for (int i = 0; i < MANY; i++) {
		*at++ = 'K';
		*at++ = 1;
	}
	memcpy(at, call, sizeof call - 1);
	named(data, 2 + 2 * MANY + sizeof call - 1, "{'posix.system'}");
	free(data);
}

static void names_of_what_is_refused(void **state)
{
	prong_value *untouched = NULL;

	(void)state;
	CHECK_EQ(prong_pickle_names(&untouched, "cposix\nsystem\n)R", 16, NULL), -EBADMSG);
	CHECK_EQ(prong_pickle_names(&untouched, "cposix\nsystem\nQ.", 16, NULL), -EBADMSG);
	CHECK_EQ(prong_pickle_names(&untouched, "N.", 2, &(prong_limits){ .bytes = 1 }), -EMSGSIZE);
	CHECK_EQ(prong_pickle_names(&untouched, NULL, 2, NULL), -EINVAL);
	CHECK(!untouched);
	CHECK_EQ(prong_pickle_names(NULL, "N.", 2, NULL), -EINVAL);
}

static void all_parts_can_be_read(void **state)
{
	prong_value *v;
	const prong_value *call;

	(void)state;
	CHECK_OK(decode(&v, BYTES("cm\nC\n)}X\x01\0\0\0kNs\x92q\0cm\nset\nh\0K\5\x86R0.")));
	CHECK_STR(prong_value_class(prong_value_callable(v)), "m.C");
	CHECK_EQ(prong_value_kind(prong_value_find(prong_value_kwargs(v), "k")), PRONG_NONE);
	CHECK_EQ(prong_value_count(prong_value_kwargs(v)), 1);
	CHECK(!prong_value_state(v));
	CHECK_EQ(prong_value_count(prong_value_changes(v)), 1);
	call = prong_value_at(prong_value_changes(v), 0);
	CHECK_STR(prong_value_class(call), "m.set");
	CHECK(prong_value_at(prong_value_args(call), 0) == v);
	CHECK(!prong_value_kwargs(call) && !prong_value_changes(call));
	prong_value_free(v);
	CHECK(!prong_value_callable(NULL) && !prong_value_changes(NULL));
}

static const struct CMUnitTest tests[] = {
	CASE(objects_are_shown_as_calls), CASE(nothing_commands_a_terminal),
	CASE(an_error_says_where),        CASE(no_name_is_hidden),
	CASE(no_name_is_too_far),         CASE(names_of_what_is_refused),
	CASE(all_parts_can_be_read),
};

TEST_MAIN(tests, TEST_CLOSED, NULL)
