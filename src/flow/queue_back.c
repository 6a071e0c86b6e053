/* What came back: which blocks are BACK is found by marks, one bit for each block.  They are hints;
   the header alone says what is true.  Who returns a message marks it, then gives q->back another
   version, so that who looks around either finds it or looks again.

   Not here: how it is taken, see queue_ring.c. */
#include "flow/queue.h"

/* The word of marks for the block, and its bit: { version 32, a bit for each block 32 }. */
static prongi_word *marks_of(struct prong_queue *q, uint32_t ref)
{
	struct prongi_chunk *c = &q->chunk[ref >> 24];
	uint64_t n = atomic_load_explicit(&c->n, memory_order_relaxed);
	uint64_t at = atomic_load_explicit(&c->at, memory_order_relaxed) + n * q->stride;

	return (prongi_word *)(uintptr_t)at + (ref & 0xffffff) / 32;
}

void prongi_mark(struct prong_queue *q, uint32_t ref)
{
	prongi_word *word = marks_of(q, ref);
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed), to;

	do
		to = (v + ((uint64_t)1 << 32)) | (uint64_t)1 << ref % 32;
	/* release: pairs with the acquire in lowest_in(): the header that is BACK is seen. */
	while (!atomic_compare_exchange_weak_explicit(word, &v, to, memory_order_release,
						      memory_order_relaxed));
}

void prongi_bump_back(struct prong_queue *q)
{
	uint64_t v = atomic_load_explicit(&q->back, memory_order_relaxed);

	/* seq_cst: pairs with back_now(), and by the look at ne that follows with
	   prongi_queue_listen(). */
	while (!atomic_compare_exchange_weak_explicit(&q->back, &v, (v + 2) | 1,
						      memory_order_seq_cst, memory_order_relaxed))
		;
}

static bool before(uint64_t header, uint64_t other)
{
	return (int64_t)((header >> 24 << 24) - (other >> 24 << 24)) < 0;
}

/* Among the 32 blocks of a word of marks. */
static void lowest_in(struct prong_queue *q, prongi_word *word, uint32_t first,
		      struct prongi_lowest *low)
{
	/* acquire: pairs with prongi_mark(). */
	uint64_t v = atomic_load_explicit(word, memory_order_acquire);

	for (uint32_t bits = (uint32_t)v; bits; bits &= bits - 1) {
		uint32_t bit = (uint32_t)__builtin_ctz(bits), ref = first + bit;
		uint64_t header = prongi_header_load(prongi_message_at(q, ref));

		if (prongi_header_state(header) != PRONGI_BACK) {
			uint64_t had = v;

			v &= ~((uint64_t)1 << bit);
			/* Fails when somebody marked meanwhile: then it stays for the next. */
			atomic_compare_exchange_strong_explicit(word, &had, v, memory_order_relaxed,
								memory_order_relaxed);
		} else if (low->ref == PRONGI_NONE || before(header, low->header)) {
			*low = (struct prongi_lowest){ ref, header };
		}
	}
}

struct prongi_lowest prongi_lowest_back(struct prong_queue *q)
{
	struct prongi_lowest low = { PRONGI_NONE, 0 };

	for (uint32_t i = 0; i < PRONGI_CHUNKS; i++) {
		uint64_t n = 0;

		/* acquire: pairs with the release in prongi_ring_make() and the like. */
		if (atomic_load_explicit(&q->chunk[i].at, memory_order_acquire))
			n = atomic_load_explicit(&q->chunk[i].n, memory_order_relaxed);
		for (uint32_t k = 0; k < n; k += 32)
			lowest_in(q, marks_of(q, i << 24 | k), i << 24 | k, &low);
	}
	return low;
}
