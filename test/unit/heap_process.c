/* The heap among processes: killed users, a full heap, and what must abort with one line. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <sys/resource.h>

/* --- killed users -------------------------------------------------------------------------- */

enum { SLOTS = 64 };

/* What a user has.  bytes: how many at p are known to be filled; 0 while they are not. */
struct table {
	void *p[SLOTS];
	size_t bytes[SLOTS];
	uint32_t random;
	atomic_int steps;
};

/* The state survives the process, so that the next one goes another way. */
static unsigned next_random(struct table *t)
{
	t->random = t->random * 1664525 + 1013904223;
	return t->random >> 8;
}

static size_t random_size(struct table *t)
{
	static const size_t below[] = { 17, 100, 300, 5000, 50000 };

	return 1 + next_random(t) % below[next_random(t) % 5];
}

static unsigned char pattern(int slot, size_t i)
{
	return (unsigned char)(slot * 31 + (int)i * 7 + 1);
}

static void check_slot(const struct table *t, int i)
{
	const unsigned char *c = t->p[i];

	if (t->bytes[i])
		CHECK(c != NULL);
	for (size_t k = 0; k < t->bytes[i]; k++)
		if (c[k] != pattern(i, k))
			check_failed(__FILE__, __LINE__, "slot %d: byte %zu of %zu is wrong", i, k,
				     t->bytes[i]);
}

static void fill_slot(struct table *t, int i, size_t size)
{
	unsigned char *c = t->p[i];

	for (size_t k = 0; k < size; k++)
		c[k] = pattern(i, k);
	atomic_signal_fence(memory_order_seq_cst);
	t->bytes[i] = size;
	atomic_signal_fence(memory_order_seq_cst);
}

static void random_step(struct table *t)
{
	int i = (int)(next_random(t) % SLOTS);
	size_t size = random_size(t);

	check_slot(t, i);
	if (t->p[i] && next_random(t) % 2) {
		t->bytes[i] = 0;
		atomic_signal_fence(memory_order_seq_cst);
		CHECK_OK(prong_free_at(&t->p[i]));
		return;
	}
	if (!t->p[i]) {
		CHECK_OK(prong_alloc_to(&t->p[i], size));
		for (size_t k = 0; k < size; k++)
			CHECK(((unsigned char *)t->p[i])[k] == 0);
	} else {
		if (size < t->bytes[i])
			t->bytes[i] = size;
		atomic_signal_fence(memory_order_seq_cst);
		CHECK_OK(prong_realloc_at(&t->p[i], size));
		check_slot(t, i);
	}
	fill_slot(t, i, size);
}

static int body_uses_table(void *arg)
{
	struct table *t = arg;

	for (int i = 0; i < SLOTS; i++)
		check_slot(t, i);
	do
		random_step(t);
	while (atomic_fetch_add(&t->steps, 1) >= 0);
	return 0;
}

static void nothing_is_lost_torn_or_leaked_by_kills(void **state)
{
	enum { N = 3 };
	struct table *t[N];
	prong_process *p[N];
	prong_time until = prong_in_ms(3000);
	int kills = 0, steps = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		t[i] = shared(sizeof *t[i]);
		t[i]->random = (uint32_t)i;
		p[i] = start(body_uses_table, t[i], 0);
	}
	while (prong_ns_between(prong_clock(), until) > 0) {
		int victim = rand() % N;

		sleep_ms(rand() % 4);
		kill_and_end(p[victim]);
		p[victim] = start(body_uses_table, t[victim], 0);
		kills++;
	}
	for (int i = 0; i < N; i++) {
		kill_and_end(p[i]);
		steps += atomic_load(&t[i]->steps);
		for (int k = 0; k < SLOTS; k++) {
			check_slot(t[i], k);
			CHECK_OK(prong_free_at(&t[i]->p[k]));
		}
		prong_free(t[i]);
	}
	print_message("%d kills in %d steps\n", kills, steps);
}

static int body_frees(void *arg)
{
	prong_free(arg);
	return 0;
}

static int body_allocates_to(void *arg)
{
	return prong_alloc_to(arg, 1000);
}

static void blocks_change_hands(void **state)
{
	void **where = shared(sizeof *where);

	(void)state;
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(run(body_allocates_to, where, 0), 0);
		CHECK(*where != NULL);
		CHECK_EQ(run(body_frees, *where, 0), 0);
		*where = NULL;
	}
	prong_free(where);
}

/* --- a full heap --------------------------------------------------------------------------- */

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

static int helper_full(const char *arg)
{
	prong_family_opts opts = { .heap_size = (size_t)128 << 20 };
	struct chain *big = NULL, *small = NULL;
	int seven = 7, r;
	prong_process *p = NULL;
	prong_thread *t = NULL;
	prong_family_stats a, b;
	void **where;
	size_t n;

	(void)arg;
	CHECK_OK(prong_open(&opts));
	where = shared(2 * sizeof *where);
	CHECK_OK(prong_alloc_to(&where[1], 100));
	memset(where[1], 'x', 100);
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	prong_family_stat(&a);
	n = fill_heap(&big, 1 << 20);
	CHECK(n > 16);
	for (size_t size = 100000; size >= 16; size /= 4)
		fill_heap(&small, size);

	CHECK(prong_calloc(1, 1000) == NULL);
	CHECK_EQ(prong_alloc_to(&where[0], 1000), -ENOMEM);
	CHECK(where[0] == NULL);
	CHECK_EQ(prong_realloc_at(&where[1], 100000), -ENOMEM);
	CHECK_EQ(((char *)where[1])[99], 'x');
	r = prong_process_start(&p, body_return, &seven, sizeof seven, NULL);
	CHECK(r == 0 || r == -ENOMEM);
	if (r == 0)
		CHECK_EQ(end(p), 7);
	r = prong_process_start(&p, body_return, big, 10000, NULL);
	CHECK(r == 0 || r == -ENOMEM);
	if (r == 0)
		end(p);
	r = prong_thread_start(&t, body_return, &seven, sizeof seven, NULL);
	CHECK(r == 0 || r == -ENOMEM);
	if (r == 0)
		CHECK_EQ(end_thread(t), 7);

	empty_heap(&small);
	empty_heap(&big);
	prong_family_stat(&b);
	CHECK_EQ(b.blocks, a.blocks);
	CHECK_EQ(b.heap_used, a.heap_used);
	CHECK_EQ(fill_heap(&big, 1 << 20), n); /* nothing has crumbled */
	empty_heap(&big);
	CHECK_EQ(run(body_return, &seven, sizeof seven), 7);
	return 0;
}

static void a_full_heap_is_an_error_and_passes(void **state)
{
	(void)state;
	helper_run("full", NULL);
}

static int body_fills(void *arg)
{
	size_t n = fill_heap(arg, 50000);

	return n > 100 ? 0 : 1;
}

static int helper_filled_by_another(const char *arg)
{
	prong_family_opts opts = { .heap_size = (size_t)100 << 20 };
	struct chain **list;

	(void)arg;
	CHECK_OK(prong_open(&opts));
	list = shared(sizeof *list);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(run(body_fills, list, 0), 0);
		CHECK(prong_alloc(50000) == NULL);
		empty_heap(list);
	}
	return 0;
}

static void one_member_fills_it_another_empties_it(void **state)
{
	(void)state;
	helper_run("filled-by-another", NULL);
}

/* --- misuse -------------------------------------------------------------------------------- */

enum misuse { TWICE, INSIDE, STACK, PRIVATE, LITERAL, NEAR, AT, REALLOC, WILD, MISUSES };

static int body_misuses(void *arg)
{
	char local[64] = "", *p = shared(256), **where = shared(16);

	switch (*(enum misuse *)arg) {
	case TWICE:
		prong_free(p);
		prong_free(p);
		break;
	case INSIDE:
		prong_free(p + 16);
		break;
	case STACK:
		prong_free(local + 16);
		break;
	case PRIVATE:
		prong_free(malloc(64));
		break;
	case LITERAL:
		prong_free((void *)(uintptr_t)"a string literal");
		break;
	case NEAR:
		prong_free(p + 1);
		break;
	case AT:
		*where = p + 32;
		prong_free_at((void **)where);
		break;
	case REALLOC:
		prong_free(p);
		p = prong_realloc(p, 10);
		break;
	case WILD:
		prong_free((void *)(uintptr_t)0x1234567890);
		break;
	default:
		break;
	}
	return 0;
}

/* What the aborted process had allocated is lost, so it is not in the test's own family. */
static int helper_misuse(const char *arg)
{
	char path[] = "/tmp/prong-unit-XXXXXX";
	int fd = mkstemp(path);
	prong_limit no_core = { RLIMIT_CORE, 0, 0 };
	prong_process_opts opts = { .err = { .kind = PRONG_PATH, .path = path },
				    .limits = &no_core,
				    .nlimits = 1 };

	(void)arg;
	CHECK(fd > 2);
	CHECK_OK(prong_open(NULL));
	for (int what = 0; what < MISUSES; what++) {
		int code = end(start_with(body_misuses, &what, sizeof what, &opts));

		if (code != -SIGABRT)
			check_failed(__FILE__, __LINE__, "misuse %d ends with %d", what, code);
		CHECK_EQ(count_lines(path), 1);
		CHECK_EQ(ftruncate(fd, 0), 0);
	}
	close(fd);
	unlink(path);
	return 0;
}

static void misuse_aborts_with_one_line(void **state)
{
	(void)state;
	helper_run("misuse", NULL);
}

static const struct helper helpers[] = {
	{ "full", helper_full },
	{ "filled-by-another", helper_filled_by_another },
	{ "misuse", helper_misuse },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(nothing_is_lost_torn_or_leaked_by_kills),
	CASE(blocks_change_hands),
	CASE(a_full_heap_is_an_error_and_passes),
	CASE(one_member_fills_it_another_empties_it),
	CASE(misuse_aborts_with_one_line),
};

TEST_MAIN(tests, TEST_WARM, helpers)
