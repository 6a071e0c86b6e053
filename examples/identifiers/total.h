/* All words of the job with how often each occurs: one table in the family's heap, which all
   members add to, one at a time.  One may be killed at any instruction of it, and the next
   makes the table whole again.  Two rules make that short:

     - A count and the number of the batch that was added to it last are one word in memory.
       So a batch that was added in part is simply added again: what has it already is left.
     - A larger table is filled aside and takes the old one's place by one store; a new word is
       written in full before one store makes it known.

   It takes no lock: the caller does. */
#ifndef IDENTIFIERS_TOTAL_H
#define IDENTIFIERS_TOTAL_H

#include <stddef.h>
#include <stdint.h>
#include "words.h"

enum {
	TOTAL_BATCHES = (1 << 24) - 1 /* the greatest number of a batch */
};

struct total {
	struct table *table[2];    /* one is in use; the other is NULL, or not yet or no more */
	unsigned current;          /* which is in use */
	struct text *first, *last; /* where the words lie: a list of blocks */
};

/* Make an empty table.  Return 0 or -ENOMEM. */
int total_init(struct total *t);

/* Add batch number batch, from 1 on.
   Return 0; -ENOMEM: the batch is added in part, and nothing else can be added. */
int total_add(struct total *t, const struct counts *c, unsigned batch);

/* Put right what a member left that died in total_add().  Its batch must be added again before
   any other.  Return 0. */
int total_mend(struct total *t);

/* Return how often word occurs. */
uint64_t total_count(const struct total *t, const char *word);

/* Call fn(ctx, word, n) for each word. */
void total_each(const struct total *t, void fn(void *ctx, const char *word, uint64_t n), void *ctx);

#endif
