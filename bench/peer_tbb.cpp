/* Threading Building Blocks with two threads, of which the one who submits is one. */
#include "peer.h"
#include <semaphore.h>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <vector>

namespace
{

using range = tbb::blocked_range<size_t>;

const tbb::global_control two(tbb::global_control::max_allowed_parallelism, 2);

/* The second thread is there when the time begins. */
void warm()
{
	for (int i = 0; i < 10; i++)
		tbb::parallel_for(0, 1000, [](int) { peer_empty(); });
}

void submit(unsigned n)
{
	tbb::task_group g;

	for (unsigned i = 0; i < n; i++)
		g.run([] { peer_empty(); });
	g.wait();
}

void tasks(unsigned n)
{
	warm();
	submit(n);
	int64_t begin = peer_now();
	submit(n);
	peer_print_rate(n, begin);
}

template <class Partitioner> void map_by(unsigned n)
{
	std::vector<long> items(n);
	auto each = [&] {
		tbb::parallel_for(
			range(0, n),
			[&](const range &r) {
				for (size_t i = r.begin(); i < r.end(); i++)
					bench_pool_add(&items[i]);
			},
			Partitioner());
	};

	each();
	int64_t begin = peer_now();
	each();
	peer_print_rate(n, begin);
}

/* One who waits would do it itself: so it goes to an arena that has only the other's place. */
void idle(unsigned n)
{
	tbb::task_arena arena(1, 0);
	sem_t done;

	sem_init(&done, 0, 0);
	for (unsigned i = 0; i < n + 2; i++) {
		peer_pause();
		int64_t begin = peer_now();
		arena.enqueue([&] {
			peer_empty();
			sem_post(&done);
		});
		sem_wait(&done);
		if (i >= 2)
			peer_print_us(begin);
	}
}

void blocks(unsigned n)
{
	tbb::task_group g;

	for (unsigned i = 0; i < n; i++) {
		void *block = peer_mib();

		g.run([=] { peer_mib_end(block); });
		if (i % PEER_HELD == PEER_HELD - 1)
			g.wait();
	}
	g.wait();
}

void mib(unsigned n)
{
	blocks(n);
	int64_t begin = peer_now();
	blocks(n);
	peer_print_mibs(n, begin);
}

void loops(unsigned n)
{
	std::vector<float> f(BENCH_POOL_FLOATS);

	warm();
	for (unsigned i = 0; i < n; i++) {
		int64_t begin = peer_now();

		tbb::parallel_for(
			range(0, f.size()),
			[&](const range &r) { bench_pool_scale(f.data(), r.begin(), r.end()); },
			tbb::static_partitioner());
		peer_print_us(begin);
	}
}

unsigned fib(unsigned n)
{
	tbb::task_group g;
	unsigned a, b;

	if (n < 2)
		return n;
	g.run([&] { a = fib(n - 1); });
	b = fib(n - 2);
	g.wait();
	return a + b;
}

void fibs(unsigned n)
{
	warm();
	int64_t begin = peer_now();
	volatile unsigned result = fib(n);
	(void)result;
	peer_print(static_cast<double>(peer_now() - begin) / bench_pool_fib_calls(n));
}

} // namespace

const struct peer_work peer_works[] = {
	{ "tasks", tasks },
	{ "map-1", map_by<tbb::simple_partitioner> },
	{ "map", map_by<tbb::auto_partitioner> },
	{ "idle", idle },
	{ "mib", mib },
	{ "for", loops },
	{ "fib", fibs },
	{ nullptr, nullptr },
};
