/* The barrier, killed at every step.

   Follows prong_barrier_wait() with arrive(), belong(), await(), act(), stay(), leave()
   (src/sync/barrier.c); repair_barrier() (src/family/repair.c).

   THREADS threads come ROUNDS times each; the last of a round acts first when ACTS is 1.

   Shown: who passes, passes with all; indices are distinct; and at rest nobody sleeps, unless
   somebody is missing whose round was over, or not begun, when his death was seen: of him the
   barrier cannot know. */

short word;
bit bar[3];
byte bar_phase[3];
byte came[8];		/* how many in each round, by the outside */
bool outside;		/* somebody died, when no round was on that he belonged to */
bool judged[3];

#include "common.pml"
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef ACTS
#define ACTS 0
#endif

/* The word: { BROKEN, round 3 | SLEEP, come } */
#define BROKEN	1
#define SLEEP	16
#define COME(v)	((v) >> 5)
#define COMES	32
#define ENDED(v) (((v) + 2) & 14)

inline repair_barrier(s)
{
	if
	:: bar[s] ->
		atomic {
			if
			:: LOW(word) == bar_phase[s] ->
#if MUTANT != 45
				word = word | BROKEN;
#endif
				judged[s] = true
			:: else -> outside = outside || !judged[s]
			fi
		}
#if MUTANT == 46
		atomic {
			if
			:: LOW(word) == bar_phase[s] -> wake_all()
			:: else
			fi
		}
#else
		atomic { wake_all() }
#endif
	:: else -> outside = outside || !judged[s]
	fi
}

inline change(next)
{
	atomic {
		ok = (word == v);
		if
		:: ok -> word = next
		:: else -> v = word
		fi
	}
}

inline await(round)
{
	v = word;
	do
	:: LOW(v) == round ->
		if
		:: !(v & SLEEP) ->
			change(v | SLEEP);
			if
			:: ok -> v = v | SLEEP
			:: else -> goto look_again
			fi
		:: else
		fi;
		sleep_on(word, v);
look_again:	v = word
	:: else -> break
	od
}

/* SLEEP is not in the low half, so that coming of others does not end the sleep. */
proctype member(byte me)
{
	short v;
	byte n, round, index;
	bool ok, timed_out, last;

	{
		do
		:: n < ROUNDS ->
			v = word;
			do
			:: true ->
				if
				:: v & BROKEN -> goto broken
				:: else
				fi;
				if
				:: COME(v) >= THREADS ->
					bar[me] = 0;
					round = LOW(v);
					do /* await() */
					:: LOW(v) == round ->
						atomic { ok = (word == v);
							if
							:: ok -> word = v | SLEEP; v = word
							:: else -> v = word
							fi }
						if
						:: ok ->
							atomic { asleep[me] = (LOW(word) == LOW(v)) }
end_early:						!asleep[me];
							v = word
						:: else
						fi
					:: else -> break
					od
				:: else ->
					bar_phase[me] = LOW(v);
#if MUTANT != 51
					bar[me] = 1;
#endif
					last = (COME(v) + 1 == THREADS);
					round = LOW(v);
					index = COME(v);
					atomic {
						ok = (word == v);
						if
						:: ok && last && !ACTS -> word = ENDED(v)
						:: ok && !(last && !ACTS) -> word = v + COMES
						:: else -> v = word
						fi;
						if
						:: ok ->
							assert(came[round >> 1] == index);
							came[round >> 1]++;
							break
						:: else
						fi
					}
				fi
			od;
			if
			:: last ->
#if ACTS
				v = word;
				do
				:: true ->
					if
					:: LOW(v) != round -> goto over
					:: else
					fi;
					change(ENDED(v));
					if
					:: ok -> break
					:: else
					fi
				od;
#endif
				if
				:: v & SLEEP -> atomic { wake_all() }
				:: else
				fi
			:: else -> await(round)
			fi;
over:
			/* fate() */
			atomic {
				v = word;
				if
				:: LOW(v) == (round | BROKEN) -> goto broken
				:: else -> assert(came[round >> 1] == THREADS)
				fi
			}
			bar[me] = 0;
			atomic { n++; v = 0; round = 0; index = 0; last = false }
		:: else -> break
		od;
		goto end;
broken:
		bar[me] = 0
	} unless {
		killed[me]
	};
end:
	skip
}

#define REPAIR_NOUN(s) repair_barrier(s)
#include "server.pml"

active proctype rest()
{
	byte i;

end:	timeout;
	d_step {
		do
		:: i < THREADS ->
			assert(!asleep[i] || outside);
			i++
		:: else -> break
		od
	}
}

init {
	atomic {
		run member(0);
		run member(1);
#if THREADS > 2
		run member(2);
#endif
	}
}
