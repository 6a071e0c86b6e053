/* The semaphore, killed at every step.

   Follows prong_sem_wait() with take() and wait_asleep(), prong_sem_post() with put()
   (src/sync/sem.c); prongi_promise(), prongi_wake_some(), prongi_wait_begin(), prongi_wait_end()
   (src/sync/word.h, word.c).

   WAITERS of THREADS threads take a token each, the others post POSTS times.

   Shown: at rest nobody sleeps while there is a token. */
#include "common.pml"
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef POSTS
#define POSTS 2
#endif

short word;

inline take()
{
	atomic { v = word; ok = false }
	do
	:: atomic {
		if
		:: HIGH(v) == 0 -> break
		:: HIGH(v) > 0 && word == v -> word = v - ONE; ok = true; break
		:: else -> v = word
		fi
	}
	od
}

proctype waiter(byte me)
{
	short v, mine;
	bool ok, timed_out;

	{
		take();
#if MUTANT != 43
		atomic {
			if
			:: ok -> goto end
			:: else -> wait_obj[me] = 1
			fi
		}
#else
		if
		:: ok -> goto end
		:: else
		fi;
#endif
		do
		:: true ->
			mine = word;
			take();
			atomic {
				if
				:: ok -> break
				:: else -> v = mine; mine = 0
				fi;
#if MUTANT == 44
				ok = (HIGH(v) == 0 && word == v);
				if
				:: ok -> mine = v | ASLEEP; word = mine
				:: else -> v = 0; goto again
				fi
#else
				ok = (HIGH(v) == 0 && word == v);
				if
				:: ok -> mine = TURNED(v) | ASLEEP; word = mine
				:: else -> v = 0; goto again
				fi
#endif
			}
			sleep_on(word, mine);
			if
			:: timed_out -> take(); break
			:: else
			fi;
again:			atomic { v = 0; mine = 0; ok = false }
		od;
		wait_obj[me] = 0
	} unless {
		killed[me]
	};
end:
	skip
}

proctype poster(byte me; byte times)
{
	short v, put;
	byte woken;

	{
		do
		:: times > 0 ->
#if MUTANT != 42
			wake_obj[me] = 1;
#endif
			v = word;
			do
			:: atomic {
				put = v;
				if
				:: v & ASLEEP -> put = TURNED(v)
				:: else
				fi;
				if
				:: word == v -> word = put + ONE; put = word; break
				:: else -> v = word; put = 0
				fi
			}
			od;
			atomic {
				if
				:: v & ASLEEP -> wake_one()
				:: else -> goto kept
				fi
			}
			atomic {
				if
#if MUTANT == 116
				:: woken == 0 -> word = word & ~ASLEEP
#else
				:: woken == 0 && word == put -> word = put & ~ASLEEP
#endif
				:: else
				fi
			}
kept:
			atomic { times--; v = 0; put = 0; woken = 0 }
		:: else -> break
		od
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
		:: i < THREADS -> assert(!asleep[i] || HIGH(word) == 0); i++
		:: else -> break
		od
	}
}

init {
	atomic {
		run waiter(0);
#if WAITERS > 1
		run waiter(1);
#else
		run poster(1, POSTS);
#endif
#if THREADS > 2
		run poster(2, POSTS);
#endif
#if THREADS > 3
		run poster(3, POSTS);
#endif
	}
}
