/* The rows: a file of tab-separated values, and the same as a table. */
#include "bench.h"
#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	COLUMNS = 8,
	CELL = 112
};

struct line {
	char cell[COLUMNS][CELL];
};

static const struct line header = { { "case", "subject", "median", "min", "max", "unit", "floor",
				      "ratio" } };

static FILE *file;
static struct line *lines;
static size_t n_lines;

/* Four figures that count, and never an exponent. */
static void number(char *cell, double v)
{
	if (isnan(v))
		snprintf(cell, CELL, "-");
	else if (v >= 1000)
		snprintf(cell, CELL, "%.0f", v);
	else if (v >= 0.001)
		snprintf(cell, CELL, "%.4g", v);
	else
		snprintf(cell, CELL, "%.6f", v);
}

static void write_line(const struct line *l)
{
	for (unsigned c = 0; c < COLUMNS; c++)
		fprintf(file, "%s%c", l->cell[c], c + 1 < COLUMNS ? '\t' : '\n');
	if (fflush(file) != 0)
		err(1, "cannot write the rows");
}

void bench_rows_open(const char *path)
{
	file = fopen(path, "we");
	if (!file)
		err(1, "%s", path);
	write_line(&header);
}

void bench_row_add(const struct bench_row *row)
{
	struct line *l;

	lines = realloc(lines, (n_lines + 1) * sizeof(*lines));
	if (!lines)
		err(1, "realloc");
	l = &lines[n_lines++];
	snprintf(l->cell[0], CELL, "%s", row->name);
	snprintf(l->cell[1], CELL, "%s", row->subject);
	number(l->cell[2], row->median);
	number(l->cell[3], row->min);
	number(l->cell[4], row->max);
	snprintf(l->cell[5], CELL, "%s", row->unit);
	number(l->cell[6], row->floor);
	number(l->cell[7], row->ratio);
	write_line(l);
}

static void widen(size_t *width, const struct line *l)
{
	for (unsigned c = 0; c < COLUMNS; c++)
		if (strlen(l->cell[c]) > width[c])
			width[c] = strlen(l->cell[c]);
}

/* Words to the left, numbers to the right. */
static void print_line(const size_t *width, const struct line *l)
{
	static const int left[COLUMNS] = { [0] = 1, [1] = 1, [5] = 1 };

	for (unsigned c = 0; c < COLUMNS; c++)
		printf("%*s%s", (left[c] ? -1 : 1) * (int)width[c], l->cell[c],
		       c + 1 < COLUMNS ? "  " : "\n");
}

void bench_rows_print(void)
{
	size_t width[COLUMNS] = { 0 };

	widen(width, &header);
	for (size_t i = 0; i < n_lines; i++)
		widen(width, &lines[i]);
	print_line(width, &header);
	for (size_t i = 0; i < n_lines; i++) {
		if (i > 0 && strcmp(lines[i].cell[0], lines[i - 1].cell[0]) != 0)
			putchar('\n');
		print_line(width, &lines[i]);
	}
}
