/* Death of each kind of process: main, the server, the guard, members; and processes that are
   stopped and not dead.  The kill matrix proves the same for single instructions. */
#define _GNU_SOURCE
#include "support.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

/* --- finding a helper's family from outside ------------------------------------------------ */

/* True when process pid was begun by a helper that has this tag as its argument; its members are
   copies of it and have the same command line. */
static bool has_tag(pid_t pid, const char *tag)
{
	char path[64], text[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof text);
	close(fd);
	return n > 0 && memmem(text, (size_t)n, tag, strlen(tag) + 1) != NULL;
}

static int count_tagged(const char *tag)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	int n = 0;

	CHECK(dir != NULL);
	while ((d = readdir(dir)))
		n += isdigit((unsigned char)d->d_name[0]) && has_tag(atoi(d->d_name), tag);
	closedir(dir);
	return n;
}

static bool none_tagged(void *tag)
{
	return count_tagged(tag) == 0;
}

static const char *new_tag(void)
{
	static char tag[64];
	static int n;

	snprintf(tag, sizeof tag, "prong-tag-%d-%d", getpid(), n++);
	return tag;
}

/* --- main ---------------------------------------------------------------------------------- */

static int body_nested_sleeper(void *arg)
{
	int depth = *(int *)arg - 1;

	return depth ? run(body_nested_sleeper, &depth, sizeof depth) : body_sleep(NULL);
}

static int body_holder(void *arg)
{
	CHECK_OK(prong_mutex_lock(arg, PRONG_FOREVER));
	return body_sleep(NULL);
}

static int body_ignores_term(void *arg)
{
	signal(SIGTERM, SIG_IGN);
	return body_sleep(arg);
}

static int body_with_grandchild(void *arg)
{
	if (fork() == 0)
		return body_sleep(NULL);
	return body_sleep(arg);
}

static void *starts_and_joins(void *arg)
{
	int seven = 7;

	for (;;)
		run(body_return, &seven, sizeof seven);
	return arg;
}

static void *allocates(void *arg)
{
	for (;;)
		prong_free(prong_alloc(1000));
	return arg;
}

/* A program with all kinds of members, which lives until it is killed. */
static int helper_victim(const char *arg)
{
	prong_process_opts by_fork = { .method = PRONG_FORK }, daemon = { .daemon = true };
	int three = 3;
	prong_mutex *m;
	prong_process *p;
	pthread_t t;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	m = shared(sizeof *m);
	start(body_nested_sleeper, &three, sizeof three);
	start(body_holder, m, 0);
	start(body_holder, m, 0);
	start(body_ignores_term, NULL, 0);
	start(body_with_grandchild, NULL, 0);
	start_with(body_sleep, NULL, 0, &by_fork);
	start_with(body_ignores_term, NULL, 0, &daemon);
	p = start(body_sleep, NULL, 0);
	CHECK_OK(prong_process_signal(p, SIGSTOP));
	CHECK_EQ(pthread_create(&t, NULL, starts_and_joins, NULL), 0);
	CHECK_EQ(pthread_create(&t, NULL, allocates, NULL), 0);
	CHECK_EQ(write(1, "ready", 5), 5);
	return body_sleep(NULL);
}

/* Kill the helper ms after it began, or after it is ready; return the time until all is gone. */
static double kill_main(bool ready, int ms)
{
	const char *tag = new_tag();
	prong_time begin;
	char text[5];
	int out;
	pid_t pid = helper_start("victim", tag, &out);

	if (ready)
		CHECK_EQ(read(out, text, 5), 5);
	sleep_ms(ms);
	begin = prong_clock();
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(helper_end(pid), -SIGKILL);
	CHECK(wait_until(none_tagged, (void *)(uintptr_t)tag, 2000 * slowness()));
	close(out);
	return (double)prong_ns_between(begin, prong_clock()) / 1e6;
}

static void nothing_survives_main(void **state)
{
	double ms, worst = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		ms = kill_main(true, rand() % 20);
		worst = ms > worst ? ms : worst;
	}
	print_message("all gone after at most %.1f ms\n", worst);
}

static void nothing_survives_main_killed_early(void **state)
{
	double ms, worst = 0;

	(void)state;
	for (int i = 0; i < 40; i++) {
		ms = kill_main(false, i / 4);
		worst = ms > worst ? ms : worst;
	}
	print_message("all gone after at most %.1f ms\n", worst);
}

static int helper_leaves(const char *arg)
{
	int seven = 7;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	return 0;
}

static void nothing_survives_a_normal_end(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		const char *tag = new_tag();

		CHECK_EQ(helper_end(helper_start("leaves", tag, NULL)), 0);
		CHECK(wait_until(none_tagged, (void *)(uintptr_t)tag, 2000 * slowness()));
	}
}

/* --- the server ---------------------------------------------------------------------------- */

static void expect_server_lost(prong_process *p)
{
	prong_report r;
	char text[256];

	CHECK(join(p) < 0);
	prong_process_report(p, &r);
	CHECK_EQ(r.outcome, PRONG_CRASHED);
	CHECK(r.server_lost);
	CHECK(!prong_process_alive(p));
	prong_report_text(&r, text, sizeof text);
	CHECK(strstr(text, "server"));
	prong_process_free(p);
}

static void *waits(void *arg)
{
	CHECK(wait_for(arg, 1));
	return NULL;
}

static void kill_the_server(void)
{
	pid_t server = server_pid();
	int seven = 7, pids[3];
	prong_mutex *m = shared(sizeof *m);
	prong_process *p[3] = { start(body_holder, m, 0), start(body_sleep, NULL, 0),
				start(body_ignores_term, NULL, 0) };

	while (prong_mutex_lock(m, PRONG_NOW) == 0) {
		CHECK_OK(prong_mutex_unlock(m));
		sleep_ms(1);
	}
	for (int i = 0; i < 3; i++)
		pids[i] = prong_process_pid(p[i]);
	CHECK_EQ(kill(server, SIGKILL), 0);
	for (int i = 0; i < 3; i++)
		expect_server_lost(p[i]);
	for (int i = 0; i < 3; i++)
		CHECK(pid_gone(pids[i], HANG_MS));
	CHECK_EQ(prong_mutex_lock(m, soon()), PRONG_OWNERDEAD);
	CHECK_OK(prong_mutex_consistent(m));
	CHECK_OK(prong_mutex_unlock(m));
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	CHECK(server_pid() != server);
	CHECK_EQ(prong_process_children(NULL, 0), 0);
	prong_free(m);
}

static int helper_server(const char *arg)
{
	prong_family_stats st;
	atomic_int go = 0;
	pthread_t t[4];
	int n = strcmp(arg, "threads") == 0 ? 4 : 0;

	CHECK_OK(prong_open(NULL));
	for (int i = 0; i < n; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, waits, &go), 0);
	for (int i = 0; i < 5; i++)
		kill_the_server();
	prong_family_stat(&st);
	CHECK_EQ(st.servers, 6);
	CHECK_EQ(st.processes, 1);
	atomic_store(&go, 1);
	for (int i = 0; i < n; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	return 0;
}

static void the_server_is_killed(void **state)
{
	(void)state;
	helper_run("server", "alone");
}

static void the_server_is_killed_under_threads(void **state)
{
	(void)state;
	helper_run("server", "threads");
}

static atomic_int stop;

/* Start and join without end; whatever happens to the server, the results are the documented. */
static void *starts_through_it_all(void *arg)
{
	int seven = 7, code, *done = arg;
	prong_process *p;
	prong_report r;

	while (!atomic_load(&stop)) {
		CHECK_OK(prong_process_start(&p, body_return, &seven, sizeof seven, NULL));
		CHECK_OK(prong_process_join(p, &code, soon()));
		prong_process_report(p, &r);
		CHECK(code == 7 ? r.outcome == PRONG_FAILED
				: code < 0 && r.outcome == PRONG_CRASHED && r.server_lost);
		prong_process_free(p);
		++*done;
	}
	return NULL;
}

static int helper_server_at_random(const char *arg)
{
	int done[2] = { 0, 0 }, kills = scaled(40);
	pthread_t t[2];

	(void)arg;
	CHECK_OK(prong_open(NULL));
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, starts_through_it_all, &done[i]), 0);
	for (int i = 0; i < kills; i++) {
		CHECK(kill(server_pid(), SIGKILL) == 0 || errno == ESRCH);
		sleep_ms(rand() % 10);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	print_message("%d processes ran through the death of %d servers\n", done[0] + done[1],
		      kills);
	return 0;
}

static void the_server_is_killed_at_random_moments(void **state)
{
	(void)state;
	helper_run("server-at-random", NULL);
}

/* --- the guard ----------------------------------------------------------------------------- */

static int helper_guard(const char *arg)
{
	int seven = 7;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	for (int i = 0; i < 3; i++) {
		for (int k = 0; kill(guard_pid(), SIGKILL) != 0; k++) {
			CHECK(k < 1000);
			sleep_ms(10);
		}
		CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
		sleep_ms(50);
		CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	}
	return 0;
}

static void the_guard_is_killed(void **state)
{
	const char *tag = new_tag();

	(void)state;
	CHECK_EQ(helper_end(helper_start("guard", tag, NULL)), 0);
	CHECK(wait_until(none_tagged, (void *)(uintptr_t)tag, 2000 * slowness()));
}

static int helper_guard_then_main(const char *arg)
{
	(void)arg;
	CHECK_OK(prong_open(NULL));
	start(body_ignores_term, NULL, 0);
	CHECK_EQ(kill(guard_pid(), SIGKILL), 0);
	raise(SIGKILL);
	return 1;
}

static void the_guard_is_killed_and_then_main(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		const char *tag = new_tag();

		CHECK_EQ(helper_end(helper_start("guard-then-main", tag, NULL)), -SIGKILL);
		CHECK(wait_until(none_tagged, (void *)(uintptr_t)tag, 2000 * slowness()));
	}
}

/* Both at once: no one is left who could fork a clean server but a caller with one thread. */
static int helper_both(const char *arg)
{
	int seven = 7, r;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	for (int i = 0; i < 3; i++) {
		pid_t server = server_pid(), guard = guard_pid();
		prong_process *p = start(body_ignores_term, NULL, 0), *q = NULL;
		pid_t pid = prong_process_pid(p);

		kill(guard, SIGSTOP);
		kill(server, SIGSTOP);
		kill(guard, SIGKILL);
		kill(server, SIGKILL);
		CHECK(pid_gone(pid, HANG_MS));
		if (i) /* else the start is the first to see it, or takes the dead one's child */
			expect_server_lost(p);
		r = prong_process_start(&q, body_return, &seven, sizeof seven, NULL);
		CHECK_OK(r);
		r = end(q);
		CHECK(r == 7 || (!i && r == -SIGKILL));
		if (!i)
			expect_server_lost(p);
		prong_free(shared(100));
		CHECK_OK(prong_open(NULL));
		CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	}
	return 0;
}

static void both_are_killed_at_once(void **state)
{
	(void)state;
	helper_run("both", NULL);
}

/* --- members ------------------------------------------------------------------------------- */

struct holding {
	prong_mutex m;
	atomic_int held, release, released;
};

static int body_holds(void *arg)
{
	struct holding *h = arg;

	CHECK_OK(prong_mutex_lock(&h->m, soon()));
	atomic_store(&h->held, 1);
	CHECK(wait_for(&h->release, 1));
	CHECK_OK(prong_mutex_unlock(&h->m));
	atomic_store(&h->released, 1);
	return 0;
}

static void nothing_is_taken_from_a_stopped_owner(void **state)
{
	struct holding *h = shared(sizeof *h);
	prong_process *p = start(body_holds, h, 0);
	int seven = 7;

	(void)state;
	CHECK(wait_for(&h->held, 1));
	CHECK_OK(prong_process_signal(p, SIGSTOP));
	atomic_store(&h->release, 1);
	CHECK_EQ(prong_mutex_lock(&h->m, prong_in_ms(200)), PRONG_TIMEDOUT);
	CHECK(prong_process_alive(p));
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7); /* others go on */
	CHECK_OK(prong_process_signal(p, SIGCONT));
	CHECK_OK(prong_mutex_lock(&h->m, soon()));
	CHECK_OK(prong_mutex_unlock(&h->m));
	CHECK_EQ(end(p), 0);
	prong_free(h);
}

/* A child that has ended while nobody can say so: who joins it comes back. */
static void a_stopped_server_keeps_no_deadline(void **state)
{
	prong_process *p = start(body_sleep, NULL, 0);
	pid_t server = server_pid();

	(void)state;
	CHECK_EQ(kill(server, SIGSTOP), 0);
	CHECK_OK(prong_process_signal(p, SIGKILL));
	CHECK_EQ(prong_process_join(p, NULL, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_process_join(p, NULL, prong_in_ms(20)), PRONG_TIMEDOUT);
	CHECK_EQ(kill(server, SIGCONT), 0);
	CHECK_EQ(end(p), -SIGKILL);
}

/* A sleeper that was chosen to be woken and is stopped: the wake goes to the other.  It may also
   have got the lock before it stopped; then nobody else has it before it goes on. */
static void stop_a_sleeper(struct holding *h)
{
	prong_process *p, *q;

	CHECK_OK(prong_mutex_lock(&h->m, PRONG_NOW));
	p = start(body_holds, h, 0);
	sleep_ms(5);
	q = start(body_holds, h, 0);
	sleep_ms(5);
	CHECK_OK(prong_process_signal(p, SIGSTOP));
	CHECK_OK(prong_mutex_unlock(&h->m));
	if (prong_process_join(q, NULL, prong_in_ms(500)) == PRONG_TIMEDOUT)
		CHECK_EQ(prong_mutex_lock(&h->m, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_OK(prong_process_signal(p, SIGCONT));
	CHECK_EQ(end(q), 0);
	CHECK_EQ(end(p), 0);
}

static void a_stopped_sleeper_keeps_nobody_waiting(void **state)
{
	struct holding *h = shared(sizeof *h);

	(void)state;
	atomic_store(&h->release, 1);
	for (int i = 0; i < 20; i++)
		stop_a_sleeper(h);
	CHECK_OK(prong_mutex_lock(&h->m, PRONG_NOW));
	CHECK_OK(prong_mutex_unlock(&h->m));
	prong_free(h);
}

struct many {
	atomic_int ready;
	int n;
	prong_mutex m[];
};

static int body_takes_many(void *arg)
{
	struct many *s = arg;

	for (int i = 0; i < s->n; i++)
		CHECK_OK(prong_mutex_lock(&s->m[i], PRONG_NOW));
	atomic_store(&s->ready, 1);
	return body_sleep(NULL);
}

static void a_million_mutexes_of_one_dead(void **state)
{
	int n = 1000000 / slowness();
	struct many *s = shared(sizeof *s + (size_t)n * sizeof *s->m);
	prong_process *p;

	(void)state;
	s->n = n;
	p = start(body_takes_many, s, 0);
	CHECK(wait_for(&s->ready, 1));
	CHECK_EQ(prong_mutex_lock(&s->m[n / 2], PRONG_NOW), PRONG_TIMEDOUT);
	kill_and_end(p);
	for (int i = 0; i < n; i++) {
		if (prong_mutex_lock(&s->m[i], PRONG_NOW) != PRONG_OWNERDEAD)
			CHECK_EQ(i, -1);
		CHECK_OK(prong_mutex_consistent(&s->m[i]));
		CHECK_OK(prong_mutex_unlock(&s->m[i]));
	}
	for (int i = 0; i < n; i += 1000)
		CHECK_OK(prong_mutex_lock(&s->m[i], PRONG_NOW));
	prong_free(s);
}

/* What a member made with plain fork() goes with it. */
static int body_forks(void *arg)
{
	atomic_int *pid = arg;
	pid_t child = fork();

	if (child == 0) {
		if (fork() == 0)
			atomic_store(&pid[1], getpid());
		body_sleep(NULL);
	}
	CHECK(wait_for(&pid[1], 1));
	atomic_store(&pid[0], child);
	return body_sleep(NULL);
}

static void grandchildren_of_a_dead_member_are_swept(void **state)
{
	atomic_int *pid = shared(2 * sizeof *pid);
	prong_process *p = start(body_forks, pid, 0);

	(void)state;
	CHECK(wait_for(&pid[0], 1));
	kill_and_end(p);
	CHECK(pid_gone(atomic_load(&pid[0]), HANG_MS));
	CHECK(pid_gone(atomic_load(&pid[1]), HANG_MS));
	prong_free(pid);
}

static const struct helper helpers[] = {
	{ "victim", helper_victim },
	{ "leaves", helper_leaves },
	{ "server", helper_server },
	{ "server-at-random", helper_server_at_random },
	{ "guard", helper_guard },
	{ "guard-then-main", helper_guard_then_main },
	{ "both", helper_both },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(nothing_survives_main),
	CASE(nothing_survives_main_killed_early),
	CASE(nothing_survives_a_normal_end),
	CASE(the_server_is_killed),
	CASE(the_server_is_killed_under_threads),
	CASE(the_server_is_killed_at_random_moments),
	CASE(the_guard_is_killed),
	CASE(the_guard_is_killed_and_then_main),
	CASE(both_are_killed_at_once),
	CASE(nothing_is_taken_from_a_stopped_owner),
	CASE(a_stopped_sleeper_keeps_nobody_waiting),
	CASE(a_stopped_server_keeps_no_deadline),
	CASE(a_million_mutexes_of_one_dead),
	CASE(grandchildren_of_a_dead_member_are_swept),
};

TEST_MAIN(tests, TEST_WARM, helpers)
