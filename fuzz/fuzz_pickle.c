/* Pickles: whatever the bytes are, an error of the documented ones; or a value that is written in
   each protocol, and comes back the same; and neither takes memory or time beyond its size. */
#include "fuzz.h"

/* Both are written in the same bytes, which is more than equality: nan equals nothing. */
static bool written_alike(const prong_value *a, const prong_value *b)
{
	void *x = NULL, *y = NULL;
	size_t n = 0, m = 0;
	bool same = prong_encode(a, PRONG_PICKLE_5, &x, &n, NULL) == 0 &&
		    prong_encode(b, PRONG_PICKLE_5, &y, &m, NULL) == 0 && n == m &&
		    memcmp(x, y, n) == 0;

	free(x);
	free(y);
	return same;
}

/* v, in a protocol, is a value that is there; NULL: protocol 2 would mean other modules by its
   names. */
static prong_value *through(const prong_value *v, prong_format protocol)
{
	prong_limits more = { .bytes = 64 << 20,
			      .depth = UINT32_MAX,
			      .memory = (size_t)1 << 30,
			      .memo = UINT32_MAX,
			      .objects = UINT32_MAX };
	prong_value *back = NULL;
	void *data;
	size_t size;
	int r = prong_encode(v, protocol, &data, &size, NULL);

	if (r == PRONG_MISMATCH && protocol == PRONG_PICKLE_2)
		return NULL;
	fuzz_check(r == 0, "what was read is written");
	fuzz_check(prong_decode_take(&back, PRONG_PICKLE, data, size, &more) == 0,
		   "what was written is read");
	return back;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	prong_value *v = NULL, *once, *twice;
	int r;

	fuzz_cost(PRONG_PICKLE, data, size);
	r = prong_decode(&v, PRONG_PICKLE, data, size, &fuzz_limits);
	if (r) {
		fuzz_check(fuzz_is_refusal(r), "the error is one of the documented");
		fuzz_check(!v, "an error leaves out alone");
		return 0;
	}
	fuzz_look(v);
	for (prong_format p = PRONG_PICKLE_2; p <= PRONG_PICKLE_5; p++) {
		once = through(v, p);
		if (!once)
			continue;
		twice = through(once, p);
		fuzz_check(prong_value_equal(once, twice) || written_alike(once, twice),
			   "an encoding keeps the value");
		if (p != PRONG_PICKLE_2) /* which has other names for some exceptions */
			fuzz_check(prong_value_equal(v, once) || (!prong_value_equal(once, twice)),
				   "what is written equals what was read");
		prong_value_free(once);
		prong_value_free(twice);
	}
	prong_value_free(v);
	return 0;
}
