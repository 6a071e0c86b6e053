/* Many: starts from a busy caller, processes in a row, members at once.  PRONG_TEST_SCALE=100 asks
   for all of them. */
#define _GNU_SOURCE
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/wait.h>

/* --- a caller with 64 threads in malloc ---------------------------------------------------- */

static atomic_int stop;

static void *mallocs(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	while (!atomic_load(&stop)) {
		void *p[16];

		for (int i = 0; i < 16; i++)
			p[i] = malloc((size_t)(rand_r(&seed) % 5000));
		for (int i = 0; i < 16; i++)
			free(p[i]);
	}
	return NULL;
}

static int body_mallocs(void *arg)
{
	void *p = malloc(100000);
	int r = p ? *(int *)arg : 99;

	free(p);
	return r;
}

/* What takes a minute in the full number must be over after some seconds here. */
static bool enough(prong_time begin)
{
	return !getenv("PRONG_TEST_SCALE") && prong_ns_between(begin, prong_clock()) > 3000000000;
}

static void starts_beside_64_threads_in_malloc(void **state)
{
	prong_time begin;
	pthread_t t[64];
	int n = scaled(10000), done;

	(void)state;
	atomic_store(&stop, 0);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, mallocs, (void *)(uintptr_t)i), 0);
	begin = prong_clock(); /* so many keep the processors from who creates them */
	for (done = 0; done < n && !enough(begin); done++) {
		int code = done % 200;

		CHECK_EQ(run(body_mallocs, &code, sizeof code), code);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	print_message("%d of %d processes\n", done, n);
	CHECK(done == n || (done > 0 && !getenv("PRONG_TEST_SCALE")));
}

/* --- in a row ------------------------------------------------------------------------------ */

struct costs {
	size_t main, server, guard;
	int server_fds, maps;
	prong_family_stats stats;
};

static int count_fds(pid_t pid)
{
	char path[64];
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	dir = opendir(path);
	CHECK(dir != NULL);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* They have descriptors for a moment while they work. */
static bool nothing_to_do(void *unused)
{
	(void)unused;
	return pid_state(server_pid(), NULL) == 'S' && pid_state(guard_pid(), NULL) == 'S';
}

static void take_costs(struct costs *c)
{
	pid_t server = server_pid(), guard = guard_pid();

	CHECK(wait_until(nothing_to_do, NULL, 20000));
	c->main = rss(getpid());
	c->server = rss(server);
	c->guard = rss(guard);
	c->server_fds = count_fds(server) + count_fds(guard);
	c->maps = count_lines("/proc/self/maps");
	prong_family_stat(&c->stats);
}

static int body_lives(void *arg)
{
	prong_free(prong_alloc(1000));
	return *(int *)arg;
}

static void one_life(int i)
{
	static const int endings[] = { 0, 1, 255 };
	int code = endings[i % 3];
	char large[3000] = { 0 };
	prong_process *p;

	memcpy(large, &code, sizeof code);
	p = start(body_lives, large, i % 5 ? sizeof code : sizeof large);
	if (i % 7 == 0) {
		CHECK_OK(prong_process_signal(p, SIGKILL));
		code = end(p);
		CHECK(code == endings[i % 3] || code == -SIGKILL);
		return;
	}
	CHECK_EQ(end(p), code);
}

static void in_a_row_they_leave_nothing(void **state)
{
	int n = many(10000);
	struct costs before, after;

	(void)state;
	for (int i = 0; i < 200; i++)
		one_life(i);
	take_costs(&before);
	for (int i = 0; i < n; i++)
		one_life(i);
	take_costs(&after);
	CHECK_EQ(after.stats.blocks, before.stats.blocks);
	CHECK_EQ(after.stats.threads, before.stats.threads);
	CHECK_EQ(after.stats.processes, before.stats.processes);
	CHECK_EQ(after.stats.servers, before.stats.servers);
	CHECK(after.stats.started >= before.stats.started + (uint64_t)n);
	CHECK(after.stats.deaths >= before.stats.deaths + (uint64_t)n);
	CHECK_EQ(after.stats.heap_committed, before.stats.heap_committed);
	CHECK_EQ(after.server_fds, before.server_fds);
	if (slowness() == 1) {
		CHECK(after.main < before.main + (256 << 10));
		CHECK(after.server < before.server + (256 << 10));
		CHECK(after.guard < before.guard + (256 << 10));
		CHECK_EQ(after.maps, before.maps);
	}
}

/* --- at once ------------------------------------------------------------------------------- */

struct crowd {
	prong_mutex gate;
	atomic_int here;
	long through;
};

static int body_passes_gate(void *arg)
{
	struct crowd *c = arg;

	atomic_fetch_add(&c->here, 1);
	CHECK_OK(prong_mutex_lock(&c->gate, soon()));
	c->through++;
	CHECK_OK(prong_mutex_unlock(&c->gate));
	return 0;
}

static void a_thousand_members_at_once(void **state)
{
	struct crowd *c = shared(sizeof *c);
	int n = scaled(1000);
	prong_process **p = calloc((size_t)n, sizeof *p);
	prong_family_stats st;

	(void)state;
	CHECK_OK(prong_mutex_lock(&c->gate, PRONG_NOW));
	for (int i = 0; i < n; i++)
		p[i] = start(body_passes_gate, c, 0);
	CHECK(wait_for(&c->here, n));
	prong_family_stat(&st);
	CHECK(st.processes >= (uint32_t)n + 1);
	CHECK(st.threads >= (uint32_t)n + 1);
	CHECK_EQ(prong_process_children(NULL, 0), n);
	CHECK_OK(prong_mutex_unlock(&c->gate));
	for (int i = 0; i < n; i++)
		CHECK_EQ(end(p[i]), 0);
	CHECK_EQ(c->through, n);
	free(p);
	prong_free(c);
}

static void a_thousand_killed_at_once(void **state)
{
	struct crowd *c = shared(sizeof *c);
	int n = scaled(1000);
	prong_process **p = calloc((size_t)n, sizeof *p);

	(void)state;
	CHECK_OK(prong_mutex_lock(&c->gate, PRONG_NOW));
	for (int i = 0; i < n; i++)
		p[i] = start(body_passes_gate, c, 0);
	for (int i = 0; i < n; i++)
		CHECK_OK(prong_process_signal(p[i], SIGKILL));
	for (int i = 0; i < n; i++)
		CHECK_EQ(end(p[i]), -SIGKILL);
	CHECK_OK(prong_mutex_unlock(&c->gate));
	CHECK_OK(prong_mutex_lock(&c->gate, PRONG_NOW));
	CHECK_OK(prong_mutex_unlock(&c->gate));
	free(p);
	prong_free(c);
}

/* Copies of the caller are watched in another way, and so are the host's own forks. */
static void many_copies_at_once(void **state)
{
	enum { MOST = 300 };
	prong_process_opts by_fork = { .method = PRONG_FORK };
	atomic_int *go = shared(sizeof *go);
	int n = MOST / slowness();
	prong_process *p[MOST];

	(void)state;
	for (int i = 0; i < n; i++)
		p[i] = start_with(body_wait, go, 0, &by_fork);
	for (int i = 0; i < n; i += 3)
		CHECK_OK(prong_process_signal(p[i], SIGKILL));
	for (int i = 0; i < n; i += 3)
		CHECK_EQ(join(p[i]), -SIGKILL);
	atomic_store(go, 1);
	for (int i = 0; i < n; i++)
		CHECK_EQ(end(p[i]), i % 3 ? 0 : -SIGKILL);
	prong_free(go);
}

static void many_forks_of_the_host(void **state)
{
	enum { MOST = 300 };
	atomic_int *go = shared(sizeof *go);
	int code = 7, status, n = MOST / slowness();
	pid_t pid[MOST];

	(void)state;
	for (int i = 0; i < n; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0) {
			void *block = prong_alloc(10); /* joins */

			prong_free(block);
			_exit(block ? body_wait(go) : 3);
		}
	}
	CHECK_EQ(run(body_return, &code, sizeof code), 7);
	atomic_store(go, 1);
	for (int i = 0; i < n; i++) {
		CHECK_EQ(waitpid(pid[i], &status, 0), pid[i]);
		CHECK_EQ(status, 0);
	}
	prong_free(go);
}

/* Handles that nobody frees run out, and come back. */
static void handles_run_out(void **state)
{
	enum { MOST = 20000 };
	prong_process **p;
	int zero = 0, n, r = 0;

	(void)state;
	if (slowness() > 1 || !getenv("PRONG_TEST_SCALE"))
		SKIP("takes a minute");
	p = calloc(MOST, sizeof *p);
	for (n = 0; n < MOST && r == 0; n++) {
		r = prong_process_start(&p[n], body_return, &zero, sizeof zero, NULL);
		if (r == 0)
			CHECK_EQ(join(p[n]), 0);
	}
	CHECK_EQ(r, -ENOSPC);
	CHECK(prong_error_detail()[0]);
	prong_process_free(p[0]);
	CHECK_EQ(run(body_return, &zero, sizeof zero), 0);
	for (int i = 1; i < n; i++)
		prong_process_free(p[i]);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(run(body_return, &zero, sizeof zero), 0);
	free(p);
}

/* Threads that take part, as many as there can be: nothing more is started then, and said so. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *takes_part(void *arg)
{
	atomic_int *n = arg;

	prong_free(prong_alloc(1));
	atomic_fetch_add(n, 1);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return NULL;
}

static int helper_slots(const char *arg)
{
	enum { MOST = 16383 };
	pthread_t *t = calloc(MOST, sizeof *t);
	atomic_int taking = 0;
	pthread_attr_t attr;
	prong_process *p = NULL;
	int zero = 0, n = 0;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	CHECK_EQ(run(body_return, &zero, sizeof zero), 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	pthread_mutex_lock(&gate);
	while (n < MOST && pthread_create(&t[n], &attr, takes_part, &taking) == 0)
		n++;
	CHECK(wait_for(&taking, n));
	if (n == MOST) {
		CHECK_EQ(prong_process_start(&p, body_return, &zero, sizeof zero, NULL), -ENOSPC);
		CHECK(p == NULL && strstr(prong_error_detail(), "slot"));
	}
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(run(body_return, &zero, sizeof zero), 0);
	free(t);
	return n == MOST ? 0 : HELPER_SKIP;
}

static void slots_run_out(void **state)
{
	(void)state;
	if (slowness() > 1 || !getenv("PRONG_TEST_SCALE"))
		SKIP("so many threads disturb other tests");
	helper_run("slots", NULL);
}

/* Starters side by side, threads and processes. */
static void *starts_many(void *arg)
{
	for (int i = 0; i < *(int *)arg; i++) {
		int code = i % 256;

		CHECK_EQ(run(body_return, &code, sizeof code), code);
	}
	return NULL;
}

static int body_starts_many(void *arg)
{
	starts_many(arg);
	return 0;
}

static void many_starters(void **state)
{
	int n = scaled(500);
	prong_process *p[4];
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(pthread_create(&t[i], NULL, starts_many, &n), 0);
		p[i] = start(body_starts_many, &n, sizeof n);
	}
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(pthread_join(t[i], NULL), 0);
		CHECK_EQ(end(p[i]), 0);
	}
}

static const struct helper helpers[] = {
	{ "slots", helper_slots },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(starts_beside_64_threads_in_malloc),
	CASE(in_a_row_they_leave_nothing),
	CASE(a_thousand_members_at_once),
	CASE(a_thousand_killed_at_once),
	CASE(many_copies_at_once),
	CASE(many_forks_of_the_host),
	CASE(many_starters),
	CASE(handles_run_out),
	CASE(slots_run_out),
};

TEST_MAIN(tests, TEST_WARM, helpers)
