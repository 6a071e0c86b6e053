/* Waiting for the end of processes that are not our children. */
#define _GNU_SOURCE
#include "os/os.h"
#include <poll.h>

#define MOST PRONGI_WATCHED

void prongi_os_watch(const int *pidfds, bool *ended, int n)
{
	static struct pollfd p[MOST];
	sigset_t all_but_one;

	sigfillset(&all_but_one);
	sigdelset(&all_but_one, SIGCHLD);
	for (int i = 0; i < n && i < MOST; i++)
		p[i] = (struct pollfd){ .fd = pidfds[i], .events = POLLIN };
	/* SIGCHLD, the knock at the guard's door, is blocked but here: one that came before is not
	   slept through. */
	if (ppoll(p, (nfds_t)(n < MOST ? n : MOST), NULL, &all_but_one) <= 0)
		n = 0;
	for (int i = 0; i < n && i < MOST; i++)
		ended[i] = p[i].revents != 0;
}
