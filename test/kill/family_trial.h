/* Trials with a whole family: main, guard, server and processes, all alive.

   Each trial makes a family anew.  Main runs in a process of its own; the harness adopts the
   orphans, so it sees who is left over.  Main meets the harness at gates:
      1. main opens the family and does what comes before; then it waits at FAMILY_GATE_MAIN;
      2. the victim is stopped, and main, or the victim, begins the operation;
      3. the victim is killed at its point;
      4. main, if it lives, looks whether all is well, and ends; then the family must be gone. */
#ifndef KILL_FAMILY_TRIAL_H
#define KILL_FAMILY_TRIAL_H

#include "engine.h"
#include "family/family.h"
#include <prong/prong.h>
#include <time.h>

enum family_victim {
	VICTIM_MAIN,	/* runs the operation itself, and so does */
	VICTIM_MEMBER,	/* a process that main started, with family_member() */
	VICTIM_SERVER,	/* is stopped while main runs the operation; then works on what it finds, */
	VICTIM_GUARD,	/* as do the guard, */
	VICTIM_READY,	/* the child that is forked ahead, */
	VICTIM_PROCESS, /* and the process whose number is family_pid() */
	VICTIM_NEW_GUARD, /* they are forked by the operation, which is prong_open() */
	VICTIM_NEW_SERVER
};

enum { FAMILY_GATE_MAIN, FAMILY_GATE_AFTER, FAMILY_GATE_MEMBER, FAMILY_GATE_CHILD };

struct family_scenario {
	enum family_victim victim;
	bool early; /* the operation comes before the family is open */
	/* All in main, but for the operation of a member.  Results are what is wrong. */
	unsigned (*before)(void);
	unsigned (*operation)(void);
	unsigned (*after)(void);
};

/* What main and the harness tell each other, in kill_control->note. */
enum {
	FAMILY_STAGE,	/* of main, as above: 1, or 2 */
	FAMILY_GOING,	/* main is in its operation */
	FAMILY_MEMBER,	/* number of the process that runs family_member() */
	FAMILY_PROCESS, /* number of the process that VICTIM_PROCESS means */
	FAMILY_SLOTS, FAMILY_BLOCKS, FAMILY_RECORDS /* in use, when all was well */
};

static inline uint64_t family_note(int i)
{
	return atomic_load_explicit(&kill_control->note[i], memory_order_acquire);
}

static inline void family_set_note(int i, uint64_t value)
{
	atomic_store_explicit(&kill_control->note[i], value, memory_order_release);
}

static inline void family_nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
}

/* The scenario under way; and main's life in it. */
extern const struct family_scenario *family_now;
int family_main(void *arg);

struct row family_explore(const struct kill_scenario *s, FILE *out);

/* --- for scenarios ------------------------------------------------------------------------ */

/* A process that waits at its gate and then does the scenario's operation; returns 7. */
int family_member(void *arg);

/* What family_healthy() takes for normal: the family as it is now. */
void family_baseline(void);

/* What is wrong with the family, in which only main should be left: does it start processes, are
   all others gone, and is everything given back? */
unsigned family_healthy(void);

#endif
