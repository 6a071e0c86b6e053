/* The peers of pool.c: how Pythons are found and asked, and libgomp in a process of its own. */
#include "pool.h"
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- Pythons ---------------------------------------------------------------------------------- */

static const char first_line[] =
	"for p in python3; do \"$p\" -c 'import multiprocessing.synchronize' >/dev/null 2>&1 && "
	"echo \"$p\"; done";
static const char newest_line[] =
	"for p in \"${PYENV_ROOT:-$HOME/.pyenv}\"/versions/3.*/bin/python; do echo \"$p\"; done | "
	"sort -V | while read -r p; do \"$p\" -c 'import multiprocessing.synchronize' >/dev/null "
	"2>&1 && echo \"$p\"; done | tail -n 1";

/* Its command; "" when there is none.  Asked once in a process. */
static const char *command_of(bool newest)
{
	static char found[2][800];
	static bool asked[2];
	FILE *answer;

	if (asked[newest])
		return found[newest];
	asked[newest] = true;
	answer = popen(newest ? newest_line : first_line, "re");
	if (answer) {
		if (!fgets(found[newest], sizeof found[newest], answer))
			found[newest][0] = 0;
		pclose(answer);
	}
	found[newest][strcspn(found[newest], "\n")] = 0;
	return found[newest];
}

const char *bench_pool_no_python(void)
{
	return *command_of(false) ? NULL : "there is no python3 with multiprocessing";
}

const char *bench_pool_no_newest(void)
{
	return *command_of(true) ? NULL : "pyenv has no Python";
}

void bench_pool_py(const void *arg, struct bench_out *out)
{
	const struct bench_pool_py *py = arg;
	char line[1000];
	double value;
	FILE *answer;

	snprintf(line, sizeof line, "'%s' '%s' %s %u 2>/dev/null", command_of(py->newest),
		 BENCH_POOL_PY, py->what, bench_count(py->n));
	answer = popen(line, "re");
	if (!answer)
		return;
	while (fscanf(answer, "%lf", &value) == 1)
		bench_push(out, 0, value);
	pclose(answer);
}

/* --- libgomp ---------------------------------------------------------------------------------- */

const char *bench_pool_no_gomp(void)
{
#ifdef BENCH_GOMP
	return NULL;
#else
	return "this compiler has no OpenMP";
#endif
}

const char *bench_pool_no_glib(void)
{
	return "built without GLib";
}

void bench_pool_gomp(const void *arg, struct bench_out *out)
{
	static double *value;
	const struct bench_pool_gomp *gomp = arg;
	int pid, status;

	if (!value)
		value = bench_shared(sizeof *value);
	pid = bench_fork();
	if (pid == 0) {
		*value = gomp->run(gomp->whole ? gomp->n : bench_count(gomp->n));
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		errx(1, "the process for OpenMP failed");
	bench_push(out, 0, *value);
}
