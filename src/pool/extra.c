/* What a task has beside its record: a name, options that are not the pool's, its place in a
   stream; and what comes to be said of it.  A task with neither has nothing here, and most that
   have something have the first block alone, which is as long as that needs: 48 bytes of the heap
   for a name of up to 15 letters and a limit. */
#include "pool/extra.h"
#include <errno.h>

static void **place(prongi_word *word)
{
	return (void **)(uintptr_t)word;
}

/* Of what a task says and what its pool says.  A negative limit, or number of attempts, is none; a
   negative grace or priority is one. */
static int32_t chosen(enum prongi_option which, int32_t own, int32_t pools)
{
	if (!own)
		return pools;
	return own < 0 && which != PRONGI_GRACE && which != PRONGI_PRIORITY ? 0 : own;
}

/* Words that those before the bits have. */
static unsigned words(uint32_t has)
{
	return (unsigned)__builtin_popcount(has & (PRONGI_HAS_NAME - 1));
}

/* --- making it ------------------------------------------------------------------------------ */

/* Keep in word what the options o and the index say other than the pool.  Return what there is. */
static uint32_t choose(const struct prong_pool *pool, const prong_task_opts *o, uint64_t index,
		       int32_t *word)
{
	const int32_t own[PRONGI_OPTIONS] = { o->limit_ms, o->grace_ms, o->retries, o->backoff_ms,
					      o->priority };
	uint32_t has = o->name ? PRONGI_HAS_NAME : 0;

	for (int i = 0; i < PRONGI_OPTIONS; i++) {
		int32_t value = chosen((enum prongi_option)i, own[i], pool->defaults[i]);

		if (value == pool->defaults[i])
			continue;
		has |= 1u << i;
		*word++ = value;
	}
	if (index) {
		has |= PRONGI_HAS_INDEX;
		memcpy(word, &index, sizeof index);
	}
	return has;
}

/* A name, options and a place in a stream, of a task that has one of these. */
static int fill(struct prong_pool *pool, struct prong_future *f, const prong_task_opts *o,
		uint64_t index)
{
	int32_t word[PRONGI_OPTIONS + 2] = { 0 };
	uint32_t has = choose(pool, o, index, word);
	size_t bytes = words(has) * sizeof *word;
	size_t length = has & PRONGI_HAS_NAME ? strnlen(o->name, PRONGI_NAME_MOST) : 0;
	struct prongi_extra *e;
	int r;

	if (!has)
		return 0;
	r = prong_alloc_to(place(&f->extra),
			   offsetof(struct prongi_extra, word) + bytes + length + 1);
	if (r)
		return r;
	e = prongi_extra(f);
	e->has = has;
	memcpy(e->word, word, bytes);
	if (length)
		memcpy((char *)e->word + bytes, o->name, length); /* a zero follows */
	return 0;
}

int prongi_extra_fill(struct prong_pool *pool, struct prong_future *f, const prong_task_opts *o,
		      uint64_t index)
{
	static const prong_task_opts none;
	int r = fill(pool, f, o ? o : &none, index);

	/* A group asks which of its children ended first. */
	return r == 0 && o && o->group && !prongi_notes_of(f) ? -ENOMEM : r;
}

/* --- asking it ------------------------------------------------------------------------------ */

int32_t prongi_task_option(const struct prong_pool *pool, const struct prong_future *f,
			   enum prongi_option which)
{
	const struct prongi_extra *e = prongi_extra(f);
	uint32_t bit = 1u << which;

	return e && e->has & bit ? e->word[words(e->has & (bit - 1))] : pool->defaults[which];
}

const char *prongi_task_name(const struct prong_pool *pool, const struct prong_future *f)
{
	const struct prongi_extra *e = prongi_extra(f);
	const char *name = e && e->has & PRONGI_HAS_NAME ? (const char *)&e->word[words(e->has)]
							 : pool->default_name;

	return name[0] ? name : "task";
}

uint64_t prongi_task_index(const struct prong_future *f)
{
	const struct prongi_extra *e = prongi_extra(f);
	uint64_t index = 0;

	if (e && e->has & PRONGI_HAS_INDEX)
		memcpy(&index, &e->word[words(e->has & (PRONGI_HAS_INDEX_LOW - 1))], sizeof index);
	return index;
}

/* --- notes ---------------------------------------------------------------------------------- */

struct prongi_notes *prongi_notes_of(struct prong_future *f)
{
	struct prongi_extra *e = prongi_extra(f);

	if (!e && prong_alloc_to(place(&f->extra), sizeof *e))
		return NULL;
	e = prongi_extra(f);
	if (!prongi_notes(f) && prong_alloc_to(place(&e->notes), sizeof(struct prongi_notes)))
		return NULL;
	return prongi_notes(f);
}

void prongi_extra_clear(struct prong_future *f)
{
	struct prongi_extra *e = prongi_extra(f);
	struct prongi_notes *n = prongi_notes(f);

	if (n) {
		prong_free_at(place(&n->copy));
		prong_free_at(place(&n->message));
		prong_free_at(place(&n->report));
		prong_free_at(place(&e->notes));
	}
	if (e)
		prong_free_at(place(&f->extra));
}
