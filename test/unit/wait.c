/* Waiting for the first of many things of all kinds. */
#include "support.h"

#include <poll.h>

static void put(prong_conn *c, const char *text)
{
	CHECK_OK(prong_conn_send(c, text, strlen(text), soon()));
}

static void take(prong_conn *c)
{
	char buf[64];
	size_t n;

	CHECK_OK(prong_conn_recv(c, buf, sizeof buf, &n, PRONG_NOW));
}

struct pipes {
	prong_conn *in[4], *out[4];
};

static void make(struct pipes *p)
{
	for (int i = 0; i < 4; i++)
		CHECK_OK(prong_pipe(&p->in[i], &p->out[i], NULL));
}

static void drop(struct pipes *p)
{
	for (int i = 0; i < 4; i++) {
		prong_conn_free(p->in[i]);
		prong_conn_free(p->out[i]);
	}
}

/* Which of the sources are ready, as bits; 0: none until the deadline. */
static unsigned ready(prong_source *s, size_t n, prong_time deadline)
{
	unsigned bits = 0;
	int r = prong_wait(s, n, deadline);

	if (r == PRONG_TIMEDOUT)
		return 0;
	CHECK_OK(r);
	for (size_t i = 0; i < n; i++)
		bits |= (unsigned)s[i].ready << i;
	CHECK(bits != 0);
	return bits;
}

/* --- what is ready already ----------------------------------------------------------------- */

static void nothing(void **state)
{
	prong_source none = { 0 };

	(void)state;
	CHECK_EQ(prong_wait(NULL, 0, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_wait(&none, 0, prong_in_ms(5)), PRONG_TIMEDOUT);
}

static void all_that_are_ready_and_no_others(void **state)
{
	struct pipes p;

	(void)state;
	make(&p);
	prong_source s[] = { { .conn = p.in[0] }, { .conn = p.in[1] }, { .conn = p.in[2] },
			     { .conn = p.in[3] } };
	CHECK_EQ(ready(s, 4, PRONG_NOW), 0);
	CHECK_EQ(ready(s, 4, prong_in_ms(-3)), 0);
	CHECK_EQ(ready(s, 4, prong_in_ms(10)), 0);
	put(p.out[1], "x");
	put(p.out[3], "");
	/* Nothing is taken, and none starves the other. */
	for (int i = 0; i < 100; i++)
		CHECK_EQ(ready(s, 4, soon()), 2 + 8);
	take(p.in[1]);
	CHECK_EQ(ready(s, 4, soon()), 8);
	prong_conn_free(p.out[0]);
	p.out[0] = NULL;
	CHECK_EQ(ready(s, 4, soon()), 1 + 8);
	take(p.in[3]);
	CHECK_EQ(ready(s, 4, prong_in_ms(-3)), 1);
	drop(&p);
}

/* A time-out changes nothing in the sources. */
static void nothing_is_stored_on_failure(void **state)
{
	struct pipes p;

	(void)state;
	make(&p);
	prong_source s[] = { { .conn = p.in[0], .ready = true }, { .conn = p.in[1] } };
	CHECK_EQ(prong_wait(s, 2, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK(s[0].ready && !s[1].ready);
	drop(&p);
}

/* --- what becomes ready -------------------------------------------------------------------- */

struct later {
	prong_conn *c;
	int ms;
};

static int sends_later(void *arg)
{
	struct later *l = arg;

	sleep_ms(l->ms);
	put(l->c, "now");
	return 5;
}

static void sleepers_are_woken(void **state)
{
	struct pipes p;

	(void)state;
	make(&p);
	for (int i = 0; i < scaled(40); i++) {
		prong_source s[] = { { .conn = p.in[0] }, { .conn = p.in[1] },
				     { .conn = p.in[2] } };
		struct later l = { p.out[i % 3], i % 4 };
		prong_thread *t = start_thread(sends_later, &l, sizeof l);

		CHECK_EQ(ready(s, 3, soon()), 1u << i % 3);
		take(p.in[i % 3]);
		CHECK_EQ(end_thread(t), 5);
	}
	drop(&p);
}

static void processes_and_threads(void **state)
{
	int zero = 0;
	prong_process *q = start(body_sleep, NULL, 0), *r = start(body_return, &zero, sizeof zero);
	atomic_int *word = shared(sizeof *word);
	prong_thread *t = start_thread(body_wait, word, 0);

	(void)state;
	prong_source s[] = { { .process = q }, { .process = r }, { .thread = t } };
	CHECK_EQ(ready(s, 3, soon()), 2);
	CHECK_EQ(end(r), 0);
	s[1] = (prong_source){ .thread = t };
	CHECK_EQ(ready(s, 2, prong_in_ms(20)), 0);
	atomic_store(word, 1);
	CHECK_EQ(ready(s, 3, soon()) & 1, 0);
	CHECK_EQ(end_thread(t), 0);
	CHECK_OK(prong_process_signal(q, SIGKILL));
	CHECK_EQ(ready(s, 1, soon()), 1);
	CHECK_OK(prong_process_join(q, NULL, PRONG_NOW));
	prong_process_free(q);
	prong_free(word);
}

static int sets(void *arg)
{
	sleep_ms(2);
	CHECK_OK(prong_event_set(arg));
	return 5;
}

static void events(void **state)
{
	prong_event *e = shared(2 * sizeof *e);

	(void)state;
	prong_source s[] = { { .event = &e[0] }, { .event = &e[1] } };
	CHECK_EQ(ready(s, 2, prong_in_ms(5)), 0);
	CHECK_OK(prong_event_set(&e[1]));
	CHECK_EQ(ready(s, 2, PRONG_NOW), 2);
	CHECK_OK(prong_event_clear(&e[1]));
	for (int i = 0; i < 2; i++) {
		prong_process *p = start(sets, &e[i], 0);

		CHECK_EQ(ready(s, 2, soon()), 1u << i);
		CHECK_EQ(ready(s, 2, soon()), 1u << i);
		CHECK_OK(prong_event_clear(&e[i]));
		CHECK_EQ(end(p), 5);
	}
	CHECK_EQ(ready(s, 2, PRONG_NOW), 0);
	prong_free(e);
}

static int dies_in_a_moment(void *arg)
{
	(void)arg;
	sleep_ms(3);
	raise(SIGKILL);
	return 0;
}

static int wait_for_event(void *e)
{
	return prong_event_wait(e, PRONG_FOREVER);
}

static void futures(void **state)
{
	static const char *const kinds[] = { "threads:1", "processes:1" };
	prong_event *gate = shared(sizeof *gate), *other = shared(sizeof *other);
	int ends[2];

	(void)state;
	CHECK_OK(pipe(ends));
	for (size_t i = 0; i < 2; i++) {
		struct pollfd fd = { .fd = ends[0], .events = POLLIN };
		prong_future *first, *second;
		prong_pool *pool;

		CHECK_OK(prong_pool_open(&pool, kinds[i], NULL));
		CHECK_OK(prong_pool_submit(pool, &first, wait_for_event, gate, 0, NULL));
		CHECK_OK(prong_pool_submit(pool, &second, wait_for_event, other, 0, NULL));
		{
			prong_source s[] = { { .future = first }, { .future = second } };
			prong_source mixed[] = { { .future = second }, { .fd = &fd } };
			prong_source gone = { .future = first };

			CHECK_EQ(ready(s, 2, prong_in_ms(5)), 0);
			CHECK_OK(prong_event_set(gate));
			CHECK_EQ(ready(s, 2, soon()), 1);
			CHECK_OK(prong_event_set(other));
			CHECK_EQ(ready(mixed, 2, soon()), 1);
			CHECK_EQ(ready(s, 2, PRONG_NOW), 3);
			CHECK_OK(prong_future_get(second, NULL, 0, PRONG_NOW));
			prong_future_free(first);
			CHECK_EQ(prong_wait(&gone, 1, PRONG_NOW), -EINVAL);
		}
		prong_future_free(second);
		CHECK_OK(prong_pool_free(pool));
		CHECK_OK(prong_event_clear(gate));
		CHECK_OK(prong_event_clear(other));
	}
	close(ends[0]);
	close(ends[1]);
	prong_free(gate);
	prong_free(other);
}

static void the_end_of_a_connection(void **state)
{
	struct pipes p;
	prong_process *q = start(dies_in_a_moment, NULL, 0);
	int r;

	(void)state;
	make(&p);
	prong_source s[] = { { .conn = p.in[0] }, { .conn = p.in[1] } };
	r = prong_conn_give(p.out[1], q);
	CHECK(r == 0 || r == -ESRCH);
	CHECK_EQ(ready(s, 2, soon()), 2);
	CHECK_EQ(end(q), -SIGKILL);
	p.out[1] = NULL;
	drop(&p);
}

/* --- descriptors --------------------------------------------------------------------------- */

static void descriptors_alone(void **state)
{
	int a[2], b[2];

	(void)state;
	CHECK(pipe(a) == 0 && pipe(b) == 0);
	struct pollfd pa = { .fd = a[0], .events = POLLIN }, pb = { .fd = b[0], .events = POLLIN };
	prong_source s[] = { { .fd = &pa }, { .fd = &pb } };
	CHECK_EQ(ready(s, 2, prong_in_ms(5)), 0);
	CHECK_EQ(write(b[1], "x", 1), 1);
	CHECK_EQ(ready(s, 2, soon()), 2);
	CHECK_EQ(pb.revents, POLLIN);
	close(a[1]);
	CHECK_EQ(ready(s, 2, soon()), 3);
	CHECK_EQ(pa.revents, POLLHUP);
	close(a[0]);
	close(b[0]);
	close(b[1]);
}

static int writes_later(void *arg)
{
	sleep_ms(2);
	CHECK_EQ(write(*(int *)arg, "x", 1), 1);
	return 5;
}

static void descriptors_among_others(void **state)
{
	struct pipes p;
	int fds[2];
	char c;

	(void)state;
	make(&p);
	CHECK_EQ(pipe(fds), 0);
	struct pollfd poll_fd = { .fd = fds[0], .events = POLLIN };
	prong_source s[] = { { .conn = p.in[0] }, { .fd = &poll_fd }, { .conn = p.in[1] } };
	CHECK_EQ(ready(s, 3, prong_in_ms(5)), 0);
	for (int i = 0; i < scaled(20); i++) {
		struct later l = { p.out[1], 1 };
		prong_thread *t = i % 2 ? start_thread(writes_later, &fds[1], sizeof fds[1])
					: start_thread(sends_later, &l, sizeof l);

		CHECK_EQ(ready(s, 3, soon()), i % 2 ? 2 : 4);
		if (i % 2)
			CHECK_EQ(read(fds[0], &c, 1), 1);
		else
			take(p.in[1]);
		CHECK_EQ(end_thread(t), 5);
	}
	CHECK_EQ(write(fds[1], "x", 1), 1);
	put(p.out[0], "x");
	CHECK_EQ(ready(s, 3, soon()), 3);
	close(fds[0]);
	close(fds[1]);
	drop(&p);
}

/* The thread that waits for us is no hindrance for a copy of the program. */
/* --- one of each --------------------------------------------------------------------------- */

enum kind { QUEUE, ROOM, CONN, EVENT, PROCESS, THREAD, FUTURE, FD, KINDS };

struct each {
	prong_queue *queue, *room;
	prong_conn *in, *out;
	prong_event event, thread_may, task_may, never;
	prong_process *process;
	prong_thread *thread;
	prong_pool *pool;
	prong_future *future;
	int fds[2];
	enum kind kind; /* that becomes ready */
};

static void make_each(struct each *x)
{
	CHECK_OK(prong_queue_new(&x->queue, NULL));
	CHECK_OK(prong_queue_new(&x->room, &(prong_queue_opts){ .capacity = 1 }));
	CHECK_OK(prong_queue_put(x->room, "x", 1, PRONG_NOW));
	CHECK_OK(prong_pipe(&x->in, &x->out, NULL));
	x->process = start(body_sleep, NULL, 0);
	x->thread = start_thread(wait_for_event, &x->thread_may, 0);
	CHECK_OK(prong_pool_open(&x->pool, "threads:1", NULL));
	CHECK_OK(prong_pool_submit(x->pool, &x->future, wait_for_event, &x->task_may, 0, NULL));
	CHECK_OK(pipe(x->fds));
}

static void drop_each(struct each *x)
{
	CHECK_OK(prong_queue_free(x->queue));
	CHECK_OK(prong_queue_free(x->room));
	prong_conn_free(x->in);
	prong_conn_free(x->out);
	CHECK_EQ(end(x->process), -SIGKILL);
	CHECK_EQ(end_thread(x->thread), 0);
	prong_future_free(x->future);
	CHECK_OK(prong_pool_free(x->pool));
	close(x->fds[0]);
	close(x->fds[1]);
}

/* Make the one ready, while the other thread is asleep. */
static int becomes_ready(void *arg)
{
	struct each *x = arg;
	char c;

	sleep_ms(3);
	switch (x->kind) {
	case QUEUE:
		CHECK_OK(prong_queue_put(x->queue, "x", 1, PRONG_NOW));
		break;
	case ROOM:
		CHECK_OK(prong_queue_get(x->room, &c, 1, NULL, PRONG_NOW));
		break;
	case CONN:
		put(x->out, "x");
		break;
	case PROCESS:
		CHECK_OK(prong_process_signal(x->process, SIGKILL));
		break;
	case FD:
		CHECK_EQ(write(x->fds[1], "x", 1), 1);
		break;
	default:
		CHECK_OK(prong_event_set(x->kind == EVENT    ? &x->event
					 : x->kind == THREAD ? &x->thread_may
							     : &x->task_may));
	}
	return 5;
}

/* It is as before again; or, what stays ready, out of the list. */
static void take_it(struct each *x, prong_source *s)
{
	char c;

	if (x->kind == QUEUE)
		CHECK_OK(prong_queue_get(x->queue, &c, 1, NULL, PRONG_NOW));
	else if (x->kind == ROOM)
		CHECK_OK(prong_queue_put(x->room, "x", 1, PRONG_NOW));
	else if (x->kind == CONN)
		take(x->in);
	else if (x->kind == EVENT)
		CHECK_OK(prong_event_clear(&x->event));
	else if (x->kind == FD)
		CHECK_EQ(read(x->fds[0], &c, 1), 1);
	else
		*s = (prong_source){ .event = &x->never };
}

static void each_in_turn(struct each *x, size_t n)
{
	struct pollfd fd = { .fd = x->fds[0], .events = POLLIN };
	prong_source s[KINDS] = {
		[QUEUE] = { .queue = x->queue },       [ROOM] = { .room = x->room },
		[CONN] = { .conn = x->in },	       [EVENT] = { .event = &x->event },
		[PROCESS] = { .process = x->process }, [THREAD] = { .thread = x->thread },
		[FUTURE] = { .future = x->future },    [FD] = { .fd = &fd },
	};

	CHECK_EQ(ready(s, n, prong_in_ms(2)), 0);
	for (size_t i = 0; i < n; i++) {
		prong_thread *t;

		x->kind = (enum kind)i;
		t = start_thread(becomes_ready, x, 0);
		CHECK_EQ(ready(s, n, soon()), 1u << i);
		CHECK_EQ(end_thread(t), 5);
		CHECK_EQ(ready(s, n, PRONG_NOW), 1u << i);
		take_it(x, &s[i]);
		CHECK_EQ(ready(s, n, PRONG_NOW), 0);
	}
}

/* All that there are in one list; the second time without descriptors, which is another way. */
static void one_of_each_kind(void **state)
{
	(void)state;
	for (size_t n = KINDS; n >= FD; n--) {
		struct each *x = shared(sizeof *x);

		make_each(x);
		each_in_turn(x, n);
		drop_each(x);
		prong_free(x);
	}
}

static void the_helper_does_not_count(void **state)
{
	int four = 4, fds[2];
	struct pipes p;

	(void)state;
	make(&p);
	CHECK_EQ(pipe(fds), 0);
	struct pollfd poll_fd = { .fd = fds[0], .events = POLLIN };
	prong_source s[] = { { .conn = p.in[0] }, { .fd = &poll_fd } };
	CHECK_EQ(ready(s, 2, prong_in_ms(1)), 0);
	if (!TEST_TSAN)
		CHECK_EQ(end(start_with(body_return, &four, sizeof four,
					&(prong_process_opts){ .method = PRONG_FORK })), 4);
	CHECK_EQ(ready(s, 2, prong_in_ms(1)), 0);
	close(fds[0]);
	close(fds[1]);
	drop(&p);
}

/* --- many ---------------------------------------------------------------------------------- */

#define MANY 200

static void more_than_the_system_takes(void **state)
{
	static prong_conn *in[MANY], *out[MANY];
	static prong_source s[MANY];
	int zero = 0;
	prong_process *q;

	(void)state;
	q = start(body_sleep, &zero, sizeof zero);
	for (int i = 0; i < MANY; i++) {
		CHECK_OK(prong_pipe(&in[i], &out[i], &(prong_pipe_opts){ .buffer = 1 }));
		s[i] = (prong_source){ .conn = in[i] };
		CHECK_OK(prong_conn_give(out[i], q));
	}
	CHECK_EQ(prong_wait(s, MANY, prong_in_ms(20)), PRONG_TIMEDOUT);
	for (int i = 0; i < MANY; i += 37) {
		struct later l = { out[i], 3 };
		prong_thread *t = start_thread(sends_later, &l, sizeof l);

		CHECK_OK(prong_wait(s, MANY, soon()));
		for (int k = 0; k < MANY; k++)
			CHECK_EQ(s[k].ready, k == i);
		take(in[i]);
		CHECK_EQ(end_thread(t), 5);
	}
	kill_and_end(q);
	CHECK_OK(prong_wait(s, MANY, soon()));
	for (int i = 0; i < MANY; i++) {
		CHECK(s[i].ready);
		prong_conn_free(in[i]);
	}
}

/* --- what may be done wrong ---------------------------------------------------------------- */

static void bad_arguments(void **state)
{
	struct pipes p;
	prong_conn *in, *out;

	(void)state;
	make(&p);
	CHECK_OK(prong_pipe(&in, &out, &(prong_pipe_opts){ .one_way = true }));
	prong_source bad[] = { { 0 },
			       { .conn = p.in[0], .process = prong_process_self() },
			       { .conn = (prong_conn *)(void *)&p },
			       { .process = (prong_process *)(void *)&p },
			       { .queue = (prong_queue *)(void *)&p },
			       { .room = (prong_queue *)(void *)p.in[0] },
			       { .event = (prong_event *)(void *)((char *)&p + 1) },
			       { .conn = p.in[0], .reserved2_ = { 0, 0, 0, 1 } },
			       { .future = (struct prong_future *)(void *)&p } };
	put(p.out[0], "x");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		prong_source s[] = { { .conn = p.in[0] }, bad[i] };

		CHECK_EQ(prong_wait(s, 2, PRONG_NOW), -EINVAL);
		CHECK(!s[0].ready && prong_error_detail()[0]);
	}
	CHECK_EQ(prong_wait(&(prong_source){ .conn = out }, 1, PRONG_NOW), -EBADF);
	CHECK_EQ(prong_wait(NULL, 1, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_wait(bad, SIZE_MAX, PRONG_NOW), -EINVAL);
	prong_conn_free(in);
	prong_conn_free(out);
	drop(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing),
		CASE(all_that_are_ready_and_no_others),
		CASE(nothing_is_stored_on_failure),
		CASE(sleepers_are_woken),
		CASE(processes_and_threads),
		CASE(events),
		CASE(futures),
		CASE(the_end_of_a_connection),
		CASE(descriptors_alone),
		CASE(descriptors_among_others),
		CASE(one_of_each_kind),
		CASE(the_helper_does_not_count),
		CASE(more_than_the_system_takes),
		CASE(bad_arguments),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
