/* Crashes: what a process that a signal kills leaves in its report, and that all else is as if it
   had left nothing. */
#define _GNU_SOURCE
#include "crash.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* What one of the ways to crash leaves: the join's code and the report. */
struct end {
	int code;
	prong_report report;
	char text[4096];
};

static const prong_limit no_core = { 4 /* RLIMIT_CORE */, 0, 0 };

static struct end end_of(prong_fn *fn, const void *arg, size_t size, prong_process_opts opts)
{
	prong_process *p;
	struct end e;

	opts.name = "victim";
	opts.err.kind = PRONG_DISCARD;
	opts.limits = &no_core;
	opts.nlimits = 1;
	p = start_with(fn, arg, size, &opts);
	e.code = join(p);
	prong_process_report(p, &e.report);
	CHECK(prong_report_text(&e.report, e.text, sizeof e.text) < sizeof e.text);
	prong_process_free(p);
	return e;
}

static struct end traced(prong_fn *fn, int arg)
{
	return end_of(fn, &arg, sizeof arg, (prong_process_opts){ .trace = true });
}

/* The names appear in the text in this order. */
static void stack_is(const struct end *e, const char *const *names)
{
	const char *at = e->text;

	for (; *names; names++) {
		char mark[64];

		snprintf(mark, sizeof mark, " %s", *names);
		at = strstr(at, mark);
		if (!at)
			check_failed(__FILE__, __LINE__, "no %s in its place: %s", *names, e->text);
		at++;
	}
}

/* --- crashes --------------------------------------------------------------------------------- */

static void tells(enum way way, int sig, bool has_address)
{
	static const char *const names[] = { "crash_inner", "crash_outer", "body_crashes", NULL };
	struct end e = traced(body_crashes, way);

	CHECK_EQ(e.code, -sig);
	CHECK_EQ(e.report.outcome, PRONG_CRASHED);
	CHECK_EQ(e.report.signal, sig);
	CHECK_EQ(e.report.has_address, has_address);
	CHECK(e.report.frames >= 3);
	stack_is(&e, names);
	/* Nothing of the library's is in it. */
	CHECK(!strstr(e.text, "prongi_"));
	CHECK(!strstr(e.text, "main+"));
}

static void each_signal(void **state)
{
	(void)state;
	tells(FAULT, SIGSEGV, true);
	tells(WRITE_TO_TEXT, SIGSEGV, true);
	tells(ABORT, SIGABRT, false);
	tells(BEYOND_FILE, SIGBUS, true);
#if defined(__x86_64__)
	tells(DIVIDE, SIGFPE, true);
	tells(ILLEGAL, SIGILL, true);
	tells(WILD_ADDRESS, SIGSEGV, false);
#endif
}

static void words(void **state)
{
	struct end e = traced(body_crashes, FAULT);
	char first[200];

	(void)state;
	snprintf(first, sizeof first,
		 "victim (pid %d) was killed by signal 11 (Segmentation fault) at address 0x0\n"
		 "  #0 crash_inner+0x",
		 e.report.pid);
	CHECK_EQ(strncmp(e.text, first, strlen(first)), 0);
}

/* The place of the fault is no code, but where it was called from is on the stack. */
static void a_call_to_nowhere(void **state)
{
	static const char *const names[] = { "crash_inner", "crash_outer", "body_crashes", NULL };
	struct end e = traced(body_crashes, BAD_CALL);

	(void)state;
	CHECK_EQ(e.code, -SIGSEGV);
	CHECK(strstr(e.text, "#0 0x0\n"));
	stack_is(&e, names);
}

static void without_a_stack(void **state)
{
	struct end e = traced(body_crashes, LOST_STACK);

	(void)state;
	CHECK_EQ(e.report.frames >= 1, 1);
	CHECK(e.code == -SIGILL || e.code == -SIGSEGV || e.code == -SIGTRAP);
#if defined(__x86_64__)
	CHECK_EQ(e.code, -SIGILL);
	CHECK(strstr(e.text, "#0 lose_stack+0x"));
#endif
}

static void the_stack_overflows(void **state)
{
	static const char *const names[] = { "overflow_stack", "overflow_stack", NULL };
	struct end e = traced(body_crashes, OVERFLOW_STACK);

	(void)state;
	CHECK_EQ(e.code, -SIGSEGV);
	CHECK_EQ(e.report.frames, PRONG_FRAMES);
	stack_is(&e, names);
}

/* --- threads -------------------------------------------------------------------------------- */

static int body_crashes_in_a_thread(void *arg)
{
	end_thread(start_thread(body_crashes, arg, sizeof(int)));
	return 0;
}

static void in_a_thread(void **state)
{
	static const char *const names[] = { "crash_inner", "crash_outer", "body_crashes", NULL };
	static const char *const deep[] = { "overflow_stack", "overflow_stack", NULL };
	struct end e = traced(body_crashes_in_a_thread, FAULT);

	(void)state;
	CHECK_EQ(e.code, -SIGSEGV);
	stack_is(&e, names);
	e = traced(body_crashes_in_a_thread, OVERFLOW_STACK);
	CHECK_EQ(e.code, -SIGSEGV);
	stack_is(&e, deep);
}

struct gate {
	atomic_int n;
};

static int body_crashes_with_others(void *arg)
{
	const int way = FAULT;
	struct gate *g = arg;

	atomic_fetch_add(&g->n, 1);
	while (atomic_load(&g->n) < 4)
		;
	return body_crashes((void *)(uintptr_t)&way);
}

static int body_crashes_in_threads(void *arg)
{
	prong_thread *t[4];

	for (int i = 0; i < 4; i++)
		t[i] = start_thread(body_crashes_with_others, arg, 0);
	for (int i = 0; i < 4; i++)
		end_thread(t[i]);
	return 0;
}

static void many_threads_at_once(void **state)
{
	static const char *const names[] = { "crash_inner", "crash_outer", "body_crashes", NULL };
	struct gate *g = shared(sizeof *g);

	(void)state;
	for (int i = 0; i < scaled(20); i++) {
		struct end e;

		atomic_store(&g->n, 0);
		e = end_of(body_crashes_in_threads, g, 0, (prong_process_opts){ .trace = true });
		CHECK_EQ(e.code, -SIGSEGV);
		stack_is(&e, names);
	}
	prong_free(g);
}

/* --- no handler to be seen -------------------------------------------------------------------- */

static int body_has_no_handlers(void *arg)
{
	const int sigs[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
	struct sigaction a;
	stack_t s;

	(void)arg;
	for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) {
		CHECK_EQ(sigaction(sigs[i], NULL, &a), 0);
		CHECK(a.sa_handler == SIG_DFL);
	}
	CHECK_EQ(sigaltstack(NULL, &s), 0);
	CHECK(TEST_ASAN || TEST_TSAN || (s.ss_flags & SS_DISABLE));
	return 0;
}

static void who_does_not_ask_gets_none(void **state)
{
	int way = FAULT;
	struct end e = end_of(body_crashes, &way, sizeof way, (prong_process_opts){ 0 });

	(void)state;
	CHECK_EQ(e.code, -SIGSEGV);
	CHECK_EQ(e.report.frames, 0);
	CHECK(!e.report.has_address);
	CHECK(!strchr(e.text, '\n'));
	CHECK_EQ(run(body_has_no_handlers, NULL, 0), 0);
}

static int body_has_a_stack_for_handlers(void *arg)
{
	stack_t s;

	(void)arg;
	CHECK_EQ(sigaltstack(NULL, &s), 0);
	CHECK(!(s.ss_flags & SS_DISABLE));
	return 7;
}

static int body_ends_thread_too(void *arg)
{
	CHECK_EQ(end_thread(start_thread(body_has_a_stack_for_handlers, NULL, 0)), 7);
	return body_has_a_stack_for_handlers(arg);
}

static void who_does_not_crash_has_no_stack(void **state)
{
	struct end e = traced(body_ends_thread_too, 0);

	(void)state;
	CHECK_EQ(e.code, 7);
	CHECK_EQ(e.report.frames, 0);
}

static int body_raises(void *arg)
{
	raise(*(int *)arg);
	return 0;
}

/* Whatever is sent by somebody kills as ever, and says no address. */
static void signals_that_are_sent(void **state)
{
	const int sigs[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGKILL, SIGTERM };

	(void)state;
	for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) {
		struct end e = traced(body_raises, sigs[i]);

		CHECK_EQ(e.code, -sigs[i]);
		CHECK_EQ(e.report.signal, sigs[i]);
		CHECK(!e.report.has_address);
		CHECK_EQ(e.report.frames > 0, i < 6);
	}
}

static void from_outside(void **state)
{
	prong_process_opts opts = { .trace = true, .limits = &no_core, .nlimits = 1 };
	prong_process *p = start_with(body_sleep, NULL, 0, &opts);
	prong_report r;

	(void)state;
	CHECK_OK(prong_process_signal(p, SIGSEGV));
	CHECK_EQ(join(p), -SIGSEGV);
	prong_process_report(p, &r);
	CHECK(!r.has_address);
	prong_process_free(p);
}

static int body_blocks_and_crashes(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	return body_crashes(arg);
}

static void a_blocked_signal_kills_unheard(void **state)
{
	struct end e = traced(body_blocks_and_crashes, FAULT);

	(void)state;
	CHECK_EQ(e.code, -SIGSEGV);
	CHECK_EQ(e.report.frames, 0);
}

/* The heap of the C library is locked, and broken. */
static int body_breaks_malloc(void *arg)
{
	prong_thread *t = start_thread(body_sleep, NULL, 0);
	char *volatile p = malloc(100000); /* so much that what is left comes after it */

	(void)arg;
	(void)t;
	memset(p + malloc_usable_size(p), 0xff, 8);
	p = malloc(100000);
	return 0;
}

static void in_malloc(void **state)
{
	static const char *const names[] = { "body_breaks_malloc", NULL };
	struct end e;

	(void)state;
	if (slowness() > 1)
		SKIP("malloc is not the C library's");
	e = traced(body_breaks_malloc, 0);
	CHECK(e.code == -SIGABRT || e.code == -SIGSEGV);
	stack_is(&e, names);
}

/* --- copies --------------------------------------------------------------------------------- */

static int body_forks_one_that_crashes(void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(body_crashes(arg));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSEGV);
	raise(SIGABRT);
	return 0;
}

static void a_copy_tells_nothing(void **state)
{
	static const char *const names[] = { "body_forks_one_that_crashes", NULL };
	struct end e = traced(body_forks_one_that_crashes, FAULT);

	(void)state;
	CHECK_EQ(e.code, -SIGABRT);
	stack_is(&e, names);
	CHECK(!strstr(e.text, "crash_inner"));
}

/* With an argument and wishes in the same block. */
static void beside_a_large_argument(void **state)
{
	static const char *const names[] = { "crash_inner", "crash_outer", "body_crashes", NULL };
	const char *const env[] = { "A=b", NULL };
	prong_process_opts opts = { .trace = true, .env = env };
	char *arg = calloc(1, 100001);
	struct end e = end_of(body_crashes, arg, 100001, opts);

	(void)state;
	free(arg);
	CHECK_EQ(e.code, -SIGSEGV);
	stack_is(&e, names);
}

/* --- handlers that were there ---------------------------------------------------------------- */

static sigjmp_buf back;
static volatile sig_atomic_t heard;
static volatile char *volatile page;

static void exits(int sig)
{
	_exit(sig == SIGSEGV ? 42 : 43);
}

static void jumps(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	heard = info->si_addr == NULL ? 1 : 2;
	siglongjmp(back, 1);
}

static void mends(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	heard = info->si_addr == page;
	mprotect((void *)(uintptr_t)page, 4096, PROT_READ | PROT_WRITE);
}

static APART int body_crashes_twice(void *arg)
{
	if (sigsetjmp(back, 1) == 0)
		return body_crashes(arg);
	CHECK_EQ(heard, 1);
	abort();
}

static int body_is_mended(void *arg)
{
	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = 1;
	CHECK_EQ(heard, 1);
	if (*(int *)arg == 1)
		return 5;
	page = NULL;
	kill(getpid(), SIGKILL);
	return 0;
}

static void install(void (*plain)(int), void (*full)(int, siginfo_t *, void *))
{
	struct sigaction a = { .sa_flags = full ? SA_SIGINFO : 0 };

	if (full)
		a.sa_sigaction = full;
	else
		a.sa_handler = plain;
	CHECK_EQ(sigaction(SIGSEGV, &a, NULL), 0);
	CHECK_OK(prong_open(NULL));
}

static int helper_exits(const char *arg)
{
	struct end e;

	(void)arg;
	install(exits, NULL);
	e = traced(body_crashes, FAULT);
	CHECK_EQ(e.code, 42);
	CHECK_EQ(e.report.outcome, PRONG_FAILED);
	CHECK_EQ(e.report.frames, 0);
	return prong_close(soon());
}

static int helper_jumps(const char *arg)
{
	static const char *const names[] = { "body_crashes_twice", NULL };
	struct end e;

	(void)arg;
	install(NULL, jumps);
	e = traced(body_crashes_twice, FAULT);
	CHECK_EQ(e.code, -SIGABRT);
	stack_is(&e, names);
	CHECK(!strstr(e.text, "crash_inner"));
	return prong_close(soon());
}

static int helper_mends(const char *arg)
{
	struct end e;

	(void)arg;
	install(NULL, mends);
	e = traced(body_is_mended, 1);
	CHECK_EQ(e.code, 5);
	e = traced(body_is_mended, 2);
	CHECK_EQ(e.code, -SIGKILL);
	CHECK_EQ(e.report.frames, 0);
	return prong_close(soon());
}

static int helper_ignores(const char *arg)
{
	struct end e;

	(void)arg;
	install(SIG_IGN, NULL);
	e = traced(body_raises, SIGSEGV);
	CHECK_EQ(e.code, 0);
	e = traced(body_crashes, FAULT);
	CHECK_EQ(e.code, -SIGSEGV);
	return prong_close(soon());
}

/* A copy of a program that is not under test, which catches crashes itself. */
static int helper_forks(const char *arg)
{
	static const char *const names[] = { "crash_inner", "crash_outer", "body_crashes", NULL };
	prong_process_opts opts = { .trace = true, .method = PRONG_FORK };
	int way = FAULT;
	struct end e;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	e = end_of(body_crashes, &way, sizeof way, opts);
	CHECK_EQ(e.code, -SIGSEGV);
	stack_is(&e, names);
	return prong_close(soon());
}

static const struct helper helpers[] = {
	{ "forks", helper_forks }, { "exits", helper_exits },     { "jumps", helper_jumps },
	{ "mends", helper_mends }, { "ignores", helper_ignores }, { 0 },
};

static void in_programs_of_their_own(void **state)
{
	(void)state;
	for (const struct helper *h = helpers; h->name; h++)
		helper_run(h->name, NULL);
}

static const struct CMUnitTest tests[] = {
	CASE(each_signal),
	CASE(words),
	CASE(a_call_to_nowhere),
	CASE(without_a_stack),
	CASE(the_stack_overflows),
	CASE(in_a_thread),
	CASE(many_threads_at_once),
	CASE(who_does_not_ask_gets_none),
	CASE(who_does_not_crash_has_no_stack),
	CASE(signals_that_are_sent),
	CASE(from_outside),
	CASE(a_blocked_signal_kills_unheard),
	CASE(in_malloc),
	CASE(a_copy_tells_nothing),
	CASE(beside_a_large_argument),
	CASE(in_programs_of_their_own),
};

int main(int argc, char **argv)
{
	if (under_valgrind()) {
		puts("skipped: valgrind reports crashes itself");
		return HELPER_SKIP;
	}
	test_begin(argc, argv, TEST_WARM, helpers);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
