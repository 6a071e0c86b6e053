/* Counts the C identifiers in all files below a directory and prints the twenty commonest: in one
   piece, with threads, or with processes, any of which may be killed.
   cc -std=c11 -D_DEFAULT_SOURCE *.c $(pkg-config --cflags --libs prong) -o identifiers

   In reading order: main.c, run.c (who works), job.c (who works at what), work.c (at one batch of
   files), total.c (the counts of all), and, of no interest for prong: files.c, scan.c, words.c,
   top.c. */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../must.h"
#include "run.h"
#include "top.h"

static const char usage[] =
	"usage: identifiers [DIR] [--on KIND] [--workers N] [--kill-one]\n"
	"Count the C identifiers in all files below DIR (/usr/include); print the commonest.\n"
	"  --on KIND     sequential, threads or processes (the default)\n"
	"  --workers N   how many threads or processes; the default is one for each processor\n"
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

static void parse_kind(struct plan *plan, const char *s)
{
	if (strcmp(s, "sequential") == 0)
		plan->run = run_sequential;
	else if (strcmp(s, "threads") == 0)
		plan->run = run_threads;
	else if (strcmp(s, "processes") == 0)
		plan->run = run_processes;
	else
		wrong_usage();
}

/* Return DIR. */
static const char *parse(struct plan *plan, int argc, char **argv)
{
	static const struct option options[] = {
		{ "on", required_argument, NULL, 'o' },
		{ "workers", required_argument, NULL, 'w' },
		{ "kill-one", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'o':
			parse_kind(plan, optarg);
			break;
		case 'w':
			plan->workers = parse_workers(optarg);
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
	if (plan->kill_one && plan->run != run_processes) {
		warnx("--kill-one needs --on processes");
		wrong_usage();
	}
	if (optind < argc - 1)
		wrong_usage();
	return optind < argc ? argv[optind] : "/usr/include";
}

static struct job *new_job(const char *dir)
{
	struct names names = { 0 };
	int r = names_find(&names, dir);
	struct job *j;

	if (r)
		errx(1, "%s: %s", dir, strerror(r));
	j = job_new(&names);
	j->progress = isatty(STDERR_FILENO);
	names_fini(&names);
	return j;
}

/* Say what a reader of the result should know; it is the same whoever did the work, but for who
   took over from whom. */
static void report(const struct job *j, const struct top *top)
{
	size_t left_out = 0;

	if (j->progress)
		fputs("\r     \r", stderr);
	for (const struct batch *b = j->batches; b < j->batches + j->nbatches; b++)
		if (b->deaths)
			warnx("the %zu files that worker-%d held were counted by worker-%d",
			      b->nfiles, b->lost_by, b->holder);
	for (const struct file *f = j->files; f < j->files + j->nfiles; f++)
		if (f->problem) {
			left_out++;
			warnx("%s: %s", f->path,
			      f->problem == BINARY ? "binary" : strerror(f->problem));
		}
	warnx("%zu files counted, %zu left out; %" PRIu64 " identifiers, %" PRIu64 " different",
	      j->nfiles - left_out, left_out, top->all, top->kinds);
}

int main(int argc, char **argv)
{
	struct plan plan = { .run = run_processes };
	const char *dir;
	struct job *j;
	struct top top;

	must(prong_open(NULL), "open");
	plan.workers = prong_cpu_count() < MAX_WORKERS ? prong_cpu_count() : MAX_WORKERS;
	dir = parse(&plan, argc, argv);
	j = new_job(dir);
	plan.run(j, &plan);
	top_find(&top, &j->total);
	report(j, &top);
	for (size_t i = 0; i < top.size; i++)
		printf("%10" PRIu64 "  %s\n", top.best[i].n, top.best[i].word);
	if (fflush(stdout) == EOF)
		err(1, "cannot write the result");
}
