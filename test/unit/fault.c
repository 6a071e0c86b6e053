/* See fault.h. */
#define _GNU_SOURCE
#include "fault.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MAGIC 0x50524f4e /* as the first argument of prctl(): a word to the supervisor */

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum command { ARM, DISARM };

static const struct call {
	int number;
	const char *name;
	enum fault_kind kind;
	int error;
} calls[] = {
	{ SYS_mmap, "mmap", FAULT_MEMORY, ENOMEM },
	{ SYS_madvise, "madvise", FAULT_MEMORY, ENOMEM },
	{ SYS_memfd_create, "memfd_create", FAULT_MEMORY, ENOMEM },
	{ SYS_ftruncate, "ftruncate", FAULT_MEMORY, ENOMEM },
	{ SYS_mprotect, "mprotect", FAULT_MEMORY, ENOMEM },
	{ SYS_clone, "clone", FAULT_PROCESS, EAGAIN },
	{ SYS_clone3, "clone3", FAULT_PROCESS, EAGAIN },
#ifdef SYS_fork
	{ SYS_fork, "fork", FAULT_PROCESS, EAGAIN },
	{ SYS_vfork, "vfork", FAULT_PROCESS, EAGAIN },
	{ SYS_open, "open", FAULT_DESCRIPTORS, EMFILE },
	{ SYS_pipe, "pipe", FAULT_DESCRIPTORS, EMFILE },
#endif
	{ SYS_openat, "openat", FAULT_DESCRIPTORS, EMFILE },
	{ SYS_socket, "socket", FAULT_DESCRIPTORS, EMFILE },
	{ SYS_socketpair, "socketpair", FAULT_DESCRIPTORS, EMFILE },
	{ SYS_pipe2, "pipe2", FAULT_DESCRIPTORS, EMFILE },
	{ SYS_dup, "dup", FAULT_DESCRIPTORS, EMFILE },
	{ SYS_eventfd2, "eventfd2", FAULT_DESCRIPTORS, EMFILE },
	{ SYS_pidfd_open, "pidfd_open", FAULT_DESCRIPTORS, EMFILE },
	{ SYS_memfd_create, "memfd_create", FAULT_DESCRIPTORS, EMFILE },
	{ SYS_futex, "futex", FAULT_WAIT, EINTR },
};

#define CALLS ((int)(sizeof calls / sizeof *calls))

/* --- the filter ---------------------------------------------------------------------------- */

/* Notify of the calls of this kind, and of the subject's own words. */
static int install(enum fault_kind kind)
{
	struct sock_filter code[CALLS * 2 + 8];
	struct sock_fprog program = { 0, code };
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	int n = 0, fd;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	for (int i = 0; i < CALLS; i++) {
		if (calls[i].kind != kind)
			continue;
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 (unsigned)calls[i].number, 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	}
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, args[0]));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAGIC, 0, 1);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short)n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	return fd;
}

void fault_arm(enum fault_kind kind, int n)
{
	(void)kind;
	CHECK_EQ(syscall(SYS_prctl, MAGIC, ARM, n, 0, 0), 0);
}

bool fault_disarm(void)
{
	long r = syscall(SYS_prctl, MAGIC, DISARM, 0, 0, 0);

	CHECK(r == 0 || r == 1);
	return r == 1;
}

/* --- the supervisor ------------------------------------------------------------------------ */

static struct {
	int armed; /* 0, or the call from now on that fails */
	int n;     /* the last one asked for */
	bool fired;
	const char *failed; /* the call that did */
	pid_t who;
} now;

static long obey(const struct seccomp_data *data)
{
	bool fired = now.fired;

	if (data->args[1] == ARM) {
		now.n = now.armed = (int)data->args[2];
		now.fired = false;
		return 0;
	}
	now.armed = 0;
	return fired;
}

/* Only waits are interrupted, wakes are not. */
static bool is_wake(const struct seccomp_data *data)
{
	int command = (int)data->args[1] & FUTEX_CMD_MASK;

	return data->nr == SYS_futex && command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET;
}

static const struct call *call_of(const struct seccomp_data *data, enum fault_kind kind)
{
	for (int i = 0; i < CALLS; i++)
		if (calls[i].number == data->nr && calls[i].kind == kind)
			return &calls[i];
	return NULL;
}

static void answer(int listener, enum fault_kind kind)
{
	struct seccomp_notif request;
	struct seccomp_notif_resp response;
	const struct call *call;

	memset(&request, 0, sizeof request);
	memset(&response, 0, sizeof response);
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request))
		return; /* it has died meanwhile */
	response.id = request.id;
	call = call_of(&request.data, kind);
	if (!call) {
		response.val = obey(&request.data);
	} else if (now.armed && !is_wake(&request.data) && --now.armed == 0) {
		now.fired = true;
		now.failed = call->name;
		now.who = (pid_t)request.pid;
		response.error = -call->error;
	} else {
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	}
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void send_fd(int socket, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof control.bytes };
	struct cmsghdr *c;

	memset(&control, 0, sizeof control);
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	CHECK_EQ(sendmsg(socket, &m, 0), 1);
}

static int receive_fd(int socket)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof control.bytes };
	int fd;

	if (recvmsg(socket, &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
	return fd;
}

static int supervise(int listener, pid_t pid, enum fault_kind kind)
{
	prong_time limit = prong_in_ms(2 * HANG_MS);
	struct pollfd p = { .fd = listener, .events = POLLIN };
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (poll(&p, 1, 10) > 0 && (p.revents & POLLIN))
			answer(listener, kind);
		if (prong_ns_between(prong_clock(), limit) < 0) {
			print_error("hangs after call %d of its kind failed\n", now.n);
			kill(pid, SIGKILL);
			limit = PRONG_FOREVER;
		}
	}
	/* What the family still does at its end must not wait for an answer. */
	while (poll(&p, 1, 200) > 0 && (p.revents & POLLIN))
		answer(listener, kind);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The test's own handlers would take a crash for a failed case, and go on with the next. */
static void default_signals(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS };

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], SIG_DFL);
}

int fault_run(int (*subject)(enum fault_kind kind), enum fault_kind kind)
{
	int pair[2], listener, code;
	pid_t pid;

	memset(&now, 0, sizeof now);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		default_signals();
		close(pair[0]);
		listener = install(kind);
		if (listener < 0)
			_exit(HELPER_SKIP);
		send_fd(pair[1], listener);
		close(listener);
		close(pair[1]);
		exit(subject(kind));
	}
	close(pair[1]);
	listener = receive_fd(pair[0]);
	close(pair[0]);
	code = supervise(listener, pid, kind);
	close(listener);
	if (code && now.failed)
		print_error("after call %d failed: %s in process %d (subject %d)\n", now.n,
			    now.failed, now.who, pid);
	return code;
}

bool fault_possible(void)
{
	if (TEST_ASAN || TEST_TSAN || slowness() > 1) {
		print_message("the sanitizer itself cannot bear failing calls\n");
		return false;
	}
#if defined(__x86_64__) || defined(__aarch64__)
	return true;
#else
	print_message("no filter for this architecture\n");
	return false;
#endif
}
