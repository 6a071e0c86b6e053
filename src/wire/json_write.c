/* Writing JSON, in as few bytes as it takes. */
#include "wire/codec.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>

/* What is being written has no such form. */
static int fail(struct prongi_walk *w, int r, const char *what)
{
	const struct prongi_frame *f = (const void *)w->stack.top;
	struct prongi_where where = { .n = 0 };

	for (size_t i = w->stack.n; i > 0 && !where.cut; i--)
		prongi_where_in(&where, f[i - 1].v, f[i - 1].next - 1);
	return prongi_where_fail(&where, r, what);
}

static int put_int(struct prongi_out *o, struct prongi_walk *w, const prong_value *v)
{
	char text[PRONGI_DIGITS + 2];
	size_t n;

	if (v->flags & PRONGI_BIG)
		n = prongi_big_decimal((const uint8_t *)prongi_bytes(v), v->size, text);
	else
		n = (size_t)snprintf(text, sizeof text, "%lld", (long long)v->i);
	if (n == 0) /* PRONGI_DIGITS */
		return fail(w, PRONG_MISMATCH, "json: an int of more than 4,300 digits");
	prongi_out_bytes(o, text, n);
	return 0;
}

static int put_float(struct prongi_out *o, struct prongi_walk *w, double x)
{
	char text[40];

	if (isnan(x) || isinf(x))
		return fail(w, PRONG_MISMATCH,
			    isnan(x) ? "json: there is no nan" : "json: there is no inf");
	prongi_out_bytes(o, text, prongi_float_text(x, text));
	return 0;
}

/* Bytes that need no look.  JSON escapes some characters; others are escaped here because they are
   no UTF-8 for others (surrogates, which begin with 0xed), or controls of terminals, to U+009f. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && c != 0xc2 && c != 0xed;
}

static void escape(struct prongi_out *o, uint32_t c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = c && c < 0x80 ? strchr(from, (int)c) : NULL;
	char text[16];

	if (at)
		snprintf(text, sizeof text, "\\%c", to[at - from]);
	else
		snprintf(text, sizeof text, "\\u%04x", c);
	prongi_out_text(o, text);
}

static void put_text(struct prongi_out *o, const prong_value *v)
{
	const char *p = prongi_bytes(v), *end = p + v->size, *from = p;

	prongi_out_byte(o, '"');
	while (p < end && !o->r) {
		uint32_t c;

		while (p < end && is_plain((unsigned char)*p))
			p++;
		prongi_out_bytes(o, from, (size_t)(p - from));
		from = p;
		if (p == end)
			break;
		c = prongi_text_next(&p);
		if (c < 0xa0 || (c >= 0xd800 && c < 0xe000)) {
			escape(o, c);
			from = p;
		} else {
			prongi_out_bytes(o, from, (size_t)(p - from));
			from = p;
		}
	}
	prongi_out_byte(o, '"');
}

static int no_such(struct prongi_walk *w, const char *words, const prong_value *v)
{
	char what[80];

	snprintf(what, sizeof what, "json: %s%s", words, prongi_kind_name((prong_kind)v->kind));
	return fail(w, PRONG_MISMATCH, what);
}

static int begin(struct prongi_out *o, struct prongi_walk *w, const prong_value *v)
{
	int r;

	if (v->flags & PRONGI_SPOILT)
		return fail(w, -ENOMEM, "json: a value is spoilt");
	switch ((prong_kind)v->kind) {
	case PRONG_NONE:
		prongi_out_text(o, "null");
		return 0;
	case PRONG_BOOL:
		prongi_out_text(o, v->i ? "true" : "false");
		return 0;
	case PRONG_INT:
		return put_int(o, w, v);
	case PRONG_FLOAT:
		return put_float(o, w, v->f);
	case PRONG_TEXT:
		put_text(o, v);
		return 0;
	case PRONG_LIST:
	case PRONG_TUPLE:
	case PRONG_DICT:
		prongi_out_byte(o, v->kind == PRONG_DICT ? '{' : '[');
		r = prongi_walk_open(w, v);
		return r == -ELOOP ? fail(w, r, "json: a collection is in itself") : r;
	default:
		return no_such(w, "there is no ", v);
	}
}

static int step(struct prongi_out *o, struct prongi_walk *w, struct prongi_frame *f)
{
	const prong_value *v = f->v, *part;
	bool dict = v->kind == PRONG_DICT;
	size_t i = f->next++;

	if (i == prongi_parts(v)) {
		prongi_out_byte(o, dict ? '}' : ']');
		prongi_walk_close(w);
		return 0;
	}
	part = prongi_part(v, i);
	if (i)
		prongi_out_byte(o, dict && i % 2 ? ':' : ',');
	if (dict && i % 2 == 0 && part->kind != PRONG_TEXT)
		return no_such(w, "a key must be text, and is of kind ", part);
	return begin(o, w, part);
}

int prongi_json_write(struct prongi_out *o, const prong_value *v)
{
	struct prongi_walk w = { .stack = { 0 } };
	struct prongi_frame *f;
	int r = begin(o, &w, v);

	while (!r && !o->r && (f = prongi_walk_top(&w)))
		r = step(o, &w, f);
	prongi_walk_free(&w);
	return r ? r : o->r;
}
