/* The parts of waiting for many things. */
#ifndef PRONGI_WAIT_H
#define PRONGI_WAIT_H

#include "family/cancel.h"
#include <prong/group.h>
#include <prong/wait.h>

#define PRONGI_WORDS 2 /* the most that one source is slept on by */

/* True when the source, which is no descriptor, is ready. */
bool prongi_source_ready(const prong_source *s);

/* True when it is slept on by words: when it is neither a descriptor nor a network connection. */
bool prongi_source_has_words(const prong_source *s);

/* What to sleep on until that may be so; return how many words.  Then ask again, then sleep. */
size_t prongi_source_arm(const prong_source *s, struct prongi_awaited *a);

/* --- bell.c: a thread that waits for words and makes a descriptor readable ------------------- */

/* Something that rings for sources: readable while one of them is ready. */
struct prongi_bell {
	struct prongi_bell *next;
	const prong_source *s;
	size_t n;
	struct prongi_awaited cancel; /* or when this has changed; its word may be NULL */
	int fd;
	bool rings;
	bool kept; /* longer than a call: to be silent again when all has been taken */
};

/* Make a bell and have it watched.  s stays the caller's and is read until the end.  0, -EMFILE,
   -EAGAIN or -ENOMEM. */
int prongi_bell_begin(struct prongi_bell *b, const prong_source *s, size_t n,
		      struct prongi_awaited cancel);
void prongi_bell_end(struct prongi_bell *b);

#endif
