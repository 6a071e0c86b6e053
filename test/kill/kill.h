/* The kill harness: what a room of scenarios gives to the engine, and what it may use of it.

   A scenario is one operation.  The engine runs it in a process, the victim, kills that at one
   instruction, repairs as the library would, lets the other processes go on, and checks.  All that
   the processes share is the image: a list of memory ranges that the engine puts back before each
   trial, so that every trial starts from the same bytes. */
#ifndef KILL_KILL_H
#define KILL_KILL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define KILL_OTHERS 4
#define KILL_GATES  4

/* What can be wrong after a death.  Exit codes of processes and results of checks: or-ed. */
enum {
	KILL_STUCK = 1,  /* a survivor did not get what it must get, in the time and steps it had */
	KILL_TORN = 2,   /* shared data is half changed */
	KILL_LOST = 4,   /* what was done before the death is undone */
	KILL_TWICE = 8,  /* it is done twice */
	KILL_LEAKED = 16 /* nobody has it and nobody will */
};
#define KILL_KINDS 5

struct kill_trial;
struct row;

struct kill_scenario {
	const char *name;
	/* Make the world as it is before the operation.  In the harness; once. */
	void (*setup)(void);
	/* Place the others, with kill_place().  In the harness; in each trial. */
	void (*before)(struct kill_trial *t);
	/* The operation; and what the victim does before it, unobserved. */
	void (*prepare)(void);
	void (*victim)(void);
	/* The victim sleeps for the nth time, from 0: do what should wake it. */
	void (*asleep)(struct kill_trial *t, int nth);
	/* The victim, or a repairer, was just killed: what others may do before the next repair. */
	void (*died)(struct kill_trial *t);
	/* The other processes.  After the repair, those that were placed must come to their end;
	   then those that nobody placed start; and when they too have ended, the late one.  For one
	   that comes from outside may wake a sleeper whose own wake was lost. */
	unsigned (*other[KILL_OTHERS - 1])(void);
	unsigned (*late)(void);
	/* All is over: what is wrong?  In a process of its own. */
	unsigned (*check)(void);
	bool rare;  /* much like others: not in a short run */
	bool slow;  /* to record: in a short run it is in no other matrix */
	bool alone; /* what it expects is not so when others come while it is stopped */
	/* What another does at the same time, for the pair matrix; then the row takes part in it.
	   It may be killed as well, so what it counts it counts as the victim does. */
	unsigned (*peer)(void);
	/* Instead of all that: see family_trial.h. */
	const struct family_scenario *family;
};

struct kill_room {
	const char *name;
	/* Make what the scenarios share, and say by image_add() where it lies.  In the harness. */
	void (*open)(void);
	/* Be the victim (0) or other number actor - 1, for the library. */
	void (*become)(int actor);
	/* Repair after the victim's death; NULL: nobody does.  In a process of its own. */
	void (*repair)(void);
	/* What the server does when the victim was stopped.  NULL: no part in the stop matrix. */
	void (*stopped)(void);
	/* True while others may have to wait for the victim, who has a lock.  NULL: nobody
	   knows. */
	bool (*holds)(void);
	const struct kill_scenario *scenarios; /* the last has no name */
	bool red;	   /* a control: each scenario must be found wrong */
	/* How the room explores its scenarios, when not as explore() does. */
	struct row (*explore)(const struct kill_scenario *s, FILE *out);
	const char *files; /* sources under test, for the coverage: "lock.c mutex.c " */
};

/* Shared by all processes of a trial, and part of the image. */
struct kill_control {
	_Atomic uint32_t gate[KILL_GATES];
	_Atomic uint64_t begun, done; /* operations that the victim entered and left */
	_Atomic uint64_t dead;	      /* others that kill_other() killed: a bit for each */
	_Atomic uint64_t note[8];     /* the scenario's own */
	char why[120];		      /* for people: what was the first thing found wrong */
};
extern struct kill_control *kill_control;

/* How long a survivor may wait. */
extern int kill_patience_ms;

/* In the harness: start other i unless it runs, and let it go until it sleeps or has ended. */
void kill_place(struct kill_trial *t, int i);

/* In the harness: open the gate. */
void kill_open(int gate);

/* In the harness: open the gate, and let other i go until it sleeps or has ended. */
void kill_pass(struct kill_trial *t, int gate, int i);

/* In the harness: kill other i now, as kill -9 would. */
void kill_other(struct kill_trial *t, int i);

/* In a process of a trial: sleep until the gate is open.  After the victim's death all are. */
void kill_gate(int gate);

/* Remember the first reason, and return bad. */
unsigned kill_because(unsigned bad, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The victim enters and leaves an operation whose effect is counted. */
static inline void kill_count_begun(void)
{
	atomic_fetch_add_explicit(&kill_control->begun, 1, memory_order_relaxed);
}

static inline void kill_count_done(void)
{
	atomic_fetch_add_explicit(&kill_control->done, 1, memory_order_relaxed);
}

/* What is wrong when the victim's operation has been done n times. */
static inline unsigned kill_check_count(uint64_t n)
{
	return (n < kill_control->done ? KILL_LOST : 0) |
	       (n > kill_control->begun ? KILL_TWICE : 0);
}

/* --- the image (image.c) ------------------------------------------------------------------ */

/* Make the bytes part of the image.  At and size are multiples of 8. */
void image_add(void *at, size_t size);

/* This word differs from run to run and means nothing: keep it out of the key. */
void image_ignore(const void *word);

/* Keep the bytes as they are now, and put them back. */
struct image *image_save(void);
void image_restore(const struct image *image);
void image_free(struct image *image);

/* A number that is equal for equal bytes. */
uint64_t image_key(void);

/* The words in which the bytes differ from the image now; and the image with them changed. */
struct change *image_changes(const struct image *image);
void image_restore_changed(const struct image *image, const struct change *change);

/* --- the rooms ---------------------------------------------------------------------------- */

extern const struct kill_room room_naive, room_glibc, room_robust, room_lock, room_mutex, room_slot,
	room_heap, room_cache, room_process, room_member, room_sem, room_borrowed, room_event,
	room_cond, room_barrier, room_rwlock, room_once, room_queue, room_queue_hand,
	room_queue_life, room_conn, room_conn_fd, room_cancel, room_pool;

#endif
