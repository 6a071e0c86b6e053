/* A remote in a process that was forked later: not there and harmless; the parent's own goes on. */
#include "peer.h"

#include <sys/wait.h>

struct scene {
	struct peer p;
	prong_remote *there;
	prong_proxy *x;
	prong_queue *q;
};

static void begin(struct scene *s)
{
	const prong_auth auth = raw_auth();

	peer_begin(&s->p, NULL);
	CHECK_OK(prong_remote_open(&s->there, s->p.address, &auth, soon()));
	CHECK_OK(prong_remote_make(s->there, "thing", prong_args(0), &s->x, soon()));
	CHECK_OK(prong_remote_queue(s->there, "queue", &s->q, soon()));
}

static int call(const struct scene *s)
{
	prong_value *v = NULL;
	int r = prong_proxy_call(s->x, "echo", prong_args(1, prong_value_int(1)), &v, soon());

	prong_value_free(v);
	return r;
}

static void in_the_child(const struct scene *s)
{
	prong_remote *there = NULL;
	const prong_auth auth = raw_auth();
	prong_value *v = NULL;
	prong_proxy *x = NULL;
	prong_queue *q = NULL;

	CHECK_EQ(call(s), -EINVAL);
	CHECK_EQ(prong_remote_make(s->there, "thing", prong_args(0), &x, soon()), -EINVAL);
	CHECK_EQ(prong_remote_queue(s->there, "queue", &q, soon()), -EINVAL);
	CHECK_EQ(prong_remote_ask(s->there, "dummy", prong_args(0), NULL, soon()), -EINVAL);
	CHECK_EQ(prong_queue_put(s->q, "x", 1, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_queue_get_value(s->q, &v, NULL, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_queue_free(s->q), -EINVAL);
	CHECK(prong_proxy_value(s->x) == NULL);
	prong_proxy_free(s->x);
	prong_remote_close(s->there);
	/* one of its own */
	CHECK_OK(prong_remote_open(&there, s->p.address, &auth, soon()));
	CHECK_OK(prong_remote_ask(there, "dummy", prong_args(0), NULL, soon()));
	prong_remote_close(there);
}

static int child(const struct scene *s)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		in_the_child(s);
		_exit(0);
	}
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void a_forked_child_has_none_of_it(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	CHECK_EQ(call(&s), 0);
	CHECK_EQ(child(&s), 0);
	CHECK_EQ(call(&s), 0);
	CHECK_EQ(atomic_load(&s.p.references), 2);
	CHECK_OK(prong_queue_free(s.q));
	prong_proxy_free(s.x);
	prong_remote_close(s.there);
	peer_end(&s.p);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		CASE(a_forked_child_has_none_of_it),
	};

	test_begin(argc, argv, TEST_OPENED, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
