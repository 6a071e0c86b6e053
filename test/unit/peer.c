/* A manager that is scripted. */
#include "peer.h"
#include "wire/auth.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

void peer_write(int fd, const void *data, size_t size)
{
	const char *at = data;

	for (ssize_t n; size; at += n, size -= (size_t)n) {
		n = send(fd, at, size, MSG_NOSIGNAL);
		if (n <= 0)
			return;
	}
}

void peer_say(int fd, prong_value *v)
{
	void *data;
	size_t size;

	CHECK_OK(prong_encode(v, PRONG_PICKLE_2, &data, &size, NULL));
	peer_write(fd, (const char[]){ 0, 0, (char)(size >> 8), (char)size }, 4);
	peer_write(fd, data, size);
	free(data);
	prong_value_free(v);
}

/* NULL at the end. */
static prong_value *hear(int fd)
{
	unsigned char head[4];
	prong_value *v;
	size_t size;
	char *data;

	if (raw_rest(fd, head, 4) != 4)
		return NULL;
	size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	data = malloc(size + 1);
	CHECK(data != NULL);
	if (raw_rest(fd, data, size) != size) {
		free(data);
		return NULL;
	}
	CHECK_OK(prong_decode_take(&v, PRONG_PICKLE, data, size, NULL));
	return v;
}

prong_value *peer_return(prong_value *v)
{
	return prong_args(2, prong_value_text("#RETURN"), v);
}

/* As Python does of an object that it does not know. */
static prong_value *complaint(const char *ident)
{
	return prong_args(2, prong_value_text("#TRACEBACK"),
			  prong_value_textf("Traceback:\n  File\nKeyError: '%s'\n", ident));
}

static const char *text_at(const prong_value *v, size_t i)
{
	const char *text = prong_value_data(prong_value_at(v, i), NULL);

	return text ? text : "";
}

/* The answer to a request of control; true when calls follow. */
static bool control(struct peer *p, int fd, const prong_value *request)
{
	const char *function = text_at(request, 1);
	prong_value *v = prong_value_new(PRONG_NONE);

	if (strcmp(function, "create") == 0) {
		prong_value_free(v);
		v = prong_args(2, prong_value_text(p->ident),
			       prong_args(4, prong_value_text("get"), prong_value_text("put"),
					  prong_value_text("qsize"), prong_value_text("echo")));
		atomic_fetch_add(&p->references, 1);
	} else if (strcmp(function, "incref") == 0) {
		atomic_fetch_add(&p->references, 1);
	} else if (strcmp(function, "decref") == 0) {
		atomic_fetch_add(&p->references, -1);
	}
	peer_say(fd, peer_return(v));
	return strcmp(function, "accept_connection") == 0;
}

/* The answer to a call: echo gives its arguments back. */
static bool call(struct peer *p, int fd, const prong_value *request)
{
	const char *method = text_at(request, 1);

	atomic_fetch_add(&p->calls, 1);
	if (strcmp(text_at(request, 0), p->ident) != 0)
		peer_say(fd, complaint(text_at(request, 0)));
	else if (p->script && strcmp(method, "echo") != 0)
		return p->script(p, fd, method, request);
	else
		peer_say(fd, peer_return(prong_value_dup(prong_value_at(request, 2))));
	return true;
}

/* As raw_prove(), for a line that may be cut. */
static bool prove(int fd)
{
	unsigned char head[4], message[PRONGI_AUTH_MOST];
	struct prongi_proof p;
	struct prongi_key *key;
	int r;

	CHECK_OK(prongi_key_new(&key, raw_key, 16));
	r = prongi_proof_begin(&p, key, true, false);
	peer_write(fd, p.out, p.out_size);
	while (r == 0) {
		p.out_size = 0;
		if (raw_rest(fd, head, 4) < 4 || raw_rest(fd, message, head[3]) < head[3])
			break;
		r = prongi_proof_feed(&p, message, head[3]);
		peer_write(fd, p.out, p.out_size);
	}
	prongi_key_free(key);
	return r == 1;
}

struct guest {
	struct peer *p;
	int fd, n;
};

static int serve(void *arg)
{
	struct guest *g = arg;
	bool more = prove(g->fd);
	prong_value *v = more ? hear(g->fd) : NULL;

	more = v && control(g->p, g->fd, v);
	while (more) {
		prong_value_free(v);
		v = hear(g->fd);
		more = v && call(g->p, g->fd, v);
	}
	prong_value_free(v);
	pthread_mutex_lock(&g->p->lock);
	g->p->fd[g->n] = -1;
	close(g->fd);
	pthread_mutex_unlock(&g->p->lock);
	return 0;
}

static int receive(void *arg)
{
	struct peer *p = *(struct peer **)arg;

	for (;;) {
		int n = atomic_load(&p->came);
		struct guest g = { p, raw_accept(p->door), n };

		if (atomic_load(&p->stop)) {
			close(g.fd);
			return 0;
		}
		CHECK(n < PEER_CONNECTIONS);
		p->fd[n] = g.fd;
		p->each[n] = start_thread(serve, &g, sizeof g);
		atomic_store(&p->came, n + 1);
	}
}

static void begin(struct peer *p, peer_script *script)
{
	pthread_mutex_init(&p->lock, NULL);
	p->script = script;
	strcpy(p->ident, "7e57");
	p->t = start_thread(receive, &p, sizeof p);
}

void peer_begin_at(struct peer *p, peer_script *script, const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t size = sizeof in;
	int on = 1;

	memset(p, 0, sizeof *p);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	p->door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(setsockopt(p->door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
	CHECK_EQ(bind(p->door, (struct sockaddr *)&in, sizeof in), 0);
	CHECK_EQ(listen(p->door, 8), 0);
	CHECK_EQ(getsockname(p->door, (struct sockaddr *)&in, &size), 0);
	snprintf(p->address, sizeof p->address, "tcp://127.0.0.1:%d", ntohs(in.sin_port));
	begin(p, script);
}

void peer_begin(struct peer *p, peer_script *script)
{
	peer_begin_at(p, script, "tcp://127.0.0.1:0");
}

static void stop_receiving(struct peer *p)
{
	atomic_store(&p->stop, 1);
	close(raw_dial(p->address));
	CHECK_EQ(end_thread(p->t), 0);
}

void peer_kill(struct peer *p)
{
	stop_receiving(p);
	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < atomic_load(&p->came); i++)
		if (p->fd[i] >= 0)
			shutdown(p->fd[i], SHUT_RDWR);
	pthread_mutex_unlock(&p->lock);
	peer_end(p);
}

void peer_end(struct peer *p)
{
	if (!atomic_load(&p->stop))
		stop_receiving(p);
	for (int i = 0; i < atomic_load(&p->came); i++)
		CHECK_EQ(end_thread(p->each[i]), 0);
	close(p->door);
	pthread_mutex_destroy(&p->lock);
}
