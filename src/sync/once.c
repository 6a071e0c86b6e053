/* Once: an owner word, held while the function runs, and a flag that it has.  A dead owner's word
   is taken like a mutex's; as long as the flag is not set, it has not happened. */
#include "family/check.h"
#include "sync/word.h"
#include <errno.h>
#include <prong/once.h>

_Static_assert(sizeof(prong_once) == 16, "two words");

static prongi_word *word_of(const prong_once *o)
{
	return (prongi_word *)(uintptr_t)&o->word_;
}

static _Atomic uint32_t *done_of(const prong_once *o)
{
	return (_Atomic uint32_t *)(uintptr_t)&o->done_;
}

static bool wrong(const prong_once *o)
{
	return !o || (uintptr_t)o % sizeof(uint64_t) || o->reserved_;
}

/* acquire: pairs with the release in run(): what fn did is seen. */
bool prong_once_done(const prong_once *o)
{
	return !wrong(o) && atomic_load_explicit(done_of(o), memory_order_acquire) == 1;
}

static int run(prong_once *o, prong_fn *fn, void *arg)
{
	int r = fn(arg);

	if (r)
		return prongi_fail(r, "once_run: the function failed");
	/* release: pairs with the acquire in prong_once_done(). */
	atomic_store_explicit(done_of(o), 1, memory_order_release);
	return 0;
}

static int run_slow(prong_once *o, prong_fn *fn, void *arg, prong_time deadline)
{
	int r;

	if (wrong(o) || !fn)
		return prongi_fail(-EINVAL, "once_run: not a prong_once, or no function");
	r = prongi_enter();
	if (r == 0)
		r = prongi_check_use(o, "once_run");
	if (r)
		return r;
	if (prongi_owner(atomic_load_explicit(word_of(o), memory_order_relaxed)) == prongi_self.id)
		return prongi_fail(PRONG_DEADLOCK, "once_run: called from its own function");
	if (prongi_lock_slow(word_of(o), true, deadline) == PRONG_TIMEDOUT)
		return prongi_fail(PRONG_TIMEDOUT, "once_run: another runs it until the deadline");
	r = prong_once_done(o) ? 0 : run(o, fn, arg);
	prongi_unlock(word_of(o), 0, 1);
	return r;
}

int prong_once_run(prong_once *o, prong_fn *fn, void *arg, prong_time deadline)
{
	return prong_once_done(o) ? 0 : run_slow(o, fn, arg, deadline);
}
