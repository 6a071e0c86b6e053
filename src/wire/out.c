/* Bytes that grow, and the walk of those who write text. */
#include "wire/codec.h"
#include <errno.h>
#include <stdlib.h>

enum {
	LARGE = 4 << 20
};

char *prongi_out_more(struct prongi_out *o, size_t n)
{
	size_t room = o->room < 128 ? 256 : o->room + o->room / 2;
	char *data;

	if (o->r)
		return NULL;
	if (n > o->limit || o->n > o->limit - n || o->fixed) {
		o->r = -EMSGSIZE;
		return NULL;
	}
	if (room < o->n + n)
		room = o->n + n + (n < 4096 ? 4096 : 64);
	if (room > o->limit)
		room = o->limit;
	data = realloc(o->data, room);
	if (!data) {
		o->r = -ENOMEM;
		return NULL;
	}
	if (n >= LARGE)
		prongi_will_fill(data + o->n, n);
	o->data = data;
	o->room = room;
	return o->data + o->n;
}

int prongi_walk_open(struct prongi_walk *w, const prong_value *v)
{
	struct prongi_frame *f;
	uint32_t *mark;

	if (prongi_has_mark(v, PRONGI_SHARED)) {
		mark = prongi_marks_at(&w->open, v, 0);
		if (!mark)
			return -ENOMEM;
		if (*mark)
			return -ELOOP;
		*mark = 1;
	}
	w->stack.size = sizeof *f;
	f = prongi_push(&w->stack);
	if (!f)
		return -ENOMEM;
	f->v = v;
	f->next = 0;
	return 0;
}

struct prongi_frame *prongi_walk_top(struct prongi_walk *w)
{
	if (w->stack.n == 0)
		return NULL;
	return (struct prongi_frame *)(void *)w->stack.top + w->stack.n - 1;
}

void prongi_walk_close(struct prongi_walk *w)
{
	const prong_value *v = prongi_walk_top(w)->v;

	if (prongi_has_mark(v, PRONGI_SHARED))
		*prongi_marks_at(&w->open, v, 0) = 0;
	w->stack.n--;
}

void prongi_walk_free(struct prongi_walk *w)
{
	prongi_stack_free(&w->stack);
	prongi_marks_free(&w->open);
}
