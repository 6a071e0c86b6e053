/* Ways to get messages from one process to another: a table of kinds, for queue.c. */
#ifndef BENCH_CHANNEL_H
#define BENCH_CHANNEL_H

#include "bench.h"

#define BENCH_MIB ((size_t)1 << 20)

/* All parties get at the channel by its address.  Messages are of one size. */
struct bench_channel {
	void *(*begin)(size_t size, bool crowd); /* crowd: more than one at an end */
	void (*put)(void *at, const void *data, size_t size);
	void (*get)(void *at, void *data, size_t size);
	void (*end)(void *at);
	unsigned slow; /* how many times fewer messages say as much */
	bool prong;    /* in the family's heap, for the family's processes */
};

extern const struct bench_channel bench_channel_prong, bench_channel_in_place, bench_channel_sem,
	bench_channel_boost, bench_channel_pipe, bench_channel_socketpair, bench_channel_mq,
	bench_channel_sem_in_place, bench_channel_cells, bench_channel_futex, bench_channel_ck,
	bench_channel_ck_large;

/* How many messages wait at most, where one may say so. */
static inline unsigned bench_capacity(size_t size)
{
	return size < BENCH_MIB ? 1024 : 16;
}

/* Why Boost.Interprocess, or POSIX message queues, are not measured; NULL when they are. */
const char *bench_no_boost(void);
const char *bench_no_mq(void);

#endif
