/* Reading pickles: the calls whose meaning is known.  Nothing is looked up by name but here, and
   nothing here does more than make a value of another.  All other calls become objects. */
#include "wire/pickle.h"
#include <errno.h>

/* The i-th argument, if it is of this kind; NULL. */
static const prong_value *argument(const prong_value *args, uint32_t i, prong_kind kind)
{
	const prong_value *v = i < args->count ? prongi_items(args)->item[i] : NULL;

	return v && v->kind == kind ? v : NULL;
}

static bool is_latin1(const prong_value *v)
{
	static const char *const names[] = { "latin1", "latin-1", "iso-8859-1", "latin_1" };

	for (size_t i = 0; v && i < sizeof names / sizeof *names; i++)
		if (v->size == strlen(names[i]) && !memcmp(prongi_bytes(v), names[i], v->size))
			return true;
	return false;
}

/* The bytes that text stands for in Latin 1. */
static int latin1(struct prongi_reader *s, prong_kind kind, const prong_value *text,
		  prong_value **out)
{
	const char *p = prongi_bytes(text), *end = p + text->size;
	char *to;
	size_t n = 0;
	int r = 0;

	if (text->flags & PRONGI_ASCII) {
		*out = prongi_data(s->g, kind, p, text->size);
		return *out ? 0 : -ENOMEM;
	}
	to = prongi_borrow(s->g, NULL, 0, text->size + 1);
	if (!to)
		return -ENOMEM;
	while (p < end && r == 0) {
		uint32_t c = prongi_text_next(&p);

		if (c > 0xff)
			r = prongi_reader_bad(s, "a character that is not in Latin 1");
		to[n++] = (char)c;
	}
	*out = r ? NULL : prongi_data(s->g, kind, to, n);
	prongi_repay(s->g, to, text->size + 1);
	return r || *out ? r : -ENOMEM;
}

/* _codecs.encode(text, 'latin1'): how protocol 2 says bytes. */
static int encode(struct prongi_reader *s, const prong_value *args, prong_value **out)
{
	const prong_value *text = argument(args, 0, PRONG_TEXT);

	if (args->count != 2 || !text || !is_latin1(argument(args, 1, PRONG_TEXT)))
		return 0;
	return latin1(s, PRONG_BYTES, text, out);
}

static int bytes(struct prongi_reader *s, const prong_value *args, prong_value **out)
{
	if (args->count != 0)
		return 0;
	*out = prongi_data(s->g, PRONG_BYTES, NULL, 0);
	return *out ? 0 : -ENOMEM;
}

/* bytearray(), bytearray(bytes), bytearray(text, 'latin-1'). */
static int bytearray(struct prongi_reader *s, const prong_value *args, prong_value **out)
{
	const prong_value *from = argument(args, 0, PRONG_BYTES);
	const prong_value *text = argument(args, 0, PRONG_TEXT);

	if (args->count == 2 && text && is_latin1(argument(args, 1, PRONG_TEXT)))
		return latin1(s, PRONG_BYTEARRAY, text, out);
	if (args->count > 1 || (args->count == 1 && !from))
		return 0;
	*out = from ? prongi_data(s->g, PRONG_BYTEARRAY, prongi_bytes(from), from->size)
		    : prongi_data(s->g, PRONG_BYTEARRAY, NULL, 0);
	return *out ? 0 : -ENOMEM;
}

/* n items are met, maybe once more.  A call is a few bytes, and in a set equal items take no
   memory: so they count as values that are read. */
static int meet_again(struct prongi_reader *s, uint32_t n)
{
	prongi_work(n);
	if (n > s->max_objects - s->objects)
		return prongi_reader_too_many(s);
	s->objects += n;
	return 0;
}

/* kind() or kind([...]). */
static int collect(struct prongi_reader *s, prong_kind kind, const prong_value *args,
		   prong_value **out)
{
	const prong_value *from = argument(args, 0, PRONG_LIST);
	bool shared, stays; /* another call may have the items too; they are in the argument too */
	prong_value *v;
	int r = 0;

	from = from ? from : argument(args, 0, PRONG_TUPLE);
	if (args->count > 1 || (args->count == 1 && !from))
		return 0;
	shared = from &&
		 (prongi_has_mark(from, PRONGI_SHARED) || prongi_has_mark(args, PRONGI_SHARED));
	stays = shared || (from && (from->flags | args->flags) & PRONGI_PLACED);
	if (shared)
		r = meet_again(s, from->count);
	v = r ? NULL : prongi_collection(s->g, kind);
	if (!v)
		return r ? r : -ENOMEM;
	for (uint32_t i = 0; from && i < from->count && !r; i++) {
		prong_value *item = prongi_items(from)->item[i];

		if (stays)
			prongi_set_mark(item, PRONGI_SHARED);
		r = kind == PRONG_LIST || kind == PRONG_TUPLE ? prongi_append(s->g, v, &item, 1)
							      : prongi_insert(s->g, v, item, NULL);
	}
	if (r == -EINVAL)
		r = prongi_reader_bad(s, "an element that has no hash");
	if (!r)
		*out = v;
	return r;
}

static int list(struct prongi_reader *s, const prong_value *args, prong_value **out)
{
	return collect(s, PRONG_LIST, args, out);
}

static int tuple(struct prongi_reader *s, const prong_value *args, prong_value **out)
{
	return collect(s, PRONG_TUPLE, args, out);
}

static int set(struct prongi_reader *s, const prong_value *args, prong_value **out)
{
	return collect(s, PRONG_SET, args, out);
}

static int frozenset(struct prongi_reader *s, const prong_value *args, prong_value **out)
{
	return collect(s, PRONG_FROZENSET, args, out);
}

/* getattr(class, 'name'): how protocols below 4 say a class in a class. */
static int inner(struct prongi_reader *s, const prong_value *args, prong_value **out)
{
	const prong_value *outer = argument(args, 0, PRONG_CLASS);
	const prong_value *name = argument(args, 1, PRONG_TEXT);
	const char *module, *first;
	size_t module_size, first_size, n;
	char *whole;

	if (args->count != 2 || !outer || !name ||
	    !prongi_is_name("m", 1, prongi_bytes(name), name->size))
		return 0;
	module = prongi_class_module(outer, &module_size);
	first = prongi_class_name(outer, &first_size);
	n = first_size + 1 + name->size;
	whole = prongi_borrow(s->g, NULL, 0, n);
	if (!whole)
		return -ENOMEM;
	memcpy(whole, first, first_size);
	whole[first_size] = '.';
	memcpy(whole + first_size + 1, prongi_bytes(name), name->size);
	*out = prongi_class(s->g, module, module_size, whole, n);
	prongi_repay(s->g, whole, n);
	return *out ? 0 : -ENOMEM;
}

/* copyreg.__newobj_ex__(class, args, kwargs): how protocols below 4 say NEWOBJ_EX. */
static int new_ex(struct prongi_reader *s, const prong_value *args, prong_value **out)
{
	prong_value **part = prongi_items(args)->item;

	if (args->count != 3 || part[1]->kind != PRONG_TUPLE || part[2]->kind != PRONG_DICT)
		return 0;
	for (int i = 0; i < 3 && args->flags & PRONGI_PLACED; i++)
		prongi_set_mark(part[i], PRONGI_SHARED);
	*out = prongi_object(s->g, PRONGI_NEW, part[0], part[1], part[2]);
	return *out ? 0 : -ENOMEM;
}

static const struct {
	const char *name;
	int (*call)(struct prongi_reader *s, const prong_value *args, prong_value **out);
} meanings[] = {
	{ "_codecs.encode", encode },
	{ "builtins.bytearray", bytearray },
	{ "builtins.bytes", bytes },
	{ "builtins.frozenset", frozenset },
	{ "builtins.getattr", inner },
	{ "builtins.list", list },
	{ "builtins.set", set },
	{ "builtins.tuple", tuple },
	{ "copyreg.__newobj_ex__", new_ex },
};

/* Longer names are none of these; and to look at one each time would be work without bounds. */
enum {
	LONGEST = 64
};

int prongi_reader_call(struct prongi_reader *s, prong_value *callable, prong_value *args,
		       prong_value **out)
{
	const char *name;

	if (callable->kind != PRONG_CLASS || callable->size > LONGEST)
		return 0;
	name = prong_value_class(callable);
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (strcmp(name, meanings[i].name) == 0)
			return meanings[i].call(s, args, out);
	return 0;
}
