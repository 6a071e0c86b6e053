/* Encoding values as pickles, and decoding them, beside CPython's C accelerator on the same data: a
   list of a million ints, 100,000 small dicts, 64 MiB of bytes, a tree of 65,535 lists, 150 chains
   of 450 lists in each other, about as deep as CPython goes.

   Each subject takes the best of three in a run, and frees what it has decoded within the time.
   The floor copies as many bytes as the pickle has into fresh memory.  What prong encodes was
   built by value.h, as a program would; Python's is its own objects.

   Not measured: JSON, and objects of classes. */
#include "bench.h"
#include <err.h>
#include <prong/net.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENCODE,
	DECODE
}; /* channels */

static const prong_limits limits = { .bytes = (size_t)1 << 30 };

static void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}

/* --- the data --------------------------------------------------------------------------------- */

static prong_value *make_ints(void)
{
	prong_value *v = prong_value_new(PRONG_LIST);

	for (int i = 0; i < 1000000; i++)
		must(prong_value_add(v, prong_value_int(i)), "add");
	return v;
}

/* The keys are the same values in all, as they are in Python. */
static prong_value *make_dicts(void)
{
	prong_value *v = prong_value_new(PRONG_LIST), *d, *key[4];
	static const char *const names[] = { "id", "name", "score", "ok" };

	for (int k = 0; k < 4; k++)
		key[k] = prong_value_text(names[k]);
	for (int i = 0; i < 100000; i++) {
		prong_value *item[] = { prong_value_int(i), prong_value_textf("item %d", i),
					prong_value_float(i * 0.5), prong_value_bool(true) };

		d = prong_value_new(PRONG_DICT);
		for (int k = 0; k < 4; k++)
			must(prong_value_put(d, prong_value_dup(key[k]), item[k]), "put");
		must(prong_value_add(v, d), "add");
	}
	for (int k = 0; k < 4; k++)
		prong_value_free(key[k]);
	return v;
}

static prong_value *make_bytes(void)
{
	size_t n = (size_t)64 << 20;
	char *data = malloc(n);
	prong_value *v;

	if (!data)
		err(1, "malloc");
	memset(data, 'x', n);
	v = prong_value_bytes(PRONG_BYTES, data, n);
	free(data);
	return v;
}

static prong_value *tree(int depth)
{
	prong_value *v;

	if (depth == 0)
		return prong_value_new(PRONG_NONE);
	v = prong_value_new(PRONG_LIST);
	must(prong_value_add(v, tree(depth - 1)), "add");
	must(prong_value_add(v, tree(depth - 1)), "add");
	must(prong_value_add(v, prong_value_int(depth)), "add");
	return v;
}

static prong_value *make_tree(void)
{
	return tree(16);
}

static prong_value *chain(int depth)
{
	prong_value *v = prong_value_new(PRONG_NONE), *outer;

	for (int i = 0; i < depth; i++) {
		outer = prong_value_new(PRONG_LIST);
		must(prong_value_add(outer, v), "add");
		must(prong_value_add(outer, prong_value_int(i)), "add");
		v = outer;
	}
	return v;
}

static prong_value *make_deep(void)
{
	prong_value *v = prong_value_new(PRONG_LIST);

	for (int i = 0; i < 150; i++)
		must(prong_value_add(v, chain(450)), "add");
	return v;
}

struct data {
	const char *name;
	prong_value *(*make)(void);
	size_t size; /* of its pickle, about: what the floor copies */
};

static const struct data ints = { "ints", make_ints, 4871352 };
static const struct data dicts = { "dicts", make_dicts, 3858315 };
static const struct data bytes = { "bytes", make_bytes, 67108873 };
static const struct data trees = { "tree", make_tree, 458812 };
static const struct data deep = { "deep", make_deep, 434320 };

/* --- subjects --------------------------------------------------------------------------------- */

static double ms_since(int64_t begin)
{
	return (double)(bench_now() - begin) / 1e6;
}

static double encode(const prong_value *v)
{
	int64_t begin = bench_now();
	void *data;
	size_t size;

	must(prong_encode(v, PRONG_PICKLE_4, &data, &size, &limits), "encode");
	free(data);
	return ms_since(begin);
}

static double decode(const void *data, size_t size)
{
	int64_t begin = bench_now();
	prong_value *v;

	must(prong_decode(&v, PRONG_PICKLE, data, size, &limits), "decode");
	prong_value_free(v);
	return ms_since(begin);
}

static void run_prong(const void *arg, struct bench_out *out)
{
	const struct data *d = arg;
	prong_value *v = d->make();
	double least[2] = { 1e9, 1e9 }, ms;
	void *data;
	size_t size;

	must(prong_encode(v, PRONG_PICKLE_4, &data, &size, &limits), "encode");
	for (int i = 0; i < 3; i++) {
		ms = encode(v);
		least[ENCODE] = ms < least[ENCODE] ? ms : least[ENCODE];
		ms = decode(data, size);
		least[DECODE] = ms < least[DECODE] ? ms : least[DECODE];
	}
	bench_push(out, ENCODE, least[ENCODE]);
	bench_push(out, DECODE, least[DECODE]);
	free(data);
	prong_value_free(v);
}

static void run_copy(const void *arg, struct bench_out *out)
{
	const struct data *d = arg;
	char *from = malloc(d->size), *to;
	double least = 1e9;

	if (!from)
		err(1, "malloc");
	memset(from, 'x', d->size);
	for (int i = 0; i < 3; i++) {
		int64_t begin = bench_now();
		double ms;

		to = malloc(d->size);
		if (!to)
			err(1, "malloc");
		memcpy(to, from, d->size);
		__asm__ __volatile__("" ::"r"(to) : "memory"); /* it is not left out */
		free(to);
		ms = ms_since(begin);
		least = ms < least ? ms : least;
	}
	free(from);
	bench_push(out, ENCODE, least);
	bench_push(out, DECODE, least);
}

/* --- Pythons ---------------------------------------------------------------------------------- */

/* The command of Python of this version, from PATH or pyenv; "" when there is none. */
static void python_command(const char *version, char *text, size_t size)
{
	char ask[1024];
	FILE *answer;

	snprintf(
		ask, sizeof ask,
		"for p in python%s \"${PYENV_ROOT:-$HOME/.pyenv}\"/versions/%s.*/bin/python; do "
		"s=$(\"$p\" -c 'import sys; print(\"%%d.%%d\" %% sys.version_info[:2])' "
		"2>/dev/null); "
		"test \"$s\" = %s && { echo \"$p\"; break; }; done",
		version, version, version);
	*text = 0;
	answer = popen(ask, "r");
	if (answer) {
		if (!fgets(text, (int)size, answer))
			*text = 0;
		pclose(answer);
	}
	text[strcspn(text, "\n")] = 0;
}

struct python {
	const char *version;
	const struct data *data;
};

static void run_python(const void *arg, struct bench_out *out)
{
	const struct python *p = arg;
	char command[800], line[900];
	double ms[2];
	FILE *answer;

	python_command(p->version, command, sizeof command);
	snprintf(line, sizeof line, "'%s' '%s' %s", command, BENCH_CODEC, p->data->name);
	answer = *command ? popen(line, "r") : NULL;
	if (!answer)
		return;
	if (fscanf(answer, "%lf %lf", &ms[ENCODE], &ms[DECODE]) == 2) {
		bench_push(out, ENCODE, ms[ENCODE]);
		bench_push(out, DECODE, ms[DECODE]);
	}
	pclose(answer);
}

static const char *missing(const char *version)
{
	char command[800];

	python_command(version, command, sizeof command);
	return *command ? NULL : "this version is not here";
}

#define MISSING(name, version) \
	static const char *name(void) \
	{ \
		return missing(version); \
	}
MISSING(no_27, "2.7")
MISSING(no_36, "3.6")
MISSING(no_37, "3.7")
MISSING(no_38, "3.8")
MISSING(no_39, "3.9")
MISSING(no_310, "3.10")
MISSING(no_311, "3.11")
MISSING(no_312, "3.12")
MISSING(no_313, "3.13")

#define PYTHON(v, data_, no) \
	{ \
		"Python " v, run_python, &(const struct python){ v, &data_ }, false, no \
	}

/* Bits of the subjects that are Pythons: all but the first. */
#define PYTHONS 0x3feu

#define CODEC(name_, data_) \
	{ \
		.name = "codec-" name_, .reps = 3, \
		.floor = { "malloc, memcpy, free", run_copy, &data_, false, NULL }, \
		.subjects = { { "prong", run_prong, &data_, true, NULL }, \
			      PYTHON("2.7", data_, no_27), \
			      PYTHON("3.6", data_, no_36), \
			      PYTHON("3.7", data_, no_37), \
			      PYTHON("3.8", data_, no_38), \
			      PYTHON("3.9", data_, no_39), \
			      PYTHON("3.10", data_, no_310), \
			      PYTHON("3.11", data_, no_311), \
			      PYTHON("3.12", data_, no_312), \
			      PYTHON("3.13", data_, no_313) }, \
		.metrics = { { "encode", "ms", ENCODE, 0 }, { "decode", "ms", DECODE, 0 } }, \
		.versus = { \
			{ "prong : best Python", ENCODE, 0, ENCODE, PYTHONS, false }, \
			{ "prong : best Python", DECODE, 0, DECODE, PYTHONS, false } \
		} \
	}

const struct bench_case bench_codec[] = {
	CODEC("ints", ints),  CODEC("dicts", dicts), CODEC("bytes", bytes),
	CODEC("tree", trees), CODEC("deep", deep),   { .name = NULL },
};
