/* Equality as Python's, without calling itself: pairs that are still to be compared are on a stack.

   Where items are shared, the same two may meet many times, and in cycles for ever.  So what was
   compared once, or is being compared, counts as equal from then on, as do those equal to either:
   if it is not, that has been or will be found out, and the answer is no anyway.  That is union and
   find, and makes it linear.  Long data that is shared is remembered alike. */
#include "wire/value.h"
#include <stdlib.h>

struct pair {
	const prong_value *a, *b;
};

struct walk {
	struct prongi_stack todo;  /* struct pair */
	struct prongi_marks index; /* a value's place in above */
	uint32_t *above;           /* whom it equals; itself: nobody else */
	uint32_t n, room;
	bool no_memory, differ;
};

/* The place of v; UINT32_MAX: no memory. */
static uint32_t place(struct walk *w, const prong_value *v)
{
	uint32_t *at = prongi_marks_at(&w->index, v, w->n), *more;

	if (!at)
		return UINT32_MAX;
	if (*at == w->n) {
		if (w->n == w->room) {
			more = realloc(w->above, (w->room ? w->room * 2 : 64) * sizeof *more);
			if (!more)
				return UINT32_MAX;
			w->above = more;
			w->room = w->room ? w->room * 2 : 64;
		}
		w->above[w->n] = w->n;
		w->n++;
	}
	return *at;
}

static uint32_t highest(struct walk *w, uint32_t i)
{
	while (w->above[i] != i)
		i = w->above[i] = w->above[w->above[i]];
	return i;
}

/* True when a and b have met before; from now on they have. */
static bool met(struct walk *w, const prong_value *a, const prong_value *b)
{
	uint32_t i, j;

	if (!prongi_has_mark(a, PRONGI_SHARED) && !prongi_has_mark(b, PRONGI_SHARED))
		return false;
	i = place(w, a);
	j = place(w, b);
	if (i == UINT32_MAX || j == UINT32_MAX) {
		w->no_memory = true;
		return true;
	}
	i = highest(w, i);
	j = highest(w, j);
	if (i == j)
		return true;
	w->above[i] = j;
	return false;
}

static bool are_long(const prong_value *a, const prong_value *b)
{
	return prongi_is_long(a) && prongi_is_long(b) && a->size == b->size;
}

/* What is no collection is compared at once. */
static void push(struct walk *w, const prong_value *a, const prong_value *b)
{
	struct pair *p;

	if (a == b)
		return;
	if (!prongi_is_collection(a) || !prongi_is_collection(b)) {
		if (!w->differ && !(are_long(a, b) && met(w, a, b)))
			w->differ = !prongi_equal_plain(a, b);
		return;
	}
	p = prongi_push(&w->todo);
	if (p)
		*p = (struct pair){ a, b };
	else
		w->no_memory = true;
}

static bool is_set(const prong_value *v)
{
	return v->kind == PRONG_SET || v->kind == PRONG_FROZENSET;
}

static bool loose(const prong_value *key)
{
	struct prongi_print print;

	return !prongi_key_print(key, &print) && print.loose;
}

/* The next of b's keys that equals itself alone, from *i on; NULL. */
static const prong_value *next_loose(const prong_value *b, unsigned stride, size_t *i)
{
	while (*i < b->count) {
		const prong_value *key = prongi_items(b)->item[stride * (*i)++];

		if (loose(key))
			return key;
	}
	return NULL;
}

static bool compare_tables(struct walk *w, const prong_value *a, const prong_value *b)
{
	const struct prongi_table *ta = (const void *)a, *tb = (const void *)b;
	unsigned stride = a->kind == PRONG_DICT ? 2 : 1;
	prong_value **ia = ta->items.item, **ib = tb->items.item;
	size_t from = 0, at;

	for (size_t i = 0; i < a->count; i++) {
		const prong_value *key = ia[stride * i], *other;

		if (ta->loose && loose(key)) {
			other = next_loose(b, stride, &from);
			if (!other)
				return false;
			push(w, key, other);
			at = from - 1;
		} else if (prongi_key_find(tb, key, &at) || at == SIZE_MAX) {
			return false;
		}
		if (stride == 2)
			push(w, ia[2 * i + 1], ib[2 * at + 1]);
	}
	return true;
}

/* Both are there, or neither. */
static bool push_both(struct walk *w, const prong_value *a, const prong_value *b)
{
	if (a && b)
		push(w, a, b);
	return !a == !b;
}

static bool compare_objects(struct walk *w, const prong_value *a, const prong_value *b)
{
	const struct prongi_object *x = prongi_as_object(a), *y = prongi_as_object(b);
	bool same = a->how == b->how;

	same = push_both(w, x->callable, y->callable) && same;
	same = push_both(w, x->args, y->args) && same;
	same = push_both(w, x->kwargs, y->kwargs) && same;
	same = push_both(w, x->state, y->state) && same;
	same = push_both(w, x->setter, y->setter) && same;
	for (size_t i = 0; same && i < 2 * (size_t)a->count; i++)
		same = push_both(w, x->items.item[i], y->items.item[i]);
	return same;
}

/* Compare two collections, but for collections in them. */
static bool compare(struct walk *w, const prong_value *a, const prong_value *b)
{
	if (a->count != b->count || (a->kind != b->kind && !(is_set(a) && is_set(b))))
		return false;
	if (met(w, a, b))
		return true;
	if (a->kind == PRONG_OBJECT)
		return compare_objects(w, a, b);
	if (a->kind == PRONG_DICT || is_set(a))
		return compare_tables(w, a, b);
	for (size_t i = a->count; i > 0 && !w->differ; i--)
		push(w, prongi_items(a)->item[i - 1], prongi_items(b)->item[i - 1]);
	return true;
}

bool prong_value_equal(const prong_value *a, const prong_value *b)
{
	struct walk w = { .todo = { .size = sizeof(struct pair) } };
	bool same = true;

	push(&w, a ? a : &prongi_none, b ? b : &prongi_none);
	while (same && !w.differ && !w.no_memory && w.todo.n > 0) {
		struct pair p = ((struct pair *)(void *)w.todo.top)[--w.todo.n];

		same = compare(&w, p.a, p.b);
	}
	prongi_stack_free(&w.todo);
	prongi_marks_free(&w.index);
	free(w.above);
	return same && !w.differ && !w.no_memory;
}
