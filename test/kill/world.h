/* The family that the scenarios of locks, slots and heap play in: a heap as prong_open() maps it,
   but no server: the harness repairs.  Its actors' slots are claimed once, so that ids are the same
   in each trial. */
#ifndef KILL_WORLD_H
#define KILL_WORLD_H

#include "family/family.h"
#include "kill.h"
#include <prong/prong.h>

#define WORLD_TOTAL 1000
#define WORLD_SLOTS 12 /* part of the image; the actors' come first */
#define WORLD_WORDS 10
#define WORLD_BLOCKS (32 << 10)  /* bytes of the blocks that are part of the image */

/* What the scenarios work on, in the heap. */
struct world {
	prongi_word lock, lock2;
	prongi_word a, b;	     /* a + b is WORLD_TOTAL, while nobody is inside */
	prongi_word word[WORLD_WORDS]; /* all equal */
	prong_mutex mutex, mutex2;
	prong_sem sem;
	prong_event event;
	prong_cond cond;
	prong_barrier barrier;
	prong_rwlock rwlock;
	prong_once once;
	_Atomic uint64_t inside; /* who is between lock and unlock */
	void *root[8];		 /* blocks that somebody has */
	prongi_word first;	 /* end of the heap when the scenario began */
};
extern struct world *world;

void world_open(void);
void world_become(int actor);

/* Repair what the victim left, and before it each other that kill_other() killed. */
void world_repair(void);

/* Repair other i, which is dead, now: as the server does when it notices.  In the harness. */
void world_repair_other(struct kill_trial *t, int i);

/* Pass the victim's wakes on, as the server does when it was stopped. */
void world_stopped(void);

/* True while the victim has one of the locks that there are. */
bool world_holds(void);

struct prongi_slot *world_slot(int actor);

/* Be the next thread that owns the slot of this actor, who is dead and repaired. */
void world_succeed(int actor);

/* So many bytes of the blocks are part of the image. */
void world_add_blocks(size_t bytes);

/* In a setup: take all that is left of the heap, and return in how many blocks.  Then, in a trial:
   let it have more memory. */
uint64_t world_fill_heap(void);
void world_memory_back(void);

/* Blocks of the heap in use, without what freed slots keep for their next owners. */
uint64_t world_blocks(void);

/* What is wrong with the actors' slots and the locks when all is over. */
unsigned world_check(void);

/* Milliseconds from now, as far as a survivor may wait. */
prong_time world_deadline(void);

#endif
