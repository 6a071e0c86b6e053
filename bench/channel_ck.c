/* Concurrency Kit's rings as ways to get messages from one process to another: for one at each end
   when they are not a crowd, else for many.  The messages lie in the ring's places.

   Such a ring says at once that it is full or empty; who meets that looks again and again, as with
   the cells, and does not sleep.  Nobody survives a death in the ring for many. */
#include "channel.h"

#if defined(BENCH_CK)
#include <ck_ring.h>
#include <sched.h>
#include <sys/mman.h>

enum {
	SMALL = 64,
	SMALLS = 1024,
	LARGES = 16
};

struct small {
	char data[SMALL];
};
struct large {
	char data[BENCH_MIB];
};

CK_RING_PROTOTYPE(small, small)
CK_RING_PROTOTYPE(large, large)

struct ck {
	alignas(128) ck_ring_t ring;
	alignas(128) bool crowd;
	alignas(128) union {
		struct small small[SMALLS];
		struct large large[LARGES];
	} u;
};

static void *ck_begin(unsigned places, bool crowd)
{
	struct ck *c = bench_shared(sizeof *c);

	ck_ring_init(&c->ring, places);
	c->crowd = crowd;
	return c;
}

static void *ck_begin_small(size_t size, bool crowd)
{
	(void)size;
	return ck_begin(SMALLS, crowd);
}

static void *ck_begin_large(size_t size, bool crowd)
{
	(void)size;
	return ck_begin(LARGES, crowd);
}

/* A crowd has to share processors; one to one it spins, almost only. */
static void again(const struct ck *c, unsigned looks)
{
	bench_pause();
	if (looks % (c->crowd ? 64 : 1024) == 0)
		sched_yield();
}

/* The macro's functions take what they only read as if they wrote it. */
static void ck_put_small(void *at, const void *data, size_t size)
{
	struct small *d = (struct small *)(uintptr_t)data;
	struct ck *c = at;

	(void)size;
	for (unsigned looks = 1; !(c->crowd ? ck_ring_enqueue_mpmc_small(&c->ring, c->u.small, d)
					    : ck_ring_enqueue_spsc_small(&c->ring, c->u.small, d));
	     looks++)
		again(c, looks);
}

static void ck_get_small(void *at, void *data, size_t size)
{
	struct ck *c = at;

	(void)size;
	for (unsigned looks = 1;
	     !(c->crowd ? ck_ring_dequeue_mpmc_small(&c->ring, c->u.small, data)
			: ck_ring_dequeue_spsc_small(&c->ring, c->u.small, data));
	     looks++)
		again(c, looks);
}

static void ck_put_large(void *at, const void *data, size_t size)
{
	struct large *d = (struct large *)(uintptr_t)data;
	struct ck *c = at;

	(void)size;
	for (unsigned looks = 1; !ck_ring_enqueue_spsc_large(&c->ring, c->u.large, d); looks++)
		again(c, looks);
}

static void ck_get_large(void *at, void *data, size_t size)
{
	struct ck *c = at;

	(void)size;
	for (unsigned looks = 1; !ck_ring_dequeue_spsc_large(&c->ring, c->u.large, data); looks++)
		again(c, looks);
}

static void ck_end(void *at)
{
	munmap(at, sizeof(struct ck));
}

const struct bench_channel bench_channel_ck = {
	ck_begin_small, ck_put_small, ck_get_small, ck_end, 4, false
};
const struct bench_channel bench_channel_ck_large = {
	ck_begin_large, ck_put_large, ck_get_large, ck_end, 4, false
};

const char *bench_no_ck(void)
{
	return NULL;
}
#else
const struct bench_channel bench_channel_ck = { .slow = 1 }, bench_channel_ck_large = { .slow = 1 };

const char *bench_no_ck(void)
{
	return "Concurrency Kit (libck) was not there when this was built";
}
#endif
