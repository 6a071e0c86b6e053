/* What the models of the one-word nouns have in common: the system's part (sleeping, waking,
   killing) and the server's (pass_wakes_on() and wipe() of src/family/repair.c, and what the noun
   adds as REPAIR_NOUN).

   KILLS threads are killed, between any two steps or in their sleep; the server is killed SERVERS
   times at any step of a repair, and its successor begins again.  A killed thread does not come
   back.  wake_obj is one entry: no signal handlers here. */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef SERVERS
#define SERVERS 1
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

/* A word: { bit 0 ASLEEP, turn 3 bits | the noun's own } */
#define ASLEEP	  1
#define LOW(v)	  ((v) & 15)
#define TURNS(v)  ((v) & 14)
#define HIGH(v)	  ((v) >> 4)
#define ONE	  16
#define TURNED(v) (((v) & ~14) | (((v) + 2) & 14))

bit wake_obj[THREADS], wait_obj[THREADS];

bool killed[THREADS], dead[THREADS], asleep[THREADS], server_killed, repairing;
byte kills, servers, timeouts;

inline wake_all()
{
	asleep[0] = false;
	asleep[1] = false;
#if THREADS > 2
	asleep[2] = false;
#endif
#if THREADS > 3
	asleep[3] = false;
#endif
}

/* One of those who sleep, whoever; woken says how many. */
inline wake_one()
{
	if
	:: asleep[0] -> asleep[0] = false; woken = 1
	:: asleep[1] -> asleep[1] = false; woken = 1
#if THREADS > 2
	:: asleep[2] -> asleep[2] = false; woken = 1
#endif
#if THREADS > 3
	:: asleep[3] -> asleep[3] = false; woken = 1
#endif
	:: else -> woken = 0
	fi
}

/* Sleep on the low half of the word while it is that of v; then on until somebody wakes, or the
   deadline. */
inline sleep_on(it, v)
{
	atomic { asleep[me] = (LOW(it) == LOW(v)); timed_out = false }
end_sleep: if
	:: !asleep[me]
	:: atomic { asleep[me] && timeouts < TIMEOUTS ->
		timeouts++; asleep[me] = false; timed_out = true }
	fi
}
