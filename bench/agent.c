/* The agent: a small process without prong, in which the peers run.

   It is asked through a pipe and answers through another; what it measured lies in shared memory.
   It is the program's fork, so that functions and constants are where they are here. */
#include "bench.h"
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct order {
	bench_fn *run;
	const void *arg;
};

static struct bench_out *result; /* shared with the agent */
static int line = -1;
static pid_t agent;

static void serve(int fd)
{
	struct order o;
	const char done = 1;

	while (read(fd, &o, sizeof(o)) == (ssize_t)sizeof(o)) {
		memset(result->n, 0, sizeof(result->n));
		o.run(o.arg, result);
		if (write(fd, &done, 1) != 1)
			break;
	}
	_exit(0);
}

void bench_agent_start(void)
{
	int ends[2];

	result = bench_shared(sizeof(*result));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		err(1, "socketpair");
	agent = bench_fork();
	if (agent == 0) {
		close(ends[0]);
		serve(ends[1]);
	}
	close(ends[1]);
	line = ends[0];
}

void bench_agent_stop(void)
{
	close(line);
	waitpid(agent, NULL, 0);
}

void bench_agent_run(bench_fn *run, const void *arg, struct bench_out *out)
{
	struct order o;
	char done;
	ssize_t n;

	memset(&o, 0, sizeof(o));
	o.run = run;
	o.arg = arg;
	if (write(line, &o, sizeof(o)) != (ssize_t)sizeof(o))
		err(1, "the peers' process does not listen");
	do
		n = read(line, &done, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		errx(1, "the peers' process has ended");
	*out = *result;
}
