/* What the tests see of the system from outside: /proc, and nothing else. */
#define _GNU_SOURCE
#include "support.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>

char pid_state(pid_t pid, pid_t *ppid)
{
	char path[64], text[512], *after_name;
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = 0;
	after_name = strrchr(text, ')');
	if (!after_name || after_name[1] == 0)
		return 0;
	if (ppid)
		*ppid = atoi(after_name + 4);
	return after_name[2];
}

static bool has_ended(void *arg)
{
	char state = pid_state(*(pid_t *)arg, NULL);

	return state == 0 || state == 'Z' || state == 'X';
}

bool pid_gone(pid_t pid, int ms)
{
	return wait_until(has_ended, &pid, ms);
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int open_fds(int *fds, int max)
{
	/* valgrind keeps its own above the limit that it tells. */
	int n = 0, all = under_valgrind() ? (int)sysconf(_SC_OPEN_MAX) : INT_MAX;
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;

	CHECK(dir != NULL);
	while ((d = readdir(dir))) {
		int fd = isdigit((unsigned char)d->d_name[0]) ? atoi(d->d_name) : all;

		if (fd < all && fd != dirfd(dir) && n < max)
			fds[n++] = fd;
	}
	closedir(dir);
	qsort(fds, (size_t)n, sizeof *fds, by_value);
	return n;
}

/* The inode of the mapping in process pid that has address at in it, or with inode the first
   address where that one is mapped. */
static unsigned long find_mapping(pid_t pid, uintptr_t at, unsigned long inode)
{
	unsigned long from, to, node, found = 0;
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (!found && fgets(line, sizeof line, f)) {
		if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &node) != 3 || !node)
			continue;
		if (inode ? node == inode && strstr(line, "memfd:") : at >= from && at < to)
			found = inode ? from : node;
	}
	fclose(f);
	return found;
}

unsigned long heap_inode(void)
{
	static unsigned long known;
	void *p;

	if (!known) {
		p = prong_alloc(1);
		known = find_mapping(getpid(), (uintptr_t)p, 0);
		prong_free(p);
	}
	return known;
}

int heap_mappers(unsigned long inode, pid_t *pids, int max)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	int n = 0;

	CHECK(dir != NULL);
	while ((d = readdir(dir))) {
		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		if (find_mapping(atoi(d->d_name), 0, inode) && n++ < max)
			pids[n - 1] = atoi(d->d_name);
	}
	closedir(dir);
	return n;
}

static int body_tell_parent(void *arg)
{
	*(pid_t *)arg = getppid();
	return 0;
}

pid_t server_pid(void)
{
	pid_t *p = shared(sizeof *p), pid;

	/* A server that has just been killed may take this process along. */
	for (int i = 0; run(body_tell_parent, p, 0) != 0; i++)
		CHECK(i < 100);
	pid = *p;
	prong_free(p);
	return pid;
}

pid_t guard_pid(void)
{
	pid_t guard = 0;

	CHECK(pid_state(server_pid(), &guard) != 0);
	return guard;
}

size_t rss(pid_t pid)
{
	unsigned long pages = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/statm", pid);
	f = fopen(path, "re");
	if (f) {
		if (fscanf(f, "%*u %lu", &pages) != 1)
			pages = 0;
		fclose(f);
	}
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

int count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	int c, n = 0;

	if (!f)
		return -1;
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}
