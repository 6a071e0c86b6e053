/* A prong_value is a piece of data that a Python program understands: nothing, a truth value, a
   number, text, bytes, or a collection of values.  codec.h turns values into bytes and back.

   A value lives in the calling process, outside the heap.  A function that makes one gives the
   caller a reference to it; a function that puts one into another takes that reference over, and
   from then on the item lives as long as what it is in.  So a tree is built in one expression, and
   only its root is freed.  A pointer to a collection stays good when that is put into another; one
   to a number does not, for numbers are copied.

   A value that could not be made is NULL, and NULL may be given wherever a value may: the tree is
   spoilt then, what would be done with it fails with -ENOMEM, and so an error has to be looked for
   once, at the end.

   The same value may be in several places, and even in itself: put another reference there, from
   prong_value_dup().  Memory is given back when the last reference is freed from outside to any of
   the values that were ever put together, so cycles do no harm.  Who replaces items in a
   collection for ever should copy it now and then: what was replaced stays until then.

   Any number of threads may read values, dup and free them at once.  Who changes one must be the
   only one to use it and what it was put together with.  Values need no open family.

   Example:
	prong_value *v = prong_value_new(PRONG_DICT);
	prong_value *squares = prong_value_new(PRONG_LIST);

	for (int64_t i = 0; i < 10; i++)
		prong_value_add(squares, prong_value_int(i * i));
	prong_value_put(v, prong_value_text("squares"), squares);
	r = prong_encode(v, PRONG_PICKLE, &data, &size, NULL);
                                            -ENOMEM if anything was NULL
	prong_value_free(v);                                                  */
#ifndef PRONG_VALUE_H
#define PRONG_VALUE_H

#include <prong/error.h>

PRONG_BEGIN_DECLS

typedef struct prong_value prong_value;

typedef enum prong_kind {
	PRONG_NONE,
	PRONG_BOOL,
	PRONG_INT,       /* of any size */
	PRONG_FLOAT,
	PRONG_TEXT,      /* UTF-8; lone surrogates are encoded in the same way */
	PRONG_BYTES,
	PRONG_BYTEARRAY,
	PRONG_LIST,
	PRONG_TUPLE,
	PRONG_DICT,      /* in order of insertion; keys are unequal, as Python sees it */
	PRONG_SET,       /* likewise */
	PRONG_FROZENSET,
	PRONG_CLASS,     /* the name of a class or function */
	PRONG_OBJECT     /* of a class that C does not know: see object.h */
} prong_kind;

/* Make None, an empty collection, or empty text or bytes; NULL for other kinds, too. */
PRONG_API prong_value *prong_value_new(prong_kind kind);

PRONG_API prong_value *prong_value_bool(bool b);
PRONG_API prong_value *prong_value_int(int64_t n);
PRONG_API prong_value *prong_value_float(double x);

/* Make text: a copy of utf8, or what printf would print.  NULL also when it is not UTF-8. */
PRONG_API prong_value *prong_value_text(const char *utf8);
PRONG_API prong_value *prong_value_textf(const char *format, ...) PRONG_PRINTF(1, 2);

/* Make a value of n bytes, which are copied: of PRONG_TEXT (they may contain NUL), PRONG_BYTES,
   PRONG_BYTEARRAY; of PRONG_INT from its two's complement, the least significant byte first; of
   PRONG_CLASS from its name, "module.name" or, for a class in a class, "module:outer.inner".
   NULL also when they are no such thing; prong_error_detail() says why. */
PRONG_API prong_value *prong_value_bytes(prong_kind kind, const void *data, size_t n);

/* Put item at the end of a list, tuple, set or frozenset, or of what an object was given; into a
   set only if it has no equal there.  Takes item over, on failure too.
   Return 0; and with v spoilt: -ENOMEM (also: item is NULL, or spoilt), -EINVAL (v is not one of
   those, or is a tuple or frozenset that is a key already; or item cannot be in a set, as a list
   cannot), -E2BIG (4,294,967,295 items).  -EINVAL when v is NULL. */
PRONG_API int prong_value_add(prong_value *v, prong_value *item);

/* Put item under key into a dict, or among what an object was given; in place of what is there
   under an equal key.  Takes key and item over, on failure too.  Return as prong_value_add(). */
PRONG_API int prong_value_put(prong_value *v, prong_value *key, prong_value *item);

/* Return another reference to v, or to the value in a tree that v is; NULL for NULL. */
PRONG_API prong_value *prong_value_dup(const prong_value *v);

/* Give a reference up; NULL is fine. */
PRONG_API void prong_value_free(prong_value *v);

PRONG_END_DECLS
#endif
