/* Turns: a word of three states.  Whoever wakes takes it for "somebody may sleep", so one too many
   is woken, and none too few. */
#include "wire/turn.h"
#include "private.h"
#include <prong/error.h>
#include <sched.h>
#include <stdatomic.h>

static bool try(struct prongi_turn *t, uint32_t as)
{
	uint32_t free = 0;

	/* acquire: pairs with prongi_turn_give(): what it protects is seen. */
	return atomic_compare_exchange_strong_explicit(&t->word, &free, as, memory_order_acquire,
						       memory_order_relaxed);
}

static int wait_for(struct prongi_turn *t, prong_time deadline)
{
	int r = 0;

	/* acquire: pairs with prongi_turn_give(). */
	while (atomic_exchange_explicit(&t->word, 2, memory_order_acquire) != 0) {
		if (r)
			return r;
		r = prongi_sleep(&t->word, 2, deadline, false);
	}
	return 0;
}

int prongi_turn_take(struct prongi_turn *t, prong_time deadline)
{
	if (try(t, 1))
		return 0;
	if (deadline.ns_ <= PRONG_NOW.ns_)
		return PRONG_TIMEDOUT;
	return wait_for(t, deadline);
}

void prongi_turn_insist(struct prongi_turn *t)
{
	while (prongi_turn_take(t, PRONG_FOREVER))
		sched_yield();
}

void prongi_turn_give(struct prongi_turn *t)
{
	/* release: pairs with whoever takes it next. */
	if (atomic_exchange_explicit(&t->word, 0, memory_order_release) == 2)
		prongi_os_wake(&t->word, 1, false);
}
