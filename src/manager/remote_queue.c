/* Queues of managers, with the face of a prong_queue.

   A get that waits asks again each second.  Python's server does not notice that a client has gone
   while it waits for it, and gives it an item all the same, which is lost: so it never waits longer
   than that for one who may have died.

   When a get is given up all the same, its answer is still read, later: an item in it goes to the
   next get, or back.

   Not here: how the functions of queue.h find these (flow/queue_far.c). */
#include "manager/remote.h"
#include <errno.h>
#include <prong/error.h>
#include <stdlib.h>
#include <string.h>

#define WHAT      "remote_queue"
#define ANSWER_NS ((int64_t)1000000000) /* for the manager's word, after the deadline */
#define SECOND    1e9

/* What was taken, and is still to be got. */
struct kept {
	struct kept *next;
	prong_value *v;
};

/* A connection on which the answer to a get is still to come. */
struct late {
	struct late *next;
	prong_conn *c;
};

struct far_queue {
	prong_remote *there; /* kept; read-only, and so is name */
	char *name;
	pthread_mutex_t lock; /* protects the rest */
	struct prongi_referent o;
	struct kept *kept;
	struct late *late;
};

/* --- what comes late -------------------------------------------------------------------- */

/* To be the next that is got; takes v over. */
static int keep(struct far_queue *q, prong_value *v)
{
	struct kept *k = malloc(sizeof *k);

	if (!k) {
		prong_value_free(v);
		return -ENOMEM;
	}
	k->v = v;
	pthread_mutex_lock(&q->lock);
	k->next = q->kept;
	q->kept = k;
	pthread_mutex_unlock(&q->lock);
	return 0;
}

static void put_late(struct far_queue *q, struct late *e)
{
	pthread_mutex_lock(&q->lock);
	e->next = q->late;
	q->late = e;
	pthread_mutex_unlock(&q->lock);
}

static void expect(struct far_queue *q, prong_conn *c)
{
	struct late *e = malloc(sizeof *e);

	if (!e) {
		prong_conn_free(c);
		return;
	}
	e->c = c;
	put_late(q, e);
}

/* One of those that are late, which is the caller's then. */
static struct late *take_late(struct far_queue *q)
{
	struct late *e;

	pthread_mutex_lock(&q->lock);
	e = q->late;
	if (e)
		q->late = e->next;
	pthread_mutex_unlock(&q->lock);
	return e;
}

/* Keep what has come by now; with patience, what comes until the deadline. */
static void collect(struct far_queue *q, prong_time deadline)
{
	struct late *still = NULL, *e;
	struct prongi_answer a;

	while ((e = take_late(q)) != NULL) {
		int r = prongi_conn_answer(q->there, e->c, &a, WHAT, deadline);

		if (r == PRONG_TIMEDOUT && deadline.ns_ == PRONG_NOW.ns_) {
			e->next = still;
			still = e;
			continue;
		}
		if (r == 0 && a.kind == PRONGI_IS_RETURN)
			keep(q, a.item);
		else if (r == 0)
			prong_value_free(a.item);
		prong_conn_free(e->c);
		free(e);
	}
	while ((e = still) != NULL) {
		still = e->next;
		put_late(q, e);
	}
}

static bool take_kept(struct far_queue *q, prong_value **out)
{
	struct kept *k;

	collect(q, PRONG_NOW);
	pthread_mutex_lock(&q->lock);
	k = q->kept;
	if (k)
		q->kept = k->next;
	pthread_mutex_unlock(&q->lock);
	if (k)
		*out = k->v;
	free(k);
	return k != NULL;
}

/* --- asking the manager ----------------------------------------------------------------- */

prong_time prongi_word_by(prong_time deadline)
{
	prong_time now = prong_clock();

	if (deadline.ns_ == PRONG_FOREVER.ns_)
		return deadline;
	if (deadline.ns_ < now.ns_)
		deadline = now;
	deadline.ns_ += ANSWER_NS;
	return deadline;
}

/* Another manager may be there by now: ask it for its queue of that name.  The old object's count
   is left alone, for what has its name now may be something else. */
static int make_again(struct far_queue *q, prong_time deadline)
{
	struct prongi_referent o, old;
	int r = prongi_referent_make(q->there, q->name, prong_args(0), &o, q->name, deadline);

	if (r)
		return r;
	pthread_mutex_lock(&q->lock);
	old = q->o;
	q->o = o;
	pthread_mutex_unlock(&q->lock);
	prongi_referent_fini(&old);
	return 0;
}

static bool is_stale(struct far_queue *q)
{
	return q->o.era != atomic_load_explicit(&q->there->era, memory_order_relaxed);
}

/* Ask once.  PRONG_MISMATCH: make it again first. */
static int ask_once(struct far_queue *q, const char *method, prong_value *args,
		    struct prongi_answer *a, prong_time deadline)
{
	prong_value *request = NULL;
	struct prongi_link *l;
	char ident[80] = "";
	prong_conn *late = NULL;
	bool stale;
	int r = prongi_link_mine(q->there, &l, WHAT);

	if (r == 0)
		r = prongi_link_begin(l, q->name, deadline);
	if (r)
		return r;
	pthread_mutex_lock(&q->lock);
	stale = is_stale(q);
	strncat(ident, q->o.ident, sizeof ident - 1);
	if (!stale)
		request = prongi_remote_request(prong_value_text(q->o.ident), method,
						prong_value_dup(args), q->name, &r);
	pthread_mutex_unlock(&q->lock);
	if (request)
		r = prongi_link_ask(l, request, a, strcmp(method, "get") ? NULL : &late, q->name,
				    deadline);
	if (late)
		expect(q, late);
	prongi_link_end(l);
	if (r || stale)
		return r ? r : PRONG_MISMATCH;
	if (!prongi_answer_unknown(a, ident))
		return 0;
	prong_value_free(a->item);
	return PRONG_MISMATCH;
}

/* args are taken over. */
static int ask(struct far_queue *q, const char *method, prong_value *args, struct prongi_answer *a,
	       prong_time deadline)
{
	int r = prongi_remote_check(q->there, WHAT);

	if (r == 0)
		r = ask_once(q, method, args, a, deadline);
	if (r == PRONG_MISMATCH) {
		r = make_again(q, deadline);
		if (r == 0)
			r = ask_once(q, method, args, a, deadline);
		if (r == PRONG_MISMATCH)
			r = prongi_fail(-ECONNRESET, "%.60s: the manager was lost again", q->name);
	}
	prong_value_free(args);
	return r;
}

/* What the answer is to who puts and gets. */
static int judge(struct far_queue *q, struct prongi_answer *a, prong_value **out)
{
	int r = 0;

	if (prongi_answer_raises(a, "Empty") || prongi_answer_raises(a, "Full"))
		r = PRONG_TIMEDOUT;
	else if (prongi_answer_raises(a, "ShutDown") || prongi_answer_raises(a, "EOFError"))
		r = PRONG_CLOSED;
	if (r == 0)
		return prongi_remote_judge(q->there, a, out, q->name);
	prong_value_free(a->item);
	return prongi_fail(r, "%.60s: %s", q->name,
			   r == PRONG_CLOSED ? "the queue is closed"
					     : "empty, or full, until the "
					       "deadline");
}

/* The manager did not even say that its time was over. */
static int no_word(int r, const struct far_queue *q)
{
	return r == PRONG_TIMEDOUT ? prongi_fail(-ETIMEDOUT, "%.60s: no answer", q->name) : r;
}

/* --- values ----------------------------------------------------------------------------- */

double prongi_seconds_left(prong_time deadline, int64_t most)
{
	int64_t ns = prong_ns_between(prong_clock(), deadline);

	return ns <= 0 ? 0 : (double)(ns < most ? ns : most) / SECOND;
}

static int far_get_value(void *self, prong_value **out, prong_time deadline)
{
	struct far_queue *q = self;
	struct prongi_answer a;
	double left;
	int r;

	if (take_kept(q, out))
		return 0;
	do {
		left = prongi_seconds_left(deadline, PRONGI_SLICE_NS);
		r = ask(q, "get",
			left > 0 ? prong_args(2, prong_value_bool(true), prong_value_float(left))
				 : prong_args(1, prong_value_bool(false)),
			&a, prongi_word_by(deadline));
		r = r ? no_word(r, q) : judge(q, &a, out);
	} while (r == PRONG_TIMEDOUT && prong_clock().ns_ < deadline.ns_);
	return r;
}

static int far_put_value(void *self, prong_value *v, prong_time deadline)
{
	struct far_queue *q = self;
	double left = prongi_seconds_left(deadline, INT64_MAX);
	struct prongi_answer a;
	prong_value *args;
	int r;

	if (deadline.ns_ == PRONG_FOREVER.ns_)
		args = prong_args(1, v);
	else if (left > 0)
		args = prong_args(3, v, prong_value_bool(true), prong_value_float(left));
	else
		args = prong_args(2, v, prong_value_bool(false));
	r = ask(q, "put", args, &a, prongi_word_by(deadline));
	return r ? no_word(r, q) : judge(q, &a, NULL);
}

/* --- bytes ------------------------------------------------------------------------------ */

static int far_put(void *self, const void *data, size_t size, prong_time deadline)
{
	return far_put_value(self, prong_value_bytes(PRONG_BYTES, data, size), deadline);
}

/* The bytes that v is as a message: *memory, if not NULL, is to be freed. */
static int bytes_of(const prong_value *v, const void **data, size_t *size, void **memory)
{
	int r;

	*memory = NULL;
	switch (prong_value_kind(v)) {
	case PRONG_BYTES:
	case PRONG_BYTEARRAY:
	case PRONG_TEXT: /* as Python 2 calls bytes */
		*data = prong_value_data(v, size);
		return 0;
	default:
		break;
	}
	r = prong_encode(v, PRONG_PICKLE_5, memory, size, NULL);
	*data = *memory;
	return r;
}

static int far_get(void *self, void *data, size_t size, size_t *got, prong_time deadline)
{
	struct far_queue *q = self;
	const void *bytes;
	prong_value *v;
	void *memory;
	size_t n;
	int r = far_get_value(q, &v, deadline);

	if (r)
		return r;
	r = bytes_of(v, &bytes, &n, &memory);
	if (r == 0 && (n > size || (!got && n != size)))
		r = prongi_fail(-EMSGSIZE, "queue_get: the message has %zu bytes, not %zu", n,
				size);
	if (r == 0 && n)
		memcpy(data, bytes, n);
	if (r == 0 && got)
		*got = n;
	free(memory);
	if (r == 0)
		prong_value_free(v);
	else if (keep(q, v))
		r = prongi_fail(-ENOMEM, "queue_get: no memory, and the message is lost");
	return r;
}

/* --- the rest --------------------------------------------------------------------------- */

static int far_join(void *self, prong_time deadline)
{
	struct far_queue *q = self;
	struct prongi_answer a;
	int r = ask(q, "join", prong_args(0), &a, deadline);

	return r ? r : judge(q, &a, NULL);
}

static size_t far_size(void *self)
{
	struct far_queue *q = self;
	struct prongi_answer a;
	prong_value *v;
	int64_t n = 0;
	size_t kept = 0;

	if (ask(q, "qsize", prong_args(0), &a, prongi_word_by(PRONG_NOW)) == 0 &&
	    prongi_remote_judge(q->there, &a, &v, q->name) == 0) {
		if (prong_value_as_int(v, &n) || n < 0)
			n = 0;
		prong_value_free(v);
	}
	pthread_mutex_lock(&q->lock);
	for (const struct kept *k = q->kept; k; k = k->next)
		kept++;
	pthread_mutex_unlock(&q->lock);
	return (size_t)n + kept;
}

static int far_close(void *self)
{
	struct far_queue *q = self;
	struct prongi_answer a;
	bool can;
	int r;

	pthread_mutex_lock(&q->lock);
	can = prongi_referent_has(&q->o, "shutdown");
	pthread_mutex_unlock(&q->lock);
	if (!can)
		return prongi_fail(-ENOTSUP, "queue_close: %.60s has no shutdown", q->name);
	r = ask(q, "shutdown", prong_args(0), &a, prongi_word_by(PRONG_NOW));
	return r ? no_word(r, q) : judge(q, &a, NULL);
}

static void dispose(struct far_queue *q)
{
	prongi_referent_fini(&q->o);
	prongi_remote_let_go(q->there);
	pthread_mutex_destroy(&q->lock);
	free(q->name);
	free(q);
}

/* What nobody has got goes back; at the end, for there is no way to the front. */
static void far_free(void *self)
{
	struct far_queue *q = self;
	prong_value *v;

	collect(q, prongi_word_by(prong_in_ms(PRONGI_SLICE_NS / 1000000)));
	while (take_kept(q, &v))
		(void)far_put_value(q, v, PRONG_NOW);
	prongi_remote_forget(q->there, q->o.ident, q->o.era);
	dispose(q);
}

static const struct prongi_queue_ops ops = {
	.put = far_put,
	.get = far_get,
	.put_value = far_put_value,
	.get_value = far_get_value,
	.join = far_join,
	.size = far_size,
	.close = far_close,
	.free = far_free,
};

/* --- making one ------------------------------------------------------------------------- */

static int make(prong_remote *there, const char *name, struct far_queue **out)
{
	struct far_queue *q = calloc(1, sizeof *q);

	if (!q)
		return -ENOMEM;
	q->name = strdup(name);
	if (!q->name) {
		free(q);
		return -ENOMEM;
	}
	pthread_mutex_init(&q->lock, NULL);
	q->there = there;
	prongi_remote_keep(there);
	*out = q;
	return 0;
}

int prong_remote_queue(prong_remote *there, const char *name, prong_queue **out,
		       prong_time deadline)
{
	struct prongi_link *l;
	struct far_queue *q;
	int r = prongi_remote_check(there, WHAT);

	if (r)
		return r;
	if (!name || !out)
		return prongi_fail(-EINVAL, WHAT ": %s is NULL",
				   name ? "a place for the queue" : "the name");
	r = prongi_link_mine(there, &l, WHAT);
	if (r)
		return r;
	r = make(there, name, &q);
	if (r)
		return prongi_fail(r, WHAT ": no memory");
	r = prongi_referent_make(there, name, prong_args(0), &q->o, name, deadline);
	if (r) {
		dispose(q);
		return r;
	}
	if (!prongi_referent_has(&q->o, "get") || !prongi_referent_has(&q->o, "put"))
		r = prongi_fail(PRONG_MISMATCH, WHAT ": %.60s gives no queue", name);
	if (r == 0)
		r = prongi_outer_queue_new(out, &ops, q);
	if (r)
		far_free(q);
	return r;
}
