/* The rarer parts of what one-word nouns have in common. */
#include "sync/word.h"
#include <errno.h>

#define LOOKS   60
#define PAUSES  32     /* between two looks, at the most */
#define LONG_NS 100000 /* without the processor */
#define STRIKES 3      /* each is eight times as expensive as the last */
#define QUICK   16     /* in a row: all is well again */

/* The thread has no slot, or its handlers interrupt each other more often than it has entries. */
int prongi_promise_slow(struct prongi_promise *p, const prongi_word *word)
{
	int r;

	p->slot = NULL;
	p->borrowed = true;
	p->depth = 0;
	if (!prongi_inside(word))
		return 0; /* it ends with its process */
	r = prongi_slot_borrow(&p->slot);
	if (p->slot)
		prongi_promise_at(p, word);
	return r;
}

void prongi_kept_slow(const struct prongi_promise *p)
{
	if (p->slot)
		prongi_slot_wipe(p->slot);
}

void prongi_wake_some(prongi_word *word, uint64_t v, uint32_t n)
{
	int most = n < INT_MAX ? (int)n : INT_MAX;

	if (prongi_os_wake(prongi_low(word), most, prongi_inside(word)) < most)
		atomic_compare_exchange_strong_explicit(word, &v, v & ~PRONGI_ASLEEP,
							memory_order_relaxed,
							memory_order_relaxed);
}

bool prongi_look_again(struct prongi_looks *looks)
{
	if (!prongi_spins || looks->n >= LOOKS)
		return false;
	looks->n++;
	looks->pause = looks->pause == 0 ? 1 : looks->pause < PAUSES ? looks->pause * 2 : PAUSES;
	for (int i = 0; i < looks->pause; i++)
		prongi_os_pause();
	return true;
}

/* Where others keep the processors busy, who gives way waits until they have had their turn, and is
   behind them the next times, too.  So each time that this was long it is left alone for longer,
   unless it went well often enough since. */
void prongi_give_way(void)
{
	static _Thread_local struct {
		int64_t again;
		int strikes, quick;
	} it __attribute__((tls_model("initial-exec")));
	int64_t begin = prongi_os_now(), took;

	if (begin < it.again)
		return;
	prongi_os_yield();
	took = prongi_os_now() - begin;
	it.quick = took < LONG_NS ? it.quick + 1 : 0;
	if (it.quick == QUICK)
		it.strikes = 0;
	if (it.quick)
		return;
	it.again = begin + (took << (2 + 3 * it.strikes));
	it.strikes += it.strikes < STRIKES;
}

int prongi_check(const void *at, const char *what)
{
	if (!at || (uintptr_t)at % sizeof(uint64_t))
		return prongi_fail(-EINVAL, "%s: not the address of one", what);
	return 0;
}
