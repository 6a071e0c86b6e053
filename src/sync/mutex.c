/* The mutex: an owner word, a mode and a depth.  Locking and unlocking what nobody else wants is
   one CAS, one exchange and one store that says which lock a wake may be owed for.

   word_    see family/shared.h.  By everybody, atomically.
   mode_    0, or 1: recursive.  Read-only.
   depth_   how often more than once.  By the owner.
   What protects what: nothing but the word itself.  A wait is announced in the slot, lock.c. */
#include "family/family.h"
#include <errno.h>
#include <prong/mutex.h>

_Static_assert(sizeof(prong_mutex) == 16, "a mutex is two words");

static prongi_word *word_of(const prong_mutex *m)
{
	return (prongi_word *)(uintptr_t)&m->word_;
}

static int check(const prong_mutex *m, const char *what)
{
	if (!m || (uintptr_t)m % sizeof(uint64_t))
		return prongi_fail(-EINVAL, "%s: not the address of a mutex", what);
	if (m->mode_ > 1)
		return prongi_fail(-EINVAL, "%s: not a mutex, or overwritten", what);
	return prongi_enter();
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
	return 0;
}

static int lock_slow(prong_mutex *m, prong_time deadline)
{
	int r = check(m, "mutex_lock");

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

int prong_mutex_lock(prong_mutex *m, prong_time deadline)
{
	uint64_t free = 0;

	/* acquire: pairs with the release in prong_mutex_unlock(). */
	if (m && prongi_self.id && m->mode_ <= 1 && (uintptr_t)m % sizeof(uint64_t) == 0 &&
	    atomic_compare_exchange_strong_explicit(word_of(m), &free, prongi_self.id,
						    memory_order_acquire, memory_order_relaxed))
		return 0;
	return lock_slow(m, deadline);
}

static int unlock_slow(prong_mutex *m, const char *what)
{
	int r = check(m, what);

	if (r)
		return r;
	if (!mine(m))
		return prongi_fail(-EPERM, "%s: the caller does not own it", what);
	if (m->depth_) {
		m->depth_--;
		return 1;
	}
	return 0;
}

int prong_mutex_unlock(prong_mutex *m)
{
	prongi_word *word;
	uint64_t v;

	if (!m || !mine(m) || m->depth_) {
		int r = unlock_slow(m, "mutex_unlock");

		return r < 0 ? r : 0;
	}
	word = word_of(m);
	v = atomic_load_explicit(word, memory_order_relaxed);
	/* Before the word: who dies after it, and owes a wake, has said where.  For a lock outside
	   the heap there is nobody to read it, and the repairer ignores it. */
	if (!PRONGI_MUTANT(9))
		atomic_store_explicit(&prongi_self.slot->wake_lock, (uintptr_t)word,
				      memory_order_relaxed);
	prongi_then();
	/* release: pairs with the acquire of the next owner.  Only WAIT can have changed since
	   v. */
	v = atomic_exchange_explicit(word, v & PRONGI_DIED, memory_order_release);
	if (v & PRONGI_WAIT)
		prongi_wake_one(word);
	return 0;
}

int prong_mutex_consistent(prong_mutex *m)
{
	int r = check(m, "mutex_consistent");

	if (r)
		return r;
	if (!mine(m))
		return prongi_fail(-EPERM, "mutex_consistent: the caller does not own it");
	atomic_fetch_and_explicit(word_of(m), ~PRONGI_DIED, memory_order_relaxed);
	return 0;
}

bool prong_mutex_held(const prong_mutex *m)
{
	return m && mine(m);
}
