/* Small tools of who walks over a graph without calling itself: a stack, and marks on values. */
#include "wire/value.h"
#include <stdlib.h>
#include <string.h>

void *prongi_push(struct prongi_stack *s)
{
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 32;
		char *top = s->lender ? prongi_borrow(s->lender, s->top, s->room * s->size,
						      room * s->size)
				      : realloc(s->top, room * s->size);

		if (!top)
			return NULL;
		s->top = top;
		s->room = room;
	}
	return s->top + s->n++ * s->size;
}

void prongi_stack_free(struct prongi_stack *s)
{
	if (s->lender)
		prongi_repay(s->lender, s->top, s->room * s->size);
	else
		free(s->top);
}

/* --- marks ------------------------------------------------------------------------------------ */

static size_t first_slot(const struct prongi_marks *m, const void *v)
{
	uint64_t h = (uintptr_t)v / 16 * 0x9e3779b97f4a7c15u;

	return (size_t)(h >> 20) & (m->slots - 1);
}

static size_t slot_of(const struct prongi_marks *m, const void *v)
{
	size_t i = first_slot(m, v);

	while (m->key[i] && m->key[i] != v)
		i = (i + 1) & (m->slots - 1);
	return i;
}

static bool grow(struct prongi_marks *m)
{
	struct prongi_marks more = { .slots = m->slots ? m->slots * 2 : 64, .used = m->used };

	more.key = calloc(more.slots, sizeof *more.key);
	more.number = malloc(more.slots * sizeof *more.number);
	if (!more.key || !more.number) {
		prongi_marks_free(&more);
		return false;
	}
	for (size_t i = 0; i < m->slots; i++) {
		if (m->key[i]) {
			size_t to = slot_of(&more, m->key[i]);

			more.key[to] = m->key[i];
			more.number[to] = m->number[i];
		}
	}
	prongi_marks_free(m);
	*m = more;
	return true;
}

uint32_t *prongi_marks_at(struct prongi_marks *m, const void *v, uint32_t fresh)
{
	size_t i;

	if (m->used * 2 >= m->slots && !grow(m))
		return NULL;
	i = slot_of(m, v);
	if (!m->key[i]) {
		m->key[i] = v;
		m->number[i] = fresh;
		m->used++;
	}
	return &m->number[i];
}

uint32_t *prongi_marks_find(const struct prongi_marks *m, const void *v)
{
	size_t i;

	if (!m->used)
		return NULL;
	i = slot_of(m, v);
	return m->key[i] ? &m->number[i] : NULL;
}

void prongi_marks_free(struct prongi_marks *m)
{
	free(m->key);
	free(m->number);
}
