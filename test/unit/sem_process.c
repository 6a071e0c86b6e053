/* A semaphore in the heap between processes, and their deaths. */
#define _GNU_SOURCE
#include "support.h"

#include <sys/wait.h>

struct shop {
	prong_sem s, back;
	atomic_int ready, through;
	int rounds;
	long a, b; /* equal, whenever s has its token */
};

static int body_adds(void *arg)
{
	struct shop *c = arg;

	for (int i = 0; i < c->rounds; i++) {
		CHECK_OK(prong_sem_wait(&c->s, soon()));
		if (c->a++ != c->b++)
			return 1;
		CHECK_OK(prong_sem_post(&c->s, 1));
	}
	return 0;
}

static void one_at_a_time(void **state)
{
	struct shop *c = shared(sizeof *c);
	prong_process *p[4];

	(void)state;
	c->s = (prong_sem)PRONG_SEM_BOUNDED(1);
	c->rounds = scaled(20000);
	for (int i = 0; i < 4; i++)
		p[i] = start(body_adds, c, 0);
	CHECK_EQ(body_adds(c), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(end(p[i]), 0);
	CHECK_EQ(c->a, 5L * c->rounds);
	CHECK_EQ(c->b, c->a);
	prong_free(c);
}

static int body_answers(void *arg)
{
	struct shop *c = arg;

	for (int i = 0; i < c->rounds; i++) {
		CHECK_OK(prong_sem_wait(&c->s, soon()));
		CHECK_OK(prong_sem_post(&c->back, 1));
	}
	return 0;
}

static void to_and_fro(void **state)
{
	struct shop *c = shared(sizeof *c);
	prong_process *p;

	(void)state;
	c->rounds = scaled(5000);
	p = start(body_answers, c, 0);
	for (int i = 0; i < c->rounds; i++) {
		CHECK_OK(prong_sem_post(&c->s, 1));
		CHECK_OK(prong_sem_wait(&c->back, soon()));
	}
	CHECK_EQ(end(p), 0);
	prong_free(c);
}

/* --- deaths -------------------------------------------------------------------------------- */

static int body_waits(void *arg)
{
	struct shop *c = arg;

	atomic_fetch_add(&c->ready, 1);
	CHECK_OK(prong_sem_wait(&c->s, PRONG_FOREVER));
	atomic_fetch_add(&c->through, 1);
	return 0;
}

/* Killed while they sleep: those who are left get all the tokens. */
static void sleepers_are_killed(void **state)
{
	struct shop *c = shared(sizeof *c);
	prong_process *p[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		p[i] = start(body_waits, c, 0);
	CHECK(wait_for(&c->ready, 6));
	sleep_ms(20);
	for (int i = 0; i < 3; i++)
		kill_and_end(p[i]);
	CHECK_OK(prong_sem_post(&c->s, 1));
	CHECK_OK(prong_sem_post(&c->s, 2));
	for (int i = 3; i < 6; i++)
		CHECK_EQ(end(p[i]), 0);
	CHECK_EQ(atomic_load(&c->through), 3);
	CHECK_EQ(prong_sem_value(&c->s), 0);
	prong_free(c);
}

/* Stopped, it is chosen by a post; the token is not for it alone. */
static void who_is_stopped_does_not_keep_the_wake(void **state)
{
	struct shop *c = shared(sizeof *c);
	prong_process *stopped = start(body_waits, c, 0), *other;

	(void)state;
	CHECK(wait_for(&c->ready, 1));
	sleep_ms(20);
	CHECK_OK(prong_process_signal(stopped, SIGSTOP));
	sleep_ms(20);
	other = start(body_waits, c, 0);
	CHECK(wait_for(&c->ready, 2));
	sleep_ms(20);
	CHECK_OK(prong_sem_post(&c->s, 1));
	CHECK_EQ(end(other), 0);
	kill_and_end(stopped);
	prong_free(c);
}

static int body_passes(void *arg)
{
	struct shop *c = arg;

	for (;;) {
		if (prong_sem_wait(&c->s, PRONG_FOREVER) || prong_sem_post(&c->s, 1))
			return 1;
		atomic_fetch_add(&c->through, 1);
	}
}

/* A token may die with who has it, but is never there beside one who sleeps for it. */
static void killed_in_the_middle(void **state)
{
	struct shop *c = shared(sizeof *c);
	int n = scaled(40), before;

	(void)state;
	for (int i = 0; i < n; i++) {
		prong_process *p[3];

		c->s = (prong_sem)PRONG_SEM(1);
		for (int k = 0; k < 3; k++)
			p[k] = start(body_passes, c, 0);
		before = atomic_load(&c->through);
		CHECK(wait_for(&c->through, before + 100));
		kill_and_end(p[0]);
		CHECK(prong_sem_value(&c->s) <= 1);
		if (prong_sem_wait(&c->s, prong_in_ms(200)) == PRONG_TIMEDOUT)
			CHECK_EQ(prong_sem_value(&c->s), 0); /* it died with it */
		CHECK_OK(prong_sem_post(&c->s, 1));
		before = atomic_load(&c->through);
		CHECK(wait_for(&c->through, before + 100));
		kill_and_end(p[1]);
		kill_and_end(p[2]);
	}
	prong_free(c);
}

/* --- handlers ------------------------------------------------------------------------------ */

static prong_sem *of_handler;

static void post_in_handler(int sig)
{
	(void)sig;
	prong_sem_post(of_handler, 1);
}

static int body_waits_for_signals(void *arg)
{
	struct shop *c = arg;

	of_handler = &c->s;
	signal(SIGUSR1, post_in_handler);
	atomic_store(&c->ready, 1);
	for (int i = 0; i < c->rounds; i++)
		CHECK_OK(prong_sem_wait(&c->s, soon()));
	return 0;
}

/* Asleep in a wait, it is woken by its own handler. */
static void a_handler_wakes_who_it_interrupts(void **state)
{
	struct shop *c = shared(sizeof *c);
	prong_process *p;

	(void)state;
	c->rounds = 50;
	p = start(body_waits_for_signals, c, 0);
	CHECK(wait_for(&c->ready, 1));
	while (prong_process_alive(p)) {
		CHECK_OK(prong_process_signal(p, SIGUSR1));
		sleep_ms(1);
	}
	CHECK_EQ(end(p), 0);
	prong_free(c);
}

/* The program's own fork, which has called nothing of prong. */
static void a_fork_posts(void **state)
{
	prong_sem *s = shared(sizeof *s);
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(prong_sem_post(s, 1) ? 1 : 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_OK(prong_sem_wait(s, PRONG_NOW));
	prong_free(s);
}

static const struct CMUnitTest tests[] = {
	CASE(one_at_a_time),
	CASE(to_and_fro),
	CASE(sleepers_are_killed),
	CASE(who_is_stopped_does_not_keep_the_wake),
	CASE(killed_in_the_middle),
	CASE(a_handler_wakes_who_it_interrupts),
	CASE(a_fork_posts),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
