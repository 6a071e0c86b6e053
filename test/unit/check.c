/* The checking mode: each mistake is one line and an error, what is right is neither, and off it
   says nothing.  Each case is a program of its own, for the mode is chosen when the family is
   opened. */
#define _GNU_SOURCE
#include "support.h"

#include <sys/wait.h>

static char said[65536];

/* Open the family, checked or not, with the standard error stream in a file. */
static void open_family(bool check)
{
	const prong_family_opts opts = { .check = check };
	FILE *file = tmpfile();

	CHECK(file != NULL);
	CHECK(dup2(fileno(file), 2) == 2);
	fclose(file);
	CHECK_OK(prong_open(&opts));
}

/* What was said so far, by all; how many lines of it begin as a report does. */
static int reports(void)
{
	ssize_t n = pread(2, said, sizeof said - 1, 0);
	int lines = 0;

	CHECK(n >= 0);
	said[n] = '\0';
	for (const char *p = said; (p = strstr(p, "prong: check: ")); p++)
		lines += p == said || p[-1] == '\n';
	return lines;
}

static int in_fork(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fn(arg));
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int lock_and_unlock(prong_mutex *m)
{
	int r = prong_mutex_lock(m, PRONG_FOREVER);

	return r ? r : prong_mutex_unlock(m);
}

/* --- objects outside the heap ---------------------------------------------------------------- */

static prong_mutex variable;

static int lock_variable(void *arg)
{
	(void)arg;
	return lock_and_unlock(&variable) == -EFAULT ? 0 : 1;
}

static int helper_variable(const char *arg)
{
	(void)arg;
	open_family(true);
	CHECK_OK(lock_and_unlock(&variable));
	CHECK_EQ(reports(), 0);
	CHECK_EQ(run(lock_variable, NULL, 0), 0);
	CHECK_EQ(reports(), 1);
	CHECK(strstr(said, "mutex_lock: the object at ") != NULL);
	CHECK(strstr(said, "\"MainProcess\" has used its own copy") != NULL);
	CHECK(strstr(said, "(process \"Process-1\" ") != NULL);
	CHECK(strstr(said, "called at unit-check+0x") != NULL);
	return 0;
}

struct place {
	prong_mutex *old, *new;
};

static int lock_both(void *arg)
{
	struct place *p = arg;

	prong_mutex mine = { 0 };

	CHECK_OK(lock_and_unlock(&mine));
	CHECK_OK(lock_and_unlock(p->new));
	return lock_and_unlock(p->old) == -EFAULT ? 0 : 1;
}

static int helper_copy(const char *arg)
{
	struct place p = { calloc(1, sizeof(prong_mutex)), calloc(1, sizeof(prong_mutex)) };

	(void)arg;
	open_family(true);
	CHECK(p.old && p.new);
	CHECK_OK(lock_and_unlock(p.old));
	CHECK_EQ(in_fork(lock_both, &p), 0);
	CHECK_EQ(reports(), 1);
	CHECK_OK(lock_and_unlock(p.old)); /* whose copy is the first remains right */
	CHECK_EQ(reports(), 1);
	free(p.old);
	free(p.new);
	return 0;
}

static int lock_shared(void *arg)
{
	return lock_and_unlock(arg);
}

static int lock_own(void *arg)
{
	prong_mutex m = { 0 }, *allocated = calloc(1, sizeof *allocated);
	int r = lock_and_unlock(&m) + lock_and_unlock(allocated);

	(void)arg;
	free(allocated);
	return r;
}

static int helper_right(const char *arg)
{
	prong_mutex *m;

	(void)arg;
	open_family(true);
	m = shared(sizeof *m);
	CHECK_EQ(lock_own(NULL), 0);
	CHECK_EQ(run(lock_own, NULL, 0), 0);
	CHECK_EQ(end_thread(start_thread(lock_own, NULL, 0)), 0);
	CHECK_OK(lock_and_unlock(m));
	CHECK_EQ(run(lock_shared, m, 0), 0);
	CHECK_EQ(in_fork(lock_shared, m), 0);
	prong_free(m);
	CHECK_EQ(reports(), 0);
	return 0;
}

static int helper_off(const char *arg)
{
	const char *p = "text";

	(void)arg;
	open_family(false);
	CHECK_OK(lock_and_unlock(&variable));
	CHECK_EQ(run(lock_variable, NULL, 0), 1);
	CHECK_EQ(run(lock_own, &p, sizeof p), 0);
	CHECK_EQ(reports(), 0);
	return 0;
}

/* --- arguments ------------------------------------------------------------------------------- */

struct argument {
	long number; /* no padding: what stood there before would be looked at as well */
	const void *pointer;
};

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int start_with_pointer(const void *pointer, enum prong_start_method method)
{
	const prong_process_opts opts = { .method = method };
	struct argument a = { 1, pointer };
	prong_process *p = NULL;
	int r = prong_process_start(&p, nothing, &a, sizeof a, &opts);

	if (r == 0)
		CHECK_EQ(end(p), 0);
	return r;
}

static int helper_argument(const char *arg)
{
	static int zero, seven = 7;
	int on_stack = 0, *allocated = malloc(sizeof *allocated), *inside;

	(void)arg;
	open_family(true);
	inside = shared(sizeof *inside);
	CHECK_OK(start_with_pointer(NULL, PRONG_FORKSERVER));
	CHECK_OK(start_with_pointer(inside, PRONG_FORKSERVER));
	CHECK_OK(start_with_pointer("a constant", PRONG_FORKSERVER));
	CHECK_OK(start_with_pointer((const void *)(uintptr_t)nothing, PRONG_FORKSERVER));
	CHECK_OK(start_with_pointer(&on_stack, PRONG_FORK));
	CHECK_EQ(reports(), 0);
	CHECK_EQ(start_with_pointer(&on_stack, PRONG_FORKSERVER), -EFAULT);
	CHECK(strstr(prong_error_detail(), "byte 8 of the argument") != NULL);
	CHECK_EQ(start_with_pointer(allocated, PRONG_FORKSERVER), -EFAULT);
	CHECK_EQ(start_with_pointer(&zero, PRONG_FORKSERVER), -EFAULT);
	CHECK_EQ(start_with_pointer(&seven, PRONG_FORKSERVER), -EFAULT);
	CHECK_EQ(reports(), 4);
	CHECK(strstr(said, "in the variables of unit-check of the caller") != NULL);
	prong_free(inside);
	free(allocated);
	return 0;
}

/* --- blocks that are freed -------------------------------------------------------------------- */

struct block {
	char before[64];
	prong_mutex m;
	char after[64];
};

static int helper_freed(const char *arg)
{
	struct {
		struct block *b;
	} *root;
	struct block *b;

	(void)arg;
	open_family(true);
	root = shared(sizeof *root);
	CHECK_OK(prong_alloc_to((void **)&root->b, sizeof *root->b));
	b = root->b;
	CHECK_OK(prong_mutex_lock(&b->m, PRONG_FOREVER));
	CHECK_EQ(prong_free_at((void **)&root->b), -EBUSY);
	CHECK(root->b == b);
	prong_free(b); /* says so too, and does nothing */
	CHECK_EQ(reports(), 2);
	CHECK(strstr(said, "holds a lock in it") != NULL);
	CHECK_OK(prong_mutex_unlock(&b->m));
	CHECK_OK(prong_free_at((void **)&root->b));
	CHECK_EQ(reports(), 2);
	CHECK_EQ(prong_mutex_lock(&b->m, PRONG_FOREVER), -EFAULT);
	CHECK_EQ(reports(), 3);
	CHECK(strstr(said, "has freed") != NULL);
	CHECK_OK(prong_alloc_to((void **)&root->b, sizeof *root->b));
	CHECK_OK(lock_and_unlock(&root->b->m));
	CHECK_OK(prong_free_at((void **)&root->b));
	prong_free(root);
	CHECK_EQ(reports(), 3);
	return 0;
}

/* --- the other nouns ------------------------------------------------------------------------- */

static prong_sem sem_variable;
static prong_event event_variable;
static prong_rwlock rwlock_variable;
static prong_once once_variable;
static prong_barrier barrier_variable = PRONG_BARRIER(1);
static prong_cond cond_variable;

static int use_all(int want)
{
	CHECK_EQ(prong_sem_post(&sem_variable, 1), want);
	CHECK_EQ(prong_sem_wait(&sem_variable, PRONG_NOW), want);
	CHECK_EQ(prong_event_set(&event_variable), want);
	CHECK_EQ(prong_event_wait(&event_variable, PRONG_NOW), want);
	CHECK_EQ(prong_rwlock_read(&rwlock_variable, PRONG_NOW), want);
	if (want == 0)
		CHECK_OK(prong_rwlock_unlock(&rwlock_variable));
	CHECK_EQ(prong_rwlock_write(&rwlock_variable, PRONG_NOW), want);
	if (want == 0)
		CHECK_OK(prong_rwlock_unlock(&rwlock_variable));
	CHECK_EQ(prong_once_run(&once_variable, nothing, NULL, PRONG_NOW), want);
	CHECK_EQ(prong_barrier_wait(&barrier_variable, NULL, NULL, NULL, PRONG_NOW), want);
	CHECK_EQ(prong_cond_signal(&cond_variable), want);
	return 0;
}

static int use_all_badly(void *arg)
{
	(void)arg;
	return use_all(-EFAULT);
}

static int helper_nouns(const char *arg)
{
	prong_sem *s;

	(void)arg;
	open_family(true);
	use_all(0);
	CHECK_EQ(reports(), 0);
	CHECK_EQ(run(use_all_badly, NULL, 0), 0);
	CHECK_EQ(reports(), 9);
	s = shared(2 * sizeof *s);
	CHECK_OK(prong_sem_post(s + 1, 1));
	prong_free(s);
	CHECK_EQ(prong_sem_wait(s + 1, PRONG_NOW), -EFAULT);
	CHECK_EQ(reports(), 10);
	return 0;
}

static int helper_queue(const char *arg)
{
	prong_queue *q = NULL;
	char byte = 1;

	(void)arg;
	open_family(true);
	CHECK_OK(prong_queue_new(&q, NULL));
	CHECK_OK(prong_queue_put(q, &byte, 1, PRONG_NOW));
	CHECK_OK(prong_queue_free(q));
	CHECK_EQ(reports(), 0);
	CHECK_EQ(prong_queue_put(q, &byte, 1, PRONG_NOW), -EFAULT);
	CHECK_EQ(reports(), 1);
	CHECK_EQ(prong_wait(&(prong_source){ .queue = q }, 1, PRONG_NOW), -EFAULT);
	CHECK_EQ(prong_wait(&(prong_source){ .room = q }, 1, PRONG_NOW), -EFAULT);
	CHECK_EQ(reports(), 3);
	return 0;
}

/* What changes no state of its user's, or only looks. */
static int look_at_all(int want)
{
	CHECK_EQ(prong_event_clear(&event_variable), want);
	CHECK(!prong_event_is_set(&event_variable));
	CHECK_EQ(prong_sem_value(&sem_variable), 0);
	CHECK_EQ(prong_barrier_abort(&barrier_variable), want);
	CHECK_EQ(prong_barrier_broken(&barrier_variable), want == 0);
	CHECK_EQ(prong_barrier_reset(&barrier_variable), want);
	CHECK_EQ(prong_wait(&(prong_source){ .event = &event_variable }, 1, PRONG_NOW),
		 want ? want : PRONG_TIMEDOUT);
	return 0;
}

static int look_at_all_badly(void *arg)
{
	(void)arg;
	return look_at_all(-EFAULT);
}

static int helper_looks(const char *arg)
{
	(void)arg;
	open_family(true);
	look_at_all(0);
	CHECK_EQ(reports(), 0);
	CHECK_EQ(run(look_at_all_badly, NULL, 0), 0);
	CHECK_EQ(reports(), 7);
	return 0;
}

struct sleepers {
	char before[64];
	prong_event e, further[8];
};

static int waits_at_event(void *arg)
{
	return prong_event_wait(&((struct sleepers *)arg)->e, soon());
}

/* The last of more than a slot names by itself. */
static int waits_for_events(void *arg)
{
	struct sleepers *b = arg;
	prong_source s[9] = { { 0 } };

	for (int i = 0; i < 8; i++)
		s[i].event = &b->further[i];
	s[8].event = &b->e;
	return prong_wait(s, 9, soon());
}

static bool asleep(void *tid)
{
	for (int i = 0; i < 5; i++) {
		if (pid_state(*(pid_t *)tid, NULL) != 'S')
			return false;
		sleep_ms(2);
	}
	return true;
}

/* An event's block, while somebody sleeps for it in either way; and after that. */
static int helper_sleepers(const char *arg)
{
	prong_fn *const fn[] = { waits_at_event, waits_for_events };
	struct sleepers *b;

	(void)arg;
	open_family(true);
	for (int i = 0; i < 2; i++) {
		prong_thread *t;
		pid_t tid;

		b = shared(sizeof *b);
		t = start_thread(fn[i], b, 0);
		tid = (pid_t)prong_thread_id(t);
		CHECK(wait_until(asleep, &tid, HANG_MS));
		prong_free(b); /* says so, and does nothing */
		CHECK_EQ(reports(), 3 * i + 1);
		CHECK(strstr(said, "waits at an object in it") != NULL);
		CHECK_OK(prong_event_set(&b->e));
		CHECK_EQ(end_thread(t), 0);
		prong_free(b);
		CHECK_EQ(reports(), 3 * i + 1);
		CHECK(!prong_event_is_set(&b->e));
		CHECK_EQ(prong_wait(&(prong_source){ .event = &b->e }, 1, PRONG_NOW), -EFAULT);
		CHECK_EQ(reports(), 3 * i + 3);
	}
	return 0;
}

static int hold_and_die(void *arg)
{
	struct block *b = arg;

	CHECK_OK(prong_mutex_lock(&b->m, PRONG_FOREVER));
	_exit(0);
}

/* Who died with the lock is no reason to keep the block. */
static int helper_dead(const char *arg)
{
	struct block *b;

	(void)arg;
	open_family(true);
	b = shared(sizeof *b);
	CHECK_EQ(run(hold_and_die, b, 0), 0);
	prong_free(b);
	CHECK_EQ(reports(), 0);
	return 0;
}

static const struct helper helpers[] = {
	{ "variable", helper_variable }, { "copy", helper_copy },
	{ "right", helper_right },	 { "off", helper_off },
	{ "argument", helper_argument }, { "freed", helper_freed },
	{ "dead", helper_dead },	 { "nouns", helper_nouns },
	{ "queue", helper_queue },	 { "looks", helper_looks },
	{ "sleepers", helper_sleepers }, { NULL, NULL },
};

static void a_variable_is_nobody_elses(void **state)
{
	(void)state;
	helper_run("variable", NULL);
}

static void a_fork_copies_what_was_used(void **state)
{
	(void)state;
	helper_run("copy", NULL);
}

static void what_is_right_is_not_reported(void **state)
{
	(void)state;
	helper_run("right", NULL);
}

static void off_it_says_nothing(void **state)
{
	(void)state;
	helper_run("off", NULL);
}

static void an_argument_points_to_the_starters_own(void **state)
{
	(void)state;
	helper_run("argument", NULL);
}

static void a_block_is_freed_too_early(void **state)
{
	(void)state;
	helper_run("freed", NULL);
}

static void the_dead_need_no_block(void **state)
{
	(void)state;
	helper_run("dead", NULL);
}

static void all_nouns_are_checked(void **state)
{
	(void)state;
	helper_run("nouns", NULL);
}

static void a_queue_is_used_after_its_end(void **state)
{
	(void)state;
	helper_run("queue", NULL);
}

static void all_calls_are_checked(void **state)
{
	(void)state;
	helper_run("looks", NULL);
}

static void who_sleeps_at_an_event_needs_it(void **state)
{
	(void)state;
	helper_run("sleepers", NULL);
}

static const struct CMUnitTest tests[] = {
	CASE(a_variable_is_nobody_elses),
	CASE(a_fork_copies_what_was_used),
	CASE(what_is_right_is_not_reported),
	CASE(off_it_says_nothing),
	CASE(an_argument_points_to_the_starters_own),
	CASE(a_block_is_freed_too_early),
	CASE(the_dead_need_no_block),
	CASE(all_nouns_are_checked),
	CASE(a_queue_is_used_after_its_end),
	CASE(all_calls_are_checked),
	CASE(who_sleeps_at_an_event_needs_it),
};

TEST_MAIN(tests, TEST_CLOSED, helpers)
