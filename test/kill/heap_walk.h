/* The walk through the whole heap that the checks of room heap make, on their own account. */
#ifndef KILL_HEAP_WALK_H
#define KILL_HEAP_WALK_H

#include "world.h"
#include "family/heap.h"

#define ROOTS (sizeof world->root / sizeof *world->root)

/* A world whose image has more of the blocks. */
void heap_open(void);

/* What is wrong: blocks fill the heap without gaps; free ones are in exactly the list where they
   belong, cached ones in exactly one chain; all figures are right; what was never used is zero; and
   but for so many, blocks in use belong to somebody. */
unsigned heap_walk(uint64_t leaks_allowed);

/* Bytes of the body that p is, with those not asked for. */
size_t heap_body_size(const void *p);

#endif
