/* Objects of a manager of prong's by what they are; Python's: test/interop. */
#include "raw.h"

#include <prong/manager.h>
#include <prong/proxy.h>

struct world {
	prong_manager *m;
	prong_remote *there;
};

static void enter(struct world *w)
{
	const prong_manager_opts opts = { .auth = raw_auth(), .types = true };

	*w = (struct world){ NULL, NULL };
	CHECK_OK(prong_manager_open(&w->m, "tcp://127.0.0.1:0", &opts));
	CHECK_OK(prong_remote_open(&w->there, prong_manager_address(w->m), &opts.auth, soon()));
}

static void leave(struct world *w)
{
	prong_remote_close(w->there);
	prong_manager_close(w->m);
}

static prong_proxy *make(const struct world *w, const char *name, prong_value *args)
{
	prong_proxy *p = NULL;

	CHECK_OK(prong_remote_make(w->there, name, args, &p, soon()));
	return p;
}

static prong_value *text(const char *s)
{
	return prong_value_text(s);
}

/* --- locks ----------------------------------------------------------------------------------- */

struct other {
	prong_proxy *lock, *list;
	atomic_int *step;
};

/* Holds the lock until it is told to let go, and then counts with it. */
static int holds(void *arg)
{
	const struct other *o = arg;

	CHECK_OK(prong_proxy_lock(o->lock, soon()));
	atomic_store(o->step, 1);
	CHECK(wait_for(o->step, 2));
	CHECK_OK(prong_proxy_append(o->list, prong_value_int(1), soon()));
	CHECK_OK(prong_proxy_unlock(o->lock, soon()));
	return 0;
}

static void a_lock_is_one_threads(void **state)
{
	static const char *const kinds[] = { "Lock", "RLock", "BoundedSemaphore", "Condition" };
	struct world w;

	(void)state;
	enter(&w);
	for (size_t i = 0; i < 4; i++) {
		atomic_int step = 0;
		struct other o = { make(&w, kinds[i], prong_args(0)),
				   make(&w, "list", prong_args(0)), &step };
		prong_thread *t = start_thread(holds, &o, sizeof o);
		size_t n = 99;

		CHECK(wait_for(&step, 1));
		CHECK_EQ(prong_proxy_lock(o.lock, PRONG_NOW), PRONG_TIMEDOUT);
		CHECK_EQ(prong_proxy_lock(o.lock, prong_in_ms(20)), PRONG_TIMEDOUT);
		CHECK_OK(prong_proxy_count(o.list, &n, soon()));
		CHECK_EQ(n, 0);
		atomic_store(&step, 2);
		CHECK_OK(prong_proxy_lock(o.lock, i % 2 ? soon() : PRONG_FOREVER));
		CHECK_OK(prong_proxy_count(o.list, &n, soon()));
		CHECK_EQ(n, 1);
		CHECK_OK(prong_proxy_unlock(o.lock, soon()));
		CHECK_EQ(prong_proxy_unlock(o.lock, soon()), PRONG_RAISED);
		CHECK(prong_remote_raised(w.there) != NULL);
		CHECK_EQ(end_thread(t), 0);
		prong_proxy_free(o.lock);
		prong_proxy_free(o.list);
	}
	leave(&w);
}

static void a_wait_outlasts_its_slices(void **state)
{
	atomic_int step = 0;
	struct other o = { .step = &step };
	prong_time begun = prong_clock();
	prong_thread *t;
	struct world w;

	(void)state;
	enter(&w);
	o.lock = make(&w, "Lock", prong_args(0));
	o.list = make(&w, "list", prong_args(0));
	t = start_thread(holds, &o, sizeof o);
	CHECK(wait_for(&step, 1));
	CHECK_EQ(prong_proxy_lock(o.lock, prong_in_ms(1100)), PRONG_TIMEDOUT);
	CHECK(prong_ns_between(begun, prong_clock()) >= 1090 * (int64_t)1000000);
	atomic_store(&step, 2);
	CHECK_EQ(end_thread(t), 0);
	prong_proxy_free(o.lock);
	prong_proxy_free(o.list);
	leave(&w);
}

/* --- events ---------------------------------------------------------------------------------- */

static int waits(void *arg)
{
	struct other *o = arg;

	atomic_store(o->step, 1);
	CHECK_OK(prong_proxy_wait(o->lock, PRONG_FOREVER));
	return 0;
}

static void an_event_wakes(void **state)
{
	atomic_int step = 0;
	struct other o = { .step = &step };
	prong_thread *t;
	struct world w;

	(void)state;
	enter(&w);
	o.lock = make(&w, "Event", prong_args(0));
	CHECK_EQ(prong_proxy_wait(o.lock, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_proxy_wait(o.lock, prong_in_ms(10)), PRONG_TIMEDOUT);
	t = start_thread(waits, &o, sizeof o);
	CHECK(wait_for(&step, 1));
	CHECK_OK(prong_proxy_set(o.lock, soon()));
	CHECK_EQ(end_thread(t), 0);
	CHECK_OK(prong_proxy_wait(o.lock, PRONG_NOW));
	CHECK_OK(prong_proxy_clear(o.lock, soon()));
	CHECK_EQ(prong_proxy_wait(o.lock, PRONG_NOW), PRONG_TIMEDOUT);
	prong_proxy_free(o.lock);
	leave(&w);
}

/* --- dicts and lists ------------------------------------------------------------------------- */

static void a_dict_has_keys(void **state)
{
	prong_value *v = NULL;
	prong_proxy *d;
	size_t n = 99;
	int64_t got = 0;
	struct world w;

	(void)state;
	enter(&w);
	d = make(&w, "dict", prong_args(0));
	CHECK_EQ(prong_proxy_get(d, text("limit"), &v, soon()), PRONG_EMPTY);
	CHECK(!v);
	CHECK_OK(prong_proxy_put(d, text("limit"), prong_value_int(10), soon()));
	CHECK_OK(prong_proxy_put(d, text("limit"), prong_value_int(11), soon()));
	CHECK_OK(prong_proxy_put(d, prong_value_int(3), text("three"), soon()));
	CHECK_OK(prong_proxy_get(d, text("limit"), &v, soon()));
	CHECK_OK(prong_value_as_int(v, &got));
	CHECK_EQ(got, 11);
	prong_value_free(v);
	CHECK_OK(prong_proxy_count(d, &n, soon()));
	CHECK_EQ(n, 2);
	CHECK_OK(prong_proxy_copy(d, &v, soon()));
	CHECK_EQ(prong_value_kind(v), PRONG_DICT);
	CHECK_EQ(prong_value_count(v), 2);
	prong_value_free(v);
	CHECK_OK(prong_proxy_remove(d, prong_value_int(3), soon()));
	CHECK_EQ(prong_proxy_remove(d, prong_value_int(3), soon()), PRONG_EMPTY);
	CHECK(strstr(prong_error_detail(), "no such key") != NULL);
	CHECK_EQ(prong_proxy_put(d, prong_value_new(PRONG_LIST), text("x"), soon()), PRONG_RAISED);
	CHECK_OK(prong_proxy_clear(d, soon()));
	CHECK_OK(prong_proxy_count(d, &n, soon()));
	CHECK_EQ(n, 0);
	prong_proxy_free(d);
	leave(&w);
}

static void a_list_has_places(void **state)
{
	prong_value *v = NULL;
	prong_proxy *l;
	size_t n = 99;
	struct world w;

	(void)state;
	enter(&w);
	l = make(&w, "list", prong_args(0));
	for (int i = 0; i < 3; i++)
		CHECK_OK(prong_proxy_append(l, prong_value_int(i), soon()));
	CHECK_OK(prong_proxy_put(l, prong_value_int(-1), text("last"), soon()));
	CHECK_EQ(prong_proxy_put(l, prong_value_int(3), text("x"), soon()), PRONG_EMPTY);
	CHECK_OK(prong_proxy_get(l, prong_value_int(2), &v, soon()));
	CHECK_STR(prong_value_data(v, NULL), "last");
	prong_value_free(v);
	v = NULL;
	CHECK_EQ(prong_proxy_get(l, prong_value_int(3), &v, soon()), PRONG_EMPTY);
	CHECK(strstr(prong_error_detail(), "no such index") != NULL);
	CHECK_OK(prong_proxy_remove(l, prong_value_int(0), soon()));
	CHECK_OK(prong_proxy_count(l, &n, soon()));
	CHECK_EQ(n, 2);
	CHECK_OK(prong_proxy_copy(l, &v, soon()));
	CHECK_EQ(prong_value_kind(v), PRONG_LIST);
	CHECK_EQ(prong_value_count(v), 2);
	prong_value_free(v);
	CHECK_OK(prong_proxy_clear(l, soon()));
	prong_proxy_free(l);
	leave(&w);
}

/* --- what is wrong --------------------------------------------------------------------------- */

static void another_kind_of_object(void **state)
{
	prong_proxy *d, *e;
	prong_value *v = NULL;
	size_t n = 99;
	struct world w;

	(void)state;
	enter(&w);
	d = make(&w, "dict", prong_args(0));
	e = make(&w, "Event", prong_args(0));
	CHECK_EQ(prong_proxy_lock(d, soon()), PRONG_MISMATCH);
	CHECK(strstr(prong_error_detail(), "dict has no acquire") != NULL);
	CHECK_EQ(prong_proxy_unlock(d, soon()), PRONG_MISMATCH);
	CHECK_EQ(prong_proxy_wait(d, soon()), PRONG_MISMATCH);
	CHECK_EQ(prong_proxy_set(d, soon()), PRONG_MISMATCH);
	CHECK_EQ(prong_proxy_append(d, text("x"), soon()), PRONG_MISMATCH);
	CHECK_EQ(prong_proxy_get(e, text("x"), &v, soon()), PRONG_MISMATCH);
	CHECK_EQ(prong_proxy_put(e, text("x"), text("y"), soon()), PRONG_MISMATCH);
	CHECK_EQ(prong_proxy_remove(e, text("x"), soon()), PRONG_MISMATCH);
	CHECK_EQ(prong_proxy_count(e, &n, soon()), PRONG_MISMATCH);
	CHECK_EQ(prong_proxy_copy(e, &v, soon()), PRONG_MISMATCH);
	CHECK(!v && n == 99);
	CHECK_EQ(prong_proxy_get(d, text("x"), NULL, soon()), -EINVAL);
	CHECK_EQ(prong_proxy_count(d, NULL, soon()), -EINVAL);
	CHECK_EQ(prong_proxy_copy(d, NULL, soon()), -EINVAL);
	CHECK_EQ(prong_proxy_put(d, text("x"), NULL, soon()), -ENOMEM);
	CHECK_EQ(prong_proxy_put(d, NULL, text("x"), soon()), -ENOMEM);
	CHECK_EQ(prong_proxy_lock(NULL, soon()), -EINVAL);
	CHECK_EQ(prong_proxy_get(NULL, text("x"), &v, soon()), -EINVAL);
	prong_proxy_free(d);
	prong_remote_close(w.there);
	CHECK_EQ(prong_proxy_lock((prong_proxy *)&w, soon()), -EINVAL);
	CHECK_EQ(prong_proxy_wait(e, soon()), PRONG_CLOSED);
	prong_proxy_free(e);
	prong_manager_close(w.m);
}

/* A thread of a group that is cancelled waits no more, and has not got the lock. */
static int waits_in_vain(void *arg)
{
	struct other *o = arg;

	atomic_store(o->step, 1);
	CHECK_EQ(prong_proxy_lock(o->lock, PRONG_FOREVER), PRONG_CANCELLED);
	return 0;
}

static void who_is_cancelled_has_no_lock(void **state)
{
	atomic_int step = 0;
	struct other o = { .step = &step };
	prong_group *g = NULL;
	prong_thread *t = NULL;
	struct world w;

	(void)state;
	enter(&w);
	o.lock = make(&w, "Lock", prong_args(0));
	CHECK_OK(prong_proxy_lock(o.lock, soon()));
	CHECK_OK(prong_group_open(&g, NULL));
	CHECK_OK(prong_thread_start(&t, waits_in_vain, &o, sizeof o,
				    &(prong_thread_opts){ .group = g }));
	CHECK(wait_for(&step, 1));
	sleep_ms(5);
	CHECK_EQ(prong_group_close(g), 0);
	CHECK_OK(prong_proxy_unlock(o.lock, soon()));
	CHECK_OK(prong_proxy_lock(o.lock, soon()));
	CHECK_OK(prong_proxy_unlock(o.lock, soon()));
	prong_proxy_free(o.lock);
	leave(&w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(a_lock_is_one_threads),
		CASE(a_wait_outlasts_its_slices),
		CASE(an_event_wakes),
		CASE(a_dict_has_keys),
		CASE(a_list_has_places),
		CASE(another_kind_of_object),
		CASE(who_is_cancelled_has_no_lock),
	};

	test_begin(argc, argv, TEST_OPENED, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
