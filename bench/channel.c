/* The ways to get messages from one process to another that are measured beside each other.

   Of the peers none outlives a death: who is killed inside the ring of semaphores, the cells or
   Boost's queue leaves it locked, short of a place or stuck.

   Not here: what is done with them (queue.c), Concurrency Kit's rings (channel_ck.c), and Python's
   queue, which is a program (queue.c). */
#include "channel.h"
#include "boost.h"
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <prong/prong.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- prong ------------------------------------------------------------------------------------ */

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

static void *prong_begin(size_t size, bool crowd)
{
	const prong_queue_opts opts = { .capacity = bench_capacity(size) };
	prong_queue *q;

	(void)crowd;
	must(prong_queue_new(&q, &opts), "prong_queue_new");
	return q;
}

static void prong_put(void *at, const void *data, size_t size)
{
	must(prong_queue_put(at, data, size, PRONG_FOREVER), "prong_queue_put");
}

static void prong_get(void *at, void *data, size_t size)
{
	must(prong_queue_get(at, data, size, NULL, PRONG_FOREVER), "prong_queue_get");
}

static void prong_end(void *at)
{
	must(prong_queue_close(at), "prong_queue_close");
	must(prong_queue_free(at), "prong_queue_free");
}

/* Of the message only one byte is written and read: the rest would cost the same anywhere. */
static void in_place_put(void *at, const void *data, size_t size)
{
	prong_message m;

	must(prong_queue_reserve(at, size, &m), "prong_queue_reserve");
	*(char *)m.data = *(const char *)data;
	must(prong_queue_commit(at, &m, PRONG_FOREVER), "prong_queue_commit");
}

static void in_place_get(void *at, void *data, size_t size)
{
	prong_message m;

	(void)size;
	must(prong_queue_lease(at, &m, PRONG_FOREVER), "prong_queue_lease");
	*(char *)data = *(const char *)m.data;
	must(prong_queue_ack(at, &m), "prong_queue_ack");
}

const struct bench_channel bench_channel_prong = {
	prong_begin, prong_put, prong_get, prong_end, 1, true
};
const struct bench_channel bench_channel_in_place = {
	prong_begin, in_place_put, in_place_get, prong_end, 1, true
};

/* --- a ring and two semaphores ---------------------------------------------------------------- */

/* The ends of a ring: its places are taken in turn, in a crowd under the lock. */
struct ring_end {
	alignas(128) sem_t ready;
	pthread_mutex_t lock;
	unsigned next;
};

struct sem_ring {
	struct ring_end puts, gets;
	alignas(128) size_t size, all; /* bytes of a message, and of the ring */
	unsigned cells;
	bool crowd;
	alignas(128) char data[];
};

static void ring_end_begin(struct ring_end *e, unsigned ready)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	if (sem_init(&e->ready, 1, ready) || pthread_mutex_init(&e->lock, &a))
		errx(1, "a ring's semaphore or lock");
}

static void *sem_ring_begin(size_t size, bool crowd)
{
	unsigned cells = bench_capacity(size);
	size_t all = sizeof(struct sem_ring) + cells * size;
	struct sem_ring *r = bench_shared(all);

	r->size = size;
	r->all = all;
	r->cells = cells;
	r->crowd = crowd;
	ring_end_begin(&r->puts, cells);
	ring_end_begin(&r->gets, 0);
	return r;
}

static void await(sem_t *s)
{
	while (sem_wait(s) != 0)
		if (errno != EINTR)
			err(1, "sem_wait");
}

static char *ring_enter(struct sem_ring *r, struct ring_end *e)
{
	await(&e->ready);
	if (r->crowd)
		pthread_mutex_lock(&e->lock);
	return r->data + e->next++ % r->cells * r->size;
}

static void ring_leave(const struct sem_ring *r, struct ring_end *e, struct ring_end *other)
{
	if (r->crowd)
		pthread_mutex_unlock(&e->lock);
	sem_post(&other->ready);
}

static void sem_ring_put(void *at, const void *data, size_t size)
{
	struct sem_ring *r = at;

	memcpy(ring_enter(r, &r->puts), data, size);
	ring_leave(r, &r->puts, &r->gets);
}

static void sem_ring_get(void *at, void *data, size_t size)
{
	struct sem_ring *r = at;

	memcpy(data, ring_enter(r, &r->gets), size);
	ring_leave(r, &r->gets, &r->puts);
}

/* Only one byte, as prong in place. */
static void sem_ring_put_in_place(void *at, const void *data, size_t size)
{
	sem_ring_put(at, data, 1);
	(void)size;
}

static void sem_ring_get_in_place(void *at, void *data, size_t size)
{
	sem_ring_get(at, data, 1);
	(void)size;
}

static void sem_ring_end(void *at)
{
	struct sem_ring *r = at;

	munmap(r, r->all);
}

const struct bench_channel bench_channel_sem = {
	sem_ring_begin, sem_ring_put, sem_ring_get, sem_ring_end, 4, false
};
const struct bench_channel bench_channel_sem_in_place = {
	sem_ring_begin, sem_ring_put_in_place, sem_ring_get_in_place, sem_ring_end, 4, false
};

/* --- Boost ------------------------------------------------------------------------------------ */

#ifdef BENCH_BOOST
static void *boost_begin(size_t size, bool crowd)
{
	void *q = bench_boost_new(bench_capacity(size), size);

	(void)crowd;
	if (!q)
		errx(1, "Boost's message_queue cannot be made");
	return q;
}

const struct bench_channel bench_channel_boost = {
	boost_begin, bench_boost_put, bench_boost_get, bench_boost_free, 4, false
};

const char *bench_no_boost(void)
{
	return NULL;
}
#else
const struct bench_channel bench_channel_boost = { .slow = 1 };

const char *bench_no_boost(void)
{
	return "Boost.Interprocess was not there, or no C++, when this was built";
}
#endif

/* --- descriptors ------------------------------------------------------------------------------ */

/* { to read, to write } */
static void *fds_new(int from, int to)
{
	int *fds = malloc(2 * sizeof(int));

	if (!fds)
		err(1, "malloc");
	fds[0] = from;
	fds[1] = to;
	return fds;
}

static void *pipe_begin(size_t size, bool crowd)
{
	int fds[2];

	(void)size;
	(void)crowd;
	if (pipe(fds))
		err(1, "pipe");
	return fds_new(fds[0], fds[1]);
}

static void *socketpair_begin(size_t size, bool crowd)
{
	int fds[2];

	(void)size;
	(void)crowd;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		err(1, "socketpair");
	return fds_new(fds[0], fds[1]);
}

/* What is small goes in one piece, also with others at it. */
static void fds_put(void *at, const void *data, size_t size)
{
	const char *from = data;

	for (ssize_t done; size; from += done, size -= (size_t)done)
		if ((done = write(((int *)at)[1], from, size)) <= 0)
			err(1, "write");
}

static void fds_get(void *at, void *data, size_t size)
{
	char *to = data;

	for (ssize_t done; size; to += done, size -= (size_t)done)
		if ((done = read(((int *)at)[0], to, size)) <= 0)
			err(1, "read");
}

static void fds_end(void *at)
{
	close(((int *)at)[0]);
	close(((int *)at)[1]);
	free(at);
}

const struct bench_channel bench_channel_pipe = { pipe_begin, fds_put, fds_get, fds_end, 8, false };
const struct bench_channel bench_channel_socketpair = {
	socketpair_begin, fds_put, fds_get, fds_end, 16, false
};

/* --- POSIX message queues --------------------------------------------------------------------- */

/* Of 10 messages: what a user without privilege may have. */
static mqd_t mq_new(size_t size)
{
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = (long)size };
	char name[32];
	mqd_t q;

	snprintf(name, sizeof name, "/prong-bench-%d", getpid());
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (q != (mqd_t)-1)
		mq_unlink(name);
	return q;
}

static void *mq_begin(size_t size, bool crowd)
{
	mqd_t q = mq_new(size);

	(void)crowd;
	if (q == (mqd_t)-1)
		err(1, "mq_open");
	return fds_new(q, q);
}

const char *bench_no_mq(void)
{
	mqd_t q = mq_new(1);

	if (q == (mqd_t)-1)
		return "the system has none, or no more of them";
	mq_close(q);
	return NULL;
}

static void mq_put(void *at, const void *data, size_t size)
{
	if (mq_send(((mqd_t *)at)[1], data, size, 0) != 0)
		err(1, "mq_send");
}

static void mq_get(void *at, void *data, size_t size)
{
	if (mq_receive(((mqd_t *)at)[0], data, size, NULL) < 0)
		err(1, "mq_receive");
}

static void mq_end(void *at)
{
	mq_close(((mqd_t *)at)[0]);
	free(at);
}

const struct bench_channel bench_channel_mq = { mq_begin, mq_put, mq_get, mq_end, 16, false };

/* --- floors: cells, and a futex --------------------------------------------------------------- */

/* For any number at both ends, who look until they find; the least that a shared ring can do. */
struct cell {
	alignas(128) _Atomic uint32_t turn;
	char data[64];
};

struct cells {
	alignas(128) _Atomic uint32_t puts;
	alignas(128) _Atomic uint32_t gets;
	alignas(128) uint32_t mask;
	struct cell cell[1024];
};

static void *cells_begin(size_t size, bool crowd)
{
	struct cells *c = bench_shared(sizeof *c);

	(void)size;
	(void)crowd;
	c->mask = sizeof c->cell / sizeof *c->cell - 1;
	for (uint32_t i = 0; i <= c->mask; i++)
		atomic_store_explicit(&c->cell[i].turn, i, memory_order_relaxed);
	return c;
}

/* Take the next place, when its cell's turn is the place + ahead. */
static struct cell *cells_enter(struct cells *c, _Atomic uint32_t *next, uint32_t ahead,
				uint32_t *place)
{
	uint32_t at = atomic_load_explicit(next, memory_order_relaxed);

	for (unsigned looks = 1;; looks++) {
		struct cell *cell = &c->cell[at & c->mask];

		/* acquire: pairs with cells_leave() of the other end. */
		if (atomic_load_explicit(&cell->turn, memory_order_acquire) == at + ahead) {
			*place = at;
			if (atomic_compare_exchange_weak_explicit(
				    next, &at, at + 1, memory_order_relaxed, memory_order_relaxed))
				return cell;
			continue;
		}
		bench_pause();
		if (looks % 64 == 0)
			sched_yield();
		at = atomic_load_explicit(next, memory_order_relaxed);
	}
}

static void cells_leave(struct cell *cell, uint32_t turn)
{
	/* release: pairs with cells_enter(). */
	atomic_store_explicit(&cell->turn, turn, memory_order_release);
}

static void cells_put(void *at, const void *data, size_t size)
{
	struct cells *c = at;
	uint32_t place;
	struct cell *cell = cells_enter(c, &c->puts, 0, &place);

	memcpy(cell->data, data, size);
	cells_leave(cell, place + 1);
}

static void cells_get(void *at, void *data, size_t size)
{
	struct cells *c = at;
	uint32_t place;
	struct cell *cell = cells_enter(c, &c->gets, 1, &place);

	memcpy(data, cell->data, size);
	cells_leave(cell, place + c->mask + 1);
}

static void cells_end(void *at)
{
	munmap(at, sizeof(struct cells));
}

const struct bench_channel bench_channel_cells = {
	cells_begin, cells_put, cells_get, cells_end, 2, false
};

/* A word alone, which tells that there is something. */
static void *futex_begin(size_t size, bool crowd)
{
	(void)size;
	(void)crowd;
	return bench_shared(sizeof(_Atomic uint32_t));
}

static void futex_put(void *at, const void *data, size_t size)
{
	_Atomic uint32_t *word = at;

	(void)data;
	(void)size;
	/* release: pairs with futex_get(). */
	atomic_store_explicit(word, 1, memory_order_release);
	bench_futex_wake(word);
}

static void futex_get(void *at, void *data, size_t size)
{
	_Atomic uint32_t *word = at;

	(void)data;
	(void)size;
	/* acquire: pairs with futex_put(). */
	while (atomic_exchange_explicit(word, 0, memory_order_acquire) == 0)
		bench_futex_wait(word, 0);
}

static void futex_end(void *at)
{
	munmap(at, sizeof(_Atomic uint32_t));
}

const struct bench_channel bench_channel_futex = {
	futex_begin, futex_put, futex_get, futex_end, 1, false
};
