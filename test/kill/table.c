/* The table of results. */
#include "engine.h"

void table_head(void)
{
	printf("%-34s %8s %6s %6s %6s %6s %6s %6s %7s\n", "operation", "points", "stuck", "torn",
	       "lost", "twice", "leaked", "missed", "seconds");
}

void table_row(const struct row *row)
{
	char name[80];

	snprintf(name, sizeof name, "%s/%s%s%s", row->room, row->scenario,
		 row->matrix ? row->matrix : "",
		 row->red ? " (must be red)" : "");
	printf("%-34s %8llu", name, (unsigned long long)row->points);
	for (int k = 0; k < KILL_KINDS; k++)
		printf(" %6llu", (unsigned long long)row->kind[k]);
	printf(" %6llu %7.1f\n", (unsigned long long)row->missed, (double)row->ms / 1000);
	fflush(stdout);
}
