/* What the fuzzers share.  Each is one LLVMFuzzerTestOneInput(), for libFuzzer and AFL++ alike; the
   unit test "corpus" runs them over the seeds in corpus/. */
#ifndef FUZZ_H
#define FUZZ_H

#include <errno.h>
#include <prong/net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small enough that no input takes long. */
static const prong_limits fuzz_limits = {
	.bytes = 1 << 20, .memory = 16 << 20, .depth = 1 << 20, .memo = 1 << 14, .objects = 1 << 16
};

/* What is not so is a find. */
static inline void fuzz_check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz: %s: %s\n", what, prong_error_detail());
	abort();
}

/* The results that a decoder may have. */
static inline bool fuzz_is_refusal(int r)
{
	static const int refusals[] = { EBADMSG, EMSGSIZE, EDQUOT, ELOOP, ENOBUFS, E2BIG };

	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
		if (r == -refusals[i])
			return true;
	return false;
}

/* Look at v in each way there is. */
static inline void fuzz_look(const prong_value *v)
{
	char text[200];
	size_t n = prong_value_print(v, text, sizeof text);

	fuzz_check(n == strlen(text), "print returns the length");
	fuzz_check(prong_value_equal(v, v), "a value equals itself");
	fuzz_check(!prong_value_at(v, prong_value_count(v)), "there are no more items");
	for (size_t i = 0; i < prong_value_count(v) && i < 3; i++) {
		const prong_value *key = prong_value_key(v, i);

		fuzz_check(prong_value_at(v, i) != NULL, "there are as many items");
		if (key && prong_value_kind(v) == PRONG_DICT)
			fuzz_check(prong_value_lookup(v, key) == prong_value_at(v, i),
				   "a key finds its item");
	}
}

#endif
