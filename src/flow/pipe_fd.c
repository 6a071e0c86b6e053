/* Descriptors.  One that is on its way would be in nobody's hands but the kernel's, so it never is:
   sender and receiver meet.  The sender offers; the receiver asks, listening at an address of its
   own; the sender dials, and the kernel tells each who the other is; the receiver says when it has
   it.  The sender holds `sending' all the while, so the offer comes after all messages before it.

   The steps are CAS of one word, in which each side may also take back what the other has not yet
   answered; a turn in it tells one offer from the next. */
#include "flow/outer.h"
#include "flow/pipe.h"
#include "family/cancel.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#define PHASE ((uint64_t)7)
#define TURN  ((uint64_t)8)
#define LOW   ((uint64_t)UINT32_MAX)

#define MOMENTS_MS 200

static uint64_t offer_now(const struct prongi_lane *l)
{
	/* acquire: pairs with step(): what was written before it can be read. */
	return atomic_load_explicit(&l->offer, memory_order_acquire);
}

/* From the state seen to the phase.  A turn is over when the phase goes back. */
static bool step(struct prongi_lane *l, uint64_t seen, enum prongi_offer phase)
{
	uint64_t turn = phase < (seen & PHASE) ? TURN : 0;
	uint64_t next = (((seen & ~PHASE) + turn) & LOW) | (uint64_t)phase;

	/* seq_cst: pairs with offer_now(), and with offered() in pipe_recv.c. */
	if (!atomic_compare_exchange_strong_explicit(&l->offer, &seen, next, memory_order_seq_cst,
						     memory_order_relaxed))
		return false;
	prongi_os_wake(prongi_low(&l->offer), INT_MAX, true);
	return true;
}

/* Sleep until the offer is not what was seen, or the other end is gone.  0, PRONG_TIMEDOUT,
   PRONG_CLOSED; or when that may be, PRONG_CANCELLED. */
static int await_change(const struct prong_conn *c, struct prongi_lane *l, uint64_t seen,
			prong_time deadline, bool may_be_cancelled)
{
	struct prongi_awaited a[3] = { { prongi_low(&l->offer), (uint32_t)seen, true } };
	bool gone = prongi_conn_gone(c->other, &a[1]);

	if (offer_now(l) != seen)
		return 0;
	if (gone || prongi_conn_freed(c))
		return PRONG_CLOSED;
	return may_be_cancelled ? prongi_sleep_served(a, a[1].word ? 2 : 1, deadline)
				: prongi_await_any(a, a[1].word ? 2 : 1, deadline);
}

/* --- the sender ---------------------------------------------------------------------------- */

/* The receiver listens.  0: it has the parcel, or is no longer there, and the offer tells. */
static int deliver(struct prongi_lane *l, uint64_t seen, int fd)
{
	int asker = atomic_load_explicit(&l->asker, memory_order_relaxed);
	int r = prongi_os_send_fds(l->address, asker, seen, &fd, 1);

	if (r == 0) {
		step(l, seen, PRONGI_OFFER_SENT);
		return 0;
	}
	if (r != -ECONNREFUSED && r != -EPIPE && r != -ECONNRESET)
		return r;
	prongi_os_yield(); /* it is about to say so */
	return 0;
}

/* One look at what became of the offer.  PRONG_RUNNING: look again. */
static int pursue(const struct prong_conn *c, struct prongi_lane *l, int fd, prong_time deadline)
{
	uint64_t seen = offer_now(l);
	int r = 0;

	if ((seen & PHASE) == PRONGI_OFFER_NONE)
		return 0; /* received */
	if ((seen & PHASE) == PRONGI_OFFER_ASKED && !prongi_conn_freed(c))
		r = deliver(l, seen, fd);
	if (r == 0)
		r = await_change(c, l, seen, deadline, true);
	if (r == 0)
		return PRONG_RUNNING;
	/* Take it back, unless the receiver has it already and will say so. */
	seen = offer_now(l);
	if ((seen & PHASE) == PRONGI_OFFER_NONE)
		return 0;
	if ((seen & PHASE) == PRONGI_OFFER_SENT &&
	    (r == PRONG_TIMEDOUT || r == PRONG_CANCELLED))
		return await_change(c, l, seen, PRONG_FOREVER, false) == PRONG_CLOSED
			       ? PRONG_CLOSED
			       : PRONG_RUNNING;
	return step(l, seen, PRONGI_OFFER_NONE) ? r : PRONG_RUNNING;
}

static int send_fd(const struct prong_conn *c, int fd, prong_time deadline)
{
	struct prongi_lane *l = c->out;
	uint64_t seen = offer_now(l);
	int r;

	if (prongi_conn_closed(c->other) || prongi_conn_freed(c))
		return PRONG_CLOSED;
	atomic_store_explicit(&l->offerer, prongi_os_pid(), memory_order_relaxed);
	step(l, seen, PRONGI_OFFER_MADE);
	prongi_lane_nudge(&l->tail);
	do
		r = pursue(c, l, fd, deadline);
	while (r == PRONG_RUNNING);
	return r;
}

int prong_conn_send_fd(prong_conn *c, int fd, prong_time deadline)
{
	int r = prongi_outer(c) ? prongi_outer_cannot("conn_send_fd")
				: prongi_conn_check(c, "conn_send_fd");

	if (r)
		return r;
	if (!c->out)
		return prongi_fail(-EBADF, "conn_send_fd: this end only receives");
	if (fcntl(fd, F_GETFD) < 0)
		return prongi_fail(-EBADF, "conn_send_fd: descriptor %d is not open", fd);
	r = prongi_lane_send_begin(c->out, deadline);
	if (r == 0) {
		r = send_fd(c, fd, deadline);
		prongi_conn_leave(c, &c->out->sending);
	}
	if (r == PRONG_TIMEDOUT || r == PRONG_CANCELLED)
		return prongi_gave_up(r, "conn_send_fd", "not received until the deadline");
	if (r == PRONG_CLOSED)
		return prongi_fail(r, "conn_send_fd: the other end is closed, or this one was "
				      "freed");
	return r ? prongi_fail(r, "conn_send_fd: %s", strerror(-r)) : 0;
}

/* --- the receiver -------------------------------------------------------------------------- */

/* The parcel that the sender has put into our socket. */
static int collect(struct prongi_lane *l, int listener, int *fd)
{
	int fds[PRONGI_FDS], pid, n;
	uint64_t word;

	n = prongi_os_receive_fds(listener, &word, fds, &pid);
	if (n == 1 && pid == atomic_load_explicit(&l->offerer, memory_order_relaxed)) {
		*fd = fds[0];
		return 0;
	}
	while (n > 0)
		close(fds[--n]);
	return n < 0 ? n : -EPROTO;
}

/* Ask for the offer seen, and wait until it is here.  PRONG_RUNNING: it is off, look again. */
static int ask(const struct prong_conn *c, struct prongi_lane *l, int listener, uint64_t seen,
	       int *fd, prong_time deadline)
{
	int r = 0;

	atomic_store_explicit(&l->asker, prongi_os_pid(), memory_order_relaxed);
	if (!step(l, seen, PRONGI_OFFER_ASKED))
		return PRONG_RUNNING;
	while (r == 0 && ((seen = offer_now(l)) & PHASE) == PRONGI_OFFER_ASKED)
		r = await_change(c, l, seen, deadline, true);
	if (r && step(l, seen, PRONGI_OFFER_MADE))
		return r;
	seen = offer_now(l);
	if ((seen & PHASE) != PRONGI_OFFER_SENT)
		return PRONG_RUNNING;
	r = collect(l, listener, fd);
	step(l, seen, r ? PRONGI_OFFER_MADE : PRONGI_OFFER_NONE);
	return r == -EAGAIN || r == -EPROTO ? PRONG_RUNNING : r; /* a stranger's, or none */
}

/* The sender is there, so even who does not want to wait gets it: in some moments. */
static int recv_fd(const struct prong_conn *c, int *fd, prong_time deadline)
{
	struct prongi_lane *l = c->in;
	prong_time moments = prong_in_ms(MOMENTS_MS);
	uint64_t seen = offer_now(l);
	int listener, r;

	if (deadline.ns_ < moments.ns_)
		deadline = moments;

	if ((seen & PHASE) != PRONGI_OFFER_MADE)
		return PRONG_RUNNING;
	listener = prongi_os_listen(l->address);
	if (listener < 0)
		return listener;
	r = ask(c, l, listener, seen, fd, deadline);
	close(listener);
	return r;
}

int prong_conn_recv_fd(prong_conn *c, int *fd, prong_time deadline)
{
	int r = prongi_outer(c) ? prongi_outer_cannot("conn_recv_fd")
				: prongi_lane_recv_check(c, "conn_recv_fd");

	if (r)
		return r;
	if (!fd)
		return prongi_fail(-EFAULT, "conn_recv_fd: fd is NULL");
	do {
		r = prongi_lane_recv_next(c, deadline);
		if (r == 0 || r == -EBADMSG) {
			r = r ? recv_fd(c, fd, deadline) : -EBADMSG;
			prongi_conn_leave(c, &c->in->receiving);
		}
	} while (r == PRONG_RUNNING);
	return r ? prongi_lane_recv_fail(r, "conn_recv_fd") : 0;
}
