/* All deaths of one scenario: of the victim at each instruction; then, for each distinct image that
   this left, of the repairer at each of its instructions; then of the repairer's successor, where
   that leaves an image that no death before has left.

   What a death leaves is the image and who is awake: registers die with their process.  So images
   are told apart by a key, and the same image is explored once. */
#include "engine.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options options;

/* A state that deaths have left. */
struct node {
	struct path path;
	struct change *changed; /* NULL: the deaths have to be played again */
};

struct explorer {
	struct kill_trial t;
	struct row row;
	FILE *out;
	struct node *node;
	size_t nodes, room;
	uint64_t *seen; /* hash table of keys; 0: empty */
	size_t seen_size, seen_used;
	struct trace **trace; /* all that paths name */
	size_t traces;
};

/* --- sets --------------------------------------------------------------------------------- */

static bool seen_add(struct explorer *x, uint64_t key);

static void seen_grow(struct explorer *x)
{
	uint64_t *old = x->seen;
	size_t size = x->seen_size;

	x->seen_size = size ? size * 2 : 1024;
	x->seen_used = 0;
	x->seen = calloc(x->seen_size, sizeof *x->seen);
	if (!x->seen)
		die("no memory for keys");
	for (size_t i = 0; i < size; i++)
		if (old[i])
			seen_add(x, old[i]);
	free(old);
}

/* True when the key is new. */
static bool seen_add(struct explorer *x, uint64_t key)
{
	size_t i;

	key |= !key;
	if (x->seen_used * 2 >= x->seen_size)
		seen_grow(x);
	for (i = key & (x->seen_size - 1); x->seen[i]; i = (i + 1) & (x->seen_size - 1))
		if (x->seen[i] == key)
			return false;
	x->seen[i] = key;
	x->seen_used++;
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
	return options.limit && row->bad >= (uint64_t)options.limit;
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
		o.key = trial_key(&x->t);
		if (!x->t.by_step && seen_add(x, o.key) && path->n < KILL_DEPTH)
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

bool point_worth(const struct point *p)
{
	return p->visit <= 24 || p->visit % 64 == 0;
}

bool sampled(size_t i, size_t n, size_t budget, size_t turn)
{
	if (budget >= n)
		return true;
	i = (i + options.seed + turn) % n;
	return i * budget / n != (i + 1) * budget / n;
}

/* How many deaths of repairers a scenario gets, over all states that they start from. */
static size_t repairer_budget(void)
{
	return options.all ? SIZE_MAX : options.mutant ? 1200 : options.shortly ? 120 : 5000;
}

static void points(struct explorer *x, size_t node, const struct trace *trace, size_t budget,
		   bool hold)
{
	for (size_t i = 0; i < trace->n && !row_enough(&x->row); i++)
		if (!point_worth(&trace->point[i]) || !sampled(i, trace->n, budget, node))
			x->row.sampled++;
		else
			point(x, node, (struct death){ trace, i }, hold);
}

/* The points of the trace that leave an image not left before. */
static void new_points(struct explorer *x, size_t node, const struct trace *trace)
{
	for (size_t i = 0; i < trace->n && !row_enough(&x->row); i++) {
		uint64_t key = trace->point[i].key;
		bool fresh = true;

		for (size_t k = key & (x->seen_size - 1); x->seen[k] && fresh;
		     k = (k + 1) & (x->seen_size - 1))
			fresh = x->seen[k] != key;
		if (fresh)
			point(x, node, (struct death){ trace, i }, true);
		else
			x->row.folded++;
	}
}

static struct trace *record_from(struct explorer *x, size_t node, bool keys)
{
	struct trace *trace;
	struct node from = x->node[node];

	x->t.hold = true;
	if (!replay(x, &from)) {
		x->row.missed++;
		return NULL;
	}
	trace = trace_new(x);
	record(&x->t, trial_start(&x->t, from.path.n), from.path.n, trace, keys);
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
	size_t budget = options.shortly ? 90 : SIZE_MAX / 4;

	node_add(x, &(struct path){ .n = 0 });
	trace = record_from(x, 0, false);
	if (!trace || trace->failed)
		return;
	points(x, 0, trace, budget, true);
	if (!x->t.room->red)
		points(x, 0, trace, budget / 3, false);
}

/* Deaths of the repairer, from the states that one death has left; and of its successor. */
static void level_repairer(struct explorer *x, size_t first, size_t last, int level)
{
	size_t n = last - first, budget = repairer_budget();
	size_t nodes = budget / 20 < n ? budget / 20 : n;

	for (size_t i = first; i < last && !row_enough(&x->row); i++) {
		struct trace *trace;

		if (!sampled(i - first, n, nodes, 0))
			continue;
		trace = record_from(x, i, level > 1);
		if (!trace || trace->failed)
			continue;
		if (level > 1 && !options.shortly) {
			new_points(x, i, trace);
			continue;
		}
		points(x, i, trace, budget / nodes, true);
		if (level == 1)
			points(x, i, trace, (budget < trace->n ? budget : trace->n) / nodes / 4 + 1,
			       false);
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
	free(x->seen);
}

struct row explore(const struct kill_room *room, const struct kill_scenario *s, FILE *out)
{
	struct explorer x = { .t = { .room = room, .s = s }, .out = out };
	int64_t start = now_ms();
	struct image *image;
	size_t first = 1; /* node 0 is the state before any death */

	x.row = (struct row){ .room = room->name, .scenario = s->name, .red = room->red };
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
	x.row.ms = now_ms() - start;
	return x.row;
}
