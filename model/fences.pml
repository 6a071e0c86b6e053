/* The fences between living threads, on a machine with store buffers.

   TEST 1: announce() (src/family/lock.c) against pronounce() and the scan in repair_awaited()
   (src/family/repair.c): who waits sees the death, or the repairer sees who waits.
   TEST 2: prongi_queue_listen() and the look that follows against the commit in swap() and
   prongi_queue_tell() (src/flow/queue.h, queue_ring.c): the sleeper sees the message, or the putter
   sees the sleeper.
   TEST 3: name() and unname() against a writer (src/sync/rwlock.c): a reader and a writer are never
   in together, and a reader sees all or nothing of what a writer wrote.
   TEST 4: prong_queue_join() and left_of() against a get, and against who leases and acknowledges
   (src/flow/queue_life.c, queue_ring.c, queue_room.c): who joins sees that the message is done with,
   or that it is just passing, or he is woken.

   WEAK 0: as x86: each thread's stores reach memory in their order, later than its loads that come
   after them; what reads and writes at once (CAS, exchange, or) waits until they have.
   WEAK 1: stores to different words reach memory in any order; what reads and writes at once does
   so alone, but without an order its store part may reach memory later too.  Loads are done in
   their order, which is more than some machines promise: the acquire orders are not tested here.

   A buffer holds one store for each word: a second one to the same word waits.

   Not here: signal fences.  They order what one thread has done for its repairer, which looks after
   the kernel has taken the thread's processor away; the compiler is all that could reorder there. */
#ifndef TEST
#define TEST 1
#endif
#ifndef WEAK
#define WEAK 0
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

#define VARS 4
#define AT(t, v) ((t) * VARS + (v))

byte memory[VARS];
bool pending[2 * VARS];		/* a store on its way */
byte value[2 * VARS];
byte age[2 * VARS];		/* 0: the first of the thread's */
byte many[2];			/* pending ones of the thread */
bool slept, woken;
byte in_write, in_read;

inline load(t, v, to)
{
	atomic {
		if
		:: pending[AT(t, v)] -> to = value[AT(t, v)]
		:: else -> to = memory[v]
		fi
	}
}

inline store(t, v, x)
{
	atomic {
		!pending[AT(t, v)] ->
		pending[AT(t, v)] = true;
		value[AT(t, v)] = x;
		age[AT(t, v)] = many[t];
		many[t]++
	}
}

/* The same with release: after all that came before. */
inline store_release(t, v, x)
{
#if WEAK
	many[t] == 0;
#endif
	store(t, v, x)
}

inline fence(t)
{
	many[t] == 0
}

/* Nobody else is in the middle of changing the word. */
#define ALONE(t, v) !pending[AT(1 - (t), v)]

/* memory[v] = x, and was = what it was: without an order. */
inline swap_relaxed(t, v, x, was)
{
#if WEAK
	atomic {
		ALONE(t, v) && !pending[AT(t, v)] ->
		was = memory[v];
		pending[AT(t, v)] = true;
		value[AT(t, v)] = x;
		age[AT(t, v)] = many[t];
		many[t]++
	}
#else
	atomic { many[t] == 0 && ALONE(t, v) -> was = memory[v]; memory[v] = x }
#endif
}

/* The same, seq_cst: before and after everything else. */
inline swap(t, v, x, was)
{
	atomic { many[t] == 0 && ALONE(t, v) -> was = memory[v]; memory[v] = x }
}

/* Another processor's doing: one store reaches memory. */
inline arrive(t, v)
{
	atomic {
#if WEAK
		pending[AT(t, v)] ->
#else
		pending[AT(t, v)] && age[AT(t, v)] == 0 ->
#endif
		memory[v] = value[AT(t, v)];
		pending[AT(t, v)] = false;
		value[AT(t, v)] = 0;
		older(t, 0, age[AT(t, v)]);
		older(t, 1, age[AT(t, v)]);
		older(t, 2, age[AT(t, v)]);
		older(t, 3, age[AT(t, v)]);
		age[AT(t, v)] = 0;
		many[t]--
	}
}

inline older(t, v, than)
{
	if
	:: pending[AT(t, v)] && age[AT(t, v)] > than -> age[AT(t, v)]--
	:: else
	fi
}

active proctype buffers()
{
end:	do
	:: arrive(0, 0)
	:: arrive(0, 1)
	:: arrive(0, 2)
	:: arrive(0, 3)
	:: arrive(1, 0)
	:: arrive(1, 1)
	:: arrive(1, 2)
	:: arrive(1, 3)
	od
}

#if TEST == 1 /* ---------------------------------------------------------------------------- */
#define WAIT_LOCK 0
#define ID	  1	/* 1: DEAD */

/* The lock is in the name of a thread that has been killed. */
active proctype waiter()
{
	byte died;

	store(0, WAIT_LOCK, 1);
#if MUTANT != 1
	fence(0);
#endif
	load(0, ID, died);
	if
	:: !died -> slept = true /* for the word is what it was */
	:: else
	fi
}

active proctype repairer()
{
	byte waits, was;

	swap_relaxed(1, ID, 1, was);
#if MUTANT != 2
	fence(1);
#endif
	load(1, WAIT_LOCK, waits);
	if
	:: waits -> woken = true
	:: else
	fi
}

active proctype rest()
{
end:	timeout;
	assert(!slept || woken)
}
#endif

#if TEST == 2 /* ---------------------------------------------------------------------------- */
#define CELL  0
#define EVENT 1		/* bit 0: somebody may sleep */

active proctype sleeper()
{
	byte was, there;

#if MUTANT == 1
	swap_relaxed(0, EVENT, 1, was);
#else
	swap(0, EVENT, 1, was);
#endif
	load(0, CELL, there);
	if
	:: !there -> slept = true
	:: else
	fi
}

active proctype putter()
{
	byte was, event;

#if MUTANT == 2
	swap_relaxed(1, CELL, 1, was);
#elif MUTANT == 3
	store(1, CELL, 1);
#else
	swap(1, CELL, 1, was);
#endif
	load(1, EVENT, event);
	if
	:: event -> woken = true
	:: else
	fi
}

active proctype rest()
{
end:	timeout;
	assert(!slept || woken)
}
#endif

#if TEST == 3 /* ---------------------------------------------------------------------------- */
#define READS  0
#define OWNER  1
#define FIRST  2	/* what the lock protects */
#define SECOND 3

active proctype reader()
{
	byte was, owner, a, b, n;

	do
	:: n < 2 ->
		n++;
#if MUTANT == 1
		store(0, READS, 1);
#elif MUTANT == 2
		swap_relaxed(0, READS, 1, was);
#else
		swap(0, READS, 1, was);
#endif
		load(0, OWNER, owner);
		if
		:: !owner ->
			in_read++;
			assert(in_write == 0);
			load(0, FIRST, a);
			load(0, SECOND, b);
			assert(a == b);
			in_read--
		:: else
		fi;
		swap(0, READS, 0, was)
	:: else -> break
	od
}

active proctype writer()
{
	byte was, reads;

#if MUTANT == 3
	store(1, OWNER, 1);
#else
	swap(1, OWNER, 1, was);
#endif
	do
	:: load(1, READS, reads);
		if
		:: !reads -> break
		:: else
		fi
	od;
	in_write++;
	assert(in_read == 0);
	store(1, FIRST, 1);
	store(1, SECOND, 1);
	in_write--;
#if MUTANT == 4
	swap_relaxed(1, OWNER, 0, was)
#else
	atomic { many[1] == 0 && ALONE(1, OWNER) -> memory[OWNER] = 0 } /* release */
#endif
}
#endif

#if TEST == 4 /* ---------------------------------------------------------------------------- */
#ifndef ACK
#define ACK 0
#endif
#define CELL   0	/* 1: the message has left the ring */
#define HEADER 1	/* 0: QUEUED, 1: LEASED, 2: TAKEN */
#define HAND   2	/* 1: GET, 2: past it */
#define EVENT  3	/* bit 0: somebody may sleep */

active proctype getter()
{
	byte was, event;

	store_release(0, HAND, 1);
	swap(0, HEADER, 1, was);
	swap(0, CELL, 1, was);
#if ACK
	store_release(0, HAND, 2);
#if MUTANT == 2
	store_release(0, HEADER, 2);
#else
	swap(0, HEADER, 2, was);
#endif
#else
#if MUTANT == 3
	store_release(0, HAND, 2);
	store_release(0, HEADER, 2);
#else
	store_release(0, HEADER, 2);
	store_release(0, HAND, 2);
#endif
#endif
	load(0, EVENT, event);
	if
	:: event -> woken = true
	:: else
	fi
}

active proctype joiner()
{
	byte was, cell, header, hand;

	swap(1, EVENT, 1, was);
	load(1, CELL, cell);
	load(1, HEADER, header);
	if
	:: !cell -> slept = true
	:: cell && header == 1 ->
#if MUTANT != 1
		load(1, HAND, hand);
		load(1, HEADER, header);
		slept = (hand != 1 && header == 1)
#else
		slept = true
#endif
	:: else
	fi
}

active proctype rest()
{
end:	timeout;
	assert(!slept || woken)
}
#endif
