/* The event, killed at every step.

   Follows prong_event_set(), prong_event_clear(), prong_event_wait() with passes() and
   wait_asleep() (src/sync/event.c).

   WAITERS threads wait once; the others set the event, and clear it again when CLEARS is 1.

   Shown: at rest nobody sleeps while it is set, nor who began to wait before it was last set.  Only
   who was killed before the word changed has not set it. */
#include "common.pml"
#ifndef CLEARS
#define CLEARS 1
#endif

short word;
byte sets;		/* how often it was set, by the outside */
byte sets_seen[THREADS];

#if MUTANT == 117
#define PASSES(v) (HIGH(v) != 0)
#else
#define PASSES(v) (HIGH(v) != 0 || TURNS(v) != TURNS(first))
#endif

proctype waiter(byte me)
{
	short v, first;
	bool timed_out;

	{
		atomic {
			first = word;
			sets_seen[me] = sets;
			if
			:: HIGH(first) != 0 -> goto end
			:: else
			fi
		}
		do
		:: atomic {
			v = word;
			if
			:: PASSES(v) -> break
			:: else
			fi
		}
			atomic {
				if
				:: word == v -> word = v | ASLEEP; v = word
				:: else -> goto again
				fi
			}
			sleep_on(word, v);
			if
			:: timed_out -> break
			:: else
			fi;
again:			v = 0
		od
	} unless {
		killed[me]
	};
end:
	skip
}

proctype setter(byte me)
{
	short v, next;

	{
#if MUTANT != 42
		wake_obj[me] = 1;
#endif
		v = word;
		do
		:: atomic {
			next = v;
			if
			:: HIGH(v) == 0 -> next = TURNED(v) | ONE
			:: else
			fi;
#if MUTANT == 118
			next = next | (v & ASLEEP);
#else
			next = next & ~ASLEEP;
#endif
			if
			:: word == v -> word = next; sets++; break
			:: else -> v = word; next = 0
			fi
		}
		od;
		atomic {
#if MUTANT == 119
			skip
#else
			if
			:: v & ASLEEP -> wake_all()
			:: else
			fi
#endif
		}
#if CLEARS
		word = word & ~ONE
#endif
	} unless {
		killed[me]
	}
}

#include "server.pml"

active proctype rest()
{
	byte i;

end:	timeout;
	d_step {
		do
		:: i < THREADS ->
			assert(!asleep[i] || (HIGH(word) == 0 && sets == sets_seen[i]));
			i++
		:: else -> break
		od
	}
}

init {
	atomic {
		run waiter(0);
		run waiter(1);
#if THREADS > 2
		run setter(2);
#endif
#if THREADS > 3
		run setter(3);
#endif
	}
}
