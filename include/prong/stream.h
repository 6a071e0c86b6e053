/* A prong_stream sends an input of any length, endless too, through a pool, and hands the results
   out, in order or as they come.  No more than a window of items is under way at a time, so a slow
   reader slows the input down.  It is for one thread at a time, of the process that opened it.

   Example:
	prong_stream *s = NULL;
	prong_future *f;
	int r = prong_stream_open(&s, pool, parse, next_line, file, NULL);
	while (r == 0 && (r = prong_stream_next(s, &f, PRONG_FOREVER)) == 0)
		use(prong_future_data(f, NULL));
	prong_stream_close(s);
	return r == PRONG_EMPTY ? 0 : r;                                      */
#ifndef PRONG_STREAM_H
#define PRONG_STREAM_H

#include <prong/pool.h>

PRONG_BEGIN_DECLS

typedef struct prong_stream prong_stream;

/* All-zero means the defaults. */
typedef struct prong_stream_opts {
	prong_task_opts task; /* no group */
	size_t window;        /* items under way, 1 to 65,536; 0: 4 for each worker */
	bool unordered;       /* hand out what is done first */
	uint8_t reserved0_[7];
	uint64_t reserved_[5]; /* must be zero */
} prong_stream_opts;

/* Supply the next item: where it is, and its size; with size 0, see prong_fn.  It must stay until
   the next call.  Return 0; PRONG_EMPTY at the end; any other ends the stream with that. */
typedef int prong_supply_fn(void *ctx, const void **item, size_t *size);

/* Open a stream that calls fn on what supply supplies, and store it in *out.  Only
   prong_stream_next() ever calls supply.
   Return 0, -EINVAL (a NULL, an option out of range, or pool is not one), -ENOMEM. */
PRONG_MUST int prong_stream_open(prong_stream **out, prong_pool *pool, prong_fn *fn,
				 prong_supply_fn *supply, void *ctx, const prong_stream_opts *opts);

/* Block until the next item is done, well or not, and store its future, valid until the following
   next or close; do not free it.  Its report's index is the item's number, from 0.
   Return 0; PRONG_EMPTY (all have been handed out); PRONG_TIMEDOUT, PRONG_CANCELLED; what supply
   said, or prong_pool_submit(), when all before have been handed out; -EINVAL. */
PRONG_MUST int prong_stream_next(prong_stream *s, struct prong_future **f, prong_time deadline);

/* Cancel what is under way and free s.  NULL is fine. */
PRONG_API void prong_stream_close(prong_stream *s);

PRONG_END_DECLS
#endif
