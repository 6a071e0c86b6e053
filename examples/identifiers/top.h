/* The commonest identifiers. */
#ifndef IDENTIFIERS_TOP_H
#define IDENTIFIERS_TOP_H

#include "words.h"

enum {
	TOP = 20
};

struct top {
	struct {
		const char *word; /* of len bytes, in the table */
		size_t len;
		uint64_t n;
	} best[TOP];         /* in order, those with the same count by name */
	size_t size;         /* how many there are */
	uint64_t all, kinds; /* of all identifiers: occurrences, and different ones */
};

/* Find the commonest identifiers in w.  The keywords of C11 are none. */
void top_find(struct top *out, const struct words *w);

#endif
