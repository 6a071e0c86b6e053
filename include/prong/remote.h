/* A prong_remote is a manager in another program, which may be one of Python's (a BaseManager or a
   SyncManager) or ours; a prong_proxy is one of its objects: a dict, a lock, a namespace, a queue,
   or whatever it offers.  Its methods are called by name, with values (value.h), and give values.

   Any thread may use one; each gets a connection of its own at its first call, which lasts until
   the thread ends or prong_remote_close().  So to the manager threads are who they are: what one
   has locked, the same has to unlock.  To a manager of ours there is one more, which says that the
   program lives: what it has made is let go of when it has had no connection for a while (linger_ms
   of manager.h), because it was killed or cannot be reached.

   A call is sent once.  When its connection is lost the call fails, and it is not known whether it
   was carried out; the next one connects anew, at first at once, then after pauses that grow to a
   second.  A call that is given up, by its deadline or because its thread is cancelled, takes its
   connection along: no later call reads its answer.

   A remote belongs to the process that made it.  In one that is forked later, it and all that came
   from it are -EINVAL.

   Errors that every function here may return, beside its own:
      PRONG_TIMEDOUT    no answer until the deadline
      PRONG_CANCELLED   see group.h
      PRONG_CLOSED      prong_remote_close() was called
      PRONG_RAISED      the other side raised an exception: see prong_remote_raised()
      -ECONNRESET       the connection was lost: in this call, or since the last one with this
                        proxy, which was not sent then.  A manager that was started again, or
                        has let go of them, does not know its old objects: make the proxy anew
      -EPROTO           what came is no manager's answer; or larger than its limits
      -EINVAL, -ENOMEM, what prong_connect() returns and, with nothing sent, prong_encode()

   Arguments of a call are a tuple; a dict, of keywords; or a list of a tuple and a dict.  They are
   taken over, also on failure.  prong_args() makes a tuple; prong_args(0) is for none, as NULL is
   -ENOMEM, like any value that could not be made.

   Example:
	prong_remote *there = NULL;
	prong_proxy *settings = NULL;
	prong_value *found = NULL;
	int r = prong_remote_open(&there, "tcp://10.0.0.7:5000", &auth, prong_in_ms(5000));
	if (r == 0)
		r = prong_remote_make(there, "get_settings", prong_args(0), &settings,
				      prong_in_ms(1000));
	if (r == 0)
		r = prong_proxy_call(settings, "get", prong_args(1, prong_value_text("limit")),
				     &found, prong_in_ms(1000));
	if (r == 0)
		r = prong_value_as_int(found, &limit);                        */
#ifndef PRONG_REMOTE_H
#define PRONG_REMOTE_H

#include <prong/listener.h>
#include <prong/queue.h>
#include <prong/value.h>

PRONG_BEGIN_DECLS

typedef struct prong_remote prong_remote;
typedef struct prong_proxy prong_proxy;

/* Return a tuple of n values, each a prong_value *, which are taken over. */
PRONG_API prong_value *prong_args(size_t n, ...);

/* Connect to the manager at address, and see that it is one.  auth as for prong_connect(); its
   limits are those of what the manager answers, and the files of its tls are read here, for all
   connections.  Return as above. */
PRONG_MUST int prong_remote_open(prong_remote **out, const char *address, const prong_auth *auth,
				 prong_time deadline);

/* Call the manager's function name, such as "get_settings" or "dict", which gives an object, and
   store a proxy of that. */
PRONG_MUST int prong_remote_make(prong_remote *there, const char *name, prong_value *args,
				 prong_proxy **out, prong_time deadline);

/* The same for a queue: store a handle that the functions of queue.h and carry.h take, in this
   process; a thread gets it in its argument, &q, sizeof q.  So code that works on a queue need not
   know where it is.  What differs:
   - a message is a Python object.  put sends bytes, get gives the bytes of bytes and text, and the
     pickle of any other; prong_queue_put_value() and _get_value() are the natural way;
   - a deadline is the manager's: it says "full" or "empty", PRONG_TIMEDOUT here.  Its word is
     waited for up to a second longer, so PRONG_NOW asks once.  If that does not come: -ETIMEDOUT,
     and it is not known whether the message was put.  One that was taken goes to the next get, or
     back to the end of the queue in prong_queue_free();
   - a message too large for get stays in this process, to be the next that it gets;
   - a message that Python's manager hands to a client that dies then is lost.  A get asks again
     each second, so that a client that has died before takes none for longer than that;
   - reserve, commit, lease, ack and abandon are -ENOTSUP, and so is waiting by prong_wait();
     prong_queue_join() waits until task_done was called for each; prong_queue_close() is shutdown,
     -ENOTSUP before Python 3.13.
   When the manager has been started again, the next call calls its function once more, and goes on
   with what that gives.  prong_queue_free() lets go of it.
   Return also PRONG_MISMATCH: the object has no put and get. */
PRONG_MUST int prong_remote_queue(prong_remote *there, const char *name, prong_queue **out,
				  prong_time deadline);

/* Call one of the control functions that each manager has, such as "debug_info" or
   "number_of_objects".  out may be NULL if the result is not wanted. */
PRONG_MUST int prong_remote_ask(prong_remote *there, const char *function, prong_value *args,
				prong_value **out, prong_time deadline);

/* Return what was raised in the calling thread's last call on there, or on a proxy of it: an
   exception (object.h), or text, when the manager itself had to complain.  NULL: nothing was.
   Valid until the thread's next call. */
PRONG_API const prong_value *prong_remote_raised(prong_remote *there);

/* Call a method, and store what it returns.  out may be NULL if that is not wanted.  A result that
   is an object of the manager comes as a value that prong_proxy_of() takes.
   A method that waits goes on waiting there when the call is given up, and may yet take what it
   waited for, as a lock, for nobody: so tell it a time of its own, acquire(True, 0.5), and have the
   deadline later.
   Return also -ESTALE: the manager does not know the object. */
PRONG_MUST int prong_proxy_call(prong_proxy *p, const char *method, prong_value *args,
				prong_value **out, prong_time deadline);

/* Make a proxy of a value that stands for an object of the manager: the result of a call, or what
   was in one.  v stays the caller's.  Return also PRONG_MISMATCH: it is no such value. */
PRONG_MUST int prong_proxy_of(prong_remote *there, const prong_value *v, prong_proxy **out,
			      prong_time deadline);

/* Return a value that stands for p's object, to be an argument or in one; it does not keep the
   object.  NULL: memory is short, or p is none. */
PRONG_API prong_value *prong_proxy_value(const prong_proxy *p);

/* Let go of p, and have the manager forget the object if nobody else has it: waits up to a second
   for that.  No other thread may be in a call on it.  NULL is fine. */
PRONG_API void prong_proxy_free(prong_proxy *p);

/* Ask the manager to end.  Its word that it will is what is waited for. */
PRONG_MUST int prong_remote_shutdown(prong_remote *there, prong_time deadline);

/* Hang up.  Calls under way end; its proxies and queues return PRONG_CLOSED from now on, and are to
   be freed all the same.  Let go of proxies first, or the manager keeps their objects.  NULL is
   fine. */
PRONG_API void prong_remote_close(prong_remote *there);

PRONG_END_DECLS
#endif
