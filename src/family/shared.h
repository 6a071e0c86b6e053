/* What lies in the heap: the bytes that all members share, who writes each field, who reads it,
   and under what.  Addresses in here are plain addresses: the heap is at the same place in all.

   Words that can die half-way are of three kinds.
     Owner words (locks): { bit 0 WAIT, bit 1 DIED, slot 14 bits, generation 48 bits }; 0 is free.
       A futex sleeps on the low half: flags, slot and 16 bits of the generation.
       WAIT   must be set while somebody sleeps on the word; may be set when nobody does.
       DIED   must be set from a death in the section until someone said "consistent".
     Journals (in the slot): written by the slot's own thread alone, read by the repairer after its
       death.  A killed thread leaves a prefix of its instructions, and the kernel orders it before
       the repairer's loads, so they need only the compiler's order (prongi_then()).
     State words (process records, slot ids): changed by CAS from a state that says who may. */
#ifndef PRONGI_SHARED_H
#define PRONGI_SHARED_H

#include "os/os.h"

#define PRONGI_SLOTS	 16384
#define PRONGI_PROCESSES 16384
#define PRONGI_CHUNK	 ((size_t)2 << 20) /* the heap grows in these */
#define PRONGI_LOG	 48		   /* words that one section may change */
#define PRONGI_READY	 2		   /* children forked ahead */
#define PRONGI_WRITES	 4		   /* queues that one thread or process may be counted at */
#define PRONGI_WAKES	 4		   /* wakes that a thread and its signal handlers may owe */
#define PRONGI_READS	 8		   /* rwlocks that a thread may hold for reading */
#define PRONGI_CLASSES	 48		   /* of small blocks that are cached, see heap.h */
#define PRONGI_SEATS	 8		   /* queues that a slot knows without a block of its own */
#define PRONGI_AWAITS	 4		   /* things waited for, likewise */
#define PRONGI_POOLS	 64		   /* that a family has at once */
#define PRONGI_LOCKS	 32		   /* kernel locks that objects share by their address */

typedef _Atomic(uint64_t) prongi_word;

/* Order between two stores of a journal: for a death, the compiler's is enough. */
static inline void prongi_then(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* --- owner words ----------------------------------------------------------------------- */

#define PRONGI_WAIT  ((uint64_t)1)
#define PRONGI_DIED  ((uint64_t)2)
#define PRONGI_FLAGS ((uint64_t)3)

static inline uint64_t prongi_owner(uint64_t word)
{
	return word & ~PRONGI_FLAGS;
}

static inline uint32_t prongi_slot_index(uint64_t word)
{
	return (uint32_t)(word >> 2) & (PRONGI_SLOTS - 1);
}

/* The half that futexes sleep on. */
static inline _Atomic uint32_t *prongi_low(prongi_word *word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return (_Atomic uint32_t *)(void *)word + 1;
#else
	return (_Atomic uint32_t *)(void *)word;
#endif
}

/* --- one-word nouns ---------------------------------------------------------------------- */

/* Semaphore, event and condition, and the place where an rwlock's writer sleeps, are one word each:
   { low: bit 0 ASLEEP, turn 31 | high: the noun's own 32 }.  A futex sleeps on the low half.
     ASLEEP  must be set while somebody sleeps on the word; may be set when nobody does.
     turn    changes with each change that a sleeper must not miss.
   Nobody owns any of it, so a death leaves nothing to be told but wakes.  A barrier has another
   low half: see barrier.c. */
#define PRONGI_ASLEEP ((uint64_t)1)
#define PRONGI_TURN   ((uint64_t)2)
#define PRONGI_TURNS  ((uint64_t)0xfffffffe)

/* The word v, a turn later. */
static inline uint64_t prongi_turned(uint64_t v)
{
	return (v & ~PRONGI_TURNS) | ((v + PRONGI_TURN) & PRONGI_TURNS);
}

/* In a barrier's word: */
#define PRONGI_BROKEN ((uint64_t)1)

/* In a slot's reads[]: the thread gives that lock up, and may owe its writer a turn and a wake. */
#define PRONGI_LEAVES ((uint64_t)1)

/* --- slots: one for each thread that uses prong ------------------------------------------- */

/* In a slot's id, the flag bits mean: */
#define PRONGI_DEAD    ((uint64_t)1) /* its owner died; the repairer is at it */
#define PRONGI_CLAIMED ((uint64_t)2) /* being claimed; the slot bits name the claimer's process */

/* In count: the section is a private one.  No lock goes with it. */
#define PRONGI_ALONE ((uint64_t)1 << 63)

/* Small blocks of one class, for the thread that owns the slot: chains, see heap.h.  They stay in
   the slot for its next owner.  The owner alone; or who has claimed a free slot to empty them. */
struct prongi_cache {
	prongi_word chain; /* it takes from here and puts here */
	prongi_word spare; /* full or empty */
};

struct prongi_slot {
	prongi_word id;	      /* = owner word of its thread.  0: free.  CAS by the claimer from 0;
				 DEAD by the repairer; 0 by whoever repaired it, last of all */
	prongi_word generation; /* of the last claim.  The claimer, while CLAIMED */
	_Atomic uint32_t process; /* index of its process record.  The claimer, while CLAIMED */
	_Atomic uint32_t tid;     /* for people */

	/* Journals.  Each holds the address of a word in the heap, or 0. */
	prongi_word klock;     /* the kernel lock I am in or about to enter.  Never cleared: doubles
				  as wake journal.  Stored before the CAS on the lock */
	prongi_word wake_lock; /* the mutex I am unlocking: I may owe a wake.  Never cleared */
	prongi_word wait_lock; /* the lock I may sleep on.  From before my last look at it until I
				  own it or gave up.  Pairs with DEAD, see lock.c */
	prongi_word wait_private; /* the same for a lock outside the heap, for threads of this
				     process that end; nobody else could follow the address */
	prongi_word writes[PRONGI_WRITES]; /* queues that it writes, as it was started to */
	prongi_word starts[PRONGI_WRITES]; /* those that what it is starting will write.  Both by
					      the slot's thread, for writers.c; cleared by repair */
	prongi_word wake_obj[PRONGI_WAKES]; /* one-word nouns that I change, and may then owe wakes
					       on: mine first, then those of the signal handlers
					       that interrupted me.  Never cleared */
	_Atomic uint32_t wakes;	/* how many of them are under way.  Owner only */
	_Atomic uint32_t bar_phase; /* low half of the barrier's word when I came.  Before bar */
	prongi_word bar;       /* the barrier that I am about to come to, or wait at; a death
				  breaks it.  0 when I have left */
	prongi_word wait_obj;  /* the one-word noun that I sleep on, whose wakers choose one.  From
				  before I register until I have what the wake was for */
	prongi_word reads[PRONGI_READS]; /* for each rwlock that I read: the word that its writer
				  sleeps on.  Writers look at it, see rwlock.c; so it pairs with
				  their owner word */
	prongi_word spare;     /* a block of the heap that has no other place now.  By alloc_to and
				  free_at of its thread, and in sections; if that dies, the slot's
				  next owner frees it */
	prongi_word count;     /* > 0: the first so many of log[] are committed.  ALONE */
	struct {
		prongi_word at, value;
	} log[PRONGI_LOG];     /* what the section changes: addresses and absolute new values */

	prongi_word gone_from, gone_to; /* set by the log of a section of the heap's lock: these
					   pages are to go before it is free.  gone_to 0: none */
	struct prongi_cache cache[PRONGI_CLASSES];
	prongi_word tidied;    /* what heap.tidy was when its caches were last given back for that.
				  Owner only; a stale one of a former owner costs no more than to
				  give back once more */
	/* Queues that the thread has or had a part in: the owner adds, in the order id, queue; the
	   repairer looks, and clears them with the rest.  more: the block with further ones, which
	   stays with the slot: { n, n pairs }. */
	struct prongi_seat_of {
		prongi_word queue, id;
	} seat[PRONGI_SEATS];
	prongi_word more;
	prongi_word cancel;    /* { scope 62, state 2 }, see cancel.h.  Its thread begins scopes;
				  anybody cancels them, by CAS; a futex sleeps on the low half */
	prongi_word scopes;    /* so many it has had, over all its owners.  Owner only */
	prongi_word repairing; /* the queue that the slot's repairer is at: it must not be freed */
	prongi_word scrap;     /* a queue half made or half freed: the slot's next owner frees it */
	prongi_word offer;     /* a block that may become a queue's; likewise */
	/* What the thread sleeps for in prong_wait(), or at an event: addresses; read by who frees
	   one of these things, see awaits.c.  Its thread; cleared by repair.  more: a block with
	   further ones, { n, n addresses }, by alloc_to and free_at of its thread; if that dies,
	   the slot's next owner frees it. */
	prongi_word awaits[PRONGI_AWAITS];
	prongi_word awaits_more;
	prongi_word closing;   /* the pipe's end that the thread gives away or frees: those who are
				  to learn of it may not have been woken.  Its thread; cleared by
				  repair.  Until then the pipe stays */

	uint32_t filled;       /* of log[], not yet committed.  Owner only */
	uint32_t reading;      /* a bit for each of reads[] that is in use.  Owner only */
	uint32_t again[PRONGI_READS]; /* how often more I hold it.  Owner only */
	char detail[156];      /* prong_error_detail().  Owner only */
};

/* --- process records ---------------------------------------------------------------------- */

/* state: { phase 4, flags 4, generation 24, pid 32 }.  Futexes sleep on the low half. */
enum prongi_phase {
	PRONGI_FREE = 0, /* nobody's; block may hold what a dead starter left, the next clears it */
	PRONGI_BEING,    /* being filled by process pid, the starter; a ready child may wait */
	PRONGI_ASKED,    /* waits for the server, or for the ready child that took it; pid: 0, or
			    the child, which is there but not yet what it should be.  A root: its
			    own, and it waits for the guard's eye */
	PRONGI_RUNNING,  /* pid runs */
	PRONGI_DYING,    /* pid has ended; the repairer is at it */
	PRONGI_ENDED,    /* all is cleaned up, the end fields are valid */
	PRONGI_REFUSED   /* it could not be started: error says why */
};

#define PRONGI_PHASE  ((uint64_t)15)
#define PRONGI_HELD   ((uint64_t)1 << 4) /* its starter has a handle */
#define PRONGI_ROOT   ((uint64_t)1 << 5) /* not the server's child: watched by the guard */
#define PRONGI_DAEMON ((uint64_t)1 << 6)
#define PRONGI_FORKED ((uint64_t)1 << 7) /* by PRONG_FORK: a root with a nanny, see fork.c */
#define PRONGI_GEN_SHIFT 8
#define PRONGI_GEN_MASK	 ((uint64_t)0xffffff << PRONGI_GEN_SHIFT)

static inline enum prongi_phase prongi_phase(uint64_t state)
{
	return (enum prongi_phase)(state & PRONGI_PHASE);
}

static inline int prongi_state_pid(uint64_t state)
{
	return (int)(state >> 32);
}

/* It waits to be started, and no child has appeared. */
static inline bool prongi_waits(uint64_t state)
{
	return prongi_phase(state) == PRONGI_ASKED && !prongi_state_pid(state);
}

static inline uint64_t prongi_state_with(uint64_t state, enum prongi_phase phase, int pid)
{
	return (state & 0xfffffff0u) | phase | (uint64_t)(uint32_t)pid << 32;
}

/* What its opts ask for beyond the plain start: lies in the record's block, after the argument. */
struct prongi_wish {
	bool has_manner, new_session, has_starter_cwd;
	struct prongi_manner manner;
	struct {
		int resource;
		uint64_t soft, hard;
	} limits[16];
	uint32_t nlimits;
	uint32_t nfds;		   /* declared descriptors, in the parcel after 0 to 2 */
	int fds[PRONGI_FDS];
	bool has_stdio;            /* the parcel begins with three descriptors for 0 to 2 */
	bool stdio_open[3];	   /* and this one is not just a place-holder */
	enum prong_stdio_kind kind[3];
	uint32_t path[3], cwd, starter_cwd; /* offsets into text; 0: none */
	uint32_t env, nenv;	   /* offset of the first of nenv strings, one after the other */
	uint32_t size;		   /* of text */
	char text[];		   /* text[0] is unused */
};

struct prong_process {
	prongi_word state;
	prongi_word block;	  /* heap block with what is too large for here.  By alloc_to and
				     free_at, of the claimer, the holder, or the child at its end */
	_Atomic uint64_t parent;  /* ref of its starter's record, see proc.c; 0: a root */
	_Atomic uint32_t children;/* started so far: the next one's number.  Its process */
	_Atomic uint32_t lost;	  /* the ready child that took it died before ASKED.  The server */
	_Atomic uint32_t parcel;  /* descriptors come for it through the server's socket */
	_Atomic int32_t nanny;    /* of PRONG_FORK: who waits for it.  The nanny, before RUNNING */
	prongi_word cancel;	  /* { generation, state 2 }, see cancel.c.  By the starter while
				     BEING; then by anybody, by CAS */
	prongi_word term_at, kill_at; /* when it gets SIGTERM, SIGKILL, if it still runs; 0: never.
				     Anybody makes them sooner; the server clears them */
	_Atomic uint32_t news;	  /* changes when something that it started has ended.  Everybody
				     adds one */

	/* Read-only from ASKED on.  Written by the starter while BEING. */
	prongi_word writes[PRONGI_WRITES]; /* queues: while RUNNING it counts as their writer */
	prong_fn *fn;
	void *arg;
	size_t size;
	struct prongi_wish *wish; /* in block, or NULL */
	struct prongi_crash *crash; /* likewise: the child writes it when a signal kills it */
	uint64_t signals;	  /* the mask to start with */
	uint32_t umask;
	_Atomic uint32_t nanny_left; /* its starter has taken leave of the nanny.  The starter */
	_Atomic uint32_t copied;  /* of PRONG_FORK: the copy is made, a futex.  The nanny */
	int64_t started;
	char name[64];
	char identity[48];	  /* "2", or for a child's child "2:1"; the program's: "" */

	/* Written by the server before ENDED, or by the refuser before REFUSED. */
	int64_t ended;
	uint64_t peak_rss;
	int32_t code, signal;
	int32_t error;		  /* REFUSED: -errno, or a condition */
	uint8_t core, server_lost, ended_known;
	char detail[120];	  /* REFUSED: for the starter's prong_error_detail() */
	/* What the function returned when that is no exit code.  The child itself. */
	_Atomic int32_t result;
	_Atomic uint32_t has_result;

	_Alignas(16) char inside[128]; /* the argument, when it is small */
};

/* --- counted writers ------------------------------------------------------------------------ */

/* How a prong_queue begins: all that the rooms below it know of one. */
struct prongi_queue_head {
	prongi_word kind; /* PRONGI_QUEUE while it is one.  By who makes and frees it */
};

#define PRONGI_QUEUE_BELL 64 /* bytes from the head to the futex on which readers sleep */

/* In the bell's value: it has had a counted writer.  Set before that one runs; never cleared. */
#define PRONGI_WRITTEN ((uint32_t)1 << 31)

#define PRONGI_QUEUE ((uint64_t)0x6575657571676e70) /* "pngqueue" */

/* --- the server ---------------------------------------------------------------------------- */

enum prongi_server_state {
	PRONGI_NO_SERVER = 0,
	PRONGI_SERVER_UP,
	PRONGI_SERVER_QUITS
};

/* ready: { kind 2, generation 14 and index 16 of the record that took it, pid 32 }; a futex
   sleeps on
   the low half.  While it WAITS, 14 bits of the pid stand for the generation, so that no two
   children wait on one value. */
enum { PRONGI_READY_NONE = 0, PRONGI_READY_WAITS = 1, PRONGI_READY_TAKEN = 2 };

struct prongi_server {
	_Atomic uint32_t doorbell; /* the server sleeps on it.  Everybody adds one */
	_Atomic uint32_t state;	   /* enum.  UP by the server; QUITS by close; NONE by the guard, by
				      who opens or closes, and by the mender */
	_Atomic int32_t pid;	   /* of the server.  Itself; guard and mender clear it */
	_Atomic int32_t guard;	   /* of the guard, likewise */
	_Atomic int32_t mender;	   /* the thread that ends what a lost server left; 0: nobody.  By
				      CAS of its own */
	_Atomic int32_t opening;   /* the thread that opens a server, likewise */
	_Atomic uint32_t servers;  /* forked so far */
	_Atomic uint32_t roots;	   /* a bell for the guard's list: root joined or to be repaired */
	prongi_word ready[PRONGI_READY]; /* WAITS by the server; TAKEN by CAS of a starter; NONE by
					    the child once it runs, or the server if it ended */
	prongi_word asked[PRONGI_PROCESSES / 64]; /* a bit for each record that is ASKED.  Set by
						     the starter, cleared by the server before it
						     looks */
	prongi_word alarm;	   /* when a process may have to get a signal: the soonest term_at
				      or kill_at; 0: never.  Anybody makes it sooner; the server
				      clears it before it looks */
	_Atomic uint32_t ends;	   /* changes when a process ends, see writers.c.  Everybody adds
				      one */
	_Atomic uint64_t started, deaths;
	int64_t exit_ms;
	uint64_t opener;	   /* the root that may close.  Itself, when it has opened */
	unsigned char address[16]; /* of the server's listener.  The server, before UP */
	uint32_t modules;	   /* files that it has loaded.  The server, before UP */
	struct prongi_creds creds; /* what it may.  The server, before UP */
	struct prongi_manner manner;
	struct prongi_stdio_id stdio;
	char cwd[4096];		   /* "": unknown */
};

/* --- the checking mode ---------------------------------------------------------------------- */

#define PRONGI_CHECKED 1024

/* An object that was used, see check.c: a hint.  By anybody, without a lock. */
struct prongi_checked {
	prongi_word at;	   /* its address; 0: an empty entry */
	prongi_word user;  /* ref of the process that used it, or has freed it */
	prongi_word since; /* when that first used it */
	prongi_word flags; /* check.c's */
};

/* --- the heap's head ----------------------------------------------------------------------- */

#define PRONGI_MAGIC 0x676e6f7270u /* "prong" */

/* The two-level segregated fit of heap_blocks.c and the chains between slots; all under its lock.
   Read without it: committed, tidy, and what is for people. */
#define PRONGI_FL   40
#define PRONGI_SL   16
#define PRONGI_KEEP ((uint64_t)4 << 20)

struct prongi_blocks {
	_Alignas(64) prongi_word committed; /* first address without memory */
	prongi_word gone;      /* bytes before it without, inside free blocks */
	prongi_word keep;      /* free bytes that may have memory, at least */
	prongi_word given_at;  /* when memory was last given back */
	prongi_word given_back; /* bytes in all */
	prongi_word tidy;      /* how often threads were asked to give back what they cache: raised
				  without the lock by who finds the heap full, or full of holes */
	_Alignas(64) prongi_word lock;
	prongi_word end;       /* first address that is in no block */
	prongi_word last;      /* the block before end; 0: none */
	prongi_word fresh;     /* from here on nothing was written: all zero */
	prongi_word used, peak, blocks; /* with what is cached */
	struct {
		prongi_word first; /* a chain; the next one's word is in its first block's back */
		prongi_word count; /* blocks in all chains here */
	} depot[PRONGI_CLASSES];
	prongi_word fl;
	prongi_word sl[PRONGI_FL];
	prongi_word head[PRONGI_FL][PRONGI_SL];
};

struct prongi_family {
	uint64_t magic, size;
	prongi_word slots_committed;	 /* this many have memory behind them; only grows */
	prongi_word processes_committed;
	_Atomic uint32_t slots_hint, processes_hint; /* where the next search begins */
	_Atomic uint32_t slots_used;	 /* the highest index ever claimed + 1; only grows */
	_Atomic uint32_t processes_used;
	struct prongi_server server;
	struct prongi_blocks heap;
	_Atomic uint64_t queues;	 /* made so far: their ids.  Whoever makes one */
	prongi_word passing;		 /* the queue at which the server passes wakes on */
	struct {
		_Alignas(64) prongi_word lock;
	} locks[PRONGI_LOCKS];		 /* of objects that come and go: a journal may name a lock
					    long after */
	struct {
		prongi_word lock, first; /* see pipe.c */
		prongi_word cursor;	 /* the pipe that is looked at next; 0: the first */
	} pipes;
	struct prongi_pool_place {
		prongi_word owner;	 /* ref of the process that opened it; 0: free.  CAS */
		prongi_word raw;	 /* its block, see pool/pool.c.  By alloc_to of the owner */
	} pools[PRONGI_POOLS];
	_Alignas(4096) struct prong_process process[PRONGI_PROCESSES];
	/* Only with the checking mode on is memory behind it. */
	_Alignas(4096) struct prongi_checked checked[PRONGI_CHECKED];
	/* Some processors find cache lines by a hash of the address: with slot[0] and the first
	   block at the start of a page each, the journal and the lock of many a program's first
	   mutex evicted each other, at 10 to 30 ns for 5. */
	_Alignas(4096) char pad[0x840];
	struct prongi_slot slot[PRONGI_SLOTS];
	_Alignas(4096) char first[]; /* the blocks */
};

extern struct prongi_family *prongi_heap;

static inline uint64_t prongi_ready_waits(int pid)
{
	return PRONGI_READY_WAITS | ((uint64_t)pid & 0x3fff) << 2 | (uint64_t)(uint32_t)pid << 32;
}

/* The word of the ready child in word once p has taken it. */
static inline uint64_t prongi_ready_taken(uint64_t word, const struct prong_process *p)
{
	uint64_t state = atomic_load_explicit(&p->state, memory_order_relaxed);
	uint64_t generation = (state & PRONGI_GEN_MASK) >> PRONGI_GEN_SHIFT;

	return PRONGI_READY_TAKEN | (generation & 0x3fff) << 2 |
	       (uint64_t)(p - prongi_heap->process) << 16 | (word >> 32 << 32);
}

#endif
