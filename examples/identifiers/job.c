/* The leases, and the one lock.  Lock order: there is one lock. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../must.h"
#include "job.h"
#include "order.h"

enum {
	BATCHES = 128,   /* so many at least keep all members busy to the end */
	BATCH_FILES = 64 /* at most; more would only be more work to lose */
};

static void *heap_array(size_t n, size_t size)
{
	void *p = prong_calloc(n ? n : 1, size);

	if (!p)
		errx(1, "the heap is full: %s", prong_error_detail());
	return p;
}

static void cut_into_batches(struct job *j)
{
	size_t each = j->nfiles / BATCHES + 1;

	if (each > BATCH_FILES)
		each = BATCH_FILES;
	j->nbatches = (j->nfiles + each - 1) / each;
	if (j->nbatches > TOTAL_BATCHES)
		errx(1, "%zu files are too many", j->nfiles);
	j->batches = heap_array(j->nbatches, sizeof *j->batches);
	for (size_t i = 0; i < j->nbatches; i++) {
		size_t left = j->nfiles - i * each;

		j->batches[i].files = j->files + i * each;
		j->batches[i].nfiles = left < each ? left : each;
	}
}

struct job *job_new(const struct names *names)
{
	struct job *j = heap_array(1, sizeof *j);
	char *text = heap_array(names->size, 1);

	if (names->size)
		memcpy(text, names->text, names->size);
	j->nfiles = names->n;
	j->files = heap_array(names->n, sizeof *j->files);
	for (size_t i = 0; i < names->n; i++) {
		j->files[i].path = text;
		text += strlen(text) + 1;
	}
	cut_into_batches(j);
	must(total_init(&j->total), "total");
	return j;
}

/* Also a second time, after the first was cut short anywhere in here. */
static int finish_merging(struct job *j)
{
	struct batch *b = j->merging;
	int r = total_add(&j->total, b->counts, (unsigned)(b - j->batches) + 1);

	if (r)
		return r;
	in_order();
	b->merged = true;
	in_order();
	j->merging = NULL;
	in_order();
	return prong_free_at((void **)&b->counts);
}

static int mend(struct job *j)
{
	int r = total_mend(&j->total);

	if (r == 0 && j->merging)
		r = finish_merging(j);
	return r ? r : prong_mutex_consistent(&j->lock);
}

void job_lock(struct job *j)
{
	int r = prong_mutex_lock(&j->lock, PRONG_FOREVER);

	if (r == PRONG_OWNERDEAD)
		r = mend(j);
	must(r, "lock");
}

void job_unlock(struct job *j)
{
	must(prong_mutex_unlock(&j->lock), "unlock");
}

struct batch *job_take(const struct member *m)
{
	struct job *j = m->job;
	struct batch *b = NULL;
	size_t taken;

	job_lock(j);
	while (j->next < j->nbatches && j->batches[j->next].holder)
		j->next++;
	taken = j->next;
	if (taken < j->nbatches) {
		b = &j->batches[taken];
		b->holder = m->number;
	}
	job_unlock(j);
	if (b && j->progress)
		fprintf(stderr, "\r%3zu %%", taken * 100 / j->nbatches);
	return b;
}

void job_merge(struct job *j, struct batch *b)
{
	job_lock(j);
	in_order();
	j->merging = b;
	in_order();
	must(finish_merging(j), "merge");
	job_unlock(j);
}

struct batch *job_give_back(struct job *j, int number)
{
	struct batch *lost = NULL;

	job_lock(j);
	for (struct batch *b = j->batches; b < j->batches + j->nbatches; b++)
		if (b->holder == number && !b->merged) {
			lost = b;
			b->lost_by = number;
			b->deaths++;
			b->holder = 0;
			j->next = 0;
		}
	job_unlock(j);
	return lost;
}
