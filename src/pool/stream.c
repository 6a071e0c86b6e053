/* Streams: a ring of futures in memory of the caller's own.  When that process dies, the sweep lets
   go of them. */
#include "pool/pool.h"
#include <errno.h>
#include <prong/stream.h>
#include <stdlib.h>

#define WINDOW_MOST 65536

struct prong_stream {
	struct prong_pool *pool;
	prong_fn *fn;
	prong_supply_fn *supply;
	void *ctx;
	prong_task_opts task;
	char name[64];
	bool unordered, pending; /* pending: item could not be handed in yet */
	const void *item;
	size_t size;
	int ended;                /* what supply, or a submit, said last; 0: it goes on */
	uint64_t index;           /* of the next item */
	struct prong_future *out; /* handed out last */
	size_t window, first, n;
	struct prong_future *f[]; /* n of them from first on, in order */
};

static struct prong_future **at(struct prong_stream *s, size_t i)
{
	return &s->f[(s->first + i) % s->window];
}

/* --- opening -------------------------------------------------------------------------------- */

static int check(const prong_stream_opts *o)
{
	for (size_t i = 0; i < sizeof o->reserved_ / sizeof *o->reserved_; i++)
		if (o->reserved_[i])
			return prongi_fail(-EINVAL, "stream_open: a reserved option is set");
	if (o->window > WINDOW_MOST || o->task.group)
		return prongi_fail(-EINVAL,
				   "stream_open: task.group is set, or window is above "
				   "%d",
				   WINDOW_MOST);
	return prongi_task_opts_check(&o->task, "stream_open");
}

int prong_stream_open(prong_stream **out, prong_pool *pool, prong_fn *fn, prong_supply_fn *supply,
		      void *ctx, const prong_stream_opts *opts)
{
	static const prong_stream_opts defaults;
	struct prong_stream *s;
	size_t window;
	int r = prongi_pool_check(pool, "stream_open");

	opts = opts ? opts : &defaults;
	if (r == 0)
		r = check(opts);
	if (r)
		return r;
	if (!out || !fn || !supply)
		return prongi_fail(-EINVAL, "stream_open: out, fn or supply is NULL");
	window = opts->window
			 ? opts->window
			 : 4 * (size_t)atomic_load_explicit(&pool->wanted, memory_order_relaxed);
	s = malloc(sizeof *s + window * sizeof *s->f);
	if (!s)
		return prongi_fail(-ENOMEM, "stream_open: no memory for %zu items", window);
	*s = (struct prong_stream){ .pool = pool,
				    .fn = fn,
				    .supply = supply,
				    .ctx = ctx,
				    .task = opts->task,
				    .unordered = opts->unordered,
				    .window = window };
	if (opts->task.name)
		strncpy(s->name, opts->task.name, sizeof s->name - 1);
	s->task.name = opts->task.name ? s->name : NULL;
	*out = s;
	return 0;
}

/* --- filling -------------------------------------------------------------------------------- */

/* Hand the item in.  Return false when there is no room now, or never again. */
static bool hand_in(struct prong_stream *s)
{
	const struct prongi_ask ask = { s->fn, s->item, s->size, &s->task, true, s->index };
	struct prong_future *f;
	int r = prongi_ask_check(&ask, "stream_next");

	if (r == 0)
		r = prongi_submit(s->pool, &f, &ask);
	s->pending = r == PRONG_FULL;
	if (r) {
		s->ended = s->pending ? 0 : r;
		return false;
	}
	if (s->unordered)
		prongi_future_watch(f);
	*at(s, s->n++) = f;
	s->index++;
	return true;
}

static void fill(struct prong_stream *s)
{
	while (s->n < s->window && !s->ended) {
		if (!s->pending)
			s->ended = s->supply(s->ctx, &s->item, &s->size);
		if (s->ended || !hand_in(s))
			return;
	}
}

/* --- next ----------------------------------------------------------------------------------- */

/* Put the i-th first. */
static void bring_forward(struct prong_stream *s, size_t i)
{
	struct prong_future *f = *at(s, i);

	for (; i; i--)
		*at(s, i) = *at(s, i - 1);
	*at(s, 0) = f;
}

static bool any_done(struct prong_stream *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (prong_future_done(*at(s, i))) {
			bring_forward(s, i);
			return true;
		}
	return false;
}

static int sleep_for_any(struct prong_stream *s, uint32_t seen, prong_time deadline)
{
	struct prongi_awaited a[3] = { { &s->pool->thens, seen, true } };

	if (prongi_process_lives(s->pool->owner, &a[1]))
		return prongi_sleep_any(a, 2, deadline);
	for (size_t i = 0; i < s->n; i++)
		prongi_future_lose(s->pool, *at(s, i));
	return 0;
}

static int await_any(struct prong_stream *s, prong_time deadline)
{
	struct prongi_worker *w = prongi_wait_inside_begin(s->pool);
	int r = 0;

	for (;;) {
		/* seq_cst: pairs with tell(), run.c. */
		uint32_t seen = atomic_load_explicit(&s->pool->thens, memory_order_seq_cst);

		if (any_done(s))
			r = 0;
		else if (r == 0) {
			r = sleep_for_any(s, seen, deadline);
			continue;
		}
		break;
	}
	prongi_wait_inside_end(s->pool, w);
	return r ? prongi_gave_up(r, "stream_next", "no item is done") : 0;
}

/* Others have filled the pool up: until there is room. */
static int await_room(struct prong_stream *s, prong_time deadline)
{
	while (s->pending && !s->n) {
		if (prongi_os_now() >= deadline.ns_)
			return prongi_fail(PRONG_TIMEDOUT, "stream_next: the pool is full");
		if (prong_sleep(prong_in_ms(1)))
			return PRONG_CANCELLED;
		fill(s);
	}
	return 0;
}

int prong_stream_next(prong_stream *s, struct prong_future **f, prong_time deadline)
{
	struct prongi_worker *w;
	int r;

	if (!s || !f)
		return prongi_fail(-EINVAL, "stream_next: %s is NULL", s ? "f" : "s");
	fill(s);
	w = s->pending && !s->n ? prongi_wait_inside_begin(s->pool) : NULL;
	r = await_room(s, deadline);
	prongi_wait_inside_end(s->pool, w);
	if (r)
		return r;
	if (!s->n)
		return s->ended == PRONG_EMPTY
			       ? prongi_fail(PRONG_EMPTY, "stream_next: nothing is left")
			       : s->ended;
	r = s->unordered ? await_any(s, deadline) : prong_future_wait(*at(s, 0), deadline);
	if (r)
		return r;
	prong_future_free(s->out);
	s->out = *f = *at(s, 0);
	s->first = (s->first + 1) % s->window;
	s->n--;
	return 0;
}

void prong_stream_close(prong_stream *s)
{
	if (!s)
		return;
	prong_future_free(s->out);
	for (size_t i = 0; i < s->n; i++) {
		(void)prong_future_cancel(*at(s, i));
		prong_future_free(*at(s, i));
	}
	free(s);
}
