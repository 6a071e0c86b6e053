/* prong_auth: checked, with its defaults filled in. */
#include "wire/net.h"
#include <errno.h>
#include <string.h>

#define KEY_MOST       ((size_t)65536)
#define KEY_GOOD       ((size_t)16)
#define MESSAGE_MAX    ((size_t)64 << 20)
#define BODY_RATE      1024
#define HANDSHAKE_MS   5000
#define STRANGERS      64
#define STRANGERS_MOST 65536
#define PENALTY_MS     2000
#define PENALTY_MOST   60000

static bool reserved_is_zero(const prong_auth *a)
{
	bool zero = true;

	for (size_t i = 0; i < sizeof a->reserved1_; i++)
		zero = zero && a->reserved1_[i] == 0;
	for (size_t i = 0; i < sizeof a->reserved_ / sizeof *a->reserved_; i++)
		zero = zero && a->reserved_[i] == 0;
	return zero;
}

static int check(const prong_auth *a, const char *what)
{
	if (!a || !a->key || !a->key_size)
		return prongi_fail(-EINVAL, "%s: there is no key", what);
	if (a->key_size > KEY_MOST)
		return prongi_fail(-EINVAL, "%s: a key of %zu bytes, above %zu", what, a->key_size,
				   KEY_MOST);
	if (a->message_max > PTRDIFF_MAX / 2)
		return prongi_fail(-EINVAL, "%s: message_max is %zu", what, a->message_max);
	if (a->strangers_max > STRANGERS_MOST)
		return prongi_fail(-EINVAL, "%s: strangers_max is %u, above %d", what,
				   (unsigned)a->strangers_max, STRANGERS_MOST);
	if (a->penalty_ms > PENALTY_MOST || (a->penalty_ms && a->no_penalty))
		return prongi_fail(-EINVAL, "%s: penalty_ms is %u, %s", what,
				   (unsigned)a->penalty_ms,
				   a->no_penalty ? "with no_penalty" : "above 60,000");
	if (!reserved_is_zero(a))
		return prongi_fail(-EINVAL, "%s: a reserved option is set", what);
	return 0;
}

int prongi_terms_make(struct prongi_terms *out, const prong_auth *auth, const char *what)
{
	int r = check(auth, what);

	if (r)
		return r;
	*out = (struct prongi_terms){
		.old_python = auth->old_python,
		.message_max = auth->message_max ? auth->message_max : MESSAGE_MAX,
		.body_rate = auth->body_rate ? auth->body_rate : BODY_RATE,
		.handshake_ms = auth->handshake_ms ? auth->handshake_ms : HANDSHAKE_MS,
		.strangers_max = auth->strangers_max ? auth->strangers_max : STRANGERS,
		.penalty_ms = auth->penalty_ms ? auth->penalty_ms : PENALTY_MS,
	};
	if (auth->no_penalty)
		out->penalty_ms = 0;
	r = prongi_key_new(&out->key, auth->key, auth->key_size);
	if (r)
		return prongi_fail(r, "%s: no memory for the key", what);
	r = auth->tls ? prongi_credentials_new(&out->tls, auth->tls, what) : 0;
	if (r)
		prongi_terms_fini(out);
	return r;
}

void prongi_terms_fini(struct prongi_terms *terms)
{
	prongi_key_free(terms->key);
	prongi_credentials_free(terms->tls);
	terms->key = NULL;
	terms->tls = NULL;
}

int prongi_terms_suit(const prong_auth *auth, const struct prongi_place *p, const char *what)
{
	char text[PRONGI_ADDRESS_MOST];

	if (auth->weak_key || auth->key_size >= KEY_GOOD || prongi_address_is_local(p))
		return 0;
	prongi_address_text(p, text);
	return prongi_fail(-EKEYREJECTED,
			   "%s: a key of %zu bytes is too short for %.60s: 16, or weak_key", what,
			   auth->key_size, text);
}
