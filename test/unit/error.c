/* Words for results, and arithmetic with deadlines. */
#define _GNU_SOURCE
#include "support.h"

#include <limits.h>
#include <pthread.h>
#include <sys/time.h>

/* --- words --------------------------------------------------------------------------------- */

static void every_condition_has_words_of_its_own(void **state)
{
	(void)state;
	for (int a = 0; a <= PRONG_RUNNING; a++) {
		CHECK(strlen(prong_strerror(a)) > 2);
		CHECK(!strchr(prong_strerror(a), '\n'));
		for (int b = 0; b < a; b++)
			CHECK(strcmp(prong_strerror(a), prong_strerror(b)) != 0);
	}
}

static void errno_has_the_usual_words(void **state)
{
	static const int errors[] = { EINVAL, ENOMEM, EAGAIN, EMFILE, EFAULT, EPERM, EBADF };

	(void)state;
	for (int i = 0; i < 7; i++)
		CHECK_STR(prong_strerror(-errors[i]), strerror(errors[i]));
}

static void other_numbers_have_words_too(void **state)
{
	static const int numbers[] = { PRONG_RUNNING + 1, 1000,	 INT_MAX,
				       -100000,		  INT_MIN, INT_MIN + 1 };

	(void)state;
	for (int i = 0; i < 6; i++) {
		CHECK(prong_strerror(numbers[i]) != NULL);
		CHECK(prong_strerror(numbers[i])[0] != 0);
	}
}

static void *detail_of_a_new_thread(void *arg)
{
	CHECK_STR(prong_error_detail(), "");
	CHECK_EQ(prong_process_join(NULL, NULL, PRONG_NOW), -EINVAL);
	return arg;
}

static void details_belong_to_the_thread(void **state)
{
	prong_process_opts opts = { .cwd = "/no/such/place" };
	prong_process *p;
	char before[512];
	pthread_t t;

	(void)state;
	CHECK_EQ(prong_process_start(&p, body_sleep, NULL, 0, &opts), -ENOENT);
	CHECK(strstr(prong_error_detail(), "/no/such/place"));
	snprintf(before, sizeof before, "%s", prong_error_detail());
	CHECK_EQ(pthread_create(&t, NULL, detail_of_a_new_thread, NULL), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_STR(prong_error_detail(), before);
	prong_free(prong_alloc(1)); /* what succeeds changes nothing */
	CHECK_STR(prong_error_detail(), before);
}

static void a_long_detail_is_cut(void **state)
{
	char path[3000];
	prong_process_opts opts = { .out = { .kind = PRONG_PATH, .path = path } };
	prong_process *p;

	(void)state;
	for (size_t i = 0; i < sizeof path; i++)
		path[i] = i % 2 ? 'x' : '/';
	path[sizeof path - 1] = 0;
	CHECK_EQ(prong_process_start(&p, body_sleep, NULL, 0, &opts), -ENOENT);
	CHECK(prong_error_detail()[0] != 0);
}

static void versions_agree(void **state)
{
	(void)state;
	CHECK_STR(prong_version(), PRONG_VERSION);
}

/* --- time ---------------------------------------------------------------------------------- */

static void now_is_between(void **state)
{
	prong_time a = prong_clock(), b = prong_in_ms(0), c = prong_clock();

	(void)state;
	CHECK(prong_ns_between(a, b) >= 0);
	CHECK(prong_ns_between(b, c) >= 0);
	CHECK_EQ(prong_ns_between(a, a), 0);
	CHECK_EQ(prong_ns_between(a, c), -prong_ns_between(c, a));
}

static void spans(void **state)
{
	prong_time now = prong_clock();
	int64_t ns = prong_ns_between(now, prong_in_ms(1000));

	(void)state;
	CHECK(ns >= 1000000000 && ns < 100 * INT64_C(1000000000));
	CHECK(prong_ns_between(now, prong_in_ms(-1000)) < 0);
	CHECK(prong_in_ms(INT64_MAX).ns_ == PRONG_FOREVER.ns_);
	CHECK(prong_in_ms(INT64_MAX / 1000000).ns_ == PRONG_FOREVER.ns_);
	CHECK(prong_in_ms(INT64_MAX / 1000).ns_ == PRONG_FOREVER.ns_);
	CHECK(prong_in_ms(INT64_C(1000) * 3600 * 24 * 365 * 100).ns_ < PRONG_FOREVER.ns_);
	CHECK(prong_ns_between(now, prong_in_ms(INT64_MIN)) < 0);
	CHECK(prong_ns_between(now, prong_in_ms(INT64_MIN / 1000000)) < 0);
	CHECK(prong_in_ms(INT64_MIN).ns_ >= 0);
}

static void forever_and_never(void **state)
{
	(void)state;
	CHECK(prong_ns_between(PRONG_NOW, PRONG_FOREVER) == INT64_MAX);
	CHECK(prong_ns_between(PRONG_FOREVER, PRONG_NOW) < -INT64_MAX / 2);
	CHECK(prong_ns_between(PRONG_FOREVER, PRONG_FOREVER) == 0);
	CHECK(prong_ns_between(prong_clock(), PRONG_FOREVER) > INT64_MAX / 2);
	CHECK(prong_ns_between(prong_clock(), PRONG_NOW) < 0);
	CHECK_EQ((prong_time){ 0 }.ns_, PRONG_NOW.ns_);
}

static atomic_int alarms;

static void on_alarm(int sig)
{
	(void)sig;
	atomic_fetch_add(&alarms, 1);
}

static void sleep_in_spite_of_signals(void **state)
{
	struct sigaction act = { .sa_handler = on_alarm }, old;
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } }, off = { { 0, 0 }, { 0, 0 } };
	prong_time begin = prong_clock();

	(void)state;
	if (under_valgrind())
		SKIP("it lets signals wait");
	CHECK_EQ(sigaction(SIGALRM, &act, &old), 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
	prong_sleep(prong_in_ms(50));
	CHECK_EQ(setitimer(ITIMER_REAL, &off, NULL), 0);
	CHECK_EQ(sigaction(SIGALRM, &old, NULL), 0);
	CHECK(prong_ns_between(begin, prong_clock()) >= 50 * 1000000);
	CHECK(atomic_load(&alarms) > 1);
	begin = prong_clock();
	prong_sleep(PRONG_NOW);
	prong_sleep(prong_in_ms(-1000));
	CHECK(prong_ns_between(begin, prong_clock()) < HANG_MS * INT64_C(1000000));
}

static const struct CMUnitTest tests[] = {
	CASE(every_condition_has_words_of_its_own),
	CASE(errno_has_the_usual_words),
	CASE(other_numbers_have_words_too),
	CASE(details_belong_to_the_thread),
	CASE(a_long_detail_is_cut),
	CASE(versions_agree),
	CASE(now_is_between),
	CASE(spans),
	CASE(forever_and_never),
	CASE(sleep_in_spite_of_signals),
};

TEST_MAIN(tests, TEST_WARM, NULL)
