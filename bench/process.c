/* Processes: start and join, and how long until the first instruction of the function runs; from a
   small program, from one with much memory, and many in a row.

   Each start is measured by itself, with a pause before it in which the machine can put things in
   order (prong then has a child ready; the peers get the same pause), but for the rows "in a row".
   Nothing is pinned: where a new process runs is part of the work.  The floor is
   clone(CLONE_VM) + exit + waitpid, a process without an address space of its own, with the same
   pauses or in a row as well.

   Not measured: starts with options, and exec but for the tiny programs. */
#include "bench.h"
#include <err.h>
#include <grp.h>
#include <prong/prong.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
	JOIN,
	FIRST
}; /* channels */
enum {
	PAUSE_US = 1000,
	GIB = 1 << 30
};

/* One start and join: when it began, when the child's function ran (0: not known) and when it had
   been joined. */
struct life {
	int64_t began, first, joined;
};

typedef void live_fn(struct life *life);

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

/* --- how processes are started ---------------------------------------------------------------- */

static int note_time(void *arg)
{
	*(volatile int64_t *)arg = bench_now();
	return 0;
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void live_prong(struct life *life)
{
	static int64_t *first;
	prong_process *p;

	if (!first)
		first = prong_alloc(sizeof(*first));
	if (!first)
		errx(1, "prong_alloc");
	life->began = bench_now();
	must(prong_process_start(&p, note_time, first, 0, NULL), "prong_process_start");
	must(prong_process_join(p, NULL, PRONG_FOREVER), "prong_process_join");
	life->joined = bench_now();
	life->first = *(volatile int64_t *)first;
	prong_process_free(p);
}

static void live_fork(struct life *life)
{
	static volatile int64_t *first;
	pid_t pid;

	if (!first)
		first = bench_shared(sizeof(*first));
	life->began = bench_now();
	pid = fork();
	if (pid == 0) {
		*first = bench_now();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		err(1, "fork");
	life->joined = bench_now();
	life->first = *first;
}

static void live_vfork(struct life *life)
{
	pid_t pid;

	life->began = bench_now();
	pid = vfork();
	if (pid == 0)
		_exit(0);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		err(1, "vfork");
	life->joined = bench_now();
}

static void live_bare(struct life *life)
{
	life->began = bench_now();
	bench_bare_process();
	life->joined = bench_now();
}

static void spawn(struct life *life, const char *path)
{
	char name[] = "true";
	char *argv[] = { name, NULL };
	pid_t pid;
	int r;

	life->began = bench_now();
	r = posix_spawn(&pid, path, NULL, NULL, argv, environ);
	if (r || waitpid(pid, NULL, 0) != pid)
		errx(1, "posix_spawn %s: %s", path, strerror(r));
	life->joined = bench_now();
}

static void live_spawn_tiny(struct life *life)
{
	spawn(life, BENCH_TRUE);
}

static void live_spawn_true(struct life *life)
{
	spawn(life, "/bin/true");
}

static const char *no_tiny(void)
{
	return access(BENCH_TRUE, X_OK) == 0 ? NULL : BENCH_TRUE " is not there";
}

static const char *no_true(void)
{
	return access("/bin/true", X_OK) == 0 ? NULL : "there is no /bin/true";
}

/* --- runs ------------------------------------------------------------------------------------- */

struct spaced {
	live_fn *live;
	unsigned n;
	void (*become)(void); /* in a fresh process, before it opens a family; or NULL */
};

static void run_spaced(const void *arg, struct bench_out *out)
{
	const struct spaced *s = arg;
	double join[BENCH_VALUES], first[BENCH_VALUES];
	unsigned n = bench_count(s->n), known = 0;

	for (unsigned i = 0; i < n; i++) {
		struct life life = { 0 };

		bench_sleep_us(PAUSE_US);
		s->live(&life);
		join[i] = (double)(life.joined - life.began) / 1e3;
		if (life.first)
			first[known++] = (double)(life.first - life.began) / 1e3;
	}
	bench_push_median(out, JOIN, join, n);
	bench_push_median(out, FIRST, first, known);
}

/* One figure is the floor of both channels. */
static void run_floor(const void *arg, struct bench_out *out)
{
	run_spaced(arg, out);
	bench_push(out, FIRST, out->v[JOIN][0]);
}

static void write_to_file(void)
{
	FILE *f = tmpfile();

	if (!f || dup2(fileno(f), STDOUT_FILENO) < 0)
		err(1, "tmpfile");
}

/* A start compares the starter's rights with the server's, and root's are many more. */
static void be_nobody(void)
{
	enum { NOBODY = 65534 };

	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		err(1, "setuid");
}

static const char *no_nobody(void)
{
	return geteuid() == 0 ? NULL : "this is an ordinary user";
}

/* In a new small process with its own family. */
static void run_fresh(const void *arg, struct bench_out *out)
{
	const struct spaced *s = arg;
	int pid = bench_fork(), status;

	if (pid == 0) {
		s->become();
		must(prong_open(NULL), "prong_open");
		run_spaced(arg, out);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		errx(1, "a fresh process failed");
}

static void push_each(struct bench_out *out, int64_t since, unsigned n)
{
	bench_push(out, JOIN, (double)(bench_now() - since) / 1e3 / n);
}

static void run_row_bare(const void *arg, struct bench_out *out)
{
	unsigned n = bench_count(500);
	int64_t t = bench_now();

	(void)arg;
	for (unsigned i = 0; i < n; i++)
		bench_bare_process();
	push_each(out, t, n);
}

static void run_row_prong(const void *arg, struct bench_out *out)
{
	unsigned n = bench_count(10000);
	int64_t t = bench_now();
	prong_process *p;

	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		must(prong_process_start(&p, do_nothing, NULL, 0, NULL), "prong_process_start");
		must(prong_process_join(p, NULL, PRONG_FOREVER), "prong_process_join");
		prong_process_free(p);
	}
	push_each(out, t, n);
}

static void run_row_fork(const void *arg, struct bench_out *out)
{
	unsigned n = bench_count(10000);
	int64_t t = bench_now();

	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			err(1, "fork");
	}
	push_each(out, t, n);
}

/* --- Python ----------------------------------------------------------------------------------- */

struct python {
	const char *method;
	unsigned n;
};

static const char no_python_text[] = "there is no python3 with multiprocessing";

static const char *no_python(void)
{
	static int status = -1;

	if (status < 0)
		status = system("python3 -c 'import multiprocessing' >/dev/null 2>&1");
	return status == 0 ? NULL : no_python_text;
}

/* One start is not counted: it starts the fork server. */
static void run_python(const void *arg, struct bench_out *out)
{
	static const char script[] = "import multiprocessing as m, time, sys\n"
				     "c = m.get_context(sys.argv[1])\n"
				     "for i in range(int(sys.argv[2]) + 1):\n"
				     "    time.sleep(0.001)\n"
				     "    t = time.perf_counter()\n"
				     "    p = c.Process(target=int); p.start(); p.join()\n"
				     "    if i: print((time.perf_counter() - t) * 1e6)\n";
	const struct python *py = arg;
	double us[BENCH_VALUES];
	char command[1024];
	unsigned n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "python3 -c '%s' %s %u 2>/dev/null", script, py->method,
		 bench_count(py->n));
	f = popen(command, "re");
	while (f && n < BENCH_VALUES && fscanf(f, "%lf", &us[n]) == 1)
		n++;
	if (f)
		pclose(f);
	bench_push_median(out, JOIN, us, n);
}

/* --- a large parent --------------------------------------------------------------------------- */

static void *ballast;
static size_t ballast_size;

static const char *load(size_t size)
{
	ballast_size = size;
	ballast = bench_ballast(size);
	return ballast ? NULL : "too little memory is free";
}

static const char *load_1(void)
{
	return load((size_t)GIB);
}

static const char *load_4(void)
{
	return load(4 * (size_t)GIB);
}

static void unload(void)
{
	if (ballast)
		bench_ballast_free(ballast, ballast_size);
	ballast = NULL;
}

/* --- cases ------------------------------------------------------------------------------------ */

static const struct spaced prong_40 = { live_prong, 40, NULL },
			   file_40 = { live_prong, 40, write_to_file },
			   nobody_40 = { live_prong, 40, be_nobody },
			   fork_40 = { live_fork, 40, NULL }, vfork_40 = { live_vfork, 40, NULL },
			   tiny_40 = { live_spawn_tiny, 40, NULL },
			   true_20 = { live_spawn_true, 20, NULL },
			   fork_2 = { live_fork, 2, NULL }, bare_20 = { live_bare, 20, NULL };
static const struct python by_fork = { "fork", 10 }, by_forkserver = { "forkserver", 3 };

#define FLOOR { "clone(CLONE_VM) + exit + waitpid", run_floor, &bare_20, false, NULL }
#define METRICS { { "start-join", "us", JOIN, 0 }, { "first-instruction", "us", FIRST, 0 } }
#define LARGE(gib) \
	.reps = 5, .floor = FLOOR, .metrics = METRICS, \
	.subjects = { \
		{ "prong, caller has " gib " touched", run_spaced, &prong_40, true, NULL }, \
		{ "glibc fork, caller has " gib " touched", run_spaced, &fork_2, true, NULL }, \
		{ "glibc fork, small caller", run_spaced, &fork_40, false, NULL }, \
	}, \
	.versus = { \
		{ "prong, " gib " : glibc fork, small caller", 0, 0, 0, 1 << 2, false }, \
		{ "prong, " gib " : glibc fork, small caller", 1, 0, 1, 1 << 2, false }, \
		{ "prong, " gib " : start-join of glibc fork", 1, 0, 0, 1 << 2, false }, \
	}

const struct bench_case bench_process[] = {
	{
		.name = "process",
		.floor = FLOOR,
		.metrics = METRICS,
		.subjects = {
			{ "prong", run_spaced, &prong_40, true, NULL },
			{ "glibc fork + _exit + waitpid, small caller", run_spaced, &fork_40, false,
			  NULL },
			{ "prong, stdout a regular file", run_fresh, &file_40, false, NULL },
			{ "prong, not as root", run_fresh, &nobody_40, false, no_nobody },
			{ "vfork + _exit + waitpid", run_spaced, &vfork_40, false, NULL },
			{ "posix_spawn, tiny static program", run_spaced, &tiny_40, false,
			  no_tiny },
			{ "posix_spawn, /bin/true", run_spaced, &true_20, false, no_true },
			{ "Python multiprocessing, fork", run_python, &by_fork, false, no_python },
			{ "Python multiprocessing, forkserver", run_python, &by_forkserver, false,
			  no_python },
		},
		.versus = {
			{ "prong : glibc fork", 0, 0, 0, 1 << 1, false },
			{ "prong : glibc fork", 1, 0, 1, 1 << 1, false },
			{ "prong : start-join of glibc fork", 1, 0, 0, 1 << 1, false },
			{ "prong, not as root : glibc fork", 0, 3, 0, 1 << 1, false },
			{ "prong, not as root : start-join of glibc fork", 1, 3, 0, 1 << 1, false },
		},
	},
	{
		.name = "process-in-a-row",
		.reps = 3,
		.floor = { "clone(CLONE_VM) + exit + waitpid, in a row", run_row_bare, NULL, false,
			   NULL },
		.metrics = { { "start-join", "us", JOIN, 0 } },
		.subjects = {
			{ "prong, 10,000 in a row", run_row_prong, NULL, true, NULL },
			{ "glibc fork + _exit + waitpid, 10,000 in a row", run_row_fork, NULL,
			  false, NULL },
		},
		.versus = { { "prong : glibc fork", 0, 0, 0, 1 << 1, false } },
	},
	{ .name = "process-1GiB", LARGE("1 GiB"), .before = load_1, .after = unload },
	{ .name = "process-4GiB", LARGE("4 GiB"), .before = load_4, .after = unload },
	{ .name = NULL },
};
