/* prong_connect(): find, connect, prove. */
#include "os/net_os.h"
#include "wire/net.h"
#include "wire/socket.h"
#include "wire/stranger.h"
#include <errno.h>
#include <poll.h>
#include <prong/error.h>
#include <string.h>

/* While it lasts, a forked child must not keep it. */
struct attempt {
	struct prongi_mine mine; /* first */
	struct prongi_stranger it;
};

static void drop(struct prongi_mine *mine)
{
	prongi_stream_fini(&((struct attempt *)(void *)mine)->it.stream);
}

/* --- connecting ---------------------------------------------------------------------------- */

/* All addresses but the last get a share of the time, so that one from which nothing comes leaves
   some to the others. */
static prong_time share(prong_time deadline, size_t left)
{
	prong_time now = prong_clock();
	int64_t ns = prong_ns_between(now, deadline);

	if (left <= 1 || ns <= 0 || deadline.ns_ == PRONG_FOREVER.ns_)
		return deadline;
	now.ns_ += ns / (int64_t)left;
	return now;
}

static int explain(int r, const struct prongi_place *p)
{
	char text[PRONGI_ADDRESS_MOST];

	prongi_address_text(p, text);
	if (r == PRONG_TIMEDOUT)
		return prongi_fail(r, "connect: no answer from %.120s", text);
	if (r == PRONG_CANCELLED)
		return prongi_fail(r, "connect: the caller is cancelled");
	return prongi_fail(r, "connect: %.90s: %s", text, strerror(-r));
}

/* The first place that answers; the error is the last one's. */
static int connect_any(struct attempt *a, const struct prongi_places *places,
		       const prong_auth *auth, prong_time deadline)
{
	int r = -ENOENT;

	for (size_t i = 0; i < places->n; i++) {
		const struct prongi_place *p = &places->place[i];

		r = prongi_terms_suit(auth, p, "connect");
		if (r)
			continue;
		r = prongi_socket_connect(&a->it.stream.fd, p, share(deadline, places->n - i));
		a->it.peer = *p;
		if (r == 0)
			return 0;
		r = explain(r, p);
		if (r == PRONG_CANCELLED)
			return r;
	}
	return r;
}

/* --- proving ------------------------------------------------------------------------------- */

static int await(const struct prongi_stranger *s, prong_time deadline)
{
	bool says = prongi_stranger_wants(s) == PRONGI_SET_OUT;

	return prongi_await(s->stream.fd, says ? POLLOUT : POLLIN, deadline);
}

/* What was waited for in vain. */
static const char *missed(const struct prongi_stranger *s)
{
	if (s->proof.modern || s->proof.proved)
		return "it did not go on until the deadline";
	if (!s->stream.tls)
		return "no challenge until the deadline; does it want TLS?";
	return s->shaken ? "no challenge until the deadline" : "no TLS until the deadline";
}

static int prove(struct attempt *a, const char *address, prong_time deadline)
{
	struct prongi_stranger *s = &a->it;
	int r;

	while ((r = prongi_stranger_go_on(s)) == PRONG_RUNNING) {
		r = await(s, deadline);
		if (r == PRONG_TIMEDOUT)
			return prongi_fail(r, "connect: %.80s: %s", address, missed(s));
		if (r == PRONG_CANCELLED)
			return prongi_fail(r, "connect: the caller is cancelled");
		if (r)
			break;
	}
	if (r == 0)
		return 0;
	return prongi_fail(r, "connect: %.80s: %s", address,
			   s->proof.why ? s->proof.why : strerror(-r));
}

static int attempt(struct attempt *a, const char *address, const prong_auth *auth,
		   const struct prongi_terms *terms, prong_time deadline)
{
	struct prongi_places places;
	int r = prongi_address_find(&places, address, deadline, "connect");

	if (r == 0)
		r = connect_any(a, &places, auth, deadline);
	if (r)
		return r;
	if (terms->tls && prongi_tls_new(&a->it.stream.tls, terms->tls, a->it.stream.fd, address))
		return prongi_fail(-ENOMEM, "connect: no memory for TLS");
	prongi_proof_begin(&a->it.proof, terms->key, false, terms->old_python);
	return prove(a, address, deadline);
}

int prongi_connect(prong_conn **out, const char *address, const prong_auth *auth,
		   const struct prongi_terms *terms, prong_time deadline)
{
	struct attempt a;
	int r;

	memset(&a, 0, sizeof a);
	prongi_stream_init(&a.it.stream, -1, PRONGI_AUTH_MOST, 512);
	r = prongi_mine_add(&a.mine, drop);
	if (r)
		return prongi_fail(r, "connect: no memory");
	r = attempt(&a, address, auth, terms, deadline);
	if (r == 0)
		r = prongi_conn_make(out, &a.it.stream, terms, a.it.proof.modern, &a.it.peer,
				     "connect");
	prongi_mine_remove(&a.mine);
	if (r)
		prongi_stream_fini(&a.it.stream);
	return r;
}

int prong_connect(prong_conn **out, const char *address, const prong_auth *auth,
		  prong_time deadline)
{
	struct prongi_terms terms;
	int r;

	if (!out)
		return prongi_fail(-EINVAL, "connect: a place for the connection is NULL");
	r = prongi_terms_make(&terms, auth, "connect");
	if (r)
		return r;
	r = prongi_connect(out, address, auth, &terms, deadline);
	prongi_terms_fini(&terms);
	return r;
}
