/* Server start: prong_open() in a process that is fresh and small, which it leaves with a family,
   a heap and a server; beside a fork() in the same place.  Each in a new process, with a pause
   after it in which the last one's server ends.

   Not measured: the end of a family. */
#include "bench.h"
#include <err.h>
#include <prong/prong.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PAUSE_US = 3000
};

static void open_family(void)
{
	int r = prong_open(NULL);

	if (r)
		errx(1, "prong_open: %s: %s", prong_strerror(r), prong_error_detail());
}

static void only_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid == 0)
		_exit(0);
}

struct way {
	void (*act)(void);
};

static double time_in_fresh_process(void (*act)(void))
{
	static double *us;
	int pid, status;

	if (!us)
		us = bench_shared(sizeof(*us));
	pid = bench_fork();
	if (pid == 0) {
		int64_t t = bench_now();

		act();
		*us = (double)(bench_now() - t) / 1e3;
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		errx(1, "a fresh process failed");
	bench_sleep_us(PAUSE_US);
	return *us;
}

static void run(const void *arg, struct bench_out *out)
{
	const struct way *way = arg;
	double us[20];
	unsigned n = bench_count(20);

	for (unsigned i = 0; i < n; i++)
		us[i] = time_in_fresh_process(way->act);
	bench_push_median(out, 0, us, n);
}

static void run_floor(const void *arg, struct bench_out *out)
{
	double us[20];
	unsigned n = bench_count(20);

	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		int64_t t = bench_now();

		bench_bare_process();
		us[i] = (double)(bench_now() - t) / 1e3;
	}
	bench_push_median(out, 0, us, n);
}

static const struct way by_open = { open_family }, by_fork = { only_fork };

const struct bench_case bench_open[] = {
	{
		.name = "server-start",
		.floor = { "clone(CLONE_VM) + exit + waitpid", run_floor, NULL, false, NULL },
		.metrics = { { "", "us", 0, 0 } },
		.subjects = {
			{ "prong_open, fresh process", run, &by_open, false, NULL },
			{ "fork until it returns, fresh process", run, &by_fork, false, NULL },
		},
		.versus = { { "prong_open : fork", 0, 0, 0, 1 << 1, false } },
	},
	{ .name = NULL },
};
