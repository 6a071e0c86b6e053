/* Connections that are no pipes, and queues that are not in the heap: another library's, see
   private.h.  Their handles lie in a table of this process, and not in the heap: what is behind
   one, a socket and what was read from it, cannot be shared.

   The table is empty in every process that is forked: by the program, by the server, or in whatever
   way.  So a handle that got there is not valid, and looking at it is safe. */
#ifndef PRONGI_OUTER_H
#define PRONGI_OUTER_H

#include "private.h"
#include <prong/conn.h>
#include <prong/queue.h>
#include <stdatomic.h>

struct prongi_outer {
	/* One is set; both NULL: it is free.  By whoever makes or frees it. */
	_Atomic(const struct prongi_conn_ops *) ops;
	_Atomic(const struct prongi_queue_ops *) queue;
	void *self;
	uint32_t next; /* free one, under the table's lock */
};

#define PRONGI_OUTERS ((size_t)1 << 20)

/* The table, or NULL before the first.  Never changes again. */
extern _Atomic(struct prongi_outer *) prongi_outers;

const struct prongi_outer *prongi_outer_find(const prong_conn *c);

/* What c is, or NULL: a pipe's end, or nothing at all.  For a pipe it costs two instructions. */
static inline const struct prongi_outer *prongi_outer(const prong_conn *c)
{
	/* relaxed: who has a valid c has it from somebody who made it after the table. */
	uintptr_t table = (uintptr_t)atomic_load_explicit(&prongi_outers, memory_order_relaxed);

	if (__builtin_expect((uintptr_t)c - table >= PRONGI_OUTERS * sizeof(struct prongi_outer),
			     1))
		return NULL;
	return prongi_outer_find(c);
}

/* Give the handle back, and have its object freed. */
void prongi_outer_free(const struct prongi_outer *found);

static inline const struct prongi_conn_ops *prongi_outer_ops(const struct prongi_outer *o)
{
	return atomic_load_explicit(&o->ops, memory_order_relaxed);
}

/* Explain that c cannot do that, and return -ENOTSUP. */
int prongi_outer_cannot(const char *what);

/* The same for a queue: free it, and return true; or false, when it is none of these. */
bool prongi_outer_queue_free(prong_queue *q);

#endif
