/* JSON: whatever the bytes are, an error of the documented ones; or a value that is written, and
   comes back the same from JSON and from a pickle. */
#include "fuzz.h"

static void through(const prong_value *v, prong_format format)
{
	prong_limits more = { .bytes = 64 << 20, .depth = UINT32_MAX };
	prong_value *back = NULL;
	void *data;
	size_t size;

	fuzz_check(prong_encode(v, format, &data, &size, NULL) == 0, "what was read is written");
	fuzz_check(prong_decode_take(&back, format, data, size, &more) == 0,
		   "what was written is read");
	fuzz_check(prong_value_equal(v, back), "it is the same");
	prong_value_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	prong_value *v = NULL;
	int r;

	fuzz_cost(PRONG_JSON, data, size);
	r = prong_decode(&v, PRONG_JSON, data, size, &fuzz_limits);
	if (r) {
		fuzz_check(fuzz_is_refusal(r), "the error is one of the documented");
		fuzz_check(!v, "an error leaves out alone");
		return 0;
	}
	fuzz_look(v);
	through(v, PRONG_JSON);
	through(v, PRONG_PICKLE_2);
	through(v, PRONG_PICKLE_5);
	prong_value_free(v);
	return 0;
}
