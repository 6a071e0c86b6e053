/* Threads, beyond POSIX: joining with a deadline, being gone, and processors.  Those of
   the program are created by POSIX and not here; names are in linux_process.c. */
#define _GNU_SOURCE
#include "os/os.h"
#include "os/thread_os.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND   INT64_C(1000000000)
#define CPUS     (UINT16_MAX + 1)
#define MASK_MAX ((size_t)1 << 16) /* bytes; systems ask for 1 KiB at most today */

#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif

#if defined(__GLIBC__) && !defined(TSAN)
#if __GLIBC_PREREQ(2, 31)
#define CLOCKJOIN 1
#endif
#endif

int prongi_os_thread_own(void *(*live)(void *), void *arg)
{
	pthread_t thread;
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	prongi_os_threads_own(1);
	r = pthread_create(&thread, NULL, live, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		prongi_os_threads_own(-1);
	else
		pthread_detach(thread);
	return -r;
}

static struct timespec timespec_of(int64_t ns)
{
	struct timespec at = { .tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND) };

	return at;
}

#ifdef CLOCKJOIN
static int join_until(pthread_t thread, int64_t deadline)
{
	struct timespec at = timespec_of(deadline > 0 ? deadline : 0);

	return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &at);
}
#else
/* musl has only the clock that people set, and TSan knows of no other.  If that one is set
   forward during the call, it is called again; backward does no harm to musl, which counts from
   the time at the call. */
static int join_until(pthread_t thread, int64_t deadline)
{
	int r;

	do {
		int64_t left = deadline - prongi_os_now();
		struct timespec now, at;

		clock_gettime(CLOCK_REALTIME, &now);
		at = timespec_of(now.tv_nsec + (left > 0 ? left : 0));
		at.tv_sec += now.tv_sec;
		r = pthread_timedjoin_np(thread, NULL, &at);
	} while (r == ETIMEDOUT && prongi_os_now() < deadline);
	return r;
}
#endif

int prongi_os_join(pthread_t thread, prong_time deadline)
{
	int r;

	if (deadline.ns_ == INT64_MAX)
		r = pthread_join(thread, NULL);
	else
		r = join_until(thread, deadline.ns_);
	return r == ETIMEDOUT ? PRONG_TIMEDOUT : -r;
}

/* The kernel wakes the joiner before it takes the thread out of its tables, some microseconds
   apart.  Mostly the joiner is the slower, and this is one system call.  The number cannot be a
   stranger's so soon: numbers go round. */
void prongi_os_await_gone(int tid)
{
	const struct timespec nap = { .tv_sec = 0, .tv_nsec = 50000 };

	for (int i = 0; i < 200 && syscall(SYS_tkill, tid, 0) == 0; i++) {
		if (i < 100)
			sched_yield();
		else
			nanosleep(&nap, NULL);
	}
}

/* The system refuses a mask shorter than its own, and does not say how long that is. */
void *prongi_os_affinity(size_t *size)
{
	for (size_t n = 128; n <= MASK_MAX; n *= 2) {
		cpu_set_t *set = calloc(1, n);

		if (!set)
			return NULL;
		if (sched_getaffinity(0, n, set) == 0) {
			*size = n;
			return set;
		}
		free(set);
		if (errno != EINVAL)
			return NULL;
	}
	return NULL;
}

/* The system takes a mask if it can grant a part of it, so look at what it granted. */
static int check_granted(const uint16_t *cpus, size_t n, uint16_t *bad)
{
	size_t size;
	cpu_set_t *set = prongi_os_affinity(&size);
	size_t i = 0;

	if (!set)
		return -ENOMEM;
	while (i < n && CPU_ISSET_S(cpus[i], size, set))
		i++;
	free(set);
	if (i == n)
		return 0;
	*bad = cpus[i];
	return -EINVAL;
}

int prongi_os_run_on(const uint16_t *cpus, size_t n, uint16_t *bad)
{
	size_t size = CPU_ALLOC_SIZE(CPUS);
	cpu_set_t *set = calloc(1, size); /* not on the stack: it may be the smallest there is */
	int r;

	if (!set)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		CPU_SET_S(cpus[i], size, set);
	r = sched_setaffinity(0, size, set) ? -errno : 0;
	free(set);
	*bad = cpus[0];
	return r ? r : check_granted(cpus, n, bad);
}
