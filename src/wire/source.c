/* Sources: a hash table in arrays that never grow.  Who has nobody here and has not failed is not
   in it.  When all places are taken, the one that failed longest ago is forgotten. */
#include "wire/source.h"
#include "os/net_os.h"
#include <errno.h>
#include <stdlib.h>

#define REMEMBERED 256
#define FIRST_NS   ((int64_t)50 * 1000000)
#define QUIET_NS   ((int64_t)60 * 1000000000)
#define DOUBLINGS  20 /* the least that are beyond any limit */

int prongi_sources_make(struct prongi_sources *s, uint32_t strangers, uint32_t penalty_ms)
{
	uint32_t buckets = 1;

	*s = (struct prongi_sources){
		.room = strangers + REMEMBERED,
		.free = PRONGI_NO_ONE,
		.most_ns = (int64_t)penalty_ms * 1000000,
	};
	while (buckets < s->room)
		buckets *= 2;
	s->mask = buckets - 1;
	s->at = calloc(s->room, sizeof *s->at);
	s->bucket = malloc(buckets * sizeof *s->bucket);
	if (!s->at || !s->bucket)
		return -ENOMEM;
	for (uint32_t i = 0; i < buckets; i++)
		s->bucket[i] = PRONGI_NO_ONE;
	return prongi_os_random(&s->salt, sizeof s->salt) ? -EIO : 0;
}

void prongi_sources_free(struct prongi_sources *s)
{
	free(s->at);
	free(s->bucket);
	*s = (struct prongi_sources){ .free = PRONGI_NO_ONE };
}

/* Nobody who does not know the salt can choose sources that meet in one bucket. */
static uint32_t *bucket_of(struct prongi_sources *s, uint64_t id)
{
	uint64_t h = (id ^ s->salt) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 32) * (s->salt | 1);
	return &s->bucket[(h >> 32) & s->mask];
}

static void forget(struct prongi_sources *s, uint32_t place)
{
	uint32_t *link = bucket_of(s, s->at[place].id);

	while (*link != place)
		link = &s->at[*link].next;
	*link = s->at[place].next;
	s->at[place] = (struct prongi_source){ .next = s->free };
	s->free = place;
}

/* Of those of whom nobody is here; there is one, as there are more places than strangers. */
static uint32_t failed_first(const struct prongi_sources *s)
{
	uint32_t first = PRONGI_NO_ONE;

	for (uint32_t i = 0; i < s->used; i++)
		if (!s->at[i].here &&
		    (first == PRONGI_NO_ONE || s->at[i].failed.ns_ < s->at[first].failed.ns_))
			first = i;
	return first;
}

static uint32_t new_place(struct prongi_sources *s)
{
	uint32_t place = s->free;

	if (place == PRONGI_NO_ONE && s->used < s->room)
		return s->used++;
	if (place == PRONGI_NO_ONE) {
		forget(s, failed_first(s));
		place = s->free;
	}
	s->free = s->at[place].next;
	return place;
}

uint32_t prongi_sources_enter(struct prongi_sources *s, uint64_t id)
{
	uint32_t *first = bucket_of(s, id), place = *first;

	while (place != PRONGI_NO_ONE && s->at[place].id != id)
		place = s->at[place].next;
	if (place == PRONGI_NO_ONE) {
		place = new_place(s);
		s->at[place] = (struct prongi_source){
			.id = id, .eldest = PRONGI_NO_ONE, .latest = PRONGI_NO_ONE, .next = *first
		};
		*first = place;
	}
	s->at[place].here++;
	return place;
}

void prongi_sources_leave(struct prongi_sources *s, uint32_t place)
{
	if (--s->at[place].here == 0 && !s->at[place].failures)
		forget(s, place);
}

static bool quiet(const struct prongi_source *s, prong_time now)
{
	return prong_ns_between(s->failed, now) >= QUIET_NS;
}

void prongi_sources_failed(struct prongi_sources *s, uint32_t place, prong_time now)
{
	struct prongi_source *at = &s->at[place];

	if (!s->most_ns || !at->id)
		return;
	if (quiet(at, now))
		at->failures = 0;
	at->failures += at->failures < DOUBLINGS;
	at->failed = now;
}

void prongi_sources_proved(struct prongi_sources *s, uint32_t place)
{
	s->at[place].failures = 0;
}

int64_t prongi_sources_delay(const struct prongi_sources *s, uint32_t place, prong_time now)
{
	const struct prongi_source *at = &s->at[place];
	int64_t ns;

	if (!at->failures || quiet(at, now))
		return 0;
	ns = FIRST_NS << (at->failures - 1);
	return ns < s->most_ns ? ns : s->most_ns;
}
