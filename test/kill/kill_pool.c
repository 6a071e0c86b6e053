/* Tasks of a pool: handing in, taking and ending, cancelling, letting go, closing; by a submitter,
   a worker or another member that is killed.

   The pool has no workers and no supervisor of its own: actors are workers, and what that does
   after a death does the first survivor.  It is not killed itself, for with it the pool ends. */
#include "pool_world.h"
#include "trace.h"
#include <string.h>

#define ITEMS 4 /* of a map, in two parts */

/* --- the world ------------------------------------------------------------------------------ */

static void nothing_waits(void)
{
	pool_make();
	world->root[0] = pool_hand_in(pool_task, 1, SMALL, NULL); /* so that there is a table */
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

	pool_make();
	world->root[0] = pool_hand_in(fn, 3, size, retries ? &opts : NULL);
	world_become(-1);
}

/* All records and the first ring of the line are in use. */
static void table_is_full(void)
{
	nothing_waits();
	world_become(1);
	for (int i = 0; i < PRONGI_FIRST_CHUNK; i++)
		if (prong_pool_submit(pool, NULL, pool_task, "aaaaaaa", SMALL - 1, NULL))
			die("no task: %s", prong_error_detail());
	world_become(-1);
}

/* More wait than the line's first ring has places for. */
static void two_rings_wait(void)
{
	table_is_full();
	world_become(1);
	if (prong_pool_submit(pool, NULL, pool_task, "aaaaaaa", SMALL - 1, NULL))
		die("no task: %s", prong_error_detail());
	world_become(-1);
}

/* There are items, and one share for all of them. */
static void map_waits(void)
{
	pool_make();
	atomic_store(&pool->wanted, 1);
	world->root[1] = prong_calloc(ITEMS, sizeof(int));
	if (!world->root[1])
		die("no items: %s", prong_error_detail());
	world_become(-1);
}

static void small_waits(void)
{
	one_waits(pool_task, SMALL, 0);
}

static void small_waits_for_long(void)
{
	const prong_task_opts opts = { .retries = 2, .backoff_ms = 1 };

	pool_make();
	world->root[0] = pool_hand_in(pool_task, 3, SMALL, &opts);
	world_become(-1);
}

/* Names of which all letters are alike, and as long as a place for one. */
static prong_future *hand_in_named(char letter)
{
	char name[PRONGI_NAME_MOST + 1] = { 0 };
	const prong_task_opts opts = { .name = name, .limit_ms = 60000 };

	memset(name, letter, PRONGI_NAME_MOST);
	return pool_hand_in(pool_task, 3, SMALL, &opts);
}

/* The victim has run one before. */
static void named_waits(void)
{
	prong_future *before;

	pool_make();
	before = hand_in_named('a');
	world_become(0);
	if (!prongi_worker_step(pool, prongi_worker_at(pool, 0)))
		die("no task to run");
	world_become(1);
	prong_future_free(before);
	atomic_store(&kill_control->note[RUNS], 0);
	world->root[0] = hand_in_named('b');
	world_become(-1);
}

static void large_waits(void)
{
	one_waits(pool_task, LARGE, 2);
}

static void result_waits(void)
{
	one_waits(pool_task_with_result, LARGE, 2);
}

static void one_is_done(void)
{
	one_waits(pool_task_with_result, LARGE, 1);
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

static void check_name(const char *name, const char *letters)
{
	size_t n = strspn(name, (char[]){ name[0], 0 });

	if (!strchr(letters, name[0]) || n != PRONGI_NAME_MOST || name[n])
		add_note(BAD);
}

/* The names that are told of a task and of a worker are whole, wherever that died. */
static unsigned reader(void)
{
	unsigned bad = waiter();
	prong_worker_stats w[2];
	prong_pool_stats all;
	prong_report report;

	if (bad)
		return bad;
	prong_future_report(world->root[0], &report);
	check_name(report.name, "b");
	(void)prong_pool_stat(pool, &all, w, 2);
	check_name(w[0].task, "ab");
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
	if (prong_pool_submit(pool, held ? &f : NULL, pool_task, bytes, size, opts))
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

/* What the victim handed in is done once, if its call returned; and nothing of it is left. */
static unsigned check_submitted(void)
{
	bool died = prongi_phase_of(&prongi_heap->process[1]) != PRONGI_RUNNING;

	return kill_check_count(note(RUNS)) | pool_check_rest(died ? 0 : 1);
}

static unsigned check_for_nobody(void)
{
	return kill_check_count(note(RUNS)) | pool_check_rest(0);
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
	return bad | pool_check_rest(1);
}

/* With attempts left it is done in the end, from the bytes that were submitted. */
static unsigned check_retried(void)
{
	unsigned bad = 0;

	if (note(GOOD) != 1 || note(RUNS) < 1)
		bad |= kill_because(KILL_LOST, "it was not done");
	if (note(RUNS) > 2)
		bad |= kill_because(KILL_TWICE, "it ran %d times", (int)note(RUNS));
	return bad | pool_check_rest(1);
}

static unsigned check_cancelled(void)
{
	unsigned bad = 0;

	if (note(GOOD) + note(CANCELS) != 1 || note(GOOD) != note(RUNS))
		bad |= kill_because(KILL_TORN, "%d times good, %d cancelled, %d runs",
				    (int)note(GOOD), (int)note(CANCELS), (int)note(RUNS));
	if (kill_control->done && !note(CANCELS))
		bad |= kill_because(KILL_LOST, "what was cancelled ran");
	return bad | pool_check_rest(1);
}

static unsigned check_let_go(void)
{
	bool died = prongi_phase_of(&prongi_heap->process[1]) != PRONGI_RUNNING;

	(void)died;
	world->root[0] = NULL;
	return pool_check_rest(0);
}

static unsigned check_closed(void)
{
	bool closed = prongi_pool_phase(pool) == PRONGI_POOL_CLOSED;

	if (kill_control->done && !closed)
		return KILL_LOST;
	return pool_check_rest(0);
}

static unsigned check_grown(void)
{
	bool died = prongi_phase_of(&prongi_heap->process[1]) != PRONGI_RUNNING;

	return kill_check_count(note(RUNS) - PRONGI_FIRST_CHUNK) | pool_check_rest(died ? 0 : 1);
}

/* Each ran once, but for the one that the victim had. */
static unsigned check_all_ran(void)
{
	bool died = prongi_phase_of(&prongi_heap->process[1]) != PRONGI_RUNNING;
	int missing = PRONGI_FIRST_CHUNK + 1 - (int)note(RUNS);
	unsigned bad = 0;

	if (missing < 0)
		bad |= kill_because(KILL_TWICE, "%d ran again", -missing);
	if (missing > (died ? 1 : 0))
		bad |= kill_because(KILL_LOST, "%d have not run", missing);
	return bad | pool_check_rest(0);
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
	return bad | pool_check_rest(0);
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
						  { .name = "run-named",
						    .setup = named_waits,
						    .victim = take_and_end,
						    .before = other_waits,
						    .other = { supervisor, reader },
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
						  { .name = "run-to-the-next-ring",
						    .setup = two_rings_wait,
						    .victim = take_and_end,
						    .other = { supervisor },
						    .check = check_all_ran },
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
	.open = pool_world_open,
	.become = world_become,
	.repair = pool_world_repair,
	.scenarios = scenarios,
	.files = "record.c run.c submit.c future.c todo.c map.c settle.c prong_pool_submit "
		 "prong_future_ prongi_map prongi_put prongi_settle prongi_sweep prongi_task_ "
		 "prongi_todo_ prongi_worker_step prongi_worker_clock",
};
