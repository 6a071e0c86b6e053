/* The house: the places for strangers of a listener, who of them has to be seen to first, and who
   of them has to go first when it is full.  No descriptor and no clock here. */
#ifndef PRONGI_HOUSE_H
#define PRONGI_HOUSE_H

#include "wire/source.h"
#include "wire/stranger.h"

struct prongi_house {
	struct prongi_stranger *at; /* only those that were ever used are touched */
	uint32_t places, room;      /* room: the lobby too */
	uint32_t used, n;
	uint32_t lobbied; /* of n: who have no place yet, as they came: */
	struct prongi_stranger *lobby, *lobby_last;
	uint32_t *free, frees;
	uint32_t *timer, timers;  /* a heap: the first is over first */
	prong_time crowded_until; /* the respite is short */
	struct prongi_sources sources;
};

/* For so many, and as many again in the lobby, but at most 64.  Return 0, -ENOMEM or -EIO. */
int prongi_house_make(struct prongi_house *h, uint32_t places, uint32_t penalty_ms);
void prongi_house_free(struct prongi_house *h);

/* Somebody from source comes into the lobby; there is room.  He is all-zero but for what is the
   house's. */
struct prongi_stranger *prongi_house_enter(struct prongi_house *h, uint64_t source);

/* He takes a place. */
void prongi_house_seat(struct prongi_house *h, struct prongi_stranger *s, prong_time now);

/* He is a stranger no longer, but keeps his place; he gives it back, or leaves the lobby. */
void prongi_house_settle(struct prongi_house *h, struct prongi_stranger *s);
void prongi_house_leave(struct prongi_house *h, struct prongi_stranger *s);

/* He has to be seen to at t, or never: PRONG_FOREVER.  Who is to be seen to first, or NULL. */
void prongi_house_wake(struct prongi_house *h, struct prongi_stranger *s, prong_time t);
struct prongi_stranger *prongi_house_first(const struct prongi_house *h);

/* The one who has had a place longest, of the source of which most are here; NULL: none is left. */
struct prongi_stranger *prongi_house_least_welcome(const struct prongi_house *h);

/* How many strangers are here from where s is, in the lobby too. */
uint32_t prongi_house_crowd(const struct prongi_house *h, const struct prongi_stranger *s);

/* Who has to go for one in the lobby, and from when on: at once when more are here of that source
   than of his, else after the respite.  NULL: nobody is to go. */
struct prongi_stranger *prongi_house_makes_room(const struct prongi_house *h,
						const struct prongi_stranger *s, int64_t respite,
						prong_time *when);

/* All places are taken; and there is no room in the lobby either. */
bool prongi_house_taken(const struct prongi_house *h);
bool prongi_house_full(const struct prongi_house *h);

/* How long who has just got a place may keep it when others of his kind want it, and so many wait
   behind the door. */
int64_t prongi_house_respite(const struct prongi_house *h, int64_t behind, prong_time now);

/* A place is taken from s, who had his respite: for a second it stays short if it was. */
void prongi_house_took(struct prongi_house *h, const struct prongi_stranger *s, prong_time now);

/* Who is at this place; NULL: nobody. */
struct prongi_stranger *prongi_house_at(const struct prongi_house *h, uint64_t place);
uint32_t prongi_house_place(const struct prongi_house *h, const struct prongi_stranger *s);

#endif
