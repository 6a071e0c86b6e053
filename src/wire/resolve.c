/* Looking names up.  The C library's getaddrinfo() knows no deadline, and a name server that is
   gone holds it up for half a minute.  So a name, with a deadline or for who may be cancelled, is
   looked up by a thread that the caller leaves to itself when time is over; numbers need none. */
#include "wire/resolve.h"
#include "private.h"
#include <errno.h>
#include <netdb.h>
#include <prong/error.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What the caller and its thread share; who leaves last frees it. */
struct search {
	_Atomic uint32_t done; /* the thread has found what follows.  By it; slept on */
	_Atomic uint32_t left; /* the first of both has left.  By exchange */
	struct prongi_places found;
	int r;
	const char *why;
	char host[256], port[6]; /* read-only */
};

static int meaning(int r, const char **why)
{
	int e = errno;

	*why = r == EAI_SYSTEM ? strerror(e) : gai_strerror(r);
	switch (r) {
	case EAI_NONAME:
#if defined(EAI_NODATA)
	case EAI_NODATA:
#endif
		return -ENOENT;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return e ? -e : -EIO;
	}
	return -EIO;
}

static void keep(struct prongi_places *out, const struct addrinfo *first)
{
	out->n = 0;
	for (const struct addrinfo *a = first; a && out->n < PRONGI_PLACES; a = a->ai_next) {
		struct prongi_place *p = &out->place[out->n];

		if (a->ai_addrlen > sizeof p->at)
			continue;
		memcpy(&p->at, a->ai_addr, a->ai_addrlen);
		p->size = a->ai_addrlen;
		out->n++;
	}
}

static int look_up(struct prongi_places *out, const char *host, const char *port, bool number,
		   const char **why)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
					.ai_flags =
						AI_NUMERICSERV | (number ? AI_NUMERICHOST : 0) };
	struct addrinfo *first = NULL;
	int r = getaddrinfo(host, port, &hints, &first);

	if (r)
		return meaning(r, why);
	keep(out, first);
	freeaddrinfo(first);
	*why = "it has no address";
	return out->n ? 0 : -ENOENT;
}

/* --- by a thread --------------------------------------------------------------------------- */

static void leave(struct search *s)
{
	/* acq_rel: pairs with itself: the last sees what the first has done, and frees it. */
	if (atomic_exchange_explicit(&s->left, 1, memory_order_acq_rel))
		free(s);
}

static void *search(void *arg)
{
	struct search *s = arg;

	s->r = look_up(&s->found, s->host, s->port, false, &s->why);
	/* release: pairs with await(). */
	atomic_store_explicit(&s->done, 1, memory_order_release);
	prongi_os_wake(&s->done, 1, false);
	leave(s);
	return NULL;
}

static struct search *begin(const char *host, const char *port)
{
	struct search *s = calloc(1, sizeof *s);
	sigset_t all, old;
	pthread_t thread;
	int r;

	if (!s)
		return NULL;
	memcpy(s->host, host, strlen(host) + 1);
	memcpy(s->port, port, strlen(port) + 1);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, NULL, search, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		free(s);
		return NULL;
	}
	pthread_detach(thread);
	return s;
}

static int await(struct search *s, struct prongi_places *out, prong_time deadline, const char **why)
{
	int r = 0;

	/* acquire: pairs with search(). */
	while (!atomic_load_explicit(&s->done, memory_order_acquire) && r == 0)
		r = prongi_sleep(&s->done, 0, deadline, false);
	if (atomic_load_explicit(&s->done, memory_order_acquire)) {
		r = s->r;
		*why = s->why;
		if (r == 0)
			*out = s->found;
	}
	leave(s);
	return r;
}

int prongi_resolve(struct prongi_places *out, const char *host, const char *port,
		   prong_time deadline, const char **why)
{
	int r = look_up(out, host, port, true, why);
	struct search *s;

	if (r != -ENOENT)
		return r;
	if (deadline.ns_ <= PRONG_NOW.ns_)
		return PRONG_TIMEDOUT;
	if (deadline.ns_ == PRONG_FOREVER.ns_ && !prongi_cancellable())
		return look_up(out, host, port, false, why);
	s = begin(host, port);
	if (!s) {
		*why = "no thread, or no memory, to look it up";
		return -EAGAIN;
	}
	return await(s, out, deadline, why);
}
