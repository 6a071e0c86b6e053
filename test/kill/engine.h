/* The engine's parts of each other: traces, trials, rows. */
#ifndef KILL_ENGINE_H
#define KILL_ENGINE_H

#include "kill.h"
#include "trace.h"
#include <stdio.h>

#define KILL_DEPTH 3 /* the victim, its repairer, that one's successor */
#define KILL_NAPS  8
#define KILL_PEER  1 /* the peer's place among the others: rows that have one leave it free */
#define LEVEL_PEER (-1)

struct options {
	bool shortly; /* a sample, for every day */
	bool all;     /* no sample at all */
	bool pairs;   /* the whole pair matrix */
	bool step;    /* reach each point a second time, by single steps, and compare */
	bool verbose;
	bool wait;    /* stop where something is stuck, for a debugger */
	unsigned seed; /* of the sample */
	size_t points; /* asked for of each row of a sample; 0: --short's own */
	size_t share; /* of a sample: points that a row may take */
	int limit;    /* leave a row after so many bad points; 0: go on */
	bool mutants; /* break the library; and what is broken now */
	int mutant;
	const char *at; /* take only points in this function; NULL: in all */
};
extern struct options options;

/* A point: a process about to execute the instruction at pc for the visit-th time since it last
   slept; or asleep inside that instruction. */
struct point {
	uint64_t pc;
	uint32_t visit;
	uint16_t naps; /* how often it slept before */
	bool inside;
	bool crossed;	/* right behind a system call: the kernel may have changed, too */
	bool reaches;	/* others may see whether that instruction was executed */
	uint32_t steps; /* single steps from the beginning */
	uint64_t key;	/* of what a death there leaves */
};

/* What a process executed between its markers. */
struct trace {
	struct point *point;
	size_t n, room;
	struct point nap[KILL_NAPS]; /* the system calls that it slept in */
	int naps;
	const char *failed; /* why it did not get to its end; NULL: it did */
};

struct other {
	pid_t pid;
	bool over;
};

struct kill_trial {
	const struct kill_room *room;
	const struct kill_scenario *s;
	const struct image *image;
	/* Others that are woken wait for the repair to be over.  So a death leaves the same bytes
	   in each trial.  When false they go on at once, in the middle of the repair. */
	bool hold;
	bool by_step;
	bool peer; /* there is one */
	struct other other[KILL_OTHERS];
	unsigned bad;
	uint64_t awake; /* who was, as a number */
	uint64_t left; /* key of what the last death left, before anybody moved; when held */
};

/* Deaths one after another: of the victim at a point of its trace, of the repairer, ... */
struct death {
	const struct trace *trace;
	size_t point;
};
struct path {
	struct death death[KILL_DEPTH];
	int n;
};

/* --- trial.c ------------------------------------------------------------------------------ */

/* Put the image back, or the changed one, and place the others. */
void trial_begin(struct kill_trial *t, const struct change *changed);

/* Start the victim (level 0) or a repairer, and stop it at its first marker. */
pid_t trial_start(struct kill_trial *t, int level);

/* Start the victim or a repairer, let it get to the point, and kill it there.  False: it went
   another way. */
bool trial_death(struct kill_trial *t, int level, const struct death *death);

/* Take pid, which is at the entry of a system call, through it.  Return whether it slept; level 0
   is woken by the scenario.  inside: leave it there when it sleeps. */
enum crossing { CROSSED, SLEPT, LOST };
enum crossing trial_cross(struct kill_trial *t, pid_t pid, int level, int nth, bool inside);

/* Start the victim or a repairer, and let it get to the point.  False: it is gone. */
bool trial_hold(struct kill_trial *t, pid_t *pid, int level, const struct death *death);

/* Start the peer, as other KILL_PEER, and stop it at its marker; let it get to the point. */
pid_t trial_start_peer(struct kill_trial *t);
bool trial_hold_peer(struct kill_trial *t, const struct death *death);

/* Start the others that were not placed, and let them go until they sleep or have ended.  Return
   whether one sleeps. */
bool trial_others_wait(struct kill_trial *t);

/* Let other i, which was held, go until it sleeps or has ended. */
void trial_let_go(struct kill_trial *t, int i);

/* The same for the victim of a row in which it is alone; return whether it has ended.  To its end:
   it need not sleep any more. */
bool trial_let_victim_go(struct kill_trial *t, pid_t victim, bool to_its_end);

/* Let other i, which runs, go on until it sleeps or has ended. */
void trial_settle(struct kill_trial *t, int i);

/* What a process says that has ended. */
unsigned trial_verdict(int status);

/* Let the victim, held at p, go to its end. */
void trial_go_on(struct kill_trial *t, pid_t victim, const struct point *p);

/* Do what the server does when the victim has been stopped; repair. */
void trial_stopped(struct kill_trial *t);
void trial_repair(struct kill_trial *t);

/* Let all go on, and check.  Return what was wrong. */
unsigned trial_finish(struct kill_trial *t);

/* A key for the bytes and for who is awake.  Without a system call in between nobody has woken. */
uint64_t trial_key(struct kill_trial *t, bool crossed);

/* Repair, and finish. */
unsigned trial_end(struct kill_trial *t);

/* End the trial at once. */
void trial_abandon(struct kill_trial *t);

/* --- record.c ----------------------------------------------------------------------------- */

/* Single-step the process from its first marker to its last, and note what a death would leave at
   each point; it is gone afterwards. */
void record(struct kill_trial *t, pid_t pid, int level, struct trace *out);
void trace_free(struct trace *trace);
void trace_add(struct trace *trace, struct point p);

/* How often each pc was met: add n, and return how often now. */
struct visits *visits_new(void);
uint32_t visits_add(struct visits *v, uint64_t pc, uint32_t n);
void visits_clear(struct visits *v);
void visits_free(struct visits *v);

/* --- explore.c ---------------------------------------------------------------------------- */

struct row {
	const char *room, *scenario;
	const char *matrix; /* "", or what else is done than killing one */
	bool red; /* a control */
	uint64_t points, bad;
	uint64_t missed;  /* the victim went another way than in the recording */
	uint64_t sampled; /* points left out of a sample */
	uint64_t states;  /* states left out of it, from which repairers would have begun */
	uint64_t folded;  /* points that leave an image that another one has left */
	uint64_t differ;  /* points where single steps come to something else */
	uint64_t kind[KILL_KINDS];
	int64_t began, ms;
};

void row_count(struct row *row, unsigned bad);

/* True when the row has found enough, or a sample has taken long enough. */
bool row_enough(const struct row *row);

/* Somebody is stuck: with --wait, stay here with all processes as they are. */
void row_stuck(FILE *out, pid_t pid);

/* Say on out what was wrong after a death at p. */
void row_describe(FILE *out, const char *room, const char *scenario, const struct point *p,
		  unsigned bad);

/* In long loops not every turn is worth a death: the first ones, and some. */
bool point_worth(const struct point *p);

/* No row has died at the instruction yet.  All runs but the short one for every day take that. */
bool point_uncovered(const struct point *p);

/* Store in out, for the caller to free, about "budget" of the points worth a death, and return how
   many.  apart: of points between which the process has done nothing that others see, one, the
   last: to be held there is to be held at each of them. */
size_t points_sampled(const struct trace *trace, size_t budget, size_t turn, bool apart,
		      size_t **out);

/* Whether the i-th of n is one of about "budget" that a sample takes, evenly; turn shifts it. */
bool sampled(size_t i, size_t n, size_t budget, size_t turn);

/* Run the scenario.  Bad points are described on out. */
struct row explore(const struct kill_room *room, const struct kill_scenario *s, FILE *out);

/* --- pairs.c ------------------------------------------------------------------------------ */

/* The pair matrix and the stop matrix of the scenario. */
struct row explore_pairs(const struct kill_room *room, const struct kill_scenario *s, FILE *out);
struct row explore_stops(const struct kill_room *room, const struct kill_scenario *s, FILE *out);

/* --- symbols.c ---------------------------------------------------------------------------- */

void symbols_open(void);

/* "function+0x1c" */
const char *symbols_name(uint64_t pc, char *buf, size_t size);

/* The instruction at pc was a kill point; whether it was, as far as it is one of ours. */
void coverage_add(uint64_t pc);
bool coverage_has(uint64_t pc);

/* Of the functions that the list names: how many instructions there are, and how many of them were
   kill points.  Items end with a blank: a source file means its static functions, anything else the
   global functions whose names begin so.  missing: say of each function which were not, there. */
void coverage_of(const char *list, size_t *all, size_t *hit, FILE *missing);

/* --- mutants.c ---------------------------------------------------------------------------- */

/* A thing to break in the library, and the rows of which at least one must turn red. */
struct mutant {
	int number;
	const char *what;
	/* Parts of their names; "row@function": a kill in that function is enough to show it. */
	const char *rows[4];
};
extern const struct mutant mutants[]; /* the last has number 0 */

/* Break it, from now on, in this process and what it forks.  False: the library was built whole. */
bool mutant_set(int number);

/* --- table.c ------------------------------------------------------------------------------ */

void table_head(void);
void table_row(const struct row *row);

#endif
