/* The mutex: an owner word, a mode and a depth.  Locking and unlocking what nobody else wants is
   two CAS and one store that says which lock a wake may be owed for.  Each begins with its CAS:
   a look before it would fetch the line twice from a processor that spins on it.

   word_    see family/shared.h.  By everybody, atomically.
   mode_    0, or 1: recursive.  Read-only.
   depth_   how often more than once.  By the owner.
   What protects what: nothing but the word itself.  A wait is announced in the slot, lock.c. */
#include "family/check.h"
#include <errno.h>
#include "sync/mutex.h"

#define CALLER __builtin_return_address(0)

_Static_assert(sizeof(prong_mutex) == 16, "a mutex is two words");

static prongi_word *word_of(const prong_mutex *m)
{
	return (prongi_word *)(uintptr_t)&m->word_;
}

static int check(const prong_mutex *m, const char *what, const void *caller)
{
	int r;

	if (!m || (uintptr_t)m % sizeof(uint64_t))
		return prongi_fail(-EINVAL, "%s: not the address of a mutex", what);
	r = prongi_enter();
	if (r == 0 && prongi_checking)
		r = prongi_check_object(m, true, what, caller);
	if (r == 0 && m->mode_ > 1)
		r = prongi_fail(-EINVAL, "%s: not a mutex, or overwritten", what);
	return r;
}

static bool mine(const prong_mutex *m)
{
	uint64_t id = prongi_self.id;

	return id && prongi_owner(atomic_load_explicit(word_of(m), memory_order_relaxed)) == id;
}

/* It is the caller's already. */
static int again(prong_mutex *m)
{
	if (m->mode_ == 0)
		return prongi_fail(PRONG_DEADLOCK, "mutex_lock: the caller owns it already");
	if (m->depth_ == UINT32_MAX)
		return prongi_fail(-EOVERFLOW, "mutex_lock: locked too often");
	m->depth_++;
	/* As if somebody slept: so that unlock goes the slow way, where it looks at the depth. */
	atomic_fetch_or_explicit(word_of(m), PRONGI_WAIT, memory_order_relaxed);
	return 0;
}

static int lock_slow(prong_mutex *m, prong_time deadline, const void *caller)
{
	int r = check(m, "mutex_lock", caller);

	if (r)
		return r;
	if (mine(m))
		return again(m);
	r = prongi_lock_slow(word_of(m), true, deadline);
	if (r == PRONG_OWNERDEAD)
		m->depth_ = 0; /* the dead owner's */
	else if (r)
		prongi_fail(r, "mutex_lock: owned by somebody else until the deadline");
	return r;
}

/* What was just locked is no mutex. */
static int undo(prong_mutex *m)
{
	/* release: pairs with the acquire of the next owner. */
	atomic_exchange_explicit(word_of(m), 0, memory_order_release);
	return prongi_fail(-EINVAL, "mutex_lock: not a mutex, or overwritten");
}

int prong_mutex_lock(prong_mutex *m, prong_time deadline)
{
	uint64_t free = 0, id = prongi_self.fast;

	if (!m || !id || (uintptr_t)m % sizeof(uint64_t))
		return lock_slow(m, deadline, CALLER);
	/* acquire: pairs with the release in prong_mutex_unlock(). */
	if (!atomic_compare_exchange_strong_explicit(word_of(m), &free, id, memory_order_acquire,
						     memory_order_relaxed))
		return lock_slow(m, deadline, CALLER);
	return m->mode_ <= 1 ? 0 : undo(m);
}

/* Say which lock a wake may be owed for, before the word changes: for who repairs the caller.  For
   a lock outside the heap there is nobody to read it, and the repairer ignores it. */
static void promise_wake(const prong_mutex *m)
{
	if (!PRONGI_MUTANT(9))
		atomic_store_explicit(&prongi_self.slot->wake_lock, (uintptr_t)word_of(m),
				      memory_order_relaxed);
	prongi_then();
}

/* It is wanted, marked, held more than once, or not the caller's. */
static int unlock_slow(prong_mutex *m, const void *caller)
{
	int r = check(m, "mutex_unlock", caller);
	uint64_t v;

	if (r)
		return r;
	if (!mine(m))
		return prongi_fail(-EPERM, "mutex_unlock: the caller does not own it");
	if (m->depth_) {
		m->depth_--;
		return 0;
	}
	promise_wake(m);
	v = atomic_load_explicit(word_of(m), memory_order_relaxed);
	/* release: pairs with the acquire of the next owner.  Only WAIT may have changed since. */
	v = atomic_exchange_explicit(word_of(m), PRONGI_MUTANT(28) ? 0 : v & PRONGI_DIED,
				     memory_order_release);
	if (v & PRONGI_WAIT)
		prongi_wake_one(word_of(m));
	return 0;
}

int prong_mutex_unlock(prong_mutex *m)
{
	uint64_t id = prongi_self.fast;

	if (!m || !id || (uintptr_t)m % sizeof(uint64_t))
		return unlock_slow(m, CALLER);
	promise_wake(m);
	/* release: pairs with the acquire of the next owner. */
	if (atomic_compare_exchange_strong_explicit(word_of(m), &id, 0, memory_order_release,
						    memory_order_relaxed))
		return 0;
	return unlock_slow(m, CALLER);
}

int prong_mutex_consistent(prong_mutex *m)
{
	int r = check(m, "mutex_consistent", CALLER);

	if (r)
		return r;
	if (!mine(m))
		return prongi_fail(-EPERM, "mutex_consistent: the caller does not own it");
	atomic_fetch_and_explicit(word_of(m), ~PRONGI_DIED, memory_order_relaxed);
	return 0;
}

uint32_t prongi_mutex_give_up(prong_mutex *m)
{
	uint32_t depth = m->depth_;

	m->depth_ = 0;
	prong_mutex_unlock(m);
	return depth;
}

int prongi_mutex_take_back(prong_mutex *m, uint32_t depth)
{
	int r = prong_mutex_lock(m, PRONG_FOREVER);

	if (!mine(m) || !depth)
		return r;
	m->depth_ = depth;
	atomic_fetch_or_explicit(word_of(m), PRONGI_WAIT, memory_order_relaxed); /* as again() */
	return r;
}

bool prong_mutex_held(const prong_mutex *m)
{
	return m && mine(m);
}
