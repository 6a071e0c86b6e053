/* Threads: what they run, what they are called, how they are joined, and that nothing stays. */
#define _GNU_SOURCE
#include "support.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

static int start_opts(prong_fn *fn, const prong_thread_opts *opts)
{
	prong_thread *t = NULL;
	int r = prong_thread_start(&t, fn, NULL, 0, opts);

	if (r == 0)
		return end_thread(t);
	CHECK(t == NULL);
	return r;
}

/* --- result and join ----------------------------------------------------------------------- */

static void results(void **state)
{
	static const int values[] = { 0, 1, -1, 255, 256, 100000, INT32_MAX, INT32_MIN };

	(void)state;
	for (int i = 0; i < 8; i++)
		CHECK_EQ(end_thread(start_thread(body_return, &values[i], sizeof values[i])),
			 values[i]);
}

static int exits_early(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

static void pthread_exit_ends_it_too(void **state)
{
	prong_thread *t = start_thread(exits_early, NULL, 0);

	(void)state;
	CHECK_OK(prong_thread_join(t, NULL, soon()));
	CHECK(!prong_thread_alive(t));
	prong_thread_free(t);
}

static int waits(void *arg)
{
	return wait_for(*(atomic_int **)arg, 1) ? 6 : 0;
}

static prong_thread *start_waiter(atomic_int *go)
{
	return start_thread(waits, &go, sizeof go);
}

static void join_while_it_runs_times_out(void **state)
{
	atomic_int go = 0;
	prong_thread *t = start_waiter(&go);
	prong_time begin = prong_clock();
	int result = 4711;

	(void)state;
	CHECK_EQ(prong_thread_join(t, &result, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_thread_join(t, &result, prong_in_ms(-1)), PRONG_TIMEDOUT);
	CHECK_EQ(prong_thread_join(t, &result, prong_in_ms(30)), PRONG_TIMEDOUT);
	CHECK(prong_ns_between(begin, prong_clock()) >= 30 * 1000000);
	CHECK_EQ(result, 4711);
	CHECK(prong_thread_alive(t));
	atomic_store(&go, 1);
	CHECK_OK(prong_thread_join(t, NULL, soon()));
	CHECK(!prong_thread_alive(t));
	for (int i = 0; i < 3; i++) {
		CHECK_OK(prong_thread_join(t, &result, PRONG_NOW));
		CHECK_EQ(result, 6);
	}
	prong_thread_free(t);
}

static int joins(void *arg)
{
	int result = 0;

	CHECK_OK(prong_thread_join(*(prong_thread **)arg, &result, soon()));
	return result;
}

static void join_by_many(void **state)
{
	atomic_int go = 0;
	prong_thread *t = start_waiter(&go), *j[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		j[i] = start_thread(joins, &t, sizeof t);
	sleep_ms(10);
	atomic_store(&go, 1);
	for (int i = 0; i < 6; i++)
		CHECK_EQ(end_thread(j[i]), 6);
	CHECK_EQ(end_thread(t), 6);
}

static int joins_itself(void *arg)
{
	(void)arg;
	return prong_thread_join(prong_thread_self(), NULL, PRONG_FOREVER);
}

static void joins_that_cannot_be(void **state)
{
	(void)state;
	CHECK_EQ(end_thread(start_thread(joins_itself, NULL, 0)), PRONG_DEADLOCK);
	CHECK_EQ(prong_thread_join(NULL, NULL, PRONG_FOREVER), -EINVAL);
}

static int sets(void *arg)
{
	CHECK(wait_for(*(atomic_int **)arg, 1));
	atomic_store(*(atomic_int **)arg, 2);
	return 0;
}

static void free_while_it_runs(void **state)
{
	atomic_int go = 0, *at = &go;

	(void)state;
	for (int i = 0; i < 20; i++) {
		atomic_store(&go, 0);
		prong_thread_free(start_thread(sets, &at, sizeof at));
		atomic_store(&go, 1);
		CHECK(wait_for(&go, 2));
	}
	prong_thread_free(NULL);
}

/* --- arguments ----------------------------------------------------------------------------- */

static int sums(void *arg)
{
	unsigned char *bytes = arg;
	size_t size = *(size_t *)arg;
	int sum = 0;

	CHECK_EQ((uintptr_t)arg % _Alignof(max_align_t), 0);
	for (size_t i = sizeof size; i < size; i++)
		sum += bytes[i];
	memset(arg, 0xee, size);
	return sum;
}

static void copies_of_all_sizes(void **state)
{
	static const size_t sizes[] = { 8, 9, 16, 128, 129, 4096, 1 << 20 };

	(void)state;
	for (int i = 0; i < 7; i++) {
		unsigned char *bytes = malloc(sizes[i]);
		prong_thread *t;

		memset(bytes, 1, sizes[i]);
		memcpy(bytes, &sizes[i], sizeof sizes[i]);
		t = start_thread(sums, bytes, sizes[i]);
		memset(bytes, 7, sizes[i]);
		free(bytes);
		CHECK_EQ(end_thread(t), (int)(sizes[i] - 8));
	}
}

static int is_null(void *arg)
{
	return arg == NULL;
}

static void pointers_follow_the_rule_of_processes(void **state)
{
	static int variable;
	prong_thread *untouched = (prong_thread *)(uintptr_t)0x4711, *t = untouched;
	int local = 3, *heap = shared(sizeof *heap);

	(void)state;
	*heap = 77;
	CHECK_EQ(end_thread(start_thread(body_return, heap, 0)), 77);
	CHECK_EQ(end_thread(start_thread(is_null, NULL, 0)), 1);
	CHECK_EQ(prong_thread_start(&t, body_return, &local, 0, NULL), -EFAULT);
	CHECK_EQ(prong_thread_start(&t, body_return, &variable, 0, NULL), -EFAULT);
	CHECK_EQ(prong_thread_start(&t, body_return, NULL, 1, NULL), -EFAULT);
	CHECK_EQ(prong_thread_start(&t, body_return, heap, SIZE_MAX, NULL), -ENOMEM);
	CHECK_EQ(prong_thread_start(&t, NULL, NULL, 0, NULL), -EINVAL);
	CHECK_EQ(prong_thread_start(NULL, body_return, NULL, 0, NULL), -EINVAL);
	CHECK(t == untouched);
	prong_free(heap);
}

/* --- names --------------------------------------------------------------------------------- */

static void comm_of(int tid, char comm[64])
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
	f = fopen(path, "re");
	CHECK(f && fgets(comm, 64, f));
	fclose(f);
	comm[strcspn(comm, "\n")] = 0;
}

static void *dummy_name(void *name)
{
	strcpy(name, prong_thread_name(NULL));
	CHECK_STR(prong_thread_name(NULL), name);
	CHECK(prong_thread_self() == NULL);
	return NULL;
}

static int copies_name(void *arg)
{
	strcpy(*(char **)arg, prong_thread_name(NULL));
	return 0;
}

static int helper_names(const char *arg)
{
	char first[64], dummy[2][64], *at = first, comm[64];
	atomic_int go = 0;
	prong_thread *t;
	pthread_t p;

	(void)arg;
	CHECK_STR(prong_thread_name(NULL), "MainThread");
	CHECK_EQ(end_thread(start_thread(copies_name, &at, sizeof at)), 0);
	CHECK_STR(first, "Thread-1");
	t = start_waiter(&go);
	CHECK_STR(prong_thread_name(t), "Thread-2");
	comm_of(prong_thread_id(t), comm);
	CHECK_STR(comm, "Thread-2");
	atomic_store(&go, 1);
	CHECK_EQ(end_thread(t), 6);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(pthread_create(&p, NULL, dummy_name, dummy[i]), 0);
		CHECK_EQ(pthread_join(p, NULL), 0);
	}
	CHECK_STR(dummy[0], "Dummy-1");
	CHECK_STR(dummy[1], "Dummy-2");
	CHECK_STR(prong_thread_name(NULL), "MainThread");
	return 0;
}

static void default_names(void **state)
{
	(void)state;
	helper_run("names", NULL);
}

static void an_own_name(void **state)
{
	prong_thread_opts opts = { .name = "a name of more than fifteen bytes" };
	atomic_int go = 0, *at = &go;
	prong_thread *t;
	char comm[64], name[101];

	(void)state;
	CHECK_OK(prong_thread_start(&t, waits, &at, sizeof at, &opts));
	CHECK_STR(prong_thread_name(t), opts.name);
	comm_of(prong_thread_id(t), comm);
	CHECK_STR(comm, "a name of more ");
	atomic_store(&go, 1);
	CHECK_EQ(end_thread(t), 6);

	memset(name, 'n', 100);
	name[100] = 0;
	opts.name = name;
	CHECK_OK(prong_thread_start(&t, waits, &at, sizeof at, &opts));
	name[0] = 'x';
	CHECK_EQ(strlen(prong_thread_name(t)), 63);
	CHECK_EQ(prong_thread_name(t)[0], 'n');
	CHECK_EQ(end_thread(t), 6);
	comm_of(prong_thread_id(NULL), comm);
	CHECK_EQ(prong_thread_id(NULL), getpid());
}

static int is_itself(void *arg)
{
	(void)arg;
	CHECK(prong_thread_self() != NULL);
	CHECK_EQ(prong_thread_id(NULL), gettid());
	CHECK_EQ(prong_thread_id(prong_thread_self()), gettid());
	CHECK_STR(prong_thread_name(NULL), prong_thread_name(prong_thread_self()));
	CHECK(prong_thread_alive(prong_thread_self()));
	return 0;
}

static void self(void **state)
{
	(void)state;
	CHECK(prong_thread_self() == NULL);
	CHECK_EQ(end_thread(start_thread(is_itself, NULL, 0)), 0);
}

static void list(void **state)
{
	prong_thread *t[3], *found[8] = { NULL };
	atomic_int go = 0;
	int seen = 0;

	(void)state;
	CHECK_EQ(prong_thread_list(found, 8), 0);
	for (int i = 0; i < 3; i++)
		t[i] = start_waiter(&go);
	CHECK_EQ(prong_thread_list(found, 8), 3);
	for (int i = 0; i < 9; i++)
		seen += found[i / 3] == t[i % 3];
	CHECK_EQ(seen, 3);
	CHECK(found[3] == NULL);
	memset(found, 0, sizeof found);
	CHECK_EQ(prong_thread_list(found, 1), 3);
	CHECK(found[0] != NULL && found[1] == NULL);
	CHECK_EQ(prong_thread_list(NULL, 0), 3);
	atomic_store(&go, 1);
	for (int i = 0; i < 3; i++)
		CHECK_OK(prong_thread_join(t[i], NULL, soon()));
	CHECK_EQ(prong_thread_list(found, 8), 0); /* no dead ones */
	for (int i = 0; i < 3; i++)
		prong_thread_free(t[i]);
}

/* --- options ------------------------------------------------------------------------------- */

static int stack_size(void *arg)
{
	pthread_attr_t attr;
	size_t size;

	(void)arg;
	CHECK_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
	CHECK_EQ(pthread_attr_getstacksize(&attr, &size), 0);
	pthread_attr_destroy(&attr);
	return (int)(size >> 10);
}

static int uses_stack(void *arg)
{
	volatile char bytes[6 << 20];

	(void)arg;
	for (size_t i = 0; i < sizeof bytes; i += 4096)
		bytes[i] = 1;
	return bytes[4096];
}

static void stack_sizes(void **state)
{
	prong_thread_opts opts = { .stack_size = 1 << 20 };
	int kib;

	(void)state;
	kib = start_opts(stack_size, &opts);
	CHECK(kib >= 1024 && kib < 1024 + 256);
	opts.stack_size = (16 << 20) + 12345; /* no multiple of anything */
	CHECK(start_opts(stack_size, &opts) >= 16384);
	CHECK_EQ(start_opts(uses_stack, &opts), 1);
	opts.stack_size = 1;
	CHECK_EQ(start_opts(stack_size, &opts), -EINVAL);
	opts.stack_size = SIZE_MAX;
	kib = start_opts(stack_size, &opts);
	CHECK(kib == -EINVAL || kib == -EAGAIN || kib == -ENOMEM);
	opts.stack_size = (size_t)1 << 46;
	kib = start_opts(stack_size, &opts);
	CHECK(kib == -EINVAL || kib == -EAGAIN || kib == -ENOMEM);
}

static int count_cpus(void *arg)
{
	cpu_set_t set;

	(void)arg;
	CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
	return CPU_COUNT(&set) * 1000 + sched_getcpu();
}

static void processors(void **state)
{
	uint16_t cpus[2] = { 0, 0 };
	prong_thread_opts opts = { .cpus = cpus, .ncpus = 1 };
	cpu_set_t mine, after;
	int n = 0, r;

	(void)state;
	CHECK_EQ(sched_getaffinity(0, sizeof mine, &mine), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &mine) && n < 2)
			cpus[n++] = (uint16_t)cpu;
	CHECK_EQ(start_opts(count_cpus, &opts), 1000 + cpus[0]);
	CHECK_EQ(start_opts(count_cpus, NULL) / 1000, CPU_COUNT(&mine));
	if (n == 2) {
		opts.ncpus = 2;
		CHECK_EQ(start_opts(count_cpus, &opts) / 1000, 2);
	}
	cpus[0] = 65535;
	opts.ncpus = 1;
	r = start_opts(count_cpus, &opts);
	CHECK_EQ(r, -EINVAL);
	CHECK_EQ(sched_getaffinity(0, sizeof after, &after), 0);
	CHECK(CPU_EQUAL(&mine, &after));
}

static void unknown_options(void **state)
{
	static const prong_thread_opts none;

	(void)state;
	for (size_t i = 0; i < sizeof none.reserved_ / sizeof *none.reserved_; i++) {
		prong_thread_opts opts = none;

		opts.reserved_[i] = 1;
		CHECK_EQ(start_opts(is_null, &opts), -EINVAL);
		CHECK(prong_error_detail()[0]);
	}
	CHECK_EQ(start_opts(is_null, &(prong_thread_opts){ .ncpus = 1 }), -EINVAL);
	CHECK_EQ(start_opts(is_null, &(prong_thread_opts){ .name = "" }), 1);
}

/* --- many ---------------------------------------------------------------------------------- */

static int uses_prong(void *arg)
{
	prong_mutex m = { 0 };

	(void)arg;
	CHECK_OK(prong_mutex_lock(&m, PRONG_NOW));
	CHECK_OK(prong_mutex_unlock(&m));
	prong_free(prong_alloc(10));
	return 0;
}

static int count_maps(void)
{
	return count_lines("/proc/self/maps");
}

static void threads_in_a_row_leave_nothing(void **state)
{
	int n = many(100000), maps, zero = 0;
	prong_family_stats a, b;
	size_t memory;

	(void)state;
	for (int i = 0; i < 1000; i++)
		end_thread(start_thread(uses_prong, NULL, 0));
	prong_family_stat(&a);
	memory = rss(getpid());
	maps = count_maps();
	for (int i = 0; i < n; i++)
		CHECK_EQ(end_thread(i % 2 ? start_thread(uses_prong, NULL, 0)
					  : start_thread(body_return, &zero, sizeof zero)), 0);
	prong_family_stat(&b);
	CHECK_EQ(b.blocks, a.blocks);
	CHECK_EQ(b.heap_used, a.heap_used);
	CHECK_EQ(b.threads, a.threads);
	CHECK_EQ(b.heap_committed, a.heap_committed);
	if (slowness() == 1) {
		CHECK(rss(getpid()) < memory + (1 << 20));
		CHECK(count_maps() <= maps + 2);
	}
}

static void *foreign(void *arg)
{
	uses_prong(NULL);
	(void)prong_thread_name(NULL);
	return arg;
}

static void foreign_threads_lose_their_slot(void **state)
{
	prong_family_stats a, b;
	pthread_t t[8];

	(void)state;
	prong_family_stat(&a);
	for (int i = 0; i < scaled(3000); i++) {
		for (int k = 0; k < 8; k++)
			CHECK_EQ(pthread_create(&t[k], NULL, foreign, NULL), 0);
		for (int k = 0; k < 8; k++)
			CHECK_EQ(pthread_join(t[k], NULL), 0);
	}
	prong_family_stat(&b);
	CHECK_EQ(b.threads, a.threads);
	CHECK_EQ(b.blocks, a.blocks);
}

static void many_at_once(void **state)
{
	prong_thread_opts opts = { .stack_size = 128 << 10 };
	int n = scaled(300); /* they poll: more would be a test of the scheduler */
	prong_thread **t = calloc((size_t)n, sizeof *t);
	atomic_int go = 0, *at = &go;

	(void)state;
	for (int i = 0; i < n; i++)
		CHECK_OK(prong_thread_start(&t[i], waits, &at, sizeof at, &opts));
	CHECK_EQ(prong_thread_list(NULL, 0), n);
	atomic_store(&go, 1);
	for (int i = 0; i < n; i++)
		CHECK_EQ(end_thread(t[i]), 6);
	free(t);
}

static const struct helper helpers[] = {
	{ "names", helper_names },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(results),
	CASE(pthread_exit_ends_it_too),
	CASE(join_while_it_runs_times_out),
	CASE(join_by_many),
	CASE(joins_that_cannot_be),
	CASE(free_while_it_runs),
	CASE(copies_of_all_sizes),
	CASE(pointers_follow_the_rule_of_processes),
	CASE(default_names),
	CASE(an_own_name),
	CASE(self),
	CASE(list),
	CASE(stack_sizes),
	CASE(processors),
	CASE(unknown_options),
	CASE(threads_in_a_row_leave_nothing),
	CASE(foreign_threads_lose_their_slot),
	CASE(many_at_once),
};

TEST_MAIN(tests, TEST_OPENED, helpers)
