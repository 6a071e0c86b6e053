/* prong_remote: a manager that we are a client of, how it is reached, and what it is asked about
   itself.

   Each request of control goes over a connection of its own, after which the manager hangs up: that
   is Python's protocol.  To a manager of ours what concerns references goes among the calls.

   Not here: calls (proxy.c), and the connections of threads (link.c). */
#include "manager/remote.h"
#include "manager/protocol.h"
#include "os/net_os.h"
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAUSE      ((int64_t)10 * 1000000) /* ns, after the first failure; doubled each time */
#define PAUSE_MOST ((int64_t)1000 * 1000000)
#define FORGET_MS  1000

/* --- life ------------------------------------------------------------------------------- */

int prongi_remote_check(const prong_remote *there, const char *what)
{
	if (!there || there->magic != PRONGI_REMOTE_MAGIC)
		return prongi_fail(-EINVAL, "%.60s: not a remote", what);
	if (there->pid != getpid())
		return prongi_fail(-EINVAL,
				   "%.60s: the remote is of the process that this one was forked "
				   "from",
				   what);
	return 0;
}

void prongi_remote_keep(prong_remote *there)
{
	atomic_fetch_add_explicit(&there->refs, 1, memory_order_relaxed);
}

static void dispose(prong_remote *there)
{
	while (there->counted) {
		struct prongi_counted *c = there->counted;

		there->counted = c->next;
		free(c);
	}
	pthread_mutex_destroy(&there->lock);
	prongi_terms_fini(&there->terms);
	free(there->address);
	there->magic = 0;
	free(there);
}

void prongi_remote_let_go(prong_remote *there)
{
	/* acq_rel: pairs with itself: who disposes of it sees what the others did. */
	if (atomic_fetch_sub_explicit(&there->refs, 1, memory_order_acq_rel) == 1)
		dispose(there);
}

static int make(prong_remote **out, const char *address, const prong_auth *auth)
{
	prong_remote *there = calloc(1, sizeof *there);
	uint64_t token;
	int r;

	if (!there)
		return prongi_fail(-ENOMEM, "remote_open: no memory");
	pthread_mutex_init(&there->lock, NULL);
	there->pid = getpid();
	there->keeper = (struct prongi_link){ .there = there, .pid = there->pid };
	atomic_store_explicit(&there->refs, 1, memory_order_relaxed);
	r = prongi_terms_make(&there->terms, auth, "remote_open");
	if (r == 0 && prongi_os_random(&token, sizeof token))
		r = prongi_fail(-EIO, "remote_open: no random bytes");
	if (r)
		goto undo;
	snprintf(there->token, sizeof there->token, "%016llx", (unsigned long long)token);
	there->auth = *auth;
	there->auth.key = there->terms.key->bytes;
	there->auth.tls = NULL; /* it is in terms */
	there->address = strdup(address);
	if (!there->address) {
		r = prongi_fail(-ENOMEM, "remote_open: no memory");
		goto undo;
	}
	there->magic = PRONGI_REMOTE_MAGIC;
	*out = there;
	return 0;

undo:
	dispose(there);
	return r;
}

/* The calling thread's own connection is the proof that it can be reached. */
static int try(prong_remote *there, prong_time deadline)
{
	struct prongi_link *l;
	int r = prongi_link_mine(there, &l, "remote_open");

	if (r == 0)
		r = prongi_link_begin(l, "remote_open", deadline);
	if (r)
		return r;
	strcpy(there->peer, prong_conn_peer(l->conn));
	prongi_link_end(l);
	return 0;
}

int prong_remote_open(prong_remote **out, const char *address, const prong_auth *auth,
		      prong_time deadline)
{
	prong_remote *there = NULL;
	int r;

	if (!out || !address)
		return prongi_fail(-EINVAL, "remote_open: %s is NULL",
				   out ? "the address" : "a place for the remote");
	r = make(&there, address, auth);
	if (r)
		return r;
	r = try(there, deadline);
	if (r == 0)
		*out = there;
	else
		prong_remote_close(there);
	return r;
}

/* Under the lock. */
static void close_link(struct prongi_link *l)
{
	prong_conn *c = l->conn;

	if (c && l->busy) {
		prongi_conn_shut(c); /* its thread frees it */
	} else if (c) {
		l->conn = NULL;
		prong_conn_free(c);
	}
}

void prong_remote_close(prong_remote *there)
{
	if (!there || prongi_remote_check(there, "remote_close"))
		return;
	pthread_mutex_lock(&there->lock);
	atomic_store_explicit(&there->closed, true, memory_order_relaxed);
	for (struct prongi_link *l = there->links; l; l = l->next)
		close_link(l);
	close_link(&there->keeper);
	pthread_mutex_unlock(&there->lock);
	prongi_link_drop(there);
	prongi_remote_let_go(there);
}

/* --- reaching it ------------------------------------------------------------------------ */

void prongi_remote_lost(prong_remote *there)
{
	atomic_fetch_add_explicit(&there->era, 1, memory_order_relaxed);
}

static prong_time next_try(prong_remote *there)
{
	prong_time t;

	pthread_mutex_lock(&there->lock);
	t = there->next_try;
	pthread_mutex_unlock(&there->lock);
	return t;
}

/* Each failure doubles the pause; who ran out of time has waited enough. */
static void note(prong_remote *there, int r)
{
	pthread_mutex_lock(&there->lock);
	if (r == 0) {
		there->pause = 0;
		there->next_try = PRONG_NOW;
	} else if (r < 0) {
		there->pause = there->pause ? there->pause * 2 : PAUSE;
		if (there->pause > PAUSE_MOST)
			there->pause = PAUSE_MOST;
		there->next_try = prong_clock();
		there->next_try.ns_ += there->pause;
	}
	pthread_mutex_unlock(&there->lock);
}

static int wait_until(prong_time t, const char *what, prong_time deadline)
{
	prong_time now = prong_clock();

	if (t.ns_ <= now.ns_)
		return 0;
	if (prong_sleep(t.ns_ < deadline.ns_ ? t : deadline))
		return prongi_fail(PRONG_CANCELLED, "%.60s: the caller is cancelled", what);
	if (t.ns_ > deadline.ns_)
		return prongi_fail(PRONG_TIMEDOUT,
				   "%.60s: the manager was not reached a moment ago", what);
	return 0;
}

int prongi_remote_dial(prong_remote *there, prong_conn **out, const char *what, prong_time deadline)
{
	int r = wait_until(next_try(there), what, deadline);

	if (r)
		return r;
	r = prongi_connect(out, there->address, &there->auth, &there->terms, deadline);
	note(there, r);
	return r;
}

/* --- control ---------------------------------------------------------------------------- */

int prongi_remote_control(prong_remote *there, const char *function, prong_value *args,
			  struct prongi_answer *out, const char *what, prong_time deadline)
{
	struct prongi_link l;
	prong_value *request;
	int r;

	request = prongi_remote_request(prong_value_new(PRONG_NONE), function, args, what, &r);
	if (r)
		return r;
	r = prongi_link_begin_control(&l, there, what, deadline);
	if (r) {
		prong_value_free(request);
		return r;
	}
	r = prongi_link_ask(&l, request, out, NULL, what, deadline);
	prongi_link_end_control(&l);
	return r;
}

/* On the thread's own connection, if that leads to a manager of ours.  PRONG_MISMATCH: it does
   not. */
static int refer_by_call(prong_remote *there, const char *function, const prong_value *args,
			 struct prongi_answer *out, uint64_t *era, const char *what,
			 prong_time deadline)
{
	struct prongi_link *l;
	prong_value *request;
	int r = prongi_link_here(there, &l);

	if (r)
		return prongi_fail(r, "%.60s: no memory", what);
	r = prongi_link_begin(l, what, deadline);
	if (r)
		return r;
	if (!l->ours) {
		prongi_link_end(l);
		return PRONG_MISMATCH;
	}
	*era = atomic_load_explicit(&there->era, memory_order_relaxed);
	request = prongi_remote_request(prong_value_new(PRONG_NONE), function,
					prong_value_dup(args), what, &r);
	if (r == 0)
		r = prongi_link_ask(l, request, out, NULL, what, deadline);
	prongi_link_end(l);
	if (r == 0)
		prongi_link_keep(there, deadline);
	return r;
}

int prongi_remote_refer(prong_remote *there, const char *function, prong_value *args,
			struct prongi_answer *out, uint64_t *era, const char *what,
			prong_time deadline)
{
	uint64_t own;
	int r = PRONG_MISMATCH;

	if (!era)
		era = &own;
	if (atomic_load_explicit(&there->ours, memory_order_relaxed))
		r = refer_by_call(there, function, args, out, era, what, deadline);
	if (r != PRONG_MISMATCH) {
		prong_value_free(args);
		return r;
	}
	*era = atomic_load_explicit(&there->era, memory_order_relaxed);
	return prongi_remote_control(there, function, args, out, what, deadline);
}

/* What was raised is the calling thread's. */
static int remember(prong_remote *there, struct prongi_answer *a, const char *what)
{
	struct prongi_link *l;
	int r = prongi_link_mine(there, &l, what);

	if (r) {
		prong_value_free(a->item);
		return r;
	}
	l->raised = a->item;
	return prongi_answer_explain(a, what);
}

static int hand_out_proxy(prong_remote *there, const prong_value *item, prong_value **out,
			  const char *what)
{
	uint64_t era = atomic_load_explicit(&there->era, memory_order_relaxed);
	const prong_value *token = prong_value_state(prong_value_at(item, 1));
	const char *ident = prongi_text(prong_value_at(token, 2));
	prong_value *v = NULL;
	int r = prongi_value_of_answer(item, &v);

	if (r == -EPROTO)
		return prongi_fail(r, "%.60s: what came is no object's name", what);
	if (r == 0 && out)
		r = prongi_remote_count(there, ident);
	if (r || !out) {
		prong_value_free(v);
		prongi_remote_forget(there, ident, era);
		return r ? prongi_fail(r, "%.60s: no memory", what) : 0;
	}
	*out = v;
	return 0;
}

int prongi_remote_judge(prong_remote *there, struct prongi_answer *a, prong_value **out,
			const char *what)
{
	int r;

	switch (a->kind) {
	case PRONGI_IS_RETURN:
		if (out)
			*out = a->item;
		else
			prong_value_free(a->item);
		return 0;
	case PRONGI_IS_PROXY:
		r = hand_out_proxy(there, a->item, out, what);
		prong_value_free(a->item);
		return r;
	default:
		return remember(there, a, what);
	}
}

int prong_remote_ask(prong_remote *there, const char *function, prong_value *args,
		     prong_value **out, prong_time deadline)
{
	struct prongi_answer a;
	struct prongi_link *l;
	int r = prongi_remote_check(there, "remote_ask");

	if (r == 0 && !function)
		r = prongi_fail(-EINVAL, "remote_ask: the function is NULL");
	if (r == 0)
		r = prongi_link_mine(there, &l, function);
	if (r) {
		prong_value_free(args);
		return r;
	}
	r = prongi_remote_control(there, function, args, &a, function, deadline);
	return r ? r : prongi_remote_judge(there, &a, out, function);
}

int prong_remote_shutdown(prong_remote *there, prong_time deadline)
{
	return prong_remote_ask(there, PRONGI_SHUTDOWN, prong_args(0), NULL, deadline);
}

const prong_value *prong_remote_raised(prong_remote *there)
{
	return prongi_remote_check(there, "remote_raised") ? NULL : prongi_link_raised(there);
}

/* --- what it counts for us -------------------------------------------------------------- */

int prongi_remote_count(prong_remote *there, const char *ident)
{
	struct prongi_counted *c = malloc(sizeof *c + strlen(ident) + 1);

	if (!c)
		return -ENOMEM;
	strcpy(c->ident, ident);
	c->era = atomic_load_explicit(&there->era, memory_order_relaxed);
	pthread_mutex_lock(&there->lock);
	c->next = there->counted;
	there->counted = c;
	pthread_mutex_unlock(&there->lock);
	if (atomic_load_explicit(&there->ours, memory_order_relaxed))
		prongi_link_keep(there, prong_in_ms(FORGET_MS));
	return 0;
}

bool prongi_remote_counted(prong_remote *there, const char *ident)
{
	uint64_t era = atomic_load_explicit(&there->era, memory_order_relaxed);
	struct prongi_counted **where = &there->counted, *c;

	pthread_mutex_lock(&there->lock);
	while ((c = *where) != NULL && (c->era != era || strcmp(c->ident, ident) != 0))
		where = &c->next;
	if (c)
		*where = c->next;
	pthread_mutex_unlock(&there->lock);
	free(c);
	return c != NULL;
}

void prongi_remote_forget(prong_remote *there, const char *ident, uint64_t era)
{
	prong_time deadline = prong_in_ms(FORGET_MS);
	struct prongi_answer a;

	if (era != atomic_load_explicit(&there->era, memory_order_relaxed) ||
	    atomic_load_explicit(&there->closed, memory_order_relaxed))
		return;
	if (prongi_remote_refer(there, PRONGI_DECREF, prong_args(1, prong_value_text(ident)), &a,
				NULL, "proxy_free", deadline) == 0)
		prong_value_free(a.item);
}
