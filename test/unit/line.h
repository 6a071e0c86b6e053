/* A line between a client and a server: it passes on what comes, either way, over any number of
   connections, and once, at a byte that is chosen, does something to it. */
#ifndef TEST_LINE_H
#define TEST_LINE_H

#include "raw.h"

#define LINE_PAIRS 64 /* connections through a line */

enum line_mode {
	LINE_CUT,   /* hang up on both after byte k */
	LINE_SPLIT, /* let the reader read up to k first */
	LINE_HOLD   /* nothing more on that connection, in that direction */
};

enum line_dir {
	LINE_TO_SERVER,
	LINE_TO_CLIENT
};

struct line_pair {
	int fd[2];    /* to the client, to the server; -1 */
	bool held[2]; /* what comes from there */
	bool owes[2]; /* not all that came from there was passed on */
};

struct line {
	char address[64]; /* its own */
	char to[100];     /* the server's */
	int door;
	enum line_mode mode;
	enum line_dir dir; /* in which it happens */
	size_t k, passed[2];
	atomic_int stop, happened;
	int n; /* connections, ever */
	struct line_pair pair[LINE_PAIRS];
	prong_thread *t;
};

void line_begin(struct line *l, const char *to, enum line_mode mode, enum line_dir dir, size_t k);

/* Hang up on all. */
void line_end(struct line *l);

/* Play at every step-th byte, in one direction and then in the other, as far as something happens:
   play returns false when k is beyond the end.  Return how often something did. */
typedef bool line_play(void *ctx, enum line_mode mode, enum line_dir dir, size_t k);
int line_along(enum line_mode mode, size_t step, line_play *play, void *ctx);

#endif
