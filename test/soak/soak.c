/* The soak: producers and consumers as processes on one queue, and one of them killed every
   millisecond or so.  What was put and what was seen is written down outside the heap, in memory
   that is no business of the library's, and compared at the end:
     lost         a put returned, and nobody ever saw the message
     unmarked     it was seen twice, and the second time not marked as tried before; or after
		  somebody had got it for good
     disordered   of one producer's messages, but for those that came back, one came after a later
		  one
   All must be none, and the heap must stay as it is.  A put that was cut short may be in or not;
   who is killed after he has seen a message, but before he acknowledged it, makes it come again,
   marked; and who is killed in a get may take one message along.

   One producer puts, the other reserves and commits, and abandons some; one consumer leases, and
   abandons some, the other also gets.

   usage: prong-soak [SECONDS [MS_BETWEEN_KILLS]] */
#define _GNU_SOURCE
#include <err.h>
#include <prong/prong.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PRODUCERS 2
#define CONSUMERS 2
#define WORKERS	  (PRODUCERS + CONSUMERS)
#define MOST	  ((uint64_t)1 << 30) /* messages of one producer */
#define LARGE	  1000		      /* each so manieth message has a block of its own */
#define ABANDONED 100 /* each so manieth is abandoned once; reserved: another one before it */
#define GOT	  16  /* each so manieth of the second consumer is got */
#define SLACK	  ((uint64_t)4 << 20) /* bytes of the heap */

enum { BY_LEASE = 1, BY_GET = 2 };

/* Outside the heap. */
struct oracle {
	_Atomic uint64_t tried[PRODUCERS], done[PRODUCERS]; /* by the producer */
	_Atomic uint64_t again, unmarked, torn, disordered; /* by the consumers */
	_Atomic int getting[CONSUMERS];			    /* may have one for good, unseen */
	_Atomic int stop;
	_Atomic unsigned char seen[PRODUCERS][MOST];
	_Atomic unsigned char cut[PRODUCERS][MOST]; /* its put was cut short.  The killer */
};
static struct oracle *oracle;

static prong_queue *queue; /* in the program; workers are told */

struct part {
	prong_queue *queue;
	int i;
};

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

struct message {
	uint64_t producer, number;
	char rest[200];
};

static void put(prong_queue *q, const struct message *m, size_t size)
{
	must(prong_queue_put(q, m, size, PRONG_FOREVER), "put");
}

static void put_in_place(prong_queue *q, const struct message *m, size_t size)
{
	prong_message place;

	if (m->number % ABANDONED == 0) {
		must(prong_queue_reserve(q, size, &place), "reserve");
		must(prong_queue_abandon(q, &place), "abandon");
	}
	must(prong_queue_reserve(q, size, &place), "reserve");
	memcpy(place.data, m, size);
	must(prong_queue_commit(q, &place, PRONG_FOREVER), "commit");
}

static int produce(void *arg)
{
	const struct part *part = arg;
	int me = part->i;
	struct message m = { .producer = (uint64_t)me };

	/* Where the last one was killed; the message that it was at may be in or not. */
	for (uint64_t i = oracle->tried[me]; !oracle->stop && i < MOST; i++) {
		m.number = i; /* each after the one before: a kill leaves a prefix */
		oracle->tried[me] = i + 1;
		(me ? put_in_place : put)(part->queue, &m, i % LARGE ? 16 : sizeof m);
		oracle->done[me] = i + 1;
	}
	return 0;
}

static void see(const struct message *m, uint32_t tries, unsigned char how)
{
	unsigned char before;

	if (m->producer >= PRODUCERS || m->number >= oracle->tried[m->producer]) {
		oracle->torn++;
		return;
	}
	before = atomic_fetch_or(&oracle->seen[m->producer][m->number], how);
	if (before & BY_GET || (before && how == BY_LEASE && tries < 2))
		atomic_fetch_add(&oracle->unmarked, 1);
	else if (before)
		atomic_fetch_add(&oracle->again, 1);
}

/* What a consumer has seen last of each producer, plus 1. */
struct order {
	uint64_t last[PRODUCERS];
};

static void look_at_order(struct order *o, const struct message *m)
{
	if (m->producer >= PRODUCERS)
		return;
	if (m->number < o->last[m->producer])
		atomic_fetch_add(&oracle->disordered, 1);
	o->last[m->producer] = m->number + 1;
}

static int lease_one(prong_queue *q, struct order *o)
{
	prong_message m;
	int r = prong_queue_lease(q, &m, PRONG_FOREVER);

	if (r)
		return r;
	if (m.tries == 1)
		look_at_order(o, m.data);
	if (m.tries == 1 && ((struct message *)m.data)->number % ABANDONED == 0) {
		must(prong_queue_abandon(q, &m), "abandon");
		return 0;
	}
	see(m.data, m.tries, BY_LEASE);
	must(prong_queue_ack(q, &m), "ack");
	return 0;
}

/* It may have come back, unmarked: a get does not say. */
static int get_one(prong_queue *q, int me)
{
	struct message m;
	size_t size;
	int r;

	oracle->getting[me] = 1;
	r = prong_queue_get(q, &m, sizeof m, &size, PRONG_FOREVER);
	if (r == 0)
		see(&m, 0, BY_GET);
	oracle->getting[me] = 0;
	return r;
}

static int consume(void *arg)
{
	const struct part *part = arg;
	int me = part->i - PRODUCERS, r = 0;
	struct order order = { { 0 } };

	oracle->getting[me] = 0;
	for (int i = 0; r == 0; i++)
		r = me && i % GOT == 0 ? get_one(part->queue, me)
				       : lease_one(part->queue, &order);
	if (r != PRONG_CLOSED)
		must(r, "lease or get");
	return 0;
}

static prong_process *worker[WORKERS];

static void start(int i)
{
	const struct part part = { queue, i };

	must(prong_process_start(&worker[i], i < PRODUCERS ? produce : consume, &part, sizeof part,
				 NULL), "start");
}

static void end(int i)
{
	must(prong_process_join(worker[i], NULL, PRONG_FOREVER), "join");
	prong_process_free(worker[i]);
}

static uint64_t lost(uint64_t *cut)
{
	uint64_t n = 0;

	for (int p = 0; p < PRODUCERS; p++)
		for (uint64_t i = 0; i < oracle->tried[p]; i++)
			if (!oracle->seen[p][i]) {
				if (oracle->cut[p][i])
					++*cut;
				else
					n++;
			}
	return n;
}

static void *outside(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		err(1, "no memory for the oracle");
	return p;
}

static uint64_t killed_in_get;

static void kill_one(unsigned *random)
{
	int i = (int)((*random = *random * 1103515245 + 12345) >> 16) % WORKERS;

	must(prong_process_signal(worker[i], SIGKILL), "kill");
	end(i);
	if (i < PRODUCERS && oracle->tried[i] != oracle->done[i])
		oracle->cut[i][oracle->tried[i] - 1] = 1;
	if (i >= PRODUCERS && oracle->getting[i - PRODUCERS])
		killed_in_get++;
	start(i);
}

static uint64_t heap_used(void)
{
	prong_family_stats stats;

	prong_family_stat(&stats);
	return stats.heap_used;
}

struct figures {
	double seconds;
	uint64_t kills, items, lost, cut, along;
	uint64_t first, most; /* bytes of the heap: after 50 kills, and since then */
};

static void note_heap(struct figures *f)
{
	uint64_t used = heap_used();

	if (++f->kills == 50)
		f->first = f->most = used;
	f->most = used > f->most ? used : f->most;
}

static void kill_some(struct figures *f, double gap_ms)
{
	prong_time until = prong_in_ms((int64_t)(f->seconds * 1000));
	unsigned random = 1;

	while (prong_ns_between(prong_clock(), until) > 0) {
		prong_sleep(prong_in_ms((int64_t)gap_ms));
		kill_one(&random);
		note_heap(f);
	}
}

/* Those that are in may be taken; then all workers have ended. */
static void finish(struct figures *f)
{
	oracle->stop = 1;
	for (int i = 0; i < PRODUCERS; i++)
		end(i);
	must(prong_queue_join(queue, PRONG_FOREVER), "join");
	must(prong_queue_close(queue), "close");
	for (int i = PRODUCERS; i < WORKERS; i++)
		end(i);
	for (int p = 0; p < PRODUCERS; p++)
		f->items += oracle->done[p];
	f->lost = lost(&f->cut);
	f->along = f->lost < killed_in_get ? f->lost : killed_in_get;
	f->lost -= f->along;
	must(prong_queue_free(queue), "free");
}

static void print(const struct figures *f)
{
	printf("%.0f s: %llu items, %llu kills: %llu lost, %llu unmarked twice, %llu torn, "
	       "%llu disordered; %llu marked, %llu puts cut short without trace, %llu taken along "
	       "by %llu that were killed in a get; heap %llu KiB after 50 kills, %llu at most\n",
	       f->seconds, (unsigned long long)f->items, (unsigned long long)f->kills,
	       (unsigned long long)f->lost, (unsigned long long)oracle->unmarked,
	       (unsigned long long)oracle->torn, (unsigned long long)oracle->disordered,
	       (unsigned long long)oracle->again, (unsigned long long)f->cut,
	       (unsigned long long)f->along, (unsigned long long)killed_in_get,
	       (unsigned long long)f->first / 1024, (unsigned long long)f->most / 1024);
}

int main(int argc, char **argv)
{
	struct figures f = { .seconds = argc > 1 ? atof(argv[1]) : 3 };

	oracle = outside(sizeof *oracle);
	must(prong_open(NULL), "open");
	must(prong_queue_new(&queue, &(prong_queue_opts){ .capacity = 1000 }), "queue");
	for (int i = 0; i < WORKERS; i++)
		start(i);
	kill_some(&f, argc > 2 ? atof(argv[2]) : 1);
	finish(&f);
	print(&f);
	if (f.most > 2 * f.first + SLACK) {
		puts("the heap has grown");
		return 1;
	}
	return f.lost + oracle->unmarked + oracle->torn + oracle->disordered != 0;
}
