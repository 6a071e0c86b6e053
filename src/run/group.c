/* Groups.  A group is its process's own: a block from malloc() with a ring of places, one for each
   child.  What the family has to know of it, that a process may be cancelled and when it shall be
   killed, is in the process records, and the server sees to it whatever this process does.

   A child's end is seen when somebody looks: processes and futures say it in the heap, threads in
   their place.  Who waits sleeps on one word, the news of this process, which all of them change.

   lock  protects all groups of this process and their places.  Inside it: the allocator, and what
	 prongi_future_ops says.  Before it nothing of prong's. */
#include "run/group.h"
#include "run/list.h"
#include "run/process.h"
#include "run/run.h"
#include <prong/thread.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define GRACE_MS 1000

enum phase {
	PLACED, /* about to be started */
	RUNS,
	ENDED,
	LENT /* by next, until the following one */
};

struct prongi_child {
	struct prongi_link link; /* first: in its group's ring, in order of starting */
	prong_group *group;
	struct prong_process *process; /* one of these three */
	struct prong_thread *thread;
	struct prong_future *future;
	void *tag;
	enum phase phase;
	struct prongi_scope scope; /* of the thread */
	bool over;                 /* the thread has ended; then: */
	int outcome, code;
	int64_t started, ended;
};

struct prong_group {
	struct prongi_link link; /* first: in groups */
	struct prongi_link children;
	const struct prongi_child *inside; /* whose thread has opened it; NULL: of no group */
	bool keep_going, cancelled;
	bool awaited; /* somebody sleeps until a child ends */
	uint32_t grace_ms;
	int verdict;         /* the outcome of the first that failed, else PRONG_CANCELLED or 0 */
	int64_t first;       /* when that was */
	prong_report report; /* its own */
};

const struct prongi_future_ops *prongi_future_ops;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct prongi_link groups = { &groups, &groups };

/* The place of the calling thread. */
static _Thread_local struct prongi_child *mine __attribute__((tls_model("initial-exec")));

void prongi_groups_after_fork(void)
{
	pthread_mutex_init(&lock, NULL); /* whoever held it is not here */
	prongi_link_init(&groups);
	mine = NULL;
}

static struct prongi_child *first_of(const prong_group *g)
{
	return (struct prongi_child *)(void *)g->children.next; /* link is its first member */
}

static struct prongi_child *last_of(const prong_group *g)
{
	return (struct prongi_child *)(void *)g->children.prev;
}

static bool is_end(const prong_group *g, const struct prongi_child *c)
{
	return &c->link == &g->children;
}

static struct prongi_child *after(const struct prongi_child *c)
{
	return (struct prongi_child *)(void *)c->link.next;
}

static struct prongi_child *before(const struct prongi_child *c)
{
	return (struct prongi_child *)(void *)c->link.prev;
}

/* Under lock. */
static bool is_group(const prong_group *g)
{
	struct prongi_link *l = groups.next;

	while (l != &groups && l != &g->link)
		l = l->next;
	return l != &groups;
}

static int check(const prong_group *g, const char *what)
{
	if (g && is_group(g))
		return 0;
	return prongi_fail(-EINVAL, "%s: not a group of this process, or closed", what);
}

/* --- cancelling ---------------------------------------------------------------------------- */

static void cancel(prong_group *g);

static void cancel_process(const prong_group *g, struct prong_process *p)
{
	int64_t now = prongi_os_now(), grace = (int64_t)g->grace_ms * 1000000;

	prongi_process_cancel(p);
	prongi_process_end_by(p, now + grace, now + 2 * grace);
}

static void cancel_child(const prong_group *g, struct prongi_child *c)
{
	if (c->process)
		cancel_process(g, c->process);
	else if (c->future)
		prongi_future_ops->cancel(c->future);
	else if (!prongi_scope_cancel(c->scope))
		return;
	for (struct prongi_link *l = groups.next; l != &groups; l = l->next)
		if (((prong_group *)(void *)l)->inside == c)
			cancel((prong_group *)(void *)l);
}

static void cancel(prong_group *g)
{
	if (g->cancelled)
		return;
	g->cancelled = true;
	/* The last one first: else a task that waits would begin, when the one that it waited
	   behind has been told, and has ended. */
	for (struct prongi_child *c = last_of(g); !is_end(g, c); c = before(c))
		if (c->phase == RUNS && !c->over)
			cancel_child(g, c);
}

/* --- looking -------------------------------------------------------------------------------- */

static int outcome_of(const struct prongi_child *c)
{
	prong_report r;

	if (c->future)
		return prongi_future_ops->outcome(c->future);
	if (c->thread)
		return c->over ? c->outcome : PRONG_RUNNING;
	if (prong_process_alive(c->process))
		return PRONG_RUNNING;
	prong_process_report(c->process, &r);
	return r.outcome;
}

static int64_t end_of(const struct prongi_child *c)
{
	return c->future   ? prongi_future_ops->ended(c->future)
	       : c->thread ? c->ended
			   : c->process->ended;
}

static void report_thread(const struct prongi_child *c, prong_report *r)
{
	memset(r, 0, sizeof *r);
	r->outcome = c->outcome;
	r->code = c->code;
	r->pid = prongi_os_pid();
	r->elapsed_ns = c->ended - c->started;
	snprintf(r->name, sizeof r->name, "%s", prong_thread_name(c->thread));
}

static void report(const struct prongi_child *c, prong_report *r)
{
	if (c->future)
		prongi_future_ops->report(c->future, r);
	else if (c->thread)
		report_thread(c, r);
	else
		prong_process_report(c->process, r);
}

static bool is_failure(int outcome)
{
	return outcome && outcome != PRONG_CANCELLED;
}

/* Who was first counts, even if another was seen before. */
static void note(prong_group *g, const struct prongi_child *c)
{
	if (is_failure(c->outcome) && (!is_failure(g->verdict) || c->ended < g->first)) {
		g->verdict = c->outcome;
		g->first = c->ended;
		report(c, &g->report);
	} else if (c->outcome && !g->verdict) {
		g->verdict = c->outcome;
	}
}

/* Mark those that have ended.  Return how many have not. */
static size_t look(prong_group *g)
{
	size_t left = 0;

	for (struct prongi_child *c = first_of(g); !is_end(g, c); c = after(c)) {
		int outcome = c->phase == RUNS ? outcome_of(c) : PRONG_RUNNING;

		left += c->phase <= RUNS && outcome == PRONG_RUNNING;
		if (outcome == PRONG_RUNNING)
			continue;
		c->phase = ENDED;
		c->outcome = outcome;
		c->ended = end_of(c);
		note(g, c);
	}
	if (is_failure(g->verdict) && !g->keep_going)
		cancel(g);
	return left;
}

/* --- waiting -------------------------------------------------------------------------------- */

static void drop(struct prongi_child *c)
{
	prongi_unlink(&c->link);
	if (c->process)
		prong_process_free(c->process);
	if (c->thread) {
		prongi_thread_await(c->thread);
		prong_thread_free(c->thread);
	}
	if (c->future)
		prongi_future_ops->free(c->future);
	free(c);
}

/* The child that ended first of those not handed out; or NULL. */
static struct prongi_child *earliest(const prong_group *g)
{
	struct prongi_child *found = NULL;

	for (struct prongi_child *c = first_of(g); !is_end(g, c); c = after(c))
		if (c->phase == ENDED && (!found || c->ended < found->ended))
			found = c;
	return found;
}

static void take_back(prong_group *g)
{
	for (struct prongi_child *c = first_of(g), *next; !is_end(g, c); c = next) {
		next = after(c);
		if (c->phase == LENT)
			drop(c);
	}
}

/* What is waited for: 0 when it is there. */
typedef int attempt(prong_group *g, void *out);

static int try_next(prong_group *g, void *out)
{
	prong_child *child = out;
	size_t left = look(g);
	struct prongi_child *c = earliest(g);

	if (!c)
		return left ? PRONG_RUNNING : PRONG_EMPTY;
	c->phase = LENT;
	*child = (prong_child){ .process = c->process,
				.thread = c->thread,
				.future = c->future,
				.tag = c->tag,
				.outcome = c->outcome };
	return 0;
}

static int try_join(prong_group *g, void *unused)
{
	(void)unused;
	return look(g) ? PRONG_RUNNING : g->verdict;
}

typedef int sleep_fn(struct prongi_awaited *a, size_t n, prong_time deadline);

/* Who waits in a task for others of its pool lets somebody else work.  Under lock. */
static bool lend(const prong_group *g)
{
	for (const struct prongi_child *c = first_of(g); !is_end(g, c); c = after(c))
		if (c->phase == RUNS && c->future && prongi_future_ops->lend(c->future))
			return true;
	return false;
}

/* Under lock, which is let go of for a sleep. */
static int until(prong_group *g, attempt *once, void *out, sleep_fn *sleep, prong_time deadline)
{
	bool lent = false;
	int r = 0, found;

	for (;;) {
		struct prongi_awaited a[2] = { { &prongi_me->news, prongi_news_of(prongi_me),
						 true } };

		found = once(g, out);
		if (found != PRONG_RUNNING || r)
			break;
		if (!lent && deadline.ns_ > 0)
			lent = lend(g);
		g->awaited = true;
		pthread_mutex_unlock(&lock);
		r = sleep(a, 1, deadline);
		pthread_mutex_lock(&lock);
	}
	g->awaited = false;
	if (lent)
		prongi_future_ops->take_back();
	return found != PRONG_RUNNING ? found : r;
}

static int sleep_through(struct prongi_awaited *a, size_t n, prong_time deadline)
{
	return prongi_await_any(a, n, deadline);
}

/* --- children ------------------------------------------------------------------------------- */

int prongi_group_place(struct prongi_child **out, prong_group *g, void *tag, const char *what)
{
	struct prongi_child *c;
	int r;

	*out = NULL;
	if (!g)
		return 0;
	c = malloc(sizeof *c);
	if (!c)
		return prongi_fail(-ENOMEM, "%s: no memory for a place in the group", what);
	*c = (struct prongi_child){ .group = g, .tag = tag, .phase = PLACED };
	pthread_mutex_lock(&lock);
	r = check(g, what);
	if (r == 0)
		prongi_link_before(&g->children, &c->link);
	pthread_mutex_unlock(&lock);
	if (r)
		free(c);
	else
		*out = c;
	return r;
}

void prongi_group_withdraw(struct prongi_child *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&lock);
	prongi_unlink(&c->link);
	pthread_mutex_unlock(&lock);
	free(c);
	prongi_news_tell(prongi_me); /* who waits for it has nothing to wait for */
}

/* Under lock: c, which is complete but for that, runs. */
static void runs(struct prongi_child *c)
{
	c->started = prongi_os_now();
	c->phase = RUNS;
	if (c->group->cancelled || prong_cancelled())
		cancel_child(c->group, c);
}

void prongi_group_add_process(struct prongi_child *c, struct prong_process *p)
{
	if (!c)
		return;
	pthread_mutex_lock(&lock);
	c->process = p;
	runs(c);
	pthread_mutex_unlock(&lock);
}

void prongi_group_add_future(struct prongi_child *c, struct prong_future *f)
{
	bool awaited;

	if (!c)
		return;
	pthread_mutex_lock(&lock);
	c->future = f;
	runs(c);
	awaited = c->group->awaited;
	pthread_mutex_unlock(&lock);
	if (awaited)
		prongi_news_tell(prongi_me); /* who waits for the group may have to lend itself */
}

void prongi_group_thread_begins(struct prongi_child *c, struct prong_thread *t)
{
	uint64_t before;

	mine = c;
	pthread_mutex_lock(&lock);
	c->thread = t;
	c->scope = prongi_scope_begin(&before);
	runs(c);
	pthread_mutex_unlock(&lock);
}

void prongi_group_thread_ends(struct prongi_child *c, int result)
{
	pthread_mutex_lock(&lock);
	mine = NULL;
	c->over = true;
	c->code = result;
	c->outcome = !result ? 0 : prong_cancelled() ? PRONG_CANCELLED : PRONG_FAILED;
	c->ended = prongi_os_now();
	look(c->group);
	pthread_mutex_unlock(&lock);
	prongi_news_tell(prongi_me);
}

/* --- the calls ------------------------------------------------------------------------------ */

int prong_group_open(prong_group **out, const prong_group_opts *opts)
{
	static const prong_group_opts defaults;
	prong_group *g;
	int r;

	if (!out)
		return prongi_fail(-EINVAL, "group_open: out is NULL");
	opts = opts ? opts : &defaults;
	for (size_t i = 0; i < sizeof opts->reserved_ / sizeof *opts->reserved_; i++)
		if (opts->reserved_[i])
			return prongi_fail(-EINVAL, "group_open: a reserved option is set");
	r = prongi_enter();
	if (r)
		return r;
	g = calloc(1, sizeof *g);
	if (!g)
		return prongi_fail(-ENOMEM, "group_open: no memory");
	g->keep_going = opts->keep_going;
	g->grace_ms = opts->grace_ms ? opts->grace_ms : GRACE_MS;
	prongi_link_init(&g->children);
	atomic_store_explicit(&prongi_on_forget, prongi_threads_after_fork, memory_order_relaxed);
	pthread_mutex_lock(&lock);
	g->inside = mine;
	g->cancelled = prong_cancelled();
	prongi_link_before(&groups, &g->link);
	pthread_mutex_unlock(&lock);
	*out = g;
	return 0;
}

int prong_group_next(prong_group *g, prong_child *child, prong_time deadline)
{
	int r = child ? prongi_enter() : prongi_fail(-EINVAL, "group_next: child is NULL");

	if (r)
		return r;
	pthread_mutex_lock(&lock);
	r = check(g, "group_next");
	if (r == 0) {
		take_back(g);
		r = until(g, try_next, child, prongi_sleep_served, deadline);
	}
	pthread_mutex_unlock(&lock);
	if (r > 0 && r != PRONG_EMPTY)
		return prongi_gave_up(r, "group_next", "no child has ended");
	return r;
}

int prong_group_join(prong_group *g, prong_time deadline)
{
	int r = prongi_enter();

	if (r)
		return r;
	pthread_mutex_lock(&lock);
	r = check(g, "group_join");
	if (r == 0)
		r = until(g, try_join, NULL, prongi_sleep_served, deadline);
	pthread_mutex_unlock(&lock);
	return r == PRONG_TIMEDOUT ? prongi_fail(r, "group_join: a child still runs") : r;
}

void prong_group_cancel(prong_group *g)
{
	pthread_mutex_lock(&lock);
	if (g && is_group(g))
		cancel(g);
	pthread_mutex_unlock(&lock);
}

int prong_group_report(prong_group *g, prong_report *out)
{
	int r;

	if (!out)
		return prongi_fail(-EINVAL, "group_report: out is NULL");
	pthread_mutex_lock(&lock);
	r = check(g, "group_report");
	if (r == 0)
		look(g);
	if (r == 0 && !is_failure(g->verdict))
		r = PRONG_EMPTY;
	if (r == 0)
		*out = g->report;
	pthread_mutex_unlock(&lock);
	return r;
}

int prong_group_close(prong_group *g)
{
	int r;

	if (!g)
		return 0;
	pthread_mutex_lock(&lock);
	r = check(g, "group_close");
	if (r == 0 && mine && mine->group == g)
		r = prongi_fail(PRONG_DEADLOCK, "group_close: by a thread of the group");
	if (r == 0) {
		cancel(g);
		until(g, try_join, NULL, sleep_through, PRONG_FOREVER);
		while (!is_end(g, first_of(g)))
			drop(first_of(g));
		prongi_unlink(&g->link);
		free(g);
	}
	pthread_mutex_unlock(&lock);
	return r;
}
