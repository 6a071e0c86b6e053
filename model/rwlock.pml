/* The rwlock, killed at every step.

   Follows prong_rwlock_read() with name(), unname(), give_turn() and read_asleep(), and
   prong_rwlock_write() with anyone_reads(), drain(), shut_out() and give_up() (src/sync/rwlock.c);
   pronounce(), repair_reads() and wipe() (src/family/repair.c).

   READERS of THREADS threads read, the others write, ROUNDS times each.  TIMEOUTS writers give up
   in their sleep.

   The owner word is the lock kernel's, see mutex.pml: here who wants it waits until it has no
   living owner.  A reader has one name here.

   Shown: who writes is alone, among the living; at rest nobody sleeps. */
#include "common.pml"
#ifndef READERS
#define READERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif

#ifdef ONLY
#define VICTIM(i) ((i) == ONLY)
#else
#define VICTIM(i) true
#endif

#define NAMED  1
#define LEAVES 2

byte owner;		/* + 1; and: */
bool died;
short left;
bool seen;
byte reads[THREADS];
bool gone[THREADS];	/* its slot says DEAD */

bool reading[THREADS], writing[THREADS], over[THREADS];

#define DEAD_OWNER (owner > 0 && gone[owner - 1])

inline nobody_reads()
{
	d_step {
		k = 0;
		do
		:: k < THREADS -> assert(k == me || killed[k] || !reading[k]); k++
		:: else -> break
		od;
		k = 0
	}
}

inline nobody_writes()
{
	d_step {
		k = 0;
		do
		:: k < THREADS -> assert(k == me || killed[k] || !writing[k]); k++
		:: else -> break
		od;
		k = 0
	}
}

inline give_turn()
{
	atomic { v = left; left = TURNED(left) & ~ASLEEP }
	if
	:: atomic { v & ASLEEP -> wake_all() }
	:: else
	fi;
	v = 0
}

proctype reader(byte me; byte rounds)
{
	short v;
	byte k;
	bool in;

	{
		do
		:: rounds > 0 ->
#if MUTANT == 1
			in = (owner == 0);
			if
			:: in -> reads[me] = NAMED
			:: else -> goto await
			fi;
#else
#if MUTANT != 4
			reads[me] = NAMED;
#endif
			if
			:: !seen -> seen = true
			:: else
			fi;
#if MUTANT == 4
			reads[me] = NAMED;
#endif
			in = (owner == 0);
#endif
			if
			:: in ->
				atomic { reading[me] = true; nobody_writes() }
				reading[me] = false
			:: else
			fi;
			/* unname() */
#if MUTANT == 2
			reads[me] = 0;
#else
			reads[me] = LEAVES;
#endif
			if
			:: owner > 0 -> give_turn()
			:: else
			fi;
			reads[me] = 0;
await:			atomic {
				owner == 0 || DEAD_OWNER || in ->
				if
				:: !in && DEAD_OWNER -> owner = 0; died = true
				:: else
				fi;
				rounds = (in -> rounds - 1 : rounds);
				in = false
			}
		:: atomic { rounds == 0 -> over[me] = true; goto end }
		od
	} unless {
		killed[me]
	};
	atomic { v = 0; k = 0; in = false; rounds = 0 }
end:
	skip
}

/* anyone_reads(), a slot a step. */
inline look_for_readers()
{
	k = 0; any = false;
	do
	:: atomic { k < THREADS && !any -> any = (reads[k] == NAMED && !gone[k]); k++ }
	:: atomic { k == THREADS || any -> k = 0; break }
	od
}

proctype writer(byte me; byte rounds)
{
	short v;
	byte k;
	bool any, timed_out, from_dead;

	{
		do
		:: rounds > 0 ->
			atomic {
				owner == 0 || DEAD_OWNER ->
				died = died || owner > 0;
				from_dead = died;
				owner = me + 1
			}
#if MUTANT == 3
			from_dead = false;
#endif
			if
			:: !from_dead && !seen -> goto alone
			:: else
			fi;
			seen = false;
			do
			:: true ->
				v = left;
				look_for_readers();
				if
				:: !any -> break
				:: else
				fi;
				atomic {
					if
					:: left == v -> left = v | ASLEEP; v = left
					:: else -> goto again
					fi
				}
				sleep_on(left, v);
				if
				:: timed_out ->
#if MUTANT != 5
					seen = true;
#endif
					goto give_up
				:: else
				fi;
again:				v = 0
			od;
alone:			atomic { writing[me] = true; nobody_reads(); nobody_writes() }
			atomic { writing[me] = false; died = false }
give_up:		atomic { owner = 0; v = 0; any = false; timed_out = false; from_dead = false;
				rounds-- }
		:: atomic { rounds == 0 -> over[me] = true; goto end }
		od
	} unless {
		killed[me]
	};
	atomic { v = 0; k = 0; any = false; timed_out = false; from_dead = false; rounds = 0 }
end:
	skip
}

active proctype server()
{
	byte s;

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
				repairing = true;
				gone[s] = true
			}
#if MUTANT != 6
			if
			:: reads[s] ->
				left = TURNED(left);
				atomic { wake_all() }
			:: else
			fi;
#endif
			reads[s] = 0;
			atomic { dead[s] = false; repairing = false; s = 0 }
		od
	} unless {
		atomic { server_killed -> server_killed = false; s = 0 }
	}
	od
}

inline kill(i)
{
	kills < KILLS && VICTIM(i) && !killed[i] && !over[i] ->
		kills++; killed[i] = true; dead[i] = true; asleep[i] = false
}

active proctype killer()
{
	do
	:: atomic { kill(0) }
	:: atomic { kill(1) }
#if THREADS > 2
	:: atomic { kill(2) }
#endif
	:: atomic { servers < SERVERS && repairing -> servers++; server_killed = true }
	:: break
	od
}

active proctype rest()
{
	byte i;

end:	timeout;
	d_step {
		do
		:: i < THREADS ->
			assert(!asleep[i] && (over[i] || killed[i]));
			i++
		:: else -> break
		od
	}
}

init {
	byte i;

	atomic {
		do
		:: i < THREADS ->
			if
			:: i < READERS -> run reader(i, ROUNDS)
			:: else -> run writer(i, ROUNDS)
			fi;
			i++
		:: else -> break
		od
	}
}
