/* Reading pickles: a machine with a stack and a memo, which makes values and calls nothing.

   All that Python's own readers accept is read, of protocols 0 to 5, but for what needs tables of
   the program: persistent ids, extension codes and buffers outside.

   Nesting costs a place on a stack of its own, and heights are counted as collections are filled: a
   pickle that Python writes fills each before it puts it anywhere.  Where one does not, as with
   cycles, the whole is walked over once at the end. */
#include "wire/pickle.h"
#include <errno.h>

int prongi_reader_bad(const struct prongi_reader *s, const char *what)
{
	prongi_fail(-EBADMSG, "pickle: at byte %zu: %s", (size_t)(s->p - s->start), what);
	return -EBADMSG;
}

/* --- bytes ------------------------------------------------------------------------------------ */

int prongi_reader_take(struct prongi_reader *s, size_t n, const char **from)
{
	if (n > (size_t)(s->end - s->p))
		return prongi_reader_bad(s, "it is cut short");
	*from = s->p;
	s->p += n;
	return 0;
}

static uint64_t little(const char *p, unsigned n)
{
	uint64_t x = 0;

	for (unsigned i = n; i > 0; i--)
		x = x << 8 | (unsigned char)p[i - 1];
	return x;
}

/* A number of n bytes. */
static int take_number(struct prongi_reader *s, unsigned n, uint64_t *out)
{
	const char *p = NULL;
	int r = prongi_reader_take(s, n, &p);

	if (!r)
		*out = little(p, n);
	return r;
}

/* Bytes whose number comes first, in n bytes. */
static int take_counted(struct prongi_reader *s, unsigned n, const char **from, size_t *size)
{
	uint64_t length = 0;
	int r = take_number(s, n, &length);

	if (!r)
		r = length > SIZE_MAX ? prongi_reader_bad(s, "a size beyond memory")
				      : prongi_reader_take(s, (size_t)length, from);
	*size = (size_t)length;
	return r;
}

/* --- the stack -------------------------------------------------------------------------------- */

static int more_stack(struct prongi_reader *s)
{
	size_t room = s->room ? s->room * 2 : 64;
	prong_value **stack =
		prongi_borrow(s->g, s->stack, s->room * sizeof *stack, room * sizeof *stack);

	if (!stack)
		return -ENOMEM;
	s->stack = stack;
	s->room = room;
	return 0;
}

int prongi_reader_too_many(const struct prongi_reader *s)
{
	return prongi_fail(-E2BIG, "pickle: at byte %zu: more than %u values",
			   (size_t)(s->p - s->start), s->max_objects);
}

static int set_mark(struct prongi_reader *s)
{
	if (s->marks == s->mark_room) {
		size_t room = s->mark_room ? s->mark_room * 2 : 16;
		size_t *mark = prongi_borrow(s->g, s->mark, s->mark_room * sizeof *mark,
					     room * sizeof *mark);

		if (!mark)
			return -ENOMEM;
		s->mark = mark;
		s->mark_room = room;
	}
	s->mark[s->marks++] = s->n;
	s->fence = s->n;
	return 0;
}

/* Take the last mark away; store where it was. */
static int take_mark(struct prongi_reader *s, size_t *at)
{
	if (s->marks == 0)
		return prongi_reader_bad(s, "a mark is missing");
	*at = s->mark[--s->marks];
	s->fence = s->marks ? s->mark[s->marks - 1] : 0;
	return 0;
}

static int need(const struct prongi_reader *s, size_t n)
{
	return s->n - s->fence >= n ? 0 : prongi_reader_bad(s, "the stack is too short");
}

/* --- the memo --------------------------------------------------------------------------------- */

static int more_memo(struct prongi_reader *s, uint64_t index)
{
	size_t room = s->memo_room ? s->memo_room * 2 : 64;
	prong_value **memo;

	if (index >= s->max_memo)
		return prongi_fail(-ENOBUFS, "pickle: at byte %zu: place %llu of the memo, of %u",
				   (size_t)(s->p - s->start), (unsigned long long)index,
				   s->max_memo);
	if (room <= index)
		room = (size_t)index + 1;
	memo = prongi_borrow(s->g, s->memo, s->memo_room * sizeof *memo, room * sizeof *memo);
	if (!memo)
		return -ENOMEM;
	memset(memo + s->memo_room, 0, (room - s->memo_room) * sizeof *memo);
	s->memo = memo;
	s->memo_room = room;
	return 0;
}

int prongi_reader_put(struct prongi_reader *s, uint64_t index)
{
	int r = need(s, 1);

	if (!r && index >= s->memo_room)
		r = more_memo(s, index);
	if (r)
		return r;
	s->memo_used += !s->memo[index];
	s->memo[index] = s->stack[s->n - 1];
	if (!(s->memo[index]->flags & PRONGI_STATIC))
		s->memo[index]->flags |= PRONGI_PLACED;
	return 0;
}

int prongi_reader_get(struct prongi_reader *s, uint64_t index)
{
	if (index >= s->memo_room || !s->memo[index])
		return prongi_reader_bad(s, "nothing is in this place of the memo");
	prongi_set_mark(s->memo[index], PRONGI_SHARED);
	return prongi_reader_push(s, s->memo[index]);
}

/* --- leaves ----------------------------------------------------------------------------------- */

int prongi_reader_unicode(struct prongi_reader *s, const char *data, size_t n)
{
	prong_value *v;
	bool ascii;

	if (!prongi_is_text(data, n, &ascii))
		return prongi_reader_bad(s, "text that is not UTF-8");
	v = prongi_data(s->g, PRONG_TEXT, data, n);
	if (v && ascii)
		v->flags |= PRONGI_ASCII;
	return prongi_reader_push(s, v);
}

int prongi_reader_str(struct prongi_reader *s, const char *data, size_t n)
{
	prong_value *v;
	bool ascii;

	if (!prongi_is_text(data, n, &ascii))
		ascii = false;
	v = prongi_data(s->g, ascii ? PRONG_TEXT : PRONG_BYTES, data, n);
	if (v && ascii)
		v->flags |= PRONGI_ASCII | PRONGI_OLD;
	return prongi_reader_push(s, v);
}

static int push_bytes(struct prongi_reader *s, prong_kind kind, const char *data, size_t n)
{
	struct prongi_outside *v;

	if (!s->taken || n < 4096) /* a copy of less is as cheap */
		return prongi_reader_push(s, prongi_data(s->g, kind, data, n));
	v = (void *)prongi_fast_value(s->g, kind, (sizeof *v + 15) & ~(size_t)15);
	if (!v)
		return -ENOMEM;
	v->v.flags = PRONGI_OUTSIDE;
	v->v.size = n;
	v->data = data;
	return prongi_reader_push(s, &v->v);
}

/* Opcodes whose bytes come after their number. */
static int op_counted(struct prongi_reader *s, int op)
{
	unsigned width = op == OP_SHORT_BINUNICODE || op == OP_SHORT_BINBYTES ||
					 op == OP_SHORT_BINSTRING || op == OP_LONG1
				 ? 1
			 : op == OP_BINUNICODE8 || op == OP_BINBYTES8 || op == OP_BYTEARRAY8 ? 8
											     : 4;
	const char *data = NULL;
	size_t n;
	int r = take_counted(s, width, &data, &n);

	if (r)
		return r;
	switch (op) {
	case OP_SHORT_BINUNICODE:
	case OP_BINUNICODE:
	case OP_BINUNICODE8:
		return prongi_reader_unicode(s, data, n);
	case OP_SHORT_BINSTRING:
	case OP_BINSTRING:
		return prongi_reader_str(s, data, n);
	case OP_LONG1:
	case OP_LONG4:
		return prongi_reader_push(s, prongi_big(s->g, (const uint8_t *)data, n));
	case OP_BYTEARRAY8:
		return push_bytes(s, PRONG_BYTEARRAY, data, n);
	default:
		return push_bytes(s, PRONG_BYTES, data, n);
	}
}

static int op_float(struct prongi_reader *s)
{
	uint64_t bits = 0;
	const char *p = NULL;
	double x;
	int r = prongi_reader_take(s, 8, &p);

	if (r)
		return r;
	for (int i = 0; i < 8; i++)
		bits = bits << 8 | (unsigned char)p[i];
	memcpy(&x, &bits, 8);
	return prongi_reader_push(s, prongi_float(s->g, x));
}

/* The commonest of all, so without a loop. */
static inline int op_int(struct prongi_reader *s, unsigned n)
{
	const unsigned char *p = (const unsigned char *)s->p;
	int64_t x;

	if (n > (size_t)(s->end - s->p))
		return prongi_reader_bad(s, "it is cut short");
	if (n == 1)
		x = p[0];
	else if (n == 2)
		x = p[0] | p[1] << 8;
	else
		x = (int32_t)(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
			      (uint32_t)p[3] << 24);
	s->p += n;
	return prongi_reader_push(s, prongi_int(s->g, x));
}

/* --- collections ------------------------------------------------------------------------------ */

int prongi_reader_grown(struct prongi_reader *s, prong_value *v)
{
	if (prongi_items(v)->height >= s->max_depth)
		return prongi_fail(-ELOOP, "pickle: at byte %zu: collections in %u others",
				   (size_t)(s->p - s->start), prongi_items(v)->height);
	s->inexact = s->inexact || v->flags & PRONGI_INSIDE;
	return 0;
}

/* A collection of the items from at on, in their place. */
static int op_collect(struct prongi_reader *s, prong_kind kind, size_t at)
{
	prong_value *v = prongi_collection(s->g, kind);
	int r = 0;

	if (!v)
		return -ENOMEM;
	if (kind == PRONG_FROZENSET) {
		for (size_t i = at; i < s->n && !r; i++)
			r = prongi_insert(s->g, v, s->stack[i], NULL);
		if (r == -EINVAL)
			r = prongi_reader_bad(s, "an element that has no hash");
	} else if (kind != PRONG_DICT) {
		r = prongi_append(s->g, v, s->stack + at, s->n - at);
	} else if ((s->n - at) % 2) {
		r = prongi_reader_bad(s, "a key without a value");
	} else {
		for (size_t i = at; i < s->n && !r; i += 2)
			r = prongi_insert(s->g, v, s->stack[i], s->stack[i + 1]);
		if (r == -EINVAL)
			r = prongi_reader_bad(s, "a key that has no hash");
	}
	if (!r)
		r = prongi_reader_grown(s, v);
	if (r)
		return r;
	s->n = at;
	return prongi_reader_push(s, v);
}

static int op_collect_marked(struct prongi_reader *s, prong_kind kind)
{
	size_t at = 0;
	int r = take_mark(s, &at);

	return r ? r : op_collect(s, kind, at);
}

static int op_tuple(struct prongi_reader *s, size_t n)
{
	int r = need(s, n);

	return r ? r : op_collect(s, PRONG_TUPLE, s->n - n);
}

/* Put the items from at on into what is below them. */
static int add_items(struct prongi_reader *s, int op, size_t at)
{
	prong_value *v = s->stack[at - 1], **item = s->stack + at;
	size_t n = s->n - at;
	bool pairs = op == OP_SETITEMS || op == OP_SETITEM;
	int r = 0;

	if (pairs               ? !prongi_has_pairs(v)
	    : op == OP_ADDITEMS ? v->kind != PRONG_SET
				: v->kind != PRONG_LIST && v->kind != PRONG_OBJECT)
		return prongi_reader_bad(s, "items for what takes no such");
	if (pairs && n % 2)
		return prongi_reader_bad(s, "a key without a value");
	if (!pairs && op != OP_ADDITEMS) {
		r = prongi_append(s->g, v, item, n);
	} else {
		for (size_t i = 0; i < n && !r; i += pairs ? 2 : 1) {
			if (v->kind == PRONG_OBJECT)
				r = prongi_give(s->g, v, item[i], item[i + 1]);
			else
				r = prongi_insert(s->g, v, item[i], pairs ? item[i + 1] : NULL);
		}
		if (r == -EINVAL)
			r = prongi_reader_bad(s, "a key or element that has no hash");
	}
	if (!r && n)
		r = prongi_reader_grown(s, v);
	s->n = at;
	return r;
}

static int op_add(struct prongi_reader *s, int op)
{
	size_t at = 0, n = op == OP_APPEND ? 1 : 2;
	int r;

	if (op == OP_APPEND || op == OP_SETITEM) {
		r = need(s, n + 1);
		at = s->n - n;
	} else {
		r = take_mark(s, &at);
		if (!r && at <= s->fence)
			r = prongi_reader_bad(s, "the stack is too short");
	}
	return r ? r : add_items(s, op, at);
}

/* --- the machine ------------------------------------------------------------------------------ */

static int op_put(struct prongi_reader *s, unsigned n)
{
	uint64_t index = 0;
	int r = take_number(s, n, &index);

	return r ? r : prongi_reader_put(s, index);
}

static int op_get(struct prongi_reader *s, unsigned n)
{
	uint64_t index = 0;
	int r = take_number(s, n, &index);

	return r ? r : prongi_reader_get(s, index);
}

static int op_dup(struct prongi_reader *s)
{
	int r = need(s, 1);

	if (r)
		return r;
	prongi_set_mark(s->stack[s->n - 1], PRONGI_SHARED);
	return prongi_reader_push(s, s->stack[s->n - 1]);
}

static int op_proto(struct prongi_reader *s)
{
	uint64_t protocol = 0;
	int r = take_number(s, 1, &protocol);

	if (!r && protocol > 5)
		r = prongi_fail(-EBADMSG, "pickle: at byte %zu: protocol %u is not known",
				(size_t)(s->p - s->start), (unsigned)protocol);
	s->protocol = (int)protocol;
	return r;
}

static int op_frame(struct prongi_reader *s)
{
	uint64_t size = 0;
	int r = take_number(s, 8, &size);

	if (!r && size > (uint64_t)(s->end - s->p))
		r = prongi_reader_bad(s, "a frame is cut short");
	return r;
}

static int op_pop_mark(struct prongi_reader *s)
{
	size_t at = 0;
	int r = take_mark(s, &at);

	if (!r)
		s->n = at;
	return r;
}

static int op_rare(struct prongi_reader *s, int op)
{
	switch (op) {
	case OP_POP_MARK:
		return op_pop_mark(s);
	case OP_DUP:
		return op_dup(s);
	case OP_PROTO:
		return op_proto(s);
	case OP_FRAME:
		return op_frame(s);
	case OP_PERSID:
	case OP_BINPERSID:
	case OP_EXT1:
	case OP_EXT2:
	case OP_EXT4:
	case OP_NEXT_BUFFER:
	case OP_READONLY_BUFFER:
		return prongi_reader_bad(s, "it refers to something outside of the pickle");
	case OP_FLOAT:
	case OP_INT:
	case OP_LONG:
	case OP_STRING:
	case OP_UNICODE:
	case OP_GET:
	case OP_PUT:
	case OP_GLOBAL:
		return prongi_reader_text(s, op);
	default:
		return prongi_reader_object(s, op);
	}
}

static inline int step(struct prongi_reader *s, int op)
{
	switch (op) {
	case OP_NONE:
		return prongi_reader_push(s, prong_value_new(PRONG_NONE));
	case OP_NEWTRUE:
	case OP_NEWFALSE:
		return prongi_reader_push(s, prong_value_bool(op == OP_NEWTRUE));
	case OP_BININT1:
		return op_int(s, 1);
	case OP_BININT2:
		return op_int(s, 2);
	case OP_BININT:
		return op_int(s, 4);
	case OP_BINFLOAT:
		return op_float(s);
	case OP_SHORT_BINUNICODE:
	case OP_BINUNICODE:
	case OP_BINUNICODE8:
	case OP_SHORT_BINBYTES:
	case OP_BINBYTES:
	case OP_BINBYTES8:
	case OP_BYTEARRAY8:
	case OP_SHORT_BINSTRING:
	case OP_BINSTRING:
	case OP_LONG1:
	case OP_LONG4:
		return op_counted(s, op);
	case OP_MARK:
		return set_mark(s);
	case OP_EMPTY_LIST:
		return op_collect(s, PRONG_LIST, s->n);
	case OP_EMPTY_DICT:
		return op_collect(s, PRONG_DICT, s->n);
	case OP_EMPTY_SET:
		return op_collect(s, PRONG_SET, s->n);
	case OP_EMPTY_TUPLE:
		return op_collect(s, PRONG_TUPLE, s->n);
	case OP_TUPLE1:
	case OP_TUPLE2:
	case OP_TUPLE3:
		return op_tuple(s, (size_t)(op - OP_TUPLE1 + 1));
	case OP_TUPLE:
		return op_collect_marked(s, PRONG_TUPLE);
	case OP_LIST:
		return op_collect_marked(s, PRONG_LIST);
	case OP_DICT:
		return op_collect_marked(s, PRONG_DICT);
	case OP_FROZENSET:
		return op_collect_marked(s, PRONG_FROZENSET);
	case OP_APPEND:
	case OP_APPENDS:
	case OP_SETITEM:
	case OP_SETITEMS:
	case OP_ADDITEMS:
		return op_add(s, op);
	case OP_MEMOIZE:
		return prongi_reader_put(s, s->memo_used);
	case OP_BINPUT:
		return op_put(s, 1);
	case OP_LONG_BINPUT:
		return op_put(s, 4);
	case OP_BINGET:
		return op_get(s, 1);
	case OP_LONG_BINGET:
		return op_get(s, 4);
	default:
		return op_rare(s, op);
	}
}

static int run(struct prongi_reader *s, prong_value **out)
{
	int r = 0, op;

	do {
		if (s->n == s->room)
			r = more_stack(s);
		if (!r && s->p == s->end)
			r = prongi_reader_bad(s, "it ends before its end");
		if (r)
			return r;
		op = (unsigned char)*s->p++;
		if (op == OP_STOP)
			break;
		r = step(s, op);
	} while (!r);
	if (!r)
		r = need(s, 1);
	if (!r && s->p != s->end)
		r = prongi_reader_bad(s, "something follows its end");
	if (!r)
		*out = s->stack[s->n - 1];
	return r;
}

int prongi_pickle_read(struct prongi_input *in, struct prongi_group *g, prong_value **out)
{
	struct prongi_reader s = {
		.g = g,
		.start = in->data,
		.p = in->data,
		.end = in->data + in->size,
		.taken = in->taken,
		.names = in->names,
		.max_objects = in->limits->objects,
		.max_depth = in->limits->depth,
		.max_memo = in->limits->memo,
	};
	int r = run(&s, out);

	if (!r && s.inexact)
		r = prongi_depth(*out, s.max_depth);
	prongi_repay(g, s.stack, s.room * sizeof *s.stack);
	prongi_repay(g, s.mark, s.mark_room * sizeof *s.mark);
	prongi_repay(g, s.memo, s.memo_room * sizeof *s.memo);
	return r;
}
