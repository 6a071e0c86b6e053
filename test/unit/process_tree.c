/* Who is whose child: names, self and parent, children, nesting, daemons, and what happens to
   them when the one that started them ends. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <poll.h>

/* --- names ---------------------------------------------------------------------------------- */

/* A tree of three generations; each stores its name. */
struct family_names {
	char first[64], second[64], grandchild[64], next_grandchild[64], great[64], own[64];
	char below_own[64];
};

static int name_great(void *arg)
{
	strcpy(((struct family_names *)arg)->great, prong_process_name(NULL));
	return 0;
}

static int name_grandchild(void *arg)
{
	strcpy(((struct family_names *)arg)->grandchild, prong_process_name(NULL));
	return run(name_great, arg, 0);
}

static int name_next_grandchild(void *arg)
{
	strcpy(((struct family_names *)arg)->next_grandchild, prong_process_name(NULL));
	return 0;
}

static int name_first(void *arg)
{
	strcpy(((struct family_names *)arg)->first, prong_process_name(NULL));
	return run(name_grandchild, arg, 0) + run(name_next_grandchild, arg, 0);
}

static int name_second(void *arg)
{
	strcpy(((struct family_names *)arg)->second, prong_process_name(NULL));
	return 0;
}

static int name_below_own(void *arg)
{
	strcpy(((struct family_names *)arg)->below_own, prong_process_name(NULL));
	return 0;
}

static int name_own(void *arg)
{
	strcpy(((struct family_names *)arg)->own, prong_process_name(NULL));
	return run(name_below_own, arg, 0);
}

static int helper_names(const char *arg)
{
	prong_process_opts opts = { .name = "worker" };
	struct family_names *n;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	n = shared(sizeof *n);
	CHECK_STR(prong_process_name(NULL), "MainProcess");
	CHECK_STR(prong_process_name(prong_process_self()), "MainProcess");
	CHECK_EQ(run(name_first, n, 0), 0);
	CHECK_EQ(run(name_second, n, 0), 0);
	CHECK_EQ(end(start_with(name_own, n, 0, &opts)), 0);
	CHECK_STR(n->first, "Process-1");
	CHECK_STR(n->second, "Process-2");
	CHECK_STR(n->grandchild, "Process-1:1");
	CHECK_STR(n->next_grandchild, "Process-1:2");
	CHECK_STR(n->great, "Process-1:1:1");
	CHECK_STR(n->own, "worker");
	CHECK(strncmp(n->below_own, "Process-", 8) == 0 && strchr(n->below_own, ':'));
	return 0;
}

static void default_names(void **state)
{
	(void)state;
	helper_run("names", NULL);
}

static void own_names_need_not_be_unique(void **state)
{
	prong_process_opts opts = { .name = "two\nlines, and it is not unique" };
	prong_process *p = start_with(body_sleep, NULL, 0, &opts);
	prong_process *q = start_with(body_sleep, NULL, 0, &opts);

	(void)state;
	CHECK_STR(prong_process_name(p), opts.name);
	CHECK_STR(prong_process_name(q), opts.name);
	kill_and_end(p);
	kill_and_end(q);
}

struct name_seen {
	char name[128], comm[32];
};

static int body_names(void *arg)
{
	struct name_seen *seen = arg;
	FILE *f = fopen("/proc/self/comm", "re");

	snprintf(seen->name, sizeof seen->name, "%s", prong_process_name(NULL));
	if (!f || !fgets(seen->comm, sizeof seen->comm, f))
		return 1;
	fclose(f);
	return 0;
}

static void names_are_cut(void **state)
{
	struct name_seen *seen = shared(sizeof *seen);
	char name[101];
	prong_process_opts opts = { .name = name };
	prong_process *p;

	(void)state;
	memset(name, 'x', 100);
	name[0] = 'y';
	name[100] = 0;
	p = start_with(body_names, seen, 0, &opts);
	name[1] = 'z'; /* copied: this comes too late */
	CHECK_EQ(join(p), 0);
	CHECK_EQ(strlen(prong_process_name(p)), 63);
	CHECK_EQ(strncmp(prong_process_name(p), "yxxx", 4), 0);
	CHECK_STR(seen->name, prong_process_name(p));
	CHECK_STR(seen->comm, "yxxxxxxxxxxxxxx\n");
	prong_process_free(p);
	prong_free(seen);
}

/* --- self and parent ------------------------------------------------------------------------- */

struct relatives {
	prong_process *self, *parent;
	char parent_name[64];
	int parent_pid;
	bool parent_alive;
};

static int body_relatives(void *arg)
{
	struct relatives *r = arg;

	r->self = prong_process_self();
	r->parent = prong_process_parent();
	snprintf(r->parent_name, sizeof r->parent_name, "%s", prong_process_name(r->parent));
	r->parent_pid = prong_process_pid(r->parent);
	r->parent_alive = prong_process_alive(r->parent);
	return 0;
}

static void self_and_parent(void **state)
{
	struct relatives *r = shared(sizeof *r);
	prong_process *p = start(body_relatives, r, 0);

	(void)state;
	CHECK_EQ(join(p), 0);
	CHECK(r->self == p);
	CHECK(r->parent == prong_process_self());
	CHECK_EQ(r->parent_pid, getpid());
	CHECK_STR(r->parent_name, "MainProcess");
	CHECK(r->parent_alive);
	CHECK(prong_process_parent() == NULL);
	prong_process_free(p);
	prong_free(r);
}

static int helper_no_family(const char *arg)
{
	prong_family_stats st;

	(void)arg;
	CHECK(prong_process_self() == NULL);
	CHECK(prong_process_parent() == NULL);
	memset(&st, 0xff, sizeof st);
	prong_family_stat(&st);
	CHECK_EQ(st.heap_size, 0);
	CHECK_EQ(st.threads, 0);
	CHECK_EQ(st.servers, 0);
	return 0;
}

static void self_without_a_family(void **state)
{
	(void)state;
	helper_run("no-family", NULL);
}

/* --- children --------------------------------------------------------------------------------- */

static bool listed(prong_process **list, size_t n, const prong_process *p)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == p)
			return true;
	return false;
}

static void children_are_listed(void **state)
{
	prong_process *p[3], *list[8] = { NULL };

	(void)state;
	CHECK_EQ(prong_process_children(list, 8), 0);
	for (int i = 0; i < 3; i++)
		p[i] = start(body_sleep, NULL, 0);
	CHECK_EQ(prong_process_children(list, 8), 3);
	for (int i = 0; i < 3; i++)
		CHECK(listed(list, 3, p[i]));
	CHECK(list[3] == NULL);
	CHECK_EQ(prong_process_children(NULL, 0), 3);
	memset(list, 0, sizeof list);
	CHECK_EQ(prong_process_children(list, 2), 3);
	CHECK(list[1] != NULL && list[2] == NULL);

	CHECK_OK(prong_process_signal(p[1], SIGKILL));
	CHECK_EQ(join(p[1]), -SIGKILL);
	CHECK_EQ(prong_process_children(list, 8), 2);
	CHECK(!listed(list, 2, p[1]));
	prong_process_free(p[1]);
	kill_and_end(p[0]);
	kill_and_end(p[2]);
	CHECK_EQ(prong_process_children(list, 8), 0);
}

static int body_count_children(void *arg)
{
	size_t none = prong_process_children(NULL, 0);
	prong_process *p = start(body_sleep, NULL, 0);
	size_t one = prong_process_children(NULL, 0);

	(void)arg;
	kill_and_end(p);
	return none == 0 && one == 1 ? 0 : 1;
}

static void children_are_of_the_caller_only(void **state)
{
	prong_process *p = start(body_sleep, NULL, 0);

	(void)state;
	CHECK_EQ(run(body_count_children, NULL, 0), 0);
	CHECK_EQ(prong_process_children(NULL, 0), 1);
	kill_and_end(p);
}

/* --- nesting ------------------------------------------------------------------------------- */

static int body_depth(void *arg)
{
	int depth = *(int *)arg - 1;

	return depth == 0 ? 1 : 1 + run(body_depth, &depth, sizeof depth);
}

static void nested_deep(void **state)
{
	int three = 3, ten = 10;

	(void)state;
	CHECK_EQ(run(body_depth, &three, sizeof three), 3);
	CHECK_EQ(run(body_depth, &ten, sizeof ten), 10);
}

static int body_fan(void *arg)
{
	int level = *(int *)arg - 1, sum = 1;
	prong_process *p[3];

	if (level == 0)
		return 1;
	for (int i = 0; i < 3; i++)
		p[i] = start(body_fan, &level, sizeof level);
	for (int i = 0; i < 3; i++)
		sum += end(p[i]);
	return sum;
}

static void nested_wide(void **state)
{
	int four = 4;

	(void)state;
	CHECK_EQ(run(body_fan, &four, sizeof four), 1 + 3 + 9 + 27);
}

/* --- the starter ends ---------------------------------------------------------------------- */

struct tree {
	atomic_int pid, done, go;
	int code;
};

static int body_late(void *arg)
{
	struct tree *t = arg;

	atomic_store(&t->pid, getpid());
	sleep_ms(100);
	atomic_store(&t->done, 1);
	return 0;
}

static int body_leave_child(void *arg)
{
	prong_process *p;

	return prong_process_start(&p, body_late, arg, 0, NULL);
}

static int body_leave_freed_child(void *arg)
{
	prong_process_free(start(body_late, arg, 0));
	exit(0);
}

static void exit_joins_children(void **state)
{
	struct tree *t = shared(sizeof *t);

	(void)state;
	CHECK_EQ(run(body_leave_child, t, 0), 0);
	CHECK_EQ(atomic_load(&t->done), 1);
	atomic_store(&t->done, 0);
	CHECK_EQ(run(body_leave_freed_child, t, 0), 0);
	CHECK_EQ(atomic_load(&t->done), 1);
	prong_free(t);
}

static int body_sleeper(void *arg)
{
	atomic_store(&((struct tree *)arg)->pid, getpid());
	return body_sleep(NULL);
}

static int body_starts_sleeper(void *arg)
{
	prong_process *p = start(body_sleeper, arg, 0);

	return join(p);
}

static void a_killed_starter_takes_its_children(void **state)
{
	struct tree *t = shared(sizeof *t);
	prong_process *p = start(body_starts_sleeper, t, 0);

	(void)state;
	CHECK(wait_for(&t->pid, 1));
	kill_and_end(p);
	CHECK(pid_gone(atomic_load(&t->pid), HANG_MS));
	prong_free(t);
}

/* --- daemons ------------------------------------------------------------------------------- */

static int body_start_something(void *arg)
{
	prong_process *p = NULL;
	int r = prong_process_start(&p, body_sleep, NULL, 0, NULL);

	(void)arg;
	return r == -EPERM && p == NULL && prong_error_detail()[0] ? 0 : 1;
}

static void a_daemon_starts_nothing(void **state)
{
	prong_process_opts opts = { .daemon = true };

	(void)state;
	CHECK_EQ(end(start_with(body_start_something, NULL, 0, &opts)), 0);
}

static int body_leave_daemon(void *arg)
{
	prong_process_opts opts = { .daemon = true };

	start_with(body_sleeper, arg, 0, &opts);
	return wait_for(&((struct tree *)arg)->pid, 1) ? 0 : 1;
}

static void exit_terminates_daemons(void **state)
{
	struct tree *t = shared(sizeof *t);

	(void)state;
	CHECK_EQ(run(body_leave_daemon, t, 0), 0);
	CHECK(pid_gone(atomic_load(&t->pid), HANG_MS));
	prong_free(t);
}

static void on_term(int sig)
{
	(void)sig;
	if (write(1, "T", 1) != 1)
		_exit(1);
	_exit(0);
}

static int body_says_terminated(void *arg)
{
	struct sigaction act = { .sa_handler = on_term };

	sigaction(SIGTERM, &act, NULL);
	atomic_store((atomic_int *)arg, 1);
	return body_sleep(NULL);
}

static int helper_daemon(const char *arg)
{
	prong_process_opts opts = { .daemon = true };
	atomic_int *ready;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	ready = shared(sizeof *ready);
	start_with(body_says_terminated, ready, 0, &opts);
	return wait_for(ready, 1) ? 0 : 1;
}

/* What the helper wrote until it closed its end, all of it; at most 255 bytes. */
static void read_all(int fd, char text[256])
{
	size_t n = 0;
	ssize_t r;

	while (n < 255 && (r = read(fd, text + n, 255 - n)) > 0)
		n += (size_t)r;
	text[n] = 0;
	close(fd);
}

static void daemons_of_main_get_sigterm(void **state)
{
	char text[256];
	int out;
	pid_t pid = helper_start("daemon", NULL, &out);

	(void)state;
	read_all(out, text);
	CHECK_EQ(helper_end(pid), 0);
	CHECK_STR(text, "T");
}

static int body_ignores_term(void *arg)
{
	signal(SIGTERM, SIG_IGN);
	atomic_store((atomic_int *)arg, 1);
	return body_sleep(NULL);
}

/* arg: exit_ms. */
static int helper_stubborn_daemon(const char *arg)
{
	prong_family_opts family = { .exit_ms = atoi(arg) };
	prong_process_opts opts = { .daemon = true };
	atomic_int *ready;

	CHECK_OK(prong_open(&family));
	ready = shared(sizeof *ready);
	start_with(body_ignores_term, ready, 0, &opts);
	return wait_for(ready, 1) ? 0 : 1;
}

static void stubborn_daemons_are_killed(void **state)
{
	static const char *const exit_ms[] = { "100", "-1", "0" };
	char text[256];
	int out;

	(void)state;
	for (int i = 0; i < 3; i++) {
		prong_time begin = prong_clock();
		pid_t pid = helper_start("stubborn", exit_ms[i], &out);

		CHECK_EQ(helper_end(pid), 0);
		if (atoi(exit_ms[i]) > 0)
			CHECK(prong_ns_between(begin, prong_clock()) >= 100 * 1000000);
		read_all(out, text); /* ends only when the daemon has ended too */
		CHECK_STR(text, "");
	}
}

/* --- the end of main ----------------------------------------------------------------------- */

static int body_late_writer(void *arg)
{
	(void)arg;
	sleep_ms(150);
	return write(1, "child ", 6) == 6 ? 0 : 1;
}

static void last_word(void)
{
	if (write(1, "main", 4) != 4)
		_exit(1);
}

static int helper_leave(const char *arg)
{
	prong_process *p;

	(void)arg;
	atexit(last_word);
	CHECK_OK(prong_open(NULL));
	CHECK_OK(prong_process_start(&p, body_late_writer, NULL, 0, NULL));
	return 3;
}

static void the_end_of_main_joins_children(void **state)
{
	char text[256];
	int out;
	pid_t pid = helper_start("leave", NULL, &out);

	(void)state;
	read_all(out, text);
	CHECK_EQ(helper_end(pid), 3);
	CHECK_STR(text, "child main");
}

/* Without exit() nothing is joined, and nothing is left. */
static int helper_leave_at_once(const char *arg)
{
	prong_process *p;
	pid_t pid;

	(void)arg;
	CHECK_OK(prong_open(NULL));
	p = start(body_sleep, NULL, 0);
	pid = prong_process_pid(p);
	CHECK_EQ(write(1, &pid, sizeof pid), sizeof pid);
	_exit(5);
}

static void main_leaves_at_once(void **state)
{
	pid_t pid, child;
	int out;

	(void)state;
	pid = helper_start("leave-at-once", NULL, &out);
	CHECK_EQ(read(out, &child, sizeof child), sizeof child);
	close(out);
	CHECK_EQ(helper_end(pid), 5);
	CHECK(pid_gone(child, 2000 * slowness()));
}

static const struct helper helpers[] = {
	{ "names", helper_names },
	{ "no-family", helper_no_family },
	{ "daemon", helper_daemon },
	{ "stubborn", helper_stubborn_daemon },
	{ "leave", helper_leave },
	{ "leave-at-once", helper_leave_at_once },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(default_names),
	CASE(own_names_need_not_be_unique),
	CASE(names_are_cut),
	CASE(self_and_parent),
	CASE(self_without_a_family),
	CASE(children_are_listed),
	CASE(children_are_of_the_caller_only),
	CASE(nested_deep),
	CASE(nested_wide),
	CASE(exit_joins_children),
	CASE(a_killed_starter_takes_its_children),
	CASE(a_daemon_starts_nothing),
	CASE(exit_terminates_daemons),
	CASE(daemons_of_main_get_sigterm),
	CASE(stubborn_daemons_are_killed),
	CASE(the_end_of_main_joins_children),
	CASE(main_leaves_at_once),
};

TEST_MAIN(tests, TEST_WARM, helpers)
