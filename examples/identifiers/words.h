/* Words with how often each occurs: a table in a process's own memory, and the block of bytes
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

/* A word in a block. */
struct count {
	uint64_t n;
	uint32_t hash, len;
};

/* The block: the counts, and then their words, one after the other. */
struct counts {
	size_t n;
	struct count of[];
};

/* Count the word of len bytes at s once more.  Without memory the program ends. */
void words_add(struct words *w, const char *s, size_t len);

/* Return how many bytes words_pack() writes. */
size_t words_packed_size(const struct words *w);

/* Write all words and counts to out. */
void words_pack(const struct words *w, struct counts *out);

/* Add all that is in c to w.  Without memory the program ends. */
void words_merge(struct words *w, const struct counts *c);

/* Return how often the word s occurs. */
uint64_t words_count(const struct words *w, const char *s);

/* Call fn(ctx, word, len, n) for each word, which has len bytes and no NUL; it is valid until one
   is added. */
void words_each(const struct words *w, void fn(void *ctx, const char *word, size_t len, uint64_t n),
		void *ctx);

/* Forget all words, but keep the memory for the next. */
void words_clear(struct words *w);

/* Give the memory back. */
void words_fini(struct words *w);

#endif
