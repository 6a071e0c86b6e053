/* Requests of clients that have proved the key, to a manager with all of Python's kinds: whatever
   they ask, in whatever order, and whenever they vanish, each answer is a pickle of two parts, and
   in the end nothing is left.

   Input: pieces.  Each begins with a byte, of which the low bit says which of two clients it is
   about, and the others what happens: 0 to 3 a message, 4 bytes as they are, 5 it hangs up and
   another comes, 6 its time is over, 7 the next message is for calls, and the second client is one
   of prong's.  With 0 to 4 there follow two bytes for a length, and so many bytes. */
#include "fuzz.h"
#include "manager/manager.h"
#include "os/net_os.h"
#include "wire/frame.h"
#include <sys/socket.h>
#include <unistd.h>

#define OURS "prong-1-0123456789abcdef"

enum {
	CLIENTS = 2,
	PIECES = 64
};

static struct prong_manager *m;
static int theirs[CLIENTS]; /* the clients' ends */

static void start(void)
{
	m = calloc(1, sizeof *m);
	fuzz_check(m != NULL, "memory");
	pthread_mutex_init(&m->lock, NULL);
	m->limits.message_max = 1 << 20;
	m->limits.body_rate = 1024;
	m->memory_max = 1 << 22;
	m->clients_max = CLIENTS;
	m->last_gone = &m->gone;
	m->guest = calloc(CLIENTS, sizeof(struct prongi_guest *));
	m->free_place = calloc(CLIENTS, sizeof *m->free_place);
	m->set = prongi_os_set_new();
	m->ring = prongi_os_ring_new();
	m->magic = PRONGI_MANAGER_MAGIC;
	m->pid = getpid();
	fuzz_check(prongi_offer_makers(m) == 0, "kinds");
}

static struct prongi_guest *come(int i)
{
	struct prongi_stream s;
	int fds[2];

	fuzz_check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
	theirs[i] = fds[1];
	prongi_stream_init(&s, fds[0], 256, 512);
	fuzz_check(prongi_guest_new(m, &s) == 0, "a guest");
	for (uint32_t k = 0; k < m->places; k++)
		if (m->guest[k] && m->guest[k]->stream.fd == fds[0])
			return m->guest[k];
	abort();
}

/* The guest whose other end that is, or a new one: a manager hangs up, too. */
static struct prongi_guest *guest_of(int i, int *ours)
{
	for (uint32_t k = 0; k < m->places; k++)
		if (m->guest[k] && m->guest[k]->stream.fd == ours[i])
			return m->guest[k];
	close(theirs[i]);
	ours[i] = come(i)->stream.fd;
	return guest_of(i, ours);
}

/* Each whole frame that came is an answer. */
static void hear(int i)
{
	static unsigned char buf[1 << 16];
	ssize_t n = recv(theirs[i], buf, sizeof buf, MSG_DONTWAIT);
	size_t at = 0, size;

	while (n >= 4 && at + 4 <= (size_t)n) {
		prong_value *v = NULL;

		size = (size_t)buf[at] << 24 | (size_t)buf[at + 1] << 16 |
		       (size_t)buf[at + 2] << 8 | buf[at + 3];
		if (at + 4 + size > (size_t)n)
			break;
		fuzz_check(prong_decode(&v, PRONG_PICKLE, buf + at + 4, size, NULL) == 0,
			   "an answer is a pickle");
		fuzz_check(prong_value_kind(v) == PRONG_TUPLE && prong_value_count(v) == 2,
			   "of two parts");
		fuzz_look(v);
		prong_value_free(v);
		at += 4 + size;
	}
	while (recv(theirs[i], buf, sizeof buf, MSG_DONTWAIT) > 0)
		;
}

static void send_all(int fd, const void *data, size_t size)
{
	if (size)
		(void)!send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void piece(struct prongi_guest *g, int i, unsigned what, const uint8_t *data, size_t size)
{
	unsigned char head[PRONGI_HEAD];

	switch (what) {
	case 5:
		shutdown(theirs[i], SHUT_RDWR);
		break;
	case 6:
		if (g->call.parked)
			g->call.deadline = PRONG_NOW;
		prongi_guest_late(g);
		return;
	case 7:
		if (i == 1 && !g->calls)
			fuzz_check(prongi_client_come(g, OURS, sizeof OURS - 1), "it is ours");
		g->calls = true;
		return;
	case 4:
		send_all(theirs[i], data, size);
		break;
	default:
		send_all(theirs[i], head, prongi_frame_head(head, size));
		send_all(theirs[i], data, size);
	}
	prongi_guest_go_on(g);
}

static void end(const int *ours)
{
	for (int i = 0; i < CLIENTS; i++) {
		for (uint32_t k = 0; k < m->places; k++)
			if (m->guest[k] && m->guest[k]->stream.fd == ours[i])
				prongi_guest_free(m->guest[k]);
		close(theirs[i]);
		prongi_guests_retry(m);
	}
	prongi_clients_forget(m);
	fuzz_check(!m->ours && !m->gone, "no client is left");
	prongi_things_free(m);
	fuzz_check(m->memory == 0, "no memory is left");
	m->thing = NULL;
	m->things = m->thing_room = m->thing_hint = 0;
	m->live = m->salt = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int ours[CLIENTS];

	if (!m)
		start();
	for (int i = 0; i < CLIENTS; i++)
		ours[i] = come(i)->stream.fd;
	for (int n = 0; n < PIECES && size; n++) {
		int i = *data & 1;
		unsigned what = *data >> 1 & 7;
		size_t length = 0;

		data++;
		size--;
		if (what < 5 && size >= 2) {
			length = (size_t)data[0] << 8 | data[1];
			data += 2;
			size -= 2;
			length = length < size ? length : size;
		}
		piece(guest_of(i, ours), i, what, data, length);
		prongi_guests_retry(m);
		for (int k = 0; k < CLIENTS; k++)
			hear(k);
		data += length;
		size -= length;
	}
	end(ours);
	return 0;
}
