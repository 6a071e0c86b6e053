/* What the two halves of the pickle writer share: which bytes say a leaf, and in which order a
   graph is written. */
#ifndef PRONGI_PICKLE_WRITE_H
#define PRONGI_PICKLE_WRITE_H

#include "wire/pickle.h"

/* Functions of Python's that a pickle names itself, where a protocol has no opcode. */
enum prongi_helper {
	HELP_ENCODE,
	HELP_BYTEARRAY,
	HELP_BYTES,
	HELP_SET,
	HELP_FROZENSET,
	HELP_GETATTR,
	HELP_NEW_EX,
	HELPERS
};

struct prongi_writer {
	struct prongi_out *o;
	int protocol;
	bool either; /* in protocol 2: the reader may as well be Python 3 */
	struct prongi_marks memo; /* a value's place in the reader's memo, or OPEN, or URGENT */
	uint32_t places;
	uint32_t helper[HELPERS];     /* place + 1; 0: not written yet */
	uint32_t latin1;              /* likewise, of the word */
	struct prongi_stack stack;    /* struct frame of pickle_write.c */
	struct prongi_stack deferred; /* const prong_value *: made, and to be filled at the end */
	unsigned careful;             /* immutable things are open that may be met in themselves */
	unsigned urgent;              /* and one of them has been */
};

/* Explain why what is being written cannot be, and where it is; return r. */
int prongi_write_fail(struct prongi_writer *w, int r, const char *what);

/* Write what is no collection, and its place in the memo if it is shared.  0, -ENOMEM,
   PRONG_MISMATCH. */
int prongi_write_leaf(struct prongi_writer *w, const prong_value *v);

/* Write a reference to a helper. */
void prongi_write_helper(struct prongi_writer *w, enum prongi_helper which);

/* What is on the reader's stack goes into the next place of its memo, and v has that. */
int prongi_write_put(struct prongi_writer *w, const prong_value *v);
void prongi_write_get(struct prongi_writer *w, uint32_t place);

#endif
