/* Python's dict, and what iterates over it; what sets and Namespaces share with it. */
#include "manager/py_dict.h"
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>

/* --- looking ---------------------------------------------------------------------------- */

static int raise_key(prong_call *c, const prong_value *key)
{
	return prongi_call_raise_value(c, "KeyError",
				       key ? prong_value_dup(key) : prong_value_new(PRONG_NONE));
}

/* The entry of the argument "key"; NULL also when the call is answered: it cannot be one. */
struct prongi_entry *prongi_dict_find(prong_call *c)
{
	const prong_value *key = prong_call_value(c, "key");
	char class[PRONGI_NAME_MOST];
	int r;
	struct prongi_entry *e = prongi_map_find(c->self, key, &r);

	if (r == -EINVAL)
		prong_call_raise(c, "TypeError", "unhashable type: '%s'",
				 prongi_class_of(key, class));
	else if (r)
		prongi_call_raise_result(c, r);
	return e;
}

int prongi_dict_length(prong_call *c)
{
	const struct prongi_map *map = c->self;

	return prong_call_return(c, prong_value_int((int64_t)map->n));
}

int prongi_dict_contains(prong_call *c)
{
	bool is = prongi_dict_find(c) != NULL;

	return c->answered ? 0 : prong_call_return(c, prong_value_bool(is));
}

static int get_item(prong_call *c)
{
	struct prongi_entry *e = prongi_dict_find(c);

	if (e)
		return prongi_call_item(c, &e->item);
	return c->answered ? 0 : raise_key(c, prong_call_value(c, "key"));
}

static int answer_value(prong_call *c, const prong_value *v)
{
	return prong_call_return(c, v ? prong_value_dup(v) : prong_value_new(PRONG_NONE));
}

static int get(prong_call *c)
{
	struct prongi_entry *e = prongi_dict_find(c);

	if (e)
		return prongi_call_item(c, &e->item);
	return c->answered ? 0 : answer_value(c, prong_call_value(c, "default"));
}

/* --- saying all ------------------------------------------------------------------------- */

void prongi_dict_say(prong_call *c, struct prongi_out *o, const struct prongi_entry *e,
		     enum prongi_parts_of parts)
{
	if (parts & PRONGI_KEYS)
		prongi_say_item(o, c->protocol, &e->key);
	if (parts & PRONGI_ITEMS)
		prongi_say_item(o, c->protocol, &e->item);
}

static int say_list(prong_call *c, enum prongi_parts_of parts)
{
	const struct prongi_map *map = c->self;
	struct prongi_out *o = prongi_call_begin(c, PRONGI_RETURN);

	prongi_out_text(o, "](");
	for (size_t i = 0; i < map->used; i++) {
		if (!map->entry[i].key.data)
			continue;
		prongi_dict_say(c, o, &map->entry[i], parts);
		if (parts == PRONGI_BOTH)
			prongi_out_byte(o, '\x86');
	}
	prongi_out_byte(o, 'e');
	return prongi_call_end(c);
}

static int keys(prong_call *c)
{
	return say_list(c, PRONGI_KEYS);
}

static int values(prong_call *c)
{
	return say_list(c, PRONGI_ITEMS);
}

static int items(prong_call *c)
{
	return say_list(c, PRONGI_BOTH);
}

static void say_all(prong_call *c, struct prongi_out *o)
{
	const struct prongi_map *map = c->self;

	for (size_t i = 0; i < map->used; i++)
		if (map->entry[i].key.data)
			prongi_dict_say(c, o, &map->entry[i], PRONGI_BOTH);
}

/* The dict, and what is in v after it; or before it. */
static int say_dict(prong_call *c, const prong_value *v, bool before)
{
	struct prongi_out *o = prongi_call_begin(c, PRONGI_RETURN);

	prongi_out_text(o, "}(");
	if (!before)
		say_all(c, o);
	for (size_t i = 0; i < prong_value_count(v); i++) {
		prongi_say_value(o, c->protocol, prong_value_key(v, i));
		prongi_say_value(o, c->protocol, prong_value_at(v, i));
	}
	if (before)
		say_all(c, o);
	prongi_out_byte(o, 'u');
	return prongi_call_end(c);
}

static int copy(prong_call *c)
{
	return say_dict(c, NULL, false);
}

static int or (prong_call * c, bool before)
{
	const prong_value *v = prong_call_value(c, "value");
	char class[PRONGI_NAME_MOST];

	if (prong_value_kind(v) == PRONG_DICT)
		return say_dict(c, v, before);
	return prong_call_raise(c, "TypeError",
				"unsupported operand type(s) for |: 'dict' and '%s'",
				prongi_class_of(v, class));
}

static int or_value(prong_call *c)
{
	return or (c, false);
}

static int value_or(prong_call *c)
{
	return or (c, true);
}

static int reversed(prong_call *c)
{
	const struct prongi_map *map = c->self;
	struct prongi_out *o = prongi_call_begin(c, PRONGI_RETURN);

	prongi_out_text(o, c->protocol < 3 ? "c__builtin__\niter\n](" : "cbuiltins\niter\n](");
	for (size_t i = map->used; i-- > 0;)
		if (map->entry[i].key.data)
			prongi_dict_say(c, o, &map->entry[i], PRONGI_KEYS);
	prongi_out_text(o, "e\x85R");
	return prongi_call_end(c);
}

/* --- changing --------------------------------------------------------------------------- */

int prongi_dict_set(prong_call *c)
{
	int r = prongi_map_put(c, c->self, prong_call_value(c, "key"),
			       prong_call_value(c, "value"));

	return r ? r : prongi_call_none(c);
}

int prongi_dict_delete(prong_call *c)
{
	struct prongi_entry *e = prongi_dict_find(c);

	if (!e)
		return c->answered ? 0 : raise_key(c, prong_call_value(c, "key"));
	prongi_map_drop(c->guest->m, c->self, e);
	return prongi_call_none(c);
}

int prongi_dict_clear(prong_call *c)
{
	prongi_map_free(c->guest->m, c->self);
	return prongi_call_none(c);
}

static int pop(prong_call *c)
{
	struct prongi_entry *e = prongi_dict_find(c);

	if (!e && c->answered)
		return 0;
	if (!e && !(c->given & 2))
		return raise_key(c, prong_call_value(c, "key"));
	if (!e)
		return answer_value(c, prong_call_value(c, "default"));
	prongi_call_item(c, &e->item);
	prongi_map_drop(c->guest->m, c->self, e);
	return 0;
}

struct prongi_entry *prongi_dict_last(const struct prongi_map *map)
{
	size_t i = map->used;

	while (i && !map->entry[i - 1].key.data)
		i--;
	return i ? &map->entry[i - 1] : NULL;
}

static int popitem(prong_call *c)
{
	struct prongi_entry *e = prongi_dict_last(c->self);
	struct prongi_out *o;

	if (!e)
		return prong_call_raise(c, "KeyError", "popitem(): dictionary is empty");
	o = prongi_call_begin(c, PRONGI_RETURN);
	prongi_dict_say(c, o, e, PRONGI_BOTH);
	prongi_out_byte(o, '\x86');
	prongi_map_drop(c->guest->m, c->self, e);
	return prongi_call_end(c);
}

static int setdefault(prong_call *c)
{
	const prong_value *v = prong_call_value(c, "default");
	struct prongi_entry *e = prongi_dict_find(c);
	int r;

	if (e)
		return prongi_call_item(c, &e->item);
	if (c->answered)
		return 0;
	r = prongi_map_put(c, c->self, prong_call_value(c, "key"), v);
	return r ? r : answer_value(c, v);
}

/* Put in what dict(v) would have. */
static int put_all(prong_call *c, struct prongi_map *map, const prong_value *v)
{
	bool pairs = prong_value_kind(v) == PRONG_LIST || prong_value_kind(v) == PRONG_TUPLE;
	char class[PRONGI_NAME_MOST];
	int r = 0;

	if (!pairs && prong_value_kind(v) != PRONG_DICT) {
		prong_call_raise(c, "TypeError", "'%s' object is not iterable as pairs",
				 prongi_class_of(v, class));
		return PRONG_MISMATCH;
	}
	for (size_t i = 0; r == 0 && i < prong_value_count(v); i++) {
		const prong_value *at = prong_value_at(v, i);

		if (!pairs) {
			r = prongi_map_put(c, map, prong_value_key(v, i), at);
		} else if (prong_value_count(at) != 2) {
			prong_call_raise(c, "ValueError",
					 "dictionary update sequence element #%zu has not 2 items",
					 i);
			r = PRONG_MISMATCH;
		} else {
			r = prongi_map_put(c, map, prong_value_at(at, 0), prong_value_at(at, 1));
		}
	}
	return r;
}

/* The arguments of dict() and of update(). */
static int put_arguments(prong_call *c, struct prongi_map *map)
{
	int r = 0;

	if (prong_value_count(c->args) > 1) {
		prong_call_raise(c, "TypeError", "%s expected at most 1 argument, got %zu",
				 c->method->is->name, prong_value_count(c->args));
		return PRONG_MISMATCH;
	}
	if (prong_value_count(c->args))
		r = put_all(c, map, prong_value_at(c->args, 0));
	return r ? r : put_all(c, map, c->kwds);
}

static int update(prong_call *c)
{
	int r = put_arguments(c, c->self);

	return r ? r : prongi_call_none(c);
}

static int update_value(prong_call *c)
{
	int r = put_all(c, c->self, prong_call_value(c, "value"));

	return r ? r : prongi_call_none(c);
}

void prongi_dict_fini(struct prong_manager *m, void *self)
{
	prongi_map_free(m, self);
	free(self);
}

static const prong_method dict_methods[] = {
	{ "__contains__", "key", prongi_dict_contains, NULL },
	{ "__delitem__", "key", prongi_dict_delete, NULL },
	{ "__getitem__", "key", get_item, NULL },
	{ "__ior__", "value", update_value, NULL },
	{ "__iter__", NULL, prongi_dict_iterate, NULL },
	{ "__len__", NULL, prongi_dict_length, NULL },
	{ "__or__", "value", or_value, NULL },
	{ "__reversed__", NULL, reversed, NULL },
	{ "__ror__", "value", value_or, NULL },
	{ "__setitem__", "key, value", prongi_dict_set, NULL },
	{ "clear", NULL, prongi_dict_clear, NULL },
	{ "copy", NULL, copy, NULL },
	{ "get", "key, default = None", get, NULL },
	{ "has_key", "key", prongi_dict_contains, NULL },
	{ "items", NULL, items, NULL },
	{ "keys", NULL, keys, NULL },
	{ "pop", "key, default = None", pop, NULL },
	{ "popitem", NULL, popitem, NULL },
	{ "setdefault", "key, default = None", setdefault, NULL },
	{ "update", "*", update, NULL },
	{ "values", NULL, values, NULL },
	{ PRONGI_GETVALUE, NULL, copy, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const struct prongi_type dict_type = {
	.name = "dict",
	.methods = dict_methods,
	.fini = prongi_dict_fini,
};

int prongi_dict_make(prong_call *c, void **self)
{
	struct prongi_map *map = calloc(1, sizeof *map);
	int r = map ? put_arguments(c, map) : -ENOMEM;

	if (r) {
		if (map)
			prongi_dict_fini(c->guest->m, map);
		return r;
	}
	*self = map;
	return 0;
}

/* --- iterators -------------------------------------------------------------------------- */

static int next(prong_call *c)
{
	struct prongi_row *row = c->self;
	struct prongi_item item;

	if (!row->n)
		return prongi_call_raise_value(c, "StopIteration", NULL);
	item = prongi_row_take(row, 0);
	prongi_call_item(c, &item);
	prongi_let(c->guest->m, &item);
	return 0;
}

static int no_generator(prong_call *c)
{
	return prong_call_raise(c, "AttributeError",
				"'dict_keyiterator' object has no attribute '%s'",
				c->method->is->name);
}

static const prong_method iterator_methods[] = {
	{ "__next__", NULL, next, NULL },        { "next", NULL, next, NULL },
	{ "send", "value", no_generator, NULL }, { "throw", "*", no_generator, NULL },
	{ "close", NULL, no_generator, NULL },   { NULL, NULL, NULL, NULL },
};

static void iterator_fini(struct prong_manager *m, void *self)
{
	prongi_row_free(m, self);
	free(self);
}

static const struct prongi_type iterator_type = {
	.name = "Iterator",
	.methods = iterator_methods,
	.fini = iterator_fini,
};

/* The keys as they are now, to be asked for one by one. */
static int snapshot(prong_call *c, struct prongi_row *row)
{
	const struct prongi_map *map = c->self;
	int r = 0;

	for (size_t i = 0; r == 0 && i < map->used; i++) {
		struct prongi_item item;

		if (!map->entry[i].key.data)
			continue;
		r = prongi_keep_again(c, &map->entry[i].key, &item);
		if (r == 0)
			r = prongi_row_put(row, row->n, item);
	}
	return r;
}

int prongi_dict_iterate(prong_call *c)
{
	struct prong_manager *m = c->guest->m;
	struct prongi_row *row = calloc(1, sizeof *row);
	struct prongi_thing *t;
	int r = row ? snapshot(c, row) : -ENOMEM;

	if (r == 0)
		r = prongi_thing_new(m, m->iterators, row, "Iterator", &t);
	if (r) {
		if (row)
			iterator_fini(m, row);
		return r;
	}
	return prongi_call_proxy(c, t);
}

int prongi_iterators_prepare(struct prong_manager *m)
{
	return prongi_class_new(&m->iterators, &iterator_type, "manager_open");
}

const struct prongi_maker prongi_make_dict = { { "dict", "*", NULL, NULL },
					       &dict_type,
					       prongi_dict_make };
