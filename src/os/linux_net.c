/* For connections: memory for secrets, sets of descriptors by epoll, alarms by timerfd, what is
   Linux's own of sockets. */
#define _GNU_SOURCE
#include "os/net_os.h"
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* --- secrets ------------------------------------------------------------------------------- */

void *prongi_os_secret_new(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, size, MADV_DONTDUMP) || madvise(p, size, MADV_WIPEONFORK)) {
		munmap(p, size);
		return NULL;
	}
	mlock(p, size); /* where RLIMIT_MEMLOCK allows it */
	return p;
}

void prongi_os_secret_free(void *secret, size_t size)
{
	explicit_bzero(secret, size);
	munmap(secret, size);
}

int prongi_os_random(void *bytes, size_t size)
{
	return getentropy(bytes, size) ? -errno : 0;
}

/* --- sockets ------------------------------------------------------------------------------- */

int prongi_os_accept(int listener, struct sockaddr *peer, unsigned *size)
{
	struct sockaddr_storage unused;
	socklen_t n = *size;
	int fd = accept4(listener, peer ? peer : (struct sockaddr *)&unused, &n, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	*size = n;
	return fd;
}

int prongi_os_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* A vanished machine is noticed after 120 s of silence and six questions, 20 s apart.  What came
   last is acknowledged at once: a client of Python's has sent that it is welcome, and its first
   request waits for that acknowledgement, which otherwise would take 40 ms. */
void prongi_os_tcp_tune(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },    { SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 120 }, { IPPROTO_TCP, TCP_KEEPINTVL, 20 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 6 },    { IPPROTO_TCP, TCP_QUICKACK, 1 },
	};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
				 sizeof options[i].value);
}

int prongi_os_unconfirmed(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCOUTQ, &n) ? -errno : n;
}

/* Of a socket that listens, tcpi_unacked is the length of its queue. */
int prongi_os_backlog(int listener)
{
	struct tcp_info info = { .tcpi_unacked = 0 };
	socklen_t size = sizeof info;

	return getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size) ? 0
									 : (int)info.tcpi_unacked;
}

bool prongi_os_unix_peer(int fd, int *pid, unsigned *uid)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return false;
	*pid = (int)peer.pid;
	*uid = (unsigned)peer.uid;
	return true;
}

/* --- sets ---------------------------------------------------------------------------------- */

int prongi_os_set_new(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int control(int set, int op, int fd, unsigned what, uint64_t tag)
{
	struct epoll_event e = { .data.u64 = tag };

	e.events = (what & PRONGI_SET_IN ? (uint32_t)EPOLLIN : 0) |
		   (what & PRONGI_SET_OUT ? (uint32_t)EPOLLOUT : 0);
	return epoll_ctl(set, op, fd, &e) ? -errno : 0;
}

int prongi_os_set_watch(int set, int fd, unsigned what, uint64_t tag)
{
	return control(set, EPOLL_CTL_ADD, fd, what, tag);
}

int prongi_os_set_change(int set, int fd, unsigned what, uint64_t tag)
{
	return control(set, EPOLL_CTL_MOD, fd, what, tag);
}

void prongi_os_set_forget(int set, int fd)
{
	control(set, EPOLL_CTL_DEL, fd, 0, 0);
}

static int ready_within(int set, uint64_t *tags, int max, int ms)
{
	struct epoll_event e[64];
	int n = epoll_wait(set, e, max < 64 ? max : 64, ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++)
		tags[i] = e[i].data.u64;
	return n;
}

int prongi_os_set_ready(int set, uint64_t *tags, int max)
{
	return ready_within(set, tags, max, 0);
}

int prongi_os_set_wait(int set, uint64_t *tags, int max, prong_time deadline)
{
	int64_t ms = -1;

	if (deadline.ns_ != PRONG_FOREVER.ns_) {
		ms = prong_ns_between(prong_clock(), deadline);
		ms = ms <= 0 ? 0 : (ms - 1) / 1000000 + 1;
	}
	return ready_within(set, tags, max, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

/* --- alarms -------------------------------------------------------------------------------- */

int prongi_os_alarm_new(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void prongi_os_alarm_set(int alarm, prong_time t)
{
	struct itimerspec at = { { 0, 0 }, { 0, 0 } };

	if (t.ns_ != PRONG_FOREVER.ns_) {
		at.it_value.tv_sec = (time_t)(t.ns_ / 1000000000);
		at.it_value.tv_nsec = (long)(t.ns_ % 1000000000);
		if (t.ns_ <= 0)
			at.it_value = (struct timespec){ 0, 1 };
	}
	timerfd_settime(alarm, TFD_TIMER_ABSTIME, &at, NULL);
}

int prongi_os_ring_new(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void prongi_os_ring(int ring, bool rings)
{
	uint64_t n = 1;

	if (rings ? write(ring, &n, sizeof n) < 0 : read(ring, &n, sizeof n) < 0) {
	}
}
