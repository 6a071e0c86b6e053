/* This process's part in the family: mapping the heap, opening, joining, leaving, closing, and what
   happens around a fork() that the program makes itself.

   opening  protects the few moments in which a process maps, opens, joins or closes.  It is the
   first lock of any order; nothing is locked inside but the allocator.
   forking  is held by a user's fork() from before until after, for the heap is let into a child
   only in between. */
#include "family/check.h"
#include <errno.h>
#include <prong/family.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAP_LEAST ((size_t)64 << 20)
#define FIRST_STEP ((size_t)64 << 10) /* a power of two */

struct prongi_family *prongi_heap;
struct prong_process *prongi_me;
_Thread_local struct prongi_self prongi_self;
bool prongi_spins;
_Atomic(prongi_hook *) prongi_on_forget, prongi_on_claim, prongi_on_exit;
bool prongi_serving;
#if defined(PRONGI_MUTANTS)
int prongi_mutant;
#endif

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t forking = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t at_thread_end;
static bool prepared; /* key and handlers are there.  Under opening */

/* --- threads ------------------------------------------------------------------------------ */

void prongi_leave(void)
{
	struct prongi_slot *slot = prongi_self.slot;

	if (slot)
		prongi_slot_release(slot);
}

/* The destructor of the key, in threads that prong did not start.  This key is among the
   program's first, so its destructor is too: it lets the others have a round, for they may hold
   locks of prong's
   or want some.  Whoever uses prong later still gets a slot anew, and this is called again. */
static void thread_ends(void *round)
{
	static char second;

	if (round != &second && pthread_setspecific(at_thread_end, &second) == 0)
		return;
	prongi_leave();
}

int prongi_slot_take(void)
{
	int r = prongi_slot_claim(prongi_process_index(prongi_me));

	if (r == 0)
		pthread_setspecific(at_thread_end, prongi_self.slot);
	return r;
}

static int take_slot(void)
{
	int r = prongi_slot_take();

	if (r)
		return prongi_fail(r, r == -ENOSPC ? "all %d slots are taken by threads"
						   : "no memory for one more of %d slots",
				   PRONGI_SLOTS);
	return 0;
}

/* --- forks of the program's own -------------------------------------------------------------- */

static bool forking_with_heap; /* under forking */

int prongi_fork_begin(void)
{
	int r = 0;

	if (prongi_serving)
		return 0;
	pthread_mutex_lock(&forking);
	if (prongi_heap)
		r = prongi_os_heap_inherit(prongi_heap, prongi_heap->size, true);
	forking_with_heap = r == 0;
	return r;
}

void prongi_fork_end(void)
{
	if (prongi_serving)
		return;
	if (prongi_heap)
		prongi_os_heap_inherit(prongi_heap, prongi_heap->size, false);
	pthread_mutex_unlock(&forking);
}

static void fork_prepare(void)
{
	prongi_fork_begin();
}

void prongi_forget(void)
{
	void (*forgotten)(void);

	prongi_check_forked();
	prongi_os_threads_forget();
	prongi_me = NULL;
	prongi_self.slot = NULL;
	prongi_self.id = prongi_self.fast = 0;
	pthread_mutex_init(&opening, NULL);
	pthread_mutex_init(&forking, NULL);
	forgotten = atomic_load_explicit(&prongi_on_forget, memory_order_relaxed);
	if (forgotten)
		forgotten();
}

static void fork_child(void)
{
	if (prongi_serving)
		return;
	if (!forking_with_heap)
		prongi_heap = NULL; /* the system had no memory: it begins a family of its own */
	if (prongi_heap)
		prongi_os_heap_inherit(prongi_heap, prongi_heap->size, false);
	prongi_forget();
}

/* --- the heap ------------------------------------------------------------------------------ */

static int commit_head(struct prongi_family *f)
{
	struct prongi_blocks *h = &f->heap;
	uint64_t first = (uintptr_t)f->first;
	int r = prongi_os_heap_commit(f, offsetof(struct prongi_family, process));

	if (r == 0)
		r = prongi_os_heap_commit(f->first, FIRST_STEP);
	if (r)
		return r;
	atomic_init(&h->end, first);
	atomic_init(&h->fresh, first);
	atomic_init(&h->committed, first + FIRST_STEP);
	atomic_init(&h->keep, PRONGI_KEEP);
	return 0;
}

int prongi_family_map(size_t size)
{
	void *base;
	int r = prongi_os_heap_map(&base, size);

	if (r)
		return r;
	prongi_heap = base;
	prongi_heap->magic = PRONGI_MAGIC;
	prongi_heap->size = size;
	prongi_spins = prongi_os_many_processors();
	r = commit_head(prongi_heap);
	if (r == 0)
		r = prongi_slots_reach(1);
	if (r == 0)
		r = prongi_processes_reach(1);
	if (r == 0)
		return 0;
	prongi_heap = NULL;
	prongi_os_heap_unmap(base, size);
	return r;
}

/* The size of the heap, or 0 when opts ask for what cannot be. */
static size_t heap_size(const prong_family_opts *opts)
{
	size_t size = opts && opts->heap_size ? opts->heap_size : prongi_os_heap_default();

	if (size > ((size_t)1 << 46) || (opts && opts->heap_size && size < HEAP_LEAST))
		return 0;
	if (size < HEAP_LEAST)
		size = HEAP_LEAST;
	return (size + PRONGI_CHUNK - 1) / PRONGI_CHUNK * PRONGI_CHUNK;
}

static int map(const prong_family_opts *opts)
{
	size_t size = heap_size(opts);
	int r;

	if (!size)
		return prongi_fail(-EINVAL, "open: heap_size %zu is not between 64 MiB and 64 TiB",
				   opts->heap_size);
	r = prongi_family_map(size);
	if (r == -EADDRINUSE)
		return prongi_fail(r, "open: no room for %zu MiB at any of the heap's addresses, "
				      "the first being 0x550000000000 on x86-64", size >> 20);
	if (r)
		return prongi_fail(r, "open: cannot map a heap of %zu MiB: %s", size >> 20,
				   strerror(-r));
	prongi_os_heap_inherit(prongi_heap, size, false);
	return 0;
}

/* --- joining ------------------------------------------------------------------------------- */

void prongi_before_exit(void)
{
	prongi_hook *hook = atomic_load_explicit(&prongi_on_exit, memory_order_relaxed);

	if (hook)
		hook();
}

static void program_ends(void)
{
	if (!prongi_me || prongi_serving)
		return;
	prongi_before_exit();
	prongi_children_end(PRONG_FOREVER);
}

static int prepare(void)
{
	if (prepared)
		return 0;
	if (pthread_key_create(&at_thread_end, thread_ends))
		return prongi_fail(-EAGAIN, "open: the program has no thread key left");
	if (pthread_atfork(fork_prepare, prongi_fork_end, fork_child) ||
	    atexit(program_ends)) {
		pthread_key_delete(at_thread_end);
		return prongi_fail(-ENOMEM, "open: no memory for a handler");
	}
	prepared = true;
	return 0;
}

/* Become a process of the family that is not the server's child. */
static int join(void)
{
	struct prong_process *p;
	int r = prongi_process_claim(&p, PRONGI_ROOT);

	if (r)
		return prongi_fail(r, "open: no room for one more process of %d",
				   PRONGI_PROCESSES);
	strcpy(p->name, "MainProcess");
	p->started = prongi_os_now();
	prongi_me = p;
	/* Waits for the guard's eye where there is one: see prongi_server_watch_me(). */
	prongi_process_step(p, PRONGI_BEING, PRONGI_ASKED, prongi_os_pid());
	return 0;
}

/* The server for this process: the one that is there, or a new one. */
static int server(bool alone)
{
	if (prongi_server_alive())
		return prongi_server_watch_me();
	if (!alone)
		return prongi_fail(PRONG_NOSERVER,
				   "open: %d threads run already; call prong_open() first in main",
				   prongi_os_threads());
	fflush(NULL); /* what is buffered now would be written by each child again */
	return prongi_server_open();
}

static int check_if_asked(const prong_family_opts *opts)
{
	if (prongi_checking || !(prongi_check_always || (opts && opts->check)))
		return 0;
	return prongi_check_begin() ? prongi_fail(-ENOMEM, "open: no memory to check with") : 0;
}

static int open_locked(const prong_family_opts *opts)
{
	bool alone = prongi_os_threads() == 1;
	int r = prepare(), watched;

	if (r == 0 && !prongi_heap)
		r = map(opts);
	if (r == 0)
		r = check_if_asked(opts);
	if (r)
		return r;
	if (opts)
		prongi_heap->server.exit_ms = opts->exit_ms;
	if (!prongi_me)
		r = join();
	if (r)
		return r;
	/* Watched before it has a slot: else nobody would repair what it leaves there. */
	watched = prongi_server_alive() ? prongi_server_watch_me() : 0;
	if (!prongi_self.slot)
		r = take_slot();
	return r ? r : watched ? watched : server(alone);
}

static int check(const prong_family_opts *opts)
{
	for (size_t i = 0; opts && i < sizeof opts->reserved_ / sizeof *opts->reserved_; i++)
		if (opts->reserved_[i])
			return prongi_fail(-EINVAL, "open: a reserved option is set");
	return 0;
}

int prong_open(const prong_family_opts *opts)
{
	int r = check(opts);

	if (r)
		return r;
	pthread_mutex_lock(&opening);
	r = open_locked(opts);
	pthread_mutex_unlock(&opening);
	return r;
}

int prongi_enter_slow(void)
{
	int r = 0;

	if (!prongi_me) {
		r = prong_open(NULL);
		if (r > 0 && prongi_me) /* no server: threads and locks work */
			r = 0;
	}
	return r || prongi_self.slot ? r : take_slot();
}

/* --- closing ------------------------------------------------------------------------------- */

int prong_close(prong_time deadline)
{
	int r;

	if (!prongi_heap)
		return 0;
	if (!prongi_me || prongi_process_ref(prongi_me) != prongi_heap->server.opener)
		return prongi_fail(-EPERM, "close: this is not the process that opened the family");
	r = prongi_enter();
	if (r)
		return r;
	pthread_mutex_lock(&opening);
	r = prongi_children_end(deadline);
	if (r == 0)
		r = prongi_server_close(deadline);
	pthread_mutex_unlock(&opening);
	return r;
}

/* --- figures ------------------------------------------------------------------------------- */

static uint64_t figure(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static uint32_t count_processes(void)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	uint32_t alive = 0;

	for (uint32_t i = 0; i < n; i++) {
		enum prongi_phase phase = prongi_phase(figure(&prongi_heap->process[i].state));

		alive += phase == PRONGI_ASKED || phase == PRONGI_RUNNING || phase == PRONGI_DYING;
	}
	return alive;
}

static uint32_t count_slots(void)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->slots_used, memory_order_relaxed);
	uint32_t taken = 0;

	for (uint32_t i = 0; i < n; i++)
		taken += figure(&prongi_heap->slot[i].id) != 0;
	return taken;
}

void prong_family_stat(prong_family_stats *out)
{
	struct prongi_family *f = prongi_heap;

	if (!out)
		return;
	memset(out, 0, sizeof *out);
	if (!f)
		return;
	prongi_heap_stat(out);
	out->started = figure(&f->server.started);
	out->deaths = figure(&f->server.deaths);
	out->processes = count_processes();
	out->threads = count_slots();
	out->servers = atomic_load_explicit(&f->server.servers, memory_order_relaxed);
}
