/* Where something is in a value, for people: ['jobs'][0].state['x'].

   The text is made from its end, because who fails knows the innermost first and that is what has
   to be in it; where it has no room, what is outside is left out. */
#include "wire/codec.h"
#include <prong/read.h>
#include <stdio.h>

/* As what is in brackets, or after a word. */
static size_t key_text(const prong_value *key, bool word, char *text, size_t room)
{
	char shown[28];

	prong_value_print(key, shown, sizeof shown);
	return (size_t)snprintf(text, room, word ? " key %s" : "[%s]", shown);
}

static size_t object_text(const prong_value *v, size_t i, char *text, size_t room)
{
	static const char *const parts[PRONGI_OBJECT_PARTS] = { ".class", ".args", ".kwargs",
								".state", ".changes" };
	const prong_value *key;

	if (i < PRONGI_OBJECT_PARTS)
		return (size_t)snprintf(text, room, "%s", parts[i]);
	i -= PRONGI_OBJECT_PARTS;
	key = prong_value_key(v, i / 2);
	if (key)
		return key_text(key, i % 2 == 0, text, room);
	return (size_t)snprintf(text, room, "[%zu]", i / 2);
}

void prongi_where_in(struct prongi_where *w, const prong_value *v, size_t i)
{
	char text[40];
	size_t n;

	if (w->cut)
		return;
	if (v->kind == PRONG_OBJECT)
		n = object_text(v, i, text, sizeof text);
	else if (v->kind == PRONG_DICT)
		n = key_text(prong_value_key(v, i / 2), i % 2 == 0, text, sizeof text);
	else
		n = (size_t)snprintf(
			text, sizeof text,
			v->kind == PRONG_LIST || v->kind == PRONG_TUPLE ? "[%zu]" : " element %zu",
			i);
	if (w->n + n + 3 >= sizeof w->text) {
		memcpy(text, "...", n = 3);
		w->cut = true;
	}
	w->n += n;
	memcpy(w->text + sizeof w->text - w->n, text, n);
}

int prongi_where_fail(const struct prongi_where *w, int r, const char *what)
{
	const char *text = w->text + sizeof w->text - w->n;

	if (w->n && *text == ' ') /* of a word */
		return prongi_fail(r, "%s at%.*s", what, (int)w->n, text);
	return prongi_fail(r, "%s%s%.*s", what, w->n ? " at " : "", (int)w->n, text);
}
