/* Processes on Linux: quiet forks, deaths, and signals that cannot hit a stranger.

   pidfds need Linux 5.3; where they are missing or refused (an old kernel, a seccomp filter),
   signals go to the number after the same check. */
#define _GNU_SOURCE
#include "os/os.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define PF_EXITING 4u /* the kernel's include/linux/sched.h */

/* ThreadSanitizer has a thread of its own in every process. */
extern void __tsan_init(void) __attribute__((weak));

int prongi_os_pid(void)
{
	return (int)getpid();
}

int prongi_os_tid(void)
{
	return (int)syscall(SYS_gettid);
}

static _Atomic int own_threads;

void prongi_os_threads_own(int n)
{
	atomic_fetch_add_explicit(&own_threads, n, memory_order_relaxed);
}

void prongi_os_threads_forget(void)
{
	atomic_store_explicit(&own_threads, 0, memory_order_relaxed);
}

/* Read a line "number (name) state ..." of /proc into text, and store what follows the name, which
   may hold anything but ends in ')'; "" without one.  0, or -errno when it cannot be opened. */
static int read_stat(const char *path, char text[512], const char **rest)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, 511);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	*rest = strrchr(text, ')');
	*rest = *rest ? *rest + 1 : "";
	return 0;
}

/* 0: it is not known. */
static char state_of(int pid)
{
	char path[32], text[512];
	const char *rest;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	return read_stat(path, text, &rest) == 0 && rest[0] ? rest[1] : '\0';
}

/* Whoever joined a thread was told before the kernel takes it out of the list.  One that is on its
   way out (PF_EXITING, of "number (name) state parent group session tty tpgid flags") runs no
   instruction of the program any more. */
static bool is_running_thread(const char *tid)
{
	char path[64], text[512];
	unsigned flags = 0;
	const char *rest;
	int r;

	snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", tid);
	r = read_stat(path, text, &rest);
	if (r)
		return r != -ENOENT && r != -ESRCH;
	if (sscanf(rest, " %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		return text[0];
	return !(flags & PF_EXITING);
}

int prongi_os_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	if (!d)
		return 1; /* no /proc: nobody can tell */
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.' && is_running_thread(e->d_name);
	closedir(d);
	n -= atomic_load_explicit(&own_threads, memory_order_relaxed);
	return __tsan_init && n > 1 ? n - 1 : n;
}

/* A clone without a signal for its end: no SIGCHLD comes, and wait() does not see it without
   __WCLONE.  It has a copy of this thread alone, like fork()'s child. */
int prongi_os_fork_quiet(void)
{
#if defined(__s390__)
	long pid = syscall(SYS_clone, NULL, 0, NULL, NULL, 0);
#else
	long pid = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
#endif
	return pid < 0 ? -errno : (int)pid;
}

int prongi_os_reap_quiet(int pid, bool block)
{
	int r;

	do
		r = (int)waitpid(pid, NULL, __WCLONE | (block ? 0 : WNOHANG));
	while (r < 0 && errno == EINTR);
	return r == pid ? 0 : r < 0 ? -errno : -EAGAIN;
}

int prongi_os_fork(void)
{
	pid_t pid = fork();

	return pid < 0 ? -errno : (int)pid;
}

void prongi_os_await(int pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int prongi_os_die_with(int parent, int sig)
{
	prctl(PR_SET_PDEATHSIG, sig);
	return getppid() == parent ? 0 : -ESRCH;
}

void prongi_os_live_on(void)
{
	prctl(PR_SET_PDEATHSIG, 0);
}

bool prongi_os_asleep(int pid)
{
	return state_of(pid) == 'S';
}

void prongi_os_adopt_orphans(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void prongi_os_set_title(const char *title)
{
	prctl(PR_SET_NAME, title);
}

/* The list of children that the kernel keeps.  A child is not reaped meanwhile but by us, so its
   number is its own. */
int prongi_os_kill_strangers(bool (*known)(int pid))
{
	char path[64], text[4096];
	int n = 0, fd;
	ssize_t got;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", prongi_os_tid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof text - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	for (char *p = text; *p;) {
		char *end;
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		if (isspace((unsigned char)*end) && !known((int)pid)) {
			kill((pid_t)pid, SIGKILL);
			n++;
		}
		p = end + (*end != '\0');
	}
	return n;
}

int prongi_os_pidfd(int pid)
{
	static _Atomic bool missing; /* valgrind has words for each try */
	long fd;

	if (atomic_load_explicit(&missing, memory_order_relaxed))
		return -ENOSYS;
	fd = syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0 && errno == ENOSYS)
		atomic_store_explicit(&missing, true, memory_order_relaxed);
	return fd < 0 ? -errno : (int)fd;
}

int prongi_os_ready_fd(void)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int prongi_os_signal(int pid, int sig, bool (*check)(const void *), const void *ctx)
{
	int fd = pid > 0 ? prongi_os_pidfd(pid) : -ESRCH, r = 0;

	if (fd < 0) {
		if (fd == -ESRCH || !check(ctx))
			return 0;
		return kill(pid, sig) && errno != ESRCH ? -errno : 0;
	}
	if (check(ctx) && syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) < 0)
		r = errno == ESRCH ? 0 : -errno;
	close(fd);
	return r;
}

/* Without pidfds: it is gone, or a zombie. */
static bool ended_by_proc(int pid)
{
	char state = state_of(pid);

	if (!state)
		return kill(pid, 0) < 0 && errno == ESRCH;
	return state == 'Z' || state == 'X';
}

bool prongi_os_ended(int pid)
{
	int fd = prongi_os_pidfd(pid);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	bool ended;

	if (fd < 0)
		return fd == -ESRCH || ended_by_proc(pid);
	ended = poll(&p, 1, 0) == 1;
	close(fd);
	return ended;
}

int prongi_os_child_peek(struct prongi_end *end, bool block)
{
	siginfo_t info;
	int options = WEXITED | WSTOPPED | WNOWAIT | (block ? 0 : WNOHANG);

	memset(end, 0, sizeof *end);
	do
		info.si_pid = 0;
	while (waitid(P_ALL, 0, &info, options) < 0 && errno == EINTR && block);
	if (info.si_pid == 0)
		return errno == ECHILD ? -ECHILD : -EAGAIN;
	end->pid = (int)info.si_pid;
	if (info.si_code == CLD_STOPPED || info.si_code == CLD_TRAPPED) {
		end->stopped = true;
		waitid(P_PID, (id_t)info.si_pid, &info, WSTOPPED | WNOHANG);
		return 0;
	}
	end->code = info.si_code == CLD_EXITED ? info.si_status : 0;
	end->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
	end->core = info.si_code == CLD_DUMPED;
	return 0;
}

void prongi_os_child_reap(struct prongi_end *end)
{
	struct rusage usage = { 0 };

	if (wait4(end->pid, NULL, 0, &usage) == end->pid)
		end->peak_rss = (uint64_t)usage.ru_maxrss * 1024;
}

/* close_range() between the kept ones, or, where it is missing, one by one. */
static void close_between(unsigned from, unsigned to)
{
	DIR *d;

	if (from > to || syscall(SYS_close_range, from, to, 0) == 0)
		return;
	d = opendir("/proc/self/fd");
	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		int fd = atoi(e->d_name);

		if (isdigit((unsigned char)e->d_name[0]) && fd != dirfd(d) &&
		    (unsigned)fd >= from && (unsigned)fd <= to)
			close(fd);
	}
	closedir(d);
}

void prongi_os_close_from(int first, const int *keep, size_t n)
{
	unsigned from = (unsigned)first;

	for (size_t i = 0; i < n; i++) {
		if ((unsigned)keep[i] > from)
			close_between(from, (unsigned)keep[i] - 1);
		if ((unsigned)keep[i] >= from)
			from = (unsigned)keep[i] + 1;
	}
	close_between(from, ~0u);
}

#if defined(__GLIBC__)
static void (*at_end)(int);

static void on_end(int code, void *unused)
{
	(void)unused;
	at_end(code);
}

int prongi_os_at_exit(void (*ends)(int))
{
	at_end = ends;
	return on_exit(on_end, NULL) ? -ENOMEM : 0;
}
#else
static void (*at_end)(int);

static void on_end(void)
{
	at_end(-1);
}

int prongi_os_at_exit(void (*ends)(int))
{
	at_end = ends;
	return atexit(on_end) ? -ENOMEM : 0;
}
#endif

int prongi_os_fd_move(int from, int to)
{
	if (from == to)
		return fcntl(to, F_SETFD, 0) < 0 ? -errno : 0;
	return dup2(from, to) < 0 ? -errno : 0;
}

int prongi_os_fd_above(int fd, int least)
{
	int r = fcntl(fd, F_DUPFD_CLOEXEC, least);

	return r < 0 ? -errno : r;
}

void prongi_os_fd_close(int fd)
{
	close(fd);
}
