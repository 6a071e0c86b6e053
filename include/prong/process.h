/* A prong_process is a process that runs one function of this same program, on its
   own copy of the argument.

   Life cycle:
      1. prong_process_start() starts it;
      2. prong_process_join() waits for its end and says how it ended;
      3. prong_process_free() lets go of the handle.
   The handle lies in the family's heap: any member may ask it anything, wait for
   it and signal it, until the process that started it has freed it or ended.

   Where a process comes from: the family's server forks it, from a copy of the
   program as it was at prong_open().  So it costs the same and is as safe whatever
   the caller has become: large, or full of threads.  It gets
      from the server: memory, signal dispositions and environment, as they were;
      from the caller, as they are: descriptors 0 to 2, working directory, umask,
      nice value, processors, resource limits, the calling thread's signal mask;
      and what the options say.  All other descriptors are closed in it.
   Its parent for the system is the server; prong_process_parent() is the truth.  The
   caller gets no SIGCHLD for it, and wait() never returns it.

   How it ends: by returning from its function, which is as exit() with that result:
   what it registered itself with atexit() runs, not what the program had registered
   before, its standard streams are flushed, and its threads end with it.  Before
   that it joins its own children.  Whoever started it and ends takes it along:
   exit() joins children and terminates daemons; a killed process takes its children
   with it at once.

   Example:
	static int greet(void *arg)
	{
		printf("hello, %s\n", (const char *)arg);
		return 0;
	}
	...
	prong_process *p = NULL;
	int code, r = prong_process_start(&p, greet, "world", 6, NULL);
	if (r == 0)
		r = prong_process_join(p, &code, PRONG_FOREVER);
	prong_process_free(p);                                                */
#ifndef PRONG_PROCESS_H
#define PRONG_PROCESS_H

#include <prong/deadline.h>
#include <prong/report.h>

PRONG_BEGIN_DECLS

typedef struct prong_process prong_process;
struct prong_group;
struct prong_queue;

enum prong_start_method {
	PRONG_FORKSERVER = 0, /* from the family's server; safe with threads */
	PRONG_FORK            /* a copy of the caller with all its memory, which must have
				 one thread.  Costs what the caller weighs.  Where other
				 threads, forced or a pool's, hold locks of the C library
				 just then it takes 0.1 s more, and the caller gets one
				 SIGCHLD, of a child in between that is waited for here */
};

enum prong_stdio_kind {
	PRONG_INHERIT = 0, /* the caller's */
	PRONG_DISCARD,     /* /dev/null */
	PRONG_FD,          /* a descriptor of the caller's */
	PRONG_PATH         /* a file: read for in, created and appended to for out and err */
};

typedef struct prong_stdio {
	enum prong_stdio_kind kind;
	int fd;           /* PRONG_FD: borrowed */
	const char *path; /* PRONG_PATH */
} prong_stdio;

typedef struct prong_limit {
	int resource;        /* RLIMIT_AS, RLIMIT_CPU, ... */
	uint64_t soft, hard; /* as for setrlimit(); UINT64_MAX: none */
} prong_limit;

/* All-zero means the defaults.  Everything is copied. */
typedef struct prong_process_opts {
	const char *name;               /* NULL: "Process-1", "Process-2", ...; those that
					   Process-1 starts: "Process-1:1", ...  63 bytes are
					   kept; ps and top show 15 */
	enum prong_start_method method; /* PRONG_FORKSERVER */
	bool force;                     /* PRONG_FORK in spite of other threads */
	bool daemon;                    /* terminated, not joined, when the caller exits; may
					   start no processes */
	bool new_session;               /* it calls setsid() first */
	bool trace;                     /* if it crashes its report has the stack: it gets handlers
					   for SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT and SIGSYS,
					   which then do what was done before */
	const int *fds;                 /* descriptors it gets, under the same numbers, all
					   above 2 */
	size_t nfds;                    /* at most 250 */
	const char *const *env;         /* "NAME=value" to set, "NAME" to unset; ends with NULL */
	const char *cwd;                /* NULL: the caller's */
	prong_stdio in, out, err;
	const prong_limit *limits;      /* set last of all, beside the caller's */
	size_t nlimits;                 /* at most 16 */
	struct prong_queue *writes[4];  /* it counts as a writer of these until it has ended */
	struct prong_group *group;      /* it belongs to this, which then has its handle: group.h */
	void *tag;                      /* for what group hands out */
	uint64_t reserved_[4];          /* must be zero */
} prong_process_opts;

/* Start a process that calls fn on a copy of the size bytes at arg, or with size 0 on
   arg itself (see prong_fn), and store it in *out.  When fn returns 0 to 255 that is
   its exit code; after any other result the code is 1.  opts may be NULL.  Any
   thread may call this; it returns when the process has its number and all that
   opts ask for is done.
   Return 0;
   PRONG_NOSERVER   the family was opened too late, see prong_open();
   PRONG_PRIVILEGE  the caller's ids, groups, capabilities, securebits, no_new_privs,
                    seccomp filters, namespaces or root are not those it had at
                    prong_open(): see prong_close().  What a Landlock ruleset, a profile
                    of AppArmor or a cgroup forbids is not compared: set it before;
   -EINVAL  out or fn is NULL, or an option is not valid: the detail names it;
   -EFAULT  size is 0 and arg is neither NULL nor in the heap, or arg is NULL and
            size is not 0; in the checking mode, see family.h, also: with
            PRONG_FORKSERVER arg's bytes hold a pointer to what is the caller's alone;
   -EBADF   a descriptor to pass is not open;
   -EBUSY   PRONG_FORK, not forced, in a process with other threads;
   -EPERM   the caller is a daemon;
   -EAGAIN, -ENOMEM, -ENOSPC, -EMFILE   the system's or the family's limits;
   and what chdir(), open(), setrlimit() or setsid() said in the new process. */
PRONG_MUST int prong_process_start(prong_process **out, prong_fn *fn, const void *arg,
				   size_t size, const prong_process_opts *opts);

/* Block until p has ended and been cleaned up after.  If code is not NULL store 0, its
   exit code, or the negative number of the signal that killed it.  Any member may
   join, and again.  When p has ended and only the server has not said so yet, this
   waits up to half a second beyond the deadline for it.
   Return 0; PRONG_TIMEDOUT (it is alive), PRONG_DEADLOCK (p is the caller),
   PRONG_CANCELLED (the caller is, see group.h), -EINVAL (p is NULL or freed). */
PRONG_MUST int prong_process_join(prong_process *p, int *code, prong_time deadline);

/* Send signal sig to p: SIGINT interrupts, SIGTERM asks it to end, SIGKILL ends it.
   Does nothing to a process that has ended, and never reaches a stranger that got
   its number.  May be called in a signal handler.
   Return 0; -EINVAL (p, or no such signal), -EPERM. */
PRONG_API int prong_process_signal(prong_process *p, int sig);

/* Return true from start until join would return 0. */
PRONG_API bool prong_process_alive(const prong_process *p);

/* Return p's name; NULL means the calling process.  Valid as long as p.  The
   program itself is "MainProcess". */
PRONG_API const char *prong_process_name(const prong_process *p);

/* Return p's number; NULL means the calling process. */
PRONG_API int prong_process_pid(const prong_process *p);

/* Store who p is and how it ended, or that it runs, in *out. */
PRONG_API void prong_process_report(const prong_process *p, prong_report *out);

/* Return a new descriptor that polls readable when p has ended; the caller closes
   it.  Negative: -errno. */
PRONG_MUST int prong_process_fd(const prong_process *p);

/* Return the calling process; and the one that started it, or NULL in the program
   itself and in what it made with plain fork().  NULL also without a family. */
PRONG_API prong_process *prong_process_self(void);
PRONG_API prong_process *prong_process_parent(void);

/* Store up to max living children of the calling process in out; return how many
   there are. */
PRONG_API size_t prong_process_children(prong_process **out, size_t max);

/* Let go of p, which the caller's process started.  One that still runs goes on, as
   a child without a handle.  NULL is fine. */
PRONG_API void prong_process_free(prong_process *p);

PRONG_END_DECLS
#endif
