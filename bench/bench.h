/* Measure prong beside its peers.

   How to read the figures.  Absolute times say little: the cost of a wake and of a cache line
   between two processors drifts by a factor of eight within seconds on virtual machines, and each
   machine has its own.  So every case has a floor, the least that any implementation could take
   here, probed before and after each subject of each repetition.  The column ratio is the median,
   over the repetitions, of value / floor of that same moment.
      Times (ns, us): less is better; a ratio of 1.0 would be the floor itself.
      Rates (M/s): more is better; a ratio of 1.0 would be the limit itself.
      Fairness is min / max of what two rivals got: 1 is even.
      Rows "prong : x" (unit "times") are prong's figure divided by the best of the peers named in
      the same repetition; for times less is better, for rates more.
   Nothing here passes or fails by time: the figures are for people.  With fewer repetitions than
   the usual ten each of them also does less (10,000 in a row become 1,000 with --reps 1), so that a
   short run is short; with more, each stays as it is.

   How it works.  A case is a floor and a list of subjects that are run in turn, repetition by
   repetition.  Peers run in a process of their own, the agent, forked before the family is opened:
   it stays small, has one thread but for the case's own, and never touches prong.  A subject pushes
   the values that it measured, one or more in a run, into channels; a metric makes a row of them.

   What is not here: any test of prong, and any system but Linux (linux.c has what is special). */
#ifndef BENCH_H
#define BENCH_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	BENCH_CHANNELS = 3,
	BENCH_SUBJECTS = 16,
	BENCH_METRICS = 3,
	BENCH_VERSUS = 4,
	BENCH_VALUES = 1024, /* that one run may push into a channel */
	BENCH_REPS = 10      /* by default */
};

/* What one run of a subject measured. */
struct bench_out {
	unsigned n[BENCH_CHANNELS];
	double v[BENCH_CHANNELS][BENCH_VALUES];
};

typedef void bench_fn(const void *arg, struct bench_out *out);

struct bench_subject {
	const char *name; /* NULL ends a list */
	bench_fn *run;
	const void *arg;
	bool family;                  /* runs in the program itself, which has the family; else in
					  the agent */
	const char *(*missing)(void); /* NULL, or: why it cannot run, NULL when it can */
};

/* A row per subject: a quantile of all values in the channel. */
struct bench_metric {
	const char *name; /* its rows' case is "case-name"; NULL ends a list */
	const char *unit;
	unsigned channel;
	double quantile; /* 0: the median */
};

/* A row that divides one subject by the best of others, repetition by repetition. */
struct bench_versus {
	const char *name; /* NULL ends a list */
	unsigned metric;
	unsigned subject;
	unsigned against; /* metric of the peers */
	uint32_t peers;   /* bit i: subject i */
	bool more;        /* more is better */
};

struct bench_case {
	const char *name; /* NULL ends a list */
	unsigned reps;    /* at most so many when no more are asked for; 0: as all */
	struct bench_subject floor;
	struct bench_subject subjects[BENCH_SUBJECTS];
	struct bench_metric metrics[BENCH_METRICS + 1];
	struct bench_versus versus[BENCH_VERSUS + 1];
	const char *(*before)(void); /* returns why the case cannot run, or NULL */
	void (*after)(void);
};

extern const struct bench_case bench_process[], bench_thread[], bench_mutex[], bench_death[],
	bench_open[], bench_heap[], bench_sync[], bench_pipe[], bench_queue[], bench_codec[],
	bench_pool[], bench_connection[], bench_remote[], bench_manager[],
	bench_crowd[];

/* --- values (bench.c) ------------------------------------------------------------------------- */

void bench_push(struct bench_out *out, unsigned channel, double value);

/* Sort the n values and return the one that a share q of them does not exceed. */
double bench_quantile(double *v, size_t n, double q);

/* Push the median of the n values, which get sorted; nothing when n is 0. */
void bench_push_median(struct bench_out *out, unsigned channel, double *v, size_t n);

/* full in a run with the usual number of repetitions or more, proportionally less in a shorter
   one; at least 1, at most BENCH_VALUES when the values are kept one by one. */
unsigned bench_count(unsigned full);

/* --- rows (row.c) ----------------------------------------------------------------------------- */

/* NAN stands for a figure that there is not; name is copied. */
struct bench_row {
	char name[48], subject[104], unit[8];
	double median, min, max, floor, ratio;
};

/* Keep the row for the table and write it to the file. */
void bench_row_add(const struct bench_row *row);
void bench_rows_open(const char *path);
void bench_rows_print(void);

/* --- the run (bench.c) ------------------------------------------------------------------------ */

/* Ask for so many repetitions, before the agent is started. */
void bench_ask(unsigned reps);

/* Leave out the subjects whose names have the word in them, which stays the caller's; may be called
   some times. */
void bench_leave_out(const char *word);

/* Run a case and add its rows. */
void bench_run_case(const struct bench_case *c);

/* --- the agent (agent.c) ---------------------------------------------------------------------- */

void bench_agent_start(void);
void bench_agent_stop(void);

/* Let the agent run the function, which must be static code on static arg. */
void bench_agent_run(bench_fn *run, const void *arg, struct bench_out *out);

/* --- Concurrency Kit, a peer of some (channel_ck.c) ------------------------------------------- */

/* Why it is not measured; NULL when it is. */
const char *bench_no_ck(void);

/* --- the system (linux.c) --------------------------------------------------------------------- */

int64_t bench_now(void); /* ns of CLOCK_MONOTONIC, the same for all processes */
void bench_sleep_us(long us);

/* Make descriptors 0 to 2 /dev/null, whatever they are: the cost of a start may depend on it.
   stdout and stderr go on through others. */
void bench_set_stdio_aside(void);

/* Pin the calling thread to processor 0 or 1; let it go where it might go at the start. */
void bench_pin(int cpu);
void bench_unpin(void);

/* Why nothing can be pinned to processors 0 and 1; NULL when it can. */
const char *bench_two_cpus(void);

/* Zeroed memory that processes forked from here share. */
void *bench_shared(size_t size);

/* fork(), with a child that is killed when its parent dies. */
int bench_fork(void);

/* Start and join the cheapest process (no copy of the address space) or thread. */
void bench_bare_process(void);
void bench_bare_thread(void);

void bench_futex_wait(_Atomic uint32_t *word, uint32_t seen);
void bench_futex_wake(_Atomic uint32_t *word);

/* Median of n round trips of a cache line between processors 0 and 1, in ns. */
double bench_ping_pong(unsigned n);

/* Allocate size bytes and touch each small page; NULL when memory is short. */
void *bench_ballast(size_t size);
void bench_ballast_free(void *p, size_t size);

static inline void bench_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
