/* The guard: it watches the server and the roots, and forks a new server when the old one was
   killed. It was forked while the program was small and runs nothing, so what it forks is clean,
   whatever the program has become by then.

   It is the server's parent and takes in the server's orphans, so it knows how each of them
   ended. Only when it was killed itself, the server forks the next guard, as its child; then the
   orphans of a lost server have no witness, and are counted as killed.

   The family ends with its last root: the guard kills the server, and the kernel all its
   children.

   Also here, since it is the same agreement seen from the other side: opening and closing. */
#include "family/check.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define S (&prongi_heap->server)
#define WATCH_TRIES 100 /* of 50 ms */
#define OPEN_MS	    15000

_Static_assert(PRONGI_WATCHED > PRONGI_PROCESSES, "each root can be watched");

static struct {
	bool parent;			       /* of the server */
	struct prongi_watched w[PRONGI_WATCHED]; /* [0]: the server */
	uint64_t root[PRONGI_WATCHED];	       /* from [1]: refs of their records */
	int n;
} me;

static void on_child(int sig)
{
	(void)sig;
}

static bool nobody(int pid)
{
	(void)pid;
	return false;
}

/* --- the end of a server ------------------------------------------------------------------- */

/* Await the end of a child, and write it down.  False: there is no child. */
static bool end_orphan(void)
{
	struct prongi_end end;
	struct prong_process *p;

	do
		if (prongi_os_child_peek(&end, true))
			return false;
	while (end.stopped);
	p = prongi_process_of(end.pid);
	if (p && !(prongi_state(p) & PRONGI_ROOT) && !PRONGI_MUTANT(87))
		prongi_process_note_end(p, &end, true);
	prongi_os_child_reap(&end);
	return true;
}

/* All children of this process die, and their ends are written down; and theirs, who are its
   children then. */
static void end_orphans(void)
{
	for (int n; (n = prongi_os_kill_strangers(nobody)) > 0;)
		while (n-- > 0 && end_orphan())
			;
}

static void unwatch(int i)
{
	if (me.w[i].pid && me.w[i].fd >= 0)
		close(me.w[i].fd);
	me.w[i].pid = 0;
}

static void end_server(void)
{
	end_orphans();
	if (!me.parent)
		prongi_await_members();
	unwatch(0);
}

/* Copies of their starters die with them; but they are not the server's children. */
static void end_copies(void)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++)
		/* seq_cst: pairs with the CAS of a copy that begins to run. */
		if (atomic_load_explicit(&prongi_heap->process[i].state, memory_order_seq_cst) &
		    PRONGI_FORKED)
			prongi_child_kill(&prongi_heap->process[i],
					  prongi_process_ref(&prongi_heap->process[i]));
}

static _Noreturn void finish(void)
{
	if (me.w[0].pid)
		kill(me.w[0].pid, SIGKILL);
	end_server();
	if (atomic_load_explicit(&S->guard, memory_order_relaxed) != prongi_os_pid())
		_exit(0); /* another has been opened */
	/* seq_cst: pairs with the look of a copy that begins to run: it sees this, or we see it. */
	atomic_store_explicit(&S->state, PRONGI_NO_SERVER, memory_order_seq_cst);
	end_copies();
	atomic_store_explicit(&S->pid, 0, memory_order_relaxed);
	atomic_store_explicit(&S->guard, 0, memory_order_relaxed);
	_exit(0);
}

static int fork_server(int up)
{
	int guard = prongi_os_pid(), pid = prongi_os_fork();

	if (pid == 0)
		prongi_serve(guard, up);
	if (pid < 0)
		return pid;
	me.parent = true;
	return prongi_os_watch_begin(&me.w[0], pid);
}

/* The server has ended: because it was told to, or there must be another. */
static void server_ended(void)
{
	end_server();
	/* It quit, or never came up, and its opener is to be told so. */
	if (prongi_server_state() != PRONGI_SERVER_UP && !PRONGI_MUTANT(81))
		finish();
	while (fork_server(-1))
		prongi_os_sleep(prong_in_ms(100)); /* no process or memory left */
}

/* --- roots ------------------------------------------------------------------------------------ */

/* Whom to watch for root p: itself, or the nanny that knows how it ended. */
static int watched_pid(const struct prong_process *p)
{
	int nanny = prongi_nanny_of(p);

	return nanny ? nanny : prongi_state_pid(prongi_state(p));
}

static bool watches(uint64_t ref)
{
	for (int i = 1; i < me.n; i++)
		if (me.root[i] == ref)
			return true;
	return false;
}

/* A copy whose nanny was killed before it ran never will; one that had appeared by then may have a
   slot, and is to be repaired. */
void prongi_root_ended(struct prong_process *p)
{
	if (prongi_state(p) & PRONGI_FORKED) {
		int pid;

		prongi_process_refuse(p, prongi_process_ref(p), -EAGAIN,
				      "process_start: killed before it ran");
		pid = prongi_state_pid(prongi_state(p));
		if (!pid) /* refused; the record may be another's by now */
			return;
		if (prongi_process_step(p, PRONGI_ASKED, PRONGI_RUNNING, pid))
			prongi_process_wake(p);
	}
	prongi_process_step(p, PRONGI_RUNNING, PRONGI_DYING, prongi_state_pid(prongi_state(p)));
	prongi_roots_changed();
}

static void watch_root(struct prong_process *p)
{
	uint64_t ref = prongi_process_ref(p);
	int r;

	if (watches(ref))
		return;
	r = prongi_os_watch_begin(&me.w[me.n], watched_pid(p));
	if (!(prongi_state(p) & PRONGI_FORKED) &&
	    prongi_process_step(p, PRONGI_ASKED, PRONGI_RUNNING, prongi_state_pid(prongi_state(p))))
		prongi_process_wake(p);
	if (r)
		prongi_root_ended(p);
	else
		me.root[me.n++] = ref;
}

static void find_roots(void)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++) {
		struct prong_process *p = &prongi_heap->process[i];
		uint64_t v = prongi_state(p);

		prongi_process_collect(p);
		if (!(v & PRONGI_ROOT) || (prongi_phase(v) != PRONGI_ASKED &&
					   prongi_phase(v) != PRONGI_RUNNING))
			continue;
		/* A copy is watched as soon as there is a nanny. */
		if (!(v & PRONGI_FORKED) ||
		    prongi_nanny_of(p))
			watch_root(p);
	}
}

static void drop_root(int i)
{
	struct prong_process *p = prongi_process_by_ref(me.root[i]);

	unwatch(i);
	me.n--;
	me.w[i] = me.w[me.n];
	me.root[i] = me.root[me.n];
	if (p)
		prongi_root_ended(p);
}

/* The family lives as long as a root that nobody started. */
static bool needed(void)
{
	for (int i = 1; i < me.n; i++) {
		const struct prong_process *p = prongi_process_by_ref(me.root[i]);

		if (p && !(prongi_state(p) & PRONGI_FORKED))
			return true;
	}
	return PRONGI_MUTANT(80);
}

/* --- life ---------------------------------------------------------------------------------- */

static void look(void)
{
	prongi_os_watch(me.w, me.n);
	/* Roots first: when all are gone there is no need for a new server. */
	for (int i = me.n - 1; i > 0; i--)
		if (me.w[i].ended)
			drop_root(i);
	if (!needed())
		finish();
	if (me.w[0].ended)
		server_ended();
}

_Noreturn void prongi_guard(int server, int up)
{
	int r = 0;

	prongi_os_set_title("prong-guard");
	prongi_signals_serve(on_child);
	prongi_os_adopt_orphans();
	prongi_os_close_from(3, &up, up >= 0);
	me.n = 1;
	if (server && prongi_os_watch_begin(&me.w[0], server))
		_exit(1); /* it has ended, and its children with it */
	atomic_store_explicit(&S->guard, prongi_os_pid(), memory_order_relaxed);
	if (!server)
		r = fork_server(up);
	if (r) {
		if (write(up, &r, sizeof r) < 0) {
		}
		_exit(1);
	}
	for (;;) {
		/* Kept until then: for the opener, the end of the pipe is that of both of us. */
		if (up >= 0 && prongi_server_state() != PRONGI_NO_SERVER) {
			close(up);
			up = -1;
		}
		find_roots();
		if (!needed())
			finish();
		look();
	}
}

/* --- seen from a root ---------------------------------------------------------------------- */

/* The guard that this process forked, to be reaped: nobody else can.  Under opening. */
static struct {
	int parent, pid;
} forked;

static void reap_guard(bool block)
{
	if (forked.pid && forked.parent == prongi_os_pid() &&
	    prongi_os_reap_quiet(forked.pid, block) == -EAGAIN)
		return;
	forked.pid = 0;
}

/* The guard is a quiet child: the program's own wait() and SIGCHLD do not know of it, whatever
   the program is to its orphans. */
static int fork_guard(int up)
{
	int pid;

	reap_guard(false); /* the last one, if it was killed */
	pid = prongi_os_fork_quiet();
	if (pid == 0) {
		prongi_check_forked();
		prongi_guard(0, up);
	}
	if (pid < 0)
		return pid;
	forked.parent = prongi_os_pid();
	forked.pid = pid;
	return 0;
}

/* A pipe whose ends are no standard streams, even when those are closed. */
static int make_pipe(int ends[2])
{
	int fds[2], r = 0;

	if (pipe(fds))
		return -errno;
	for (int i = 0; i < 2; i++) {
		ends[i] = r ? -1 : prongi_os_fd_above(fds[i], 3);
		r = ends[i] < 0 && !r ? ends[i] : r;
		close(fds[i]);
	}
	if (r && ends[0] >= 0)
		close(ends[0]);
	return r;
}

/* The server's word; its silence means that it was killed.  After bad news, the end of the pipe is
   the end of server and guard: only then may others be forked.  One that was killed when it was up
   and had not said so is no bad news: the guard, who lets go of the pipe then, forks the next. */
static int await_up(int fd)
{
	int error = -EAGAIN, word;
	ssize_t n;

	do {
		n = read(fd, &word, sizeof word);
		if (n == sizeof word)
			error = word;
	} while ((n < 0 && errno == EINTR) || (n > 0 && error != 0));
	return prongi_server_state() == PRONGI_SERVER_UP && !prongi_os_ended(forked.pid) ? 0
											 : error;
}

static int open_another(void)
{
	int ends[2], r = make_pipe(ends);

	if (r)
		return prongi_fail(r, "open: no descriptor to hear from the server");
	atomic_store_explicit(&S->state, PRONGI_NO_SERVER, memory_order_relaxed);
	prongi_os_heap_inherit(prongi_heap, prongi_heap->size, true);
	prongi_serving = true;
	r = fork_guard(ends[1]);
	prongi_serving = false;
	prongi_os_heap_inherit(prongi_heap, prongi_heap->size, false);
	close(ends[1]);
	if (r == 0)
		r = await_up(ends[0]);
	close(ends[0]);
	if (r) {
		reap_guard(true); /* it has ended, or is about to: see await_up() */
		return prongi_fail(r, "open: cannot fork the server: %s", strerror(-r));
	}
	S->opener = prongi_process_ref(prongi_me);
	return 0; /* the guard finds our record, which was there before it was */
}

/* Not beside another who opens one, and not before the last one's end, whose guard says so.  What
   an opener that was killed had forked may not have said its number yet. */
static int begin_to_open(void)
{
	prong_time deadline = prong_in_ms(OPEN_MS);

	for (;;) {
		int last = atomic_load_explicit(&S->opening, memory_order_relaxed);

		if (prongi_word_claim(&S->opening)) {
			if (last)
				prongi_os_sleep(prong_in_ms(PRONGI_FORKED_MS));
			if (prongi_server_alive() || prongi_server_gone())
				return 0;
			prongi_word_unclaim(&S->opening);
		}
		if (prongi_os_now() >= deadline.ns_)
			return prongi_fail(PRONG_NOSERVER, "open: another process opens or closes "
							   "the family, and does not get on");
		prongi_os_sleep(prong_in_ms(1));
	}
}

int prongi_server_open(void)
{
	int r = begin_to_open();

	if (r)
		return r;
	r = prongi_server_alive() ? prongi_server_watch_me() : open_another();
	prongi_word_unclaim(&S->opening);
	return r;
}

int prongi_server_watch_me(void)
{
	uint64_t v;

	for (int i = 0; prongi_phase(v = prongi_state(prongi_me)) == PRONGI_ASKED; i++) {
		if (i == WATCH_TRIES)
			return prongi_fail(PRONG_NOSERVER,
					   "open: the family's guard does not answer");
		if (!prongi_server_alive())
			return prongi_fail(PRONG_NOSERVER, "open: the server was lost");
		prongi_roots_changed();
		prongi_os_wait(prongi_low(&prongi_me->state), (uint32_t)v, prong_in_ms(50), true);
	}
	return 0;
}

int prongi_server_close(prong_time deadline)
{
	uint32_t quits = PRONGI_SERVER_QUITS;
	int pid = atomic_load_explicit(&S->pid, memory_order_relaxed);
	int guard = atomic_load_explicit(&S->guard, memory_order_relaxed);

	if (!prongi_server_alive()) {
		reap_guard(false);
		return 0;
	}
	/* release: pairs with the acquire in prongi_server_state(), in server and guard. */
	atomic_store_explicit(&S->state, PRONGI_SERVER_QUITS, memory_order_release);
	prongi_ring();
	while ((pid && !prongi_os_ended(pid)) || (guard && !prongi_os_ended(guard))) {
		if (prongi_os_now() >= deadline.ns_)
			return prongi_fail(PRONG_TIMEDOUT, "close: the server has not ended yet");
		prongi_os_sleep(prong_in_ms(1));
	}
	reap_guard(true);
	/* Unless another has been opened since. */
	atomic_compare_exchange_strong_explicit(&S->state, &quits, PRONGI_NO_SERVER,
						memory_order_relaxed, memory_order_relaxed);
	return 0;
}
