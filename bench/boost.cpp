/* Boost.Interprocess' message_queue, sharable mutex and allocator, for C.  Built where its headers
   are.

   The queue's name is gone as soon as it is open: the parties are forked and have its mapping. */
#include "boost.h"
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/managed_external_buffer.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <new>
#include <string>
#include <unistd.h>

using boost::interprocess::interprocess_sharable_mutex;
using boost::interprocess::managed_external_buffer;
using boost::interprocess::message_queue;

void *bench_boost_new(unsigned capacity, size_t size)
{
	std::string name = "prong-bench-" + std::to_string(getpid());

	try {
		message_queue::remove(name.c_str());
		auto *q = new message_queue(boost::interprocess::create_only, name.c_str(),
					    capacity, size);
		message_queue::remove(name.c_str());
		return q;
	} catch (...) {
		return nullptr;
	}
}

void bench_boost_put(void *queue, const void *data, size_t size)
{
	static_cast<message_queue *>(queue)->send(data, size, 0);
}

void bench_boost_get(void *queue, void *data, size_t size)
{
	message_queue::size_type got;
	unsigned priority;

	static_cast<message_queue *>(queue)->receive(data, size, got, priority);
}

void bench_boost_free(void *queue)
{
	delete static_cast<message_queue *>(queue);
}

bool bench_boost_sharable_init(void *memory, size_t size)
{
	try {
		return size >= sizeof(interprocess_sharable_mutex) &&
		       new (memory) interprocess_sharable_mutex;
	} catch (...) {
		return false;
	}
}

void bench_boost_share(void *mutex, unsigned n)
{
	auto *m = static_cast<interprocess_sharable_mutex *>(mutex);

	while (n-- > 0) {
		m->lock_sharable();
		m->unlock_sharable();
	}
}

void bench_boost_lock(void *mutex, unsigned n)
{
	auto *m = static_cast<interprocess_sharable_mutex *>(mutex);

	while (n-- > 0) {
		m->lock();
		m->unlock();
	}
}

void *bench_boost_heap_new(void *memory, size_t size)
{
	try {
		return new managed_external_buffer(boost::interprocess::create_only, memory, size);
	} catch (...) {
		return nullptr;
	}
}

void bench_boost_heap_pairs(void *heap, size_t size, unsigned n)
{
	auto *h = static_cast<managed_external_buffer *>(heap);

	while (n-- > 0) {
		void *p = h->allocate(size);

		__asm__ __volatile__("" : : "r"(p) : "memory");
		h->deallocate(p);
	}
}

void bench_boost_heap_free(void *heap)
{
	delete static_cast<managed_external_buffer *>(heap);
}
