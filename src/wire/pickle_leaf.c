/* Writing pickles: what is no collection. */
#include "wire/pickle_write.h"
#include <errno.h>
#include <stdio.h>

/* --- bytes ------------------------------------------------------------------------------------ */

static void put_little(struct prongi_out *o, uint64_t x, unsigned n)
{
	char *p = prongi_out_room(o, 8);

	if (!p)
		return;
	for (unsigned i = 0; i < n; i++)
		p[i] = (char)(x >> (8 * i));
	o->n += n;
}

/* An opcode, a number of n bytes. */
static void put_op(struct prongi_out *o, int op, uint64_t x, unsigned n)
{
	prongi_out_byte(o, op);
	put_little(o, x, n);
}

/* Text: its size, not its bytes. */
static int put_text_size(struct prongi_writer *w, uint64_t n)
{
	if (w->protocol >= 4 && n < 256)
		put_op(w->o, OP_SHORT_BINUNICODE, n, 1);
	else if (n <= UINT32_MAX)
		put_op(w->o, OP_BINUNICODE, n, 4);
	else if (w->protocol >= 4)
		put_op(w->o, OP_BINUNICODE8, n, 8);
	else
		return prongi_write_fail(w, PRONG_MISMATCH,
					 "pickle: text of 4 GiB and more needs protocol 4");
	return 0;
}

static int put_text(struct prongi_writer *w, const char *p, size_t n)
{
	int r = put_text_size(w, n);

	prongi_out_bytes(w->o, p, n);
	return r;
}

/* Text that was Python 2's str, and is ASCII, is so again; to Python 3 it is the same. */
static int put_str(struct prongi_writer *w, const prong_value *v)
{
	if (w->protocol >= 3 || !(v->flags & PRONGI_OLD) || v->size > INT32_MAX)
		return put_text(w, prongi_bytes(v), v->size);
	if (v->size < 256)
		put_op(w->o, OP_SHORT_BINSTRING, v->size, 1);
	else
		put_op(w->o, OP_BINSTRING, v->size, 4);
	prongi_out_bytes(w->o, prongi_bytes(v), v->size);
	return 0;
}

/* --- the memo --------------------------------------------------------------------------------- */

static void put_place(struct prongi_writer *w)
{
	if (w->protocol >= 4)
		prongi_out_byte(w->o, OP_MEMOIZE);
	else if (w->places < 256)
		put_op(w->o, OP_BINPUT, w->places, 1);
	else
		put_op(w->o, OP_LONG_BINPUT, w->places, 4);
	w->places++;
}

int prongi_write_put(struct prongi_writer *w, const prong_value *v)
{
	uint32_t *mark = prongi_marks_at(&w->memo, v, 0);

	if (!mark)
		return -ENOMEM;
	*mark = w->places;
	put_place(w);
	return 0;
}

void prongi_write_get(struct prongi_writer *w, uint32_t place)
{
	if (place < 256)
		put_op(w->o, OP_BINGET, place, 1);
	else
		put_op(w->o, OP_LONG_BINGET, place, 4);
}

/* --- names ------------------------------------------------------------------------------------ */

/* A name without dots. */
static void put_global(struct prongi_writer *w, const char *module, size_t module_size,
		       const char *name, size_t name_size)
{
	struct prongi_name old;

	if (w->protocol >= 4) {
		put_text(w, module, module_size);
		put_text(w, name, name_size);
		prongi_out_byte(w->o, OP_STACK_GLOBAL);
		return;
	}
	if (w->protocol < 3 &&
	    prongi_name_old(module, module_size, name, name_size, !w->either, &old)) {
		module = old.module;
		module_size = strlen(module);
		name_size = old.name ? strlen(old.name) : name_size;
		name = old.name ? old.name : name;
	}
	prongi_out_byte(w->o, OP_GLOBAL);
	prongi_out_bytes(w->o, module, module_size);
	prongi_out_byte(w->o, '\n');
	prongi_out_bytes(w->o, name, name_size);
	prongi_out_byte(w->o, '\n');
}

void prongi_write_helper(struct prongi_writer *w, enum prongi_helper which)
{
	static const struct prongi_name names[HELPERS] = {
		[HELP_ENCODE] = { "_codecs", "encode" },
		[HELP_BYTEARRAY] = { "builtins", "bytearray" },
		[HELP_BYTES] = { "builtins", "bytes" },
		[HELP_SET] = { "builtins", "set" },
		[HELP_FROZENSET] = { "builtins", "frozenset" },
		[HELP_GETATTR] = { "builtins", "getattr" },
		[HELP_NEW_EX] = { "copyreg", "__newobj_ex__" },
	};
	const struct prongi_name *name = &names[which];

	if (w->helper[which]) {
		prongi_write_get(w, w->helper[which] - 1);
		return;
	}
	put_global(w, name->module, strlen(name->module), name->name, strlen(name->name));
	put_place(w);
	w->helper[which] = w->places;
}

/* In protocol 2 Python 3 reads some names as others, those of Python 2's modules.  Who has such a
   name, and does not mean that, cannot be written. */
static bool is_misread(const struct prongi_writer *w, const char *module, size_t module_size,
		       const char *name, size_t name_size)
{
	struct prongi_name other;

	return w->protocol < 3 &&
	       !prongi_name_old(module, module_size, name, name_size, true, &other) &&
	       prongi_name_new(module, module_size, name, name_size, &other);
}

static int other_module(struct prongi_writer *w, const prong_value *v)
{
	char name[48], what[100];

	prong_value_print(v, name, sizeof name);
	snprintf(what, sizeof what, "pickle: protocol 2 takes %s for one of Python 2's", name);
	return prongi_write_fail(w, PRONG_MISMATCH, what);
}

/* A class.  Below protocol 4, one in another is asked of that: getattr(outer, 'name'). */
static int put_class(struct prongi_writer *w, const prong_value *v)
{
	bool old = w->protocol < 3 && (v->flags & PRONGI_OLD);
	size_t module_size, n;
	const char *module = prongi_class_module(v, &module_size);
	const char *name = prongi_class_name(v, &n), *end = name + n, *dot;
	int r = 0;

	if (old) {
		prongi_out_text(w->o, "c__builtin__\nstr\n");
		return 0;
	}
	dot = w->protocol < 4 ? memchr(name, '.', n) : NULL;
	if (is_misread(w, module, module_size, name, dot ? (size_t)(dot - name) : n))
		return other_module(w, v);
	for (const char *p = dot; p && p < end; p++)
		if (*p == '.')
			prongi_write_helper(w, HELP_GETATTR);
	put_global(w, module, module_size, name, dot ? (size_t)(dot - name) : n);
	while (dot && !r) {
		name = dot + 1;
		dot = memchr(name, '.', (size_t)(end - name));
		r = put_text(w, name, (size_t)((dot ? dot : end) - name));
		prongi_out_byte(w->o, OP_TUPLE2);
		prongi_out_byte(w->o, OP_REDUCE);
	}
	return r;
}

/* --- bytes of Python's ------------------------------------------------------------------------ */

/* The text in which each character is a byte. */
static int put_latin1(struct prongi_writer *w, const unsigned char *p, size_t n)
{
	size_t high = 0;
	char *to;
	int r;

	for (size_t i = 0; i < n; i++)
		high += p[i] >> 7;
	r = put_text_size(w, (uint64_t)n + high);
	to = r ? NULL : prongi_out_room(w->o, n + high);
	if (!to)
		return r;
	w->o->n += n + high;
	for (size_t i = 0; i < n; i++) {
		if (p[i] >> 7)
			*to++ = (char)(0xc0 | p[i] >> 6);
		*to++ = (char)(p[i] >> 7 ? 0x80 | (p[i] & 0x3f) : p[i]);
	}
	return 0;
}

static void put_word_latin1(struct prongi_writer *w)
{
	if (w->latin1) {
		prongi_write_get(w, w->latin1 - 1);
		return;
	}
	put_text(w, "latin1", 6);
	put_place(w);
	w->latin1 = w->places;
}

/* As text that Python 3 encodes, and that is the same bytes to Python 2. */
static int put_old_bytes(struct prongi_writer *w, const prong_value *v)
{
	bool array = v->kind == PRONG_BYTEARRAY;
	int r;

	if (v->size == 0) {
		prongi_write_helper(w, array ? HELP_BYTEARRAY : HELP_BYTES);
		prongi_out_byte(w->o, OP_EMPTY_TUPLE);
		prongi_out_byte(w->o, OP_REDUCE);
		return 0;
	}
	prongi_write_helper(w, array ? HELP_BYTEARRAY : HELP_ENCODE);
	r = put_latin1(w, (const unsigned char *)prongi_bytes(v), v->size);
	put_word_latin1(w);
	prongi_out_byte(w->o, OP_TUPLE2);
	prongi_out_byte(w->o, OP_REDUCE);
	return r;
}

static int put_bytes(struct prongi_writer *w, const prong_value *v)
{
	bool array = v->kind == PRONG_BYTEARRAY;

	if (w->protocol < 3)
		return put_old_bytes(w, v);
	if (w->protocol < 4 && v->size > UINT32_MAX)
		return prongi_write_fail(w, PRONG_MISMATCH,
					 "pickle: bytes of 4 GiB and more need protocol 4");
	if (array && w->protocol < 5)
		prongi_write_helper(w, HELP_BYTEARRAY);
	if (array && w->protocol >= 5)
		put_op(w->o, OP_BYTEARRAY8, v->size, 8);
	else if (v->size < 256)
		put_op(w->o, OP_SHORT_BINBYTES, v->size, 1);
	else if (v->size <= UINT32_MAX)
		put_op(w->o, OP_BINBYTES, v->size, 4);
	else
		put_op(w->o, OP_BINBYTES8, v->size, 8);
	prongi_out_bytes(w->o, prongi_bytes(v), v->size);
	if (array && w->protocol < 5) {
		prongi_out_byte(w->o, OP_TUPLE1);
		prongi_out_byte(w->o, OP_REDUCE);
	}
	return 0;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void put_long(struct prongi_writer *w, const char *p, size_t n)
{
	if (n < 256)
		put_op(w->o, OP_LONG1, n, 1);
	else
		put_op(w->o, OP_LONG4, n, 4);
	prongi_out_bytes(w->o, p, n);
}

static int put_int(struct prongi_writer *w, const prong_value *v)
{
	uint8_t bytes[8];

	if (v->flags & PRONGI_BIG) {
		if (v->size > INT32_MAX)
			return prongi_write_fail(w, PRONG_MISMATCH,
						 "pickle: an int of 2 GiB and more");
		put_long(w, prongi_bytes(v), v->size);
	} else if (v->i >= 0 && v->i < 256) {
		put_op(w->o, OP_BININT1, (uint64_t)v->i, 1);
	} else if (v->i >= 0 && v->i < 65536) {
		put_op(w->o, OP_BININT2, (uint64_t)v->i, 2);
	} else if (v->i >= INT32_MIN && v->i <= INT32_MAX) {
		put_op(w->o, OP_BININT, (uint64_t)v->i, 4);
	} else {
		for (int i = 0; i < 8; i++)
			bytes[i] = (uint8_t)((uint64_t)v->i >> (8 * i));
		put_long(w, (char *)bytes, prongi_big_trim(bytes, 8));
	}
	return 0;
}

static void put_float(struct prongi_writer *w, double x)
{
	char *p = prongi_out_room(w->o, 9);
	uint64_t bits;

	if (!p)
		return;
	memcpy(&bits, &x, 8);
	*p++ = OP_BINFLOAT;
	for (int i = 7; i >= 0; i--)
		*p++ = (char)(bits >> (8 * i));
	w->o->n += 9;
}

int prongi_write_leaf(struct prongi_writer *w, const prong_value *v)
{
	uint32_t *place;
	int r;

	switch ((prong_kind)v->kind) {
	case PRONG_NONE:
		prongi_out_byte(w->o, OP_NONE);
		return 0;
	case PRONG_BOOL:
		prongi_out_byte(w->o, v->i ? OP_NEWTRUE : OP_NEWFALSE);
		return 0;
	case PRONG_INT:
		return put_int(w, v);
	case PRONG_FLOAT:
		put_float(w, v->f);
		return 0;
	default:
		break;
	}
	place = prongi_has_mark(v, PRONGI_SHARED) ? prongi_marks_find(&w->memo, v) : NULL;
	if (place) {
		prongi_write_get(w, *place);
		return 0;
	}
	r = v->kind == PRONG_TEXT    ? put_str(w, v)
	    : v->kind == PRONG_CLASS ? put_class(w, v)
				     : put_bytes(w, v);
	if (!r && prongi_has_mark(v, PRONGI_SHARED))
		r = prongi_write_put(w, v);
	return r;
}
