/* Items in a row, for queues and lists: a ring, so that both ends are near. */
#include "manager/types.h"
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>

static int grow(struct prongi_row *r)
{
	size_t room = r->room ? 2 * r->room : 8;
	struct prongi_item *item = calloc(room, sizeof *item);

	if (!item)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++)
		item[i] = *prongi_row_at(r, i);
	free(r->item);
	*r = (struct prongi_row){ .item = item, .n = r->n, .room = room };
	return 0;
}

int prongi_row_put(struct prongi_row *r, size_t i, struct prongi_item item)
{
	if (r->n == r->room && grow(r))
		return -ENOMEM;
	r->n++;
	if (i < r->n / 2) { /* the nearer end moves */
		r->first = (r->first + r->room - 1) % r->room;
		for (size_t k = 0; k < i; k++)
			*prongi_row_at(r, k) = *prongi_row_at(r, k + 1);
	} else {
		for (size_t k = r->n - 1; k > i; k--)
			*prongi_row_at(r, k) = *prongi_row_at(r, k - 1);
	}
	*prongi_row_at(r, i) = item;
	return 0;
}

struct prongi_item prongi_row_take(struct prongi_row *r, size_t i)
{
	struct prongi_item item = *prongi_row_at(r, i);

	if (i < r->n / 2) {
		for (size_t k = i; k > 0; k--)
			*prongi_row_at(r, k) = *prongi_row_at(r, k - 1);
		r->first = (r->first + 1) % r->room;
	} else {
		for (size_t k = i; k + 1 < r->n; k++)
			*prongi_row_at(r, k) = *prongi_row_at(r, k + 1);
	}
	r->n--;
	return item;
}

void prongi_row_free(struct prong_manager *m, struct prongi_row *r)
{
	for (size_t i = 0; i < r->n; i++)
		prongi_let(m, prongi_row_at(r, i));
	free(r->item);
	*r = (struct prongi_row){ 0 };
}

void prongi_row_say(struct prongi_out *o, int protocol, const struct prongi_row *r, int64_t first,
		    int64_t step, size_t n)
{
	prongi_out_text(o, "](");
	for (size_t i = 0; i < n; i++)
		prongi_say_item(o, protocol, prongi_row_at(r, (size_t)(first + (int64_t)i * step)));
	prongi_out_byte(o, 'e');
}

/* --- iterating -------------------------------------------------------------------------- */

/* v is let go of. */
static int add(prong_call *c, struct prongi_row *r, prong_value *v)
{
	struct prongi_item item;
	int e = v ? prongi_keep(c, v, &item) : -ENOMEM;

	prong_value_free(v);
	if (e == 0 && prongi_row_put(r, r->n, item)) {
		prongi_let(c->guest->m, &item);
		e = -ENOMEM;
	}
	return e;
}

static int add_characters(prong_call *c, struct prongi_row *r, const prong_value *v)
{
	size_t n;
	const char *at = prong_value_data(v, &n), *end = at + n;
	int e = 0;

	while (e == 0 && at < end) {
		const char *begin = at;

		prongi_text_next(&at);
		e = add(c, r, prong_value_bytes(PRONG_TEXT, begin, (size_t)(at - begin)));
	}
	return e;
}

static int add_bytes(prong_call *c, struct prongi_row *r, const prong_value *v)
{
	size_t n;
	const unsigned char *at = (const unsigned char *)prong_value_data(v, &n);
	int e = 0;

	for (size_t i = 0; e == 0 && i < n; i++)
		e = add(c, r, prong_value_int(at[i]));
	return e;
}

static bool is_range(const prong_value *v)
{
	const char *class = prong_value_kind(v) == PRONG_OBJECT ? prong_value_class(v) : NULL;

	return class && strcmp(class, "builtins.range") == 0;
}

static int add_range(prong_call *c, struct prongi_row *r, const prong_value *v)
{
	const prong_value *args = prong_value_args(v);
	int64_t first, end, step;
	int e = 0;

	if (prong_value_as_int(prong_value_at(args, 0), &first) ||
	    prong_value_as_int(prong_value_at(args, 1), &end) ||
	    prong_value_as_int(prong_value_at(args, 2), &step) || !step)
		return prong_call_raise(c, "OverflowError", "a range that does not fit");
	for (; e == 0 && (step > 0 ? first < end : first > end); first += step)
		e = add(c, r, prong_value_int(first));
	return e;
}

int prongi_row_of(prong_call *c, const prong_value *v, struct prongi_row *out)
{
	prong_kind k = prong_value_kind(v);
	char class[PRONGI_NAME_MOST];
	int e = 0;

	*out = (struct prongi_row){ 0 };
	if (k == PRONG_TEXT)
		e = add_characters(c, out, v);
	else if (k == PRONG_BYTES || k == PRONG_BYTEARRAY)
		e = add_bytes(c, out, v);
	else if (is_range(v))
		e = add_range(c, out, v);
	else if (k < PRONG_LIST || k > PRONG_FROZENSET)
		e = prong_call_raise(c, "TypeError", "'%s' object is not iterable",
				     prongi_class_of(v, class));
	for (size_t i = 0;
	     e == 0 && k >= PRONG_LIST && k <= PRONG_FROZENSET && i < prong_value_count(v); i++)
		e = add(c, out,
			prong_value_dup(k == PRONG_DICT ? prong_value_key(v, i)
							: prong_value_at(v, i)));
	if (e || c->answered)
		prongi_row_free(c->guest->m, out);
	return e ? e : c->answered ? PRONG_MISMATCH : 0;
}

/* --- sorting ---------------------------------------------------------------------------- */

struct sorted {
	prong_value *v;
	struct prongi_item item;
};

/* Merge the halves of a[0, n), each in order; the same keep theirs.  0, PRONG_MISMATCH. */
static int merge(struct sorted *a, size_t half, size_t n, struct sorted *spare, bool down)
{
	size_t i = 0, j = half, k = 0;

	while (i < half && j < n) {
		bool less;
		int r = down ? prongi_less(a[i].v, a[j].v, &less)
			     : prongi_less(a[j].v, a[i].v, &less);

		if (r)
			return r;
		spare[k++] = less ? a[j++] : a[i++];
	}
	while (i < half)
		spare[k++] = a[i++];
	memcpy(a, spare, k * sizeof *a);
	return 0;
}

static int sort_part(struct sorted *a, size_t n, struct sorted *spare, bool down)
{
	int r = n > 2 ? sort_part(a, n / 2, spare, down) : 0;

	if (r == 0 && n > 2)
		r = sort_part(a + n / 2, n - n / 2, spare, down);
	return r || n < 2 ? r : merge(a, n / 2, n, spare, down);
}

int prongi_row_sort(const struct prongi_row *row, bool down)
{
	const size_t n = row->n;
	struct sorted *a = calloc(2 * n + 1, sizeof *a);
	int r = a ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		a[i].item = *prongi_row_at(row, i);
		a[i].v = prongi_item_value(&a[i].item);
		r = a[i].v ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = sort_part(a, n, a + n, down);
	for (size_t i = 0; a && i < n; i++) {
		if (r == 0)
			*prongi_row_at(row, i) = a[i].item;
		prong_value_free(a[i].v);
	}
	free(a);
	return r;
}
