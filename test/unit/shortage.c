/* Connections when the process or the system has no descriptor left: each call says so and where,
   nothing is lost or left behind, and all goes on when there are some again. */
#define _GNU_SOURCE
#include "raw.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static char directory[] = "/tmp/prong-test-XXXXXX";
static struct rlimit plenty;

/* n descriptors more may be had, and then no other. */
static void leave(int n)
{
	struct rlimit few = plenty;
	int fd[8] = { 0 };

	for (int i = 0; i <= n; i++) {
		fd[i] = dup(0);
		CHECK(fd[i] >= 0);
	}
	few.rlim_cur = (rlim_t)fd[n];
	for (int i = 0; i <= n; i++)
		close(fd[i]);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
}

static void relieve(void)
{
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &plenty), 0);
}

static bool says(const char *where)
{
	return strstr(prong_error_detail(), where) != NULL;
}

static uint64_t waiting(prong_listener *l)
{
	prong_listener_stats s;

	prong_listener_stat(l, &s);
	return s.waiting;
}

/* --- accepting ----------------------------------------------------------------------------- */

static int proves(void *arg)
{
	CHECK_EQ(raw_prove(*(int *)arg, false), 1);
	return 0;
}

/* Accept who proves the key at fd. */
static void accept_from(prong_listener *l, int fd)
{
	prong_thread *t = start_thread(proves, &fd, sizeof fd);
	prong_conn *c = NULL;
	int r;

	do
		r = prong_listener_accept(l, &c, soon());
	while (r == -EMFILE || r == -ENFILE);
	CHECK_OK(r);
	CHECK_EQ(end_thread(t), 0);
	raw_put(c, "hello");
	prong_conn_free(c);
}

/* Who knocks meanwhile is let in later. */
static void an_accept_is_told_and_goes_on(void **state)
{
	prong_listener *l = raw_listener(NULL);
	int fd[2] = { raw_dial(prong_listener_address(l)), raw_dial(prong_listener_address(l)) };
	prong_conn *c = NULL;

	(void)state;
	leave(0);
	CHECK_EQ(prong_listener_accept(l, &c, soon()), -EMFILE);
	CHECK(says(prong_listener_address(l)));
	CHECK(!c);
	relieve();
	accept_from(l, fd[1]);
	accept_from(l, fd[0]);
	close(fd[0]);
	close(fd[1]);
	prong_listener_close(l);
}

/* Who asks again and again does not run in a circle, nor does who polls. */
static void an_accept_does_not_spin(void **state)
{
	prong_listener *l = raw_listener(NULL);
	int fd = raw_dial(prong_listener_address(l)), told = 0, r;
	struct pollfd p = { .fd = prong_listener_fd(l), .events = POLLIN };
	prong_time end = prong_in_ms(250);
	prong_conn *c = NULL;

	(void)state;
	leave(0);
	while ((r = prong_listener_accept(l, &c, end)) != PRONG_TIMEDOUT) {
		CHECK_EQ(r, -EMFILE);
		told++;
	}
	CHECK(told >= 1 && told <= 3);
	while (prong_listener_accept(l, &c, soon()) != -EMFILE)
		;
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(poll(&p, 1, HANG_MS), 1);
	CHECK_EQ(prong_listener_accept(l, &c, PRONG_NOW), -EMFILE);
	relieve();
	accept_from(l, fd);
	close(fd);
	prong_listener_close(l);
}

/* Who was let in before needs no more descriptors. */
static void a_proof_goes_on_meanwhile(void **state)
{
	prong_listener *l = raw_listener(NULL);
	int in = raw_dial(prong_listener_address(l)), out;
	prong_conn *c = NULL;

	(void)state;
	while (waiting(l) == 0)
		CHECK_EQ(prong_listener_accept(l, &c, prong_in_ms(1)), PRONG_TIMEDOUT);
	out = raw_dial(prong_listener_address(l));
	leave(0);
	CHECK_EQ(prong_listener_accept(l, &c, soon()), -EMFILE);
	accept_from(l, in);
	relieve();
	accept_from(l, out);
	close(in);
	close(out);
	prong_listener_close(l);
}

/* --- connecting and listening ---------------------------------------------------------------- */

static void a_connect_is_told(void **state)
{
	const prong_auth auth = raw_auth();
	prong_listener *l = raw_listener(NULL);
	const char *address = prong_listener_address(l);
	prong_conn *c = NULL, *ours, *theirs;

	(void)state;
	leave(0);
	CHECK_EQ(prong_connect(&c, address, &auth, soon()), -EMFILE);
	CHECK(says(address));
	CHECK_EQ(prong_connect(&c, "unix:/nowhere/at/all", &auth, soon()), -EMFILE);
	CHECK(says("unix:/nowhere/at/all"));
	CHECK(!c);
	relieve();
	raw_meet(l, NULL, &ours, &theirs);
	leave(1); /* of two that it needs */
	CHECK_EQ(prong_conn_fd(ours), -EMFILE);
	relieve();
	CHECK(prong_conn_fd(ours) >= 0);
	prong_conn_free(ours);
	prong_conn_free(theirs);
	prong_listener_close(l);
}

static void listen_with(const char *address, int n)
{
	const prong_auth auth = raw_auth();
	prong_listener *l = NULL;
	int r;

	leave(n);
	r = prong_listener_open(&l, address, &auth);
	relieve();
	CHECK_EQ(r, n < 4 ? -EMFILE : 0);
	CHECK(n == 4 || says(strncmp(address, "unix:", 5) == 0 ? address : "tcp://127.0.0.1:"));
	if (r)
		CHECK(l == NULL);
	prong_listener_close(l);
	if (strncmp(address, "unix:", 5) == 0)
		CHECK(access(address + 5, F_OK) != 0);
}

static void a_listener_is_there_or_not(void **state)
{
	char address[100];

	(void)state;
	snprintf(address, sizeof address, "unix:%s/x", directory);
	for (int n = 0; n <= 4; n++) {
		listen_with("tcp://127.0.0.1:0", n);
		listen_with(address, n);
	}
}

/* --- the system ---------------------------------------------------------------------------- */

/* For the calling thread, accept4() and socket() fail as if all of the system's were in use. */
static bool system_is_full(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_accept4, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENFILE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int has_no_luck(void *arg)
{
	prong_listener *l = *(prong_listener **)arg, *second = NULL;
	const prong_auth auth = raw_auth();
	prong_conn *c = NULL;

	if (!system_is_full())
		return HELPER_SKIP;
	CHECK_EQ(prong_listener_accept(l, &c, soon()), -ENFILE);
	CHECK(says(prong_listener_address(l)));
	CHECK_EQ(prong_listener_accept(l, &c, prong_in_ms(1)), PRONG_TIMEDOUT);
	CHECK_EQ(prong_connect(&c, prong_listener_address(l), &auth, soon()), -ENFILE);
	CHECK(says(prong_listener_address(l)));
	CHECK_EQ(prong_listener_open(&second, "tcp://127.0.0.1:0", &auth), -ENFILE);
	CHECK(says("tcp://127.0.0.1:0"));
	CHECK(!c && !second);
	return 0;
}

static void the_system_has_none(void **state)
{
	prong_listener *l = raw_listener(NULL);
	int fd = raw_dial(prong_listener_address(l)), r;

	(void)state;
	r = end_thread(start_thread(has_no_luck, &l, sizeof l));
	if (r == 0)
		accept_from(l, fd);
	close(fd);
	prong_listener_close(l);
	if (r == HELPER_SKIP)
		SKIP("seccomp filters are not allowed");
	CHECK_EQ(r, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(an_accept_is_told_and_goes_on), CASE(an_accept_does_not_spin),
		CASE(a_proof_goes_on_meanwhile),     CASE(a_connect_is_told),
		CASE(a_listener_is_there_or_not),    CASE(the_system_has_none),
	};
	int failed;

	test_begin(argc, argv, TEST_OPENED, NULL);
	if (getrlimit(RLIMIT_NOFILE, &plenty) || !mkdtemp(directory))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(directory);
	return test_end(failed);
}
