/* A process dies; the program learns which one it was, why and where, and goes on. */
#include <prong/prong.h>
#include <stdio.h>
#include "must.h"

__attribute__((noinline)) static void cut_at_semicolon(char *line)
{
	char *end = NULL;

	for (char *c = line; *c; c++)
		if (*c == ';')
			end = c;
	*end = '\0'; /* the bug: a line without a semicolon */
}

static int parse(void *arg)
{
	cut_at_semicolon(arg);
	return 0;
}

int main(void)
{
	static char lines[3][8] = { "a = 1;", "b = 2", "c = 3;" };
	prong_report how;
	char text[4096];

	must(prong_open(NULL), "open");
	for (int i = 0; i < 3; i++) {
		prong_process_opts opts = { .name = lines[i], .trace = true };
		prong_process *p;

		must(prong_process_start(&p, parse, lines[i], 8, &opts), "start");
		must(prong_process_join(p, NULL, PRONG_FOREVER), "join");
		prong_process_report(p, &how);
		prong_report_text(&how, text, sizeof text);
		printf("%s\n", text);
		prong_process_free(p);
	}
}
