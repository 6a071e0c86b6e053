/* Python's Namespace and Value. */
#include "manager/py_dict.h"
#include <errno.h>
#include <prong/error.h>
#include <stdlib.h>

/* --- Namespace -------------------------------------------------------------------------- */

static int raise_attribute(prong_call *c)
{
	char text[100] = "";

	prong_value_print(prong_call_value(c, "key"), text, sizeof text);
	return prong_call_raise(c, "AttributeError", "'Namespace' object has no attribute %s",
				text);
}

static int get_attribute(prong_call *c)
{
	struct prongi_entry *e = prongi_dict_find(c);

	if (e)
		return prongi_call_item(c, &e->item);
	return c->answered ? 0 : raise_attribute(c);
}

static int delete_attribute(prong_call *c)
{
	struct prongi_entry *e = prongi_dict_find(c);

	if (!e)
		return c->answered ? 0 : raise_attribute(c);
	prongi_map_drop(c->guest->m, c->self, e);
	return prongi_call_none(c);
}

static const prong_method namespace_methods[] = {
	{ "__getattribute__", "key: str", get_attribute, NULL },
	{ "__setattr__", "key: str, value", prongi_dict_set, NULL },
	{ "__delattr__", "key: str", delete_attribute, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const struct prongi_type namespace_type = {
	.name = "Namespace",
	.methods = namespace_methods,
	.fini = prongi_dict_fini,
};

static int make_namespace(prong_call *c, void **self)
{
	if (prong_value_count(c->args))
		return prong_call_raise(c, "TypeError", "Namespace() takes keyword arguments only");
	return prongi_dict_make(c, self);
}

/* --- Value ------------------------------------------------------------------------------ */

static int value_get(prong_call *c)
{
	return prongi_call_item(c, c->self);
}

static int value_set(prong_call *c)
{
	struct prongi_item *item = c->self, new;
	int r = prongi_keep(c, prong_call_value(c, "value"), &new);

	if (r)
		return r;
	prongi_let(c->guest->m, item);
	*item = new;
	return prongi_call_none(c);
}

static const prong_method value_methods[] = {
	{ "get", NULL, value_get, NULL },
	{ "set", "value", value_set, NULL },
	{ NULL, NULL, NULL, NULL },
};

static void value_fini(struct prong_manager *m, void *self)
{
	prongi_let(m, self);
	free(self);
}

static const struct prongi_type value_type = {
	.name = "Value",
	.methods = value_methods,
	.fini = value_fini,
};

static int make_value(prong_call *c, void **self)
{
	struct prongi_item *item = calloc(1, sizeof *item);
	int r = item ? prongi_keep(c, prong_call_value(c, "value"), item) : -ENOMEM;

	if (r) {
		free(item);
		return r;
	}
	*self = item;
	return 0;
}

const struct prongi_maker prongi_make_namespace = { { "Namespace", "*", NULL, NULL },
						    &namespace_type,
						    make_namespace },
			  prongi_make_value = { { "Value", "typecode, value, lock=True", NULL,
						  NULL },
						&value_type,
						make_value };
