/* prong-kill: what is left when a process is killed, at each instruction. */
#include "engine.h"
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
	"usage: prong-kill [--short | --points N | --all | --pairs] [--seed N] [--step]\n"
	"                  [--mutants] [-v] [-j N] [OPERATION...]\n"
	"  OPERATION  a part of the name of a row, such as mutex/ or heap/free_at; all when there\n"
	"             is none\n"
	"  --short    a small sample, for every day\n"
	"  --points N a sample of all rows: some N points of each, as far as it has them\n"
	"  --seed N   another sample of the same size\n"
	"  --all      no sample, where the default takes one of the deaths of repairers\n"
	"  --pairs    the pair matrix alone, and whole: with --short and else it is sampled\n"
	"  --step     reach each point by single steps too, and compare\n"
	"  --mutants  break the library in one place at a time: some row must turn red; only\n"
	"             those whose numbers stand for OPERATION; what takes two: with --pairs\n"
	"  --wait     stay where something is stuck, for a debugger\n"
	"  -v         say more, and all that is bad\n"
	"  -j N       so many rows at the same time; 2\n";

static const struct kill_room *const rooms[] = {
	&room_naive, &room_glibc, &room_robust, &room_lock, &room_mutex, &room_slot, &room_heap,
	&room_cache, &room_process, &room_member, &room_sem, &room_borrowed, &room_event,
	&room_cond,
	&room_barrier, &room_rwlock, &room_once, &room_queue, &room_queue_hand, &room_queue_life,
	&room_conn, &room_conn_fd, &room_cancel, &room_pool
};

#define ROOMS (sizeof rooms / sizeof *rooms)
#define ROWS  2048

/* Points of a sample, over all rows; and of each at least. */
#define SHARES ((size_t)5000)
#define LEAST  ((size_t)24)

#define SKIPPED 77 /* as meson understands it */

/* What is done with a scenario, beside killing one. */
static const struct matrix {
	const char *name; /* behind that of the row */
	struct row (*explore)(const struct kill_room *room, const struct kill_scenario *s,
			      FILE *out);
} matrices[] = { { "", explore }, { "+pairs", explore_pairs }, { "+stops", explore_stops } };

#define MATRICES (sizeof matrices / sizeof *matrices)

/* A row under way, in a process of its own: its memory, its heap and its children are apart. */
struct job {
	const struct kill_room *room;
	const struct kill_scenario *s;
	const struct matrix *matrix;
	const struct mutant *mutant; /* what is broken; NULL: nothing */
	int turn;                    /* of the mutant's rows */
	const char *at;              /* as in options */
	pid_t pid;
	bool done;
	FILE *out; /* NULL: not needed, another row had noticed */
};

static struct job job[ROWS];
static struct row *row; /* shared with the jobs */
static int jobs, shown, parallel = 2;

/* --- choosing ----------------------------------------------------------------------------- */

/* "mutex-lock" is good enough for "mutex/lock". */
static bool wanted(const struct kill_room *room, const struct kill_scenario *s,
		   const struct matrix *matrix, const char *const *ops)
{
	char name[80], typed[80];

	snprintf(name, sizeof name, "%s/%s%s", room->name, s->name, matrix->name);
	snprintf(typed, sizeof typed, "%s-%s%s", room->name, s->name, matrix->name);
	for (const char *const *op = ops; *op; op++)
		if (strstr(name, *op) || strstr(typed, *op))
			return !options.mutants || !*matrix->name == !strchr(*op, '+');
	return !*ops;
}

/* Rows take part in the other matrices by what they declare. */
static bool possible(const struct kill_room *room, const struct kill_scenario *s,
		     const struct matrix *matrix)
{
	if (options.pairs)
		return s->peer && matrix->explore == explore_pairs;
	if (matrix->explore == explore_pairs)
		return s->peer != NULL;
	return matrix->explore == explore || (room->stopped && !s->alone);
}

/* A short run leaves it out, unless it is asked for. */
static bool seldom(const struct kill_scenario *s, const struct matrix *matrix)
{
	return options.shortly && !options.points && (s->rare || (s->slow && *matrix->name));
}

static void add(const struct job *j)
{
	if (jobs == ROWS)
		die("there are more than %d rows", ROWS);
	job[jobs++] = *j;
}

static void choose(const char *const *ops, const struct mutant *mutant)
{
	for (size_t r = 0; r < ROOMS; r++)
		for (const struct kill_scenario *s = rooms[r]->scenarios; s->name; s++)
			for (size_t m = 0; m < MATRICES; m++)
				if (possible(rooms[r], s, &matrices[m]) &&
				    wanted(rooms[r], s, &matrices[m], ops) &&
				    (*ops || !seldom(s, &matrices[m])))
					add(&(struct job){ rooms[r], s, &matrices[m],
							   .mutant = mutant });
}

/* --- running ------------------------------------------------------------------------------ */

static _Noreturn void work(struct job *j, struct row *out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	options.mutant = j->mutant ? j->mutant->number : 0;
	options.at = j->at;
	trace_open();
	if (j->room->red) {
		kill_patience_ms = 100;
		options.limit = 0;
	}
	if (j->room->open)
		j->room->open();
	*out = j->room->explore ? j->room->explore(j->s, j->out)
				: j->matrix->explore(j->room, j->s, j->out);
	fflush(j->out);
	_exit(0);
}

static void begin(int i)
{
	fflush(stdout);
	job[i].out = tmpfile();
	if (!job[i].out)
		die("no file for the words of a row");
	job[i].pid = fork();
	if (job[i].pid < 0)
		die("cannot fork");
	if (job[i].pid == 0)
		work(&job[i], &row[i]);
}

static void show(int i)
{
	char line[512];

	if (!job[i].out)
		return;
	table_row(&row[i]);
	rewind(job[i].out);
	while (fgets(line, sizeof line, job[i].out))
		fputs(line, stdout);
	fclose(job[i].out);
}

static void fell_over(int i, int status)
{
	row[i] = (struct row){ .room = job[i].room->name, .scenario = job[i].s->name,
			       .matrix = job[i].matrix->name, .bad = 1 };
	fprintf(job[i].out, "    the harness itself ended with %#x\n", status);
	fflush(job[i].out);
}

static void end_one(void)
{
	int status;
	pid_t pid = wait(&status);

	for (int i = 0; i < jobs; i++) {
		if (job[i].pid != pid || job[i].done)
			continue;
		job[i].done = true;
		if (status)
			fell_over(i, status);
	}
	for (; shown < jobs && job[shown].done; shown++)
		show(shown);
}

/* A mutant needs one row that notices. */
static bool is_noticed(const struct mutant *m)
{
	for (int i = 0; i < jobs; i++)
		if (job[i].mutant == m && job[i].done && row[i].bad)
			return true;
	return false;
}

static void run_all(void)
{
	int running = 0;

	for (int i = 0; i < jobs; i++) {
		if (running == parallel) {
			end_one();
			running--;
		}
		if (job[i].mutant && is_noticed(job[i].mutant)) {
			job[i].done = true;
			continue;
		}
		begin(i);
		running++;
	}
	while (running--)
		end_one();
}

/* --- results ------------------------------------------------------------------------------ */

/* Bad points of a row; a control that is not red is one, and so is a row without points. */
static uint64_t bad_of(const struct row *r)
{
	if (r->red)
		return r->bad == 0;
	return r->bad + r->differ + (r->bad + r->points == 0);
}

static void print_left_out(void)
{
	uint64_t missed = 0, sample = 0, folded = 0, states = 0;

	for (int i = 0; i < jobs; i++) {
		missed += row[i].missed;
		sample += row[i].sampled;
		folded += row[i].folded;
		states += row[i].states;
	}
	printf("left out: %llu points in later turns of loops or not in the sample; %llu that "
	       "leave what\nanother point left; %llu missed, where the process went another way "
	       "than it was recorded;\nrepairers from %llu states\n", (unsigned long long)sample,
	       (unsigned long long)folded, (unsigned long long)missed,
	       (unsigned long long)states);
}

static void print_coverage(void)
{
	char list[8192] = "";
	size_t all, hit;

	for (int i = 0; i < jobs; i++)
		if (job[i].room->files && !strstr(list, job[i].room->files) &&
		    strlen(list) + strlen(job[i].room->files) + 2 < sizeof list) {
			strcat(list, job[i].room->files);
			strcat(list, " ");
		}
	if (!list[0])
		return;
	coverage_of(list, &all, &hit, options.verbose ? stdout : NULL);
	printf("coverage: %zu of %zu instructions of the functions under test were a kill point: "
	       "%.0f %%\n", hit, all, all ? 100.0 * (double)hit / (double)all : 0);
}

static int summary(void)
{
	uint64_t points = 0, bad = 0;

	for (int i = 0; i < jobs; i++) {
		points += row[i].red ? 0 : row[i].points;
		bad += bad_of(&row[i]);
	}
	print_left_out();
	print_coverage();
	printf("%llu points, %llu bad\n", (unsigned long long)points, (unsigned long long)bad);
	return bad != 0;
}

/* --- mutants ------------------------------------------------------------------------------ */

/* Return whether some row noticed. */
static bool noticed(const struct mutant *m)
{
	bool red = is_noticed(m);

	printf("mutant %d, %s: %s\n", m->number, m->what, red ? "red" : "GREEN");
	return red;
}

/* The tracer may be forbidden to trace, as in some containers: then nothing can be said. */
static void need_ptrace(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? 1 : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("cannot fork");
	if (status == 0)
		return;
	puts("skipped: this machine does not let processes be traced");
	exit(SKIPPED);
}

/* True when the numbers name it, or there are none.  Two parties are needed to notice some, and a
   sample of their pairs may miss what the whole matrix finds. */
static bool listed(const struct mutant *m, char *const *numbers)
{
	if (!*numbers && strchr(m->rows[0], '+'))
		return options.pairs;
	for (char *const *n = numbers; *n; n++)
		if (atoi(*n) == m->number)
			return true;
	return !*numbers;
}

static int by_turn(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	return x->turn != y->turn ? x->turn - y->turn : x->mutant->number - y->mutant->number;
}

static void choose_for(const struct mutant *m)
{
	int first = jobs;

	for (const char *const *named = m->rows; *named; named++) {
		char name[80];
		const char *at = strchr(*named, '@');
		int from = jobs;

		snprintf(name, sizeof name, "%.*s", (int)strcspn(*named, "@"), *named);
		choose((const char *const[]){ name, NULL }, m);
		for (int i = from; i < jobs; i++)
			job[i].at = at ? at + 1 : NULL;
	}
	for (int i = first; i < jobs; i++)
		job[i].turn = i - first;
}

/* The first row of each, then the second of those that are left, and so on. */
static void choose_all(char *const *numbers, const bool *red)
{
	jobs = shown = 0;
	memset(job, 0, sizeof job);
	for (int i = 0; mutants[i].number; i++)
		if (listed(&mutants[i], numbers) && !red[i])
			choose_for(&mutants[i]);
	qsort(job, (size_t)jobs, sizeof *job, by_turn);
	memset(row, 0, ROWS * sizeof *row);
}

/* Try those that were not noticed yet.  Return how many are left. */
static int try_mutants(char *const *numbers, bool *red)
{
	int green = 0;

	choose_all(numbers, red);
	run_all();
	for (int i = 0; mutants[i].number; i++)
		if (listed(&mutants[i], numbers) && !red[i]) {
			red[i] = noticed(&mutants[i]);
			green += !red[i];
		}
	return green;
}

static int run_mutants(char *const *numbers)
{
	static bool red[ROWS];
	int n = 0, green;

	if (!mutant_set(0))
		die("this program was built with a library that cannot be broken");
	options.limit = 1;
	kill_patience_ms = 1500;
	parallel *= 4; /* most of the time they wait for who does not come */
	green = try_mutants(numbers, red);
	/* On a machine with other work some are asleep when they should not be, or the reverse. */
	parallel = 1;
	for (int again = 0; again < 2 && green; again++)
		green = try_mutants(numbers, red);
	for (int i = 0; mutants[i].number; i++)
		n += listed(&mutants[i], numbers);
	printf("%d mutants, %d green\n", n, green);
	return green != 0;
}

/* --- the command line --------------------------------------------------------------------- */

static bool parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "short", no_argument, NULL, 's' },   { "all", no_argument, NULL, 'a' },
		{ "step", no_argument, NULL, 't' },    { "wait", no_argument, NULL, 'w' },
		{ "mutants", no_argument, NULL, 'm' }, { "pairs", no_argument, NULL, 'p' },
		{ "points", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "vj:", longs, NULL)) != -1) {
		options.shortly |= c == 's' || c == 'n';
		if (c == 'n')
			options.points = strtoul(optarg, NULL, 10);
		if (c == 'r')
			options.seed = (unsigned)strtoul(optarg, NULL, 10);
		options.all |= c == 'a';
		options.step |= c == 't';
		options.pairs |= c == 'p';
		options.wait |= c == 'w';
		options.verbose |= c == 'v';
		options.mutants |= c == 'm';
		if (c == 'j')
			parallel = atoi(optarg) > 0 ? atoi(optarg) : 1;
		if (c == '?')
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	options.limit = 25;
	if (!parse(argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	options.share = LEAST;
	need_ptrace();
	symbols_open();
	row = mmap(NULL, ROWS * sizeof *row, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		   0);
	if (row == MAP_FAILED)
		die("no memory for rows");
	table_head();
	if (options.mutants)
		return run_mutants(argv + optind);
	choose((const char *const *)(argv + optind), NULL);
	options.share = SHARES / (size_t)(jobs ? jobs : 1);
	options.share = options.share < LEAST ? LEAST : options.share;
	if (options.points)
		options.share = options.points;
	run_all();
	return summary();
}
