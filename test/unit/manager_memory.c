/* A manager in whose thread the n-th allocation fails, for all n: its client has an answer, an
   exception or a lost connection, and the manager goes on: the next call works, nothing that was
   put is lost, and nothing stays behind.  What allocates is wrapped by the linker. */
#include "raw.h"

#include <prong/manager.h>
#include <prong/remote.h>

static atomic_int left; /* allocations until one fails; 0 or less: none does */
static atomic_bool failed;
static _Thread_local bool spared; /* the test's own threads */

static bool fails(void)
{
	if (spared || atomic_load(&left) <= 0 || atomic_fetch_sub(&left, 1) != 1)
		return false;
	atomic_store(&failed, true);
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

/* --- a session -------------------------------------------------------------------------- */

struct session {
	prong_remote *there;
	int failures;
};

/* Whether it has to be done again: one failure costs a call, and tells each proxy once more that
   its connection is another. */
static bool again(struct session *s, int r)
{
	if (r == 0)
		return false;
	CHECK(atomic_load(&failed));
	if (r == -EPROTO) /* by prong_remote_open(), which has nobody yet to ask what was raised */
		CHECK(strstr(prong_error_detail(), "memory") != NULL);
	else
		CHECK(r == -ECONNRESET || r == PRONG_RAISED);
	CHECK(++s->failures < 8);
	return true;
}

static prong_value *call(struct session *s, prong_proxy *x, const char *method, int64_t n)
{
	prong_value *v = NULL, *args;

	do
		args = n < 0 ? prong_args(0) : prong_args(1, prong_value_int(n));
	while (again(s, prong_proxy_call(x, method, args, &v, soon())));
	return v;
}

static prong_proxy *make(struct session *s, const char *name)
{
	prong_proxy *x = NULL;

	while (again(s, prong_remote_make(s->there, name, prong_args(0), &x, soon())))
		;
	return x;
}

static void use_a_list(struct session *s)
{
	prong_proxy *x = make(s, "list");
	prong_value *v;
	int64_t n = 0;

	for (int i = 0; i < 5; i++)
		prong_value_free(call(s, x, "append", i));
	v = call(s, x, "__len__", -1);
	CHECK_OK(prong_value_as_int(v, &n));
	CHECK(n >= 5 && n <= 5 + s->failures); /* one may have been done though it failed */
	prong_value_free(v);
	prong_value_free(call(s, x, "reverse", -1));
	prong_value_free(call(s, x, "__getitem__", 0));
	prong_proxy_free(x);
}

static void use_a_lock(struct session *s)
{
	prong_proxy *x = make(s, "RLock");

	prong_value_free(call(s, x, "acquire", -1));
	if (!s->failures || !atomic_load(&failed))
		prong_value_free(call(s, x, "release", -1));
	prong_proxy_free(x);
}

/* What was put comes out, in order; and a get waits and is told that there is nothing. */
static void use_a_queue(struct session *s, prong_queue *q)
{
	prong_value *v = NULL;
	int64_t n = -1, was = -1;
	int r;

	for (int i = 0; i < 3; i++)
		while (again(s, prong_queue_put_value(q, prong_value_int(i), soon())))
			;
	while ((r = prong_queue_get_value(q, &v, NULL, prong_in_ms(20))) != PRONG_TIMEDOUT) {
		if (again(s, r))
			continue;
		CHECK_OK(prong_value_as_int(v, &n));
		CHECK(n == was || n == was + 1); /* put once more, or the next */
		was = n;
		prong_value_free(v);
	}
	CHECK_EQ(was, 2);
}

struct figure {
	prong_manager *m;
};

static bool all_have_gone(void *arg)
{
	const struct figure *f = arg;
	prong_manager_stats s;

	prong_manager_stat(f->m, &s);
	return s.clients == 0 && s.waiting == 0 && s.door.waiting == 0;
}

static void play_with(prong_manager *m, prong_queue *tasks)
{
	const prong_auth auth = raw_auth();
	struct session s = { .failures = 0 };
	struct figure f = { m };
	prong_queue *q = NULL;

	while (again(&s, prong_remote_open(&s.there, prong_manager_address(m), &auth, soon())))
		;
	use_a_list(&s);
	use_a_lock(&s);
	for (int i = 0; i < 2; i++) {
		while (again(&s, prong_remote_queue(s.there, i ? "Queue" : "tasks", &q, soon())))
			;
		use_a_queue(&s, q);
		CHECK_OK(prong_queue_free(q));
	}
	prong_remote_close(s.there);
	CHECK(wait_until(all_have_gone, &f, HANG_MS));
	CHECK_EQ(prong_queue_size(tasks), 0);
}

/* With the n-th allocation failing; false: there are fewer. */
static bool play(int n)
{
	const prong_manager_opts opts = { .auth = raw_auth(), .types = true };
	prong_manager *m = NULL;
	prong_queue *tasks;
	bool all;

	spared = true;
	atomic_store(&failed, false);
	CHECK_OK(prong_queue_new(&tasks, NULL));
	CHECK_OK(prong_manager_open(&m, "tcp://127.0.0.1:0", &opts));
	CHECK_OK(prong_manager_share_queue(m, "tasks", tasks));
	atomic_store(&left, n);
	play_with(m, tasks);
	all = atomic_load(&left) > 0;
	atomic_store(&left, 0);
	atomic_store(&failed, false);
	play_with(m, tasks); /* it goes on */
	prong_manager_close(m);
	CHECK_OK(prong_queue_free(tasks));
	return !all;
}

static void any_allocation_may_fail(void **state)
{
	const int step = getenv("PRONG_TEST_SCALE") ? 1 : 13 * slowness();
	int n = 1;

	(void)state;
	while (play(n))
		n += step;
	CHECK(n > 50);
	print_message("%d allocations\n", n);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		CASE(any_allocation_may_fail),
	};

	test_begin(argc, argv, TEST_OPENED, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
