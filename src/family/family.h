/* What the rooms above may use of the family, and its parts of each other. */
#ifndef PRONGI_FAMILY_H
#define PRONGI_FAMILY_H

#include "family/shared.h"
#include "private.h" /* prongi_fail(), of error.c */
#include <prong/family.h>
#include <prong/heap.h>
#include <string.h>

#if defined(PRONGI_MUTANTS)
extern int prongi_mutant; /* the kill harness breaks one thing on purpose */
#define PRONGI_MUTANT(n) (prongi_mutant == (n))
#else
#define PRONGI_MUTANT(n) 0
#endif

/* --- this process (family.c) --------------------------------------------------------------- */

/* The heap; NULL before it is mapped.  Never changes again in a process. */
extern struct prongi_family *prongi_heap;

/* This process's record; NULL before it joined.  Under the same rule but for a user's fork. */
extern struct prong_process *prongi_me;

/* The calling thread's slot and its id; NULL and 0 before prongi_enter(). */
struct prongi_self {
	struct prongi_slot *slot;
	uint64_t id;
	uint64_t fast; /* id, but 0 in the checking mode: each call goes the slow way */
};
extern _Thread_local struct prongi_self prongi_self __attribute__((tls_model("initial-exec")));

/* Give the calling thread a family and a slot, if it has none.  0 or -errno. */
int prongi_enter_slow(void);

static inline int prongi_enter(void)
{
	return prongi_self.slot ? 0 : prongi_enter_slow();
}

/* Give the calling thread's slot back, as if it had died: the end of a thread. */
void prongi_leave(void);

/* Map the heap and become its first process: for prong_open() and the kill harness. */
int prongi_family_map(size_t size);

/* Around a fork whose child shall have the heap. */
int prongi_fork_begin(void);
void prongi_fork_end(void);

/* Forget, in a child of whatever fork, all that was the parent's thread's own. */
void prongi_forget(void);

/* What the rooms above have to forget there; NULL: nothing. */
typedef void prongi_hook(void);
extern _Atomic(prongi_hook *) prongi_on_forget;

/* What the rooms above have to free that the last owner of a slot left there, who was killed: for
   who has just claimed it.  NULL: nothing. */
extern _Atomic(prongi_hook *) prongi_on_claim;

/* What the rooms above have to end before the process joins its children at its end; NULL:
   nothing. */
extern _Atomic(prongi_hook *) prongi_on_exit;
void prongi_before_exit(void);

static inline bool prongi_inside(const void *p)
{
	return prongi_heap && (uintptr_t)p - (uintptr_t)prongi_heap < prongi_heap->size;
}

/* True when at is the address of a word in the heap that has memory: a journal may be torn from
   something else by a wild pointer, and the repairer must not die of it. */
bool prongi_word_valid(uint64_t at);

/* prong_alloc_to(); its bytes need not be zero. */
int prongi_alloc_to(void **where, size_t size, bool zero);

/* --- slots (slot.c) ------------------------------------------------------------------------- */

int prongi_slot_claim(uint32_t process);

/* The same for the calling thread, which loses it when it ends (family.c). */
int prongi_slot_take(void);
void prongi_slot_release(struct prongi_slot *slot);

/* A slot for the time of one call, for a thread that has none, or that must not touch its own, and
   may be in a signal handler.  *out is NULL where the process has not joined a family.  Return 0,
   -ENOSPC or -ENOMEM. */
int prongi_slot_borrow(struct prongi_slot **out);

/* Clear all journals of a slot, and free it (repair.c). */
void prongi_slot_wipe(struct prongi_slot *slot);

/* --- what threads wait for (awaits.c) ------------------------------------------------------- */

/* The calling thread is about to sleep for these n things, each told by its address.  Then arm,
   look again, sleep.  0, or -ENOMEM. */
int prongi_awaits_begin(const void *const *names, size_t n);
void prongi_awaits_end(void);

/* True when a living thread, or that of slot, sleeps so for anything that begins in the size bytes
   at p. */
bool prongi_is_awaited(const void *p, size_t size);
bool prongi_slot_awaits(const struct prongi_slot *slot, const void *p, size_t size);

/* True when a living thread waits for a lock in these bytes. */
bool prongi_lock_is_awaited(const void *p, size_t size);

/* In a slot that is borrowed for that, and whose tid is 0: one name more, or less.  Under a lock of
   the caller's.  0 or -ENOMEM. */
int prongi_awaits_add(struct prongi_slot *slot, const void *name);
void prongi_awaits_remove(struct prongi_slot *slot, const void *name);

/* For repair: the slot's thread waits for nothing. */
void prongi_awaits_wipe(struct prongi_slot *slot);

/* Put memory behind the first n slots or process records, and let repairers look at them. */
int prongi_slots_reach(uint32_t n);
int prongi_processes_reach(uint32_t n);

/* True when no living thread has the owner word. */
static inline bool prongi_owner_dead(uint64_t owner)
{
	/* acquire: pairs with the release of the id's last store by its repairer, so that who sees
	   the owner gone sees what its repair did. */
	return atomic_load_explicit(&prongi_heap->slot[prongi_slot_index(owner)].id,
				    memory_order_acquire) != prongi_owner(owner);
}

/* True when waiting awake makes sense: there is more than one processor. */
extern bool prongi_spins;

/* --- locks (lock.c) ------------------------------------------------------------------------- */

/* Own the word or give up: 0, PRONG_TIMEDOUT; of a mutex also PRONG_OWNERDEAD, holding it. */
int prongi_lock_slow(prongi_word *word, bool mutex, prong_time deadline);
void prongi_wake_one(prongi_word *word);

/* Block until no living thread owns the word, without owning it: somebody may by then.  What a dead
   owner left is marked DIED.  0 or PRONG_TIMEDOUT. */
int prongi_lock_await(prongi_word *word, prong_time deadline);

/* Give up the word, which the caller owns, and wake n of those who wait.  keep: PRONGI_DIED, when
   the next is to be told. */
void prongi_unlock(prongi_word *word, uint64_t keep, int n);

/* A kernel section: all its changes happen, or none, whoever is killed.  One at a time for each
   thread; no other lock inside.  Words named in sections of one lock change under it alone. */
void prongi_begin(prongi_word *lock);
uint64_t prongi_get(const prongi_word *at);
void prongi_set(prongi_word *at, uint64_t value);
void prongi_commit(void);
void prongi_end(prongi_word *lock);

/* --- repair (repair.c) ----------------------------------------------------------------------- */

/* Put right whatever the dead thread of slot was in the middle of, and free the slot.  May be
   killed anywhere and done again; never waits.  One repairer at a time for each slot. */
void prongi_repair(struct prongi_slot *slot);

/* Pass on the wakes that a stopped thread may be sitting on; take nothing from it. */
void prongi_repair_stopped(struct prongi_slot *slot);

/* What higher rooms have to repair: called for a dead slot after all that is repaired here, under
   the same rules; or with dead 0 for a thread that is stopped: then to pass its wakes on and take
   nothing.  A room's constructor adds its own. */
typedef void prongi_repair_hook(struct prongi_slot *slot, uint64_t dead);
#define PRONGI_HOOKS 4
extern prongi_repair_hook *prongi_on_repair[PRONGI_HOOKS];
void prongi_repair_add(prongi_repair_hook *hook);

/* The same by the thread itself, at its end: also for locks outside the heap. */
void prongi_repair_thread(struct prongi_slot *slot);

/* Repair all slots of the process with this index. */
void prongi_repair_process(uint32_t process);
void prongi_pass_on_process(uint32_t process);

/* Repair the slot of the first thread of a process that has ended, but is not reaped, and had lost
   its record before it ran. */
void prongi_repair_first_thread(int pid);

/* --- the heap (heap_blocks.c, heap_cache.c) --------------------------------------------------- */

/* Give the pages back that the slot names.  By its thread in the section that said so, or by its
   repairer while the lock is still the dead one's. */
void prongi_heap_finish(struct prongi_slot *slot);

/* Put right the marks of cached blocks that the slot's thread died with. */
void prongi_cache_repair(struct prongi_slot *slot);

/* Store the heap's figures in *out. */
void prongi_heap_stat(prong_family_stats *out);

/* --- process records (proc.c) -------------------------------------------------------------- */

/* acquire: pairs with the CAS in prongi_process_step() and its like: whoever sees a phase sees what
   was written before it. */
static inline uint64_t prongi_state(const struct prong_process *p)
{
	return atomic_load_explicit(&p->state, memory_order_acquire);
}

static inline enum prongi_phase prongi_phase_of(const struct prong_process *p)
{
	return prongi_phase(prongi_state(p));
}

/* The block that p keeps in the heap, or NULL. */
static inline void *prongi_block(const struct prong_process *p)
{
	return (void *)(uintptr_t)atomic_load_explicit(&p->block, memory_order_relaxed);
}

/* acquire: pairs with the release of whoever stored it: what the server wrote before is seen. */
static inline uint32_t prongi_server_state(void)
{
	return atomic_load_explicit(&prongi_heap->server.state, memory_order_acquire);
}

/* acquire: pairs with the release in nanny(): the record is the nanny's by then. */
static inline int prongi_nanny_of(const struct prong_process *p)
{
	return atomic_load_explicit(&p->nanny, memory_order_acquire);
}

/* seq_cst: pairs with raise_to(): a slot below is looked at before its thread can want a repair. */
static inline uint32_t prongi_slots_used(void)
{
	return atomic_load_explicit(&prongi_heap->slots_used, memory_order_seq_cst);
}

static inline uint32_t prongi_process_index(const struct prong_process *p)
{
	return (uint32_t)(p - prongi_heap->process);
}

/* Claim a record; its phase is BEING, for the calling process.  0, -ENOSPC or -ENOMEM. */
int prongi_process_claim(struct prong_process **out, uint64_t flags);

/* Give a record back that never ran. */
void prongi_process_unclaim(struct prong_process *p);

/* Free what ended processes without a handle have left in the heap.  Return whether there was
   any. */
bool prongi_process_sweep(void);

/* Change p's phase from one to another, if it is in that one.  Return whether it was. */
bool prongi_process_step(struct prong_process *p, enum prongi_phase from, enum prongi_phase to,
			 int pid);
void prongi_process_wake(struct prong_process *p);

/* Write down how p ended; the first word counts.  lost: its server was killed before it. */
void prongi_process_note_end(struct prong_process *p, const struct prongi_end *end, bool lost);

/* p has ended: repair what its threads left, and end what it started.  Repeatable. */
void prongi_process_dies(struct prong_process *p);

/* p's server has ended, and what that had forked: what was not begun with, or not yet what it
   should be, is asked for again by its starter, and the rest is brought to its end. */
void prongi_process_lost(struct prong_process *p);

/* All that is done, and p can be reaped or was: tell who waits. */
void prongi_process_gone(struct prong_process *p);

/* The process that ref names, if no child has appeared, cannot be started: tell its starter why. */
void prongi_process_refuse(struct prong_process *p, uint64_t ref, int error, const char *detail);

/* The same by the child itself, which has no slot. */
void prongi_process_give_up(struct prong_process *p, int error, const char *detail);

/* By a child, before it has anything of the family's: put its number in.  From then on it is
   killed, and repaired, where it is not wanted any more.  False: the record is not its now. */
bool prongi_process_appears(struct prong_process *p, uint64_t ref);

/* By the starter: p, which waits to be started, is BEING filled again.  False: somebody has begun
   with it. */
bool prongi_process_take_back(struct prong_process *p);

/* By its nanny: it ran, and has ended.  False: it had been refused, and the record is not its. */
bool prongi_copy_ends(struct prong_process *p, uint64_t ref, int pid);

/* Free the record if whoever was about to be a root by it has ended. */
void prongi_process_collect(struct prong_process *p);

/* The holder of p's handle lets go of it. */
void prongi_process_let_go(struct prong_process *p);

/* Number that names p as long as it lives. */
uint64_t prongi_process_ref(const struct prong_process *p);

struct prong_process *prongi_process_by_ref(uint64_t ref);

/* True when p can be a handle. */
bool prongi_process_valid(const struct prong_process *p);

/* True until the process that ref names has ended; be it that it is still repaired.  Then *a, if
   asked for, is to be slept on until that may have changed. */
bool prongi_process_lives(uint64_t ref, struct prongi_awaited *a);

/* The record of the process with this number, which may still have to be watched; or NULL. */
struct prong_process *prongi_process_of(int pid);

/* --- counted writers (writers.c) ------------------------------------------------------------ */

struct prong_queue;

/* 0, or -EINVAL when one of them is no queue.  what: "thread_start" and the like. */
int prongi_writes_check(struct prong_queue *const queue[PRONGI_WRITES], const char *what);

/* From here to there the calling thread is starting one who writes these; nothing may be missed
   in between. */
void prongi_writes_begin(struct prong_queue *const queue[PRONGI_WRITES]);
void prongi_writes_end(void);

/* The calling thread itself writes these, until its end. */
void prongi_writes_mine(struct prong_queue *const queue[PRONGI_WRITES]);

/* Remember in each queue that is named that it has had a counted writer. */
void prongi_writes_mark(const prongi_word writes[PRONGI_WRITES]);

bool prongi_writes_any(const prongi_word writes[PRONGI_WRITES]);

enum prongi_writers {
	PRONGI_WRITERS_NEVER, /* none was ever counted */
	PRONGI_WRITERS_SOME,  /* one lives, or is being started */
	PRONGI_WRITERS_GONE   /* there were some, and at a moment of the call none was left */
};

/* The writers of q.  Who hears GONE must look into the queue once more: their last words were
   before that. */
enum prongi_writers prongi_queue_writers(const struct prongi_queue_head *q);

/* To sleep until a writer may have gone: note its value, ask who is left, and sleep while the word
   has that value.  seq_cst: pairs with prongi_ends_tell(). */
static inline struct prongi_awaited prongi_ends(void)
{
	_Atomic uint32_t *word = &prongi_heap->server.ends;

	return (struct prongi_awaited){
		word, atomic_load_explicit(word, memory_order_seq_cst), true
	};
}

/* A process, or a thread that was counted, has ended: tell who sleeps for it. */
void prongi_ends_tell(void);

/* Sleep on words, some of which may have to be changed by the server; so this also looks now and
   then whether there is one (children.c).  0 or PRONG_TIMEDOUT, as prongi_os_wait_any(). */
int prongi_await_any(const struct prongi_awaited *a, size_t n, prong_time deadline);

/* --- server (server.c) ---------------------------------------------------------------------- */

/* Call the server, or anybody who waits for the same: something has changed in the heap. */
void prongi_ring(void);

/* Have the server and the guard look at the roots: one came, or one has ended. */
void prongi_roots_changed(void);

/* True when this process is a server or a guard, or about to be. */
extern bool prongi_serving;

/* The life of the server. */
_Noreturn void prongi_serve(int guard, int up);

/* Kill the process that ref names, because its starter has ended. */
void prongi_child_kill(struct prong_process *p, uint64_t ref);

/* --- the guard, and opening and closing a server (guard.c) --------------------------------- */

/* Fork guard and server for the heap, from a process of one thread. */
int prongi_server_open(void);

/* End server and guard, and wait until both are gone. */
int prongi_server_close(prong_time deadline);

/* Let the guard watch the calling process, a root. */
int prongi_server_watch_me(void);

/* The life of a guard that watches the server with this pid, 0: one that it forks first. */
_Noreturn void prongi_guard(int server, int up);

/* p, a root, has ended; or its nanny, and it with that. */
void prongi_root_ended(struct prong_process *p);

/* --- without guard and server (mend.c) ------------------------------------------------------- */

/* True when the family has a server, or will have one soon. */
bool prongi_server_alive(void);

/* Both have ended.  One that is left brings the other back, or quits and ends its children. */
bool prongi_server_gone(void);

/* So long, at the most, a process that was forked takes to its first store. */
#define PRONGI_FORKED_MS 20

/* The word, which is 0 or the id of a thread that has ended, becomes the calling thread's.  False:
   it is that of another. */
bool prongi_word_claim(_Atomic int32_t *word);
void prongi_word_unclaim(_Atomic int32_t *word);

/* Members that were never the caller's to reap: the kernel has killed them with their server, but
   repair must not begin before they are gone.  A number cannot have a new bearer so soon. */
void prongi_await_members(void);

/* Without a server for good: end what it left, so that nobody waits for ever.  May find that there
   is one, or another thread at it, and do nothing. */
void prongi_server_lost(void);

/* By a new server, before it does the same: wait until nobody is at it. */
void prongi_await_mender(void);

/* --- children (child.c, children.c) -------------------------------------------------------- */

/* The first steps of a new process: to die with its parent, and to be nobody yet. */
void prongi_child_prepare(int parent);

/* The end of a process that has nothing to be. */
_Noreturn void prongi_child_vanish(void);

/* What a child of the server can do before it knows what it will be. */
void prongi_child_wait_ready(void);

/* The life of a new process, prepared, with the n descriptors of its parcel; unless p is no longer
   what ref names. */
_Noreturn void prongi_child(struct prong_process *p, uint64_t ref, const int *fds, int n);

/* What server and guard do to signals, and a child undoes. */
void prongi_signals_serve(void (*on_child)(int));
void prongi_signals_restore(void);

/* For the server: send the signals that are due, see prongi_process_end_by().  Return when the next
   one will be. */
prong_time prongi_alarm(void);

/* Terminate the daemons of this process and join its children. */
int prongi_children_end(prong_time deadline);

/* Block until p has ended, or the deadline.  0 or PRONG_TIMEDOUT; join also PRONG_CANCELLED. */
int prongi_process_await(struct prong_process *p, prong_time deadline);
int prongi_process_join(struct prong_process *p, prong_time deadline);

#endif
