/* Opening and closing the family: options, too late, address taken, limits.  Every case is a
   program of its own. */
#define _GNU_SOURCE
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* The case runs in_name(). */
#define DEFINE_CASE(name)                                                                          \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		helper_run(#name, NULL);                                                           \
	}

static void works(void)
{
	int seven = 7;
	prong_mutex m = { 0 };

	prong_free(shared(1000));
	CHECK_OK(prong_mutex_lock(&m, PRONG_NOW));
	CHECK_OK(prong_mutex_unlock(&m));
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	CHECK_EQ(end_thread(start_thread(body_return, &seven, sizeof seven)), 7);
}

static uint64_t servers(void)
{
	prong_family_stats st;

	prong_family_stat(&st);
	return st.servers;
}

/* --- opening ------------------------------------------------------------------------------- */

static int in_open_twice(const char *arg)
{
	prong_family_opts opts = { .heap_size = (size_t)1 << 30 };

	(void)arg;
	CHECK_OK(prong_open(NULL));
	CHECK_EQ(servers(), 1);
	CHECK_OK(prong_open(NULL));
	CHECK_OK(prong_open(&opts)); /* an earlier stage has opened it: nothing changes */
	CHECK_EQ(servers(), 1);
	works();
	CHECK_OK(prong_open(NULL));
	CHECK_EQ(servers(), 1);
	return 0;
}
DEFINE_CASE(open_twice)

static int in_open_at_first_use(const char *arg)
{
	(void)arg;
	CHECK_EQ(servers(), 0);
	works();
	CHECK_EQ(servers(), 1);
	CHECK_OK(prong_open(NULL));
	CHECK_EQ(servers(), 1);
	return 0;
}
DEFINE_CASE(open_at_first_use)

static int in_open_by_alloc(const char *arg)
{
	void *p = prong_alloc(100);
	int seven = 7;

	(void)arg;
	CHECK(p != NULL);
	prong_free(p);
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	return 0;
}
DEFINE_CASE(open_by_alloc)

static int in_open_with_bad_options(const char *arg)
{
	prong_family_opts opts = { 0 };
	prong_family_stats st;
	int r;

	(void)arg;
	for (size_t i = 0; i < sizeof opts.reserved_ / sizeof *opts.reserved_; i++) {
		opts.reserved_[i] = 1;
		CHECK_EQ(prong_open(&opts), -EINVAL);
		CHECK(prong_error_detail()[0]);
		opts.reserved_[i] = 0;
	}
	opts.heap_size = 1;
	CHECK_EQ(prong_open(&opts), -EINVAL);
	opts.heap_size = SIZE_MAX;
	CHECK_EQ(prong_open(&opts), -EINVAL);
	opts.heap_size = (size_t)1 << 60;
	r = prong_open(&opts);
	CHECK(r == -EINVAL || r == -ENOMEM);
	prong_family_stat(&st);
	CHECK_EQ(st.heap_size, 0);
	CHECK_OK(prong_open(NULL));
	works();
	return 0;
}
DEFINE_CASE(open_with_bad_options)

static int in_open_with_a_size(const char *arg)
{
	prong_family_opts opts = { .heap_size = ((size_t)200 << 20) + 1 };
	prong_family_stats st;

	(void)arg;
	CHECK_OK(prong_open(&opts));
	prong_family_stat(&st);
	CHECK(st.heap_size > (size_t)200 << 20 && st.heap_size <= (size_t)202 << 20);
	CHECK_EQ(st.heap_size % (2 << 20), 0);
	works();
	CHECK(prong_alloc((size_t)200 << 20) == NULL);
	return 0;
}
DEFINE_CASE(open_with_a_size)

/* --- too late ------------------------------------------------------------------------------ */

static void *waits(void *arg)
{
	CHECK(wait_for(arg, 1));
	return NULL;
}

static int in_open_too_late(const char *arg)
{
	int seven = 7;
	atomic_int go = 0;
	prong_process *p = NULL;
	prong_mutex *m;
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, waits, &go), 0);
	if (strcmp(arg, "by first use") != 0)
		CHECK_EQ(prong_open(NULL), PRONG_NOSERVER);
	m = shared(sizeof *m);
	CHECK_OK(prong_mutex_lock(m, PRONG_NOW));
	CHECK_OK(prong_mutex_unlock(m));
	CHECK_EQ(end_thread(start_thread(body_return, &seven, sizeof seven)), 7);
	CHECK_EQ(prong_process_start(&p, body_return, &seven, sizeof seven, NULL), PRONG_NOSERVER);
	CHECK(p == NULL);
	CHECK(prong_error_detail()[0]);
	CHECK(strlen(prong_strerror(PRONG_NOSERVER)) > 10);
	atomic_store(&go, 1);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_OK(prong_open(NULL)); /* now it can be */
	works();
	prong_free(m);
	return 0;
}

static void opened_too_late(void **state)
{
	(void)state;
	helper_run("open_too_late", "by open");
	helper_run("open_too_late", "by first use");
}

/* This thread runs on the first or the last processor that it may use. */
static void stay_on(bool last)
{
	cpu_set_t all, one;
	int cpu = -1;

	CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all) && (cpu < 0 || last))
			cpu = i;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
}

static void *ends(void *all)
{
	CHECK_EQ(sched_setaffinity(0, sizeof(cpu_set_t), all), 0);
	stay_on(true);
	return NULL;
}

/* A thread that was joined is no thread, though the kernel lists it for a moment more. */
static int in_open_after_threads(const char *arg)
{
	cpu_set_t all;
	pthread_t t;

	(void)arg;
	CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
	stay_on(false);
	for (int i = 0; i < 50; i++) {
		CHECK_EQ(pthread_create(&t, NULL, ends, &all), 0);
		CHECK_EQ(pthread_join(t, NULL), 0);
		CHECK_OK(prong_open(NULL));
		CHECK_OK(prong_close(soon()));
	}
	return 0;
}
DEFINE_CASE(open_after_threads)

/* --- the address --------------------------------------------------------------------------- */

#define GIB ((size_t)1 << 30)

static void *take_address(uintptr_t at, size_t size)
{
	void *p = mmap((void *)at, size, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Where the heap of another program lies is where it would lie here. */
static uintptr_t usual_address(void)
{
	uintptr_t at = 0;
	int pipe_fd[2];
	pid_t pid;

	CHECK_EQ(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		at = (uintptr_t)prong_alloc(1);
		_exit(write(pipe_fd[1], &at, sizeof at) == sizeof at ? 0 : 1);
	}
	CHECK_EQ(read(pipe_fd[0], &at, sizeof at), sizeof at);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return at & ~(GIB - 1);
}

static int in_first_address_is_taken(const char *arg)
{
	prong_family_opts opts = { .heap_size = GIB };
	uintptr_t usual = usual_address();
	void *p, *taken = take_address(usual, 4096);

	(void)arg;
	if (!taken)
		return HELPER_SKIP;
	CHECK_OK(prong_open(&opts));
	p = shared(10);
	CHECK((uintptr_t)p >= usual + GIB || (uintptr_t)p < usual);
	prong_free(p);
	works();
	munmap(taken, 4096);
	return 0;
}
DEFINE_CASE(first_address_is_taken)

static int in_all_addresses_are_taken(const char *arg)
{
	uintptr_t usual = usual_address();
	char *taken[1024];
	int n = 0;

	(void)arg;
	for (uintptr_t at = usual; at < usual + 16384 * GIB; at += 16 * GIB)
		if ((taken[n] = take_address(at + GIB, 4096)) != NULL)
			n++;
	CHECK_EQ(prong_open(NULL), -EADDRINUSE);
	CHECK(prong_error_detail()[0]);
	CHECK(prong_alloc(10) == NULL);
	CHECK_EQ(prong_process_start(&(prong_process *){ NULL }, body_sleep, NULL, 0, NULL) < 0, 1);
	while (n-- > 0)
		munmap(taken[n], 4096);
	CHECK_OK(prong_open(NULL));
	works();
	return 0;
}
DEFINE_CASE(all_addresses_are_taken)

/* --- closing ------------------------------------------------------------------------------- */

static int body_ends_at(void *arg)
{
	return wait_for(arg, 1) ? 7 : 1;
}

static int in_close_and_open(const char *arg)
{
	atomic_int *go;
	pid_t server, guard;
	prong_process *p;
	int code;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	go = shared(sizeof *go);
	server = server_pid();
	guard = guard_pid();
	p = start(body_ends_at, go, 0);
	CHECK_EQ(prong_close(PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_close(prong_in_ms(10)), PRONG_TIMEDOUT);
	CHECK(prong_process_alive(p));
	works();
	atomic_store(go, 1);
	CHECK_OK(prong_close(soon()));
	CHECK(pid_gone(server, HANG_MS) && pid_gone(guard, HANG_MS));
	CHECK_OK(prong_process_join(p, &code, PRONG_NOW));
	CHECK_EQ(code, 7);
	prong_process_free(p);
	CHECK_EQ(atomic_load(go), 1); /* the heap stays */
	CHECK_OK(prong_close(soon()));
	CHECK_OK(prong_open(NULL));
	works();
	CHECK(server_pid() != server);
	CHECK_EQ(atomic_load(go), 1);
	prong_free(go);
	for (int i = 0; i < 20; i++) {
		CHECK_OK(prong_close(soon()));
		CHECK_OK(prong_open(NULL));
	}
	works();
	return 0;
}
DEFINE_CASE(close_and_open)

static int in_close_terminates_daemons(const char *arg)
{
	prong_process_opts opts = { .daemon = true };
	prong_process *p;
	int code;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	p = start_with(body_sleep, NULL, 0, &opts);
	CHECK_OK(prong_close(soon()));
	CHECK_OK(prong_process_join(p, &code, PRONG_NOW));
	CHECK_EQ(code, -SIGTERM);
	return 0;
}
DEFINE_CASE(close_terminates_daemons)

static int body_closes(void *arg)
{
	(void)arg;
	return prong_close(PRONG_FOREVER) == -EPERM ? 0 : 1;
}

static int body_opens(void *arg)
{
	(void)arg;
	return prong_open(NULL) == 0;
}

static int in_close_by_a_child(const char *arg)
{
	(void)arg;
	CHECK_OK(prong_open(NULL));
	CHECK_EQ(run(body_closes, NULL, 0), 0);
	run(body_opens, NULL, 0); /* whatever it says: */
	works();
	CHECK_EQ(servers(), 1);
	return 0;
}
DEFINE_CASE(close_by_a_child)

static int in_close_what_is_not_open(const char *arg)
{
	int r = prong_close(PRONG_NOW);

	(void)arg;
	CHECK(r == 0 || r == -EPERM);
	CHECK_OK(prong_open(NULL));
	works();
	return 0;
}
DEFINE_CASE(close_what_is_not_open)

/* --- limits -------------------------------------------------------------------------------- */

static void limit(__rlimit_resource_t which, rlim_t soft)
{
	struct rlimit l;

	CHECK_EQ(getrlimit(which, &l), 0);
	l.rlim_cur = soft < l.rlim_max ? soft : l.rlim_max;
	CHECK_EQ(setrlimit(which, &l), 0);
}

static int in_little_address_space(const char *arg)
{
	prong_family_stats st;
	int r;

	(void)arg;
	if (TEST_ASAN || TEST_TSAN)
		return HELPER_SKIP;
	limit(RLIMIT_AS, (rlim_t)40 << 20);
	r = prong_open(NULL);
	CHECK(r == 0 || r == -ENOMEM);
	limit(RLIMIT_AS, (rlim_t)1 << 30);
	CHECK_OK(prong_open(NULL));
	prong_family_stat(&st);
	CHECK(st.heap_size <= (uint64_t)1 << 28);
	works();
	limit(RLIMIT_AS, (rlim_t)1 << 20); /* less than there is already */
	r = run(body_return, &(int){ 7 }, sizeof(int));
	CHECK_EQ(r, 7);
	limit(RLIMIT_AS, RLIM_INFINITY);
	works();
	return 0;
}
DEFINE_CASE(little_address_space)

static int in_few_descriptors(const char *arg)
{
	prong_process *p = NULL;
	int r, seven = 7;
	struct rlimit l;

	(void)arg;
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &l), 0);
	limit(RLIMIT_NOFILE, 3);
	r = prong_open(NULL);
	CHECK(r == 0 || r == -EMFILE);
	limit(RLIMIT_NOFILE, l.rlim_cur);
	CHECK_OK(prong_open(NULL));
	works();
	limit(RLIMIT_NOFILE, 3);
	for (int i = 0; i < 5; i++) {
		r = prong_process_start(&p, body_return, &seven, sizeof seven, NULL);
		CHECK(r == 0 || r == -EMFILE);
		if (r == 0) {
			r = prong_process_fd(p);
			CHECK_EQ(r, -EMFILE);
			CHECK_EQ(end(p), 7);
		}
	}
	limit(RLIMIT_NOFILE, l.rlim_cur);
	works();
	return 0;
}
DEFINE_CASE(few_descriptors)

/* As a user who has few processes: a number that nobody else has. */
static int in_few_processes(const char *arg)
{
	uid_t uid = 40000 + (uid_t)getpid() % 20000;
	prong_process *p[64];
	int n = 0, r = 0, total = 0;

	(void)arg;
	if (geteuid() != 0 || setgroups(0, NULL) != 0 || setgid(uid) != 0 || setuid(uid) != 0)
		return HELPER_SKIP;
	limit(RLIMIT_NPROC, 1);
	r = prong_open(NULL);
	CHECK_EQ(r, -EAGAIN);
	CHECK(prong_error_detail()[0]);
	limit(RLIMIT_NPROC, 12);
	CHECK_OK(prong_open(NULL));
	for (int round = 0; round < 3; round++) {
		for (n = 0; n < 64; n++) {
			r = prong_process_start(&p[n], body_sleep, NULL, 0, NULL);
			if (r)
				break;
		}
		CHECK_EQ(r, -EAGAIN);
		CHECK(n > 2 && n < 12);
		total += n;
		while (n-- > 0)
			kill_and_end(p[n]);
	}
	CHECK(total > 6);
	works();
	return 0;
}
DEFINE_CASE(few_processes)

/* --- core dumps ---------------------------------------------------------------------------- */

static int body_aborts(void *arg)
{
	char *p = prong_alloc(8 << 20);

	(void)arg;
	memset(p, 1, 8 << 20);
	abort();
}


/* Bytes on disk of all files in the current directory, and remove them. */
static long long remove_files(int *n)
{
	DIR *dir = opendir(".");
	long long bytes = 0;
	struct dirent *d;
	struct stat st;

	CHECK(dir != NULL);
	while ((d = readdir(dir)))
		if (d->d_type == DT_REG && stat(d->d_name, &st) == 0) {
			bytes += (long long)st.st_blocks * 512;
			unlink(d->d_name);
			++*n;
		}
	closedir(dir);
	return bytes;
}

static int in_a_core_dump_is_small(const char *arg)
{
	char dir[] = "/tmp/prong-unit-XXXXXX", pattern[64] = "";
	FILE *f = fopen("/proc/sys/kernel/core_pattern", "re");
	prong_report report;
	prong_time begin;
	prong_process *p;
	int files = 0;
	long long bytes;

	(void)arg;
	if (!f || !fgets(pattern, sizeof pattern, f) || strcmp(pattern, "core\n") != 0) {
		fprintf(stderr, "core dumps do not go to the current directory\n");
		return HELPER_SKIP;
	}
	fclose(f);
	if (TEST_ASAN || TEST_TSAN || slowness() > 1)
		return HELPER_SKIP;
	CHECK(mkdtemp(dir) && chdir(dir) == 0);
	CHECK_OK(prong_open(&(prong_family_opts){ .heap_size = 64 * GIB }));
	limit(RLIMIT_CORE, RLIM_INFINITY);
	begin = prong_clock();
	p = start(body_aborts, NULL, 0);
	CHECK_EQ(join(p), -SIGABRT);
	prong_process_report(p, &report);
	print_message("dumped in %.1f ms\n",
		      (double)prong_ns_between(begin, prong_clock()) / 1e6);
	bytes = remove_files(&files);
	CHECK(chdir("/") == 0 && rmdir(dir) == 0);
	if (files == 0)
		return HELPER_SKIP; /* the hard limit forbids them */
	CHECK(report.core);
	print_message("%lld KiB\n", bytes >> 10);
	CHECK(bytes < 64 << 20);
	return 0;
}
DEFINE_CASE(a_core_dump_is_small)

#define HELPER(name) { #name, in_##name }

static const struct helper helpers[] = {
	HELPER(open_twice),
	HELPER(open_at_first_use),
	HELPER(open_by_alloc),
	HELPER(open_with_bad_options),
	HELPER(open_with_a_size),
	HELPER(open_too_late),
	HELPER(open_after_threads),
	HELPER(first_address_is_taken),
	HELPER(all_addresses_are_taken),
	HELPER(close_and_open),
	HELPER(close_terminates_daemons),
	HELPER(close_by_a_child),
	HELPER(close_what_is_not_open),
	HELPER(little_address_space),
	HELPER(few_descriptors),
	HELPER(few_processes),
	HELPER(a_core_dump_is_small),
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(open_twice),
	CASE(open_at_first_use),
	CASE(open_by_alloc),
	CASE(open_with_bad_options),
	CASE(open_with_a_size),
	CASE(opened_too_late),
	CASE(open_after_threads),
	CASE(first_address_is_taken),
	CASE(all_addresses_are_taken),
	CASE(close_and_open),
	CASE(close_terminates_daemons),
	CASE(close_by_a_child),
	CASE(close_what_is_not_open),
	CASE(little_address_space),
	CASE(few_descriptors),
	CASE(few_processes),
	CASE(a_core_dump_is_small),
};

TEST_MAIN(tests, TEST_CLOSED, helpers)
