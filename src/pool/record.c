/* Records of tasks: where they are, how one is had and given back, and what becomes of those that a
   dead member had in hand.

   The table grows by chunks.  A record is free when its state says so; the bits that help to find
   one are hints.  A thread takes 64 of them at a time; those of a thread that ends are found again
   when all seem to be in use. */
#include "pool/extra.h"
#include "pool/map.h"
#include "flow/queue.h"
#include <errno.h>

static void **place(prongi_word *word)
{
	return (void **)(uintptr_t)word;
}

static uint64_t get(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* --- who ------------------------------------------------------------------------------------ */

uint32_t prongi_ident(void)
{
	return prongi_process_index(prongi_me) |
	       (uint32_t)((get(&prongi_me->state) & PRONGI_GEN_MASK) >> PRONGI_GEN_SHIFT) << 14;
}

bool prongi_ident_alive(uint32_t ident)
{
	uint32_t index = ident & (PRONGI_PROCESSES - 1);
	uint64_t v;

	if (index >= atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed))
		return false;
	v = prongi_state(&prongi_heap->process[index]);
	return (uint32_t)((v & PRONGI_GEN_MASK) >> PRONGI_GEN_SHIFT) << 14 == (ident >> 14 << 14) &&
	       prongi_phase(v) >= PRONGI_BEING && prongi_phase(v) <= PRONGI_RUNNING;
}

struct prong_process *prongi_ident_process(uint32_t ident)
{
	return &prongi_heap->process[ident & (PRONGI_PROCESSES - 1)];
}

bool prongi_task_held(const struct prong_future *f)
{
	return (get(&f->state) & PRONGI_TASK_HELD) &&
	       prongi_ident_alive(atomic_load_explicit(&f->holder, memory_order_relaxed));
}

/* --- where ---------------------------------------------------------------------------------- */

/* The first 8 chunks have 64 records each, the next 8 too, and each further 8 chunks twice as many
   as the 8 before: so a chunk adds between a sixteenth and an eighth to the whole. */
static uint32_t chunk_shift(uint32_t k)
{
	return 6 + (k < 16 ? 0 : k / 8 - 1);
}

/* Index of its first record. */
static uint64_t chunk_first(uint32_t k)
{
	return k < 8 ? (uint64_t)k << 6 : (uint64_t)(k % 8 + 8) << chunk_shift(k);
}

static uint64_t chunk_size(uint32_t k)
{
	return (uint64_t)1 << chunk_shift(k);
}

static struct prongi_tasks *chunk_at(const struct prong_pool *pool, uint32_t k)
{
	/* acquire: pairs with the commit in grow(): it is whole. */
	uint64_t at = atomic_load_explicit(&pool->tasks[k], memory_order_acquire);

	return (struct prongi_tasks *)(uintptr_t)prongi_align64(at);
}

/* Of a record's index: the chunk, and the place in it. */
static uint32_t chunk_of(uint64_t index, uint64_t *i)
{
	uint32_t octave = 63u - (uint32_t)__builtin_clzll(index / (8 * PRONGI_FIRST_CHUNK) | 1);
	uint32_t shift = 6 + octave;

	*i = index & (((uint64_t)1 << shift) - 1);
	return octave * 8 + (uint32_t)(index >> shift);
}

struct prong_future *prongi_task_at(const struct prong_pool *pool, uint64_t index)
{
	struct prongi_tasks *c;
	uint64_t i;
	uint32_t k = chunk_of(index, &i);

	c = k < PRONGI_TASK_CHUNKS ? chunk_at(pool, k) : NULL;
	return c ? &c->task[i] : NULL;
}

static struct prongi_tasks *tasks_of(const struct prong_future *f)
{
	uint64_t i;

	(void)chunk_of(f->index, &i);
	return (struct prongi_tasks *)((uintptr_t)(f - i) - offsetof(struct prongi_tasks, task));
}

struct prong_pool *prongi_task_pool(const struct prong_future *f)
{
	return tasks_of(f)->pool;
}

/* Nothing that lies there is believed: where the table would be that has f, must be one that a pool
   has, at that index. */
bool prongi_task_is(const struct prong_future *f)
{
	const struct prongi_tasks *c = tasks_of(f);
	uint64_t i;
	uint32_t k = chunk_of(f->index, &i);

	return k < PRONGI_TASK_CHUNKS && prongi_inside(c) && prongi_pool_is(c->pool) &&
	       chunk_at(c->pool, k) == c;
}

void prongi_each_task(struct prong_pool *pool,
		      void (*visit)(struct prong_pool *, struct prong_future *, void *), void *ctx)
{
	for (uint32_t k = 0; k < PRONGI_TASK_CHUNKS; k++) {
		struct prongi_tasks *c = chunk_at(pool, k);

		for (uint64_t i = 0; c && i < c->n; i++)
			visit(pool, &c->task[i], ctx);
	}
}

/* --- growth --------------------------------------------------------------------------------- */

static void make(struct prong_pool *pool, uint64_t at, uint32_t k)
{
	struct prongi_tasks *c = (struct prongi_tasks *)(uintptr_t)at;

	c->pool = pool;
	c->n = chunk_size(k);
	c->first = chunk_first(k);
	c->maybe = (prongi_word *)(void *)&c->task[c->n];
	for (uint64_t i = 0; i < c->n; i++)
		c->task[i].index = (uint32_t)(c->first + i);
	for (uint64_t i = 0; i < c->n / 64; i++)
		atomic_store_explicit(&c->maybe[i], UINT64_MAX, memory_order_relaxed);
}

static int grow(struct prong_pool *pool)
{
	prongi_word *offer = &prongi_self.slot->offer;
	prongi_word *lock = &prongi_heap->locks[(uintptr_t)pool / 64 % PRONGI_LOCKS].lock;
	uint32_t k = 0;
	int r;

	while (k < PRONGI_TASK_CHUNKS && chunk_at(pool, k))
		k++;
	if (k == PRONGI_TASK_CHUNKS)
		return prongi_fail(-ENOMEM, "pool: %llu tasks at once are too many",
				   (unsigned long long)chunk_first(k));
	prong_free_at(place(offer)); /* what a dead owner of the slot left */
	r = prong_alloc_to(place(offer), 63 + sizeof(struct prongi_tasks) +
						 chunk_size(k) * sizeof(struct prong_future) +
						 chunk_size(k) / 8);
	if (r)
		return r;
	make(pool, prongi_align64(get(offer)), k);
	prongi_begin(lock);
	if (!prongi_get(&pool->tasks[k])) {
		prongi_set(&pool->tasks[k], prongi_get(offer));
		prongi_set(offer, 0);
		prongi_commit();
	}
	prongi_end(lock);
	return prong_free_at(place(offer)); /* another was quicker */
}

/* --- a free one ----------------------------------------------------------------------------- */

/* Records that the calling thread may have, if they are free. */
struct stock {
	uint64_t pool; /* its id */
	uint64_t bits, base;
	prongi_word *word; /* whose bits they were */
	uint32_t chunk;
	uint64_t next; /* word to look at */
};
#define STOCKS 4
static _Thread_local struct stock stocks[STOCKS] __attribute__((tls_model("initial-exec")));

static struct stock *stock_of(const struct prong_pool *pool)
{
	struct stock *s = &stocks[pool->id % STOCKS];

	if (s->pool != pool->id)
		*s = (struct stock){ .pool = pool->id };
	return s;
}

/* Take the bits of a word that has some: from where the last look ended, once around. */
static bool restock(struct prong_pool *pool, struct stock *s)
{
	for (uint32_t round = 0; round <= PRONGI_TASK_CHUNKS; round++) {
		struct prongi_tasks *c = chunk_at(pool, s->chunk);

		for (; c && s->next < c->n / 64; s->next++) {
			s->word = &c->maybe[s->next];
			if (!get(s->word))
				continue;
			s->bits = atomic_exchange_explicit(s->word, 0, memory_order_relaxed);
			s->base = c->first + s->next * 64;
			if (s->bits)
				return true;
		}
		s->chunk = c && s->chunk + 1 < PRONGI_TASK_CHUNKS ? s->chunk + 1 : 0;
		s->next = 0;
	}
	return false;
}

static void offer_again(struct prong_future *f)
{
	struct prongi_tasks *c = tasks_of(f);
	uint64_t i = (uint64_t)(f - c->task);

	atomic_fetch_or_explicit(&c->maybe[i / 64], (uint64_t)1 << i % 64, memory_order_relaxed);
}

struct found {
	uint64_t n, all;
};

static void find(struct prong_pool *pool, struct prong_future *f, void *ctx)
{
	struct found *found = ctx;

	(void)pool;
	found->all++;
	if (get(&f->state) == PRONGI_TASK_FREE) {
		found->n++;
		offer_again(f);
	}
}

/* No bit is left: hints may have been lost, and else the table is too small. */
static int find_or_grow(struct prong_pool *pool)
{
	struct found found = { 0, 0 };

	prongi_each_task(pool, find, &found);
	return found.n > found.all / 8 ? 0 : grow(pool);
}

int prongi_task_claim(struct prong_pool *pool, struct prong_future **out)
{
	struct stock *s = stock_of(pool);
	uint64_t making = PRONGI_TASK_MAKING | (uint64_t)prongi_ident() << 32;

	for (;;) {
		while (s->bits) {
			struct prong_future *f =
				prongi_task_at(pool, s->base + (uint64_t)__builtin_ctzll(s->bits));
			uint64_t free = PRONGI_TASK_FREE;

			s->bits &= s->bits - 1;
			if (prongi_task_step(f, &free, making)) {
				*out = f;
				return 0;
			}
		}
		if (!restock(pool, s)) {
			int r = find_or_grow(pool);

			if (r)
				return r;
		}
	}
}

void prongi_task_clear(struct prong_pool *pool, struct prong_future *f)
{
	struct stock *s = &stocks[pool->id % STOCKS];

	if (f->fn == prongi_map_holder)
		prongi_map_clear(f);
	if (f->small == PRONGI_LARGE)
		prong_free_at(place(&f->arg));
	if (get(&f->result))
		prong_free_at(place(&f->result));
	prongi_extra_clear(f);
	/* release: pairs with the CAS of who has it next. */
	atomic_store_explicit(&f->state, PRONGI_TASK_FREE, memory_order_release);
	if (s->pool == pool->id && f->index - s->base < 64)
		s->bits |= (uint64_t)1 << (f->index - s->base);
	else
		offer_again(f);
}

/* --- the line ------------------------------------------------------------------------------- */

static int put(struct prong_pool *pool, const struct prong_future *f, uint32_t level)
{
	if (level != 1 && !atomic_load_explicit(&pool->levels, memory_order_relaxed)) {
		/* seq_cst: pairs with the look of a worker who goes to sleep. */
		atomic_store_explicit(&pool->levels, 1, memory_order_seq_cst);
		prongi_pool_rouse(pool);
	}
	return prongi_todo_put(&pool->todo[level], f->index);
}

int prongi_task_put(struct prong_pool *pool, struct prong_future *f)
{
	int priority = prongi_task_option(pool, f, PRONGI_PRIORITY);

	return put(pool, f, priority > 0 ? 0 : priority < 0 ? 2 : 1);
}

int prongi_task_put_first(struct prong_pool *pool, const struct prong_future *f)
{
	return put(pool, f, 0);
}

/* --- what the dead left --------------------------------------------------------------------- */

static bool dead(uint64_t state)
{
	return !prongi_ident_alive(prongi_task_who(state));
}

/* The caller takes f over, to free it. */
static void take_and_clear(struct prong_pool *pool, struct prong_future *f, uint64_t v)
{
	if (prongi_task_step(f, &v, PRONGI_TASK_FREEING | (uint64_t)prongi_ident() << 32))
		prongi_task_clear(pool, f);
}

/* Nobody holds it any more. */
static uint64_t unhold(struct prong_future *f, uint64_t v)
{
	while (v & PRONGI_TASK_HELD && prongi_task_phase(v) != PRONGI_TASK_FREEING &&
	       !prongi_task_held(f))
		if (prongi_task_step(f, &v, v & ~PRONGI_TASK_HELD))
			v &= ~PRONGI_TASK_HELD;
	return v;
}

/* It was handed in by one who died; whether it was put into the line nobody knows. */
static void put_again(struct prong_pool *pool, struct prong_future *f, uint64_t v)
{
	while (!prongi_task_step(f, &v, prongi_task_state(v, PRONGI_TASK_QUEUED, prongi_ident())))
		if (prongi_task_phase(v) != PRONGI_TASK_QUEUED || !dead(v))
			return;
	if (prongi_task_put_first(pool, f)) {
		/* There is no memory now: let it seem dead, for the next time. */
		v = prongi_task_state(v, PRONGI_TASK_QUEUED, prongi_ident());
		prongi_task_step(f, &v, prongi_task_state(v, PRONGI_TASK_QUEUED, 0xffffffffu));
	}
}

static void mend(struct prong_pool *pool, struct prong_future *f, void *ctx)
{
	uint64_t v = prongi_task_look(f), *busy = ctx;

	switch (prongi_task_phase(v)) {
	case PRONGI_TASK_FREE:
		return;
	case PRONGI_TASK_MAKING:
	case PRONGI_TASK_FREEING:
		*busy += prongi_task_phase(v) == PRONGI_TASK_MAKING;
		if (dead(v) && !PRONGI_MUTANT(153))
			take_and_clear(pool, f, v);
		return;
	case PRONGI_TASK_QUEUED:
		++*busy;
		v = unhold(f, v);
		if (prongi_task_phase(v) == PRONGI_TASK_QUEUED && dead(v) && !PRONGI_MUTANT(152))
			put_again(pool, f, v);
		return;
	case PRONGI_TASK_RUNNING:
	case PRONGI_TASK_DELAYED:
		++*busy;
		unhold(f, v);
		return;
	default:
		v = unhold(f, v);
		if (prongi_task_over(v) && !(v & PRONGI_TASK_HELD) &&
		    (f->fn != prongi_map_holder || prongi_map_over(pool, f)))
			take_and_clear(pool, f, v);
	}
}

uint64_t prongi_sweep(struct prong_pool *pool)
{
	uint64_t busy = 0;

	prongi_each_task(pool, mend, &busy);
	if (busy)
		prongi_pool_rouse(pool); /* who was to wake a worker, or was woken, may be dead */
	return busy;
}
