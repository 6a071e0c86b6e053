/* The world of room pool: a pool that has no workers and no supervisor of its own.  Actors are
   workers, and what a supervisor does after a death does the first survivor. */
#include "pool_world.h"
#include "trace.h"
#include <string.h>

prong_pool *pool;
static uint64_t blocks;

void pool_world_open(void)
{
	struct prongi_family *f;

	world_open();
	f = prongi_heap;
	image_add((char *)f->first + WORLD_BLOCKS, 96 << 10);
}

/* As the server would see to it: the victim's process is dying before its slots are repaired. */
void pool_world_repair(void)
{
	struct prong_process *victim = &prongi_heap->process[1];

	if (prongi_phase_of(victim) == PRONGI_RUNNING)
		prongi_process_step(victim, PRONGI_RUNNING, PRONGI_DYING, 1);
	world_repair();
}

int pool_task(void *arg)
{
	const unsigned char *bytes = arg;
	size_t n = prong_task_size();

	for (size_t i = 1; i < n; i++)
		if (bytes[i] != bytes[0])
			add_note(BAD);
	add_note(RUNS);
	return 0;
}

/* Its result has another size than its argument. */
int pool_task_with_result(void *arg)
{
	char *result = prong_task_result(LARGE);

	if (!result)
		return 1;
	memset(result, 5, LARGE);
	memset(arg, 9, prong_task_size()); /* a further attempt shall not see that */
	add_note(RUNS);
	return 0;
}

static int start_nothing(struct prong_pool *p, struct prongi_worker *w)
{
	(void)p;
	(void)w;
	return 0;
}

static int no_pid(const struct prongi_worker *w)
{
	(void)w;
	return 1;
}

static const struct prongi_kind actors = {
	.name = "actors", .stops = true, .start = start_nothing, .pid = no_pid
};

void pool_make(void)
{
	for (int i = 0; i <= KILL_OTHERS + 1; i++)
		atomic_store(
			&prongi_heap->process[i].state,
			prongi_state_with((uint64_t)7 << PRONGI_GEN_SHIFT, PRONGI_RUNNING, i + 1));
	world_become(KILL_OTHERS);
	blocks = world_blocks();
	world_become(2); /* who waits is the owner: so he sleeps on one word */
	if (prong_pool_open(&pool, "sequential", NULL))
		die("no pool: %s", prong_error_detail());
	world_become(1);
	pool->kind = &actors;
	if (prongi_hire(pool) || prongi_hire(pool))
		die("no workers");
}

prong_future *pool_hand_in(prong_fn *fn, int value, size_t size, const prong_task_opts *opts)
{
	char bytes[LARGE];
	prong_future *f;

	memset(bytes, value, sizeof bytes);
	if (prong_pool_submit(pool, &f, fn, bytes, size, opts))
		die("no task: %s", prong_error_detail());
	return f;
}

/* --- the end -------------------------------------------------------------------------------- */

static void is_left(struct prong_pool *p, struct prong_future *f, void *ctx)
{
	(void)p;
	*(int *)ctx += f->state != PRONGI_TASK_FREE;
}

/* All is given back: first what somebody has, then what the sweep finds, then the pool. */
unsigned pool_check_rest(int held)
{
	unsigned bad = world_check();
	int left = 0;

	world_become(1);
	prongi_sweep(pool);
	prongi_each_task(pool, is_left, &left);
	if (left != held)
		bad |= kill_because(KILL_LEAKED, "%d records are not free, not %d", left, held);
	if (world->root[0])
		prong_future_free(world->root[0]);
	for (int i = 0; i < KILL_OTHERS + 1; i++)
		prong_free_at((void **)&world_slot(i)->offer);
	pool->kind = &prongi_sequential;
	(void)prong_pool_free(pool);
	if (world_blocks() != blocks)
		bad |= kill_because(KILL_LEAKED, "%lld blocks are left",
				    (long long)(world_blocks() - blocks));
	return bad | (note(BAD) ? KILL_TORN : 0);
}
