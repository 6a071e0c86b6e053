/* All deaths of one scenario: of the victim at each instruction; then, for each distinct image that
   this left, of the repairer at each of its instructions; then of the repairer's successor, where
   that leaves an image that no death before has left.

   What a death leaves is the image and who is awake: registers die with their process.  So images
   are told apart by a key, and the same image is explored once. */
#include "engine.h"
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

struct options options;

/* So long a row of a sample may take; it takes one second. */
#define SHORT_MS (options.mutant ? 30000 : 5000)
#define FEWEST	 5 /* points, however long they take */

/* A state that deaths have left. */
struct node {
	struct path path;
	struct change *changed; /* NULL: the deaths have to be played again */
};

/* A set of keys: a hash table; 0: empty. */
struct keys {
	uint64_t *key;
	size_t size, used;
};

struct explorer {
	struct kill_trial t;
	struct row row;
	FILE *out;
	struct node *node;
	size_t nodes, room;
	struct keys seen;  /* of what deaths have left */
	struct keys begun; /* of what points have left, or will */
	struct trace **trace; /* all that paths name */
	size_t traces;
};

/* --- sets --------------------------------------------------------------------------------- */

static bool seen_add(struct keys *s, uint64_t key);

static void seen_grow(struct keys *s)
{
	struct keys old = *s;

	s->size = old.size ? old.size * 2 : 1024;
	s->used = 0;
	s->key = calloc(s->size, sizeof *s->key);
	if (!s->key)
		die("no memory for keys");
	for (size_t i = 0; i < old.size; i++)
		if (old.key[i])
			seen_add(s, old.key[i]);
	free(old.key);
}

/* True when the key is new. */
static bool seen_add(struct keys *s, uint64_t key)
{
	size_t i;

	key |= !key;
	if (s->used * 2 >= s->size)
		seen_grow(s);
	for (i = key & (s->size - 1); s->key[i]; i = (i + 1) & (s->size - 1))
		if (s->key[i] == key)
			return false;
	s->key[i] = key;
	s->used++;
	return true;
}

static void node_add(struct explorer *x, const struct path *path)
{
	bool alone = !x->t.s->before && !x->t.s->asleep && !x->t.s->died;

	if (x->nodes == x->room) {
		x->room = x->room ? x->room * 2 : 64;
		x->node = realloc(x->node, x->room * sizeof *x->node);
		if (!x->node)
			die("no memory for states");
	}
	x->node[x->nodes++] = (struct node){
		*path, alone && path->n ? image_changes(x->t.image) : NULL
	};
}

static struct trace *trace_new(struct explorer *x)
{
	struct trace *trace = malloc(sizeof *trace);

	x->trace = realloc(x->trace, (x->traces + 1) * sizeof(struct trace *));
	if (!x->trace || !trace)
		die("no memory for traces");
	return x->trace[x->traces++] = trace;
}

/* --- saying what was wrong ---------------------------------------------------------------- */

static const char *const kinds[KILL_KINDS] = { "stuck", "torn", "lost", "twice", "leaked" };

void row_count(struct row *row, unsigned bad)
{
	row->points++;
	row->bad += bad != 0;
	for (int k = 0; k < KILL_KINDS; k++)
		row->kind[k] += bad >> k & 1;
}

bool row_enough(const struct row *row)
{
	if (options.limit && row->bad >= (uint64_t)options.limit)
		return true;
	/* On a busy machine the recording alone may take as long. */
	return ((options.shortly && !options.points) || options.mutant) &&
	       row->points + row->missed >= FEWEST && now_ms() - row->began > SHORT_MS;
}

void row_stuck(FILE *out, pid_t pid)
{
	if (!options.wait)
		return;
	fprintf(stderr, "stuck: process %d of %d\n", pid, getpid());
	if (out)
		fflush(out);
	for (;;)
		pause();
}

static void describe_kinds(FILE *out, const char *room, const char *scenario, unsigned bad)
{
	fprintf(out, "    %s/%s:", room, scenario);
	for (int k = 0; k < KILL_KINDS; k++)
		if (bad & 1u << k)
			fprintf(out, " %s", kinds[k]);
	if (kill_control->why[0])
		fprintf(out, " (%s)", kill_control->why);
}

static void describe_point(FILE *out, const char *how, const struct point *p)
{
	char name[128];

	fprintf(out, "%s %s, visit %u%s", how, symbols_name(p->pc, name, sizeof name), p->visit,
		p->inside ? ", asleep there" : "");
}

void row_describe(FILE *out, const char *room, const char *scenario, const struct point *p,
		  unsigned bad)
{
	describe_kinds(out, room, scenario, bad);
	describe_point(out, "\n        killed at", p);
	fputc('\n', out);
}

static void describe(const struct explorer *x, const struct path *path, unsigned bad)
{
	describe_kinds(x->out, x->t.room->name, x->t.s->name, bad);
	for (int i = 0; i < path->n; i++)
		describe_point(x->out,
			       i ? ";\n        then repair killed at" : "\n        killed at",
			       &path->death[i].trace->point[path->death[i].point]);
	fprintf(x->out, "%s\n", x->t.hold ? "" : "; woken others go on at once");
}

/* A breakpoint and single steps to one point have not left the same. */
static void describe_step(const struct explorer *x, const struct path *path, unsigned bad)
{
	fprintf(x->out, "    by single steps another image, or verdict, is left:");
	describe(x, path, bad);
}

/* --- trials ------------------------------------------------------------------------------- */

static void count(struct explorer *x, const struct path *path, unsigned bad)
{
	const struct death *last = &path->death[path->n - 1];

	row_count(&x->row, bad);
	coverage_add(last->trace->point[last->point].pc);
	if (bad && (x->row.bad <= 5 || options.verbose))
		describe(x, path, bad);
}

/* Bring about the state of the node.  False: not this time. */
static bool replay(struct explorer *x, const struct node *node)
{
	trial_begin(&x->t, node->changed);
	for (int i = 0; i < node->path.n && !node->changed; i++)
		if (!trial_death(&x->t, i, &node->path.death[i])) {
			trial_abandon(&x->t);
			return false;
		}
	return true;
}

struct outcome {
	bool there;
	unsigned bad;
	uint64_t key;
};

/* From the node's state, one more death, and what comes of it.  Keep the state if it is new. */
static struct outcome try_death(struct explorer *x, const struct node *node, struct death death,
				struct path *path)
{
	struct outcome o = { false, 0, 0 };

	*path = node->path;
	path->death[path->n++] = death;
	if (!replay(x, node))
		return o;
	o.there = trial_death(&x->t, node->path.n, &death);
	if (!o.there) {
		trial_abandon(&x->t);
		return o;
	}
	if (x->t.hold) {
		o.key = x->t.left;
		if (!x->t.by_step && seen_add(&x->seen, o.key) && path->n < KILL_DEPTH)
			node_add(x, path);
	}
	o.bad = trial_end(&x->t);
	return o;
}

static void point(struct explorer *x, size_t node, struct death death, bool hold)
{
	struct node from = x->node[node]; /* the table may move */
	struct path path;
	struct outcome o, again;

	x->t.hold = hold;
	o = try_death(x, &from, death, &path);
	if (!o.there) {
		x->row.missed++;
		return;
	}
	count(x, &path, o.bad);
	if (!options.step || !hold)
		return;
	x->t.by_step = true;
	again = try_death(x, &from, death, &path);
	x->t.by_step = false;
	if (!again.there)
		x->row.missed++;
	else if ((again.bad != o.bad || again.key != o.key) && x->row.differ++ < 5)
		describe_step(x, &path, again.bad);
}

/* --- how many ----------------------------------------------------------------------------- */

/* What reads the clock for the kernel: how often it tries differs, and it changes nothing. */
static bool in_vdso(uint64_t pc)
{
	uint64_t at = getauxval(AT_SYSINFO_EHDR);

	return at && pc - at < 8192;
}

bool point_worth(const struct point *p)
{
	return (p->visit <= 24 || p->visit % 64 == 0) && (p->visit == 1 || !in_vdso(p->pc));
}

bool point_uncovered(const struct point *p)
{
	bool everyday = options.shortly && !options.points;

	return !everyday && !options.mutant && !coverage_has(p->pc);
}

bool sampled(size_t i, size_t n, size_t budget, size_t turn)
{
	if (budget >= n)
		return true;
	i = (i + options.seed + turn) % n;
	return i * budget / n != (i + 1) * budget / n;
}

static bool is_asked_for(const struct point *p)
{
	char name[128];

	return !options.at || !strncmp(symbols_name(p->pc, name, sizeof name), options.at,
				       strlen(options.at));
}

static bool is_apart(const struct trace *trace, size_t i)
{
	return trace->point[i].reaches || trace->point[i].inside || i + 1 == trace->n;
}

size_t points_sampled(const struct trace *trace, size_t budget, size_t turn, bool apart,
		      size_t **out)
{
	size_t *at = calloc(trace->n + 1, sizeof *at), worth = 0, n = 0;

	if (!at)
		die("no memory for a sample");
	for (size_t i = 0; i < trace->n; i++)
		if (point_worth(&trace->point[i]) && is_asked_for(&trace->point[i]) &&
		    (!apart || is_apart(trace, i)))
			at[worth++] = i;
	for (size_t i = 0; i < worth; i++)
		if (sampled(i, worth, budget, turn))
			at[n++] = at[i];
	*out = at;
	return n;
}

/* How many points are run beside those that leave something new, which come first. */
struct plan {
	size_t fresh;	 /* of those, in each trace */
	size_t victim;	 /* other deaths of the victim */
	size_t loose;	 /* deaths of the victim after which the woken go on at once */
	size_t states;	 /* states that repairers, and then their successors, start from */
	size_t repairer; /* other deaths of repairers */
};

static struct plan plan(void)
{
	const size_t all = SIZE_MAX / 4;
	size_t share = options.share;

	if (options.all)
		return (struct plan){ all, all, all, all, all };
	if (options.mutant)
		return (struct plan){ all, 0, 40, 200, 0 };
	if (options.shortly)
		return (struct plan){ share / 4, share / 8, share / 8, share / 16, share / 8 };
	return (struct plan){ all, all, all, all, 2000 };
}

/* Mark the points of a trace that leave what none has left.  Return how many. */
static size_t mark_fresh(struct explorer *x, const struct trace *trace, bool *fresh)
{
	size_t n = 0;

	for (size_t i = 0; i < trace->n; i++) {
		const struct point *p = &trace->point[i];
		bool new = seen_add(&x->begun, p->key);

		fresh[i] = new || p->inside || p->crossed;
		n += fresh[i];
	}
	return n;
}

/* Deaths at the points of a trace: about so many of those that leave something new, and of the
   others. */
static void points(struct explorer *x, size_t node, const struct trace *trace, size_t budget,
		   size_t rest)
{
	bool *fresh = calloc(trace->n, 1);
	size_t n, f = 0, o = 0;

	if (!fresh)
		die("no memory for a choice");
	n = mark_fresh(x, trace, fresh);
	for (size_t i = 0; i < trace->n && !row_enough(&x->row); i++) {
		bool worth = fresh[i] || point_worth(&trace->point[i]);

		if (worth && (point_uncovered(&trace->point[i]) ||
			      (fresh[i] ? sampled(f, n, budget, node)
					: sampled(o, trace->n - n, rest, node))))
			point(x, node, (struct death){ trace, i }, true);
		else if (fresh[i] || !worth)
			x->row.sampled++;
		else
			x->row.folded++;
		f += fresh[i];
		o += !fresh[i];
	}
	free(fresh);
}

static void loose_points(struct explorer *x, const struct trace *trace, size_t budget)
{
	size_t *at, n = points_sampled(trace, budget, 0, false, &at);

	x->row.sampled += trace->n - n;
	for (size_t i = 0; i < n && !row_enough(&x->row); i++)
		point(x, 0, (struct death){ trace, at[i] }, false);
	free(at);
}

static struct trace *record_from(struct explorer *x, size_t node)
{
	struct trace *trace;
	struct node from = x->node[node];

	x->t.hold = true;
	if (!replay(x, &from)) {
		x->row.missed++;
		return NULL;
	}
	trace = trace_new(x);
	record(&x->t, trial_start(&x->t, from.path.n), from.path.n, trace);
	trial_abandon(&x->t);
	if (trace->failed) {
		char name[128];
		const struct point *last = &trace->point[trace->n - 1];

		x->row.bad++;
		x->row.kind[0]++;
		fprintf(x->out, "    %s/%s: at death %d, %s at %s\n", x->t.room->name, x->t.s->name,
			from.path.n, trace->failed, symbols_name(last->pc, name, sizeof name));
	}
	return trace;
}

/* Deaths of the victim. */
static void level_victim(struct explorer *x)
{
	struct trace *trace;

	node_add(x, &(struct path){ .n = 0 });
	trace = record_from(x, 0);
	if (!trace || trace->failed)
		return;
	points(x, 0, trace, plan().fresh, plan().victim);
	if (!x->t.room->red)
		loose_points(x, trace, plan().loose);
}

/* Deaths of the repairer, from the states that one death has left; and of its successor, of which
   only those count that leave something new. */
static void level_repairer(struct explorer *x, size_t first, size_t last, int level)
{
	size_t n = last - first, states = plan().states < n ? plan().states : n;

	for (size_t i = first; i < last && !row_enough(&x->row); i++) {
		struct trace *trace;

		if (!sampled(i - first, n, states, 0)) {
			x->row.states++;
			continue;
		}
		trace = record_from(x, i);
		if (trace && !trace->failed)
			points(x, i, trace, plan().fresh,
			       level == 1 ? plan().repairer / states : 0);
	}
}

/* --- a scenario --------------------------------------------------------------------------- */

static void explorer_free(struct explorer *x)
{
	for (size_t i = 0; i < x->nodes; i++)
		free(x->node[i].changed);
	for (size_t i = 0; i < x->traces; i++) {
		trace_free(x->trace[i]);
		free(x->trace[i]);
	}
	free(x->trace);
	free(x->node);
	free(x->seen.key);
	free(x->begun.key);
}

struct row explore(const struct kill_room *room, const struct kill_scenario *s, FILE *out)
{
	struct explorer x = { .t = { .room = room, .s = s }, .out = out };
	struct image *image;
	size_t first = 1; /* node 0 is the state before any death */

	x.row = (struct row){ .room = room->name, .scenario = s->name, .red = room->red,
			      .began = now_ms() };
	if (s->setup)
		s->setup();
	if (options.mutant && !mutant_set(options.mutant))
		die("this program was built with a library that cannot be broken");
	image = image_save();
	x.t.image = image;
	level_victim(&x);
	for (int level = 1; level < KILL_DEPTH && room->repair; level++) {
		size_t last = x.nodes;

		level_repairer(&x, first, last, level);
		first = last;
	}
	explorer_free(&x);
	image_free(image);
	x.row.ms = now_ms() - x.row.began;
	return x.row;
}
