/* Clients of a manager that does what Python's does not: answers too late, or something else, or
   nothing, or half of it. */
#include "peer.h"

static prong_remote *reach(const struct peer *p)
{
	const prong_auth auth = raw_auth();
	prong_remote *there = NULL;

	CHECK_OK(prong_remote_open(&there, p->address, &auth, soon()));
	return there;
}

static prong_proxy *make(prong_remote *there)
{
	prong_proxy *x = NULL;

	CHECK_OK(prong_remote_make(there, "thing", prong_args(0), &x, soon()));
	return x;
}

/* Each call has its own answer. */
static void check_echo(prong_proxy *x, int n)
{
	prong_value *v = NULL;
	int64_t got = -1;

	CHECK_OK(prong_proxy_call(x, "echo", prong_args(1, prong_value_int(n)), &v, soon()));
	CHECK_OK(prong_value_as_int(prong_value_at(v, 0), &got));
	CHECK_EQ(got, n);
	prong_value_free(v);
}

static int call(prong_proxy *x, const char *method, prong_time deadline)
{
	prong_value *v = NULL;
	int r = prong_proxy_call(x, method, prong_args(0), &v, deadline);

	CHECK((r == 0) == (v != NULL));
	prong_value_free(v);
	return r;
}

static bool no_references(void *p)
{
	return atomic_load(&((struct peer *)p)->references) == 0;
}

static void finish(struct peer *p, prong_remote *there, prong_proxy *x)
{
	prong_proxy_free(x);
	CHECK(wait_until(no_references, p, HANG_MS));
	prong_remote_close(there);
	peer_end(p);
}

/* --- what a manager should not do ------------------------------------------------------------- */

static prong_value *exception(const char *name, const char *text)
{
	return prong_args(2, prong_value_text("#ERROR"),
			  prong_value_object(name, prong_args(1, prong_value_text(text)), NULL));
}

static bool odd(struct peer *p, int fd, const char *method, const prong_value *request)
{
	char byte;

	(void)request;
	if (strcmp(method, "late") == 0) {
		atomic_fetch_add(&p->late, 1);
		CHECK(wait_for(&p->go, 1));
		peer_say(fd, peer_return(prong_value_text("too late")));
	} else if (strcmp(method, "twice") == 0) {
		peer_say(fd, peer_return(prong_value_int(1)));
		peer_say(fd, peer_return(prong_value_int(2)));
		return raw_rest(fd, &byte, 1) > 0; /* nothing more is asked here */
	} else if (strcmp(method, "hang_up") == 0) {
		return false;
	} else if (strcmp(method, "half") == 0) {
		raw_head(fd, 1000);
		raw_write(fd, "\x80\2(", 3);
		return false;
	} else if (strcmp(method, "slow") == 0) {
		raw_head(fd, 1000);
		raw_write(fd, "\x80\2(", 3);
		CHECK_EQ(raw_rest(fd, &byte, 1), 0); /* until the client hangs up */
		return false;
	} else if (strcmp(method, "huge") == 0) {
		raw_head(fd, (int64_t)1 << 40);
		CHECK_EQ(raw_rest(fd, &byte, 1), 0);
		return false;
	} else if (strcmp(method, "noise") == 0) {
		raw_head(fd, 4);
		raw_write(fd, "noise", 4);
	} else if (strcmp(method, "list") == 0) {
		peer_say(fd, prong_value_new(PRONG_LIST));
	} else if (strcmp(method, "three") == 0) {
		peer_say(fd, prong_args(3, prong_value_text("#RETURN"), prong_value_int(1),
					prong_value_int(2)));
	} else if (strcmp(method, "word") == 0) {
		peer_say(fd, prong_args(2, prong_value_text("#WHAT"), prong_value_int(1)));
	} else if (strcmp(method, "no_token") == 0) {
		peer_say(fd, prong_args(2, prong_value_text("#PROXY"), prong_value_int(1)));
	} else if (strcmp(method, "odd_error") == 0) {
		peer_say(fd, prong_args(2, prong_value_text("#ERROR"), prong_value_int(1)));
	} else if (strcmp(method, "odd_complaint") == 0) {
		peer_say(fd, prong_args(2, prong_value_text("#TRACEBACK"),
					prong_value_new(PRONG_NONE)));
	} else if (strcmp(method, "raise") == 0) {
		peer_say(fd, exception("some.module.Error", "of its own"));
	} else {
		peer_say(fd, peer_return(prong_value_text(method)));
	}
	return true;
}

static void an_answer_that_is_late_is_nobodys(void **state)
{
	struct peer p;
	prong_remote *there;
	prong_proxy *x;

	(void)state;
	peer_begin(&p, odd);
	there = reach(&p);
	x = make(there);
	check_echo(x, 1);
	CHECK_EQ(call(x, "late", prong_in_ms(10)), PRONG_TIMEDOUT);
	CHECK(strstr(prong_error_detail(), "thing.late") != NULL);
	check_echo(x, 2);
	CHECK_EQ(call(x, "late", prong_in_ms(10)), PRONG_TIMEDOUT);
	CHECK(wait_for(&p.late, 2));
	atomic_store(&p.go, 1);
	check_echo(x, 3);
	CHECK_EQ(call(x, "late", soon()), 0);
	check_echo(x, 4);
	finish(&p, there, x);
}

/* The second of two answers is not taken for the next call's. */
static void an_answer_that_nobody_asked_for_is_nobodys(void **state)
{
	struct peer p;
	prong_remote *there;
	prong_proxy *x;

	(void)state;
	peer_begin(&p, odd);
	there = reach(&p);
	x = make(there);
	for (int i = 0; i < 3; i++) {
		int r;

		CHECK_EQ(call(x, "twice", soon()), 0);
		sleep_ms(1); /* nothing tells when the second has come */
		r = call(x, "other", soon());
		CHECK(r == 0 || r == -ECONNRESET);
		check_echo(x, i);
		prong_proxy_free(x); /* the manager might be another one by now: its count stays */
		x = make(there);
	}
	prong_proxy_free(x);
	prong_remote_close(there);
	peer_end(&p);
}

static void odd_answers(void **state)
{
	static const struct {
		const char *method;
		int r;
	} t[] = {
		{ "hang_up", -ECONNRESET },    { "half", -ECONNRESET },
		{ "huge", -EPROTO },           { "noise", -EPROTO },
		{ "list", -EPROTO },           { "three", -EPROTO },
		{ "word", -EPROTO },           { "no_token", -EPROTO },
		{ "odd_error", PRONG_RAISED }, { "odd_complaint", PRONG_RAISED },
		{ "raise", PRONG_RAISED },
	};
	struct peer p;
	prong_remote *there;
	prong_proxy *x;

	(void)state;
	peer_begin(&p, odd);
	there = reach(&p);
	x = make(there);
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		CHECK_EQ(call(x, t[i].method, soon()), t[i].r);
		CHECK(strstr(prong_error_detail(), t[i].method) != NULL);
		check_echo(x, (int)i);
	}
	CHECK_EQ(call(x, "slow", prong_in_ms(10)), PRONG_TIMEDOUT);
	check_echo(x, 99);
	prong_proxy_free(x);
	prong_remote_close(there);
	peer_end(&p);
}

static void what_was_raised(void **state)
{
	struct peer p;
	prong_remote *there;
	prong_proxy *x;

	(void)state;
	peer_begin(&p, odd);
	there = reach(&p);
	x = make(there);
	CHECK(prong_remote_raised(there) == NULL);
	CHECK_EQ(call(x, "raise", soon()), PRONG_RAISED);
	CHECK(strstr(prong_error_detail(), "some.module.Error: of its own") != NULL);
	CHECK_STR(prong_value_class(prong_remote_raised(there)), "some.module.Error");
	check_echo(x, 1);
	CHECK(prong_remote_raised(there) == NULL);
	finish(&p, there, x);
}

/* --- ends ------------------------------------------------------------------------------------ */

struct waiting {
	prong_proxy *x;
	atomic_int *r;
};

static int waits(void *arg)
{
	struct waiting *w = arg;

	atomic_store(w->r, call(w->x, "late", PRONG_FOREVER));
	return 0;
}

static void closing_ends_calls(void **state)
{
	struct peer p;
	prong_remote *there;
	prong_queue *q = NULL;
	atomic_int r = -1;
	struct waiting w = { .r = &r };
	prong_thread *t;

	(void)state;
	peer_begin(&p, odd);
	there = reach(&p);
	w.x = make(there);
	CHECK_OK(prong_remote_queue(there, "queue", &q, soon()));
	t = start_thread(waits, &w, sizeof w);
	CHECK(wait_for(&p.late, 1));
	prong_remote_close(there);
	CHECK_EQ(end_thread(t), 0);
	CHECK_EQ(r, PRONG_CLOSED);
	CHECK_EQ(call(w.x, "echo", soon()), PRONG_CLOSED);
	CHECK_EQ(prong_queue_put(q, "x", 1, PRONG_NOW), PRONG_CLOSED);
	CHECK_EQ(prong_queue_size(q), 0);
	prong_proxy_free(w.x);
	CHECK_OK(prong_queue_free(q));
	atomic_store(&p.go, 1);
	peer_end(&p);
}

static void a_manager_that_comes_back(void **state)
{
	struct peer p, again;
	prong_remote *there;
	prong_value *v = NULL;
	prong_queue *q = NULL;
	prong_proxy *x;
	prong_time begin;

	(void)state;
	peer_begin(&p, odd);
	there = reach(&p);
	x = make(there);
	CHECK_OK(prong_remote_queue(there, "queue", &q, soon()));
	CHECK_OK(prong_queue_get_value(q, &v, NULL, soon()));
	prong_value_free(v);
	peer_kill(&p);
	begin = prong_clock();
	for (int i = 0; i < 3; i++) {
		int r = call(x, "echo", soon());

		CHECK(r == -ECONNRESET || r == -ECONNREFUSED);
	}
	CHECK(prong_ns_between(begin, prong_clock()) > 10 * 1000000); /* there are pauses */
	CHECK_EQ(call(x, "echo", PRONG_NOW), PRONG_TIMEDOUT);
	peer_begin_at(&again, odd, p.address);
	strcpy(again.ident, "0ther");
	CHECK_OK(prong_queue_get_value(q, &v, NULL, soon()));
	prong_value_free(v);
	CHECK_EQ(call(x, "echo", soon()), -ECONNRESET); /* it is said once */
	CHECK_EQ(call(x, "echo", soon()), -ESTALE);
	prong_proxy_free(x);
	x = make(there);
	check_echo(x, 5);
	CHECK_OK(prong_queue_free(q));
	prong_proxy_free(x);
	CHECK(wait_until(no_references, &again, HANG_MS));
	prong_remote_close(there);
	peer_end(&again);
}

static int ends_with_a_call(void *arg)
{
	check_echo(*(prong_proxy **)arg, 7);
	return 0;
}

/* A thread's connection goes with the thread. */
static void threads_have_connections_of_their_own(void **state)
{
	struct peer p;
	prong_remote *there;
	prong_proxy *x;

	(void)state;
	peer_begin(&p, odd);
	there = reach(&p);
	x = make(there);
	CHECK_EQ(atomic_load(&p.came), 2);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(end_thread(start_thread(ends_with_a_call, &x, sizeof x)), 0);
	check_echo(x, 8);
	check_echo(x, 9);
	CHECK_EQ(atomic_load(&p.came), 5);
	finish(&p, there, x);
}

/* --- bad arguments --------------------------------------------------------------------------- */

static void bad_arguments(void **state)
{
	const prong_auth auth = raw_auth();
	prong_value *v = NULL, *number;
	prong_remote *there = NULL;
	prong_queue *q = NULL;
	prong_proxy *x = NULL;
	struct peer p;

	(void)state;
	CHECK_EQ(prong_remote_open(NULL, "tcp://127.0.0.1:1", &auth, soon()), -EINVAL);
	CHECK_EQ(prong_remote_open(&there, NULL, &auth, soon()), -EINVAL);
	CHECK_EQ(prong_remote_open(&there, "tcp://127.0.0.1:1", NULL, soon()), -EINVAL);
	CHECK_EQ(prong_remote_open(&there, "nonsense", &auth, soon()), -EINVAL);
	CHECK_EQ(prong_remote_make(NULL, "thing", prong_args(0), &x, soon()), -EINVAL);
	CHECK_EQ(prong_remote_ask(NULL, "dummy", prong_args(0), NULL, soon()), -EINVAL);
	CHECK_EQ(prong_remote_queue(NULL, "queue", &q, soon()), -EINVAL);
	CHECK_EQ(prong_remote_shutdown(NULL, soon()), -EINVAL);
	CHECK_EQ(prong_proxy_call(NULL, "echo", prong_args(0), NULL, soon()), -EINVAL);
	CHECK_EQ(prong_proxy_of(NULL, NULL, &x, soon()), -EINVAL);
	CHECK(prong_proxy_value(NULL) == NULL && prong_remote_raised(NULL) == NULL);
	prong_proxy_free(NULL);
	prong_remote_close(NULL);

	peer_begin(&p, odd);
	there = reach(&p);
	CHECK_EQ(prong_remote_make(there, NULL, prong_args(0), &x, soon()), -EINVAL);
	CHECK_EQ(prong_remote_make(there, "thing", prong_args(0), NULL, soon()), -EINVAL);
	CHECK_EQ(prong_remote_make(there, "thing", NULL, &x, soon()), -ENOMEM);
	CHECK_EQ(prong_remote_make(there, "thing", prong_value_int(1), &x, soon()), -EINVAL);
	CHECK_EQ(prong_remote_queue(there, NULL, &q, soon()), -EINVAL);
	CHECK_EQ(prong_remote_queue(there, "queue", NULL, soon()), -EINVAL);
	CHECK_EQ(prong_remote_ask(there, NULL, prong_args(0), NULL, soon()), -EINVAL);
	x = make(there);
	CHECK_EQ(prong_proxy_call(x, NULL, prong_args(0), &v, soon()), -EINVAL);
	CHECK_EQ(prong_proxy_call(x, "echo", NULL, &v, soon()), -ENOMEM);
	CHECK_EQ(prong_proxy_call(x, "echo", prong_args(1, NULL), &v, soon()), -ENOMEM);
	CHECK_EQ(prong_proxy_call(x, "echo", prong_value_new(PRONG_LIST), &v, soon()), -EINVAL);
	number = prong_value_int(1);
	CHECK_EQ(prong_proxy_of(there, number, &x, soon()), PRONG_MISMATCH);
	CHECK_EQ(prong_proxy_of(there, NULL, &x, soon()), PRONG_MISMATCH);
	prong_value_free(number);
	CHECK(v == NULL);
	check_echo(x, 1);
	finish(&p, there, x);
}

/* --- queues ---------------------------------------------------------------------------------- */

/* A queue that hands out numbers, once it may, and raises what it is told to. */
static bool queue(struct peer *p, int fd, const char *method, const prong_value *request)
{
	const prong_value *first = prong_value_at(prong_value_at(request, 2), 0);

	if (strcmp(method, "put") == 0 && prong_value_kind(first) == PRONG_TEXT)
		peer_say(fd, exception(prong_value_data(first, NULL), ""));
	else if (strcmp(method, "put") == 0)
		peer_say(fd, peer_return(prong_value_new(PRONG_NONE)));
	else if (strcmp(method, "get") == 0) {
		atomic_fetch_add(&p->late, 1);
		CHECK(wait_for(&p->go, 1));
		peer_say(fd, peer_return(prong_value_int(atomic_fetch_add(&p->go, 1))));
	} else
		peer_say(fd, peer_return(prong_value_text("many")));
	return true;
}

static int64_t get_number(prong_queue *q)
{
	prong_value *v = NULL;
	int64_t got = -1;

	CHECK_OK(prong_queue_get_value(q, &v, NULL, PRONG_FOREVER));
	CHECK_OK(prong_value_as_int(v, &got));
	prong_value_free(v);
	return got;
}

struct cancelled {
	prong_queue *q;
};

static int is_cancelled(void *arg)
{
	struct cancelled *w = arg;
	prong_value *v = NULL;

	CHECK_EQ(prong_queue_get_value(w->q, &v, NULL, PRONG_FOREVER), PRONG_CANCELLED);
	return 0;
}

/* What the manager gives to a get that was given up goes to the next, or back. */
static void what_comes_late_is_not_lost(void **state)
{
	struct peer p;
	prong_remote *there;
	struct cancelled w;
	prong_group *g;
	prong_thread *t;
	bool seen[1000] = { false };
	int calls, got;

	(void)state;
	peer_begin(&p, queue);
	there = reach(&p);
	CHECK_OK(prong_remote_queue(there, "queue", &w.q, soon()));
	for (int i = 0; i < 2; i++) {
		CHECK_OK(prong_group_open(&g, NULL));
		CHECK_OK(prong_thread_start(&t, is_cancelled, &w, sizeof w,
					    &(prong_thread_opts){ .group = g }));
		CHECK(wait_for(&p.late, i + 1));
		prong_group_cancel(g);
		CHECK_EQ(prong_group_close(g), 0);
	}
	atomic_store(&p.go, 1);
	for (got = 0; got < atomic_load(&p.late); got++) { /* until each get has its answer */
		int64_t n = get_number(w.q);

		CHECK(n >= 1 && n < 1000 && !seen[n]);
		seen[n] = true;
	}
	atomic_store(&p.go, 0);
	calls = atomic_load(&p.late);
	CHECK_OK(prong_group_open(&g, NULL));
	CHECK_OK(prong_thread_start(&t, is_cancelled, &w, sizeof w,
				    &(prong_thread_opts){ .group = g }));
	CHECK(wait_for(&p.late, calls + 1));
	prong_group_cancel(g);
	CHECK_EQ(prong_group_close(g), 0);
	calls = atomic_load(&p.calls);
	atomic_store(&p.go, 1);
	CHECK_OK(prong_queue_free(w.q));
	CHECK_EQ(atomic_load(&p.calls), calls + 1); /* it was put back */
	CHECK(wait_until(no_references, &p, HANG_MS));
	prong_remote_close(there);
	peer_end(&p);
}

static void a_remote_queue(void **state)
{
	struct peer p;
	prong_remote *there;
	prong_queue *q = NULL;
	prong_value *v = NULL;
	prong_message m;
	prong_source s = { 0 };
	char data[100];
	size_t n = 0;
	int64_t got;

	(void)state;
	peer_begin(&p, queue);
	there = reach(&p);
	CHECK_OK(prong_remote_queue(there, "queue", &q, soon()));
	atomic_store(&p.go, 1);
	CHECK_EQ(get_number(q), 1);
	CHECK_EQ(prong_queue_get(q, data, 1, NULL, soon()), -EMSGSIZE);
	CHECK_OK(prong_queue_get(q, data, sizeof data, &n, soon()));
	CHECK_OK(prong_decode(&v, PRONG_PICKLE, data, n, NULL));
	CHECK_OK(prong_value_as_int(v, &got));
	CHECK_EQ(got, 2);
	prong_value_free(v);
	CHECK_EQ(prong_queue_put_value(q, prong_value_text("queue.Full"), soon()), PRONG_TIMEDOUT);
	CHECK_EQ(prong_queue_put_value(q, prong_value_text("queue.ShutDown"), soon()),
		 PRONG_CLOSED);
	CHECK_EQ(prong_queue_put_value(q, prong_value_text("builtins.EOFError"), soon()),
		 PRONG_CLOSED);
	CHECK_EQ(prong_queue_put_value(q, prong_value_text("other.Error"), soon()), PRONG_RAISED);
	CHECK_EQ(prong_queue_put_value(q, NULL, soon()), -ENOMEM);
	CHECK_EQ(prong_queue_put(q, NULL, 1, soon()), -EINVAL);
	CHECK_EQ(prong_queue_get(q, NULL, 1, NULL, soon()), -EINVAL);
	CHECK_OK(prong_queue_put(q, "x", 1, soon()));
	CHECK_EQ(prong_queue_size(q), 0);
	CHECK_EQ(prong_queue_reserve(q, 1, &m), -ENOTSUP);
	CHECK_EQ(prong_queue_commit(q, &m, soon()), -ENOTSUP);
	CHECK_EQ(prong_queue_lease(q, &m, soon()), -ENOTSUP);
	CHECK_EQ(prong_queue_ack(q, &m), -ENOTSUP);
	CHECK_EQ(prong_queue_abandon(q, &m), -ENOTSUP);
	CHECK_EQ(prong_queue_close(q), -ENOTSUP);
	s.queue = q;
	CHECK_EQ(prong_wait(&s, 1, soon()), -ENOTSUP);
	CHECK_OK(prong_queue_free(q));
	CHECK_EQ(prong_queue_put(q, "x", 1, soon()), -EINVAL);
	CHECK_EQ(prong_queue_free(q), -EINVAL);
	CHECK(wait_until(no_references, &p, HANG_MS));
	prong_remote_close(there);
	peer_end(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(an_answer_that_is_late_is_nobodys),
		CASE(an_answer_that_nobody_asked_for_is_nobodys),
		CASE(odd_answers),
		CASE(what_was_raised),
		CASE(closing_ends_calls),
		CASE(a_manager_that_comes_back),
		CASE(threads_have_connections_of_their_own),
		CASE(bad_arguments),
		CASE(a_remote_queue),
		CASE(what_comes_late_is_not_lost),
	};

	test_begin(argc, argv, TEST_OPENED, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
