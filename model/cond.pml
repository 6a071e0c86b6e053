/* The condition, killed at every step.

   Follows prong_cond_wait() with announce(), come(), wait_turn(), denounce(), prong_cond_signal(),
   prong_cond_broadcast() (src/sync/cond.c); prongi_wake_some() (src/sync/word.c); repair_awaited(),
   disown(), call_back(), turn() (src/family/repair.c).

   The mutex is taken for granted here, see mutex.pml: to lock it waits until it is free or its
   owner dead, and says which.  Two threads wait for an item each, the others bring one each and
   signal while they hold the mutex.  As every user of a mutex must, who is told of a dead owner
   puts things right and calls all.

   Shown: at rest nobody sleeps while there is an item, or while the mutex is in a dead one's name. */
#include "common.pml"

short word;
byte mutex;		/* 0, or 1 + who */
bool died;
bit wait_lock[THREADS];
byte items;

inline turn()
{
	atomic { word = TURNED(word) }
	atomic { wake_all() }
}

inline one_awaited(s, i)
{
	if
	:: wait_lock[i] ->
		atomic {
			if
			:: mutex == s + 1 -> mutex = 0; died = true
			:: else
			fi
		}
#if MUTANT != 50
		if
		:: mutex == 0 && died && wait_obj[i] -> turn()
		:: else
		fi
#endif
	:: else
	fi
}

inline repair_awaited(s)
{
	one_awaited(s, 0);
	one_awaited(s, 1);
	wait_lock[s] = 0;
}

/* As long as it takes, which the mutex sees to. */
inline lock()
{
	atomic {
		(mutex == 0 || killed[mutex - 1]) ->
		ownerdead = (mutex != 0 || died);
		died = ownerdead;
		mutex = me + 1
	}
}

inline wake(drop)
{
	if
	:: atomic { word & ASLEEP ->
#if MUTANT != 42
		wake_obj[me] = 1
#endif
	}
		atomic { word = TURNED(word) & ~drop; v = word }
		atomic {
			if
			:: drop -> wake_all()
			:: else -> wake_one()
			fi
		}
		atomic {
			if
			:: !drop && woken == 0 && word == v -> word = v & ~ASLEEP
			:: else
			fi;
			v = 0; woken = 0
		}
	:: else
	fi
}

/* The user's part. */
inline put_right()
{
	if
	:: atomic { ownerdead -> died = false; ownerdead = false }
		wake(ASLEEP)
	:: else
	fi
}

proctype waiter(byte me)
{
	short v, mine;
	byte woken;
	bool ownerdead, timed_out;

	{
		lock();
		put_right();
		do
		:: items == 0 ->
			wait_obj[me] = 1;
#if MUTANT != 48
			wait_lock[me] = 1;
#endif
			atomic { word = (word + ONE) | ASLEEP; mine = word }
			mutex = 0;
#if MUTANT == 49
			wait_obj[me] = 0;
#endif
			sleep_on(word, mine);
			lock();
			wait_lock[me] = 0;
			wait_obj[me] = 0;
			mine = 0;
			put_right()
		:: else -> break
		od;
		items--;
		mutex = 0
	} unless {
		killed[me]
	}
}

proctype bringer(byte me)
{
	short v;
	byte woken;
	bool ownerdead;

	{
		lock();
		put_right();
		items++;
		wake(0);
		mutex = 0
	} unless {
		killed[me]
	}
}

#define REPAIR_NOUN(s) repair_awaited(s)
#include "server.pml"

active proctype rest()
{
	byte i;

end:	timeout;
	d_step {
		do
		:: i < THREADS ->
			assert(!asleep[i] || (items == 0 && (mutex == 0 || !killed[mutex - 1])));
			i++
		:: else -> break
		od
	}
}

init {
	atomic {
		run waiter(0);
		run waiter(1);
		run bringer(2);
#if THREADS > 3
		run bringer(3);
#endif
	}
}
