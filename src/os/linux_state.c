/* What a process is allowed and how it is treated, read and set: so that a child gets its starter's
   treatment, and never more rights.  The rights are compared as a whole, so what they mean does
   not matter here; only that every change shows. */
#define _GNU_SOURCE
#include "os/os.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <sys/single_threaded.h>
#endif

#define STATX_INO_AND_MNT_ID 0x1100U

static uint64_t hash(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}

static int read_groups(struct prongi_creds *c)
{
	gid_t few[64], *list = few;
	int n = getgroups(64, few);

	if (n < 0 && errno == EINVAL) {
		n = getgroups(0, NULL);
		list = n > 0 ? calloc((size_t)n, sizeof *list) : NULL;
		n = list ? getgroups(n, list) : -1;
	}
	if (n >= 0) {
		c->ngroups = (uint32_t)n;
		c->groups = hash(list, (size_t)n * sizeof *list);
	}
	if (list != few)
		free(list);
	return n < 0 ? -ENOMEM : 0;
}

static void read_caps(struct prongi_creds *c)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	if (syscall(SYS_capget, &head, data))
		return;
	c->caps[0] = data[0].effective | (uint64_t)data[1].effective << 32;
	c->caps[1] = data[0].permitted | (uint64_t)data[1].permitted << 32;
	c->caps[2] = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	if (!(c->caps[1] >> CAP_SETPCAP & 1)) /* then the rest cannot have changed */
		return;
	for (int cap = 0, r; cap < 64; cap++) {
		r = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (r < 0)
			break;
		c->caps[3] |= (uint64_t)r << cap;
		if (c->caps[2] && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			c->caps[4] |= (uint64_t)1 << cap;
	}
}

/* The number in a link such as "net:[4026531840]".  Reading the link costs a third of following
   it. */
static uint64_t read_ns(const char *path)
{
	char text[64];
	ssize_t n = readlink(path, text, sizeof text - 1);
	char *p;

	text[n > 0 ? n : 0] = '\0';
	p = strchr(text, '[');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

/* A new mount namespace has mounts with new numbers, so the root's mount tells of it, cheaply.  As
   words: not every C library has struct statx, and few its mount number, which is 0 before Linux
   5.8. */
static void read_root(struct prongi_creds *c)
{
	enum { INO = 4, DEV = 17, MNT_ID = 18, WORDS = 32 };
	uint64_t s[WORDS] = { 0 };

	if (syscall(SYS_statx, AT_FDCWD, "/", 0, STATX_INO_AND_MNT_ID, s) == 0) {
		c->root[0] = s[DEV];
		c->root[1] = s[INO];
		c->ns[0] = s[MNT_ID];
	}
}

/* Without CAP_SYS_ADMIN a process gets into other namespaces only by way of a new user
   namespace. */
static void read_places(struct prongi_creds *c)
{
	static const char *const names[] = {
		"/proc/thread-self/ns/net", "/proc/thread-self/ns/pid_for_children",
		"/proc/thread-self/ns/ipc", "/proc/thread-self/ns/uts",
		"/proc/thread-self/ns/cgroup", "/proc/thread-self/ns/time_for_children",
	};

	read_root(c);
	c->ns[1] = read_ns("/proc/thread-self/ns/user");
	if (c->caps[1] >> CAP_SYS_ADMIN & 1)
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			c->ns[2 + i] = read_ns(names[i]);
}

/* Store the number in a line of the thread's status such as "\nUmask:".  -ENOENT: there is no such
   line; or what open() said. */
static int read_status(const char *line, int base, uint32_t *out)
{
	char text[4096], *p;
	int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	p = strstr(text, line);
	if (!p)
		return -ENOENT;
	*out = (uint32_t)strtoul(p + strlen(line), NULL, base);
	return 0;
}

/* Filters are only ever added, so how many there are tells whether one was. */
static int read_security(struct prongi_creds *c)
{
	int mode = prctl(PR_GET_SECCOMP), r = 0;

	c->secure = (uint32_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) | (uint32_t)mode << 1 |
		    (uint32_t)prctl(PR_GET_SECUREBITS) << 8;
	if (mode == SECCOMP_MODE_FILTER)
		r = read_status("\nSeccomp_filters:", 10, &c->filters);
	c->filters_unknown = r != 0;
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM ? r : 0;
}

int prongi_os_creds(struct prongi_creds *c)
{
	uid_t u[3];
	gid_t g[3];
	int r;

	memset(c, 0, sizeof *c);
	if (getresuid(&u[0], &u[1], &u[2]) || getresgid(&g[0], &g[1], &g[2]))
		return -errno;
	for (int i = 0; i < 3; i++) {
		c->ids[i] = u[i];
		c->ids[i + 3] = g[i];
	}
	r = read_groups(c);
	if (r)
		return r;
	read_caps(c);
	read_places(c);
	return read_security(c);
}

static const int resources[] = {
	RLIMIT_CPU,   RLIMIT_FSIZE, RLIMIT_DATA,   RLIMIT_STACK,      RLIMIT_CORE, RLIMIT_RSS,
	RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_AS,       RLIMIT_LOCKS,
	RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO, RLIMIT_RTTIME,
};
_Static_assert(sizeof resources / sizeof *resources == PRONGI_LIMITS, "all limits");

bool prongi_os_limit_known(int resource)
{
	for (int i = 0; i < PRONGI_LIMITS; i++)
		if (resources[i] == resource)
			return true;
	return false;
}

int prongi_os_limit_set(int resource, uint64_t soft, uint64_t hard)
{
	struct rlimit r = { soft == UINT64_MAX ? RLIM_INFINITY : (rlim_t)soft,
			    hard == UINT64_MAX ? RLIM_INFINITY : (rlim_t)hard };

	return setrlimit(resource, &r) ? -errno : 0;
}

void prongi_os_manner(struct prongi_manner *m)
{
	memset(m, 0, sizeof *m);
	/* The system call alone fills as many bytes as there are; the wrapper clears the rest. */
	syscall(SYS_sched_getaffinity, 0, sizeof m->cpus, m->cpus);
	errno = 0;
	m->nice = getpriority(PRIO_PROCESS, 0);
	for (int i = 0; i < PRONGI_LIMITS; i++) {
		struct rlimit r;

		if (getrlimit(resources[i], &r) == 0) {
			m->limits[i][0] = r.rlim_cur == RLIM_INFINITY ? UINT64_MAX : r.rlim_cur;
			m->limits[i][1] = r.rlim_max == RLIM_INFINITY ? UINT64_MAX : r.rlim_max;
		}
	}
}

bool prongi_os_many_processors(void)
{
	uint64_t cpus[PRONGI_CPU_WORDS] = { 0 };
	int n = 0;

	syscall(SYS_sched_getaffinity, 0, sizeof cpus, cpus);
	for (int i = 0; i < PRONGI_CPU_WORDS; i++)
		n += __builtin_popcountll(cpus[i]);
	return n > 1;
}

/* Only what differs, so that what the process could not do anyhow is not asked for. */
int prongi_os_manner_set(const struct prongi_manner *now, const struct prongi_manner *old)
{
	int r = 0;

	if (memcmp(now->cpus, old->cpus, sizeof now->cpus) &&
	    syscall(SYS_sched_setaffinity, 0, sizeof now->cpus, now->cpus) < 0)
		return -errno;
	if (now->nice != old->nice && setpriority(PRIO_PROCESS, 0, (int)now->nice))
		return -errno;
	for (int i = 0; i < PRONGI_LIMITS && r == 0; i++)
		if (memcmp(now->limits[i], old->limits[i], sizeof now->limits[i]))
			r = prongi_os_limit_set(resources[i], now->limits[i][0], now->limits[i][1]);
	return r;
}

/* All that tells one open file from another without asking the other process.  0s: not open. */
static void identify(int fd, uint64_t id[4])
{
	struct stat s;

	memset(id, 0, 4 * sizeof *id);
	if (fstat(fd, &s))
		return;
	id[0] = s.st_dev;
	id[1] = s.st_ino;
	id[2] = s.st_rdev;
	id[3] = (uint64_t)fcntl(fd, F_GETFL) | (uint64_t)1 << 62 |
		(uint64_t)(S_ISREG(s.st_mode) && !(fcntl(fd, F_GETFL) & O_APPEND)) << 63;
}

void prongi_os_stdio_id(struct prongi_stdio_id *id)
{
	for (int i = 0; i < 3; i++)
		identify(i, id->file[i]);
}

#define KCMP_FILE 0 /* <linux/kcmp.h> is not everywhere */

/* kcmp() knows.  Where it is missing or refused, what is the same file, but for regular ones: two
   openings of one file cannot be told apart, and have each their own position. */
static int same(int pid, int fd, const uint64_t old[4])
{
	long r = syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, fd, fd);
	uint64_t now[4];

	if (r >= 0)
		return r == 0;
	if (errno == ESRCH)
		return -ESRCH;
	identify(fd, now);
	return !(now[3] >> 63) && memcmp(now, old, sizeof now) == 0;
}

int prongi_os_stdio_same(int pid, const struct prongi_stdio_id *id)
{
	int r = 1;

	for (int i = 0; i < 3 && r == 1; i++)
		r = same(pid, i, id->file[i]);
	return r;
}

/* The only call that tells the umask sets it, for all threads of the process: a file that another
   thread makes meanwhile would get the wrong mode.  With one thread that cannot happen. */
uint32_t prongi_os_umask(void)
{
	uint32_t told = 022;

#if defined(__GLIBC__)
	if (__libc_single_threaded) {
		mode_t old = umask(077);

		umask(old);
		return old;
	}
#endif
	(void)read_status("\nUmask:", 8, &told);
	return told;
}
