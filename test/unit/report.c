/* What a report says of a process, in fields and in words. */
#define _GNU_SOURCE
#include "support.h"

static int body_exits(void *arg)
{
	exit(*(int *)arg);
}

static int body_raises(void *arg)
{
	raise(*(int *)arg);
	return 0;
}

static void report_while_it_runs(void **state)
{
	prong_process_opts opts = { .name = "long runner" };
	prong_process *p = start_with(body_sleep, NULL, 0, &opts);
	prong_report r;
	char text[256];

	(void)state;
	sleep_ms(10);
	prong_process_report(p, &r);
	CHECK_EQ(r.outcome, PRONG_RUNNING);
	CHECK_EQ(r.pid, prong_process_pid(p));
	CHECK_EQ(r.code, 0);
	CHECK_EQ(r.signal, 0);
	CHECK_EQ(r.peak_rss, 0);
	CHECK(r.elapsed_ns >= 10 * 1000000 && r.elapsed_ns < 3600 * INT64_C(1000000000));
	CHECK_STR(r.name, "long runner");
	CHECK(prong_report_text(&r, text, sizeof text) < sizeof text);
	CHECK(strstr(text, "long runner"));
	kill_and_end(p);
}

static prong_report report_of(prong_fn *fn, int n)
{
	prong_process_opts opts = { .name = "rep" };
	prong_process *p = start_with(fn, &n, sizeof n, &opts);
	int pid = prong_process_pid(p);
	prong_report r;

	join(p);
	memset(&r, 0xff, sizeof r);
	prong_process_report(p, &r);
	CHECK_EQ(r.pid, pid);
	CHECK_STR(r.name, "rep");
	CHECK(r.elapsed_ns > 0);
	CHECK(!r.server_lost);
	prong_process_free(p);
	return r;
}

static void reports_of_ends(void **state)
{
	prong_report r = report_of(body_return, 0);

	(void)state;
	CHECK_EQ(r.outcome, 0);
	CHECK_EQ(r.code, 0);
	CHECK_EQ(r.signal, 0);
	CHECK(r.peak_rss > 0);

	r = report_of(body_exits, 7);
	CHECK_EQ(r.outcome, PRONG_FAILED);
	CHECK_EQ(r.code, 7);
	CHECK_EQ(r.signal, 0);

	r = report_of(body_raises, SIGTERM);
	CHECK_EQ(r.outcome, PRONG_CRASHED);
	CHECK_EQ(r.signal, SIGTERM);
	CHECK(!r.core);
}

static void text_of(const prong_report *r, const char *a, const char *b)
{
	char text[256], cut[10];
	size_t n = prong_report_text(r, text, sizeof text);

	CHECK_EQ(n, strlen(text));
	CHECK(strstr(text, r->name));
	CHECK(strstr(text, a));
	CHECK(strstr(text, b));
	CHECK(!strchr(text, '\n'));
	CHECK_EQ(prong_report_text(r, cut, sizeof cut), n);
	CHECK_EQ(strlen(cut), sizeof cut - 1);
	CHECK_EQ(strncmp(cut, text, sizeof cut - 1), 0);
	CHECK_EQ(prong_report_text(r, NULL, 0), n);
}

static void report_texts(void **state)
{
	prong_report r = report_of(body_exits, 7);
	char pid[32];

	(void)state;
	snprintf(pid, sizeof pid, "(pid %d)", r.pid);
	text_of(&r, pid, "7");
	r = report_of(body_return, 0);
	snprintf(pid, sizeof pid, "(pid %d)", r.pid);
	text_of(&r, pid, "rep");
	r = report_of(body_raises, SIGTERM);
	snprintf(pid, sizeof pid, "(pid %d)", r.pid);
	text_of(&r, pid, "signal 15 (Terminated)");
	r.core = true;
	text_of(&r, "signal 15 (Terminated)", "core");
}

static void the_result_itself_is_kept(void **state)
{
	prong_report r = report_of(body_return, 100000);

	(void)state;
	CHECK_EQ(r.outcome, PRONG_FAILED);
	CHECK_EQ(r.code, 100000); /* join says 1 */
	r = report_of(body_return, -5);
	CHECK_EQ(r.code, -5);
}

static const struct CMUnitTest tests[] = {
	CASE(report_while_it_runs),
	CASE(reports_of_ends),
	CASE(report_texts),
	CASE(the_result_itself_is_kept),
};

TEST_MAIN(tests, TEST_WARM, NULL)
