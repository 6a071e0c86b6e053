/* Certificates for tests, made on the spot: two authorities, and what each has signed. */
#ifndef TEST_CERTS_H
#define TEST_CERTS_H

#include "raw.h"

/* A directory with files in PEM, each a certificate with its key behind it:
	ca, other_ca            authorities
	good                    by ca, for 127.0.0.1 and localhost
	stranger                by other_ca, for the same
	elsewhere               by ca, for elsewhere.example
	expired, early          by ca, for 127.0.0.1, over and not yet begun
	leaf, chain             signed by one that ca has signed: without that, and with
	key                     another's key, alone
	locked                  good, its key under a password
	noise                   no PEM */
void certs_make(void);
void certs_remove(void);

/* The path of one of these files.  Valid for the next seven calls. */
const char *cert(const char *name);

/* good, which trusts ca; from certs_make() on. */
extern prong_tls certs_good;

/* raw_auth() with tls. */
prong_auth certs_auth(const prong_tls *tls);

/* With the certificate `name' and the authority `ca'. */
prong_tls certs_tls(const char *name, const char *ca);

#endif
