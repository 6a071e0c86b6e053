/* A manager that is scripted: it does what Python's does, and what that would not do. */
#ifndef TEST_PEER_H
#define TEST_PEER_H

#include "raw.h"
#include <pthread.h>

#define PEER_CONNECTIONS 64

/* An answer to a call that is not the usual one.  Return false to hang up. */
struct peer;
typedef bool peer_script(struct peer *p, int fd, const char *method, const prong_value *request);

struct peer {
	char address[64];
	int door;
	peer_script *script;   /* NULL: the usual answers alone */
	atomic_int go;         /* for scripts that wait */
	atomic_int late;       /* scripts that do */
	atomic_int came;       /* connections */
	atomic_int calls;      /* of methods, begun */
	atomic_int references; /* to its one object, of which the name is ident */
	atomic_int stop;
	pthread_mutex_t lock;     /* of the next */
	int fd[PEER_CONNECTIONS]; /* those that are open; -1 */
	char ident[20];
	prong_thread *t, *each[PEER_CONNECTIONS];
};

void peer_begin(struct peer *p, peer_script *script);

/* The same at an address that was another's. */
void peer_begin_at(struct peer *p, peer_script *script, const char *address);

/* All that came have hung up by then, or are about to. */
void peer_end(struct peer *p);

/* The same, and hang up on all, as if it were killed. */
void peer_kill(struct peer *p);

/* Send bytes, to who may have hung up. */
void peer_write(int fd, const void *data, size_t size);

/* Send a value; takes v over. */
void peer_say(int fd, prong_value *v);

/* ("#RETURN", v), which is taken over. */
prong_value *peer_return(prong_value *v);

#endif
