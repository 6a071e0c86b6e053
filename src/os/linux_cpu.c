/* How many processors this process may use: its affinity mask, and the quotas of its control
   groups, version 2 and 1.  Nothing is remembered: both may change while the program runs.

   What cannot be read or makes no sense counts as "no quota": a number that is too large makes a
   program slow, an error would keep it from running. */
#define _GNU_SOURCE
#include "os/thread_os.h"
#include <prong/family.h>
#include <ctype.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int affinity_count(void)
{
	size_t size;
	cpu_set_t *set = prongi_os_affinity(&size);
	long n;

	if (set) {
		n = CPU_COUNT_S(size, set);
		free(set);
	} else {
		n = sysconf(_SC_NPROCESSORS_ONLN);
	}
	return n > 0 && n < INT_MAX ? (int)n : 1;
}

/* --- quotas ------------------------------------------------------------------------------ */

/* The less of two quotas; 0 is none. */
static int least(int a, int b)
{
	if (!a || !b)
		return a ? a : b;
	return a < b ? a : b;
}

static int round_up(long long quota, long long period)
{
	long long n;

	if (quota <= 0 || period <= 0)
		return 0;
	n = quota / period + (quota % period != 0);
	return n < INT_MAX ? (int)n : 0;
}

/* Open root + dir + name, or return NULL. */
static FILE *open_in(const char *root, const char *dir, const char *name)
{
	FILE *file = NULL;
	char *path;

	if (asprintf(&path, "%s%s%s", root, dir, name) < 0)
		return NULL;
	file = fopen(path, "re");
	free(path);
	return file;
}

/* Read up to two numbers, separated by a blank; what is no number, such as "max", is -1. */
static void read_numbers(const char *root, const char *dir, const char *name, long long n[2])
{
	FILE *file = open_in(root, dir, name);
	char text[64], *at = text;

	n[0] = n[1] = -1;
	if (!file)
		return;
	if (fgets(text, sizeof text, file)) {
		for (int i = 0; i < 2; i++) {
			char *word = strsep(&at, " \n");
			char *end;

			if (word && isdigit((unsigned char)*word))
				n[i] = strtoll(word, &end, 10);
		}
	}
	fclose(file);
}

/* The quota that one group of version 2 sets, "MICROSECONDS PERIOD" or "max PERIOD". */
static int quota_v2(const char *root, const char *dir)
{
	long long n[2];

	read_numbers(root, dir, "/cpu.max", n);
	return round_up(n[0], n[1]);
}

static int quota_v1(const char *root, const char *dir)
{
	long long quota[2], period[2];

	read_numbers(root, dir, "/cpu.cfs_quota_us", quota);
	read_numbers(root, dir, "/cpu.cfs_period_us", period);
	return round_up(quota[0], period[0]);
}

/* The least quota of the group and those around it, up to where the hierarchy is mounted: each
   binds.  dir is the group's folder, and begins with the mount point's length bytes. */
static int quota_upwards(const char *root, char *dir, size_t mount_length, bool v2)
{
	int n = 0;

	for (;;) {
		char *slash;

		n = least(n, v2 ? quota_v2(root, dir) : quota_v1(root, dir));
		slash = strrchr(dir, '/');
		if (!slash || (size_t)(slash - dir) < mount_length)
			return n;
		*slash = '\0';
	}
}

/* --- where the group is ------------------------------------------------------------------- */

/* True when the comma-separated list has the word. */
static bool lists(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (;;) {
		size_t length = strcspn(list, ",");

		if (length == n && memcmp(list, word, n) == 0)
			return true;
		if (!list[length])
			return false;
		list += length + 1;
	}
}

/* From /proc/self/cgroup, whose lines are "NUMBER:CONTROLLERS:PATH": the path of this process's
   group in the hierarchy of version 2, which is number 0, or in that of version 1 which has the
   controller cpu.  Caller frees; NULL: none. */
static char *group_path(const char *root, bool v2)
{
	FILE *file = open_in(root, "/proc/self", "/cgroup");
	char *line = NULL, *path = NULL;
	size_t room = 0;

	while (file && !path && getline(&line, &room, file) > 0) {
		char *at = line;
		const char *number = strsep(&at, ":");
		const char *controllers = strsep(&at, ":");

		if (!controllers || !at || *at != '/')
			continue;
		if (v2 ? strcmp(number, "0") == 0 && !*controllers : lists(controllers, "cpu"))
			path = strdup(strsep(&at, "\n"));
	}
	free(line);
	if (file)
		fclose(file);
	return path;
}

/* Blanks and the like are written as "\040" in mountinfo. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		unsigned int c;

		if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*to++ = (char)c;
			s += strnlen(s, 4);
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* What a line of mountinfo says: "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE
   SUPER-OPTIONS". */
struct mount {
	char *root, *point, *type, *options;
};

static bool parse_mount(char *line, struct mount *m)
{
	char *word[5];
	char *rest = strstr(line, " - ");

	if (!rest)
		return false;
	*rest = '\0';
	rest += 3;
	for (int i = 0; i < 5; i++) {
		word[i] = strsep(&line, " ");
		if (!word[i])
			return false;
	}
	m->root = word[3];
	m->point = word[4];
	m->type = strsep(&rest, " ");
	strsep(&rest, " ");
	m->options = rest ? strsep(&rest, " \n") : NULL;
	unescape(m->root);
	unescape(m->point);
	return m->options && *m->point == '/';
}

static bool is_hierarchy(const struct mount *m, bool v2)
{
	if (v2)
		return strcmp(m->type, "cgroup2") == 0;
	return strcmp(m->type, "cgroup") == 0 && lists(m->options, "cpu");
}

/* The part of a group's path below the folder that is mounted.  In a container that folder can be
   the group itself, or the path can lead out of what is mounted: then the mount point is the best
   there is. */
static const char *below(const char *mounted, const char *path)
{
	size_t n = strlen(mounted);

	if (n && mounted[n - 1] == '/')
		n--;
	if (strncmp(mounted, path, n) != 0 || path[n] != '/' || strstr(path, "/.."))
		return "";
	return path[n + 1] ? path + n : "";
}

static int quota_at(const char *root, const struct mount *m, const char *path, bool v2)
{
	char *dir;
	int n;

	if (asprintf(&dir, "%s%s", m->point, below(m->root, path)) < 0)
		return 0;
	n = quota_upwards(root, dir, strlen(m->point), v2);
	free(dir);
	return n;
}

/* The quota in the first mount of the hierarchy; others show the same. */
static int quota_of(const char *root, bool v2)
{
	char *path = group_path(root, v2);
	FILE *file = path ? open_in(root, "/proc/self", "/mountinfo") : NULL;
	char *line = NULL;
	size_t room = 0;
	struct mount m;
	int n = 0;

	while (file && getline(&line, &room, file) > 0) {
		if (parse_mount(line, &m) && is_hierarchy(&m, v2)) {
			n = quota_at(root, &m, path, v2);
			break;
		}
	}
	free(line);
	free(path);
	if (file)
		fclose(file);
	return n;
}

/* A system can have both hierarchies; the controller is in one of them. */
int prongi_cpu_quota(const char *root)
{
	return least(quota_of(root, true), quota_of(root, false));
}

/* Reading files is a cancellation point, and no function of prong's is. */
int prong_cpu_count(void)
{
	int state, n;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	n = least(affinity_count(), prongi_cpu_quota(""));
	pthread_setcancelstate(state, NULL);
	return n;
}
