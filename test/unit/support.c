/* Checks, waiting, starting and helpers for the unit tests.  What looks at the system is in
   look.c, the leak check in leak.c. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static pid_t test_pid, test_tid; /* where a case runs: there failures go to cmocka */
static char *program;

/* --- checks ------------------------------------------------------------------------------- */

void check_failed(const char *file, int line, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (getpid() == test_pid && gettid() == test_tid) {
		print_error("%s\n", text);
		_fail(file, line);
	}
	fprintf(stderr, "%s:%d: [%d] %s\n", file, line, getpid(), text);
	fflush(stderr);
	_exit(125);
}

/* --- waiting ------------------------------------------------------------------------------ */

bool under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

int slowness(void)
{
	static atomic_int known;

	if (!known)
		known = under_valgrind() ? 20 : TEST_TSAN || TEST_ASAN ? 5 : 1;
	return known;
}

int scaled(int n)
{
	const char *scale = getenv("PRONG_TEST_SCALE");
	long long all = scale && atoi(scale) > 0 ? (long long)n * atoi(scale) / 100 : n;

	all /= slowness();
	return all < 1 ? 1 : (int)all;
}

bool full_numbers(void)
{
	return getenv("PRONG_TEST_SCALE") && scaled(100) >= 100;
}

int many(int n)
{
	return scaled(getenv("PRONG_TEST_SCALE") ? n : n / 5);
}

prong_time soon(void)
{
	return prong_in_ms((int64_t)HANG_MS * slowness());
}

void sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) != 0)
		;
}

bool wait_until(bool (*test)(void *arg), void *arg, int ms)
{
	prong_time limit = prong_in_ms(ms);

	while (!test(arg)) {
		if (prong_ns_between(prong_clock(), limit) < 0)
			return test(arg);
		sleep_ms(1);
	}
	return true;
}

struct awaited {
	atomic_int *word;
	int value;
};

static bool reached(void *arg)
{
	const struct awaited *a = arg;

	return atomic_load(a->word) >= a->value;
}

bool wait_for(atomic_int *word, int value)
{
	struct awaited a = { word, value };

	return wait_until(reached, &a, HANG_MS * slowness());
}

/* --- processes and threads ----------------------------------------------------------------- */

prong_process *start_with(prong_fn *fn, const void *arg, size_t size,
			  const prong_process_opts *opts)
{
	prong_process *p = NULL;

	CHECK_OK(prong_process_start(&p, fn, arg, size, opts));
	CHECK(p != NULL);
	return p;
}

prong_process *start(prong_fn *fn, const void *arg, size_t size)
{
	return start_with(fn, arg, size, NULL);
}

int join(prong_process *p)
{
	int code = -9999;

	CHECK_OK(prong_process_join(p, &code, soon()));
	return code;
}

int end(prong_process *p)
{
	int code = join(p);

	prong_process_free(p);
	return code;
}

void kill_and_end(prong_process *p)
{
	CHECK_OK(prong_process_signal(p, SIGKILL));
	CHECK_EQ(end(p), -SIGKILL);
}

int run(prong_fn *fn, const void *arg, size_t size)
{
	return end(start(fn, arg, size));
}

prong_thread *start_thread(prong_fn *fn, const void *arg, size_t size)
{
	prong_thread *t = NULL;

	CHECK_OK(prong_thread_start(&t, fn, arg, size, NULL));
	CHECK(t != NULL);
	return t;
}

int end_thread(prong_thread *t)
{
	int result = -9999;

	CHECK_OK(prong_thread_join(t, &result, soon()));
	prong_thread_free(t);
	return result;
}

void *shared(size_t size)
{
	void *p = prong_calloc(1, size);

	CHECK(p != NULL);
	return p;
}

int body_return(void *arg)
{
	return *(int *)arg;
}

int body_sleep(void *arg)
{
	(void)arg;
	for (;;)
		pause();
}

int body_wait(void *arg)
{
	return wait_for(arg, 1) ? 0 : 124;
}

/* --- helpers -------------------------------------------------------------------------------- */

pid_t helper_start(const char *name, const char *arg, int *out)
{
	static char flag[] = "--helper";
	char *argv[] = { program, flag, (char *)(uintptr_t)name, (char *)(uintptr_t)arg, NULL };
	posix_spawn_file_actions_t actions;
	int pipe_fd[2];
	pid_t pid;

	CHECK_EQ(posix_spawn_file_actions_init(&actions), 0);
	if (out) {
		CHECK_EQ(pipe2(pipe_fd, O_CLOEXEC), 0);
		CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], 1), 0);
	}
	CHECK_EQ(posix_spawn(&pid, program, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	if (out) {
		close(pipe_fd[1]);
		*out = pipe_fd[0];
	}
	return pid;
}

int helper_end(pid_t pid)
{
	prong_time limit = prong_in_ms((int64_t)2 * HANG_MS * slowness());
	int status;
	pid_t r;

	while ((r = waitpid(pid, &status, WNOHANG)) == 0) {
		if (prong_ns_between(prong_clock(), limit) < 0)
			kill(pid, SIGKILL);
		sleep_ms(1);
	}
	CHECK_EQ(r, pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void helper_run(const char *name, const char *arg)
{
	int code = helper_end(helper_start(name, arg, NULL));

	if (code == HELPER_SKIP)
		SKIP("see above");
	if (code != 0)
		check_failed(__FILE__, __LINE__, "helper %s ended with %d", name, code);
}

static int helper_main(int argc, char **argv, const struct helper *h)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (; h && h->name; h++)
		if (strcmp(h->name, argv[2]) == 0)
			return h->run(argc > 3 ? argv[3] : NULL);
	fprintf(stderr, "no helper %s\n", argv[2]);
	return 2;
}

/* --- programs --------------------------------------------------------------------------------- */

static void open_family(bool warm)
{
	int zero = 0, r = prong_open(NULL);

	/* The thread sanitizer may have a thread of its own, and then there are no processes. */
	if (TEST_TSAN && r == PRONG_NOSERVER)
		return;
	if (r) {
		fprintf(stderr, "prong_open: %s (%s)\n", prong_strerror(r), prong_error_detail());
		_exit(1);
	}
	if (warm && run(body_return, &zero, sizeof zero) != 0)
		_exit(1);
}

void test_begin(int argc, char **argv, enum test_open open, const struct helper *helpers)
{
	program = realpath(argv[0], NULL);
	if (argc > 2 && strcmp(argv[1], "--helper") == 0)
		exit(helper_main(argc, argv, helpers));
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGINT, SIG_DFL); /* a shell's background ignores these two */
	signal(SIGQUIT, SIG_DFL);
	if (open != TEST_CLOSED)
		open_family(open == TEST_WARM);
	test_pid = getpid();
	test_tid = gettid();
}

int test_end(int failed)
{
	/* A failed case may have left processes that the program's end would wait for. */
	if (failed) {
		fflush(NULL);
		_exit(1);
	}
	free(program);
	return 0;
}
