/* Which of two values Python takes for the smaller one. */
#include "manager/types.h"
#include <prong/error.h>
#include <stdio.h>
#include <string.h>

const char *prongi_class_of(const prong_value *v, char buf[PRONGI_NAME_MOST])
{
	static const char *const names[] = {
		[PRONG_NONE] = "NoneType", [PRONG_BOOL] = "bool",
		[PRONG_INT] = "int",       [PRONG_FLOAT] = "float",
		[PRONG_TEXT] = "str",      [PRONG_BYTES] = "bytes",
		[PRONG_LIST] = "list",     [PRONG_BYTEARRAY] = "bytearray",
		[PRONG_TUPLE] = "tuple",   [PRONG_DICT] = "dict",
		[PRONG_SET] = "set",       [PRONG_FROZENSET] = "frozenset",
		[PRONG_CLASS] = "type",
	};
	const char *name, *dot;

	if (prong_value_kind(v) != PRONG_OBJECT)
		return names[prong_value_kind(v)];
	name = prong_value_class(v);
	dot = name ? strrchr(name, '.') : NULL;
	snprintf(buf, PRONGI_NAME_MOST, "%.60s", dot ? dot + 1 : "object");
	return buf;
}

static bool is_number(const prong_value *v)
{
	prong_kind k = prong_value_kind(v);

	return k == PRONG_BOOL || k == PRONG_INT || k == PRONG_FLOAT;
}

/* The sign of an int beyond 64 bits, or 0. */
static int side(const prong_value *v)
{
	size_t n;
	int64_t i;
	const char *p;

	if (prong_value_kind(v) != PRONG_INT || prong_value_as_int(v, &i) == 0)
		return 0;
	p = prong_value_data(v, &n);
	return n && p[n - 1] & '\x80' ? -1 : 1;
}

/* Two large ints of one sign, in two's complement. */
static int compare_large(const prong_value *a, const prong_value *b)
{
	size_t m, n;
	const unsigned char *p = (const unsigned char *)prong_value_data(a, &m),
			    *q = (const unsigned char *)prong_value_data(b, &n);

	if (m != n)
		return (m < n) == (side(a) > 0) ? -1 : 1;
	while (m-- > 0)
		if (p[m] != q[m])
			return p[m] < q[m] ? -1 : 1;
	return 0;
}

static bool number_less(const prong_value *a, const prong_value *b)
{
	int64_t i, j;
	double x, y;

	if (prong_value_kind(a) != PRONG_FLOAT && prong_value_kind(b) != PRONG_FLOAT) {
		if (side(a) != side(b))
			return side(a) < side(b);
		if (side(a))
			return compare_large(a, b) < 0;
		return prong_value_as_int(a, &i) == 0 && prong_value_as_int(b, &j) == 0 && i < j;
	}
	return prong_value_as_float(a, &x) == 0 && prong_value_as_float(b, &y) == 0 && x < y;
}

static bool data_less(const prong_value *a, const prong_value *b)
{
	size_t m, n;
	const char *p = prong_value_data(a, &m), *q = prong_value_data(b, &n);
	int r = memcmp(p, q, m < n ? m : n);

	return r ? r < 0 : m < n;
}

static int less(const prong_value *a, const prong_value *b, bool *out, int depth);

static int items_less(const prong_value *a, const prong_value *b, bool *out, int depth)
{
	size_t m = prong_value_count(a), n = prong_value_count(b);

	for (size_t i = 0; i < m && i < n; i++)
		if (!prong_value_equal(prong_value_at(a, i), prong_value_at(b, i)))
			return less(prong_value_at(a, i), prong_value_at(b, i), out, depth + 1);
	*out = m < n;
	return 0;
}

static int less(const prong_value *a, const prong_value *b, bool *out, int depth)
{
	prong_kind k = prong_value_kind(a), l = prong_value_kind(b);
	bool bytes = (k == PRONG_BYTES || k == PRONG_BYTEARRAY) &&
		     (l == PRONG_BYTES || l == PRONG_BYTEARRAY);

	if (depth > 100)
		return PRONG_MISMATCH;
	if (is_number(a) && is_number(b)) {
		*out = number_less(a, b);
		return 0;
	}
	if (bytes || (k == PRONG_TEXT && l == PRONG_TEXT)) {
		*out = data_less(a, b);
		return 0;
	}
	if (k == l && (k == PRONG_TUPLE || k == PRONG_LIST))
		return items_less(a, b, out, depth);
	return PRONG_MISMATCH;
}

int prongi_less(const prong_value *a, const prong_value *b, bool *out)
{
	return less(a, b, out, 0);
}
