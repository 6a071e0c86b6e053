/* For rows in which the victim may die before it did what the others wait for: nobody is at fault
   then, and they would wait for ever.  The referee is one of the others.  When the repair is over
   and nothing has moved for a while, it asks the scenario whether that is right; then it helps. */
#ifndef KILL_REFEREE_H
#define KILL_REFEREE_H

#include "world.h"

#define REFEREE_GATE 3 /* opened with all others after the victim's death */

/* What scenarios that have a referee do with kill_control->note. */
enum {
	NOTE_BAD = 1, /* what the victim or an other found wrong, for the check */
	NOTE_OVER,    /* how many of the others are over that the referee watches */
	NOTE_HELPED,  /* how often the referee helped */
	NOTE_FREE     /* from here on: the scenario's own */
};

static inline void note_bad(unsigned bad)
{
	atomic_fetch_or(&kill_control->note[NOTE_BAD], bad);
}

static inline void note_over(void)
{
	atomic_fetch_add(&kill_control->note[NOTE_OVER], 1);
}

/* A survivor came back at its deadline, or has what it wanted.  When it found that only at the
   deadline, its wake was lost all the same. */
static inline unsigned in_time(prong_time deadline)
{
	return prong_ns_between(prong_clock(), deadline) > 0 ? 0 : KILL_STUCK;
}

/* Watch until n others are over.  In the image nothing moves when *moves does not. */
unsigned referee(uint64_t n, const prongi_word *moves, bool (*right)(void), void (*help)(void));

#endif
