/* Cancelling: words that say it, the wakes that go with it, and waits that heed it.

   A process record has a cancel word too, { generation 24, state 2 }, for all threads that it has
   or will have.  Its slots are cancelled one by one, so that a waiter has one word to look at; a
   slot that is claimed meanwhile looks at the record after it can be found.

   Whoever cancels owes the wake: its journal says so, as for a one-word noun. */
#include "family/cancel.h"
#include <prong/group.h>

static uint64_t look(const prongi_word *word)
{
	/* seq_cst: pairs with the changes of cancel words in here: a scope is begun or a slot
	   taken, and then its process is looked at; the process is cancelled, and then its
	   slots are. */
	return atomic_load_explicit(word, memory_order_seq_cst);
}

static uint64_t state_of(const struct prong_process *p)
{
	return p ? look(&p->cancel) & PRONGI_CANCEL_STATES : 0;
}

/* --- scopes -------------------------------------------------------------------------------- */

/* A word for the slot's next scope, whose number it never had. */
static uint64_t fresh(struct prongi_slot *slot, uint64_t state)
{
	uint64_t n = atomic_load_explicit(&slot->scopes, memory_order_relaxed) + 1;

	atomic_store_explicit(&slot->scopes, n, memory_order_relaxed);
	return n << 2 | state;
}

void prongi_scope_claim(struct prongi_slot *slot, const struct prong_process *p)
{
	uint64_t v = fresh(slot, state_of(p));

	atomic_store_explicit(&slot->cancel, v, memory_order_relaxed);
}

void prongi_scope_claimed(struct prongi_slot *slot, const struct prong_process *p)
{
	/* seq_cst: pairs with the fence in cancel_slots(): it finds the slot, or we its cancel. */
	atomic_thread_fence(memory_order_seq_cst);
	if (state_of(p) & PRONGI_CANCEL_IS)
		atomic_fetch_or_explicit(&slot->cancel, PRONGI_CANCEL_IS, memory_order_relaxed);
}

/* Put v into the calling thread's word; return what was there. */
static uint64_t replace(uint64_t v)
{
	prongi_word *word = &prongi_self.slot->cancel;
	/* acq_rel: pairs with itself in prongi_scope_cancel(): of whom we overwrite, the record is
	   seen to be cancelled. */
	uint64_t old = atomic_exchange_explicit(word, v, memory_order_acq_rel);

	if (state_of(prongi_me) & PRONGI_CANCEL_IS)
		atomic_fetch_or_explicit(word, PRONGI_CANCEL_IS, memory_order_relaxed);
	return old;
}

struct prongi_scope prongi_scope_begin(uint64_t *before)
{
	struct prongi_slot *me = prongi_self.slot;
	uint64_t word = fresh(me, PRONGI_CANCEL_CAN);

	*before = replace(word);
	return (struct prongi_scope){ (uint32_t)(me - prongi_heap->slot), word };
}

void prongi_scope_end(uint64_t before)
{
	replace(before);
}

/* Promise a wake on the word, as sync/word.h does; whoever has no slot is repeated by its
   successor.  Return how many promises there were. */
static uint32_t promise(const prongi_word *word)
{
	struct prongi_slot *me = prongi_self.slot;
	uint32_t depth;

	if (!me)
		return 0;
	depth = atomic_load_explicit(&me->wakes, memory_order_relaxed);
	atomic_store_explicit(&me->wakes, depth + 1, memory_order_relaxed);
	prongi_then(); /* a handler from here on takes the next entry */
	if (!PRONGI_MUTANT(200))
		atomic_store_explicit(&me->wake_obj[depth], (uintptr_t)word, memory_order_relaxed);
	prongi_then(); /* the word changes after that */
	return depth;
}

static void kept(uint32_t depth)
{
	prongi_then();
	if (prongi_self.slot)
		atomic_store_explicit(&prongi_self.slot->wakes, depth, memory_order_relaxed);
}

bool prongi_scope_cancel(struct prongi_scope scope)
{
	prongi_word *word = &prongi_heap->slot[scope.slot].cancel;
	uint64_t v = scope.word & ~PRONGI_CANCEL_IS;
	uint32_t depth;
	bool was;

	if (!v || scope.slot >= prongi_slots_used())
		return false;
	depth = promise(word);
	/* seq_cst, thus acq_rel: pairs with replace(), and with look(). */
	was = atomic_compare_exchange_strong_explicit(word, &v, v | PRONGI_CANCEL_IS,
						      memory_order_seq_cst, memory_order_relaxed);
	if (was)
		prongi_os_wake(prongi_low(word), 0x7fffffff, true);
	kept(depth);
	return was;
}

/* --- processes ----------------------------------------------------------------------------- */

void prongi_process_cancellable(struct prong_process *p)
{
	uint64_t generation = (prongi_state(p) & PRONGI_GEN_MASK) >> PRONGI_GEN_SHIFT;

	atomic_store_explicit(&p->cancel, generation << 2 | PRONGI_CANCEL_CAN,
			      memory_order_relaxed);
}

/* Cancel whatever the slot's thread is at, if the thread is one of process's. */
static void cancel_slot(struct prongi_slot *slot, uint32_t process)
{
	uint64_t v, id;

	do {
		v = look(&slot->cancel);
		/* acquire: pairs with the release in settle(): the process is its own. */
		id = atomic_load_explicit(&slot->id, memory_order_acquire);
		if (!id || (id & PRONGI_FLAGS) || (v & PRONGI_CANCEL_IS) ||
		    atomic_load_explicit(&slot->process, memory_order_relaxed) != process)
			return;
	} while (!prongi_scope_cancel(
		(struct prongi_scope){ (uint32_t)(slot - prongi_heap->slot), v }));
}

static void cancel_slots(uint32_t process)
{
	uint32_t n;

	/* seq_cst: pairs with the fence in prongi_scope_claimed(). */
	atomic_thread_fence(memory_order_seq_cst);
	n = prongi_slots_used();
	for (uint32_t i = 0; i < n; i++)
		cancel_slot(&prongi_heap->slot[i], process);
}

/* Cancel p itself, if it is what it was when its word was v.  Return whether it is news. */
static bool cancel_one(struct prong_process *p, uint64_t v)
{
	if (!(v & PRONGI_CANCEL_CAN) || (v & PRONGI_CANCEL_IS))
		return false;
	/* seq_cst: pairs with look(). */
	if (!atomic_compare_exchange_strong_explicit(&p->cancel, &v, v | PRONGI_CANCEL_IS,
						     memory_order_seq_cst, memory_order_relaxed))
		return false;
	cancel_slots(prongi_process_index(p));
	return true;
}

/* Cancel those whose starters are cancelled.  Return whether there was any. */
static bool cancel_children(void)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	bool found = false;

	for (uint32_t i = 0; i < n; i++) {
		struct prong_process *c = &prongi_heap->process[i];
		uint64_t v = look(&c->cancel);
		uint64_t ref = atomic_load_explicit(&c->parent, memory_order_relaxed);

		if (v & PRONGI_CANCEL_CAN &&
		    state_of(prongi_process_by_ref(ref)) & PRONGI_CANCEL_IS)
			found |= cancel_one(c, v);
	}
	return found;
}

void prongi_process_cancel(struct prong_process *p)
{
	if (cancel_one(p, look(&p->cancel)))
		while (cancel_children())
			;
}

/* --- ends ---------------------------------------------------------------------------------- */

void prongi_news_tell(struct prong_process *p)
{
	/* seq_cst: pairs with prongi_news_of(): who notes the new value sees what has ended. */
	atomic_fetch_add_explicit(&p->news, 1, memory_order_seq_cst);
	prongi_os_wake(&p->news, 0x7fffffff, true);
}

/* --- waiting ------------------------------------------------------------------------------- */

bool prong_cancelled(void)
{
	const struct prongi_slot *me = prongi_self.slot;
	const prongi_word *word = me ? &me->cancel : prongi_me ? &prongi_me->cancel : NULL;

	return word && (atomic_load_explicit(word, memory_order_relaxed) & PRONGI_CANCEL_IS);
}

bool prongi_cancel_arm(struct prongi_awaited *a)
{
	struct prongi_slot *me = prongi_self.slot;
	uint64_t v = me ? atomic_load_explicit(&me->cancel, memory_order_relaxed) : 0;

	if (!(v & PRONGI_CANCEL_CAN))
		return false;
	*a = (struct prongi_awaited){ prongi_low(&me->cancel), (uint32_t)v, true };
	return true;
}

bool prongi_cancellable(void)
{
	struct prongi_awaited unused;

	return prongi_cancel_arm(&unused);
}

int prongi_gave_up(int r, const char *what, const char *why)
{
	if (r == PRONG_CANCELLED)
		why = "the caller is cancelled";
	return prongi_fail(r, "%s: %s", what, why);
}

typedef int sleep_fn(const struct prongi_awaited *a, size_t n, prong_time deadline);

static int sleep_by(sleep_fn *sleep, struct prongi_awaited *a, size_t n, prong_time deadline)
{
	int r;

	if (deadline.ns_ <= 0)
		return PRONG_TIMEDOUT;
	if (!prongi_cancel_arm(&a[n]))
		return sleep(a, n, deadline);
	if (prong_cancelled())
		return PRONG_CANCELLED;
	r = sleep(a, n + 1, deadline);
	return prong_cancelled() ? PRONG_CANCELLED : r;
}

int prongi_sleep(_Atomic uint32_t *word, uint32_t seen, prong_time deadline, bool shared)
{
	struct prongi_awaited a[2] = { { word, seen, shared } };

	return sleep_by(prongi_os_wait_any, a, 1, deadline);
}

int prongi_sleep_any(struct prongi_awaited *a, size_t n, prong_time deadline)
{
	return sleep_by(prongi_os_wait_any, a, n, deadline);
}

int prongi_sleep_served(struct prongi_awaited *a, size_t n, prong_time deadline)
{
	return sleep_by(prongi_await_any, a, n, deadline);
}

int prong_sleep(prong_time deadline)
{
	_Atomic uint32_t nobody = 0;
	int r;

	do
		r = prongi_sleep(&nobody, 0, deadline, false);
	while (r == 0);
	return r == PRONG_CANCELLED ? prongi_gave_up(r, "sleep", "") : 0;
}
