/* Handing descriptors from a member to its server: through a socket that exists for one message.

   The server listens on an address that the kernel chose, in the abstract name space, so that
   nothing is left behind when everything is killed.  Anybody can find such an address; so both
   ends ask the kernel who the other is: the starter wants the server's number, the server takes
   parcels of its own user's processes alone, and then looks the number up among its members. */
#define _GNU_SOURCE
#include "os/os.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

int prongi_os_listen(unsigned char address[16])
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t size = sizeof name;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&name, sizeof(sa_family_t)) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)&name, &size)) {
		r = -errno;
		close(fd);
		return r;
	}
	memset(address, 0, 16);
	size -= offsetof(struct sockaddr_un, sun_path);
	address[0] = (unsigned char)size;
	memcpy(address + 1, name.sun_path, size < 15 ? size : 15);
	return fd;
}

static bool peer_is(int fd, int pid)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == pid;
}

static int dial(const unsigned char address[16], int server)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	memcpy(name.sun_path, address + 1, address[0]);
	while (connect(fd, (struct sockaddr *)&name,
		       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + address[0])) < 0)
		if (errno != EINTR) {
			r = -errno;
			break;
		}
	if (r == 0 && !peer_is(fd, server))
		r = -ECONNREFUSED;
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * PRONGI_FDS)];
};

int prongi_os_send_fds(const unsigned char address[16], int server, uint64_t word, const int *fds,
		       size_t n)
{
	union control control;
	struct iovec io = { &word, sizeof word };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes };
	int fd = dial(address, server), r = 0;

	if (fd < 0)
		return fd;
	memset(&control, 0, sizeof control);
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * n);
	m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
	while (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
		if (errno != EINTR) {
			r = -errno;
			break;
		}
	close(fd);
	return r;
}

/* Keep the descriptors of a message; close all if it is not one of ours. */
static int unpack(struct msghdr *m, ssize_t got, int *fds)
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && n == 0) {
			n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		}
	if (got == sizeof(uint64_t) && !(m->msg_flags & (MSG_CTRUNC | MSG_TRUNC)))
		return (int)n;
	while (n)
		close(fds[--n]);
	return m->msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
}

int prongi_os_receive_fds(int listener, uint64_t *word, int *fds, int *pid)
{
	union control control;
	struct iovec io = { word, sizeof *word };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes,
			    .msg_controllen = sizeof control.bytes };
	struct ucred peer = { 0 };
	struct timeval soon = { .tv_usec = 100000 };
	socklen_t size = sizeof peer;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), r = -EPROTO;
	ssize_t got;

	if (fd < 0)
		return errno == EAGAIN || errno == ECONNABORTED || errno == EINTR ? -EAGAIN
										  : -errno;
	/* A member sends at once; a stranger of another user is not listened to. */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid()) {
		got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
		r = got < 0 ? -EPROTO : unpack(&m, got, fds);
	}
	close(fd);
	*pid = (int)peer.pid;
	return r;
}
