/* The soak: producers and consumers as processes on one queue, and one of them killed every
   millisecond or so.  What was put and what was seen is written down outside the heap, in memory
   that is no business of the library's, and compared at the end:
     lost         a put returned, and nobody ever saw the message
     unmarked     it was seen twice, and the second time not marked as tried before
   Both must be none.  A put that was cut short may be in or not; who is killed after he has seen a
   message, but before he acknowledged it, makes it come again, marked.

   usage: prong-soak [SECONDS [MS_BETWEEN_KILLS]] */
#define _GNU_SOURCE
#include <err.h>
#include <prong/prong.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PRODUCERS 2
#define CONSUMERS 2
#define WORKERS	  (PRODUCERS + CONSUMERS)
#define MOST	  ((uint64_t)1 << 30) /* messages of one producer */
#define LARGE	  1000		      /* each so manieth message has a block of its own */

/* Outside the heap. */
struct oracle {
	_Atomic uint64_t tried[PRODUCERS], done[PRODUCERS]; /* by the producer */
	_Atomic uint64_t again, unmarked, torn;		    /* by the consumers */
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

static int produce(void *arg)
{
	const struct part *part = arg;
	int me = part->i;
	struct message m = { .producer = (uint64_t)me };

	/* Where the last one was killed; the message that it was at may be in or not. */
	for (uint64_t i = oracle->tried[me]; !oracle->stop && i < MOST; i++) {
		m.number = i; /* each after the one before: a kill leaves a prefix */
		oracle->tried[me] = i + 1;
		must(prong_queue_put(part->queue, &m, i % LARGE ? 16 : sizeof m, PRONG_FOREVER),
		     "put");
		oracle->done[me] = i + 1;
	}
	return 0;
}

static void see(const struct message *m, uint32_t tries)
{
	unsigned char before;

	if (m->producer >= PRODUCERS || m->number >= oracle->tried[m->producer]) {
		oracle->torn++;
		return;
	}
	before = atomic_fetch_or(&oracle->seen[m->producer][m->number], 1);
	if (before)
		atomic_fetch_add(tries > 1 ? &oracle->again : &oracle->unmarked, 1);
}

static int consume(void *arg)
{
	const struct part *part = arg;
	prong_message m;
	int r;

	while ((r = prong_queue_lease(part->queue, &m, PRONG_FOREVER)) == 0) {
		see(m.data, m.tries);
		must(prong_queue_ack(part->queue, &m), "ack");
	}
	if (r != PRONG_CLOSED)
		must(r, "lease");
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

static void kill_one(unsigned *random)
{
	int i = (int)((*random = *random * 1103515245 + 12345) >> 16) % WORKERS;

	must(prong_process_signal(worker[i], SIGKILL), "kill");
	end(i);
	if (i < PRODUCERS && oracle->tried[i] != oracle->done[i])
		oracle->cut[i][oracle->tried[i] - 1] = 1;
	start(i);
}

static uint64_t heap_used(void)
{
	prong_family_stats stats;

	prong_family_stat(&stats);
	return stats.heap_used;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 3, gap_ms = argc > 2 ? atof(argv[2]) : 1;
	uint64_t kills = 0, items = 0, cut = 0, bad, first = 0, most = 0, used;
	unsigned random = 1;
	prong_time until;

	oracle = outside(sizeof *oracle);
	must(prong_open(NULL), "open");
	must(prong_queue_new(&queue, &(prong_queue_opts){ .capacity = 1000 }), "queue");
	for (int i = 0; i < WORKERS; i++)
		start(i);
	until = prong_in_ms((int64_t)(seconds * 1000));
	while (prong_ns_between(prong_clock(), until) > 0) {
		prong_sleep(prong_in_ms((int64_t)gap_ms));
		kill_one(&random);
		used = heap_used();
		if (++kills == 50)
			first = most = used;
		most = used > most ? used : most;
	}
	oracle->stop = 1;
	for (int i = 0; i < PRODUCERS; i++)
		end(i);
	must(prong_queue_join(queue, PRONG_FOREVER), "join");
	must(prong_queue_close(queue), "close");
	for (int i = PRODUCERS; i < WORKERS; i++)
		end(i);
	for (int p = 0; p < PRODUCERS; p++)
		items += oracle->done[p];
	bad = lost(&cut) + oracle->unmarked + oracle->torn;
	printf("%.0f s: %llu items, %llu kills: %llu lost, %llu unmarked twice, %llu torn; "
	       "%llu marked, %llu puts cut short without trace; heap %llu KiB after 50 kills, "
	       "%llu at most\n", seconds, (unsigned long long)items, (unsigned long long)kills,
	       (unsigned long long)(bad - oracle->unmarked - oracle->torn),
	       (unsigned long long)oracle->unmarked, (unsigned long long)oracle->torn,
	       (unsigned long long)oracle->again, (unsigned long long)cut,
	       (unsigned long long)first / 1024, (unsigned long long)most / 1024);
	must(prong_queue_free(queue), "free");
	return bad != 0;
}
