/* One connection's TLS.

   libssl works on a BIO of our own, which never waits and raises no SIGPIPE.  What the socket
   refuses for good is kept here, and libssl is told to try again later: so it has no errors but
   those of TLS itself, and what had come before can still be read.

   Two threads may be at it, one that sends and one that receives; libssl wants one at a time, so
   each call of it is made under the lock, and none of them waits.

   Records are read one by one, never ahead: what libssl holds is the rest of one record, which
   prongi_tls_holds() tells of, and all else is still in the socket, where poll() sees it.

   No goodbye (close_notify) is sent.  Who is killed sends none, so none can be relied upon: an end
   is PRONG_CLOSED either way, and a message that was cut off never was.  And a manager would take
   it for a close in order, where the reset that follows says that its last answer was not read. */
#include "wire/tls.h"
#include "wire/address.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <prong/error.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD 16384

struct prongi_tls {
	pthread_mutex_t lock; /* protects all but pid and fd; nothing is taken with it */
	pid_t pid;            /* whose it is */
	SSL *ssl;
	int fd;
	bool heard;   /* something has come */
	bool plain;   /* and it is no TLS */
	bool ended;   /* the other end has */
	bool owes;    /* the sender's, who reads it without the lock */
	int in_error; /* of the socket: errno, or 0 */
	int out_error;
	int over; /* 0, or the result of all calls from now on */
	char why[160];
};

/* --- the socket, as libssl sees it --------------------------------------------------------- */

static bool later(int e)
{
	return e == EAGAIN || e == EWOULDBLOCK || e == EINTR;
}

/* The kinds of record there are: a change of ciphers, an alert, a handshake, data. */
static bool begins_record(char byte)
{
	return byte >= 0x14 && byte <= 0x17;
}

static int socket_read(BIO *b, char *at, int size)
{
	struct prongi_tls *t = BIO_get_data(b);
	ssize_t n = t->plain ? 0 : recv(t->fd, at, (size_t)size, MSG_DONTWAIT);

	BIO_clear_retry_flags(b);
	if (n > 0 && (t->heard || begins_record(at[0]))) {
		t->heard = true;
		return (int)n;
	}
	if (n > 0)
		t->heard = t->plain = true;
	else if (n == 0)
		t->ended = true;
	else if (!later(errno))
		t->in_error = errno;
	BIO_set_retry_read(b);
	return -1;
}

static int socket_write(BIO *b, const char *data, int size)
{
	struct prongi_tls *t = BIO_get_data(b);
	ssize_t n = send(t->fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);

	BIO_clear_retry_flags(b);
	if (n >= 0)
		return (int)n;
	if (!later(errno))
		t->out_error = errno;
	BIO_set_retry_write(b);
	return -1;
}

static long socket_control(BIO *b, int what, long number, void *pointer)
{
	(void)b;
	(void)number;
	(void)pointer;
	return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "prong");

	if (m && BIO_meth_set_read(m, socket_read) && BIO_meth_set_write(m, socket_write) &&
	    BIO_meth_set_ctrl(m, socket_control))
		method = m;
	else
		BIO_meth_free(m);
}

/* --- what went wrong ----------------------------------------------------------------------- */

static int over(struct prongi_tls *t, int r, const char *why, const char *more)
{
	snprintf(t->why, sizeof t->why, "%s%s%s", why, more ? ": " : "", more ? more : "");
	return t->over = r;
}

/* libssl did not believe the other's certificate. */
static int refused(struct prongi_tls *t)
{
	long v = SSL_get_verify_result(t->ssl);
	bool time = v == X509_V_ERR_CERT_HAS_EXPIRED || v == X509_V_ERR_CERT_NOT_YET_VALID;

	return over(t, time ? -EKEYEXPIRED : -EKEYREJECTED, "its certificate",
		    X509_verify_cert_error_string(v));
}

/* The other end said by an alert what it found wrong. */
static int accused(struct prongi_tls *t, int alert, const char *reason)
{
	switch (alert) {
	case SSL_AD_CERTIFICATE_EXPIRED:
		return over(t, -EKEYEXPIRED, "it says that our certificate has expired", NULL);
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_UNKNOWN_CA:
	case SSL_AD_ACCESS_DENIED:
	case SSL_AD_DECRYPT_ERROR:
	case TLS13_AD_CERTIFICATE_REQUIRED:
		return over(t, -EKEYREJECTED, "it does not accept our certificate", reason);
	}
	return over(t, -EPROTO, "TLS", reason);
}

static int failed(struct prongi_tls *t)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(e), *reason = text ? text : "it went wrong";
	int code = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;

	if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
		return over(t, -ENOMEM, "no memory", NULL);
	if (code == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return refused(t);
	if (code == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return over(t, -EKEYREJECTED, "it shows no certificate", NULL);
	if (code > SSL_AD_REASON_OFFSET)
		return accused(t, code - SSL_AD_REASON_OFFSET, reason);
	return over(t, -EPROTO, "TLS", reason);
}

/* What the socket said; a shortage may pass. */
static int of_socket(int *e)
{
	int r = -*e;

	if (*e == ENOBUFS || *e == ENOMEM)
		*e = 0;
	return r == -ENOBUFS ? -ENOMEM : r;
}

/* What a call of libssl means that did not do what it should. */
static int verdict(struct prongi_tls *t)
{
	if (t->plain)
		return over(t, -EPROTOTYPE, "it does not speak TLS", NULL);
	if (ERR_peek_last_error())
		return failed(t);
	switch (SSL_want(t->ssl)) {
	case SSL_READING:
		return t->in_error ? of_socket(&t->in_error) : t->ended ? 0 : -EAGAIN;
	case SSL_WRITING:
		return t->out_error ? of_socket(&t->out_error) : -EAGAIN;
	}
	return SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN ? 0 : failed(t);
}

/* --- one call of libssl each --------------------------------------------------------------- */

/* libssl tells of errors in a queue of the thread, which has to be empty before. */
static void begin(struct prongi_tls *t)
{
	pthread_mutex_lock(&t->lock);
	ERR_clear_error();
}

static void end(struct prongi_tls *t)
{
	ERR_clear_error();
	pthread_mutex_unlock(&t->lock);
}

int prongi_tls_shake(struct prongi_tls *t)
{
	int r;

	begin(t);
	r = t->over;
	if (!r && SSL_do_handshake(t->ssl) != 1) {
		r = verdict(t);
		if (r == 0 || r == -EPIPE)
			r = -ECONNRESET;
		else if (r == -EAGAIN)
			r = PRONG_RUNNING;
	}
	end(t);
	return r;
}

ssize_t prongi_tls_read(struct prongi_tls *t, void *at, size_t size)
{
	size_t n = 0;
	int r;

	begin(t);
	r = t->over;
	if (!r && !SSL_read_ex(t->ssl, at, size, &n))
		r = verdict(t);
	end(t);
	return n ? (ssize_t)n : r;
}

ssize_t prongi_tls_write(struct prongi_tls *t, const void *data, size_t size)
{
	size_t n = 0;
	int r;

	begin(t);
	r = t->over ? t->over : -t->out_error;
	if (!r && !SSL_write_ex(t->ssl, data, size < RECORD ? size : RECORD, &n)) {
		r = verdict(t);
		r = r ? r : -EPIPE;
	}
	t->owes = r == -EAGAIN || r == -ENOMEM;
	end(t);
	return n ? (ssize_t)n : r;
}

bool prongi_tls_holds(struct prongi_tls *t)
{
	bool holds;

	pthread_mutex_lock(&t->lock);
	holds = SSL_pending(t->ssl) > 0;
	pthread_mutex_unlock(&t->lock);
	return holds;
}

bool prongi_tls_wants_room(const struct prongi_tls *t)
{
	return SSL_want(t->ssl) == SSL_WRITING;
}

bool prongi_tls_heard(const struct prongi_tls *t)
{
	return t->heard;
}

bool prongi_tls_owes(const struct prongi_tls *t)
{
	return t->owes;
}

const char *prongi_tls_why(const struct prongi_tls *t)
{
	return t->why[0] ? t->why : NULL;
}

/* --- life ---------------------------------------------------------------------------------- */

/* The name or number that the other's certificate has to be for. */
static bool expect_name(SSL *ssl, const struct prongi_credentials *c, const char *address)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
	const char *name = c->name;
	char host[PRONGI_HOST_MOST];

	if (!name && address && !c->any_name && prongi_address_host(address, host))
		name = host;
	if (!name || X509_VERIFY_PARAM_set1_ip_asc(p, name))
		return true;
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(p, name, 0);
}

static bool prepare(struct prongi_tls *t, const struct prongi_credentials *c, const char *address)
{
	BIO *b;

	pthread_once(&method_once, make_method);
	t->ssl = method ? SSL_new(c->ctx) : NULL;
	if (!t->ssl || !expect_name(t->ssl, c, address))
		return false;
	b = BIO_new(method);
	if (!b)
		return false;
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(t->ssl, b, b);
	if (address)
		SSL_set_connect_state(t->ssl);
	else
		SSL_set_accept_state(t->ssl);
	return true;
}

int prongi_tls_new(struct prongi_tls **out, const struct prongi_credentials *c, int fd,
		   const char *address)
{
	struct prongi_tls *t = calloc(1, sizeof *t);
	bool done;

	if (!t)
		return -ENOMEM;
	t->fd = fd;
	t->pid = getpid();
	pthread_mutex_init(&t->lock, NULL);
	done = prepare(t, c, address);
	ERR_clear_error();
	if (!done) {
		prongi_tls_free(t);
		return -ENOMEM;
	}
	*out = t;
	return 0;
}

/* In a forked child a thread that is not there may have been changing it, and may hold locks of
   libssl's for ever: it is left. */
void prongi_tls_free(struct prongi_tls *t)
{
	if (!t || t->pid != getpid())
		return;
	SSL_free(t->ssl);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
