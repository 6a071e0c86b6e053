/* Values through connections and queues.

   Not here: pickles (pickle_*.c), and what moves bytes. */
#include "wire/codec.h"
#include "wire/net.h"
#include <errno.h>
#include <prong/carry.h>
#include <prong/heap.h>
#include <stdlib.h>

/* Who is in the family understands all that we do.  Of another, what it sends tells what it reads;
   until then it may be Python 2, or a 3 to which protocol 2 must not mean anything else. */
int prongi_conn_encode(const prong_conn *c, const prong_value *v, void **data, size_t *size)
{
	int protocol = prongi_conn_is_net(c) ? prongi_conn_protocol(c) : PRONG_PICKLE_5;

	if (protocol == 0)
		return prongi_encode_either(v, data, size);
	return prong_encode(v, (prong_format)protocol, data, size, NULL);
}

int prong_conn_send_value(prong_conn *c, prong_value *v, prong_time deadline)
{
	size_t size;
	void *data;
	int r = prongi_conn_encode(c, v, &data, &size);

	prong_value_free(v);
	if (r)
		return r;
	r = prong_conn_send(c, data, size, deadline);
	free(data);
	return r;
}

/* -EBADMSG is a descriptor in a pipe, which stays; what is no value is another thing. */
static int no_value(int r)
{
	return r == -EBADMSG ? -EPROTO : r;
}

static int recv_from_net(prong_conn *c, prong_value **out, const prong_limits *limits,
			 prong_time deadline)
{
	size_t size;
	void *data;
	int r = prongi_conn_recv_private(c, &data, &size, deadline, "conn_recv_value");

	if (r)
		return r;
	r = prong_decode_take(out, PRONG_PICKLE, data, size, limits);
	if (r)
		free(data);
	return no_value(r);
}

int prong_conn_recv_value(prong_conn *c, prong_value **out, const prong_limits *limits,
			  prong_time deadline)
{
	void *data = NULL;
	size_t size;
	int r;

	if (!out)
		return prongi_fail(-EINVAL, "conn_recv_value: out is NULL");
	if (prongi_conn_is_net(c))
		return recv_from_net(c, out, limits, deadline);
	r = prong_conn_recv_take(c, &data, &size, deadline);
	if (r)
		return r;
	r = prong_decode(out, PRONG_PICKLE, data, size, limits);
	prong_free(data);
	return no_value(r);
}

int prong_queue_put_value(prong_queue *q, prong_value *v, prong_time deadline)
{
	const struct prongi_queue_ops *far;
	size_t size;
	void *data;
	int r;

	far = prongi_outer_queue(q, &data);
	if (far)
		return far->put_value(data, v, deadline);
	r = prong_encode(v, PRONG_PICKLE_5, &data, &size, NULL);
	prong_value_free(v);
	if (r)
		return r;
	r = prong_queue_put(q, data, size, deadline);
	free(data);
	return r;
}

int prong_queue_get_value(prong_queue *q, prong_value **out, const prong_limits *limits,
			  prong_time deadline)
{
	const struct prongi_queue_ops *far;
	prong_message m;
	void *self;
	int r;

	if (!out)
		return prongi_fail(-EINVAL, "queue_get_value: out is NULL");
	far = prongi_outer_queue(q, &self);
	if (far)
		return far->get_value(self, out, deadline);
	r = prong_queue_lease(q, &m, deadline);
	if (r)
		return r;
	r = prong_decode(out, PRONG_PICKLE, m.data, m.size, limits);
	if (r)
		prong_queue_abandon(q, &m);
	else
		prong_queue_ack(q, &m);
	return r;
}
