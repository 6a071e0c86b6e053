/* What a pool has to do: a line of indices of tasks, which any number of members put and get.  A
   cell of its ring is one word, and changes by one CAS: so a put or a get has happened or not,
   whoever dies at it.  What a worker takes out it names in its place before, so that nothing is
   forgotten; see pool.h for why an index too many does no harm.

   It grows by rings of doubling size.  When one is full its oldest entry is marked: with it that
   ring ends, and the next begins with the next number.  Old ones stay, they are smaller together
   than the newest.

   seq   number of an entry, from 0; never reused
   turn  (seq - base of the ring) / cells of the ring, 32 bits of it */
#ifndef PRONGI_TODO_H
#define PRONGI_TODO_H

#include "family/family.h"

#define PRONGI_TODO_RINGS 19 /* of 2^6 to 2^24 cells */

struct prongi_todo_ring {
	uint64_t index;                  /* the how manieth ring; read-only */
	uint64_t shift;                  /* it has 2^shift cells; read-only */
	prongi_word base;                /* seq of cell 0 at turn 0.  As ring[] */
	_Alignas(64) prongi_word tail;   /* not beyond here is the next place to put: only raised */
	_Alignas(64) prongi_word head;   /* the same to get */
	_Alignas(64) prongi_word cell[]; /* { turn 32, index 29, state 3 }.  Anybody, by CAS */
};

struct prongi_todo {
	_Alignas(64) prongi_word put_ring, get_ring; /* numbers of those in use: CAS to the next */
	uint64_t limit;                              /* entries at most; 0: 2^24.  Read-only */
	prongi_word ring[PRONGI_TODO_RINGS]; /* blocks; 0: not made yet.  Under the kernel's lock */
	/* Who waits for an entry sleeps on it: { version 31, bit 0: somebody may sleep }.  Who goes
	   to sleep and who wakes changes the version, by CAS. */
	_Alignas(64) _Atomic uint32_t word;
	/* As what the last one has gone to sleep; 0: not known.  Who wakes one prefers him, whose
	   memory may be in a cache still.  A hint: by him, and by who wakes. */
	_Atomic uint32_t newest;
};

/* Make t, which is zero and in the heap, ready.  0 or -ENOMEM. */
int prongi_todo_init(struct prongi_todo *t, uint64_t limit);

/* Free all that hangs from it.  Repeatable. */
void prongi_todo_fini(struct prongi_todo *t);

/* Put index at the end, and wake one who waits.  0, PRONG_FULL, -ENOMEM. */
int prongi_todo_put(struct prongi_todo *t, uint32_t index);

/* This thread's last puts have woken somebody.  Who waits for his answer had better give way, and
   sleep, than look for it: the other may be on the processor that the looks would keep busy. */
extern _Thread_local bool prongi_todo_woke __attribute__((tls_model("initial-exec")));

/* Take the first entry out; *journal holds it, + 1, from before that on, or 0.  False: none. */
bool prongi_todo_get(struct prongi_todo *t, prongi_word *journal, uint32_t *index);

bool prongi_todo_any(struct prongi_todo *t);

/* Say that somebody will sleep on the word, as these bits; return the value to sleep on.  Then look
   again. */
uint32_t prongi_todo_listen(struct prongi_todo *t, uint32_t bits);

/* Wake all who sleep. */
void prongi_todo_rouse(struct prongi_todo *t);

#endif
