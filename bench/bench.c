/* The run of a case: repetitions, the floor between the subjects, and what becomes a row.

   Not here: how a row looks (row.c), and all that is measured. */
#include "bench.h"
#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One value, and the floor of its moment (NAN: none). */
struct value {
	double v, floor;
	unsigned rep;
};

struct series {
	struct value *at;
	size_t n, room;
};

/* The series of subject s, by channel; the floor is the last subject. */
struct record {
	struct series of[BENCH_SUBJECTS + 1][BENCH_CHANNELS];
	unsigned reps;
};

enum {
	FLOOR = BENCH_SUBJECTS
};

static unsigned asked_reps = BENCH_REPS;
static const char *left_out[8];

void bench_ask(unsigned reps)
{
	asked_reps = reps;
}

void bench_leave_out(const char *word)
{
	for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++) {
		if (!left_out[i]) {
			left_out[i] = word;
			return;
		}
	}
	errx(2, "too many words to leave out");
}

unsigned bench_count(unsigned full)
{
	uint64_t n = full;

	if (asked_reps < BENCH_REPS)
		n = n * asked_reps / BENCH_REPS;
	return n ? (unsigned)n : 1;
}

/* --- values ----------------------------------------------------------------------------------- */

void bench_push(struct bench_out *out, unsigned channel, double value)
{
	if (out->n[channel] < BENCH_VALUES)
		out->v[channel][out->n[channel]++] = value;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_quantile(double *v, size_t n, double q)
{
	if (n == 0)
		return NAN;
	qsort(v, n, sizeof(*v), by_size);
	if (q == 0.5 && n % 2 == 0)
		return (v[n / 2 - 1] + v[n / 2]) / 2;
	return v[(size_t)ceil(q * (double)n) - 1];
}

void bench_push_median(struct bench_out *out, unsigned channel, double *v, size_t n)
{
	if (n > 0)
		bench_push(out, channel, bench_quantile(v, n, 0.5));
}

static void keep(struct series *s, double v, double floor, unsigned rep)
{
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->at = realloc(s->at, s->room * sizeof(*s->at));
		if (!s->at)
			err(1, "realloc");
	}
	s->at[s->n++] = (struct value){ v, floor, rep };
}

/* The quantile of f(value) over the series, or over one repetition of it.  NAN: of nothing. */
static double series_quantile(const struct series *s, int rep, double q,
			      double (*f)(const struct value *))
{
	double *v = malloc((s->n + 1) * sizeof(*v)), result;
	size_t n = 0;

	if (!v)
		err(1, "malloc");
	for (size_t i = 0; i < s->n; i++) {
		double x = f(&s->at[i]);

		if (!isnan(x) && (rep < 0 || s->at[i].rep == (unsigned)rep))
			v[n++] = x;
	}
	result = bench_quantile(v, n, q);
	free(v);
	return result;
}

static double plain(const struct value *v)
{
	return v->v;
}

static double floor_of(const struct value *v)
{
	return v->floor;
}

static double over_floor(const struct value *v)
{
	return v->v / v->floor;
}

/* --- the run ---------------------------------------------------------------------------------- */

/* Why the subject does not run; NULL when it does. */
static const char *why_not(const struct bench_subject *s)
{
	for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
		if (left_out[i] && s->name && strstr(s->name, left_out[i]))
			return "left out";
	return s->missing ? s->missing() : NULL;
}

static void run_subject(const struct bench_subject *s, struct bench_out *out)
{
	memset(out->n, 0, sizeof(out->n));
	if (!s->run || why_not(s))
		return;
	if (s->family)
		s->run(s->arg, out);
	else
		bench_agent_run(s->run, s->arg, out);
}

/* Probe the floor: its median in each channel, NAN where it says nothing. */
static void probe(const struct bench_case *c, unsigned rep, struct record *rec, double *floor)
{
	static struct bench_out out;

	run_subject(&c->floor, &out);
	for (unsigned ch = 0; ch < BENCH_CHANNELS; ch++) {
		floor[ch] = bench_quantile(out.v[ch], out.n[ch], 0.5);
		if (out.n[ch] > 0)
			keep(&rec->of[FLOOR][ch], floor[ch], NAN, rep);
	}
}

static void run_rep(const struct bench_case *c, unsigned rep, struct record *rec)
{
	static struct bench_out out;
	double before[BENCH_CHANNELS], after[BENCH_CHANNELS];

	probe(c, rep, rec, before);
	for (unsigned s = 0; s < BENCH_SUBJECTS && c->subjects[s].name; s++) {
		run_subject(&c->subjects[s], &out);
		probe(c, rep, rec, after);
		for (unsigned ch = 0; ch < BENCH_CHANNELS; ch++)
			for (unsigned i = 0; i < out.n[ch]; i++)
				keep(&rec->of[s][ch], out.v[ch][i], (before[ch] + after[ch]) / 2,
				     rep);
		memcpy(before, after, sizeof(before));
	}
}

/* --- rows ------------------------------------------------------------------------------------- */

static struct bench_row row_of(const char *name, const char *metric, const char *subject,
			       const char *unit)
{
	struct bench_row row = {
		.median = NAN, .min = NAN, .max = NAN, .floor = NAN, .ratio = NAN
	};

	snprintf(row.name, sizeof(row.name), "%s%s%s", name, *metric ? "-" : "", metric);
	snprintf(row.subject, sizeof(row.subject), "%s", subject);
	snprintf(row.unit, sizeof(row.unit), "%s", unit);
	return row;
}

static double quantile_of(const struct bench_metric *m)
{
	return m->quantile > 0 ? m->quantile : 0.5;
}

static void add_figures(const struct bench_case *c, const struct bench_metric *m,
			const char *subject, const struct series *s)
{
	struct bench_row row = row_of(c->name, m->name, subject, m->unit);
	double q = quantile_of(m);

	if (s->n == 0)
		return;
	row.median = series_quantile(s, -1, q, plain);
	row.min = series_quantile(s, -1, 1e-9, plain);
	row.max = series_quantile(s, -1, 1, plain);
	row.floor = series_quantile(s, -1, 0.5, floor_of);
	row.ratio = series_quantile(s, -1, q, over_floor);
	bench_row_add(&row);
}

/* A subject that gave nothing gets one row that says why. */
static void add_missing(const struct bench_case *c, const struct bench_subject *s,
			const struct series *of)
{
	const char *why = why_not(s);
	char text[104];
	struct bench_row row;

	for (unsigned ch = 0; ch < BENCH_CHANNELS; ch++)
		if (of[ch].n > 0)
			return;
	snprintf(text, sizeof(text), "%s: not run: %s", s->name, why ? why : "it gave no figure");
	row = row_of(c->name, c->metrics[0].name, text, c->metrics[0].unit);
	bench_row_add(&row);
}

/* A subject's figure in one repetition. */
static double figure(const struct record *rec, unsigned subject, const struct bench_metric *m,
		     unsigned rep)
{
	return series_quantile(&rec->of[subject][m->channel], (int)rep, quantile_of(m), plain);
}

/* The best of the peers in one repetition; NAN when none has a value there. */
static double best(const struct bench_versus *v, const struct record *rec,
		   const struct bench_metric *m, unsigned rep)
{
	double found = NAN;

	for (unsigned s = 0; s < BENCH_SUBJECTS; s++) {
		double x = v->peers >> s & 1 ? figure(rec, s, m, rep) : NAN;

		if (!isnan(x) && (isnan(found) || (v->more ? x > found : x < found)))
			found = x;
	}
	return found;
}

static void add_versus(const struct bench_case *c, const struct bench_versus *v,
		       const struct record *rec)
{
	const struct bench_metric *m = &c->metrics[v->metric];
	struct bench_row row = row_of(c->name, m->name, v->name, "times");
	struct series s = { 0 };

	for (unsigned rep = 0; rep < rec->reps; rep++) {
		double x = figure(rec, v->subject, m, rep) /
			   best(v, rec, &c->metrics[v->against], rep);

		if (!isnan(x))
			keep(&s, x, NAN, rep);
	}
	if (s.n > 0) {
		row.median = series_quantile(&s, -1, 0.5, plain);
		row.min = series_quantile(&s, -1, 1e-9, plain);
		row.max = series_quantile(&s, -1, 1, plain);
		bench_row_add(&row);
	}
	free(s.at);
}

/* The floor has a row below the first metric of each of its channels. */
static void add_floor(const struct bench_case *c, const struct bench_metric *m,
		      const struct record *rec)
{
	char text[104];

	for (const struct bench_metric *k = c->metrics; k < m; k++)
		if (k->channel == m->channel)
			return;
	if (c->floor.name) {
		snprintf(text, sizeof(text), "floor: %s", c->floor.name);
		add_figures(c, m, text, &rec->of[FLOOR][m->channel]);
	}
}

static void add_rows(const struct bench_case *c, const struct record *rec)
{
	for (const struct bench_metric *m = c->metrics; m->name; m++) {
		for (unsigned s = 0; s < BENCH_SUBJECTS && c->subjects[s].name; s++)
			add_figures(c, m, c->subjects[s].name, &rec->of[s][m->channel]);
		for (const struct bench_versus *v = c->versus; v->name; v++)
			if (v->metric == (unsigned)(m - c->metrics))
				add_versus(c, v, rec);
		add_floor(c, m, rec);
	}
	for (unsigned s = 0; s < BENCH_SUBJECTS && c->subjects[s].name; s++)
		add_missing(c, &c->subjects[s], rec->of[s]);
}

static void skip(const struct bench_case *c, const char *why)
{
	char text[104];
	struct bench_row row;

	snprintf(text, sizeof(text), "all: not run: %s", why);
	row = row_of(c->name, c->metrics[0].name, text, c->metrics[0].unit);
	bench_row_add(&row);
}

/* A long case is content with fewer repetitions, but for who asks for more than the usual. */
static unsigned reps_of(const struct bench_case *c)
{
	bool fewer = c->reps && asked_reps <= BENCH_REPS && asked_reps > c->reps;

	return fewer ? c->reps : asked_reps;
}

void bench_run_case(const struct bench_case *c)
{
	struct record *rec = calloc(1, sizeof(*rec));
	const char *why;

	if (!rec)
		err(1, "calloc");
	rec->reps = reps_of(c);
	why = c->before ? c->before() : NULL;
	if (why) {
		skip(c, why);
	} else {
		for (unsigned rep = 0; rep < rec->reps; rep++)
			run_rep(c, rep, rec);
		add_rows(c, rec);
	}
	if (c->after)
		c->after();
	for (unsigned i = 0; i < (BENCH_SUBJECTS + 1) * BENCH_CHANNELS; i++)
		free(rec->of[i / BENCH_CHANNELS][i % BENCH_CHANNELS].at);
	free(rec);
}
