/* The barrier: one word.
     low   bit 0 BROKEN, round 31.  It changes when a round ends or breaks; sleepers sleep on it.
     high  come 15: how many have come in this round; ASLEEP: somebody may sleep;
	   history 16: how the last rounds ended, the latest at bit 0: 1 is by a reset.
   Who has slept through rounds reads off the history how its own ended.  (Later than 16 rounds it
   takes it for a good end.)

   While all have come and the last runs the action, come is n: who comes then waits for the next
   round.  bar and bar_phase, in the slot, say which round a thread belongs to: if it dies in that
   round, the repairer breaks it, and wakes all whether or not it does. */
#include "family/check.h"
#include "sync/word.h"
#include <errno.h>
#include <prong/barrier.h>

#define MOST   16384 /* no more threads have slots */
#define ONE    ((uint64_t)1 << 32)
#define COME   (ONE * 0x7fff)
#define ASLEEP (ONE << 15)
#define OLDEST 16
#define HISTORY_SHIFT 48

_Static_assert(sizeof(prong_barrier) == 16, "two words");
_Static_assert(MOST <= 0x7fff, "come counts up to n");

static prongi_word *word_of(const prong_barrier *b)
{
	return (prongi_word *)(uintptr_t)&b->word_;
}

static bool wrong(const prong_barrier *b)
{
	return !b || (uintptr_t)b % sizeof(uint64_t) || b->n_ == 0 || b->n_ > MOST || b->reserved_;
}

static uint32_t come(uint64_t v)
{
	return (uint32_t)((v & COME) >> 32);
}

/* acquire: pairs with the release of who changed the word last: of all who came before it, too. */
static uint64_t look(prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

/* acq_rel: pairs with look() and with itself: who leaves sees what all did before they came. */
static bool change(prongi_word *word, uint64_t *v, uint64_t next)
{
	return atomic_compare_exchange_weak_explicit(word, v, next, memory_order_acq_rel,
						     memory_order_acquire);
}

/* The word when the round of v has ended. */
static uint64_t ended(uint64_t v, bool reset)
{
	uint64_t history = v >> HISTORY_SHIFT << 1 | reset;

	return (prongi_turned(v) & PRONGI_TURNS) | history << HISTORY_SHIFT;
}

/* How the round with this low half ended, or that it is broken; v is the word now. */
static int fate(uint64_t v, uint32_t round)
{
	uint32_t later = ((uint32_t)v >> 1) - (round >> 1);

	later &= 0x7fffffff;
	if (later == 0)
		return PRONG_BROKEN;
	if (later > OLDEST)
		return 0;
	return v >> HISTORY_SHIFT >> (later - 1) & 1 ? PRONG_BROKEN : 0;
}

/* Break the round, unless it is over.  Return whether it was the caller who did. */
static bool shatter(prongi_word *word, uint32_t round)
{
	uint64_t v = look(word);

	do
		if ((uint32_t)v != round)
			return false;
	while (!change(word, &v, (v | PRONGI_BROKEN) & ~ASLEEP));
	if (v & ASLEEP)
		prongi_wake_every(word);
	return true;
}

/* Block until the round is over, or broken.  0; PRONG_TIMEDOUT or PRONG_CANCELLED. */
static int await(prongi_word *word, uint32_t round, prong_time deadline)
{
	struct prongi_looks looks = { 0, 0 };
	uint64_t v = look(word);
	int r;

	while ((uint32_t)v == round && deadline.ns_ > 0 && prongi_look_again(&looks))
		v = look(word);
	while ((uint32_t)v == round) {
		if (!(v & ASLEEP) && !change(word, &v, v | ASLEEP))
			continue;
		r = prongi_sleep_on(word, v, deadline);
		if (r)
			return (uint32_t)look(word) == round ? r : 0;
		v = look(word);
	}
	return 0;
}

/* Say where the calling thread is: the round first, for the repairer believes it with bar. */
static void belong(const prongi_word *word, uint32_t round)
{
	struct prongi_slot *me = prongi_self.slot;

	atomic_store_explicit(&me->bar_phase, round, memory_order_relaxed);
	prongi_then();
	if (!PRONGI_MUTANT(51))
		atomic_store_explicit(&me->bar, (uintptr_t)word, memory_order_relaxed);
	prongi_then();
}

static void leave(void)
{
	prongi_then();
	atomic_store_explicit(&prongi_self.slot->bar, 0, memory_order_relaxed);
}

/* Come to b in the first round that is not full.  *v is the word before.  0, PRONG_BROKEN; or as
   await(): the caller has not come. */
static int arrive(prong_barrier *b, bool acts, uint64_t *v, prong_time deadline)
{
	prongi_word *word = word_of(b);
	int r;

	*v = look(word);
	for (;;) {
		bool last = come(*v) + 1 == b->n_;

		if (*v & PRONGI_BROKEN)
			return PRONG_BROKEN;
		if (come(*v) >= b->n_) {
			leave(); /* that round is not ours to break */
			r = await(word, (uint32_t)*v, deadline);
			if (r)
				return r;
			*v = look(word);
			continue;
		}
		belong(word, (uint32_t)*v);
		if (change(word, v, last && !acts ? ended(*v, false) : *v + ONE))
			return 0;
	}
}

/* The last one acts, and then ends the round; unless it was broken or reset in the meantime. */
static int act(prongi_word *word, uint32_t round, prong_fn *action, void *arg)
{
	int r = action(arg);
	uint64_t v = look(word);

	if (r) {
		shatter(word, round);
		return r;
	}
	do
		if ((uint32_t)v != round)
			return fate(v, round);
	while (!change(word, &v, ended(v, false)));
	if (v & ASLEEP)
		prongi_wake_every(word);
	return 0;
}

/* What comes after having come. */
static int stay(prong_barrier *b, uint64_t v, prong_fn *action, void *arg, prong_time deadline)
{
	prongi_word *word = word_of(b);
	uint32_t round = (uint32_t)v;
	int r;

	if (come(v) + 1 == b->n_) {
		if (action)
			return act(word, round, action, arg);
		if (v & ASLEEP)
			prongi_wake_every(word);
		return 0;
	}
	r = await(word, round, deadline);
	if (r && shatter(word, round))
		return r;
	return fate(look(word), round);
}

static int fail(int r)
{
	return prongi_gave_up(r, "barrier_wait",
			      r == PRONG_BROKEN	    ? "broken"
			      : r == PRONG_TIMEDOUT ? "not all came in time"
						    : "the action failed");
}

int prong_barrier_wait(prong_barrier *b, uint32_t *index, prong_fn *action, void *arg,
		       prong_time deadline)
{
	uint64_t v;
	int r;

	if (wrong(b))
		return prongi_fail(-EINVAL, "barrier_wait: not a barrier for 1 to %d", MOST);
	r = prongi_enter();
	if (r == 0)
		r = prongi_check_use(b, "barrier_wait");
	if (r)
		return r;
	if (atomic_load_explicit(&prongi_self.slot->bar, memory_order_relaxed))
		return prongi_fail(PRONG_DEADLOCK, "barrier_wait: called from an action");
	r = arrive(b, action != NULL, &v, deadline);
	if (r == 0)
		r = stay(b, v, action, arg, deadline);
	leave();
	if (r)
		return fail(r);
	if (index)
		*index = come(v);
	return 0;
}

/* --- breaking and mending ----------------------------------------------------------------- */

int prong_barrier_abort(prong_barrier *b)
{
	struct prongi_promise promise;
	int r;

	if (wrong(b))
		return prongi_fail(-EINVAL, "barrier_abort: not a barrier for 1 to %d", MOST);
	r = prongi_check_use(b, "barrier_abort");
	if (r == 0)
		r = prongi_promise(&promise, word_of(b));
	if (r)
		return r;
	for (;;) {
		uint64_t v = look(word_of(b));

		if ((v & PRONGI_BROKEN) || shatter(word_of(b), (uint32_t)v))
			break;
	}
	prongi_kept(&promise);
	return 0;
}

static void mend(prongi_word *word)
{
	uint64_t v = look(word);

	do
		if (!(v & PRONGI_BROKEN) && come(v) == 0)
			return;
	while (!change(word, &v, ended(v, true)));
	if (v & ASLEEP)
		prongi_wake_every(word);
}

int prong_barrier_reset(prong_barrier *b)
{
	struct prongi_promise promise;
	int r;

	if (wrong(b))
		return prongi_fail(-EINVAL, "barrier_reset: not a barrier for 1 to %d", MOST);
	r = prongi_check_use(b, "barrier_reset");
	if (r == 0)
		r = prongi_promise(&promise, word_of(b));
	if (r)
		return r;
	mend(word_of(b));
	prongi_kept(&promise);
	return 0;
}

bool prong_barrier_broken(const prong_barrier *b)
{
	return !wrong(b) && !prongi_check_use(b, "barrier_broken") &&
	       (look(word_of(b)) & PRONGI_BROKEN);
}
