/* The job: the files that were found, handed to a pool in batches, and the counts that come
   back.

   A task counts one batch in memory of its own, and its result is a block with the counts: so
   what an attempt had counted that died half-way nobody ever sees, and each file is counted
   once. */
#ifndef IDENTIFIERS_JOB_H
#define IDENTIFIERS_JOB_H

#include <prong/prong.h>
#include "files.h"
#include "words.h"

/* Why the words of a file do not count, beside errnos. */
enum {
	BINARY = -1,
	OVERRAN = -2,
	CRASHED = -3
};

struct file {
	const char *path;
	int problem; /* 0, an errno, or one of the above.  Each attempt of its task writes it;
			the program itself only when the last one is dead */
	int fault;   /* a signal that kills whoever counts it: see --poison and --kill-one */
};

/* What a task gets: some files that follow each other in the heap. */
struct batch {
	struct file *files;
	size_t nfiles;
	bool wait; /* for who writes to a FIFO */
};

struct plan {
	const char *kind; /* "sequential", "threads", "processes" */
	int workers;
	int limit_ms;       /* for a file; 0: none */
	const char *poison; /* the path of one; or NULL */
	bool kill_one;
	bool progress; /* say on stderr how far it is */
};

struct job {
	const struct plan *plan;
	struct file *files; /* in the family's heap */
	size_t nfiles;
	struct batch *batches; /* these too are the program's own */
	size_t nbatches;
	struct batch *again; /* files, one in each, whose worker did not live to tell */
	size_t nagain;
	struct words total;
};

/* Make a job of these names.  The program ends when that cannot be. */
void job_init(struct job *j, const struct plan *plan, const struct names *names);

/* Count all.  The program ends when that cannot be. */
void job_run(struct job *j);
void job_fini(struct job *j);

/* The task: count the files of the struct batch at arg; its result is a struct counts. */
int count_batch(void *arg);

#endif
