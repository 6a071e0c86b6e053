/* Reading pickles: what protocol 0 writes as lines of text. */
#include "wire/pickle.h"
#include <errno.h>
#include <math.h>

/* The next line, without its end. */
static int take_line(struct prongi_reader *s, const char **line, size_t *n)
{
	const char *end = memchr(s->p, '\n', (size_t)(s->end - s->p));

	if (!end)
		return prongi_reader_bad(s, "a line is cut short");
	*line = s->p;
	*n = (size_t)(end - s->p);
	s->p = end + 1;
	return 0;
}

static int read_int(struct prongi_reader *s, const char *line, size_t n)
{
	prong_value *v;
	int r;

	v = prongi_decimal(s->g, line, n, &r);
	if (r == -EBADMSG)
		r = prongi_reader_bad(s, "an int that is none, or has more than 4300 digits");
	return r ? r : prongi_reader_push(s, v);
}

static int op_int(struct prongi_reader *s, int op, const char *line, size_t n)
{
	if (op == OP_LONG && n > 0 && line[n - 1] == 'L')
		n--;
	if (op == OP_INT && n == 2 && line[0] == '0' && (line[1] == '0' || line[1] == '1'))
		return prongi_reader_push(s, prong_value_bool(line[1] == '1'));
	return read_int(s, line, n);
}

/* [sign] digits [. digits] [e [sign] digits], with one digit before the exponent at least. */
static bool is_float(const char *p, size_t n)
{
	const char *end = p + n;
	size_t digits = 0;

	for (p += p < end && (*p == '-' || *p == '+'); p < end && *p >= '0' && *p <= '9'; p++)
		digits++;
	if (p < end && *p == '.')
		for (p++; p < end && *p >= '0' && *p <= '9'; p++)
			digits++;
	if (p == end || digits == 0 || (*p != 'e' && *p != 'E'))
		return p == end && digits > 0;
	p++;
	p += p < end && (*p == '-' || *p == '+');
	for (digits = 0; p < end && *p >= '0' && *p <= '9'; p++)
		digits++;
	return p == end && digits > 0;
}

static int op_float(struct prongi_reader *s, const char *line, size_t n)
{
	size_t sign = n > 0 && (*line == '-' || *line == '+');
	double x = 0;
	int r = 0;

	if (n - sign == 3 && (!memcmp(line + sign, "inf", 3) || !memcmp(line + sign, "nan", 3)))
		x = (*line == '-' ? -1.0 : 1.0) * (line[sign] == 'i' ? INFINITY : NAN);
	else if (is_float(line, n))
		r = prongi_text_float(s->g, line, n, &x);
	else
		r = prongi_reader_bad(s, "a float that is none");
	return r ? r : prongi_reader_push(s, prongi_float(s->g, x));
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of n hexadecimal digits at p, which are before end; UINT32_MAX: they are not. */
static uint32_t read_hex(const char *p, const char *end, int n)
{
	uint32_t x = 0;

	if (end - p < n)
		return UINT32_MAX;
	for (int i = 0; i < n; i++) {
		if (hex(p[i]) < 0)
			return UINT32_MAX;
		x = x << 4 | (uint32_t)hex(p[i]);
	}
	return x;
}

/* What the character after a backslash stands for, if it is one alone; 0: it is not. */
static char simple_escape(char c)
{
	static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
	const char *at = c ? strchr(from, c) : NULL;

	return at ? to[at - from] : 0;
}

/* One escape, behind its backslash, into *out; return what is behind it, NULL: it is none. */
static const char *unescape(const char *p, const char *end, char *out)
{
	uint32_t x = 0;

	if (p == end)
		return NULL;
	if (simple_escape(*p)) {
		*out = simple_escape(*p);
		return p + 1;
	}
	if (*p == 'x') {
		x = read_hex(p + 1, end, 2);
		*out = (char)x;
		return x == UINT32_MAX ? NULL : p + 3;
	}
	if (*p < '0' || *p > '7')
		return NULL;
	for (int i = 0; i < 3 && p < end && *p >= '0' && *p <= '7'; i++)
		x = x * 8 + (uint32_t)(*p++ - '0');
	*out = (char)x;
	return p;
}

/* Python 2's repr of a str. */
static int op_string(struct prongi_reader *s, const char *line, size_t n)
{
	const char *p = line + 1, *end = line + n - 1;
	size_t length = 0;
	char *copy;
	int r = 0;

	if (n < 2 || line[0] != *end || (*end != '\'' && *end != '"'))
		return prongi_reader_bad(s, "a string without quotes");
	copy = prongi_borrow(s->g, NULL, 0, n);
	if (!copy)
		return -ENOMEM;
	while (p && p < end) {
		if (*p != '\\') {
			copy[length++] = *p++;
		} else if (p + 1 < end && strchr("\\'\"abfnrtvx01234567", p[1]) && p[1]) {
			p = unescape(p + 1, end, &copy[length++]);
		} else {
			copy[length++] = *p++; /* as Python: it stands for itself */
		}
	}
	r = p ? prongi_reader_str(s, copy, length) : prongi_reader_bad(s, "a bad escape");
	prongi_repay(s->g, copy, n);
	return r;
}

/* Bytes are characters, but for \uxxxx and \Uxxxxxxxx after an even number of backslashes. */
static int op_unicode(struct prongi_reader *s, const char *line, size_t n)
{
	const char *p = line, *end = line + n;
	size_t room = 2 * n + 4, length = 0, backslashes = 0;
	char *copy = prongi_borrow(s->g, NULL, 0, room);
	int r;

	if (!copy)
		return -ENOMEM;
	while (p < end) {
		uint32_t c = (unsigned char)*p++;

		backslashes = c == '\\' ? backslashes + 1 : 0;
		if (backslashes % 2 && p < end && (*p == 'u' || *p == 'U')) {
			int digits = *p == 'u' ? 4 : 8;

			c = read_hex(p + 1, end, digits);
			if (c > 0x10ffff)
				break;
			p += 1 + digits;
			backslashes = 0;
		}
		length += prongi_text_put(copy + length, c);
	}
	r = p == end ? prongi_reader_unicode(s, copy, length)
		     : prongi_reader_bad(s, "a bad escape");
	prongi_repay(s->g, copy, room);
	return r;
}

static int op_memo(struct prongi_reader *s, int op, const char *line, size_t n)
{
	uint64_t index = 0;

	for (size_t i = 0; i < n; i++) {
		if (line[i] < '0' || line[i] > '9' || index > UINT32_MAX)
			return prongi_reader_bad(s, "a place of the memo that is none");
		index = index * 10 + (uint64_t)(line[i] - '0');
	}
	if (n == 0)
		return prongi_reader_bad(s, "a place of the memo that is none");
	return op == OP_PUT ? prongi_reader_put(s, index) : prongi_reader_get(s, index);
}

int prongi_reader_text(struct prongi_reader *s, int op)
{
	const char *line = NULL, *second = NULL;
	size_t n = 0, m = 0;
	int r = take_line(s, &line, &n);

	if (!r && (op == OP_GLOBAL || op == OP_INST))
		r = take_line(s, &second, &m);
	if (r)
		return r;
	switch (op) {
	case OP_INT:
	case OP_LONG:
		return op_int(s, op, line, n);
	case OP_FLOAT:
		return op_float(s, line, n);
	case OP_STRING:
		return op_string(s, line, n);
	case OP_UNICODE:
		return op_unicode(s, line, n);
	case OP_PUT:
	case OP_GET:
		return op_memo(s, op, line, n);
	default:
		return prongi_reader_class(s, line, n, second, m);
	}
}
