/* Read a pickle file, print it as text and as JSON, and name the classes that it would need.
   Nothing is run: the one inside would have a Python call os.system.
   cc -std=c11 18-pickle.c $(pkg-config --cflags --libs prong-net) -o 18-pickle */
#include <errno.h>
#include <prong/net.h>
#include <stdio.h>
#include <stdlib.h>
#include "must.h"

/* Three jobs, and a surprise. */
static const char sent[] = "\x80\x02](X\x05\0\0\0splitq\0K\x07\x86"
			   "h\0\x8a\x09\0\0\0\0\0\0\0\0\x01\x86"
			   "G?\xf8\0\0\0\0\0\0\x88\x86"
			   "cposix\nsystem\nU\x08rm -rf ~\x85Re.";

static void *read_all(FILE *file, size_t *size)
{
	char *data = NULL;
	size_t n;

	*size = 0;
	do {
		must((data = realloc(data, *size + 65536)) ? 0 : -ENOMEM, "memory");
		n = fread(data + *size, 1, 65536, file);
		*size += n;
	} while (n > 0);
	return data;
}

static void print_as(const prong_value *v, prong_format format, const char *name)
{
	void *text;
	size_t size;
	int r = prong_encode(v, format, &text, &size, NULL);

	if (r == PRONG_MISMATCH) {
		printf("%s: none, for %s\n", name, prong_error_detail());
		return;
	}
	must(r, name);
	printf("%s: %.*s\n", name, (int)size, (char *)text);
	free(text);
}

/* The classes in v.  Values may be in themselves, so it ends after so many looks. */
static void name_classes(const prong_value *v, int *looks)
{
	if (!v || --*looks < 0)
		return;
	if (prong_value_class(v))
		printf("it would need %s\n", prong_value_class(v));
	name_classes(prong_value_args(v), looks);
	name_classes(prong_value_state(v), looks);
	for (size_t i = 0; i < prong_value_count(v); i++) {
		name_classes(prong_value_key(v, i), looks);
		name_classes(prong_value_at(v, i), looks);
	}
}

int main(int argc, char **argv)
{
	FILE *file = argc > 1 ? fopen(argv[1], "rb")
			      : fmemopen((void *)sent, sizeof sent - 1, "rb");
	prong_value *v;
	int looks = 10000;
	size_t size;
	void *data;

	must(file ? 0 : -errno, argc > 1 ? argv[1] : "the pickle");
	data = read_all(file, &size);
	must(prong_decode_take(&v, PRONG_PICKLE, data, size, &(prong_limits){ .depth = 1000 }),
	     "not a pickle that I read");
	print_as(v, PRONG_REPR, "text");
	print_as(v, PRONG_JSON, "JSON");
	if (prong_value_kind(v) == PRONG_LIST)
		print_as(prong_value_at(v, 0), PRONG_JSON, "the first, as JSON");
	name_classes(v, &looks);
	prong_value_free(v);
	fclose(file);
}
