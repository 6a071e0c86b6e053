/* The server of Python's managers, from inside.

   One thread does everything: the loop (loop.c) waits for clients ("guests", guest.c), reads their
   requests, runs the methods (call.c, request.c) of objects (thing.c), and writes the answers
   (reply.c).  A call that cannot be answered yet is parked: it stays in its guest, on its object's
   list, until something changes there or its time is over, and is then begun again.

   Nothing here is locked but names, which other threads add to, and what has come back from a pool
   (job.c).  A value that stays here is an item (item.c): a pickle, so that what it takes is known
   and given back at once. */
#ifndef PRONGI_MANAGER_H
#define PRONGI_MANAGER_H

#include "manager/protocol.h"
#include "wire/codec.h"
#include "wire/net.h"
#include <prong/call.h>
#include <prong/manager.h>
#include <prong/pool.h>
#include <prong/queue.h>
#include <prong/thread.h>
#include <pthread.h>

enum {
	PRONGI_PARAMS = 8,    /* of a method */
	PRONGI_NAME_MOST = 64 /* bytes of a name of a method or a type, its end too */
};

struct prongi_thing;
struct prongi_guest;
struct prongi_job;
struct prongi_lock;
struct prongi_client;

/* --- methods: signature.c --------------------------------------------------------------- */

enum prongi_want {
	PRONGI_ANY,
	PRONGI_WANT_BOOL,
	PRONGI_WANT_INT,
	PRONGI_WANT_FLOAT,
	PRONGI_WANT_TEXT,
	PRONGI_WANT_BYTES,
	PRONGI_WANT_LIST,
	PRONGI_WANT_DICT
};

struct prongi_param {
	char name[PRONGI_NAME_MOST];
	enum prongi_want want;
	bool optional;
	prong_value *otherwise; /* what it is when it is not given; NULL: None */
};

/* A method, with its parameters read. */
struct prongi_method {
	const prong_method *is;
	bool raw; /* "*": it looks at the arguments itself */
	unsigned n;
	struct prongi_param param[PRONGI_PARAMS];
};

int prongi_method_read(struct prongi_method *m, const prong_method *is, const char *what);
void prongi_method_free(struct prongi_method *m);

/* True when it is a name in Python, of ASCII. */
bool prongi_is_word(const char *name);

/* Store what the parameters are for args and kwds in arg.  0; PRONG_MISMATCH: why says what
   Python's TypeError would. */
int prongi_bind(const struct prongi_method *m, const prong_value *args, const prong_value *kwds,
		const prong_value **arg, unsigned *given, char *why, size_t why_size);

/* What parked calls of a queue of the heap wait for: their stage. */
enum {
	PRONGI_WANT_MESSAGE = 1,
	PRONGI_WANT_PLACE,
	PRONGI_WANT_END
};

/* --- items: item.c ---------------------------------------------------------------------- */

/* A pickle of protocol 2 or 3.  All-zero: there is none. */
struct prongi_item {
	unsigned char *data;
	size_t size;
};

/* 0, -ENOMEM, or what prong_encode() says. */
int prongi_item_make(struct prongi_item *out, const prong_value *v, int protocol);
void prongi_item_free(struct prongi_item *item);

/* The value that it is, or NULL: no memory. */
prong_value *prongi_item_value(const struct prongi_item *item);

/* --- replies: reply.c ------------------------------------------------------------------- */

/* A reply is begun with its kind, then has one value, and is ended. */
void prongi_say_begin(struct prongi_out *o, int protocol, const char *kind);
void prongi_say_value(struct prongi_out *o, int protocol, const prong_value *v);
void prongi_say_item(struct prongi_out *o, int protocol, const struct prongi_item *item);
void prongi_say_text(struct prongi_out *o, int protocol, const char *text, size_t size); /* ASCII */
void prongi_say_end(struct prongi_out *o);

/* The frame that is to be sent, of a reply that was ended. */
const unsigned char *prongi_said(struct prongi_out *o, size_t *size);
void prongi_say_free(struct prongi_out *o);

/* --- calls: call.c ---------------------------------------------------------------------- */

struct prong_call {
	struct prongi_guest *guest; /* NULL: on a pool */
	struct prongi_thing *thing; /* which it holds; on a pool NULL */
	void *self;
	const struct prongi_method *method;
	int protocol;
	prong_value *request;
	const prong_value *args, *kwds; /* of the request */
	const prong_value *arg[PRONGI_PARAMS];
	unsigned given;        /* of these, bit by bit */
	struct prongi_out out; /* the answer */
	size_t charged;        /* bytes of it, in the manager's memory */
	bool answered, mistaken;

	/* Of one that is parked. */
	bool parked, late; /* late: its time is over, so it must answer now */
	int stage;         /* the method's own: 0 at first; it must not change while parked */
	int verdict;       /* what others decided about it; 0 at first */
	uint64_t number;   /* the method's own */
	prong_time deadline;
	struct prong_call *next, *prev; /* on the object's list */
};

/* What a method returns that cannot answer yet: it waits until its object changes, or the
   deadline. */
#define PRONGI_PARK (-INT32_MAX)

/* Bind the arguments; the call is answered when that fails.  Run a method: 0: it is answered;
   PRONGI_PARK.  Answer for one that did not. */
bool prongi_call_bind(prong_call *c);
int prongi_call_run(prong_call *c);
int prongi_call_raise_result(prong_call *c, int r);
void prongi_call_clear(prong_call *c);

/* Answers of the library's own methods.  All return 0. */
int prongi_call_none(prong_call *c);
int prongi_call_item(prong_call *c, const struct prongi_item *item);
int prongi_call_traceback(prong_call *c, const char *format, ...) PRONG_PRINTF(2, 3);
int prongi_call_raise_value(prong_call *c, const char *type, prong_value *arg);

/* Answer with a proxy of t, which is counted for the client. */
int prongi_call_proxy(prong_call *c, struct prongi_thing *t);

/* Begin an answer that is written by hand, of this kind; its end. */
struct prongi_out *prongi_call_begin(prong_call *c, const char *kind);
int prongi_call_end(prong_call *c);

/* Its end when something is given away with it: -ENOMEM, with nothing answered. */
int prongi_call_give(prong_call *c);

/* Count an answer that is whole.  -ENOMEM: there is no room, and it is not there any more. */
#define PRONGI_REPLY_FREE 4096 /* bytes of an answer that are not counted */
int prongi_call_charge(prong_call *c);

/* An argument as Python's bool() sees it. */
bool prongi_call_truth(prong_call *c, const char *name);
bool prongi_truth(const prong_value *v);

/* The argument as it came; that of prong_call_value() is NULL when it is None. */
const prong_value *prongi_call_argument(prong_call *c, const char *name);

/* Have the deadline that an argument says in seconds, None being for ever.  False: it is none, and
   the call is answered. */
bool prongi_call_timeout(prong_call *c, const char *name);

/* What put and get of a queue do: attempt() with what the arguments block and timeout say. */
int prongi_call_blocking(prong_call *c, int (*attempt)(prong_call *c, bool block));

/* On the list of its object, and off it. */
void prongi_call_park(prong_call *c);
void prongi_call_unpark(prong_call *c);

/* --- objects: thing.c ------------------------------------------------------------------- */

/* A kind of object. */
struct prongi_type {
	const char *name;
	const prong_method *methods;
	void (*fini)(struct prong_manager *m, void *self); /* NULL: self is not ours */
	int (*repr)(void *self, char *buf, size_t size);   /* NULL: its name and where it is */
	/* Of what gives messages: g has what it took, or it comes back. */
	void (*settle)(struct prongi_guest *g, bool delivered, struct prongi_thing *t);
	void (*left)(prong_call *c); /* whose call is parked has gone; NULL: nothing to do */
	bool pooled;                 /* its methods may run on a pool */
	bool each; /* that one parked call cannot go on does not mean that no other of its method
		      can */
};

/* A kind, with its methods read. */
struct prongi_class {
	const struct prongi_type *type;
	struct prongi_item names; /* of its methods: a tuple, as a pickle of protocol 2 */
	size_t n;
	struct prongi_method method[];
};

int prongi_class_new(struct prongi_class **out, const struct prongi_type *type, const char *what);
void prongi_class_free(struct prongi_class *c);
const struct prongi_method *prongi_class_find(const struct prongi_class *c, const char *name);

struct prongi_thing {
	uint64_t ident;
	uint64_t refs; /* of proxies, anywhere */
	uint64_t uses; /* calls that are at it, names, items in which it is */
	struct prongi_class *class;
	const char *name; /* what create() calls it */
	void *self;
	prong_call *first, *last;  /* parked */
	struct prong_queue *queue; /* of the heap: parked calls wait for it, too */
	unsigned want[4];          /* of these, by their stage: what for */
	struct prongi_thing *next_queue;
	struct prongi_thing *dirty; /* the next whose parked calls are to be begun again */
	bool is_dirty;
};

/* What create() can make.  Only `thing' changes, and only the loop looks at that. */
struct prongi_offer {
	char name[PRONGI_NAME_MOST];
	const prong_method *methods;      /* of C objects */
	const struct prongi_maker *maker; /* NULL: it is always the same object */
	struct prongi_method make;        /* the maker's parameters */
	struct prongi_type own;           /* likewise */
	const struct prongi_type *type;
	struct prongi_class *class;
	void *self;
	struct prong_queue *queue;
	struct prongi_thing *thing; /* always the same one; NULL: nobody has asked for it */
	struct prongi_offer *next;
};

/* How an object of one of Python's kinds is made.  fn stores what it is in *self; when it does not,
   it answers the call, or returns what went wrong. */
struct prongi_maker {
	prong_method make; /* its name and parameters */
	const struct prongi_type *type;
	int (*fn)(prong_call *c, void **self);
};

/* All there are; the last is NULL. */
extern const struct prongi_maker *const prongi_makers[];
int prongi_offer_makers(struct prong_manager *m);
int prongi_iterators_prepare(struct prong_manager *m);
void prongi_offer_free(struct prongi_offer *o);

struct prongi_offer *prongi_offer_find(struct prong_manager *m, const char *name);

/* The object that it is, for the arguments after its name; NULL: g's call is answered. */
struct prongi_thing *prongi_offer_take(struct prongi_guest *g, struct prongi_offer *offer,
				       const prong_value *args, const prong_value *kwds);

int prongi_thing_new(struct prong_manager *m, struct prongi_class *class, void *self,
		     const char *name, struct prongi_thing **out);
struct prongi_thing *prongi_thing_at(struct prong_manager *m, uint64_t ident);
struct prongi_thing *prongi_thing_find(struct prong_manager *m, const prong_value *ident);
void prongi_thing_text(const struct prongi_thing *t, char text[17]);
void prongi_thing_hold(struct prongi_thing *t);
void prongi_thing_drop(struct prong_manager *m, struct prongi_thing *t); /* end of hold */
void prongi_thing_ref(struct prong_manager *m, struct prongi_thing *t);
void prongi_thing_unref(struct prong_manager *m, struct prongi_thing *t);
void prongi_things_free(struct prong_manager *m);

/* It has changed: begin its parked calls again, soon. */
void prongi_thing_changed(struct prong_manager *m, struct prongi_thing *t);

/* --- guests: guest.c -------------------------------------------------------------------- */

struct prongi_guest {
	struct prongi_mine mine; /* first */
	struct prong_manager *m;
	uint32_t place;
	struct prongi_stream stream;
	bool calls;   /* it is for calls, not for control */
	bool last;    /* hang up when all is said */
	bool leaving; /* it hung up, but whether it has got the last answer is not known yet */
	unsigned watched;
	struct prong_call call;
	size_t said;      /* bytes of the answer that are sent */
	prong_time since; /* when the message that has begun began; PRONG_FOREVER: none has */
	size_t timer;     /* its place in the heap of timers + 1; 0: it has none */
	prong_time wakes;

	struct prongi_job *job; /* which its call is; NULL: none */

	struct prongi_lock *locks;    /* which it owns */
	struct prongi_client *client; /* whose connection it is, when that is one of ours */

	/* What it has taken, until it is known to have got it. */
	struct prongi_thing *given_by; /* held; NULL: nothing */
	prong_message given;           /* of a queue of the heap */
	struct prongi_item given_item; /* of others */
};

/* A guest of a stream that has proved the key, which becomes the guest's.  0, -ENOMEM, -errno. */
int prongi_guest_new(struct prong_manager *m, const struct prongi_stream *s);

/* Hang up.  What it was not known to have got comes back. */
void prongi_guest_free(struct prongi_guest *g);

/* Something may have happened at its socket, or its call is answered now. */
void prongi_guest_go_on(struct prongi_guest *g);

/* Its timer rang. */
void prongi_guest_late(struct prongi_guest *g);

/* What it had taken is its own; or comes back. */
void prongi_guest_settle(struct prongi_guest *g, bool delivered);

/* What it owned is free. */
void prongi_locks_free(struct prongi_guest *g);

/* Begin the parked calls of all that has changed again. */
void prongi_guests_retry(struct prong_manager *m);

/* --- clients of ours: client.c ---------------------------------------------------------- */

/* g's connection is one for calls, and has this name.  True: it is a client's of ours. */
bool prongi_client_come(struct prongi_guest *g, const char *name, size_t size);
void prongi_client_go(struct prongi_guest *g);

/* Count a reference for who is at g; and the end of one. */
void prongi_claim(struct prongi_guest *g, struct prongi_thing *t);
void prongi_unclaim(struct prongi_guest *g, struct prongi_thing *t);

/* When the next client that is gone is to be forgotten; forget all whose time has come; all. */
prong_time prongi_clients_until(const struct prong_manager *m);
void prongi_clients_forget(struct prong_manager *m);
void prongi_clients_free(struct prong_manager *m);

/* --- jobs: job.c ------------------------------------------------------------------------ */

/* Have the pool run a call.  0: it comes back by itself; else as prong_pool_submit(). */
int prongi_job_begin(prong_call *c);

/* Its guest is gone. */
void prongi_job_forget(struct prongi_job *j);

/* Answer those that have come back. */
void prongi_jobs_end(struct prong_manager *m);

/* --- requests: request.c ---------------------------------------------------------------- */

/* Read the request in the guest's box, and begin it: its call is answered then, or parked. */
void prongi_guest_request(struct prongi_guest *g);

/* --- the loop: loop.c ------------------------------------------------------------------- */

#define PRONGI_MANAGER_MAGIC UINT64_C(0x6e65746d616e6167)

struct prong_manager {
	struct prongi_mine mine; /* first */
	uint64_t magic;
	pid_t pid;
	prong_listener *listener;
	prong_thread *thread;
	struct prong_pool *pool;
	struct prongi_terms limits; /* of messages; the key is the listener's alone */
	size_t memory, memory_max;
	bool no_shutdown;
	struct prongi_class *iterators; /* over what is here; NULL: without kinds */
	int set, ring;
	_Atomic uint32_t over; /* a client asked for the end: a word to sleep on */
	atomic_bool stop;      /* by close() */

	pthread_mutex_t lock; /* protects what follows; nothing is taken with it */
	struct prongi_offer *offers;
	prong_manager_stats stats;
	struct prongi_job *done; /* calls that have come back from the pool */

	/* The loop's own. */
	struct prongi_guest **guest; /* clients_max places */
	uint32_t guests, places, clients_max;
	uint32_t *free_place;
	uint32_t frees;
	struct prongi_thing **thing;
	uint32_t things, thing_room, thing_hint;
	uint64_t salt;
	struct prongi_thing *queues; /* those with a queue of the heap */
	struct prongi_thing *dirty;  /* whose parked calls are to be begun again */
	struct prongi_guest **timer; /* a heap: the first wakes first */
	size_t timers, timer_room;
	size_t jobs;                             /* calls that the pool has */
	int64_t linger_ns;                       /* read-only */
	struct prongi_client *ours;              /* clients */
	struct prongi_client *gone, **last_gone; /* those without a connection, by time */
	uint64_t calls, returned, refused, broken, waiting, live;
};

int prongi_manager_check(const struct prong_manager *m, const char *what);
int prongi_loop(void *manager);
int prongi_loop_prepare(struct prong_manager *m);

/* Have g woken at t, or never: PRONG_FOREVER.  -ENOMEM. */
int prongi_timer_set(struct prongi_guest *g, prong_time t);

/* --- kinds: py_*.c ---------------------------------------------------------------------- */

extern const struct prongi_type prongi_shared_queue;

#endif
