/* Encoding and decoding: limits, memory, and which format. */
#include "wire/codec.h"
#include <errno.h>
#include <stdlib.h>

/* What a value may take however little is to be decoded. */
#define LEAST ((size_t)1 << 20)

/* What is encoded has so many bytes unless the limits say otherwise. */
#define MOST ((size_t)1 << 30)

static const prong_limits none;

/* What was left at 0 gets its default.  0, -EINVAL. */
static int fill_limits(prong_limits *to, const prong_limits *from, size_t bytes)
{
	*to = from ? *from : none;
	if (to->reserved0_ || to->reserved_[0] || to->reserved_[1] || to->reserved_[2])
		return prongi_fail(-EINVAL, "limits: reserved fields are not zero");
	to->bytes = to->bytes ? to->bytes : bytes;
	if (!to->memory)
		to->memory = to->bytes > SIZE_MAX / 8 ? SIZE_MAX : 4 * to->bytes + LEAST;
	to->depth = to->depth ? to->depth : 10000;
	to->memo = to->memo ? to->memo : 1 << 20;
	to->objects = to->objects ? to->objects : 1 << 22;
	return 0;
}

/* --- encoding --------------------------------------------------------------------------------- */

static int write_as(struct prongi_out *o, const prong_value *v, prong_format format)
{
	switch (format) {
	case PRONG_PICKLE:
		return prongi_pickle_write(o, v, 2, false);
	case PRONG_PICKLE_2:
	case PRONG_PICKLE_3:
	case PRONG_PICKLE_4:
	case PRONG_PICKLE_5:
		return prongi_pickle_write(o, v, (int)format, false);
	case PRONG_JSON:
		return prongi_json_write(o, v);
	case PRONG_REPR:
		return prongi_repr(o, v);
	default:
		return prongi_fail(-EINVAL, "encode: there is no format %d", (int)format);
	}
}

/* out has been written with result r: hand it over, or free it. */
static int hand_over(struct prongi_out *out, int r, void **data, size_t *size)
{
	if (r == -EMSGSIZE)
		prongi_fail(r, "encode: more than %zu bytes", out->limit);
	if (r) {
		free(out->data);
		return r;
	}
	*data = out->data;
	*size = out->n;
	return 0;
}

int prong_encode(const prong_value *v, prong_format format, void **data, size_t *size,
		 const prong_limits *limits)
{
	struct prongi_out out = { .limit = 0 };
	prong_limits l;
	int r = fill_limits(&l, limits, MOST);

	if (r)
		return r;
	if (!data || !size)
		return prongi_fail(-EINVAL, "encode: data or size is NULL");
	if (!v)
		return prongi_fail(-ENOMEM, "encode: the value is NULL");
	out.limit = l.bytes;
	return hand_over(&out, write_as(&out, v, format), data, size);
}

int prongi_encode_either(const prong_value *v, void **data, size_t *size)
{
	struct prongi_out out = { .limit = MOST };

	if (!v)
		return prongi_fail(-ENOMEM, "encode: the value is NULL");
	return hand_over(&out, prongi_pickle_write(&out, v, 2, true), data, size);
}

/* --- decoding --------------------------------------------------------------------------------- */

/* A first chunk that is enough for most. */
static size_t guess(size_t size, size_t most)
{
	size_t n = size < 64 ? 256 : size < 128 << 10 ? size * 4 : 512 << 10;

	return n > most / 2 ? most / 2 : n;
}

static int decode(struct prongi_input *in, prong_format format, prong_value **out)
{
	struct prongi_group *g =
		prongi_group_new(guess(in->size, in->limits->memory), in->limits->memory);
	prong_value *v = NULL;
	int r;

	if (!g)
		return prongi_fail(-ENOMEM, "decode: no memory");
	r = format == PRONG_JSON ? prongi_json_read(in, g, &v) : prongi_pickle_read(in, g, &v);
	if (r == -ENOMEM && g->full)
		r = prongi_fail(-EDQUOT, "decode: the value takes more than %zu bytes",
				in->limits->memory);
	else if (r == -ENOMEM)
		prongi_fail(r, "decode: no memory");
	g->left = SIZE_MAX;
	if (!r && in->taken)
		r = prongi_group_own(g, (void *)(uintptr_t)in->data);
	if (r || v->flags & PRONGI_STATIC)
		prongi_group_drop(g);
	if (!r)
		*out = v;
	return r;
}

static int check_and_decode(prong_value **out, prong_format format, struct prongi_input in,
			    const prong_limits *limits)
{
	size_t size = in.size;
	prong_limits l;
	int r = fill_limits(&l, limits, (size_t)64 << 20);

	if (r)
		return r;
	in.limits = &l;
	if (!out || (!in.data && size))
		return prongi_fail(-EINVAL, "decode: a pointer is NULL");
	if (format != PRONG_JSON &&
	    (format < PRONG_PICKLE || format == 1 || format > PRONG_PICKLE_5))
		return prongi_fail(-EINVAL, "decode: format %d cannot be read", (int)format);
	if (size > l.bytes)
		return prongi_fail(-EMSGSIZE, "decode: %zu bytes are more than %zu", size, l.bytes);
	if (size == 0)
		return prongi_fail(-EBADMSG, "decode: nothing is there");
	return decode(&in, format, out);
}

int prong_decode(prong_value **out, prong_format format, const void *data, size_t size,
		 const prong_limits *limits)
{
	const struct prongi_input in = { .data = data, .size = size };

	return check_and_decode(out, format, in, limits);
}

int prong_decode_take(prong_value **out, prong_format format, void *data, size_t size,
		      const prong_limits *limits)
{
	const struct prongi_input in = { .data = data, .size = size, .taken = true };

	return check_and_decode(out, format, in, limits);
}

/* The value that was read may be large, so the names are not of its group; but as many bytes are
   enough for them. */
int prong_pickle_names(prong_value **out, const void *data, size_t size, const prong_limits *limits)
{
	struct prongi_input in = { .data = data, .size = size };
	prong_value *v, *names = prong_value_new(PRONG_SET);
	int r;

	if (!names)
		return -ENOMEM;
	in.names = names;
	r = out ? check_and_decode(&v, PRONG_PICKLE, in, limits)
		: prongi_fail(-EINVAL, "pickle_names: out is NULL");
	if (r) {
		prong_value_free(names);
		return r;
	}
	prong_value_free(v);
	*out = names;
	return 0;
}
