/* A queue is not freed while somebody needs it who lives: while he waits for it by prong_wait(), or
   has a message of it in hand.  Who sleeps in a call on it is queue.c's. */
#include "support.h"
#include <poll.h>

/* --- waiting ------------------------------------------------------------------------------- */

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

#define FURTHER 40 /* more than a slot has names for, and than a call has on its stack */

struct wait_for_queue {
	prong_queue *q, *further;
	bool room, descriptor, many;
};

static int waits_for_queue(void *arg)
{
	struct wait_for_queue *w = arg;
	prong_source s[2 + FURTHER] = { { 0 } };
	struct pollfd fd = { .events = POLLIN };
	int ends[2] = { -1, -1 }, r;
	size_t n = 0;

	CHECK(!w->descriptor || pipe(ends) == 0);
	fd.fd = ends[0];
	if (w->descriptor)
		s[n++] = (prong_source){ .fd = &fd };
	while (w->many && n < 1 + FURTHER)
		s[n++] = (prong_source){ .queue = w->further };
	s[n++] = w->room ? (prong_source){ .room = w->q } : (prong_source){ .queue = w->q };
	r = prong_wait(s, n, PRONG_FOREVER);
	CHECK(r || s[n - 1].ready);
	close(ends[0]);
	close(ends[1]);
	return r;
}

static prong_queue *full_queue(void)
{
	prong_queue *q;

	CHECK_OK(prong_queue_new(&q, &(prong_queue_opts){ .capacity = 1 }));
	CHECK_OK(prong_queue_put(q, "x", 1, PRONG_NOW));
	return q;
}

static prong_queue *empty_queue(void)
{
	prong_queue *q;

	CHECK_OK(prong_queue_new(&q, NULL));
	return q;
}

static void queues_are_not_freed_while_somebody_waits(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct wait_for_queue w = { .room = i & 1, .descriptor = i & 2, .many = i & 4 };
		prong_thread *t;
		pid_t tid;

		w.q = w.room ? full_queue() : empty_queue();
		w.further = empty_queue();
		t = start_thread(waits_for_queue, &w, sizeof w);
		tid = (pid_t)prong_thread_id(t);
		CHECK(wait_until(asleep, &tid, HANG_MS));
		CHECK_EQ(prong_queue_free(w.q), -EBUSY);
		if (w.many)
			CHECK_EQ(prong_queue_free(w.further), -EBUSY);
		CHECK_OK(prong_queue_close(w.q));
		CHECK_EQ(end_thread(t), 0);
		CHECK_OK(prong_queue_free(w.q));
		CHECK_OK(prong_queue_free(w.further));
	}
}

/* But who was killed as he waited does not count, and leaves nothing. */
static void who_was_killed_waits_no_more(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct wait_for_queue w = { .room = i & 1, .descriptor = i & 2, .many = i & 4 };
		prong_process *p;
		pid_t pid;

		w.q = w.room ? full_queue() : empty_queue();
		w.further = empty_queue();
		p = start(waits_for_queue, &w, sizeof w);
		pid = prong_process_pid(p);
		CHECK(wait_until(asleep, &pid, HANG_MS));
		CHECK_EQ(prong_queue_free(w.q), -EBUSY);
		kill_and_end(p);
		CHECK_OK(prong_queue_free(w.q));
		CHECK_OK(prong_queue_free(w.further));
	}
}

/* --- in hand ------------------------------------------------------------------------------- */

/* A message in the hands of somebody who lives keeps the queue; one in the caller's, or in a dead
   one's, does not. */
struct holder {
	prong_queue *q;
	int how_many;
	bool reserves;
	atomic_int has, may_go;
};

static int body_holds(void *arg)
{
	struct holder *h = arg;
	prong_message m[8];

	for (int i = 0; i < h->how_many; i++)
		CHECK_OK(h->reserves ? prong_queue_reserve(h->q, 1, &m[i])
				     : prong_queue_lease(h->q, &m[i], PRONG_NOW));
	atomic_store(&h->has, 1);
	CHECK(wait_for(&h->may_go, 1));
	for (int i = 0; i < h->how_many; i++)
		CHECK_OK(h->reserves ? prong_queue_abandon(h->q, &m[i])
				     : prong_queue_ack(h->q, &m[i]));
	atomic_store(&h->has, 0);
	return 0;
}

static void not_freed_while_others_have_a_message(void **state)
{
	struct holder *h = shared(sizeof *h);
	prong_message m;

	(void)state;
	for (int i = 0; i < 8; i++) {
		prong_thread *t = NULL;
		prong_process *p = NULL;

		*h = (struct holder){ empty_queue(), i & 1 ? 8 : 1, i & 2, 0, 0 };
		for (int k = 0; k < 9; k++)
			CHECK_OK(prong_queue_put(h->q, &k, sizeof k, PRONG_NOW));
		if (i & 4)
			p = start(body_holds, h, 0);
		else
			t = start_thread(body_holds, h, 0);
		CHECK(wait_for(&h->has, 1));
		CHECK_EQ(prong_queue_free(h->q), -EBUSY);
		if (p)
			kill_and_end(p);
		atomic_store(&h->may_go, 1);
		if (t)
			CHECK_EQ(end_thread(t), 0);
		CHECK_OK(prong_queue_lease(h->q, &m, PRONG_NOW));
		CHECK_OK(prong_queue_free(h->q));
	}
	prong_free(h);
}

static const struct CMUnitTest tests[] = {
	CASE(queues_are_not_freed_while_somebody_waits),
	CASE(who_was_killed_waits_no_more),
	CASE(not_freed_while_others_have_a_message),
};

TEST_MAIN(tests, TEST_WARM, NULL)
