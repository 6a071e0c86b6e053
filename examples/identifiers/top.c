/* Goes over the whole table once, and keeps the best so far. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "top.h"

/* In the order of strcmp(), for bsearch(). */
static const char keywords[][16] = {
	/* clang-format off */
	"_Alignas", "_Alignof", "_Atomic", "_Bool", "_Complex", "_Generic", "_Imaginary",
	"_Noreturn", "_Static_assert", "_Thread_local",
	"auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
	"enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
	"restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef",
	"union", "unsigned", "void", "volatile", "while",
	/* clang-format on */
};

static int compare(const void *word, const void *keyword)
{
	return strcmp(word, keyword);
}

static bool is_keyword(const char *word, size_t len)
{
	char s[sizeof *keywords];

	if (len >= sizeof s)
		return false;
	memcpy(s, word, len);
	s[len] = '\0';
	return bsearch(s, keywords, sizeof keywords / sizeof *keywords, sizeof *keywords, compare);
}

/* As strcmp(). */
static int by_name(const char *a, size_t alen, const char *b, size_t blen)
{
	int r = memcmp(a, b, alen < blen ? alen : blen);

	return r ? r : (alen > blen) - (alen < blen);
}

static void add(void *ctx, const char *word, size_t len, uint64_t n)
{
	struct top *t = ctx;
	size_t i;

	t->all += n;
	t->kinds++;
	if (t->size == TOP && n < t->best[TOP - 1].n)
		return; /* nearly all end here, without a look at the word */
	if (is_keyword(word, len))
		return;
	i = t->size < TOP ? t->size++ : TOP;
	for (; i > 0; i--) {
		if (n < t->best[i - 1].n ||
		    (n == t->best[i - 1].n &&
		     by_name(word, len, t->best[i - 1].word, t->best[i - 1].len) > 0))
			break;
		if (i < TOP)
			t->best[i] = t->best[i - 1];
	}
	if (i < TOP) {
		t->best[i].word = word;
		t->best[i].len = len;
		t->best[i].n = n;
	}
}

void top_find(struct top *out, const struct words *w)
{
	*out = (struct top){ 0 };
	words_each(w, add, out);
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
		uint64_t n = words_count(w, keywords[i]);

		out->all -= n;
		out->kinds -= n > 0;
	}
}
