/* What a pool is in the heap, and the parts of its code of each other.

   A task is a record, struct prong_future, in the pool's own table.  What happens to it is one
   word, its state; who may change that, and from what to what:

     FREE -> MAKING(p)        who submits, by CAS on a record that is free
     MAKING(p) -> QUEUED(p)   p, when all is filled in, right before it puts it into the line
     QUEUED -> RUNNING(w)     worker w, which took it out of the line; a thread that waits for it
     QUEUED -> CANCELLED      anybody
     RUNNING(w) -> an end     w.  When w is dead: the supervisor, to an end, DELAYED or QUEUED
     DELAYED -> QUEUED        the supervisor, when it is time.  -> CANCELLED: anybody
     an end -> FREEING(p)     who lets go of it; or who ends it, when nobody holds it
     FREEING(p) -> FREE       p, when all it had is freed

   The index of a record in the line of what is to do (todo.h) means no more than "look there": the
   state says what is to be done.  So an index too many is harmless, and one too few is what must
   not be.  Who puts one says QUEUED before; so a record that is QUEUED by a process that died is
   put once more, by the supervisor's sweep.  Who takes one out names it in the worker's own place
   before, and until it is done; so what a dead worker names and is QUEUED is put once more, too.

   p is a process, of which the state holds 14 bits of index and 18 of generation; MAKING, QUEUED
   and FREEING of the dead are taken over by the sweep.  w is a place for a worker, with the number
   of workers that it has had. */
#ifndef PRONGI_POOL_H
#define PRONGI_POOL_H

#include "family/cancel.h"
#include "pool/todo.h"
#include <prong/pool.h>
#include <prong/process.h>
#include <prong/thread.h>

#define PRONGI_CALLER_BYTES 16 /* of an argument that lie in the record itself */
#define PRONGI_FIRST_CHUNK  64 /* records; others have an eighth of all that there are, or so */
#define PRONGI_TASK_CHUNKS  128
#define PRONGI_WORKERS      1024 /* that a pool may be asked to have */
#define PRONGI_PLACES       4096 /* for them and their substitutes */
#define PRONGI_PLACE_CHUNK  32
#define PRONGI_LETTERS      1024
#define PRONGI_LEVELS       3 /* of priority */

/* --- the state of a task -------------------------------------------------------------------- */

/* { low: phase 4, flags 4, attempt 8, DOOMED, GROUP | high: who 32 }.  A futex sleeps on the low
   half.  Who: a process, or the place and how manieth worker that runs it; of one that is over, the
   number of the worker that ended it, or 0. */
enum prongi_task {
	PRONGI_TASK_FREE = 0,
	PRONGI_TASK_MAKING,
	PRONGI_TASK_QUEUED,
	PRONGI_TASK_RUNNING,
	PRONGI_TASK_DELAYED, /* it crashed, and is tried again later */
	PRONGI_TASK_DONE,    /* from here on: the ends */
	PRONGI_TASK_FAILED,
	PRONGI_TASK_CRASHED,
	PRONGI_TASK_OVERRUN,
	PRONGI_TASK_CANCELLED,
	PRONGI_TASK_FREEING
};

#define PRONGI_TASK_PHASE  ((uint64_t)15)
#define PRONGI_TASK_WAITED ((uint64_t)1 << 4) /* somebody may sleep on it */
#define PRONGI_TASK_HELD   ((uint64_t)1 << 5) /* it has a holder */
#define PRONGI_TASK_TOLD   ((uint64_t)1 << 6) /* while it runs: it is to be cancelled */
#define PRONGI_TASK_THEN   ((uint64_t)1 << 7) /* somebody is to be called */
#define PRONGI_TASK_FLAGS  ((uint64_t)15 << 4)
#define PRONGI_TASK_ONE    ((uint64_t)1 << 8) /* attempt */
#define PRONGI_TASK_DOOMED \
	((uint64_t)1 << 16) /* its worker is about to be killed, and may not
						  end it any more */

#define PRONGI_TASK_GROUP ((uint64_t)1 << 17) /* a group waits for it, too */

static inline uint64_t prongi_verdict(uint64_t index, uint64_t state, enum prongi_task phase)
{
	return (index + 1) << 32 | (state & 0xff00) | phase;
}

static inline enum prongi_task prongi_task_phase(uint64_t state)
{
	return (enum prongi_task)(state & PRONGI_TASK_PHASE);
}

/* What the world calls that. */
static inline int prongi_outcome(enum prongi_task phase)
{
	switch (phase) {
	case PRONGI_TASK_DONE:
		return 0;
	case PRONGI_TASK_FAILED:
		return PRONG_FAILED;
	case PRONGI_TASK_CRASHED:
		return PRONG_CRASHED;
	case PRONGI_TASK_OVERRUN:
		return PRONG_OVERRUN;
	case PRONGI_TASK_CANCELLED:
		return PRONG_CANCELLED;
	default:
		return PRONG_RUNNING;
	}
}

static inline bool prongi_task_over(uint64_t state)
{
	enum prongi_task phase = prongi_task_phase(state);

	return phase >= PRONGI_TASK_DONE && phase <= PRONGI_TASK_CANCELLED;
}

static inline uint32_t prongi_task_attempt(uint64_t state)
{
	return (uint32_t)(state >> 8) & 255;
}

static inline uint32_t prongi_task_who(uint64_t state)
{
	return (uint32_t)(state >> 32);
}

/* The same flags and attempt. */
static inline uint64_t prongi_task_state(uint64_t state, enum prongi_task phase, uint32_t who)
{
	return (state & 0xfffffff0u) | phase | (uint64_t)who << 32;
}

/* --- in the heap ---------------------------------------------------------------------------- */

/* The options of a task, as far as it needs them later. */
enum prongi_option {
	PRONGI_LIMIT, /* ms */
	PRONGI_GRACE, /* ms */
	PRONGI_RETRIES,
	PRONGI_BACKOFF, /* ms */
	PRONGI_PRIORITY,
	PRONGI_OPTIONS
};

#define PRONGI_NAME_MOST 63

/* What a worker's place says of the task that ran in it last. */
#define PRONGI_RAN_PLAIN ((uint64_t)1) /* it has the pool's name for tasks; 0: none has run */
#define PRONGI_RAN_NAMED ((uint64_t)2)
#define PRONGI_RAN       ((uint64_t)3)

/* A record.  All but the state is written by who the state says: the maker, the worker, the
   supervisor, the freer. */
struct prong_future {
	prongi_word state;
	prong_fn *fn;
	prongi_word result;      /* 0, or a block: struct prongi_result */
	prongi_word extra;       /* 0, or a struct prongi_extra (extra.c) */
	_Atomic uint32_t holder; /* the process that holds it, as states name it */
	union {
		int32_t code; /* what fn returned */
		float took;   /* s; when it returned 0, and the task is DONE */
	};
	uint32_t index;          /* of this record; read-only */
	uint32_t small;          /* bytes of the argument; PRONGI_LARGE: see bytes */
	union {
		_Alignas(16) char in[PRONGI_CALLER_BYTES]; /* the argument */
		struct {
			prongi_word arg; /* what is larger: 0, or a block; of size 0, the pointer */
			uint64_t bytes;
		};
	};
};

#define PRONGI_LARGE (PRONGI_CALLER_BYTES + 1)

_Static_assert(sizeof(struct prong_future) == 64, "one line");

struct prongi_result {
	uint64_t size, reserved;
	char data[];
};

/* Records, and before them: */
struct prongi_tasks {
	_Alignas(64) struct prong_pool *pool;
	prongi_word *maybe; /* a bit for each that may be free: hints, the state is true.  Set by
				  who frees one, cleared by who goes through them */
	uint64_t n, first;  /* how many; index of the first.  Read-only */
	_Alignas(64) struct prong_future task[];
};

/* A place for a worker: { phase 4, worker number 28 }.  By the supervisor, but WORKS by the
   worker. */
enum prongi_place {
	PRONGI_NOBODY = 0,
	PRONGI_COMES, /* it has been started */
	PRONGI_WORKS, /* it takes tasks */
	PRONGI_GOES   /* it is about to end by itself.  By the worker */
};

struct prongi_worker {
	_Alignas(64) prongi_word state; /* { phase 4, place 12, its how manieth 16 } */
	prongi_word current;  /* index of the task that it runs or is about to take, + 1.  Stored
				  before the task's state says so.  The worker */
	prongi_word last;     /* { n 62, what 2 } of what it ran last: PRONGI_RAN_..., and when that
				 says so, task[n & 1] is its name.  The worker */
	prongi_word began;    /* when the task did; 0: not yet.  The worker */
	prongi_word deadline; /* when the task's time is over; 0: never.  The worker */
	prongi_word grace;    /* { task + 1 32, ms 32 }: how long that task may go on when it is
				 told to end.  The worker */
	prongi_word scope_slot, scope; /* of cancelling, in which it runs.  The worker */
	_Atomic uint32_t waits;        /* > 0: its task waits for another.  The worker */
	_Atomic uint32_t idle;         /* it has nothing to do.  The worker */
	_Atomic uint32_t over;         /* a thread is about to end.  The worker */
	prongi_word told;              /* a task that was told to end, + 1: current may be one on
					  top of it.  Who tells it; threads */
	prongi_word ended[PRONGI_TASK_FREEING - PRONGI_TASK_DONE]; /* tasks.  The worker */
	prongi_word busy, idling, waiting; /* spans.  The worker; the supervisor, when it is dead */
	prongi_word task[2][(PRONGI_NAME_MOST + 1) / 8]; /* The worker */
	int64_t clock; /* when the last task ended.  The worker's alone */
	/* Only the supervisor writes: */
	_Alignas(64) _Atomic uint32_t leave; /* end, when there is nothing in hand */
	_Atomic uint32_t starts;
	prongi_word verdict; /* { task + 1 32, attempt 8, phase 8 }: how that attempt is to end, if
				  it does not end well */
	prong_process *process; /* of a pool of processes */
	prong_thread *thread;   /* of a pool of threads: an address of the supervisor's process */
	prongi_word peak_rss;
	prongi_word pid;    /* By the worker, too */
	prongi_word number; /* among all that the pool has had, from 1 on: it is in the name */
	int64_t told_at; /* when it was told */
	/* For maps.  The worker: */
	prongi_word part;       /* that it has or is about to take, + 1 */
	prongi_word buffer;     /* block of the heap; size bytes */
	prongi_word committing; /* the item that is being copied from the buffer, + 1 */
	uint64_t buffer_size;
};

/* What a pool is at.  Only ever greater. */
enum prongi_pool_phase {
	PRONGI_POOL_OPEN = 1,
	PRONGI_POOL_CLOSED,
	PRONGI_POOL_FAILED,     /* closed, for its workers do not start */
	PRONGI_POOL_TERMINATED, /* closed, and all is cancelled */
	PRONGI_POOL_ENDED       /* all is done, and no worker is left */
};

#define PRONGI_POOL ((uint64_t)0x6c6f6f70676e7270) /* "prngpool" */

struct prongi_kind;

struct prong_pool {
	/* Read by all, seldom written. */
	prongi_word kind_word; /* PRONGI_POOL while it is one.  By who opens and frees it */
	uint64_t id;           /* among all pools and queues that there ever were; read-only */
	uint64_t owner;        /* ref of the process that opened it; read-only */
	const struct prongi_kind *kind;        /* read-only */
	prongi_word tasks[PRONGI_TASK_CHUNKS]; /* blocks, struct prongi_tasks in each; 0: not made
				   yet.  In a section of the pool's kernel lock */
	int32_t defaults[PRONGI_OPTIONS];      /* as prongi_task_option() has them; read-only */
	char default_name[PRONGI_NAME_MOST + 1];
	_Atomic uint32_t levels; /* some task had another priority than 0, or came back: look at all
				   queues.  Set by who puts the first one */
	_Atomic uint32_t places; /* so many have been used.  The supervisor */
	prongi_word place[PRONGI_PLACES / PRONGI_PLACE_CHUNK]; /* blocks.  The supervisor */

	_Alignas(64) prongi_word phase;     /* by CAS upwards; a futex sleeps on the low half */
	_Alignas(64) _Atomic uint32_t bell; /* the supervisor sleeps on it; who wants it, rings */
	_Atomic uint32_t hurry; /* kill all workers: the process ends.  By that process */
	_Atomic uint32_t
		lacking;   /* fewer workers than asked for: who submits, rings.  Supervisor */
	prongi_word alarm; /* when the supervisor looks at the clock next.  Supervisor */
	_Alignas(
		64) _Atomic uint32_t thens; /* changes when a task with THEN ends; by who ends it */

	/* Rarely used. */
	_Alignas(64) _Atomic uint32_t wanted; /* workers.  By open and resize */
	uint32_t number;                      /* of this pool in its process */
	prongi_word arg;                      /* of init: block or pointer */
	size_t arg_size;
	prong_fn *init;
	void (*fini)(void);
	uint64_t signals; /* the mask that workers start with */
	size_t max_waiting;
	uint32_t recycle_tasks, idle_ms, max_restarts;
	uint64_t recycle_rss;
	bool pin, trace;
	char name[48];
	char why[200]; /* it has FAILED: for people.  Supervisor, before the phase */
	_Atomic uint64_t here[PRONGI_TASK_FREEING - PRONGI_TASK_DONE]; /* tasks that ended, but in
				   workers; a death may cost one.  Anybody */
	_Atomic uint64_t retried, started;                             /* The supervisor */
	struct prongi_todo todo[PRONGI_LEVELS];                        /* first, normal, last */
	/* The supervisor's alone, but for readers of letters. */
	prongi_word letters;                /* so many there were */
	prongi_word letter[PRONGI_LETTERS]; /* blocks with reports */
};

/* --- a kind of worker ----------------------------------------------------------------------- */

/* How a worker has ended. */
struct prongi_worker_end {
	bool by_itself; /* its function returned */
	bool stacked;   /* else: other tasks may lie beneath the one that it ran */
	prong_report report;
};

/* All is called by the supervisor.  A kind without start runs tasks in who submits them. */
struct prongi_kind {
	const char *name; /* in specs */
	bool stops;       /* a worker can be killed alone */
	bool shares;      /* who waits in a task may run another on its stack */
	int (*start)(struct prong_pool *pool, struct prongi_worker *w);
	/* True when w has ended: *end says how.  Called again until it was true once. */
	bool (*ended)(struct prongi_worker *w, struct prongi_worker_end *end);
	void (*kill)(struct prongi_worker *w);
	int (*pid)(const struct prongi_worker *w);
};

extern const struct prongi_kind prongi_processes, prongi_threads, prongi_sequential;

static inline enum prongi_place prongi_worker_phase(const struct prongi_worker *w)
{
	/* acquire: pairs with the release of the worker. */
	return (enum prongi_place)(atomic_load_explicit(&w->state, memory_order_acquire) & 15);
}

/* Its place, from 0 on. */
static inline uint32_t prongi_worker_place(const struct prongi_worker *w)
{
	return (uint32_t)(atomic_load_explicit(&w->state, memory_order_relaxed) >> 4) &
	       (PRONGI_PLACES - 1);
}

/* What the supervisor and a worker agree on for the start. */
struct prongi_worker_arg {
	struct prong_pool *pool;
	struct prongi_worker *worker;
};

/* The life of a worker, of whatever kind: returns when it is to end. */
int prongi_worker_live(void *arg);

/* The state v of a task as RUNNING by w. */
static inline uint64_t prongi_worker_running(const struct prongi_worker *w, uint64_t v)
{
	return prongi_task_state(
		v, PRONGI_TASK_RUNNING,
		(uint32_t)(atomic_load_explicit(&w->state, memory_order_relaxed) >> 4));
}

/* The tasks of w can be cancelled, as of now; and after one that was told to end, anew. */
void prongi_worker_scope(struct prongi_worker *w, uint64_t *before);

/* Store the name of the pool's worker of that number, cut to size; of none (0), "". */
void prongi_worker_name(const struct prong_pool *pool, uint64_t number, char *out, size_t size);

/* What w does now may take so long. */
void prongi_worker_limit(struct prong_pool *pool, struct prongi_worker *w, int32_t limit_ms);

/* w begins f now: note that, and how long it may take (worker.c). */
void prongi_worker_clock(struct prong_pool *pool, struct prongi_worker *w,
			 const struct prong_future *f, int64_t now);

/* A time that adds up, { ns 63, it runs }: while it runs, the clock less what it was before; else
   how long it was.  One word, so that whoever reads it reads what was so.  Starting what runs,
   or stopping what does not, does nothing. */
static inline int64_t prongi_span(const prongi_word *span, int64_t now)
{
	uint64_t v = atomic_load_explicit(span, memory_order_relaxed);

	return v & 1 ? now - ((int64_t)v >> 1) : (int64_t)v >> 1;
}

static inline void prongi_span_start(prongi_word *span, int64_t now)
{
	uint64_t v = (uint64_t)(now - prongi_span(span, now));

	atomic_store_explicit(span, v << 1 | 1, memory_order_relaxed);
}

static inline void prongi_span_stop(prongi_word *span, int64_t now)
{
	atomic_store_explicit(span, (uint64_t)prongi_span(span, now) << 1, memory_order_relaxed);
}

/* Take a task and run it; false: there is none.  For the kill harness, whose workers are its
   own. */
bool prongi_worker_step(struct prong_pool *pool, struct prongi_worker *w);

/* --- records (record.c) --------------------------------------------------------------------- */

/* The calling process, as states name it. */
uint32_t prongi_ident(void);
bool prongi_ident_alive(uint32_t ident);

/* Bytes of the argument. */
static inline uint64_t prongi_task_size(const struct prong_future *f)
{
	return f->small == PRONGI_LARGE ? f->bytes : f->small;
}

/* Where it is. */
static inline void *prongi_task_data(struct prong_future *f)
{
	return f->small && f->small != PRONGI_LARGE ? f->in : (void *)(uintptr_t)f->arg;
}

/* The process of that name, which may be another by now. */
struct prong_process *prongi_ident_process(uint32_t ident);

/* Somebody holds f, and lives. */
bool prongi_task_held(const struct prong_future *f);

/* The record with this index; NULL: there is none. */
struct prong_future *prongi_task_at(const struct prong_pool *pool, uint64_t index);
struct prong_pool *prongi_task_pool(const struct prong_future *f);

/* The 64 bytes in the heap at f, which may be anything, are a record of a pool. */
bool prongi_task_is(const struct prong_future *f);

/* A record that is MAKING by the caller.  0 or -ENOMEM. */
int prongi_task_claim(struct prong_pool *pool, struct prong_future **out);

/* f is FREEING, by the caller: free what it has, and then it. */
void prongi_task_clear(struct prong_pool *pool, struct prong_future *f);

/* Put f, which is QUEUED, into the line.  0, PRONG_FULL, -ENOMEM. */
int prongi_task_put(struct prong_pool *pool, struct prong_future *f);

/* The same, when it may be there already: before all others, where there is always room.  0 or
   -ENOMEM. */
int prongi_task_put_first(struct prong_pool *pool, const struct prong_future *f);

/* Put right what dead members have left.  Return how many records are neither free nor over. */
uint64_t prongi_sweep(struct prong_pool *pool);

/* Call visit for each record. */
void prongi_each_task(struct prong_pool *pool,
		      void (*visit)(struct prong_pool *, struct prong_future *, void *), void *ctx);

static inline uint64_t prongi_task_look(const struct prong_future *f)
{
	/* seq_cst: pairs with prongi_task_step(). */
	return atomic_load_explicit(&f->state, memory_order_seq_cst);
}

static inline bool prongi_task_step(struct prong_future *f, uint64_t *from, uint64_t to)
{
	/* seq_cst: pairs with itself and with prongi_task_look(): who sees a state sees what was
	   written before it, and who says that he waits is seen, or sees the end. */
	return atomic_compare_exchange_strong_explicit(&f->state, from, to, memory_order_seq_cst,
						       memory_order_seq_cst);
}

/* --- waiting (future.c) --------------------------------------------------------------------- */

bool prongi_future_is(const struct prong_future *f);

/* Let the pool's word `thens' change when f is done; it may be done already. */
void prongi_future_watch(struct prong_future *f);

/* The pool's process has ended, and its workers with it: so is f, now. */
void prongi_future_lose(struct prong_pool *pool, struct prong_future *f);

/* The calling thread waits for tasks of the pool, from begin to end: if it is a worker of it, which
   begin returns, it does not count as one meanwhile.  NULL is fine. */
struct prongi_worker *prongi_wait_inside_begin(struct prong_pool *pool);
void prongi_wait_inside_end(struct prong_pool *pool, struct prongi_worker *w);

/* The same, of a pool of threads, and for f alone, which has not begun: run it, if who waits until
   the deadline may do that.  True: f is done. */
bool prongi_wait_inside_run(struct prong_future *f, prong_time deadline);

/* --- callbacks (then.c) --------------------------------------------------------------------- */

/* All tasks of the pool are over: return when this process's callbacks of them are called. */
void prongi_then_finish(const struct prong_pool *pool);

/* --- handing in (submit.c) ------------------------------------------------------------------- */

struct prongi_ask {
	prong_fn *fn;
	const void *arg;
	size_t size;
	const prong_task_opts *opts; /* NULL: the pool's */
	bool held;                   /* it gets a future */
	uint64_t index;
};

int prongi_ask_check(const struct prongi_ask *ask, const char *what);

/* The same as prong_pool_submit() with what has been checked. */
int prongi_submit(struct prong_pool *pool, struct prong_future **out, const struct prongi_ask *ask);
int prongi_task_opts_check(const prong_task_opts *o, const char *what);

/* --- running (run.c) ------------------------------------------------------------------------ */

/* What the calling thread runs, and what it was in when it began that. */
struct prongi_running {
	struct prong_pool *pool;
	struct prongi_worker *worker; /* NULL: the caller itself, in a sequential pool */
	struct prong_future *task;
	struct prongi_running *outer;
	uint32_t attempt; /* of the task, or of the item of a map that is in hand; and its bytes */
	uint64_t size;
};
extern _Thread_local struct prongi_running *prongi_running
	__attribute__((tls_model("initial-exec")));

/* Run f, which is RUNNING by w, to its end.  Return whether it had been told to end. */
bool prongi_task_run(struct prong_pool *pool, struct prongi_worker *w, struct prong_future *f);

/* A task has ended so outside of workers. */
static inline void prongi_count_here(struct prong_pool *pool, enum prongi_task phase)
{
	atomic_fetch_add_explicit(&pool->here[phase - PRONGI_TASK_DONE], 1, memory_order_relaxed);
}

/* The calling worker is being killed. */
void prongi_await_the_end(void);

/* End f, whose state was seen as from, with that phase; tell who waits, or free it.  Return what
   its state was; 0: it is another by now.  By: the number of the worker that has run it, or 0. */
uint64_t prongi_task_end_by(struct prong_pool *pool, struct prong_future *f, uint64_t from,
			    enum prongi_task phase, uint32_t by);
static inline uint64_t prongi_task_end(struct prong_pool *pool, struct prong_future *f,
				       uint64_t from, enum prongi_task phase)
{
	return prongi_task_end_by(pool, f, from, phase, 0);
}

/* Store in *out who runs f, which is in state v, or ran it to its end, and how long, as far as that
   is known. */
void prongi_task_who_ran(const struct prong_pool *pool, const struct prong_future *f, uint64_t v,
			 prong_report *out);

/* --- the pool (pool.c) ---------------------------------------------------------------------- */

static inline enum prongi_pool_phase prongi_pool_phase(const struct prong_pool *pool)
{
	/* seq_cst: pairs with prongi_pool_raise(), and with the supervisor's look at all tasks. */
	return (enum prongi_pool_phase)atomic_load_explicit(&pool->phase, memory_order_seq_cst);
}

/* Whatever is there, it is a pool. */
bool prongi_pool_is(const struct prong_pool *pool);

/* 0, or -EINVAL with words. */
int prongi_pool_check(const struct prong_pool *pool, const char *what);

/* Have the pool at that phase at least, and tell all. */
void prongi_pool_raise(struct prong_pool *pool, enum prongi_pool_phase phase);

/* Call the supervisor. */
void prongi_pool_ring(struct prong_pool *pool);

/* Wake all workers who have nothing to do: something has changed that concerns them. */
void prongi_pool_rouse(struct prong_pool *pool);

static inline struct prongi_worker *prongi_worker_at(const struct prong_pool *pool, uint32_t i)
{
	/* acquire: pairs with the release of alloc_to. */
	uint64_t at =
		atomic_load_explicit(&pool->place[i / PRONGI_PLACE_CHUNK], memory_order_acquire);

	return (struct prongi_worker *)(uintptr_t)((at + 63) & ~(uint64_t)63) +
	       i % PRONGI_PLACE_CHUNK;
}

/* The process that opened it lives. */
static inline bool prongi_pool_lives(const struct prong_pool *pool)
{
	return prongi_process_lives(pool->owner, NULL);
}

/* --- the supervisor (supervise.c, settle.c) ------------------------------------------------- */

/* The life of the supervisor; returns when the pool has ended. */
void prongi_supervise(struct prong_pool *pool);

/* Start one more worker.  0, or why not.  By the supervisor, or before there is one. */
int prongi_hire(struct prong_pool *pool);

/* w has ended: see to the task that it had.  True: it is DELAYED now. */
bool prongi_settle_worker(struct prong_pool *pool, struct prongi_worker *w,
			  const struct prongi_worker_end *end);

/* Keep it among the letters, if it is of a task that crashed or overran. */
void prongi_report_task(struct prong_pool *pool, const prong_report *report);

/* Put what is due of the DELAYED.  Return when the next one is; 0: there is none. */
int64_t prongi_put_delayed(struct prong_pool *pool);

/* All tasks that are not over end with that. */
void prongi_end_all(struct prong_pool *pool, enum prongi_task phase);

#endif
