/* Starting a process: a record is claimed and filled in, and the server, or the child that it
   keeps ready, is told.

   The three ways from the starter to the child, the fastest first:
      the ready child is taken by a CAS and woken, before the record is filled in: a wake takes
      longer than that, so the two go on at once, and the child waits for the record if it must;
      a bit is set and the doorbell rung: when there is no ready child; a parcel of descriptors
      is sent: when files must travel. */
#include "run/process.h"
#include "family/check.h"
#include "run/group.h"
#include <errno.h>
#include <prong/family.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define S     (&prongi_heap->server)
#define TRIES 50 /* times that a start is begun anew while one server replaces another */

/* --- may it? ------------------------------------------------------------------------------- */

static int check_rights(void)
{
	struct prongi_creds now;
	int r = prongi_os_creds(&now);
	const char *what = "namespaces or root";

	if (r)
		return prongi_fail(r, "process_start: cannot read who this process is: %s",
				   strerror(-r));
	if (now.filters_unknown)
		return prongi_fail(PRONG_PRIVILEGE,
				   "process_start: whether seccomp filters were added is told by "
				   "Linux 5.9 and later, in /proc/self/status");
	if (memcmp(&now, &S->creds, sizeof now) == 0)
		return 0;
	if (memcmp(now.ids, S->creds.ids, sizeof now.ids))
		what = "user or group ids";
	else if (now.ngroups != S->creds.ngroups || now.groups != S->creds.groups)
		what = "groups";
	else if (memcmp(now.caps, S->creds.caps, sizeof now.caps))
		what = "capabilities";
	else if (now.secure != S->creds.secure)
		what = "no_new_privs, seccomp mode or securebits";
	else if (now.filters != S->creds.filters)
		what = "seccomp filters";
	return prongi_fail(PRONG_PRIVILEGE,
			   "process_start: %s have changed since prong_open(); close and open "
			   "again", what);
}

/* A server, opened again if it was lost and still can be. */
static int need_server(void)
{
	if (prongi_server_state() == PRONGI_SERVER_UP)
		return 0;
	return prong_open(NULL);
}

/* --- the record ---------------------------------------------------------------------------- */

static void give_name(struct prong_process *p, const char *name)
{
	uint32_t n = atomic_fetch_add_explicit(&prongi_me->children, 1, memory_order_relaxed) + 1;

	snprintf(p->identity, sizeof p->identity, "%.36s%s%u", prongi_me->identity,
		 prongi_me->identity[0] ? ":" : "", n);
	if (name)
		snprintf(p->name, sizeof p->name, "%s", name);
	else
		snprintf(p->name, sizeof p->name, "Process-%s", p->identity);
}

static uint64_t current_mask(void)
{
	uint64_t signals;
	sigset_t set;

	sigemptyset(&set);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	memcpy(&signals, &set, sizeof signals);
	return signals;
}

int prongi_start_record(struct prong_process **out, const struct prongi_start *s, uint64_t flags)
{
	struct prong_process *p;
	int r = prongi_process_claim(&p, flags | PRONGI_HELD |
						  (s->opts->daemon ? PRONGI_DAEMON : 0));

	if (r)
		return prongi_fail(r, "process_start: no room for one more process of %d",
				   PRONGI_PROCESSES);
	atomic_store_explicit(&p->parent, prongi_process_ref(prongi_me), memory_order_relaxed);
	for (int i = 0; i < PRONGI_WRITES; i++)
		atomic_store_explicit(&p->writes[i], (uintptr_t)s->opts->writes[i],
				      memory_order_relaxed);
	if (s->opts->group)
		prongi_process_cancellable(p);
	p->started = prongi_os_now();
	*out = p;
	return 0;
}

int prongi_start_fill(struct prong_process *p, const struct prongi_start *s, bool forked,
		      bool parcel)
{
	prong_free_at((void **)&p->block); /* what a starter that died has left */
	p->fn = s->fn;
	p->signals = current_mask();
	p->umask = prongi_os_umask();
	give_name(p, s->opts->name);
	return prongi_start_pack(p, s, forked, parcel);
}

/* It never ran: as if nothing had happened. */
static int withdraw(struct prong_process *p, int r)
{
	prong_free_at((void **)&p->block);
	prongi_process_unclaim(p);
	return r;
}

/* --- telling the server -------------------------------------------------------------------- */

/* Make a waiting child run p.  It is p's from the CAS on, whoever dies.  Return its number, or
   0. */
static int take_ready(struct prong_process *p)
{
	for (int k = 0; k < PRONGI_READY; k++) {
		/* acquire: pairs with the release in refill(): there is such a child. */
		uint64_t v = atomic_load_explicit(&S->ready[k], memory_order_acquire);

		if ((v & 3) != PRONGI_READY_WAITS)
			continue;
		/* release, of acq_rel: pairs with the acquire in be_ready(). */
		if (!atomic_compare_exchange_strong_explicit(&S->ready[k], &v,
							     prongi_ready_taken(v, p),
							     memory_order_acq_rel,
							     memory_order_relaxed))
			continue;
		prongi_os_wake(prongi_low(&S->ready[k]), 1, true);
		atomic_fetch_add_explicit(&S->started, 1, memory_order_relaxed);
		return prongi_state_pid(v);
	}
	return 0;
}

/* The record is filled in.  Where there is nothing to confirm, and slots have never run short, it
   runs as of now: the child needs not say so.  False: the child was killed before. */
static bool release_ready(struct prong_process *p, int pid)
{
	/* seq_cst: pairs with record_of() and take_over() of the server; one of us sees the
	   other. */
	if (atomic_load_explicit(&p->lost, memory_order_seq_cst))
		return false;
	if (!p->wish && prongi_slots_used() < PRONGI_SLOTS)
		prongi_process_step(p, PRONGI_ASKED, PRONGI_RUNNING, pid);
	prongi_process_wake(p);
	return true;
}

static void ask(struct prong_process *p)
{
	uint32_t i = prongi_process_index(p);

	/* release: pairs with the acquire in serve_asked(). */
	atomic_fetch_or_explicit(&S->asked[i / 64], (uint64_t)1 << i % 64, memory_order_release);
	prongi_ring();
}

static int send_parcel(struct prong_process *p, const struct prongi_start *s)
{
	int fds[PRONGI_FDS], extra, r;
	int n = prongi_start_fds(s, fds, &extra);

	if (n < 0)
		return n;
	r = prongi_os_send_fds(S->address, atomic_load_explicit(&S->pid, memory_order_relaxed),
			       prongi_process_ref(p), fds, (size_t)n);
	if (extra >= 0)
		close(extra);
	if (r == 0)
		prongi_ring();
	return r;
}

/* The nanny makes the copy by fork(), which waits for locks of the C library and of fork handlers.
   What another thread of the starter held when the nanny was copied from it is never let go there:
   so one that sleeps before it has made a copy is given up.  slept: it did the last time. */
static void mind_nanny(struct prong_process *p, int nanny, bool *slept)
{
	bool sleeps = prongi_os_asleep(nanny) &&
		      !atomic_load_explicit(&p->copied, memory_order_relaxed);

	if (prongi_os_ended(nanny))
		prongi_process_refuse(p, prongi_process_ref(p), -EAGAIN,
				      "process_start: its nanny was killed");
	else if (sleeps && *slept)
		prongi_process_refuse(p, prongi_process_ref(p), PRONGI_STUCK, "");
	*slept = sleeps;
}

/* Until then the nanny dies with the thread that waits here. */
static void await_copied(struct prong_process *p, int nanny)
{
	/* acquire: pairs with nanny(). */
	while (!atomic_load_explicit(&p->copied, memory_order_acquire) && !prongi_os_ended(nanny))
		prongi_os_wait(&p->copied, 0, prong_in_ms(50), true);
}

int prongi_start_finish(struct prong_process **out, struct prong_process *p, int nanny)
{
	bool slept = false;

	for (;;) {
		/* acquire: pairs with the step to REFUSED or RUNNING. */
		uint64_t v = prongi_state(p);

		if (prongi_phase(v) == PRONGI_REFUSED) {
			int r = p->error;

			prongi_fail(r, "%s", p->detail);
			prong_free_at((void **)&p->block);
			prongi_process_let_go(p);
			return r;
		}
		if (prongi_phase(v) != PRONGI_ASKED) {
			if (nanny > 0)
				await_copied(p, nanny);
			*out = p;
			return 0;
		}
		if (!prongi_os_wait(prongi_low(&p->state), (uint32_t)v, prong_in_ms(50), true))
			continue;
		if (nanny > 0)
			mind_nanny(p, nanny, &slept);
		if (prongi_server_alive())
			continue;
		if (prongi_process_take_back(p))
			return withdraw(p, -ECONNRESET);
		prongi_server_lost(); /* a child that has appeared ends with it */
	}
}

/* --- the call ------------------------------------------------------------------------------ */

/* Tell the server, or the ready child with number pid. */
static int submit(struct prong_process *p, const struct prongi_start *s, int pid, bool parcel)
{
	int r = 0;

	atomic_store_explicit(&p->parcel, parcel, memory_order_relaxed);
	prongi_process_step(p, PRONGI_BEING, PRONGI_ASKED, 0);
	if (pid && release_ready(p, pid))
		return 0;
	if (!parcel)
		ask(p);
	else
		r = send_parcel(p, s);
	if (r == -ECONNREFUSED || r == -EPIPE) /* by a server that was just killed */
		r = -ECONNRESET;
	else if (r)
		prongi_fail(r, "process_start: descriptors cannot be sent: %s", strerror(-r));
	return r && prongi_process_take_back(p) ? withdraw(p, r) : 0;
}

/* -ECONNRESET: the server was lost meanwhile, try again. */
static int start_once(struct prong_process **out, const struct prongi_start *s)
{
	struct prong_process *p;
	int pid, parcel, r = need_server();

	if (r)
		return r;
	r = prongi_start_record(&p, s, 0);
	if (r)
		return r;
	parcel = prongi_start_parcel(s);
	if (parcel < 0)
		return withdraw(p, parcel);
	pid = parcel ? 0 : take_ready(p);
	r = check_rights();
	if (r == 0)
		r = prongi_start_fill(p, s, false, parcel);
	if (r)
		return withdraw(p, r);
	r = submit(p, s, pid, parcel);
	return r ? r : prongi_start_finish(out, p, 0);
}

static int start(struct prong_process **out, const struct prongi_start *s)
{
	int r = -ECONNRESET;

	for (int i = 0; i < TRIES && r == -ECONNRESET; i++) {
		if (i)
			prongi_os_sleep(prong_in_ms(i));
		if (i && !prongi_server_alive())
			prongi_server_lost(); /* then another may be opened */
		r = start_once(out, s);
	}
	return r == -ECONNRESET ? prongi_fail(-EAGAIN, "process_start: servers are lost as soon as "
							"they come up")
				: r;
}

int prong_process_start(prong_process **out, prong_fn *fn, const void *arg, size_t size,
			const prong_process_opts *opts)
{
	static const prong_process_opts defaults;
	struct prongi_start s = { fn, arg, size, opts ? opts : &defaults };
	struct prongi_child *place;
	int r;

	if (!out)
		return prongi_fail(-EINVAL, "process_start: out is NULL");
	r = prongi_enter();
	if (r == 0)
		r = prongi_start_check(&s);
	if (r == 0 && s.opts->method == PRONG_FORKSERVER) /* a copy has the caller's memory */
		r = prongi_check_argument(arg, size, "process_start", __builtin_return_address(0));
	if (r)
		return r;
	if (atomic_load_explicit(&prongi_me->state, memory_order_relaxed) & PRONGI_DAEMON)
		return prongi_fail(-EPERM, "process_start: a daemon may start no processes");
	r = prongi_group_place(&place, s.opts->group, s.opts->tag, "process_start");
	if (r)
		return r;
	prongi_writes_begin(s.opts->writes);
	r = s.opts->method == PRONG_FORK ? prongi_start_fork(out, &s) : start(out, &s);
	prongi_writes_end();
	if (r)
		prongi_group_withdraw(place);
	else
		prongi_group_add_process(place, *out);
	return r;
}
