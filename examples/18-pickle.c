/* Read a pickle file, print it as text and as JSON, and name the classes and functions that Python
   would need.  Nothing is run: the one inside would have a Python call os.system.
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

int main(int argc, char **argv)
{
	FILE *file = argc > 1 ? fopen(argv[1], "rb")
			      : fmemopen((void *)sent, sizeof sent - 1, "rb");
	const prong_limits limits = { .depth = 1000 };
	prong_value *v, *names;
	size_t size;
	void *data;

	must(file ? 0 : -errno, argc > 1 ? argv[1] : "the pickle");
	data = read_all(file, &size);
	must(prong_pickle_names(&names, data, size, &limits), "not a pickle that I read");
	must(prong_decode_take(&v, PRONG_PICKLE, data, size, &limits), "memory");
	print_as(v, PRONG_REPR, "text");
	print_as(v, PRONG_JSON, "JSON");
	if (prong_value_kind(v) == PRONG_LIST)
		print_as(prong_value_at(v, 0), PRONG_JSON, "the first, as JSON");
	print_as(names, PRONG_REPR, "Python would need");
	prong_value_free(names);
	prong_value_free(v);
	fclose(file);
}
