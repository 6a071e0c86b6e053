/* Looking into a prong_value.  Nothing here changes it or gives a reference away; what is returned
   lives as long as v.  v may be NULL, and is None then: so one look goes through another without
   tests in between.

   Example:
	const prong_value *squares = prong_value_find(v, "squares");
	int64_t n, sum = 0;

	for (size_t i = 0; i < prong_value_count(squares); i++) {
		r = prong_value_as_int(prong_value_at(squares, i), &n);
		if (r)
			return r;                           no int, or too big
		sum += n;
	}                                                                     */
#ifndef PRONG_READ_H
#define PRONG_READ_H

#include <prong/value.h>

PRONG_BEGIN_DECLS

PRONG_API prong_kind prong_value_kind(const prong_value *v);

/* Store v's number in *out.  A truth value is 0 or 1, and as_float takes an int, rounded as Python
   does; nothing else is converted.
   Return 0, PRONG_MISMATCH (of another kind), -ERANGE (an int that does not fit). */
PRONG_MUST int prong_value_as_int(const prong_value *v, int64_t *out);
PRONG_MUST int prong_value_as_float(const prong_value *v, double *out);

/* Return the bytes of text, with a NUL after them, of bytes and bytearrays, and of an int that
   does not fit into 64 bits, as prong_value_bytes() takes it; and their number in *n, unless n is
   NULL.  NULL, and 0, for anything else. */
PRONG_API const char *prong_value_data(const prong_value *v, size_t *n);

/* Return how many items v has: of a collection, or those that an object was given. */
PRONG_API size_t prong_value_count(const prong_value *v);

/* Return the i-th item, and the key of a dict's or an object's i-th; NULL when there is none. */
PRONG_API const prong_value *prong_value_at(const prong_value *v, size_t i);
PRONG_API const prong_value *prong_value_key(const prong_value *v, size_t i);

/* Return what is in a dict under the text key, or under a key that equals key; of a set, its
   element that equals key.  NULL when there is none. */
PRONG_API const prong_value *prong_value_find(const prong_value *v, const char *key);
PRONG_API const prong_value *prong_value_lookup(const prong_value *v, const prong_value *key);

/* Return true when a and b are equal as in Python: True, 1 and 1.0 are, a set and a frozenset may
   be, the order in dicts and sets is of no matter, nan is equal to nothing but itself, the same
   value.  Where Python would go round in a cycle for ever, nothing that differs means equal.
   Objects are equal when all that is known of them is; as keys, when that holds in their order.
   Takes time in proportion to the size, whatever is shared.  False also when memory is short. */
PRONG_API bool prong_value_equal(const prong_value *a, const prong_value *b);

/* Write v as Python's repr would into buf, cut to size bytes with its NUL; what is cut ends with
   "...".  Return the length of what was written.  For all of it, prong_encode() with PRONG_REPR. */
PRONG_API size_t prong_value_print(const prong_value *v, char *buf, size_t size);

PRONG_END_DECLS
#endif
