/* The heap in use by eight members, some of them being killed: nothing is lost, and memory is
   bounded.  PRONG_TEST_SCALE=1000 asks for ten million operations.

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

/* The steps are random for all but time, and their number is what counts: on a slow machine the
   short run ends early. */
static void memory_is_bounded_while_members_are_killed(void **state)
{
	uint64_t steps = 100000 * (uint64_t)scaled(100), most_used = 0, most = 0;
	prong_family_stats a, b, st;
	struct table *t[MEMBERS];
	prong_process *p[MEMBERS];
	prong_time begin = prong_clock();
	int kills = 0;

	(void)state;
	if (!getenv("PRONG_TEST_SCALE"))
		steps /= 10;
	for (int i = 0; i < MEMBERS; i++) {
		t[i] = shared(sizeof *t[i]);
		t[i]->random = (uint32_t)i;
	}
	prong_family_stat(&a);
	for (int i = 0; i < MEMBERS; i++)
		p[i] = start(body_churns, t[i], 0);
	while (steps_of(t) < steps && (getenv("PRONG_TEST_SCALE") ||
	       prong_ns_between(begin, prong_clock()) < 3000000000)) {
		int victim = rand() % MEMBERS;

		sleep_ms(5 + rand() % 10);
		kill_and_end(p[victim]);
		p[victim] = start(body_churns, t[victim], 0);
		kills++;
		prong_family_stat(&st);
		most = st.heap_committed > most ? st.heap_committed : most;
		most_used = st.heap_used > most_used ? st.heap_used : most_used;
	}
	for (int i = 0; i < MEMBERS; i++)
		kill_and_end(p[i]);
	print_message("%llu operations, %d kills: at most %llu KiB used, %llu KiB more committed\n",
		      (unsigned long long)steps_of(t), kills,
		      (unsigned long long)(most_used - a.heap_used) / 1024,
		      (unsigned long long)(most - a.heap_committed) / 1024);
	CHECK(most - a.heap_committed < 2 * (most_used - a.heap_used) + 16 * MIB);
	for (int i = 0; i < MEMBERS; i++)
		for (int k = 0; k < SLOTS; k++)
			CHECK_OK(prong_free_at(&t[i]->p[k]));
	prong_family_stat(&b);
	CHECK_EQ(b.blocks, a.blocks);
	CHECK_EQ(b.heap_used, a.heap_used);
	for (int i = 0; i < MEMBERS; i++)
		prong_free(t[i]);
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
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(memory_is_bounded_while_members_are_killed),
	CASE(a_full_heap_takes_what_is_cached),
};

TEST_MAIN(tests, TEST_WARM, helpers)
