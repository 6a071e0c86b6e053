/* The example of codec.h. */
#include <err.h>
#include <errno.h>
#include <prong/net.h>

int to_json(const void *data, size_t size, void **text, size_t *length_out);

int to_json(const void *data, size_t size, void **out, size_t *length_out)
{
	prong_value *v;
	void *text = NULL;
	size_t length = 0;
	int r;
#include "codec.1.inc"
	*out = text;
	*length_out = length;
	return r;
}
