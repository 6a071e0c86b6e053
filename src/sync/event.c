/* The event: one word whose high half says whether it is set.  Setting it gives the word a turn, so
   one who waited passes even if it has been cleared again. */
#include "family/check.h"
#include "sync/word.h"
#include <errno.h>
#include <prong/event.h>

#define SET ((uint64_t)1 << 32)

_Static_assert(sizeof(prong_event) == 8, "one word");

static prongi_word *word_of(const prong_event *e)
{
	return (prongi_word *)(uintptr_t)&e->word_;
}

static bool wrong(const prong_event *e)
{
	return !e || (uintptr_t)e % sizeof(uint64_t);
}

/* Also when it is set already: who passes then must see what was done before this call. */
static void set(prongi_word *word)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed), next;

	do
		next = (v & SET ? v : prongi_turned(v) | SET) & ~PRONGI_ASLEEP;
	/* release: pairs with the acquire of who waits or looks. */
	while (!atomic_compare_exchange_weak_explicit(word, &v, next, memory_order_release,
						      memory_order_relaxed));
	if (v & PRONGI_ASLEEP)
		prongi_wake_every(word);
}

int prong_event_set(prong_event *e)
{
	struct prongi_promise promise;
	int r;

	if (wrong(e))
		return -EINVAL;
	r = prongi_check_use(e, "event_set");
	if (r == 0)
		r = prongi_promise(&promise, word_of(e));
	if (r)
		return r;
	set(word_of(e));
	prongi_kept(&promise);
	return 0;
}

int prong_event_clear(prong_event *e)
{
	int r = wrong(e) ? -EINVAL : prongi_check_use(e, "event_clear");

	if (r)
		return r;
	atomic_fetch_and_explicit(word_of(e), ~SET, memory_order_relaxed);
	return 0;
}

/* acquire: pairs with the release in set(); here and in the waits. */
bool prong_event_is_set(const prong_event *e)
{
	return !wrong(e) && !prongi_check_use(e, "event_is_set") &&
	       (atomic_load_explicit(word_of(e), memory_order_acquire) & SET);
}

/* It is set, or has been since the word was first.  *v becomes the word. */
static bool passes(prongi_word *word, uint64_t first, uint64_t *v)
{
	/* acquire: as in prong_event_is_set(). */
	*v = atomic_load_explicit(word, memory_order_acquire);
	return (*v & SET) || ((*v ^ first) & PRONGI_TURNS);
}

/* All who sleep are woken together, so nobody has to know of one that dies; but who frees the event
   is to know of those who live. */
static int wait_asleep(prongi_word *word, uint64_t first, prong_time deadline)
{
	uint64_t v, mine;
	int r;

	while (!passes(word, first, &v)) {
		mine = v | PRONGI_ASLEEP;
		if (v != mine && !atomic_compare_exchange_strong_explicit(word, &v, mine,
									  memory_order_relaxed,
									  memory_order_relaxed))
			continue;
		r = prongi_sleep_on(word, mine, deadline);
		if (r)
			return passes(word, first, &v) ? 0 : r;
	}
	return 0;
}

/* acquire: as in prong_event_is_set(). */
struct prongi_awaited prongi_event_arm(prong_event *e)
{
	prongi_word *word = word_of(e);
	uint64_t v = atomic_fetch_or_explicit(word, PRONGI_ASLEEP, memory_order_acquire);

	return (struct prongi_awaited){
		prongi_low(word), (uint32_t)(v | PRONGI_ASLEEP), prongi_inside(word)
	};
}

int prong_event_wait(prong_event *e, prong_time deadline)
{
	struct prongi_looks looks = { 0, 0 };
	uint64_t first, v;
	int r;

	if (wrong(e))
		return prongi_fail(-EINVAL, "event_wait: not the address of an event");
	r = prongi_check_use(e, "event_wait");
	if (r)
		return r;
	/* acquire: as in prong_event_is_set(). */
	first = atomic_load_explicit(word_of(e), memory_order_acquire);
	if (first & SET)
		return 0;
	r = prongi_enter();
	if (r)
		return r;
	while (deadline.ns_ > 0 && prongi_look_again(&looks))
		if (passes(word_of(e), first, &v))
			return 0;
	r = prongi_awaits_begin((const void *const[]){ e }, 1);
	if (r == 0)
		r = wait_asleep(word_of(e), first, deadline);
	prongi_awaits_end();
	return r ? prongi_gave_up(r, "event_wait", "not set until the deadline") : 0;
}
