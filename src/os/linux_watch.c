/* Waiting for the end of processes that are not our children: by pidfds, which Linux has since
   5.3.  Where there is none (valgrind, a seccomp filter, no descriptor left) it looks every few
   moments. */
#define _GNU_SOURCE
#include "os/os.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 10

int prongi_os_watch_begin(struct prongi_watched *w, int pid)
{
	int fd = prongi_os_pidfd(pid);

	if (fd == -ESRCH)
		return fd;
	*w = (struct prongi_watched){ pid, fd < 0 ? -1 : fd, false };
	return 0;
}

void prongi_os_watch(struct prongi_watched *w, int n)
{
	static struct pollfd p[PRONGI_WATCHED];
	struct timespec look = { 0, LOOK_MS * 1000000 };
	bool blind = false;
	sigset_t all_but_one;

	sigfillset(&all_but_one);
	sigdelset(&all_but_one, SIGCHLD);
	for (int i = 0; i < n; i++) {
		p[i] = (struct pollfd){ .fd = w[i].pid ? w[i].fd : -1, .events = POLLIN };
		blind |= w[i].pid && w[i].fd < 0;
	}
	/* SIGCHLD, the knock at the guard's door, is blocked but here: one that came before is not
	   slept through. */
	if (ppoll(p, (nfds_t)n, blind ? &look : NULL, &all_but_one) < 0)
		memset(p, 0, sizeof *p * (size_t)n);
	for (int i = 0; i < n; i++)
		w[i].ended = w[i].pid && (w[i].fd < 0 ? prongi_os_ended(w[i].pid)
						      : p[i].revents != 0);
}
