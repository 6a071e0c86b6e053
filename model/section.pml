/* The lock kernel: sections that change two words, killed at every step.

   Follows prongi_begin(), prongi_set(), prongi_commit(), prongi_end(), attempt() (src/family/lock.c);
   repair_section(), replay(), pass_wakes_on(), repair_awaited(), wipe() (src/family/repair.c).

   THREADS threads run SECTIONS sections each, the first EXTRA more: both words are raised by one.  KILLS of them are
   killed, each between any two steps or in its sleep; the server is killed SERVERS times at any
   step of a repair, and its successor begins again.

   Shown: whoever enters finds both words equal, and raised by all sections that were committed and
   no other; so it is at the end; and nobody sleeps for ever. */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef SECTIONS
#define SECTIONS 1
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef SERVERS
#define SERVERS 1
#endif
#ifndef EXTRA
#define EXTRA 0
#endif
#ifndef VICTIM
#define VICTIM 0
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

#define WAIT	 1
#define OWNER(v) ((v) / 2)
#define WORD(i)	 ((i) * 2)
#define DEAD	 64

byte lock;		/* {WAIT, owner} */
byte value[2];		/* what sections change */
byte committed;		/* sections, by the watcher: one with the store of count */

byte id[THREADS];
bit klock[THREADS], wait_lock[THREADS];
byte count[THREADS], log0[THREADS], log1[THREADS];

bool killed[THREADS], dead[THREADS], asleep[THREADS], server_killed;
byte kills, servers;

inline wake_one()
{
	atomic {
		if
		:: asleep[0] -> asleep[0] = false
		:: asleep[1] -> asleep[1] = false
#if THREADS > 2
		:: asleep[2] -> asleep[2] = false
#endif
		:: else
		fi
	}
}

inline wake_all()
{
	d_step {
		asleep[0] = false;
		asleep[1] = false;
#if THREADS > 2
		asleep[2] = false;
#endif
	}
}

/* CAS of the lock from v to new. */
inline cas(new)
{
	d_step {
		ok = (lock == v);
		if
		:: ok -> lock = new
		:: else
		fi
	}
}

proctype thread(byte me)
{
	byte me_id, v, n;
	bool ok;

	me_id = me + 1;
	id[me] = me_id;
	{
		do
		:: n < SECTIONS + (me == 0 -> EXTRA : 0) ->
			/* prongi_begin() */
#if MUTANT != 12
			klock[me] = 1;
#endif
			atomic {
				n++;
				v = 0;
				cas(WORD(me_id));
				if
				:: ok -> goto entered
				:: else
				fi
			}
			wait_lock[me] = 1;
			do /* attempt() */
			:: atomic {
				v = lock;
				if
				:: OWNER(v) == 0
				:: else -> goto mark
				fi
			}
				atomic {
					cas(WORD(me_id) | WAIT);
					if
					:: ok -> break
					:: else -> goto again
					fi
				}
mark:
				atomic {
					if
					:: !(v & WAIT) ->
						cas(v | WAIT);
						if
						:: ok -> v = v | WAIT
						:: else -> goto again
						fi
					:: else
					fi
				}
				atomic {
					asleep[me] = (lock == v);
					if
					:: asleep[me]
					:: else -> goto again
					fi
				}
				!asleep[me];
again:
				atomic { v = 0; ok = false }
			od;
			wait_lock[me] = 0;
entered:
#if MUTANT == 12
			klock[me] = 1;
#endif
			/* the section itself */
			atomic {
				assert(value[0] == value[1]);
				assert(value[0] == committed);
				ok = false;
				v = value[0] + 1;
				log0[me] = v
			}
			log1[me] = v;

			/* prongi_commit() */
#if MUTANT != 1 && MUTANT != 16
			atomic { count[me] = 2; committed++ }
#endif
			value[0] = v;
			value[1] = v;
#if MUTANT == 16
			atomic { count[me] = 2; committed++ }
#endif
#if MUTANT == 1
			committed++;
#endif
#if MUTANT != 4
			count[me] = 0;
#endif

			/* prongi_end() */
			atomic { v = lock; lock = 0 }
#if MUTANT == 2
			klock[me] = 0;
#endif
			if
			:: v & WAIT -> wake_one()
			:: else
			fi
		:: else -> break
		od
	} unless {
		killed[me]
	};
	atomic { v = 0; ok = false; n = 0 }
	(id[me] == 0 || !killed[me])
}

active proctype server()
{
	byte s, v, k, gone;
	bool ok, owned;

	do
	:: {
		do
		:: true ->
end_idle:		atomic {
				if
				:: dead[0] -> s = 0
				:: dead[1] -> s = 1
#if THREADS > 2
				:: dead[2] -> s = 2
#endif
				fi;
				gone = id[s] & ~DEAD
			}
			id[s] = gone | DEAD;

			/* repair_section() */
			if
			:: klock[s] ->
				owned = (OWNER(lock) == gone);
				if
				:: owned ->
#if MUTANT == 6
					lock = 0;
#endif
#if MUTANT != 29
					k = count[s];
					if
					:: k > 0 -> value[0] = log0[s]
					:: else
					fi;
					if
					:: k > 1 -> value[1] = log1[s]
					:: else
					fi;
#endif
#if MUTANT != 6
					lock = 0
#endif
				:: else
				fi;
				k = 0;
#if MUTANT == 7
				if
				:: owned -> wake_all()
				:: else
				fi
#else
				wake_all()
#endif
			:: else
			fi;

			/* pass_wakes_on() */
#if MUTANT != 3
			if
			:: wait_lock[s] -> wake_all()
			:: else
			fi;
#endif

			/* repair_awaited() */
			k = 0;
			do
			:: atomic { k < THREADS && !wait_lock[k] -> k++ }
			:: atomic { k < THREADS && wait_lock[k] -> v = lock; ok = false }
				if
				:: atomic { OWNER(v) == gone ->
					cas(WAIT);
					if
					:: ok
					:: else -> v = lock
					fi
				}
				:: else
				fi;
				atomic {
					if
					:: ok || OWNER(v) == 0 -> wake_all()
					:: else
					fi;
					k++
				}
			:: atomic { k == THREADS -> k = 0; v = 0; ok = false; break }
			od;

			/* wipe() */
			count[s] = 0;
			atomic { klock[s] = 0; wait_lock[s] = 0 }
			atomic { id[s] = 0; dead[s] = false; gone = 0; owned = false; s = 0 }
		od
	} unless {
		atomic {
			server_killed -> server_killed = false;
			s = 0; v = 0; k = 0; gone = 0; ok = false; owned = false
		}
	}
	od
}

inline kill(i)
{
	kills < KILLS && !killed[i] && id[i] != 0 ->
		kills++;
		killed[i] = true;
		dead[i] = true;
		asleep[i] = false
}

active proctype killer()
{
	do
#if KILLS == 1 /* the threads are alike: of one death it does not matter whose it is */
	:: atomic { kill(VICTIM) }
#else
	:: atomic { kill(0) }
	:: atomic { kill(1) }
#endif
#if THREADS > 2
#if KILLS != 1
	:: atomic { kill(2) }
#endif
	:: atomic { servers < SERVERS && (id[0] | id[1] | id[2]) & DEAD ->
			servers++; server_killed = true }
#else
	:: atomic { servers < SERVERS && (id[0] | id[1]) & DEAD -> servers++; server_killed = true }
#endif
	:: break
	od
}

init {
	atomic {
		run thread(0);
		run thread(1);
#if THREADS > 2
		run thread(2);
#endif
	}
}

/* At rest: nothing else can happen. */
active proctype rest()
{
end:	timeout;
	assert(lock == 0 || OWNER(lock) == 0);
	assert(value[0] == committed && value[1] == committed)
}
