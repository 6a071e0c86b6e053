/* The semaphore: one word whose high half is the number of tokens.  A token has no owner, so nobody
   needs to know whether a killed thread had just taken or put one. */
#include "family/check.h"
#include "sync/word.h"
#include <errno.h>
#include <prong/sem.h>

_Static_assert(sizeof(prong_sem) == 16, "two words");

static prongi_word *word_of(const prong_sem *s)
{
	return (prongi_word *)(uintptr_t)s; /* its first member; s is not checked yet */
}

/* Not a semaphore; quietly, for signal handlers. */
static bool wrong(const prong_sem *s)
{
	return !s || (uintptr_t)s % sizeof(uint64_t) || s->reserved_;
}

static uint64_t tokens(uint64_t v)
{
	return v >> 32;
}

/* Take a token, if there is one. */
static bool take(prongi_word *word)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

	/* acquire: pairs with the release in put(). */
	while (tokens(v))
		if (atomic_compare_exchange_weak_explicit(word, &v, v - ((uint64_t)1 << 32),
							  memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

/* --- wait ------------------------------------------------------------------------------- */

/* Sleepers sleep on the turn, not on the number: that may go to 1 and back unseen. */
static int wait_asleep(prongi_word *word, prong_time deadline)
{
	int r;

	for (;;) {
		uint64_t v = atomic_load_explicit(word, memory_order_relaxed), mine;

		if (take(word))
			return 0;
		mine = prongi_turned(v) | PRONGI_ASLEEP;
		if (tokens(v) || !atomic_compare_exchange_strong_explicit(word, &v, mine,
									  memory_order_relaxed,
									  memory_order_relaxed))
			continue;
		r = prongi_sleep_on(word, mine, deadline);
		if (r)
			return take(word) ? 0 : r;
	}
}

static int wait_slow(prong_sem *s, prong_time deadline)
{
	prongi_word *word = word_of(s);
	struct prongi_looks looks = { 0, 0 };
	int r;

	if (wrong(s))
		return prongi_fail(-EINVAL, "sem_wait: not a semaphore");
	r = prongi_enter();
	if (r)
		return r;
	while (deadline.ns_ > 0 && prongi_look_again(&looks))
		if (take(word))
			return 0;
	if (deadline.ns_ <= 0)
		return prongi_fail(PRONG_TIMEDOUT, "sem_wait: there is no token now");
	prongi_wait_begin(word);
	r = wait_asleep(word, deadline);
	prongi_wait_end();
	return r ? prongi_gave_up(r, "sem_wait", "there was no token until the deadline") : 0;
}

int prong_sem_wait(prong_sem *s, prong_time deadline)
{
	int r = wrong(s) ? 0 : prongi_check_use(s, "sem_wait");

	return r ? r : !wrong(s) && take(word_of(s)) ? 0 : wait_slow(s, deadline);
}

/* --- post ------------------------------------------------------------------------------- */

static int put(prongi_word *word, uint32_t n, uint32_t most)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed), put;

	do {
		if (tokens(v) + n > most)
			return -EOVERFLOW;
		put = (v & PRONGI_ASLEEP ? prongi_turned(v) : v) + ((uint64_t)n << 32);
		/* release: pairs with the acquire in take(). */
	} while (!atomic_compare_exchange_weak_explicit(word, &v, put, memory_order_release,
							memory_order_relaxed));
	if (v & PRONGI_ASLEEP)
		prongi_wake_some(word, put, n);
	return 0;
}

int prong_sem_post(prong_sem *s, uint32_t n)
{
	struct prongi_promise promise;
	int r;

	if (wrong(s))
		return -EINVAL;
	r = prongi_check_use(s, "sem_post");
	if (r || n == 0)
		return r;
	r = prongi_promise(&promise, word_of(s));
	if (r)
		return r;
	r = put(word_of(s), n, s->bound_ ? s->bound_ : UINT32_MAX);
	prongi_kept(&promise);
	return r;
}

uint32_t prong_sem_value(const prong_sem *s)
{
	if (wrong(s) || prongi_check_use(s, "sem_value"))
		return 0;
	return (uint32_t)tokens(atomic_load_explicit(word_of(s), memory_order_relaxed));
}
