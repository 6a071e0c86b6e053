/* A hash table with linear probing, at most two thirds full, and the text of its words. */
#include <prong/prong.h>
#include <stdatomic.h>
#include <string.h>
#include "order.h"
#include "total.h"

/* The caller's lock orders all of it.  What is atomic here is so against death: its one store
   commits something. */
struct slot {
	_Atomic(const char *) word; /* NULL: the slot is free.  Written last of a new slot */
	_Atomic uint64_t tally;     /* count << 24 | the batch added last */
	uint32_t hash;
};

struct table {
	size_t cap;
	size_t used; /* never less than the slots in use */
	struct slot slots[];
};

struct text {
	struct text *next;
	size_t cap, used;
	char bytes[];
};

enum {
	TEXT = 1 << 20,
	SLOTS = 1 << 16
};

static const char *word_of(const struct slot *s)
{
	return atomic_load_explicit(&s->word, memory_order_relaxed);
}

static uint64_t tally_of(const struct slot *s)
{
	return atomic_load_explicit(&s->tally, memory_order_relaxed);
}

static struct table *table_of(const struct total *t)
{
	return t->table[t->current];
}

static int new_table(struct table **where, size_t cap)
{
	int r = prong_alloc_to((void **)where, sizeof(struct table) + cap * sizeof(struct slot));

	if (r == 0)
		(*where)->cap = cap;
	return r;
}

/* Return the slot of word, or the free one where it belongs. */
static struct slot *find(struct table *t, const char *word, uint32_t hash)
{
	struct slot *s;

	for (size_t k = hash;; k++) {
		s = &t->slots[k & (t->cap - 1)];
		if (!word_of(s) || (s->hash == hash && strcmp(word_of(s), word) == 0))
			return s;
	}
}

static void fill(struct table *t, struct slot *s, const char *word, uint32_t hash, uint64_t tally)
{
	t->used++;
	s->hash = hash;
	atomic_store_explicit(&s->tally, tally, memory_order_relaxed);
	in_order();
	atomic_store_explicit(&s->word, word, memory_order_relaxed);
}

static int grow(struct total *t)
{
	unsigned next = !t->current;
	struct table *old = table_of(t);
	int r = new_table(&t->table[next], 2 * old->cap);

	if (r)
		return r;
	for (struct slot *s = old->slots; s < old->slots + old->cap; s++)
		if (word_of(s))
			fill(t->table[next], find(t->table[next], word_of(s), s->hash), word_of(s),
			     s->hash, tally_of(s));
	in_order();
	t->current = next;
	in_order();
	return prong_free_at((void **)&t->table[!next]);
}

static int new_text(struct text **where, size_t cap)
{
	int r = prong_alloc_to((void **)where, sizeof(struct text) + cap);

	if (r == 0)
		(*where)->cap = cap;
	return r;
}

int total_init(struct total *t)
{
	int r = new_table(&t->table[t->current], SLOTS);

	if (r == 0)
		r = new_text(&t->first, TEXT);
	if (r == 0)
		t->last = t->first;
	return r;
}

/* Copy word, which has len bytes, to where it stays, and set it to the copy. */
static int keep(struct total *t, const char **word, size_t len)
{
	char *copy;
	int r;

	if (t->last->cap - t->last->used <= len) {
		r = new_text(&t->last->next, len < TEXT ? TEXT : len + 1);
		if (r)
			return r;
		in_order();
		t->last = t->last->next;
	}
	copy = t->last->bytes + t->last->used;
	t->last->used += len + 1;
	*word = memcpy(copy, *word, len + 1);
	return 0;
}

static int add(struct total *t, const struct count *e, unsigned batch)
{
	struct slot *s = find(table_of(t), e->word, e->hash);
	uint64_t tally = tally_of(s);
	const char *word = e->word;
	int r;

	if (!word_of(s)) {
		r = keep(t, &word, e->len);
		if (r)
			return r;
		fill(table_of(t), s, word, e->hash, e->n << 24 | batch);
	} else if ((tally & TOTAL_BATCHES) != batch) {
		tally = ((tally >> 24) + e->n) << 24 | batch;
		atomic_store_explicit(&s->tally, tally, memory_order_relaxed);
	}
	return 0;
}

int total_add(struct total *t, const struct counts *c, unsigned batch)
{
	int r = 0;

	while (r == 0 && 3 * (table_of(t)->used + c->n) > 2 * table_of(t)->cap)
		r = grow(t);
	for (size_t i = 0; r == 0 && i < c->n; i++)
		r = add(t, &c->of[i], batch);
	return r;
}

int total_mend(struct total *t)
{
	while (t->last->next)
		t->last = t->last->next;
	return prong_free_at((void **)&t->table[!t->current]);
}

uint64_t total_count(const struct total *t, const char *word)
{
	const struct slot *s = find(table_of(t), word, words_hash(word, strlen(word)));

	return word_of(s) ? tally_of(s) >> 24 : 0;
}

void total_each(const struct total *t, void fn(void *ctx, const char *word, uint64_t n), void *ctx)
{
	const struct table *table = table_of(t);

	for (const struct slot *s = table->slots; s < table->slots + table->cap; s++)
		if (word_of(s))
			fn(ctx, word_of(s), tally_of(s) >> 24);
}
