/* The processors that a process may use: affinity and the control group's quota. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

static void all_of_the_mask(void **state)
{
	cpu_set_t mine;
	int n = prong_cpu_count();

	(void)state;
	CHECK_EQ(sched_getaffinity(0, sizeof mine, &mine), 0);
	CHECK(n >= 1);
	CHECK(n <= CPU_COUNT(&mine));
	CHECK(n <= sysconf(_SC_NPROCESSORS_ONLN));
}

static void less_with_a_smaller_mask(void **state)
{
	cpu_set_t mine, some;
	int n = 0, before = prong_cpu_count();

	(void)state;
	CHECK_EQ(sched_getaffinity(0, sizeof mine, &mine), 0);
	CPU_ZERO(&some);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &mine))
			continue;
		CPU_SET(cpu, &some);
		CHECK_EQ(sched_setaffinity(0, sizeof some, &some), 0);
		n++;
		CHECK_EQ(prong_cpu_count(), n < before ? n : before);
	}
	CHECK_EQ(sched_setaffinity(0, sizeof mine, &mine), 0);
	CHECK_EQ(prong_cpu_count(), before);
}

static bool put(const char *dir, const char *name, const char *text)
{
	char path[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = write(fd, text, strlen(text));
	close(fd);
	return n > 0;
}

/* Make a group below the one of this kind, with a quota, and go there. */
static bool enter_group(const char *dir, bool v2, const char *microseconds)
{
	char quota[64];

	if (mkdir(dir, 0755) != 0)
		return false;
	snprintf(quota, sizeof quota, "%s 100000", microseconds);
	if (v2)
		return put(dir, "cpu.max", quota) && put(dir, "cgroup.procs", "0");
	return put(dir, "cpu.cfs_period_us", "100000") &&
	       put(dir, "cpu.cfs_quota_us", microseconds) && put(dir, "cgroup.procs", "0");
}

/* arg: microseconds of each 100,000. */
static int helper_quota(const char *arg)
{
	static const char *const base[] = { "/sys/fs/cgroup/cpu", "/sys/fs/cgroup" };
	int want = atoi(arg) <= 100000 ? 1 : 2, before = prong_cpu_count(), r = HELPER_SKIP;
	char dir[128];

	for (int i = 0; i < 2 && r == HELPER_SKIP; i++) {
		snprintf(dir, sizeof dir, "%s/prong-unit-%d", base[i], getpid());
		if (enter_group(dir, i == 1, arg))
			r = prong_cpu_count() == (want < before ? want : before) ? 0 : 1;
		put(base[i], "cgroup.procs", "0");
		rmdir(dir);
	}
	if (r == HELPER_SKIP)
		fprintf(stderr, "cannot make a control group with a quota here\n");
	return r;
}

static void less_with_a_quota(void **state)
{
	(void)state;
	helper_run("quota", "50000");
	helper_run("quota", "100000");
	helper_run("quota", "150000"); /* rounded up */
}

static const struct helper helpers[] = {
	{ "quota", helper_quota },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(all_of_the_mask),
	CASE(less_with_a_smaller_mask),
	CASE(less_with_a_quota),
};

TEST_MAIN(tests, TEST_CLOSED, helpers)
