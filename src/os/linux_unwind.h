/* What unwinding shares: bytes of a table, and the row that it has for one place. */
#ifndef PRONGI_LINUX_UNWIND_H
#define PRONGI_LINUX_UNWIND_H

#include "os/os.h"
#include <string.h>

/* Never past the end: what is beyond is 0, and bad is set. */
struct cursor {
	const unsigned char *at, *end;
	bool bad;
};

static inline uint64_t take(struct cursor *c, size_t n)
{
	uint64_t v = 0;

	if (c->bad || (size_t)(c->end - c->at) < n) {
		c->bad = true;
		return 0;
	}
	memcpy(&v, c->at, n); /* little-endian, as all that we run on */
	c->at += n;
	return v;
}

static inline int64_t take_signed(struct cursor *c, size_t n)
{
	uint64_t v = take(c, n);
	unsigned shift = 64 - 8 * (unsigned)n;

	return (int64_t)(v << shift) >> shift;
}

static inline uint64_t take_leb(struct cursor *c, bool is_signed)
{
	uint64_t v = 0, byte;
	unsigned shift = 0;

	do {
		byte = take(c, 1);
		if (shift < 64)
			v |= (byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (is_signed && shift < 64 && (byte & 0x40))
		v |= ~(uint64_t)0 << shift;
	return v;
}

static inline uint64_t uleb(struct cursor *c)
{
	return take_leb(c, false);
}

static inline int64_t sleb(struct cursor *c)
{
	return (int64_t)take_leb(c, true);
}

enum rule {
	SAME,
	UNDEFINED,
	AT, /* saved at the frame's address + value */
	IS, /* that address itself */
	IN, /* another register */
	AT_EXPRESSION,
	IS_EXPRESSION,
};

struct row {
	bool by_expression;
	uint64_t base; /* the frame's address: register + offset, or an expression */
	int64_t offset;
	struct cursor expression;
	struct {
		enum rule rule;
		int64_t value;
		struct cursor expression;
	} reg[PRONGI_REGS];
};

/* How the caller's registers are to be had, for one place in the code. */
struct frame_row {
	bool known;  /* the place is in one of the files */
	bool found;  /* and there is a row for it */
	bool signal; /* it is where handlers return to: their caller was interrupted there */
	uint64_t return_register;
	struct row row;
};

/* Where the section of this name lies, in the file's own addresses; path is as the loader has it.
   The file may say anything (linux_symbols.c). */
bool prongi_section(const char *path, const char *name, uint64_t *at, uint64_t *size);

/* The row for the place, of the first so many files that this process has loaded (linux_rows.c). */
void prongi_frame_row(uint64_t place, uint32_t files, struct frame_row *out);

#endif
