/* What the members work on together, in the family's heap: the list of files, cut into batches,
   and the counts.

   A batch is a lease.  A member takes it, counts its files in memory of its own, makes a block
   of the counts, and adds that to the total.  Before the last step nothing of it is in the total,
   after it all: so a batch whose holder died is given to another from the beginning, and each
   file is counted once. */
#ifndef IDENTIFIERS_JOB_H
#define IDENTIFIERS_JOB_H

#include <prong/prong.h>
#include "files.h"
#include "total.h"

enum {
	BINARY = -1
};

struct file {
	const char *path;
	int problem; /* 0: its words count; an errno or BINARY: why they do not.  The holder
			of its batch writes it */
};

struct batch {
	struct file *files;
	size_t nfiles;
	struct counts *counts; /* the holder's; whole while the batch is being merged */

	/* The job's lock protects these. */
	int holder;  /* number of the member that has or had it; 0: nobody */
	int lost_by; /* number of the last member that died with it */
	int deaths;  /* how many did */
	bool merged;
};

struct job {
	prong_mutex lock;
	size_t next;           /* the batches before it are taken; lock protects it */
	struct batch *merging; /* the one that is being added to total; lock protects both */
	struct total total;

	/* These stay as they are. */
	struct batch *batches;
	size_t nbatches;
	struct file *files;
	size_t nfiles;
	bool progress; /* say on stderr how far it is */
};

/* What a member gets: the same for a thread and a process. */
struct member {
	struct job *job;
	int number; /* from 1 on, in order of starting */
};

/* Make a job of these names; the program ends when the heap is full. */
struct job *job_new(const struct names *names);

/* Take the job's lock, and put right what a dead owner left in the middle. */
void job_lock(struct job *j);
void job_unlock(struct job *j);

/* Return a batch that is the member's now, or NULL when all are taken. */
struct batch *job_take(const struct member *m);

/* Add the counts of b, which the caller holds, to the total. */
void job_merge(struct job *j, struct batch *b);

/* Give what the member with that number held when it died to the others.  Return the batch, or
   NULL when it held none. */
struct batch *job_give_back(struct job *j, int number);

/* What a member does: take, count and merge until no batch is left.  arg is its struct member. */
int work(void *arg);

#endif
