/* Reading JSON as RFC 8259 has it, strictly: no comments, no nan, no comma too many.  A lone
   surrogate in an escape is kept, of equal keys the last one counts, ints have any size.

   Written here and not taken from a library: those that keep ints of any size are few, and each
   would make its own tree first, to be copied. */
#include "wire/codec.h"
#include <errno.h>
#include <math.h>

struct reader {
	struct prongi_input *in;
	struct prongi_group *g;
	const char *p, *end;
	struct prongi_stack open; /* struct level */
	char *text;               /* the one that is being read, without its escapes */
	size_t text_room;
};

/* A list or dict that is not closed yet; key: what comes is for it. */
struct level {
	prong_value *v, *key;
};

static int bad(const struct reader *s, const char *what)
{
	prongi_fail(-EBADMSG, "json: at byte %zu: %s", (size_t)(s->p - s->in->data), what);
	return -EBADMSG;
}

static void skip_blanks(struct reader *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
		s->p++;
}

static struct level *top(struct reader *s)
{
	return s->open.n ? (struct level *)(void *)s->open.top + s->open.n - 1 : NULL;
}

static int count(struct reader *s)
{
	if (++s->in->objects > s->in->limits->objects)
		return prongi_fail(-E2BIG, "json: at byte %zu: more than %u values",
				   (size_t)(s->p - s->in->data), s->in->limits->objects);
	return 0;
}

/* --- text ------------------------------------------------------------------------------------- */

/* Four hexadecimal digits; UINT32_MAX: they are not. */
static uint32_t read_unit(struct reader *s)
{
	uint32_t x = 0;

	if (s->end - s->p < 4)
		return UINT32_MAX;
	for (int i = 0; i < 4; i++) {
		int c = (unsigned char)*s->p++, lower = c | 0x20;

		if (c >= '0' && c <= '9')
			x = x << 4 | (uint32_t)(c - '0');
		else if (lower >= 'a' && lower <= 'f')
			x = x << 4 | (uint32_t)(lower - 'a' + 10);
		else
			return UINT32_MAX;
	}
	return x;
}

/* What follows "\u": two halves of a pair are one character, one alone stays. */
static int read_u(struct reader *s, uint32_t *out)
{
	uint32_t c = read_unit(s), low;
	const char *before = s->p;

	if (c == UINT32_MAX)
		return bad(s, "a bad escape");
	if (c >= 0xd800 && c < 0xdc00 && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u') {
		s->p += 2;
		low = read_unit(s);
		if (low >= 0xdc00 && low < 0xe000)
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		else
			s->p = before;
	}
	*out = c;
	return 0;
}

static int read_escape(struct reader *s, size_t *n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = s->p < s->end && *s->p ? strchr(from, *s->p) : NULL;
	uint32_t c = 0;
	int r = 0;

	if (s->p == s->end)
		return bad(s, "it is cut short");
	s->p++;
	if (at)
		c = (uint32_t)to[at - from];
	else if (s->p[-1] == 'u')
		r = read_u(s, &c);
	else
		r = bad(s, "a bad escape");
	if (!r)
		*n += prongi_text_put(s->text + *n, c);
	return r;
}

/* The length of the text up to its quote, and whether it has escapes. */
static int measure(struct reader *s, size_t *length, bool *escapes)
{
	const char *p = s->p;

	*escapes = false;
	for (; p < s->end && *p != '"'; p++) {
		if ((unsigned char)*p < 0x20) {
			s->p = p;
			return bad(s, "a control character in text");
		}
		if (*p == '\\') {
			*escapes = true;
			p++;
		}
	}
	*length = (size_t)(p - s->p);
	if (p < s->end)
		return 0;
	s->p = s->end;
	return bad(s, "text without an end");
}

static int unescape(struct reader *s, const char *end, size_t *n)
{
	size_t room = (size_t)(end - s->p) + 4;
	int r = 0;

	if (room > s->text_room) {
		char *text = prongi_borrow(s->g, s->text, s->text_room, room);

		if (!text)
			return -ENOMEM;
		s->text = text;
		s->text_room = room;
	}
	*n = 0;
	while (s->p < end && !r) {
		char c = *s->p++;

		if (c == '\\')
			r = read_escape(s, n);
		else
			s->text[(*n)++] = c;
	}
	return r;
}

/* UTF-8 of others has no surrogates; only escapes may say them. */
static bool has_surrogates(const char *p, size_t n)
{
	const char *end = p + n;

	while ((p = memchr(p, 0xed, (size_t)(end - p)))) {
		if ((unsigned char)p[1] >= 0xa0)
			return true;
		p++;
	}
	return false;
}

/* Text, behind its first quote. */
static int read_text(struct reader *s, prong_value **out)
{
	size_t n;
	bool escapes, ascii;
	const char *from = s->p;
	int r = measure(s, &n, &escapes);

	if (r)
		return r;
	if (!prongi_is_text(from, n, &ascii) || (!ascii && has_surrogates(from, n)))
		return bad(s, "text that is not UTF-8");
	if (escapes) {
		r = unescape(s, from + n, &n);
		from = s->text;
		ascii = false;
	} else {
		s->p += n;
	}
	if (r)
		return r;
	s->p++;
	*out = prongi_data(s->g, PRONG_TEXT, from, n);
	if (*out && ascii)
		(*out)->flags |= PRONGI_ASCII;
	return *out ? 0 : -ENOMEM;
}

/* --- numbers and words ------------------------------------------------------------------------ */

static size_t digits(struct reader *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return (size_t)(s->p - from);
}

static bool take(struct reader *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static int read_float(struct reader *s, const char *from, prong_value **out)
{
	double x;
	int r = prongi_text_float(s->g, from, (size_t)(s->p - from), &x);

	if (r)
		return r;
	if (isinf(x))
		return bad(s, "a number that is too large for a float");
	*out = prongi_float(s->g, x);
	return *out ? 0 : -ENOMEM;
}

static int read_number(struct reader *s, prong_value **out)
{
	const char *from = s->p;
	bool zero, fraction = false;
	int r;

	take(s, '-');
	zero = s->p < s->end && *s->p == '0';
	if (zero ? digits(s) != 1 : digits(s) == 0)
		return bad(s, "neither a value nor a number");
	if (take(s, '.')) {
		fraction = true;
		if (digits(s) == 0)
			return bad(s, "a digit is missing");
	}
	if (take(s, 'e') || take(s, 'E')) {
		fraction = true;
		if (!take(s, '+'))
			take(s, '-');
		if (digits(s) == 0)
			return bad(s, "a digit is missing");
	}
	if (fraction)
		return read_float(s, from, out);
	*out = prongi_decimal(s->g, from, (size_t)(s->p - from), &r);
	return r == -EBADMSG ? bad(s, "an int of more than 4300 digits") : r;
}

static int read_word(struct reader *s, const char *word, prong_value *v, prong_value **out)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return bad(s, "neither a value nor a word");
	s->p += n;
	*out = v;
	return 0;
}

/* --- collections ------------------------------------------------------------------------------ */

static int open(struct reader *s, prong_kind kind)
{
	prong_value *v = prongi_collection(s->g, kind);
	struct level *l;

	if (s->open.n >= s->in->limits->depth)
		return prongi_fail(-ELOOP, "json: at byte %zu: more than %u open brackets",
				   (size_t)(s->p - s->in->data), s->in->limits->depth);
	l = v ? prongi_push(&s->open) : NULL;
	if (!l)
		return -ENOMEM;
	*l = (struct level){ v, NULL };
	return 0;
}

/* A value that is no collection, or the beginning of one, with *out NULL then. */
static int read_value(struct reader *s, prong_value **out)
{
	int r = count(s);

	*out = NULL;
	if (r)
		return r;
	if (s->p == s->end)
		return bad(s, "it is cut short");
	switch (*s->p) {
	case '"':
		s->p++;
		return read_text(s, out);
	case '[':
	case '{':
		s->p++;
		return open(s, s->p[-1] == '[' ? PRONG_LIST : PRONG_DICT);
	case 't':
		return read_word(s, "true", prong_value_bool(true), out);
	case 'f':
		return read_word(s, "false", prong_value_bool(false), out);
	case 'n':
		return read_word(s, "null", prong_value_new(PRONG_NONE), out);
	default:
		return read_number(s, out);
	}
}

/* A key, and the colon behind it. */
static int read_key(struct reader *s)
{
	prong_value *key = NULL;
	int r;

	skip_blanks(s);
	if (!take(s, '"'))
		return bad(s, "a key is missing");
	r = count(s);
	if (!r)
		r = read_text(s, &key);
	if (r)
		return r;
	skip_blanks(s);
	if (!take(s, ':'))
		return bad(s, "a colon is missing");
	top(s)->key = key;
	return 0;
}

/* Put what has been read into what is open. */
static int put(struct reader *s, prong_value *v)
{
	struct level *l = top(s);

	if (l->v->kind == PRONG_LIST)
		return prongi_append(s->g, l->v, &v, 1);
	return prongi_insert(s->g, l->v, l->key, v);
}

/* After a value in a collection: what closes it, or a comma and what comes next.  *v is the
   collection when it is closed. */
static int after(struct reader *s, bool first, prong_value **v)
{
	struct level *l = top(s);
	bool list = l->v->kind == PRONG_LIST;

	*v = NULL;
	skip_blanks(s);
	if (take(s, list ? ']' : '}')) {
		*v = l->v;
		s->open.n--;
		return 0;
	}
	if (!first && !take(s, ','))
		return bad(s, list ? "a comma or ] is missing" : "a comma or } is missing");
	return list ? 0 : read_key(s);
}

static int run(struct reader *s, prong_value **out)
{
	prong_value *v;
	int r;

	for (;;) {
		skip_blanks(s);
		r = read_value(s, &v);
		if (!r && !v)
			r = after(s, true, &v);
		while (!r && v && top(s)) {
			r = put(s, v);
			if (!r)
				r = after(s, false, &v);
		}
		if (r || v)
			break;
	}
	skip_blanks(s);
	if (!r && s->p < s->end)
		r = bad(s, "something follows the value");
	*out = v;
	return r;
}

int prongi_json_read(struct prongi_input *in, struct prongi_group *g, prong_value **out)
{
	struct reader s = { .in = in,
			    .g = g,
			    .p = in->data,
			    .end = in->data + in->size,
			    .open = { .lender = g, .size = sizeof(struct level) } };
	int r = run(&s, out);

	prongi_stack_free(&s.open);
	prongi_repay(g, s.text, s.text_room);
	return r;
}
