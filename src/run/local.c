/* Thread-locals.  Each prong_local gets a number, its key, once in a process; each thread has a
   table, indexed by key, of its copies.  The table hangs on one TLS word for reading, and on one
   pthread key for all locals, whose destructor runs in threads that prong did not start.

   Copies of the main thread are not destroyed when the process exits, as with pthread keys: other
   threads may still run then, and the memory goes with the process.  A forked child keeps the
   copies of the thread that forked.

   A table belongs to its thread: no locks.  Only keys are shared. */
#include "run/list.h"
#include "run/run.h"
#include <prong/local.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define ROUNDS     4 /* as pthread keys: finis that make new copies have so many tries */
#define FIRST_KEYS 8

struct copy {
	struct prongi_link link; /* in its thread's ring, the last made last; alone: init runs */
	void (*fini)(void *);
	uint64_t key;
	_Alignas(max_align_t) unsigned char data[];
};

struct table {
	uint64_t keys;           /* how many entries copy[] has */
	struct prongi_link made; /* head of the ring of finished copies */
	struct copy *copy[];     /* NULL: not made; [0] always */
};

/* What a thread begins with, so that looking takes no test for "no table". */
static struct table nothing;

static _Thread_local struct table *mine __attribute__((tls_model("initial-exec"))) = &nothing;

/* --- keys -------------------------------------------------------------------------------- */

static _Atomic(uint64_t) last_key;

static _Atomic(uint64_t) *key_word(prong_local *l)
{
	return (_Atomic(uint64_t) *)&l->key_;
}

/* A key says nothing about other memory, so its loads and stores need no order. */
static uint64_t key_of(prong_local *l)
{
	return atomic_load_explicit(key_word(l), memory_order_relaxed);
}

/* Two threads may both draw a number: one of them is never used. */
static uint64_t key_make(prong_local *l)
{
	uint64_t key = 0;
	uint64_t drawn;

	if (key_of(l))
		return key_of(l);
	drawn = atomic_fetch_add_explicit(&last_key, 1, memory_order_relaxed) + 1;
	if (atomic_compare_exchange_strong_explicit(key_word(l), &key, drawn, memory_order_relaxed,
						    memory_order_relaxed))
		return drawn;
	return key;
}

/* --- hearing of the end of a thread ------------------------------------------------------- */

static _Atomic(uint64_t) the_end; /* the pthread key, plus 1; 0: none yet */

static void end(void *table)
{
	(void)table;
	prongi_locals_end();
}

/* Not pthread_once(): when the system has no key left, a later call may have more luck. */
static bool have_end(void)
{
	uint64_t none = 0;
	pthread_key_t key;

	/* acquire: pairs with the release below; who sees the key may use it. */
	if (atomic_load_explicit(&the_end, memory_order_acquire))
		return true;
	if (pthread_key_create(&key, end))
		return false;
	/* release: pairs with the acquires of whoever uses the key. */
	if (!atomic_compare_exchange_strong_explicit(&the_end, &none, (uint64_t)key + 1,
						     memory_order_release, memory_order_relaxed))
		pthread_key_delete(key);
	return true;
}

/* Have end() called when the calling thread ends, or not. */
static bool call_at_end(bool yes)
{
	/* acquire: pairs with the release in have_end(). */
	uint64_t key = atomic_load_explicit(&the_end, memory_order_acquire);

	return pthread_setspecific((pthread_key_t)(key - 1), yes ? &nothing : NULL) == 0;
}

/* --- tables and copies -------------------------------------------------------------------- */

/* Put a new head in the place of an old one. */
static void hand_over(struct prongi_link *old, struct prongi_link *new)
{
	prongi_link_before(old, new);
	prongi_unlink(old);
}

/* Give the calling thread a table with room for key. */
static bool reach(uint64_t key)
{
	struct table *old = mine, *t;
	uint64_t keys = key + key / 2 + FIRST_KEYS;

	if (keys > (SIZE_MAX - sizeof *t) / sizeof(struct copy *))
		return false;
	if (old == &nothing && (!have_end() || !call_at_end(true)))
		return false;
	t = malloc(sizeof *t + (size_t)keys * sizeof(struct copy *));
	if (!t)
		return false;
	t->keys = keys;
	for (uint64_t i = 0; i < keys; i++)
		t->copy[i] = i < old->keys ? old->copy[i] : NULL;
	prongi_link_init(&t->made);
	if (old != &nothing) {
		hand_over(&old->made, &t->made);
		free(old);
	}
	mine = t;
	return true;
}

/* Apart from prong_local_get(), which is quicker for it.
   The copy is in the table before init runs, so that init may ask for it; it joins the ring after,
   so that what init asked for outlives it. */
static __attribute__((noinline)) void *make(prong_local *l)
{
	uint64_t key = key_make(l);
	struct copy *c;

	if (l->size == 0 || l->size > SIZE_MAX - sizeof *c)
		return NULL;
	if (key >= mine->keys && !reach(key))
		return NULL;
	c = calloc(1, sizeof *c + l->size);
	if (!c)
		return NULL;
	c->fini = l->fini;
	c->key = key;
	prongi_link_init(&c->link);
	mine->copy[key] = c;
	if (l->init && l->init(c->data)) {
		mine->copy[key] = NULL;
		free(c);
		return NULL;
	}
	prongi_link_before(&mine->made, &c->link);
	return c->data;
}

/* It is out of the table before fini runs: if that asks for the same local, there is a new copy. */
static void destroy(struct copy *c)
{
	prongi_unlink(&c->link);
	mine->copy[c->key] = NULL;
	if (c->fini)
		c->fini(c->data);
	free(c);
}

/* Destroy all copies there are, the last made first, but none that this makes. */
static void destroy_made(void)
{
	struct prongi_link old;

	prongi_link_init(&old);
	hand_over(&mine->made, &old);
	while (old.prev != &old)
		destroy((struct copy *)(void *)old.prev); /* link is its first member */
}

void prongi_locals_end(void)
{
	struct table *t;

	if (mine == &nothing)
		return;
	for (int i = 0; i < ROUNDS && mine->made.prev != &mine->made; i++)
		destroy_made();
	t = mine;
	mine = &nothing;
	call_at_end(false);
	/* What is left was made in the last round, or its init or fini ended the thread. */
	for (uint64_t i = 0; i < t->keys; i++)
		free(t->copy[i]);
	free(t);
}

void *prong_local_get(prong_local *l)
{
	uint64_t key = l ? key_of(l) : 0;

	if (key < mine->keys && mine->copy[key])
		return mine->copy[key]->data;
	return l ? make(l) : NULL;
}

void prong_local_clear(prong_local *l)
{
	uint64_t key = l ? key_of(l) : 0;
	struct copy *c = key < mine->keys ? mine->copy[key] : NULL;

	if (c && c->link.next != &c->link)
		destroy(c);
}
