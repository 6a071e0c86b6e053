/* One function on all items of an array, or on all parts of a range, by the workers of a pool.

   Items in the family's heap are not sent anywhere: each worker takes a chunk of them, works on a
   copy of one item after the other, and stores it back as a whole.  Who has which chunk, and which
   item of it, is in the heap; so a worker that dies costs the item that it had in hand, and the
   rest of its chunk goes to another.

   Example:
	int *n = prong_calloc(1000, sizeof *n);
	int r = prong_pool_map(pool, count_one, n, 1000, sizeof *n, NULL, PRONG_FOREVER);
	if (r == PRONG_CRASHED)
		puts("some items are as they were");                          */
#ifndef PRONG_MAP_H
#define PRONG_MAP_H

#include <prong/pool.h>

PRONG_BEGIN_DECLS

/* All-zero means the defaults. */
typedef struct prong_map_opts {
	prong_task_opts task; /* limit, grace and retries count for each item; no backoff, no
				  group */
	size_t chunk;         /* items taken at a time; 0: as it goes best */
	/* Called in the caller, while it waits, for each item that did not end with 0; item is
	   where it lies, or NULL when the whole was a range.  Return 0 to go on; else the
	   rest is cancelled, and that is returned. */
	int (*failed)(void *item, const prong_report *why, void *ctx);
	void *ctx;
	uint64_t reserved_[6]; /* must be zero */
} prong_map_opts;

/* Call fn on each of the n items of size bytes at items, and store each result over its item:
   whole, and only when fn returned 0.  Items that are not in the heap go through it, and are stored
   back together at the end.
   Return 0 when all ended with 0; else, the others being done all the same, the outcome of the
   first item that did not: PRONG_FAILED, PRONG_CRASHED, PRONG_OVERRUN; what failed said;
   PRONG_TIMEDOUT, PRONG_CANCELLED (each item is done or as it was); PRONG_CLOSED; -EINVAL (fn is
   NULL, size is 0, an option is out of range), -EFAULT (items is NULL), -EOVERFLOW (n * size),
   -ENOMEM. */
PRONG_MUST int prong_pool_map(prong_pool *pool, prong_fn *fn, void *items, size_t n, size_t size,
			      const prong_map_opts *opts, prong_time deadline);

/* Call body(ctx, begin, end) on ranges that together make 0 to n, and block until all are done.
   ctx is shared, not copied: for a pool of processes it is NULL or in the heap (else -EFAULT).
   A crash leaves its range undone, or half done.  opts may be NULL; a chunk is what body gets at
   most.  Return as map. */
PRONG_MUST int prong_pool_for(prong_pool *pool, void (*body)(void *ctx, size_t begin, size_t end),
			      void *ctx, size_t n, const prong_map_opts *opts, prong_time deadline);

PRONG_END_DECLS
#endif
