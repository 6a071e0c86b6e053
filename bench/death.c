/* Death noticed: a thread sleeps in the lock of a mutex, the process that holds it is killed; how
   long from kill() until the sleeper has the mutex.

   Nothing is pinned; all have slept for a millisecond, as they would in life.  The floor is kill()
   of a sleeping child until waitpid() has returned it: the least that any parent needs to know.
   glibc's robust mutex needs no parent: the kernel itself hands it on.

   Not measured: holders that die while nobody waits. */
#include "bench.h"
#include <err.h>
#include <errno.h>
#include <prong/prong.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SETTLE_US = 1000,
	KILLS = 1000
};

struct scene {
	union {
		prong_mutex prong;
		pthread_mutex_t robust;
	} lock;
	_Atomic uint32_t held, waits;
	int64_t taken; /* when the waiter had it.  The waiter; read after its join */
};

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

static void await(_Atomic uint32_t *flag)
{
	/* acquire: pairs with the release of tell(). */
	while (!atomic_load_explicit(flag, memory_order_acquire))
		bench_sleep_us(20);
}

static void tell(_Atomic uint32_t *flag)
{
	/* release: pairs with the acquire of await(). */
	atomic_store_explicit(flag, 1, memory_order_release);
}

static _Noreturn void sleep_for_good(void)
{
	for (;;)
		pause();
}

/* Kills are shared out among the usual number of repetitions. */
static unsigned kills(void)
{
	return bench_count(KILLS / BENCH_REPS);
}

/* Kill pid once the waiter sleeps, and let join() wait for the waiter; the time it took, in us. */
static double kill_and_join(struct scene *s, int pid, void (*join)(void *), void *waiter)
{
	int64_t t;

	await(&s->waits);
	bench_sleep_us(SETTLE_US);
	t = bench_now();
	if (kill(pid, SIGKILL) != 0)
		err(1, "kill");
	join(waiter);
	return (double)(s->taken - t) / 1e3;
}

/* --- prong ------------------------------------------------------------------------------------ */

static int hold_prong(void *arg)
{
	struct scene *s = arg;

	must(prong_mutex_lock(&s->lock.prong, PRONG_FOREVER), "holder's prong_mutex_lock");
	tell(&s->held);
	sleep_for_good();
}

static int wait_prong(void *arg)
{
	struct scene *s = arg;
	int r;

	tell(&s->waits);
	r = prong_mutex_lock(&s->lock.prong, PRONG_FOREVER);
	s->taken = bench_now();
	if (r != PRONG_OWNERDEAD)
		errx(1, "waiter's prong_mutex_lock: %d: %s", r, prong_strerror(r));
	must(prong_mutex_consistent(&s->lock.prong), "prong_mutex_consistent");
	return prong_mutex_unlock(&s->lock.prong);
}

static void join_prong(void *waiter)
{
	must(prong_thread_join(waiter, NULL, PRONG_FOREVER), "prong_thread_join");
}

static double kill_prong(void)
{
	struct scene *s = prong_calloc(1, sizeof(*s));
	prong_process *holder;
	prong_thread *waiter;
	double us;

	if (!s)
		errx(1, "prong_calloc");
	must(prong_process_start(&holder, hold_prong, s, 0, NULL), "prong_process_start");
	await(&s->held);
	must(prong_thread_start(&waiter, wait_prong, s, 0, NULL), "prong_thread_start");
	us = kill_and_join(s, prong_process_pid(holder), join_prong, waiter);
	must(prong_process_join(holder, NULL, PRONG_FOREVER), "prong_process_join");
	prong_thread_free(waiter);
	prong_process_free(holder);
	prong_free(s);
	return us;
}

static void run_prong(const void *arg, struct bench_out *out)
{
	(void)arg;
	for (unsigned n = kills(); n > 0; n--)
		bench_push(out, 0, kill_prong());
}

/* --- glibc ------------------------------------------------------------------------------------ */

static void init_robust(pthread_mutex_t *m)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	if (pthread_mutex_init(m, &a) != 0)
		errx(1, "pthread_mutex_init");
	pthread_mutexattr_destroy(&a);
}

static _Noreturn void hold_robust(struct scene *s)
{
	if (pthread_mutex_lock(&s->lock.robust) != 0)
		errx(1, "holder's pthread_mutex_lock");
	tell(&s->held);
	sleep_for_good();
}

static void *wait_robust(void *arg)
{
	struct scene *s = arg;
	int r;

	tell(&s->waits);
	r = pthread_mutex_lock(&s->lock.robust);
	s->taken = bench_now();
	if (r != EOWNERDEAD || pthread_mutex_consistent(&s->lock.robust) != 0)
		errx(1, "waiter's pthread_mutex_lock: %d", r);
	pthread_mutex_unlock(&s->lock.robust);
	return NULL;
}

static void join_robust(void *waiter)
{
	pthread_join(*(pthread_t *)waiter, NULL);
}

static double kill_robust(struct scene *s)
{
	pthread_t waiter;
	double us;
	int pid;

	s->held = s->waits = 0;
	init_robust(&s->lock.robust);
	pid = bench_fork();
	if (pid == 0)
		hold_robust(s);
	await(&s->held);
	if (pthread_create(&waiter, NULL, wait_robust, s) != 0)
		errx(1, "pthread_create");
	us = kill_and_join(s, pid, join_robust, &waiter);
	waitpid(pid, NULL, 0);
	pthread_mutex_destroy(&s->lock.robust);
	return us;
}

static void run_robust(const void *arg, struct bench_out *out)
{
	static struct scene *s;

	(void)arg;
	if (!s)
		s = bench_shared(sizeof(*s));
	for (unsigned n = kills(); n > 0; n--)
		bench_push(out, 0, kill_robust(s));
}

static void run_floor(const void *arg, struct bench_out *out)
{
	double us[20];
	unsigned n = bench_count(20);

	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		int pid = bench_fork();
		int64_t t;

		if (pid == 0)
			sleep_for_good();
		bench_sleep_us(SETTLE_US);
		t = bench_now();
		if (kill(pid, SIGKILL) != 0 || waitpid(pid, NULL, 0) != pid)
			err(1, "kill");
		us[i] = (double)(bench_now() - t) / 1e3;
	}
	bench_push_median(out, 0, us, n);
}

const struct bench_case bench_death[] = {
	{
		.name = "death-noticed",
		.floor = { "kill of a sleeping child until waitpid", run_floor, NULL, false, NULL },
		.metrics = { { "median", "us", 0, 0.5 }, { "p99", "us", 0, 0.99 } },
		.subjects = {
			{ "prong_mutex, holder and waiter in two processes", run_prong, NULL, true,
			  NULL },
			{ "glibc robust pshared mutex", run_robust, NULL, false, NULL },
		},
		.versus = {
			{ "prong : glibc robust", 0, 0, 0, 1 << 1, false },
			{ "prong : glibc robust", 1, 0, 1, 1 << 1, false },
		},
	},
	{ .name = NULL },
};
