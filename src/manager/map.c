/* Items by keys.  A key is known by a hash of 128 bits under a secret (wire/key.c), so keys need
   not be compared, nor be there as values. */
#include "manager/types.h"
#include <errno.h>
#include <stdlib.h>

#define OVERHEAD sizeof(struct prongi_entry)

static size_t slot_of(const struct prongi_map *map, const uint64_t print[2])
{
	size_t i = (size_t)print[0] & (map->slots - 1);

	while (map->index[i]) {
		const struct prongi_entry *e = &map->entry[map->index[i] - 1];

		if (e->key.data && e->print[0] == print[0] && e->print[1] == print[1])
			break;
		i = (i + 1) & (map->slots - 1);
	}
	return i;
}

static struct prongi_entry *find(const struct prongi_map *map, const uint64_t print[2])
{
	uint32_t at = map->slots ? map->index[slot_of(map, print)] : 0;

	return at ? &map->entry[at - 1] : NULL;
}

struct prongi_entry *prongi_map_find(const struct prongi_map *map, const prong_value *key, int *r)
{
	struct prongi_print print;

	*r = prongi_key_print(key ? key : &prongi_none, &print);
	return *r ? NULL : find(map, print.p);
}

/* Close the gaps, and have room for one more. */
static int make_room(struct prongi_map *map)
{
	size_t room = map->n + map->n / 2 + 8, slots = 16, k = 0;
	struct prongi_entry *entry;
	uint32_t *index;

	if (map->used < map->room)
		return 0;
	while (slots < 2 * room)
		slots *= 2;
	entry = calloc(room, sizeof *entry);
	index = calloc(slots, sizeof *index);
	if (!entry || !index || room > UINT32_MAX / 2) {
		free(entry);
		free(index);
		return -ENOMEM;
	}
	for (size_t i = 0; i < map->used; i++)
		if (map->entry[i].key.data)
			entry[k++] = map->entry[i];
	free(map->entry);
	free(map->index);
	*map = (struct prongi_map){
		.entry = entry, .room = room, .index = index, .slots = slots, .n = map->n, .used = k
	};
	for (size_t i = 0; i < k; i++)
		index[slot_of(map, entry[i].print)] = (uint32_t)i + 1;
	return 0;
}

static void let(struct prong_manager *m, struct prongi_entry *e)
{
	prongi_let(m, &e->item);
	prongi_let(m, &e->key);
	prongi_keep_less(m, OVERHEAD);
}

static int keep_both(prong_call *c, const prong_value *key, const prong_value *item,
		     struct prongi_entry *e)
{
	int r = prongi_keep_room(c, OVERHEAD);

	if (r)
		return r;
	r = prongi_keep(c, key, &e->key);
	if (r == 0) {
		r = prongi_keep(c, item, &e->item);
		if (r)
			prongi_let(c->guest->m, &e->key);
	}
	if (r)
		prongi_keep_less(c->guest->m, OVERHEAD);
	return r;
}

int prongi_map_put(prong_call *c, struct prongi_map *map, const prong_value *key,
		   const prong_value *item)
{
	struct prongi_print print;
	struct prongi_entry *e, new;
	char class[PRONGI_NAME_MOST];
	int r = prongi_key_print(key ? key : &prongi_none, &print);

	if (r == -EINVAL)
		prong_call_raise(c, "TypeError", "unhashable type: '%s'",
				 prongi_class_of(key, class));
	if (r)
		return r;
	e = find(map, print.p);
	if (e) {
		r = prongi_keep(c, item, &new.item);
		if (r == 0) {
			prongi_let(c->guest->m, &e->item);
			e->item = new.item;
		}
		return r;
	}
	r = make_room(map);
	if (r == 0)
		r = keep_both(c, key, item, &new);
	if (r)
		return r;
	memcpy(new.print, print.p, sizeof new.print);
	map->entry[map->used] = new;
	map->index[slot_of(map, new.print)] = (uint32_t)++map->used;
	map->n++;
	return 0;
}

void prongi_map_drop(struct prong_manager *m, struct prongi_map *map, struct prongi_entry *e)
{
	let(m, e);
	map->n--;
	while (map->used && !map->entry[map->used - 1].key.data && map->n == 0)
		map->used--;
	if (map->n == 0 && map->slots) {
		map->used = 0;
		memset(map->index, 0, map->slots * sizeof *map->index);
	}
}

void prongi_map_free(struct prong_manager *m, struct prongi_map *map)
{
	for (size_t i = 0; i < map->used; i++)
		if (map->entry[i].key.data)
			let(m, &map->entry[i]);
	free(map->entry);
	free(map->index);
	*map = (struct prongi_map){ 0 };
}
