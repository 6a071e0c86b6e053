/* Clients of managers: what their files know of each other.

   Locks: a remote's own protects what it says below, and is held for a few instructions, with none
   taken inside it.  A far queue's own may be held while a remote's is taken. */
#ifndef PRONGI_MANAGER_REMOTE_H
#define PRONGI_MANAGER_REMOTE_H

#include "wire/net.h"
#include <prong/codec.h>
#include <prong/object.h>
#include <prong/read.h>
#include <prong/remote.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

/* --- answers (answer.c) ----------------------------------------------------------------- */

enum prongi_answer_kind {
	PRONGI_IS_RETURN,
	PRONGI_IS_ERROR,
	PRONGI_IS_COMPLAINT, /* "#TRACEBACK" or "#UNSERIALIZABLE" */
	PRONGI_IS_PROXY
};

struct prongi_answer {
	enum prongi_answer_kind kind;
	prong_value *item;
};

/* The text that v is, ended by NUL; NULL: it is something else. */
const char *prongi_text(const prong_value *v);

/* What a message says.  Return 0 or -EPROTO. */
int prongi_answer_read(const prong_value *message, struct prongi_answer *out);

/* True when it is an exception of that name, in whatever module. */
bool prongi_answer_raises(const struct prongi_answer *a, const char *name);

/* True when the manager complains that it does not know the object. */
bool prongi_answer_unknown(const struct prongi_answer *a, const char *ident);

/* Explain it as PRONG_RAISED. */
int prongi_answer_explain(const struct prongi_answer *a, const char *what);

/* A request: (first, name, tuple, dict) of the caller's args, in every form that remote.h allows.
   All are taken over.  NULL: no memory, or *r is -EINVAL. */
prong_value *prongi_remote_request(prong_value *first, const char *name, prong_value *args,
				   const char *what, int *r);

/* --- links (link.c) --------------------------------------------------------------------- */

/* A connection to a manager, of one thread. */
struct prongi_link {
	prong_remote *there;
	pid_t pid;
	struct prongi_link *of_thread;     /* the thread's next.  Thread */
	struct prongi_link *next, **where; /* in the remote's list.  Under its lock */
	prong_conn *conn;                  /* NULL: none.  Thread while busy, else under the lock */
	bool busy;                         /* its thread is in a call.  Under the lock */
	prong_value *raised;               /* in the thread's last call.  Thread */
	bool ours;                         /* conn's manager is prong's.  As conn */
};

/* The calling thread's link, without a connection at first, and with nothing raised.  Return 0,
   -ENOMEM, -EINVAL (there is none, or not of this process). */
int prongi_link_mine(prong_remote *there, struct prongi_link **out, const char *what);

/* The same, with what was raised left alone and nothing explained. */
int prongi_link_here(prong_remote *there, struct prongi_link **out);

/* Free the calling thread's link to a remote that is closed. */
void prongi_link_drop(const prong_remote *there);

/* What was raised in the thread's last call there; NULL: nothing. */
const prong_value *prongi_link_raised(const prong_remote *there);

/* Have it connected, for calls, and the thread's alone.  Return 0, PRONG_CLOSED, or as
   prong_connect(). */
int prongi_link_begin(struct prongi_link *l, const char *what, prong_time deadline);
void prongi_link_end(struct prongi_link *l);

/* Have the remote's own connection, if it has lost it or never had it.  By it a manager of ours
   knows that the client lives, though no thread of it is connected just now. */
void prongi_link_keep(prong_remote *there, prong_time deadline);

/* The same for one request of control, with a link that the caller has. */
int prongi_link_begin_control(struct prongi_link *l, prong_remote *there, const char *what,
			      prong_time deadline);
void prongi_link_end_control(struct prongi_link *l);

/* Send a request, which is taken over, and wait for the answer.  What fails once something was sent
   costs the connection; with late, one whose answer was given up is stored there instead.  Return
   0, or as remote.h says; never PRONG_RAISED. */
int prongi_link_ask(struct prongi_link *l, prong_value *request, struct prongi_answer *out,
		    prong_conn **late, const char *what, prong_time deadline);

/* Receive an answer.  Return as prong_conn_recv_value(). */
int prongi_conn_answer(prong_remote *there, prong_conn *c, struct prongi_answer *out,
		       const char *what, prong_time deadline);

/* --- remotes (remote.c) ----------------------------------------------------------------- */

/* An object that the manager has counted for us, though nobody has a proxy of it yet. */
struct prongi_counted {
	struct prongi_counted *next;
	uint64_t era;
	char ident[];
};

struct prong_remote {
	uint64_t magic;  /* read-only, but at the end */
	pid_t pid;       /* whose it is; read-only */
	char *address;   /* read-only */
	prong_auth auth; /* with the key in terms; read-only */
	struct prongi_terms terms;
	_Atomic uint32_t refs; /* the handle, links, proxies */
	/* How many connections were lost: objects of an earlier era may be another manager's.
	   Under the lock, read without it. */
	_Atomic uint64_t era;
	_Atomic bool closed;  /* under the lock, read without it */
	_Atomic bool ours;    /* the manager was prong's when somebody last connected for calls */
	_Atomic bool keeping; /* somebody sees to the keeper */
	pthread_mutex_t lock;
	struct prongi_link *links;      /* under the lock */
	struct prongi_counted *counted; /* under the lock */
	prong_time next_try;            /* not before this is connected again.  Under the lock */
	int64_t pause;                  /* ns that were waited for it last.  Under the lock */
	struct prongi_link keeper;      /* in no list.  Of who is keeping */
	char token[17];                 /* the client's, protocol.h; read-only */
	char peer[PRONGI_ADDRESS_MOST]; /* the address in numbers.  Before there is a second user */
};

#define PRONGI_REMOTE_MAGIC UINT64_C(0x65746f6d65727270)

/* Return 0 or -EINVAL. */
int prongi_remote_check(const prong_remote *there, const char *what);

void prongi_remote_keep(prong_remote *there);
void prongi_remote_let_go(prong_remote *there);

/* A connection was lost that we did not give up. */
void prongi_remote_lost(prong_remote *there);

/* Connect, after a pause if that failed lately. */
int prongi_remote_dial(prong_remote *there, prong_conn **out, const char *what,
		       prong_time deadline);

/* Ask a control function; args as for prongi_remote_request(). */
int prongi_remote_control(prong_remote *there, const char *function, prong_value *args,
			  struct prongi_answer *out, const char *what, prong_time deadline);

/* The same for what changes a reference: so that a manager of ours knows whose it is.  Store the
   era of the connection in *era, if era is not NULL. */
int prongi_remote_refer(prong_remote *there, const char *function, prong_value *args,
			struct prongi_answer *out, uint64_t *era, const char *what,
			prong_time deadline);

/* What the answer is to the caller: its value in *out, if out is not NULL; or PRONG_RAISED.  a is
   let go of. */
int prongi_remote_judge(prong_remote *there, struct prongi_answer *a, prong_value **out,
			const char *what);

/* Note that the manager has counted an object for us; was it, and it is the caller's now. */
int prongi_remote_count(prong_remote *there, const char *ident);
bool prongi_remote_counted(prong_remote *there, const char *ident);

/* Have the manager forget a reference, unless it may be another manager's object. */
void prongi_remote_forget(prong_remote *there, const char *ident, uint64_t era);

/* --- objects (proxy.c, proxy_value.c) --------------------------------------------------- */

/* An object of a manager, as this process knows it. */
struct prongi_referent {
	char *type, *ident;
	prong_value *methods; /* a tuple of names, or NULL: not known */
	uint64_t era;         /* in which it was made */
};

/* Have the function name make an object, counted for us. */
int prongi_referent_make(prong_remote *there, const char *name, prong_value *args,
			 struct prongi_referent *out, const char *what, prong_time deadline);
void prongi_referent_fini(struct prongi_referent *o);

/* False when it is known not to have the method. */
bool prongi_referent_has(const struct prongi_referent *o, const char *method);

struct prong_proxy {
	uint64_t magic;
	prong_remote *there;      /* kept */
	struct prongi_referent o; /* read-only */
	_Atomic uint64_t told;    /* the era in which its users know that they are */
};

/* Return 0 or -EINVAL. */
int prongi_proxy_check(const prong_proxy *p, const char *what);

/* A proxy of *o, which becomes its own on success. */
int prongi_proxy_new(prong_remote *there, struct prongi_referent *o, prong_proxy **out);

/* The token in what stands for an object; NULL: v is no such thing. */
const prong_value *prongi_value_token(const prong_value *v);

/* What stands for the object that is in the item of a "#PROXY".  Return 0, -EPROTO, -ENOMEM. */
int prongi_value_of_answer(const prong_value *item, prong_value **out);

/* --- waiting over there (remote_queue.c, proxy_typed.c) ---------------------------------- */

#define PRONGI_SLICE_NS ((int64_t)1000000000) /* that a manager is asked to wait at a time */

/* Time that is left, as Python wants it, at most so many ns; 0: none. */
double prongi_seconds_left(prong_time deadline, int64_t most);

/* Until when the manager's word is waited for, when it was told of the deadline. */
prong_time prongi_word_by(prong_time deadline);

#endif
