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

static long futex_as(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *until,
		     uint32_t bits)
{
	return syscall(SYS_futex, word, op, value, until, NULL, bits);
}

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *until)
{
	return futex_as(word, op, value, until, FUTEX_BITSET_MATCH_ANY);
}

/* The deadline for the kernel; NULL: none. */
static struct timespec *timespec_of(prong_time deadline, struct timespec *t)
{
	if (deadline.ns_ == PRONG_FOREVER.ns_)
		return NULL;
	t->tv_sec = (time_t)(deadline.ns_ / 1000000000);
	t->tv_nsec = (long)(deadline.ns_ % 1000000000);
	return t;
}

/* FUTEX_WAIT_BITSET takes an absolute time, so a wait that a signal broke goes on with the same. */
int prongi_os_wait_as(_Atomic uint32_t *word, uint32_t seen, prong_time deadline, bool shared,
		      uint32_t bits)
{
	int op = FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG);
	struct timespec until, *limit = timespec_of(deadline, &until);

	if (deadline.ns_ <= 0)
		return PRONG_TIMEDOUT; /* the kernel would set a timer all the same */
	while (futex_as(word, op, seen, limit, bits) < 0) {
		if (errno == ETIMEDOUT)
			return PRONG_TIMEDOUT;
		if (errno != EINTR)
			return 0;
	}
	return 0;
}

int prongi_os_wait(_Atomic uint32_t *word, uint32_t seen, prong_time deadline, bool shared)
{
	return prongi_os_wait_as(word, seen, deadline, shared, FUTEX_BITSET_MATCH_ANY);
}

/* --- several at once ----------------------------------------------------------------------- */

#define MOST    128 /* words that one call of the kernel's takes */
#define LOOK_NS 2000000

/* As in the kernel's header since 5.16; here under names of its own, for older headers. */
#define WAITV 449
struct waiter {
	uint64_t value, address;
	uint32_t flags, reserved;
};
#define FLAG_32_BITS 2u
#define FLAG_PRIVATE 128u

/* Once the kernel, or a filter before it, has refused. */
static _Atomic bool no_waitv;

static bool any_differs(const struct prongi_awaited *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		/* acquire: pairs with the release of whoever changed it. */
		if (atomic_load_explicit(a[i].word, memory_order_acquire) != a[i].seen)
			return true;
	return false;
}

/* 0 and PRONG_TIMEDOUT as always; -EINTR; -ENOSYS: it cannot be done. */
static int waitv(const struct prongi_awaited *a, size_t n, prong_time deadline)
{
	struct waiter w[MOST];
	struct timespec until, *limit = timespec_of(deadline, &until);

	if (atomic_load_explicit(&no_waitv, memory_order_relaxed))
		return -ENOSYS;
	for (size_t i = 0; i < n; i++)
		w[i] = (struct waiter){ a[i].seen, (uintptr_t)a[i].word,
					FLAG_32_BITS | (a[i].shared ? 0 : FLAG_PRIVATE), 0 };
	if (syscall(WAITV, w, (unsigned)n, 0u, limit, CLOCK_MONOTONIC) >= 0 || errno == EAGAIN)
		return 0;
	if (errno == ETIMEDOUT)
		return PRONG_TIMEDOUT;
	if (errno == EINTR)
		return -EINTR;
	atomic_store_explicit(&no_waitv, true, memory_order_relaxed);
	return -ENOSYS;
}

static prong_time next_look(prong_time deadline)
{
	int64_t look = prongi_os_now() + LOOK_NS;

	return deadline.ns_ < look ? deadline : prong_time_(look);
}

/* Sleep on as many as the system can, and look at the others now and then. */
static int wait_and_look(const struct prongi_awaited *a, size_t n, prong_time deadline)
{
	while (!any_differs(a, n)) {
		prong_time look = next_look(deadline);
		int r = waitv(a, n < MOST ? n : MOST, look);

		if (r == -ENOSYS)
			r = prongi_os_wait(a->word, a->seen, look, a->shared);
		if (r == 0)
			return 0;
		if (r == PRONG_TIMEDOUT && look.ns_ == deadline.ns_)
			return r;
	}
	return 0;
}

int prongi_os_wait_any(const struct prongi_awaited *a, size_t n, prong_time deadline)
{
	int r;

	if (n == 1)
		return prongi_os_wait(a->word, a->seen, deadline, a->shared);
	if (deadline.ns_ <= 0)
		return PRONG_TIMEDOUT;
	if (n == 0) {
		prongi_os_sleep(deadline);
		return PRONG_TIMEDOUT;
	}
	if (n > MOST)
		return wait_and_look(a, n, deadline);
	do
		r = waitv(a, n, deadline);
	while (r == -EINTR);
	return r == -ENOSYS ? wait_and_look(a, n, deadline) : r;
}

void prongi_os_wait_or_signal(_Atomic uint32_t *word, uint32_t seen, prong_time deadline)
{
	struct timespec until;

	if (deadline.ns_ > 0)
		futex(word, FUTEX_WAIT_BITSET, seen, timespec_of(deadline, &until));
}

int prongi_os_wake(_Atomic uint32_t *word, int n, bool shared)
{
	int saved = errno;
	long r = futex(word, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), (uint32_t)n, NULL);

	errno = saved;
	return r < 0 ? 0 : (int)r;
}

int prongi_os_wake_as(_Atomic uint32_t *word, uint32_t bits, bool shared)
{
	int op = FUTEX_WAKE_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG), saved = errno;
	long r = futex_as(word, op, 1, NULL, bits);

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
