/* Python's set: a dict without values. */
#include "manager/py_dict.h"
#include <errno.h>
#include <prong/error.h>
#include <stdlib.h>

static int set_add(prong_call *c)
{
	int r = prongi_map_put(c, c->self, prong_call_value(c, "key"), NULL);

	return r ? r : prongi_call_none(c);
}

static int set_discard(prong_call *c)
{
	struct prongi_entry *e = prongi_dict_find(c);

	if (e)
		prongi_map_drop(c->guest->m, c->self, e);
	return c->answered ? 0 : prongi_call_none(c);
}

static int set_pop(prong_call *c)
{
	struct prongi_entry *e = prongi_dict_last(c->self);

	if (!e)
		return prong_call_raise(c, "KeyError", "pop from an empty set");
	prongi_call_item(c, &e->key);
	prongi_map_drop(c->guest->m, c->self, e);
	return 0;
}

static int set_say(prong_call *c)
{
	const struct prongi_map *map = c->self;
	struct prongi_out *o = prongi_call_begin(c, PRONGI_RETURN);

	prongi_out_text(o, c->protocol < 3 ? "c__builtin__\nset\n](" : "cbuiltins\nset\n](");
	for (size_t i = 0; i < map->used; i++)
		if (map->entry[i].key.data)
			prongi_dict_say(c, o, &map->entry[i], PRONGI_KEYS);
	prongi_out_text(o, "e\x85R");
	return prongi_call_end(c);
}

static int set_put(prong_call *c, struct prongi_map *map, const prong_value *v)
{
	struct prongi_row row;
	int r = prongi_row_of(c, v, &row);

	for (size_t i = 0; r == 0 && i < row.n; i++) {
		prong_value *key = prongi_item_value(prongi_row_at(&row, i));

		r = key ? prongi_map_put(c, map, key, NULL) : -ENOMEM;
		prong_value_free(key);
	}
	prongi_row_free(c->guest->m, &row);
	return r;
}

static int set_update(prong_call *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < prong_value_count(c->args); i++)
		r = set_put(c, c->self, prong_value_at(c->args, i));
	return r ? r : prongi_call_none(c);
}

static const prong_method set_methods[] = {
	{ "__contains__", "key", prongi_dict_contains, NULL },
	{ "__iter__", NULL, prongi_dict_iterate, NULL },
	{ "__len__", NULL, prongi_dict_length, NULL },
	{ "add", "key", set_add, NULL },
	{ "clear", NULL, prongi_dict_clear, NULL },
	{ "copy", NULL, set_say, NULL },
	{ "discard", "key", set_discard, NULL },
	{ "pop", NULL, set_pop, NULL },
	{ "remove", "key", prongi_dict_delete, NULL },
	{ "update", "*", set_update, NULL },
	{ PRONGI_GETVALUE, NULL, set_say, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const struct prongi_type set_type = {
	.name = "set",
	.methods = set_methods,
	.fini = prongi_dict_fini,
};

static int make_set(prong_call *c, void **self)
{
	struct prongi_map *map = calloc(1, sizeof *map);
	int r = map ? 0 : -ENOMEM;

	if (r == 0 && c->given)
		r = set_put(c, map, prong_call_value(c, "iterable"));
	if (r) {
		if (map)
			prongi_dict_fini(c->guest->m, map);
		return r;
	}
	*self = map;
	return 0;
}

const struct prongi_maker prongi_make_set = { { "set", "iterable=None", NULL, NULL },
					      &set_type,
					      make_set };
