/* What may be in an Array of Python's. */
#include "manager/types.h"
#include <prong/error.h>

static const struct {
	char code;
	int64_t low;
	uint64_t high;
} ints[] = {
	{ 'b', INT8_MIN, INT8_MAX },   { 'B', 0, UINT8_MAX },         { 'h', INT16_MIN, INT16_MAX },
	{ 'H', 0, UINT16_MAX },        { 'i', INT32_MIN, INT32_MAX }, { 'I', 0, UINT32_MAX },
	{ 'l', INT64_MIN, INT64_MAX }, { 'L', 0, INT64_MAX },         { 'q', INT64_MIN, INT64_MAX },
	{ 'Q', 0, INT64_MAX },
};

bool prongi_is_typecode(char code)
{
	for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
		if (ints[i].code == code)
			return true;
	return code == 'f' || code == 'd';
}

/* False: v may not be in there, and the call is answered. */
bool prongi_suits(prong_call *c, char code, const prong_value *v)
{
	prong_kind k = prong_value_kind(v);
	int64_t n;

	if (!code)
		return true;
	if (code == 'f' || code == 'd') {
		if (k == PRONG_FLOAT || k == PRONG_INT || k == PRONG_BOOL)
			return true;
		prong_call_raise(c, "TypeError", "must be real number");
		return false;
	}
	if (k != PRONG_INT && k != PRONG_BOOL) {
		prong_call_raise(c, "TypeError", "an integer is required");
		return false;
	}
	for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
		if (ints[i].code == code && prong_value_as_int(v, &n) == 0 && n >= ints[i].low &&
		    (n < 0 || (uint64_t)n <= ints[i].high))
			return true;
	prong_call_raise(c, "OverflowError", "the number does not fit into '%c'", code);
	return false;
}
