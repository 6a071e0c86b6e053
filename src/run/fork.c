/* PRONG_FORK: a copy of the starter, with all its memory.

   Its parent is a nanny: one more fork in between, quiet, that waits for it, writes down how it
   ended, and ends.  So the starter gets no SIGCHLD of it and its wait() loops see nothing, and the
   end has a witness.  The child dies with its nanny; the guard watches the nanny, so nothing goes
   unseen.

   nannies  those whose handle was let go of while they had something to do.  They are this
   process's children, and it takes leave of them here.  lock protects it, and is the last of any
   order. */
#include "run/process.h"
#include <errno.h>
#include <prong/family.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	pthread_mutex_t lock;
	int *pid;
	size_t n, room;
} nannies = { PTHREAD_MUTEX_INITIALIZER, NULL, 0, 0 };

/* Take leave of those that have ended. */
static void sweep(void)
{
	pthread_mutex_lock(&nannies.lock);
	for (size_t i = nannies.n; i-- > 0;)
		if (prongi_os_reap_quiet(nannies.pid[i], false) != -EAGAIN)
			nannies.pid[i] = nannies.pid[--nannies.n];
	pthread_mutex_unlock(&nannies.lock);
}

/* Without memory it stays a zombie until this process ends: nothing worse. */
static void remember(int pid)
{
	pthread_mutex_lock(&nannies.lock);
	if (nannies.n == nannies.room) {
		size_t room = nannies.room * 2 + 8;
		int *more = realloc(nannies.pid, room * sizeof *more);

		if (more) {
			nannies.pid = more;
			nannies.room = room;
		}
	}
	if (nannies.n < nannies.room)
		nannies.pid[nannies.n++] = pid;
	pthread_mutex_unlock(&nannies.lock);
}

void prongi_nanny_reap(struct prong_process *p)
{
	int pid = prongi_nanny_of(p);

	if (!(prongi_state(p) & PRONGI_FORKED) ||
	    atomic_load_explicit(&p->parent, memory_order_relaxed) != prongi_process_ref(prongi_me))
		return;
	/* acq_rel: pairs with itself: of two threads one takes leave.  The number stays: guards
	   watch it. */
	if (pid && !atomic_exchange_explicit(&p->nanny_left, 1, memory_order_acq_rel))
		remember(pid);
	sweep();
}

/* --- the nanny ----------------------------------------------------------------------------- */

static _Noreturn void watch(struct prong_process *p, uint64_t ref)
{
	struct prongi_end end;

	prongi_os_set_title("prong-nanny");
	prongi_os_close_from(0, NULL, 0);
	while (prongi_os_child_peek(&end, true) == 0) {
		if (end.stopped)
			continue;
		/* Killed before it said that it runs, its number is known all the same; refused, it
		   has no record any more. */
		if (!prongi_copy_ends(p, ref, end.pid)) {
			prongi_os_child_reap(&end);
			continue;
		}
		prongi_process_note_end(p, &end, false);
		prongi_os_child_reap(&end);
		p->peak_rss = end.peak_rss;
	}
	_exit(0);
}

static _Noreturn void nanny(struct prong_process *p, uint64_t ref, int starter, const int *fds,
			    int n)
{
	struct sigaction usual = { .sa_handler = SIG_DFL }, starters;
	int me = prongi_os_pid(), pid;
	sigset_t all;

	prongi_serving = true;
	prongi_self = (struct prongi_self){ NULL, 0, 0 }; /* the starter's own */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGCHLD, &usual, &starters);
	if ((starter && prongi_os_die_with(starter, SIGKILL)) || prongi_process_ref(p) != ref)
		_exit(0); /* the starter has ended, and the record is not ours any more */
	/* release: pairs with the acquire in the guard, which is to watch from before there is a
	   copy. */
	atomic_store_explicit(&p->nanny, me, memory_order_release);
	prongi_roots_changed();
	pid = prongi_os_fork();
	if (pid == 0) {
		sigaction(SIGCHLD, &starters, NULL);
		prongi_child_prepare(me);
		prongi_child(p, ref, fds, n);
	}
	if (pid < 0) {
		prongi_process_refuse(p, ref, pid, "process_start: fork");
		_exit(0);
	}
	prongi_os_live_on();
	/* release: pairs with await_copied(), start.c: its caller may end from now on. */
	atomic_store_explicit(&p->copied, 1, memory_order_release);
	prongi_os_wake(&p->copied, 1, true);
	watch(p, ref);
}

/* --- the starter --------------------------------------------------------------------------- */

/* The starter is copied by a quiet fork. */
static int copy_quietly(void)
{
	int r = prongi_fork_begin(), pid = r ? r : prongi_os_fork_quiet();

	if (pid)
		prongi_fork_end();
	return pid;
}

/* Where other threads hold locks of the C library, or of fork handlers, these are held for ever in
   what a quiet fork makes, and the nanny would wait for them in its own fork().  So it is made by a
   child of fork(), in which they are free.  That one ends at once: the starter gets its SIGCHLD. */
static int copy_among_threads(struct prong_process *p)
{
	int pid = prongi_os_fork(), quiet;

	if (pid > 0) {
		prongi_os_await(pid);
		quiet = prongi_nanny_of(p);
		return quiet ? quiet : -EAGAIN;
	}
	quiet = pid ? pid : prongi_heap ? copy_quietly() : -ENOMEM;
	if (pid || quiet == 0)
		return quiet;
	/* release: as in nanny(), which may come to that later. */
	if (quiet > 0)
		atomic_store_explicit(&p->nanny, quiet, memory_order_release);
	_exit(0);
}

static int check(const struct prongi_start *s)
{
	int n = s->opts->force ? 1 : prongi_os_threads(), r;

	if (n > 1)
		return prongi_fail(-EBUSY, "process_start: PRONG_FORK with %d threads, which the "
					   "child would not have", n);
	if (prongi_server_alive())
		return 0;
	r = prong_open(NULL);
	return r;
}

static int start_once(struct prong_process **out, const struct prongi_start *s, bool quietly)
{
	int fds[PRONGI_FDS], extra = -1, n, pid, r, me = prongi_os_pid();
	struct prong_process *p;
	uint64_t ref;

	r = prongi_start_record(&p, s, PRONGI_ROOT | PRONGI_FORKED);
	if (r)
		return r;
	r = prongi_start_fill(p, s, true, false);
	n = r ? r : prongi_start_fds(s, fds, &extra);
	if (n < 0) {
		prong_free_at((void **)&p->block);
		prongi_process_unclaim(p);
		return n;
	}
	ref = prongi_process_ref(p);
	prongi_process_step(p, PRONGI_BEING, PRONGI_ASKED, 0);
	fflush(NULL); /* or the child writes again what is buffered now */
	pid = quietly ? copy_quietly() : copy_among_threads(p);
	if (pid == 0)
		nanny(p, ref, quietly ? me : 0, fds, n);
	if (extra >= 0)
		close(extra);
	if (pid < 0)
		prongi_process_refuse(p, ref, pid, "process_start: fork");
	r = prongi_start_finish(out, p, pid);
	if (r == PRONGI_STUCK && quietly)
		kill(pid, SIGKILL); /* our own child, so the number is its own until it is reaped */
	if (r && pid > 0)
		prongi_os_reap_quiet(pid, true); /* it has nothing left to wait for */
	else if (r == 0)
		atomic_fetch_add_explicit(&prongi_heap->server.started, 1, memory_order_relaxed);
	return r;
}

int prongi_start_fork(struct prong_process **out, const struct prongi_start *s)
{
	int r = check(s);

	if (r)
		return r;
	sweep();
	r = start_once(out, s, true);
	if (r == PRONGI_STUCK)
		r = start_once(out, s, false);
	if (r == -ECONNRESET)
		return prongi_fail(-EAGAIN, "process_start: the family's server and guard were "
					    "killed meanwhile");
	return r == PRONGI_STUCK
		       ? prongi_fail(-EAGAIN, "process_start: the copy's fork() waits for a lock")
		       : r;
}
