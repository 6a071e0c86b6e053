/* The pool that the rows of room pool play with: see pool_world.c. */
#ifndef KILL_POOL_WORLD_H
#define KILL_POOL_WORLD_H

#include "pool/pool.h"
#include "world.h"

#define SMALL 8
#define LARGE 100 /* bytes that have a block of their own */

/* Of kill_control->note[]. */
enum {
	RUNS,    /* calls of a task's function */
	GOOD,    /* futures that somebody saw end with 0 */
	CRASHES, /* ... with PRONG_CRASHED */
	CANCELS,
	BAD
};

extern prong_pool *pool;

static inline uint64_t note(int i)
{
	return atomic_load(&kill_control->note[i]);
}

static inline void add_note(int i)
{
	atomic_fetch_add(&kill_control->note[i], 1);
}

void pool_world_open(void);
void pool_world_repair(void);

/* What tasks do: look whether all bytes of the argument are alike; leave a result of another size
   than the argument. */
int pool_task(void *arg);
int pool_task_with_result(void *arg);

/* A pool with two places for workers: the victim's, and a survivor's. */
void pool_make(void);

/* Submit fn with so many bytes of that value. */
prong_future *pool_hand_in(prong_fn *fn, int value, size_t size, const prong_task_opts *opts);

/* At the end: so many records are still held, all else is given back. */
unsigned pool_check_rest(int held);

#endif
