/* A process never has more privilege than its starter: when the caller is not what the server is,
   start is refused; when the family is closed and opened again, it works.  Root only. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>


enum { NOBODY = 65534 };

#if TEST_ASAN
/* The search for leaks looks into the process from outside, which is not allowed any more. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

static int seven = 7;

/* --- ways to change ------------------------------------------------------------------------ */

static int drop_capability(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return -1;
	d[0].effective &= ~(1u << CAP_NET_RAW);
	return (int)syscall(SYS_capset, &h, d);
}

static int install_filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

struct way {
	const char *name;
	int what;
};

static const struct way ways[] = {
	{ "setuid", 0 },	 { "seteuid", 1 },	 { "setgid", 2 },
	{ "setgroups", 3 },	 { "saved uid", 4 },	 { "no_new_privs", 5 },
	{ "capability", 6 },	 { "bounding set", 7 },	 { "seccomp", 8 },
	{ "mount ns", 9 },	 { "uts ns", 10 },	 { "ipc ns", 11 },
	{ "net ns", 12 },	 { "user ns", 13 },	 { "chroot", 14 },
	{ "pid ns", 15 },	 { "cgroup ns", 16 },	 { "fsuid", 17 },
	{ "second filter", 18 }, { "securebits", 19 },
};

static int change(int what)
{
	gid_t group = 4711;

	switch (what) {
	case 0: return setuid(NOBODY);
	case 1: return seteuid(NOBODY);
	case 2: return setgid(NOBODY);
	case 3: return setgroups(1, &group);
	case 4: return setresuid((uid_t)-1, (uid_t)-1, NOBODY);
	case 5: return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	case 6: return drop_capability();
	case 7: return prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0);
	case 8: return install_filter();
	case 9: return unshare(CLONE_NEWNS);
	case 10: return unshare(CLONE_NEWUTS);
	case 11: return unshare(CLONE_NEWIPC);
	case 12: return unshare(CLONE_NEWNET);
	case 13: return unshare(CLONE_NEWUSER);
	case 14: return chroot("/tmp");
	case 15: return unshare(CLONE_NEWPID);
	case 16: return unshare(CLONE_NEWCGROUP);
	case 17: return (int)syscall(SYS_setfsuid, NOBODY);
	case 18: return install_filter();
	case 19: return prctl(PR_SET_SECUREBITS, SECBIT_NOROOT);
	default: return -1;
	}
}

static const struct way *way_of(const char *name)
{
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		if (strcmp(ways[i].name, name) == 0)
			return &ways[i];
	return NULL;
}

static void is_refused(const char *why)
{
	prong_process *untouched = (prong_process *)(uintptr_t)0x4711, *p = untouched;
	int r = prong_process_start(&p, body_return, &seven, sizeof seven, NULL);

	if (r != PRONG_PRIVILEGE)
		check_failed(__FILE__, __LINE__, "%s: start is %d", why, r);
	CHECK(p == untouched);
	CHECK(prong_error_detail()[0]);
}

static void works(void)
{
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
}

static void threads_and_locks_work(void)
{
	prong_mutex *m = shared(sizeof *m);

	CHECK_OK(prong_mutex_lock(m, PRONG_NOW));
	CHECK_OK(prong_mutex_unlock(m));
	prong_free(m);
	CHECK_EQ(end_thread(start_thread(body_return, &seven, sizeof seven)), 7);
}

/* --- each of them -------------------------------------------------------------------------- */

static int changes(const char *arg)
{
	if (strcmp(arg, "second filter") == 0 && install_filter() != 0)
		return HELPER_SKIP;
	CHECK_OK(prong_open(NULL));
	works();
	if (change(way_of(arg)->what) != 0) {
		fprintf(stderr, "%s: %s\n", arg, strerror(errno));
		return HELPER_SKIP;
	}
	is_refused(arg);
	is_refused(arg);
	if (strcmp(arg, "pid ns") != 0) /* the kernel allows no threads then */
		threads_and_locks_work();
	return 0;
}

static void any_change_is_a_reason_to_refuse(void **state)
{
	int bad = 0;

	(void)state;
	if (geteuid() != 0)
		SKIP("not root");
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		int code = helper_end(helper_start("changes", ways[i].name, NULL));

		if (code == HELPER_SKIP)
			print_message("not tried: %s\n", ways[i].name);
		else
			bad += code != 0;
	}
	CHECK_EQ(bad, 0);
}

/* --- closing and opening again ------------------------------------------------------------- */

static int body_uid(void *arg)
{
	*(int *)arg = (int)getuid();
	return getuid() == geteuid() ? 0 : 1;
}

static void uid_of_child_is(int want)
{
	int *uid = shared(sizeof *uid);

	CHECK_EQ(run(body_uid, uid, 0), 0);
	CHECK_EQ(*uid, want);
	prong_free(uid);
}

static int close_setuid_open(const char *arg)
{
	(void)arg;
	CHECK_OK(prong_open(NULL));
	uid_of_child_is(0);
	CHECK_OK(prong_close(soon()));
	CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	CHECK_OK(prong_open(NULL));
	uid_of_child_is(NOBODY);
	threads_and_locks_work();
	return 0;
}

static int setuid_close_open(const char *arg)
{
	(void)arg;
	CHECK_OK(prong_open(NULL));
	works();
	CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	is_refused("setuid");
	CHECK_OK(prong_open(NULL)); /* it lives: nothing happens */
	is_refused("setuid");
	CHECK_OK(prong_close(soon()));
	CHECK_OK(prong_open(NULL));
	uid_of_child_is(NOBODY);
	return 0;
}

static void closed_and_opened_again_it_works(void **state)
{
	(void)state;
	if (geteuid() != 0)
		SKIP("not root");
	helper_run("close-setuid-open", NULL);
	helper_run("setuid-close-open", NULL);
}

/* --- where else ---------------------------------------------------------------------------- */

static int body_drops_and_starts(void *arg)
{
	(void)arg;
	if (setuid(NOBODY) != 0)
		return 1;
	is_refused("setuid in a child");
	return 0;
}

static void a_member_that_drops_privileges(void **state)
{
	(void)state;
	if (geteuid() != 0)
		SKIP("not root");
	CHECK_EQ(run(body_drops_and_starts, NULL, 0), 0);
	works();
}

/* Ids belong to threads for the kernel: what counts is who calls. */
static void *drop_in_this_thread(void *arg)
{
	CHECK_EQ(syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY), 0);
	is_refused("setuid of one thread");
	return arg;
}

static int one_thread(const char *arg)
{
	pthread_t t;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	works();
	CHECK_EQ(pthread_create(&t, NULL, drop_in_this_thread, NULL), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	works();
	return 0;
}

static void a_thread_that_drops_privileges(void **state)
{
	(void)state;
	if (geteuid() != 0)
		SKIP("not root");
	helper_run("one-thread", NULL);
}

static int signals(const char *arg)
{
	prong_process *p;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	p = start(body_sleep, NULL, 0);
	CHECK_EQ(setresuid(NOBODY, NOBODY, (uid_t)-1), 0);
	CHECK_EQ(prong_process_signal(p, SIGTERM), -EPERM);
	CHECK_EQ(prong_process_join(p, NULL, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(setresuid(0, 0, (uid_t)-1), 0);
	works(); /* it is the server's again */
	kill_and_end(p);
	return 0;
}

static void a_stranger_may_not_signal(void **state)
{
	(void)state;
	if (geteuid() != 0)
		SKIP("not root");
	helper_run("signals", NULL);
}

/* A daemon that gave up root as nearly all do, and dies; nothing must be left. */
static int dies_clean(const char *arg)
{
	prong_process *p;
	pid_t pids[3];

	(void)arg;
	CHECK_OK(prong_open(NULL));
	pids[0] = server_pid();
	pids[1] = guard_pid();
	p = start(body_sleep, NULL, 0);
	pids[2] = prong_process_pid(p);
	CHECK_EQ(write(1, pids, sizeof pids), sizeof pids);
	CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	raise(SIGKILL);
	return 1;
}

static void nothing_survives_main_that_dropped_privileges(void **state)
{
	pid_t pids[3], pid;
	int out;

	(void)state;
	if (geteuid() != 0)
		SKIP("not root");
	pid = helper_start("dies-clean", NULL, &out);
	CHECK_EQ(read(out, pids, sizeof pids), sizeof pids);
	close(out);
	CHECK_EQ(helper_end(pid), -SIGKILL);
	for (int i = 0; i < 3; i++)
		CHECK(pid_gone(pids[i], 2000 * slowness()));
}

static const struct helper helpers[] = {
	{ "changes", changes },
	{ "close-setuid-open", close_setuid_open },
	{ "setuid-close-open", setuid_close_open },
	{ "one-thread", one_thread },
	{ "signals", signals },
	{ "dies-clean", dies_clean },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(any_change_is_a_reason_to_refuse),
	CASE(closed_and_opened_again_it_works),
	CASE(a_member_that_drops_privileges),
	CASE(a_thread_that_drops_privileges),
	CASE(a_stranger_may_not_signal),
	CASE(nothing_survives_main_that_dropped_privileges),
};

TEST_MAIN(tests, TEST_WARM, helpers)
