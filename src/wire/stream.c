/* A stream of frames over a socket.

   The socket blocks; what must not block says so with each call.  So a receive without a deadline
   is one system call, and so is a send.

   A receive that is cut short leaves what came in the box.  A send that is cut short in the middle
   cannot be undone, since its head has told the length: the stream keeps how far it got, and the
   caller gives the same message again.  So nothing is copied, and nothing is sent twice. */
#include "wire/stream.h"
#include "private.h"
#include "wire/tls.h"
#include <errno.h>
#include <poll.h>
#include <prong/error.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RATE     1024
#define GRACE_NS ((int64_t)10 * 1000000000)
#define FIRST    4096 /* bytes of a message, its head too, in its first record of TLS */

void prongi_stream_init(struct prongi_stream *s, int fd, size_t most, size_t ahead)
{
	*s = (struct prongi_stream){ .fd = fd, .rate = RATE, .grace_ns = GRACE_NS };
	prongi_inbox_init(&s->in, most, ahead);
}

void prongi_stream_fini(struct prongi_stream *s)
{
	prongi_inbox_fini(&s->in);
	prongi_tls_free(s->tls);
	s->tls = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* In what follows errors are -errno. */
static bool gone(ssize_t e)
{
	return e == -EPIPE || e == -ECONNRESET || e == -ENOTCONN || e == -ESHUTDOWN;
}

static bool later(ssize_t e)
{
	return e == -EAGAIN || e == -EWOULDBLOCK;
}

int prongi_await(int fd, short events, prong_time deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n = prongi_poll(&p, 1, deadline);

	if (n == -ECANCELED)
		return PRONG_CANCELLED;
	return n < 0 ? n : n ? 0 : PRONG_TIMEDOUT;
}

/* Who may be cancelled must not block in anything but prongi_poll(). */
static bool may_block(prong_time deadline)
{
	return deadline.ns_ == PRONG_FOREVER.ns_ && !prongi_cancellable();
}

/* --- receiving ----------------------------------------------------------------------------- */

static int in_over(struct prongi_stream *s, int r)
{
	s->part = s->in.end - s->in.begin;
	s->whole = s->in.head ? s->in.head + s->in.size : 0;
	s->in_over = r;
	return r;
}

static bool begun(const struct prongi_stream *s)
{
	return s->in.end > s->in.begin;
}

prong_time prongi_stream_due(struct prongi_stream *s)
{
	uint64_t come = s->in.end - s->in.begin, seconds = come / s->rate;

	if (!begun(s) || s->in_over || prongi_inbox_look(&s->in) != 0)
		return PRONG_FOREVER;
	if (!s->since.ns_)
		s->since = prong_clock();
	return (prong_time){ s->since.ns_ + s->grace_ns + (int64_t)(seconds * 1000000000) };
}

/* There is nothing now.  Whoever polls is told of a message that is too slow as whoever waits. */
static int await_more(struct prongi_stream *s, prong_time deadline)
{
	prong_time due;
	int r;

	due = prongi_stream_due(s);
	if (due.ns_ != PRONG_FOREVER.ns_ && due.ns_ <= prong_clock().ns_)
		return in_over(s, -ETIMEDOUT);
	if (deadline.ns_ <= PRONG_NOW.ns_)
		return PRONG_TIMEDOUT;
	if (due.ns_ > deadline.ns_)
		due = deadline;
	r = prongi_await(s->fd, POLLIN, due);
	return r == PRONG_TIMEDOUT && due.ns_ < deadline.ns_ ? 0 : r;
}

bool prongi_stream_holds(struct prongi_stream *s)
{
	return s->tls && prongi_tls_holds(s->tls);
}

static ssize_t receive(struct prongi_stream *s, void *where, size_t room, bool blocks)
{
	ssize_t n;

	if (s->tls)
		return prongi_tls_read(s->tls, where, room);
	n = recv(s->fd, where, room, blocks ? 0 : MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

/* Read what is there; wait for something if nothing is. */
static int read_more(struct prongi_stream *s, prong_time deadline)
{
	bool blocks = !begun(s) && may_block(deadline);
	size_t room;
	void *where;
	ssize_t n;
	int r = prongi_inbox_room(&s->in, &where, &room);

	if (r)
		return r;
	n = receive(s, where, room, blocks);
	if (n > 0) {
		prongi_inbox_add(&s->in, (size_t)n);
		return 0;
	}
	if (n == 0)
		return in_over(s, PRONG_CLOSED);
	if (n == -EINTR)
		return 0;
	if (later(n))
		return await_more(s, deadline);
	if (n == -ENOMEM)
		return -ENOMEM;
	s->reset = gone(n);
	return in_over(s, s->reset ? PRONG_CLOSED : (int)n);
}

int prongi_stream_recv_head(struct prongi_stream *s, prong_time deadline)
{
	int r;

	while ((r = prongi_inbox_look(&s->in)) == 0 && !s->in.head) {
		r = s->in_over ? s->in_over : read_more(s, deadline);
		if (r)
			return r;
	}
	if (r < 0)
		return in_over(s, r);
	return r == 0 ? s->in_over : 0; /* its length is no news when the rest will not come */
}

int prongi_stream_recv(struct prongi_stream *s, prong_time deadline)
{
	int r;

	while ((r = prongi_inbox_look(&s->in)) == 0) {
		r = s->in_over ? s->in_over : read_more(s, deadline);
		if (r)
			return r;
	}
	return r < 0 ? in_over(s, r) : 0;
}

void prongi_stream_take(struct prongi_stream *s)
{
	prongi_inbox_take(&s->in);
	s->since = (prong_time){ 0 };
}

/* --- sending ------------------------------------------------------------------------------- */

/* Tells a message from another that the caller took for the same; no defence against malice. */
static uint64_t hash(const unsigned char *data, size_t size)
{
	uint64_t h = size, word;

	for (; size >= sizeof word; data += sizeof word, size -= sizeof word) {
		memcpy(&word, data, sizeof word);
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	while (size--)
		h = (h ^ *data++) * UINT64_C(0x100000001b3);
	return h;
}

static bool is_begun(const struct prongi_stream *s, const void *data, size_t size)
{
	return size == s->begun && hash(data, size) == s->begun_hash;
}

ssize_t prongi_stream_push(struct prongi_stream *s, const void *data, size_t size)
{
	ssize_t n;

	if (s->tls)
		return prongi_tls_write(s->tls, data, size);
	do
		n = send(s->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* The head goes in one record with what follows it, or all of that when it is small.  What is given
   again is the same as before: a record is sent or not. */
static ssize_t send_record(struct prongi_tls *tls, const unsigned char *head, size_t head_size,
			   const void *data, size_t size, size_t sent)
{
	unsigned char first[FIRST];
	size_t n = size < FIRST - head_size ? size : FIRST - head_size;

	if (sent)
		return prongi_tls_write(tls, (const char *)data + (sent - head_size),
					size - (sent - head_size));
	memcpy(first, head, head_size);
	if (n)
		memcpy(first + head_size, data, n);
	return prongi_tls_write(tls, first, head_size + n);
}

/* Send from byte `sent' of head and data on, and return how many went; -errno. */
static ssize_t send_part(struct prongi_stream *s, const unsigned char *head, size_t head_size,
			 const void *data, size_t size, size_t sent, int flags)
{
	size_t skip = sent < head_size ? sent : head_size, skip_data = sent - skip;
	struct iovec io[2] = {
		{ (void *)(uintptr_t)(head + skip), head_size - skip },
		{ (void *)((uintptr_t)data + skip_data), size - skip_data },
	};
	struct msghdr m = { .msg_iov = io, .msg_iovlen = 2 };
	ssize_t n;

	if (s->tls)
		return send_record(s->tls, head, head_size, data, size, sent);
	n = sendmsg(s->fd, &m, MSG_NOSIGNAL | flags);
	return n < 0 ? -errno : n;
}

static int out_failed(struct prongi_stream *s, ssize_t e, prong_time deadline)
{
	if (e == -EINTR)
		return 0;
	if (later(e)) {
		if (deadline.ns_ <= PRONG_NOW.ns_)
			return PRONG_TIMEDOUT;
		return prongi_await(s->fd, POLLOUT, deadline);
	}
	if (e == -ENOBUFS || e == -ENOMEM)
		return -ENOMEM;
	return s->out_over = gone(e) ? PRONG_CLOSED : (int)e;
}

/* It stays begun when a part is sent, or made ready to be. */
static int stop(struct prongi_stream *s, const void *data, size_t size, size_t sent, int r)
{
	if ((sent || (s->tls && prongi_tls_owes(s->tls))) && !s->busy) {
		s->busy = true;
		s->begun = size;
		s->begun_hash = hash(data, size);
	}
	s->sent = sent;
	return r;
}

int prongi_stream_send(struct prongi_stream *s, const void *data, size_t size, prong_time deadline)
{
	const int flags = may_block(deadline) ? 0 : MSG_DONTWAIT;
	unsigned char head[PRONGI_HEAD];
	size_t head_size = prongi_frame_head(head, size), sent = s->busy ? s->sent : 0;

	if (s->out_over)
		return s->out_over;
	if (s->busy && !is_begun(s, data, size))
		return -EBUSY;
	while (sent < head_size + size) {
		ssize_t n = send_part(s, head, head_size, data, size, sent, flags);
		int r = n < 0 ? out_failed(s, n, deadline) : 0;

		if (r)
			return stop(s, data, size, sent, r);
		if (n > 0)
			sent += (size_t)n;
	}
	s->busy = false;
	s->sent = 0;
	return 0;
}
