/* The house.  Strangers of one source are in a list by age; a heap has the moments at which one
   of them has to be seen to.  What is done for one who comes and goes hardly depends on how many
   are here; what is done when the house is full depends on how many sources there are. */
#include "wire/house.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RESPITE ((int64_t)1000000000)
#define CROWDED ((int64_t)20000000) /* the respite when the lobby has been full */
#define LOBBY   64

int prongi_house_make(struct prongi_house *h, uint32_t places, uint32_t penalty_ms)
{
	const uint32_t room = places + (places < LOBBY ? places : LOBBY);
	int r = prongi_sources_make(&h->sources, room, penalty_ms);

	h->places = places;
	h->room = room;
	h->at = calloc(room, sizeof *h->at);
	h->free = calloc(room, sizeof *h->free);
	h->timer = calloc(room, sizeof *h->timer);
	return r == 0 && (!h->at || !h->free || !h->timer) ? -ENOMEM : r;
}

void prongi_house_free(struct prongi_house *h)
{
	prongi_sources_free(&h->sources);
	free(h->at);
	free(h->free);
	free(h->timer);
}

uint32_t prongi_house_place(const struct prongi_house *h, const struct prongi_stranger *s)
{
	return (uint32_t)(s - h->at);
}

struct prongi_stranger *prongi_house_at(const struct prongi_house *h, uint64_t place)
{
	return place < h->used && h->at[place].stream.fd >= 0 ? &h->at[place] : NULL;
}

/* --- time ---------------------------------------------------------------------------------- */

static struct prongi_stranger *timed(const struct prongi_house *h, uint32_t i)
{
	return &h->at[h->timer[i]];
}

static void put(struct prongi_house *h, uint32_t i, struct prongi_stranger *s)
{
	h->timer[i] = prongi_house_place(h, s);
	s->timer = i + 1;
}

/* s, whose place in the heap is i, goes to where it belongs. */
static void sift(struct prongi_house *h, uint32_t i, struct prongi_stranger *s)
{
	while (i && timed(h, (i - 1) / 2)->wakes.ns_ > s->wakes.ns_) {
		put(h, i, timed(h, (i - 1) / 2));
		i = (i - 1) / 2;
	}
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child + 1 < h->timers &&
		    timed(h, child + 1)->wakes.ns_ < timed(h, child)->wakes.ns_)
			child++;
		if (child >= h->timers || timed(h, child)->wakes.ns_ >= s->wakes.ns_)
			break;
		put(h, i, timed(h, child));
		i = child;
	}
	put(h, i, s);
}

void prongi_house_wake(struct prongi_house *h, struct prongi_stranger *s, prong_time t)
{
	uint32_t i = s->timer - 1;
	struct prongi_stranger *last;

	s->wakes = t;
	if (t.ns_ != PRONG_FOREVER.ns_) {
		sift(h, s->timer ? i : h->timers++, s);
	} else if (s->timer) {
		last = timed(h, --h->timers);
		s->timer = 0;
		if (last != s)
			sift(h, i, last);
	}
}

struct prongi_stranger *prongi_house_first(const struct prongi_house *h)
{
	return h->timers ? timed(h, 0) : NULL;
}

/* --- the lobby ----------------------------------------------------------------------------- */

static void stand(struct prongi_house *h, struct prongi_stranger *s)
{
	s->before = h->lobby_last;
	if (s->before)
		s->before->after = s;
	else
		h->lobby = s;
	h->lobby_last = s;
	s->lobbied = true;
	h->lobbied++;
}

static void stand_no_longer(struct prongi_house *h, struct prongi_stranger *s)
{
	if (s->before)
		s->before->after = s->after;
	else
		h->lobby = s->after;
	if (s->after)
		s->after->before = s->before;
	else
		h->lobby_last = s->before;
	s->lobbied = false;
	h->lobbied--;
}

/* --- places -------------------------------------------------------------------------------- */

struct prongi_stranger *prongi_house_enter(struct prongi_house *h, uint64_t source)
{
	uint32_t place = h->frees ? h->free[--h->frees] : h->used++;
	struct prongi_stranger *s = &h->at[place];

	memset(s, 0, sizeof *s);
	s->wakes = PRONG_FOREVER;
	s->source = prongi_sources_enter(&h->sources, source);
	stand(h, s);
	h->n++;
	return s;
}

void prongi_house_seat(struct prongi_house *h, struct prongi_stranger *s, prong_time now)
{
	struct prongi_source *from = &h->sources.at[s->source];
	const uint32_t place = prongi_house_place(h, s);

	stand_no_longer(h, s);
	s->came = now;
	s->older = from->latest;
	s->younger = PRONGI_NO_ONE;
	if (from->latest == PRONGI_NO_ONE)
		from->eldest = place;
	else
		h->at[from->latest].younger = place;
	from->latest = place;
}

static void rise(struct prongi_house *h, struct prongi_stranger *s)
{
	struct prongi_source *from = &h->sources.at[s->source];

	if (s->older == PRONGI_NO_ONE)
		from->eldest = s->younger;
	else
		h->at[s->older].younger = s->younger;
	if (s->younger == PRONGI_NO_ONE)
		from->latest = s->older;
	else
		h->at[s->younger].older = s->older;
}

void prongi_house_settle(struct prongi_house *h, struct prongi_stranger *s)
{
	if (s->settled)
		return;
	if (s->lobbied)
		stand_no_longer(h, s);
	else
		rise(h, s);
	prongi_sources_leave(&h->sources, s->source);
	prongi_house_wake(h, s, PRONG_FOREVER);
	s->settled = true;
}

void prongi_house_leave(struct prongi_house *h, struct prongi_stranger *s)
{
	prongi_house_settle(h, s);
	prongi_stream_init(&s->stream, -1, 0, 0);
	h->free[h->frees++] = prongi_house_place(h, s);
	h->n--;
}

bool prongi_house_taken(const struct prongi_house *h)
{
	return h->n - h->lobbied >= h->places;
}

bool prongi_house_full(const struct prongi_house *h)
{
	return h->n == h->room;
}

/* --- crowds -------------------------------------------------------------------------------- */

uint32_t prongi_house_crowd(const struct prongi_house *h, const struct prongi_stranger *s)
{
	return h->sources.at[s->source].here;
}

struct prongi_stranger *prongi_house_least_welcome(const struct prongi_house *h)
{
	struct prongi_stranger *worst = NULL;
	uint32_t most = 0;

	for (uint32_t i = 0; i < h->sources.used; i++) {
		const struct prongi_source *from = &h->sources.at[i];
		struct prongi_stranger *s;

		if (!from->here || from->here < most || from->eldest == PRONGI_NO_ONE)
			continue;
		s = &h->at[from->eldest];
		if (from->here > most || s->came.ns_ < worst->came.ns_)
			worst = s;
		most = from->here;
	}
	return worst;
}

struct prongi_stranger *prongi_house_makes_room(const struct prongi_house *h,
						const struct prongi_stranger *s, int64_t respite,
						prong_time *when)
{
	struct prongi_stranger *worst = prongi_house_least_welcome(h);

	if (!worst)
		return NULL;
	*when = worst->came;
	if (prongi_house_crowd(h, worst) <= prongi_house_crowd(h, s))
		when->ns_ += respite;
	return worst;
}

int64_t prongi_house_respite(const struct prongi_house *h, int64_t behind, prong_time now)
{
	const int64_t crush = behind / (int64_t)h->places;

	if (!prongi_house_full(h) && now.ns_ >= h->crowded_until.ns_)
		return RESPITE;
	return CROWDED / (1 + crush * crush);
}

void prongi_house_took(struct prongi_house *h, const struct prongi_stranger *s, prong_time now)
{
	if (prong_ns_between(s->came, now) >= RESPITE)
		return;
	h->crowded_until = now;
	h->crowded_until.ns_ += RESPITE;
}
