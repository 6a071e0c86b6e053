/* Process records: one for each process of the family, in a table, changed by CAS on their state.

   Who may take which step:
      FREE -> BEING      whoever claims it, naming its own pid: a starter, or a root for itself
      BEING -> ASKED     the claimer, when all is filled in
      BEING -> FREE      the claimer, or its repairer
      ASKED -> ASKED     the child first of all, to put its number in: it has appeared.  Of two
                         children one does
      ASKED -> RUNNING   the child when it is what was wished; the starter for a ready child, where
                         nothing is; the guard for a root; who repairs it, if it died before
      ASKED -> BEING     the starter, to give up, as long as no child has appeared
      ASKED -> REFUSED   the server, the guard, the starter or the nanny, as long as none has, since
                         then it may have a slot, and its end must be repaired; or the child that
                         cannot do what was wished, and has no slot; or who repairs what a lost
                         server left
      RUNNING -> DYING   the server, when its wait says so; the guard for a root; without both,
                         who waits for it
      any -> ENDED       the server, when all is repaired; without one, who waits for it
      ENDED, REFUSED -> FREE   whoever sees them with no handle held: the holder when it lets go,
                         the server when nobody holds it
   A record that is freed may keep a block of the heap: the server must not enter the allocator, for
   it must never wait.  The next claimer frees it first. */
#include "family/cancel.h"
#include <errno.h>

#define AT_LEAST 16

void prongi_process_wake(struct prong_process *p)
{
	prongi_os_wake(prongi_low(&p->state), 0x7fffffff, true);
}

/* One CAS from the state seen to the one given.  seq_cst: pairs with prongi_state(), which sees
   what was written before; and with the two-sided look at `lost' in start.c and server.c. */
static bool step(struct prong_process *p, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(&p->state, &from, to, memory_order_seq_cst,
						       memory_order_relaxed);
}

/* Another child has appeared. */
static bool is_anothers(uint64_t v, int pid)
{
	return prongi_state_pid(v) && prongi_state_pid(v) != pid;
}

bool prongi_process_step(struct prong_process *p, enum prongi_phase from, enum prongi_phase to,
			 int pid)
{
	if (to == PRONGI_RUNNING)
		prongi_writes_mark(p->writes);
	for (;;) {
		uint64_t v = prongi_state(p);

		if (prongi_phase(v) != from || (to == PRONGI_RUNNING && is_anothers(v, pid)))
			return false;
		if (step(p, v, prongi_state_with(v, to, pid)))
			return true;
	}
}

/* The ref of p's process when its state was v. */
static uint64_t ref_at(const struct prong_process *p, uint64_t v)
{
	uint64_t generation = (v & PRONGI_GEN_MASK) >> PRONGI_GEN_SHIFT;

	return generation << 32 | (prongi_process_index(p) + 1);
}

uint64_t prongi_process_ref(const struct prong_process *p)
{
	return ref_at(p, prongi_state(p));
}

struct prong_process *prongi_process_by_ref(uint64_t ref)
{
	uint32_t index = (uint32_t)ref - 1;

	if (!(uint32_t)ref || index >= PRONGI_PROCESSES)
		return NULL;
	return prongi_process_ref(&prongi_heap->process[index]) == ref
		       ? &prongi_heap->process[index]
		       : NULL;
}

bool prongi_process_valid(const struct prong_process *p)
{
	uintptr_t at = (uintptr_t)p, base;

	if (!p || !prongi_heap)
		return false;
	base = (uintptr_t)prongi_heap->process;
	return at >= base && (at - base) % sizeof *p == 0 &&
	       (at - base) / sizeof *p <
		       atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed) &&
	       prongi_phase_of(p) != PRONGI_FREE;
}

bool prongi_process_lives(uint64_t ref, struct prongi_awaited *a)
{
	struct prong_process *p = prongi_process_by_ref(ref);
	uint64_t v = p ? prongi_state(p) : 0;
	enum prongi_phase phase = prongi_phase(v);

	if (!p || prongi_process_ref(p) != ref || phase < PRONGI_BEING || phase > PRONGI_RUNNING)
		return false;
	if (a)
		*a = (struct prongi_awaited){ prongi_low(&p->state), (uint32_t)v, true };
	return true;
}

/* --- claiming ---------------------------------------------------------------------------- */

static struct prong_process *claim_below(uint32_t n, uint64_t flags)
{
	uint32_t first = atomic_fetch_add_explicit(&prongi_heap->processes_hint, 1,
						   memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++) {
		struct prong_process *p = &prongi_heap->process[(first + i) % n];
		uint64_t v = prongi_state(p);
		uint64_t next = ((v & PRONGI_GEN_MASK) + ((uint64_t)1 << PRONGI_GEN_SHIFT)) &
				PRONGI_GEN_MASK;

		if (prongi_phase(v) == PRONGI_FREE &&
		    step(p, v, prongi_state_with(next | flags, PRONGI_BEING,
						 PRONGI_MUTANT(76) ? 0 : prongi_os_pid())))
			return p;
	}
	return NULL;
}

/* Make a claimed record empty, but for its block. */
static void blank(struct prong_process *p)
{
	atomic_store_explicit(&p->parent, 0, memory_order_relaxed);
	atomic_store_explicit(&p->children, 0, memory_order_relaxed);
	atomic_store_explicit(&p->lost, 0, memory_order_relaxed);
	atomic_store_explicit(&p->parcel, 0, memory_order_relaxed);
	atomic_store_explicit(&p->nanny, 0, memory_order_relaxed);
	atomic_store_explicit(&p->nanny_left, 0, memory_order_relaxed);
	atomic_store_explicit(&p->copied, 0, memory_order_relaxed);
	atomic_store_explicit(&p->has_result, 0, memory_order_relaxed);
	atomic_store_explicit(&p->cancel, 0, memory_order_relaxed);
	atomic_store_explicit(&p->term_at, 0, memory_order_relaxed);
	atomic_store_explicit(&p->kill_at, 0, memory_order_relaxed);
	for (int i = 0; i < PRONGI_WRITES; i++)
		atomic_store_explicit(&p->writes[i], 0, memory_order_relaxed);
	p->fn = NULL;
	p->arg = NULL;
	p->size = 0;
	p->wish = NULL;
	p->crash = NULL;
	p->error = 0;
	p->detail[0] = p->name[0] = p->identity[0] = '\0';
	p->code = p->signal = 0;
	p->core = p->server_lost = p->ended_known = 0;
	p->peak_rss = 0;
}

/* Records of members that died between BEING and ASKED, or of forks that were never watched. */
static void collect(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct prong_process *p = &prongi_heap->process[i];
		uint64_t v = prongi_state(p);
		bool unwatched = prongi_phase(v) == PRONGI_ASKED && (v & PRONGI_ROOT) &&
				 !(v & PRONGI_FORKED);

		if ((prongi_phase(v) == PRONGI_BEING || unwatched) &&
		    prongi_os_ended(prongi_state_pid(v)))
			step(p, v, v & PRONGI_GEN_MASK);
	}
}

int prongi_process_claim(struct prong_process **out, uint64_t flags)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);

	for (n = n < AT_LEAST ? AT_LEAST : n;; n = n + n / 4 + AT_LEAST) {
		struct prong_process *p;
		int r;

		if (n > PRONGI_PROCESSES) {
			n = PRONGI_PROCESSES;
			collect(n);
		}
		r = prongi_processes_reach(n);
		if (r)
			return r;
		p = claim_below(n, flags);
		if (p) {
			blank(p);
			*out = p;
			return 0;
		}
		if (n == PRONGI_PROCESSES)
			return -ENOSPC;
	}
}

void prongi_process_collect(struct prong_process *p)
{
	uint64_t v = prongi_state(p);

	if (prongi_phase(v) == PRONGI_BEING && (v & PRONGI_ROOT) && !(v & PRONGI_FORKED) &&
	    prongi_os_ended(prongi_state_pid(v)))
		step(p, v, v & PRONGI_GEN_MASK);
}

void prongi_process_unclaim(struct prong_process *p)
{
	uint64_t v = prongi_state(p);

	if (step(p, v, v & PRONGI_GEN_MASK))
		prongi_process_wake(p); /* a ready child may wait for it */
}

bool prongi_process_sweep(void)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	bool found = false;

	for (uint32_t i = 0; i < n; i++) {
		struct prong_process *p = &prongi_heap->process[i];
		uint64_t v = prongi_state(p);

		if (prongi_phase(v) != PRONGI_FREE || !prongi_block(p) ||
		    !step(p, v, prongi_state_with(v, PRONGI_BEING, prongi_os_pid())))
			continue;
		found |= prongi_block(p) != NULL;
		prong_free_at((void **)&p->block);
		prongi_process_unclaim(p);
	}
	return found;
}

struct prong_process *prongi_process_of(int pid)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++) {
		uint64_t v = prongi_state(&prongi_heap->process[i]);
		enum prongi_phase phase = prongi_phase(v);

		if (prongi_state_pid(v) == pid && phase >= PRONGI_ASKED && phase <= PRONGI_DYING)
			return &prongi_heap->process[i];
	}
	return NULL;
}

/* --- the end ------------------------------------------------------------------------------- */

/* Records that a process which has ended was filling are nobody's again. */
static void unclaim_of(int pid)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++) {
		struct prong_process *p = &prongi_heap->process[i];
		uint64_t v = prongi_state(p);

		if (prongi_phase(v) == PRONGI_BEING && prongi_state_pid(v) == pid)
			prongi_process_unclaim(p);
	}
}

static void let_go_if_unheld(struct prong_process *p);

/* What it started goes with it, and nobody holds its handles any more. */
static void end_children(struct prong_process *p)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	uint64_t ref = prongi_process_ref(p);

	for (uint32_t i = 0; i < n; i++) {
		struct prong_process *c = &prongi_heap->process[i];
		uint64_t child = prongi_process_ref(c);

		/* In use by its starter, who is dead: nobody frees it before HELD is gone. */
		if (prongi_phase_of(c) == PRONGI_FREE ||
		    atomic_load_explicit(&c->parent, memory_order_relaxed) != ref)
			continue;
		/* acq_rel: pairs with prongi_state(), like every change of a state. */
		atomic_fetch_and_explicit(&c->state, ~PRONGI_HELD, memory_order_acq_rel);
		prongi_child_kill(c, child);
		let_go_if_unheld(c);
	}
}

/* Nobody has a handle and nothing runs: free.  Both the holder and the server may come last. */
static void let_go_if_unheld(struct prong_process *p)
{
	for (;;) {
		uint64_t v = prongi_state(p);
		enum prongi_phase phase = prongi_phase(v);

		if ((v & PRONGI_HELD) || (phase != PRONGI_ENDED && phase != PRONGI_REFUSED))
			return;
		if (step(p, v, v & PRONGI_GEN_MASK))
			return;
	}
}

void prongi_process_let_go(struct prong_process *p)
{
	/* acq_rel: pairs with prongi_state(), like every change of a state. */
	atomic_fetch_and_explicit(&p->state, ~PRONGI_HELD, memory_order_acq_rel);
	let_go_if_unheld(p);
}

void prongi_process_note_end(struct prong_process *p, const struct prongi_end *end, bool lost)
{
	if (p->ended_known)
		return;
	if (PRONGI_MUTANT(82))
		p->ended_known = 1;
	prongi_then();
	p->code = end ? end->code : 0;
	p->signal = end ? end->signal : SIGKILL;
	p->core = end && end->core;
	p->server_lost = lost && p->signal == SIGKILL;
	p->ended = prongi_os_now();
	prongi_then(); /* whole before it counts: the next server reads it after a death here */
	p->ended_known = 1;
}

void prongi_process_dies(struct prong_process *p)
{
	int pid = prongi_state_pid(prongi_state(p));

	if (prongi_process_step(p, PRONGI_RUNNING, PRONGI_DYING, pid))
		prongi_process_wake(p); /* a joiner on its way here loses no time while we repair */
	prongi_repair_process(prongi_process_index(p));
	if (pid && !PRONGI_MUTANT(77))
		unclaim_of(pid);
	if (!PRONGI_MUTANT(78))
		end_children(p);
}

void prongi_process_gone(struct prong_process *p)
{
	int pid = prongi_state_pid(prongi_state(p));

	struct prong_process *parent = prongi_process_by_ref(
		atomic_load_explicit(&p->parent, memory_order_relaxed));

	atomic_fetch_add_explicit(&prongi_heap->server.deaths, 1, memory_order_relaxed);
	if (!prongi_process_step(p, PRONGI_DYING, PRONGI_ENDED, pid))
		prongi_process_step(p, PRONGI_ASKED, PRONGI_ENDED, pid);
	prongi_process_wake(p);
	if (parent)
		prongi_news_tell(parent);
	let_go_if_unheld(p);
	prongi_ends_tell();
}

/* As prongi_process_step(), but of this process alone, not of the record's next one. */
static bool step_of(struct prong_process *p, uint64_t ref, enum prongi_phase from,
		    enum prongi_phase to, int pid)
{
	for (;;) {
		uint64_t v = prongi_state(p);

		if (ref_at(p, v) != ref || prongi_phase(v) != from)
			return false;
		if (step(p, v, prongi_state_with(v, to, pid)))
			return true;
	}
}

bool prongi_process_appears(struct prong_process *p, uint64_t ref)
{
	uint64_t v = prongi_state(p);
	int pid = prongi_os_pid();

	if (PRONGI_MUTANT(145))
		return true;
	while (prongi_waits(v) && ref_at(p, v) == ref) {
		if (step(p, v, prongi_state_with(v, PRONGI_ASKED, pid)))
			return true;
		v = prongi_state(p);
	}
	/* The starter may have said already that a ready child runs. */
	return prongi_phase(v) == PRONGI_RUNNING && prongi_state_pid(v) == pid &&
	       ref_at(p, v) == ref;
}

bool prongi_process_take_back(struct prong_process *p)
{
	uint64_t v = prongi_state(p);

	while (prongi_waits(v)) {
		if (step(p, v, prongi_state_with(v, PRONGI_BEING, prongi_os_pid())))
			return true;
		v = prongi_state(p);
	}
	return false;
}

bool prongi_copy_ends(struct prong_process *p, uint64_t ref, int pid)
{
	return (!PRONGI_MUTANT(145) && step_of(p, ref, PRONGI_ASKED, PRONGI_RUNNING, pid)) ||
	       step_of(p, ref, PRONGI_RUNNING, PRONGI_RUNNING, pid);
}

/* p, which is as in v but for HELD, becomes refused, or is something else by then. */
static void refuse(struct prong_process *p, uint64_t v, int error, const char *detail)
{
	uint64_t now = v;

	p->error = error;
	strncpy(p->detail, detail, sizeof p->detail - 1);
	p->detail[sizeof p->detail - 1] = '\0';
	/* release in step(): the starter that sees REFUSED sees why. */
	while (!((now ^ v) & ~PRONGI_HELD)) {
		if (step(p, now, prongi_state_with(now, PRONGI_REFUSED, 0))) {
			prongi_process_wake(p);
			break;
		}
		now = prongi_state(p);
	}
	let_go_if_unheld(p);
}

void prongi_process_refuse(struct prong_process *p, uint64_t ref, int error, const char *detail)
{
	uint64_t v = prongi_state(p);

	/* Else somebody was first, with better words; or it has appeared. */
	if (prongi_waits(v) && ref_at(p, v) == ref)
		refuse(p, v, error, detail);
}

void prongi_process_give_up(struct prong_process *p, int error, const char *detail)
{
	uint64_t v = prongi_state(p);

	if (prongi_phase(v) == PRONGI_ASKED && prongi_state_pid(v) == prongi_os_pid())
		refuse(p, v, error, detail);
}

static void begin_again(struct prong_process *p, uint64_t v)
{
	if (prongi_state_pid(v))
		prongi_repair_process(prongi_process_index(p));
	refuse(p, v, -ECONNRESET, "");
}

/* Return whether p was what it is in v, but for HELD. */
static bool begin_to_end(struct prong_process *p, uint64_t v)
{
	for (uint64_t now = v; !((now ^ v) & ~PRONGI_HELD); now = prongi_state(p))
		if (step(p, now, prongi_state_with(now, PRONGI_DYING, prongi_state_pid(v))))
			return true;
	return false;
}

void prongi_process_lost(struct prong_process *p)
{
	/* seq_cst: pairs with release_ready(), as take_over() has stored `lost' before. */
	uint64_t v = atomic_load_explicit(&p->state, memory_order_seq_cst);

	if (prongi_phase(v) == PRONGI_ASKED) {
		begin_again(p, v);
		v = prongi_state(p); /* its starter may have said that it runs */
	}
	if (((prongi_phase(v) == PRONGI_RUNNING && !PRONGI_MUTANT(86)) ||
	     prongi_phase(v) == PRONGI_DYING) &&
	    begin_to_end(p, v)) {
		prongi_process_note_end(p, NULL, true);
		prongi_process_dies(p);
		prongi_process_gone(p);
	}
}
