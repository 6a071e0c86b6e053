/* UTF-8 as Python has it in pickles: a surrogate is encoded as if it were a character. */
#include "wire/value.h"
#include <string.h>

/* How many of the n bytes at p, a multiple of 8, come before the first that is not ASCII. */
static size_t skip_ascii(const char *p, size_t n)
{
	uint64_t word;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		memcpy(&word, p + i, 8);
		if (word & 0x8080808080808080u)
			break;
	}
	return i;
}

static bool tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* The length of the sequence at p, which is not ASCII; 0: there is none. */
static size_t sequence(const unsigned char *p, size_t n)
{
	if (p[0] >= 0xc2 && p[0] < 0xe0)
		return n >= 2 && tail(p[1]) ? 2 : 0;
	if (p[0] >= 0xe0 && p[0] < 0xf0) {
		bool longer = p[0] > 0xe0 || (n >= 2 && p[1] >= 0xa0);

		return n >= 3 && longer && tail(p[1]) && tail(p[2]) ? 3 : 0;
	}
	if (p[0] >= 0xf0 && p[0] < 0xf5) {
		bool inside =
			n >= 2 && (p[0] > 0xf0 || p[1] >= 0x90) && (p[0] < 0xf4 || p[1] < 0x90);

		return n >= 4 && inside && tail(p[1]) && tail(p[2]) && tail(p[3]) ? 4 : 0;
	}
	return 0;
}

static size_t valid(const char *p, size_t n, bool *ascii)
{
	size_t i = 0, length;

	*ascii = true;
	for (;;) {
		i += skip_ascii(p + i, n - i);
		while (i < n && (unsigned char)p[i] < 0x80)
			i++;
		if (i == n)
			return i;
		*ascii = false;
		length = sequence((const unsigned char *)p + i, n - i);
		if (!length)
			return i;
		i += length;
	}
}

bool prongi_is_text(const char *p, size_t n, bool *ascii)
{
	return valid(p, n, ascii) == n;
}

size_t prongi_text_valid(const char *p, size_t n)
{
	bool ascii;

	return valid(p, n, &ascii);
}

uint32_t prongi_text_next(const char **p)
{
	const unsigned char *s = (const unsigned char *)*p;

	if (s[0] < 0x80) {
		*p += 1;
		return s[0];
	}
	if (s[0] < 0xe0) {
		*p += 2;
		return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
	}
	if (s[0] < 0xf0) {
		*p += 3;
		return (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
	}
	*p += 4;
	return (s[0] & 0x07u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
}

size_t prongi_text_put(char *p, uint32_t c)
{
	if (c < 0x80) {
		p[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (char)(0xc0 | c >> 6);
		p[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (char)(0xe0 | c >> 12);
		p[1] = (char)(0x80 | (c >> 6 & 0x3f));
		p[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	p[0] = (char)(0xf0 | c >> 18);
	p[1] = (char)(0x80 | (c >> 12 & 0x3f));
	p[2] = (char)(0x80 | (c >> 6 & 0x3f));
	p[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}
