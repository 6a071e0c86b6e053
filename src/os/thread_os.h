/* The seam, continued: what threads need of a system beyond POSIX. */
#ifndef PRONGI_THREAD_OS_H
#define PRONGI_THREAD_OS_H

#include <prong/deadline.h>
#include <pthread.h>

/* Join thread.  0, PRONG_TIMEDOUT, or -errno.  A cancellation point. */
int prongi_os_join(pthread_t thread, prong_time deadline);

/* Block until the system shows no thread tid of this process: a joined one may still be on its way
   out.  Gives up after some milliseconds: a debugger can keep it for as long as it likes. */
void prongi_os_await_gone(int tid);

/* Start a thread of the library's own: nobody joins it, it has all signals blocked, and does not
   count as one of the program's.  live() ends with prongi_os_threads_own(-1), see os.h.
   0 or -errno. */
int prongi_os_thread_own(void *(*live)(void *), void *arg);

/* Let the calling thread run on these n processors only.  0; -EINVAL: processor *bad is not to be
   had; -ENOMEM. */
int prongi_os_run_on(const uint16_t *cpus, size_t n, uint16_t *bad);

/* Return a set of the processors that the calling thread may run on, in *size bytes from malloc()
   that only the other files of this system understand.  NULL: the system does not say. */
void *prongi_os_affinity(size_t *size);

/* How many processors the control groups' quotas come to, rounded up; 0: no quota.  root is "", or
   a folder with a "proc" and whatever the paths in it name: a test's. */
int prongi_cpu_quota(const char *root);

#endif
