/* A client of a manager for whom the n-th allocation fails, for all n: each call succeeds or says
   -ENOMEM, and the next works.  What allocates is wrapped by the linker. */
#include "peer.h"

static _Thread_local int left; /* allocations until one fails; 0: none does */
static _Thread_local bool failed;

static bool fails(void)
{
	if (!left || --left)
		return false;
	failed = true;
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

/* Whether it has to be done again: there is one failure in a session. */
static bool again(int r)
{
	if (r == 0)
		return false;
	CHECK(failed);
	CHECK_EQ(r, -ENOMEM);
	failed = false;
	return true;
}

static void ask(prong_proxy *x, int n)
{
	prong_value *v = NULL;
	int64_t got = -1;

	while (again(prong_proxy_call(x, "echo", prong_args(1, prong_value_int(n)), &v, soon())))
		CHECK(v == NULL);
	CHECK_OK(prong_value_as_int(prong_value_at(v, 0), &got));
	CHECK_EQ(got, n);
	prong_value_free(v);
}

/* The peer's answer to a get is what stands for its own object. */
static bool answers(struct peer *p, int fd, const char *method, const prong_value *request)
{
	prong_value *token =
		prong_value_object("multiprocessing.managers.Token", NULL,
				   prong_args(3, prong_value_text("thing"), prong_value_int(0),
					      prong_value_text(p->ident)));

	(void)request;
	if (strcmp(method, "get") == 0) {
		peer_say(fd, prong_args(2, prong_value_text("#PROXY"),
					prong_args(2, prong_value_new(PRONG_NONE), token)));
		return true;
	}
	prong_value_free(token);
	peer_say(fd, peer_return(prong_value_new(PRONG_NONE)));
	return true;
}

static void take_what_stands_for_it(prong_remote *there, prong_proxy *x)
{
	prong_proxy *y = NULL;
	prong_value *v = NULL;

	while (again(prong_proxy_call(x, "get", prong_args(0), &v, soon())))
		;
	while (again(prong_proxy_of(there, v, &y, soon())))
		CHECK(y == NULL);
	prong_value_free(v);
	ask(y, 3);
	prong_proxy_free(y);
	while ((v = prong_proxy_value(x)) == NULL)
		CHECK(again(-ENOMEM));
	prong_value_free(v);
}

/* With the n-th allocation failing; false: there are fewer. */
static bool play(int n)
{
	const prong_auth auth = raw_auth();
	prong_remote *there = NULL;
	prong_proxy *x = NULL;
	prong_queue *q = NULL;
	struct peer p;
	bool all;

	peer_begin(&p, answers);
	failed = false;
	left = n;
	while (again(prong_remote_open(&there, p.address, &auth, soon())))
		CHECK(there == NULL);
	while (again(prong_remote_make(there, "thing", prong_args(0), &x, soon())))
		CHECK(x == NULL);
	ask(x, 1);
	ask(x, 2);
	take_what_stands_for_it(there, x);
	while (again(prong_remote_queue(there, "queue", &q, soon())))
		CHECK(q == NULL);
	while (again(prong_queue_put(q, "x", 1, soon())))
		;
	CHECK_OK(prong_queue_free(q));
	prong_proxy_free(x);
	prong_remote_close(there);
	all = left > 0;
	left = 0;
	peer_end(&p);
	return !all;
}

static void any_allocation_may_fail(void **state)
{
	int n = 1;

	(void)state;
	while (play(n))
		n += slowness() > 1 ? 3 : 1;
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
