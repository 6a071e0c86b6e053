/* A stream of frames over a socket: receiving and sending with deadlines.  What is cut short by a
   deadline goes on with the next call.  Not for two threads at one side at once. */
#ifndef PRONGI_STREAM_H
#define PRONGI_STREAM_H

#include "wire/frame.h"
#include <prong/deadline.h>
#include <sys/types.h>

struct prongi_tls;

struct prongi_stream {
	int fd;
	struct prongi_tls *tls; /* under it; NULL: none */

	/* The receiver's. */
	struct prongi_inbox in;
	int in_over;      /* 0, or the result of all receives from now on */
	bool reset;       /* the other end did not close in order: it had not read all */
	prong_time since; /* more of the message that is begun is waited for; 0: nobody did yet */
	uint32_t rate;    /* bytes per second that it must come with, from grace_ns after that */
	int64_t grace_ns;
	size_t part, whole; /* at the end: what had come of the message, and what should have */

	/* The sender's. */
	int out_over;
	bool busy;           /* a message is begun, and what follows says which */
	size_t begun, sent;  /* its bytes; how many are sent, its head's too */
	uint64_t begun_hash; /* tells it from others of its size */
};

/* fd becomes the stream's. */
void prongi_stream_init(struct prongi_stream *s, int fd, size_t most, size_t ahead);
void prongi_stream_fini(struct prongi_stream *s);

/* Wait until poll() says that fd is ready for events, or has failed.  Return 0, PRONG_TIMEDOUT,
   PRONG_CANCELLED, -errno. */
int prongi_await(int fd, short events, prong_time deadline);

/* Block until a message is in s->in.  Return 0; PRONG_TIMEDOUT, PRONG_CANCELLED; and, for good,
   PRONG_CLOSED, -EPROTO, -EFBIG, -ETIMEDOUT (it comes too slowly), -errno.-ENOMEM may pass. */
int prongi_stream_recv(struct prongi_stream *s, prong_time deadline);

/* The same for its head: its length is known then. */
int prongi_stream_recv_head(struct prongi_stream *s, prong_time deadline);

/* True when something has come that polling the descriptor does not tell of. */
bool prongi_stream_holds(struct prongi_stream *s);

/* Send as many of the size bytes, at least 1, as go at once.  Return how many; -EAGAIN: none, and
   the same have to be given again; -errno for good. */
ssize_t prongi_stream_push(struct prongi_stream *s, const void *data, size_t size);

/* When the message that is begun has come too slowly if nothing more comes; the time for it counts
   from the first such question.  PRONG_FOREVER: none is begun, or it is whole. */
prong_time prongi_stream_due(struct prongi_stream *s);

/* Let go of the message in s->in. */
void prongi_stream_take(struct prongi_stream *s);

/* Send a message.  Return 0; PRONG_TIMEDOUT or PRONG_CANCELLED: the same message has to be given
   again to go on, if a part of it was sent; -EBUSY: that is the case, and this is another one;
   PRONG_CLOSED or -errno for good. */
int prongi_stream_send(struct prongi_stream *s, const void *data, size_t size, prong_time deadline);

#endif
