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

/* Where the library is built for fuzzing: what it holds of malloc()'s memory, and what it does. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#include <sanitizer/allocator_interface.h>

extern uint64_t prongi_worked;

static struct {
	bool on;
	int64_t held, peak;
} fuzz_memory;

static inline void fuzz_on_malloc(const volatile void *p, size_t size)
{
	(void)p;
	if (!fuzz_memory.on)
		return;
	fuzz_memory.held += (int64_t)size;
	if (fuzz_memory.peak < fuzz_memory.held)
		fuzz_memory.peak = fuzz_memory.held;
}

static inline void fuzz_on_free(const volatile void *p)
{
	if (fuzz_memory.on && p)
		fuzz_memory.held -= (int64_t)__sanitizer_get_allocated_size(p);
}

/* Whatever the bytes are, under tight limits: no more memory than a few times the limit, which
   counts values, not what walks over them; and no more work than in proportion. */
static inline void fuzz_cost(prong_format format, const uint8_t *data, size_t size)
{
	static bool hooked;
	prong_limits tight = { .memory = 2048 + size / 2,
			       .depth = 1 << 20,
			       .objects = (uint32_t)size + 16 };
	prong_value *v = NULL;
	int r;

	if (!hooked)
		hooked = __sanitizer_install_malloc_and_free_hooks(fuzz_on_malloc, fuzz_on_free);
	fuzz_memory.held = fuzz_memory.peak = 0;
	prongi_worked = 0;
	fuzz_memory.on = hooked;
	r = prong_decode(&v, format, data, size, &tight);
	fuzz_memory.on = false;
	fuzz_check(fuzz_memory.peak <= 6 * (int64_t)tight.memory + 16384, "memory is limited");
	fuzz_check(prongi_worked <= 4 * (uint64_t)size + 4096, "work is in proportion");
	prong_value_free(r ? NULL : v);
}
#else
static inline void fuzz_cost(prong_format format, const uint8_t *data, size_t size)
{
	(void)format, (void)data, (void)size;
}
#endif

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
