/* Making values.  The public functions make a group for each value; the prongi_ ones put it into a
   group that there is. */
#include "wire/value.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONSTANT(kind_, number) \
	{ \
		.kind = (kind_), .flags = PRONGI_STATIC, .i = (number) \
	}
#define ONE(n)        CONSTANT(PRONG_INT, n)
#define FOUR(n)       ONE(n), ONE((n) + 1), ONE((n) + 2), ONE((n) + 3)
#define SIXTEEN(n)    FOUR(n), FOUR((n) + 4), FOUR((n) + 8), FOUR((n) + 12)
#define SIXTY_FOUR(n) SIXTEEN(n), SIXTEEN((n) + 16), SIXTEEN((n) + 32), SIXTEEN((n) + 48)
#define TWO_HUNDRED(n) \
	SIXTY_FOUR(n), SIXTY_FOUR((n) + 64), SIXTY_FOUR((n) + 128), SIXTY_FOUR((n) + 192)

const prong_value prongi_none = CONSTANT(PRONG_NONE, 0);
const prong_value prongi_false = CONSTANT(PRONG_BOOL, 0);
const prong_value prongi_true = CONSTANT(PRONG_BOOL, 1);
const prong_value prongi_small[] = {
	TWO_HUNDRED(PRONGI_SMALL_MIN),
	TWO_HUNDRED(0),
	TWO_HUNDRED(256),
	TWO_HUNDRED(512),
	TWO_HUNDRED(768),
};

/* What is constant is never written to; only its type says that it might be. */
static prong_value *constant(const prong_value *v)
{
	return (prong_value *)(uintptr_t)v;
}

static prong_value *no_memory(void)
{
	prongi_fail(-ENOMEM, "value: no memory");
	return NULL;
}

/* --- in a group ------------------------------------------------------------------------------- */

prong_value *prongi_float(struct prongi_group *g, double x)
{
	prong_value *v = prongi_fast_value(g, PRONG_FLOAT, sizeof *v);

	if (v)
		v->f = x;
	return v;
}

prong_value *prongi_data(struct prongi_group *g, prong_kind kind, const void *data, size_t n)
{
	struct prongi_data *v;

	if (n > SIZE_MAX / 4)
		return NULL;
	v = (void *)prongi_fast_value(g, kind, prongi_data_size(n));
	if (!v)
		return NULL;
	v->v.size = n;
	if (n)
		memcpy(v->data, data, n);
	v->data[n] = 0;
	return &v->v;
}

prong_value *prongi_big(struct prongi_group *g, const uint8_t *p, size_t n)
{
	uint64_t bits;
	prong_value *v;

	n = n ? prongi_big_trim(p, n) : 0;
	if (n <= 8) {
		bits = n && p[n - 1] >= 0x80 ? UINT64_MAX : 0;
		for (size_t i = n; i > 0; i--)
			bits = bits << 8 | p[i - 1];
		return prongi_int(g, (int64_t)bits);
	}
	v = prongi_data(g, PRONG_INT, p, n);
	if (v)
		v->flags |= PRONGI_BIG;
	return v;
}

/* As data: "module", NUL, "module.name". */
prong_value *prongi_class(struct prongi_group *g, const char *module, size_t module_size,
			  const char *name, size_t name_size)
{
	size_t n = 2 * module_size + 2 + name_size;
	struct prongi_data *v;

	v = (void *)prongi_fast_value(g, PRONG_CLASS, prongi_data_size(n));
	if (!v)
		return NULL;
	v->v.size = n;
	memcpy(v->data, module, module_size);
	v->data[module_size] = 0;
	memcpy(v->data + module_size + 1, module, module_size);
	v->data[2 * module_size + 1] = '.';
	memcpy(v->data + 2 * module_size + 2, name, name_size);
	v->data[n] = 0;
	return &v->v;
}

bool prongi_is_name(const char *module, size_t module_size, const char *name, size_t name_size)
{
	bool dot = true;

	if (module_size == 0 || memchr(module, 0, module_size) || memchr(module, '\n', module_size))
		return false;
	for (size_t i = 0; i < name_size; i++) {
		if (!name[i] || name[i] == '\n' || (dot && name[i] == '.'))
			return false;
		dot = name[i] == '.';
	}
	return !dot;
}

const char *prongi_class_module(const prong_value *v, size_t *n)
{
	const char *p = prongi_bytes(v);

	*n = strlen(p);
	return p;
}

const char *prongi_class_name(const prong_value *v, size_t *n)
{
	size_t module = strlen(prongi_bytes(v));

	*n = v->size - 2 * module - 2;
	return prongi_bytes(v) + 2 * module + 2;
}

prong_value *prongi_collection(struct prongi_group *g, prong_kind kind)
{
	switch (kind) {
	case PRONG_LIST:
		return prongi_alloc_value(g, kind, sizeof(struct prongi_items));
	case PRONG_TUPLE:
		return prongi_alloc_value(g, kind, sizeof(struct prongi_tuple));
	case PRONG_OBJECT:
		return prongi_alloc_value(g, kind, sizeof(struct prongi_object));
	default:
		return prongi_alloc_value(g, kind, sizeof(struct prongi_table));
	}
}

prong_value *prongi_object(struct prongi_group *g, enum prongi_how how, prong_value *callable,
			   prong_value *args, prong_value *kwargs)
{
	struct prongi_object *v = (void *)prongi_collection(g, PRONG_OBJECT);

	if (!v)
		return NULL;
	v->items.v.how = (uint8_t)how;
	v->callable = callable;
	v->args = args;
	v->kwargs = kwargs;
	prongi_embed(&v->items, callable);
	if (args)
		prongi_embed(&v->items, args);
	if (kwargs)
		prongi_embed(&v->items, kwargs);
	return &v->items.v;
}

void prongi_embed(struct prongi_items *v, prong_value *item)
{
	if (!prongi_is_collection(item))
		return;
	if (v->height <= prongi_items(item)->height)
		v->height = prongi_items(item)->height + 1;
	item->flags |= PRONGI_INSIDE;
	v->v.flags |= item->flags & PRONGI_SPOILT;
}

/* --- items ------------------------------------------------------------------------------------ */

int prongi_append(struct prongi_group *g, prong_value *v, prong_value *const *items, size_t n)
{
	struct prongi_items *to = prongi_items(v);
	bool pairs = v->kind == PRONG_OBJECT;
	int r = prongi_room(g, to, n, pairs ? 2 : 1);
	prong_value **item = to->item;

	if (r)
		return r;
	for (size_t i = 0; i < n; i++)
		prongi_embed(to, items[i]);
	if (!pairs && n)
		memcpy(item + v->count, items, n * sizeof *items);
	for (size_t i = 0; pairs && i < n; i++) {
		item[2 * (v->count + i)] = NULL;
		item[2 * (v->count + i) + 1] = items[i];
	}
	v->count += (uint32_t)n;
	return 0;
}

int prongi_give(struct prongi_group *g, prong_value *v, prong_value *key, prong_value *item)
{
	struct prongi_items *to = prongi_items(v);
	int r = prongi_room(g, to, 1, 2);

	if (r)
		return r;
	to->item[2 * v->count] = key;
	to->item[2 * v->count + 1] = item;
	v->count++;
	prongi_embed(to, key);
	prongi_embed(to, item);
	return 0;
}

int prongi_insert(struct prongi_group *g, prong_value *v, prong_value *key, prong_value *item)
{
	struct prongi_table *t = (struct prongi_table *)v;
	unsigned stride = item ? 2 : 1;
	size_t found;
	int r = prongi_room(g, &t->items, 1, stride);

	if (!r)
		r = prongi_key_add(g, t, key, &found);
	if (!r && prongi_has_mark(v, PRONGI_KEY))
		r = prongi_fail(-EINVAL, "value: a frozenset would be in itself");
	if (r)
		return r;
	if (found == SIZE_MAX) {
		found = v->count++;
		t->items.item[stride * found] = key;
		prongi_embed(&t->items, key);
	}
	if (item) {
		t->items.item[2 * found + 1] = item;
		prongi_embed(&t->items, item);
	}
	return 0;
}

/* --- for everyone ----------------------------------------------------------------------------- */

prong_value *prong_value_new(prong_kind kind)
{
	struct prongi_group *g;
	prong_value *v;

	if (kind == PRONG_NONE)
		return constant(&prongi_none);
	if (kind == PRONG_TEXT || kind == PRONG_BYTES || kind == PRONG_BYTEARRAY)
		return prong_value_bytes(kind, NULL, 0);
	if (kind < PRONG_LIST || kind > PRONG_FROZENSET) {
		prongi_fail(-EINVAL, "value_new: %s (kind %d) has no empty one",
			    prongi_kind_name(kind), (int)kind);
		return NULL;
	}
	g = prongi_group_new(224, SIZE_MAX);
	if (!g)
		return no_memory();
	v = prongi_collection(g, kind);
	return v;
}

prong_value *prong_value_bool(bool b)
{
	return constant(b ? &prongi_true : &prongi_false);
}

prong_value *prong_value_int(int64_t n)
{
	struct prongi_group *g;

	if (n >= PRONGI_SMALL_MIN && n <= PRONGI_SMALL_MAX)
		return prongi_int(NULL, n);
	g = prongi_group_new(sizeof(prong_value), SIZE_MAX);
	return g ? prongi_int(g, n) : no_memory();
}

prong_value *prong_value_float(double x)
{
	struct prongi_group *g = prongi_group_new(sizeof(prong_value), SIZE_MAX);

	return g ? prongi_float(g, x) : no_memory();
}

prong_value *prong_value_text(const char *utf8)
{
	return utf8 ? prong_value_bytes(PRONG_TEXT, utf8, strlen(utf8)) : NULL;
}

prong_value *prong_value_textf(const char *format, ...)
{
	prong_value *v = NULL;
	char small[256], *text = small;
	va_list args;
	int n;

	if (!format)
		return NULL;
	va_start(args, format);
	n = vsnprintf(small, sizeof small, format, args);
	va_end(args);
	if (n >= (int)sizeof small) {
		text = malloc((size_t)n + 1);
		if (!text)
			return no_memory();
		va_start(args, format);
		vsnprintf(text, (size_t)n + 1, format, args);
		va_end(args);
	}
	if (n >= 0)
		v = prong_value_bytes(PRONG_TEXT, text, (size_t)n);
	if (text != small)
		free(text);
	return v;
}

/* "module.name" or "module:name.name" apart. */
static prong_value *class_of(struct prongi_group *g, const char *name, size_t n)
{
	const char *split = memchr(name, ':', n), *end = name + n;

	for (const char *p = end; !split && p > name; p--)
		if (p[-1] == '.')
			split = p - 1;
	if (!split ||
	    !prongi_is_name(name, (size_t)(split - name), split + 1, (size_t)(end - split - 1)))
		return NULL;
	return prongi_class(g, name, (size_t)(split - name), split + 1, (size_t)(end - split - 1));
}

/* Explain; the text may be anything. */
static void no_name(const char *text, size_t n)
{
	struct prongi_outside v = {
		.v = { .kind = PRONG_TEXT, .flags = PRONGI_STATIC | PRONGI_OUTSIDE, .size = n },
		.data = text
	};
	char shown[72];

	prong_value_print(&v.v, shown, sizeof shown);
	prongi_fail(-EINVAL, "value: %s is no name of a class", shown);
}

prong_value *prong_value_bytes(prong_kind kind, const void *data, size_t n)
{
	bool text = kind == PRONG_TEXT || kind == PRONG_CLASS, ascii = false;
	struct prongi_group *g;
	prong_value *v;

	if (!text && kind != PRONG_BYTES && kind != PRONG_BYTEARRAY && kind != PRONG_INT) {
		prongi_fail(-EINVAL, "value_bytes: %s (kind %d) is not made of bytes",
			    prongi_kind_name(kind), (int)kind);
		return NULL;
	}
	if (!data && n) {
		prongi_fail(-EINVAL, "value_bytes: data is NULL, and n is not 0");
		return NULL;
	}
	if (text && !prongi_is_text(data ? data : "", n, &ascii)) {
		prongi_fail(-EINVAL, "value: the text is not UTF-8 at byte %zu of %zu",
			    prongi_text_valid(data, n), n);
		return NULL;
	}
	g = n < SIZE_MAX / 4 ? prongi_group_new(prongi_data_size(n), SIZE_MAX) : NULL;
	if (!g)
		return no_memory();
	if (kind == PRONG_INT)
		v = prongi_big(g, data, n);
	else if (kind == PRONG_CLASS)
		v = class_of(g, data, n);
	else
		v = prongi_data(g, kind, data, n);
	if (!v && kind == PRONG_CLASS)
		no_name(data ? data : "", n);
	if (v && ascii && kind == PRONG_TEXT)
		v->flags |= PRONGI_ASCII;
	if (!v || v->flags & PRONGI_STATIC)
		prongi_group_drop(g);
	return v;
}

prong_value *prong_value_dup(const prong_value *v)
{
	prong_value *w = (prong_value *)(uintptr_t)v;

	if (!v || v->flags & PRONGI_STATIC)
		return w;
	prongi_set_mark(v, PRONGI_SHARED);
	atomic_fetch_add_explicit(&prongi_group_of(v)->refs, 1, memory_order_relaxed);
	return w;
}

void prong_value_free(prong_value *v)
{
	if (v && !(v->flags & PRONGI_STATIC))
		prongi_group_drop(prongi_group_of(v));
}

/* --- putting together ------------------------------------------------------------------------- */

/* Drop what was to be put into v, and spoil it. */
static int spoil(prong_value *v, prong_value *key, prong_value *item, int r)
{
	if (v && !(v->flags & PRONGI_STATIC))
		v->flags |= PRONGI_SPOILT;
	prong_value_free(key);
	prong_value_free(item);
	return r;
}

static int why_not(const prong_value *v, const char *what)
{
	if (!v)
		return prongi_fail(-EINVAL, "%s: the collection is NULL", what);
	if (prongi_has_mark(v, PRONGI_KEY))
		return prongi_fail(-EINVAL, "%s: this tuple or frozenset is a key already", what);
	return prongi_fail(-EINVAL, "%s: the value is of kind %s, and takes no such items", what,
			   prongi_kind_name((prong_kind)v->kind));
}

/* A number of a group of its own goes over into v's: else a list of numbers would be as many
   chunks, each with a head that is larger than the number.  True when it has: *item is another. */
static bool settle(struct prongi_group *g, prong_value **item)
{
	prong_value *from = *item, *to;
	struct prongi_group *own;

	if ((from->kind != PRONG_INT && from->kind != PRONG_FLOAT) ||
	    from->flags & (PRONGI_STATIC | PRONGI_BIG) || prongi_has_mark(from, PRONGI_SHARED))
		return false;
	own = prongi_group_of(from);
	to = own == g || own->chunks > 1 ? NULL : prongi_fast_value(g, from->kind, sizeof *to);
	if (!to)
		return false;
	to->i = from->i;
	*item = to;
	prongi_group_drop(own);
	return true;
}

/* item is in v now: they are one group. */
static void settled(prong_value *v, prong_value *item, bool already)
{
	if (!already)
		prongi_join(v, item);
}

int prong_value_add(prong_value *v, prong_value *item)
{
	bool set = v && (v->kind == PRONG_SET || v->kind == PRONG_FROZENSET), fits, there;
	struct prongi_group *g;
	int r;

	fits = set ||
	       (v && (v->kind == PRONG_LIST || v->kind == PRONG_TUPLE || v->kind == PRONG_OBJECT));
	if (!fits || prongi_has_mark(v, PRONGI_KEY))
		return spoil(v, NULL, item, why_not(v, "value_add"));
	if (!item || item->flags & PRONGI_SPOILT)
		return spoil(v, NULL, item, prongi_fail(-ENOMEM, "value_add: the item is spoilt"));
	g = prongi_group_of(v);
	there = settle(g, &item);
	r = set ? prongi_insert(g, v, item, NULL) : prongi_append(g, v, &item, 1);
	if (r)
		return spoil(v, NULL, there ? NULL : item, r);
	settled(v, item, there);
	return 0;
}

int prong_value_put(prong_value *v, prong_value *key, prong_value *item)
{
	struct prongi_group *g;
	bool key_there, there;
	int r;

	if (!v || !prongi_has_pairs(v))
		return spoil(v, key, item, why_not(v, "value_put"));
	if (!key || !item || (key->flags | item->flags) & PRONGI_SPOILT)
		return spoil(v, key, item, prongi_fail(-ENOMEM, "value_put: an item is spoilt"));
	g = prongi_group_of(v);
	key_there = settle(g, &key);
	there = settle(g, &item);
	r = v->kind == PRONG_DICT ? prongi_insert(g, v, key, item) : prongi_give(g, v, key, item);
	if (r)
		return spoil(v, key_there ? NULL : key, there ? NULL : item, r);
	settled(v, key, key_there);
	settled(v, item, there);
	return 0;
}
