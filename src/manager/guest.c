/* Guests: the connections of clients that have proved the key.

   Each has one request at a time: while it is at work, parked or being answered, nothing more is
   read but to see whether the client is still there.

   A message that a client took stays in hand here until the client is known to have it.  It is when
   the client asks for something else; and when it hung up and its system had the whole answer: for
   who closes a socket in which something is unread does not close it in order, but resets it. */
#include "manager/manager.h"
#include "os/net_os.h"
#include "wire/socket.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define AHEAD    ((size_t)1 << 10)
#define GRACE_NS ((int64_t)10 * 1000000000)
#define LOOK_NS  ((int64_t)5 * 1000000)
#define TURNS    32 /* requests of one guest, until the others have theirs */

/* --- life ------------------------------------------------------------------------------- */

/* In a forked child. */
static void drop(struct prongi_mine *mine)
{
	struct prongi_guest *g = (struct prongi_guest *)(void *)mine;

	prongi_socket_close(g->stream.fd);
}

static int place(struct prongi_guest *g)
{
	struct prong_manager *m = g->m;

	g->place = m->frees ? m->free_place[m->frees - 1] : m->places;
	g->watched = PRONGI_SET_IN;
	return prongi_os_set_watch(m->set, g->stream.fd, PRONGI_SET_IN, g->place);
}

static void settle_in(struct prongi_guest *g)
{
	struct prong_manager *m = g->m;

	if (m->frees)
		m->frees--;
	else
		m->places++;
	m->guest[g->place] = g;
	m->guests++;
	g->stream.in.most = m->limits.message_max;
	g->stream.in.ahead = AHEAD;
	g->stream.rate = m->limits.body_rate;
	g->call.guest = g;
	g->call.deadline = PRONG_FOREVER;
	g->since = prong_clock();
	g->wakes = PRONG_FOREVER;
}

int prongi_guest_new(struct prong_manager *m, const struct prongi_stream *s)
{
	struct prongi_guest *g = calloc(1, sizeof *g);
	int r;

	if (!g)
		return -ENOMEM;
	g->m = m;
	g->stream = *s;
	r = prongi_mine_add(&g->mine, drop);
	if (r == 0) {
		r = place(g);
		if (r)
			prongi_mine_remove(&g->mine);
	}
	if (r) {
		free(g);
		return r;
	}
	settle_in(g);
	prongi_guest_go_on(g);
	return 0;
}

/* The call is over, answered or not. */
static void end_call(struct prongi_guest *g)
{
	struct prongi_thing *t = g->call.thing;

	if (g->call.parked && t->class->type->left)
		t->class->type->left(&g->call);
	prongi_call_unpark(&g->call);
	prongi_call_clear(&g->call);
	if (t)
		prongi_thing_drop(g->m, t);
}

void prongi_guest_free(struct prongi_guest *g)
{
	struct prong_manager *m = g->m;

	prongi_guest_settle(g, false);
	if (g->job)
		prongi_job_forget(g->job);
	prongi_locks_free(g);
	end_call(g);
	prongi_client_go(g);
	prongi_timer_set(g, PRONG_FOREVER);
	m->guest[g->place] = NULL;
	m->guests--;
	m->free_place[m->frees++] = g->place;
	prongi_mine_remove(&g->mine);
	prongi_stream_fini(&g->stream);
	free(g->call.out.data);
	free(g);
}

void prongi_guest_settle(struct prongi_guest *g, bool delivered)
{
	struct prongi_thing *t = g->given_by;

	if (!t)
		return;
	g->given_by = NULL;
	t->class->type->settle(g, delivered, t);
	if (!delivered) {
		g->m->returned++;
		prongi_thing_changed(g->m, t);
	}
	prongi_thing_drop(g->m, t);
}

/* --- hanging up ------------------------------------------------------------------------- */

static void watch(struct prongi_guest *g, unsigned what)
{
	if (what == g->watched)
		return;
	g->watched = what;
	prongi_os_set_change(g->m->set, g->stream.fd, what, g->place);
}

/* The client hung up, in order or not. */
static void leave(struct prongi_guest *g)
{
	if (!g->given_by || g->stream.reset || g->call.answered) {
		prongi_guest_free(g);
		return;
	}
	if (prongi_os_unconfirmed(g->stream.fd) == 0) {
		prongi_guest_settle(g, true);
		prongi_guest_free(g);
		return;
	}
	if (!g->leaving)
		g->since = prong_clock();
	g->leaving = true;
	watch(g, 0);
	if (prong_ns_between(g->since, prong_clock()) > GRACE_NS ||
	    prongi_timer_set(g, (prong_time){ prong_clock().ns_ + LOOK_NS }))
		prongi_guest_free(g);
}

/* The socket has failed, when it has: what is still to be sent is answered by a reset. */
static bool has_failed(struct prongi_guest *g)
{
	int e = 0;
	socklen_t size = sizeof e;

	return getsockopt(g->stream.fd, SOL_SOCKET, SO_ERROR, &e, &size) || e;
}

/* --- answering -------------------------------------------------------------------------- */

/* 0: all is said; PRONG_TIMEDOUT: not yet; PRONG_CLOSED: it cannot be. */
static int say(struct prongi_guest *g)
{
	size_t size;
	const unsigned char *at;

	if (g->call.out.r) /* there was not even memory to say so */
		return PRONG_CLOSED;
	at = prongi_said(&g->call.out, &size);
	while (g->said < size) {
		ssize_t n = prongi_stream_push(&g->stream, at + g->said, size - g->said);

		if (n == -EAGAIN)
			return PRONG_TIMEDOUT;
		if (n < 0)
			return PRONG_CLOSED;
		g->said += (size_t)n;
	}
	g->said = 0;
	g->m->calls++;
	end_call(g);
	return 0;
}

/* --- listening -------------------------------------------------------------------------- */

static bool begun(const struct prongi_guest *g)
{
	return g->stream.in.end > g->stream.in.begin;
}

/* When what has begun has to be there, as far as it has come; who is here for one request has to
   begin it. */
static prong_time due(const struct prongi_guest *g)
{
	const size_t come = g->stream.in.end - g->stream.in.begin;
	prong_time t = g->since;

	if (g->since.ns_ == PRONG_FOREVER.ns_ || (!begun(g) && g->calls))
		return PRONG_FOREVER;
	t.ns_ += GRACE_NS + (int64_t)(come / g->stream.rate * 1000000000);
	return t;
}

/* Nothing more is there.  False: the guest is gone. */
static bool await(struct prongi_guest *g)
{
	if (begun(g) && g->since.ns_ == PRONG_FOREVER.ns_)
		g->since = prong_clock();
	watch(g, PRONGI_SET_IN);
	if (prongi_timer_set(g, due(g)) == 0)
		return true;
	prongi_guest_free(g);
	return false;
}

/* Look whether a client whose call is not answered is still there. */
static void look(struct prongi_guest *g)
{
	int r = prongi_stream_recv(&g->stream, PRONG_NOW);

	if (r == 0)
		watch(g, 0); /* it asks for more before it has the answer: later */
	else if (r == PRONG_TIMEDOUT)
		watch(g, PRONGI_SET_IN);
	else
		leave(g);
}

/* Read and begin the next request.  True: go on with its answer. */
static bool listen_to(struct prongi_guest *g)
{
	int r = prongi_stream_recv(&g->stream, PRONG_NOW);

	if (r == PRONG_TIMEDOUT) {
		await(g);
		return false;
	}
	if (r) {
		g->m->broken += r != PRONG_CLOSED;
		leave(g);
		return false;
	}
	g->since = PRONG_FOREVER;
	prongi_guest_settle(g, true);
	prongi_guest_request(g);
	if (g->call.answered)
		return true;
	watch(g, PRONGI_SET_IN);
	if (prongi_timer_set(g, g->call.deadline))
		prongi_guest_free(g);
	return false;
}

void prongi_guest_go_on(struct prongi_guest *g)
{
	for (int turn = 0; turn < TURNS; turn++) {
		if (g->leaving) {
			g->stream.reset = has_failed(g);
			leave(g);
			return;
		}
		if (g->call.thing && !g->call.answered) {
			look(g);
			return;
		}
		if (g->call.answered) {
			int r = say(g);

			if (r == PRONG_TIMEDOUT) {
				watch(g, PRONGI_SET_OUT);
				return;
			}
			if (r || g->last) {
				prongi_guest_free(g);
				return;
			}
			if (prongi_inbox_look(&g->stream.in) == 0 &&
			    !prongi_stream_holds(&g->stream)) { /* most ask one at a time */
				await(g);
				return;
			}
		}
		if (!listen_to(g))
			return;
	}
	if (prongi_timer_set(g, PRONG_NOW))
		prongi_guest_free(g);
}

/* --- time ------------------------------------------------------------------------------- */

/* A method whose time is over answers, or waits for something else without limit. */
static void time_out(struct prongi_guest *g)
{
	g->call.late = true;
	g->call.deadline = PRONG_FOREVER;
	if (prongi_call_run(&g->call) == PRONGI_PARK)
		return;
	prongi_call_unpark(&g->call);
	prongi_guest_go_on(g);
}

void prongi_guest_late(struct prongi_guest *g)
{
	if (g->call.parked && g->call.deadline.ns_ <= prong_clock().ns_) {
		time_out(g);
	} else if (!g->leaving && !g->call.answered && !g->call.thing &&
		   due(g).ns_ <= prong_clock().ns_) {
		g->m->broken++;
		prongi_guest_free(g);
	} else {
		prongi_guest_go_on(g);
	}
}

/* --- things that changed ---------------------------------------------------------------- */

static void retry(struct prong_manager *m, struct prongi_thing *t)
{
	const struct prongi_method *stuck = NULL;
	prong_call *next;

	prongi_thing_hold(t);
	for (prong_call *c = t->first; c; c = next) {
		next = c->next;
		if (c->method == stuck && !t->class->type->each)
			continue;
		if (prongi_call_run(c) == PRONGI_PARK) {
			stuck = c->method;
			continue;
		}
		prongi_call_unpark(c);
		prongi_timer_set(c->guest, PRONG_FOREVER);
		prongi_guest_go_on(c->guest);
	}
	prongi_thing_drop(m, t);
}

void prongi_guests_retry(struct prong_manager *m)
{
	while (m->dirty) {
		struct prongi_thing *t = m->dirty;

		m->dirty = t->dirty;
		t->is_dirty = false;
		retry(m, t);
	}
}
