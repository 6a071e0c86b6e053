/* The condition: one word whose high half counts who went to sleep there, so that each of them
   changes it.  A wake gives it a turn; who saw the turn before goes back to its mutex.

   Who waits says so at two places of its slot, from before it gives the mutex up until it holds it
   again: at wait_obj, for the wake that chose it may die with it, even while it waits for the
   mutex; and at wait_lock, for the mutex's owner may die without having waked it. */
#include "sync/mutex.h"
#include "family/check.h"
#include "sync/word.h"
#include <errno.h>
#include <prong/cond.h>

#define ONE ((uint64_t)1 << 32)

_Static_assert(sizeof(prong_cond) == 8, "one word");

static prongi_word *word_of(const prong_cond *c)
{
	return (prongi_word *)(uintptr_t)&c->word_;
}

static bool wrong(const prong_cond *c)
{
	return !c || (uintptr_t)c % sizeof(uint64_t);
}

/* --- wait -------------------------------------------------------------------------------- */

static void announce(const prong_cond *c, const prong_mutex *m)
{
	struct prongi_slot *me = prongi_self.slot;
	prongi_word *journal = prongi_inside(m) ? &me->wait_lock : &me->wait_private;

	prongi_wait_begin(word_of(c));
	/* Whoever may die with the mutex gets it after us: that is order enough. */
	if (!PRONGI_MUTANT(48))
		atomic_store_explicit(journal, (uintptr_t)&m->word_, memory_order_relaxed);
	prongi_then();
}

static void denounce(void)
{
	prongi_then();
	atomic_store_explicit(&prongi_self.slot->wait_lock, 0, memory_order_relaxed);
	atomic_store_explicit(&prongi_self.slot->wait_private, 0, memory_order_relaxed);
	prongi_wait_end();
}

/* Register.  Return the word: sleepers sleep until its low half has changed. */
static uint64_t come(prongi_word *word)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed), mine;

	do
		mine = (v + ONE) | PRONGI_ASLEEP;
	while (!atomic_compare_exchange_weak_explicit(word, &v, mine, memory_order_relaxed,
						      memory_order_relaxed));
	return mine;
}

static bool turned(const prongi_word *word, uint64_t mine)
{
	return (atomic_load_explicit(word, memory_order_relaxed) ^ mine) & PRONGI_TURNS;
}

/* A sleep that ends without a turn is a repairer's wake: the mutex will tell. */
static int wait_turn(prongi_word *word, uint64_t mine, prong_time deadline)
{
	struct prongi_looks looks = { 0, 0 };
	int r;

	while (deadline.ns_ > 0 && prongi_look_again(&looks))
		if (turned(word, mine))
			return 0;
	r = prongi_sleep_on(word, mine, deadline);
	if (r && !turned(word, mine))
		return prongi_gave_up(r, "cond_wait", "not woken until the deadline");
	return 0;
}

int prong_cond_wait(prong_cond *c, prong_mutex *m, prong_time deadline)
{
	uint64_t mine;
	uint32_t depth;
	int r, locked;

	if (wrong(c))
		return prongi_fail(-EINVAL, "cond_wait: not the address of a condition");
	if (!m || (uintptr_t)m % sizeof(uint64_t))
		return prongi_fail(-EINVAL, "cond_wait: not the address of a mutex");
	if (!prong_mutex_held(m))
		return prongi_fail(-EPERM, "cond_wait: the caller does not own the mutex");
	r = prongi_check_use(c, "cond_wait");
	if (r)
		return r;
	announce(c, m);
	mine = come(word_of(c));
	depth = prongi_mutex_give_up(m);
	if (PRONGI_MUTANT(49))
		prongi_wait_end();
	r = wait_turn(word_of(c), mine, deadline);
	locked = prongi_mutex_take_back(m, depth);
	denounce();
	return locked ? locked : r;
}

/* --- wake -------------------------------------------------------------------------------- */

/* Give the word a turn, if anybody may sleep there.  The mutex that the caller has, or had, orders
   this look after the coming of whoever has to be woken. */
static int wake(prong_cond *c, uint64_t drop, void (*call)(prongi_word *word, uint64_t v))
{
	prongi_word *word;
	struct prongi_promise promise;
	uint64_t v, next;
	int r;

	if (wrong(c))
		return -EINVAL;
	r = prongi_check_use(c, "cond_signal or cond_broadcast");
	if (r)
		return r;
	word = word_of(c);
	if (!(atomic_load_explicit(word, memory_order_relaxed) & PRONGI_ASLEEP))
		return 0;
	r = prongi_promise(&promise, word);
	if (r)
		return r;
	v = atomic_load_explicit(word, memory_order_relaxed);
	do
		next = prongi_turned(v) & ~drop;
	while (!atomic_compare_exchange_weak_explicit(word, &v, next, memory_order_relaxed,
						      memory_order_relaxed));
	call(word, next);
	prongi_kept(&promise);
	return 0;
}

static void call_one(prongi_word *word, uint64_t v)
{
	prongi_wake_some(word, v, 1);
}

static void call_all(prongi_word *word, uint64_t v)
{
	(void)v;
	prongi_wake_every(word);
}

int prong_cond_signal(prong_cond *c)
{
	return wake(c, 0, call_one);
}

int prong_cond_broadcast(prong_cond *c)
{
	return wake(c, PRONGI_ASLEEP, call_all);
}
