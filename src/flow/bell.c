/* Bells: descriptors that are readable while something in memory is ready.  One thread for a
   process, started with its first bell, sleeps on the words of all of them.  It runs none of the
   program's code, has all signals blocked and takes no slot.

   For prong_wait() a bell lives for one call; for prong_conn_fd() as long as its connection.

   lock  protects the list and all bells in it.  Held by the thread while it looks, and never while
	 it sleeps.  Before it none, and inside it the allocators of the C library and the family.
   turn  the thread sleeps on it too; whoever changes the list changes it. */
#include "flow/wait.h"
#include "flow/outer.h"
#include "flow/pipe.h"
#include "os/thread_os.h"
#include <errno.h>
#include <poll.h>
#include <prong/group.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* A connection's. */
struct kept {
	struct prongi_bell bell; /* first */
	prong_source source;
};

static struct {
	pthread_mutex_t lock;
	struct prongi_bell *first;
	struct prongi_awaited *words; /* the thread's */
	size_t room;		      /* of words.  Under lock */
	_Atomic uint32_t turn;
	struct prongi_slot *slot; /* names the connections with a descriptor, so that their pipes
				     stay.  NULL: there are none.  Under lock */
	bool runs, prepared;
} me = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- the thread ---------------------------------------------------------------------------- */

static bool any_ready(const struct prongi_bell *b)
{
	if (b->cancel.word && atomic_load_explicit(b->cancel.word, memory_order_relaxed) !=
				      b->cancel.seen)
		return true;
	for (size_t i = 0; i < b->n; i++)
		if (prongi_source_has_words(&b->s[i]) && prongi_source_ready(&b->s[i]))
			return true;
	return false;
}

/* One that rings waits for its end, or for what was ready to be taken. */
static size_t arm(struct prongi_bell *b, struct prongi_awaited *a)
{
	size_t n = 0;

	if (b->rings)
		return b->kept ? prongi_conn_arm_taken(b->s->conn, a) : 0;
	for (size_t i = 0; i < b->n; i++)
		n += prongi_source_has_words(&b->s[i]) ? prongi_source_arm(&b->s[i], a + n) : 0;
	if (b->cancel.word)
		a[n++] = b->cancel;
	return n;
}

/* Arm first and look then: what comes in between is seen now, and what comes later wakes us.  So
   too after each change of the bell, which changes what it waits for. */
static size_t look_after(struct prongi_bell *b, struct prongi_awaited *a)
{
	size_t n = arm(b, a);

	while (any_ready(b) != b->rings) {
		b->rings = !b->rings;
		prongi_os_bell(b->fd, b->rings);
		n = arm(b, a);
	}
	return n;
}

static bool reserve(size_t n)
{
	struct prongi_awaited *more;

	if (n <= me.room)
		return true;
	more = realloc(me.words, 2 * n * sizeof *more);
	if (!more)
		return false;
	me.words = more;
	me.room = 2 * n;
	return true;
}

static size_t count_words(void)
{
	size_t n = 1;

	for (struct prongi_bell *b = me.first; b; b = b->next)
		n += b->n * PRONGI_WORDS + 1;
	return n;
}

/* Without memory for all words it sleeps on the turn alone, for a while. */
static size_t look_after_all(bool *blind)
{
	size_t n = 1;

	pthread_mutex_lock(&me.lock);
	*blind = !reserve(count_words());
	/* acquire: pairs with change(). */
	me.words[0] = (struct prongi_awaited){
		&me.turn, atomic_load_explicit(&me.turn, memory_order_acquire), false
	};
	for (struct prongi_bell *b = me.first; b && !*blind; b = b->next)
		n += look_after(b, me.words + n);
	pthread_mutex_unlock(&me.lock);
	return n;
}

static void *live(void *unused)
{
	prongi_os_set_title("prong-bell");
	for (;;) {
		bool blind;
		size_t n = look_after_all(&blind);

		if (n == 1 && !blind)
			prongi_os_wait_any(me.words, 1, PRONG_FOREVER);
		else
			prongi_await_any(me.words, n, blind ? prong_in_ms(10) : PRONG_FOREVER);
	}
	return unused;
}

/* --- beginning ----------------------------------------------------------------------------- */

static void before_fork(void)
{
	pthread_mutex_lock(&me.lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&me.lock);
}

/* The thread is not here, and its bells are the parent's. */
static void in_child(void)
{
	for (struct prongi_bell *b = me.first; b; b = b->next)
		prongi_os_fd_close(b->fd);
	me.first = NULL;
	me.slot = NULL;
	me.runs = false;
	pthread_mutex_init(&me.lock, NULL);
}

/* Under lock. */
static int start(void)
{
	int r;

	if (me.runs)
		return 0;
	if (!reserve(8))
		return -ENOMEM;
	if (!me.prepared && pthread_atfork(before_fork, after_fork, in_child))
		return -ENOMEM;
	me.prepared = true;
	r = prongi_os_thread_own(live, NULL);
	me.runs = r == 0;
	return r;
}

static void change(void)
{
	/* release: pairs with look_after_all(). */
	atomic_fetch_add_explicit(&me.turn, 1, memory_order_release);
	prongi_os_wake(&me.turn, 1, false);
}

/* Under lock. */
static int begin(struct prongi_bell *b, const prong_source *s, size_t n,
		 struct prongi_awaited cancel)
{
	int r = start();

	if (r)
		return prongi_fail(r, "no thread, or no memory, for waiting in the caller's stead");
	*b = (struct prongi_bell){
		.next = me.first, .s = s, .n = n, .cancel = cancel, .fd = prongi_os_bell_new()
	};
	if (b->fd < 0)
		return prongi_fail(b->fd, "no descriptor to be had");
	me.first = b;
	change();
	return 0;
}

/* Under lock. */
static void end(struct prongi_bell *b)
{
	struct prongi_bell **at = &me.first;

	while (*at && *at != b)
		at = &(*at)->next;
	if (*at)
		*at = b->next;
	prongi_os_fd_close(b->fd);
	change();
}

int prongi_bell_begin(struct prongi_bell *b, const prong_source *s, size_t n,
		      struct prongi_awaited cancel)
{
	int r;

	pthread_mutex_lock(&me.lock);
	r = begin(b, s, n, cancel);
	pthread_mutex_unlock(&me.lock);
	return r;
}

void prongi_bell_end(struct prongi_bell *b)
{
	pthread_mutex_lock(&me.lock);
	end(b);
	pthread_mutex_unlock(&me.lock);
}

/* Who may be cancelled polls a bell that rings for that, too. */
int prongi_poll(struct pollfd *fds, size_t n, prong_time deadline)
{
	struct prongi_awaited cancel;
	struct prongi_bell bell;
	struct pollfd all[5];
	int r;

	if (deadline.ns_ <= PRONG_NOW.ns_ || !prongi_cancel_arm(&cancel))
		return prongi_os_poll(fds, n, deadline);
	if (prong_cancelled())
		return -ECANCELED;
	r = prongi_bell_begin(&bell, NULL, 0, cancel);
	if (r)
		return r;
	memcpy(all, fds, n * sizeof *fds);
	all[n] = (struct pollfd){ .fd = bell.fd, .events = POLLIN };
	r = prongi_os_poll(all, n + 1, deadline);
	prongi_bell_end(&bell);
	memcpy(fds, all, n * sizeof *fds);
	if (r == 1 && all[n].revents && prong_cancelled())
		return -ECANCELED;
	return r;
}

/* --- connections --------------------------------------------------------------------------- */

static struct kept *find(const prong_conn *c)
{
	for (struct prongi_bell *b = me.first; b; b = b->next)
		if (b->kept && b->s->conn == c)
			return (struct kept *)(void *)b;
	return NULL;
}

/* Under lock, as the two below. */
static int name(const prong_conn *c)
{
	int r = me.slot ? 0 : prongi_slot_borrow(&me.slot);

	if (r)
		return r;
	/* It is the process's, and not to be taken for the calling thread's. */
	atomic_store_explicit(&me.slot->tid, 0, memory_order_relaxed);
	return prongi_awaits_add(me.slot, c);
}

/* Give the slot back with the last one. */
static void give_slot_back(void)
{
	for (struct prongi_bell *b = me.first; b; b = b->next)
		if (b->kept)
			return;
	if (me.slot) {
		prong_free_at((void **)&me.slot->awaits_more);
		prongi_slot_wipe(me.slot);
	}
	me.slot = NULL;
}

static void unname(const prong_conn *c)
{
	if (me.slot)
		prongi_awaits_remove(me.slot, c);
	give_slot_back();
}

static int conn_fd(prong_conn *c)
{
	struct kept *k = find(c);
	int r;

	if (k)
		return k->bell.fd;
	k = calloc(1, sizeof *k);
	if (!k)
		return prongi_fail(-ENOMEM, "conn_fd: no memory");
	k->source.conn = c;
	r = name(c);
	r = r ? prongi_fail(r, "conn_fd: no memory, or no slot for one more thread")
	      : begin(&k->bell, &k->source, 1, (struct prongi_awaited){ NULL, 0, false });
	if (r == 0) {
		k->bell.kept = true;
		return k->bell.fd;
	}
	unname(c);
	free(k);
	return r;
}

int prong_conn_fd(prong_conn *c)
{
	const struct prongi_outer *o = prongi_outer(c);
	int r;

	if (o)
		return prongi_outer_ops(o)->fd(o->self);
	r = prongi_lane_recv_check(c, "conn_fd");
	if (r)
		return r;
	pthread_mutex_lock(&me.lock);
	r = conn_fd(c);
	pthread_mutex_unlock(&me.lock);
	return r;
}

void prongi_bell_forget(const prong_conn *c)
{
	const struct prongi_pipe *freed = NULL;
	struct kept *k;

	if (!me.runs)
		return;
	pthread_mutex_lock(&me.lock);
	k = find(c);
	if (k) {
		freed = prongi_conn_freed_pipe(c); /* by another process */
		end(&k->bell);
		unname(c);
	}
	free(k);
	pthread_mutex_unlock(&me.lock);
	if (freed)
		prongi_pipe_left(freed);
}
