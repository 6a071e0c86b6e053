/* What dicts, sets and Namespaces share: methods of an object that is a prongi_map, and whose
   argument is called "key". */
#ifndef PRONGI_PY_DICT_H
#define PRONGI_PY_DICT_H

#include "manager/types.h"

/* The entry of the argument; NULL also when the call is answered: it cannot be a key. */
struct prongi_entry *prongi_dict_find(prong_call *c);

/* The one that came last, or NULL. */
struct prongi_entry *prongi_dict_last(const struct prongi_map *map);

enum prongi_parts_of {
	PRONGI_KEYS = 1,
	PRONGI_ITEMS = 2,
	PRONGI_BOTH = 3
};

void prongi_dict_say(prong_call *c, struct prongi_out *o, const struct prongi_entry *e,
		     enum prongi_parts_of parts);

int prongi_dict_length(prong_call *c);
int prongi_dict_contains(prong_call *c);
int prongi_dict_set(prong_call *c);
int prongi_dict_delete(prong_call *c);
int prongi_dict_clear(prong_call *c);
int prongi_dict_iterate(prong_call *c);

/* Make one of the call's own arguments, as dict() does. */
int prongi_dict_make(prong_call *c, void **self);
void prongi_dict_fini(struct prong_manager *m, void *self);

#endif
