/* The host's own fork(): the child joins the family as a second beginning of the program, at its
   first use of prong, and owns nothing of its parent's. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

/* Run fn in a child made by fork(); return its exit code, or minus the signal. */
static int in_fork(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fn(arg));
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* --- the child uses prong ------------------------------------------------------------------ */

static int use_all(void *arg)
{
	int *number = arg, seven = 7;
	int *mine = shared(sizeof *mine);

	CHECK_EQ(*number, 41);
	*number = 42;
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	CHECK_EQ(end_thread(start_thread(body_return, &seven, sizeof seven)), 7);
	CHECK_STR(prong_process_name(NULL), "MainProcess");
	CHECK_STR(prong_thread_name(NULL), "MainThread");
	CHECK(prong_process_parent() == NULL);
	CHECK(prong_process_self() != NULL);
	CHECK_EQ(prong_process_pid(NULL), getpid());
	prong_free(mine);
	return 0;
}

static void a_fork_uses_everything(void **state)
{
	int *number = shared(sizeof *number);

	(void)state;
	*number = 41;
	CHECK_EQ(in_fork(use_all, number), 0);
	CHECK_EQ(*number, 42);
	prong_free(number);
}

static int use_nothing(void *arg)
{
	(void)arg;
	return 5;
}

static void a_fork_uses_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		CHECK_EQ(in_fork(use_nothing, NULL), 5);
}

static int fork_again(void *arg)
{
	return in_fork(use_all, arg);
}

static void a_fork_of_a_fork(void **state)
{
	int *number = shared(sizeof *number);

	(void)state;
	*number = 41;
	CHECK_EQ(in_fork(fork_again, number), 0); /* the one between never used prong */
	CHECK_EQ(*number, 42);
	prong_free(number);
}

static int body_forks(void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(use_all(arg));
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

static void a_fork_in_a_process_of_the_server(void **state)
{
	int *number = shared(sizeof *number);

	(void)state;
	*number = 41;
	CHECK_EQ(run(body_forks, number, 0), 0);
	CHECK_EQ(*number, 42);
	prong_free(number);
}

/* --- the two together ---------------------------------------------------------------------- */

struct account {
	prong_mutex lock;
	long a, b;
};

static int add(void *arg)
{
	struct account *c = arg;

	for (int i = 0; i < scaled(20000); i++) {
		CHECK_OK(prong_mutex_lock(&c->lock, soon()));
		c->a++;
		c->b++;
		CHECK_OK(prong_mutex_unlock(&c->lock));
	}
	return 0;
}

static void a_mutex_with_the_parent(void **state)
{
	struct account *c = shared(sizeof *c);
	pid_t pid;
	int status;

	(void)state;
	pid = fork();
	if (pid == 0)
		_exit(add(c));
	add(c);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(c->a, 2 * scaled(20000));
	CHECK_EQ(c->b, c->a);
	prong_free(c);
}

static int owns_nothing(void *arg)
{
	prong_mutex *m = arg;

	return !prong_mutex_held(m) && prong_mutex_unlock(m) == -EPERM &&
			       prong_mutex_lock(m, prong_in_ms(20)) == PRONG_TIMEDOUT
		       ? 0
		       : 1;
}

static void a_fork_owns_nothing(void **state)
{
	static prong_mutex outside;
	prong_mutex *m = shared(sizeof *m);

	(void)state;
	CHECK_OK(prong_mutex_lock(m, PRONG_NOW));
	CHECK_OK(prong_mutex_lock(&outside, PRONG_NOW));
	CHECK_EQ(in_fork(owns_nothing, m), 0);
	CHECK_EQ(in_fork(owns_nothing, &outside), 0);
	CHECK(prong_mutex_held(m));
	CHECK_OK(prong_mutex_unlock(m));
	CHECK_OK(prong_mutex_unlock(&outside));
	prong_free(m);
}

static int die_holding(void *arg)
{
	int r = prong_mutex_lock(arg, soon());

	raise(SIGKILL);
	return r;
}

static int leave_holding(void *arg)
{
	return prong_mutex_lock(arg, soon()) == 0 ? 0 : 1;
}

static void a_fork_that_ends_holding(void **state)
{
	prong_mutex *m = shared(sizeof *m);

	(void)state;
	CHECK_EQ(in_fork(die_holding, m), -SIGKILL);
	CHECK_EQ(prong_mutex_lock(m, soon()), PRONG_OWNERDEAD);
	CHECK_OK(prong_mutex_consistent(m));
	CHECK_OK(prong_mutex_unlock(m));
	CHECK_EQ(in_fork(leave_holding, m), 0);
	CHECK_EQ(prong_mutex_lock(m, soon()), PRONG_OWNERDEAD);
	CHECK_OK(prong_mutex_consistent(m));
	CHECK_OK(prong_mutex_unlock(m));
	prong_free(m);
}

static int waits_for(void *arg)
{
	CHECK_OK(prong_mutex_lock(arg, soon()));
	return prong_mutex_unlock(arg);
}

/* Threads hold locks of the heap while another forks. */
static void *hold(void *arg)
{
	prong_mutex *m = arg;

	CHECK_OK(prong_mutex_lock(m, PRONG_NOW));
	CHECK(wait_for((atomic_int *)(void *)(m + 1), 1));
	CHECK_OK(prong_mutex_unlock(m));
	return NULL;
}

static void fork_while_threads_hold_mutexes(void **state)
{
	struct held {
		prong_mutex m;
		atomic_int go;
	} *h[4];
	pthread_t t[4];
	pid_t pid[4];
	int status;

	(void)state;
	for (int i = 0; i < 4; i++) {
		h[i] = shared(sizeof *h[i]);
		CHECK_EQ(pthread_create(&t[i], NULL, hold, &h[i]->m), 0);
	}
	for (int i = 0; i < 4; i++) {
		while (prong_mutex_lock(&h[i]->m, PRONG_NOW) == 0) {
			CHECK_OK(prong_mutex_unlock(&h[i]->m));
			sleep_ms(1);
		}
		CHECK_EQ(in_fork(owns_nothing, &h[i]->m), 0);
		pid[i] = fork();
		if (pid[i] == 0)
			_exit(waits_for(&h[i]->m));
	}
	for (int i = 0; i < 4; i++) {
		atomic_store(&h[i]->go, 1);
		CHECK_EQ(pthread_join(t[i], NULL), 0);
		CHECK_EQ(waitpid(pid[i], &status, 0), pid[i]);
		CHECK_EQ(status, 0);
		prong_free(h[i]);
	}
}

static atomic_int stop;

static void *busy(void *arg)
{
	int zero = 0;

	(void)arg;
	while (!atomic_load(&stop)) {
		prong_free(prong_alloc(100));
		CHECK_EQ(run(body_return, &zero, sizeof zero), 0);
	}
	return NULL;
}

static int alloc_some(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++)
		prong_free(shared(50));
	return 0;
}

static void fork_while_threads_use_prong(void **state)
{
	pthread_t t[3];

	(void)state;
	atomic_store(&stop, 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, busy, NULL), 0);
	for (int i = 0; i < scaled(100); i++)
		CHECK_EQ(in_fork(alloc_some, NULL), 0);
	atomic_store(&stop, 1);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

/* --- relations ----------------------------------------------------------------------------- */

static int has_no_children(void *arg)
{
	(void)arg;
	if (prong_process_children(NULL, 0) != 0)
		return 1;
	return 0;
}

static int exits(void *arg)
{
	exit(has_no_children(arg));
}

/* Its exit is not the program's exit: the children of the original live on. */
static void the_end_of_a_fork_harms_nobody(void **state)
{
	prong_process_opts opts = { .daemon = true };
	prong_process *p = start(body_sleep, NULL, 0);
	prong_process *d = start_with(body_sleep, NULL, 0, &opts);

	(void)state;
	CHECK_EQ(in_fork(has_no_children, NULL), 0);
	fflush(NULL);
	CHECK_EQ(in_fork(exits, NULL), 0);
	sleep_ms(20);
	CHECK(prong_process_alive(p));
	CHECK(prong_process_alive(d));
	CHECK_EQ(prong_process_children(NULL, 0), 2);
	kill_and_end(p);
	kill_and_end(d);
}

static int starts_sleeper(void *arg)
{
	prong_process *p = start(body_sleep, NULL, 0);

	*(int *)arg = prong_process_pid(p);
	raise(SIGKILL);
	return 1;
}

static void children_of_a_killed_fork_end(void **state)
{
	int *pid = shared(sizeof *pid);

	(void)state;
	CHECK_EQ(in_fork(starts_sleeper, pid), -SIGKILL);
	CHECK(*pid > 0);
	CHECK(pid_gone(*pid, HANG_MS));
	prong_free(pid);
}

static int joins(void *p)
{
	return join(p);
}

static int closes(void *arg)
{
	(void)arg;
	return prong_close(PRONG_NOW) == -EPERM ? 0 : 1;
}

static int joins_the_family_and_closes(void *arg)
{
	prong_free(shared(1));
	return closes(arg);
}

static void a_fork_joins_and_may_not_close(void **state)
{
	int seven = 7;
	prong_process *p = start(body_return, &seven, sizeof seven);

	(void)state;
	CHECK_EQ(in_fork(joins, p), 7);
	CHECK_EQ(end(p), 7);
	CHECK_EQ(in_fork(closes, NULL), 0);
	CHECK_EQ(in_fork(joins_the_family_and_closes, NULL), 0);
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
}

/* --- exec, daemon -------------------------------------------------------------------------- */

static int exec_true(void *arg)
{
	(void)arg;
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static void fork_and_exec(void **state)
{
	int seven = 7;

	(void)state;
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(in_fork(exec_true, NULL), 0);
		CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	}
}

/* As daemon(3): the program goes on in a grandchild, and everything goes on with it. */
static int helper_daemon(const char *arg)
{
	int *number, seven = 7;
	bool used_before = strcmp(arg, "used") == 0;

	CHECK_OK(prong_open(NULL));
	number = shared(sizeof *number);
	*number = 41;
	if (used_before)
		CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid > 0)
			_exit(0);
		if (i == 0)
			setsid();
	}
	sleep_ms(300); /* long after the first one has ended */
	CHECK_EQ(use_all(number), 0);
	CHECK_EQ(*number, 42);
	CHECK_EQ(write(1, "daemon", 6), 6);
	return 0;
}

static void daemon_of(const char *arg)
{
	char text[64] = "";
	int out;
	pid_t pid = helper_start("daemon", arg, &out);
	size_t n = 0;
	ssize_t r;

	CHECK_EQ(helper_end(pid), 0);
	while ((r = read(out, text + n, sizeof text - 1 - n)) > 0)
		n += (size_t)r;
	close(out);
	CHECK_STR(text, "daemon");
}

static void the_program_becomes_a_daemon(void **state)
{
	(void)state;
	daemon_of("fresh");
	daemon_of("used");
}

/* Two beginnings of the program wait for what they have started, and both find that there is no
   server: one opens, the other uses that.  With two, each would end what the other starts. */
static int waits_and_starts(void *arg)
{
	atomic_int *waiting = arg;
	prong_process *p;

	CHECK_OK(prong_open(NULL));
	p = start(body_sleep, NULL, 0);
	atomic_fetch_add(waiting, 1);
	CHECK_EQ(end(p), -SIGKILL);
	CHECK_OK(prong_open(NULL));
	for (int seven = 7, i = 0; i < 20; i++)
		CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	return 0;
}

static int helper_two(const char *arg)
{
	prong_family_stats s;
	atomic_int *waiting;
	pid_t guard, server, pid[2];

	(void)arg;
	CHECK_OK(prong_open(NULL));
	waiting = shared(sizeof *waiting);
	guard = guard_pid();
	server = server_pid();
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			_exit(waits_and_starts(waiting));
	}
	CHECK(wait_for(waiting, 2));
	kill(guard, SIGSTOP);
	kill(server, SIGSTOP);
	kill(guard, SIGKILL);
	kill(server, SIGKILL);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(helper_end(pid[i]), 0);
	prong_family_stat(&s);
	CHECK_EQ(s.servers, 2); /* that were ever up */
	return 0;
}

static void two_open_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < many(10); i++)
		helper_run("two", NULL);
}

static const struct helper helpers[] = {
	{ "daemon", helper_daemon },
	{ "two", helper_two },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(a_fork_uses_everything),
	CASE(a_fork_uses_nothing),
	CASE(a_fork_of_a_fork),
	CASE(a_fork_in_a_process_of_the_server),
	CASE(a_mutex_with_the_parent),
	CASE(a_fork_owns_nothing),
	CASE(a_fork_that_ends_holding),
	CASE(fork_while_threads_hold_mutexes),
	CASE(fork_while_threads_use_prong),
	CASE(the_end_of_a_fork_harms_nobody),
	CASE(children_of_a_killed_fork_end),
	CASE(a_fork_joins_and_may_not_close),
	CASE(fork_and_exec),
	CASE(the_program_becomes_a_daemon),
	CASE(two_open_at_once),
};

TEST_MAIN(tests, TEST_WARM, helpers)
