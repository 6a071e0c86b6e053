/* The peers of pool.c, which all are programs: Pythons, that are looked for when this runs, and
   what was built beside it for the libraries that there were. */
#include "pool.h"
#include <err.h>
#include <stdlib.h>
#include <string.h>

/* Push each figure that the command prints. */
static void ask(const char *command, struct bench_out *out)
{
	FILE *answer = popen(command, "re");
	double value;

	if (!answer)
		return;
	while (fscanf(answer, "%lf", &value) == 1)
		bench_push(out, 0, value);
	pclose(answer);
}

/* --- Pythons ---------------------------------------------------------------------------------- */

/* Where to look, the best last; and what it has to have. */
static const struct {
	const char *list, *module;
} wanted[] = {
	[BENCH_PYTHON3] = { "echo python3", "multiprocessing.synchronize" },
	[BENCH_NEWEST] = { "ls \"${PYENV_ROOT:-$HOME/.pyenv}\"/versions/3.*/bin/python | sort -V",
			   "multiprocessing.synchronize" },
	[BENCH_JOBLIB] = { "echo /usr/bin/python3; echo python3", "joblib" },
};

/* Its command; "" when there is none.  Asked once in a process. */
static const char *command_of(enum bench_pool_python python)
{
	static char found[BENCH_PYTHONS][800];
	static bool asked[BENCH_PYTHONS];
	char line[300];
	FILE *answer;

	if (asked[python])
		return found[python];
	asked[python] = true;
	snprintf(line, sizeof line,
		 "{ %s; } 2>/dev/null | while read -r p; do "
		 "\"$p\" -c 'import %s' >/dev/null 2>&1 && echo \"$p\"; done | tail -n 1",
		 wanted[python].list, wanted[python].module);
	answer = popen(line, "re");
	if (answer) {
		if (!fgets(found[python], sizeof found[python], answer))
			found[python][0] = 0;
		pclose(answer);
	}
	found[python][strcspn(found[python], "\n")] = 0;
	return found[python];
}

const char *bench_pool_no_python(void)
{
	return *command_of(BENCH_PYTHON3) ? NULL : "there is no python3 with multiprocessing";
}

const char *bench_pool_no_newest(void)
{
	return *command_of(BENCH_NEWEST) ? NULL : "pyenv has no Python";
}

const char *bench_pool_no_joblib(void)
{
	return *command_of(BENCH_JOBLIB) ? NULL : "no python3 has joblib";
}

void bench_pool_py(const void *arg, struct bench_out *out)
{
	const struct bench_pool_py *py = arg;
	char line[1000];

	snprintf(line, sizeof line, "'%s' '%s' %s %u 2>/dev/null", command_of(py->python),
		 BENCH_POOL_PY, py->what, bench_count(py->n));
	ask(line, out);
}

/* --- other libraries -------------------------------------------------------------------------- */

static const char *unless(const char *program, const char *why)
{
	return *program ? NULL : why;
}

const char *bench_pool_no_libgomp(void)
{
	return unless(BENCH_LIBGOMP, "no gcc with OpenMP was there when this was built");
}

const char *bench_pool_no_libomp(void)
{
	return unless(BENCH_LIBOMP, "no clang with OpenMP was there when this was built");
}

const char *bench_pool_no_tbb(void)
{
	return unless(BENCH_TBB, "TBB was not there, or no C++, when this was built");
}

const char *bench_pool_no_glib(void)
{
	return unless(BENCH_GLIB, "GLib was not there when this was built");
}

const char *bench_pool_no_libuv(void)
{
	return unless(BENCH_LIBUV, "libuv was not there when this was built");
}

void bench_pool_peer(const void *arg, struct bench_out *out)
{
	const struct bench_pool_peer *peer = arg;
	char line[1000];

	snprintf(line, sizeof line, "'%s' %s %u", peer->program, peer->what,
		 peer->whole ? peer->n : bench_count(peer->n));
	ask(line, out);
}
