/* Numbers beyond 64 bits, and numbers as text.  The locale changes nothing: no decimal point goes
   to the C library, and one that comes from it is skipped, whatever it looks like. */
#include "wire/value.h"
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NINE 1000000000u /* nine digits at once */

enum {
	BYTES = 1787, /* that 4300 digits and a sign can take */
	WORDS = BYTES / 4 + 2,
	NINES = PRONGI_DIGITS / 9 + 2
};

size_t prongi_big_trim(const uint8_t *p, size_t n)
{
	while (n > 1 &&
	       ((p[n - 1] == 0 && p[n - 2] < 0x80) || (p[n - 1] == 0xff && p[n - 2] >= 0x80)))
		n--;
	return n;
}

/* n + 1 bytes: the absolute value of an int of n. */
static void absolute(const uint8_t *p, size_t n, uint8_t *out)
{
	bool negative = p[n - 1] >= 0x80;
	unsigned carry = negative;

	for (size_t i = 0; i < n; i++) {
		unsigned b = (negative ? (uint8_t)~p[i] : p[i]) + carry;

		out[i] = (uint8_t)b;
		carry = b >> 8;
	}
	out[n] = (uint8_t)carry;
}

/* Turn the sign of an int of n bytes around, in place. */
static void negate(uint8_t *p, size_t n)
{
	unsigned carry = 1;

	for (size_t i = 0; i < n; i++) {
		unsigned b = (uint8_t)~p[i] + carry;

		p[i] = (uint8_t)b;
		carry = b >> 8;
	}
}

/* --- and doubles ------------------------------------------------------------------------------ */

double prongi_big_float(const uint8_t *p, size_t n)
{
	bool negative = p[n - 1] >= 0x80;
	uint8_t m[131];
	uint64_t high = 0, rest = 0;
	size_t end = n + 1, low;

	if (n > sizeof m - 1)
		return negative ? -INFINITY : INFINITY;
	absolute(p, n, m);
	while (end > 0 && !m[end - 1])
		end--;
	low = end > 8 ? end - 8 : 0;
	for (size_t i = end; i > low; i--)
		high = high << 8 | m[i - 1];
	for (size_t i = 0; i < low; i++)
		rest |= m[i];
	/* Of the 57 to 64 bits a double keeps 53: what comes after them only breaks a tie. */
	high |= rest != 0;
	return (negative ? -1.0 : 1.0) * ldexp((double)high, (int)low * 8);
}

size_t prongi_float_big(double x, uint8_t *p)
{
	int exponent;
	uint64_t m = (uint64_t)ldexp(frexp(fabs(x), &exponent), DBL_MANT_DIG);
	size_t shift, n;

	exponent -= DBL_MANT_DIG; /* x is m times two to that */
	if (exponent < 0) {
		m >>= -exponent;
		exponent = 0;
	}
	shift = (size_t)exponent / 8;
	n = shift + 9;
	memset(p, 0, n + 1);
	for (size_t i = 0; i < 8; i++)
		p[shift + i] = (uint8_t)(m >> (8 * i));
	for (int bit = exponent % 8; bit > 0; bit--) {
		for (size_t i = n; i > 0; i--)
			p[i - 1] = (uint8_t)(p[i - 1] << 1 | (i > 1 ? p[i - 2] >> 7 : 0));
	}
	if (x < 0)
		negate(p, n);
	return prongi_big_trim(p, n);
}

/* --- and digits ------------------------------------------------------------------------------- */

/* Divide the n words by NINE; return what is left over. */
static uint32_t divide(uint32_t *w, size_t n)
{
	uint64_t rest = 0;

	for (size_t i = n; i > 0; i--) {
		rest = rest << 32 | w[i - 1];
		w[i - 1] = (uint32_t)(rest / NINE);
		rest %= NINE;
	}
	return (uint32_t)rest;
}

size_t prongi_big_decimal(const uint8_t *p, size_t n, char *text)
{
	uint8_t m[BYTES + 1] = { 0 };
	uint32_t w[WORDS] = { 0 }, nine[NINES];
	size_t words = n / 4 + 1, nines = 0, length = 0;

	if (n > BYTES)
		return 0;
	absolute(p, n, m);
	for (size_t i = 0; i <= n; i++)
		w[i / 4] |= (uint32_t)m[i] << (i % 4 * 8);
	do {
		if (nines == NINES)
			return 0;
		nine[nines++] = divide(w, words);
		while (words > 0 && !w[words - 1])
			words--;
	} while (words > 0);
	if (p[n - 1] >= 0x80)
		text[length++] = '-';
	for (size_t i = nines; i > 0; i--) {
		char part[16];
		int k = snprintf(part, sizeof part, i == nines ? "%u" : "%09u", nine[i - 1]);

		if (length + (size_t)k > PRONGI_DIGITS + (p[n - 1] >= 0x80))
			return 0;
		memcpy(text + length, part, (size_t)k);
		length += (size_t)k;
	}
	return length;
}

/* w = w * by + digit, n words of which *used are not zero. */
static void multiply(uint32_t *w, size_t *used, uint32_t by, uint32_t digit)
{
	uint64_t carry = digit;

	for (size_t i = 0; i < *used; i++) {
		carry += (uint64_t)w[i] * by;
		w[i] = (uint32_t)carry;
		carry >>= 32;
	}
	if (carry)
		w[(*used)++] = (uint32_t)carry;
}

static prong_value *long_decimal(struct prongi_group *g, const char *text, size_t n, bool negative)
{
	uint32_t w[WORDS] = { 0 };
	uint8_t m[WORDS * 4 + 1] = { 0 };
	size_t used = 0;

	for (size_t i = 0; i < n;) {
		uint32_t part = 0, by = 1;

		do {
			part = part * 10 + (uint32_t)(text[i++] - '0');
			by *= 10;
		} while (i < n && by < NINE);
		multiply(w, &used, by, part);
	}
	for (size_t i = 0; i < used * 4; i++)
		m[i] = (uint8_t)(w[i / 4] >> (i % 4 * 8));
	if (negative)
		negate(m, used * 4 + 1);
	return prongi_big(g, m, used * 4 + 1);
}

prong_value *prongi_decimal(struct prongi_group *g, const char *text, size_t n, int *r)
{
	bool negative = n > 0 && *text == '-';
	size_t sign = n > 0 && (*text == '-' || *text == '+');
	int64_t small = 0;
	prong_value *v;

	text += sign;
	n -= sign;
	*r = -EBADMSG;
	for (size_t i = 0; i < n; i++)
		if (text[i] < '0' || text[i] > '9')
			return NULL;
	while (n > 1 && *text == '0') {
		text++;
		n--;
	}
	if (n == 0 || n > PRONGI_DIGITS)
		return NULL;
	if (n <= 18) {
		for (size_t i = 0; i < n; i++)
			small = small * 10 + (text[i] - '0');
		v = prongi_int(g, negative ? -small : small);
	} else {
		v = long_decimal(g, text, n, negative);
	}
	*r = v ? 0 : -ENOMEM;
	return v;
}

/* --- doubles as text -------------------------------------------------------------------------- */

/* Write what printf("%.*e") says into digits, without its point; return the exponent. */
static int take_apart(double x, int precision, char *digits)
{
	char text[48];
	int exponent = 0, n = 0;

	snprintf(text, sizeof text, "%.*e", precision, x);
	for (char *p = text; *p; p++) {
		if (*p >= '0' && *p <= '9') {
			digits[n++] = *p;
		} else if (*p == 'e') {
			exponent = atoi(p + 1);
			break;
		}
	}
	while (n > 1 && digits[n - 1] == '0')
		n--;
	digits[n] = 0;
	return exponent;
}

/* The double nearest to 0.digits times ten to the exponent, where the C library's locale has no
   say. */
static double put_together(const char *digits, int exponent)
{
	char text[64];

	snprintf(text, sizeof text, "%se%d", digits, exponent - (int)strlen(digits) + 1);
	return strtod(text, NULL);
}

/* As Python: 16 digits before the point, else an exponent. */
static size_t lay_out(const char *digits, int exponent, char *out)
{
	int n = (int)strlen(digits), k = 0;

	if (exponent < -4 || exponent >= 16) {
		out[k++] = digits[0];
		if (n > 1)
			k += sprintf(out + k, ".%s", digits + 1);
		return (size_t)(k + sprintf(out + k, "e%c%02d", exponent < 0 ? '-' : '+',
					    abs(exponent)));
	}
	if (exponent < 0)
		return (size_t)sprintf(out, "0.%.*s%s", -exponent - 1, "0000", digits);
	for (; k <= exponent; k++)
		out[k] = k < n ? digits[k] : '0';
	out[k] = 0;
	return (size_t)(k + sprintf(out + k, ".%s", k < n ? digits + k : "0"));
}

size_t prongi_float_text(double x, char *text)
{
	char digits[32];
	size_t sign = signbit(x) && !isnan(x);
	int exponent, precision = fabs(x) < DBL_MIN ? 0 : 14;

	*text = '-';
	if (isnan(x) || isinf(x)) {
		strcpy(text + sign, isnan(x) ? "nan" : "inf");
		return sign + 3;
	}
	x = fabs(x);
	do
		exponent = take_apart(x, precision, digits);
	while (put_together(digits, exponent) != x && precision++ < 17);
	return sign + lay_out(digits, exponent, text + sign);
}

/* m times ten to the exponent, when that is exact. */
static bool easy(uint64_t m, int64_t exponent, double *out)
{
	static const double power[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
					1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
					1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

	if (m >> DBL_MANT_DIG || exponent < -22 || exponent > 22 || FLT_EVAL_METHOD != 0)
		return false;
	*out = exponent < 0 ? (double)m / power[-exponent] : (double)m * power[exponent];
	return true;
}

/* An exponent that is out of all proportion is as good as any other such. */
static int64_t read_exponent(const char *p, const char *end)
{
	bool negative = p < end && *p == '-';
	int64_t e = 0;

	for (p += p < end && (*p == '-' || *p == '+'); p < end; p++)
		if (e < 1000000000)
			e = e * 10 + (*p - '0');
	return negative ? -e : e;
}

int prongi_text_float(struct prongi_group *g, const char *text, size_t n, double *out)
{
	const char *end = text + n, *p = text;
	bool negative = n > 0 && *p == '-', point = false;
	int64_t exponent = 0;
	size_t digits = 0, kept = 0;
	uint64_t m = 0;
	char small[64], *copy = small;

	if (n > sizeof small - 32) {
		copy = prongi_borrow(g, NULL, 0, n + 32);
		if (!copy)
			return -ENOMEM;
	}
	for (p += n > 0 && (*p == '-' || *p == '+'); p < end && *p != 'e' && *p != 'E'; p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		exponent -= point;
		digits += digits > 0 || *p != '0';
		m = digits <= 18 ? m * 10 + (uint64_t)(*p - '0') : m;
		copy[kept++] = *p;
	}
	if (p < end)
		exponent += read_exponent(p + 1, end);
	if (digits > 18 || !easy(m, exponent, out)) {
		sprintf(copy + kept, "e%lld", (long long)exponent);
		*out = strtod(copy, NULL);
	}
	if (negative)
		*out = -*out;
	if (copy != small)
		prongi_repay(g, copy, n + 32);
	return 0;
}
