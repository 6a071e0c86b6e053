/* What a map is in the heap. */
#ifndef PRONGI_MAP_H
#define PRONGI_MAP_H

#include "pool/pool.h"
#include <prong/queue.h>
#include <prong/map.h>

/* A chunk of the items: { state 2, unused 6, attempt 8, unused 16, worker 32 }. */
enum {
	PRONGI_PART_FREE = 0,
	PRONGI_PART_TAKEN, /* by that worker */
	PRONGI_PART_DONE
};

struct prongi_part {
	prongi_word word; /* FREE -> TAKEN by CAS of a worker; TAKEN -> anything by it, or by the
			     supervisor when it is dead */
	prongi_word next; /* the item that is in hand.  Its taker */
};

/* It hangs from a record of its own, which its caller holds: f->result.  Its shares are tasks, one
   for each worker, whose argument it is. */
struct prongi_map {
	uint64_t size_, reserved_; /* as struct prongi_result */
	prong_fn *fn;              /* all of these read-only */
	void (*body)(void *ctx, size_t begin, size_t end);
	void *ctx;
	char *items;
	uint64_t n, size, chunk, parts;
	prong_task_opts opts;
	char name[64];
	prongi_word bounce;    /* a copy of items from outside the heap; block */
	prong_queue *failed;   /* reports, to the caller */
	_Atomic uint32_t stop; /* let the shares end.  The caller, or the sweep */
	char apart0_[64];      /* the heap aligns to 16: so lines are kept apart by room */
	prongi_word next;      /* the part to try next: a hint */
	char apart1_[64];
	struct prongi_part part[];
};

/* What a share calls, and what the record is for from which the map hangs: told by their
   address. */
int prongi_map_share(void *map);
int prongi_map_holder(void *map);

/* w has died in a share of the map f->arg: see to the item that it had. */
void prongi_map_settle(struct prong_pool *pool, struct prongi_worker *w,
		       const struct prong_future *f, enum prongi_task phase,
		       const prong_report *report);

/* f is the holder of a map that nobody holds: stop its shares; true when none is left. */
bool prongi_map_over(struct prong_pool *pool, const struct prong_future *f);

/* Free what hangs from the map of f. */
void prongi_map_clear(struct prong_future *f);

#endif
