/* The rwlock.  Who reads says so in its slot, at reads[], so readers share no line that they write;
   who writes owns the owner word, as a mutex, and then waits until no slot names the lock.

   Reader: name the lock; look at the owner word: free, then it reads; else take the name back.
   Writer: own the word; look at the names.  Each writes before it looks, all seq_cst, so one of the
   two sees the other.

   left is the word that the writer sleeps on; it is also the lock's name in reads[].  A reader that
   takes its name back first marks it LEAVES, which a writer does not count, then gives left a turn
   if there is a writer, then clears it: killed in between, the repairer gives the turn.

   seen is for writers where nobody reads: a reader sets it once it has given the name.  A writer
   clears it before it looks at the names, so a reader that found it set is found by its name.  When
   a writer gives up, or dies, readers may be left unseen: it sets seen again, or DIED says it. */
#include "family/check.h"
#include "sync/word.h"
#include <errno.h>
#include <prong/rwlock.h>

_Static_assert(sizeof(prong_rwlock) == 24, "three words");

static prongi_word *word_of(const prong_rwlock *l)
{
	return (prongi_word *)(uintptr_t)&l->word_;
}

static prongi_word *left_of(const prong_rwlock *l)
{
	return (prongi_word *)(uintptr_t)&l->left_;
}

static _Atomic uint32_t *seen_of(const prong_rwlock *l)
{
	return (_Atomic uint32_t *)(uintptr_t)&l->seen_;
}

static bool wrong(const prong_rwlock *l)
{
	return !l || (uintptr_t)l % sizeof(uint64_t) || l->reserved_;
}

static int check(const prong_rwlock *l, const char *what)
{
	int r;

	if (wrong(l))
		return prongi_fail(-EINVAL, "%s: not an rwlock", what);
	r = prongi_enter();
	return r ? r : prongi_check_use(l, what);
}

static bool mine(const prong_rwlock *l)
{
	uint64_t v = atomic_load_explicit(word_of(l), memory_order_relaxed);

	return prongi_self.id && prongi_owner(v) == prongi_self.id;
}

/* --- readers ------------------------------------------------------------------------------ */

/* Which of the caller's reads[] is l; -1: none. */
static int find(const prong_rwlock *l)
{
	struct prongi_slot *me = prongi_self.slot;

	for (uint32_t used = me ? me->reading : 0; used; used &= used - 1) {
		int i = __builtin_ctz(used);

		if (atomic_load_explicit(&me->reads[i], memory_order_relaxed) ==
		    (uintptr_t)left_of(l))
			return i;
	}
	return -1;
}

/* Name the lock.  Return the owner word: readers are in when it has no owner.  seq_cst: pairs with
   the writer's, see above; and acquire, with the release of the last writer. */
static uint64_t name(const prong_rwlock *l, int i)
{
	atomic_exchange_explicit(&prongi_self.slot->reads[i], (uintptr_t)left_of(l),
				 memory_order_seq_cst);
	if (!atomic_load_explicit(seen_of(l), memory_order_seq_cst))
		atomic_exchange_explicit(seen_of(l), 1, memory_order_seq_cst);
	return atomic_load_explicit(word_of(l), memory_order_seq_cst);
}

/* release: pairs with the acquire in drain(). */
static void give_turn(prongi_word *left)
{
	uint64_t v = atomic_load_explicit(left, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(
		left, &v, prongi_turned(v) & ~PRONGI_ASLEEP, memory_order_release,
		memory_order_relaxed))
		;
	if (v & PRONGI_ASLEEP)
		prongi_wake_every(left);
}

/* seq_cst: pairs with the writer's, see above; and release: it sees what the reader read. */
static void unname(const prong_rwlock *l, int i)
{
	prongi_word *entry = &prongi_self.slot->reads[i];

	atomic_exchange_explicit(entry, (uintptr_t)left_of(l) | PRONGI_LEAVES,
				 memory_order_seq_cst);
	if (prongi_owner(atomic_load_explicit(word_of(l), memory_order_seq_cst)))
		give_turn(left_of(l));
	prongi_then();
	atomic_store_explicit(entry, 0, memory_order_relaxed);
}

/* Own entry i, which names l. */
static void keep(int i)
{
	prongi_self.slot->again[i] = 0;
	prongi_self.slot->reading |= 1u << i;
}

static void spin_for_writer(const prong_rwlock *l)
{
	struct prongi_looks looks = { 0, 0 };

	while (prongi_owner(atomic_load_explicit(word_of(l), memory_order_relaxed)) &&
	       prongi_look_again(&looks))
		;
}

static int read_asleep(prong_rwlock *l, int i, prong_time deadline)
{
	for (;;) {
		uint64_t v;

		if (deadline.ns_ > 0)
			spin_for_writer(l);
		if (prongi_lock_await(word_of(l), deadline))
			return prongi_fail(PRONG_TIMEDOUT,
					   "rwlock_read: a writer has it until the deadline");
		v = name(l, i);
		if (!prongi_owner(v)) {
			keep(i);
			return v & PRONGI_DIED ? PRONG_OWNERDEAD : 0;
		}
		unname(l, i);
	}
}

static int read_slow(prong_rwlock *l, prong_time deadline)
{
	struct prongi_slot *me;
	int r = check(l, "rwlock_read"), i;

	if (r)
		return r;
	if (mine(l))
		return prongi_fail(PRONG_DEADLOCK, "rwlock_read: the caller has it for writing");
	me = prongi_self.slot;
	i = find(l);
	if (i >= 0 && me->again[i] == UINT32_MAX)
		return prongi_fail(-EOVERFLOW, "rwlock_read: locked too often");
	if (i >= 0) {
		uint64_t v = atomic_load_explicit(word_of(l), memory_order_relaxed);

		me->again[i]++;
		return !prongi_owner(v) && (v & PRONGI_DIED) ? PRONG_OWNERDEAD : 0;
	}
	if (me->reading == (1u << PRONGI_READS) - 1)
		return prongi_fail(-ENOLCK, "rwlock_read: the caller reads %d others",
				   PRONGI_READS);
	return read_asleep(l, __builtin_ctz(~me->reading), deadline);
}

int prong_rwlock_read(prong_rwlock *l, prong_time deadline)
{
	if (wrong(l) || !prongi_self.fast || prongi_self.slot->reading)
		return read_slow(l, deadline);
	if (name(l, 0) == 0) {
		keep(0);
		return 0;
	}
	unname(l, 0);
	return read_slow(l, deadline);
}

/* --- writers ------------------------------------------------------------------------------ */

/* True when the slot's thread lives and is of a process for which the name means this lock. */
static bool counts(struct prongi_slot *slot, const prongi_word *entry, uint64_t name, bool shared)
{
	/* acquire: pairs with the release in slot.c, so that process is that of id. */
	uint64_t id = atomic_load_explicit(&slot->id, memory_order_acquire);
	uint32_t process = atomic_load_explicit(&slot->process, memory_order_relaxed);

	if (id & PRONGI_DEAD)
		return false;
	if (!shared && process != prongi_process_index(prongi_me))
		return false;
	/* Not of another who has the slot by now. */
	return atomic_load_explicit(entry, memory_order_seq_cst) == name &&
	       atomic_load_explicit(&slot->id, memory_order_seq_cst) == id;
}

/* seq_cst: pairs with the exchanges in name() and unname(). */
static bool anyone_reads(const prong_rwlock *l)
{
	uint64_t name = (uintptr_t)left_of(l);
	bool shared = prongi_inside(l);
	uint32_t n = prongi_slots_used();

	for (uint32_t i = 0; i < n; i++) {
		struct prongi_slot *slot = &prongi_heap->slot[i];

		for (int k = 0; k < PRONGI_READS; k++)
			if (atomic_load_explicit(&slot->reads[k], memory_order_seq_cst) == name &&
			    counts(slot, &slot->reads[k], name, shared))
				return true;
	}
	return false;
}

/* Wait until nobody reads: new readers are kept out by the owner word. */
static int drain(const prong_rwlock *l, prong_time deadline)
{
	struct prongi_looks looks = { 0, 0 };
	prongi_word *left = left_of(l);

	for (;;) {
		/* acquire: pairs with the release of the turn, by a reader or by its repairer. */
		uint64_t v = atomic_load_explicit(left, memory_order_acquire);
		uint64_t asleep = v | PRONGI_ASLEEP;

		if (!anyone_reads(l))
			return 0;
		if (deadline.ns_ <= 0)
			return PRONG_TIMEDOUT;
		if (prongi_look_again(&looks))
			continue;
		if (v != asleep && !atomic_compare_exchange_strong_explicit(
					   left, &v, asleep, memory_order_relaxed,
					   memory_order_relaxed))
			continue;
		if (prongi_os_wait(prongi_low(left), (uint32_t)asleep, deadline,
				   prongi_inside(left)))
			return anyone_reads(l) ? PRONG_TIMEDOUT : 0;
	}
}

/* The caller owns the word: nobody shall read any more. */
static int shut_out(prong_rwlock *l, bool died, prong_time deadline)
{
	int r;

	/* seq_cst: pairs with name(); the fence makes it so for the CAS of the lock kernel. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!died && !atomic_load_explicit(seen_of(l), memory_order_seq_cst))
		return 0;
	atomic_exchange_explicit(seen_of(l), 0, memory_order_seq_cst);
	r = drain(l, deadline);
	if (r)
		atomic_store_explicit(seen_of(l), 1, memory_order_seq_cst);
	return r;
}

static void give_up(prong_rwlock *l)
{
	uint64_t v = atomic_load_explicit(word_of(l), memory_order_relaxed);

	prongi_unlock(word_of(l), v & PRONGI_DIED, INT_MAX);
}

static int write_slow(prong_rwlock *l, prong_time deadline)
{
	int r = check(l, "rwlock_write"), shut;

	if (r)
		return r;
	if (mine(l) || find(l) >= 0)
		return prongi_fail(PRONG_DEADLOCK, "rwlock_write: the caller has it already");
	r = prongi_lock_slow(word_of(l), true, deadline);
	if (r == PRONG_TIMEDOUT)
		return prongi_fail(r, "rwlock_write: a writer has it until the deadline");
	shut = shut_out(l, r == PRONG_OWNERDEAD, deadline);
	if (shut == 0)
		return r;
	give_up(l);
	return prongi_fail(shut, "rwlock_write: somebody reads until the deadline");
}

int prong_rwlock_write(prong_rwlock *l, prong_time deadline)
{
	uint64_t free = 0;

	if (wrong(l) || !prongi_self.fast || prongi_self.slot->reading)
		return write_slow(l, deadline);
	/* seq_cst: pairs with name(); and acquire, with the release of the last writer. */
	if (!atomic_compare_exchange_strong_explicit(word_of(l), &free, prongi_self.id,
						     memory_order_seq_cst, memory_order_relaxed))
		return write_slow(l, deadline);
	if (!atomic_load_explicit(seen_of(l), memory_order_seq_cst))
		return 0;
	if (shut_out(l, false, deadline) == 0)
		return 0;
	give_up(l);
	return prongi_fail(PRONG_TIMEDOUT, "rwlock_write: somebody reads until the deadline");
}

/* --- both --------------------------------------------------------------------------------- */

int prong_rwlock_unlock(prong_rwlock *l)
{
	struct prongi_slot *me = prongi_self.slot;
	int i;

	if (wrong(l))
		return prongi_fail(-EINVAL, "rwlock_unlock: not an rwlock");
	if (mine(l)) {
		give_up(l);
		return 0;
	}
	i = find(l);
	if (i < 0)
		return prongi_fail(-EPERM, "rwlock_unlock: the caller does not have it");
	if (me->again[i]) {
		me->again[i]--;
		return 0;
	}
	me->reading &= ~(1u << i);
	unname(l, i);
	return 0;
}

int prong_rwlock_consistent(prong_rwlock *l)
{
	int r = check(l, "rwlock_consistent");

	if (r)
		return r;
	if (!mine(l))
		return prongi_fail(-EPERM, "rwlock_consistent: the caller does not write");
	atomic_fetch_and_explicit(word_of(l), ~PRONGI_DIED, memory_order_relaxed);
	return 0;
}
