/* A good guest: the program around prong notices nothing of it.  No signal, no child that wait()
   returns, no handler, no descriptor.  Its own fork() is in host_fork.c. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>
#include <sys/wait.h>

static const prong_process_opts by_fork = { .method = PRONG_FORK };
static const prong_process_opts by_force = { .method = PRONG_FORK, .force = true };

static atomic_int chld;

static void on_chld(int sig)
{
	(void)sig;
	atomic_fetch_add(&chld, 1);
}

static int body_exits_7(void *arg)
{
	(void)arg;
	return 7;
}

static int body_crashes(void *arg)
{
	(void)arg;
	raise(SIGKILL);
	return 0;
}

/* Some life: both methods, good and bad ends, nesting. */
static void live(void)
{
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(run(body_exits_7, NULL, 0), 7);
		CHECK_EQ(end(start_with(body_exits_7, NULL, 0, &by_fork)), 7);
		CHECK_EQ(run(body_crashes, NULL, 0), -SIGKILL);
		CHECK_EQ(end(start_with(body_crashes, NULL, 0, &by_fork)), -SIGKILL);
	}
}

static bool no_children(void)
{
	return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
}

/* --- SIGCHLD ---------------------------------------------------------------------------------- */

/* A handler counts, or the signal is blocked and would stay pending. */
static int helper_handler(const char *arg)
{
	struct sigaction act = { .sa_handler = on_chld };
	bool block = strcmp(arg, "blocked") == 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	CHECK_EQ(sigaction(SIGCHLD, &act, NULL), 0);
	if (block)
		CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	CHECK_OK(prong_open(NULL));
	CHECK(no_children());
	live();
	CHECK(no_children());
	CHECK_OK(prong_close(soon()));
	CHECK(no_children());
	CHECK_OK(prong_open(NULL));
	live();
	CHECK_EQ(sigpending(&set), 0);
	CHECK_EQ(sigismember(&set, SIGCHLD), 0);
	CHECK_EQ(atomic_load(&chld), 0);
	return 0;
}

static void a_handler_is_never_called(void **state)
{
	(void)state;
	helper_run("handler", "open");
}

static void a_blocked_signal_never_gets_pending(void **state)
{
	(void)state;
	helper_run("handler", "blocked");
}

static int helper_ignoring(const char *arg)
{
	struct sigaction act = { .sa_handler = SIG_IGN };

	if (strcmp(arg, "nocldwait") == 0)
		act = (struct sigaction){ .sa_handler = on_chld, .sa_flags = SA_NOCLDWAIT };
	CHECK_EQ(sigaction(SIGCHLD, &act, NULL), 0);
	CHECK_OK(prong_open(NULL));
	live();
	CHECK(no_children());
	CHECK_EQ(atomic_load(&chld), 0);
	return 0;
}

static void codes_are_right_while_sigchld_is_ignored(void **state)
{
	(void)state;
	helper_run("ignoring", "ignored");
	helper_run("ignoring", "nocldwait");
}

/* --- wait ---------------------------------------------------------------------------------- */

/* The host has children of its own and waits for any. */
static int helper_waits(const char *arg)
{
	prong_process *p;
	int status;
	pid_t own = fork();

	(void)arg;
	if (own == 0)
		_exit(42);
	CHECK(own > 0);
	CHECK_OK(prong_open(NULL));
	p = start(body_sleep, NULL, 0);
	live();
	CHECK_EQ(waitpid(-1, &status, 0), own);
	CHECK_EQ(WEXITSTATUS(status), 42);
	CHECK(no_children());
	CHECK(waitpid(0, NULL, WNOHANG) == -1 && errno == ECHILD);
	kill_and_end(p);
	CHECK(no_children());
	return 0;
}

static void wait_returns_its_own_children_only(void **state)
{
	(void)state;
	helper_run("waits", NULL);
}

static atomic_int stop, strangers, own_children;

/* Blocks in waitpid(-1) all the time, as supervisors do. */
static void *waiter(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);

		if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 42)
			atomic_fetch_add(&own_children, 1);
		else if (pid > 0)
			atomic_fetch_add(&strangers, 1);
		else
			sleep_ms(1);
	}
	return NULL;
}

static int helper_wait_loop(const char *arg)
{
	pthread_t t;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	CHECK_EQ(pthread_create(&t, NULL, waiter, NULL), 0);
	for (int i = 0; i < 20; i++) {
		pid_t own = fork();

		if (own == 0)
			_exit(42);
		CHECK(own > 0);
		CHECK_EQ(run(body_exits_7, NULL, 0), 7);
		CHECK_EQ(end(start_with(body_exits_7, NULL, 0, &by_force)), 7);
	}
	CHECK(wait_for(&own_children, 20));
	atomic_store(&stop, 1);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(atomic_load(&strangers), 0);
	CHECK_EQ(atomic_load(&own_children), 20);
	return 0;
}

static void a_wait_loop_never_sees_ours(void **state)
{
	(void)state;
	helper_run("wait-loop", NULL);
}

/* --- handlers ------------------------------------------------------------------------------ */

struct all_actions {
	struct sigaction act[NSIG];
	sigset_t mask;
	stack_t stack;
};

static void take_actions(struct all_actions *all)
{
	memset(all, 0, sizeof *all);
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, NULL, &all->act[sig]); /* 32 and 33 are refused */
	sigprocmask(SIG_BLOCK, NULL, &all->mask);
	sigaltstack(NULL, &all->stack);
}

static bool same_actions(const struct all_actions *a)
{
	static struct all_actions now;

	take_actions(&now);
	for (int sig = 1; sig < NSIG; sig++)
		if (a->act[sig].sa_handler != now.act[sig].sa_handler ||
		    a->act[sig].sa_flags != now.act[sig].sa_flags) {
			fprintf(stderr, "signal %d: handler changed\n", sig);
			return false;
		}
	return memcmp(&a->mask, &now.mask, sizeof a->mask) == 0 &&
	       a->stack.ss_sp == now.stack.ss_sp;
}

static int body_ok(void *arg)
{
	(void)arg;
	return 0;
}

static int helper_handlers(const char *arg)
{
	static struct all_actions before;

	(void)arg;
	signal(SIGUSR1, on_chld);
	signal(SIGPIPE, SIG_IGN);
	take_actions(&before);
	CHECK_OK(prong_open(NULL));
	CHECK(same_actions(&before));
	live();
	CHECK(same_actions(&before));
	CHECK_EQ(end_thread(start_thread(body_ok, NULL, 0)), 0);
	CHECK(same_actions(&before));
	CHECK_OK(prong_close(soon()));
	CHECK(same_actions(&before));
	return 0;
}

static void handlers_and_masks_stay(void **state)
{
	(void)state;
	helper_run("handlers", NULL);
}

/* --- descriptors and memory ---------------------------------------------------------------- */

static int helper_descriptors(const char *arg)
{
	int before[64], after[64], n = open_fds(before, 64);
	prong_process *p;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	CHECK_EQ(open_fds(after, 64), n);
	p = start(body_sleep, NULL, 0);
	CHECK_EQ(open_fds(after, 64), n);
	live();
	CHECK_EQ(open_fds(after, 64), n);
	kill_and_end(p);
	CHECK_OK(prong_close(soon()));
	CHECK_EQ(open_fds(after, 64), n);
	CHECK_EQ(memcmp(before, after, (size_t)n * sizeof *before), 0);
	return 0;
}

static void no_descriptor_stays_open(void **state)
{
	(void)state;
	helper_run("descriptors", NULL);
}

/* The host closes all descriptors it does not know, again and again. */
static int helper_closefrom(const char *arg)
{
	(void)arg;
	CHECK_OK(prong_open(NULL));
	for (int i = 0; i < 5; i++) {
		for (int fd = 3; fd < 256; fd++)
			close(fd);
		live();
	}
	return 0;
}

static void closing_all_descriptors_does_no_harm(void **state)
{
	(void)state;
	helper_run("closefrom", NULL);
}

static int helper_threads(const char *arg)
{
	unsigned long threads = 0;
	char line[256];
	FILE *f;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	live();
	f = fopen("/proc/self/status", "re");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		if (strncmp(line, "Threads:", 8) == 0)
			threads = strtoul(line + 8, NULL, 10);
	fclose(f);
	CHECK_EQ(threads, 1);
	return 0;
}

static void no_thread_runs_in_the_host(void **state)
{
	(void)state;
	if (TEST_TSAN)
		SKIP("the thread sanitizer has a thread");
	helper_run("threads", NULL);
}

static const struct helper helpers[] = {
	{ "handler", helper_handler },
	{ "ignoring", helper_ignoring },
	{ "waits", helper_waits },
	{ "wait-loop", helper_wait_loop },
	{ "handlers", helper_handlers },
	{ "descriptors", helper_descriptors },
	{ "closefrom", helper_closefrom },
	{ "threads", helper_threads },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(a_handler_is_never_called),
	CASE(a_blocked_signal_never_gets_pending),
	CASE(codes_are_right_while_sigchld_is_ignored),
	CASE(wait_returns_its_own_children_only),
	CASE(a_wait_loop_never_sees_ours),
	CASE(handlers_and_masks_stay),
	CASE(no_descriptor_stays_open),
	CASE(closing_all_descriptors_does_no_harm),
	CASE(no_thread_runs_in_the_host),
};

TEST_MAIN(tests, TEST_OPENED, helpers)
