/* Values as bytes, and back: Python's pickle, and JSON.

   A pickle is a program that Python runs, so Python must not read one from a stranger.  Here
   nothing is ever called, whatever the bytes say: they are either one of the values of value.h, or
   carried as an object (object.h).  A decoder stays within the limits that it is given, and
   neither nesting nor sharing costs it more than the bytes are long.

   Example:
	r = prong_decode(&v, PRONG_PICKLE, data, size, NULL);
	if (r == -EBADMSG)
		warnx("not a pickle: %s", prong_error_detail());
	if (r)
		return r;
	r = prong_encode(v, PRONG_JSON, &text, &length, NULL);
	if (r == PRONG_MISMATCH)
		warnx("it has no JSON form: %s", prong_error_detail());
	prong_value_free(v);                                                  */
#ifndef PRONG_CODEC_H
#define PRONG_CODEC_H

#include <prong/value.h>

PRONG_BEGIN_DECLS

typedef enum prong_format {
	PRONG_PICKLE = 0, /* decode: every protocol.  Encode: 2, which every Python reads */
	PRONG_PICKLE_2 = 2,
	PRONG_PICKLE_3,   /* Python 3.0 and later: bytes as they are */
	PRONG_PICKLE_4,   /* 3.4 and later: sets as they are, sizes above 4 GiB */
	PRONG_PICKLE_5,   /* 3.8 and later: bytearrays as they are */
	PRONG_JSON = 16,  /* RFC 8259, in UTF-8 */
	PRONG_REPR        /* encode only: text for people */
} prong_format;

/* All-zero means the defaults. */
typedef struct prong_limits {
	size_t bytes;     /* of the encoded form; 0: 64 MiB to decode, 1 GiB to encode */
	size_t memory;    /* decode: for values and the decoder's stack; 0: 4 * bytes + 1 MiB */
	uint32_t depth;   /* decode: collections in each other; 0: 10,000 */
	uint32_t memo;    /* decode: what a pickle remembers; 0: 1 << 20 */
	uint32_t objects; /* decode: values, and references to them; 0: 1 << 22 */
	uint32_t reserved0_;
	uint64_t reserved_[3]; /* must be zero */
} prong_limits;

/* Encode v into memory from malloc(), which the caller frees.
   JSON: an object has text for keys, tuples become arrays, a lone surrogate is "\ud800", and what
   is shared is written as often.  Return 0, -ENOMEM (also: v is NULL or spoilt), -EINVAL (format,
   limits), -EMSGSIZE (beyond limits->bytes), -ELOOP (a value is part of itself in a way that the
   format cannot say: JSON never, pickle through tuples alone), PRONG_MISMATCH (what JSON has no
   form for: sets, bytes, nan, keys other than text; what protocol 2 or 3 has none for: text or
   bytes from 4 GiB, and in 2 a class whose module is named as one of Python 2's that got another
   name).  prong_error_detail() says what and where. */
PRONG_MUST int prong_encode(const prong_value *v, prong_format format, void **data, size_t *size,
			    const prong_limits *limits);

/* Decode exactly size bytes and store the value, which the caller frees.  data is not needed
   afterwards.
   Return 0, -EBADMSG (malformed, or cut; the detail says at which offset), -ENOMEM, -EINVAL; and
   for each limit: -EMSGSIZE (bytes), -EDQUOT (memory), -ELOOP (depth), -ENOBUFS (memo), -E2BIG
   (objects). */
PRONG_MUST int prong_decode(prong_value **out, prong_format format, const void *data, size_t size,
			    const prong_limits *limits);

/* The same, but on success take data over, which is from malloc() and is freed with the value:
   large bytes are not copied. */
PRONG_MUST int prong_decode_take(prong_value **out, prong_format format, void *data, size_t size,
				 const prong_limits *limits);

/* Read a pickle as prong_decode() does, and store a set of text, which the caller frees: the names
   "module.name", in Python 3's spelling, of all classes and functions that Python would look up to
   load it, in the order in which it would; those too of which the value that prong_decode() makes
   shows nothing, as of what is called and dropped.  So the pickle may be given to Python when all
   that these can do, with any arguments, is harmless; and not when it is refused here, for Python
   would run it up to where it is wrong.  Return as prong_decode(). */
PRONG_MUST int prong_pickle_names(prong_value **out, const void *data, size_t size,
				  const prong_limits *limits);

PRONG_END_DECLS
#endif
