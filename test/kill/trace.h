/* The kill harness's seam to ptrace and to the processor: one file per processor implements what
   is under "of the processor"; the rest is Linux's, in trace.c.

   A traced process is named by its pid.  The harness is its tracer and its parent. */
#ifndef KILL_TRACE_H
#define KILL_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* --- of the processor --------------------------------------------------------------------- */

/* Markers: a traced process that calls one of them stops in it.  What is between them is the
   operation under test.  Each is two instructions: a trap, and a return. */
void kill_begin(void);
void kill_end(void);

uint64_t trace_pc(pid_t pid);
void trace_set_pc(pid_t pid, uint64_t pc);

/* The address of the trap that pid has just run into. */
uint64_t trace_trap(pid_t pid);

/* Put a trap at the address, and return what was there; put that back. */
long trace_break(pid_t pid, uint64_t at);
void trace_unbreak(pid_t pid, uint64_t at, long was);

/* Stop pid before it executes the instruction at the address, each time, by a register of the
   processor: what pid forks does not inherit that.  0: no more. */
void trace_watch(pid_t pid, uint64_t at);

/* True when the instruction at the address enters the kernel. */
bool trace_is_syscall(pid_t pid, uint64_t at);

/* Number of the system call that pid has been stopped at the entry of. */
long trace_syscall_number(pid_t pid);

/* Length of the instruction at code, of which size bytes may be read; 0: not known. */
size_t trace_instruction_length(const uint8_t *code, size_t size);

/* Whether the instruction may touch memory that others see, or enters the kernel: for one that does
   not, nobody can tell whether it has been executed.  The stack, thread-local data and what is at
   a fixed place of the program are a process's own. */
bool trace_instruction_reaches(const uint8_t *code, size_t size);

/* --- of Linux ----------------------------------------------------------------------------- */

/* How a traced process came to rest. */
enum trace_rest {
	TRACE_TRAP,	/* a marker, a trap or a single step */
	TRACE_SYSCALL,	/* the entry or the exit of a system call */
	TRACE_SIGNAL,	/* another signal, not delivered yet */
	TRACE_GONE,	/* it has ended and was reaped */
	TRACE_ASLEEP,	/* it runs on, asleep in the kernel */
	TRACE_BUSY	/* it runs on, past the time it had */
};

struct trace_event {
	enum trace_rest rest;
	int status; /* as waitpid() gave it */
};

/* Start the clock that the limits below are kept by. */
void trace_open(void);

/* Fork a process that runs body(arg) and exits with its result.  It dies with the harness.
   traced: it stops in each marker that it calls. */
pid_t trace_fork(int (*body)(void *arg), void *arg, bool traced);

/* Wait until pid, which is traced, stops in kill_begin(). */
void trace_adopt(pid_t pid);

/* Trace pid, which is not a child of the harness, as it runs.  forks: what it forks, too. */
void trace_seize(pid_t pid, bool forks);

/* Let pid, traced with its forks, go on until it has forked; return the child, which is traced too
   and about to stop, or 0.  And: trace its forks no more. */
pid_t trace_forked(pid_t pid, int ms);
void trace_no_forks(pid_t pid);

/* Stop pid, which was seized, wherever it is. */
void trace_interrupt(pid_t pid);

void trace_step(pid_t pid, int signal);
void trace_continue(pid_t pid, int signal);
void trace_to_syscall(pid_t pid);
void trace_detach(pid_t pid, int signal);

/* Wait for pid to rest, ms milliseconds at most.  sleeps: see whether it sleeps, too. */
struct trace_event trace_wait(pid_t pid, int ms, bool sleeps);

/* Wait for any child to rest; return its pid, or 0 after ms milliseconds. */
pid_t trace_wait_any(int ms, struct trace_event *event);

/* True when pid, which is not stopped, sleeps in the kernel. */
bool trace_asleep(pid_t pid);

/* Kill pid and reap it. */
void trace_kill(pid_t pid);

/* The harness cannot go on: say why, and exit with 2. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Milliseconds of the monotonic clock. */
int64_t now_ms(void);

#endif
