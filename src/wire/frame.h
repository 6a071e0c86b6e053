/* Frames: how messages are told apart in a stream of bytes, as Python's Connection does it.

      length, 4 bytes, big-endian, signed      bytes
      -1      length, 8 bytes, big-endian      bytes       above 2^31 - 1

   This part knows no descriptor: whoever reads gives it what came.  Memory is taken as bytes
   arrive; an announced length costs nothing. */
#ifndef PRONGI_FRAME_H
#define PRONGI_FRAME_H

#include <prong/api.h>

#define PRONGI_HEAD 12 /* the most that stands before a message */

/* Write what stands before a message of size bytes, and return how much that is: 4 or 12. */
size_t prongi_frame_head(unsigned char head[PRONGI_HEAD], size_t size);

/* What has come in and is not yet taken: data[begin, end).  One thread's at a time. */
struct prongi_inbox {
	unsigned char *data;
	size_t room, begin, end;
	size_t head, size; /* of the message at begin: head is 0 while that is not known */
	size_t most;       /* what a message may have */
	size_t ahead;      /* room to begin with: for messages that come together */
};

void prongi_inbox_init(struct prongi_inbox *in, size_t most, size_t ahead);
void prongi_inbox_fini(struct prongi_inbox *in);

/* Store where the next bytes shall go, and how many have room there; at least one.  A message above
   `ahead' is read to its end and no further.  Return 0 or -ENOMEM. */
int prongi_inbox_room(struct prongi_inbox *in, void **where, size_t *n);

/* So many came. */
void prongi_inbox_add(struct prongi_inbox *in, size_t n);

/* Return 1 when the next message is whole; 0 when it is not; -EPROTO: that is no frame; -EFBIG: it
   would have more than `most'.  After those two nothing in the stream has a meaning. */
int prongi_inbox_look(struct prongi_inbox *in);

/* Of a whole message: where it is, until it is taken. */
static inline const unsigned char *prongi_inbox_data(const struct prongi_inbox *in)
{
	return in->data + in->begin + in->head;
}
void prongi_inbox_take(struct prongi_inbox *in);

#endif
