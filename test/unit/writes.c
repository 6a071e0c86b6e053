/* Counted writers: a reader whose writers have all ended hears of it, however they ended. */
#include "support.h"

static prong_queue *make(void)
{
	prong_queue *q = NULL;

	CHECK_OK(prong_queue_new(&q, NULL));
	return q;
}

static prong_process *writer(prong_queue *q, prong_fn *fn)
{
	return start_with(fn, q, 0, &(prong_process_opts){ .writes = { q } });
}

static int get(prong_queue *q, prong_time deadline)
{
	int x = 0, r = prong_queue_get(q, &x, sizeof x, NULL, deadline);

	return r ? r : -x;
}

static int puts_three(void *arg)
{
	for (int i = 1000; i < 1003; i++)
		CHECK_OK(prong_queue_put(arg, &i, sizeof i, soon()));
	return 0;
}

static int puts_and_dies(void *arg)
{
	puts_three(arg);
	raise(SIGKILL);
	return 0;
}

static void three_and_the_end(prong_queue *q)
{
	for (int i = 1000; i < 1003; i++)
		CHECK_EQ(get(q, soon()), -i);
	CHECK_EQ(get(q, soon()), PRONG_CLOSED);
	CHECK_EQ(get(q, PRONG_NOW), PRONG_CLOSED);
}

static void without_any_a_reader_waits(void **state)
{
	prong_queue *q = make();

	(void)state;
	CHECK_EQ(get(q, prong_in_ms(10)), PRONG_TIMEDOUT);
	CHECK_EQ(end(start(puts_three, q, 0)), 0); /* which does not count */
	for (int i = 1000; i < 1003; i++)
		CHECK_EQ(get(q, soon()), -i);
	CHECK_EQ(get(q, prong_in_ms(10)), PRONG_TIMEDOUT);
	prong_queue_free(q);
}

static void what_they_left_and_then_the_end(void **state)
{
	prong_fn *const ends[] = { puts_three, puts_and_dies };

	(void)state;
	for (int i = 0; i < scaled(20); i++) {
		prong_queue *q = make();
		prong_process *p = writer(q, ends[i % 2]);

		three_and_the_end(q);
		CHECK_EQ(end(p), i % 2 ? -SIGKILL : 0);
		CHECK_EQ(get(q, PRONG_NOW), PRONG_CLOSED);
		/* It is not closed: others may come. */
		p = writer(q, puts_three);
		three_and_the_end(q);
		CHECK_EQ(end(p), 0);
		prong_queue_free(q);
	}
}

static void until_the_last(void **state)
{
	prong_queue *q = make();
	prong_process *p[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		p[i] = writer(q, body_sleep);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(get(q, prong_in_ms(5)), PRONG_TIMEDOUT);
		kill_and_end(p[i]);
	}
	CHECK_EQ(get(q, soon()), PRONG_CLOSED);
	prong_queue_free(q);
}

static int reads_to_the_end(void *arg)
{
	int r;

	while ((r = get(arg, soon())) < 0)
		;
	return r;
}

/* Who sleeps already when the first one is started knows of it too. */
static void sleepers_hear_of_it(void **state)
{
	prong_queue *q = make();
	prong_process *reader = start(reads_to_the_end, q, 0);
	prong_thread *t = start_thread(reads_to_the_end, q, 0);
	prong_process *p;

	(void)state;
	sleep_ms(5);
	p = writer(q, body_sleep);
	sleep_ms(5);
	kill_and_end(p);
	CHECK_EQ(end(reader), PRONG_CLOSED);
	CHECK_EQ(end_thread(t), PRONG_CLOSED);
	prong_queue_free(q);
}

static void threads_count(void **state)
{
	prong_queue *q = make();
	prong_thread *t;
	atomic_int *word = shared(sizeof *word);

	(void)state;
	CHECK_OK(prong_thread_start(&t, body_wait, word, 0,
				    &(prong_thread_opts){ .writes = { NULL, NULL, NULL, q } }));
	CHECK_EQ(get(q, prong_in_ms(10)), PRONG_TIMEDOUT);
	atomic_store(word, 1);
	CHECK_EQ(get(q, soon()), PRONG_CLOSED);
	CHECK_EQ(end_thread(t), 0);
	prong_free(word);
	prong_queue_free(q);
}

static void copies_count(void **state)
{
	prong_queue *q = make();
	prong_process *p = start_with(puts_three, q, 0,
				      &(prong_process_opts){ .writes = { q },
							     .method = PRONG_FORK });

	(void)state;
	three_and_the_end(q);
	CHECK_EQ(end(p), 0);
	prong_queue_free(q);
}

static void who_never_ran_does_not_count(void **state)
{
	prong_queue *q = make();
	prong_process *p = NULL;

	(void)state;
	CHECK_EQ(prong_process_start(&p, puts_three, q, 0,
				     &(prong_process_opts){ .writes = { q },
							    .cwd = "/no/such/directory" }),
		 -ENOENT);
	CHECK_EQ(get(q, prong_in_ms(10)), PRONG_TIMEDOUT);
	prong_queue_free(q);
}

struct family {
	prong_queue *q;
	atomic_int running;
};

static int sleeps_in_it(void *arg)
{
	struct family *f = arg;

	atomic_store(&f->running, 1);
	return body_sleep(NULL);
}

static int starts_a_writer(void *arg)
{
	struct family *f = arg;

	(void)start_with(sleeps_in_it, f, 0, &(prong_process_opts){ .writes = { f->q } });
	return body_sleep(NULL);
}

/* Its writer goes with it. */
static void the_starter_is_killed(void **state)
{
	struct family *f = shared(sizeof *f);
	prong_process *p;

	(void)state;
	f->q = make();
	p = start(starts_a_writer, f, 0);
	CHECK(wait_for(&f->running, 1));
	CHECK_EQ(get(f->q, prong_in_ms(5)), PRONG_TIMEDOUT);
	kill_and_end(p);
	CHECK_EQ(get(f->q, soon()), PRONG_CLOSED);
	prong_queue_free(f->q);
	prong_free(f);
}

static void the_server_is_killed(void **state)
{
	prong_queue *q = make();
	prong_process *p = writer(q, body_sleep);

	(void)state;
	kill(server_pid(), SIGKILL);
	CHECK_EQ(get(q, soon()), PRONG_CLOSED);
	CHECK_EQ(end(p), -SIGKILL);
	prong_queue_free(q);
}

static void bad_arguments(void **state)
{
	uint64_t *no_queue = shared(64), mine[8] = { 0 };
	prong_process *p;
	prong_thread *t;

	(void)state;
	for (int i = 0; i < 4; i++) {
		prong_process_opts a = { 0 };
		prong_thread_opts b = { 0 };

		a.writes[i] = (prong_queue *)(void *)(i % 2 ? no_queue : mine);
		b.writes[i] = a.writes[i];
		CHECK_EQ(prong_process_start(&p, puts_three, NULL, 0, &a), -EINVAL);
		CHECK_EQ(prong_thread_start(&t, puts_three, NULL, 0, &b), -EINVAL);
	}
	prong_free(no_queue);
}

/* --- waiting for it ------------------------------------------------------------------------ */

static int puts_later(void *arg)
{
	int x = 5;

	sleep_ms(2);
	CHECK_OK(prong_queue_put(arg, &x, sizeof x, soon()));
	return 0;
}

static int gets_later(void *arg)
{
	sleep_ms(2);
	CHECK_EQ(get(arg, soon()), -5);
	return 0;
}

static void queues_can_be_waited_for(void **state)
{
	prong_queue *q = make(), *full = NULL;
	int x = 5;
	prong_process *p;

	(void)state;
	CHECK_OK(prong_queue_new(&full, &(prong_queue_opts){ .capacity = 1 }));
	CHECK_OK(prong_queue_put(full, &x, sizeof x, PRONG_NOW));
	prong_source s[] = { { .queue = q }, { .room = full } };
	CHECK_EQ(prong_wait(s, 2, prong_in_ms(5)), PRONG_TIMEDOUT);
	p = start(puts_later, q, 0);
	CHECK_OK(prong_wait(s, 2, soon()));
	CHECK(s[0].ready && !s[1].ready);
	CHECK_EQ(get(q, PRONG_NOW), -5);
	CHECK_EQ(end(p), 0);
	p = start(gets_later, full, 0);
	CHECK_OK(prong_wait(s, 2, soon()));
	CHECK(!s[0].ready && s[1].ready);
	CHECK_EQ(end(p), 0);
	CHECK_OK(prong_queue_put(full, &x, sizeof x, PRONG_NOW));
	p = writer(q, body_sleep);
	CHECK_EQ(prong_wait(s, 2, prong_in_ms(5)), PRONG_TIMEDOUT);
	CHECK_OK(prong_process_signal(p, SIGKILL));
	CHECK_OK(prong_wait(s, 2, soon()));
	CHECK(s[0].ready && !s[1].ready);
	CHECK_EQ(get(q, PRONG_NOW), PRONG_CLOSED);
	CHECK_EQ(end(p), -SIGKILL);
	prong_queue_free(q);
	prong_queue_free(full);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(without_any_a_reader_waits),
		CASE(what_they_left_and_then_the_end),
		CASE(until_the_last),
		CASE(sleepers_hear_of_it),
		CASE(threads_count),
		CASE(copies_count),
		CASE(who_never_ran_does_not_count),
		CASE(the_starter_is_killed),
		CASE(bad_arguments),
		CASE(queues_can_be_waited_for),
		CASE(the_server_is_killed),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
