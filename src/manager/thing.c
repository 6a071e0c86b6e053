/* Objects that clients refer to, and what they can do.

   An object's ident is its place in a table and a number that grows, so that one is found at once
   and never taken for another; it begins with a number that is another for each manager, so that
   nobody takes one for that of a server that is gone. */
#include "manager/manager.h"
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>

/* --- kinds ------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
	const struct prongi_method *const *m = a, *const *n = b;

	return strcmp((*m)->is->name, (*n)->is->name);
}

/* The names that clients are told, in their order. */
static int tell_names(struct prongi_class *c)
{
	const struct prongi_method **sorted = calloc(c->n + 1, sizeof *sorted);
	prong_value *names = prong_value_new(PRONG_TUPLE);
	int r;

	for (size_t i = 0; sorted && i < c->n; i++)
		sorted[i] = &c->method[i];
	if (sorted)
		qsort(sorted, c->n, sizeof(struct prongi_method *), by_name);
	for (size_t i = 0; sorted && i < c->n; i++)
		if (sorted[i]->is->name[0] != '#')
			prong_value_add(names, prong_value_text(sorted[i]->is->name));
	r = sorted && names ? prongi_item_make(&c->names, names, 2) : -ENOMEM;
	prong_value_free(names);
	free((void *)sorted);
	return r;
}

int prongi_class_new(struct prongi_class **out, const struct prongi_type *type, const char *what)
{
	struct prongi_class *c;
	size_t n = 0;
	int r = 0;

	while (type->methods[n].name)
		n++;
	c = calloc(1, sizeof *c + n * sizeof *c->method);
	if (!c)
		return prongi_fail(-ENOMEM, "%s: no memory", what);
	c->type = type;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = prongi_method_read(&c->method[i], &type->methods[i], what);
		c->n += r == 0;
	}
	if (r == 0)
		r = tell_names(c);
	if (r) {
		prongi_class_free(c);
		return r;
	}
	*out = c;
	return 0;
}

void prongi_class_free(struct prongi_class *c)
{
	for (size_t i = 0; i < c->n; i++)
		prongi_method_free(&c->method[i]);
	prongi_item_free(&c->names);
	free(c);
}

const struct prongi_method *prongi_class_find(const struct prongi_class *c, const char *name)
{
	for (size_t i = 0; name && i < c->n; i++)
		if (strcmp(c->method[i].is->name, name) == 0)
			return &c->method[i];
	return NULL;
}

/* --- the table -------------------------------------------------------------------------- */

static int grow(struct prong_manager *m)
{
	uint32_t room = m->thing_room ? 2 * m->thing_room : 64;
	struct prongi_thing **thing =
		realloc((void *)m->thing, room * sizeof(struct prongi_thing *));

	if (!thing)
		return -ENOMEM;
	memset((void *)(thing + m->thing_room), 0,
	       (room - m->thing_room) * sizeof(struct prongi_thing *));
	m->thing = thing;
	m->thing_hint = m->thing_room;
	m->thing_room = room;
	return 0;
}

int prongi_thing_new(struct prong_manager *m, struct prongi_class *class, void *self,
		     const char *name, struct prongi_thing **out)
{
	struct prongi_thing *t = calloc(1, sizeof *t);
	int r = t && m->things == m->thing_room ? grow(m) : 0;

	if (!t || r) {
		free(t);
		return -ENOMEM;
	}
	while (m->thing[m->thing_hint])
		m->thing_hint = (m->thing_hint + 1) % m->thing_room;
	t->ident = (uint64_t)m->thing_hint << 32 | (uint32_t)m->salt++;
	t->class = class;
	t->self = self;
	t->name = name;
	m->thing[m->thing_hint] = t;
	m->things++;
	*out = t;
	return 0;
}

void prongi_thing_text(const struct prongi_thing *t, char text[17])
{
	snprintf(text, 17, "%016llx", (unsigned long long)t->ident);
}

struct prongi_thing *prongi_thing_at(struct prong_manager *m, uint64_t ident)
{
	const uint64_t place = ident >> 32;

	if (place >= m->thing_room || !m->thing[place])
		return NULL;
	return m->thing[place]->ident == ident ? m->thing[place] : NULL;
}

struct prongi_thing *prongi_thing_find(struct prong_manager *m, const prong_value *ident)
{
	size_t n;
	const char *text = prong_value_data(ident, &n);
	uint64_t number = 0;

	if (!text || n != 16)
		return NULL;
	for (; n-- > 0; text++) {
		bool digit = *text >= '0' && *text <= '9';

		if (!digit && !(*text >= 'a' && *text <= 'f'))
			return NULL;
		number = number << 4 | (uint64_t)(digit ? *text - '0' : *text - 'a' + 10);
	}
	return prongi_thing_at(m, number);
}

/* --- lives ------------------------------------------------------------------------------ */

static void end(struct prong_manager *m, struct prongi_thing *t)
{
	m->thing[t->ident >> 32] = NULL;
	m->things--;
	if (t->class->type->fini)
		t->class->type->fini(m, t->self);
	free(t);
}

static void look(struct prong_manager *m, struct prongi_thing *t)
{
	if (t->refs == 0 && t->uses == 0 && !t->is_dirty)
		end(m, t);
}

void prongi_thing_hold(struct prongi_thing *t)
{
	t->uses++;
}

void prongi_thing_drop(struct prong_manager *m, struct prongi_thing *t)
{
	if (t->uses)
		t->uses--;
	look(m, t);
}

void prongi_thing_ref(struct prong_manager *m, struct prongi_thing *t)
{
	m->live += t->refs++ == 0;
}

void prongi_thing_unref(struct prong_manager *m, struct prongi_thing *t)
{
	m->live -= --t->refs == 0;
	look(m, t);
}

void prongi_thing_changed(struct prong_manager *m, struct prongi_thing *t)
{
	if (t->is_dirty || !t->first)
		return;
	t->is_dirty = true;
	t->dirty = m->dirty;
	m->dirty = t;
}

void prongi_things_free(struct prong_manager *m)
{
	for (uint32_t i = 0; i < m->thing_room; i++)
		if (m->thing[i])
			end(m, m->thing[i]);
	free((void *)m->thing);
}
