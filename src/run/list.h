/* A ring of links, in the structs that it lists.  Whoever uses one says what lock it is under.
   A link out of any ring is a ring of itself: unlinking it again does nothing. */
#ifndef PRONGI_LIST_H
#define PRONGI_LIST_H

struct prongi_link {
	struct prongi_link *prev, *next;
};

static inline void prongi_link_init(struct prongi_link *l)
{
	l->prev = l->next = l;
}

/* Put l into at's ring, before at: with at the ring's head, that is last. */
static inline void prongi_link_before(struct prongi_link *at, struct prongi_link *l)
{
	l->prev = at->prev;
	l->next = at;
	at->prev->next = l;
	at->prev = l;
}

static inline void prongi_unlink(struct prongi_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	prongi_link_init(l);
}

#endif
