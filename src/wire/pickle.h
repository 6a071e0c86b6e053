/* Pickle's opcodes, and the machine that reads them. */
#ifndef PRONGI_PICKLE_H
#define PRONGI_PICKLE_H

#include "wire/codec.h"
#include <errno.h>

enum prongi_op {
	OP_MARK = '(',
	OP_STOP = '.',
	OP_POP = '0',
	OP_POP_MARK = '1',
	OP_DUP = '2',
	OP_FLOAT = 'F',
	OP_INT = 'I',
	OP_BININT = 'J',
	OP_BININT1 = 'K',
	OP_LONG = 'L',
	OP_BININT2 = 'M',
	OP_NONE = 'N',
	OP_PERSID = 'P',
	OP_BINPERSID = 'Q',
	OP_REDUCE = 'R',
	OP_STRING = 'S',
	OP_BINSTRING = 'T',
	OP_SHORT_BINSTRING = 'U',
	OP_UNICODE = 'V',
	OP_BINUNICODE = 'X',
	OP_APPEND = 'a',
	OP_BUILD = 'b',
	OP_GLOBAL = 'c',
	OP_DICT = 'd',
	OP_APPENDS = 'e',
	OP_GET = 'g',
	OP_BINGET = 'h',
	OP_INST = 'i',
	OP_LONG_BINGET = 'j',
	OP_LIST = 'l',
	OP_OBJ = 'o',
	OP_PUT = 'p',
	OP_BINPUT = 'q',
	OP_LONG_BINPUT = 'r',
	OP_SETITEM = 's',
	OP_TUPLE = 't',
	OP_SETITEMS = 'u',
	OP_EMPTY_DICT = '}',
	OP_EMPTY_LIST = ']',
	OP_EMPTY_TUPLE = ')',
	OP_BINFLOAT = 'G',
	OP_BINBYTES = 'B',
	OP_SHORT_BINBYTES = 'C',
	OP_PROTO = 0x80,
	OP_NEWOBJ = 0x81,
	OP_EXT1 = 0x82,
	OP_EXT2 = 0x83,
	OP_EXT4 = 0x84,
	OP_TUPLE1 = 0x85,
	OP_TUPLE2 = 0x86,
	OP_TUPLE3 = 0x87,
	OP_NEWTRUE = 0x88,
	OP_NEWFALSE = 0x89,
	OP_LONG1 = 0x8a,
	OP_LONG4 = 0x8b,
	OP_SHORT_BINUNICODE = 0x8c,
	OP_BINUNICODE8 = 0x8d,
	OP_BINBYTES8 = 0x8e,
	OP_EMPTY_SET = 0x8f,
	OP_ADDITEMS = 0x90,
	OP_FROZENSET = 0x91,
	OP_NEWOBJ_EX = 0x92,
	OP_STACK_GLOBAL = 0x93,
	OP_MEMOIZE = 0x94,
	OP_FRAME = 0x95,
	OP_BYTEARRAY8 = 0x96,
	OP_NEXT_BUFFER = 0x97,
	OP_READONLY_BUFFER = 0x98
};

struct prongi_reader {
	struct prongi_group *g;
	const char *start, *p, *end;
	bool taken;         /* values may point into the input */
	prong_value *names; /* of the input */
	int protocol;
	uint32_t objects, max_objects, max_depth, max_memo;
	bool inexact; /* something changed that was in something already: heights may be too low */

	prong_value **stack;
	size_t n, room;
	size_t *mark; /* how high the stack was */
	size_t marks, mark_room;
	size_t fence; /* the last of those, or 0: nothing below may be taken */

	prong_value **memo;
	size_t memo_room, memo_used;
};

/* -EBADMSG, with the place and what. */
int prongi_reader_bad(const struct prongi_reader *s, const char *what);

/* Put v on the stack, where there is room for one each time an opcode begins; NULL: -ENOMEM. */
int prongi_reader_too_many(const struct prongi_reader *s);
static inline int prongi_reader_push(struct prongi_reader *s, prong_value *v)
{
	if (!v)
		return -ENOMEM;
	if (++s->objects > s->max_objects)
		return prongi_reader_too_many(s);
	s->stack[s->n++] = v;
	return 0;
}

/* The next n bytes, which *from is set to.  0, -EBADMSG. */
int prongi_reader_take(struct prongi_reader *s, size_t n, const char **from);

/* What follows an opcode of protocol 0: one line, or two. */
int prongi_reader_text(struct prongi_reader *s, int op);

/* The memo. */
int prongi_reader_put(struct prongi_reader *s, uint64_t index);
int prongi_reader_get(struct prongi_reader *s, uint64_t index);

/* Make the class that module and name say, in the protocol's spelling, and push it. */
int prongi_reader_class(struct prongi_reader *s, const char *module, size_t module_size,
			const char *name, size_t name_size);

/* Push text or bytes, of Python 2's str: which of both, its content tells. */
int prongi_reader_str(struct prongi_reader *s, const char *data, size_t n);

/* Text, checked. */
int prongi_reader_unicode(struct prongi_reader *s, const char *data, size_t n);

/* v has new items: look at its height. */
int prongi_reader_grown(struct prongi_reader *s, prong_value *v);

/* Call callable with args, or rather: if that has a meaning here, store what it gives, else an
   object.  pickle_mean.c. */
int prongi_reader_call(struct prongi_reader *s, prong_value *callable, prong_value *args,
		       prong_value **out);

/* Opcodes that make objects and change them.  pickle_object.c. */
int prongi_reader_object(struct prongi_reader *s, int op);

#endif
