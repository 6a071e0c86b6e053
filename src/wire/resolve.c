/* Looking names up.The C library's getaddrinfo() knows no deadline, and a name server that is
   gone holds it up for half a minute.So a name, with a deadline, is looked up by a thread that
   the caller leaves to itself when time is over; numbers need none. */
#include "wire/resolve.h"
#include <errno.h>
#include <netdb.h>
#include <prong/error.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the caller and its thread share; who leaves last frees it. */
struct search {
	pthread_mutex_t lock; /* protects what follows; nothing else is held with it */
	pthread_cond_t over;
	bool done, left; /* the thread has; the caller has */
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

static void drop(struct search *s)
{
	pthread_cond_destroy(&s->over);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void *search(void *arg)
{
	struct search *s = arg;
	struct prongi_places found;
	const char *why;
	int r = look_up(&found, s->host, s->port, false, &why);
	bool left;

	pthread_mutex_lock(&s->lock);
	if (r == 0)
		s->found = found;
	s->r = r;
	s->why = why;
	s->done = true;
	left = s->left;
	pthread_cond_signal(&s->over);
	pthread_mutex_unlock(&s->lock);
	if (left)
		drop(s);
	return NULL;
}

static struct search *begin(const char *host, const char *port)
{
	struct search *s = calloc(1, sizeof *s);
	pthread_condattr_t monotonic;
	sigset_t all, old;
	pthread_t thread;
	int r;

	if (!s)
		return NULL;
	memcpy(s->host, host, strlen(host) + 1);
	memcpy(s->port, port, strlen(port) + 1);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->over, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, NULL, search, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		drop(s);
		return NULL;
	}
	pthread_detach(thread);
	return s;
}

static int await(struct search *s, struct prongi_places *out, prong_time deadline, const char **why)
{
	const struct timespec at = { (time_t)(deadline.ns_ / 1000000000),
				     (long)(deadline.ns_ % 1000000000) };
	int late = 0, r;

	pthread_mutex_lock(&s->lock);
	while (!s->done && late != ETIMEDOUT)
		late = pthread_cond_timedwait(&s->over, &s->lock, &at);
	if (!s->done) {
		s->left = true;
		pthread_mutex_unlock(&s->lock);
		return PRONG_TIMEDOUT;
	}
	r = s->r;
	*why = s->why;
	if (r == 0)
		*out = s->found;
	pthread_mutex_unlock(&s->lock);
	drop(s);
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
	if (deadline.ns_ == PRONG_FOREVER.ns_)
		return look_up(out, host, port, false, why);
	s = begin(host, port);
	if (!s) {
		*why = "no thread, or no memory, to look it up";
		return -EAGAIN;
	}
	return await(s, out, deadline, why);
}
