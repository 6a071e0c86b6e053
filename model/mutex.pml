/* The owner mutex, killed at every step.

   Follows prong_mutex_lock(), prong_mutex_unlock(), prong_mutex_consistent() (src/sync/mutex.c);
   spin(), announce(), attempt(), denounce() (src/family/lock.c); pronounce(), pass_wakes_on(),
   disown(), repair_awaited(), wipe() (src/family/repair.c), by the server, and by a thread that
   ends in good order while it holds the lock.

   THREADS threads lock and unlock one mutex ROUNDS times each, the first EXTRA times more.  Up to KILLS of them are killed,
   each between any two steps or in its sleep; BIRTHS of their slots get a new owner.  The server is
   killed SERVERS times at any step of a repair, and its successor begins again.  TIMEOUTS sleeps
   run into their deadline, at any moment; LEAVERS threads end in good order holding the lock.

   Shown: two living threads never own the mutex at once; who takes it over from a dead one is told,
   and so is everybody after that until one has called it consistent; and there is no state in which
   a thread sleeps for ever, although nobody holds what it waits for. */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef SERVERS
#define SERVERS 1
#endif
#ifndef BIRTHS
#define BIRTHS 1
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 1
#endif
#ifndef LEAVERS
#define LEAVERS 1
#endif
#ifndef SPINS
#define SPINS 0
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
#define DIED	 2
#define OWNER(v) ((v) / 4)
#define WORD(i)	 ((i) * 4)
#define SLOT(i)	 (((i) - 1) % THREADS)
#define DEAD	 64
#if THREADS > 2
#define ID2 id[2]
#else
#define ID2 0
#endif

byte word;		/* {WAIT, DIED, owner} */
byte id[THREADS];	/* of the slots */
bit wake_lock[THREADS];	/* journals: there is one mutex, so each is one bit */
bit wait_lock[THREADS];

/* The system's: who was killed, who is asleep. */
bool killed[THREADS], dead[THREADS], asleep[THREADS], server_killed;
byte kills, servers, births, timeouts, leavers;

/* What the mutex protects: who is at it, and whether it is half done. */
byte inside;
bit torn;

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

/* CAS of the word from v to new; ok says whether. */
inline cas(new)
{
	d_step {
		ok = (word == v);
		if
		:: ok -> word = new
		:: else -> v = word
		fi
	}
}

/* prongi_repair() of slot s. */
inline repair(s)
{
	atomic {
		gone = id[s] & ~DEAD;
		id[s] = id[s] | DEAD
	}
#if MUTANT != 5
	atomic {
		if
		:: wake_lock[s] -> wake_all()
		:: else
		fi
	}
#endif
#if MUTANT != 3
	atomic {
		if
		:: wait_lock[s] -> wake_all()
		:: else
		fi
	}
#endif
#if MUTANT != 10
	do
	:: atomic { k < THREADS && !wait_lock[k] -> k++ }
	:: atomic { k < THREADS && wait_lock[k] -> v = word; ok = false }
		/* disown() */
		if
		:: atomic { OWNER(v) == gone ->
			do
			:: OWNER(v) == gone && !ok ->
#if MUTANT == 13
				cas(DIED)
#else
				cas(DIED | WAIT)
#endif
			:: else -> break
			od
		}
		:: else
		fi;
#if MUTANT == 14
		atomic {
			if
			:: ok -> wake_all()
			:: else
			fi;
			k++
		}
#else
		atomic {
			if
			:: ok || OWNER(v) == 0 -> wake_all()
			:: else
			fi;
			k++
		}
#endif
	:: atomic { k == THREADS -> k = 0; v = 0; ok = false; break }
	od;
#endif
	atomic { wake_lock[s] = 0; wait_lock[s] = 0 }
	atomic { id[s] = 0; dead[s] = false; gone = 0 }
}

proctype thread(byte me)
{
	byte me_id, v, n, k, gone;
	bool ok, owner_died, timed_out;

	me_id = me + 1;
born:
	id[me] = me_id;
	{
		do
		:: n < ROUNDS + (me == 0 -> EXTRA : 0) ->
			d_step { n++; owner_died = false; timed_out = false; v = 0 }

			/* prong_mutex_lock() */
			atomic {
				cas(WORD(me_id));
				if
				:: ok -> goto locked
				:: else
				fi
			}
#if SPINS
			if /* spin(): one look */
			:: atomic {
				v = word;
				if
				:: OWNER(v) == 0
				:: else -> goto slow
				fi
			}
				atomic {
					cas(WORD(me_id) | (v & 3));
					if
					:: ok -> owner_died = (word & DIED) != 0; goto locked
					:: else
					fi
				}
			:: skip
			fi;
slow:
#endif
#if MUTANT != 8
			wait_lock[me] = 1; /* announce() */
#endif
			do /* attempt() */
			:: atomic { v = word;
				if
				:: OWNER(v) == 0 -> goto take_free
				:: else -> goto look
				fi
			}
take_free:
				atomic {
					owner_died = (v & DIED) != 0;
#if MUTANT == 101
					cas(WORD(me_id) | (v & DIED));
#else
					cas(WORD(me_id) | (v & DIED) | WAIT);
#endif
					if
					:: ok -> break
					:: else -> goto again
					fi
				}
look:
#if MUTANT != 17
				atomic {
					if
					:: id[SLOT(OWNER(v))] == OWNER(v) -> goto mark
					:: else
					fi
				}
				atomic {
					owner_died = true;
					cas(WORD(me_id) | WAIT | DIED);
					if
					:: ok -> break
					:: else -> goto again
					fi
				}
mark:
#endif
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
					asleep[me] = (word == v);
					v = 0;
					if
					:: asleep[me]
					:: else -> goto again
					fi
				}
				if
				:: !asleep[me]
				:: atomic {
					asleep[me] && timeouts < TIMEOUTS ->
					timeouts++;
					asleep[me] = false;
					timed_out = true;
					break
				}
				fi;
again:
				atomic { v = 0; ok = false; owner_died = false }
			od;
			atomic {
				wait_lock[me] = 0; /* denounce() */
				if
				:: timed_out -> goto next
				:: else
				fi
			}
locked:
			atomic {
				assert(inside == 0 || id[SLOT(inside)] != inside);
				assert(inside == 0 || owner_died);
				assert(!torn || owner_died);
				inside = me_id;
				v = 0
			}
			if
			:: atomic { owner_died -> torn = 0 }
				word = word & ~DIED /* consistent() */
			:: owner_died /* it does not care: the next will be told again */
			:: atomic { !owner_died -> torn = 1 }
				torn = 0
			fi;
			if
			:: atomic { leavers < LEAVERS -> leavers++; goto leave }
			:: inside = 0
			fi;

			/* prong_mutex_unlock() */
#if MUTANT != 9
			wake_lock[me] = 1;
#endif
			atomic {
				v = WORD(me_id);
				cas(0);
				if
				:: ok -> goto next
				:: else
				fi
			}
			v = word;
			atomic {
#if MUTANT == 28
				k = word; word = 0;
#else
				k = word; word = v & DIED;
#endif
				if
				:: k & WAIT
				:: else -> goto next
				fi
			}
			wake_one();
next:
			atomic { k = 0; v = 0; ok = false; owner_died = false; timed_out = false }
		:: else -> break
		od;
		goto end; /* it lives on, and wants nothing more */
leave:
		repair(me);
		goto end
	} unless {
		killed[me]
	};
	d_step { v = 0; k = 0; gone = 0; ok = false; owner_died = false; timed_out = false }
	id[me] == 0; /* its slot gets free */
	atomic {
		if
		:: births < BIRTHS -> births++; me_id = me_id + THREADS; killed[me] = false; n = 0
		:: else -> goto end
		fi
	};
	goto born;
end:
	skip
}

active proctype server()
{
	byte s, v, k, gone;
	bool ok;

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
				fi
			}
			repair(s)
		od
	} unless {
		atomic { server_killed -> server_killed = false; s = 0; v = 0; k = 0; gone = 0; ok = false }
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
#if THREADS > 2
	:: atomic { kill(2) }
#endif
#endif
	:: atomic { servers < SERVERS && (id[0] | id[1] | ID2) & DEAD -> servers++; server_killed = true }
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
