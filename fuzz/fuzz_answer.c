/* What a manager may answer: whatever the bytes are, they are no answer; or one that is explained,
   and of which what stands for an object can be written and is read as the same. */
#include "fuzz.h"
#include "manager/remote.h"

static void through(prong_value *v)
{
	const prong_value *token = prong_value_state(prongi_value_token(v));
	prong_value *back = NULL;
	void *data;
	size_t size;

	fuzz_check(token != NULL, "what stands for an object has a token");
	fuzz_check(prong_value_data(prong_value_at(token, 2), NULL) != NULL, "and that a name");
	fuzz_check(prong_encode(v, PRONG_PICKLE_2, &data, &size, NULL) == 0, "it is written");
	fuzz_check(prong_decode_take(&back, PRONG_PICKLE, data, size, NULL) == 0, "and read");
	fuzz_check(prongi_value_token(back) != NULL, "and still stands for it");
	prong_value_free(back);
	prong_value_free(v);
}

/* The same as the arguments of a call. */
static void ask(const prong_value *v)
{
	int r = 1;
	prong_value *request = prongi_remote_request(prong_value_text("1"), "method",
						     prong_value_dup(v), "fuzz", &r);

	fuzz_check((r == 0) == (request != NULL), "a request, or an error");
	fuzz_check(r == 0 || r == -EINVAL || r == -ENOMEM, "the error is one of the documented");
	prong_value_free(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prongi_answer a;
	prong_value *v = NULL, *object;

	if (prong_decode(&v, PRONG_PICKLE, data, size, &fuzz_limits))
		return 0;
	ask(v);
	if (prongi_answer_read(v, &a) == 0) {
		(void)prongi_answer_raises(&a, "Empty");
		(void)prongi_answer_unknown(&a, "7f00");
		fuzz_check(prongi_answer_explain(&a, "what") == PRONG_RAISED, "it is explained");
		if (prongi_value_of_answer(a.item, &object) == 0)
			through(object);
		prong_value_free(a.item);
	}
	prong_value_free(v);
	return 0;
}
