/* When guard and server have both ended: who waits for what they would have brought to its end does
   that, one thread of the family at a time; and who needs a server opens another, likewise. */
#include "family/family.h"

#define S (&prongi_heap->server)
#define MEND_MS	 5000 /* a mender that is stopped is not waited for longer */
#define DYING_MS 1000

static bool gone(const _Atomic int32_t *word)
{
	/* acquire: pairs with prongi_word_unclaim(). */
	int pid = atomic_load_explicit(word, memory_order_acquire);

	return !pid || prongi_os_ended(pid);
}

bool prongi_server_gone(void)
{
	return gone(&S->guard) && gone(&S->pid);
}

bool prongi_server_alive(void)
{
	return prongi_server_state() == PRONGI_SERVER_UP && !prongi_server_gone();
}

bool prongi_word_claim(_Atomic int32_t *word)
{
	int32_t who = 0;

	/* acq_rel: pairs with prongi_word_unclaim(). */
	while (!atomic_compare_exchange_strong_explicit(word, &who, prongi_os_tid(),
							memory_order_acq_rel, memory_order_relaxed))
		if (who && !prongi_os_ended(who))
			return false;
	return true;
}

void prongi_word_unclaim(_Atomic int32_t *word)
{
	int32_t own = prongi_os_tid();

	/* release: pairs with prongi_word_claim(). */
	atomic_compare_exchange_strong_explicit(word, &own, 0, memory_order_release,
						memory_order_relaxed);
}

void prongi_await_members(void)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	prong_time deadline = prong_in_ms(2000);

	for (uint32_t i = 0; i < n; i++) {
		uint64_t v = prongi_state(&prongi_heap->process[i]);
		bool runs = prongi_phase(v) == PRONGI_RUNNING ||
			    (prongi_phase(v) == PRONGI_ASKED && prongi_state_pid(v));

		if (!runs || (v & PRONGI_ROOT))
			continue;
		while (!prongi_os_ended(prongi_state_pid(v)) &&
		       prongi_os_now() < deadline.ns_)
			prongi_os_sleep(prong_in_ms(1));
	}
}

void prongi_await_mender(void)
{
	prong_time deadline = prong_in_ms(MEND_MS);

	while (!gone(&S->mender) && prongi_os_now() < deadline.ns_)
		prongi_os_sleep(prong_in_ms(1));
}

/* What only a server brings to its end, and is at it or waits for that.  A copy is ended by its
   nanny, and when that is killed by nobody. */
static bool is_orphan(const struct prong_process *p)
{
	uint64_t v = prongi_state(p);
	int pid = prongi_state_pid(v), nanny = prongi_nanny_of(p);

	if (prongi_phase(v) != PRONGI_ASKED && prongi_phase(v) != PRONGI_RUNNING &&
	    prongi_phase(v) != PRONGI_DYING)
		return false;
	if (pid && !prongi_os_ended(pid))
		return false;
	return !(v & PRONGI_ROOT) || ((v & PRONGI_FORKED) && nanny && prongi_os_ended(nanny));
}

static bool any_orphan(void)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++)
		if (is_orphan(&prongi_heap->process[i]))
			return true;
	return false;
}

/* A copy that has appeared just now dies with its nanny, but not at once. */
static bool await_end(const struct prong_process *p)
{
	int pid = prongi_state_pid(prongi_state(p));

	for (int i = 0; pid && i < DYING_MS && !prongi_os_ended(pid); i++)
		prongi_os_sleep(prong_in_ms(1));
	return !pid || prongi_os_ended(pid);
}

static void mend(struct prong_process *p)
{
	if (prongi_state(p) & PRONGI_FORKED) {
		prongi_root_ended(p);
		if (!await_end(p))
			return;
	}
	prongi_process_lost(p);
}

/* Each time anew: a mender that was stopped may find a server when it goes on. */
static void mend_all(void)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++)
		if (is_orphan(&prongi_heap->process[i]) && prongi_server_gone())
			mend(&prongi_heap->process[i]);
}

/* There is none: so it says.  Numbers of the dead go, for others may come to bear them. */
static bool pronounce(void)
{
	int32_t guard = atomic_load_explicit(&S->guard, memory_order_relaxed);
	int32_t pid = atomic_load_explicit(&S->pid, memory_order_relaxed);
	uint32_t up = PRONGI_SERVER_UP, none = PRONGI_NO_SERVER;

	if (!prongi_server_gone())
		return false;
	/* acq_rel: pairs with prongi_server_state(); and sees what the server has written last. */
	if (atomic_compare_exchange_strong_explicit(&S->state, &up, PRONGI_NO_SERVER,
						    memory_order_acq_rel, memory_order_relaxed) &&
	    !prongi_server_gone()) { /* we were stopped since: it is another that is up */
		atomic_compare_exchange_strong_explicit(&S->state, &none, PRONGI_SERVER_UP,
							memory_order_acq_rel,
							memory_order_relaxed);
		return false;
	}
	atomic_compare_exchange_strong_explicit(&S->guard, &guard, 0, memory_order_relaxed,
						memory_order_relaxed);
	atomic_compare_exchange_strong_explicit(&S->pid, &pid, 0, memory_order_relaxed,
						memory_order_relaxed);
	return true;
}

void prongi_server_lost(void)
{
	if (!prongi_server_gone() || (prongi_server_state() != PRONGI_SERVER_UP && !any_orphan()) ||
	    !prongi_word_claim(&S->mender))
		return;
	/* One that was forked just now may not have said its number yet. */
	prongi_os_sleep(prong_in_ms(PRONGI_FORKED_MS));
	if (pronounce()) {
		prongi_await_members();
		mend_all();
	}
	prongi_word_unclaim(&S->mender);
}
