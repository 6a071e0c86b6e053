/* Python's list and Array. */
#include "manager/types.h"
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>

struct list {
	struct prongi_row row;
	char typecode; /* of an Array; else 0 */
};

/* --- indices ------------------------------------------------------------------------- */

/* Which items an argument means; false: the call is answered. */
static bool span_of(prong_call *c, const prong_value *v, const char *range, struct prongi_span *out)
{
	const struct list *l = c->self;
	const int64_t n = (int64_t)l->row.n;
	const char *class = prong_value_kind(v) == PRONG_OBJECT ? prong_value_class(v) : NULL;
	char buf[PRONGI_NAME_MOST];
	int64_t i;

	if (class && strcmp(class, "builtins.slice") == 0) {
		if (prongi_span_of_slice(v, n, out))
			return true;
		prong_call_raise(c, "ValueError", "slice indices must be ints, and its step not 0");
		return false;
	}
	if (prong_value_kind(v) != PRONG_INT && prong_value_kind(v) != PRONG_BOOL) {
		prong_call_raise(c, "TypeError", "list indices must be integers or slices, not %s",
				 prongi_class_of(v, buf));
		return false;
	}
	if (prong_value_as_int(v, &i) || i < -n || i >= n) {
		prong_call_raise(c, "IndexError", "%s", range);
		return false;
	}
	*out = (struct prongi_span){ .first = i < 0 ? i + n : i, .step = 1, .n = 1, .one = true };
	return true;
}

static struct prongi_item *item_at(const struct list *l, const struct prongi_span *s, size_t i)
{
	return prongi_row_at(&l->row, (size_t)(s->first + (int64_t)i * s->step));
}

/* --- reading ---------------------------------------------------------------------------- */

static int answer_length(prong_call *c)
{
	const struct list *l = c->self;

	return prong_call_return(c, prong_value_int((int64_t)l->row.n));
}

/* The items as a list; of an Array as array.array(code, list). */
static int answer_items(prong_call *c, const struct list *l, const struct prongi_span *s)
{
	struct prongi_out *o = prongi_call_begin(c, PRONGI_RETURN);

	if (l->typecode) {
		prongi_out_text(o, "carray\narray\n");
		prongi_say_text(o, c->protocol, &l->typecode, 1);
	}
	prongi_row_say(o, c->protocol, &l->row, s->first, s->step, s->n);
	if (l->typecode)
		prongi_out_text(o, "\x86R");
	return prongi_call_end(c);
}

static int answer_all(prong_call *c)
{
	const struct list *l = c->self;

	return answer_items(c, l, &(struct prongi_span){ .step = 1, .n = l->row.n });
}

static int get_item(prong_call *c)
{
	const struct list *l = c->self;
	struct prongi_span s;

	if (!span_of(c, prong_call_value(c, "key"),
		     l->typecode ? "array index out of range" : "list index out of range", &s))
		return 0;
	return s.one ? prongi_call_item(c, item_at(l, &s, 0)) : answer_items(c, l, &s);
}

static int contains(prong_call *c)
{
	const struct list *l = c->self;
	const prong_value *v = prong_call_value(c, "value");
	size_t i = 0;

	while (i < l->row.n && !prongi_item_equals(prongi_row_at(&l->row, i), v))
		i++;
	return prong_call_return(c, prong_value_bool(i < l->row.n));
}

static int count(prong_call *c)
{
	const struct list *l = c->self;
	const prong_value *v = prong_call_value(c, "value");
	int64_t n = 0;

	for (size_t i = 0; i < l->row.n; i++)
		n += prongi_item_equals(prongi_row_at(&l->row, i), v);
	return prong_call_return(c, prong_value_int(n));
}

static int list_index(prong_call *c)
{
	const struct list *l = c->self;
	const prong_value *v = prong_call_value(c, "value");
	const int64_t n = (int64_t)l->row.n;
	int64_t first = prong_call_int(c, "start"), end = prong_call_int(c, "stop");
	char text[100];

	first = prongi_clamp(first < 0 ? first + n : first, 0, n);
	end = prongi_clamp(end < 0 ? end + n : end, 0, n);
	for (; first < end; first++)
		if (prongi_item_equals(prongi_row_at(&l->row, (size_t)first), v))
			return prong_call_return(c, prong_value_int(first));
	prong_value_print(v, text, sizeof text);
	return prong_call_raise(c, "ValueError", "%s is not in list", text);
}

static int reversed(prong_call *c)
{
	const struct list *l = c->self;
	struct prongi_out *o = prongi_call_begin(c, PRONGI_RETURN);

	prongi_out_text(o, c->protocol < 3 ? "c__builtin__\nreversed\n" : "cbuiltins\nreversed\n");
	prongi_row_say(o, c->protocol, &l->row, 0, 1, l->row.n);
	prongi_out_text(o, "\x85R");
	return prongi_call_end(c);
}

static int add(prong_call *c)
{
	const struct list *l = c->self;
	const prong_value *v = prong_call_value(c, "value");
	char buf[PRONGI_NAME_MOST];
	struct prongi_out *o;

	if (prong_value_kind(v) != PRONG_LIST)
		return prong_call_raise(c, "TypeError",
					"can only concatenate list (not \"%s\") to list",
					prongi_class_of(v, buf));
	o = prongi_call_begin(c, PRONGI_RETURN);
	prongi_row_say(o, c->protocol, &l->row, 0, 1, l->row.n);
	prongi_out_byte(o, '(');
	for (size_t i = 0; i < prong_value_count(v); i++)
		prongi_say_value(o, c->protocol, prong_value_at(v, i));
	prongi_out_byte(o, 'e');
	return prongi_call_end(c);
}

static int multiply(prong_call *c)
{
	const struct list *l = c->self;
	const int64_t n = prong_call_int(c, "n");
	struct prongi_out *o = prongi_call_begin(c, PRONGI_RETURN);

	prongi_out_byte(o, ']');
	for (int64_t i = 0; i < n && o->r == 0 && l->row.n; i++) {
		prongi_out_byte(o, '(');
		for (size_t k = 0; k < l->row.n; k++)
			prongi_say_item(o, c->protocol, prongi_row_at(&l->row, k));
		prongi_out_byte(o, 'e');
	}
	return prongi_call_end(c);
}

/* --- changing --------------------------------------------------------------------------- */

static int insert_at(prong_call *c, size_t i)
{
	struct list *l = c->self;
	struct prongi_item item;
	int r = prongi_keep(c, prong_call_value(c, "item"), &item);

	if (r == 0 && prongi_row_put(&l->row, i, item)) {
		prongi_let(c->guest->m, &item);
		r = -ENOMEM;
	}
	return r ? r : prongi_call_none(c);
}

static int append(prong_call *c)
{
	const struct list *l = c->self;

	return insert_at(c, l->row.n);
}

static int insert(prong_call *c)
{
	const struct list *l = c->self;
	const int64_t n = (int64_t)l->row.n, i = prong_call_int(c, "index");

	return insert_at(c, (size_t)prongi_clamp(i < 0 ? i + n : i, 0, n));
}

/* Put what is in a row, of which nothing is left, at place i. */
static int put_row(prong_call *c, size_t i, struct prongi_row *from)
{
	struct list *l = c->self;
	int r = 0;

	while (r == 0 && from->n) {
		r = prongi_row_put(&l->row, i++, *prongi_row_at(from, 0));
		if (r == 0)
			prongi_row_take(from, 0);
	}
	prongi_row_free(c->guest->m, from);
	return r;
}

static int extend(prong_call *c)
{
	const struct list *l = c->self;
	struct prongi_row more;
	int r = prongi_row_of(c, prong_call_value(c, "iterable"), &more);

	if (r)
		return r;
	r = put_row(c, l->row.n, &more);
	return r ? r : prongi_call_none(c);
}

static void take_out(prong_call *c, size_t i)
{
	struct list *l = c->self;
	struct prongi_item item = prongi_row_take(&l->row, i);

	prongi_let(c->guest->m, &item);
}

/* Those of a span, from the last on. */
static void take_span(prong_call *c, const struct prongi_span *s)
{
	for (size_t k = 0; k < s->n; k++) {
		size_t i = s->step > 0 ? s->n - 1 - k : k;

		take_out(c, (size_t)(s->first + (int64_t)i * s->step));
	}
}

static int delete_item(prong_call *c)
{
	struct prongi_span s;

	if (!span_of(c, prong_call_value(c, "key"), "list assignment index out of range", &s))
		return 0;
	take_span(c, &s);
	return prongi_call_none(c);
}

/* One after the other in the places of others. */
static int set_each(prong_call *c, const struct prongi_span *s, struct prongi_row *new)
{
	struct list *l = c->self;

	if (new->n != s->n) {
		prong_call_raise(c, "ValueError",
				 "attempt to assign sequence of size %zu to extended slice of size "
				 "%zu",
				 new->n, s->n);
		prongi_row_free(c->guest->m, new);
		return 0;
	}
	for (size_t i = 0; i < s->n; i++) {
		struct prongi_item *at = item_at(l, s, i);

		prongi_let(c->guest->m, at);
		*at = prongi_row_take(new, 0);
	}
	prongi_row_free(c->guest->m, new);
	return prongi_call_none(c);
}

static int set_slice(prong_call *c, const struct prongi_span *s, const prong_value *v)
{
	const struct list *l = c->self;
	struct prongi_row new;
	int r;

	for (size_t i = 0; l->typecode && i < prong_value_count(v); i++)
		if (!prongi_suits(c, l->typecode, prong_value_at(v, i)))
			return 0;
	r = prongi_row_of(c, v, &new);
	if (r)
		return r;
	if (s->step != 1 || l->typecode)
		return set_each(c, s, &new);
	take_span(c, s);
	r = put_row(c, (size_t)s->first, &new);
	return r ? r : prongi_call_none(c);
}

static int set_item(prong_call *c)
{
	struct list *l = c->self;
	const prong_value *v = prong_call_value(c, "value");
	struct prongi_item item;
	struct prongi_span s;
	int r;

	if (!span_of(c, prong_call_value(c, "key"), "list assignment index out of range", &s))
		return 0;
	if (!s.one)
		return set_slice(c, &s, v);
	if (!prongi_suits(c, l->typecode, v))
		return 0;
	r = prongi_keep(c, v, &item);
	if (r)
		return r;
	prongi_let(c->guest->m, item_at(l, &s, 0));
	*item_at(l, &s, 0) = item;
	return prongi_call_none(c);
}

static int pop(prong_call *c)
{
	const struct list *l = c->self;
	struct prongi_span s;
	int r;

	if (!l->row.n)
		return prong_call_raise(c, "IndexError", "pop from empty list");
	if (!span_of(c, prong_call_value(c, "index"), "pop index out of range", &s))
		return 0;
	r = prongi_call_item(c, item_at(l, &s, 0));
	take_out(c, (size_t)s.first);
	return r;
}

static int remove_value(prong_call *c)
{
	const struct list *l = c->self;
	const prong_value *v = prong_call_value(c, "value");

	for (size_t i = 0; i < l->row.n; i++)
		if (prongi_item_equals(prongi_row_at(&l->row, i), v)) {
			take_out(c, i);
			return prongi_call_none(c);
		}
	return prong_call_raise(c, "ValueError", "list.remove(x): x not in list");
}

static int clear(prong_call *c)
{
	struct list *l = c->self;

	prongi_row_free(c->guest->m, &l->row);
	return prongi_call_none(c);
}

static int reverse(prong_call *c)
{
	const struct list *l = c->self;

	for (size_t i = 0; i < l->row.n / 2; i++) {
		struct prongi_item *a = prongi_row_at(&l->row, i),
				   *b = prongi_row_at(&l->row, l->row.n - 1 - i), other = *a;

		*a = *b;
		*b = other;
	}
	return prongi_call_none(c);
}

static int multiply_here(prong_call *c)
{
	const struct list *l = c->self;
	const int64_t n = prong_call_int(c, "n");
	const size_t size = l->row.n;
	struct prongi_row more = { 0 };
	int r = 0;

	if (n <= 0)
		return clear(c);
	for (int64_t k = 1; r == 0 && size && k < n; k++)
		for (size_t i = 0; r == 0 && i < size; i++) {
			struct prongi_item item;

			r = prongi_keep_again(c, prongi_row_at(&l->row, i), &item);
			if (r == 0)
				r = prongi_row_put(&more, more.n, item);
		}
	if (r) {
		prongi_row_free(c->guest->m, &more);
		return r;
	}
	r = put_row(c, size, &more);
	return r ? r : prongi_call_none(c);
}

/* --- slices as Python 2 asks for them ------------------------------------------------------- */

static struct prongi_span old_span(prong_call *c)
{
	const struct list *l = c->self;
	const int64_t n = (int64_t)l->row.n;
	int64_t first = prongi_clamp(prong_call_int(c, "i"), 0, n);
	int64_t end = prongi_clamp(prong_call_int(c, "j"), first, n);

	return (struct prongi_span){ .first = first, .step = 1, .n = (size_t)(end - first) };
}

static int get_old_slice(prong_call *c)
{
	struct prongi_span s = old_span(c);

	return answer_items(c, c->self, &s);
}

static int set_old_slice(prong_call *c)
{
	struct prongi_span s = old_span(c);

	return set_slice(c, &s, prong_call_value(c, "value"));
}

static int delete_old_slice(prong_call *c)
{
	struct prongi_span s = old_span(c);

	take_span(c, &s);
	return prongi_call_none(c);
}

static int sort(prong_call *c)
{
	const struct list *l = c->self;
	int r;

	if (prong_call_value(c, "key"))
		return prong_call_raise(c, "TypeError", "sort() has no key here");
	r = prongi_row_sort(&l->row, prongi_call_truth(c, "reverse"));
	if (r == PRONG_MISMATCH)
		return prong_call_raise(c, "TypeError", "the values have no order that C knows");
	return r ? r : prongi_call_none(c);
}

/* --- the kinds -------------------------------------------------------------------------- */

static void fini(struct prong_manager *m, void *self)
{
	struct list *l = self;

	prongi_row_free(m, &l->row);
	free(l);
}

static const prong_method list_methods[] = {
	{ "__add__", "value", add, NULL },
	{ "__contains__", "value", contains, NULL },
	{ "__delitem__", "key", delete_item, NULL },
	{ "__delslice__", "i: int, j: int", delete_old_slice, NULL },
	{ "__getitem__", "key", get_item, NULL },
	{ "__getslice__", "i: int, j: int", get_old_slice, NULL },
	{ "__setslice__", "i: int, j: int, value", set_old_slice, NULL },
	{ "__imul__", "n: int", multiply_here, NULL },
	{ "__len__", NULL, answer_length, NULL },
	{ "__mul__", "n: int", multiply, NULL },
	{ "__reversed__", NULL, reversed, NULL },
	{ "__rmul__", "n: int", multiply, NULL },
	{ "__setitem__", "key, value", set_item, NULL },
	{ "append", "item", append, NULL },
	{ "clear", NULL, clear, NULL },
	{ "copy", NULL, answer_all, NULL },
	{ "count", "value", count, NULL },
	{ "extend", "iterable", extend, NULL },
	{ "index", "value, start: int = 0, stop: int = 9223372036854775807", list_index, NULL },
	{ "insert", "index: int, item", insert, NULL },
	{ "pop", "index = -1", pop, NULL },
	{ "remove", "value", remove_value, NULL },
	{ "reverse", NULL, reverse, NULL },
	{ "sort", "key = None, reverse = False", sort, NULL },
	{ PRONGI_GETVALUE, NULL, answer_all, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const prong_method array_methods[] = {
	{ "__getitem__", "key", get_item, NULL },
	{ "__getslice__", "i: int, j: int", get_old_slice, NULL },
	{ "__len__", NULL, answer_length, NULL },
	{ "__setitem__", "key, value", set_item, NULL },
	{ "__setslice__", "i: int, j: int, value", set_old_slice, NULL },
	{ PRONGI_GETVALUE, NULL, answer_all, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const struct prongi_type list_type = {
	.name = "list",
	.methods = list_methods,
	.fini = fini,
};
static const struct prongi_type array_type = {
	.name = "Array",
	.methods = array_methods,
	.fini = fini,
};

static int make_list(prong_call *c, void **self)
{
	struct list *l = calloc(1, sizeof *l);
	int r = l ? 0 : -ENOMEM;

	if (r == 0 && c->given)
		r = prongi_row_of(c, prong_call_value(c, "iterable"), &l->row);
	if (r) {
		free(l);
		return r;
	}
	*self = l;
	return 0;
}

static int make_array(prong_call *c, void **self)
{
	const char *code = prong_call_text(c, "typecode");
	const prong_value *v = prong_call_value(c, "sequence");
	struct list *l;
	int r;

	if (!code[0] || code[1] || !prongi_is_typecode(code[0]))
		return prong_call_raise(c, "ValueError", "bad typecode '%.20s'", code);
	for (size_t i = 0; i < prong_value_count(v); i++)
		if (!prongi_suits(c, code[0], prong_value_at(v, i)))
			return 0;
	l = calloc(1, sizeof *l);
	r = l ? prongi_row_of(c, v, &l->row) : -ENOMEM;
	if (r) {
		free(l);
		return r;
	}
	l->typecode = code[0];
	*self = l;
	return 0;
}

const struct prongi_maker prongi_make_list = { { "list", "iterable=None", NULL, NULL },
					       &list_type,
					       make_list },
			  prongi_make_array = { { "Array", "typecode: str, sequence, lock=True",
						  NULL, NULL },
						&array_type,
						make_array };
