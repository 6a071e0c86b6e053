/* Descriptors to wait with: poll() with a moment for its end, and eventfds as bells. */
#define _GNU_SOURCE
#include "os/os.h"
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* A signal breaks it, and it begins again with the time that is left. */
int prongi_os_poll(struct pollfd *fds, size_t n, prong_time deadline)
{
	for (;;) {
		int64_t left = deadline.ns_ <= 0 ? 0 : deadline.ns_ - prongi_os_now();
		struct timespec t = { 0, 0 };
		int r;

		if (left > 0) {
			t.tv_sec = (time_t)(left / 1000000000);
			t.tv_nsec = (long)(left % 1000000000);
		}
		r = ppoll(fds, (nfds_t)n, deadline.ns_ == PRONG_FOREVER.ns_ ? NULL : &t, NULL);
		if (r >= 0)
			return r;
		if (errno != EINTR)
			return -errno;
	}
}

int prongi_os_bell_new(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void prongi_os_bell(int fd, bool rings)
{
	uint64_t n = 1;

	if (rings ? write(fd, &n, sizeof n) < 0 : read(fd, &n, sizeof n) < 0) {
	}
}
