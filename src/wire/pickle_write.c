/* Writing pickles: the order in which a graph is written.

   A list, dict or set is made first and filled afterwards; tuples, frozensets and objects are made
   of what is in them, and an object is changed afterwards.  So a cycle is written by a reference to
   what has been made already, if it goes through something that is filled.  Only what is shared
   needs a place in the reader's memo, and it is known what is.

   A tuple may be met again while its items are being written: t = ([t],).  Then it is made at once,
   urgently: lists in it are made empty, to be filled at the very end, and when the first one is
   complete it is thrown away for the second.  Python makes one for each way to it instead, which is
   quadratic.  For that all collections within such a tuple are remembered, shared or not. */
#include "wire/pickle_write.h"
#include <errno.h>
#include <stdlib.h>

#define OPEN   UINT32_MAX       /* instead of a place in the memo: it is being made */
#define URGENT (UINT32_MAX - 1) /* and for the second time */
#define BATCH  1000 /* items that are put in at once: the reader's stack is not endless */

struct frame {
	const prong_value *v;
	size_t next;
	size_t batch; /* items since the mark */
	bool fill;    /* it is made */
	bool urgent, careful, deferred;
	bool effect; /* a call that is made for what it does, and dropped */
};

static struct frame *top(struct prongi_writer *w)
{
	return (struct frame *)(void *)w->stack.top + w->stack.n - 1;
}

static void op(struct prongi_writer *w, int code)
{
	prongi_out_byte(w->o, code);
}

/* --- where it is ------------------------------------------------------------------------------ */

/* The part of an object that f is at. */
static void where_in_object(struct prongi_where *where, const struct frame *f)
{
	const struct prongi_object *x = prongi_as_object(f->v);
	size_t i = f->next - 1, items = 2 * (size_t)f->v->count;

	if (!f->fill && f->v->how == PRONGI_INSTANCE && i > 0) {
		prongi_where_in(where, x->args, i - 1);
		i = PRONGI_ARGS;
	} else if (f->fill && i < items) {
		i += PRONGI_OBJECT_PARTS;
	} else if (f->fill && i == items) {
		i = PRONGI_STATE;
	} else if (f->fill) {
		prongi_where_in(where, x->setter, i - items - 1);
		i = PRONGI_SETTER;
	}
	prongi_where_in(where, f->v, i);
}

int prongi_write_fail(struct prongi_writer *w, int r, const char *what)
{
	struct prongi_where where = { .n = 0 };
	const struct frame *f = (const void *)w->stack.top;

	for (size_t i = w->stack.n; i > 0 && !where.cut; i--) {
		if (f[i - 1].v->kind == PRONG_OBJECT)
			where_in_object(&where, &f[i - 1]);
		else
			prongi_where_in(&where, f[i - 1].v, f[i - 1].next - 1);
	}
	return prongi_where_fail(&where, r, what);
}

/* --- what is made of its parts ---------------------------------------------------------------- */

static bool is_set(const prong_value *v)
{
	return v->kind == PRONG_SET || v->kind == PRONG_FROZENSET;
}

static bool is_filled(const struct prongi_writer *w, const prong_value *v)
{
	return v->kind == PRONG_LIST || v->kind == PRONG_DICT ||
	       (v->kind == PRONG_SET && w->protocol >= 4);
}

/* The parts that an object is made of, not those that it is given. */
static size_t parts_to_make(const prong_value *v)
{
	return v->kind != PRONG_OBJECT ? v->count : prongi_as_object(v)->kwargs ? 3 : 2;
}

static bool needs_mark(const struct prongi_writer *w, const prong_value *v)
{
	if (v->kind == PRONG_TUPLE)
		return v->count > 3;
	return is_set(v) ? w->protocol >= 4 : v->how == PRONGI_INSTANCE;
}

static bool new_ex(const struct prongi_writer *w, const prong_value *v)
{
	return v->kind == PRONG_OBJECT && prongi_as_object(v)->kwargs && w->protocol < 4;
}

/* What comes before the parts. */
static void begin_making(struct prongi_writer *w, const prong_value *v)
{
	if (needs_mark(w, v)) {
		op(w, OP_MARK);
	} else if (is_set(v)) {
		prongi_write_helper(w, v->kind == PRONG_SET ? HELP_SET : HELP_FROZENSET);
		op(w, OP_EMPTY_LIST);
		op(w, OP_MARK);
	} else if (new_ex(w, v)) {
		prongi_write_helper(w, HELP_NEW_EX);
	}
}

/* What comes after them. */
static void end_making(struct prongi_writer *w, const prong_value *v)
{
	static const int tuples[] = { OP_EMPTY_TUPLE, OP_TUPLE1, OP_TUPLE2, OP_TUPLE3 };
	bool kwargs = v->kind == PRONG_OBJECT && prongi_as_object(v)->kwargs;

	if (v->kind == PRONG_TUPLE) {
		op(w, v->count > 3 ? OP_TUPLE : tuples[v->count]);
	} else if (is_set(v) && w->protocol >= 4) {
		op(w, OP_FROZENSET);
	} else if (is_set(v)) {
		op(w, OP_APPENDS);
		op(w, OP_TUPLE1);
		op(w, OP_REDUCE);
	} else if (new_ex(w, v)) {
		op(w, OP_TUPLE3);
		op(w, OP_REDUCE);
	} else {
		op(w, v->how == PRONGI_INSTANCE ? OP_OBJ
		      : v->how == PRONGI_CALL   ? OP_REDUCE
		      : kwargs                  ? OP_NEWOBJ_EX
						: OP_NEWOBJ);
	}
}

/* The parts are on the reader's stack and are not wanted. */
static void drop_parts(struct prongi_writer *w, const prong_value *v)
{
	size_t n = parts_to_make(v) + new_ex(w, v);

	if (needs_mark(w, v) || is_set(v)) {
		op(w, OP_POP_MARK);
		n = is_set(v) && w->protocol < 4 ? 2 : 0;
	}
	while (n-- > 0)
		op(w, OP_POP);
}

/* An instance has its arguments after the mark, not as a tuple. */
static const prong_value *part_to_make(const prong_value *v, size_t i)
{
	const struct prongi_object *x = prongi_as_object(v);

	if (v->kind == PRONG_OBJECT && v->how == PRONGI_INSTANCE && i > 0)
		return i <= x->args->count ? prongi_items(x->args)->item[i - 1] : NULL;
	return i < parts_to_make(v) ? prongi_part(v, i) : NULL;
}

/* --- what is filled --------------------------------------------------------------------------- */

static bool has_more(const struct prongi_writer *w, const prong_value *v)
{
	const struct prongi_object *x = prongi_as_object(v);

	if (v->kind == PRONG_OBJECT)
		return v->count || x->state || x->setter;
	return is_filled(w, v) && v->count > 0;
}

/* The i-th thing that an object is given: its items, key by key; its state; what else. */
static const prong_value *given(const prong_value *v, size_t i)
{
	const struct prongi_object *x = prongi_as_object(v);
	size_t items = 2 * (size_t)v->count;

	if (i < items)
		return x->items.item[i];
	if (i == items)
		return x->state;
	i -= items + 1;
	return x->setter && i < x->setter->count ? prongi_items(x->setter)->item[i] : NULL;
}

/* The opcodes after what has been written and before the i-th; the same for any object. */
static void between_given(struct prongi_writer *w, struct frame *f, size_t i)
{
	const struct prongi_object *x = prongi_as_object(f->v);
	size_t items = 2 * (size_t)f->v->count;

	if (i > 0 && i <= items && i % 2 == 0)
		op(w, x->items.item[i - 2] ? OP_SETITEM : OP_APPEND);
	else if (i == items + 1 && x->state)
		op(w, OP_BUILD);
	else if (i > items + 1)
		op(w, OP_POP);
}

static const prong_value *next_given(struct prongi_writer *w, struct frame *f)
{
	const struct prongi_object *x = prongi_as_object(f->v);
	size_t last = 2 * (size_t)f->v->count + 1 + (x->setter ? x->setter->count : 0);
	const prong_value *part = NULL;

	while (!part && f->next <= last) {
		between_given(w, f, f->next);
		part = f->next < last ? given(f->v, f->next) : NULL;
		f->next++;
	}
	return part;
}

static void end_batch(struct prongi_writer *w, struct frame *f)
{
	static const int one[] = { [PRONG_LIST] = OP_APPEND, [PRONG_DICT] = OP_SETITEM };
	static const int many[] = {
		[PRONG_LIST] = OP_APPENDS, [PRONG_DICT] = OP_SETITEMS, [PRONG_SET] = OP_ADDITEMS
	};

	if (f->batch == 0)
		return;
	op(w, f->v->count == 1 && f->v->kind != PRONG_SET ? one[f->v->kind] : many[f->v->kind]);
	f->batch = 0;
}

/* The next of the items that is a collection; leaves are written on the way. */
static const prong_value *next_item(struct prongi_writer *w, struct frame *f, int *r)
{
	size_t n = prongi_parts(f->v);
	prong_value *const *item = prongi_items(f->v)->item;
	size_t batch = f->v->kind == PRONG_DICT ? 2 * BATCH : BATCH;

	while (f->next < n && !*r && !w->o->r) {
		const prong_value *v = item[f->next];

		if (f->batch == batch)
			end_batch(w, f);
		if (f->batch++ == 0 && (f->v->count > 1 || f->v->kind == PRONG_SET))
			op(w, OP_MARK);
		f->next++;
		if (prongi_is_collection(v))
			return v;
		*r = prongi_write_leaf(w, v);
	}
	end_batch(w, f);
	return NULL;
}

/* --- the walk --------------------------------------------------------------------------------- */

static int push(struct prongi_writer *w, const prong_value *v, bool fill)
{
	struct frame *f = prongi_push(&w->stack);

	if (!f)
		return -ENOMEM;
	*f = (struct frame){ .v = v, .fill = fill };
	return 0;
}

/* Give v, which has just been made, a place in the memo; and fill it, now or later. */
static int made(struct prongi_writer *w, const prong_value *v)
{
	bool later = w->urgent > 0 && has_more(w, v);
	const prong_value **d;
	int r = 0;

	if (prongi_has_mark(v, PRONGI_SHARED) || w->careful || w->urgent ||
	    (v->kind == PRONG_OBJECT && prongi_as_object(v)->setter))
		r = prongi_write_put(w, v);
	if (r || !has_more(w, v))
		return r;
	if (!later)
		return push(w, v, true);
	d = prongi_push(&w->deferred);
	if (d)
		*d = v;
	return d ? 0 : -ENOMEM;
}

/* Begin to make v of its parts; *state is OPEN when it has been begun already. */
static int make(struct prongi_writer *w, const prong_value *v, uint32_t *state)
{
	bool again = state && *state == OPEN, shared = prongi_has_mark(v, PRONGI_SHARED);
	struct frame *f;
	int r;

	if (state && *state == URGENT)
		return prongi_write_fail(w, -ELOOP,
					 "pickle: a tuple, or what an object is made "
					 "of, is part of itself");
	if (!state && (shared || w->careful)) {
		state = prongi_marks_at(&w->memo, v, OPEN);
		if (!state)
			return -ENOMEM;
	}
	if (state)
		*state = again || w->urgent ? URGENT : OPEN;
	r = push(w, v, false);
	if (r)
		return r;
	f = top(w);
	f->urgent = again || w->urgent;
	f->careful = shared;
	w->urgent += f->urgent;
	w->careful += f->careful;
	begin_making(w, v);
	return 0;
}

static int begin(struct prongi_writer *w, const prong_value *v)
{
	uint32_t *place = NULL;

	if (v->flags & PRONGI_SPOILT)
		return prongi_write_fail(w, -ENOMEM, "pickle: a value is spoilt");
	if (!prongi_is_collection(v))
		return prongi_write_leaf(w, v);
	if (prongi_has_mark(v, PRONGI_SHARED) || w->careful || w->urgent)
		place = prongi_marks_find(&w->memo, v);
	if (place && *place < URGENT) {
		prongi_write_get(w, *place);
		return 0;
	}
	if (!is_filled(w, v))
		return make(w, v, place);
	op(w, v->kind == PRONG_LIST   ? OP_EMPTY_LIST
	      : v->kind == PRONG_DICT ? OP_EMPTY_DICT
				      : OP_EMPTY_SET);
	return made(w, v);
}

static int begin_effect(struct prongi_writer *w, const prong_value *v)
{
	size_t n = w->stack.n;
	int r = begin(w, v);

	if (!r && w->stack.n > n)
		top(w)->effect = true;
	return r;
}

/* All parts of the top are written: it is made, unless it has been in the meantime. */
static int finish_making(struct prongi_writer *w)
{
	struct frame f = *top(w);
	uint32_t *place = prongi_marks_find(&w->memo, f.v);
	int r = 0;

	w->stack.n--;
	if (place && *place < URGENT) {
		drop_parts(w, f.v);
		prongi_write_get(w, *place);
	} else {
		end_making(w, f.v);
		r = f.effect ? 0 : made(w, f.v); /* the reader knows it by having no place */
	}
	w->urgent -= f.urgent;
	w->careful -= f.careful;
	return r;
}

static int step(struct prongi_writer *w)
{
	struct frame *f = top(w);
	const prong_value *part;
	int r = 0;

	if (!f->fill)
		part = part_to_make(f->v, f->next++);
	else if (f->v->kind == PRONG_OBJECT)
		part = next_given(w, f);
	else
		part = next_item(w, f, &r);
	if (r)
		return r;
	if (part && f->fill && f->v->kind == PRONG_OBJECT && f->next > 2 * (size_t)f->v->count + 1)
		return begin_effect(w, part);
	if (part)
		return begin(w, part);
	if (!f->fill)
		return finish_making(w);
	if (f->deferred)
		op(w, OP_POP);
	w->stack.n--;
	return 0;
}

/* Fill what was made in a hurry. */
static int next_deferred(struct prongi_writer *w)
{
	const prong_value *v = ((const prong_value **)(void *)w->deferred.top)[--w->deferred.n];
	int r = push(w, v, true);

	if (r)
		return r;
	top(w)->deferred = true;
	prongi_write_get(w, *prongi_marks_find(&w->memo, v));
	return 0;
}

int prongi_pickle_write(struct prongi_out *o, const prong_value *v, int protocol, bool either)
{
	struct prongi_writer w = { .o = o,
				   .protocol = protocol,
				   .either = either,
				   .stack = { .size = sizeof(struct frame) },
				   .deferred = { .size = sizeof(const prong_value *) } };
	int r;

	op(&w, OP_PROTO);
	op(&w, protocol);
	r = begin(&w, v);
	while (!r && !o->r && (w.stack.n > 0 || w.deferred.n > 0))
		r = w.stack.n > 0 ? step(&w) : next_deferred(&w);
	op(&w, OP_STOP);
	prongi_stack_free(&w.stack);
	prongi_stack_free(&w.deferred);
	prongi_marks_free(&w.memo);
	return r ? r : o->r;
}
