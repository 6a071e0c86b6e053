/* Links: the connection that a thread has to a manager.

   A thread has a list of its own, so that finding its link takes no lock; each remote has one of
   all that lead there, so that it can hang up.  A link is freed by its thread alone: when that
   ends, or finds that the remote was closed.

   Answers bear no number.  So whatever ends a call but its answer ends the connection too. */
#include "manager/protocol.h"
#include "manager/remote.h"
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- lists ------------------------------------------------------------------------------ */

static _Thread_local struct prongi_link *mine;

static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool prepared;

static void enlist(struct prongi_link *l, prong_remote *there)
{
	l->there = there;
	l->pid = there->pid;
	prongi_remote_keep(there);
	pthread_mutex_lock(&there->lock);
	l->next = there->links;
	l->where = &there->links;
	if (l->next)
		l->next->where = &l->next;
	there->links = l;
	pthread_mutex_unlock(&there->lock);
}

static void delist(struct prongi_link *l)
{
	prong_remote *there = l->there;

	pthread_mutex_lock(&there->lock);
	*l->where = l->next;
	if (l->next)
		l->next->where = l->where;
	pthread_mutex_unlock(&there->lock);
	if (l->conn)
		prong_conn_free(l->conn);
	l->conn = NULL;
	prongi_remote_let_go(there);
}

/* In a process that was forked nothing but the memory is ours. */
static void dispose(struct prongi_link *l)
{
	if (l->pid == getpid())
		delist(l);
	prong_value_free(l->raised);
	free(l);
}

static void end_of_thread(void *arg)
{
	(void)arg;
	while (mine) {
		struct prongi_link *l = mine;

		mine = l->of_thread;
		dispose(l);
	}
}

static void prepare(void)
{
	prepared = pthread_key_create(&at_end, end_of_thread) == 0;
}

static int make(prong_remote *there, struct prongi_link **out)
{
	struct prongi_link *l;

	pthread_once(&once, prepare);
	if (!prepared || pthread_setspecific(at_end, &mine))
		return -ENOMEM;
	l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	enlist(l, there);
	l->of_thread = mine;
	mine = l;
	*out = l;
	return 0;
}

static bool over(const struct prongi_link *l)
{
	return l->pid != getpid() || atomic_load_explicit(&l->there->closed, memory_order_relaxed);
}

/* The thread's link to there, if it has one.  Those that nobody will use again go. */
static struct prongi_link *find(const prong_remote *there)
{
	struct prongi_link **where = &mine, *found = NULL;

	while (*where) {
		struct prongi_link *l = *where;

		if (l->there == there) {
			found = l;
		} else if (over(l)) {
			*where = l->of_thread;
			dispose(l);
			continue;
		}
		where = &l->of_thread;
	}
	return found;
}

int prongi_link_here(prong_remote *there, struct prongi_link **out)
{
	*out = find(there);
	return *out ? 0 : make(there, out);
}

int prongi_link_mine(prong_remote *there, struct prongi_link **out, const char *what)
{
	int r = prongi_link_here(there, out);

	if (r)
		return prongi_fail(r, "%.60s: no memory", what);
	prong_value_free((*out)->raised);
	(*out)->raised = NULL;
	return 0;
}

void prongi_link_drop(const prong_remote *there)
{
	struct prongi_link **where = &mine;

	while (*where && (*where)->there != there)
		where = &(*where)->of_thread;
	if (*where) {
		struct prongi_link *l = *where;

		*where = l->of_thread;
		dispose(l);
	}
}

const prong_value *prongi_link_raised(const prong_remote *there)
{
	const struct prongi_link *l = find(there);

	return l ? l->raised : NULL;
}

/* --- asking ----------------------------------------------------------------------------- */

/* The connection stays as it is, but is nobody's: it is returned. */
static prong_conn *detach(struct prongi_link *l)
{
	prong_conn *c;

	pthread_mutex_lock(&l->there->lock);
	c = l->conn;
	l->conn = NULL;
	pthread_mutex_unlock(&l->there->lock);
	return c;
}

/* The call is over, and so is the connection.  ours: we gave it up. */
static void hang_up(struct prongi_link *l, bool ours)
{
	prong_conn_free(detach(l));
	if (!ours)
		prongi_remote_lost(l->there);
}

/* True when the manager is still there, as far as r tells. */
static bool given_up(int r)
{
	return r == PRONG_TIMEDOUT || r == PRONG_CANCELLED || r == -EPROTO || r == -EFBIG ||
	       r == -ENOMEM;
}

/* Say what r, from a connection, is to who called. */
static int broken(struct prongi_link *l, int r, const char *what)
{
	bool closed = atomic_load_explicit(&l->there->closed, memory_order_relaxed);

	hang_up(l, closed || given_up(r));
	switch (r) {
	case PRONG_TIMEDOUT:
		return prongi_fail(r, "%.60s: no answer until the deadline", what);
	case PRONG_CANCELLED:
		return prongi_fail(r, "%.60s: the caller is cancelled", what);
	case PRONG_CLOSED:
		if (closed)
			return prongi_fail(r, "%.60s: the remote was closed meanwhile", what);
		return prongi_fail(-ECONNRESET, "%.60s: the manager hung up", what);
	case -ETIMEDOUT:
		return prongi_fail(-ECONNRESET, "%.60s: the manager's answer came too slowly",
				   what);
	case -EFBIG:
		return prongi_fail(-EPROTO, "%.60s: the answer is above the limit of %zu bytes",
				   what, l->there->terms.message_max);
	case -EPROTO:
		return prongi_fail(r, "%.60s: what came is no answer", what);
	case -ENOMEM:
		return prongi_fail(r, "%.60s: no memory", what);
	}
	return prongi_fail(-ECONNRESET, "%.60s: %s", what, strerror(-r));
}

static int send_request(struct prongi_link *l, prong_value *request, const char *what,
			prong_time deadline)
{
	size_t size;
	void *data;
	int r = prongi_conn_encode(l->conn, request, &data, &size);

	prong_value_free(request);
	if (r)
		return r;
	r = prong_conn_send(l->conn, data, size, deadline);
	free(data);
	return r ? broken(l, r, what) : 0;
}

static int decode(const prong_remote *there, void *data, size_t size, struct prongi_answer *out)
{
	const prong_limits limits = { .bytes = there->terms.message_max };
	prong_value *message;
	int r = prong_decode_take(&message, PRONG_PICKLE, data, size, &limits);

	if (r) {
		free(data);
		return r == -ENOMEM ? r : -EPROTO;
	}
	r = prongi_answer_read(message, out);
	prong_value_free(message);
	return r;
}

int prongi_conn_answer(prong_remote *there, prong_conn *c, struct prongi_answer *out,
		       const char *what, prong_time deadline)
{
	size_t size;
	void *data;
	int r = prongi_conn_recv_private(c, &data, &size, deadline, what);

	return r ? r : decode(there, data, size, out);
}

int prongi_link_ask(struct prongi_link *l, prong_value *request, struct prongi_answer *out,
		    prong_conn **late, const char *what, prong_time deadline)
{
	int r = send_request(l, request, what, deadline);

	if (r)
		return r;
	r = prongi_conn_answer(l->there, l->conn, out, what, deadline);
	if (late && (r == PRONG_TIMEDOUT || r == PRONG_CANCELLED)) {
		*late = detach(l);
		return r;
	}
	return r ? broken(l, r, what) : 0;
}

/* --- connecting ------------------------------------------------------------------------- */

static int begin(struct prongi_link *l, const char *what)
{
	bool closed;

	pthread_mutex_lock(&l->there->lock);
	closed = atomic_load_explicit(&l->there->closed, memory_order_relaxed);
	l->busy = !closed;
	pthread_mutex_unlock(&l->there->lock);
	return closed ? prongi_fail(PRONG_CLOSED, "%.60s: the remote is closed", what) : 0;
}

static int dial(struct prongi_link *l, const char *what, prong_time deadline)
{
	prong_conn *c;
	int r = prongi_remote_dial(l->there, &c, what, deadline);

	if (r)
		return r;
	pthread_mutex_lock(&l->there->lock);
	l->conn = c;
	if (atomic_load_explicit(&l->there->closed, memory_order_relaxed))
		prongi_conn_shut(c); /* it was meanwhile, and nobody else tells */
	pthread_mutex_unlock(&l->there->lock);
	return 0;
}

/* Have the manager take what follows for calls. */
static int accept_calls(struct prongi_link *l, const char *what, prong_time deadline)
{
	struct prongi_answer a;
	prong_value *request;
	char name[60];
	int r;

	snprintf(name, sizeof name, PRONGI_OURS "-%ld-%s", (long)l->pid, l->there->token);
	request = prongi_remote_request(prong_value_new(PRONG_NONE), PRONGI_ACCEPT,
					prong_args(1, prong_value_text(name)), what, &r);
	if (r == 0)
		r = prongi_link_ask(l, request, &a, NULL, what, deadline);
	if (r)
		return r;
	if (a.kind != PRONGI_IS_RETURN) {
		prongi_answer_explain(&a, what);
		hang_up(l, true);
		r = -EPROTO;
	}
	l->ours = r == 0 && prongi_text(a.item) && strcmp(prongi_text(a.item), PRONGI_OURS) == 0;
	atomic_store_explicit(&l->there->ours, l->ours, memory_order_relaxed);
	prong_value_free(a.item);
	return r;
}

int prongi_link_begin(struct prongi_link *l, const char *what, prong_time deadline)
{
	int r = begin(l, what);

	if (r)
		return r;
	/* What comes unasked is an end, or nothing that could be an answer. */
	if (l->conn && prongi_conn_has_news(l->conn))
		hang_up(l, l == &l->there->keeper);
	if (l->conn)
		return 0;
	r = dial(l, what, deadline);
	if (r == 0)
		r = accept_calls(l, what, deadline);
	if (r) {
		if (l->conn)
			hang_up(l, true);
		prongi_link_end(l);
	}
	return r;
}

void prongi_link_end(struct prongi_link *l)
{
	prong_conn *c = NULL;

	pthread_mutex_lock(&l->there->lock);
	l->busy = false;
	if (atomic_load_explicit(&l->there->closed, memory_order_relaxed)) {
		c = l->conn;
		l->conn = NULL;
	}
	pthread_mutex_unlock(&l->there->lock);
	if (c)
		prong_conn_free(c);
}

void prongi_link_keep(prong_remote *there, prong_time deadline)
{
	struct prongi_link *l = &there->keeper;

	/* acquire: pairs with the release below: the link is theirs one after the other. */
	if (atomic_exchange_explicit(&there->keeping, true, memory_order_acquire))
		return;
	if (prongi_link_begin(l, "remote", deadline) == 0) {
		if (!l->ours)
			hang_up(l, true);
		prongi_link_end(l);
	}
	/* release: pairs with the acquire above. */
	atomic_store_explicit(&there->keeping, false, memory_order_release);
}

int prongi_link_begin_control(struct prongi_link *l, prong_remote *there, const char *what,
			      prong_time deadline)
{
	int r;

	*l = (struct prongi_link){ 0 };
	enlist(l, there);
	r = begin(l, what);
	if (r == 0)
		r = dial(l, what, deadline);
	if (r)
		delist(l);
	return r;
}

void prongi_link_end_control(struct prongi_link *l)
{
	delist(l);
}
