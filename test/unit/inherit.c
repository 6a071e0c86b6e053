/* What a process inherits, item by item: from the server what was there at prong_open(), from its
   starter what is there now, and what the options say.  Descriptors and redirections are in
   inherit_fds.c. */
#define _GNU_SOURCE
#include "support.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char old_cwd[PATH_MAX];

/* --- from the server ----------------------------------------------------------------------- */

static int variable = 1;
static int *private_memory;

static int body_sees_variable(void *arg)
{
	(void)arg;
	return variable;
}

static void variables_are_as_at_open(void **state)
{
	(void)state;
	variable = 2;
	CHECK_EQ(run(body_sees_variable, NULL, 0), 1);
	CHECK_EQ(run(body_sees_variable, NULL, 0), 1);
	variable = 1;
}

static int helper_memory(const char *arg)
{
	(void)arg;
	private_memory = malloc(sizeof *private_memory);
	CHECK(private_memory != NULL);
	variable = *private_memory = 5;
	CHECK_OK(prong_open(NULL));
	variable = *private_memory = 6;
	CHECK_EQ(run(body_sees_variable, NULL, 0), 5);
	return 0;
}

static void memory_is_as_at_open(void **state)
{
	(void)state;
	helper_run("memory", NULL);
}

static void on_signal(int sig)
{
	(void)sig;
}

/* 0: default, 1: ignored, 2: on_signal, 3: another handler. */
static int disposition(int sig)
{
	struct sigaction act;

	CHECK_EQ(sigaction(sig, NULL, &act), 0);
	return act.sa_handler == SIG_DFL	 ? 0
	       : act.sa_handler == SIG_IGN	 ? 1
	       : act.sa_handler == on_signal ? 2
						 : 3;
}

static int body_disposition(void *arg)
{
	return disposition(*(int *)arg);
}

static int body_all_default(void *arg)
{
	(void)arg;
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction act;

		if (sigaction(sig, NULL, &act) == 0 && act.sa_handler != SIG_DFL &&
		    !(TEST_ASAN || TEST_TSAN))
			return sig;
	}
	return 0;
}

static int helper_dispositions(const char *arg)
{
	static const int sigs[] = { SIGUSR1, SIGUSR2, SIGPIPE, SIGINT, SIGTERM, SIGCHLD, SIGHUP,
				    SIGTSTP, SIGQUIT, SIGALRM };
	int n = sizeof sigs / sizeof *sigs;

	(void)arg;
	for (int i = 0; i < n; i++)
		signal(sigs[i], i % 3 == 0 ? SIG_DFL : i % 3 == 1 ? SIG_IGN : on_signal);
	CHECK_OK(prong_open(NULL));
	for (int i = 0; i < n; i++) /* these come too late */
		signal(sigs[i], i % 3 == 1 ? SIG_DFL : SIG_IGN);
	for (int i = 0; i < n; i++)
		CHECK_EQ(run(body_disposition, &sigs[i], sizeof sigs[i]), i % 3);
	return 0;
}

static void dispositions_are_as_at_open(void **state)
{
	(void)state;
	if (under_valgrind())
		SKIP("it has handlers of its own");
	CHECK_EQ(run(body_all_default, NULL, 0), 0);
	helper_run("dispositions", NULL);
}

/* Compare an environment variable with what the argument says after its "=". */
static int body_env_is(void *arg)
{
	char *text = arg, *is = strchr(text, '=');
	const char *value;

	if (is)
		*is = 0;
	value = getenv(text);
	return is ? value && strcmp(value, is + 1) == 0 : value == NULL;
}

static int env_is(const char *text, const prong_process_opts *opts)
{
	return end(start_with(body_env_is, text, strlen(text) + 1, opts));
}

static void environment_is_as_at_open(void **state)
{
	(void)state;
	CHECK_EQ(setenv("PRONG_UNIT", "late", 1), 0);
	CHECK_EQ(env_is("PRONG_UNIT", NULL), 1);
	CHECK_EQ(unsetenv("PRONG_UNIT"), 0);
}

static void environment_by_option(void **state)
{
	const char *env[] = { "PRONG_A=1", "PRONG_EMPTY=", "PRONG_B=x=y", "PRONG_A=2",
			      "PRONG_GONE=1", "PRONG_GONE", "PATH", NULL };
	prong_process_opts opts = { .env = env };

	(void)state;
	CHECK_EQ(env_is("PRONG_A=2", &opts), 1);
	CHECK_EQ(env_is("PRONG_EMPTY=", &opts), 1);
	CHECK_EQ(env_is("PRONG_B=x=y", &opts), 1);
	CHECK_EQ(env_is("PRONG_GONE", &opts), 1);
	CHECK_EQ(env_is("PATH", &opts), 1);
	CHECK(getenv("PATH") != NULL);
	CHECK_EQ(env_is("PRONG_A", NULL), 1); /* the next has nothing of it */
	CHECK(getenv("PRONG_A") == NULL);
}

static void environment_that_is_long(void **state)
{
	enum { LONG = 100000 };
	char *text = malloc(LONG);
	const char *env[] = { text, NULL };
	prong_process_opts opts = { .env = env };

	(void)state;
	memset(text, 'e', LONG);
	memcpy(text, "PRONG_LONG=", 11);
	text[LONG - 1] = 0;
	CHECK_EQ(env_is(text, &opts), 1);
	free(text);
}

static void environment_that_is_none(void **state)
{
	const char *env[2] = { "=x", NULL };
	prong_process_opts opts = { .env = env };
	prong_process *p;

	(void)state;
	CHECK_EQ(prong_process_start(&p, body_sleep, NULL, 0, &opts), -EINVAL);
	env[0] = "";
	CHECK_EQ(prong_process_start(&p, body_sleep, NULL, 0, &opts), -EINVAL);
}

/* --- from the starter ---------------------------------------------------------------------- */

static int body_cwd(void *arg)
{
	return getcwd(arg, PATH_MAX) ? 0 : 1;
}

static void working_directory(void **state)
{
	char *cwd = shared(PATH_MAX), path[] = "/tmp/prong-unit-XXXXXX", deep[64];

	(void)state;
	CHECK(mkdtemp(path) && getcwd(old_cwd, sizeof old_cwd));
	snprintf(deep, sizeof deep, "%s/deep", path);
	CHECK(mkdir(deep, 0700) == 0 && chdir(deep) == 0);
	CHECK_EQ(run(body_cwd, cwd, 0), 0);
	CHECK_STR(cwd, deep);
	CHECK_EQ(chdir(path), 0);
	CHECK_EQ(run(body_cwd, cwd, 0), 0);
	CHECK_STR(cwd, path);
	CHECK_EQ(chdir(old_cwd), 0);
	CHECK_EQ(run(body_cwd, cwd, 0), 0);
	CHECK_STR(cwd, old_cwd);
	CHECK(rmdir(deep) == 0 && rmdir(path) == 0);
	prong_free(cwd);
}

static int body_has_no_cwd(void *arg)
{
	char cwd[PATH_MAX];

	(void)arg;
	return getcwd(cwd, sizeof cwd) == NULL && errno == ENOENT ? 0 : 1;
}

static void working_directory_without_a_name(void **state)
{
	char path[] = "/tmp/prong-unit-XXXXXX";
	int code;

	(void)state;
	CHECK(getcwd(old_cwd, sizeof old_cwd) && mkdtemp(path) && chdir(path) == 0);
	CHECK_EQ(rmdir(path), 0);
	code = run(body_has_no_cwd, NULL, 0);
	CHECK_EQ(chdir(old_cwd), 0);
	CHECK_EQ(code, 0);
}

static int start_in(const char *cwd)
{
	prong_process_opts opts = { .cwd = cwd };
	prong_process *p;

	return prong_process_start(&p, body_sleep, NULL, 0, &opts);
}

static void working_directory_by_option(void **state)
{
	char *cwd = shared(PATH_MAX);
	prong_process_opts opts = { .cwd = "/" };

	(void)state;
	CHECK_EQ(end(start_with(body_cwd, cwd, 0, &opts)), 0);
	CHECK_STR(cwd, "/");
	CHECK(getcwd(old_cwd, sizeof old_cwd));
	CHECK_EQ(chdir("/usr"), 0);
	opts.cwd = "bin/.."; /* from the caller's */
	CHECK_EQ(end(start_with(body_cwd, cwd, 0, &opts)), 0);
	CHECK_STR(cwd, "/usr");
	CHECK_EQ(chdir(old_cwd), 0);
	CHECK_EQ(run(body_cwd, cwd, 0), 0);
	CHECK_STR(cwd, old_cwd);
	prong_free(cwd);
}

static void working_directory_that_is_none(void **state)
{
	char path[PATH_MAX + 100];

	(void)state;
	CHECK_EQ(start_in("/no/such/directory"), -ENOENT);
	CHECK(prong_error_detail()[0]);
	CHECK_EQ(start_in("/dev/null"), -ENOTDIR);
	CHECK_EQ(start_in(""), -ENOENT);
	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = 0;
	CHECK_EQ(start_in(path), -ENAMETOOLONG);
}

static int body_umask(void *arg)
{
	mode_t mask = umask(0);

	return (int)mask == *(int *)arg;
}

static void file_mode_mask(void **state)
{
	static const int masks[] = { 0, 0777, 027, 077 };
	mode_t old = umask(0);

	(void)state;
	for (int i = 0; i < 4; i++) {
		umask((mode_t)masks[i]);
		CHECK_EQ(run(body_umask, &masks[i], sizeof masks[i]), 1);
	}
	umask(old);
}

static int body_nice(void *arg)
{
	(void)arg;
	return getpriority(PRIO_PROCESS, 0) + 20;
}

static void nice_value(void **state)
{
	int old = getpriority(PRIO_PROCESS, 0);

	(void)state;
	if (setpriority(PRIO_PROCESS, 0, old + 3) != 0 || setpriority(PRIO_PROCESS, 0, old) != 0)
		SKIP("may not lower its nice value again");
	CHECK_EQ(run(body_nice, NULL, 0), old + 20);
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, old + 3), 0);
	CHECK_EQ(run(body_nice, NULL, 0), old + 23);
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, old), 0);
	CHECK_EQ(run(body_nice, NULL, 0), old + 20);
}

static int body_cpus(void *arg)
{
	return sched_getaffinity(0, sizeof(cpu_set_t), arg) == 0 ? 0 : 1;
}

static void processors(void **state)
{
	cpu_set_t all, one, *seen = shared(sizeof *seen);

	(void)state;
	CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
		CHECK_EQ(run(body_cpus, seen, 0), 0);
		CHECK(CPU_EQUAL(seen, &one));
	}
	CHECK_EQ(sched_setaffinity(0, sizeof all, &all), 0);
	CHECK_EQ(run(body_cpus, seen, 0), 0);
	CHECK(CPU_EQUAL(seen, &all));
	prong_free(seen);
}

static int body_limits(void *arg)
{
	struct rlimit *seen = arg;

	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (getrlimit((__rlimit_resource_t)i, &seen[i]) != 0)
			return 1;
	return 0;
}

static bool same_limits(const struct rlimit *seen)
{
	struct rlimit here;

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		CHECK_EQ(getrlimit((__rlimit_resource_t)i, &here), 0);
		if (here.rlim_cur != seen[i].rlim_cur || here.rlim_max != seen[i].rlim_max) {
			print_error("limit %d: %ld/%ld here, %ld/%ld there\n", i,
				    (long)here.rlim_cur, (long)here.rlim_max,
				    (long)seen[i].rlim_cur, (long)seen[i].rlim_max);
			return false;
		}
	}
	return true;
}

static void resource_limits(void **state)
{
	struct rlimit *seen = shared(RLIM_NLIMITS * sizeof *seen), old[RLIM_NLIMITS], changed;
	static const int which[] = { RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_CORE,
				     RLIMIT_MEMLOCK, RLIMIT_STACK };

	(void)state;
	CHECK_EQ(run(body_limits, seen, 0), 0);
	CHECK(same_limits(seen));
	for (int i = 0; i < 6; i++) {
		__rlimit_resource_t l = (__rlimit_resource_t)which[i];

		CHECK_EQ(getrlimit(l, &old[i]), 0);
		changed = old[i];
		changed.rlim_cur = changed.rlim_cur > 12345678 ? 12345678 : changed.rlim_cur / 2;
		CHECK_EQ(setrlimit(l, &changed), 0);
	}
	CHECK_EQ(run(body_limits, seen, 0), 0);
	CHECK(same_limits(seen));
	for (int i = 0; i < 6; i++)
		CHECK_EQ(setrlimit((__rlimit_resource_t)which[i], &old[i]), 0);
	CHECK_EQ(run(body_limits, seen, 0), 0);
	CHECK(same_limits(seen));
	prong_free(seen);
}

static int start_limited(const prong_limit *limits, size_t n)
{
	prong_process_opts opts = { .limits = limits, .nlimits = n };
	prong_process *p;

	return prong_process_start(&p, body_sleep, NULL, 0, &opts);
}

static void resource_limits_by_option(void **state)
{
	struct rlimit *seen, own;
	prong_limit limits[] = { { RLIMIT_NOFILE, 64, 65 },
				 { RLIMIT_FSIZE, 1 << 20, UINT64_MAX },
				 { RLIMIT_CORE, 0, 0 } };
	prong_process_opts opts = { .limits = limits, .nlimits = 3 };

	(void)state;
	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &own), 0);
	if (own.rlim_max != RLIM_INFINITY)
		SKIP("RLIMIT_FSIZE is limited here");
	if (under_valgrind())
		SKIP("the limit of descriptors is valgrind's own there");
	seen = shared(RLIM_NLIMITS * sizeof *seen);
	CHECK_EQ(end(start_with(body_limits, seen, 0, &opts)), 0);
	CHECK_EQ(seen[RLIMIT_NOFILE].rlim_cur, 64);
	CHECK_EQ(seen[RLIMIT_NOFILE].rlim_max, 65);
	CHECK_EQ(seen[RLIMIT_FSIZE].rlim_cur, 1 << 20);
	CHECK(seen[RLIMIT_FSIZE].rlim_max == RLIM_INFINITY);
	CHECK_EQ(seen[RLIMIT_CORE].rlim_max, 0);
	CHECK_EQ(run(body_limits, seen, 0), 0);
	CHECK(same_limits(seen));
	prong_free(seen);
}

static void resource_limits_that_are_none(void **state)
{
	prong_limit limits[17];

	(void)state;
	for (int i = 0; i < 17; i++)
		limits[i] = (prong_limit){ RLIMIT_CORE, 0, UINT64_MAX };
	CHECK_EQ(start_limited(limits, 17), -EINVAL);
	limits[0].resource = 4711;
	CHECK_EQ(start_limited(limits, 1), -EINVAL);
	limits[0].resource = -1;
	CHECK_EQ(start_limited(limits, 1), -EINVAL);
	limits[0] = (prong_limit){ RLIMIT_NOFILE, 65, 64 };
	CHECK_EQ(start_limited(limits, 1), -EINVAL);
}

static int body_mask(void *arg)
{
	return pthread_sigmask(SIG_BLOCK, NULL, arg);
}

static bool same_mask(const sigset_t *seen)
{
	sigset_t here;

	CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &here), 0);
	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(&here, sig) == 1 && sigismember(seen, sig) != 1)
			return false;
		else if (sigismember(&here, sig) == 0 && sigismember(seen, sig) != 0)
			return false;
	return true;
}

static void *thread_with_mask(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &all, NULL), 0);
	CHECK_EQ(run(body_mask, arg, 0), 0);
	CHECK(same_mask(arg));
	return NULL;
}

static void signal_mask_of_the_thread(void **state)
{
	sigset_t *seen = shared(sizeof *seen), some, old;
	pthread_t t;

	(void)state;
	CHECK_EQ(run(body_mask, seen, 0), 0);
	CHECK(same_mask(seen));
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigaddset(&some, SIGCHLD);
	sigaddset(&some, SIGRTMIN + 3);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &some, &old), 0);
	CHECK_EQ(run(body_mask, seen, 0), 0);
	CHECK(same_mask(seen));
	CHECK_EQ(pthread_create(&t, NULL, thread_with_mask, seen), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
	CHECK_EQ(run(body_mask, seen, 0), 0);
	CHECK(same_mask(seen));
	prong_free(seen);
}

/* --- session ------------------------------------------------------------------------------- */

struct groups {
	pid_t pid, group, session;
};

static int body_groups(void *arg)
{
	*(struct groups *)arg = (struct groups){ getpid(), getpgrp(), getsid(0) };
	return 0;
}

static void session_and_process_group(void **state)
{
	prong_process_opts opts = { .new_session = true };
	struct groups *g = shared(sizeof *g);

	(void)state;
	CHECK_EQ(run(body_groups, g, 0), 0);
	CHECK_EQ(g->group, getpgrp());
	CHECK_EQ(g->session, getsid(0));
	CHECK_EQ(end(start_with(body_groups, g, 0, &opts)), 0);
	CHECK_EQ(g->session, g->pid);
	CHECK_EQ(g->group, g->pid);
	CHECK_EQ(run(body_groups, g, 0), 0);
	CHECK_EQ(g->session, getsid(0));
	prong_free(g);
}

static int body_credentials(void *arg)
{
	(void)arg;
	return getuid() == geteuid() && getppid() != 1 ? 0 : 1;
}

static void parent_for_the_system_is_the_server(void **state)
{
	(void)state;
	CHECK_EQ(run(body_credentials, NULL, 0), 0);
	CHECK(server_pid() != getpid());
	CHECK_EQ(server_pid(), server_pid());
}

static const struct helper helpers[] = {
	{ "memory", helper_memory },
	{ "dispositions", helper_dispositions },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(variables_are_as_at_open),
	CASE(memory_is_as_at_open),
	CASE(dispositions_are_as_at_open),
	CASE(environment_is_as_at_open),
	CASE(environment_by_option),
	CASE(environment_that_is_long),
	CASE(environment_that_is_none),
	CASE(working_directory),
	CASE(working_directory_without_a_name),
	CASE(working_directory_by_option),
	CASE(working_directory_that_is_none),
	CASE(file_mode_mask),
	CASE(nice_value),
	CASE(processors),
	CASE(resource_limits),
	CASE(resource_limits_by_option),
	CASE(resource_limits_that_are_none),
	CASE(signal_mask_of_the_thread),
	CASE(session_and_process_group),
	CASE(parent_for_the_system_is_the_server),
};

TEST_MAIN(tests, TEST_WARM, helpers)
