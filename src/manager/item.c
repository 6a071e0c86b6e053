/* Items: values that stay here.  As a pickle a value takes what it takes, and goes at once when it
   goes; a prong_value would stay as long as any that it was ever put together with. */
#include "manager/manager.h"
#include <stdlib.h>

static const prong_limits no_limits = { .bytes = SIZE_MAX / 16 };

int prongi_item_make(struct prongi_item *out, const prong_value *v, int protocol)
{
	void *data;
	int r = prong_encode(v ? v : &prongi_none, (prong_format)protocol, &data, &out->size, NULL);

	if (r == 0)
		out->data = data;
	return r;
}

void prongi_item_free(struct prongi_item *item)
{
	free(item->data);
	item->data = NULL;
	item->size = 0;
}

prong_value *prongi_item_value(const struct prongi_item *item)
{
	prong_value *v;

	return prong_decode(&v, PRONG_PICKLE, item->data, item->size, &no_limits) ? NULL : v;
}
