/* The n-th failure of each mapping, process, descriptor and wait, for all n: every call of prong
   returns a documented error or succeeds, nothing is leaked, and the next one works. */
#define _GNU_SOURCE
#include "fault.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* --- what a subject does again and again --------------------------------------------------- */

static int seven = 7;

/* A start that the server had begun when the failure was taken back may still be told of it: it is
   a documented error, after which one asks again. */
static void starts(void)
{
	prong_process *p = NULL;
	int r = prong_process_start(&p, body_return, &seven, sizeof seven, NULL);

	if (r == -EAGAIN)
		r = prong_process_start(&p, body_return, &seven, sizeof seven, NULL);
	CHECK_OK(r);
	CHECK_EQ(end(p), 7);
}

static pid_t server; /* as works() has seen it: who asks for it starts a process */

static void works(void)
{
	server = server_pid();
	prong_free(shared(100));
	starts();
	CHECK_EQ(end_thread(start_thread(body_return, &seven, sizeof seven)), 7);
}

struct state {
	int nfds, fds[64];
	uint64_t blocks;
	uint32_t threads, processes;
};

static void take(struct state *s)
{
	prong_family_stats st;

	memset(s, 0, sizeof *s);
	s->nfds = open_fds(s->fds, 64);
	prong_family_stat(&st);
	s->blocks = st.blocks;
	s->threads = st.threads;
	s->processes = st.processes;
}

static struct state before;

static bool as_before(void *arg)
{
	struct state *s = arg;

	take(s);
	if (s->blocks > before.blocks)
		run(body_return, &seven, sizeof seven); /* uses their records again */
	return memcmp(s, &before, sizeof before) == 0;
}

static void nothing_leaked(int n)
{
	struct state after;

	if (!wait_until(as_before, &after, 3000))
		check_failed(__FILE__, __LINE__,
			     "leak after failure %d: fds %d -> %d, blocks %d -> %d, slots %d -> "
			     "%d, processes %d -> %d", n, before.nfds, after.nfds,
			     (int)before.blocks, (int)after.blocks, (int)before.threads,
			     (int)after.threads, (int)before.processes, (int)after.processes);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static void documented(const char *what, int r, int n)
{
	if (r && r != -ENOMEM && r != -EAGAIN && r != -EMFILE && r != -ENFILE && r != -ENOSPC)
		check_failed(__FILE__, __LINE__, "%s with failure %d: %d, %s (%s)", what, r, n,
			     prong_strerror(r), prong_error_detail());
}

/* Call op() with the first, second, ... call failing, until none is left to fail.  Things go on
   beside it in the server, so the number is not always the same. */
static int sweep(const char *what, enum fault_kind kind, int (*op)(void))
{
	int quiet = 0, n;

	works();
	take(&before);
	for (n = 1; n < 500 && quiet < 3; n++) {
		int r;

		fault_arm(kind, n);
		r = op();
		quiet = fault_disarm() ? 0 : quiet + 1;
		documented(what, r, n);
		if (kind == FAULT_WAIT && r)
			check_failed(__FILE__, __LINE__, "%s: %d from a wait that was interrupted",
				     what, r);
		works();
		nothing_leaked(n);
	}
	if (quiet < 3)
		check_failed(__FILE__, __LINE__, "%s: no end of calls", what);
	return n - 4;
}

static int subject(enum fault_kind kind, const char *what, int (*op)(void))
{
	CHECK_OK(prong_open(NULL));
	printf("%s: %d calls failed\n", what, sweep(what, kind, op));
	return 0;
}

/* --- operations ---------------------------------------------------------------------------- */

static int start_and_join(const void *arg, size_t size, const prong_process_opts *opts)
{
	prong_process *p = NULL;
	int code, r = prong_process_start(&p, body_return, arg, size, opts);

	if (r) {
		CHECK(p == NULL);
		return r;
	}
	CHECK_OK(prong_process_join(p, &code, soon()));
	CHECK_EQ(code, 7);
	prong_process_free(p);
	return 0;
}

static int plain_process(void)
{
	return start_and_join(&seven, sizeof seven, NULL);
}

static int process_with_large_argument(void)
{
	static int large[1 << 18];

	large[0] = 7;
	return start_and_join(large, sizeof large, NULL);
}

static int process_with_options(void)
{
	static const char *const env[] = { "PRONG_A=1", "PRONG_B", NULL };
	static const prong_limit limits[] = { { RLIMIT_CORE, 0, 0 } };
	int fds[2] = { open("/dev/null", O_RDWR | O_CLOEXEC), -1 }, r;
	prong_process_opts opts = { .env = env,
				    .cwd = "/",
				    .limits = limits,
				    .nlimits = 1,
				    .fds = fds,
				    .nfds = 1,
				    .in.kind = PRONG_DISCARD,
				    .err = { .kind = PRONG_PATH, .path = "/dev/null" } };

	if (fds[0] < 0)
		return -EMFILE;
	r = start_and_join(&seven, sizeof seven, &opts);
	close(fds[0]);
	return r;
}

static int forked_process(void)
{
	prong_process_opts opts = { .method = PRONG_FORK };

	return start_and_join(&seven, sizeof seven, &opts);
}

static int descriptor_of_process(void)
{
	int fd = prong_process_fd(prong_process_self());

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static int plain_thread(void)
{
	prong_thread *t = NULL;
	int result, r = prong_thread_start(&t, body_return, &seven, sizeof seven, NULL);

	if (r) {
		CHECK(t == NULL);
		return r;
	}
	CHECK_OK(prong_thread_join(t, &result, soon()));
	CHECK_EQ(result, 7);
	prong_thread_free(t);
	return 0;
}

static int thread_with_options(void)
{
	uint16_t cpu = 0;
	prong_thread_opts opts = { .name = "t", .stack_size = 3 << 20, .cpus = &cpu, .ncpus = 1 };
	prong_thread *t = NULL;
	int r = prong_thread_start(&t, body_return, &seven, sizeof seven, &opts);

	if (r == 0) {
		CHECK_OK(prong_thread_join(t, NULL, soon()));
		prong_thread_free(t);
	}
	return r;
}

/* Each time the heap must grow. */
static int growing_heap(void)
{
	static size_t size = 4 << 20;
	void **where = prong_calloc(1, sizeof *where);
	int r;

	size += 4 << 20;
	if (!where)
		return -ENOMEM;
	r = prong_alloc_to(where, size);
	if (r == 0)
		r = prong_realloc_at(where, size + (4 << 20));
	CHECK_OK(prong_free_at(where));
	prong_free(where);
	return r;
}

static int locks(void)
{
	prong_mutex *m = prong_calloc(1, sizeof *m);
	int r;

	if (!m)
		return -ENOMEM;
	r = prong_mutex_lock(m, PRONG_NOW);
	CHECK_OK(r);
	CHECK_EQ(prong_mutex_lock(m, PRONG_NOW), PRONG_DEADLOCK);
	CHECK_OK(prong_mutex_unlock(m));
	prong_free(m);
	return 0;
}

static int close_and_open(void)
{
	CHECK_OK(prong_close(soon()));
	return prong_open(NULL);
}

/* A process that the dying server still began goes with it.  One that it had ready may answer
   works() while it dies; then the next one is not known yet, and lives on this time. */
static int lost_server(void)
{
	prong_process *p;
	prong_report report;
	int code, r;

	CHECK(kill(server, SIGKILL) == 0 || errno == ESRCH);
	r = prong_process_start(&p, body_return, &seven, sizeof seven, NULL);
	if (r)
		return r;
	CHECK_OK(prong_process_join(p, &code, soon()));
	prong_process_report(p, &report);
	CHECK(code == 7 || report.server_lost);
	prong_process_free(p);
	return 0;
}

/* The host's own fork joins the family under failures. */
static int joining_fork(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		void *p = prong_alloc(10);

		prong_free(p);
		fault_disarm();
		works();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	return 0;
}

/* --- opening: a fresh process each time ---------------------------------------------------- */

static int open_with_failure(enum fault_kind kind, int n)
{
	int fds[64], nfds = open_fds(fds, 64), r;
	bool fired;

	fault_arm(kind, n);
	r = prong_open(NULL);
	fired = fault_disarm();
	documented("open", r, n);
	CHECK_EQ(open_fds(fds, 64), nfds);
	/* A guard that lives is a quiet child; one that does not is no child any more. */
	CHECK(waitpid(-1, NULL, WNOHANG | (r ? __WALL : 0)) == -1 && errno == ECHILD);
	CHECK_OK(prong_open(NULL));
	works();
	return fired ? 1 : 0;
}

static int subject_open(enum fault_kind kind)
{
	int quiet = 0, status, n;

	for (n = 1; n < 500 && quiet < 3; n++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			exit(open_with_failure(kind, n));
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
		quiet = WEXITSTATUS(status) ? 0 : quiet + 1;
	}
	printf("open: %d calls failed\n", n - 4);
	return quiet < 3;
}

/* --- cases --------------------------------------------------------------------------------- */

static int (*op_now)(void);
static const char *op_name;

static int subject_op(enum fault_kind kind)
{
	return subject(kind, op_name, op_now);
}

static void all_kinds(int (*fn)(enum fault_kind kind))
{
	int bad = 0;

	if (!fault_possible())
		SKIP("see above");
	for (int kind = 0; kind < FAULT_KINDS; kind++) {
		int code = fault_run(fn, (enum fault_kind)kind);

		if (code == HELPER_SKIP)
			SKIP("the kernel has no seccomp notifications");
		if (code)
			print_error("%s, kind %d: ended with %d\n", op_name, kind, code);
		bad += code != 0;
	}
	CHECK_EQ(bad, 0);
}

#define SWEEP(name)                                                                                \
	static void failures_of_##name(void **state)                                               \
	{                                                                                          \
		(void)state;                                                                       \
		op_now = name;                                                                     \
		op_name = #name;                                                                   \
		all_kinds(subject_op);                                                             \
	}

SWEEP(plain_process)
SWEEP(process_with_large_argument)
SWEEP(process_with_options)
SWEEP(forked_process)
SWEEP(descriptor_of_process)
SWEEP(plain_thread)
SWEEP(thread_with_options)
SWEEP(growing_heap)
SWEEP(locks)
SWEEP(close_and_open)
SWEEP(lost_server)
SWEEP(joining_fork)

static void failures_of_open(void **state)
{
	(void)state;
	op_name = "open";
	all_kinds(subject_open);
}

static const struct CMUnitTest tests[] = {
	CASE(failures_of_open),
	CASE(failures_of_plain_process),
	CASE(failures_of_process_with_large_argument),
	CASE(failures_of_process_with_options),
	CASE(failures_of_forked_process),
	CASE(failures_of_descriptor_of_process),
	CASE(failures_of_plain_thread),
	CASE(failures_of_thread_with_options),
	CASE(failures_of_growing_heap),
	CASE(failures_of_locks),
	CASE(failures_of_close_and_open),
	CASE(failures_of_lost_server),
	CASE(failures_of_joining_fork),
};

TEST_MAIN(tests, TEST_CLOSED, NULL)
