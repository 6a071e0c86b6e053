/* Jobs: calls of C objects' methods that run on a pool.

   What a worker gets is the request, and where the method's entry in its table is: a worker process
   has the program's tables at the same addresses, but not what the manager made of them.  What it
   gives back is the whole answer.

   lock (of the manager) protects the list of those that are done, to which a thread of the library
   adds. */
#include "manager/manager.h"
#include "os/net_os.h"
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>

struct prongi_job {
	struct prong_manager *m;
	struct prongi_guest *guest; /* NULL: it is gone */
	prong_future *future;
	struct prongi_job *next; /* done */
};

/* What a worker gets: this, and then the request. */
struct work {
	const prong_method *is;
	void *self;
	int protocol;
	uint32_t pad;
};

/* --- in the worker ---------------------------------------------------------------------- */

static int keep_answer(prong_call *c)
{
	void *result = prong_task_result(c->out.n);

	if (!result)
		return prong_task_message(ENOMEM, "no memory for the answer");
	memcpy(result, c->out.data, c->out.n);
	return 0;
}

static int work(void *arg)
{
	const struct work *w = arg;
	struct prongi_method method;
	prong_call c = { .self = w->self, .method = &method, .protocol = w->protocol };
	int r = prong_decode(&c.request, PRONG_PICKLE, w + 1, prong_task_size() - sizeof *w, NULL);

	if (r == 0)
		r = prongi_method_read(&method, w->is, "call");
	if (r) {
		prong_value_free(c.request);
		return prong_task_message(r, "%s", prong_error_detail());
	}
	c.args = prong_value_at(c.request, 2);
	c.kwds = prong_value_at(c.request, 3);
	prongi_call_run(&c);
	r = keep_answer(&c);
	free(c.out.data);
	prong_value_free(c.request);
	prongi_method_free(&method);
	return r;
}

/* --- in the library's thread of callbacks ----------------------------------------------- */

static void done(prong_future *f, void *ctx)
{
	struct prongi_job *j = ctx;
	struct prong_manager *m = j->m;

	(void)f;
	pthread_mutex_lock(&m->lock);
	j->next = m->done;
	m->done = j;
	prongi_os_ring(m->ring, true); /* inside: m may be gone as soon as the loop has seen j */
	pthread_mutex_unlock(&m->lock);
}

/* --- in the loop ------------------------------------------------------------------------ */

static int submit(struct prongi_job *j, const prong_call *c)
{
	const prong_task_opts opts = { .name = c->method->is->name };
	struct work *w;
	size_t size;
	void *data;
	int r = prong_encode(c->request, PRONG_PICKLE_5, &data, &size, NULL);

	if (r)
		return r;
	w = calloc(1, sizeof *w + size);
	if (w) {
		*w = (struct work){ c->method->is, c->self, c->protocol, 0 };
		memcpy(w + 1, data, size);
		r = prong_pool_submit(j->m->pool, &j->future, work, w, sizeof *w + size, &opts);
	}
	free(data);
	free(w);
	return w ? r : -ENOMEM;
}

int prongi_job_begin(prong_call *c)
{
	struct prongi_job *j = calloc(1, sizeof *j);
	int r;

	if (!j)
		return -ENOMEM;
	j->guest = c->guest;
	j->m = c->guest->m;
	r = submit(j, c);
	if (r == 0) {
		r = prong_future_then(j->future, done, j);
		if (r)
			prong_future_free(j->future);
	}
	if (r) {
		free(j);
		return r;
	}
	c->guest->job = j;
	j->m->jobs++;
	return 0;
}

void prongi_job_forget(struct prongi_job *j)
{
	j->guest = NULL;
}

static void raise_end(prong_call *c, prong_future *f)
{
	char text[600];
	prong_report r;

	prong_future_report(f, &r);
	prong_report_text(&r, text, sizeof text);
	prong_call_raise(c, r.outcome == PRONG_OVERRUN ? "TimeoutError" : "RuntimeError", "%s",
			 text);
}

static void end(struct prong_manager *m, struct prongi_job *j)
{
	struct prongi_guest *g = j->guest;
	size_t size;
	const void *answer = prong_future_data(j->future, &size);

	m->jobs--;
	if (g) {
		g->job = NULL;
		g->call.out.limit = SIZE_MAX;
		prongi_out_bytes(&g->call.out, answer, answer ? size : 0);
		g->call.answered = answer && !g->call.out.r;
		if (g->call.answered && prongi_call_charge(&g->call))
			prong_call_raise(&g->call, "MemoryError", "%s", prong_error_detail());
		else if (!g->call.answered)
			raise_end(&g->call, j->future);
	}
	prong_future_free(j->future);
	free(j);
	if (g)
		prongi_guest_go_on(g);
}

void prongi_jobs_end(struct prong_manager *m)
{
	struct prongi_job *j;

	prongi_os_ring(m->ring, false);
	pthread_mutex_lock(&m->lock);
	j = m->done;
	m->done = NULL;
	pthread_mutex_unlock(&m->lock);
	while (j) {
		struct prongi_job *next = j->next;

		end(m, j);
		j = next;
	}
}
