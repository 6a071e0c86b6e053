/* What a value is made of, and how deep that goes. */
#include "wire/value.h"
#include <errno.h>

/* An object's come in this order: callable, arguments, keywords, state, setter, then its items. */
const prong_value *prongi_part(const prong_value *v, size_t i)
{
	const struct prongi_object *x = prongi_as_object(v);

	if (v->kind != PRONG_OBJECT)
		return x->items.item[i];
	switch (i) {
	case PRONGI_CALLABLE:
		return x->callable;
	case PRONGI_ARGS:
		return x->args;
	case PRONGI_KWARGS:
		return x->kwargs;
	case PRONGI_STATE:
		return x->state;
	case PRONGI_SETTER:
		return x->setter;
	default:
		return x->items.item[i - PRONGI_OBJECT_PARTS];
	}
}

size_t prongi_parts(const prong_value *v)
{
	if (v->kind == PRONG_OBJECT)
		return PRONGI_OBJECT_PARTS + 2 * (size_t)v->count;
	return v->kind == PRONG_DICT ? 2 * (size_t)v->count : v->count;
}

struct frame {
	const prong_value *v;
	size_t next;
	uint32_t depth; /* of what is in it, so far */
};

#define OPEN UINT32_MAX

/* The known depth of v; 0: it has been opened. */
static int enter(struct prongi_stack *s, struct prongi_marks *known, const prong_value *v,
		 uint32_t *depth)
{
	uint32_t *mark = NULL;
	struct frame *f;

	*depth = 0;
	if (prongi_has_mark(v, PRONGI_SHARED)) {
		mark = prongi_marks_at(known, v, 0);
		if (!mark)
			return -ENOMEM;
		*depth = *mark == OPEN ? 1 : *mark; /* a cycle counts once */
	}
	if (*depth)
		return 0;
	f = prongi_push(s);
	if (!f)
		return -ENOMEM;
	*f = (struct frame){ v, 0, 0 };
	if (mark)
		*mark = OPEN;
	return 0;
}

static void leave(struct prongi_stack *s, struct prongi_marks *known, uint32_t *depth)
{
	struct frame *f = (struct frame *)(void *)s->top + --s->n;
	uint32_t *mark = prongi_marks_find(known, f->v);

	*depth = f->depth + 1;
	if (mark)
		*mark = *depth;
}

static int walk(struct prongi_stack *s, struct prongi_marks *known, const prong_value *v,
		uint32_t most)
{
	uint32_t depth = 0;
	int r = enter(s, known, v, &depth);

	while (!r && s->n > 0) {
		struct frame *f = (struct frame *)(void *)s->top + s->n - 1;
		const prong_value *part;

		if (f->depth < depth)
			f->depth = depth;
		depth = 0;
		if (s->n > most || f->depth >= most)
			return prongi_fail(-ELOOP, "pickle: collections in more than %u others",
					   most);
		if (f->next == prongi_parts(f->v)) {
			leave(s, known, &depth);
			continue;
		}
		part = prongi_part(f->v, f->next++);
		if (part && prongi_is_collection(part))
			r = enter(s, known, part, &depth);
	}
	return r;
}

int prongi_depth(const prong_value *v, uint32_t most)
{
	struct prongi_stack stack = { .size = sizeof(struct frame) };
	struct prongi_marks known = { 0 };
	int r = prongi_is_collection(v) ? walk(&stack, &known, v, most) : 0;

	prongi_stack_free(&stack);
	prongi_marks_free(&known);
	return r;
}
