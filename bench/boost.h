/* Boost.Interprocess' message_queue, sharable mutex and allocator, for C. */
#ifndef BENCH_BOOST_H
#define BENCH_BOOST_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A queue that this process and those forked from here on have; NULL when it cannot be made. */
void *bench_boost_new(unsigned capacity, size_t size);
void bench_boost_put(void *queue, const void *data, size_t size);
void bench_boost_get(void *queue, void *data, size_t size);
void bench_boost_free(void *queue);

/* Make a sharable mutex in the memory; false when that cannot be.  Take it and let go of it n
   times, with others and alone. */
bool bench_boost_sharable_init(void *memory, size_t size);
void bench_boost_share(void *mutex, unsigned n);
void bench_boost_lock(void *mutex, unsigned n);

/* An allocator of the memory for processes; NULL when it cannot be made.  Allocate a block and free
   it n times. */
void *bench_boost_heap_new(void *memory, size_t size);
void bench_boost_heap_pairs(void *heap, size_t size, unsigned n);
void bench_boost_heap_free(void *heap);

#ifdef __cplusplus
}
#endif

#endif
