/* kill -9 under load: programs put on a queue of a manager and get from it, over the network, and
   one after the other is killed, or the manager is.

   What a client is known to have is its own: so of one that is killed in get, the message may be
   gone that it had read and not yet written down.  All else that was put is seen; a lock that a
   killed one held is free; and nothing is seen that nobody put.  When the manager is killed nothing
   at all is lost, as the queue is in the heap.

   PRONG_TEST_SCALE=100 kills more. */
#include "raw.h"

#include <prong/codec.h>
#include <prong/manager.h>
#include <prong/remote.h>

enum {
	PRODUCERS = 2,
	CONSUMERS = 3,
	CLIENTS = PRODUCERS + CONSUMERS,
	MOST = 200000, /* messages of one producer */
	PROGRESS = 30  /* messages between two kills */
};

static int kills(int usual, int all)
{
	return scaled(getenv("PRONG_TEST_SCALE") ? all : usual);
}

struct board {
	char address[100];
	atomic_int up, stop, quiet; /* quiet: producers have stopped */
	atomic_int ready;           /* clients, that have begun */
	atomic_int tried[PRODUCERS];
	atomic_int busy[CLIENTS];   /* it is in get, or has not written down what it got */
	atomic_int failed[CLIENTS]; /* calls */
	atomic_int put, got;
	atomic_int holder, overlaps, locked;
	size_t lock_size;
	unsigned char lock[400]; /* a proxy, as a pickle */
	atomic_uchar done[PRODUCERS][MOST], seen[PRODUCERS][MOST];
};

struct part {
	struct board *b;
	prong_queue *queue;
	int i;
};

/* --- clients ---------------------------------------------------------------------------- */

static prong_time a_while(void)
{
	return prong_in_ms((int64_t)2000 * slowness());
}

/* What may happen to a call whose server is killed, before its deadline. */
static bool clear(int r)
{
	return r == PRONG_TIMEDOUT || r == -ECONNRESET || r == -ECONNREFUSED || r == -ETIMEDOUT;
}

static void reach(struct board *b, prong_remote **there, prong_queue **q)
{
	const prong_auth auth = raw_auth();

	CHECK_OK(prong_remote_open(there, b->address, &auth, soon()));
	CHECK_OK(prong_remote_queue(*there, "tasks", q, soon()));
	atomic_fetch_add(&b->ready, 1);
}

static int produce(void *arg)
{
	const struct part *me = arg;
	struct board *b = me->b;
	prong_remote *there;
	prong_queue *q;
	int n;

	reach(b, &there, &q);
	while (!atomic_load(&b->quiet) && (n = atomic_fetch_add(&b->tried[me->i], 1)) < MOST) {
		int r = prong_queue_put_value(q, prong_value_int((int64_t)me->i * MOST + n),
					      a_while());

		CHECK(r == 0 || clear(r));
		if (r) {
			atomic_fetch_add(&b->failed[me->i], 1);
			continue;
		}
		atomic_store(&b->done[me->i][n], 1);
		atomic_fetch_add(&b->put, 1);
		if (prong_queue_size(me->queue) > 500)
			sleep_ms(1);
	}
	CHECK_OK(prong_queue_free(q));
	prong_remote_close(there);
	return 0;
}

static prong_proxy *lock_of(struct board *b, prong_remote *there)
{
	prong_proxy *lock = NULL;
	prong_value *v;

	CHECK_OK(prong_decode(&v, PRONG_PICKLE, b->lock, b->lock_size, NULL));
	CHECK_OK(prong_proxy_of(there, v, &lock, soon()));
	prong_value_free(v);
	return lock;
}

/* Take the lock, and see that no other has it who lives. */
static void use(struct board *b, prong_proxy *lock)
{
	prong_value *v = NULL;
	int before;

	CHECK_OK(prong_proxy_call(lock, "acquire", prong_args(0), &v, soon()));
	CHECK(prong_value_kind(v) == PRONG_BOOL);
	prong_value_free(v);
	before = atomic_exchange(&b->holder, (int)getpid());
	if (before && pid_state(before, NULL) && pid_state(before, NULL) != 'Z')
		atomic_fetch_add(&b->overlaps, 1);
	atomic_fetch_add(&b->locked, 1);
	atomic_store(&b->holder, 0);
	CHECK_OK(prong_proxy_call(lock, "release", prong_args(0), NULL, soon()));
}

static void note(struct board *b, const prong_value *v)
{
	int64_t id = -1;

	CHECK_OK(prong_value_as_int(v, &id));
	CHECK(id >= 0 && id < (int64_t)PRODUCERS * MOST);
	atomic_fetch_add(&b->seen[id / MOST][id % MOST], 1);
	atomic_fetch_add(&b->got, 1);
}

static int consume(void *arg)
{
	const struct part *me = arg;
	struct board *b = me->b;
	prong_remote *there;
	prong_queue *q;
	prong_proxy *lock;

	reach(b, &there, &q);
	lock = b->lock_size ? lock_of(b, there) : NULL;
	for (int i = 0; !atomic_load(&b->stop); i++) {
		prong_value *v;
		int r;

		atomic_store(&b->busy[me->i], 1);
		r = prong_queue_get_value(q, &v, NULL, prong_in_ms(100));
		if (r == 0)
			note(b, v);
		atomic_store(&b->busy[me->i], 0);
		CHECK(r == 0 || clear(r));
		if (r == 0)
			prong_value_free(v);
		else
			atomic_fetch_add(&b->failed[me->i], r != PRONG_TIMEDOUT || !b->up);
		if (lock && i % 3 == 0)
			use(b, lock);
	}
	prong_proxy_free(lock);
	CHECK_OK(prong_queue_free(q));
	prong_remote_close(there);
	return 0;
}

static prong_process *begin(const struct part *part)
{
	return start(part->i < PRODUCERS ? produce : consume, part, sizeof *part);
}

/* --- what is known ---------------------------------------------------------------------- */

struct more {
	struct board *b;
	int put, got;
};

static bool went_on(void *arg)
{
	const struct more *m = arg;

	return atomic_load(&m->b->put) >= m->put && atomic_load(&m->b->got) >= m->got;
}

static void progress(struct board *b)
{
	struct more m = { b, atomic_load(&b->put) + PROGRESS, atomic_load(&b->got) + PROGRESS };

	CHECK(wait_until(went_on, &m, HANG_MS * slowness()));
}

struct sum {
	int lost, again, allowed;
};

static void sum_up(struct board *b, struct sum *s)
{
	s->lost = s->again = 0;
	for (int i = 0; i < PRODUCERS; i++) {
		for (int n = 0; n < MOST && n < atomic_load(&b->tried[i]); n++) {
			int seen = atomic_load(&b->seen[i][n]);

			s->lost += atomic_load(&b->done[i][n]) && !seen;
			s->again += seen > 1;
		}
		for (int n = atomic_load(&b->tried[i]); n < MOST; n++)
			CHECK_EQ(atomic_load(&b->seen[i][n]), 0);
	}
}

struct rest {
	struct board *b;
	prong_queue *queue;
	int allowed;
};

static bool all_is_seen(void *arg)
{
	const struct rest *rest = arg;
	struct sum s;

	sum_up(rest->b, &s);
	return s.lost <= rest->allowed && prong_queue_size(rest->queue) == 0;
}

/* Stop them, and see that no more is lost than may be. */
static void finish(struct part *part, prong_process **p, int allowed)
{
	struct board *b = part->b;
	struct rest rest = { b, part->queue, allowed };
	struct sum s;

	atomic_store(&b->quiet, 1);
	for (int i = 0; i < PRODUCERS; i++)
		CHECK_EQ(end(p[i]), 0);
	CHECK(wait_until(all_is_seen, &rest, HANG_MS * slowness()));
	atomic_store(&b->stop, 1);
	for (int i = PRODUCERS; i < CLIENTS; i++)
		CHECK_EQ(end(p[i]), 0);
	sum_up(b, &s);
	CHECK(s.lost <= allowed);
	print_message("%d put, %d got, %d more than once, %d lost of at most %d\n",
		      atomic_load(&b->put), atomic_load(&b->got), s.again, s.lost, allowed);
}

/* --- clients are killed ----------------------------------------------------------------- */

static prong_manager *serve(prong_queue *q, const char *address)
{
	const prong_manager_opts opts = { .auth = raw_auth(), .types = true, .linger_ms = 200 };
	prong_manager *m = NULL;

	CHECK_OK(prong_manager_open(&m, address, &opts));
	CHECK_OK(prong_manager_share_queue(m, "tasks", q));
	return m;
}

/* A lock for all clients: what stands for it, as a pickle. */
static prong_proxy *make_lock(struct board *b, prong_remote *there)
{
	prong_proxy *lock = NULL;
	prong_value *v;
	void *data;

	CHECK_OK(prong_remote_make(there, "Lock", prong_args(0), &lock, soon()));
	v = prong_proxy_value(lock);
	CHECK_OK(prong_encode(v, PRONG_PICKLE_3, &data, &b->lock_size, NULL));
	CHECK(b->lock_size <= sizeof b->lock);
	memcpy(b->lock, data, b->lock_size);
	free(data);
	prong_value_free(v);
	return lock;
}

/* Return 1 when it may have had a message that nobody else will see. */
static int kill_one(struct part *part, prong_process **p)
{
	const int i = part->i;
	const pid_t pid = prong_process_pid(p[i]);
	int busy;

	CHECK_EQ(kill(pid, SIGSTOP), 0);
	while (pid_state(pid, NULL) != 'T')
		sleep_ms(1);
	busy = atomic_load(&part->b->busy[i]);
	kill_and_end(p[i]);
	p[i] = begin(part);
	return busy;
}

/* The killed ones' references have gone, too. */
static bool no_object(void *arg)
{
	prong_manager_stats s;

	prong_manager_stat(arg, &s);
	return s.objects == 0;
}

static void clients_are_killed(void **state)
{
	struct board *b = shared(sizeof *b);
	struct part part[CLIENTS];
	prong_process *p[CLIENTS];
	const prong_auth auth = raw_auth();
	prong_manager_stats s;
	prong_remote *there;
	prong_proxy *lock;
	prong_manager *m;
	prong_queue *q;
	unsigned x = 1;
	int allowed = 0;

	(void)state;
	CHECK_OK(prong_queue_new(&q, NULL));
	m = serve(q, "tcp://127.0.0.1:0");
	snprintf(b->address, sizeof b->address, "%s", prong_manager_address(m));
	atomic_store(&b->up, 1);
	CHECK_OK(prong_remote_open(&there, b->address, &auth, soon()));
	lock = make_lock(b, there);
	for (int i = 0; i < CLIENTS; i++) {
		part[i] = (struct part){ b, q, i };
		p[i] = begin(&part[i]);
	}
	for (int i = 0; i < kills(8, 400); i++) {
		progress(b);
		x = x * 1664525 + 1013904223;
		allowed += kill_one(&part[(x >> 16) % CLIENTS], p);
	}
	progress(b);
	finish(part, p, allowed);
	CHECK_EQ(atomic_load(&b->overlaps), 0);
	CHECK(atomic_load(&b->locked) > 0);
	CHECK_OK(prong_proxy_call(lock, "acquire", prong_args(0), NULL, soon()));
	prong_manager_stat(m, &s);
	print_message("%d times locked, %d came back\n", atomic_load(&b->locked), (int)s.returned);
	prong_proxy_free(lock);
	CHECK(wait_until(no_object, m, HANG_MS * slowness()));
	prong_remote_close(there);
	prong_manager_close(m);
	CHECK_EQ(prong_queue_size(q), 0);
	CHECK_OK(prong_queue_free(q));
	prong_free(b);
}

/* --- the manager is killed -------------------------------------------------------------- */

static int manager(void *arg)
{
	const struct part *me = arg;
	struct board *b = me->b;
	prong_manager *m = serve(me->queue, *b->address ? b->address : "tcp://127.0.0.1:0");

	snprintf(b->address, sizeof b->address, "%s", prong_manager_address(m));
	atomic_store(&b->up, 1);
	CHECK_OK(prong_manager_wait(m, PRONG_FOREVER));
	return 1;
}

static bool each_failed(void *arg)
{
	struct board *b = arg;
	bool all = true;

	for (int i = 0; i < CLIENTS; i++)
		all = all && atomic_load(&b->failed[i]);
	return all;
}

static void the_manager_is_killed(void **state)
{
	struct board *b = shared(sizeof *b);
	struct part part[CLIENTS], server = { .b = b };
	prong_process *p[CLIENTS], *m;

	(void)state;
	CHECK_OK(prong_queue_new(&server.queue, NULL));
	m = start(manager, &server, sizeof server);
	CHECK(wait_for(&b->up, 1));
	for (int i = 0; i < CLIENTS; i++) {
		part[i] = (struct part){ b, server.queue, i };
		p[i] = begin(&part[i]);
	}
	CHECK(wait_for(&b->ready, CLIENTS));
	for (int i = 0; i < kills(2, 100); i++) {
		progress(b);
		for (int j = 0; j < CLIENTS; j++)
			atomic_store(&b->failed[j], 0);
		atomic_store(&b->up, 0);
		kill_and_end(m);
		CHECK(wait_until(each_failed, b, HANG_MS * slowness()));
		m = start(manager, &server, sizeof server);
		CHECK(wait_for(&b->up, 1));
	}
	progress(b);
	finish(part, p, 0);
	kill_and_end(m);
	CHECK_EQ(prong_queue_size(server.queue), 0);
	CHECK_OK(prong_queue_free(server.queue));
	prong_free(b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(clients_are_killed),
		CASE(the_manager_is_killed),
	};

	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
