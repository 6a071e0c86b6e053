/* Controls: what everybody would write, and what the C library has.  The harness must find these
   wrong, else it proves nothing about the library; but for the robust mutex with a redo record,
   which nothing can break, and which shows that the harness does not see ghosts. */
#include "kill.h"
#include "trace.h"
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TOTAL 1000

static struct shared {
	_Atomic uint32_t count, waiters; /* the naive semaphore */
	sem_t sem;
	pthread_mutex_t plain, robust;
	_Atomic uint64_t a, b; /* a + b is TOTAL */
	_Atomic uint64_t log_a, log_b, logged;
} *shared;

static void open_memory(void)
{
	size_t size = (sizeof *shared + 4095) / 4096 * 4096;
	char *p = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED)
		die("no shared memory");
	shared = (struct shared *)(void *)p;
	kill_control = (struct kill_control *)(void *)(p + size);
	image_add(p, size + 4096);
	for (size_t i = 0; i < 2 * sizeof(pthread_mutex_t); i += 8) /* it keeps thread numbers */
		image_ignore((char *)&shared->plain + i);
}

static void become(int actor)
{
	(void)actor;
}

static void setup(void)
{
	pthread_mutexattr_t attr;

	atomic_store(&shared->count, 1);
	sem_init(&shared->sem, 1, 1);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->plain, &attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->robust, &attr);
	atomic_store(&shared->a, TOTAL);
}

static struct timespec in_ms(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += ms % 1000 * 1000000L;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static void move(void)
{
	atomic_fetch_sub(&shared->a, 1);
	atomic_fetch_add(&shared->b, 1);
}

static unsigned check_sum(void)
{
	return atomic_load(&shared->a) + atomic_load(&shared->b) == TOTAL ? 0 : KILL_TORN;
}

/* --- the naive semaphore ------------------------------------------------------------------ */

static bool naive_wait(int64_t until)
{
	for (;;) {
		uint32_t n = atomic_load(&shared->count);
		struct timespec tick = { 0, 10000000 };

		while (n)
			if (atomic_compare_exchange_weak(&shared->count, &n, n - 1))
				return true;
		if (now_ms() > until)
			return false;
		atomic_fetch_add(&shared->waiters, 1);
		syscall(SYS_futex, &shared->count, FUTEX_WAIT, 0, &tick, NULL, 0);
		atomic_fetch_sub(&shared->waiters, 1);
	}
}

static void naive_post(void)
{
	atomic_fetch_add(&shared->count, 1);
	if (atomic_load(&shared->waiters))
		syscall(SYS_futex, &shared->count, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void naive_victim(void)
{
	naive_wait(INT64_MAX);
	naive_post();
}

static unsigned naive_other(void)
{
	if (!naive_wait(now_ms() + kill_patience_ms))
		return KILL_STUCK;
	naive_post();
	return 0;
}

static const struct kill_scenario naive[] = {
	{ .name = "semaphore", .setup = setup, .victim = naive_victim, .other = { naive_other } },
	{ .name = NULL }
};

const struct kill_room room_naive = { .name = "naive", .open = open_memory, .become = become,
				      .scenarios = naive, .red = true };

/* --- the C library's ---------------------------------------------------------------------- */

static void sem_victim(void)
{
	sem_wait(&shared->sem);
	sem_post(&shared->sem);
}

static unsigned sem_other(void)
{
	struct timespec until = in_ms(kill_patience_ms);

	if (sem_timedwait(&shared->sem, &until))
		return KILL_STUCK;
	sem_post(&shared->sem);
	return 0;
}

static void plain_victim(void)
{
	pthread_mutex_lock(&shared->plain);
	move();
	pthread_mutex_unlock(&shared->plain);
}

static unsigned plain_other(void)
{
	struct timespec until = in_ms(kill_patience_ms);

	if (pthread_mutex_timedlock(&shared->plain, &until))
		return KILL_STUCK;
	move();
	pthread_mutex_unlock(&shared->plain);
	return 0;
}

static void robust_victim(void)
{
	pthread_mutex_lock(&shared->robust);
	move();
	pthread_mutex_unlock(&shared->robust);
}

static unsigned robust_other(void)
{
	struct timespec until = in_ms(kill_patience_ms);
	int r = pthread_mutex_timedlock(&shared->robust, &until);

	if (r == EOWNERDEAD)
		r = pthread_mutex_consistent(&shared->robust);
	if (r)
		return KILL_STUCK;
	move();
	pthread_mutex_unlock(&shared->robust);
	return 0;
}

static const struct kill_scenario glibc[] = {
	{ .name = "semaphore", .setup = setup, .victim = sem_victim, .other = { sem_other } },
	{ .name = "mutex", .setup = setup, .victim = plain_victim, .other = { plain_other },
	  .check = check_sum },
	{ .name = "robust-mutex", .setup = setup, .victim = robust_victim,
	  .other = { robust_other }, .check = check_sum },
	{ .name = NULL }
};

const struct kill_room room_glibc = { .name = "libc", .open = open_memory, .become = become,
				      .scenarios = glibc, .red = true };

/* --- and one that nothing is wrong with --------------------------------------------------- */

static void apply(void)
{
	if (!atomic_load(&shared->logged))
		return;
	atomic_store(&shared->a, atomic_load(&shared->log_a));
	atomic_store(&shared->b, atomic_load(&shared->log_b));
	atomic_store(&shared->logged, 0);
}

static void logged_move(void)
{
	atomic_store(&shared->log_a, atomic_load(&shared->a) - 1);
	atomic_store(&shared->log_b, atomic_load(&shared->b) + 1);
	atomic_store(&shared->logged, 1);
	apply();
}

static void logged_victim(void)
{
	pthread_mutex_lock(&shared->robust);
	kill_count_begun();
	logged_move();
	kill_count_done();
	pthread_mutex_unlock(&shared->robust);
}

static unsigned logged_other(void)
{
	struct timespec until = in_ms(kill_patience_ms);
	int r = pthread_mutex_timedlock(&shared->robust, &until);

	if (r == EOWNERDEAD)
		r = pthread_mutex_consistent(&shared->robust);
	if (r)
		return KILL_STUCK;
	apply();
	logged_move();
	pthread_mutex_unlock(&shared->robust);
	return 0;
}

static unsigned logged_check(void)
{
	return check_sum() | kill_check_count(atomic_load(&shared->b) - 1);
}

static const struct kill_scenario robust[] = {
	{ .name = "robust-mutex-redo-record", .setup = setup, .victim = logged_victim,
	  .other = { logged_other }, .check = logged_check },
	{ .name = NULL }
};

const struct kill_room room_robust = { .name = "libc", .open = open_memory, .become = become,
				       .scenarios = robust };
