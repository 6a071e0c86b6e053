/* Items that stay: what they take counts against the manager's memory, and a proxy in them keeps
   its object alive, as long as the item is here.  (In Python's server such an object is never
   freed.) */
#include "manager/types.h"
#include <errno.h>
#include <prong/error.h>
#include <stdlib.h>

#define OVERHEAD sizeof(struct prongi_item)

/* --- proxies in items ------------------------------------------------------------------- */

typedef void act(struct prong_manager *m, struct prongi_thing *t);

static void hold(struct prong_manager *m, struct prongi_thing *t)
{
	(void)m;
	prongi_thing_hold(t);
}

static void look_at(struct prong_manager *m, const prong_value *v, act *f)
{
	const char *class = prong_value_kind(v) == PRONG_OBJECT ? prong_value_class(v) : NULL;
	struct prongi_thing *t;

	if (!class || strcmp(class, PRONGI_TOKEN) != 0)
		return;
	t = prongi_thing_find(m, prong_value_at(prong_value_state(v), 2));
	if (t)
		f(m, t);
}

/* Do f to each object that v has a proxy of. */
static void each_proxy(struct prong_manager *m, const prong_value *v, act *f)
{
	struct prongi_stack stack = { .size = sizeof(const prong_value *) };
	struct prongi_marks seen = { 0 };

	while (v) {
		const uint32_t before = (uint32_t)seen.used;

		look_at(m, v, f);
		for (size_t i = 0; prongi_is_collection(v) && i < prongi_parts(v); i++) {
			const prong_value *part = prongi_part(v, i), **top;
			size_t used = seen.used;

			if (!part || !prongi_is_collection(part) ||
			    !prongi_marks_at(&seen, part, before) || seen.used == used)
				continue;
			top = prongi_push(&stack);
			if (top)
				*top = part;
		}
		v = stack.n ? ((const prong_value **)(void *)stack.top)[--stack.n] : NULL;
	}
	prongi_stack_free(&stack);
	prongi_marks_free(&seen);
}

static bool may_have_proxies(const struct prongi_item *item)
{
	static const char word[] = PRONGI_MODULE;
	const unsigned char *at = item->data, *end = at + item->size;

	while (at < end && (at = memchr(at, word[0], (size_t)(end - at))) != NULL) {
		if ((size_t)(end - at) >= sizeof word - 1 && memcmp(at, word, sizeof word - 1) == 0)
			return true;
		at++;
	}
	return false;
}

/* --- memory ----------------------------------------------------------------------------- */

int prongi_keep_room(prong_call *c, size_t size)
{
	struct prong_manager *m = c->guest->m;

	if (size > m->memory_max || m->memory > m->memory_max - size) {
		prong_call_raise(c, "MemoryError", "the server has no more than %zu bytes",
				 m->memory_max);
		return -ENOMEM;
	}
	m->memory += size;
	return 0;
}

void prongi_keep_less(struct prong_manager *m, size_t size)
{
	m->memory -= size;
}

static int keep(prong_call *c, struct prongi_item *item, const prong_value *v)
{
	int r = prongi_keep_room(c, item->size + OVERHEAD);

	if (r)
		prongi_item_free(item);
	else if (may_have_proxies(item))
		each_proxy(c->guest->m, v, hold);
	return r;
}

int prongi_keep(prong_call *c, const prong_value *v, struct prongi_item *out)
{
	struct prongi_item item;
	int r = prongi_item_make(&item, v, c->protocol);

	if (r == 0)
		r = keep(c, &item, v ? v : &prongi_none);
	if (r == 0)
		*out = item;
	return r;
}

int prongi_keep_again(prong_call *c, const struct prongi_item *item, struct prongi_item *out)
{
	prong_value *v = prongi_item_value(item);
	int r = v ? prongi_keep(c, v, out) : -ENOMEM;

	prong_value_free(v);
	return r;
}

void prongi_let(struct prong_manager *m, struct prongi_item *item)
{
	prong_value *v = NULL;

	if (!item->data)
		return;
	if (may_have_proxies(item))
		v = prongi_item_value(item);
	if (v)
		each_proxy(m, v, prongi_thing_drop);
	prong_value_free(v);
	m->memory -= item->size + OVERHEAD;
	prongi_item_free(item);
}

bool prongi_item_equals(const struct prongi_item *item, const prong_value *v)
{
	prong_value *mine = prongi_item_value(item);
	bool equal = mine && prong_value_equal(mine, v ? v : &prongi_none);

	prong_value_free(mine);
	return equal;
}
