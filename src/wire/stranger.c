/* One side of a proof over a socket that never waits: for a listener, which has many at once, and
   for prong_connect(), which waits in between. */
#include "wire/stranger.h"
#include "os/net_os.h"
#include <errno.h>
#include <prong/error.h>
#include <string.h>
#include <sys/socket.h>

/* 0: all is said; PRONG_RUNNING; -errno. */
static int say(struct prongi_stranger *s)
{
	while (s->said < s->proof.out_size) {
		ssize_t n = prongi_stream_push(&s->stream, s->proof.out + s->said,
					       s->proof.out_size - s->said);

		if (n == -EAGAIN)
			return PRONG_RUNNING;
		if (n < 0)
			return n == -EPIPE ? -ECONNRESET : (int)n;
		s->said += (size_t)n;
	}
	s->said = s->proof.out_size = 0;
	return 0;
}

/* What TLS says of its end is for people too. */
static int explained(struct prongi_stranger *s, int r)
{
	const char *why = s->stream.tls ? prongi_tls_why(s->stream.tls) : NULL;

	if (why && r < 0)
		s->proof.why = why;
	return r;
}

/* 0: TLS is there, or not wanted; PRONG_RUNNING; -errno. */
static int shake(struct prongi_stranger *s)
{
	int r = s->stream.tls && !s->shaken ? prongi_tls_shake(s->stream.tls) : 0;

	s->shaken = r == 0;
	if (r == -ECONNRESET)
		s->proof.why = "it hung up";
	return explained(s, r);
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
		r = -EPROTO;
	}
	return explained(s, r);
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
	int r = shake(s);

	if (r == 0)
		r = say(s);
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
	bool out = s->stream.tls && !s->shaken ? prongi_tls_wants_room(s->stream.tls)
					       : s->said < s->proof.out_size;

	return out ? PRONGI_SET_OUT : PRONGI_SET_IN;
}

/* A client without TLS waits for a challenge, and hears nothing until then. */
void prongi_stranger_too_slow(struct prongi_stranger *s)
{
	static const char words[] = PRONGI_TLS_ONLY;
	unsigned char frame[PRONGI_HEAD + sizeof words];
	size_t n;

	if (!s->stream.tls || prongi_tls_heard(s->stream.tls))
		return;
	n = prongi_frame_head(frame, sizeof words - 1);
	memcpy(frame + n, words, sizeof words - 1);
	if (send(s->stream.fd, frame, n + sizeof words - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* he is gone, or will learn of it by the end */
}
