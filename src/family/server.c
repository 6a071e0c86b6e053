/* The server: parent of all processes of the family, their only reaper, and the repairer of what
   they leave.  One thread, none of the program's code, and no memory of its own that would be
   missed: all that a successor needs is in the heap.

   It sleeps on the doorbell, and whoever wants something rings: a starter, a root, and its own
   handler for SIGCHLD.  It reads the bell before it looks around, so nothing is slept through.

   One child waits ready, forked ahead, so that a start costs its starter one wake.  A starter
   takes it by a CAS in the heap; the server learns of it at its next look. */
#include "family/cancel.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define S (&prongi_heap->server)
#define PIDS ((size_t)1 << 22) /* the most that the system has */
#define READY UINT64_MAX     /* forked ahead; whose it became says the heap */

/* Private, and not inherited by children. */
static struct {
	uint64_t *ref;	    /* by pid: the ref of its record, or READY; 0: none of mine */
	int listener;
	int guard;	    /* who guards: my parent, or a child of mine */
	bool guard_is_child;
	uint32_t roots;	    /* S->roots when I last looked */
	bool swept;	    /* no strangers since the last death */
} me;

void prongi_ring(void)
{
	/* release: pairs with the acquire in prongi_serve(); it sees what was asked. */
	atomic_fetch_add_explicit(&S->doorbell, 1, memory_order_release);
	prongi_os_wake(&S->doorbell, 1, true);
}

void prongi_roots_changed(void)
{
	/* release: pairs with the acquire in mind_roots(). */
	atomic_fetch_add_explicit(&S->roots, 1, memory_order_release);
	prongi_ring();
}

static void on_child(int sig)
{
	(void)sig;
	atomic_fetch_add_explicit(&S->doorbell, 1, memory_order_relaxed);
}

static bool known(int pid)
{
	return me.ref[pid] || (me.guard_is_child && pid == me.guard);
}

/* A child that runs, or is about to and has appeared. */
struct child {
	const struct prong_process *p;
	uint64_t ref;
	int pid;
};

static bool lives(const void *ctx)
{
	const struct child *c = ctx;
	uint64_t v = prongi_state(c->p);

	return (prongi_phase(v) == PRONGI_RUNNING || prongi_phase(v) == PRONGI_ASKED) &&
	       prongi_state_pid(v) == c->pid && prongi_process_ref(c->p) == c->ref;
}

void prongi_child_kill(struct prong_process *p, uint64_t ref)
{
	struct child c = { p, ref, 0 };

	prongi_process_refuse(p, ref, -ECANCELED, "process_start: the starter has ended");
	c.pid = prongi_state_pid(prongi_state(p));
	if (c.pid && lives(&c))
		prongi_os_signal(c.pid, SIGKILL, lives, &c);
}

/* --- starting ------------------------------------------------------------------------------ */

/* A child has nothing of the server's own. */
static int fork_clean(void)
{
	int pid = prongi_os_fork();

	if (pid == 0)
		prongi_os_private_drop(me.ref, PIDS * sizeof *me.ref);
	return pid;
}

static void launch(struct prong_process *p, const int *fds, int n)
{
	uint64_t ref = prongi_process_ref(p);
	int server = prongi_os_pid(), pid = fork_clean();

	if (pid == 0) {
		prongi_child_prepare(server);
		prongi_signals_restore();
		if (!p->wish)
			prongi_os_close_from(3, NULL, 0);
		prongi_child(p, ref, fds, n);
	}
	if (pid < 0) {
		prongi_process_refuse(p, ref, pid, "process_start: fork");
		return;
	}
	me.ref[pid] = ref;
	atomic_fetch_add_explicit(&S->started, 1, memory_order_relaxed);
}

static bool parcel_comes(const struct prong_process *p)
{
	return atomic_load_explicit(&p->parcel, memory_order_relaxed);
}

static void serve_asked(void)
{
	for (uint32_t w = 0; w < PRONGI_PROCESSES / 64; w++) {
		uint64_t bits = atomic_load_explicit(&S->asked[w], memory_order_relaxed);

		if (!bits)
			continue;
		/* acquire: pairs with the release of the starter that set the bit. */
		bits = atomic_exchange_explicit(&S->asked[w], 0, memory_order_acquire);
		for (; bits; bits &= bits - 1) {
			struct prong_process *p =
				&prongi_heap->process[w * 64 + (uint32_t)__builtin_ctzll(bits)];

			/* The bit may be of an earlier process of the record. */
			if (prongi_waits(prongi_state(p)) && !parcel_comes(p))
				launch(p, NULL, 0);
		}
	}
}

/* --- the ready child ------------------------------------------------------------------------- */

/* The record that a TAKEN word names, and its ref; or NULL when that has been given up
   meanwhile. */
static struct prong_process *taken_by(uint64_t word, uint64_t *ref)
{
	struct prong_process *p = &prongi_heap->process[(word >> 16) & (PRONGI_PROCESSES - 1)];

	*ref = prongi_process_ref(p);
	return prongi_ready_taken(word, p) == word && prongi_process_ref(p) == *ref ? p : NULL;
}

/* Its starter fills the record in while the child wakes up: soon, so look a while before
   sleeping. */
static void await_starter(struct prong_process *p, uint64_t ref)
{
	for (int i = 0;; i++) {
		uint64_t v = prongi_state(p);

		if (prongi_phase(v) != PRONGI_BEING || prongi_process_ref(p) != ref)
			return;
		if (i < 2000 && prongi_spins)
			prongi_os_pause();
		else
			prongi_os_wait(prongi_low(&p->state), (uint32_t)v, PRONG_FOREVER, true);
	}
}

static _Noreturn void be_taken(struct prong_process *p, uint64_t ref)
{
	await_starter(p, ref);
	if (prongi_phase_of(p) == PRONGI_ASKED || prongi_phase_of(p) == PRONGI_RUNNING)
		prongi_child(p, ref, NULL, 0);
	prongi_child_vanish();
}

/* The life of a ready child: wait to be taken.  Its word says NONE until the server has written it,
   and TAKEN until the child runs (child.c) or has ended. */
static _Noreturn void be_ready(int k, int server)
{
	int pid = prongi_os_pid();

	prongi_child_prepare(server);
	prongi_child_wait_ready();
	prongi_os_set_title("prong-ready");
	for (;;) {
		/* acquire: pairs with the starter's CAS; whose it is can be read. */
		uint64_t v = atomic_load_explicit(&S->ready[k], memory_order_acquire);

		if ((v & 3) == PRONGI_READY_TAKEN && prongi_state_pid(v) == pid) {
			uint64_t ref;
			struct prong_process *p = taken_by(v, &ref);

			if (p)
				be_taken(p, ref);
			prongi_child_vanish();
		}
		prongi_os_wait(prongi_low(&S->ready[k]), (uint32_t)v, PRONG_FOREVER, true);
	}
}

/* A starter may have been killed between taking a child and waking it. */
static void wake_taken(void)
{
	for (int k = 0; k < PRONGI_READY; k++)
		if ((atomic_load_explicit(&S->ready[k], memory_order_relaxed) & 3) ==
		    PRONGI_READY_TAKEN)
			prongi_os_wake(prongi_low(&S->ready[k]), 1, true);
}

/* Return whether one was missing. */
static bool refill(void)
{
	bool missing = false;

	for (int k = 0; k < PRONGI_READY; k++) {
		uint64_t v = atomic_load_explicit(&S->ready[k], memory_order_relaxed);
		int server = prongi_os_pid(), pid;

		if ((v & 3) != PRONGI_READY_NONE)
			continue;
		prongi_os_yield(); /* whoever we woke may be waiting for this processor */
		pid = fork_clean();
		if (pid == 0)
			be_ready(k, server);
		if (pid <= 0)
			continue;
		missing = true;
		me.ref[pid] = READY;
		/* release: pairs with the starter's CAS, which must see a real child. */
		atomic_store_explicit(&S->ready[k], prongi_ready_waits(pid), memory_order_release);
	}
	return missing;
}

/* --- parcels ------------------------------------------------------------------------------- */

/* word: the ref of the record that the descriptors are for.  The server does not keep them:
   whoever reads from the other end of one must see its end when the starter and the child have
   closed it. */
static void serve_parcel(uint64_t word, const int *fds, int n)
{
	struct prong_process *p = prongi_process_by_ref(word);

	if (!p || !prongi_waits(prongi_state(p)) || !p->wish || !parcel_comes(p))
		return;
	if (n < 0)
		prongi_process_refuse(p, word, n,
				      "process_start: the server cannot take descriptors");
	else if (n == 3 + (int)p->wish->nfds)
		launch(p, fds, n);
}

static void serve_parcels(void)
{
	int fds[PRONGI_FDS], pid, n;
	uint64_t word = 0;

	while ((n = prongi_os_receive_fds(me.listener, &word, fds, &pid)) != -EAGAIN) {
		if ((n >= 0 || n == -EMFILE) && prongi_process_of(pid))
			serve_parcel(word, fds, n);
		else if (n != -EPROTO)
			break;
		while (n > 0)
			close(fds[--n]);
	}
}

/* --- deaths -------------------------------------------------------------------------------- */

/* The ready child with this number has ended: its word is free for the next, and the record that
   had taken it is returned, or NULL. */
static struct prong_process *ready_ended(int pid)
{
	struct prong_process *p = NULL;

	for (int k = 0; k < PRONGI_READY; k++) {
		uint64_t v = prongi_ready_waits(pid), ref;

		/* acquire: pairs with the release in leave_ready(): RUNNING is seen. */
		if (atomic_compare_exchange_strong_explicit(&S->ready[k], &v, PRONGI_READY_NONE,
							    memory_order_acquire,
							    memory_order_acquire))
			continue;
		if ((v & 3) != PRONGI_READY_TAKEN || prongi_state_pid(v) != pid)
			continue;
		p = taken_by(v, &ref);
		atomic_store_explicit(&S->ready[k], PRONGI_READY_NONE, memory_order_relaxed);
	}
	return p ? p : prongi_process_of(pid);
}

static void member_ended(struct prong_process *p, struct prongi_end *end)
{
	/* Killed before it said so: its number is known all the same. */
	prongi_process_step(p, PRONGI_ASKED, PRONGI_RUNNING, end->pid);
	prongi_process_note_end(p, end, false);
	prongi_process_dies(p);
	/* The number is free for others only after this, and RUNNING is over. */
	prongi_os_child_reap(end);
	p->peak_rss = end->peak_rss;
	prongi_process_gone(p);
}

/* The record of a child that has ended, or NULL: a ready one, or one that lost its record.  A
   ready one that was killed while its starter filled the record in leaves word: the starter asks
   again. */
static struct prong_process *record_of(int pid)
{
	struct prong_process *p = me.ref[pid] == READY ? ready_ended(pid)
						       : prongi_process_by_ref(me.ref[pid]);
	uint64_t v;

	if (!p)
		return NULL;
	if (prongi_phase_of(p) == PRONGI_BEING && !PRONGI_MUTANT(88))
		/* seq_cst: pairs with release_ready(): if it does not see this, we see its
		   ASKED. */
		atomic_store_explicit(&p->lost, 1, memory_order_seq_cst);
	v = atomic_load_explicit(&p->state, memory_order_seq_cst);
	/* Another child may have appeared instead of this one. */
	return prongi_waits(v) || (prongi_phase(v) != PRONGI_BEING && prongi_state_pid(v) == pid)
		       ? p
		       : NULL;
}

static void child_changed(struct prongi_end *end)
{
	struct prong_process *p;

	if (end->stopped) {
		p = prongi_process_of(end->pid);
		if (p)
			prongi_pass_on_process(prongi_process_index(p));
		return;
	}
	me.swept = false;
	p = record_of(end->pid);
	me.ref[end->pid] = 0;
	if (p) {
		member_ended(p, end);
		return;
	}
	if (me.guard_is_child && end->pid == me.guard)
		me.guard = 0;
	prongi_repair_first_thread(end->pid);
	prongi_os_child_reap(end);
}

static void reap(void)
{
	struct prongi_end end;

	while (prongi_os_child_peek(&end, false) == 0)
		child_changed(&end);
}

/* Roots that the guard has seen end; and newcomers, for whom it must be called. */
static void mind_roots(void)
{
	/* acquire: pairs with the release in prongi_roots_changed(). */
	uint32_t roots = atomic_load_explicit(&S->roots, memory_order_acquire);
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	bool newcomer = false;

	if (roots == me.roots)
		return;
	me.roots = roots;
	for (uint32_t i = 0; i < n; i++) {
		struct prong_process *p = &prongi_heap->process[i];
		uint64_t v = prongi_state(p);

		if (!(v & PRONGI_ROOT))
			continue;
		newcomer |= prongi_phase(v) == PRONGI_ASKED || (v & PRONGI_FORKED);
		if (prongi_phase(v) == PRONGI_DYING) {
			/* Its nanny may be gone before it: it dies with it, but not at once. */
			while ((v & PRONGI_FORKED) && !prongi_os_ended(prongi_state_pid(v)))
				prongi_os_sleep(prong_in_ms(1));
			prongi_process_note_end(p, NULL, false);
			prongi_process_dies(p);
			prongi_process_gone(p);
		}
	}
	if (newcomer && me.guard)
		kill(me.guard, SIGCHLD);
}

/* A server without a guard makes one, as a child: clean, like all it forks. */
static void mind_guard(void)
{
	int server = prongi_os_pid(), pid;

	if (me.guard_is_child ? me.guard != 0 : getppid() == me.guard)
		return;
	pid = fork_clean();
	if (pid == 0)
		prongi_guard(server, -1);
	if (pid > 0) {
		me.guard = pid;
		me.guard_is_child = true;
	}
}

/* --- life ---------------------------------------------------------------------------------- */

static bool is_guard(int pid)
{
	return me.guard_is_child && pid == me.guard;
}

static _Noreturn void quit(void)
{
	struct prongi_end end;

	for (int n; (n = prongi_os_kill_strangers(is_guard)) > 0;)
		while (n-- > 0 && prongi_os_child_peek(&end, true) == 0)
			child_changed(&end);
	_exit(0);
}

/* What the last server left: processes are gone with it, or wait to be started. */
static void take_over(void)
{
	uint32_t n;

	for (int k = 0; k < PRONGI_READY; k++)
		/* seq_cst: pairs with take_ready(): who took one of the last server's children,
		   which are dead, had claimed its record before, and we see it below. */
		atomic_exchange_explicit(&S->ready[k], 0, memory_order_seq_cst);
	n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	for (uint32_t i = 0; i < n; i++) {
		struct prong_process *p = &prongi_heap->process[i];
		uint64_t v = prongi_state(p);

		if (v & PRONGI_ROOT)
			continue;
		if (prongi_phase(v) == PRONGI_BEING)
			/* seq_cst: as in record_of(): it may have taken a ready child. */
			atomic_store_explicit(&p->lost, 1, memory_order_seq_cst);
		prongi_process_lost(p);
	}
	if (!PRONGI_MUTANT(203)) /* the last was at it */
		atomic_store_explicit(&S->alarm, 1, memory_order_relaxed);
	me.roots = atomic_load_explicit(&S->roots, memory_order_relaxed) - 1;
	/* The last one may have been killed just before. */
	prongi_ends_tell();
	for (uint32_t i = 0; i < n && !PRONGI_MUTANT(202); i++)
		if (prongi_phase_of(&prongi_heap->process[i]) != PRONGI_FREE)
			prongi_news_tell(&prongi_heap->process[i]);
}

/* Store what is new only where it differs: starters read these at any time, and a successor finds
   them as its predecessor did. */
static void publish(void *to, const void *from, size_t size)
{
	if (memcmp(to, from, size))
		memcpy(to, from, size);
}

static int describe(void)
{
	struct prongi_manner manner;
	struct prongi_stdio_id stdio;
	struct prongi_creds creds;
	char cwd[sizeof S->cwd] = "";
	uint32_t modules = prongi_os_modules();
	int r = prongi_os_creds(&creds);

	if (r)
		return r;
	prongi_os_manner(&manner);
	prongi_os_stdio_id(&stdio);
	if (!getcwd(cwd, sizeof cwd) || cwd[0] != '/')
		cwd[0] = '\0';
	publish(&S->modules, &modules, sizeof modules);
	publish(&S->creds, &creds, sizeof creds);
	publish(&S->manner, &manner, sizeof manner);
	publish(&S->stdio, &stdio, sizeof stdio);
	publish(S->cwd, cwd, strlen(cwd) + 1);
	return 0;
}

static int prepare(int guard)
{
	me.guard = guard;
	me.ref = prongi_os_private(PIDS * sizeof *me.ref);
	me.listener = prongi_os_listen(S->address);
	if (!me.ref || me.listener < 0)
		return me.ref ? me.listener : -ENOMEM;
	return describe();
}

/* Tell the opener, if there is one, that the server is up, or why not. */
static void announce(int up, int error)
{
	if (error == 0) {
		atomic_fetch_add_explicit(&S->servers, 1, memory_order_relaxed);
		/* release: pairs with the acquire of starters; what prepare() wrote is seen. */
		atomic_store_explicit(&S->state, PRONGI_SERVER_UP, memory_order_release);
	}
	if (up >= 0) {
		if (write(up, &error, sizeof error) < 0) {
		}
		close(up);
	}
}

_Noreturn void prongi_serve(int guard, int up)
{
	int r;

	/* First: whoever finds no server alive begins to end what the last one left. */
	atomic_store_explicit(&S->pid, prongi_os_pid(), memory_order_relaxed);
	prongi_os_set_title("prong-server");
	prongi_signals_serve(on_child);
	if (prongi_os_die_with(guard, SIGCHLD))
		on_child(0); /* the guard is gone already: mind_guard() will see */
	prongi_os_adopt_orphans();
	prongi_os_close_from(3, &up, up >= 0);
	r = prepare(guard);
	prongi_await_mender();
	if (r == 0)
		take_over();
	announce(up, r);
	if (r)
		_exit(1);
	for (;;) {
		/* acquire: pairs with the release in prongi_ring(). */
		uint32_t seen = atomic_load_explicit(&S->doorbell, memory_order_acquire);
		prong_time alarm;

		reap();
		serve_asked();
		serve_parcels();
		mind_roots();
		mind_guard();
		alarm = prongi_alarm();
		if (!PRONGI_MUTANT(85))
			wake_taken();
		if (atomic_load_explicit(&S->state, memory_order_relaxed) == PRONGI_SERVER_QUITS)
			quit();
		/* After a fork one more round, so that the faults on our own pages come now and not
		   with the next death. */
		if (refill())
			continue;
		if (!me.swept)
			me.swept = !prongi_os_kill_strangers(known);
		prongi_os_wait_or_signal(&S->doorbell, seen, alarm);
	}
}
