/* One side of a proof over a socket that never waits: for a listener, which has many at once, and
   for prong_connect(), which waits in between. */
#include "wire/stranger.h"
#include "os/net_os.h"
#include <errno.h>
#include <prong/error.h>
#include <sys/socket.h>

/* 0: all is said; PRONG_RUNNING; -errno. */
static int say(struct prongi_stranger *s)
{
	while (s->said < s->proof.out_size) {
		ssize_t n = send(s->stream.fd, s->proof.out + s->said, s->proof.out_size - s->said,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0)
			s->said += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return PRONG_RUNNING;
		else if (errno != EINTR)
			return errno == EPIPE ? -ECONNRESET : -errno;
	}
	s->said = s->proof.out_size = 0;
	return 0;
}

/* 0: a message is there; PRONG_RUNNING; -errno. */
static int hear(struct prongi_stranger *s)
{
	int r = prongi_stream_recv(&s->stream, PRONG_NOW);

	if (r == PRONG_TIMEDOUT)
		return PRONG_RUNNING;
	if (r == PRONG_CLOSED) {
		s->proof.why = "it hung up";
		return -ECONNRESET;
	}
	if (r == -EFBIG || r == -EPROTO) {
		s->proof.why = "what it sent is no such message";
		return -EPROTO;
	}
	return r;
}

static int feed(struct prongi_stranger *s)
{
	const struct prongi_inbox *in = &s->stream.in;
	int r = prongi_proof_feed(&s->proof, prongi_inbox_data(in), in->size);

	prongi_stream_take(&s->stream);
	return r;
}

int prongi_stranger_go_on(struct prongi_stranger *s)
{
	int r = say(s);

	while (r == 0) {
		r = hear(s);
		if (r)
			return r;
		r = feed(s);
		if (r < 0) {
			say(s); /* #FAILURE#, if there is room for it */
			return r;
		}
		if (r == 1) {
			r = say(s);
			return r == PRONG_RUNNING ? -ECONNRESET : r;
		}
		r = say(s);
	}
	return r;
}

unsigned prongi_stranger_wants(const struct prongi_stranger *s)
{
	return s->said < s->proof.out_size ? PRONGI_SET_OUT : PRONGI_SET_IN;
}
