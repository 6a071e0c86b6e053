/* The heap in use by eight members, some of them being killed: nothing is lost, and memory is
   bounded.  A short run here; with the full numbers ten million operations, however long they take;
   unit-heap-churn --helper churn N is one of N.

   And a full heap: what ended members had cached is found. */
#define _GNU_SOURCE
#include "support.h"

enum { MEMBERS = 8, SLOTS = 500 };

#define MIB ((size_t)1 << 20)

struct table {
	void *p[SLOTS];
	size_t size[SLOTS];
	uint32_t random;
	_Atomic uint64_t steps;
};

static unsigned next_random(struct table *t)
{
	t->random = t->random * 1664525 + 1013904223;
	return t->random >> 8;
}

static size_t random_size(struct table *t)
{
	static const size_t below[] = { 32, 128, 512, 4000, 20000 };

	return 1 + next_random(t) % below[next_random(t) % 5];
}

static void random_step(struct table *t)
{
	unsigned i = next_random(t) % SLOTS;
	size_t size = random_size(t);

	if (!t->p[i])
		CHECK_OK(prong_alloc_to(&t->p[i], size));
	else if (next_random(t) % 4)
		CHECK_OK(prong_free_at(&t->p[i]));
	else
		CHECK_OK(prong_realloc_at(&t->p[i], size));
	t->size[i] = t->p[i] ? size : 0;
	if (t->p[i])
		*(char *)t->p[i] = 1;
}

static int body_churns(void *arg)
{
	struct table *t = arg;

	for (;;) {
		random_step(t);
		atomic_fetch_add_explicit(&t->steps, 1, memory_order_relaxed);
	}
	return 0;
}

static uint64_t steps_of(struct table **t)
{
	uint64_t n = 0;

	for (int i = 0; i < MEMBERS; i++)
		n += atomic_load_explicit(&t[i]->steps, memory_order_relaxed);
	return n;
}

/* What was in use, and taken from the system for it, at the most. */
struct most {
	uint64_t used, cached, committed, operations;
	int kills;
};

static void note(struct most *most, const prong_family_stats *before)
{
	prong_family_stats st;

	prong_family_stat(&st);
	st.heap_used -= before->heap_used;
	st.heap_committed -= before->heap_committed;
	most->used = st.heap_used > most->used ? st.heap_used : most->used;
	most->cached = st.heap_cached > most->cached ? st.heap_cached : most->cached;
	most->committed = st.heap_committed > most->committed ? st.heap_committed : most->committed;
}

/* Let all members do so many steps, in so many ns at the most, and kill one now and then. */
static void kill_some(struct table **t, uint64_t steps, int64_t ns,
		      const prong_family_stats *before, struct most *most)
{
	prong_time begin = prong_clock();
	prong_process *p[MEMBERS];

	for (int i = 0; i < MEMBERS; i++)
		p[i] = start(body_churns, t[i], 0);
	while (steps_of(t) < steps && prong_ns_between(begin, prong_clock()) < ns) {
		int victim = rand() % MEMBERS;

		sleep_ms(5 + rand() % 10);
		kill_and_end(p[victim]);
		p[victim] = start(body_churns, t[victim], 0);
		most->kills++;
		note(most, before);
	}
	for (int i = 0; i < MEMBERS; i++)
		kill_and_end(p[i]);
	most->operations = steps_of(t);
}

static void churn(uint64_t steps, int64_t ns)
{
	prong_family_stats before, after;
	struct table *t[MEMBERS];
	struct most most = { 0 };

	for (int i = 0; i < MEMBERS; i++) {
		t[i] = shared(sizeof *t[i]);
		t[i]->random = (uint32_t)i;
	}
	prong_family_stat(&before);
	kill_some(t, steps, ns, &before, &most);
	print_message("%llu operations, %d kills: at most %llu KiB used, %llu KiB cached, "
		      "%llu KiB committed\n",
		      (unsigned long long)most.operations, most.kills,
		      (unsigned long long)most.used / 1024, (unsigned long long)most.cached / 1024,
		      (unsigned long long)most.committed / 1024);
	fflush(stdout);
	CHECK(most.committed < 2 * most.used + 16 * MIB);
	for (int i = 0; i < MEMBERS; i++)
		for (int k = 0; k < SLOTS; k++)
			CHECK_OK(prong_free_at(&t[i]->p[k]));
	prong_family_stat(&after);
	CHECK_EQ(after.blocks, before.blocks);
	CHECK_EQ(after.heap_used, before.heap_used);
	for (int i = 0; i < MEMBERS; i++)
		prong_free(t[i]);
}

/* The steps are random for all but time, and their number is what counts: on a slow machine this
   ends early. */
static void memory_is_bounded_while_members_are_killed(void **state)
{
	(void)state;
	if (full_numbers())
		churn(10000000, INT64_MAX);
	else
		churn(10000 * (uint64_t)scaled(100), 3000000000);
}

static int helper_churn(const char *arg)
{
	CHECK_OK(prong_open(NULL));
	churn(strtoull(arg, NULL, 10), INT64_MAX);
	return 0;
}

/* --- a full heap ----------------------------------------------------------------------------- */

struct chain {
	struct chain *next;
};

static size_t fill_heap(struct chain **list, size_t size)
{
	struct chain *c;
	size_t n = 0;

	while ((c = prong_alloc(size))) {
		c->next = *list;
		*list = c;
		n++;
	}
	return n;
}

static void empty_heap(struct chain **list)
{
	struct chain *next;

	for (; *list; *list = next) {
		next = (*list)->next;
		prong_free(*list);
	}
}

static int body_caches(void *arg)
{
	static void *p[2000];

	(void)arg;
	for (size_t size = 10; size <= 4000; size = size * 3 / 2) {
		for (int i = 0; i < 2000; i++)
			if (!(p[i] = prong_alloc(size)))
				return 1;
		for (int i = 0; i < 2000; i++)
			prong_free(p[i]);
	}
	return 0;
}

static int helper_cached(const char *arg)
{
	prong_family_opts opts = { .heap_size = (size_t)128 << 20 };
	prong_family_stats st;
	struct chain *list = NULL;
	size_t n;

	(void)arg;
	CHECK_OK(prong_open(&opts));
	CHECK_EQ(run(body_return, &(int){ 7 }, sizeof(int)), 7);
	n = fill_heap(&list, MIB);
	CHECK(n > 16);
	empty_heap(&list);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(run(body_caches, NULL, 0), 0);
	CHECK_EQ(body_caches(NULL), 0);
	prong_family_stat(&st);
	CHECK(st.heap_cached > MIB / 2);
	CHECK(fill_heap(&list, MIB) >= n - 4); /* the first of them lie above what was cached */
	prong_family_stat(&st);
	CHECK_EQ(st.heap_cached, 0);
	empty_heap(&list);
	CHECK_EQ(fill_heap(&list, MIB), n);
	empty_heap(&list);
	return 0;
}

static void a_full_heap_takes_what_is_cached(void **state)
{
	(void)state;
	helper_run("cached", NULL);
}

static const struct helper helpers[] = {
	{ "cached", helper_cached },
	{ "churn", helper_churn },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(memory_is_bounded_while_members_are_killed),
	CASE(a_full_heap_takes_what_is_cached),
};

TEST_MAIN(tests, TEST_WARM, helpers)
