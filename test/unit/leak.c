/* The leak check around each case: whatever it did, the program has the same descriptors,
   children, mappings, blocks, slots and family members as before, and no zombie. */
#define _GNU_SOURCE
#include "support.h"

#include <ctype.h>
#include <dirent.h>

#define MAX_FDS 256

struct snapshot {
	int nfds, fds[MAX_FDS];
	int children;      /* of this process, zombies too */
	int family;        /* processes that have the heap mapped */
	int zombies;       /* children of those */
	int shared_maps;   /* mappings that other processes may see */
	uint64_t blocks;
	uint32_t processes, threads;
};

static struct snapshot before;

static int count_shared_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512], perms[8];
	int n = 0;

	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		n += sscanf(line, "%*x-%*x %7s", perms) == 1 && perms[3] == 's';
	fclose(f);
	return n;
}

static bool contains(const pid_t *pids, int n, pid_t pid)
{
	for (int i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

static void count_processes(struct snapshot *s)
{
	static pid_t family[4096];
	DIR *dir = opendir("/proc");
	prong_family_stats st;
	struct dirent *d;
	pid_t ppid;

	CHECK(dir != NULL);
	prong_family_stat(&st);
	if (st.heap_size)
		s->family = heap_mappers(heap_inode(), family, 4096);
	while ((d = readdir(dir))) {
		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		char state = pid_state(atoi(d->d_name), &ppid);

		s->children += state != 0 && ppid == getpid();
		s->zombies += state == 'Z' && contains(family, s->family, ppid);
	}
	closedir(dir);
}

static void take(struct snapshot *s)
{
	prong_family_stats st;

	memset(s, 0, sizeof *s);
	s->nfds = open_fds(s->fds, MAX_FDS);
	count_processes(s);
	s->shared_maps = count_shared_maps();
	prong_family_stat(&st);
	s->blocks = st.blocks;
	s->processes = st.processes;
	s->threads = st.threads;
}

static void say(const char *what, long long was, long long is)
{
	if (was != is)
		print_error("left behind: %s were %lld, are %lld\n", what, was, is);
}

static void explain(const struct snapshot *now)
{
	say("descriptors", before.nfds, now->nfds);
	say("children", before.children, now->children);
	say("processes with the heap", before.family, now->family);
	say("zombies", before.zombies, now->zombies);
	say("shared mappings", before.shared_maps, now->shared_maps);
	say("blocks", (long long)before.blocks, (long long)now->blocks);
	say("processes", before.processes, now->processes);
	say("slots", before.threads, now->threads);
}

/* The block of a process that nobody holds any more is freed when its record is used again. */
static void use_records(void)
{
	prong_family_stats st;
	int zero = 0;

	prong_family_stat(&st);
	if (st.servers)
		run(body_return, &zero, sizeof zero);
}

/* A case may be over before the server has forked its next ready child or the kernel has torn a
   thread down: things get some time to settle. */
static bool settled(void *arg)
{
	struct snapshot *now = arg;

	take(now);
	if (now->blocks > before.blocks)
		use_records();
	return memcmp(now, &before, sizeof before) == 0;
}

int leak_begin(void **state)
{
	struct snapshot last;

	(void)state;
	alarm((unsigned)((getenv("PRONG_TEST_SCALE") ? 2400 : 240) * slowness()));
	take(&before);
	do {
		memcpy(&last, &before, sizeof last);
		sleep_ms(10);
		take(&before);
	} while (memcmp(&last, &before, sizeof last) != 0);
	return 0;
}

int leak_end(void **state)
{
	struct snapshot now;
	bool same = wait_until(settled, &now, 5000 * slowness());

	(void)state;
	alarm(0);
	if (!same)
		explain(&now);
	return same ? 0 : -1;
}
