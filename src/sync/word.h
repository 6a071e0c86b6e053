/* What the one-word nouns have in common: the word's layout is in family/shared.h.

   Who changes a word that others sleep on promises the wake first, in the slot: killed between the
   change and the wake, the repairer wakes.  Signal handlers promise in entries of their own, so
   that they do not overwrite what they interrupt.  A thread without a slot borrows one. */
#ifndef PRONGI_WORD_H
#define PRONGI_WORD_H

#include "family/cancel.h"
#include <limits.h>

struct prongi_promise {
	struct prongi_slot *slot; /* NULL: nobody could keep it */
	uint32_t depth;
	bool borrowed;
};

int prongi_promise_slow(struct prongi_promise *p, const prongi_word *word);
void prongi_kept_slow(const struct prongi_promise *p);

static inline void prongi_promise_at(struct prongi_promise *p, const prongi_word *word)
{
	atomic_store_explicit(&p->slot->wakes, p->depth + 1, memory_order_relaxed);
	prongi_then(); /* a handler from here on takes the next entry */
	if (!PRONGI_MUTANT(42))
		atomic_store_explicit(&p->slot->wake_obj[p->depth], (uintptr_t)word,
				      memory_order_relaxed);
	prongi_then(); /* the word changes after that */
}

/* Say that word will change and that a wake may be owed then.  In signal handlers too.  Return 0,
   -ENOSPC or -ENOMEM. */
static inline int prongi_promise(struct prongi_promise *p, const prongi_word *word)
{
	p->slot = prongi_self.slot;
	if (!p->slot)
		return prongi_promise_slow(p, word);
	p->depth = atomic_load_explicit(&p->slot->wakes, memory_order_relaxed);
	if (p->depth >= PRONGI_WAKES)
		return prongi_promise_slow(p, word);
	p->borrowed = false;
	prongi_promise_at(p, word);
	return 0;
}

/* The wake is done.  The entry stays until it is used again: at worst somebody is woken who looks
   and sleeps on. */
static inline void prongi_kept(const struct prongi_promise *p)
{
	prongi_then();
	if (p->slot && !p->borrowed)
		atomic_store_explicit(&p->slot->wakes, p->depth, memory_order_relaxed);
	else
		prongi_kept_slow(p);
}

/* Wake up to n of those who sleep on word, which the caller has just changed to v, with ASLEEP.
   If fewer were asleep, then at that moment none was left: so nobody needs ASLEEP, unless the word
   has changed since, as each who goes to sleep changes it. */
void prongi_wake_some(prongi_word *word, uint64_t v, uint32_t n);

static inline void prongi_wake_every(prongi_word *word)
{
	prongi_os_wake(prongi_low(word), INT_MAX, prongi_inside(word));
}

/* Sleep until the low half of word is not that of v, or somebody wakes, the deadline, or the caller
   is cancelled. */
static inline int prongi_sleep_on(prongi_word *word, uint64_t v, prong_time deadline)
{
	return prongi_sleep(prongi_low(word), (uint32_t)v, deadline, prongi_inside(word));
}

/* Say what the calling thread sleeps on: its waker may choose it alone, and the wake then be lost
   with it.  Until it has what the wake was for, or gave up without having been woken. */
static inline void prongi_wait_begin(const prongi_word *word)
{
	if (!PRONGI_MUTANT(43))
		atomic_store_explicit(&prongi_self.slot->wait_obj, (uintptr_t)word,
				      memory_order_relaxed);
	prongi_then();
}

static inline void prongi_wait_end(void)
{
	prongi_then();
	atomic_store_explicit(&prongi_self.slot->wait_obj, 0, memory_order_relaxed);
}

/* Waiting awake, for as long as a sleep would cost. */
struct prongi_looks {
	int n, pause; /* zero at first */
};

/* Pause before the next look.  Return false when it is time to sleep. */
bool prongi_look_again(struct prongi_looks *looks);

/* Before a sleep, by who has just woken whoever it is going to wait for: that one is often on this
   processor, and done before the sleep would have begun.  Does nothing while it would take long. */
void prongi_give_way(void);

/* For prong_wait(): what to sleep on until e may be set.  Then ask again, then sleep (event.c). */
struct prong_event;
struct prongi_awaited prongi_event_arm(struct prong_event *e);

/* 0, or -EINVAL: at is no address of a noun. */
int prongi_check(const void *at, const char *what);

#endif
