/* Runs a job on one kind of members. */
#ifndef IDENTIFIERS_RUN_H
#define IDENTIFIERS_RUN_H

#include "job.h"

enum {
	MAX_WORKERS = 1000
};

struct plan {
	void (*run)(struct job *j, const struct plan *plan);
	int workers;
	bool kill_one; /* kill one of the processes when half of the batches are taken */
};

/* Each returns when all batches are merged; the program ends when that cannot be. */
void run_sequential(struct job *j, const struct plan *plan);
void run_threads(struct job *j, const struct plan *plan);
void run_processes(struct job *j, const struct plan *plan);

#endif
