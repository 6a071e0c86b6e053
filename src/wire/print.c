/* Values as text for people, as Python's repr.  Not quite: a character is shown as it is when it
   is not one of those known here to be invisible, and an object as a call, with what it was given
   after it.  Nothing that a stranger wrote comes out as a control of a terminal: not in text, and
   not in the name of a class. */
#include "wire/codec.h"
#include <errno.h>
#include <stdio.h>

/* --- leaves ----------------------------------------------------------------------------------- */

/* Controls, of terminals and of the direction of writing among them; formats; spaces; surrogates;
   what is nobody's.  In order. */
static const struct {
	uint32_t first, last;
} invisibles[] = {
	{ 0, 0x1f },          { 0x7f, 0xa0 },       { 0xad, 0xad },        { 0x034f, 0x034f },
	{ 0x0600, 0x0605 },   { 0x061c, 0x061c },   { 0x06dd, 0x06dd },    { 0x070f, 0x070f },
	{ 0x0890, 0x0891 },   { 0x08e2, 0x08e2 },   { 0x115f, 0x1160 },    { 0x1680, 0x1680 },
	{ 0x17b4, 0x17b5 },   { 0x180b, 0x180f },   { 0x2000, 0x200f },    { 0x2028, 0x202f },
	{ 0x205f, 0x206f },   { 0x3000, 0x3000 },   { 0x3164, 0x3164 },    { 0xd800, 0xf8ff },
	{ 0xfdd0, 0xfdef },   { 0xfeff, 0xfeff },   { 0xffa0, 0xffa0 },    { 0xfff0, 0xfffb },
	{ 0x110bd, 0x110bd }, { 0x110cd, 0x110cd }, { 0x13430, 0x1345f },  { 0x1bca0, 0x1bca3 },
	{ 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff }, { 0xf0000, 0x10ffff },
};

static bool invisible(uint32_t c)
{
	size_t low = 0, high = sizeof invisibles / sizeof *invisibles;

	if (c >= ' ' && c <= '~')
		return false;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (c > invisibles[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return invisibles[low].first <= c || (c & 0xfffe) == 0xfffe;
}

static void escape(struct prongi_out *o, uint32_t c, char quote)
{
	char text[16];

	if (c == (unsigned char)quote || c == '\\')
		snprintf(text, sizeof text, "\\%c", (char)c);
	else if (c == '\n' || c == '\r' || c == '\t')
		snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
	else if (c < 0x100)
		snprintf(text, sizeof text, "\\x%02x", c);
	else
		snprintf(text, sizeof text, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	prongi_out_text(o, text);
}

static char quote_for(const char *p, size_t n)
{
	return memchr(p, '\'', n) && !memchr(p, '"', n) ? '"' : '\'';
}

static void print_text(struct prongi_out *o, const prong_value *v)
{
	const char *p = prongi_bytes(v), *end = p + v->size;
	char quote = quote_for(p, v->size);

	prongi_out_byte(o, quote);
	while (p < end && !o->r) {
		const char *from = p;
		uint32_t c = prongi_text_next(&p);

		if (invisible(c) || c == (unsigned char)quote || c == '\\')
			escape(o, c, quote);
		else
			prongi_out_bytes(o, from, (size_t)(p - from));
	}
	prongi_out_byte(o, quote);
}

static void print_bytes(struct prongi_out *o, const prong_value *v)
{
	const char *p = prongi_bytes(v);
	char quote = quote_for(p, v->size);
	bool array = v->kind == PRONG_BYTEARRAY;

	prongi_out_text(o, array ? "bytearray(b" : "b");
	prongi_out_byte(o, quote);
	for (size_t i = 0; i < v->size && !o->r; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c < 0x20 || c >= 0x7f || c == (unsigned char)quote || c == '\\')
			escape(o, c, quote);
		else
			prongi_out_byte(o, c);
	}
	prongi_out_byte(o, quote);
	prongi_out_text(o, array ? ")" : "");
}

static void print_int(struct prongi_out *o, const prong_value *v)
{
	char text[PRONGI_DIGITS + 2];
	const unsigned char *p = (const void *)prongi_bytes(v);
	size_t n;

	if (!(v->flags & PRONGI_BIG)) {
		n = (size_t)snprintf(text, sizeof text, "%lld", (long long)v->i);
		prongi_out_bytes(o, text, n);
		return;
	}
	n = prongi_big_decimal(p, v->size, text);
	prongi_out_bytes(o, text, n);
	if (n)
		return;
	/* Too long: as Python's int.from_bytes() would want it. */
	prongi_out_text(o, "int.from_bytes(bytes.fromhex('");
	for (size_t i = 0; i < v->size && !o->r; i++) {
		prongi_out_byte(o, "0123456789abcdef"[p[i] >> 4]);
		prongi_out_byte(o, "0123456789abcdef"[p[i] & 15]);
	}
	prongi_out_text(o, "'), 'little', signed=True)");
}

/* What a name of Python's has, and no call of anything. */
static bool is_of_a_name(uint32_t c)
{
	return !invisible(c) && (c > '~' || !strchr(" \"'(),=", (int)c)) && c != '\\';
}

static void print_name(struct prongi_out *o, const char *p, size_t n)
{
	const char *end = p + n;

	while (p < end && !o->r) {
		const char *from = p;
		uint32_t c = prongi_text_next(&p);

		if (is_of_a_name(c))
			prongi_out_bytes(o, from, (size_t)(p - from));
		else
			escape(o, c, 0);
	}
}

static void print_class(struct prongi_out *o, const prong_value *v)
{
	size_t n, module;
	const char *name = prongi_class_name(v, &n), *m = prongi_class_module(v, &module);

	if (strcmp(m, "builtins") != 0) {
		print_name(o, m, module);
		prongi_out_byte(o, '.');
	}
	print_name(o, name, n);
}

static void print_leaf(struct prongi_out *o, const prong_value *v)
{
	char text[40];

	switch ((prong_kind)v->kind) {
	case PRONG_NONE:
		prongi_out_text(o, "None");
		return;
	case PRONG_BOOL:
		prongi_out_text(o, v->i ? "True" : "False");
		return;
	case PRONG_INT:
		print_int(o, v);
		return;
	case PRONG_FLOAT:
		prongi_out_bytes(o, text, prongi_float_text(v->f, text));
		return;
	case PRONG_TEXT:
		print_text(o, v);
		return;
	case PRONG_CLASS:
		prongi_out_text(o, "<class '");
		print_class(o, v);
		prongi_out_text(o, "'>");
		return;
	default:
		print_bytes(o, v);
	}
}

/* --- collections ------------------------------------------------------------------------------ */

struct brackets {
	const char *open, *close, *empty, *loop;
};

static const struct brackets brackets[] = {
	[PRONG_LIST] = { "[", "]", "[]", "[...]" },
	[PRONG_TUPLE] = { "(", ")", "()", "(...)" },
	[PRONG_DICT] = { "{", "}", "{}", "{...}" },
	[PRONG_SET] = { "{", "}", "set()", "set(...)" },
	[PRONG_FROZENSET] = { "frozenset({", "})", "frozenset()", "frozenset(...)" },
	[PRONG_OBJECT] = { "", "", "", "..." },
};

/* What comes before the i-th part of an object, which is there. */
static void before_part(struct prongi_out *o, const prong_value *v, size_t i)
{
	static const char *const words[PRONGI_OBJECT_PARTS] = {
		[PRONGI_KWARGS] = " with ", [PRONGI_STATE] = " state ", [PRONGI_SETTER] = " after "
	};
	bool pair = i >= PRONGI_OBJECT_PARTS && prongi_part(v, i - (i - PRONGI_OBJECT_PARTS) % 2);

	if (i < PRONGI_OBJECT_PARTS && words[i])
		prongi_out_text(o, words[i]);
	else if (i >= PRONGI_OBJECT_PARTS && (i - PRONGI_OBJECT_PARTS) % 2 && pair)
		prongi_out_text(o, ": ");
	else if (i >= PRONGI_OBJECT_PARTS)
		prongi_out_text(o, i < PRONGI_OBJECT_PARTS + 2 ? " items " : ", ");
}

static void before(struct prongi_out *o, const prong_value *v, size_t i)
{
	if (v->kind == PRONG_OBJECT)
		before_part(o, v, i);
	else if (v->kind == PRONG_DICT && i % 2)
		prongi_out_text(o, ": ");
	else if (i)
		prongi_out_text(o, ", ");
}

/* An object that is more than a call stands between < and >. */
static bool is_call(const prong_value *v)
{
	const struct prongi_object *x = prongi_as_object(v);

	return x->items.v.how == PRONGI_CALL && !x->kwargs && !x->state && !x->setter && !v->count;
}

static int open_collection(struct prongi_out *o, struct prongi_walk *w, const prong_value *v)
{
	const struct brackets *b = &brackets[v->kind];
	int r;

	if (v->kind != PRONG_OBJECT && v->count == 0) {
		prongi_out_text(o, b->empty);
		return 0;
	}
	r = prongi_walk_open(w, v);
	if (r == -ELOOP) {
		prongi_out_text(o, b->loop);
		return 0;
	}
	prongi_out_text(o, v->kind == PRONG_OBJECT && !is_call(v) ? "<" : b->open);
	return r;
}

/* The top is a tuple of arguments: f(1) is no f(1,). */
static bool are_arguments(struct prongi_walk *w)
{
	const struct prongi_frame *outer = prongi_walk_top(w) - 1;

	return w->stack.n > 1 && outer->v->kind == PRONG_OBJECT && outer->next == PRONGI_ARGS + 1;
}

static void close_collection(struct prongi_out *o, struct prongi_walk *w, const prong_value *v)
{
	if (v->kind == PRONG_TUPLE && v->count == 1 && !are_arguments(w))
		prongi_out_byte(o, ',');
	prongi_out_text(o, v->kind == PRONG_OBJECT && !is_call(v) ? ">" : brackets[v->kind].close);
	prongi_walk_close(w);
}

static int print_part(struct prongi_out *o, struct prongi_walk *w, const prong_value *v)
{
	if (prongi_is_collection(v))
		return open_collection(o, w, v);
	print_leaf(o, v);
	return 0;
}

static int step(struct prongi_out *o, struct prongi_walk *w, struct prongi_frame *f)
{
	const prong_value *v = f->v, *part;
	size_t i = f->next++;

	if (i >= prongi_parts(v)) {
		close_collection(o, w, v);
		return 0;
	}
	part = prongi_part(v, i);
	if (!part)
		return 0;
	before(o, v, i);
	if (v->kind == PRONG_OBJECT && i == PRONGI_CALLABLE && part->kind == PRONG_CLASS) {
		print_class(o, part);
		return 0;
	}
	return print_part(o, w, part);
}

int prongi_repr(struct prongi_out *o, const prong_value *v)
{
	struct prongi_walk w = { .stack = { 0 } };
	struct prongi_frame *f;
	int r = print_part(o, &w, v);

	while (!r && !o->r && (f = prongi_walk_top(&w)))
		r = step(o, &w, f);
	prongi_walk_free(&w);
	return r ? r : o->r;
}

size_t prong_value_print(const prong_value *v, char *buf, size_t size)
{
	struct prongi_out o = {
		.data = buf, .room = size ? size - 1 : 0, .limit = SIZE_MAX, .fixed = true
	};
	size_t n;

	if (!buf || size == 0)
		return 0;
	if (prongi_repr(&o, v ? v : &prongi_none) && size > 4) {
		n = o.n > size - 4 ? size - 4 : o.n;
		while (n > 0 && ((unsigned char)buf[n] & 0xc0) == 0x80 && n < o.n)
			n--; /* not within a character */
		memcpy(buf + n, "...", 3);
		o.n = n + 3;
	}
	buf[o.n] = 0;
	return o.n;
}
