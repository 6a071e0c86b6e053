/* Owner words: the lock of a mutex and of a kernel section; and the sections themselves.

   A kernel section changes several words so that a death leaves all of them changed or none.  The
   thread writes the new values into its slot's log, commits by one store of their number, applies
   them, and takes the number back.  Who dies before the commit has done nothing; who dies after it
   has it done by the repairer, from the log alone.  Values are absolute, so doing it twice is
   harmless.

   Not here: who repairs, see repair.c.  Order of locks: a thread holds one kernel lock at most, and
   takes no mutex while it does. */
#include "family/family.h"

/* How often a lock is looked at before its waiter sleeps.  A sleeping waiter on another processor
   costs its waker some 40 us to wake; a short section is over in a tenth of one. */
#define LOOKS  60
#define PAUSES 32 /* between two looks, at the most */
#define PATIENCE 3 /* looks, before the owner is suspected to be dead */

void prongi_wake_one(prongi_word *word)
{
	prongi_os_wake(prongi_low(word), 1, prongi_inside(word));
}

/* Try to take the free word v, or that of a dead owner.  flags are kept or added. */
static bool take(prongi_word *word, uint64_t v, uint64_t flags)
{
	if (PRONGI_MUTANT(89)) {
		if (atomic_load_explicit(word, memory_order_relaxed) != v)
			return false;
		atomic_store_explicit(word, prongi_self.id | flags, memory_order_relaxed);
		return true;
	}
	/* acquire: pairs with the release in the owner's unlock, or in its repair. */
	return atomic_compare_exchange_strong_explicit(word, &v, prongi_self.id | flags,
						       memory_order_acquire,
						       memory_order_relaxed);
}

/* Wait awake, for as long as a sleep would cost.  Return true when the lock was taken. */
static bool spin(prongi_word *word, bool mutex)
{
	if (!prongi_spins)
		return false;
	for (int i = 0, pause = 1; i < LOOKS; i++) {
		uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

		if (!prongi_owner(v) && take(word, v, v & PRONGI_FLAGS))
			return true;
		/* Not at once: it is a line that its living owner writes. */
		if (i == PATIENCE && mutex && prongi_owner(v) && prongi_owner_dead(v))
			return false;
		for (int k = 0; k < pause; k++)
			prongi_os_pause();
		/* Each look takes the line from the owner: rare ones let it work, and are fair. */
		pause = pause < PAUSES ? pause * 2 : PAUSES;
	}
	return false;
}

/* Say what the calling thread waits for, so that whoever repairs the owner wakes it, and whoever
   repairs the calling thread passes its wake on. */
static void announce(prongi_word *word)
{
	prongi_word *journal = prongi_inside(word) ? &prongi_self.slot->wait_lock
						   : &prongi_self.slot->wait_private;

	if (PRONGI_MUTANT(8))
		return;
	atomic_store_explicit(journal, (uintptr_t)word, memory_order_relaxed);
	/* seq_cst: pairs with the fence in prongi_repair(), between its DEAD and its look at this
	   journal: either it sees that we wait, or we see that the owner is dead. */
	atomic_thread_fence(memory_order_seq_cst);
}

static void denounce(void)
{
	prongi_then();
	atomic_store_explicit(&prongi_self.slot->wait_lock, 0, memory_order_relaxed);
	atomic_store_explicit(&prongi_self.slot->wait_private, 0, memory_order_relaxed);
}

/* One look at the word, announced.  0 or PRONG_OWNERDEAD: it is ours; PRONG_RUNNING: look again;
   PRONG_TIMEDOUT. */
static int attempt(prongi_word *word, bool mutex, prong_time deadline)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed), owner = prongi_owner(v);
	int taken = (v & PRONGI_DIED) && mutex ? PRONG_OWNERDEAD : 0;

	/* A sleeper takes the lock with WAIT, for others may sleep: so to wake one is enough. */
	if (!owner)
		return take(word, v, PRONGI_WAIT | (v & PRONGI_DIED)) ? taken : PRONG_RUNNING;
	/* A kernel lock waits for the repairer instead: only it may apply the log. */
	if (mutex && !PRONGI_MUTANT(17) && prongi_owner_dead(owner))
		return take(word, v, PRONGI_WAIT | (PRONGI_MUTANT(73) ? 0 : PRONGI_DIED))
			       ? PRONG_OWNERDEAD
			       : PRONG_RUNNING;
	if (!(v & PRONGI_WAIT)) {
		if (!atomic_compare_exchange_strong_explicit(word, &v, v | PRONGI_WAIT,
							     memory_order_relaxed,
							     memory_order_relaxed))
			return PRONG_RUNNING;
		v |= PRONGI_WAIT;
	}
	if (prongi_os_wait(prongi_low(word), (uint32_t)v, deadline, prongi_inside(word)))
		return PRONG_TIMEDOUT;
	return PRONG_RUNNING;
}

int prongi_lock_slow(prongi_word *word, bool mutex, prong_time deadline)
{
	int r;

	if (spin(word, mutex))
		return mutex && (atomic_load_explicit(word, memory_order_relaxed) & PRONGI_DIED)
			       ? PRONG_OWNERDEAD
			       : 0;
	announce(word);
	do
		r = attempt(word, mutex, deadline);
	while (r == PRONG_RUNNING);
	denounce();
	return r;
}

int prongi_lock_await(prongi_word *word, prong_time deadline)
{
	int r = 0;

	announce(word);
	for (;;) {
		uint64_t v = atomic_load_explicit(word, memory_order_relaxed);
		uint64_t owner = prongi_owner(v);
		bool dead = owner && prongi_owner_dead(owner);
		uint64_t next = dead ? PRONGI_DIED | PRONGI_WAIT : v | PRONGI_WAIT;

		if (!owner)
			break;
		if (next != v && !atomic_compare_exchange_strong_explicit(
					 word, &v, next, memory_order_relaxed,
					 memory_order_relaxed))
			continue;
		if (!dead && prongi_os_wait(prongi_low(word), (uint32_t)next, deadline,
					    prongi_inside(word))) {
			r = PRONG_TIMEDOUT;
			break;
		}
	}
	denounce();
	return r;
}

void prongi_unlock(prongi_word *word, uint64_t keep, int n)
{
	uint64_t v;

	/* For a lock outside the heap there is nobody to read it, and the repairer ignores it. */
	atomic_store_explicit(&prongi_self.slot->wake_lock, (uintptr_t)word, memory_order_relaxed);
	prongi_then();
	/* release: pairs with take() of the next owner, and with the load of who awaits. */
	v = atomic_exchange_explicit(word, keep, memory_order_release);
	if (v & PRONGI_WAIT)
		prongi_os_wake(prongi_low(word), n, prongi_inside(word));
}

/* --- sections --------------------------------------------------------------------------- */

void prongi_begin(prongi_word *lock)
{
	struct prongi_slot *me = prongi_self.slot;

	if (!PRONGI_MUTANT(12))
		atomic_store_explicit(&me->klock, (uintptr_t)lock, memory_order_relaxed);
	prongi_then(); /* whoever owns lock has said so before */
	me->filled = 0;
	if (!take(lock, 0, 0))
		prongi_lock_slow(lock, false, PRONG_FOREVER);
	if (PRONGI_MUTANT(12))
		atomic_store_explicit(&me->klock, (uintptr_t)lock, memory_order_relaxed);
}

/* Where at stands in the section's log; filled when it does not. */
static uint32_t logged(const struct prongi_slot *me, uint64_t at)
{
	uint32_t i = 0;

	while (i < me->filled &&
	       atomic_load_explicit(&me->log[i].at, memory_order_relaxed) != at)
		i++;
	return i;
}

uint64_t prongi_get(const prongi_word *at)
{
	struct prongi_slot *me = prongi_self.slot;
	uint32_t i = logged(me, (uintptr_t)at);

	return atomic_load_explicit(i < me->filled ? &me->log[i].value : (prongi_word *)at,
				    memory_order_relaxed);
}

void prongi_set(prongi_word *at, uint64_t value)
{
	struct prongi_slot *me = prongi_self.slot;
	uint32_t i = logged(me, (uintptr_t)at);

	if (i == PRONGI_LOG)
		__builtin_trap(); /* heap.c counts its changes */
	atomic_store_explicit(&me->log[i].at, (uintptr_t)at, memory_order_relaxed);
	atomic_store_explicit(&me->log[i].value, value, memory_order_relaxed);
	if (i == me->filled)
		me->filled = i + 1;
}

void prongi_commit(void)
{
	struct prongi_slot *me = prongi_self.slot;
	uint32_t n = me->filled;

	prongi_then(); /* the log is whole before it counts */
	if (!PRONGI_MUTANT(1) && !PRONGI_MUTANT(16))
		atomic_store_explicit(&me->count, n, memory_order_relaxed);
	prongi_then(); /* it counts before any of it is done */
	for (uint32_t i = 0; i < n; i++) {
		prongi_word *at = (prongi_word *)(uintptr_t)atomic_load_explicit(
			&me->log[i].at, memory_order_relaxed);
		uint64_t value = atomic_load_explicit(&me->log[i].value, memory_order_relaxed);

		/* release: pairs with whatever load finds a block through the word: it sees its
		   bytes. */
		atomic_store_explicit(at, value, memory_order_release);
	}
	if (PRONGI_MUTANT(16))
		atomic_store_explicit(&me->count, n, memory_order_relaxed);
	prongi_then(); /* all is done before it ceases to count */
	if (!PRONGI_MUTANT(4))
		atomic_store_explicit(&me->count, 0, memory_order_relaxed);
	me->filled = 0;
	prongi_then(); /* and that before the lock is free: its next owner changes the words */
}

void prongi_end(prongi_word *lock)
{
	/* release: pairs with take() of the next owner. */
	uint64_t v = PRONGI_MUTANT(90) ? atomic_load_explicit(lock, memory_order_relaxed)
				       : atomic_exchange_explicit(lock, 0, memory_order_release);

	if (PRONGI_MUTANT(90))
		atomic_store_explicit(lock, 0, memory_order_release);
	/* klock still names the lock: it is the journal for the wake that may be owed here. */
	if (PRONGI_MUTANT(2))
		atomic_store_explicit(&prongi_self.slot->klock, 0, memory_order_relaxed);
	if (v & PRONGI_WAIT)
		prongi_wake_one(lock);
}
