/* Boost.Interprocess' message_queue, for C. */
#ifndef BENCH_BOOST_H
#define BENCH_BOOST_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A queue that this process and those forked from here on have; NULL when it cannot be made. */
void *bench_boost_new(unsigned capacity, size_t size);
void bench_boost_put(void *queue, const void *data, size_t size);
void bench_boost_get(void *queue, void *data, size_t size);
void bench_boost_free(void *queue);

#ifdef __cplusplus
}
#endif

#endif
