/* The seam: all that prong needs of a system.  One set of files per system implements it; the
   build picks them.  Nothing outside this folder includes a header that one system alone has.

   Results are 0 or -errno unless said otherwise.  "Quiet" means that the program around us can
   not notice: no signal is sent, no wait() returns, no descriptor stays. */
#ifndef PRONGI_OS_H
#define PRONGI_OS_H

#include "private.h"
#include <prong/deadline.h>
#include <prong/error.h>
#include <prong/process.h>
#include <signal.h>
#include <stdatomic.h>

/* --- waiting (linux_futex.c) ------------------------------------------------------------ */

/* Block until somebody wakes word, it differs from seen, or the deadline passes.  Return 0 for
   the first two, also when it is not known which; PRONG_TIMEDOUT.  A signal does not end it.
   shared: the word lies in the heap, and other processes may wake it. */
int prongi_os_wait(_Atomic uint32_t *word, uint32_t seen, prong_time deadline, bool shared);

/* The same, as these bits, and the wake of one who waits as one of them, or as anybody.  Return how
   many that were. */
int prongi_os_wait_as(_Atomic uint32_t *word, uint32_t seen, prong_time deadline, bool shared,
		      uint32_t bits);
int prongi_os_wake_as(_Atomic uint32_t *word, uint32_t bits, bool shared);

/* The same, but any signal ends it. */
void prongi_os_wait_or_signal(_Atomic uint32_t *word, uint32_t seen, prong_time deadline);

/* A word that somebody sleeps on together with others, and the value that it had. */
struct prongi_awaited {
	_Atomic uint32_t *word;
	uint32_t seen;
	bool shared; /* as above */
};

/* As prongi_os_wait() on all n words at once.  Where the system cannot do that, or not for so many
   (Linux: before 5.16, or above 128), it looks at them every few milliseconds. */
int prongi_os_wait_any(const struct prongi_awaited *a, size_t n, prong_time deadline);

/* poll() until one of the n is ready or the deadline passes, whatever signals arrive.  Return how
   many are ready; -errno (linux_poll.c). */
struct pollfd;
int prongi_os_poll(struct pollfd *fds, size_t n, prong_time deadline);

/* A descriptor that polls readable while it rings. */
int prongi_os_bell_new(void);
void prongi_os_bell(int fd, bool rings);

/* prongi_os_wake() wakes up to n waiters of word, and returns how many there were; in signal
   handlers too.  See private.h. */

/* Block until the deadline, however many signals arrive (deadline.c). */
void prongi_os_sleep(prong_time deadline);

/* Let others run on this processor first. */
void prongi_os_yield(void);

/* Nanoseconds of a clock that never jumps. */
int64_t prongi_os_now(void);

/* Tell the processor that this is a spin loop. */
static inline void prongi_os_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

/* Have the line at p soon, to write to it. */
static inline void prongi_os_prefetch_write(const void *p)
{
#if defined(__x86_64__)
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/* --- memory (linux_memory.c) ------------------------------------------------------------- */

/* Bytes of address space that a heap takes by default under this process's limits. */
size_t prongi_os_heap_default(void);

/* Map size bytes of shared anonymous memory, all zero and not yet backed, at the first free
   address of this architecture's list; not part of core dumps.  Store the address.
   -EADDRINUSE: all are taken. */
int prongi_os_heap_map(void **base, size_t size);
void prongi_os_heap_unmap(void *base, size_t size);

/* Put memory behind [at, at + size), or say -ENOMEM.  Repeatable. */
int prongi_os_heap_commit(void *at, size_t size);

/* Take the memory away that lies behind the whole pages in [at, at + size): they are zero when they
   get some again.  Repeatable. */
int prongi_os_heap_give_back(void *at, size_t size);

/* Let the next forks of this process inherit the heap, or not. */
int prongi_os_heap_inherit(void *base, size_t size, bool yes);

/* Bytes of memory that this process alone has; 0: the system does not say. */
uint64_t prongi_os_private_bytes(void);

/* Store how much of process pid is in memory, and how much that was at most.  False: it is not
   known. */
bool prongi_os_resident(int pid, uint64_t *bytes, uint64_t *peak);

/* An array of size zero bytes, which forked processes have to drop: it costs the fork nothing, but
   is in their address space, and valgrind would read all of it at their end. */
void *prongi_os_private(size_t size);
void prongi_os_private_drop(void *p, size_t size);

/* --- processes (linux_process.c) ---------------------------------------------------------- */

int prongi_os_pid(void);
int prongi_os_tid(void);

/* How many threads this process has; a sanitizer's own are not counted. */
int prongi_os_threads(void);

/* So many of them more, or fewer, are prong's own as of now, and not counted either. */
void prongi_os_threads_own(int n);

/* None of them is in this process: it was forked. */
void prongi_os_threads_forget(void);

/* Fork a child whose end is told to nobody, only to prongi_os_reap_quiet().  Return its pid, 0 in
   the child, -errno.  The child may call fork(), _exit() and what signal handlers may. */
int prongi_os_fork_quiet(void);
int prongi_os_reap_quiet(int pid, bool block);

/* fork() with all that the C library does.  Return its pid, 0 in the child, or -errno.  Await the
   end of such a child. */
int prongi_os_fork(void);
void prongi_os_await(int pid);

/* Die by signal sig when the process that forked this one does.  parent is its pid: when it is
   gone already, return -ESRCH. */
int prongi_os_die_with(int parent, int sig);

/* Do not, as of now. */
void prongi_os_live_on(void);

/* The process is asleep in the kernel, and a signal would wake it. */
bool prongi_os_asleep(int pid);

/* Become the parent of orphaned descendants. */
void prongi_os_adopt_orphans(void);

/* Kill each child of this process for which known() says false; return how many there were. */
int prongi_os_kill_strangers(bool (*known)(int pid));

/* Set what ps shows for the calling thread. */
void prongi_os_set_title(const char *title);

/* Send sig to the process pid if check(ctx) still says, once pid cannot change its bearer, that it
   is the right one.  For signal handlers too. */
int prongi_os_signal(int pid, int sig, bool (*check)(const void *ctx), const void *ctx);

/* A descriptor that polls readable when process pid has ended.  -ESRCH: no such process. */
int prongi_os_pidfd(int pid);

/* A descriptor that polls readable at once. */
int prongi_os_ready_fd(void);

/* True when process pid has ended, be it still to be reaped. */
bool prongi_os_ended(int pid);

/* How a child ended. */
struct prongi_end {
	int pid;
	int code;      /* exit code, when signal is 0 */
	int signal;
	bool core;
	bool stopped;  /* it has not ended: it was stopped */
	uint64_t peak_rss;
};

/* Look for a child that ended or was stopped; leave it as it is.  0: found; -EAGAIN: none now;
   -ECHILD: no children.  block: wait for one. */
int prongi_os_child_peek(struct prongi_end *end, bool block);

/* Take leave of an ended child that peek found; completes *end. */
void prongi_os_child_reap(struct prongi_end *end);

/* At the end of this process, after all handlers that were or will be registered from now on, call
   ends(code) instead of those registered before: where the C library tells the code; else ends(-1),
   and the earlier ones run too. */
int prongi_os_at_exit(void (*ends)(int code));

/* Make descriptor from be number to, kept over exec(); from may be it already. */
int prongi_os_fd_move(int from, int to);

void prongi_os_fd_close(int fd);

/* A duplicate of fd that is at least least, closed on exec(). */
int prongi_os_fd_above(int fd, int least);

/* Close all descriptors from first on, but the n in keep (ascending). */
void prongi_os_close_from(int first, const int *keep, size_t n);

/* --- what a child takes over from its starter (linux_state.c) ----------------------------- */

/* Who the process is to the kernel: equal bytes mean equal rights. */
struct prongi_creds {
	uint32_t ids[6];            /* real, effective, saved; users, then groups */
	uint32_t ngroups;
	uint32_t secure;            /* no_new_privs, seccomp mode, securebits */
	uint32_t filters;           /* of seccomp */
	uint32_t filters_unknown;   /* there are, and the kernel does not say how many */
	uint64_t groups;            /* a hash of the list */
	uint64_t caps[6];
	uint64_t root[2], ns[8];    /* inodes */
};

#define PRONGI_CPU_WORDS  16 /* of 64 processors */
#define PRONGI_LIMITS     16

/* How the process is treated.  The umask and the signal mask are not here: they are set in each
   child, since reading costs as much as setting. */
struct prongi_manner {
	uint64_t cpus[PRONGI_CPU_WORDS];
	uint64_t limits[PRONGI_LIMITS][2];
	int64_t nice;
};

/* Which files descriptors 0 to 2 are: as good as can be told without asking the kernel to
   compare. */
struct prongi_stdio_id {
	uint64_t file[3][4];
};

/* True when this thread may run on more than one processor. */
bool prongi_os_many_processors(void);

int prongi_os_creds(struct prongi_creds *creds);
void prongi_os_manner(struct prongi_manner *manner);
int prongi_os_manner_set(const struct prongi_manner *now, const struct prongi_manner *old);
/* 1 when 0 to 2 are the same open files, position and all, as in process pid, which had id; 0 when
   not; -ESRCH: there is no such process. */
int prongi_os_stdio_same(int pid, const struct prongi_stdio_id *id);
void prongi_os_stdio_id(struct prongi_stdio_id *id);
uint32_t prongi_os_umask(void);
int prongi_os_limit_set(int resource, uint64_t soft, uint64_t hard);
bool prongi_os_limit_known(int resource);

/* --- handing over descriptors (linux_fds.c) ------------------------------------------------ */

#define PRONGI_FDS 253 /* the most that one message carries */

/* Listen where only the address, 16 bytes, leads to.  Return the descriptor. */
int prongi_os_listen(unsigned char address[16]);

/* Send n descriptors and word to the listener at address, if it is process server. */
int prongi_os_send_fds(const unsigned char address[16], int server, uint64_t word, const int *fds,
		       size_t n);

/* Take one parcel from the listener: the descriptors, close-on-exec, and the word.  Return how
   many; -EAGAIN when none is there, -EMFILE when only the word could be taken, -EPROTO when it
   is none of
   ours.  *pid is the sender. */
int prongi_os_receive_fds(int listener, uint64_t *word, int *fds, int *pid);

/* --- for the checking mode (linux_check.c) -------------------------------------------------- */

/* True when the address is that of a variable of the program or of a library. */
bool prongi_os_is_variable(const void *address);

/* True when one of the words is an address in memory that is this process's alone and writable;
   then store which and, in text, what kind of memory. */
bool prongi_os_find_private(const uint64_t *words, size_t count, size_t *which, char *text,
			    size_t n);

/* Name the place of an instruction in a way that a debugger takes: "file+0x12". */
void prongi_os_describe(const void *code, char *text, size_t n);

/* The calling thread's name, as the system's tools show it. */
void prongi_os_thread_name(char *text, size_t n);

/* --- crashes (linux_crash.c, linux_unwind.c, linux_symbols.c) -------------------------------- */

/* Registers as the debugging format numbers them, and last the place of the instruction. */
#if defined(__x86_64__)
#define PRONGI_REGS   17
#define PRONGI_REG_SP 7
#elif defined(__aarch64__)
#define PRONGI_REGS   33
#define PRONGI_REG_SP 31
#else
#define PRONGI_REGS   2
#define PRONGI_REG_SP 0
#endif
#define PRONGI_STACK 32768 /* bytes of a stack that are kept */

/* What a process leaves that a signal kills.  In the heap; by the starter where it says so, else by
   the dying thread. */
struct prongi_crash {
	_Atomic uint32_t whole; /* the signal, when the rest is there.  0: nothing is */
	uint32_t modules;	/* files that were loaded before it was forked.  The starter */
	uint32_t size;		/* of stack */
	bool has_address;
	bool first_thread;	/* it was the process's first */
	uint64_t address;	/* that a fault was about */
	uint64_t bottom;	/* of the first thread's stack, below which it is the library's.
				   That thread, at its beginning */
	uint64_t reg[PRONGI_REGS];
	uint64_t base;		/* where stack[0] was */
	unsigned char stack[PRONGI_STACK];
};

/* Have the signals that mean a crash leave word in *to, which is zero but for modules, and then do
   what they did before.  For the process, and the calling thread's alternate stack. */
void prongi_os_crash_catch(struct prongi_crash *to);

/* From now on nothing is written there any more.  False: the process is dying of a signal. */
bool prongi_os_crash_close(void);

/* In such a process, give the calling thread an alternate stack for its handlers, without which
   they cannot tell of an overflow; and take it back. */
void prongi_os_crash_thread(void);
void prongi_os_crash_thread_end(void);

/* How many files this process has loaded. */
uint32_t prongi_os_modules(void);

/* Walk the stack that c has: store where it was, where that was called, and so on, in frame; return
   how many, at most most.  Of a place that is in no file that both processes have loaded, only the
   address is known: it has PRONGI_UNKNOWN set. */
#define PRONGI_UNKNOWN ((uint64_t)1 << 63)
uint32_t prongi_os_unwind(const struct prongi_crash *c, uint64_t *frame, uint32_t most);

/* Name the n places of a stack, each "function+0x12 (file)", "file+0x345" or "0x6789". */
#define PRONGI_PLACE 160
void prongi_os_symbols(const uint64_t *frame, uint32_t n, char (*name)[PRONGI_PLACE]);

/* --- the guard's eyes (linux_watch.c) ------------------------------------------------------ */

#define PRONGI_WATCHED 16385 /* every process that a family can have, and its server */

/* A process that is watched: its number, 0 for none, and its pidfd, -1 where there is no such
   thing. */
struct prongi_watched {
	int pid, fd;
	bool ended;
};

/* Begin to watch process pid.  -ESRCH: it has ended. */
int prongi_os_watch_begin(struct prongi_watched *w, int pid);

/* Block until one of the n has ended, or SIGCHLD arrives; say in each whether it has. */
void prongi_os_watch(struct prongi_watched *w, int n);

#endif
