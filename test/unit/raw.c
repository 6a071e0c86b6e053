/* The other end of a network connection, byte by byte. */
#define _GNU_SOURCE
#include "raw.h"
#include "wire/auth.h"
#include "wire/frame.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

const char raw_key[17] = "sixteen bytes...";

prong_auth raw_auth(void)
{
	return (prong_auth){ .key = raw_key, .key_size = 16 };
}

prong_listener *raw_listener(const prong_auth *auth)
{
	const prong_auth plain = raw_auth();
	prong_listener *l = NULL;

	CHECK_OK(prong_listener_open(&l, "tcp://127.0.0.1:0", auth ? auth : &plain));
	return l;
}

static int dial(const void *to, socklen_t size)
{
	int fd = socket(((const struct sockaddr *)to)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK_EQ(connect(fd, to, size), 0);
	return fd;
}

int raw_dial(const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (strncmp(address, "unix:", 5) == 0) {
		strcpy(un.sun_path, address + 5);
		return dial(&un, sizeof un);
	}
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	return dial(&in, sizeof in);
}

int raw_dial_from(int n, const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)n - 1);
	CHECK_EQ(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	CHECK_EQ(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
	return fd;
}

int raw_listen(char address[64])
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t size = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	CHECK_EQ(listen(fd, 8), 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&in, &size), 0);
	snprintf(address, 64, "tcp://127.0.0.1:%d", ntohs(in.sin_port));
	return fd;
}

int raw_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), yes = 1;

	CHECK(fd >= 0);
	/* Heads and bodies go as they are sent: nobody has to wait for an acknowledgement. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	return fd;
}

void raw_write(int fd, const void *data, size_t size)
{
	const char *at = data;

	for (ssize_t n; size; at += n, size -= (size_t)n) {
		n = send(fd, at, size, MSG_NOSIGNAL);
		CHECK(n > 0);
		if (n <= 0)
			return;
	}
}

size_t raw_rest(int fd, void *data, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size && (n = recv(fd, (char *)data + done, size - done, 0)) > 0)
		done += (size_t)n;
	return done;
}

void raw_read(int fd, void *data, size_t size)
{
	CHECK_EQ(raw_rest(fd, data, size), size);
}

void raw_head(int fd, int64_t size)
{
	unsigned char head[PRONGI_HEAD];

	raw_write(fd, head, prongi_frame_head(head, (size_t)size));
}

static void say(int fd, struct prongi_proof *p)
{
	raw_write(fd, p->out, p->out_size);
	p->out_size = 0;
}

int raw_prove(int fd, bool server)
{
	unsigned char head[4], message[PRONGI_AUTH_MOST];
	struct prongi_proof p;
	struct prongi_key *key;
	int r;

	CHECK_OK(prongi_key_new(&key, raw_key, 16));
	r = prongi_proof_begin(&p, key, server, false);
	say(fd, &p);
	while (r == 0) {
		if (raw_rest(fd, head, 4) < 4) {
			r = -ECONNRESET;
			break;
		}
		CHECK(head[2] == 0);
		raw_read(fd, message, head[3]);
		r = prongi_proof_feed(&p, message, head[3]);
		say(fd, &p);
	}
	prongi_key_free(key);
	return r;
}

struct meeting {
	int listener, fd;
};

static int meet(void *arg)
{
	struct meeting *m = *(struct meeting **)arg;

	m->fd = raw_accept(m->listener);
	CHECK_EQ(raw_prove(m->fd, true), 1);
	return 0;
}

prong_conn *raw_pair(const prong_auth *auth, int *fd)
{
	const prong_auth plain = raw_auth();
	struct meeting m, *at = &m;
	prong_thread *t;
	prong_conn *c = NULL;
	char address[64];

	m.listener = raw_listen(address);
	t = start_thread(meet, &at, sizeof at);
	CHECK_OK(prong_connect(&c, address, auth ? auth : &plain, soon()));
	CHECK_EQ(end_thread(t), 0);
	close(m.listener);
	*fd = m.fd;
	return c;
}

int raw_calls(void *arg)
{
	struct raw_call *c = arg;

	*c->result = prong_connect(c->out, c->address, &c->auth, soon());
	return 0;
}

void raw_meet(prong_listener *l, const prong_auth *auth, prong_conn **ours, prong_conn **theirs)
{
	int r = 99;
	struct raw_call c = { .auth = auth ? *auth : raw_auth(), .out = theirs, .result = &r };
	prong_thread *t;

	snprintf(c.address, sizeof c.address, "%s", prong_listener_address(l));
	t = start_thread(raw_calls, &c, sizeof c);
	CHECK_OK(prong_listener_accept(l, ours, soon()));
	CHECK_EQ(end_thread(t), 0);
	CHECK_OK(r);
}

void raw_put(prong_conn *c, const char *text)
{
	CHECK_OK(prong_conn_send(c, text, strlen(text), soon()));
}

void raw_expect(prong_conn *c, const char *text)
{
	char buf[256];
	size_t n = 999;

	CHECK_OK(prong_conn_recv(c, buf, sizeof buf - 1, &n, soon()));
	buf[n] = '\0';
	CHECK_STR(buf, text);
}

int raw_now(prong_conn *c)
{
	char byte[64];
	size_t n = 999;
	int r = prong_conn_recv(c, byte, sizeof byte, &n, PRONG_NOW);

	CHECK(r == 0 || n == 999);
	return r;
}
