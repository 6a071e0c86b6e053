/* Values as text for people, as Python's repr.  Not quite: a character is shown as it is when it
   is not one of those known here to be invisible, and an object as a call, with what it was given
   after it. */
#include "wire/codec.h"
#include <errno.h>
#include <stdio.h>

/* --- leaves ----------------------------------------------------------------------------------- */

static bool invisible(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202f) || (c >= 0x2060 && c <= 0x206f) || c == 0x3000 ||
	       c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x205f ||
	       (c >= 0xd800 && c <= 0xf8ff) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) ||
	       (c & 0xfffe) == 0xfffe || (c >= 0xe0000 && c <= 0xe0fff) || c >= 0xf0000;
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
		snprintf(text, sizeof text, "%02x", p[i]);
		prongi_out_text(o, text);
	}
	prongi_out_text(o, "'), 'little', signed=True)");
}

static void print_class(struct prongi_out *o, const prong_value *v)
{
	size_t n, module;
	const char *name = prongi_class_name(v, &n), *m = prongi_class_module(v, &module);

	if (strcmp(m, "builtins") != 0) {
		prongi_out_bytes(o, m, module);
		prongi_out_byte(o, '.');
	}
	prongi_out_bytes(o, name, n);
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

/* Parts of an object. */
enum {
	CALLABLE,
	ARGS,
	KWARGS,
	STATE,
	SETTER,
	ITEMS
};

/* What comes before the i-th part of an object, which is there. */
static void before_part(struct prongi_out *o, const prong_value *v, size_t i)
{
	static const char *const words[ITEMS] = {
		[KWARGS] = " with ", [STATE] = " state ", [SETTER] = " after "
	};
	bool pair = i >= ITEMS && prongi_part(v, i - (i - ITEMS) % 2);

	if (i < ITEMS && words[i])
		prongi_out_text(o, words[i]);
	else if (i >= ITEMS && (i - ITEMS) % 2 && pair)
		prongi_out_text(o, ": ");
	else if (i >= ITEMS)
		prongi_out_text(o, i < ITEMS + 2 ? " items " : ", ");
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

	return w->stack.n > 1 && outer->v->kind == PRONG_OBJECT && outer->next == ARGS + 1;
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
	if (v->kind == PRONG_OBJECT && i == CALLABLE && part->kind == PRONG_CLASS) {
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
