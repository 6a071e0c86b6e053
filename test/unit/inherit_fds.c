/* Descriptors of a process: 0 to 2, the declared ones, and no other; the redirections. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct fds_seen {
	int n, fds[512];
};

static int body_fds(void *arg)
{
	struct fds_seen *seen = arg;

	seen->n = open_fds(seen->fds, 512);
	return 0;
}

static void expect_fds(const int *extra, int n, const prong_process_opts *opts)
{
	struct fds_seen *seen = shared(sizeof *seen);

	CHECK_EQ(end(start_with(body_fds, seen, 0, opts)), 0);
	CHECK_EQ(seen->n, 3 + n);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(seen->fds[i], i);
	for (int i = 0; i < n; i++)
		CHECK_EQ(seen->fds[3 + i], extra[i]);
	prong_free(seen);
}

static void undeclared_descriptors_are_closed(void **state)
{
	int fds[5];

	(void)state;
	expect_fds(NULL, 0, NULL);
	for (int i = 0; i < 5; i++)
		fds[i] = open("/dev/null", i % 2 ? O_RDONLY : O_RDONLY | O_CLOEXEC);
	expect_fds(NULL, 0, NULL);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
}

static int helper_before_open(const char *arg)
{
	int fd = open("/dev/null", O_RDONLY);

	(void)arg;
	CHECK(fd > 2);
	CHECK_OK(prong_open(NULL));
	expect_fds(NULL, 0, NULL);
	CHECK_EQ(dup2(fd, 200), 200);
	close(fd);
	expect_fds(NULL, 0, NULL);
	return 0;
}

static void also_those_from_before_open(void **state)
{
	(void)state;
	helper_run("before-open", NULL);
}

static int body_writes_to(void *arg)
{
	return write(*(int *)arg, "x", 1) == 1 ? 0 : 1;
}

static void declared_descriptors_arrive(void **state)
{
	int fds[3] = { open("/dev/null", O_WRONLY), 0, 0 }, pipe_fd[2];
	prong_process_opts opts = { .fds = fds, .nfds = 3 };
	char c = 0;

	(void)state;
	CHECK_EQ(pipe2(pipe_fd, O_CLOEXEC), 0);
	fds[1] = fcntl(fds[0], F_DUPFD_CLOEXEC, 77);
	fds[2] = fcntl(pipe_fd[1], F_DUPFD, 500);
	CHECK(fds[0] > 2 && fds[1] == 77 && fds[2] == 500);
	expect_fds(fds, 3, &opts);
	CHECK_EQ(end(start_with(body_writes_to, &fds[2], sizeof fds[2], &opts)), 0);
	CHECK_EQ(read(pipe_fd[0], &c, 1), 1);
	CHECK_EQ(c, 'x');
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	expect_fds(NULL, 0, NULL);
}

static void declared_in_any_order(void **state)
{
	int base = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[3], sorted[3] = { 40, 41, 42 };
	prong_process_opts opts = { .fds = fds, .nfds = 3 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		fds[i] = 42 - i;
		CHECK_EQ(dup2(base, fds[i]), fds[i]);
	}
	expect_fds(sorted, 3, &opts);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	close(base);
}

/* The numbers under which they arrive in the server are the numbers of others of them. */
static void declared_descriptors_keep_apart(void **state)
{
	enum { N = 60 };
	int fds[N], in[N], code;
	prong_process_opts opts = { .fds = fds, .nfds = N };
	char c;

	(void)state;
	for (int i = 0; i < N; i++) {
		int pair[2];

		CHECK_EQ(pipe2(pair, O_CLOEXEC), 0);
		fds[i] = 300 + (i * 37) % N;
		in[i] = fcntl(pair[0], F_DUPFD_CLOEXEC, 400);
		CHECK_EQ(dup2(pair[1], fds[i]), fds[i]);
		close(pair[0]);
		close(pair[1]);
	}
	for (int i = 0; i < N; i += 7) {
		struct pollfd f = { .fd = in[i], .events = POLLIN };

		code = end(start_with(body_writes_to, &fds[i], sizeof fds[i], &opts));
		CHECK_EQ(code, 0);
		CHECK_EQ(poll(&f, 1, HANG_MS), 1);
		CHECK_EQ(read(in[i], &c, 1), 1);
	}
	for (int i = 0; i < N; i++) {
		struct pollfd f = { .fd = in[i], .events = POLLIN };

		CHECK_EQ(poll(&f, 1, 0), 0);
		close(fds[i]);
		close(in[i]);
	}
}

static void two_hundred_and_fifty_descriptors(void **state)
{
	int fds[251];
	prong_process_opts opts = { .fds = fds, .nfds = 250 };
	prong_process *p;

	(void)state;
	for (int i = 0; i < 251; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		CHECK(fds[i] > 2);
	}
	expect_fds(fds, 250, &opts);
	opts.nfds = 251;
	CHECK_EQ(prong_process_start(&p, body_sleep, NULL, 0, &opts), -EINVAL);
	for (int i = 0; i < 251; i++)
		close(fds[i]);
}

static void descriptors_that_are_none(void **state)
{
	int fd, r;
	prong_process_opts opts = { .fds = &fd, .nfds = 1 };
	prong_process *p;

	(void)state;
	for (fd = 0; fd < 3; fd++)
		CHECK_EQ(prong_process_start(&p, body_sleep, NULL, 0, &opts), -EINVAL);
	fd = -1;
	r = prong_process_start(&p, body_sleep, NULL, 0, &opts);
	CHECK(r == -EBADF || r == -EINVAL);
	fd = 888;
	CHECK_EQ(prong_process_start(&p, body_sleep, NULL, 0, &opts), -EBADF);
	CHECK(strstr(prong_error_detail(), "888"));
}

/* --- redirections -------------------------------------------------------------------------- */

static int body_stdio_link(void *arg)
{
	char path[32];
	int fd = *(int *)arg;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return readlink(path, arg, PATH_MAX - 1) > 0 ? 0 : 1;
}

static void expect_link(int fd, const prong_process_opts *opts, const char *want)
{
	char *text = shared(PATH_MAX);

	*(int *)(void *)text = fd;
	CHECK_EQ(end(start_with(body_stdio_link, text, 0, opts)), 0);
	CHECK_STR(text, want);
	prong_free(text);
}

static void discard(void **state)
{
	(void)state;
	expect_link(0, &(prong_process_opts){ .in.kind = PRONG_DISCARD }, "/dev/null");
	expect_link(1, &(prong_process_opts){ .out.kind = PRONG_DISCARD }, "/dev/null");
	expect_link(2, &(prong_process_opts){ .err.kind = PRONG_DISCARD }, "/dev/null");
	expect_fds(NULL, 0,
		   &(prong_process_opts){ .in.kind = PRONG_DISCARD, .err.kind = PRONG_DISCARD });
}

static int body_echo(void *arg)
{
	char c;

	(void)arg;
	while (read(0, &c, 1) == 1)
		if (printf("%c", c) < 0 || fprintf(stderr, "%c", c - 'a' + 'A') < 0)
			return 1;
	return 0;
}

static void read_text(const char *path, char text[64])
{
	FILE *f = fopen(path, "re");

	CHECK(f != NULL);
	text[fread(text, 1, 63, f)] = 0;
	fclose(f);
}

static void paths(void **state)
{
	char dir[] = "/tmp/prong-unit-XXXXXX", in[64], out[64], text[64];
	FILE *f;

	(void)state;
	CHECK(mkdtemp(dir) != NULL);
	snprintf(in, sizeof in, "%s/in", dir);
	snprintf(out, sizeof out, "%s/out", dir);
	f = fopen(in, "we");
	CHECK(f && fputs("abc", f) >= 0 && fclose(f) == 0);
	for (int i = 0; i < 2; i++) {
		prong_process_opts opts = { .in = { .kind = PRONG_PATH, .path = in },
					    .out = { .kind = PRONG_PATH, .path = out },
					    .err.kind = PRONG_DISCARD };

		CHECK_EQ(end(start_with(body_echo, NULL, 0, &opts)), 0);
	}
	read_text(out, text);
	CHECK_STR(text, "abcabc"); /* created, then appended to */
	expect_fds(NULL, 0,
		   &(prong_process_opts){ .out = { .kind = PRONG_PATH, .path = out } });
	CHECK(unlink(in) == 0 && unlink(out) == 0 && rmdir(dir) == 0);
}

static void one_path_for_out_and_err(void **state)
{
	char path[] = "/tmp/prong-unit-XXXXXX", text[64];
	int in[2], fd = mkstemp(path);
	prong_process_opts opts = { .in = { .kind = PRONG_FD },
				    .out = { .kind = PRONG_PATH, .path = path },
				    .err = { .kind = PRONG_PATH, .path = path } };

	(void)state;
	CHECK(fd > 2 && pipe2(in, O_CLOEXEC) == 0);
	CHECK_EQ(write(in[1], "ab", 2), 2);
	close(in[1]);
	opts.in.fd = in[0];
	CHECK_EQ(end(start_with(body_echo, NULL, 0, &opts)), 0);
	read_text(path, text);
	CHECK_STR(text, "ABab");
	close(in[0]);
	close(fd);
	unlink(path);
}

static void relative_paths_are_the_callers(void **state)
{
	char dir[] = "/tmp/prong-unit-XXXXXX", old[PATH_MAX];
	prong_process_opts opts = { .in.kind = PRONG_DISCARD,
				    .out = { .kind = PRONG_PATH, .path = "here" } };

	(void)state;
	CHECK(getcwd(old, sizeof old) && mkdtemp(dir) && chdir(dir) == 0);
	CHECK_EQ(end(start_with(body_echo, NULL, 0, &opts)), 0);
	CHECK_EQ(access("here", F_OK), 0);
	CHECK(unlink("here") == 0 && chdir(old) == 0 && rmdir(dir) == 0);
}

static void a_descriptor_for_a_stream(void **state)
{
	int pipe_fd[2], fd, in = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	prong_process_opts opts = { .in = { .kind = PRONG_FD, .fd = in },
				    .err = { .kind = PRONG_FD } };
	char c = 0;

	(void)state;
	CHECK(in > 2 && pipe2(pipe_fd, O_CLOEXEC) == 0);
	opts.err.fd = pipe_fd[1];
	expect_link(0, &opts, "/dev/zero");
	expect_fds(NULL, 0, &opts);
	fd = 2;
	CHECK_EQ(end(start_with(body_writes_to, &fd, sizeof fd, &opts)), 0);
	CHECK_EQ(read(pipe_fd[0], &c, 1), 1);
	CHECK_EQ(fcntl(in, F_GETFD), FD_CLOEXEC); /* borrowed */

	/* 2>&1, and both of one descriptor that is also declared. */
	opts = (prong_process_opts){ .out = { .kind = PRONG_FD, .fd = pipe_fd[1] },
				     .err = { .kind = PRONG_FD, .fd = pipe_fd[1] },
				     .fds = &pipe_fd[1],
				     .nfds = 1 };
	expect_fds(&pipe_fd[1], 1, &opts);
	CHECK_EQ(end(start_with(body_writes_to, &fd, sizeof fd, &opts)), 0);
	CHECK_EQ(read(pipe_fd[0], &c, 1), 1);
	close(in);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* 3>&1 1>&2 2>&3: each is taken from the caller's, not from what the other became. */
static void streams_change_places(void **state)
{
	int out[2], err[2], old[2] = { fcntl(1, F_DUPFD_CLOEXEC, 100),
				       fcntl(2, F_DUPFD_CLOEXEC, 100) };
	prong_process_opts opts = { .in = { .kind = PRONG_DISCARD },
				    .out = { .kind = PRONG_FD, .fd = 2 },
				    .err = { .kind = PRONG_FD, .fd = 1 } };
	int one = 1, code;
	char c = 0;

	(void)state;
	CHECK(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
	CHECK(dup2(out[1], 1) == 1 && dup2(err[1], 2) == 2);
	code = end(start_with(body_writes_to, &one, sizeof one, &opts));
	CHECK(dup2(old[0], 1) == 1 && dup2(old[1], 2) == 2);
	CHECK_EQ(code, 0);
	close(out[1]);
	close(err[1]);
	CHECK_EQ(read(err[0], &c, 1), 1);
	CHECK_EQ(read(out[0], &c, 1), 0);
	close(out[0]);
	close(err[0]);
	close(old[0]);
	close(old[1]);
}

static int redirect(prong_stdio in, prong_stdio out)
{
	prong_process_opts opts = { .in = in, .out = out };
	prong_process *p;

	return prong_process_start(&p, body_sleep, NULL, 0, &opts);
}

static void redirections_that_fail(void **state)
{
	prong_stdio none = { 0 };

	(void)state;
	CHECK_EQ(redirect((prong_stdio){ PRONG_FD, 888, NULL }, none), -EBADF);
	CHECK(prong_error_detail()[0]);
	CHECK_EQ(redirect(none, (prong_stdio){ PRONG_FD, -1, NULL }), -EBADF);
	CHECK_EQ(redirect((prong_stdio){ PRONG_PATH, 0, "/no/such/file" }, none), -ENOENT);
	CHECK(strstr(prong_error_detail(), "/no/such/file"));
	CHECK_EQ(redirect(none, (prong_stdio){ PRONG_PATH, 0, "/no/such/file" }), -ENOENT);
	CHECK_EQ(redirect(none, (prong_stdio){ PRONG_PATH, 0, "/" }), -EISDIR);
	CHECK_EQ(redirect((prong_stdio){ PRONG_PATH, 0, "/dev/null/x" }, none), -ENOTDIR);
}

static const struct helper helpers[] = {
	{ "before-open", helper_before_open },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(undeclared_descriptors_are_closed),
	CASE(also_those_from_before_open),
	CASE(declared_descriptors_arrive),
	CASE(declared_in_any_order),
	CASE(declared_descriptors_keep_apart),
	CASE(two_hundred_and_fifty_descriptors),
	CASE(descriptors_that_are_none),
	CASE(discard),
	CASE(paths),
	CASE(one_path_for_out_and_err),
	CASE(relative_paths_are_the_callers),
	CASE(a_descriptor_for_a_stream),
	CASE(streams_change_places),
	CASE(redirections_that_fail),
};

TEST_MAIN(tests, TEST_WARM, helpers)
