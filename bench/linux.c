/* What the bench needs of Linux: bare threads and processes for the floors, pinning, shared memory.

   Not here: anything that is measured for itself. */
#define _GNU_SOURCE
#include "bench.h"
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void bench_sleep_us(long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

static cpu_set_t at_start;

/* Before main: nothing has been pinned yet. */
__attribute__((constructor)) static void remember_cpus(void)
{
	if (sched_getaffinity(0, sizeof(at_start), &at_start) != 0)
		CPU_ZERO(&at_start);
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		err(1, "cannot pin to processor %d", cpu);
}

void bench_unpin(void)
{
	if (sched_setaffinity(0, sizeof(at_start), &at_start) != 0)
		err(1, "cannot unpin");
}

const char *bench_two_cpus(void)
{
	return CPU_ISSET(0, &at_start) && CPU_ISSET(1, &at_start)
		       ? NULL
		       : "processors 0 and 1 are not both there";
}

/* A stream on a copy of descriptor fd that no program inherits. */
static FILE *copy_of(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	FILE *f = copy < 0 ? NULL : fdopen(copy, "w");

	if (!f)
		err(1, "descriptor %d", fd);
	return f;
}

void bench_set_stdio_aside(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	FILE *out = copy_of(STDOUT_FILENO), *error = copy_of(STDERR_FILENO);

	setvbuf(error, NULL, _IONBF, 0);
	stdout = out;
	stderr = error;
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			err(1, "/dev/null");
}

void *bench_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "cannot map %zu bytes", size);
	return p;
}

int bench_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

/* --- the floors ------------------------------------------------------------------------------- */

static alignas(64) char bare_stack[64 * 1024];

/* Touches nothing: it runs on its starter's thread-local memory. */
static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

void bench_bare_process(void)
{
	int pid = clone(nothing, bare_stack + sizeof(bare_stack), CLONE_VM | SIGCHLD, NULL);

	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		err(1, "bare process");
}

void bench_bare_thread(void)
{
	static _Atomic uint32_t tid;
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			  CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	uint32_t seen;

	if (clone(nothing, bare_stack + sizeof(bare_stack), flags, NULL, &tid, NULL, &tid) < 0)
		err(1, "bare thread");
	/* acquire: pairs with the kernel's clearing, after which the stack is free again. */
	while ((seen = atomic_load_explicit(&tid, memory_order_acquire)) != 0)
		syscall(SYS_futex, &tid, FUTEX_WAIT, seen, NULL, NULL, 0);
}

void bench_futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
	syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

void bench_futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

struct ball {
	alignas(128) _Atomic uint32_t ping;
	alignas(128) _Atomic uint32_t pong;
	unsigned n;
};

static void *return_ball(void *arg)
{
	struct ball *b = arg;

	bench_pin(1);
	for (uint32_t i = 1; i <= b->n; i++) {
		/* acquire and release: each side's turn pairs with the other's. */
		while (atomic_load_explicit(&b->ping, memory_order_acquire) != i)
			;
		atomic_store_explicit(&b->pong, i, memory_order_release);
	}
	return NULL;
}

static void play(struct ball *b, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i <= to; i++) {
		/* as in return_ball() */
		atomic_store_explicit(&b->ping, i, memory_order_release);
		while (atomic_load_explicit(&b->pong, memory_order_acquire) != i)
			;
	}
}

double bench_ping_pong(unsigned n)
{
	enum {
		PARTS = 8
	};
	struct ball b = { .n = (n + 1) * PARTS };
	double ns[PARTS];
	pthread_t other;

	if (pthread_create(&other, NULL, return_ball, &b) != 0)
		errx(1, "pthread_create");
	bench_pin(0);
	for (unsigned part = 0; part < PARTS; part++) {
		int64_t t = bench_now();

		play(&b, part * (n + 1) + 1, (part + 1) * (n + 1));
		ns[part] = (double)(bench_now() - t) / (n + 1);
	}
	pthread_join(other, NULL);
	bench_unpin();
	return bench_quantile(ns, PARTS, 0.5);
}

/* --- ballast ---------------------------------------------------------------------------------- */

/* Bytes that may be taken, by the machine's account and the control group's. */
static size_t memory_left(void)
{
	size_t left = 0, kib, max, used;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %zu kB", &kib) == 1)
			left = kib << 10;
	if (f)
		fclose(f);
	f = fopen("/sys/fs/cgroup/memory.max", "r");
	if (f && fscanf(f, "%zu", &max) == 1 && max < left) {
		FILE *g = fopen("/sys/fs/cgroup/memory.current", "r");

		if (g && fscanf(g, "%zu", &used) == 1)
			left = used < max ? max - used : 0;
		if (g)
			fclose(g);
	}
	if (f)
		fclose(f);
	return left;
}

void *bench_ballast(size_t size)
{
	const size_t spare = (size_t)1 << 30, page = 4096;
	char *p;

	if (memory_left() < size + spare)
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < size; i += page)
		p[i] = 1;
	return p;
}

void bench_ballast_free(void *p, size_t size)
{
	munmap(p, size);
}
