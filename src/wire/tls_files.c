/* What prong_tls names: certificates and a key, read once, and how strict TLS is with them.

   As for HMAC, libcrypto is asked in a context of its own; and what a system's configuration may
   say about TLS is said again here, so that it has no say. */
#include "wire/tls.h"
#include "private.h"
#include "wire/auth.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

/* --- files --------------------------------------------------------------------------------- */

static int open_file(BIO **out, const char *path, const char *is, const char *what)
{
	FILE *f = fopen(path, "re"); /* not to be had by what another thread starts */
	int e = errno;

	if (!f)
		return prongi_fail(-e, "%s: the %s, %.80s: %s", what, is, path, strerror(e));
	*out = BIO_new_fp(f, BIO_CLOSE);
	if (*out)
		return 0;
	fclose(f);
	return prongi_fail(-ENOMEM, "%s: no memory for the %s", what, is);
}

/* Nobody is asked for a password. */
static int no_password(char *buf, int size, int writes, void *unused)
{
	(void)buf;
	(void)size;
	(void)writes;
	(void)unused;
	return -1;
}

/* The next certificate in the file; NULL: there is none, or it is no such thing. */
static X509 *next_certificate(BIO *b)
{
	X509 *x = X509_new_ex(prongi_crypto(), NULL);

	if (x && PEM_read_bio_X509(b, &x, no_password, NULL))
		return x;
	X509_free(x);
	return NULL;
}

/* Hand each certificate of a file to fn, which takes it over.  How many there were. */
static int each_certificate(const char *path, const char *is, int (*fn)(SSL_CTX *, X509 *, int),
			    SSL_CTX *ctx, const char *what)
{
	BIO *b;
	X509 *x;
	int n = 0, r = open_file(&b, path, is, what);

	if (r)
		return r;
	while (r == 0 && (x = next_certificate(b)) != NULL)
		r = fn(ctx, x, n++);
	BIO_free(b);
	if (r)
		return prongi_fail(r, "%s: the %s, %.80s: %s", what, is, path,
				   r == -ENOMEM ? "no memory" : "libssl does not take it");
	if (n == 0)
		return prongi_fail(-EINVAL, "%s: the %s, %.80s: there is none in it, as PEM", what,
				   is, path);
	return 0;
}

/* Ours comes first; then those that lead up to an authority. */
static int use_certificate(SSL_CTX *ctx, X509 *x, int n)
{
	bool done = n ? SSL_CTX_add0_chain_cert(ctx, x) : SSL_CTX_use_certificate(ctx, x);

	if (!done || n == 0)
		X509_free(x);
	return done ? 0 : -EINVAL;
}

static int use_authority(SSL_CTX *ctx, X509 *x, int n)
{
	bool done = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x);

	(void)n;
	X509_free(x);
	return done ? 0 : -ENOMEM;
}

static int use_key(SSL_CTX *ctx, const char *path, const char *what)
{
	EVP_PKEY *key;
	BIO *b;
	int r = open_file(&b, path, "key", what);

	if (r)
		return r;
	key = PEM_read_bio_PrivateKey_ex(b, NULL, no_password, NULL, prongi_crypto(), NULL);
	BIO_free(b);
	if (!key)
		return prongi_fail(-EINVAL,
				   "%s: the key, %.80s: there is none in it, as PEM and without a "
				   "password",
				   what, path);
	r = SSL_CTX_use_PrivateKey(ctx, key) && SSL_CTX_check_private_key(ctx) ? 0 : -EINVAL;
	EVP_PKEY_free(key);
	return r ? prongi_fail(r, "%s: the key, %.80s: it is not the certificate's", what, path)
		 : 0;
}

static int read_files(SSL_CTX *ctx, const prong_tls *tls, const char *what)
{
	int r = each_certificate(tls->certificate, "certificate", use_certificate, ctx, what);

	if (r == 0)
		r = use_key(ctx, tls->key ? tls->key : tls->certificate, what);
	if (r == 0)
		r = each_certificate(tls->authority, "authority", use_authority, ctx, what);
	return r;
}

/* --- strictness ---------------------------------------------------------------------------- */

/* Both ends are prong's, so nothing older than 1.3 is needed.  Sessions are not resumed: no ticket
   lies unread in a socket, which would make of a close a reset. */
static bool make_strict(SSL_CTX *ctx)
{
	X509_STORE *store = X509_STORE_new();

	if (!store)
		return false;
	SSL_CTX_set_cert_store(ctx, store); /* the system's authorities are not trusted */
	SSL_CTX_clear_options(ctx, SSL_CTX_get_options(ctx));
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_read_ahead(ctx, 0);
	SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS |
				      SSL_MODE_NO_AUTO_CHAIN); /* the file has the chain */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return SSL_CTX_set_num_tickets(ctx, 0) && SSL_CTX_set_block_padding(ctx, 0) &&
	       SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) &&
	       SSL_CTX_set_max_proto_version(ctx, 0) &&
	       SSL_CTX_set_ciphersuites(ctx, TLS_DEFAULT_CIPHERSUITES) &&
	       SSL_CTX_set1_groups_list(ctx, "X25519:P-256:X448:P-521:P-384") &&
	       SSL_CTX_set1_sigalgs_list(ctx, "ed25519:ed448:ECDSA+SHA256:ECDSA+SHA384:"
					      "ECDSA+SHA512:RSA-PSS+SHA256:RSA-PSS+SHA384:"
					      "RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512");
}

/* --- life ---------------------------------------------------------------------------------- */

static int check(const prong_tls *tls, const char *what)
{
	bool zero = true;

	for (size_t i = 0; i < sizeof tls->reserved1_; i++)
		zero = zero && tls->reserved1_[i] == 0;
	for (size_t i = 0; i < sizeof tls->reserved_ / sizeof *tls->reserved_; i++)
		zero = zero && tls->reserved_[i] == 0;
	if (!zero)
		return prongi_fail(-EINVAL, "%s: a reserved option of tls is set", what);
	if (!tls->certificate || !tls->authority)
		return prongi_fail(-EINVAL, "%s: tls has no %s", what,
				   tls->certificate ? "authority" : "certificate");
	if (tls->name && (!tls->name[0] || tls->any_name))
		return prongi_fail(-EINVAL, "%s: tls has %s", what,
				   tls->any_name ? "a name, and any_name" : "an empty name");
	return 0;
}

static int fill(struct prongi_credentials *c, const prong_tls *tls, const char *what)
{
	c->any_name = tls->any_name;
	c->name = tls->name ? strdup(tls->name) : NULL;
	c->ctx = prongi_crypto() ? SSL_CTX_new_ex(prongi_crypto(), NULL, TLS_method()) : NULL;
	if (!c->ctx || (tls->name && !c->name))
		return prongi_fail(-ENOMEM, "%s: no memory for TLS", what);
	if (!make_strict(c->ctx))
		return prongi_fail(-ENOMEM, "%s: libssl cannot be had as it has to be", what);
	return read_files(c->ctx, tls, what);
}

int prongi_credentials_new(struct prongi_credentials **out, const prong_tls *tls, const char *what)
{
	struct prongi_credentials *c;
	int r = check(tls, what);

	if (r)
		return r;
	c = calloc(1, sizeof *c);
	if (!c)
		return prongi_fail(-ENOMEM, "%s: no memory", what);
	r = fill(c, tls, what);
	ERR_clear_error();
	if (r)
		prongi_credentials_free(c);
	else
		*out = c;
	return r;
}

void prongi_credentials_free(struct prongi_credentials *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ctx);
	free(c->name);
	free(c);
}
