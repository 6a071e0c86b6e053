/* Counts the C identifiers in all files below a directory and prints the twenty commonest: in one
   piece, with threads, or with processes, any of which may be killed.
   cc -std=c11 -D_DEFAULT_SOURCE *.c $(pkg-config --cflags --libs prong) -o identifiers

   In reading order: main.c, job.c (files become tasks of a pool, results become the total),
   count.c (the task), and, of no interest for prong: files.c, scan.c, words.c, top.c. */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../must.h"
#include "job.h"
#include "top.h"

enum {
	MAX_WORKERS = 1000
};

static const char usage[] =
	"usage: identifiers [DIR] [--on KIND] [--workers N] [--limit TIME] [--poison FILE]\n"
	"                   [--kill-one]\n"
	"Count the C identifiers in all files below DIR (/usr/include); print the commonest.\n"
	"  --on KIND     sequential, threads or processes (the default)\n"
	"  --workers N   how many threads or processes; the default is one for each processor\n"
	"These need processes, which can be stopped, and can die alone:\n"
	"  --limit TIME  stop the work at a file after so long, as 2s or 500ms; also wait so long\n"
	"                for writers of FIFOs, which are left alone without\n"
	"  --poison FILE the process that comes upon this file dies of it\n"
	"  --kill-one    kill a process in the middle of the work\n";

static _Noreturn void wrong_usage(void)
{
	fputs(usage, stderr);
	exit(2);
}

static int parse_workers(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	if (end == s || *end || n < 1 || n > MAX_WORKERS) {
		warnx("--workers needs a number from 1 to %d", MAX_WORKERS);
		wrong_usage();
	}
	return (int)n;
}

static const char *parse_kind(const char *s)
{
	if (strcmp(s, "sequential") != 0 && strcmp(s, "threads") != 0 &&
	    strcmp(s, "processes") != 0)
		wrong_usage();
	return s;
}

/* Return milliseconds. */
static int parse_time(const char *s)
{
	char *unit;
	long n = strtol(s, &unit, 10);

	if (n > 0 && n <= 86400 && (strcmp(unit, "s") == 0 || *unit == '\0'))
		return unit == s ? 0 : (int)n * 1000;
	if (n > 0 && n <= 86400000 && strcmp(unit, "ms") == 0)
		return (int)n;
	warnx("--limit needs a time from 1ms to 86400s");
	wrong_usage();
}

/* Return DIR. */
static const char *parse(struct plan *plan, int argc, char **argv)
{
	static const struct option options[] = {
		{ "on", required_argument, NULL, 'o' },
		{ "workers", required_argument, NULL, 'w' },
		{ "limit", required_argument, NULL, 'l' },
		{ "poison", required_argument, NULL, 'p' },
		{ "kill-one", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'o':
			plan->kind = parse_kind(optarg);
			break;
		case 'w':
			plan->workers = parse_workers(optarg);
			break;
		case 'l':
			plan->limit_ms = parse_time(optarg);
			break;
		case 'p':
			plan->poison = optarg;
			break;
		case 'k':
			plan->kill_one = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			wrong_usage();
		}
	if ((plan->kill_one || plan->poison || plan->limit_ms) &&
	    strcmp(plan->kind, "processes") != 0) {
		warnx("%s needs --on processes: nothing else can be stopped, or die alone",
		      plan->kill_one ? "--kill-one"
		      : plan->poison ? "--poison"
				     : "--limit");
		wrong_usage();
	}
	if (optind < argc - 1)
		wrong_usage();
	return optind < argc ? argv[optind] : "/usr/include";
}

static const char *problem_text(int problem)
{
	switch (problem) {
	case BINARY:
		return "binary";
	case OVERRAN:
		return "stopped at the limit";
	case CRASHED:
		return "whoever counts it dies";
	default:
		return strerror(problem);
	}
}

/* Say what a reader of the result should know; it is the same whoever did the work. */
static void report(const struct job *j, const struct top *top)
{
	size_t left_out = 0;

	if (j->plan->progress)
		fputs("\r     \r", stderr);
	for (const struct file *f = j->files; f < j->files + j->nfiles; f++)
		if (f->problem) {
			left_out++;
			warnx("%s: %s", f->path, problem_text(f->problem));
		}
	warnx("%zu files counted, %zu left out; %" PRIu64 " identifiers, %" PRIu64 " different",
	      j->nfiles - left_out, left_out, top->all, top->kinds);
}

int main(int argc, char **argv)
{
	struct plan plan = { .kind = "processes", .progress = isatty(STDERR_FILENO) };
	struct names names = { 0 };
	const char *dir;
	struct job job;
	struct top top;
	int r;

	must(prong_open(NULL), "open");
	plan.workers = prong_cpu_count() < MAX_WORKERS ? prong_cpu_count() : MAX_WORKERS;
	dir = parse(&plan, argc, argv);
	names.fifos = plan.limit_ms > 0;
	r = names_find(&names, dir);
	if (r)
		errx(1, "%s: %s", dir, strerror(r));
	job_init(&job, &plan, &names);
	names_fini(&names);
	job_run(&job);
	top_find(&top, &job.total);
	report(&job, &top);
	for (size_t i = 0; i < top.size; i++)
		printf("%10" PRIu64 "  %.*s\n", top.best[i].n, (int)top.best[i].len,
		       top.best[i].word);
	job_fini(&job);
	if (fflush(stdout) == EOF)
		err(1, "cannot write the result");
}
