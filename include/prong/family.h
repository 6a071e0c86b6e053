/* A program and all the processes it starts are a family.  It owns one heap,
   mapped at the same address in every member (see heap.h), and one server, the
   parent of all its processes: it starts them, sees them end, and repairs what
   they leave.  The server runs none of the program's code, costs nothing while
   nothing happens, and ends with the last process that could need it.

   prong_open() makes the family.  Call it first in main, while the program is
   small and has one thread: each process begins as a copy of what the program
   was then.  Pointers to functions, string literals and constants mean the same
   in every member; a variable has, in each process, the value it had at
   prong_open(), and is that process's own from then on.  Without prong_open() the
   first use of prong opens the family, if it still can.

   A process that the program makes with plain fork() joins the family at its
   first prong call, as a second beginning of it: its life is its own, and the
   processes of the one it is a copy of are not its children.

   The program's own wait(), waitpid() and SIGCHLD never see a process of prong's.

   Checking mode: with opts.check, or where prong was built with -Dcheck=true, three mistakes that
   have no result of their own are reported, by one line on the standard error stream and an error
   of the call: a mutex or its like outside the heap that two processes use, each its own copy; a
   pointer to what is the starter's alone in the argument of a process; a block that is freed
   while somebody sleeps or holds a mutex in it, or an object in it that was used before and is used
   after that.  What cannot be told for certain is reported: a variable that each process is meant
   to have for itself, too.  What only looks returns false or 0 then.  Not each mistake is found:
   about a thousand objects are remembered, and those that nobody has used yet are unknown.

   Trust: members may write each other's memory; a wild pointer in one can harm
   all.  What comes from outside the family is never trusted.

   Example:
	int main(void)
	{
		int r = prong_open(NULL);
		if (r)
			errx(1, "%s: %s", prong_strerror(r), prong_error_detail());
		...
	}                                                                     */
#ifndef PRONG_FAMILY_H
#define PRONG_FAMILY_H

#include <prong/deadline.h>
#include <prong/error.h>

PRONG_BEGIN_DECLS

/* All-zero means the defaults. */
typedef struct prong_family_opts {
	size_t heap_size;      /* bytes of address space, used only as needed.  0: the least
				  of 64 GiB, 4 x the memory, a quarter of RLIMIT_AS; under
				  valgrind, which reads all of it for leaks, 256 MiB.
				  Rounded up to 2 MiB; at least 64 MiB of it are prong's own */
	int64_t exit_ms;       /* at the program's end daemons get SIGTERM, and SIGKILL after
				  this many milliseconds.  0: 2000; negative: SIGKILL at once */
	bool check;            /* turn the checking mode on, for all that begin from now on */
	uint64_t reserved_[5]; /* must be zero */
} prong_family_opts;

/* Open the family: map its heap and fork its server.  opts may be NULL.  Where the
   family is open already, by this or an earlier program stage, and its server
   lives, this does nothing.  Only the process that is the program itself may call
   it, and any thread; but see PRONG_NOSERVER.
   Return 0;
   PRONG_NOSERVER  other threads run, which a fork would cut off in the middle of
                   whatever they do.  The heap is there, threads and locks work,
                   and prong_process_start() returns this too.  Or another process
                   of the family opens or closes it, and did not come to an end of
                   that within 15 s;
   -EADDRINUSE     every address for the heap is taken; the detail names them;
   -EINVAL         a reserved field is set, or heap_size is too small or too large;
   -ENOMEM, -EMFILE, -ENFILE, -EAGAIN   the system refused memory, a descriptor or
                   a process. */
PRONG_MUST int prong_open(const prong_family_opts *opts);

/* End the family's processes and its server, as the end of the program would:
   join children, terminate daemons (see prong_family_opts), then wait until the
   server is gone.  The heap stays, with all that is in it.  A program that gives up
   privileges closes, gives them up, and opens again.
   Return 0; PRONG_TIMEDOUT when children still run at the deadline, and nothing
   else was done; -EPERM when the caller is not the process that opened it. */
PRONG_MUST int prong_close(prong_time deadline);

typedef struct prong_family_stats {
	uint64_t heap_size;      /* bytes of address space */
	uint64_t heap_committed; /* bytes that have memory behind them */
	uint64_t heap_used;      /* bytes in blocks now, with their headers */
	uint64_t heap_peak;      /* the most heap_used and heap_cached together have been */
	uint64_t blocks;         /* allocated now */
	uint64_t started;        /* processes ever started */
	uint64_t deaths;         /* processes seen to end */
	uint32_t processes;      /* alive now, with the program itself */
	uint32_t threads;        /* slots taken now: threads that use prong */
	uint64_t servers;        /* servers forked: above 1 when one was lost */
	uint64_t heap_cached;    /* bytes in free blocks that are kept ready for threads */
	uint64_t heap_returned;  /* bytes given back to the system so far */
	uint64_t reserved_[5];
} prong_family_stats;

/* Store the family's figures in *out: each is right, but not all at one moment.
   All-zero where there is no family.  Never opens it. */
PRONG_API void prong_family_stat(prong_family_stats *out);

/* Return how many processors this process may use: the least of the machine's,
   the affinity mask's and the control group's quota, rounded up; at least 1. */
PRONG_API int prong_cpu_count(void);

PRONG_END_DECLS
#endif
