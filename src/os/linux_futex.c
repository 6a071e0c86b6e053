/* Waiting and time on Linux: futexes and CLOCK_MONOTONIC.  A heap's futexes are shared ones, found
   by the page behind the address; all others are private, which is cheaper. */
#define _GNU_SOURCE
#include "os/os.h"
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *until)
{
	return syscall(SYS_futex, word, op, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* FUTEX_WAIT_BITSET takes an absolute time, so a wait that a signal broke goes on with the same. */
int prongi_os_wait(_Atomic uint32_t *word, uint32_t seen, prong_time deadline, bool shared)
{
	int op = FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG);
	struct timespec until, *limit = NULL;

	if (deadline.ns_ <= 0)
		return PRONG_TIMEDOUT; /* the kernel would set a timer all the same */
	if (deadline.ns_ != PRONG_FOREVER.ns_) {
		int64_t ns = deadline.ns_;

		until.tv_sec = (time_t)(ns / 1000000000);
		until.tv_nsec = (long)(ns % 1000000000);
		limit = &until;
	}
	while (futex(word, op, seen, limit) < 0) {
		if (errno == ETIMEDOUT)
			return PRONG_TIMEDOUT;
		if (errno != EINTR)
			return 0;
	}
	return 0;
}

void prongi_os_wait_or_signal(_Atomic uint32_t *word, uint32_t seen)
{
	futex(word, FUTEX_WAIT_BITSET, seen, NULL);
}

int prongi_os_wake(_Atomic uint32_t *word, int n, bool shared)
{
	int saved = errno;
	long r = futex(word, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), (uint32_t)n, NULL);

	errno = saved;
	return r < 0 ? 0 : (int)r;
}

void prongi_os_yield(void)
{
	sched_yield();
}

int64_t prongi_os_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
