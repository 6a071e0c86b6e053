/* One task at a time: there and back when all are asleep, and to the worker that comes for a killed
   one.  The floors are two wakes with a futex, and kill, waitpid and a fork. */
#include "channel.h"
#include "pool.h"
#include <err.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PAUSE_US = 1000 /* all are asleep after */
};

/* --- one task, there and back ----------------------------------------------------------------- */

static int touch(void *arg)
{
	++*(char *)arg;
	return 0;
}

static const unsigned trips = 300;

void bench_pool_idle(const void *spec, struct bench_out *out)
{
	prong_pool *pool = bench_pool_open(spec);
	unsigned n = bench_count(trips);
	char s[64] = { 0 };

	for (unsigned i = 0; i < n + 2; i++) {
		int64_t begin;

		bench_sleep_us(PAUSE_US);
		begin = bench_now();
		bench_pool_must(prong_pool_apply(pool, touch, s, sizeof s, NULL, PRONG_FOREVER),
				"prong_pool_apply");
		if (i >= 2)
			bench_push(out, 0, bench_pool_us_since(begin));
	}
	bench_pool_end(pool);
}

static void answer_wakes(void *there, void *back, unsigned n)
{
	const struct bench_channel *c = &bench_channel_futex;

	while (n-- > 0) {
		c->get(there, NULL, 0);
		c->put(back, NULL, 0);
	}
	_exit(0);
}

void bench_pool_wakes(const void *arg, struct bench_out *out)
{
	const struct bench_channel *c = &bench_channel_futex;
	unsigned n = bench_count(trips);
	void *there = c->begin(0, false), *back = c->begin(0, false);

	(void)arg;
	if (bench_fork() == 0)
		answer_wakes(there, back, n);
	for (unsigned i = 0; i < n; i++) {
		int64_t begin;

		bench_sleep_us(PAUSE_US);
		begin = bench_now();
		c->put(there, NULL, 0);
		c->get(back, NULL, 0);
		bench_push(out, 0, bench_pool_us_since(begin));
	}
	if (wait(NULL) < 0)
		err(1, "wait");
	c->end(there);
	c->end(back);
}

/* --- a worker is killed ----------------------------------------------------------------------- */

struct birth {
	int64_t when;
	int pid;
};

static int note_birth(void *arg)
{
	struct birth *b = arg;

	b->when = bench_now();
	b->pid = getpid();
	return 0;
}

static const unsigned kills = 50;

/* One worker, so that the next task is its replacement's. */
void bench_pool_replace(const void *spec, struct bench_out *out)
{
	prong_pool *pool = bench_pool_open(spec);
	struct birth old, next;

	bench_pool_must(prong_pool_apply(pool, note_birth, &old, sizeof old, NULL, PRONG_FOREVER),
			"apply");
	for (unsigned i = 0; i < bench_count(kills); i++) {
		int64_t begin;

		bench_sleep_us(2 * PAUSE_US);
		begin = bench_now();
		if (kill(old.pid, SIGKILL) != 0)
			err(1, "kill");
		bench_pool_must(
			prong_pool_apply(pool, note_birth, &next, sizeof next, NULL, PRONG_FOREVER),
			"apply");
		if (next.pid == old.pid)
			errx(1, "the killed worker has run a task");
		bench_push(out, 0, (double)(next.when - begin) / 1e3);
		old = next;
	}
	bench_pool_end(pool);
}

struct first {
	int64_t when;
	_Atomic uint32_t there;
};

static int birth_by_fork(struct first *b)
{
	int pid;

	atomic_store_explicit(&b->there, 0, memory_order_relaxed);
	pid = bench_fork();
	if (pid == 0) {
		b->when = bench_now();
		/* release: pairs with the acquire below. */
		atomic_store_explicit(&b->there, 1, memory_order_release);
		bench_futex_wake(&b->there);
		for (;;)
			pause();
	}
	while (!atomic_load_explicit(&b->there, memory_order_acquire))
		bench_futex_wait(&b->there, 0);
	return pid;
}

static void end_child(int pid)
{
	if (kill(pid, SIGKILL) != 0 || waitpid(pid, NULL, 0) != pid)
		err(1, "kill");
}

void bench_pool_kill_and_fork(const void *arg, struct bench_out *out)
{
	static struct first *b;
	int pid;

	(void)arg;
	if (!b)
		b = bench_shared(sizeof *b);
	pid = birth_by_fork(b);
	for (unsigned i = 0; i < bench_count(kills); i++) {
		int64_t begin;

		bench_sleep_us(2 * PAUSE_US);
		begin = bench_now();
		end_child(pid);
		pid = birth_by_fork(b);
		bench_push(out, 0, (double)(b->when - begin) / 1e3);
	}
	end_child(pid);
}
