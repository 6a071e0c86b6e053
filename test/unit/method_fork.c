/* PRONG_FORK: a process that begins as a copy of its starter and is a member like any other. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

static const prong_process_opts by_fork = { .method = PRONG_FORK };

static prong_process *start_fork(prong_fn *fn, const void *arg, size_t size)
{
	return start_with(fn, arg, size, &by_fork);
}

/* --- a copy -------------------------------------------------------------------------------- */

static int variable = 1;
static char *private;

static int body_sees_copy(void *arg)
{
	(void)arg;
	return strcmp(private, "private") == 0 ? variable : -1;
}

static int body_changes_copy(void *arg)
{
	(void)arg;
	variable = 99;
	strcpy(private, "changed");
	return 0;
}

static void memory_is_the_callers(void **state)
{
	int local = 7;

	(void)state;
	private = strdup("private");
	variable = 33;
	CHECK_EQ(end(start_fork(body_sees_copy, NULL, 0)), 33);
	variable = 44;
	CHECK_EQ(end(start_fork(body_sees_copy, NULL, 0)), 44);
	CHECK_EQ(end(start_fork(body_changes_copy, NULL, 0)), 0);
	CHECK_EQ(variable, 44);
	CHECK_STR(private, "private");
	CHECK_EQ(end(start_fork(body_return, &local, sizeof local)), 7);
	free(private);
}

static void arguments_follow_the_same_rules(void **state)
{
	static int variable_in_copy;
	prong_process *p;

	(void)state;
	CHECK_EQ(prong_process_start(&p, body_return, &variable_in_copy, 0, &by_fork), -EFAULT);
	CHECK_EQ(prong_process_start(&p, body_return, NULL, 4, &by_fork), -EFAULT);
	CHECK_EQ(prong_process_start(&p, NULL, NULL, 0, &by_fork), -EINVAL);
}

/* --- how it ends --------------------------------------------------------------------------- */

static int body_exits(void *arg)
{
	exit(*(int *)arg);
}

static int body_kills_itself(void *arg)
{
	raise(*(int *)arg);
	return 0;
}

static void codes_and_signals(void **state)
{
	int n;

	(void)state;
	for (n = 0; n < 256; n += 51)
		CHECK_EQ(end(start_fork(body_return, &n, sizeof n)), n);
	n = 256;
	CHECK_EQ(end(start_fork(body_return, &n, sizeof n)), 1);
	n = 9;
	CHECK_EQ(end(start_fork(body_exits, &n, sizeof n)), 9);
	n = SIGTERM;
	CHECK_EQ(end(start_fork(body_kills_itself, &n, sizeof n)), -SIGTERM);
	n = SIGKILL;
	CHECK_EQ(end(start_fork(body_kills_itself, &n, sizeof n)), -SIGKILL);
}

static void signal_join_and_report(void **state)
{
	prong_process_opts opts = { .method = PRONG_FORK, .name = "forked" };
	prong_process *p = start_with(body_sleep, NULL, 0, &opts);
	prong_report r;
	int fd = prong_process_fd(p);

	(void)state;
	CHECK(fd > 2 || (fd == -ENOSYS && under_valgrind()));
	CHECK_EQ(prong_process_join(p, NULL, prong_in_ms(10)), PRONG_TIMEDOUT);
	CHECK(prong_process_alive(p));
	CHECK_EQ(pid_state(prong_process_pid(p), NULL) != 0, 1);
	CHECK_EQ(prong_process_children(NULL, 0), 1);
	CHECK_OK(prong_process_signal(p, SIGTERM));
	CHECK_EQ(join(p), -SIGTERM);
	prong_process_report(p, &r);
	CHECK_EQ(r.outcome, PRONG_CRASHED);
	CHECK_EQ(r.signal, SIGTERM);
	CHECK_STR(r.name, "forked");
	close(fd);
	prong_process_free(p);
}

struct member {
	atomic_int go;
	prong_process *self, *parent;
};

static int body_is_a_member(void *arg)
{
	struct member *m = arg;
	int seven = 7;

	CHECK(wait_for(&m->go, 1));
	prong_free(shared(100));
	CHECK(prong_process_self() == m->self);
	CHECK(prong_process_parent() == m->parent);
	CHECK_EQ(prong_process_pid(NULL), getpid());
	CHECK_STR(prong_thread_name(NULL), "MainThread");
	CHECK_EQ(prong_process_children(NULL, 0), 0);
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	CHECK_EQ(end(start_fork(body_return, &seven, sizeof seven)), 7);
	return 0;
}

static void it_is_a_member(void **state)
{
	struct member *m = shared(sizeof *m);
	prong_process *other = start(body_sleep, NULL, 0);

	(void)state;
	m->self = start_fork(body_is_a_member, m, 0);
	m->parent = prong_process_self();
	atomic_store(&m->go, 1);
	CHECK_EQ(end(m->self), 0);
	kill_and_end(other);
	prong_free(m);
}

static int body_starts_by_fork(void *arg)
{
	int n = *(int *)arg;

	variable = n;
	private = strdup("private");
	return end(start_fork(body_sees_copy, NULL, 0));
}

static void by_fork_from_a_process_of_the_server(void **state)
{
	int n = 55;

	(void)state;
	CHECK_EQ(run(body_starts_by_fork, &n, sizeof n), 55);
}

/* --- threads ------------------------------------------------------------------------------- */

static void *wait_in_thread(void *arg)
{
	CHECK(wait_for(arg, 1));
	return NULL;
}

static void other_threads_are_a_reason_to_refuse(void **state)
{
	prong_process_opts forced = { .method = PRONG_FORK, .force = true };
	atomic_int go = 0;
	prong_process *p = NULL;
	pthread_t t;
	int n = 5;

	(void)state;
	CHECK_EQ(pthread_create(&t, NULL, wait_in_thread, &go), 0);
	CHECK_EQ(prong_process_start(&p, body_return, &n, sizeof n, &by_fork), -EBUSY);
	CHECK(p == NULL && prong_error_detail()[0]);
	CHECK_EQ(end(start_with(body_return, &n, sizeof n, &forced)), 5);
	CHECK_EQ(run(body_return, &n, sizeof n), 5); /* the server's way is as ever */
	atomic_store(&go, 1);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(end(start_fork(body_return, &n, sizeof n)), 5);
}

static void *allocate(void *arg)
{
	atomic_int *go = arg;

	for (unsigned i = 0; !atomic_load(go); i++) {
		void *p = malloc(1100 + i % 3000); /* more than a thread's own cache has */

		CHECK(p);
		free(p);
	}
	return NULL;
}

static int body_allocates(void *arg)
{
	void *p = malloc(5000);

	free(p);
	return p ? *(int *)arg : 1;
}

/* The copy's own fork would wait for ever for what a thread held when it was copied. */
static void a_copy_is_made_while_threads_allocate(void **state)
{
	prong_process_opts forced = { .method = PRONG_FORK, .force = true };
	atomic_int go = 0;
	pthread_t t[3];
	int n = 5;

	(void)state;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, allocate, &go), 0);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(end(start_with(body_allocates, &n, sizeof n, &forced)), 5);
	atomic_store(&go, 1);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

/* --- locks --------------------------------------------------------------------------------- */

static int body_does_not_own(void *arg)
{
	prong_mutex *m = arg;

	return !prong_mutex_held(m) && prong_mutex_unlock(m) == -EPERM &&
			       prong_mutex_lock(m, prong_in_ms(10)) == PRONG_TIMEDOUT
		       ? 0
		       : 1;
}

static void locks_of_the_caller_are_not_the_copys(void **state)
{
	prong_mutex *m = shared(sizeof *m);

	(void)state;
	CHECK_OK(prong_mutex_lock(m, PRONG_NOW));
	CHECK_EQ(end(start_fork(body_does_not_own, m, 0)), 0);
	CHECK(prong_mutex_held(m));
	CHECK_OK(prong_mutex_unlock(m));
	prong_free(m);
}

static int body_dies_holding(void *arg)
{
	int r = prong_mutex_lock(arg, soon());

	raise(SIGKILL);
	return r;
}

static void locks_of_the_copy_pass_on(void **state)
{
	prong_mutex *m = shared(sizeof *m);

	(void)state;
	CHECK_EQ(end(start_fork(body_dies_holding, m, 0)), -SIGKILL);
	CHECK_EQ(prong_mutex_lock(m, soon()), PRONG_OWNERDEAD);
	CHECK_OK(prong_mutex_consistent(m));
	CHECK_OK(prong_mutex_unlock(m));
	prong_free(m);
}

/* --- what it gets -------------------------------------------------------------------------- */

static int body_fds(void *arg)
{
	int *fds = arg;

	fds[0] = open_fds(fds + 1, 100);
	return 0;
}

static void only_declared_descriptors(void **state)
{
	int *seen = shared(101 * sizeof *seen);
	int fd = open("/dev/null", O_RDONLY), other = open("/dev/null", O_RDONLY);
	prong_process_opts opts = { .method = PRONG_FORK, .fds = &other, .nfds = 1 };

	(void)state;
	CHECK_EQ(end(start_fork(body_fds, seen, 0)), 0);
	CHECK_EQ(seen[0], 3);
	CHECK_EQ(end(start_with(body_fds, seen, 0, &opts)), 0);
	CHECK_EQ(seen[0], 4);
	CHECK_EQ(seen[4], other);
	close(fd);
	close(other);
	prong_free(seen);
}

static int body_options(void *arg)
{
	char cwd[64];

	(void)arg;
	return getenv("PRONG_FORKED") && getcwd(cwd, sizeof cwd) && strcmp(cwd, "/") == 0 &&
			       getsid(0) == getpid()
		       ? 0
		       : 1;
}

static void options(void **state)
{
	const char *env[] = { "PRONG_FORKED=1", NULL };
	prong_process_opts opts = {
		.method = PRONG_FORK, .env = env, .cwd = "/", .new_session = true
	};
	prong_process *p;

	(void)state;
	CHECK_EQ(end(start_with(body_options, NULL, 0, &opts)), 0);
	CHECK(getenv("PRONG_FORKED") == NULL);
	opts.cwd = "/no/such/directory";
	CHECK_EQ(prong_process_start(&p, body_options, NULL, 0, &opts), -ENOENT);
}

/* --- what the starter notices -------------------------------------------------------------- */

static atomic_int chld;

static void on_chld(int sig)
{
	(void)sig;
	atomic_fetch_add(&chld, 1);
}

static void it_is_no_child_for_wait(void **state)
{
	struct sigaction act = { .sa_handler = on_chld }, old;
	prong_process *p;
	int n = 3;

	(void)state;
	CHECK_EQ(sigaction(SIGCHLD, &act, &old), 0);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(end(start_fork(body_return, &n, sizeof n)), 3);
		CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	}
	p = start_fork(body_sleep, NULL, 0);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	kill_and_end(p);
	CHECK_EQ(sigaction(SIGCHLD, &old, NULL), 0);
	CHECK_EQ(atomic_load(&chld), 0);
}

static int body_prints(void *arg)
{
	printf("%s", (const char *)arg);
	return 0;
}

static void at_exit(void)
{
	printf("bye");
}

static int helper_streams(const char *arg)
{
	(void)arg;
	CHECK_OK(prong_open(NULL));
	atexit(at_exit);
	printf("main ");
	CHECK_EQ(end(start_fork(body_prints, "child ", 7)), 0);
	printf("end ");
	return 0;
}

static void streams_and_exit_handlers_run_once(void **state)
{
	char text[128];
	size_t n = 0;
	ssize_t r;
	int out;
	pid_t pid = helper_start("streams", NULL, &out);

	(void)state;
	while ((r = read(out, text + n, sizeof text - 1 - n)) > 0)
		n += (size_t)r;
	text[n] = 0;
	close(out);
	CHECK_EQ(helper_end(pid), 0);
	CHECK(strcmp(text, "main child end bye") == 0 || strcmp(text, "child main end bye") == 0);
}

/* It dies with its starter like any other child. */
static int body_starts_sleeper_by_fork(void *arg)
{
	prong_process *p = start_fork(body_sleep, NULL, 0);

	atomic_store((atomic_int *)arg, prong_process_pid(p));
	return join(p);
}

static void a_killed_starter_takes_it_along(void **state)
{
	atomic_int *pid = shared(sizeof *pid);
	prong_process *p = start(body_starts_sleeper_by_fork, pid, 0);

	(void)state;
	CHECK(wait_for(pid, 1));
	kill_and_end(p);
	CHECK(pid_gone(atomic_load(pid), HANG_MS));
	prong_free(pid);
}

static int body_names_nanny(void *arg)
{
	atomic_store((atomic_int *)arg, getppid());
	return body_sleep(NULL);
}

/* Guard, server and nanny at once, and the copy with its nanny: nobody is left who would say so. */
static int helper_all_who_watch(const char *arg)
{
	pid_t guard, server;
	atomic_int *nanny;
	prong_process *p;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	nanny = shared(sizeof *nanny);
	guard = guard_pid();
	server = server_pid();
	p = start_fork(body_names_nanny, nanny, 0);
	CHECK(wait_for(nanny, 1));
	kill(guard, SIGSTOP);
	kill(server, SIGSTOP);
	kill(guard, SIGKILL);
	kill(server, SIGKILL);
	kill(atomic_load(nanny), SIGKILL);
	CHECK_EQ(end(p), -SIGKILL);
	return 0;
}

static void all_who_watch_it_are_killed(void **state)
{
	(void)state;
	helper_run("all who watch", NULL);
}

static const struct helper helpers[] = {
	{ "all who watch", helper_all_who_watch },
	{ "streams", helper_streams },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(memory_is_the_callers),
	CASE(arguments_follow_the_same_rules),
	CASE(codes_and_signals),
	CASE(signal_join_and_report),
	CASE(it_is_a_member),
	CASE(by_fork_from_a_process_of_the_server),
	CASE(other_threads_are_a_reason_to_refuse),
	CASE(a_copy_is_made_while_threads_allocate),
	CASE(locks_of_the_caller_are_not_the_copys),
	CASE(locks_of_the_copy_pass_on),
	CASE(only_declared_descriptors),
	CASE(options),
	CASE(it_is_no_child_for_wait),
	CASE(streams_and_exit_handlers_run_once),
	CASE(a_killed_starter_takes_it_along),
	CASE(all_who_watch_it_are_killed),
};

TEST_MAIN(tests, TEST_WARM, helpers)
