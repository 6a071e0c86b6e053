/* Common ground of the unit tests: checks that may be used anywhere, waiting with a hang limit,
   programs of their own ("helpers") for what would spoil the test program, and the rule that
   every case must leave the family as it found it.

   CHECK() and its kin work in the cases themselves, in their threads, in the processes they
   start and in helpers: outside the case's own thread a failure ends the process with 125. */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <prong/prong.h>

#if defined(__SANITIZE_THREAD__)
#define TEST_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_TSAN 1
#elif __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif
#ifndef TEST_TSAN
#define TEST_TSAN 0
#endif
#ifndef TEST_ASAN
#define TEST_ASAN 0
#endif

/* --- checks ------------------------------------------------------------------------------- */

void check_failed(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			check_failed(__FILE__, __LINE__, "%s", #cond);                             \
	} while (0)

/* Both are integers. */
#define CHECK_EQ(got, want)                                                                        \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		if (got_ != want_)                                                                 \
			check_failed(__FILE__, __LINE__, "%s is %lld, not %lld", #got, got_,       \
				     want_);                                                       \
	} while (0)

#define CHECK_STR(got, want)                                                                       \
	do {                                                                                       \
		const char *got_ = (got), *want_ = (want);                                         \
		if (got_ == NULL || strcmp(got_, want_) != 0)                                      \
			check_failed(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #got,         \
				     got_ ? got_ : "(null)", want_);                               \
	} while (0)

/* result is what a prong function returned. */
#define CHECK_OK(result)                                                                           \
	do {                                                                                       \
		int r_ = (result);                                                                 \
		if (r_ != 0)                                                                       \
			check_failed(__FILE__, __LINE__, "%s: %d, %s (%s)", #result, r_,           \
				     prong_strerror(r_), prong_error_detail());                    \
	} while (0)

/* --- waiting ------------------------------------------------------------------------------ */

/* What takes longer than this is a hang. */
#define HANG_MS 30000

prong_time soon(void);

/* Wait until *word is at least value; false when it takes forever. */
bool wait_for(atomic_int *word, int value);

/* Wait until test(arg) is true; false when it is still not after ms. */
bool wait_until(bool (*test)(void *arg), void *arg, int ms);

void sleep_ms(int ms);

/* How slow the machine is under a sanitizer or valgrind: 1 is plain. */
int slowness(void);

/* Valgrind has handlers of its own for signals, and reports crashes that are wanted. */
bool under_valgrind(void);

/* n, or less where it is slow; at least 1.  PRONG_TEST_SCALE=n asks for n hundredths of it. */
int scaled(int n);

/* PRONG_TEST_SCALE asks for all of it: also for what takes minutes or gigabytes. */
bool full_numbers(void);

/* A fifth of so many, unless PRONG_TEST_SCALE asks for a share of all: they take a minute. */
int many(int n);

/* --- processes and threads ----------------------------------------------------------------- */

prong_process *start(prong_fn *fn, const void *arg, size_t size);
prong_process *start_with(prong_fn *fn, const void *arg, size_t size,
			  const prong_process_opts *opts);

/* Join p, return its code; and end() also frees it. */
int join(prong_process *p);
int end(prong_process *p);

/* Kill p, join and free it. */
void kill_and_end(prong_process *p);

/* Start, join, free; return the code. */
int run(prong_fn *fn, const void *arg, size_t size);

prong_thread *start_thread(prong_fn *fn, const void *arg, size_t size);
int end_thread(prong_thread *t);

/* A zeroed block in the heap. */
void *shared(size_t size);

/* Functions for processes: return the int at arg; do nothing for ever; *arg, an atomic_int in
   the heap: wait until it is not 0. */
int body_return(void *arg);
int body_sleep(void *arg);
int body_wait(void *arg);

/* --- looking around -------------------------------------------------------------------------- */

/* 'R', 'S', 'Z', ...; 0 when there is no such process.  ppid may be NULL. */
char pid_state(pid_t pid, pid_t *ppid);

/* Wait until pid has ended, reaped or not; false when it is still there after ms. */
bool pid_gone(pid_t pid, int ms);

/* Store the open descriptors of this process in fds, ascending; return how many. */
int open_fds(int *fds, int max);

/* The inode of the family's heap. */
unsigned long heap_inode(void);

/* Store up to max processes that have the heap with this inode mapped; return how many. */
int heap_mappers(unsigned long inode, pid_t *pids, int max);

/* The server of this family, and the process that watches it. */
pid_t server_pid(void);
pid_t guard_pid(void);

/* Bytes of memory that process pid has. */
size_t rss(pid_t pid);

int count_lines(const char *path);

/* --- helpers: fresh programs ------------------------------------------------------------------ */

struct helper {
	const char *name;
	int (*run)(const char *arg); /* returns its exit code; 77: the machine lacks something */
};

/* Start helper name with arg, which may be NULL.  Its standard output comes from *out, if that
   is not NULL; the caller closes it. */
pid_t helper_start(const char *name, const char *arg, int *out);

/* Wait for it: its exit code, or minus the signal. */
int helper_end(pid_t pid);

/* Run it; any result but 0 fails the case, 77 skips it. */
void helper_run(const char *name, const char *arg);

#define HELPER_SKIP 77

/* --- programs ------------------------------------------------------------------------------ */

enum test_open {
	TEST_CLOSED, /* the cases use helpers only */
	TEST_OPENED, /* prong_open() first */
	TEST_WARM    /* ... and one process was started already */
};

void test_begin(int argc, char **argv, enum test_open open, const struct helper *helpers);
int test_end(int failed);

/* Around each case: what was there, and that nothing is left. */
int leak_begin(void **state);
int leak_end(void **state);

#define CASE(f) cmocka_unit_test_setup_teardown(f, leak_begin, leak_end)

/* helpers ends with an entry that has no name; NULL: there are none. */
#define TEST_MAIN(tests, open, helpers)                                                            \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		test_begin(argc, argv, open, helpers);                                             \
		return test_end(cmocka_run_group_tests(tests, NULL, NULL));                        \
	}

/* Leave the case out, with a reason. */
#define SKIP(why)                                                                                  \
	do {                                                                                       \
		print_message("skipped: %s\n", why);                                               \
		skip();                                                                            \
	} while (0)

#endif
