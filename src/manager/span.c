/* Which items of a list a slice means.  One comes as a call of builtins.slice. */
#include "manager/types.h"

int64_t prongi_clamp(int64_t i, int64_t low, int64_t high)
{
	return i < low ? low : i > high ? high : i;
}

/* An end of a slice: otherwise when it is None.  False: it is no int. */
static bool bound(const prong_value *v, int64_t n, int64_t step, int64_t otherwise, int64_t *out)
{
	int64_t i;
	int r;

	*out = otherwise;
	if (prong_value_kind(v) == PRONG_NONE)
		return true;
	r = prong_value_as_int(v, &i);
	if (r == PRONG_MISMATCH)
		return false;
	if (r) {
		size_t size;
		const char *p = prong_value_data(v, &size);

		i = p[size - 1] & '\x80' ? INT64_MIN / 2 : INT64_MAX / 2;
	}
	i = prongi_clamp(i, INT64_MIN / 2, INT64_MAX / 2);
	if (i < 0)
		i += n;
	*out = step > 0 ? prongi_clamp(i, 0, n) : prongi_clamp(i, -1, n - 1);
	return true;
}

bool prongi_span_of_slice(const prong_value *v, int64_t n, struct prongi_span *out)
{
	const prong_value *args = prong_value_args(v), *step = prong_value_at(args, 2);
	int64_t first, end;

	out->step = 1;
	if (prong_value_kind(step) != PRONG_NONE && prong_value_as_int(step, &out->step))
		return false;
	out->step = prongi_clamp(out->step, -INT64_MAX / 4, INT64_MAX / 4);
	if (!out->step ||
	    !bound(prong_value_at(args, 0), n, out->step, out->step > 0 ? 0 : n - 1, &first) ||
	    !bound(prong_value_at(args, 1), n, out->step, out->step > 0 ? n : -1, &end))
		return false;
	out->first = first;
	out->one = false;
	if (out->step > 0)
		out->n = first < end ? (size_t)((end - first - 1) / out->step + 1) : 0;
	else
		out->n = first > end ? (size_t)((first - end - 1) / -out->step + 1) : 0;
	return true;
}
