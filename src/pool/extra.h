/* What a task has beside its record. */
#ifndef PRONGI_EXTRA_H
#define PRONGI_EXTRA_H

#include "pool/pool.h"

/* What a task has: bit i says that option i is not the pool's; and these. */
#define PRONGI_HAS_INDEX_LOW (1u << PRONGI_OPTIONS)
#define PRONGI_HAS_INDEX     (3 * PRONGI_HAS_INDEX_LOW) /* in a stream; of two words */
#define PRONGI_HAS_NAME      (1u << 8)

/* What tasks with a name or options of their own have.  All but notes is read-only. */
struct prongi_extra {
	prongi_word notes; /* 0, or a struct prongi_notes: its block.  By alloc_to of who submits,
			      of the worker, or of the supervisor when that is dead */
	uint32_t has;
	int32_t word[]; /* one for each bit, the lowest first; then the name, if it has one */
};

/* What few tasks have. */
struct prongi_notes {
	prongi_word not_before;  /* while DELAYED: when it is put.  The supervisor */
	prongi_word message;     /* block of the heap, or 0.  By alloc_to of the worker */
	prongi_word report;      /* the same, how it crashed; of the supervisor, before the state */
	_Atomic double progress; /* the worker */
	prongi_word ended;       /* when it ended; who ends it, before the state says so */
	prongi_word took;        /* ns, of an attempt that returned; the worker */
	prongi_word pid;         /* the same */
	prongi_word copy;        /* of the argument, on which fn works, if it may be tried again; 0,
				    or a block.  By alloc_to of the worker */
};

static inline struct prongi_extra *prongi_extra(const struct prong_future *f)
{
	/* acquire: pairs with the release of alloc_to: it is whole. */
	return (struct prongi_extra *)(uintptr_t)atomic_load_explicit(&f->extra,
								      memory_order_acquire);
}

static inline struct prongi_notes *prongi_notes(const struct prong_future *f)
{
	const struct prongi_extra *e = prongi_extra(f);

	/* acquire: pairs with the release of alloc_to: they are whole. */
	return e ? (struct prongi_notes *)(uintptr_t)atomic_load_explicit(&e->notes,
									  memory_order_acquire)
		 : NULL;
}

/* The same, made if need be; NULL: there is no memory. */
struct prongi_notes *prongi_notes_of(struct prong_future *f);

/* f, which is MAKING, gets what it needs for these options, which may be NULL.  0 or -ENOMEM. */
int prongi_extra_fill(struct prong_pool *pool, struct prong_future *f, const prong_task_opts *o,
		      uint64_t index);

/* Free all that. */
void prongi_extra_clear(struct prong_future *f);

/* An option that f runs under: never negative, but for the priority, and a grace of none; a grace
   of 0 is the usual one. */
int32_t prongi_task_option(const struct prong_pool *pool, const struct prong_future *f,
			   enum prongi_option which);

/* Its name, or the pool's for tasks, or "task". */
const char *prongi_task_name(const struct prong_pool *pool, const struct prong_future *f);
uint64_t prongi_task_index(const struct prong_future *f);

#endif
