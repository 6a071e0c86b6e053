/* A process from its start to its end: exit codes, join, signals.  Who is whose child and what
   happens at an exit is in process_tree.c, arguments and streams in process_io.c, reports in
   report.c. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

/* --- how it ends -------------------------------------------------------------------------- */

enum ending { RETURN, CALL_EXIT, CALL__EXIT, SIGNAL, ABORT, EXEC, THREAD_EXIT };

struct ending_of {
	enum ending how;
	int n;
};

static int thread_exits(void *arg)
{
	exit(*(int *)arg);
}

static int body_end(void *arg)
{
	const struct ending_of *e = arg;
	prong_thread *t;

	switch (e->how) {
	case RETURN:
		return e->n;
	case CALL_EXIT:
		exit(e->n);
	case CALL__EXIT:
		_exit(e->n);
	case SIGNAL:
		raise(e->n);
		return 123;
	case ABORT:
		abort();
	case EXEC:
		execl("/bin/sh", "sh", "-c", "exit 9", (char *)NULL);
		return 123;
	case THREAD_EXIT:
		if (prong_thread_start(&t, thread_exits, &e->n, sizeof e->n, NULL) != 0)
			return 123;
		return prong_thread_join(t, NULL, PRONG_FOREVER) ? 123 : 122;
	}
	return 123;
}

static void expect(enum ending how, int n, int code)
{
	struct ending_of e = { how, n };

	CHECK_EQ(run(body_end, &e, sizeof e), code);
}

static void returned_codes(void **state)
{
	(void)state;
	expect(RETURN, 0, 0);
	expect(RETURN, 1, 1);
	expect(RETURN, 7, 7);
	expect(RETURN, 255, 255);
}

static void returned_codes_out_of_range_are_1(void **state)
{
	(void)state;
	expect(RETURN, 256, 1);
	expect(RETURN, 1000, 1);
	expect(RETURN, 512, 1);
	expect(RETURN, -1, 1);
	expect(RETURN, INT32_MIN, 1);
	expect(RETURN, INT32_MAX, 1);
}

static void exit_codes(void **state)
{
	(void)state;
	expect(CALL_EXIT, 0, 0);
	expect(CALL_EXIT, 3, 3);
	expect(CALL__EXIT, 0, 0);
	expect(CALL__EXIT, 4, 4);
	expect(CALL__EXIT, 255, 255);
}

static void exit_in_a_thread_of_it(void **state)
{
	(void)state;
	expect(THREAD_EXIT, 6, 6);
}

static void a_signal_is_negative(void **state)
{
	(void)state;
	expect(SIGNAL, SIGTERM, -SIGTERM);
	expect(SIGNAL, SIGKILL, -SIGKILL);
	expect(SIGNAL, SIGUSR1, -SIGUSR1);
	expect(ABORT, 0, -SIGABRT);
}

static void it_may_become_another_program(void **state)
{
	(void)state;
	expect(EXEC, 0, 9);
}

/* --- join --------------------------------------------------------------------------------- */

static void join_again_and_without_code(void **state)
{
	int seven = 7, code = 0;
	prong_process *p = start(body_return, &seven, sizeof seven);

	(void)state;
	CHECK_OK(prong_process_join(p, NULL, soon()));
	for (int i = 0; i < 3; i++) {
		code = 0;
		CHECK_OK(prong_process_join(p, &code, PRONG_NOW));
		CHECK_EQ(code, 7);
	}
	prong_process_free(p);
}

static void join_while_it_is_alive_times_out(void **state)
{
	prong_process *p = start(body_sleep, NULL, 0);
	prong_time begin = prong_clock();
	int code = 4711;

	(void)state;
	CHECK_EQ(prong_process_join(p, &code, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_process_join(p, &code, prong_in_ms(-5)), PRONG_TIMEDOUT);
	CHECK_EQ(prong_process_join(p, &code, prong_in_ms(30)), PRONG_TIMEDOUT);
	CHECK(prong_ns_between(begin, prong_clock()) >= 30 * 1000000);
	CHECK_EQ(code, 4711);
	kill_and_end(p);
}

static void join_with_far_deadlines(void **state)
{
	static const int64_t years[] = { 1, 100, 200, 280, 292, 300 };
	int seven = 7;

	(void)state;
	for (int i = 0; i < 6; i++) {
		prong_process *p = start(body_return, &seven, sizeof seven);
		int code = 0;

		CHECK_OK(prong_process_join(p, &code, prong_in_ms(years[i] * 31557600000)));
		CHECK_EQ(code, 7);
		prong_process_free(p);
	}
}

static void *thread_joins(void *p)
{
	return (void *)(intptr_t)join(p);
}

static void join_by_several_threads_at_once(void **state)
{
	atomic_int *go = shared(sizeof *go);
	prong_process *p = start(body_wait, go, 0);
	pthread_t t[6];
	void *code;

	(void)state;
	for (int i = 0; i < 6; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, thread_joins, p), 0);
	sleep_ms(20);
	CHECK_OK(prong_process_signal(p, SIGTERM));
	for (int i = 0; i < 6; i++) {
		CHECK_EQ(pthread_join(t[i], &code), 0);
		CHECK_EQ((intptr_t)code, -SIGTERM);
	}
	prong_process_free(p);
	prong_free(go);
}

static int body_join(void *p)
{
	return join(p);
}

static void join_by_other_members(void **state)
{
	int n = 42;
	prong_process *p = start(body_sleep, NULL, 0), *q[3], *late;

	(void)state;
	for (int i = 0; i < 3; i++)
		q[i] = start(body_join, p, 0);
	sleep_ms(20);
	CHECK_OK(prong_process_signal(p, SIGTERM));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(end(q[i]), 1); /* -SIGTERM is no exit code */
	prong_process_free(p);

	p = start(body_return, &n, sizeof n);
	join(p);
	late = start(body_join, p, 0);
	CHECK_EQ(end(late), 42);
	prong_process_free(p);
}

static int body_join_self(void *arg)
{
	(void)arg;
	return prong_process_join(prong_process_self(), NULL, PRONG_FOREVER);
}

static void join_of_oneself_is_a_deadlock(void **state)
{
	int code = 4711;

	(void)state;
	CHECK_EQ(run(body_join_self, NULL, 0), PRONG_DEADLOCK);
	CHECK_EQ(prong_process_join(prong_process_self(), &code, PRONG_FOREVER), PRONG_DEADLOCK);
	CHECK_EQ(code, 4711);
}

static void join_of_nothing(void **state)
{
	int code = 4711;

	(void)state;
	CHECK_EQ(prong_process_join(NULL, &code, PRONG_FOREVER), -EINVAL);
	CHECK_EQ(code, 4711);
}

/* --- alive, pid, signals -------------------------------------------------------------------- */

static int body_store_pid(void *arg)
{
	*(int *)arg = getpid();
	return prong_process_pid(NULL) == getpid() &&
			       prong_process_pid(prong_process_self()) == getpid()
		       ? 0
		       : 1;
}

static void pids(void **state)
{
	int *pid = shared(sizeof *pid);
	prong_process *p = start(body_store_pid, pid, 0);

	(void)state;
	CHECK_EQ(join(p), 0);
	CHECK_EQ(prong_process_pid(p), *pid);
	CHECK_EQ(prong_process_pid(NULL), getpid());
	CHECK_EQ(prong_process_pid(prong_process_self()), getpid());
	prong_process_free(p);
	prong_free(pid);
}

static void alive_until_join_would_return(void **state)
{
	prong_process *p = start(body_sleep, NULL, 0);

	(void)state;
	CHECK(prong_process_alive(p));
	CHECK(prong_process_alive(prong_process_self()));
	CHECK_OK(prong_process_signal(p, SIGKILL));
	CHECK_EQ(join(p), -SIGKILL);
	CHECK(!prong_process_alive(p));
	prong_process_free(p);
}

static void no_process_is_alive_while_join_says_it_is_not(void **state)
{
	int zero = 0;

	(void)state;
	for (int i = 0; i < scaled(200); i++) {
		prong_process *p = start(body_return, &zero, sizeof zero);

		while (prong_process_alive(p))
			;
		CHECK_OK(prong_process_join(p, NULL, PRONG_NOW));
		prong_process_free(p);
	}
}

static atomic_int caught;

static void on_signal(int sig)
{
	atomic_store(&caught, sig);
}

static int body_interrupted(void *arg)
{
	struct sigaction act = { .sa_handler = on_signal };

	sigaction(SIGINT, &act, NULL);
	atomic_store((atomic_int *)arg, 1);
	return wait_for(&caught, 1) && atomic_load(&caught) == SIGINT ? 0 : 1;
}

static void interrupt_with_a_handler(void **state)
{
	atomic_int *ready = shared(sizeof *ready);
	prong_process *p = start(body_interrupted, ready, 0);

	(void)state;
	CHECK(wait_for(ready, 1));
	CHECK_OK(prong_process_signal(p, SIGINT));
	CHECK_EQ(end(p), 0);
	prong_free(ready);
}

static void signals_by_default(void **state)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGKILL, SIGQUIT, SIGHUP, SIGUSR2 };

	(void)state;
	for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) {
		prong_process *p = start(body_sleep, NULL, 0);

		CHECK_OK(prong_process_signal(p, sigs[i]));
		CHECK_EQ(end(p), -sigs[i]);
	}
}

static void signals_that_cannot_be_sent(void **state)
{
	int zero = 0;
	prong_process *p = start(body_return, &zero, sizeof zero);

	(void)state;
	CHECK_EQ(prong_process_signal(NULL, SIGTERM), -EINVAL);
	CHECK_EQ(prong_process_signal(p, -1), -EINVAL);
	CHECK_EQ(prong_process_signal(p, 4711), -EINVAL);
	CHECK_EQ(join(p), 0);
	CHECK_EQ(prong_process_signal(p, SIGTERM), 0);
	CHECK_EQ(prong_process_signal(p, SIGKILL), 0);
	CHECK_EQ(join(p), 0);
	prong_process_free(p);
}

static prong_process *to_terminate;

static void terminate_in_handler(int sig)
{
	(void)sig;
	atomic_store(&caught, prong_process_signal(to_terminate, SIGTERM) == 0 ? 1 : -1);
}

static void signal_from_a_signal_handler(void **state)
{
	struct sigaction act = { .sa_handler = terminate_in_handler }, old;

	(void)state;
	to_terminate = start(body_sleep, NULL, 0);
	atomic_store(&caught, 0);
	CHECK_EQ(sigaction(SIGUSR1, &act, &old), 0);
	raise(SIGUSR1);
	CHECK_EQ(sigaction(SIGUSR1, &old, NULL), 0);
	CHECK_EQ(atomic_load(&caught), 1);
	CHECK_EQ(end(to_terminate), -SIGTERM);
}

static int body_signal(void *p)
{
	return prong_process_signal(p, SIGTERM);
}

static void signal_by_another_member(void **state)
{
	prong_process *p = start(body_sleep, NULL, 0);

	(void)state;
	CHECK_EQ(run(body_signal, p, 0), 0);
	CHECK_EQ(end(p), -SIGTERM);
}

/* --- descriptor ------------------------------------------------------------------------------ */

static int readable(int fd, int ms)
{
	struct pollfd f = { .fd = fd, .events = POLLIN };

	return poll(&f, 1, ms);
}

static void descriptor_polls_when_it_ends(void **state)
{
	atomic_int *go = shared(sizeof *go);
	prong_process *p = start(body_wait, go, 0);
	int fd = prong_process_fd(p), other;

	(void)state;
	if (fd == -ENOSYS && under_valgrind()) {
		atomic_store(go, 1);
		CHECK_EQ(end(p), 0);
		prong_free(go);
		SKIP("valgrind has no pidfd_open()");
	}
	CHECK(fd > 2);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(readable(fd, 20), 0);
	atomic_store(go, 1);
	CHECK_EQ(readable(fd, HANG_MS), 1);
	CHECK_OK(prong_process_join(p, NULL, soon()));
	other = prong_process_fd(p);
	CHECK(other >= 0 && other != fd);
	CHECK_EQ(readable(other, 0), 1);
	CHECK_EQ(readable(fd, 0), 1);
	close(fd);
	close(other);
	CHECK(prong_process_fd(NULL) < 0);
	prong_process_free(p);
	prong_free(go);
}

static int body_poll(void *p)
{
	int fd = prong_process_fd(p);

	if (fd == -ENOSYS && under_valgrind())
		return 0;
	return fd < 0 ? 2 : readable(fd, HANG_MS) == 1 ? 0 : 1;
}

static void descriptor_in_another_member(void **state)
{
	prong_process *p = start(body_sleep, NULL, 0), *q = start(body_poll, p, 0);

	(void)state;
	sleep_ms(10);
	CHECK_OK(prong_process_signal(p, SIGKILL));
	CHECK_EQ(end(q), 0);
	CHECK_EQ(end(p), -SIGKILL);
}

/* --- free ----------------------------------------------------------------------------------- */

static int body_wait_then_set(void *arg)
{
	atomic_int *word = arg;

	if (!wait_for(&word[0], 1))
		return 1;
	atomic_store(&word[1], 1);
	return 0;
}

static void free_while_it_runs(void **state)
{
	atomic_int *word = shared(2 * sizeof *word);

	(void)state;
	prong_process_free(start(body_wait_then_set, word, 0));
	prong_process_free(NULL);
	atomic_store(&word[0], 1);
	CHECK(wait_for(&word[1], 1));
	prong_free(word);
}

static void a_freed_handle_is_invalid(void **state)
{
	int zero = 0, code = 4711;
	prong_process *p = start(body_return, &zero, sizeof zero);

	(void)state;
	CHECK_EQ(end(p), 0);
	CHECK_EQ(prong_process_join(p, &code, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_process_signal(p, SIGTERM), -EINVAL);
	CHECK(prong_process_fd(p) < 0);
	CHECK(!prong_process_alive(p));
	CHECK_EQ(code, 4711);
}

static void many_at_once(void **state)
{
	enum { N = 30 };
	atomic_int *go = shared(sizeof *go);
	prong_process *p[N];
	prong_family_stats st;

	(void)state;
	for (int i = 0; i < N; i++)
		p[i] = start(body_wait, go, 0);
	prong_family_stat(&st);
	CHECK(st.processes >= N + 1);
	for (int i = 0; i < N; i++)
		CHECK(prong_process_alive(p[i]));
	atomic_store(go, 1);
	for (int i = 0; i < N; i++)
		CHECK_EQ(end(p[i]), 0);
	prong_free(go);
}

static const struct CMUnitTest tests[] = {
	CASE(returned_codes),
	CASE(returned_codes_out_of_range_are_1),
	CASE(exit_codes),
	CASE(exit_in_a_thread_of_it),
	CASE(a_signal_is_negative),
	CASE(it_may_become_another_program),
	CASE(join_again_and_without_code),
	CASE(join_while_it_is_alive_times_out),
	CASE(join_with_far_deadlines),
	CASE(join_by_several_threads_at_once),
	CASE(join_by_other_members),
	CASE(join_of_oneself_is_a_deadlock),
	CASE(join_of_nothing),
	CASE(pids),
	CASE(alive_until_join_would_return),
	CASE(no_process_is_alive_while_join_says_it_is_not),
	CASE(interrupt_with_a_handler),
	CASE(signals_by_default),
	CASE(signals_that_cannot_be_sent),
	CASE(signal_from_a_signal_handler),
	CASE(signal_by_another_member),
	CASE(descriptor_polls_when_it_ends),
	CASE(descriptor_in_another_member),
	CASE(free_while_it_runs),
	CASE(a_freed_handle_is_invalid),
	CASE(many_at_once),
};

TEST_MAIN(tests, TEST_WARM, NULL)
