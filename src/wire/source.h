/* Sources: the machines from which strangers come, an address of IPv4 or a network of IPv6 each.  A
   bounded table of how many of each are here, and of those whose proofs have failed: the next from
   there are answered later, and the more have failed, the later.  No clock here. */
#ifndef PRONGI_SOURCE_H
#define PRONGI_SOURCE_H

#include <prong/deadline.h>

#define PRONGI_NO_ONE UINT32_MAX

struct prongi_source {
	uint64_t id;
	uint32_t here;           /* strangers of it */
	uint32_t eldest, latest; /* of them: the owner's */
	uint32_t failures;       /* since the last proof, or the last quiet minute */
	prong_time failed;       /* when the last of them was */
	uint32_t next;           /* in its bucket, or of those that are free */
};

struct prongi_sources {
	struct prongi_source *at;
	uint32_t *bucket;
	uint32_t room, used, free, mask;
	uint64_t salt;
	int64_t most_ns; /* that somebody is kept waiting; 0: nobody is */
};

/* For so many strangers at once; beside them, 256 sources that have failed are remembered.  Return
   0, -ENOMEM or -EIO. */
int prongi_sources_make(struct prongi_sources *s, uint32_t strangers, uint32_t penalty_ms);
void prongi_sources_free(struct prongi_sources *s);

/* One has come from there, or gone.  Return the source's place, which stays his while he is here.
   0 as id is who cannot be told from others, and is never kept waiting. */
uint32_t prongi_sources_enter(struct prongi_sources *s, uint64_t id);
void prongi_sources_leave(struct prongi_sources *s, uint32_t place);

/* A proof from there has failed, or not. */
void prongi_sources_failed(struct prongi_sources *s, uint32_t place, prong_time now);
void prongi_sources_proved(struct prongi_sources *s, uint32_t place);

/* How long the next from there has to wait, in ns. */
int64_t prongi_sources_delay(const struct prongi_sources *s, uint32_t place, prong_time now);

#endif
