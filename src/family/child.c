/* A new process before, and after, its function: take over what the starter is and wishes,
   register, run, and end in good order.

   The order matters.  It dies with its server from its first step.  Files are opened before it
   leaves the starter's directory for its own; limits come last, since they could forbid the
   rest. RUNNING is said when all is done, so a start that returned has kept its promises. */
#include "family/family.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sigaction old_child; /* the program's, as the guard found it */
static bool old_child_kept;

/* Server and guard take no signal but SIGCHLD: the terminal's are for the program. */
void prongi_signals_serve(void (*on_child)(int))
{
	struct sigaction action = { .sa_handler = on_child };
	sigset_t set;

	sigfillset(&action.sa_mask);
	sigaction(SIGCHLD, &action, old_child_kept ? NULL : &old_child);
	old_child_kept = true;
	sigfillset(&set);
	sigdelset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

void prongi_signals_restore(void)
{
	sigaction(SIGCHLD, &old_child, NULL);
}

/* The first 64 signals are all there are. */
static void set_mask(uint64_t signals)
{
	sigset_t set;

	sigemptyset(&set);
	memcpy(&set, &signals, sizeof signals);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static _Noreturn void give_up(struct prong_process *p, int error, const char *what,
			      const char *which)
{
	char detail[sizeof p->detail];

	snprintf(detail, sizeof detail, "process_start: %s%s%s: %s", what, which[0] ? " " : "",
		 which, strerror(-error));
	prongi_process_give_up(p, error, detail);
	prongi_child_vanish();
}

/* --- descriptors ----------------------------------------------------------------------------- */

/* Put the parcel's descriptors where they belong.  First out of the way of all targets. */
static void unpack(struct prong_process *p, const struct prongi_wish *w, const int *fds, int n)
{
	int safe[PRONGI_FDS], highest = 2;

	for (uint32_t i = 0; i < w->nfds; i++)
		highest = w->fds[i] > highest ? w->fds[i] : highest;
	for (int i = 0; i < n; i++) {
		safe[i] = prongi_os_fd_above(fds[i], highest + 1);
		if (safe[i] < 0)
			give_up(p, safe[i], "no descriptor left to pass others", "");
	}
	for (int i = 0; i < n; i++) {
		int to = i < 3 ? i : w->fds[i - 3];

		if (i < 3 && !w->stdio_open[i])
			close(to);
		else if (prongi_os_fd_move(safe[i], to))
			give_up(p, -EBADF, "cannot pass a descriptor", "");
	}
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void close_others(const struct prongi_wish *w)
{
	int keep[PRONGI_FDS];
	uint32_t n = w ? w->nfds : 0;

	if (n) {
		memcpy(keep, w->fds, n * sizeof *keep);
		qsort(keep, n, sizeof *keep, compare);
	}
	prongi_os_close_from(3, keep, n);
}

/* Standard stream i from a file. */
static void redirect(struct prong_process *p, const struct prongi_wish *w, int i)
{
	const char *path = w->kind[i] == PRONG_DISCARD ? "/dev/null" : w->text + w->path[i];
	int flags = i == 0			    ? O_RDONLY
		    : w->kind[i] == PRONG_DISCARD ? O_WRONLY
						    : O_WRONLY | O_CREAT | O_APPEND;
	int fd = open(path, flags, 0666);

	if (fd < 0)
		give_up(p, -errno, "cannot open", path);
	if (fd == i)
		return;
	if (dup2(fd, i) < 0)
		give_up(p, -errno, "cannot redirect to", path);
	close(fd);
}

/* --- the rest of what is wished ------------------------------------------------------------ */

static void change_dir(struct prong_process *p, const char *path)
{
	if (chdir(path))
		give_up(p, -errno, "cannot change directory to", path);
}

static void set_environment(struct prong_process *p, const struct prongi_wish *w)
{
	const char *entry = w->text + w->env;

	for (uint32_t i = 0; i < w->nenv; i++, entry += strlen(entry) + 1) {
		const char *value = strchr(entry, '=');
		char *name = value ? strndup(entry, (size_t)(value - entry)) : strdup(entry);
		int r = !name ? -1 : value ? setenv(name, value + 1, 1) : unsetenv(name);

		if (r)
			give_up(p, -errno, "cannot set in the environment:", entry);
		free(name);
	}
}

static void set_limits(struct prong_process *p, const struct prongi_wish *w)
{
	for (uint32_t i = 0; i < w->nlimits; i++) {
		int r = prongi_os_limit_set(w->limits[i].resource, w->limits[i].soft,
					    w->limits[i].hard);
		char which[16];

		snprintf(which, sizeof which, "%d", w->limits[i].resource);
		if (r)
			give_up(p, r, "cannot set limit", which);
	}
}

static void take_over(struct prong_process *p, const struct prongi_wish *w, const int *fds, int n)
{
	int r;

	if (n)
		unpack(p, w, fds, n);
	close_others(w);
	if (w->has_starter_cwd)
		change_dir(p, w->text + w->starter_cwd);
	for (int i = 0; i < 3; i++)
		if (w->kind[i] == PRONG_DISCARD || w->kind[i] == PRONG_PATH)
			redirect(p, w, i);
	if (w->new_session && setsid() < 0)
		give_up(p, -errno, "cannot make a new session", "");
	if (w->cwd)
		change_dir(p, w->text + w->cwd);
	set_environment(p, w);
	r = w->has_manner ? prongi_os_manner_set(&w->manner, &prongi_heap->server.manner) : 0;
	if (r)
		give_up(p, r, "cannot take over the starter's processors, nice value or limits",
			"");
	set_limits(p, w);
}

/* --- life ---------------------------------------------------------------------------------- */

/* The last handler of all: what the child registered itself has run; what the program had
   registered before the server was forked is the program's own and does not. */
static void child_ends(int code)
{
	if (prongi_serving)
		return;
	prongi_before_exit();
	prongi_children_end(PRONG_FOREVER);
	fflush(NULL);
	/* Its handle may be gone, and nobody else knows of the block.  When another thread crashes
	   just now, that is how it ends. */
	if (prongi_block(prongi_me) && (!prongi_me->crash || prongi_os_crash_close()))
		prong_free_at((void **)&prongi_me->block);
	if (code >= 0)
		_exit(code & 0xff);
}

static int run(struct prong_process *p)
{
	int result = p->fn(p->arg);

	if (result >= 0 && result <= 255)
		return result;
	atomic_store_explicit(&p->result, result, memory_order_relaxed);
	/* release: pairs with the acquire in prong_process_report(). */
	atomic_store_explicit(&p->has_result, 1, memory_order_release);
	return 1;
}

/* Make room for the next ready child, if this was one: the server finds this one by its record
   now. */
static void leave_ready(void)
{
	for (int k = 0; k < PRONGI_READY; k++) {
		prongi_word *word = &prongi_heap->server.ready[k];
		uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

		if ((v & 3) == PRONGI_READY_TAKEN && prongi_state_pid(v) == prongi_os_pid())
			/* release: pairs with the acquire in ready_ended(): RUNNING is seen. */
			atomic_store_explicit(word, PRONGI_READY_NONE, memory_order_release);
	}
}

/* Have the pages that every child soon writes: after a fork each is a fault, and better taken while
   nobody waits. */
static void touch(void)
{
	volatile char stack[16384];

	for (size_t i = 0; i < sizeof stack; i += 1024)
		stack[i] = 0;
	prongi_os_heap_commit(prongi_heap, offsetof(struct prongi_family, process[16]));
	prongi_os_heap_commit(prongi_heap->slot, sizeof(struct prongi_slot) * 16);
}

/* End without having begun: never to be taken for the end of the function. */
_Noreturn void prongi_child_vanish(void)
{
	kill(prongi_os_pid(), SIGKILL);
	_exit(1);
}

void prongi_child_prepare(int parent)
{
	if (prongi_os_die_with(parent, SIGKILL))
		prongi_child_vanish();
	prongi_os_heap_inherit(prongi_heap, prongi_heap->size, false);
	prongi_forget();
	if (prongi_os_at_exit(child_ends))
		prongi_child_vanish();
}

void prongi_child_wait_ready(void)
{
	prongi_signals_restore();
	close_others(NULL);
	touch();
}

/* The process is what p says; from here on it is a member like others. */
static _Noreturn void live(struct prong_process *p)
{
	int r;

	prongi_serving = false;
	prongi_me = p;
	r = prongi_enter();
	if (r)
		give_up(p, r, "no slot for one more thread", "");
	prongi_os_set_title(p->name);
	if (p->crash) {
		p->crash->bottom = (uintptr_t)__builtin_frame_address(0);
		prongi_os_crash_catch(p->crash);
	}
	set_mask(p->signals);
	if (prongi_process_step(p, PRONGI_ASKED, PRONGI_RUNNING, prongi_os_pid()))
		prongi_process_wake(p);
	else if (prongi_phase_of(p) != PRONGI_RUNNING ||
		 prongi_state_pid(prongi_state(p)) != prongi_os_pid())
		prongi_child_vanish();
	leave_ready();
	/* seq_cst: pairs with finish() of the guard; a copy must not outlive the family. */
	if ((prongi_state(p) & PRONGI_ROOT) &&
	    atomic_load_explicit(&prongi_heap->server.state, memory_order_seq_cst) ==
		    PRONGI_NO_SERVER)
		prongi_child_vanish();
	exit(run(p));
}

_Noreturn void prongi_child(struct prong_process *p, uint64_t ref, const int *fds, int n)
{
	if (!prongi_process_appears(p, ref))
		prongi_child_vanish();
	umask((mode_t)p->umask);
	if (p->wish)
		take_over(p, p->wish, fds, n);
	live(p);
}
