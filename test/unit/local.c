/* Thread-locals: lazy, given to init, destroyed at the end of any thread. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>

/* --- what init and fini saw; each thread of a case runs alone, or counts with atomics ------ */

static atomic_int inits, finis, refuse;
static char order[64];

static int count_init(void *copy)
{
	CHECK_EQ(*(int *)copy, 0);
	*(int *)copy = 100 + atomic_fetch_add(&inits, 1);
	return atomic_load(&refuse);
}

static void count_fini(void *copy)
{
	CHECK(*(int *)copy >= 100);
	atomic_fetch_add(&finis, 1);
}

static void fini_a(void *copy)
{
	(void)copy;
	strcat(order, "a");
}

static void fini_b(void *copy)
{
	(void)copy;
	strcat(order, "b");
}

static void fini_c(void *copy)
{
	(void)copy;
	strcat(order, "c");
}

static prong_local plain = { .size = sizeof(int) };
static prong_local counted = { .size = sizeof(int), .init = count_init, .fini = count_fini };
static prong_local local_a = { .size = 1, .fini = fini_a };
static prong_local local_b = { .size = 1, .fini = fini_b };
static prong_local local_c = { .size = 1, .fini = fini_c };

static void reset(void)
{
	prong_local_clear(&counted);
	atomic_store(&inits, 0);
	atomic_store(&finis, 0);
	atomic_store(&refuse, 0);
	order[0] = 0;
}

static void in_foreign_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, fn, arg), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

/* --- cases --------------------------------------------------------------------------------- */

static int own_copy(void *arg)
{
	int *copy = prong_local_get(&plain);

	CHECK(copy != NULL);
	CHECK_EQ(*copy, 0);
	*copy = *(int *)arg;
	sleep_ms(1);
	CHECK(prong_local_get(&plain) == copy);
	return *copy;
}

static void each_thread_has_its_own(void **state)
{
	enum { N = 100 };
	prong_thread *t[N];
	int *mine = prong_local_get(&plain);

	(void)state;
	*mine = 4711;
	for (int i = 0; i < N; i++)
		t[i] = start_thread(own_copy, &i, sizeof i);
	for (int i = 0; i < N; i++)
		CHECK_EQ(end_thread(t[i]), i);
	CHECK_EQ(*(int *)prong_local_get(&plain), 4711);
	prong_local_clear(&plain);
	CHECK_EQ(*(int *)prong_local_get(&plain), 0);
	prong_local_clear(&plain);
}

static int gets_counted(void *arg)
{
	int *copy = prong_local_get(&counted);

	(void)arg;
	CHECK(copy && prong_local_get(&counted) == copy);
	return *copy;
}

static int does_not_get(void *arg)
{
	(void)arg;
	return 0;
}

static void made_at_the_first_use_only(void **state)
{
	(void)state;
	reset();
	CHECK_EQ(end_thread(start_thread(does_not_get, NULL, 0)), 0);
	CHECK_EQ(atomic_load(&inits), 0);
	CHECK_EQ(end_thread(start_thread(gets_counted, NULL, 0)), 100);
	CHECK_EQ(end_thread(start_thread(gets_counted, NULL, 0)), 101);
	CHECK_EQ(atomic_load(&inits), 2);
	CHECK_EQ(atomic_load(&finis), 2);
}

static void *gets_counted_foreign(void *arg)
{
	return gets_counted(arg) ? NULL : arg;
}

static void in_foreign_threads_too(void **state)
{
	(void)state;
	reset();
	for (int i = 0; i < 100; i++)
		in_foreign_thread(gets_counted_foreign, NULL);
	CHECK_EQ(atomic_load(&inits), 100);
	CHECK_EQ(atomic_load(&finis), 100);
}

static void *gets_counted_and_exits(void *arg)
{
	gets_counted(arg);
	pthread_exit(NULL);
}

static void destroyed_after_pthread_exit(void **state)
{
	(void)state;
	reset();
	in_foreign_thread(gets_counted_and_exits, NULL);
	CHECK_EQ(atomic_load(&finis), 1);
}

static int refused(void *arg)
{
	(void)arg;
	atomic_store(&refuse, 1);
	CHECK(prong_local_get(&counted) == NULL);
	CHECK(prong_local_get(&counted) == NULL);
	CHECK_EQ(atomic_load(&finis), 0);
	atomic_store(&refuse, 0);
	CHECK_EQ(*(int *)prong_local_get(&counted), 102);
	return 0;
}

static void init_may_refuse(void **state)
{
	(void)state;
	reset();
	CHECK_EQ(end_thread(start_thread(refused, NULL, 0)), 0);
	CHECK_EQ(atomic_load(&inits), 3);
	CHECK_EQ(atomic_load(&finis), 1);
}

static int clears(void *arg)
{
	(void)arg;
	prong_local_clear(&counted); /* there is none */
	CHECK_EQ(atomic_load(&finis), 0);
	CHECK_EQ(*(int *)prong_local_get(&counted), 100);
	prong_local_clear(&counted);
	CHECK_EQ(atomic_load(&finis), 1);
	prong_local_clear(&counted);
	CHECK_EQ(atomic_load(&finis), 1);
	CHECK_EQ(*(int *)prong_local_get(&counted), 101);
	return 0;
}

static void clear(void **state)
{
	(void)state;
	reset();
	CHECK_EQ(end_thread(start_thread(clears, NULL, 0)), 0);
	CHECK_EQ(atomic_load(&finis), 2);
}

static int makes_three(void *arg)
{
	(void)arg;
	CHECK(prong_local_get(&local_b) && prong_local_get(&local_a) && prong_local_get(&local_c));
	CHECK(prong_local_get(&local_a) != NULL);
	return 0;
}

static void *makes_three_foreign(void *arg)
{
	makes_three(arg);
	return NULL;
}

static void last_made_is_destroyed_first(void **state)
{
	(void)state;
	reset();
	CHECK_EQ(end_thread(start_thread(makes_three, NULL, 0)), 0);
	CHECK_STR(order, "cab");
	reset();
	in_foreign_thread(makes_three_foreign, NULL);
	CHECK_STR(order, "cab");
}

/* --- fini may use other locals ------------------------------------------------------------- */

static void fini_uses_others(void *copy)
{
	(void)copy;
	CHECK_EQ(*(int *)prong_local_get(&counted), 100);
	CHECK(prong_local_get(&local_a) != NULL); /* made only now */
	strcat(order, "u");
}

static prong_local uses_others = { .size = 1, .fini = fini_uses_others };

static int makes_user(void *arg)
{
	(void)arg;
	CHECK_EQ(*(int *)prong_local_get(&counted), 100);
	CHECK(prong_local_get(&uses_others) != NULL);
	return 0;
}

static void fini_may_use_other_locals(void **state)
{
	(void)state;
	reset();
	CHECK_EQ(end_thread(start_thread(makes_user, NULL, 0)), 0);
	CHECK_STR(order, "ua");
	CHECK_EQ(atomic_load(&finis), 1);
}

/* --- fini, locks and blocks: the slot is there until the last of them ---------------------- */

static void fini_uses_prong(void *copy)
{
	prong_mutex m = { 0 };

	(void)copy;
	CHECK_OK(prong_mutex_lock(&m, PRONG_NOW));
	prong_free(prong_alloc(100));
	CHECK_OK(prong_mutex_unlock(&m));
	strcat(order, "p");
}

static prong_local uses_prong = { .size = 1, .fini = fini_uses_prong };

static void *makes_prong_user(void *arg)
{
	CHECK(prong_local_get(&uses_prong) != NULL);
	return arg;
}

static int makes_prong_user_in_ours(void *arg)
{
	makes_prong_user(arg);
	return 0;
}

static void fini_may_use_prong(void **state)
{
	(void)state;
	reset();
	in_foreign_thread(makes_prong_user, NULL);
	CHECK_EQ(end_thread(start_thread(makes_prong_user_in_ours, NULL, 0)), 0);
	CHECK_STR(order, "pp");
}

/* A destructor of the host's, run after prong's own, may use prong once more. */
static pthread_key_t key;

static void host_destructor(void *value)
{
	(void)value;
	fini_uses_prong(NULL);
	CHECK_EQ(*(int *)prong_local_get(&counted), 100);
}

static void *sets_key(void *arg)
{
	CHECK_EQ(pthread_setspecific(key, &key), 0);
	prong_free(prong_alloc(10));
	return arg;
}

static void a_destructor_of_the_host_may_use_prong(void **state)
{
	(void)state;
	reset();
	CHECK_EQ(pthread_key_create(&key, host_destructor), 0);
	in_foreign_thread(sets_key, NULL);
	CHECK_EQ(pthread_key_delete(key), 0);
	CHECK_STR(order, "p");
	CHECK_EQ(atomic_load(&finis), 1);
}

/* --- sizes --------------------------------------------------------------------------------- */

static void sizes(void **state)
{
	static prong_local none, one = { .size = 1 }, big = { .size = 1 << 20 },
			   huge = { .size = SIZE_MAX }, large = { .size = SIZE_MAX / 2 };
	char *p;

	(void)state;
	CHECK(prong_local_get(&none) == NULL);
	CHECK(prong_local_get(&huge) == NULL);
	CHECK(prong_local_get(&large) == NULL);
	p = prong_local_get(&one);
	CHECK(p && *p == 0 && (uintptr_t)p % _Alignof(max_align_t) == 0);
	p = prong_local_get(&big);
	CHECK(p && (uintptr_t)p % _Alignof(max_align_t) == 0);
	for (int i = 0; i < 1 << 20; i++)
		CHECK(p[i] == 0);
	prong_local_clear(&one);
	prong_local_clear(&big);
	prong_local_clear(&none);
}

static int makes_many(void *arg)
{
	prong_local *many = *(prong_local **)arg;

	for (int i = 0; i < 300; i++) {
		int *p = prong_local_get(&many[i]);

		CHECK(p && *p == 0);
		*p = i;
	}
	for (int i = 0; i < 300; i++)
		CHECK_EQ(*(int *)prong_local_get(&many[i]), i);
	return 0;
}

static void many_locals(void **state)
{
	static prong_local many[300];
	prong_local *at = many;
	prong_thread *t[4];

	(void)state;
	for (int i = 0; i < 300; i++)
		many[i].size = sizeof(int);
	for (int i = 0; i < 4; i++)
		t[i] = start_thread(makes_many, &at, sizeof at);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(end_thread(t[i]), 0);
}

static const struct CMUnitTest tests[] = {
	CASE(each_thread_has_its_own),
	CASE(made_at_the_first_use_only),
	CASE(in_foreign_threads_too),
	CASE(destroyed_after_pthread_exit),
	CASE(init_may_refuse),
	CASE(clear),
	CASE(last_made_is_destroyed_first),
	CASE(fini_may_use_other_locals),
	CASE(fini_may_use_prong),
	CASE(a_destructor_of_the_host_may_use_prong),
	CASE(sizes),
	CASE(many_locals),
};

TEST_MAIN(tests, TEST_OPENED, NULL)
