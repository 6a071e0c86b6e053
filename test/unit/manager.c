/* Managers, asked by a client that writes the requests itself.  Python's: test/interop. */
#include "raw.h"
#include "manager/manager.h"

#include <prong/manager.h>
#include <prong/pool.h>
#include <prong/remote.h>

static const char key[] = "a key of sixteen";

static prong_manager_opts options(void)
{
	return (prong_manager_opts){ .auth = { .key = key, .key_size = 16 }, .types = true };
}

static prong_manager *manager(const prong_manager_opts *opts)
{
	prong_manager *m = NULL;

	CHECK_OK(prong_manager_open(&m, "tcp://127.0.0.1:0", opts));
	return m;
}

static prong_conn *dial(prong_manager *m)
{
	const prong_manager_opts opts = options();
	prong_conn *c = NULL;

	CHECK_OK(prong_connect(&c, prong_manager_address(m), &opts.auth, prong_in_ms(HANG_MS)));
	return c;
}

static prong_value *text(const char *s)
{
	return prong_value_text(s);
}

static void ask(prong_conn *c, prong_value *head, const char *what, prong_value *args)
{
	prong_value *v = prong_value_new(PRONG_TUPLE);

	prong_value_add(v, head);
	prong_value_add(v, text(what));
	prong_value_add(v, args);
	prong_value_add(v, prong_value_new(PRONG_DICT));
	CHECK_OK(prong_conn_send_value(c, v, prong_in_ms(HANG_MS)));
}

static prong_value *hear(prong_conn *c)
{
	prong_value *v = NULL;

	CHECK_OK(prong_conn_recv_value(c, &v, NULL, prong_in_ms(HANG_MS)));
	return v;
}

/* What comes next is this, as repr shows it. */
static void expect(prong_conn *c, const char *want)
{
	prong_value *v = hear(c);
	char got[400];

	prong_value_print(v, got, sizeof got);
	CHECK_STR(got, want);
	prong_value_free(v);
}

static void expect_kind(prong_conn *c, const char *kind)
{
	prong_value *v = hear(c);

	CHECK_STR(prong_value_data(prong_value_at(v, 0), NULL), kind);
	prong_value_free(v);
}

static prong_value *one(prong_value *v)
{
	prong_value *args = prong_value_new(PRONG_TUPLE);

	prong_value_add(args, v);
	return args;
}

static prong_value *none(void)
{
	return prong_value_new(PRONG_TUPLE);
}

/* A control request, of which the ident that comes is stored. */
static void create(prong_manager *m, const char *name, char ident[17])
{
	prong_conn *c = dial(m);
	prong_value *v;
	const char *got;

	ask(c, prong_value_new(PRONG_NONE), "create", one(text(name)));
	v = hear(c);
	CHECK_STR(prong_value_data(prong_value_at(v, 0), NULL), "#RETURN");
	got = prong_value_data(prong_value_at(prong_value_at(v, 1), 0), NULL);
	CHECK(got && strlen(got) == 16);
	if (got)
		memcpy(ident, got, 17);
	prong_value_free(v);
	prong_conn_free(c);
}

/* A connection for calls. */
static prong_conn *caller(prong_manager *m)
{
	prong_conn *c = dial(m);

	ask(c, prong_value_new(PRONG_NONE), "accept_connection", one(text("test")));
	expect(c, "('#RETURN', None)");
	return c;
}

static void call(prong_conn *c, const char *ident, const char *method, prong_value *args)
{
	ask(c, text(ident), method, args);
}

struct figure {
	prong_manager *m;
	size_t offset;
	uint64_t want;
};

static bool is_so(void *arg)
{
	const struct figure *f = arg;
	prong_manager_stats s;

	prong_manager_stat(f->m, &s);
	return *(const uint64_t *)(const void *)((const char *)&s + f->offset) == f->want;
}

#define UNTIL(manager, name, value) \
	CHECK(wait_until(is_so, \
			 &(struct figure){ manager, offsetof(prong_manager_stats, name), value }, \
			 HANG_MS))

/* --- options and names ------------------------------------------------------------------ */

static int answer(prong_call *c)
{
	return prong_call_return(c, prong_value_int(42));
}

static void bad_options_are_refused(void **state)
{
	prong_manager_opts opts = options();
	prong_manager *m = NULL;

	(void)state;
	CHECK_EQ(prong_manager_open(NULL, "tcp://127.0.0.1:0", &opts), -EINVAL);
	CHECK_EQ(prong_manager_open(&m, "tcp://127.0.0.1:0", NULL), -EINVAL);
	CHECK_EQ(prong_manager_open(&m, NULL, &opts), -EINVAL);
	CHECK_EQ(prong_manager_open(&m, "nowhere", &opts), -EINVAL);
	CHECK_EQ(prong_manager_open(&m, "tcp://0.0.0.0:0", &opts), -EPERM);
	opts.auth.key = NULL;
	CHECK_EQ(prong_manager_open(&m, "tcp://127.0.0.1:0", &opts), -EINVAL);
	opts = options();
	opts.reserved_[4] = 1;
	CHECK_EQ(prong_manager_open(&m, "tcp://127.0.0.1:0", &opts), -EINVAL);
	opts = options();
	opts.reserved0_ = 1;
	CHECK_EQ(prong_manager_open(&m, "tcp://127.0.0.1:0", &opts), -EINVAL);
	opts = options();
	opts.clients_max = (1u << 20) + 1;
	CHECK_EQ(prong_manager_open(&m, "tcp://127.0.0.1:0", &opts), -EINVAL);
	CHECK(!m);
	prong_manager_close(NULL);
	CHECK(!prong_manager_address(NULL));
	CHECK_EQ(prong_manager_wait(NULL, PRONG_NOW), -EINVAL);
}

static void refused(prong_manager *m, const char *params, const char *why)
{
	const prong_method methods[] = { { "f", params, answer, NULL },
					 { NULL, NULL, NULL, NULL } };

	CHECK_EQ(prong_manager_share(m, "thing", methods, NULL), -EINVAL);
	if (!strstr(prong_error_detail(), why))
		CHECK_STR(prong_error_detail(), why);
}

static void bad_names_and_parameters_are_refused(void **state)
{
	const prong_method good[] = { { "f",
					"a, b: int = -1, c = 'x', d: float = 2.5, e = None, "
					"f: bool = True, g: str = None, h: list = None",
					answer, NULL },
				      { NULL, NULL, NULL, NULL } };
	const prong_manager_opts opts = options();
	prong_manager *m = manager(&opts);
	prong_queue *q = NULL;

	(void)state;
	CHECK_OK(prong_queue_new(&q, NULL));
	CHECK_EQ(prong_manager_share_queue(m, NULL, q), -EINVAL);
	CHECK_EQ(prong_manager_share_queue(m, "", q), -EINVAL);
	CHECK_EQ(prong_manager_share_queue(m, "1st", q), -EINVAL);
	CHECK_EQ(prong_manager_share_queue(m, "a-b", q), -EINVAL);
	CHECK_EQ(prong_manager_share_queue(m, "q", NULL), -EINVAL);
	CHECK_EQ(prong_manager_share_queue(NULL, "q", q), -EINVAL);
	CHECK_OK(prong_manager_share_queue(m, "q", q));
	CHECK_EQ(prong_manager_share_queue(m, "q", q), -EEXIST);
	CHECK_EQ(prong_manager_share_queue(m, "dict", q), -EEXIST);
	CHECK_EQ(prong_manager_share(m, "thing", NULL, NULL), -EINVAL);
	refused(m, "a b", "something else");
	refused(m, "a,", "no name");
	refused(m, "a, a", "the same name");
	refused(m, "a: thing", "no kind");
	refused(m, "a = 1, b", "without a default");
	refused(m, "a = what", "no default");
	refused(m, "a = 'x", "without its end");
	refused(m, "a: int = 'x'", "another kind");
	refused(m, "a, b, c, d, e, f, g, h, i", "more than 8");
	refused(m, "*", "*");
	CHECK_OK(prong_manager_share(m, "thing", good, NULL));
	prong_manager_close(m);
	CHECK_OK(prong_queue_free(q));
}

/* --- requests --------------------------------------------------------------------------- */

static void control_is_answered_and_hung_up_on(void **state)
{
	const prong_manager_opts opts = options();
	prong_manager *m = manager(&opts);
	prong_conn *c = dial(m);
	prong_value *v = NULL;

	(void)state;
	ask(c, prong_value_new(PRONG_NONE), "dummy", none());
	expect(c, "('#RETURN', None)");
	CHECK_EQ(prong_conn_recv_value(c, &v, NULL, prong_in_ms(HANG_MS)), PRONG_CLOSED);
	prong_conn_free(c);
	c = dial(m);
	ask(c, prong_value_new(PRONG_NONE), "create", one(text("nothing")));
	expect(c, "('#TRACEBACK', \"KeyError: nothing is shared as 'nothing'\")");
	prong_conn_free(c);
	c = dial(m);
	ask(c, prong_value_new(PRONG_NONE), "delete", none());
	expect_kind(c, "#TRACEBACK");
	prong_conn_free(c);
	CHECK_EQ(prong_manager_wait(m, PRONG_NOW), PRONG_TIMEDOUT);
	c = dial(m);
	ask(c, prong_value_new(PRONG_NONE), "shutdown", none());
	expect(c, "('#RETURN', None)");
	prong_conn_free(c);
	CHECK_OK(prong_manager_wait(m, PRONG_FOREVER));
	CHECK_OK(prong_manager_wait(m, PRONG_NOW));
	prong_manager_close(m);
}

/* A message in the hands of a client that is gone comes back first, and is the next one's. */
static void what_was_not_read_comes_back(void **state)
{
	const prong_manager_opts opts = options();
	prong_manager *m = manager(&opts);
	prong_queue *q = NULL;
	prong_message message;
	char ident[17];
	prong_conn *c;

	(void)state;
	CHECK_OK(prong_queue_new(&q, NULL));
	CHECK_OK(prong_manager_share_queue(m, "q", q));
	create(m, "q", ident);
	CHECK_OK(prong_queue_put_value(q, prong_value_int(1), PRONG_NOW));
	CHECK_OK(prong_queue_put_value(q, prong_value_int(2), PRONG_NOW));
	c = caller(m);
	call(c, ident, "get", none());
	CHECK_OK(prong_wait(&(prong_source){ .conn = c }, 1, prong_in_ms(HANG_MS)));
	CHECK_EQ(prong_queue_size(q), 1);
	prong_conn_free(c); /* what came is read, so this is a farewell in order */
	c = caller(m);
	call(c, ident, "get", none());
	expect(c, "('#RETURN', 2)");
	CHECK_EQ(prong_queue_size(q), 0);
	prong_conn_free(c);
	UNTIL(m, clients, 0);

	CHECK_OK(prong_queue_put_value(q, prong_value_int(3), PRONG_NOW));
	c = caller(m);
	call(c, ident, "get", none());
	while (prong_queue_size(q))
		sleep_ms(1);
	call(c, ident, "qsize", none()); /* it asks again, so it has the first answer */
	UNTIL(m, calls, 8);
	prong_conn_free(c);
	UNTIL(m, clients, 0);
	CHECK_EQ(prong_queue_lease(q, &message, PRONG_NOW), PRONG_TIMEDOUT);
	prong_manager_close(m);
	CHECK_OK(prong_queue_free(q));
}

static void a_parked_call_is_woken_by_another_thread(void **state)
{
	const prong_manager_opts opts = options();
	prong_manager *m = manager(&opts);
	prong_queue *q = NULL;
	char ident[17];
	prong_conn *c;

	(void)state;
	CHECK_OK(prong_queue_new(&q, NULL));
	CHECK_OK(prong_manager_share_queue(m, "q", q));
	create(m, "q", ident);
	c = caller(m);
	for (int i = 0; i < 20; i++) {
		call(c, ident, "get", none());
		UNTIL(m, waiting, 1);
		CHECK_OK(prong_queue_put_value(q, prong_value_int(7), PRONG_NOW));
		expect(c, "('#RETURN', 7)");
	}
	CHECK_OK(prong_queue_close(q));
	call(c, ident, "get", none());
	expect_kind(c, "#ERROR");
	prong_conn_free(c);
	prong_manager_close(m);
	CHECK_OK(prong_queue_free(q));
}

static int slow(prong_call *c)
{
	prong_sleep(prong_in_ms(50));
	return prong_call_return(c, prong_value_int(prong_call_int(c, "n") + 1));
}

/* Closed while the pool works for a client that is there, and for one that has gone. */
static void closing_waits_for_what_the_pool_does(void **state)
{
	static const prong_method methods[] = { { "slow", "n: int", slow, NULL },
						{ NULL, NULL, NULL, NULL } };
	prong_manager_opts opts = options();
	prong_conn *a, *b;
	prong_manager *m;
	char ident[17];

	(void)state;
	CHECK_OK(prong_pool_open(&opts.pool, "threads:2", NULL));
	m = manager(&opts);
	CHECK_OK(prong_manager_share(m, "thing", methods, NULL));
	create(m, "thing", ident);
	a = caller(m);
	b = caller(m);
	call(a, ident, "slow", one(prong_value_int(1)));
	expect(a, "('#RETURN', 2)");
	call(a, ident, "slow", one(prong_value_int(2)));
	call(b, ident, "slow", one(prong_value_int(3)));
	prong_conn_free(b);
	UNTIL(m, clients, 1);
	prong_manager_close(m);
	prong_conn_free(a);
	CHECK_OK(prong_pool_free(opts.pool));
}

/* Many calls that are sent at once are answered in their order. */
static void requests_may_come_together(void **state)
{
	const prong_manager_opts opts = options();
	prong_manager *m = manager(&opts);
	char ident[17], want[60];
	prong_conn *c;

	(void)state;
	create(m, "list", ident);
	c = caller(m);
	for (int i = 0; i < 200; i++)
		call(c, ident, i % 2 ? "__len__" : "append",
		     i % 2 ? none() : one(prong_value_int(i)));
	for (int i = 0; i < 200; i++) {
		snprintf(want, sizeof want, "('#RETURN', %d)", i / 2 + 1);
		expect(c, i % 2 ? want : "('#RETURN', None)");
	}
	prong_conn_free(c);
	prong_manager_close(m);
}

/* What is in C at both ends. */
static void our_own_clients_are_clients_too(void **state)
{
	const prong_manager_opts opts = options();
	prong_manager *m = manager(&opts);
	prong_remote *there = NULL;
	prong_queue *q = NULL, *far = NULL;
	prong_proxy *dict = NULL;
	prong_value *v = NULL;
	int64_t n = 0;

	(void)state;
	CHECK_OK(prong_queue_new(&q, NULL));
	CHECK_OK(prong_manager_share_queue(m, "q", q));
	CHECK_OK(prong_remote_open(&there, prong_manager_address(m), &opts.auth, soon()));
	CHECK_OK(prong_remote_queue(there, "q", &far, soon()));
	CHECK_EQ(prong_queue_get_value(far, &v, NULL, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_OK(prong_queue_put_value(far, prong_value_int(5), soon()));
	CHECK_OK(prong_queue_get_value(q, &v, NULL, PRONG_NOW));
	CHECK_OK(prong_value_as_int(v, &n));
	CHECK_EQ(n, 5);
	prong_value_free(v);
	CHECK_OK(prong_remote_make(there, "dict", prong_args(0), &dict, soon()));
	CHECK_OK(prong_proxy_call(dict, "__setitem__",
				  prong_args(2, text("key"), prong_value_int(6)), NULL, soon()));
	CHECK_OK(prong_proxy_call(dict, "get", prong_args(1, text("key")), &v, soon()));
	CHECK_OK(prong_value_as_int(v, &n));
	CHECK_EQ(n, 6);
	prong_value_free(v);
	CHECK_EQ(prong_proxy_call(dict, "__getitem__", prong_args(1, text("no")), &v, soon()),
		 PRONG_RAISED);
	prong_proxy_free(dict);
	CHECK_EQ(prong_manager_share_queue(m, "far", far), -EINVAL);
	prong_queue_free(far);
	UNTIL(m, objects, 0);
	CHECK_OK(prong_remote_shutdown(there, soon()));
	prong_remote_close(there);
	CHECK_OK(prong_manager_wait(m, soon()));
	prong_manager_close(m);
	CHECK_OK(prong_queue_free(q));
}

struct maker {
	prong_manager *m;
	prong_remote *there;
	prong_proxy *dict;
};

static int makes(void *arg)
{
	const prong_manager_opts opts = options();
	struct maker *maker = *(struct maker **)arg;

	CHECK_OK(prong_remote_open(&maker->there, prong_manager_address(maker->m), &opts.auth,
				   soon()));
	CHECK_OK(prong_remote_make(maker->there, "dict", prong_args(0), &maker->dict, soon()));
	return 0;
}

/* What a client has is its own while it lives, though no thread of it is connected; and a while
   longer. */
static void references_are_their_clients(void **state)
{
	prong_manager_opts opts = options();
	struct maker maker = { 0 }, *arg = &maker;
	prong_thread *t;
	prong_value *v;
	prong_manager *m;

	(void)state;
	opts.linger_ms = 50;
	m = maker.m = manager(&opts);
	CHECK_OK(prong_thread_start(&t, makes, &arg, sizeof arg, NULL));
	CHECK_OK(prong_thread_join(t, NULL, soon()));
	prong_thread_free(t);
	sleep_ms(200);
	CHECK_OK(prong_proxy_call(maker.dict, "copy", prong_args(0), &v, soon()));
	prong_value_free(v);
	UNTIL(m, objects, 1);
	prong_remote_close(maker.there); /* with a proxy of it still there */
	UNTIL(m, clients, 0);
	UNTIL(m, objects, 0);
	prong_proxy_free(maker.dict);
	prong_manager_close(m);
}

/* --- items ------------------------------------------------------------------------------ */

/* A reply is put together of pieces of pickles, which may use the same places of the memo. */
static void replies_of_pieces_are_pickles(void **state)
{
	(void)state;
	for (int protocol = 2; protocol <= 3; protocol++) {
		prong_value *shared = prong_value_text("shared"), *v = prong_value_new(PRONG_LIST),
			    *got;
		struct prongi_out o = { .limit = 0 };
		struct prongi_item item;
		const unsigned char *at;
		char printed[200];
		size_t size;

		for (int i = 0; i < 3; i++)
			prong_value_add(v, prong_value_dup(shared));
		CHECK_OK(prongi_item_make(&item, v, protocol));
		prongi_say_begin(&o, protocol, "kind");
		prongi_out_text(&o, "](");
		prongi_say_item(&o, protocol, &item);
		prongi_say_item(&o, 5 - protocol, &item); /* written anew */
		prongi_say_value(&o, protocol, v);
		prongi_out_byte(&o, 'e');
		prongi_say_end(&o);
		CHECK_EQ(o.r, 0);
		at = prongi_said(&o, &size);
		CHECK_EQ(at[2] << 8 | at[3], size - 4);
		CHECK_OK(prong_decode(&got, PRONG_PICKLE, at + 4, size - 4, NULL));
		prong_value_print(got, printed, sizeof printed);
		CHECK_STR(printed, "('kind', [['shared', 'shared', 'shared'], ['shared', 'shared', "
				   "'shared'], ['shared', 'shared', 'shared']])");
		prong_value_free(got);
		prong_value_free(v);
		prong_value_free(shared);
		prongi_item_free(&item);
		free(o.data);
	}
}

/* --- memory ------------------------------------------------------------------------------ */

enum {
	LARGE = 8 << 20,
	PLACES = 4, /* of so many bytes */
	GREEDY = 8  /* clients that ask for so much, and do not read */
};

static prong_manager_stats figures(prong_manager *m)
{
	prong_manager_stats st;

	prong_manager_stat(m, &st);
	return st;
}

static bool is_refused(void *m)
{
	return figures(m).calls == 2 + 1 + GREEDY + GREEDY - (PLACES - 1);
}

static bool holds_the_item_alone(void *m)
{
	return figures(m).memory > 0 && figures(m).memory < LARGE + 4096;
}

static void answers_that_are_not_read_count(void **state)
{
	prong_manager_opts opts = options();
	prong_conn *c[GREEDY + 1];
	prong_manager *m;
	char ident[17];
	void *large = calloc(1, LARGE);

	(void)state;
	opts.memory_max = (size_t)PLACES * (LARGE + 4096);
	m = manager(&opts);
	create(m, "list", ident);
	for (int i = 0; i <= GREEDY; i++)
		c[i] = caller(m);
	call(c[GREEDY], ident, "append", one(prong_value_bytes(PRONG_BYTES, large, LARGE)));
	expect(c[GREEDY], "('#RETURN', None)");
	for (int i = 0; i < GREEDY; i++)
		call(c[i], ident, "__getitem__", one(prong_value_int(0)));
	CHECK(wait_until(is_refused, m, HANG_MS));
	CHECK(figures(m).memory <= opts.memory_max);
	CHECK(figures(m).memory > (uint64_t)PLACES * LARGE);
	for (int i = 0, returned = 0; i < GREEDY; i++) {
		prong_value *v = hear(c[i]);
		const char *kind = prong_value_data(prong_value_at(v, 0), NULL);

		returned += strcmp(kind, "#RETURN") == 0;
		CHECK(strcmp(kind, "#RETURN") == 0 || strcmp(kind, "#UNSERIALIZABLE") == 0);
		prong_value_free(v);
		CHECK(i < GREEDY - 1 || returned == PLACES - 1);
	}
	CHECK(wait_until(holds_the_item_alone, m, HANG_MS));
	for (int i = 0; i <= GREEDY; i++)
		prong_conn_free(c[i]);
	prong_manager_close(m);
	free(large);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(bad_options_are_refused),
		CASE(bad_names_and_parameters_are_refused),
		CASE(control_is_answered_and_hung_up_on),
		CASE(what_was_not_read_comes_back),
		CASE(a_parked_call_is_woken_by_another_thread),
		CASE(closing_waits_for_what_the_pool_does),
		CASE(requests_may_come_together),
		CASE(our_own_clients_are_clients_too),
		CASE(references_are_their_clients),
		CASE(replies_of_pieces_are_pickles),
		CASE(answers_that_are_not_read_count),
	};

	test_begin(argc, argv, TEST_OPENED, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
