/* Waiting for the first of many things.  Each kind of source says two things: whether it is ready,
   and on which words to sleep until that may be so.  The rest is the same for all: arm, look once
   more, sleep.

   No system call waits for words and descriptors at once.  So with both, a bell (bell.c) stands for
   the words, and the caller polls it together with its own descriptors.

   A network connection is slept on by its socket, and is asked whether what came is enough. */
#include "flow/wait.h"
#include "family/check.h"
#include "flow/outer.h"
#include "flow/pipe.h"
#include "flow/queue.h"
#include "run/group.h"
#include "run/run.h"
#include "sync/word.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define FEW 32 /* sources for which there is room on the stack */

/* --- one source ---------------------------------------------------------------------------- */

static bool process_over(const struct prong_process *p)
{
	enum prongi_phase phase = prongi_phase_of(p);

	return phase == PRONGI_ENDED || phase == PRONGI_REFUSED || phase == PRONGI_FREE;
}

/* The quick answer may be yes only because something might have come back: so count then. */
static bool queue_ready(struct prong_queue *q)
{
	/* acquire: pairs with the store in prong_queue_close(). */
	if (atomic_load_explicit(&q->closed, memory_order_acquire) ||
	    (prongi_queue_can_get(q) && prong_queue_size(q)))
		return true;
	return prongi_queue_writers(&q->head) == PRONGI_WRITERS_GONE;
}

/* The network connection that it is, or NULL. */
static const struct prongi_outer *outer(const prong_source *s)
{
	return s->conn ? prongi_outer(s->conn) : NULL;
}

bool prongi_source_has_words(const prong_source *s)
{
	return !s->fd && !outer(s);
}

bool prongi_source_ready(const prong_source *s)
{
	const struct prongi_outer *o = outer(s);

	if (o)
		return prongi_outer_ops(o)->ready(o->self);
	if (s->queue)
		return queue_ready(s->queue);
	if (s->room)
		return prongi_queue_can_put(s->room);
	if (s->conn)
		return prongi_conn_ready(s->conn);
	if (s->process)
		return process_over(s->process);
	if (s->event)
		return prong_event_is_set(s->event);
	if (s->future)
		return prongi_future_ops->ready(s->future);
	return s->thread && !prong_thread_alive(s->thread);
}

static struct prongi_awaited listen(_Atomic uint32_t *word)
{
	return (struct prongi_awaited){ word, prongi_queue_listen(word), true };
}

size_t prongi_source_arm(const prong_source *s, struct prongi_awaited *a)
{
	if (s->queue) {
		a[0] = listen(&s->queue->ne);
		a[1] = prongi_ends(); /* of counted writers */
		return 2;
	}
	if (s->room) {
		*a = listen(&s->room->nf);
		return 1;
	}
	if (s->conn)
		return prongi_conn_arm(s->conn, a);
	if (s->process) {
		*a = (struct prongi_awaited){ prongi_low(&s->process->state),
					      (uint32_t)prongi_state(s->process), true };
		return 1;
	}
	if (s->event) {
		*a = prongi_event_arm(s->event);
		return 1;
	}
	if (s->future)
		return prongi_future_ops->arm(s->future, a);
	return s->thread ? prongi_thread_arm(s->thread, a) : 0;
}

static int check(const prong_source *s, size_t i)
{
	int pointers = !!s->queue + !!s->room + !!s->conn + !!s->process + !!s->thread +
		       !!s->event + !!s->future + !!s->fd;

	for (size_t k = 0; k < sizeof s->reserved2_ / sizeof *s->reserved2_; k++)
		pointers |= s->reserved2_[k] ? 16 : 0;
	if (pointers != 1)
		return prongi_fail(-EINVAL, "wait: source %zu has no pointer, or two, or a "
					    "reserved field is set", i);
	if (s->process && !prongi_process_valid(s->process))
		return prongi_fail(-EINVAL, "wait: source %zu is not a process's handle, or freed",
				   i);
	if (prongi_far_is(s->queue) || prongi_far_is(s->room))
		return prongi_fail(-ENOTSUP, "wait: source %zu is a queue of a manager", i);
	if ((s->queue && !prongi_queue_is(s->queue)) || (s->room && !prongi_queue_is(s->room)))
		return prongi_fail(-EINVAL, "wait: source %zu is not a queue, or freed", i);
	if (s->future && !prongi_future_ops->is(s->future))
		return prongi_fail(-EINVAL, "wait: source %zu is not a future, or freed", i);
	if (s->event && (uintptr_t)s->event % sizeof(uint64_t))
		return prongi_fail(-EINVAL, "wait: source %zu is no address of an event", i);
	if (!s->conn || outer(s))
		return 0;
	if (!prongi_conn_check(s->conn, "wait"))
		return s->conn->in ? 0 : prongi_fail(-EBADF, "wait: source %zu only sends", i);
	return -EINVAL;
}

/* In the checking mode: a source that lies in freed memory. */
static int check_use(const prong_source *s, const void *caller)
{
	const void *at = s->queue ? (const void *)s->queue
			 : s->room ? (const void *)s->room
				   : (const void *)s->event;

	/* A queue's handle that is not in the heap is a manager's. */
	return at && (s->event || prongi_inside(at))
		       ? prongi_check_object(at, false, "wait", caller)
		       : 0;
}

/* --- all of them --------------------------------------------------------------------------- */

struct wait {
	prong_source *s;
	size_t n;
	size_t nfds;   /* of the sources, those that are descriptors: first in fds */
	size_t nouter; /* those that are network connections: next in fds */
	struct prongi_awaited *words;
	struct pollfd *fds;
	prong_time deadline;
	const void **names; /* room for n */
	bool named;	    /* what is waited for, in the slot */
	bool lent;	    /* for a pool's task: to be taken back */
};

/* Look at the descriptors now.  Return how many are ready; -errno. */
static int look_at_fds(struct wait *w)
{
	size_t k = 0;

	if (!w->nfds)
		return 0;
	for (size_t i = 0; i < w->n; i++)
		if (w->s[i].fd)
			w->fds[k++] = *w->s[i].fd;
	return prongi_os_poll(w->fds, w->nfds, PRONG_NOW);
}

/* Return whether any is ready. */
static int look(struct wait *w)
{
	int found = look_at_fds(w);

	for (size_t i = 0; i < w->n && found == 0; i++)
		found = !w->s[i].fd && prongi_source_ready(&w->s[i]);
	return found;
}

/* One is: say which. */
static void tell(struct wait *w)
{
	size_t k = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (w->s[i].fd) {
			w->s[i].fd->revents = w->fds[k++].revents;
			w->s[i].ready = w->s[i].fd->revents != 0;
		} else {
			w->s[i].ready = prongi_source_ready(&w->s[i]);
		}
	}
}

static bool any_told(const struct wait *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->s[i].ready)
			return true;
	return false;
}

/* What must not be freed while somebody sleeps for it, if the source is such a thing. */
static const void *name(const prong_source *s)
{
	return s->queue		     ? (const void *)s->queue
	       : s->room	     ? (const void *)s->room
	       : s->event	     ? (const void *)s->event
	       : s->conn && !outer(s) ? (const void *)s->conn
				     : NULL;
}

/* Before the first sleep: let those see that somebody waits who free one of the sources. */
static int name_all(struct wait *w)
{
	size_t n = 0;
	int r;

	for (size_t i = 0; i < w->n; i++) {
		w->names[n] = name(&w->s[i]);
		n += w->names[n] != NULL;
	}
	r = prongi_awaits_begin(w->names, n);
	w->named = r == 0;
	return r ? prongi_fail(r, "wait: no memory for %zu sources", w->n) : 0;
}

/* Nobody needs to heed the caller any more.  A pipe may have been kept for it alone. */
static void unname(struct wait *w)
{
	const struct prongi_pipe *freed;
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		freed = w->s[i].conn && !outer(&w->s[i]) ? prongi_conn_freed_pipe(w->s[i].conn)
							 : NULL;
		w->names[n] = freed;
		n += freed != NULL;
	}
	prongi_awaits_end();
	while (n)
		prongi_pipe_left(w->names[--n]);
}

static int sleep_on_words(struct wait *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += prongi_source_arm(&w->s[i], w->words + n);
	if (look(w))
		return 0;
	return prongi_sleep_served(w->words, n, w->deadline);
}

/* Return when to look at them again though nothing has come. */
static prong_time add_outer(struct wait *w)
{
	prong_time until = w->deadline;
	size_t k = w->nfds;

	for (size_t i = 0; i < w->n && w->nouter; i++) {
		const struct prongi_outer *o = outer(&w->s[i]);
		prong_time due;

		if (!o)
			continue;
		w->fds[k++] = (struct pollfd){ .fd = prongi_outer_ops(o)->socket(o->self),
					       .events = POLLIN };
		due = prongi_outer_ops(o)->due(o->self);
		if (due.ns_ < until.ns_)
			until = due;
	}
	return until;
}

/* With a bell when there are others than descriptors. */
static int sleep_on_fds(struct wait *w)
{
	struct prongi_awaited cancel = { NULL, 0, true };
	struct prongi_bell bell;
	size_t n = w->nfds + w->nouter;
	bool mixed = prongi_cancel_arm(&cancel) || n < w->n;
	prong_time until;
	int r;

	if (prong_cancelled())
		return PRONG_CANCELLED;
	r = mixed ? prongi_bell_begin(&bell, w->s, w->n, cancel) : 0;
	if (r)
		return r;
	until = add_outer(w);
	if (mixed)
		w->fds[n] = (struct pollfd){ .fd = bell.fd, .events = POLLIN };
	r = prongi_os_poll(w->fds, n + mixed, until);
	if (mixed)
		prongi_bell_end(&bell);
	if (prong_cancelled())
		return PRONG_CANCELLED;
	return r < 0 ? r : r || until.ns_ < w->deadline.ns_ ? 0 : PRONG_TIMEDOUT;
}

/* Who waits in a task for one of its pool lets somebody else work. */
static bool lend(const struct wait *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->s[i].future && prongi_future_ops->lend(w->s[i].future))
			return true;
	return false;
}

static int wait_for(struct wait *w)
{
	int r = 0;

	for (;;) {
		int found = look(w);

		if (found < 0)
			return prongi_fail(found, "wait: poll: %s", strerror(-found));
		if (found) {
			tell(w);
			if (any_told(w))
				return 0;
			continue; /* somebody took it in the meantime */
		}
		if (r || w->deadline.ns_ <= PRONG_NOW.ns_)
			return r < 0 ? r
				     : prongi_gave_up(r ? r : PRONG_TIMEDOUT, "wait",
						      "nothing is ready");
		if (!w->named)
			r = name_all(w);
		if (r)
			return r;
		w->lent = w->lent || lend(w);
		r = w->nfds + w->nouter ? sleep_on_fds(w) : sleep_on_words(w);
	}
}

static int wait_with(struct wait *w)
{
	struct prongi_awaited words[PRONGI_WORDS * FEW + 1];
	struct pollfd fds[FEW + 1];
	const void *names[FEW];
	void *memory = NULL;
	int r;

	w->words = words;
	w->fds = fds;
	w->names = names;
	if (w->n > FEW) {
		memory = malloc(w->n * (PRONGI_WORDS * sizeof *words + sizeof *names +
					sizeof *fds) +
				sizeof *words + sizeof *fds);
		if (!memory)
			return prongi_fail(-ENOMEM, "wait: no memory for %zu sources", w->n);
		w->words = memory;
		w->names = (void *)(w->words + PRONGI_WORDS * w->n + 1);
		w->fds = (void *)(w->names + w->n);
	}
	r = wait_for(w);
	if (w->named)
		unname(w);
	if (w->lent)
		prongi_future_ops->take_back();
	free(memory);
	return r;
}

int prong_wait(prong_source *s, size_t n, prong_time deadline)
{
	struct wait w = { .s = s, .n = n, .deadline = deadline };
	int r = prongi_enter();

	if (r)
		return r;
	if ((!s && n) || n > PTRDIFF_MAX / sizeof *s)
		return prongi_fail(-EINVAL, "wait: s is NULL, or n is not its size");
	for (size_t i = 0; i < n && r == 0; i++) {
		r = prongi_checking ? check_use(&s[i], __builtin_return_address(0)) : 0;
		r = r ? r : check(&s[i], i);
		w.nfds += s[i].fd != NULL;
		w.nouter += outer(&s[i]) != NULL;
	}
	return r ? r : wait_with(&w);
}
