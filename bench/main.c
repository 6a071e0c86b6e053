/* prong-bench [--out FILE] [--reps N] [--without WORD]... [--list] [CASE...]

   Run the cases whose rows' names begin with one of CASE, or all; write the rows to FILE and print
   them as a table; without the subjects that have a WORD in their names.  bench.h says how to read
   them. */
#include "bench.h"
#include <err.h>
#include <prong/prong.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct bench_case *const nouns[] = {
	bench_process, bench_thread,     bench_mutex,  bench_death,   bench_open,
	bench_heap,    bench_sync,       bench_pipe,   bench_queue,   bench_codec,
	bench_pool,    bench_connection, bench_remote, bench_manager,
	bench_crowd,
};

struct wishes {
	const char *out;
	unsigned reps;
	bool list;
	char **cases; /* ends with NULL */
};

static _Noreturn void usage(void)
{
	fputs("usage: prong-bench [--out FILE] [--reps N] [--without WORD]... [--list] [CASE...]\n",
	      stderr);
	exit(2);
}

static unsigned to_reps(const char *text)
{
	char *end;
	unsigned long n = text ? strtoul(text, &end, 10) : 0;

	if (n < 1 || n > 100000 || *end)
		usage();
	return (unsigned)n;
}

static struct wishes parse(char **argv)
{
	struct wishes w = { .out = "build/bench.tsv", .reps = BENCH_REPS };

	for (argv++; *argv && **argv == '-'; argv++) {
		if (strcmp(*argv, "--list") == 0)
			w.list = true;
		else if (strcmp(*argv, "--out") == 0 && argv[1])
			w.out = *++argv;
		else if (strcmp(*argv, "--without") == 0 && argv[1])
			bench_leave_out(*++argv);
		else if (strcmp(*argv, "--reps") == 0)
			w.reps = to_reps(*++argv);
		else
			usage();
	}
	w.cases = argv;
	return w;
}

static void row_name(char *text, size_t size, const struct bench_case *c,
		     const struct bench_metric *m)
{
	snprintf(text, size, "%s%s%s", c->name, *m->name ? "-" : "", m->name);
}

static bool wanted(const struct bench_case *c, char **names)
{
	char text[64];

	for (char **name = names; *name; name++) {
		for (const struct bench_metric *m = c->metrics; m->name; m++) {
			row_name(text, sizeof(text), c, m);
			if (strncmp(text, *name, strlen(*name)) == 0)
				return true;
		}
	}
	return !*names;
}

static void list(const struct bench_case *c)
{
	char text[64];

	for (const struct bench_metric *m = c->metrics; m->name; m++) {
		row_name(text, sizeof(text), c, m);
		puts(text);
	}
}

/* Do something with each wanted case; return how many there are. */
static unsigned each(const struct wishes *w, void (*act)(const struct bench_case *))
{
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(nouns) / sizeof(*nouns); i++) {
		for (const struct bench_case *c = nouns[i]; c->name; c++) {
			if (wanted(c, w->cases)) {
				act(c);
				n++;
			}
		}
	}
	return n;
}

static void run(const struct bench_case *c)
{
	if (isatty(fileno(stderr)))
		fprintf(stderr, "%s ...\n", c->name);
	bench_run_case(c);
}

int main(int argc, char **argv)
{
	struct wishes w = parse(argv);
	int r;

	(void)argc;
	if (w.list)
		return each(&w, list) == 0;
	bench_rows_open(w.out);
	bench_set_stdio_aside();
	bench_ask(w.reps);
	bench_agent_start();
	r = prong_open(NULL);
	if (r)
		errx(1, "prong_open: %s: %s", prong_strerror(r), prong_error_detail());
	if (each(&w, run) == 0)
		errx(2, "no such case: --list names them");
	bench_agent_stop();
	bench_rows_print();
	return 0;
}
