/* Replies: a pickle of (kind, item), which is written in pieces.  The pieces of one pickle may be
   whole ones without their first two bytes and their last, as long as they are of the same
   protocol, and that is 2 or 3: there, each says by number which places of the reader's memo it
   uses, and so what an earlier piece left in them is of no matter.  So what is sent is never put
   together as a value first. */
#include "manager/manager.h"
#include <errno.h>
#include <stdlib.h>

#define REPLY_MOST ((size_t)1 << 30)

/* In protocol 2 as Python 2 writes its own str: there, its managers insist on that. */
void prongi_say_text(struct prongi_out *o, int protocol, const char *text, size_t size)
{
	prongi_out_byte(o, protocol < 3 ? 'T' : 'X');
	for (int i = 0; i < 4; i++)
		prongi_out_byte(o, (int)(size >> 8 * i & 0xff));
	prongi_out_bytes(o, text, size);
}

void prongi_say_begin(struct prongi_out *o, int protocol, const char *kind)
{
	static const char head[PRONGI_HEAD];

	o->limit = REPLY_MOST;
	o->n = 0;
	o->r = 0;
	prongi_out_bytes(o, head, sizeof head);
	prongi_out_byte(o, '\x80');
	prongi_out_byte(o, protocol);
	prongi_say_text(o, protocol, kind, strlen(kind));
}

void prongi_say_value(struct prongi_out *o, int protocol, const prong_value *v)
{
	size_t before = o->n;
	int r = prongi_pickle_write(o, v ? v : &prongi_none, protocol, false);

	if (o->r == 0)
		o->r = r;
	if (o->r)
		return;
	memmove(o->data + before, o->data + before + 2, o->n - before - 3);
	o->n -= 3;
}

void prongi_say_item(struct prongi_out *o, int protocol, const struct prongi_item *item)
{
	prong_value *v;

	if (item->data[1] == protocol) {
		prongi_out_bytes(o, item->data + 2, item->size - 3);
		return;
	}
	v = prongi_item_value(item);
	if (v)
		prongi_say_value(o, protocol, v);
	else if (o->r == 0)
		o->r = -ENOMEM;
	prong_value_free(v);
}

void prongi_say_end(struct prongi_out *o)
{
	prongi_out_byte(o, '\x86');
	prongi_out_byte(o, '.');
}

const unsigned char *prongi_said(struct prongi_out *o, size_t *size)
{
	unsigned char head[PRONGI_HEAD], *at = (unsigned char *)o->data;
	size_t n = prongi_frame_head(head, o->n - PRONGI_HEAD);

	at += PRONGI_HEAD - n;
	memcpy(at, head, n);
	*size = o->n - PRONGI_HEAD + n;
	return at;
}

/* Small ones are kept for the next. */
void prongi_say_free(struct prongi_out *o)
{
	o->n = 0;
	o->r = 0;
	if (o->room <= PRONGI_REPLY_FREE)
		return;
	free(o->data);
	o->data = NULL;
	o->room = 0;
}
