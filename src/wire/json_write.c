/* Writing JSON, in as few bytes as it takes. */
#include "wire/codec.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>

static int put_int(struct prongi_out *o, const prong_value *v)
{
	char text[PRONGI_DIGITS + 2];
	size_t n;

	if (v->flags & PRONGI_BIG)
		n = prongi_big_decimal((const uint8_t *)prongi_bytes(v), v->size, text);
	else
		n = (size_t)snprintf(text, sizeof text, "%lld", (long long)v->i);
	if (n == 0)
		return prongi_fail(PRONG_MISMATCH, "json: an int of more than %d digits",
				   PRONGI_DIGITS);
	prongi_out_bytes(o, text, n);
	return 0;
}

static int put_float(struct prongi_out *o, double x)
{
	char text[40];

	if (isnan(x) || isinf(x))
		return prongi_fail(PRONG_MISMATCH, "json: there is no %s",
				   isnan(x) ? "nan" : "inf");
	prongi_out_bytes(o, text, prongi_float_text(x, text));
	return 0;
}

/* Characters that JSON escapes; and surrogates, which are not UTF-8 for others. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\' && c != 0xed;
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
		if (c < 0x80 || (c >= 0xd800 && c < 0xe000)) {
			escape(o, c);
			from = p;
		} else {
			prongi_out_bytes(o, from, (size_t)(p - from));
			from = p;
		}
	}
	prongi_out_byte(o, '"');
}

static int begin(struct prongi_out *o, struct prongi_walk *w, const prong_value *v)
{
	static const char *const kinds[] = {
		[PRONG_BYTES] = "bytes", [PRONG_BYTEARRAY] = "bytearray",
		[PRONG_SET] = "set",     [PRONG_FROZENSET] = "frozenset",
		[PRONG_CLASS] = "class", [PRONG_OBJECT] = "object",
	};
	int r;

	if (v->flags & PRONGI_SPOILT)
		return prongi_fail(-ENOMEM, "json: a value is spoilt");
	switch ((prong_kind)v->kind) {
	case PRONG_NONE:
		prongi_out_text(o, "null");
		return 0;
	case PRONG_BOOL:
		prongi_out_text(o, v->i ? "true" : "false");
		return 0;
	case PRONG_INT:
		return put_int(o, v);
	case PRONG_FLOAT:
		return put_float(o, v->f);
	case PRONG_TEXT:
		put_text(o, v);
		return 0;
	case PRONG_LIST:
	case PRONG_TUPLE:
	case PRONG_DICT:
		prongi_out_byte(o, v->kind == PRONG_DICT ? '{' : '[');
		r = prongi_walk_open(w, v);
		return r == -ELOOP ? prongi_fail(r, "json: a collection is in itself") : r;
	default:
		return prongi_fail(PRONG_MISMATCH, "json: there is no %s", kinds[v->kind]);
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
		return prongi_fail(PRONG_MISMATCH, "json: a key that is no text");
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
