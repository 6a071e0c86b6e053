/* Codes values for a Python program (codec.py): on standard input come requests, each answered on
   standard output, until the end.

   request: format in, format out (a byte each), 4 bytes of length, that many bytes answer: 4 bytes
   of result, 4 bytes of length, that many bytes: what was encoded, or the detail

   Numbers are little-endian, formats those of prong_format.  Between decoding and encoding the
   value is compared with itself as decoded from another encoding, so equality is tested too. */
#include <prong/net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Results that codec.py knows, whatever number a condition has. */
enum {
	UNEQUAL = -1000,
	MISMATCH = -1001
};

static const prong_limits limits = { .bytes = (size_t)1 << 30, .depth = 1 << 30 };

static size_t read_all(void *data, size_t n)
{
	return fread(data, 1, n, stdin);
}

static uint32_t number(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_number(uint32_t x)
{
	for (int i = 0; i < 4; i++)
		putchar((int)(x >> (8 * i) & 0xff));
}

static void answer(int result, const void *data, size_t n)
{
	put_number((uint32_t)result);
	put_number((uint32_t)n);
	fwrite(data, 1, n, stdout);
	fflush(stdout);
}

/* True when both look the same: so do those with nan, which equals nothing. */
static bool look_same(const prong_value *v, const prong_value *again)
{
	void *a = NULL, *b = NULL;
	size_t n, m;
	bool same = prong_encode(v, PRONG_REPR, &a, &n, &limits) == 0 &&
		    prong_encode(again, PRONG_REPR, &b, &m, &limits) == 0 && n == m &&
		    memcmp(a, b, n) == 0;

	free(a);
	free(b);
	return same;
}

/* 0 when v is what comes back from one more encoding. */
static int check(const prong_value *v, prong_format format)
{
	prong_value *again;
	void *data;
	size_t n;
	int r = prong_encode(v, format, &data, &n, &limits);

	if (r)
		return r;
	r = prong_decode_take(&again, format, data, n, &limits);
	if (r) {
		free(data);
		return r;
	}
	if (!prong_value_equal(v, again) && !look_same(v, again))
		r = UNEQUAL;
	prong_value_free(again);
	return r;
}

static void work(prong_format in, prong_format out, const void *data, size_t n)
{
	prong_value *v;
	void *coded = NULL;
	size_t size = 0;
	int r = prong_decode(&v, in, data, n, &limits);

	if (!r) {
		r = check(v, PRONG_PICKLE_3);
		if (!r)
			r = check(v, PRONG_PICKLE_5);
		if (!r)
			r = prong_encode(v, out, &coded, &size, &limits);
		prong_value_free(v);
	}
	if (r)
		answer(r == PRONG_MISMATCH ? MISMATCH : r, prong_error_detail(),
		       strlen(prong_error_detail()));
	else
		answer(0, coded, size);
	free(coded);
}

int main(void)
{
	unsigned char head[6];

	while (read_all(head, sizeof head) == sizeof head) {
		size_t n = number(head + 2);
		void *data = malloc(n + 1);

		if (!data || read_all(data, n) != n)
			return 1;
		work((prong_format)head[0], (prong_format)head[1], data, n);
		free(data);
	}
	return 0;
}
