/* Frames: what stands before a message, and the box for what comes in.

   The box is one block.  Small messages that came together are taken from it one after the other; a
   large one grows it to twice of what has arrived, and then it shrinks again. */
#include "wire/frame.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_MOST ((size_t)0x7fffffff)
/* An empty box above this is given back: a message of 1 MiB and its head fit. */
#define KEEP (((size_t)1 << 20) + PRONGI_HEAD)

static void put_number(unsigned char *at, uint64_t n, size_t bytes)
{
	while (bytes--) {
		at[bytes] = (unsigned char)n;
		n >>= 8;
	}
}

static uint64_t get_number(const unsigned char *at, size_t bytes)
{
	uint64_t n = 0;

	while (bytes--)
		n = n << 8 | *at++;
	return n;
}

size_t prongi_frame_head(unsigned char head[PRONGI_HEAD], size_t size)
{
	if (size <= SHORT_MOST) {
		put_number(head, size, 4);
		return 4;
	}
	put_number(head, UINT32_MAX, 4);
	put_number(head + 4, size, 8);
	return 12;
}

void prongi_inbox_init(struct prongi_inbox *in, size_t most, size_t ahead)
{
	*in = (struct prongi_inbox){ .most = most, .ahead = ahead };
}

void prongi_inbox_fini(struct prongi_inbox *in)
{
	free(in->data);
	in->data = NULL;
	in->room = in->begin = in->end = in->head = in->size = 0;
}

/* --- room ---------------------------------------------------------------------------------- */

static bool large(const struct prongi_inbox *in)
{
	return in->head && in->size > in->ahead;
}

static void move_to_front(struct prongi_inbox *in)
{
	if (in->begin == 0)
		return;
	memmove(in->data, in->data + in->begin, in->end - in->begin);
	in->end -= in->begin;
	in->begin = 0;
}

/* For a large message no more than it needs. */
static int grow(struct prongi_inbox *in)
{
	size_t room = in->room ? 2 * in->room : in->ahead;
	unsigned char *data;

	if (large(in) && room > in->head + in->size)
		room = in->head + in->size;
	data = realloc(in->data, room);
	if (!data)
		return -ENOMEM;
	in->data = data;
	in->room = room;
	return 0;
}

int prongi_inbox_room(struct prongi_inbox *in, void **where, size_t *n)
{
	size_t last;

	if (in->end == in->room || large(in))
		move_to_front(in);
	if (in->end == in->room) {
		int r = grow(in);

		if (r)
			return r;
	}
	last = in->room;
	if (large(in) && last > in->begin + in->head + in->size)
		last = in->begin + in->head + in->size;
	*where = in->data + in->end;
	*n = last - in->end;
	return 0;
}

void prongi_inbox_add(struct prongi_inbox *in, size_t n)
{
	in->end += n;
}

/* --- messages ------------------------------------------------------------------------------ */

/* The message's length, once its head is there. */
static int look_at_head(struct prongi_inbox *in)
{
	size_t there = in->end - in->begin;
	const unsigned char *at;
	uint64_t size;

	if (there < 4)
		return 0; /* there may be no block yet */
	at = in->data + in->begin;
	size = get_number(at, 4);
	if (size > SHORT_MOST && size != UINT32_MAX)
		return -EPROTO;
	if (size == UINT32_MAX) {
		if (there < PRONGI_HEAD)
			return 0;
		size = get_number(at + 4, 8);
		if (size > INT64_MAX)
			return -EPROTO;
	}
	if (size > in->most)
		return -EFBIG;
	in->head = get_number(at, 4) == UINT32_MAX ? PRONGI_HEAD : 4;
	in->size = (size_t)size;
	return 0;
}

int prongi_inbox_look(struct prongi_inbox *in)
{
	if (!in->head) {
		int r = look_at_head(in);

		if (r || !in->head)
			return r;
	}
	return in->end - in->begin >= in->head + in->size;
}

void prongi_inbox_take(struct prongi_inbox *in)
{
	in->begin += in->head + in->size;
	in->head = in->size = 0;
	if (in->begin < in->end)
		return;
	in->begin = in->end = 0;
	if (in->room > KEEP && in->room > in->ahead)
		prongi_inbox_fini(in);
}
