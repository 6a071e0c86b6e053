/* Values as messages: through queues, pipes, and connections to other programs.  The bytes are a
   pickle, so a Python program at the other end of a connection sends and receives objects with
   the send() and recv() of multiprocessing.connection.

   Between members of a family, and to who proved a key in the way of Python 3.12 and later, as
   prong does, the pickle is of protocol 5; to all others of the highest that a value came in, and
   before one came of protocol 2, which every Python reads.  Classes that Python 2 does not know,
   like TimeoutError, keep their names in that: an older Python 3 finds them.  To who has sent
   protocol 2, which is Python 2, they are called by the nearest that it has, here OSError.
   What is received may be of any protocol; nothing in it is ever called, see codec.h.

   Example:
	r = prong_conn_send_value(c, prong_value_textf("item %d", i), PRONG_FOREVER);
	if (r == 0)
		r = prong_conn_recv_value(c, &answer, NULL, prong_in_ms(1000));
	if (r == 0)
		prong_value_print(answer, text, sizeof text);
	if (r == 0)
		prong_value_free(answer);                                     */
#ifndef PRONG_CARRY_H
#define PRONG_CARRY_H

#include <prong/codec.h>
#include <prong/conn.h>
#include <prong/queue.h>

PRONG_BEGIN_DECLS

/* Send v, which is taken over, also on failure.  To try again after PRONG_TIMEDOUT, keep a
   reference by prong_value_dup(); what a network connection had sent of it by then goes on from
   there.
   Return as prong_encode() and prong_conn_send(). */
PRONG_MUST int prong_conn_send_value(prong_conn *c, prong_value *v, prong_time deadline);

/* Receive a message and store the value that it is, which the caller frees.  limits as for
   prong_decode(); NULL are the defaults.
   Return as prong_conn_recv(); and, with the message gone, as prong_decode(): -EPROTO where it is
   no value. */
PRONG_MUST int prong_conn_recv_value(prong_conn *c, prong_value **out, const prong_limits *limits,
				     prong_time deadline);

/* Put v, which is taken over, also on failure, at the end of q.
   Return as prong_encode() and prong_queue_put(). */
PRONG_MUST int prong_queue_put_value(prong_queue *q, prong_value *v, prong_time deadline);

/* Take a message out of q and store the value that it is, which the caller frees.  A message that
   is no value, or beyond the limits, stays the next one, with its tries counted up.  What comes
   from a queue of remote.h is within that one's limits; those given here are for queues of the
   heap.
   Return as prong_queue_get() and prong_decode(). */
PRONG_MUST int prong_queue_get_value(prong_queue *q, prong_value **out, const prong_limits *limits,
				     prong_time deadline);

PRONG_END_DECLS
#endif
