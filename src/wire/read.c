/* Looking into values, and objects. */
#include "wire/value.h"
#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

static const char *const kinds[] = {
	"None", "bool",  "int",  "float", "text",      "bytes", "bytearray",
	"list", "tuple", "dict", "set",   "frozenset", "class", "object",
};

const char *prongi_kind_name(prong_kind kind)
{
	return (unsigned)kind < sizeof kinds / sizeof *kinds ? kinds[kind] : "what is no kind";
}

static const prong_value *or_none(const prong_value *v)
{
	return v ? v : &prongi_none;
}

static int mismatch(const prong_value *v, const char *wanted)
{
	return prongi_fail(PRONG_MISMATCH, "value: %s was asked for, and it is %s", wanted,
			   kinds[v->kind]);
}

prong_kind prong_value_kind(const prong_value *v)
{
	return (prong_kind)or_none(v)->kind;
}

int prong_value_as_int(const prong_value *v, int64_t *out)
{
	v = or_none(v);
	if (!out)
		return prongi_fail(-EINVAL, "value_as_int: out is NULL");
	if (v->kind != PRONG_INT && v->kind != PRONG_BOOL)
		return mismatch(v, "an int");
	if (v->flags & PRONGI_BIG)
		return prongi_fail(-ERANGE,
				   "value_as_int: an int of %llu bytes, and 8 are the most",
				   (unsigned long long)v->size);
	*out = v->i;
	return 0;
}

int prong_value_as_float(const prong_value *v, double *out)
{
	double x;

	v = or_none(v);
	if (!out)
		return prongi_fail(-EINVAL, "value_as_float: out is NULL");
	if (v->kind == PRONG_FLOAT)
		x = v->f;
	else if (v->kind != PRONG_INT && v->kind != PRONG_BOOL)
		return mismatch(v, "a float");
	else if (v->flags & PRONGI_BIG)
		x = prongi_big_float((const uint8_t *)prongi_bytes(v), v->size);
	else
		x = (double)v->i;
	if (v->kind == PRONG_INT && isinf(x))
		return prongi_fail(-ERANGE, "value_as_float: the int is larger than any float");
	*out = x;
	return 0;
}

const char *prong_value_data(const prong_value *v, size_t *n)
{
	bool has;

	v = or_none(v);
	has = v->kind == PRONG_TEXT || v->kind == PRONG_BYTES || v->kind == PRONG_BYTEARRAY ||
	      (v->kind == PRONG_INT && v->flags & PRONGI_BIG);
	if (n)
		*n = has ? v->size : 0;
	return has ? prongi_bytes(v) : NULL;
}

size_t prong_value_count(const prong_value *v)
{
	v = or_none(v);
	return prongi_is_collection(v) ? v->count : 0;
}

const prong_value *prong_value_at(const prong_value *v, size_t i)
{
	if (i >= prong_value_count(v))
		return NULL;
	return prongi_items(v)->item[prongi_has_pairs(v) ? 2 * i + 1 : i];
}

const prong_value *prong_value_key(const prong_value *v, size_t i)
{
	if (i >= prong_value_count(v) || !prongi_has_pairs(v))
		return NULL;
	return prongi_items(v)->item[2 * i];
}

const prong_value *prong_value_lookup(const prong_value *v, const prong_value *key)
{
	size_t found;

	v = or_none(v);
	if ((v->kind != PRONG_DICT && v->kind != PRONG_SET && v->kind != PRONG_FROZENSET) ||
	    prongi_key_find((const struct prongi_table *)v, or_none(key), &found) ||
	    found == SIZE_MAX)
		return NULL;
	return prongi_items(v)->item[v->kind == PRONG_DICT ? 2 * found + 1 : found];
}

const prong_value *prong_value_find(const prong_value *v, const char *key)
{
	size_t n = key ? strlen(key) : 0;
	struct { /* a text that lies elsewhere */
		struct prongi_outside text;
	} k = { .text = { .v = { .kind = PRONG_TEXT,
				 .flags = PRONGI_STATIC | PRONGI_OUTSIDE,
				 .size = n },
			  .data = key } };

	if (!key || prong_value_kind(v) != PRONG_DICT)
		return NULL;
	return prong_value_lookup(v, &k.text.v);
}

/* --- objects ---------------------------------------------------------------------------------- */

prong_value *prong_value_object(const char *name, prong_value *args, prong_value *state)
{
	prong_value *callable = name ? prong_value_bytes(PRONG_CLASS, name, strlen(name)) : NULL;
	prong_value *v = NULL, *all = args ? args : prong_value_new(PRONG_TUPLE);
	struct prongi_group *g;

	if (!callable || !all || all->kind != PRONG_TUPLE)
		goto drop;
	g = prongi_group_new(sizeof(struct prongi_object), SIZE_MAX);
	if (!g)
		goto drop;
	v = prongi_object(g, args ? PRONGI_CALL : PRONGI_NEW, callable, all, NULL);
	prongi_join(v, callable);
	prongi_join(v, all);
	if (state) {
		prongi_as_object(v)->state = state;
		prongi_embed(prongi_items(v), state);
		prongi_join(v, state);
	}
	return v;
drop:
	if (callable && all)
		prongi_fail(-EINVAL, "value_object: args is no tuple");
	prong_value_free(callable);
	prong_value_free(all);
	prong_value_free(state);
	return NULL;
}

const char *prong_value_class(const prong_value *v)
{
	v = or_none(v);
	if (v->kind == PRONG_OBJECT)
		v = prongi_as_object(v)->callable;
	if (v->kind != PRONG_CLASS)
		return NULL;
	return prongi_bytes(v) + strlen(prongi_bytes(v)) + 1;
}

static const prong_value *object_part(const prong_value *v, size_t part)
{
	return prong_value_kind(v) == PRONG_OBJECT ? prongi_part(v, part) : NULL;
}

const prong_value *prong_value_callable(const prong_value *v)
{
	return object_part(v, PRONGI_CALLABLE);
}

const prong_value *prong_value_args(const prong_value *v)
{
	return object_part(v, PRONGI_ARGS);
}

const prong_value *prong_value_kwargs(const prong_value *v)
{
	return object_part(v, PRONGI_KWARGS);
}

const prong_value *prong_value_state(const prong_value *v)
{
	return object_part(v, PRONGI_STATE);
}

const prong_value *prong_value_changes(const prong_value *v)
{
	return object_part(v, PRONGI_SETTER);
}
