/* What the kill harness wants of Linux, whatever the processor: starting, resuming, waiting. */
#include "trace.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("prong-kill: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (%s)\n", strerror(errno));
	_exit(2); /* exit() would write again what others have in their buffers */
}

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

pid_t trace_fork(int (*body)(void *arg), void *arg, bool traced)
{
	/* _Fork: none of the library's handlers may run.  The child is still the same member. */
	pid_t pid = _Fork();

	if (pid < 0)
		die("cannot fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(99);
	_exit(body(arg));
}

static void resume(int request, pid_t pid, long signal)
{
	if (ptrace(request, pid, NULL, (void *)signal) && errno != ESRCH)
		die("cannot resume %d", pid);
}

#define OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)

void trace_seize(pid_t pid, bool forks)
{
	long options = OPTIONS;

	if (forks)
		options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options))
		die("cannot trace %d", pid);
}

/* True when it stopped because it forked. */
static bool is_fork(int status)
{
	int event = status >> 16;

	return event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
	       event == PTRACE_EVENT_CLONE;
}

pid_t trace_forked(pid_t pid, int ms)
{
	int64_t until = now_ms() + ms;

	while (now_ms() < until) {
		struct trace_event e = trace_wait(pid, ms, false);
		unsigned long child;

		if (e.rest == TRACE_GONE || e.rest == TRACE_BUSY)
			return 0;
		if (is_fork(e.status) && !ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child))
			return (pid_t)child;
		trace_continue(pid, e.rest == TRACE_SIGNAL ? WSTOPSIG(e.status) : 0);
	}
	return 0;
}

void trace_no_forks(pid_t pid)
{
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(long)OPTIONS))
		die("cannot trace %d", pid);
}

void trace_interrupt(pid_t pid)
{
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		die("cannot stop %d", pid);
}

void trace_step(pid_t pid, int signal)
{
	resume(PTRACE_SINGLESTEP, pid, signal);
}

void trace_continue(pid_t pid, int signal)
{
	resume(PTRACE_CONT, pid, signal);
}

void trace_to_syscall(pid_t pid)
{
	resume(PTRACE_SYSCALL, pid, 0);
}

void trace_detach(pid_t pid, int signal)
{
	resume(PTRACE_DETACH, pid, signal);
}

bool trace_asleep(pid_t pid)
{
	char path[32], text[512], *state;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'S';
}

static struct trace_event event_of(int status)
{
	int signal;

	if (!WIFSTOPPED(status))
		return (struct trace_event){ TRACE_GONE, status };
	signal = WSTOPSIG(status);
	if (signal == (SIGTRAP | 0x80))
		return (struct trace_event){ TRACE_SYSCALL, status };
	return (struct trace_event){ signal == SIGTRAP ? TRACE_TRAP : TRACE_SIGNAL, status };
}

/* A process that may fall asleep has to be watched: that it does so is no event. */
static void nap(int turn)
{
	if (turn < 1000)
		sched_yield();
	else
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
}

struct trace_event trace_wait(pid_t pid, int ms, bool sleeps)
{
	int64_t until = now_ms() + ms;
	int status;

	for (int turn = 0;; turn++) {
		pid_t r = waitpid(pid, &status, (sleeps ? WNOHANG : 0) | __WALL);

		if (r == pid)
			return event_of(status);
		if (r < 0 && errno != EINTR)
			die("lost process %d", pid);
		if (sleeps && turn > 3 && trace_asleep(pid))
			return (struct trace_event){ TRACE_ASLEEP, 0 };
		if ((r < 0 || turn % 64 == 63) && now_ms() > until)
			return (struct trace_event){ TRACE_BUSY, 0 };
		if (sleeps)
			nap(turn);
	}
}

pid_t trace_wait_any(int ms, struct trace_event *event)
{
	int64_t until = now_ms() + ms;

	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid > 0) {
			*event = event_of(status);
			return pid;
		}
		if (errno != EINTR)
			die("lost all processes");
		if (now_ms() > until)
			return 0;
	}
}

static void tick(int signal)
{
	(void)signal;
}

void trace_open(void)
{
	struct sigaction act = { .sa_handler = tick }; /* not SA_RESTART: it ends waitpid() */
	struct itimerval every = { { 0, 20000 }, { 0, 20000 } };

	if (sigaction(SIGALRM, &act, NULL) || setitimer(ITIMER_REAL, &every, NULL))
		die("no clock");
}

void trace_adopt(pid_t pid)
{
	struct trace_event e = trace_wait(pid, 10000, false);

	if (e.rest != TRACE_TRAP || trace_trap(pid) != (uintptr_t)&kill_begin)
		die("process %d did not get to its marker: status %#x", pid, e.status);
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL,
		   (void *)(long)OPTIONS))
		die("cannot trace %d", pid);
}

void trace_kill(pid_t pid)
{
	int status = 0;
	pid_t r = waitpid(pid, &status, WNOHANG | __WALL);

	if (r < 0 || (r == pid && !WIFSTOPPED(status)))
		return; /* reaped already: the number may be another's by now */
	kill(pid, SIGKILL);
	do
		r = waitpid(pid, &status, __WALL);
	while ((r < 0 && errno == EINTR) || (r == pid && WIFSTOPPED(status)));
}
