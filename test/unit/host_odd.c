/* Hosts that are unusual: the first process of a container, an adopter of orphans, one without
   standard streams, under a rain of signals, with cancelled threads, or that ends in the middle. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>

static int seven = 7;

static void works(void)
{
	prong_process_opts by_fork = { .method = PRONG_FORK, .force = true };
	prong_mutex *m = shared(sizeof *m);

	CHECK_OK(prong_mutex_lock(m, PRONG_NOW));
	CHECK_OK(prong_mutex_unlock(m));
	prong_free(m);
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	CHECK_EQ(end(start_with(body_return, &seven, sizeof seven, &by_fork)), 7);
	CHECK_EQ(end_thread(start_thread(body_return, &seven, sizeof seven)), 7);
}

static atomic_int signals;

static void on_signal(int sig)
{
	(void)sig;
	atomic_fetch_add(&signals, 1);
}

static void catch_signal(int sig)
{
	struct sigaction act = { .sa_handler = on_signal }; /* without SA_RESTART */

	CHECK_EQ(sigaction(sig, &act, NULL), 0);
}

/* --- who gets orphans ------------------------------------------------------------------------- */

/* Who takes in orphans gets none of prong's: the guard is a child of its own, but a quiet one. */
static void sees_nobody(void)
{
	catch_signal(SIGCHLD);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(prong_open(NULL));
		works();
		CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
		CHECK_EQ(errno, ECHILD);
		CHECK_OK(prong_close(soon()));
		CHECK_EQ(waitpid(-1, NULL, __WALL), -1); /* not even a zombie is left */
		CHECK_EQ(errno, ECHILD);
		CHECK_EQ(atomic_load(&signals), 0);
	}
	CHECK_OK(prong_open(NULL));
	works();
}

static int helper_adopter(const char *arg)
{
	(void)arg;
	CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	sees_nobody();
	return 0;
}

static void an_adopter_of_orphans_sees_nobody(void **state)
{
	(void)state;
	helper_run("adopter", NULL);
}

static int helper_init(const char *arg)
{
	int status;
	pid_t pid;

	(void)arg;
	if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
		return HELPER_SKIP;
	pid = fork();
	if (pid == 0) {
		if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		    mount("proc", "/proc", "proc", 0, NULL) != 0)
			_exit(HELPER_SKIP);
		CHECK_EQ(getpid(), 1);
		sees_nobody();
		_exit(0); /* not exit(): LeakSanitizer cannot look at a process 1 */
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	/* Nor can it look at one that has no more processes to come. */
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void the_first_process_of_a_container(void **state)
{
	(void)state;
	helper_run("init", NULL);
}

/* --- standard streams ------------------------------------------------------------------------ */

static int body_counts_fds(void *arg)
{
	int fds[16];

	(void)arg;
	return open_fds(fds, 16);
}

static int helper_without_streams(const char *arg)
{
	int fds[64], n = atoi(arg), left = open_fds(fds, 64) - n;

	for (int fd = 0; fd < n; fd++)
		close(fd);
	CHECK_OK(prong_open(NULL));
	CHECK_EQ(open_fds(fds, 64), left);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(run(body_counts_fds, NULL, 0), 3 - n);
		works();
	}
	CHECK_EQ(open_fds(fds, 64), left);
	return 0;
}

static void streams_that_were_closed_at_open(void **state)
{
	(void)state;
	helper_run("without-streams", "1");
	helper_run("without-streams", "2");
	helper_run("without-streams", "3");
}

/* --- signals --------------------------------------------------------------------------------- */

static int helper_rain(const char *arg)
{
	struct itimerval every = { { 0, 500 }, { 0, 500 } }, off = { { 0, 0 }, { 0, 0 } };
	prong_process_opts opts = { .cwd = "/",
				    .in.kind = PRONG_DISCARD,
				    .err = { .kind = PRONG_PATH, .path = "/dev/null" } };

	(void)arg;
	catch_signal(SIGALRM);
	CHECK_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
	CHECK_OK(prong_open(NULL));
	for (int i = 0; i < scaled(100); i++) {
		works();
		CHECK_EQ(end(start_with(body_return, &seven, sizeof seven, &opts)), 7);
	}
	for (int i = 0; i < 5; i++) {
		CHECK_OK(prong_close(soon()));
		CHECK_OK(prong_open(NULL));
	}
	CHECK_EQ(setitimer(ITIMER_REAL, &off, NULL), 0);
	CHECK(atomic_load(&signals) > 10);
	return 0;
}

static void a_rain_of_signals(void **state)
{
	(void)state;
	helper_run("rain", NULL);
}

/* --- cancellation ---------------------------------------------------------------------------- */

static void *holds_and_waits(void *m)
{
	CHECK_OK(prong_mutex_lock(m, soon()));
	for (;;)
		pause();
	return NULL;
}

static void a_cancelled_thread_passes_its_mutex_on(void **state)
{
	prong_mutex m = { 0 };
	pthread_t t;

	(void)state;
	CHECK_EQ(pthread_create(&t, NULL, holds_and_waits, &m), 0);
	while (prong_mutex_lock(&m, PRONG_NOW) == 0)
		CHECK_OK(prong_mutex_unlock(&m));
	CHECK_EQ(pthread_cancel(t), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(prong_mutex_lock(&m, soon()), PRONG_OWNERDEAD);
	CHECK_OK(prong_mutex_consistent(&m));
	CHECK_OK(prong_mutex_unlock(&m));
}

/* --- the end, in the middle of everything ---------------------------------------------------- */

static void *lives(void *arg)
{
	prong_process *p;
	prong_thread *t;

	for (;;) { /* the family may close under it: any result will do */
		if (prong_process_start(&p, body_return, &seven, sizeof seven, NULL) == 0) {
			if (prong_process_join(p, NULL, soon()) == 0)
				prong_process_free(p);
		}
		if (prong_thread_start(&t, body_return, &seven, sizeof seven, NULL) == 0) {
			if (prong_thread_join(t, NULL, soon()) == 0)
				prong_thread_free(t);
		}
		prong_free(prong_alloc(1000));
	}
	return arg;
}

static int helper_ends(const char *arg)
{
	pthread_t t;

	CHECK_OK(prong_open(NULL));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t, NULL, lives, NULL), 0);
	sleep_ms(20);
	if (strcmp(arg, "exit") == 0)
		exit(9);
	if (strcmp(arg, "_exit") == 0)
		_exit(9);
	return 9;
}

static void the_program_ends_while_threads_use_prong(void **state)
{
	static const char *const ways[] = { "exit", "_exit", "return" };

	(void)state;
	for (int i = 0; i < 15; i++)
		CHECK_EQ(helper_end(helper_start("ends", ways[i % 3], NULL)), 9);
}

static const struct helper helpers[] = {
	{ "adopter", helper_adopter },
	{ "init", helper_init },
	{ "without-streams", helper_without_streams },
	{ "rain", helper_rain },
	{ "ends", helper_ends },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(an_adopter_of_orphans_sees_nobody),
	CASE(the_first_process_of_a_container),
	CASE(streams_that_were_closed_at_open),
	CASE(a_rain_of_signals),
	CASE(a_cancelled_thread_passes_its_mutex_on),
	CASE(the_program_ends_while_threads_use_prong),
};

TEST_MAIN(tests, TEST_WARM, helpers)
