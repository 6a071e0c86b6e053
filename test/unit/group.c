/* Groups: children of all kinds that do not outlive a scope. */
#include "support.h"

#include <sched.h>

static prong_group *open_group(const prong_group_opts *opts)
{
	prong_group *g;

	CHECK_OK(prong_group_open(&g, opts));
	return g;
}

static prong_process *process_in(prong_group *g, prong_fn *fn, const void *arg, size_t size,
				 void *tag)
{
	prong_process_opts opts = { .name = "child", .group = g, .tag = tag };

	return start_with(fn, arg, size, &opts);
}

static prong_thread *thread_in(prong_group *g, prong_fn *fn, const void *arg, size_t size,
			       void *tag)
{
	prong_thread_opts opts = { .name = "child", .group = g, .tag = tag };
	prong_thread *t;

	CHECK_OK(prong_thread_start(&t, fn, arg, size, &opts));
	return t;
}

/* Says that it runs, in an atomic_int, and sleeps until it is cancelled. */
static int body_cancellable(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	CHECK_EQ(prong_sleep(soon()), PRONG_CANCELLED);
	CHECK(prong_cancelled());
	return PRONG_CANCELLED;
}

static int body_polls(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	while (!prong_cancelled())
		;
	return 0;
}

static int body_deaf(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return body_sleep(NULL);
}

static int body_deafer(void *arg)
{
	signal(SIGTERM, SIG_IGN);
	return body_deaf(arg);
}

/* --- ends ----------------------------------------------------------------------------------- */

static void nothing(void **state)
{
	prong_group *g = open_group(NULL);
	prong_report r;
	prong_child c;

	(void)state;
	CHECK_EQ(prong_group_next(g, &c, PRONG_FOREVER), PRONG_EMPTY);
	CHECK_OK(prong_group_join(g, PRONG_NOW));
	CHECK_EQ(prong_group_report(g, &r), PRONG_EMPTY);
	prong_group_cancel(g);
	prong_group_cancel(g);
	CHECK_OK(prong_group_close(g));
	CHECK_OK(prong_group_close(NULL));
}

static void all_kinds_end_well(void **state)
{
	prong_group *g = open_group(NULL);
	int zero = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		process_in(g, body_return, &zero, sizeof zero, NULL);
		thread_in(g, body_return, &zero, sizeof zero, NULL);
	}
	CHECK_OK(prong_group_join(g, soon()));
	CHECK_OK(prong_group_join(g, PRONG_NOW));
	CHECK_OK(prong_group_close(g));
}

/* Each child waits for the one before it, so they end in turn, the last started first. */
static void next_in_order_of_ending(void **state)
{
	enum {
		N = 6
	};
	prong_group *g = open_group(NULL);
	atomic_int *go[N];
	int tags[N];
	prong_child c;

	(void)state;
	for (int i = 0; i < N; i++) {
		go[i] = shared(sizeof *go[i]);
		if (i % 2)
			CHECK(process_in(g, body_wait, go[i], 0, &tags[i]));
		else
			CHECK(thread_in(g, body_wait, go[i], 0, &tags[i]));
	}
	CHECK_EQ(prong_group_next(g, &c, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_group_next(g, &c, prong_in_ms(1)), PRONG_TIMEDOUT);
	for (int i = N - 1; i >= 0; i--) {
		atomic_store(go[i], 1);
		CHECK_OK(prong_group_next(g, &c, soon()));
		CHECK(c.tag == &tags[i]);
		CHECK(i % 2 ? c.process && !c.thread : c.thread && !c.process);
		CHECK_STR(i % 2 ? prong_process_name(c.process) : prong_thread_name(c.thread),
			  "child");
		CHECK_EQ(c.outcome, 0);
	}
	CHECK_EQ(prong_group_next(g, &c, soon()), PRONG_EMPTY);
	CHECK_OK(prong_group_close(g));
	for (int i = 0; i < N; i++)
		prong_free(go[i]);
}

static void more_may_be_started_meanwhile(void **state)
{
	prong_group *g = open_group(NULL);
	int zero = 0, ended = 0;
	prong_child c;
	int r;

	(void)state;
	process_in(g, body_return, &zero, sizeof zero, NULL);
	while ((r = prong_group_next(g, &c, soon())) == 0)
		if (++ended < 20)
			(void)(ended % 2 ? (void *)thread_in(g, body_return, &zero, 4, NULL)
					 : (void *)process_in(g, body_return, &zero, 4, NULL));
	CHECK_EQ(r, PRONG_EMPTY);
	CHECK_EQ(ended, 20);
	CHECK_OK(prong_group_close(g));
}

/* --- failures ------------------------------------------------------------------------------- */

static int body_fails_when_told(void *arg)
{
	CHECK(wait_for(arg, 1));
	return 3;
}

/* One fails; the others, which wait, are told. */
static void fails(bool thread)
{
	prong_group *g = open_group(NULL);
	atomic_int *go = shared(2 * sizeof *go);
	prong_report why;
	prong_child c;
	int cancelled = 0;

	process_in(g, body_cancellable, &go[1], 0, NULL);
	thread_in(g, body_cancellable, &go[1], 0, NULL);
	CHECK(wait_for(&go[1], 2));
	if (thread)
		thread_in(g, body_fails_when_told, &go[0], 0, NULL);
	else
		process_in(g, body_fails_when_told, &go[0], 0, NULL);
	atomic_store(&go[0], 1);
	CHECK_EQ(prong_group_join(g, soon()), PRONG_FAILED);
	CHECK_OK(prong_group_report(g, &why));
	CHECK_EQ(why.outcome, PRONG_FAILED);
	CHECK_EQ(why.code, 3);
	CHECK_STR(why.name, "child");
	while (prong_group_next(g, &c, PRONG_NOW) == 0)
		cancelled += c.outcome == PRONG_CANCELLED;
	CHECK_EQ(cancelled, 2);
	CHECK_OK(prong_group_report(g, &why));
	CHECK_OK(prong_group_close(g));
	prong_free(go);
}

static void a_process_fails(void **state)
{
	(void)state;
	fails(false);
}

static void a_thread_fails(void **state)
{
	(void)state;
	fails(true);
}

static void one_is_killed(void **state)
{
	prong_group *g = open_group(NULL);
	atomic_int *up = shared(sizeof *up);
	prong_process *p = process_in(g, body_deaf, up, 0, NULL);
	prong_report why;

	(void)state;
	thread_in(g, body_polls, up, 0, NULL);
	CHECK(wait_for(up, 2));
	CHECK_OK(prong_process_signal(p, SIGKILL));
	CHECK_EQ(prong_group_join(g, soon()), PRONG_CRASHED);
	CHECK_OK(prong_group_report(g, &why));
	CHECK_EQ(why.signal, SIGKILL);
	CHECK_OK(prong_group_close(g));
	prong_free(up);
}

static void it_may_keep_going(void **state)
{
	prong_group *g = open_group(&(prong_group_opts){ .keep_going = true });
	atomic_int *go = shared(sizeof *go);
	int three = 3;
	prong_child c;

	(void)state;
	thread_in(g, body_wait, go, 0, NULL);
	process_in(g, body_return, &three, sizeof three, NULL);
	CHECK_OK(prong_group_next(g, &c, soon()));
	CHECK_EQ(c.outcome, PRONG_FAILED);
	process_in(g, body_wait, go, 0, NULL);
	atomic_store(go, 1);
	CHECK_OK(prong_group_next(g, &c, soon()));
	CHECK_EQ(c.outcome, 0);
	CHECK_EQ(prong_group_join(g, soon()), PRONG_FAILED);
	CHECK_OK(prong_group_close(g));
	prong_free(go);
}

/* --- cancelling ----------------------------------------------------------------------------- */

static void cancel_now_and_to_come(void **state)
{
	prong_group *g = open_group(NULL);
	atomic_int *up = shared(sizeof *up);
	prong_child c;
	int n = 0;

	(void)state;
	process_in(g, body_cancellable, up, 0, NULL);
	thread_in(g, body_cancellable, up, 0, NULL);
	prong_group_cancel(g);
	process_in(g, body_cancellable, up, 0, NULL);
	thread_in(g, body_cancellable, up, 0, NULL);
	process_in(g, body_polls, up, 0, NULL);
	CHECK_EQ(prong_group_join(g, soon()), PRONG_CANCELLED);
	while (prong_group_next(g, &c, PRONG_NOW) == 0)
		n += c.outcome == PRONG_CANCELLED;
	CHECK_EQ(n, 4);
	CHECK_EQ(atomic_load(up), 5);
	CHECK(!prong_cancelled());
	CHECK_OK(prong_group_close(g));
	prong_free(up);
}

static void close_ends_what_runs(void **state)
{
	prong_group *g = open_group(NULL);
	atomic_int *up = shared(sizeof *up);

	(void)state;
	for (int i = 0; i < 3; i++) {
		process_in(g, body_cancellable, up, 0, NULL);
		thread_in(g, body_cancellable, up, 0, NULL);
	}
	CHECK(wait_for(up, 6));
	CHECK_OK(prong_group_close(g));
	CHECK_EQ(prong_process_children(NULL, 0), 0);
	CHECK_EQ(prong_thread_list(NULL, 0), 0);
	prong_free(up);
}

static void deaf(prong_fn *fn, int sig)
{
	prong_group *g = open_group(&(prong_group_opts){ .grace_ms = 20 * slowness() });
	atomic_int *up = shared(sizeof *up);
	prong_report r;
	prong_child c;

	process_in(g, fn, up, 0, NULL);
	CHECK(wait_for(up, 1));
	prong_group_cancel(g);
	CHECK_OK(prong_group_next(g, &c, soon()));
	CHECK_EQ(c.outcome, PRONG_CANCELLED);
	prong_process_report(c.process, &r);
	CHECK_EQ(r.signal, sig);
	CHECK_EQ(r.outcome, PRONG_CANCELLED);
	CHECK_OK(prong_group_close(g));
	prong_free(up);
}

static void who_does_not_hear_is_terminated(void **state)
{
	(void)state;
	deaf(body_deaf, SIGTERM);
	deaf(body_deafer, SIGKILL);
}

static bool has_ended(void *p)
{
	return !prong_process_alive(p);
}

/* Nobody of the opener's process has to be at it: the server is. */
static void grace_needs_no_waiter(void **state)
{
	prong_group *g = open_group(&(prong_group_opts){ .grace_ms = 10 });
	atomic_int *up = shared(sizeof *up);
	prong_process *p = process_in(g, body_deafer, up, 0, NULL);

	(void)state;
	CHECK(wait_for(up, 1));
	prong_group_cancel(g);
	CHECK(wait_until(has_ended, p, HANG_MS));
	CHECK_OK(prong_group_close(g));
	prong_free(up);
}

/* --- groups in groups ------------------------------------------------------------------------ */

static int body_opens_its_own(void *arg)
{
	prong_group *g = open_group(NULL);
	prong_child c;
	int r;

	process_in(g, body_cancellable, arg, 0, NULL);
	thread_in(g, body_cancellable, arg, 0, NULL);
	/* They may have heard it before. */
	while ((r = prong_group_next(g, &c, soon())) == 0)
		CHECK_EQ(c.outcome, PRONG_CANCELLED);
	CHECK(r == PRONG_CANCELLED || r == PRONG_EMPTY);
	CHECK_OK(prong_group_close(g));
	return PRONG_CANCELLED;
}

static int body_computes_beside_its_own(void *arg)
{
	prong_group *g = open_group(NULL);

	process_in(g, body_polls, arg, 0, NULL);
	thread_in(g, body_polls, arg, 0, NULL);
	while (prong_process_children(NULL, 0) || prong_thread_list(NULL, 0))
		sched_yield();
	CHECK_OK(prong_group_join(g, PRONG_NOW));
	return prong_group_close(g);
}

static void nested(prong_fn *fn, int outcome)
{
	prong_group *g = open_group(&(prong_group_opts){ .grace_ms = 60000 });
	atomic_int *up = shared(sizeof *up);
	prong_child c;

	process_in(g, fn, up, 0, NULL);
	CHECK(wait_for(up, 2));
	prong_group_cancel(g);
	CHECK_OK(prong_group_next(g, &c, soon()));
	CHECK_EQ(c.outcome, outcome);
	CHECK_OK(prong_group_close(g));
	prong_free(up);
}

static void cancel_goes_down(void **state)
{
	(void)state;
	nested(body_opens_its_own, PRONG_CANCELLED);
	nested(body_computes_beside_its_own, 0);
}

static int body_thread_opens(void *arg)
{
	prong_group *g = open_group(NULL);

	process_in(g, body_polls, arg, 0, NULL);
	thread_in(g, body_polls, arg, 0, NULL);
	while (!prong_cancelled())
		;
	/* Not cancelled by this: they are already. */
	while (prong_group_join(g, soon()) == PRONG_CANCELLED)
		;
	return prong_group_close(g);
}

static void cancel_goes_down_from_a_thread(void **state)
{
	prong_group *g = open_group(NULL);
	atomic_int *up = shared(sizeof *up);

	(void)state;
	thread_in(g, body_thread_opens, up, 0, NULL);
	CHECK(wait_for(up, 2));
	prong_group_cancel(g);
	CHECK_OK(prong_group_join(g, soon()));
	CHECK_OK(prong_group_close(g));
	prong_free(up);
}

/* --- the opener's end ------------------------------------------------------------------------ */

static int body_dies_with_an_open_group(void *arg)
{
	prong_group *g = open_group(NULL);

	process_in(g, body_deafer, arg, 0, NULL);
	CHECK(wait_for(arg, 1));
	raise(SIGKILL);
	return 0;
}

static bool all_gone(void *unused)
{
	prong_family_stats s;

	(void)unused;
	prong_family_stat(&s);
	return s.processes == 1;
}

static void the_opener_dies(void **state)
{
	atomic_int *up = shared(sizeof *up);

	(void)state;
	CHECK_EQ(run(body_dies_with_an_open_group, up, 0), -SIGKILL);
	CHECK(wait_until(all_gone, NULL, HANG_MS));
	prong_free(up);
}

/* --- misuse --------------------------------------------------------------------------------- */

static int body_uses_anothers(void *arg)
{
	prong_group *g = *(prong_group **)arg;
	prong_child c;

	CHECK_EQ(prong_group_join(g, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_group_next(g, &c, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_group_close(g), -EINVAL);
	prong_group_cancel(g);
	return 0;
}

static int body_closes_its_own(void *arg)
{
	CHECK_EQ(prong_group_close(*(prong_group **)arg), PRONG_DEADLOCK);
	return 0;
}

static void bad_arguments(void **state)
{
	prong_group_opts bad = { .reserved_ = { [5] = 1 } };
	prong_group *g = open_group(NULL), *none = NULL;
	int zero = 0;
	prong_report r;
	prong_child c;
	prong_process *p = NULL;
	prong_thread *t = NULL;

	(void)state;
	CHECK_EQ(prong_group_open(NULL, NULL), -EINVAL);
	CHECK_EQ(prong_group_open(&none, &bad), -EINVAL);
	CHECK(none == NULL);
	CHECK_EQ(prong_group_next(g, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_group_next(NULL, &c, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_group_join(NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_group_report(g, NULL), -EINVAL);
	CHECK_EQ(prong_group_report(NULL, &r), -EINVAL);
	prong_group_cancel(NULL);
	CHECK_EQ(run(body_uses_anothers, &g, sizeof g), 0);
	thread_in(g, body_closes_its_own, &g, sizeof g, NULL);
	CHECK_OK(prong_group_join(g, soon()));
	CHECK_OK(prong_group_close(g));
	CHECK_EQ(prong_group_close(g), -EINVAL);
	CHECK_EQ(prong_process_start(&p, body_return, &zero, sizeof zero,
				     &(prong_process_opts){ .group = g }),
		 -EINVAL);
	CHECK_EQ(prong_thread_start(&t, body_return, &zero, sizeof zero,
				    &(prong_thread_opts){ .group = g }),
		 -EINVAL);
	CHECK(!p && !t);
}

/* What could not be started is no child. */
static void a_failed_start_leaves_nothing(void **state)
{
	prong_group *g = open_group(NULL);
	prong_process *p;
	prong_thread *t;
	prong_child c;

	(void)state;
	CHECK_EQ(prong_process_start(&p, body_return, NULL, 4, &(prong_process_opts){ .group = g }),
		 -EFAULT);
	CHECK_EQ(prong_process_start(&p, body_sleep, NULL, 0,
				     &(prong_process_opts){ .group = g, .cwd = "/nowhere" }),
		 -ENOENT);
	CHECK_EQ(prong_thread_start(&t, body_sleep, NULL, 0,
				    &(prong_thread_opts){ .group = g, .stack_size = 1 }),
		 -EINVAL);
	CHECK_EQ(prong_group_next(g, &c, soon()), PRONG_EMPTY);
	CHECK_OK(prong_group_close(g));
}

static void many_children(void **state)
{
	prong_group *g = open_group(NULL);
	atomic_int *go = shared(sizeof *go);
	int n = scaled(200);

	(void)state;
	for (int i = 0; i < n; i++)
		if (i % 4 == 0)
			process_in(g, body_wait, go, 0, NULL);
		else
			thread_in(g, body_wait, go, 0, NULL);
	atomic_store(go, 1);
	CHECK_OK(prong_group_join(g, soon()));
	CHECK_OK(prong_group_close(g));
	prong_free(go);
}

static const struct CMUnitTest tests[] = {
	CASE(nothing),
	CASE(all_kinds_end_well),
	CASE(next_in_order_of_ending),
	CASE(more_may_be_started_meanwhile),
	CASE(a_process_fails),
	CASE(a_thread_fails),
	CASE(one_is_killed),
	CASE(it_may_keep_going),
	CASE(cancel_now_and_to_come),
	CASE(close_ends_what_runs),
	CASE(who_does_not_hear_is_terminated),
	CASE(grace_needs_no_waiter),
	CASE(cancel_goes_down),
	CASE(cancel_goes_down_from_a_thread),
	CASE(the_opener_dies),
	CASE(bad_arguments),
	CASE(a_failed_start_leaves_nothing),
	CASE(many_children),
};

TEST_MAIN(tests, TEST_WARM, NULL)
