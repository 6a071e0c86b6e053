/* What the encoders and decoders share. */
#ifndef PRONGI_CODEC_H
#define PRONGI_CODEC_H

#include "wire/value.h"
#include <prong/codec.h>
#include <string.h>

/* --- out.c: bytes that grow ------------------------------------------------------------------- */

struct prongi_out {
	char *data;
	size_t n, room;
	size_t limit; /* of n */
	bool fixed;   /* data is the caller's, room bytes */
	int r;        /* 0, -ENOMEM, -EMSGSIZE: from then on nothing is written */
};

/* Room for n more bytes; NULL: there is an error.  The caller fills them in and adds to n. */
char *prongi_out_more(struct prongi_out *o, size_t n);

static inline char *prongi_out_room(struct prongi_out *o, size_t n)
{
	return n <= o->room - o->n ? o->data + o->n : prongi_out_more(o, n);
}

static inline void prongi_out_byte(struct prongi_out *o, int c)
{
	char *p = prongi_out_room(o, 1);

	if (p) {
		*p = (char)c;
		o->n++;
	}
}

static inline void prongi_out_bytes(struct prongi_out *o, const void *data, size_t n)
{
	char *p = n ? prongi_out_room(o, n) : NULL;

	if (p) {
		memcpy(p, data, n);
		o->n += n;
	}
}

static inline void prongi_out_text(struct prongi_out *o, const char *text)
{
	prongi_out_bytes(o, text, strlen(text));
}

/* --- one walk that ends, for who writes text -------------------------------------------------- */

/* A collection that is open, and which of its items comes next. */
struct prongi_frame {
	const prong_value *v;
	size_t next;
};

struct prongi_walk {
	struct prongi_stack stack; /* struct prongi_frame */
	struct prongi_marks open;  /* of those that are shared: 1 while they are on the stack */
};

/* Open v.  0, -ENOMEM, -ELOOP: it is open already. */
int prongi_walk_open(struct prongi_walk *w, const prong_value *v);
struct prongi_frame *prongi_walk_top(struct prongi_walk *w);
void prongi_walk_close(struct prongi_walk *w);
void prongi_walk_free(struct prongi_walk *w);

/* --- where.c: where in a value something is wrong --------------------------------------------- */

/* All-zero: in no collection.  The text is at the end. */
struct prongi_where {
	size_t n;
	bool cut;
	char text[80];
};

/* That is in the i-th part of v; who is in several says so from the innermost on. */
void prongi_where_in(struct prongi_where *w, const prong_value *v, size_t i);

/* prongi_fail() with what is wrong, and where. */
int prongi_where_fail(const struct prongi_where *w, int r, const char *what);

/* --- the formats ------------------------------------------------------------------------------ */

/* Write v; the error is the return value, o->r is looked at by the caller too. */
int prongi_repr(struct prongi_out *o, const prong_value *v);
int prongi_json_write(struct prongi_out *o, const prong_value *v);
int prongi_pickle_write(struct prongi_out *o, const prong_value *v, int protocol, bool either);

/* As prong_encode() in protocol 2, for who may be Python 2 or 3: what Python 2 has no name for is
   not called by the nearest that it has, which to Python 3 would be another. */
int prongi_encode_either(const prong_value *v, void **data, size_t *size);

struct prongi_input {
	const char *data;
	size_t size;
	bool taken; /* the values may point into data */
	const prong_limits *limits;
	uint32_t objects;   /* so far */
	prong_value *names; /* NULL, or a set that all names of classes are put into */
};

/* Read one value into g. */
int prongi_json_read(struct prongi_input *in, struct prongi_group *g, prong_value **out);
int prongi_pickle_read(struct prongi_input *in, struct prongi_group *g, prong_value **out);

/* --- names.c: Python 2's and Python 3's ------------------------------------------------------- */

struct prongi_name {
	const char *module, *name;
};

/* What Python 3 calls this, when it differs; else false. */
bool prongi_name_new(const char *module, size_t module_size, const char *name, size_t name_size,
		     struct prongi_name *out);

/* What protocol 2 calls it; with nearest, also where that is another, which comes nearest. */
bool prongi_name_old(const char *module, size_t module_size, const char *name, size_t name_size,
		     bool nearest, struct prongi_name *out);

#endif
