/* A prong_manager offers things of this program to other programs, over the network or a Unix
   socket: queues of the heap, objects written in C, and Python's own kinds of shared object.
   Python programs use it as they use their own managers:

	class M(BaseManager): pass
	M.register('get_task_queue')
	m = M(('127.0.0.1', 5000), b'abc')
	m.connect()
	m.get_task_queue().get()

   A thread of the library serves all clients; none of them costs a thread, also not one that
   waits for a lock or an empty queue.  What an object of C is asked runs on a pool, when one is
   given, else in that thread, where it holds up all others.

   A message that a client has taken is its own when the client asks for something more, or hangs
   up in order.  From one that is killed before it has read the answer, or whose machine vanishes,
   it comes back before all others, with its tries counted up.  A Lock or RLock whose holder is gone
   is free again.  What a client in C referred to is let go of when it has been gone for a while;
   of clients in Python nobody can tell, and their references stay until they give them back.

   The key is all that keeps people out; what passes can be read and changed by who is on the way,
   unless .auth has .tls, which clients of prong's alone speak.
   See listener.h for what is refused beyond this machine.

   Example:
	prong_manager *m;
	int r = prong_manager_open(&m, "tcp://127.0.0.1:5000", &(prong_manager_opts){
				.auth = { .key = "abc", .key_size = 3 } });
	if (r == 0)
		r = prong_manager_share_queue(m, "get_task_queue", tasks);
	if (r == 0)
		r = prong_manager_wait(m, PRONG_FOREVER);                     */
#ifndef PRONG_MANAGER_H
#define PRONG_MANAGER_H

#include <prong/call.h>
#include <prong/listener.h>
#include <prong/queue.h>

PRONG_BEGIN_DECLS

typedef struct prong_manager prong_manager;
struct prong_pool;

/* All-zero means the defaults, but for the key. */
typedef struct prong_manager_opts {
	prong_auth auth;           /* as for a listener: the key, which strangers may knock, how
				      large a message may be */
	struct prong_pool *pool;   /* where methods of C objects run; NULL: in the serving thread.
				      With worker processes the objects must lie in the heap */
	size_t memory_max;         /* bytes of values that clients may have here, and of answers
				      that they have not taken yet; 0: 1 GiB.  What does not
				      fit is a MemoryError, or a RemoteError that says so */
	uint32_t clients_max;      /* connections that have proved the key; 0: 16,384; at most
				      1,048,576 */
	bool types;                /* also Python's own kinds: Queue, Lock, dict, list ... */
	bool no_shutdown;          /* clients cannot end prong_manager_wait() */
	uint8_t reserved1_[2];
	uint32_t linger_ms;        /* a client of prong's without a connection for so long is
				      forgotten, and what it had made or referred to is let go
				      of; 0: 30,000 */
	uint32_t reserved0_;       /* must be zero, as is what follows */
	uint64_t reserved_[5];
} prong_manager_opts;

/* Listen at address, and begin to serve.
   Return as prong_listener_open(), and -EINVAL (an option is out of range), -EAGAIN (no thread). */
PRONG_MUST int prong_manager_open(prong_manager **out, const char *address,
				  const prong_manager_opts *opts);

/* Offer q as what the function called name returns: with put, get, qsize, empty, full and what else
   queue.Queue has.  Messages are values (carry.h); one that is no pickle goes out as bytes.  When q
   is closed and empty, get raises EOFError, and put always.  q must outlive m.
   Return 0; -EEXIST (the name is taken), -EINVAL (q is no queue, or name is not a Python name),
   -ENOMEM. */
PRONG_MUST int prong_manager_share_queue(prong_manager *m, const char *name, prong_queue *q);

/* Offer an object of C: the function called name returns a proxy of it, with these methods.  The
   last entry of the table has no name.  self is what prong_call_self() gives.  Neither is copied,
   and both must outlive m.  Without a pool the methods of all objects run one at a time; with one,
   those of one object at once.
   Return as prong_manager_share_queue(); -EINVAL also when a method has no name or function, or
   its parameters cannot be read: prong_error_detail() says where. */
PRONG_MUST int prong_manager_share(prong_manager *m, const char *name,
				   const prong_method *methods, void *self);

/* Return the address with the port that was chosen.  Valid as long as m. */
PRONG_API const char *prong_manager_address(const prong_manager *m);

/* Block until a client has asked it to shut down.  Nothing more: m goes on serving.
   Return 0, PRONG_TIMEDOUT, PRONG_CANCELLED (the caller is), -EINVAL. */
PRONG_MUST int prong_manager_wait(prong_manager *m, prong_time deadline);

typedef struct prong_manager_stats {
	prong_listener_stats door; /* those who came */
	uint64_t clients;          /* connections now */
	uint64_t objects;          /* that clients refer to now */
	uint64_t waiting;          /* calls that wait now */
	uint64_t calls;            /* answered, ever */
	uint64_t returned;         /* messages that came back from clients that vanished */
	uint64_t refused;          /* clients beyond clients_max */
	uint64_t broken;           /* that sent what is no request, or came too slowly */
	uint64_t memory;           /* bytes of values and answers that are here now */
	uint64_t reserved_[6];
} prong_manager_stats;

/* Store m's figures in *out. */
PRONG_API void prong_manager_stat(prong_manager *m, prong_manager_stats *out);

/* Stop serving, hang up on all, and free m.  Calls that run on the pool are waited for.  Not from a
   method of an object.  NULL is fine. */
PRONG_API void prong_manager_close(prong_manager *m);

PRONG_END_DECLS
#endif
