/* Two streams through one pool.  In the first the items are batches.  What a dead worker had, or
   one that was stopped, goes through the second, each file by itself: so a file that kills its
   worker takes no other along, and one that was only near when a worker died is counted then. */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../must.h"
#include "job.h"

enum {
	BATCHES = 128,    /* so many at least keep all workers busy to the end */
	BATCH_FILES = 64, /* at most; more would only be more work to lose */
	RETRIES = 4,      /* of a file by itself: whoever kills workers may hit it by chance */
	GRACE_MS = 100
};

/* The state of one stream. */
struct pass {
	struct job *job;
	const struct batch *batches;
	size_t n, next, done;
};

static void *array(void *p, const char *what)
{
	if (!p)
		errx(1, "no memory for %s", what);
	return p;
}

static void cut_into_batches(struct job *j)
{
	size_t each = j->nfiles / BATCHES + 1;

	if (each > BATCH_FILES)
		each = BATCH_FILES;
	if (j->plan->limit_ms)
		each = 1; /* it is for one file */
	j->nbatches = (j->nfiles + each - 1) / each;
	j->batches = array(calloc(j->nbatches + 1, sizeof *j->batches), "batches");
	for (size_t i = 0; i < j->nbatches; i++) {
		size_t left = j->nfiles - i * each;

		j->batches[i].files = j->files + i * each;
		j->batches[i].nfiles = left < each ? left : each;
		j->batches[i].wait = j->plan->limit_ms > 0;
	}
}

static void poison(struct job *j, const char *path)
{
	struct file *f = j->files;

	while (f < j->files + j->nfiles && strcmp(f->path, path) != 0)
		f++;
	if (f == j->files + j->nfiles)
		errx(1, "%s is none of the files", path);
	f->fault = SIGSEGV;
}

void job_init(struct job *j, const struct plan *plan, const struct names *names)
{
	char *text = array(prong_alloc(names->size + 1), "names");

	*j = (struct job){ .plan = plan, .nfiles = names->n };
	if (names->size)
		memcpy(text, names->text, names->size);
	j->files = array(prong_calloc(names->n + 1, sizeof *j->files), "files");
	for (size_t i = 0; i < names->n; i++) {
		j->files[i].path = text;
		text += strlen(text) + 1;
	}
	j->again = array(calloc(names->n + 1, sizeof *j->again), "files");
	cut_into_batches(j);
	if (plan->kill_one && j->nfiles)
		j->files[j->nfiles / 2].fault = SIGKILL;
	if (plan->poison)
		poison(j, plan->poison);
}

static int supply(void *ctx, const void **item, size_t *size)
{
	struct pass *p = ctx;

	if (p->next == p->n)
		return PRONG_EMPTY;
	*item = &p->batches[p->next++];
	*size = sizeof *p->batches;
	return 0;
}

/* Its worker died, or was stopped.  A file by itself has had its chances when it comes from the
   second stream, and also when it was stopped; else it has another in the second. */
static void lost(struct pass *p, const struct batch *b, prong_report *r)
{
	struct job *j = p->job;
	bool last = p->batches == j->again || (r->outcome == PRONG_OVERRUN && b->nfiles == 1);
	char text[4096];

	if (r->outcome == PRONG_CRASHED) {
		if (!last)
			r->frames = 0; /* one line; who is to blame is shown in the second */
		prong_report_text(r, text, sizeof text);
		warnx("%s%s%s", last ? b->files->path : "", last ? ": " : "", text);
	}
	if (last) {
		b->files->problem = r->outcome == PRONG_OVERRUN ? OVERRAN : CRASHED;
		return;
	}
	if (r->outcome == PRONG_CRASHED)
		warnx("what it held goes to others, each file by itself: %zu from %s on", b->nfiles,
		      b->files->path);
	for (struct file *f = b->files; f < b->files + b->nfiles; f++) {
		if (f->fault == SIGKILL)
			f->fault = 0; /* one was enough */
		j->again[j->nagain++] = (struct batch){ f, 1, b->wait };
	}
}

/* Take in what came of one batch. */
static void take(struct pass *p, prong_future *f)
{
	prong_report r;

	prong_future_report(f, &r);
	if (p->job->plan->progress)
		fprintf(stderr, "\r     \r");
	if (r.outcome == 0)
		words_merge(&p->job->total, prong_future_data(f, NULL));
	else if (r.outcome == PRONG_CRASHED || r.outcome == PRONG_OVERRUN)
		lost(p, &p->batches[r.index], &r);
	else
		errx(1, "%s", r.message);
	if (p->job->plan->progress)
		fprintf(stderr, "%3zu %%", ++p->done * 100 / p->n);
}

static void pass(struct job *j, prong_pool *pool, const struct batch *batches, size_t n,
		 int retries)
{
	struct pass p = { .job = j, .batches = batches, .n = n };
	prong_stream_opts opts = {
		.task = { .name = "count",
			  .limit_ms = j->plan->limit_ms,
			  .grace_ms = GRACE_MS,
			  .retries = retries },
		.unordered = true,
	};
	prong_stream *s;
	prong_future *f;
	int r;

	must(prong_stream_open(&s, pool, count_batch, supply, &p, &opts), "stream");
	while ((r = prong_stream_next(s, &f, PRONG_FOREVER)) == 0)
		take(&p, f);
	if (r != PRONG_EMPTY)
		must(r, "count");
	prong_stream_close(s);
}

void job_run(struct job *j)
{
	prong_pool_opts opts = { .name = "worker" };
	prong_pool *pool;
	char spec[32];

	if (strcmp(j->plan->kind, "sequential") == 0)
		snprintf(spec, sizeof spec, "sequential");
	else
		snprintf(spec, sizeof spec, "%s:%d", j->plan->kind, j->plan->workers);
	must(prong_pool_open(&pool, spec, &opts), "pool");
	pass(j, pool, j->batches, j->nbatches, 0);
	pass(j, pool, j->again, j->nagain, RETRIES);
	prong_pool_free(pool);
}

void job_fini(struct job *j)
{
	if (j->nfiles)
		prong_free((char *)(uintptr_t)j->files[0].path); /* the names are one block */
	prong_free(j->files);
	free(j->again);
	free(j->batches);
	words_fini(&j->total);
}
