/* Threads.  A prong_thread is a block from malloc() with the argument's copy at its end.  The
   thread beneath is a plain one of the system, so that the first joiner can wait for it directly:
   starting and joining costs what it costs without prong.

   How a thread may end: by returning from its function; by pthread_exit() or cancellation, then its
   result is -1; with its process.  In the first two cases it destroys its locals and gives its slot
   back.  The program's own TLS destructors run later still: to them it is a thread that prong
   did not start.

   In a forked child none of the parent's threads exists, and the one that forked is the first of a
   new process.  A handle from before the fork is good for its name and number, and can be joined at
   once, with -1 unless the thread had ended; freeing it is never wrong. */
#include "family/cancel.h"
#include "os/thread_os.h"
#include "run/group.h"
#include "run/list.h"
#include "run/run.h"
#include <prong/local.h>
#include <prong/thread.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_SIZE 64
#define NO_RESULT (-1)

/* A word that is set once.  Who needs it earlier waits, which mostly nobody does. */
#define UNSET   0u
#define YES     1u
#define AWAITED UINT32_MAX /* unset, and somebody sleeps on it */

/* Who joins the thread beneath: one at a time, as the system wants it. */
enum {
	NOBODY,
	SOMEBODY,
	SOMEBODY_AND_MORE, /* others sleep until it is nobody, or joined */
	JOINED,
};

struct prong_thread {
	struct prongi_link link; /* in living, from before it runs until it ends or is freed */
	prong_fn *fn;
	void *arg;
	pthread_t thread;         /* by the starter; others may read it once it is started */
	_Atomic uint32_t started; /* YES: start succeeded */
	_Atomic uint32_t id;      /* by the thread */
	_Atomic uint32_t ended;   /* YES: fn has returned; by the thread, under lock */
	_Atomic uint32_t joining; /* NOBODY, ...; futex of all joiners but one */
	uint32_t life;            /* the process's when it was started */
	int result;               /* by the thread; others may read it once it is joined */
	bool freed;               /* under lock: it has no handle, its end frees it */
	/* The starter's options, who waits until id is set if there is something to hear. */
	const uint16_t *cpus;
	size_t ncpus;
	struct prong_queue *const *writes; /* NULL: none */
	struct prongi_child *place; /* in its group; NULL: none */
	int refused; /* by the thread, before id: why it will not run fn */
	uint16_t bad_cpu;
	bool no_slot; /* that is why */
	char name[NAME_SIZE];
	_Alignas(max_align_t) unsigned char copy[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct prongi_link living = { &living, &living }; /* under lock */

/* Which process this is, of a line of forks: changes in a child only, when it has one thread. */
static uint32_t life;

/* For default names. */
static _Atomic uint32_t threads_named, dummies_named;

/* The calling thread, if prong started it; here or, see life, in the parent. */
static _Thread_local prong_thread *current __attribute__((tls_model("initial-exec")));

static bool here(const prong_thread *t)
{
	return t->life == life;
}

void prongi_threads_after_fork(void)
{
	life++;
	prongi_groups_after_fork();
	pthread_mutex_init(&lock, NULL); /* whoever held it is not here */
	prongi_link_init(&living);
	atomic_store_explicit(&threads_named, 0, memory_order_relaxed);
	atomic_store_explicit(&dummies_named, 0, memory_order_relaxed);
}

/* --- words that are set once ----------------------------------------------------------------- */

static bool is_set(uint32_t value)
{
	return value != UNSET && value != AWAITED;
}

static uint32_t look(const _Atomic uint32_t *word)
{
	/* acquire: pairs with the release in set(); what was written before it can be read. */
	return atomic_load_explicit(word, memory_order_acquire);
}

static void set(_Atomic uint32_t *word, uint32_t value)
{
	/* release: pairs with the acquire in look(). */
	if (atomic_exchange_explicit(word, value, memory_order_release) == AWAITED)
		prongi_os_wake(word, INT_MAX, false);
}

/* What to sleep on until word is set; return how many words: 0 when it is. */
static size_t arm(_Atomic uint32_t *word, struct prongi_awaited *a)
{
	uint32_t seen = UNSET;

	/* acquire: pairs with the release in set(). */
	atomic_compare_exchange_strong_explicit(word, &seen, AWAITED, memory_order_acquire,
						memory_order_acquire);
	*a = (struct prongi_awaited){ word, AWAITED, false };
	return !is_set(seen);
}

/* Block until word is set, or the caller is cancelled.  0, PRONG_TIMEDOUT, PRONG_CANCELLED. */
static int await_set(_Atomic uint32_t *word, prong_time deadline)
{
	struct prongi_awaited a[2];

	while (arm(word, a)) {
		int r = prongi_sleep_any(a, 1, deadline);

		if (r)
			return is_set(look(word)) ? 0 : r;
	}
	return 0;
}

/* Block until word is set, whatever comes.  0 or PRONG_TIMEDOUT. */
static int await(_Atomic uint32_t *word, prong_time deadline)
{
	for (;;) {
		uint32_t seen = look(word);

		if (is_set(seen))
			return 0;
		if (seen == UNSET && !atomic_compare_exchange_strong_explicit(word, &seen, AWAITED,
									      memory_order_relaxed,
									      memory_order_relaxed))
			continue;
		if (prongi_os_wait(word, AWAITED, deadline, false) == PRONG_TIMEDOUT)
			return is_set(look(word)) ? 0 : PRONG_TIMEDOUT;
	}
}

/* --- in the thread --------------------------------------------------------------------------- */

/* Whoever comes second, the end or prong_thread_free(), frees the memory. */
static void retire(prong_thread *t)
{
	bool last;

	pthread_mutex_lock(&lock);
	if (here(t))
		prongi_unlink(&t->link);
	set(&t->ended, YES);
	last = t->freed;
	pthread_mutex_unlock(&lock);
	current = NULL;
	if (last)
		free(t);
}

static void end(void *t)
{
	prong_thread *me = t;

	prongi_locals_end(); /* first: what it calls may lock, or ask for this thread's name */
	if (me->place)
		prongi_group_thread_ends(me->place, me->result);
	prongi_leave();
	prongi_os_crash_thread_end();
	retire(me);
}

/* With a slot of its own, which says what it writes, and where it can be cancelled. */
static int take_part(prong_thread *t)
{
	int r = prongi_enter();

	t->no_slot = r != 0;
	if (r == 0 && t->writes)
		prongi_writes_mine(t->writes);
	if (r == 0 && t->place)
		prongi_group_thread_begins(t->place, t);
	return r;
}

static void begin(prong_thread *t)
{
	current = t;
	if (t->ncpus)
		t->refused = prongi_os_run_on(t->cpus, t->ncpus, &t->bad_cpu);
	prongi_os_crash_thread();
	if ((t->writes || t->place) && !t->refused)
		t->refused = take_part(t);
	prongi_os_set_title(t->name);
	set(&t->id, (uint32_t)prongi_os_tid());
}

static void *run(void *arg)
{
	prong_thread *t = arg;

	begin(t);
	if (t->refused)
		return NULL;
	pthread_cleanup_push(end, t);
	t->result = t->fn(t->arg);
	/* From here on nothing may cut the end short. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cleanup_pop(1);
	return NULL;
}

/* --- start ----------------------------------------------------------------------------------- */

static int check_opts(const prong_thread_opts *opts)
{
	for (size_t i = 0; i < sizeof opts->reserved_ / sizeof *opts->reserved_; i++) {
		if (opts->reserved_[i])
			return prongi_fail(-EINVAL, "thread_start: opts.reserved_ is not zero");
	}
	if (opts->ncpus && !opts->cpus)
		return prongi_fail(-EINVAL, "thread_start: opts.cpus is NULL");
	return prongi_writes_check(opts->writes, "thread_start");
}

static int check_arg(const void *arg, size_t size)
{
	if (size && !arg)
		return prongi_fail(-EFAULT, "thread_start: arg is NULL, its size is not 0");
	if (!size && arg && !prong_shared(arg, 1))
		return prongi_fail(-EFAULT, "thread_start: arg is not in the heap, its size is 0");
	return 0;
}

static void name(prong_thread *t, const char *given)
{
	if (given) {
		snprintf(t->name, sizeof t->name, "%s", given);
	} else {
		uint32_t n = atomic_fetch_add_explicit(&threads_named, 1, memory_order_relaxed);

		snprintf(t->name, sizeof t->name, "Thread-%u", (unsigned int)n + 1);
	}
}

static bool writes_any(const prong_thread_opts *opts)
{
	return opts->writes[0] || opts->writes[1] || opts->writes[2] || opts->writes[3];
}

static prong_thread *make(prong_fn *fn, const void *arg, size_t size, const prong_thread_opts *opts)
{
	prong_thread *t;

	if (size > SIZE_MAX - sizeof *t)
		return NULL;
	t = malloc(sizeof *t + size);
	if (!t)
		return NULL;
	*t = (prong_thread){ .fn = fn,
			     .arg = (void *)(uintptr_t)arg,
			     .life = life,
			     .result = NO_RESULT,
			     .cpus = opts->cpus,
			     .ncpus = opts->ncpus,
			     .writes = writes_any(opts) ? opts->writes : NULL };
	if (size)
		t->arg = memcpy(t->copy, arg, size);
	name(t, opts->name);
	return t;
}

static void list(prong_thread *t)
{
	pthread_mutex_lock(&lock);
	prongi_link_before(&living, &t->link);
	pthread_mutex_unlock(&lock);
}

static void unlist(prong_thread *t)
{
	pthread_mutex_lock(&lock);
	prongi_unlink(&t->link);
	pthread_mutex_unlock(&lock);
}

static int create(prong_thread *t, size_t stack_size)
{
	pthread_attr_t attr;
	int r;

	if (!stack_size)
		return pthread_create(&t->thread, NULL, run, t);
	r = pthread_attr_init(&attr);
	if (r)
		return r;
	r = pthread_attr_setstacksize(&attr, stack_size);
	if (r == 0)
		r = pthread_create(&t->thread, &attr, run, t);
	pthread_attr_destroy(&attr);
	return r;
}

static int join_quietly(prong_thread *t, prong_time deadline);

/* Only setting them tells whether the processors are to be had, and only the thread can take its
   slot; hear it. */
static int hear(prong_thread *t)
{
	int r;

	(void)await(&t->id, PRONG_FOREVER);
	r = t->refused;
	if (r == 0)
		return 0;
	(void)join_quietly(t, PRONG_FOREVER);
	if (t->no_slot)
		return prongi_fail(r, "thread_start: no slot for one more thread");
	if (r == -EINVAL)
		return prongi_fail(r, "thread_start: no processor %u for it", t->bad_cpu);
	return prongi_fail(r, "thread_start: its processors cannot be set");
}

static int launch(prong_thread *t, size_t stack_size)
{
	int r = create(t, stack_size);

	if (r == EINVAL)
		return prongi_fail(-r, "thread_start: a stack cannot have %zu bytes", stack_size);
	if (r)
		return prongi_fail(-r, "thread_start: no thread or stack left to be had");
	if (t->ncpus || t->writes || t->place)
		r = hear(t);
	if (r == 0)
		set(&t->started, YES);
	return r;
}

int prong_thread_start(prong_thread **out, prong_fn *fn, const void *arg, size_t size,
		       const prong_thread_opts *opts)
{
	static const prong_thread_opts defaults;
	struct prongi_child *place = NULL;
	prong_thread *t;
	int r;

	if (!out || !fn)
		return prongi_fail(-EINVAL, "thread_start: %s is NULL", out ? "fn" : "out");
	if (!opts)
		opts = &defaults;
	r = check_opts(opts);
	if (r == 0)
		r = check_arg(arg, size);
	if (r == 0)
		r = prongi_enter(); /* with the first thread it would be too late for a server */
	if (r == 0)
		r = prongi_group_place(&place, opts->group, opts->tag, "thread_start");
	if (r)
		return r;
	atomic_store_explicit(&prongi_on_forget, prongi_threads_after_fork, memory_order_relaxed);
	t = make(fn, arg, size, opts);
	if (!t) {
		prongi_group_withdraw(place);
		return prongi_fail(-ENOMEM, "thread_start: no memory for the argument");
	}
	t->place = place;
	list(t);
	prongi_writes_begin(opts->writes);
	r = launch(t, opts->stack_size);
	prongi_writes_end();
	if (r) {
		prongi_group_withdraw(place);
		unlist(t);
		free(t);
		return r;
	}
	*out = t;
	return 0;
}

/* --- join ------------------------------------------------------------------------------------ */

/* Join the thread beneath: no cancellation point, and done when the system has forgotten it. */
static int join_quietly(prong_thread *t, prong_time deadline)
{
	int state, r;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	r = prongi_os_join(t->thread, deadline);
	if (r == 0)
		prongi_os_await_gone((int)look(&t->id));
	pthread_setcancelstate(state, NULL);
	return r;
}

/* Join as the one who may, and tell the others: it is done, or one of them may try. */
static int join_first(prong_thread *t, prong_time deadline)
{
	int r = await(&t->started, deadline);

	if (r == 0)
		r = join_quietly(t, deadline);
	/* release: pairs with the acquire in join(); result can be read. */
	if (atomic_exchange_explicit(&t->joining, r ? NOBODY : JOINED, memory_order_release) ==
	    SOMEBODY_AND_MORE)
		prongi_os_wake(&t->joining, INT_MAX, false);
	return r;
}

static int join(prong_thread *t, prong_time deadline)
{
	for (;;) {
		uint32_t seen = NOBODY;

		/* acquire: pairs with the release in join_first(). */
		if (atomic_compare_exchange_strong_explicit(&t->joining, &seen, SOMEBODY,
							    memory_order_acquire,
							    memory_order_acquire))
			return join_first(t, deadline);
		if (seen == JOINED)
			return 0;
		if (seen == SOMEBODY && !atomic_compare_exchange_strong_explicit(
						&t->joining, &seen, SOMEBODY_AND_MORE,
						memory_order_relaxed, memory_order_relaxed))
			continue;
		if (prongi_os_wait(&t->joining, SOMEBODY_AND_MORE, deadline, false) ==
		    PRONG_TIMEDOUT)
			return look(&t->joining) == JOINED ? 0 : PRONG_TIMEDOUT;
	}
}

void prongi_thread_await(prong_thread *t)
{
	(void)join(t, PRONG_FOREVER);
}

static int fail_join(int r, const prong_thread *t)
{
	if (r == PRONG_CANCELLED)
		return prongi_gave_up(r, "thread_join", "");
	if (r == PRONG_TIMEDOUT)
		return prongi_fail(r, "thread_join: %s still runs", t->name);
	return prongi_fail(r, "thread_join: %s cannot be joined", t->name);
}

int prong_thread_join(prong_thread *t, int *result, prong_time deadline)
{
	struct prongi_awaited cancel;
	int r = 0;

	if (!t)
		return prongi_fail(-EINVAL, "thread_join: t is NULL");
	if (here(t)) {
		if (t == current)
			return prongi_fail(PRONG_DEADLOCK, "thread_join: t is the caller");
		/* Joining the thread beneath cannot be cancelled. */
		r = prongi_cancel_arm(&cancel) ? await_set(&t->ended, deadline) : 0;
		r = r ? r : join(t, deadline);
	}
	if (r)
		return fail_join(r, t);
	if (result)
		*result = t->result;
	return 0;
}

/* --- questions ------------------------------------------------------------------------------- */

bool prong_thread_alive(const prong_thread *t)
{
	return t && here(t) && look(&t->ended) != YES;
}

size_t prongi_thread_arm(prong_thread *t, struct prongi_awaited *a)
{
	return here(t) ? arm(&t->ended, a) : 0;
}

struct stranger {
	int id; /* a forked child has another, whether or not prong heard of the fork */
	char name[24];
};

static int name_stranger(void *copy)
{
	struct stranger *s = copy;

	s->id = prongi_os_tid();
	if (s->id == prongi_os_pid()) {
		snprintf(s->name, sizeof s->name, "MainThread");
	} else {
		uint32_t n = atomic_fetch_add_explicit(&dummies_named, 1, memory_order_relaxed);

		snprintf(s->name, sizeof s->name, "Dummy-%u", (unsigned int)n + 1);
	}
	return 0;
}

/* The name of a thread that prong did not start in this process. */
static const char *stranger_name(void)
{
	static prong_local stranger = { .size = sizeof(struct stranger), .init = name_stranger };
	struct stranger *s = prong_local_get(&stranger);

	if (!s)
		return prongi_os_tid() == prongi_os_pid() ? "MainThread" : "Dummy";
	if (s->id != prongi_os_tid())
		(void)name_stranger(s);
	return s->name;
}

const char *prong_thread_name(const prong_thread *t)
{
	if (!t)
		t = prong_thread_self();
	return t ? t->name : stranger_name();
}

/* The number of one just started is its own to tell, soon. */
int prong_thread_id(const prong_thread *t)
{
	prong_thread *asked = (prong_thread *)(uintptr_t)t;
	uint32_t id;

	if (!t)
		return prongi_os_tid();
	if (here(t))
		(void)await(&asked->id, PRONG_FOREVER);
	id = look(&t->id);
	return is_set(id) ? (int)id : 0;
}

prong_thread *prong_thread_self(void)
{
	return current && here(current) ? current : NULL;
}

/* One whose start may still fail is nobody's to see but its own; one that was freed is no more,
   because nothing keeps its memory for who finds it here. */
size_t prong_thread_list(prong_thread **out, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&lock);
	for (struct prongi_link *l = living.next; l != &living; l = l->next) {
		prong_thread *t = (prong_thread *)(void *)l; /* link is its first member */

		if (t != current && look(&t->started) != YES)
			continue;
		if (n < max && out)
			out[n] = t;
		n++;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

/* A copy of the caller itself, from before a fork, still has its argument in it. */
static bool in_use(const prong_thread *t)
{
	return here(t) ? look(&t->ended) != YES : t == current;
}

void prong_thread_free(prong_thread *t)
{
	bool last;

	if (!t)
		return;
	if (here(t) && look(&t->joining) != JOINED) {
		(void)await(&t->started, PRONG_FOREVER);
		pthread_detach(t->thread);
	}
	pthread_mutex_lock(&lock);
	if (here(t))
		prongi_unlink(&t->link);
	t->freed = true;
	last = !in_use(t);
	pthread_mutex_unlock(&lock);
	if (last)
		free(t);
}
