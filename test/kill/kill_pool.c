/* Tasks of a pool: handing in, taking and ending, cancelling, letting go, closing; by a submitter,
   a worker or another member that is killed.

   The pool has no workers and no supervisor of its own: actors are workers, and what that does
   after a death does the first survivor.  It is not killed itself, for with it the pool ends. */
#include "pool/pool.h"
#include "world.h"
#include "trace.h"
#include <string.h>

#define SMALL 8
#define LARGE 100 /* bytes that have a block of their own */
#define ITEMS 4   /* of a map, in two parts */

/* Of kill_control->note[]. */
enum {
	RUNS,    /* calls of a task's function */
	GOOD,    /* futures that somebody saw end with 0 */
	CRASHES, /* ... with PRONG_CRASHED */
	CANCELS,
	BAD
};

static prong_pool *pool;
static uint64_t blocks;

static uint64_t note(int i)
{
	return atomic_load(&kill_control->note[i]);
}

static void add_note(int i)
{
	atomic_fetch_add(&kill_control->note[i], 1);
}

/* --- the world ------------------------------------------------------------------------------ */

static void open_world(void)
{
	struct prongi_family *f;

	world_open();
	f = prongi_heap;
	image_add((char *)f->first + WORLD_BLOCKS, 96 << 10);
}

/* As the server would see to it: the victim's process is dying before its slots are repaired. */
static void repair(void)
{
	struct prong_process *victim = &prongi_heap->process[1];

	if (prongi_phase_of(victim) == PRONGI_RUNNING)
		prongi_process_step(victim, PRONGI_RUNNING, PRONGI_DYING, 1);
	world_repair();
}

static int task(void *arg)
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
static int task_with_result(void *arg)
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

/* A pool with two places for workers: the victim's, and a survivor's. */
static void make_pool(void)
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

static prong_future *hand_in(prong_fn *fn, int value, size_t size, const prong_task_opts *opts)
{
	char bytes[LARGE];
	prong_future *f;

	memset(bytes, value, sizeof bytes);
	if (prong_pool_submit(pool, &f, fn, bytes, size, opts))
		die("no task: %s", prong_error_detail());
	return f;
}

static void nothing_waits(void)
{
	make_pool();
	world->root[0] = hand_in(task, 1, SMALL, NULL); /* so that there is a table */
	if (!prongi_worker_step(pool, prongi_worker_at(pool, 1)))
		die("no task to run");
	prong_future_free(world->root[0]);
	world->root[0] = NULL;
	atomic_store(&kill_control->note[RUNS], 0);
	world_become(-1);
}

static void one_waits(prong_fn *fn, size_t size, int retries)
{
	const prong_task_opts opts = { .retries = retries };

	make_pool();
	world->root[0] = hand_in(fn, 3, size, retries ? &opts : NULL);
	world_become(-1);
}

/* All records and the first ring of the line are in use. */
static void table_is_full(void)
{
	nothing_waits();
	world_become(1);
	for (int i = 0; i < PRONGI_FIRST_CHUNK; i++)
		if (prong_pool_submit(pool, NULL, task, "aaaaaaa", SMALL - 1, NULL))
			die("no task: %s", prong_error_detail());
	world_become(-1);
}

/* There are items, and one share for all of them. */
static void map_waits(void)
{
	make_pool();
	atomic_store(&pool->wanted, 1);
	world->root[1] = prong_calloc(ITEMS, sizeof(int));
	if (!world->root[1])
		die("no items: %s", prong_error_detail());
	world_become(-1);
}

static void small_waits(void)
{
	one_waits(task, SMALL, 0);
}

static void small_waits_for_long(void)
{
	const prong_task_opts opts = { .retries = 2, .backoff_ms = 1 };

	make_pool();
	world->root[0] = hand_in(task, 3, SMALL, &opts);
	world_become(-1);
}

static void large_waits(void)
{
	one_waits(task, LARGE, 2);
}

static void result_waits(void)
{
	one_waits(task_with_result, LARGE, 2);
}

static void one_is_done(void)
{
	one_waits(task_with_result, LARGE, 1);
	world_become(1);
	if (!prongi_worker_step(pool, prongi_worker_at(pool, 1)))
		die("no task to run");
	world_become(-1);
}

/* --- survivors ------------------------------------------------------------------------------ */

/* The server tells of a death when it has repaired what that left. */
static bool wait_for_repair(void)
{
	prong_time deadline = world_deadline();

	while (prongi_phase_of(&prongi_heap->process[1]) == PRONGI_RUNNING ||
	       atomic_load(&world_slot(0)->id)) {
		if (prong_ns_between(prong_clock(), deadline) <= 0)
			return false;
		prongi_os_yield();
	}
	return true;
}

/* What the supervisor does when it hears of a death, and a worker after that, until there is
   nothing to do. */
static unsigned supervisor(void)
{
	struct prongi_worker_end end = { .report = { .signal = 9 } };
	struct prongi_worker *w = prongi_worker_at(pool, 0);

	world_become(1);
	kill_gate(0);
	while (prongi_worker_step(pool, prongi_worker_at(pool, 1)))
		; /* before the repair, too */
	if (!wait_for_repair())
		return kill_because(KILL_STUCK, "nobody repairs");
	if (prongi_settle_worker(pool, w, &end))
		while (prongi_put_delayed(pool))
			prongi_os_sleep(prong_in_ms(1));
	prongi_sweep(pool);
	while (prongi_worker_step(pool, prongi_worker_at(pool, 1)))
		;
	return 0;
}

/* Waits for the future from before, and says what came of it. */
static unsigned waiter(void)
{
	prong_time deadline = world_deadline();
	int r;

	world_become(2);
	r = prong_future_get(world->root[0], NULL, 0, deadline);
	if (r == PRONG_TIMEDOUT || prong_ns_between(prong_clock(), deadline) <= 0)
		return kill_because(KILL_STUCK, "who waits for a task is stuck");
	add_note(r == 0                 ? GOOD
		 : r == PRONG_CRASHED   ? CRASHES
		 : r == PRONG_CANCELLED ? CANCELS
					: BAD);
	return 0;
}

static int add_one(void *item)
{
	++*(int *)item;
	return 0;
}

static unsigned map_with(int retries)
{
	const prong_map_opts opts = { .chunk = ITEMS / 2, .task = { .retries = retries } };
	prong_time deadline = world_deadline();
	int r;

	world_become(2);
	r = prong_pool_map(pool, add_one, world->root[1], ITEMS, sizeof(int), &opts, deadline);
	if (r == PRONG_TIMEDOUT || prong_ns_between(prong_clock(), deadline) <= 0)
		return kill_because(KILL_STUCK, "who waits for a map is stuck");
	add_note(r == 0 ? GOOD : r == PRONG_CRASHED ? CRASHES : BAD);
	return 0;
}

static unsigned maps_with_retries(void)
{
	return map_with(2);
}

static unsigned maps_once(void)
{
	return map_with(-1);
}

static void other_waits(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_place(t, 1);
}

/* --- victims -------------------------------------------------------------------------------- */

static void submit(size_t size, const prong_task_opts *opts, bool held)
{
	char bytes[LARGE];
	prong_future *f;

	memset(bytes, 4, sizeof bytes);
	kill_count_begun();
	if (prong_pool_submit(pool, held ? &f : NULL, task, bytes, size, opts))
		add_note(BAD);
	kill_count_done();
}

static void submit_small(void)
{
	submit(SMALL, NULL, true);
}

static void submit_large(void)
{
	submit(LARGE, &(prong_task_opts){ .name = "large", .priority = 1 }, true);
}

static void submit_for_nobody(void)
{
	submit(SMALL, NULL, false);
}

/* Worker 0 takes what waits, and ends it. */
static void take_and_end(void)
{
	kill_count_begun();
	if (!prongi_worker_step(pool, prongi_worker_at(pool, 0)))
		add_note(BAD);
	kill_count_done();
}

static void cancel(void)
{
	kill_count_begun();
	if (prong_future_cancel(world->root[0]))
		add_note(BAD);
	kill_count_done();
}

/* The victim has the future: it submitted the task. */
static void let_go(void)
{
	prong_future *f = world->root[0];

	kill_count_begun();
	world->root[0] = NULL;
	prong_future_free(f);
	kill_count_done();
}

static void victim_holds(void)
{
	one_is_done();
	world_become(0);
	atomic_store(&((prong_future *)world->root[0])->holder, prongi_ident());
	world_become(-1);
}

static void victim_holds_waiting(void)
{
	small_waits();
	world_become(0);
	atomic_store(&((prong_future *)world->root[0])->holder, prongi_ident());
	world_become(-1);
}

static void close_it(void)
{
	kill_count_begun();
	if (prong_pool_close(pool))
		add_note(BAD);
	kill_count_done();
}

/* --- the end -------------------------------------------------------------------------------- */

static void is_left(struct prong_pool *p, struct prong_future *f, void *ctx)
{
	(void)p;
	*(int *)ctx += f->state != PRONGI_TASK_FREE;
}

/* All is given back: first what somebody has, then what the sweep finds, then the pool. */
static unsigned check_rest(int held)
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

/* What the victim handed in is done once, if its call returned; and nothing of it is left. */
static unsigned check_submitted(void)
{
	bool died = prongi_phase_of(&prongi_heap->process[1]) != PRONGI_RUNNING;

	return kill_check_count(note(RUNS)) | check_rest(died ? 0 : 1);
}

static unsigned check_for_nobody(void)
{
	return kill_check_count(note(RUNS)) | check_rest(0);
}

/* The task was tried once: it is done, or has crashed with the victim, and its waiter was told. */
static unsigned check_once(void)
{
	unsigned bad = 0;

	if (note(GOOD) + note(CRASHES) != 1)
		bad |= kill_because(KILL_STUCK, "nobody was told");
	if (note(GOOD) && note(RUNS) != 1)
		bad |= kill_because(KILL_TWICE, "it ran %d times", (int)note(RUNS));
	if (kill_control->done && !note(GOOD))
		bad |= kill_because(KILL_LOST, "it was done, and the waiter was told otherwise");
	return bad | check_rest(1);
}

/* With attempts left it is done in the end, from the bytes that were submitted. */
static unsigned check_retried(void)
{
	unsigned bad = 0;

	if (note(GOOD) != 1 || note(RUNS) < 1)
		bad |= kill_because(KILL_LOST, "it was not done");
	if (note(RUNS) > 2)
		bad |= kill_because(KILL_TWICE, "it ran %d times", (int)note(RUNS));
	return bad | check_rest(1);
}

static unsigned check_cancelled(void)
{
	unsigned bad = 0;

	if (note(GOOD) + note(CANCELS) != 1 || note(GOOD) != note(RUNS))
		bad |= kill_because(KILL_TORN, "%d times good, %d cancelled, %d runs",
				    (int)note(GOOD), (int)note(CANCELS), (int)note(RUNS));
	if (kill_control->done && !note(CANCELS))
		bad |= kill_because(KILL_LOST, "what was cancelled ran");
	return bad | check_rest(1);
}

static unsigned check_let_go(void)
{
	bool died = prongi_phase_of(&prongi_heap->process[1]) != PRONGI_RUNNING;

	(void)died;
	world->root[0] = NULL;
	return check_rest(0);
}

static unsigned check_closed(void)
{
	bool closed = prongi_pool_phase(pool) == PRONGI_POOL_CLOSED;

	if (kill_control->done && !closed)
		return KILL_LOST;
	return check_rest(0);
}

static unsigned check_grown(void)
{
	bool died = prongi_phase_of(&prongi_heap->process[1]) != PRONGI_RUNNING;

	return kill_check_count(note(RUNS) - PRONGI_FIRST_CHUNK) | check_rest(died ? 0 : 1);
}

/* Each item is as it was or as it should be; as it was only the one that the victim had, and only
   when the caller was told. */
static unsigned check_map(void)
{
	const int *item = world->root[1];
	uint64_t undone = 0;
	unsigned bad = 0;

	for (int i = 0; i < ITEMS; i++) {
		if (item[i] != 0 && item[i] != 1)
			bad |= kill_because(KILL_TWICE, "item %d is %d", i, item[i]);
		undone += item[i] == 0;
	}
	if (note(GOOD) + note(CRASHES) != 1)
		bad |= kill_because(KILL_STUCK, "the caller was told nothing");
	if (undone != note(CRASHES))
		bad |= kill_because(KILL_LOST, "%d items are as they were", (int)undone);
	world_become(1);
	prong_free_at(&world->root[1]);
	return bad | check_rest(0);
}

static unsigned check_map_retried(void)
{
	return (note(GOOD) ? 0 : KILL_LOST) | check_map();
}

static const struct kill_scenario scenarios[] = { { .name = "submit",
						    .setup = nothing_waits,
						    .victim = submit_small,
						    .other = { supervisor },
						    .check = check_submitted },
						  { .name = "submit-large",
						    .setup = nothing_waits,
						    .victim = submit_large,
						    .other = { supervisor },
						    .check = check_submitted },
						  { .name = "submit-for-nobody",
						    .setup = nothing_waits,
						    .victim = submit_for_nobody,
						    .other = { supervisor },
						    .check = check_for_nobody },
						  { .name = "run",
						    .setup = small_waits,
						    .victim = take_and_end,
						    .before = other_waits,
						    .other = { supervisor, waiter },
						    .check = check_once },
						  { .name = "run-again",
						    .setup = large_waits,
						    .victim = take_and_end,
						    .before = other_waits,
						    .other = { supervisor, waiter },
						    .check = check_retried },
						  { .name = "run-result",
						    .setup = result_waits,
						    .victim = take_and_end,
						    .before = other_waits,
						    .other = { supervisor, waiter },
						    .check = check_retried },
						  { .name = "run-later",
						    .setup = small_waits_for_long,
						    .victim = take_and_end,
						    .before = other_waits,
						    .other = { supervisor, waiter },
						    .check = check_retried },
						  { .name = "submit-grows",
						    .setup = table_is_full,
						    .victim = submit_small,
						    .other = { supervisor },
						    .check = check_grown },
						  { .name = "map",
						    .setup = map_waits,
						    .victim = take_and_end,
						    .before = other_waits,
						    .other = { supervisor, maps_with_retries },
						    .check = check_map_retried },
						  { .name = "map-once",
						    .setup = map_waits,
						    .victim = take_and_end,
						    .before = other_waits,
						    .other = { supervisor, maps_once },
						    .check = check_map },
						  { .name = "cancel",
						    .setup = small_waits,
						    .victim = cancel,
						    .before = other_waits,
						    .other = { supervisor, waiter },
						    .check = check_cancelled },
						  { .name = "free",
						    .setup = victim_holds,
						    .victim = let_go,
						    .other = { supervisor },
						    .check = check_let_go },
						  { .name = "free-early",
						    .setup = victim_holds_waiting,
						    .victim = let_go,
						    .other = { supervisor },
						    .check = check_let_go },
						  { .name = "close",
						    .setup = nothing_waits,
						    .victim = close_it,
						    .other = { supervisor },
						    .check = check_closed },
						  { .name = NULL } };

const struct kill_room room_pool = {
	.name = "pool",
	.open = open_world,
	.become = world_become,
	.repair = repair,
	.scenarios = scenarios,
	.files = "record.c run.c submit.c future.c todo.c map.c ",
};
