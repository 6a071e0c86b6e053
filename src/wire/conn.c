/* Network connections: what conn.h promises, over a stream.

   Lock order: one turn at a time, and inside it none of prong's.  The receiver's protects the input
   of the stream, the sender's its output. */
#include "os/net_os.h"
#include "wire/net.h"
#include "wire/socket.h"
#include <errno.h>
#include <poll.h>
#include <prong/error.h>
#include <prong/heap.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define AHEAD ((size_t)64 << 10)

/* All read-only but what a turn protects. */
struct net_conn {
	struct prongi_mine mine; /* first */
	struct prongi_stream stream;
	struct prongi_turn receiving, sending;
	int set, ring, alarm; /* of fd(), -1 before: the set holds the socket and the other two.
				 Under receiving */
	bool rings;           /* it does.  Under receiving */
	prong_time due;       /* what the alarm is set to.  Under receiving */
	_Atomic uint8_t protocol; /* of the other end's pickles: the highest that came; 0: none.
				     Written under receiving, read by who sends */
	char peer[PRONGI_ADDRESS_MOST];
};

/* --- words --------------------------------------------------------------------------------- */

static int explain_recv(const struct net_conn *c, int r, const char *what)
{
	const struct prongi_stream *s = &c->stream;

	switch (r) {
	case PRONG_CANCELLED:
		return prongi_fail(r, "%s: the caller is cancelled", what);
	case PRONG_TIMEDOUT:
		return prongi_fail(r, "%s: no message until the deadline", what);
	case PRONG_CLOSED:
		if (s->part)
			return prongi_fail(r, "%s: %.100s closed in a message, %zu bytes of %zu",
					   what, c->peer, s->part, s->whole);
		return prongi_fail(r, "%s: the other end, %.100s, is closed", what, c->peer);
	case -EPROTO:
		return prongi_fail(r, "%s: what came is no message", what);
	case -EFBIG:
		return prongi_fail(r, "%s: a message above the limit of %zu bytes", what,
				   s->in.most);
	case -ETIMEDOUT:
		return prongi_fail(r, "%s: a message came too slowly, %zu bytes of %zu", what,
				   s->part, s->whole);
	}
	return prongi_fail(r, "%s: %s", what, strerror(-r));
}

static int explain_send(const struct net_conn *c, int r)
{
	const struct prongi_stream *s = &c->stream;

	switch (r) {
	case PRONG_CANCELLED:
		return prongi_fail(r, "conn_send: the caller is cancelled");
	case PRONG_TIMEDOUT:
		if (s->busy)
			return prongi_fail(r,
					   "conn_send: %zu bytes of %zu until the deadline: give "
					   "the same message again",
					   s->sent, s->begun);
		return prongi_fail(r, "conn_send: the line was full until the deadline");
	case PRONG_CLOSED:
		return prongi_fail(r, "conn_send: the other end, %.100s, is closed", c->peer);
	case -EBUSY:
		return prongi_fail(r, "conn_send: another message is begun, of %zu bytes",
				   s->begun);
	}
	return prongi_fail(r, "conn_send: %s", strerror(-r));
}

/* --- the descriptor ------------------------------------------------------------------------ */

/* It is readable when something has been read that nobody has taken, or nothing more will come;
   and when a message that is begun has come too slowly.  Under receiving. */
static void ring(struct net_conn *c)
{
	prong_time due;
	bool rings;

	if (c->set < 0)
		return;
	due = prongi_stream_due(&c->stream);
	if (due.ns_ != c->due.ns_)
		prongi_os_alarm_set(c->alarm, c->due = due);
	rings = c->stream.in_over || prongi_inbox_look(&c->stream.in) != 0 ||
		prongi_stream_holds(&c->stream);
	if (rings == c->rings)
		return;
	c->rings = rings;
	prongi_os_ring(c->ring, rings);
}

static int make_set(struct net_conn *c)
{
	int set = prongi_os_set_new(), bell = prongi_os_ring_new();
	int alarm = prongi_os_alarm_new(), r;

	if (set < 0 || bell < 0 || alarm < 0) {
		r = set < 0 ? set : bell < 0 ? bell : alarm;
		goto undo;
	}
	r = prongi_os_set_watch(set, c->stream.fd, PRONGI_SET_IN, 0);
	if (r == 0)
		r = prongi_os_set_watch(set, bell, PRONGI_SET_IN, 1);
	if (r == 0)
		r = prongi_os_set_watch(set, alarm, PRONGI_SET_IN, 2);
	if (r)
		goto undo;
	c->set = set;
	c->ring = bell;
	c->alarm = alarm;
	c->due = PRONG_FOREVER;
	ring(c);
	return 0;

undo:
	prongi_socket_close(set);
	prongi_socket_close(bell);
	prongi_socket_close(alarm);
	return r;
}

static int net_fd(void *self)
{
	struct net_conn *c = self;
	int r;

	prongi_turn_insist(&c->receiving);
	r = c->set < 0 ? make_set(c) : 0;
	prongi_turn_give(&c->receiving);
	return r ? prongi_fail(r, "conn_fd: %s", strerror(-r)) : c->set;
}

static int net_socket(void *self)
{
	return ((struct net_conn *)self)->stream.fd;
}

/* --- receiving ----------------------------------------------------------------------------- */

/* The turn, and a message of which at least the length is there; or neither. */
static int recv_begin(struct net_conn *c, const char *what, prong_time deadline)
{
	int r = prongi_turn_take(&c->receiving, deadline);

	if (r)
		return explain_recv(c, r, what);
	r = prongi_stream_recv_head(&c->stream, deadline);
	if (r == 0)
		return 0;
	ring(c);
	prongi_turn_give(&c->receiving);
	return explain_recv(c, r, what);
}

static void recv_end(struct net_conn *c)
{
	ring(c);
	prongi_turn_give(&c->receiving);
}

static int net_recv(void *self, void *data, size_t size, size_t *got, prong_time deadline)
{
	struct net_conn *c = self;
	size_t n;
	int r;

	if (!data && size)
		return prongi_fail(-EFAULT, "conn_recv: data is NULL, and size is not 0");
	r = recv_begin(c, "conn_recv", deadline);
	if (r)
		return r;
	n = c->stream.in.size;
	if (n > size || (!got && n != size)) {
		recv_end(c);
		return prongi_fail(-EMSGSIZE, "conn_recv: the message has %zu bytes, not %zu", n,
				   size);
	}
	r = prongi_stream_recv(&c->stream, deadline);
	if (r == 0) {
		if (n)
			memcpy(data, prongi_inbox_data(&c->stream.in), n);
		prongi_stream_take(&c->stream);
	}
	recv_end(c);
	if (r)
		return explain_recv(c, r, "conn_recv");
	if (got)
		*got = n;
	return 0;
}

/* As a block of the heap; where *data lies there too, it is *data's from its beginning. */
static int take(struct net_conn *c, void **data)
{
	size_t n = c->stream.in.size;
	void *old = *data, *block;
	int r = 0;

	if (prong_shared(data, sizeof *data)) {
		*data = NULL;
		r = prong_alloc_to(data, n);
		block = *data;
		if (r)
			*data = old;
	} else {
		block = prong_alloc(n);
		r = block ? 0 : -ENOMEM;
	}
	if (r)
		return r;
	memcpy(block, prongi_inbox_data(&c->stream.in), n);
	*data = block;
	return 0;
}

/* A pickle begins with its protocol, from 2 on, and its writer can read what it writes. */
static void note_protocol(struct net_conn *c, const unsigned char *data, size_t n)
{
	uint8_t known = atomic_load_explicit(&c->protocol, memory_order_relaxed);
	uint8_t protocol = n >= 2 && data[0] == 0x80 ? data[1] : 0;

	if (protocol > known && protocol >= PRONG_PICKLE_2 && protocol <= PRONG_PICKLE_5)
		atomic_store_explicit(&c->protocol, protocol, memory_order_relaxed);
}

/* As memory from malloc(), never NULL. */
static int take_private(struct net_conn *c, void **data)
{
	size_t n = c->stream.in.size;
	void *copy = malloc(n + !n);

	if (!copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, prongi_inbox_data(&c->stream.in), n);
	note_protocol(c, copy, n);
	*data = copy;
	return 0;
}

typedef int taker(struct net_conn *c, void **data);

static int recv_whole(struct net_conn *c, taker *take_it, void **data, size_t *size,
		      prong_time deadline, const char *what)
{
	size_t n = 0;
	int r = recv_begin(c, what, deadline);

	if (r)
		return r;
	r = prongi_stream_recv(&c->stream, deadline);
	if (r == 0) {
		n = c->stream.in.size;
		r = take_it(c, data);
		if (r == 0)
			prongi_stream_take(&c->stream);
	}
	recv_end(c);
	if (r)
		return explain_recv(c, r, what);
	*size = n;
	return 0;
}

static int net_recv_take(void *self, void **data, size_t *size, prong_time deadline)
{
	if (!data || !size)
		return prongi_fail(-EINVAL, "conn_recv_take: data or size is NULL");
	return recv_whole(self, take, data, size, deadline, "conn_recv_take");
}

/* When another thread receives, it is that one's. */
static bool net_ready(void *self)
{
	struct net_conn *c = self;
	int r = prongi_turn_take(&c->receiving, PRONG_NOW);

	if (r)
		return false;
	r = prongi_stream_recv(&c->stream, PRONG_NOW);
	recv_end(c);
	return r != PRONG_TIMEDOUT;
}

/* When another thread receives, that one is told. */
static prong_time net_due(void *self)
{
	struct net_conn *c = self;
	prong_time due;

	if (prongi_turn_take(&c->receiving, PRONG_NOW))
		return PRONG_FOREVER;
	due = prongi_stream_due(&c->stream);
	prongi_turn_give(&c->receiving);
	return due;
}

/* --- sending ------------------------------------------------------------------------------- */

static int net_send(void *self, const void *data, size_t size, prong_time deadline)
{
	struct net_conn *c = self;
	int r;

	if (!data && size)
		return prongi_fail(-EFAULT, "conn_send: data is NULL, and size is not 0");
	if (size > PTRDIFF_MAX - PRONGI_HEAD)
		return prongi_fail(-ENOMEM, "conn_send: a message of %zu bytes", size);
	r = prongi_turn_take(&c->sending, deadline);
	if (r)
		return prongi_fail(r, "conn_send: others sent until the deadline, or a cancel");
	r = prongi_stream_send(&c->stream, data, size, deadline);
	if (r)
		explain_send(c, r);
	prongi_turn_give(&c->sending);
	return r;
}

/* --- life ---------------------------------------------------------------------------------- */

static void drop(struct prongi_mine *mine)
{
	struct net_conn *c = (struct net_conn *)(void *)mine;

	prongi_stream_fini(&c->stream);
	prongi_socket_close(c->set);
	prongi_socket_close(c->ring);
	prongi_socket_close(c->alarm);
	free(c);
}

static void net_free(void *self)
{
	struct net_conn *c = self;

	prongi_mine_remove(&c->mine);
	drop(&c->mine);
}

static const struct prongi_conn_ops ops = {
	.send = net_send,
	.recv = net_recv,
	.recv_take = net_recv_take,
	.fd = net_fd,
	.free = net_free,
	.ready = net_ready,
	.socket = net_socket,
	.due = net_due,
};

static struct net_conn *make(const struct prongi_stream *s, const struct prongi_terms *terms)
{
	struct net_conn *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->stream.fd = c->set = c->ring = c->alarm = -1;
	if (prongi_mine_add(&c->mine, drop)) {
		free(c);
		return NULL;
	}
	c->stream = *s;
	c->stream.in.most = terms->message_max;
	c->stream.in.ahead = AHEAD;
	c->stream.rate = terms->body_rate;
	return c;
}

int prongi_conn_make(prong_conn **out, struct prongi_stream *s, const struct prongi_terms *terms,
		     bool modern, const struct prongi_place *peer, const char *what)
{
	struct net_conn *c = make(s, terms);
	int r;

	if (!c)
		return prongi_fail(-ENOMEM, "%s: no memory for a connection", what);
	if (peer->at.ss_family != AF_UNIX)
		prongi_os_tcp_tune(s->fd);
	prongi_address_text(peer, c->peer);
	atomic_init(&c->protocol, modern ? PRONG_PICKLE_5 : 0);
	r = prongi_outer_new(out, &ops, c);
	if (r) {
		c->stream.fd = -1; /* it stays the caller's, and so does what came */
		c->stream.in.data = NULL;
		c->stream.tls = NULL;
		net_free(c);
	}
	return r;
}

const char *prong_conn_peer(const prong_conn *c)
{
	const struct net_conn *n = prongi_outer_self(c, &ops);

	return n ? n->peer : NULL;
}

int prongi_conn_protocol(const prong_conn *c)
{
	const struct net_conn *n = prongi_outer_self(c, &ops);

	return n ? atomic_load_explicit(&n->protocol, memory_order_relaxed) : 0;
}

bool prongi_conn_is_net(const prong_conn *c)
{
	return prongi_outer_self(c, &ops) != NULL;
}

void prongi_conn_shut(prong_conn *c)
{
	const struct net_conn *n = prongi_outer_self(c, &ops);

	if (n)
		shutdown(n->stream.fd, SHUT_RDWR);
}

bool prongi_conn_has_news(prong_conn *c)
{
	struct net_conn *n = prongi_outer_self(c, &ops);

	return !n || net_ready(n);
}

int prongi_conn_recv_private(prong_conn *c, void **data, size_t *size, prong_time deadline,
			     const char *what)
{
	return recv_whole(prongi_outer_self(c, &ops), take_private, data, size, deadline, what);
}
