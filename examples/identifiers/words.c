/* A hash table with linear probing, at most half full; its words lie in one piece of text. */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include "words.h"

struct word {
	uint64_t n; /* 0: the slot is free */
	size_t at;  /* where in the text */
	uint32_t hash, len;
};

/* FNV-1a. */
static uint32_t hash_of(const char *s, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h;
}

static void grow(struct words *w)
{
	struct words old = *w;

	w->cap = old.cap ? 2 * old.cap : 4096;
	w->slots = calloc(w->cap, sizeof *w->slots);
	if (!w->slots)
		errx(1, "no memory to count words");
	for (size_t i = 0; i < old.cap; i++) {
		size_t k = old.slots[i].hash & (w->cap - 1);

		if (!old.slots[i].n)
			continue;
		while (w->slots[k].n)
			k = (k + 1) & (w->cap - 1);
		w->slots[k] = old.slots[i];
	}
	free(old.slots);
}

/* Return where in the text a copy of s lies from now on. */
static size_t keep(struct words *w, const char *s, size_t len)
{
	size_t at = w->text_size;

	if (w->text_cap - at < len) {
		w->text_cap = 2 * w->text_cap + len;
		w->text = realloc(w->text, w->text_cap);
		if (!w->text)
			errx(1, "no memory to keep words");
	}
	memcpy(w->text + at, s, len);
	w->text_size += len;
	return at;
}

/* Return the slot of the word, or the free one where it belongs. */
static struct word *find(const struct words *w, const char *s, size_t len, uint32_t hash)
{
	struct word *e;

	for (size_t k = hash & (w->cap - 1); (e = &w->slots[k])->n; k = (k + 1) & (w->cap - 1))
		if (e->hash == hash && e->len == len && memcmp(w->text + e->at, s, len) == 0)
			break;
	return e;
}

static void add(struct words *w, const char *s, size_t len, uint32_t hash, uint64_t n)
{
	struct word *e;

	if (2 * w->used >= w->cap)
		grow(w);
	e = find(w, s, len, hash);
	if (!e->n) {
		*e = (struct word){ .at = keep(w, s, len), .len = (uint32_t)len, .hash = hash };
		w->used++;
	}
	e->n += n;
}

void words_add(struct words *w, const char *s, size_t len)
{
	add(w, s, len, hash_of(s, len), 1);
}

uint64_t words_count(const struct words *w, const char *s)
{
	size_t len = strlen(s);

	return w->cap ? find(w, s, len, hash_of(s, len))->n : 0;
}

void words_each(const struct words *w, void fn(void *ctx, const char *word, size_t len, uint64_t n),
		void *ctx)
{
	for (size_t i = 0; i < w->cap; i++) {
		const struct word *e = &w->slots[i];

		if (e->n)
			fn(ctx, w->text + e->at, e->len, e->n);
	}
}

size_t words_packed_size(const struct words *w)
{
	return sizeof(struct counts) + w->used * sizeof(struct count) + w->text_size;
}

void words_pack(const struct words *w, struct counts *out)
{
	char *text = (char *)&out->of[w->used];

	out->n = 0;
	for (size_t i = 0; i < w->cap; i++) {
		const struct word *e = &w->slots[i];

		if (!e->n)
			continue;
		out->of[out->n++] = (struct count){ e->n, e->hash, e->len };
		memcpy(text, w->text + e->at, e->len);
		text += e->len;
	}
}

void words_merge(struct words *w, const struct counts *c)
{
	const char *text = (const char *)&c->of[c->n];

	for (size_t i = 0; i < c->n; i++) {
		const struct count *e = &c->of[i];

		add(w, text, e->len, e->hash, e->n);
		text += e->len;
	}
}

void words_clear(struct words *w)
{
	if (w->used)
		memset(w->slots, 0, w->cap * sizeof *w->slots);
	w->used = w->text_size = 0;
}

void words_fini(struct words *w)
{
	free(w->slots);
	free(w->text);
	*w = (struct words){ 0 };
}
