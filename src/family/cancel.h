/* Cancelling: who may be cancelled, and waits that end when the waiter is.

   A slot has a cancel word, { scope 62 bits, state 2 bits }.  A scope is one span of its thread's
   life, as long as one thread of a group or one task of a pool runs; its number is never used
   again in that slot, so that who cancels a scope that is over cancels nobody else.

   Who can be cancelled sleeps on two words: what it waits for, and its cancel word.  So a cancel
   cannot come between its last look and its sleep, and who cannot be cancelled, which is everybody
   outside groups and pools, sleeps on one as ever. */
#ifndef PRONGI_CANCEL_H
#define PRONGI_CANCEL_H

#include "family/family.h"

#define PRONGI_CANCEL_CAN    ((uint64_t)1) /* it may be cancelled */
#define PRONGI_CANCEL_IS     ((uint64_t)2) /* it is */
#define PRONGI_CANCEL_STATES ((uint64_t)3)

/* A scope as others may name it: in the heap, too. */
struct prongi_scope {
	uint32_t slot;
	uint64_t word; /* 0: none */
};

/* Begin a scope of the calling thread, which has a slot, and which may be cancelled from now on.
   It is cancelled from the start where its process is.  *before is for prongi_scope_end(). */
struct prongi_scope prongi_scope_begin(uint64_t *before);

/* Go back to the scope before.  Cancels that this one got do not count for that, nor those that
   were meant for that one meanwhile: who keeps them elsewhere looks there and calls
   prongi_scope_cancel(). */
void prongi_scope_end(uint64_t before);

/* Cancel that scope, of whatever thread of the family, if it is not over.  Return whether it was
   there, and not cancelled before.  Not from signal handlers. */
bool prongi_scope_cancel(struct prongi_scope scope);

/* A record that is being filled in: p can be cancelled. */
void prongi_process_cancellable(struct prong_process *p);

/* Cancel the process p, which was started so that it can be, all its threads, and what it started
   in groups, and theirs.  Repeatable. */
void prongi_process_cancel(struct prong_process *p);

/* Have the server send SIGTERM and SIGKILL to p, if it still runs at these times; 0: not.  What is
   sooner than the time that it has already counts.  With p its descendants end. */
void prongi_process_end_by(struct prong_process *p, int64_t term_at, int64_t kill_at);

/* The calling thread's cancel word, to be slept on; false when nobody can cancel it. */
bool prongi_cancel_arm(struct prongi_awaited *a);

/* r, PRONG_TIMEDOUT or another condition, ends a wait: fail with it, and with words why. */
int prongi_gave_up(int r, const char *what, const char *why);

/* As prongi_os_wait_any() and prongi_await_any(); and PRONG_CANCELLED when the calling thread is
   cancelled, as prongi_sleep() (private.h) is to prongi_os_wait().  Then, as after PRONG_TIMEDOUT,
   the caller looks once more: it may have been chosen by a wake, which others would miss.  a[n] is
   free for the cancel word. */
int prongi_sleep_any(struct prongi_awaited *a, size_t n, prong_time deadline);
int prongi_sleep_served(struct prongi_awaited *a, size_t n, prong_time deadline);

/* For slot.c: the slot becomes one of p's, before and after it can be found. */
void prongi_scope_claim(struct prongi_slot *slot, const struct prong_process *p);
void prongi_scope_claimed(struct prongi_slot *slot, const struct prong_process *p);

/* Each process record has a word on which whoever waits for the ends of its children, threads and
   tasks sleeps.  Note its value, look at them, and sleep while it has that value.  seq_cst:
   pairs with prongi_news_tell(). */
static inline uint32_t prongi_news_of(const struct prong_process *p)
{
	return atomic_load_explicit(&p->news, memory_order_seq_cst);
}

/* Something that p waits for has ended: change its word, and wake who sleeps there.  p may be
   anybody's by now; then somebody is woken who looks and sleeps on. */
void prongi_news_tell(struct prong_process *p);

#endif
