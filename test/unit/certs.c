/* Certificates for tests. */
#include "certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

static char directory[] = "/tmp/prong-test-XXXXXX";

static const char *const names[] = { "ca",        "other_ca", "good",   "stranger",
				     "elsewhere", "expired",  "early",  "leaf",
				     "chain",     "key",      "locked", "noise" };

prong_tls certs_good;
static char good_path[80], ca_path[80];

const char *cert(const char *name)
{
	static char text[8][80];
	static int which;

	which = (which + 1) % 8;
	snprintf(text[which], sizeof text[which], "%s/%s", directory, name);
	return text[which];
}

prong_tls certs_tls(const char *name, const char *ca)
{
	return (prong_tls){ .certificate = cert(name), .authority = cert(ca) };
}

prong_auth certs_auth(const prong_tls *tls)
{
	prong_auth a = raw_auth();

	a.tls = tls;
	return a;
}

/* --- making them --------------------------------------------------------------------------- */

struct made {
	X509 *x;
	EVP_PKEY *key;
};

static void extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	CHECK(e != NULL);
	CHECK(X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

/* For whom, or NULL: an authority; signed by one, or NULL: by itself; valid in these seconds. */
static struct made make(const char *name, const char *whom, const struct made *by, long from,
			long to)
{
	static long serial;
	struct made m = { X509_new(), EVP_EC_gen("P-256") };
	X509_NAME *subject;

	CHECK(m.x && m.key);
	subject = X509_get_subject_name(m.x);
	CHECK(X509_set_version(m.x, 2));
	CHECK(ASN1_INTEGER_set(X509_get_serialNumber(m.x), ++serial));
	CHECK(X509_gmtime_adj(X509_getm_notBefore(m.x), from));
	CHECK(X509_gmtime_adj(X509_getm_notAfter(m.x), to));
	CHECK(X509_set_pubkey(m.x, m.key));
	CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name,
					 -1, -1, 0));
	CHECK(X509_set_issuer_name(m.x, by ? X509_get_subject_name(by->x) : subject));
	extend(m.x, NID_basic_constraints, whom ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (whom)
		extend(m.x, NID_subject_alt_name, whom);
	CHECK(X509_sign(m.x, by ? by->key : m.key, EVP_sha256()));
	return m;
}

static void drop(struct made *m)
{
	X509_free(m->x);
	EVP_PKEY_free(m->key);
}

static FILE *create(const char *name)
{
	FILE *f = fopen(cert(name), "we");

	CHECK(f != NULL);
	return f;
}

/* more: what stands between it and its authority; NULL: nothing. */
static void write_out(const char *name, const struct made *m, const struct made *more,
		      const char *password)
{
	FILE *f = create(name);

	if (m->x)
		CHECK(PEM_write_X509(f, m->x));
	if (more)
		CHECK(PEM_write_X509(f, more->x));
	CHECK(PEM_write_PrivateKey(f, m->key, password ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
				   (void *)(uintptr_t)password));
	fclose(f);
}

static void issue(const char *name, const char *whom, const struct made *by, long from, long to)
{
	struct made m = make(name, whom, by, from, to);

	write_out(name, &m, NULL, NULL);
	drop(&m);
}

void certs_make(void)
{
	const char *here = "IP:127.0.0.1,DNS:localhost";
	const long day = 86400;
	struct made ca, other, between, m;
	FILE *f;

	CHECK(mkdtemp(directory) != NULL);
	snprintf(good_path, sizeof good_path, "%s/good", directory);
	snprintf(ca_path, sizeof ca_path, "%s/ca", directory);
	certs_good = (prong_tls){ .certificate = good_path, .authority = ca_path };
	ca = make("ca", NULL, NULL, -day, day);
	other = make("other_ca", NULL, NULL, -day, day);
	between = make("between", NULL, &ca, -day, day);
	write_out("ca", &ca, NULL, NULL);
	write_out("other_ca", &other, NULL, NULL);
	issue("stranger", here, &other, -day, day);
	issue("elsewhere", "DNS:elsewhere.example", &ca, -day, day);
	issue("expired", here, &ca, -2 * day, -day);
	issue("early", here, &ca, day, 2 * day);
	m = make("good", here, &ca, -day, day);
	write_out("good", &m, NULL, NULL);
	write_out("locked", &m, NULL, "a password");
	drop(&m);
	m = make("leaf", here, &between, -day, day);
	write_out("leaf", &m, NULL, NULL);
	write_out("chain", &m, &between, NULL);
	X509_free(m.x);
	m.x = NULL;
	write_out("key", &m, NULL, NULL);
	drop(&m);
	f = create("noise");
	fputs("no PEM at all\n", f);
	fclose(f);
	drop(&ca);
	drop(&other);
	drop(&between);
}

void certs_remove(void)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(cert(names[i]));
	rmdir(directory);
}
