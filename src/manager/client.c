/* Clients of prong's: what is known of the process at the other end of some connections.

   Python counts references by messages of connections that say nothing of who sends them, so those
   of a client that was killed stay.  Ours say who they are when a connection becomes one for calls,
   and send what they have to say of references on it.  So a client's references are known, and when
   it has had no connection for a while they are let go of: it was killed, or its machine is gone.
   The while is for those whose line was cut: who comes back in time has all it had. */
#include "manager/manager.h"
#include <stdlib.h>

#define ROOM_FIRST 8

/* So many references to an object; n = 0: a free place. */
struct claim {
	uint64_t ident, n;
};

struct prongi_client {
	char token[PRONGI_CLIENT_TOKEN];
	uint32_t guests;     /* connections that it has now */
	uint32_t room, used; /* places for claims, a power of 2; and how many are used */
	struct claim *claim;
	prong_time until;                              /* it is forgotten then; without guests */
	struct prongi_client *next, **where;           /* among all */
	struct prongi_client *next_gone, **where_gone; /* among those without guests, by time */
};

/* --- claims ----------------------------------------------------------------------------- */

/* Where ident is, or would be. */
static struct claim *find(const struct prongi_client *c, uint64_t ident)
{
	/* Idents are places and growing numbers: both have to say something. */
	uint64_t i = ident * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	for (;; i++) {
		struct claim *at = &c->claim[i & (c->room - 1)];

		if (!at->n || at->ident == ident)
			return at;
	}
}

static bool grow(struct prongi_client *c)
{
	struct prongi_client bigger = { .room = c->room ? 2 * c->room : ROOM_FIRST };

	bigger.claim = calloc(bigger.room, sizeof *bigger.claim);
	if (!bigger.claim)
		return false;
	for (uint32_t i = 0; i < c->room; i++)
		if (c->claim[i].n)
			*find(&bigger, c->claim[i].ident) = c->claim[i];
	free(c->claim);
	c->claim = bigger.claim;
	c->room = bigger.room;
	return true;
}

/* Empty a place; those after it that are there because it was not empty, move up. */
static void empty(struct prongi_client *c, struct claim *at)
{
	uint32_t i = (uint32_t)(at - c->claim);

	at->n = 0;
	c->used--;
	for (;;) {
		struct claim moved;

		i = (i + 1) & (c->room - 1);
		if (!c->claim[i].n)
			return;
		moved = c->claim[i];
		c->claim[i].n = 0;
		*find(c, moved.ident) = moved;
	}
}

/* Without memory for it a reference is nobody's, as Python's are. */
void prongi_claim(struct prongi_guest *g, struct prongi_thing *t)
{
	struct prongi_client *c = g->client;
	struct claim *at;

	prongi_thing_ref(g->m, t);
	if (!c || (2 * (c->used + 1) > c->room && !grow(c)))
		return;
	at = find(c, t->ident);
	c->used += at->n == 0;
	at->ident = t->ident;
	at->n++;
}

void prongi_unclaim(struct prongi_guest *g, struct prongi_thing *t)
{
	struct prongi_client *c = g->client;
	struct claim *at = c && c->room ? find(c, t->ident) : NULL;

	if (at && at->n > 1)
		at->n--;
	else if (at && at->n)
		empty(c, at);
	prongi_thing_unref(g->m, t);
}

/* --- coming and going ------------------------------------------------------------------- */

/* It is not one of those that are gone any more. */
static void leave(struct prong_manager *m, struct prongi_client *c)
{
	*c->where_gone = c->next_gone;
	if (c->next_gone)
		c->next_gone->where_gone = c->where_gone;
	else
		m->last_gone = c->where_gone;
}

static void forget(struct prong_manager *m, struct prongi_client *c)
{
	for (uint32_t i = 0; i < c->room; i++) {
		struct prongi_thing *t = prongi_thing_at(m, c->claim[i].ident);

		for (uint64_t n = c->claim[i].n; n && t && t->refs; n--) {
			bool last = t->refs == 1;

			prongi_thing_unref(m, t);
			t = last ? NULL : t;
		}
	}
	*c->where = c->next;
	if (c->next)
		c->next->where = c->where;
	free(c->claim);
	free(c);
}

static struct prongi_client *make(struct prong_manager *m, const char *token)
{
	struct prongi_client *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	memcpy(c->token, token, sizeof c->token);
	c->next = m->ours;
	c->where = &m->ours;
	if (c->next)
		c->next->where = &c->next;
	m->ours = c;
	return c;
}

/* The token in the name of a connection, "prong-PID-TOKEN"; NULL: it is no client of ours. */
static const char *token_in(const char *name, size_t n)
{
	const size_t token = PRONGI_CLIENT_TOKEN;

	if (!name || n < token + 1 || strncmp(name, PRONGI_OURS "-", strlen(PRONGI_OURS "-")) != 0)
		return NULL;
	name += n - token;
	return name[-1] == '-' && strspn(name, "0123456789abcdef") == token ? name : NULL;
}

bool prongi_client_come(struct prongi_guest *g, const char *name, size_t size)
{
	const char *token = token_in(name, size);
	struct prongi_client *c = token ? g->m->ours : NULL;

	while (c && memcmp(c->token, token, sizeof c->token) != 0)
		c = c->next;
	if (c && c->guests == 0)
		leave(g->m, c);
	if (token && !c)
		c = make(g->m, token);
	if (c)
		c->guests++;
	g->client = c;
	return c;
}

void prongi_client_go(struct prongi_guest *g)
{
	struct prong_manager *m = g->m;
	struct prongi_client *c = g->client;

	g->client = NULL;
	if (!c || --c->guests)
		return;
	if (c->used == 0) {
		forget(m, c);
		return;
	}
	c->until.ns_ = prong_clock().ns_ + m->linger_ns;
	c->next_gone = NULL;
	c->where_gone = m->last_gone;
	*m->last_gone = c;
	m->last_gone = &c->next_gone;
}

prong_time prongi_clients_until(const struct prong_manager *m)
{
	return m->gone ? m->gone->until : PRONG_FOREVER;
}

void prongi_clients_forget(struct prong_manager *m)
{
	while (m->gone && m->gone->until.ns_ <= prong_clock().ns_) {
		struct prongi_client *c = m->gone;

		leave(m, c);
		forget(m, c);
	}
}

void prongi_clients_free(struct prong_manager *m)
{
	while (m->ours)
		forget(m, m->ours);
}
