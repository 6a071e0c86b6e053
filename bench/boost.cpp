/* Boost.Interprocess' message_queue, for C.  Built where its headers are.

   Its name is gone as soon as it is open: the parties are forked and have its mapping. */
#include "boost.h"
#include <boost/interprocess/ipc/message_queue.hpp>
#include <string>
#include <unistd.h>

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
