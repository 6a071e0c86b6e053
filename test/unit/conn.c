/* Pipes: what goes through, and how it ends whoever dies. */
#include "support.h"

static void make(prong_conn **a, prong_conn **b)
{
	CHECK_OK(prong_pipe(a, b, NULL));
}

static void make_one_way(prong_conn **a, prong_conn **b)
{
	CHECK_OK(prong_pipe(a, b, &(prong_pipe_opts){ .one_way = true }));
}

static void drop(prong_conn *a, prong_conn *b)
{
	prong_conn_free(a);
	prong_conn_free(b);
}

static void put(prong_conn *c, const char *text)
{
	CHECK_OK(prong_conn_send(c, text, strlen(text), soon()));
}

static void expect(prong_conn *c, const char *text)
{
	char buf[256];
	size_t n = 999;

	CHECK_OK(prong_conn_recv(c, buf, sizeof buf - 1, &n, soon()));
	buf[n] = '\0';
	CHECK_STR(buf, text);
}

static int now(prong_conn *c)
{
	char byte[64];
	size_t n = 999;
	int r = prong_conn_recv(c, byte, sizeof byte, &n, PRONG_NOW);

	CHECK(r == 0 || n == 999);
	return r;
}

/* A process that has end c, which it owns; it may have ended already. */
static prong_process *give_to(prong_conn *c, prong_fn *fn)
{
	prong_process *p = start(fn, c, 0);
	int r = prong_conn_give(c, p);

	CHECK(r == 0 || r == -ESRCH);
	return p;
}

/* --- messages ------------------------------------------------------------------------------ */

static void both_ways_in_order(void **state)
{
	prong_conn *a, *b;

	(void)state;
	make(&a, &b);
	put(a, "one");
	put(a, "");
	put(b, "back");
	put(a, "three");
	expect(b, "one");
	expect(b, "");
	expect(b, "three");
	expect(a, "back");
	CHECK_EQ(now(a), PRONG_TIMEDOUT);
	CHECK_EQ(now(b), PRONG_TIMEDOUT);
	drop(a, b);
}

static unsigned char pattern(size_t i, size_t size)
{
	return (unsigned char)(i * 31 + size);
}

static const size_t sizes[] = { 0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 1000, 4095, 16383, 16384, 16385,
				32767, 32768, 65535, 65536, 100000, 1 << 20, (64 << 20) + 5 };
#define SIZES (sizeof sizes / sizeof *sizes)

static int echo(void *arg)
{
	prong_conn *c = arg;

	for (size_t i = 0; i < SIZES; i++) {
		void *data;
		size_t n;

		CHECK_OK(prong_conn_recv_take(c, &data, &n, soon()));
		CHECK_EQ(n, sizes[i]);
		CHECK_OK(prong_conn_send(c, data, n, soon()));
		prong_free(data);
	}
	return 0;
}

static void check_pattern(const unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != pattern(i, size))
			check_failed(__FILE__, __LINE__, "byte %zu of %zu", i, size);
}

static void any_size_there_and_back(void **state)
{
	prong_conn *a, *b;
	prong_process *p;

	(void)state;
	make(&a, &b);
	p = give_to(b, echo);
	for (size_t k = 0; k < SIZES; k++) {
		size_t size = sizes[k], n = 0;
		unsigned char *data = malloc(size + 1);

		CHECK(data != NULL);
		for (size_t i = 0; i < size; i++)
			data[i] = pattern(i, size);
		CHECK_OK(prong_conn_send(a, data, size, soon()));
		memset(data, 0, size + 1);
		CHECK_OK(prong_conn_recv(a, data, size, k % 2 ? NULL : &n, soon()));
		check_pattern(data, size);
		free(data);
	}
	CHECK_EQ(end(p), 0);
	drop(a, b);
}

/* Every place in the ring is once the end of a message. */
static void round_the_ring(void **state)
{
	prong_conn *a, *b;
	char data[600], got[600];
	size_t n;

	(void)state;
	CHECK_OK(prong_pipe(&a, &b, &(prong_pipe_opts){ .buffer = 1 }));
	for (unsigned i = 0; i < 5000; i++) {
		size_t size = i * 7 % sizeof data;

		memset(data, (int)i, sizeof data);
		CHECK_OK(prong_conn_send(a, data, size, PRONG_NOW));
		CHECK_OK(prong_conn_recv(b, got, sizeof got, &n, PRONG_NOW));
		CHECK_EQ(n, size);
		CHECK(memcmp(data, got, n) == 0);
	}
	drop(a, b);
}

/* The block and the pointer in the heap change hands; and the block is the sender's own. */
static void take_into_the_heap(void **state)
{
	prong_conn *a, *b;
	struct box {
		char *data;
	} *box = shared(sizeof *box);
	char large[100000];
	size_t n;

	(void)state;
	make(&a, &b);
	memset(large, 'x', sizeof large);
	CHECK_OK(prong_conn_send(a, large, sizeof large, soon()));
	put(a, "small");
	put(a, "");
	CHECK_OK(prong_conn_recv_take(b, (void **)&box->data, &n, soon()));
	CHECK_EQ(n, sizeof large);
	CHECK(prong_shared(box->data, n) && memcmp(box->data, large, n) == 0);
	prong_free_at((void **)&box->data);
	CHECK_OK(prong_conn_recv_take(b, (void **)&box->data, &n, soon()));
	CHECK(n == 5 && memcmp(box->data, "small", 5) == 0);
	prong_free_at((void **)&box->data);
	CHECK_OK(prong_conn_recv_take(b, (void **)&box->data, &n, soon()));
	CHECK(n == 0 && box->data);
	prong_free_at((void **)&box->data);
	prong_free(box);
	drop(a, b);
}

/* --- full ---------------------------------------------------------------------------------- */

static unsigned fill(prong_conn *c, const void *data, size_t size)
{
	unsigned n = 0;
	int r;

	while ((r = prong_conn_send(c, data, size, PRONG_NOW)) == 0)
		n++;
	CHECK_EQ(r, PRONG_TIMEDOUT);
	return n;
}

static void send_blocks_when_full(void **state)
{
	static char data[2000];
	prong_conn *a, *b;
	unsigned n;

	(void)state;
	make(&a, &b);
	n = fill(a, data, sizeof data);
	CHECK(n >= 30 && n <= 33);
	CHECK_EQ(prong_conn_send(a, data, sizeof data, prong_in_ms(20)), PRONG_TIMEDOUT);
	CHECK_OK(prong_conn_recv(b, data, sizeof data, NULL, PRONG_NOW));
	CHECK_EQ(fill(a, data, sizeof data), 1);
	for (unsigned i = 0; i < n; i++)
		CHECK_OK(prong_conn_recv(b, data, sizeof data, NULL, PRONG_NOW));
	CHECK_EQ(now(b), PRONG_TIMEDOUT);
	drop(a, b);
}

/* Only so much of the heap is under way. */
static void large_ones_fill_it_too(void **state)
{
	static char data[1 << 20];
	prong_conn *a, *b;
	size_t n;
	void *p;

	(void)state;
	make(&a, &b);
	CHECK_EQ(fill(a, data, sizeof data), 2);
	CHECK_OK(prong_conn_recv_take(b, &p, &n, PRONG_NOW));
	prong_free(p);
	CHECK_EQ(fill(a, data, sizeof data), 1);
	drop(a, b); /* with two under way, which are freed */
}

static int reads_all(void *arg)
{
	prong_conn *c = arg;
	int n = 0, x, r;

	while ((r = prong_conn_recv(c, &x, sizeof x, NULL, PRONG_FOREVER)) == 0)
		CHECK_EQ(x, n++);
	if (r != PRONG_CLOSED)
		check_failed(__FILE__, __LINE__, "%d after %d: %s", r, n, prong_error_detail());
	return 0;
}

static void a_hundred_thousand_in_order(void **state)
{
	int n = scaled(100000);
	prong_process *p;
	prong_conn *a, *b;

	(void)state;
	make_one_way(&b, &a);
	p = give_to(b, reads_all);
	for (int i = 0; i < n; i++)
		CHECK_OK(prong_conn_send(a, &i, sizeof i, soon()));
	prong_conn_free(a); /* its reader still gets all, and then the end */
	CHECK_EQ(end(p), 0);
	prong_conn_free(b);
}

/* --- ends ---------------------------------------------------------------------------------- */

static int says_hello(void *arg)
{
	put(arg, "hello");
	return 0;
}

static int says_hello_and_dies(void *arg)
{
	put(arg, "hello");
	raise(SIGKILL);
	return 0;
}

static int only_dies(void *arg)
{
	(void)arg;
	raise(SIGKILL);
	return 0;
}

static void end_of(prong_fn *fn, bool hello)
{
	prong_conn *a, *b;
	prong_process *p;
	char c;

	make(&a, &b);
	p = give_to(b, fn);
	if (hello)
		expect(a, "hello");
	CHECK_EQ(prong_conn_recv(a, &c, 1, NULL, soon()), PRONG_CLOSED);
	CHECK_EQ(prong_conn_recv(a, &c, 1, NULL, PRONG_NOW), PRONG_CLOSED);
	CHECK_EQ(prong_conn_send(a, "x", 1, soon()), PRONG_CLOSED);
	(void)join(p);
	prong_process_free(p);
	CHECK_EQ(prong_conn_recv(a, &c, 1, NULL, PRONG_NOW), PRONG_CLOSED);
	prong_conn_free(a);
}

static void end_of_file_however_it_ends(void **state)
{
	(void)state;
	for (int i = 0; i < scaled(20); i++) {
		end_of(says_hello, true);
		end_of(says_hello_and_dies, true);
		end_of(only_dies, false);
	}
}

static void give_to_an_ended_one_closes(void **state)
{
	int seven = 7;
	prong_process *p = start(body_return, &seven, sizeof seven);
	prong_conn *a, *b;

	(void)state;
	make(&a, &b);
	CHECK_EQ(join(p), 7);
	CHECK_EQ(prong_conn_give(b, p), -ESRCH);
	CHECK_EQ(now(a), PRONG_CLOSED);
	CHECK_EQ(prong_conn_give(b, NULL), -EINVAL);
	prong_process_free(p);
	drop(a, b);
}

/* A process that never starts leaves the end where it was: the caller's. */
static void never_started(void **state)
{
	prong_conn *a, *b;
	prong_process *p = NULL;

	(void)state;
	make(&a, &b);
	CHECK_EQ(prong_process_start(&p, says_hello, b, 0,
				     &(prong_process_opts){ .cwd = "/no/such/directory" }),
		 -ENOENT);
	CHECK_EQ(prong_conn_recv(a, &p, sizeof p, NULL, prong_in_ms(10)), PRONG_TIMEDOUT);
	prong_conn_free(b);
	CHECK_EQ(now(a), PRONG_CLOSED);
	prong_conn_free(a);
}

static int sleeps_in_recv(void *arg)
{
	prong_conn *c = arg;
	char byte;

	return prong_conn_recv(c, &byte, 1, NULL, soon());
}

static int sleeps_in_send(void *arg)
{
	static char data[2000];
	int r;

	while ((r = prong_conn_send(arg, data, sizeof data, soon())) == 0)
		;
	return r;
}

/* Those who sleep learn of the end, whichever process sleeps and whichever dies. */
static void sleepers_learn_of_the_end(void **state)
{
	prong_fn *const sleeper[] = { sleeps_in_recv, sleeps_in_send };

	(void)state;
	for (int i = 0; i < 2; i++) {
		prong_conn *a, *b;
		prong_process *p, *q;

		make(&a, &b);
		p = give_to(a, sleeper[i]);
		q = give_to(b, body_sleep);
		sleep_ms(5);
		kill_and_end(q);
		CHECK_EQ(end(p), PRONG_CLOSED);
		/* Both are gone, and the pipe goes with the next ones. */
		make(&a, &b);
		drop(a, b);
		make(&a, &b);
		drop(a, b);
	}
}

/* Asleep at each of several looks, so that it is where it will stay. */
static bool asleep(void *tid)
{
	for (int i = 0; i < 5; i++) {
		if (pid_state(*(pid_t *)tid, NULL) != 'S')
			return false;
		sleep_ms(2);
	}
	return true;
}

/* An end is freed under those who sleep on it, here and in another process; with or without the
   other end, before or after. */
static void an_end_is_freed_under_sleepers(void **state)
{
	prong_fn *const sleeper[] = { sleeps_in_recv, sleeps_in_send };

	(void)state;
	for (int i = 0; i < 6; i++) {
		prong_thread *t[2];
		prong_process *p;
		prong_conn *a, *b;
		pid_t id[3];

		make(&a, &b);
		for (int k = 0; k < 2; k++) {
			t[k] = start_thread(sleeper[i % 2], a, 0);
			id[k] = (pid_t)prong_thread_id(t[k]);
		}
		p = start(sleeper[i % 2], a, 0);
		id[2] = prong_process_pid(p);
		for (int k = 0; k < 3; k++)
			CHECK(wait_until(asleep, &id[k], HANG_MS));
		if (i / 2 == 1)
			prong_conn_free(b);
		prong_conn_free(a);
		if (i / 2 == 2)
			prong_conn_free(b);
		for (int k = 0; k < 2; k++)
			CHECK_EQ(end_thread(t[k]), PRONG_CLOSED);
		CHECK_EQ(end(p), PRONG_CLOSED);
		if (i / 2 == 0) {
			CHECK_EQ(prong_conn_send(b, "x", 1, PRONG_NOW), PRONG_CLOSED);
			prong_conn_free(b);
		}
	}
}

/* Who is stopped in a call holds up nobody; and the pipe goes when he does. */
static void freed_under_one_who_is_stopped(void **state)
{
	prong_conn *a, *b;
	prong_process *p;
	pid_t pid;

	(void)state;
	make(&a, &b);
	p = start(sleeps_in_recv, a, 0);
	pid = prong_process_pid(p);
	CHECK(wait_until(asleep, &pid, HANG_MS));
	CHECK_OK(prong_process_signal(p, SIGSTOP));
	drop(a, b);
	CHECK_OK(prong_process_signal(p, SIGCONT));
	CHECK_EQ(end(p), PRONG_CLOSED);
}

/* The owner changes while the other side sleeps for the old one, who lives on. */
static void the_owner_changes_under_a_sleeper(void **state)
{
	prong_conn *a, *b;
	prong_thread *t;
	prong_process *p, *q;

	(void)state;
	make(&a, &b);
	p = give_to(b, body_sleep);
	t = start_thread(sleeps_in_recv, a, 0);
	sleep_ms(5);
	q = start(body_sleep, NULL, 0);
	CHECK_OK(prong_conn_give(b, q));
	sleep_ms(5);
	CHECK(prong_thread_alive(t));
	kill_and_end(q);
	CHECK_EQ(end_thread(t), PRONG_CLOSED);
	kill_and_end(p);
	prong_conn_free(a);
}

static void the_server_is_killed(void **state)
{
	prong_conn *a, *b;
	prong_process *p;
	char c;

	(void)state;
	make(&a, &b);
	p = give_to(b, body_sleep);
	kill(server_pid(), SIGKILL);
	CHECK_EQ(prong_conn_recv(a, &c, 1, NULL, soon()), PRONG_CLOSED);
	CHECK_EQ(end(p), -SIGKILL);
	prong_conn_free(a);
}

static int makes_pipes_and_dies(void *arg)
{
	static char data[1 << 20];
	prong_conn *a, *b;

	(void)arg;
	for (int i = 0; i < 10; i++) {
		make(&a, &b);
		CHECK_OK(prong_conn_send(a, data, sizeof data, PRONG_NOW));
	}
	raise(SIGKILL);
	return 0;
}

/* Whoever makes more finds them. */
static void pipes_of_the_dead_are_found(void **state)
{
	prong_conn *a, *b;

	(void)state;
	CHECK_EQ(run(makes_pipes_and_dies, NULL, 0), -SIGKILL);
	for (int i = 0; i < 12; i++) {
		make(&a, &b);
		drop(a, b);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(both_ways_in_order),
		CASE(any_size_there_and_back),
		CASE(round_the_ring),
		CASE(take_into_the_heap),
		CASE(send_blocks_when_full),
		CASE(large_ones_fill_it_too),
		CASE(a_hundred_thousand_in_order),
		CASE(end_of_file_however_it_ends),
		CASE(give_to_an_ended_one_closes),
		CASE(never_started),
		CASE(sleepers_learn_of_the_end),
		CASE(an_end_is_freed_under_sleepers),
		CASE(freed_under_one_who_is_stopped),
		CASE(the_owner_changes_under_a_sleeper),
		CASE(pipes_of_the_dead_are_found),
		CASE(the_server_is_killed),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
