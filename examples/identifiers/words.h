/* Words with how often each occurs: a table in a member's own memory, and the block of bytes
   that it becomes for others. */
#ifndef IDENTIFIERS_WORDS_H
#define IDENTIFIERS_WORDS_H

#include <stddef.h>
#include <stdint.h>

/* All-zero is an empty table. */
struct words {
	struct word *slots;
	size_t cap, used;
	char *text; /* the words themselves, one after the other */
	size_t text_cap, text_size;
};

/* A word in a block, which ends with a NUL and lies in the same block. */
struct count {
	const char *word;
	uint64_t n;
	uint32_t hash, len;
};

/* The block: the counts, and then their words. */
struct counts {
	size_t n;
	struct count of[];
};

/* Return the hash of the word of len bytes at s, as it is in the counts. */
uint32_t words_hash(const char *s, size_t len);

/* Count the word of len bytes at s once more.  Without memory the program ends. */
void words_add(struct words *w, const char *s, size_t len);

/* Return how many bytes words_pack() writes. */
size_t words_packed_size(const struct words *w);

/* Write all words and counts to out. */
void words_pack(const struct words *w, struct counts *out);

/* Forget all words, but keep the memory for the next. */
void words_clear(struct words *w);

/* Give the memory back. */
void words_fini(struct words *w);

#endif
