/* Groups: the memory that values lie in.  See value.h.

   Not here: what lies in it.  Who changes values is alone with them, so only the count of
   references is atomic. */
#include "wire/value.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	UNIT = 16,
	FIRST = 512,       /* bytes of the second chunk of a group */
	LARGEST = 8 << 20, /* from here on chunks do not grow */
	APART = 32 << 10   /* an array of so many bytes has a chunk of its own, which can grow */
};

#define HUGE_PAGE ((size_t)2 << 20)

static size_t round_up(size_t size)
{
	return (size + UNIT - 1) & ~(size_t)(UNIT - 1);
}

void prongi_will_fill(void *p, size_t size)
{
#ifdef MADV_HUGEPAGE
	uintptr_t from = ((uintptr_t)p + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	uintptr_t to = ((uintptr_t)p + size) & ~(HUGE_PAGE - 1);

	/* Where it is not possible everything goes on as before. */
	if (to > from)
		(void)madvise((void *)from, to - from, MADV_HUGEPAGE);
#else
	(void)p;
	(void)size;
#endif
}

static void link_chunk(struct prongi_group *g, struct prongi_chunk *c)
{
	c->group = g;
	c->next = NULL;
	c->prev = g->last;
	if (g->last)
		g->last->next = c;
	else
		g->first = c;
	g->last = c;
	g->chunks++;
}

/* A chunk with size bytes behind its head. */
static struct prongi_chunk *new_chunk(struct prongi_group *g, size_t size)
{
	struct prongi_chunk *c;

	if (size > SIZE_MAX / 2 || size + sizeof *c > g->left) {
		g->full = true;
		return NULL;
	}
	c = malloc(size + sizeof *c);
	if (!c)
		return NULL;
	if (size >= HUGE_PAGE * 3 / 2)
		prongi_will_fill(c, size + sizeof *c);
	g->left -= size + sizeof *c;
	c->owned = NULL;
	link_chunk(g, c);
	return c;
}

struct prongi_group *prongi_group_new(size_t size, size_t left)
{
	size_t head = round_up(sizeof(struct prongi_group));
	struct prongi_group start = { .left = left, .next = FIRST };
	struct prongi_chunk *c = new_chunk(&start, round_up(size) + head);
	struct prongi_group *g;

	if (!c)
		return NULL;
	g = (struct prongi_group *)(c + 1);
	*g = start;
	atomic_init(&g->refs, 1);
	c->group = g;
	g->open = c;
	g->at = (char *)g + head;
	g->end = g->at + round_up(size);
	return g;
}

void *prongi_alloc_more(struct prongi_group *g, size_t size)
{
	size_t want = g->next;
	struct prongi_chunk *c;

	if (want > g->left)
		want = g->left & ~(size_t)(UNIT - 1);
	if (size > want / 4) {
		c = new_chunk(g, size);
		return c ? c + 1 : NULL;
	}
	c = new_chunk(g, want - sizeof *c);
	if (!c)
		return NULL;
	if (g->next < LARGEST)
		g->next *= 2;
	g->open = c;
	g->at = (char *)(c + 1) + size;
	g->end = (char *)c + want;
	return c + 1;
}

void *prongi_alloc(struct prongi_group *g, size_t size)
{
	char *p = g->at;

	size = round_up(size);
	if (size > (size_t)(g->end - p))
		return prongi_alloc_more(g, size);
	g->at = p + size;
	return p;
}

void *prongi_alloc_value(struct prongi_group *g, prong_kind kind, size_t size)
{
	prong_value *v = prongi_fast_value(g, kind, round_up(size));

	if (v)
		memset(v + 1, 0, size - sizeof *v);
	return v;
}

/* --- arrays ----------------------------------------------------------------------------------- */

static void *regrow_apart(struct prongi_group *g, void *old, size_t old_size, size_t size)
{
	struct prongi_chunk *c = (struct prongi_chunk *)old - 1;

	if (size - old_size > g->left) {
		g->full = true;
		return NULL;
	}
	c = realloc(c, size + sizeof *c);
	if (!c)
		return NULL;
	g->left -= size - old_size;
	*(c->prev ? &c->prev->next : &g->first) = c;
	*(c->next ? &c->next->prev : &g->last) = c;
	return c + 1;
}

void *prongi_regrow(struct prongi_group *g, void *old, size_t used, size_t old_size, size_t size)
{
	void *p;

	if (old_size >= APART)
		return regrow_apart(g, old, old_size, size);
	if (size >= APART) {
		struct prongi_chunk *c = new_chunk(g, size);

		p = c ? c + 1 : NULL;
	} else {
		if (old && (char *)old + old_size == g->at &&
		    size - old_size <= (size_t)(g->end - g->at)) {
			g->at += size - old_size;
			return old;
		}
		p = prongi_alloc(g, size);
	}
	if (p && used)
		memcpy(p, old, used);
	return p;
}

void prongi_release(struct prongi_group *g, void *old, size_t old_size)
{
	struct prongi_chunk *c = (struct prongi_chunk *)old - 1;

	if (old_size < APART)
		return; /* it ends with its chunk */
	*(c->prev ? &c->prev->next : &g->first) = c->next;
	*(c->next ? &c->next->prev : &g->last) = c->prev;
	g->chunks--;
	g->left += old_size + sizeof *c;
	free(c);
}

void *prongi_borrow(struct prongi_group *g, void *old, size_t old_size, size_t size)
{
	void *p;

	if (size - old_size > g->left) {
		g->full = true;
		return NULL;
	}
	p = realloc(old, size);
	if (p)
		g->left -= size - old_size;
	return p;
}

void prongi_repay(struct prongi_group *g, void *p, size_t size)
{
	if (p)
		g->left += size;
	free(p);
}

int prongi_room(struct prongi_group *g, struct prongi_items *v, size_t n, unsigned stride)
{
	size_t size = sizeof(prong_value *) * stride, room = v->v.room, need = v->v.count + n;
	void *item;

	if (need <= room)
		return 0;
	if (need > UINT32_MAX)
		return prongi_fail(-E2BIG, "value: more than 4,294,967,295 items");
	room = need + (room ? need / 2 : 0);
	if (room > UINT32_MAX)
		room = UINT32_MAX;
	room = round_up(room * size) / size;
	item = prongi_regrow(g, v->item, v->v.count * size, v->v.room * size, room * size);
	if (!item)
		return -ENOMEM;
	v->item = item;
	v->v.room = (uint32_t)room;
	return 0;
}

/* --- groups together -------------------------------------------------------------------------- */

struct prongi_group *prongi_group_of(const prong_value *v)
{
	const struct prongi_chunk *c = (const void *)((const char *)v - (size_t)v->back * UNIT);
	struct prongi_group *g = c->group;

	while (g->into)
		g = g->into;
	return g;
}

int prongi_group_own(struct prongi_group *g, void *memory)
{
	struct prongi_chunk *c = new_chunk(g, 0);

	if (!c)
		return -ENOMEM;
	c->owned = memory;
	return 0;
}

void prongi_group_drop(struct prongi_group *g)
{
	struct prongi_chunk *c, *next;

	/* acq_rel: pairs with the same here, by who dropped another reference: what they did with
	   the values is over before they are freed. */
	if (atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (c = g->first; c; c = next) { /* g itself lies in one of them */
		next = c->next;
		free(c->owned);
		free(c);
	}
}

/* The one with more chunks stays, so that the way to it is short however trees are built. */
static void unite(struct prongi_group *a, struct prongi_group *b)
{
	struct prongi_group *big = a->chunks >= b->chunks ? a : b, *small = big == a ? b : a;

	small->into = big;
	small->first->prev = big->last;
	big->last->next = small->first;
	big->last = small->last;
	big->chunks += small->chunks;
	atomic_fetch_add_explicit(&big->refs,
				  atomic_load_explicit(&small->refs, memory_order_relaxed),
				  memory_order_relaxed);
	if (small->end - small->at > big->end - big->at) {
		big->open = small->open;
		big->at = small->at;
		big->end = small->end;
	}
}

void prongi_join(prong_value *v, prong_value *item)
{
	struct prongi_group *g = prongi_group_of(v), *other;

	if (item->flags & PRONGI_STATIC)
		return;
	other = prongi_group_of(item);
	if (other != g)
		unite(g, other);
	g = prongi_group_of(v);
	atomic_fetch_sub_explicit(&g->refs, 1, memory_order_relaxed); /* v's own is left */
}
