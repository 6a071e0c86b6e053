/* The proof of a key, with an honest partner whose messages reach it whole, changed, cut, or not at
   all, and with others between them.  Whatever comes: it believes that the partner has proved the
   key only if the partner's own answer has reached it unchanged; what it says is whole frames; and
   when it has failed it says #FAILURE# or nothing.

   Input: a byte for the role and the generation, then steps: a byte, and what it needs. */
#include "wire/auth.h"
#include "wire/frame.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

static void must(bool truth)
{
	if (!truth)
		abort();
}

static uint8_t next(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

/* The next message that p says, out of its frame; false: it says nothing. */
static bool says(struct prongi_proof *p, uint8_t message[256], size_t *n)
{
	if (!p->out_size)
		return false;
	must(p->out_size >= 4 && p->out_size <= sizeof p->out);
	must(!p->out[0] && !p->out[1] && !p->out[2]);
	*n = p->out[3];
	must(4 + *n <= p->out_size);
	memcpy(message, p->out + 4, *n);
	p->out_size -= 4 + *n;
	memmove(p->out, p->out + 4 + *n, p->out_size);
	return true;
}

struct world {
	struct prongi_proof us, them;
	bool them_over;
	bool honest; /* the answer that reached us was theirs */
};

/* All that we say reaches them, while they listen. */
static void carry_ours(struct world *w, int r)
{
	uint8_t message[256];
	size_t n;

	while (says(&w->us, message, &n)) {
		must(r >= 0 || (n == 9 && memcmp(message, "#FAILURE#", 9) == 0));
		if (!w->them_over)
			w->them_over = prongi_proof_feed(&w->them, message, n) != 0;
	}
}

/* Make a message of the input: theirs, theirs changed, or another.  false: there is none. */
static bool compose(struct world *w, struct input *in, uint8_t message[600], size_t *n,
		    bool *theirs)
{
	static const char *const words[] = { "#WELCOME#", "#FAILURE#", "#CHALLENGE#",
					     "#CHALLENGE#{sha256}", "#CHALLENGE#{md5}" };
	uint8_t step = next(in), which;

	*theirs = false;
	switch (step % 4) {
	case 0:
		*theirs = says(&w->them, message, n);
		return *theirs;
	case 1: /* changed in one place, or cut */
		if (!says(&w->them, message, n) || !*n)
			return false;
		which = next(in) % (uint8_t)*n;
		if (step & 4)
			*n = which;
		else
			message[which] ^= (uint8_t)(1 + next(in) % 255);
		return true;
	case 2: /* a word and more */
		which = next(in) % 5;
		*n = strlen(words[which]);
		memcpy(message, words[which], *n);
		break;
	default:
		*n = 0;
	}
	for (size_t more = next(in) + (step & 4 ? 20 : 0); more && in->left; more--)
		message[(*n)++] = next(in);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct prongi_key *key;
	struct world w = { .them_over = false };
	struct input in = { data, size };
	uint8_t kind = next(&in);
	bool server = kind & 1;
	int r;

	if (!key)
		must(prongi_key_new(&key, "the key", 7) == 0);
	r = prongi_proof_begin(&w.us, key, server, kind & 2);
	must(r == 0 && prongi_proof_begin(&w.them, key, !server, kind & 4) == 0);
	carry_ours(&w, 0);
	while (r == 0 && in.left) {
		bool asked = w.us.step == PRONGI_AWAIT_ANSWER, theirs;
		uint8_t message[600];
		size_t n;

		if (!compose(&w, &in, message, &n, &theirs))
			continue;
		r = prongi_proof_feed(&w.us, message, n);
		if (asked)
			w.honest = theirs;
		must(!w.us.proved || w.honest);
		must(r >= 0 || w.us.why);
		carry_ours(&w, r);
	}
	must(r != 1 || w.us.proved);
	return 0;
}
