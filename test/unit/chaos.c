/* A line that is cut, split and held up at each byte of a session: the proof of the key both ways,
   then messages both ways.  Whatever the line does, each end hears of it within its deadline, what
   it has got are whole messages in their order, and the listener serves the next one.

   Every so many bytes as a test; at every one with PRONG_TEST_SCALE=100. */
#include "raw.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/sockios.h>

enum {
	TO_SERVER, /* from the client */
	TO_CLIENT,

	SIZES = 5,
	GETS = SIZES + 1,
	LONG = 3,     /* which of the messages got the line puts in, in the 8-byte form */
	PROOF = 120,  /* bytes of the proof, each way */
	VERDICT = 13, /* ... of which the client's last frame has so many */
	BEFORE_LONG = PROOF + 4 + 5 + 9,
	LONG_SIZE = 12 + 5,
	SMALL = BEFORE_LONG + LONG_SIZE + 74, /* all but the last message */
	TOTAL = SMALL + 3004,
	SHORT_MS = 20
};

enum mode {
	CUT,   /* close both ends after byte k */
	SPLIT, /* let the reader read up to k first */
	HOLD   /* keep all from k on until told to go on */
};

static bool all; /* bytes */
static char directory[] = "/tmp/prong-test-XXXXXX";
static const size_t sizes[SIZES] = { 0, 1, 5, 70, 3000 };
static const unsigned char long_form[LONG_SIZE + 1] = "\xff\xff\xff\xff\0\0\0\0\0\0\0\5long!";

struct scene {
	prong_listener *l;
	char address[100]; /* of the line, for the client */
	int door;          /* it listens */
	enum mode mode;
	int dir; /* in which this happens */
	size_t k;
	int go[2]; /* a pipe: a byte lets go of what is held */
	int connected;
	bool accepted;
	int got[2]; /* messages, by direction */
};

/* --- the line ------------------------------------------------------------------------------ */

struct way {
	int from, to;
	unsigned char pending[8192];
	size_t come, size, gone; /* in pending: [gone, size); come counts the sender's own */
	bool over;               /* the sender has closed */
	bool ended;              /* and the receiver knows */
};

static void add(struct way *w, const void *data, size_t n)
{
	CHECK(w->size + n <= sizeof w->pending);
	memcpy(w->pending + w->size, data, n);
	w->size += n;
}

/* With the long message at its place. */
static void take_in(struct way *w)
{
	unsigned char data[4096];
	ssize_t n = recv(w->from, data, sizeof data, 0);
	size_t first;

	if (n <= 0) {
		w->over = true;
		return;
	}
	first = w->come < BEFORE_LONG ? BEFORE_LONG - w->come : 0;
	if (first == 0 || first > (size_t)n) {
		add(w, data, (size_t)n);
	} else {
		add(w, data, first);
		add(w, long_form, LONG_SIZE);
		add(w, data + first, (size_t)n - first);
	}
	w->come += (size_t)n;
}

/* Up to byte `end' of all.  Who is not there any more gets nothing. */
static void pass_on(struct way *w, size_t end)
{
	end = end < w->size ? end : w->size;
	for (ssize_t n; w->gone < end; w->gone += (size_t)n) {
		n = send(w->to, w->pending + w->gone, end - w->gone, MSG_NOSIGNAL);
		if (n < 0) {
			w->gone = w->size;
			return;
		}
	}
}

static bool has_read(void *fd)
{
	int unread = 1;

	CHECK_EQ(ioctl(*(int *)fd, SIOCOUTQ, &unread), 0);
	return unread == 0;
}

/* What has come, or less.  False: the line is cut. */
static bool go_on(struct scene *s, struct way *w, bool here, bool held)
{
	if (here && w->gone <= s->k && s->mode != HOLD && w->size >= s->k) {
		pass_on(w, s->k);
		if (s->mode == CUT)
			return false;
		CHECK(wait_until(has_read, &w->to, HANG_MS));
	}
	pass_on(w, held && here ? s->k : w->size);
	if (w->over && !w->ended && w->gone == w->size) {
		shutdown(w->to, SHUT_WR);
		w->ended = true;
	}
	return true;
}

static int line(void *arg)
{
	struct scene *s = *(struct scene **)arg;
	int a = raw_accept(s->door), b = raw_dial(prong_listener_address(s->l));
	struct way w[2] = { { .from = a, .to = b }, { .from = b, .to = a } };
	bool held = s->mode == HOLD, whole = true;

	while (whole && !(w[0].ended && w[1].ended)) {
		struct pollfd p[3] = { { .fd = w[0].over ? -1 : a, .events = POLLIN },
				       { .fd = w[1].over ? -1 : b, .events = POLLIN },
				       { .fd = held ? s->go[0] : -1, .events = POLLIN } };

		for (int i = 0; i < 2 && whole; i++)
			whole = go_on(s, &w[i], i == s->dir, held);
		if (!whole || (w[0].ended && w[1].ended))
			break;
		CHECK(poll(p, 3, HANG_MS) > 0);
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				take_in(&w[i]);
		held = held && !p[2].revents;
	}
	close(a);
	close(b);
	return 0;
}

/* --- the ends ------------------------------------------------------------------------------ */

/* The messages that are whole in the first k bytes; GETS: all. */
static int whole_in(size_t k)
{
	static const size_t ends[GETS] = { PROOF + 4,   PROOF + 9,
					   BEFORE_LONG, BEFORE_LONG + LONG_SIZE,
					   SMALL,       TOTAL };
	int n = 0;

	while (n < GETS && ends[n] <= k)
		n++;
	return n;
}

static void compose(unsigned char *data, size_t size, int dir, int i)
{
	for (size_t at = 0; at < size; at++)
		data[at] = (unsigned char)(at * 7 + (size_t)(dir * 100 + i));
}

static void check_message(const unsigned char *data, size_t size, int dir, int i)
{
	unsigned char want[3000];
	int which = i > LONG ? i - 1 : i;

	if (i == LONG) {
		CHECK_EQ(size, 5);
		CHECK_EQ(memcmp(data, "long!", 5), 0);
		return;
	}
	compose(want, sizes[which], dir, which);
	CHECK_EQ(size, sizes[which]);
	CHECK_EQ(memcmp(data, want, size), 0);
}

static void let_go(struct scene *s)
{
	CHECK_EQ(write(s->go[1], "", 1), 1);
}

static void say_all(prong_conn *c, int dir, bool may_close)
{
	unsigned char data[3000];

	for (int i = 0; i < SIZES; i++) {
		int r;

		compose(data, sizes[i], dir, i);
		r = prong_conn_send(c, data, sizes[i], soon());
		CHECK(r == 0 || (may_close && r == PRONG_CLOSED));
		if (r)
			return;
	}
}

/* Return how many. */
static int hear_all(struct scene *s, prong_conn *c, int dir)
{
	bool held = s->mode == HOLD && dir == s->dir && s->k >= PROOF;
	unsigned char data[4096];
	size_t n = 0;
	int r = 0;

	for (int i = 0;; i++) {
		if (held && i == whole_in(s->k)) {
			r = prong_conn_recv(c, data, sizeof data, &n, prong_in_ms(1));
			CHECK_EQ(r, PRONG_TIMEDOUT);
			let_go(s);
		}
		/* The end is waited for where something has happened on the way. */
		if (i == GETS && dir != s->dir)
			return i;
		r = prong_conn_recv(c, data, sizeof data, &n, soon());
		if (r) {
			CHECK_EQ(r, PRONG_CLOSED);
			return i;
		}
		CHECK(i < GETS);
		check_message(data, n, dir, i);
	}
}

static void talk(struct scene *s, prong_conn *c, int says)
{
	say_all(c, says, s->mode == CUT || s->k < PROOF);
	s->got[!says] = hear_all(s, c, !says);
	prong_conn_free(c);
}

static int client(void *arg)
{
	struct scene *s = *(struct scene **)arg;
	const bool hangs = s->mode == HOLD && s->dir == TO_CLIENT && s->k < PROOF;
	const prong_auth auth = raw_auth();
	prong_conn *c = NULL;

	s->connected = prong_connect(&c, s->address, &auth, hangs ? prong_in_ms(SHORT_MS) : soon());
	if (hangs)
		let_go(s);
	if (s->connected == 0)
		talk(s, c, TO_SERVER);
	else
		CHECK(c == NULL);
	return 0;
}

static uint64_t lost(prong_listener *l)
{
	prong_listener_stats t;

	prong_listener_stat(l, &t);
	CHECK_EQ(t.wrong_key + t.no_client + t.old_python + t.displaced, 0);
	return t.hung_up + t.too_slow;
}

static void server(struct scene *s)
{
	const uint64_t before = lost(s->l);
	prong_conn *c = NULL;
	int r = PRONG_TIMEDOUT;

	for (prong_time end = soon(); r == PRONG_TIMEDOUT && lost(s->l) == before;) {
		r = prong_listener_accept(s->l, &c, prong_in_ms(2));
		CHECK(prong_clock().ns_ < end.ns_);
	}
	s->accepted = r == 0;
	if (r == 0)
		talk(s, c, TO_CLIENT);
	else
		CHECK_EQ(r, PRONG_TIMEDOUT);
}

static void play(struct scene *s, enum mode mode, int dir, size_t k)
{
	prong_thread *ours, *theirs;

	alarm((unsigned)(60 * slowness())); /* for each, and not for all of a case */
	s->mode = mode;
	s->dir = dir;
	s->k = k;
	s->got[0] = s->got[1] = -1;
	CHECK_EQ(pipe(s->go), 0);
	ours = start_thread(line, &s, sizeof s);
	theirs = start_thread(client, &s, sizeof s);
	server(s);
	if (mode == HOLD && dir == TO_SERVER && k < PROOF)
		let_go(s);
	CHECK_EQ(end_thread(theirs), 0);
	CHECK_EQ(end_thread(ours), 0);
	close(s->go[0]);
	close(s->go[1]);
}

/* --- scenes -------------------------------------------------------------------------------- */

static int listen_at(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
	CHECK_EQ(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	CHECK_EQ(listen(fd, 8), 0);
	return fd;
}

/* Unix sockets tell whether the other end has read. */
static void begin(struct scene *s, bool tcp, uint32_t handshake_ms)
{
	prong_auth auth = raw_auth();
	char address[100];

	auth.handshake_ms = handshake_ms;
	memset(s, 0, sizeof *s);
	if (tcp) {
		s->l = raw_listener(&auth);
		s->door = raw_listen(s->address);
		return;
	}
	snprintf(address, sizeof address, "unix:%s/listener", directory);
	snprintf(s->address, sizeof s->address, "unix:%s/line", directory);
	CHECK_OK(prong_listener_open(&s->l, address, &auth));
	s->door = listen_at(s->address + 5);
}

static void end_scene(struct scene *s)
{
	if (strncmp(s->address, "unix:", 5) == 0)
		unlink(s->address + 5);
	close(s->door);
	prong_listener_close(s->l);
}

static void serves_the_next(struct scene *s)
{
	prong_conn *a, *b;

	raw_meet(s->l, NULL, &a, &b);
	raw_put(a, "ours");
	raw_put(b, "theirs");
	raw_expect(a, "theirs");
	raw_expect(b, "ours");
	prong_conn_free(a);
	prong_conn_free(b);
}

/* A listener in a hurry may have to be asked again on a slow machine. */
static void serves_another(struct scene *s)
{
	const prong_auth auth = raw_auth();
	prong_conn *a = NULL, *b = NULL;
	int r = 1;
	struct raw_call c = { .auth = auth, .out = &b, .result = &r };

	snprintf(c.address, sizeof c.address, "%s", prong_listener_address(s->l));
	for (prong_time end = soon(); !a;) {
		uint64_t before = lost(s->l);
		prong_thread *t = start_thread(raw_calls, &c, sizeof c);

		while (!a && lost(s->l) == before)
			(void)!prong_listener_accept(s->l, &a, prong_in_ms(2));
		CHECK_EQ(end_thread(t), 0);
		if (!a && r == 0)
			prong_conn_free(b);
		CHECK(prong_clock().ns_ < end.ns_);
	}
	CHECK_OK(r);
	prong_conn_free(a);
	prong_conn_free(b);
}

static size_t next(size_t k)
{
	if (all)
		return k + 1;
	return k + (k >= SMALL ? 997 : slowness() > 5 ? 71 : 13);
}

/* --- cases --------------------------------------------------------------------------------- */

static void check_cut(const struct scene *s)
{
	const bool early = s->k < PROOF;
	const bool perhaps = s->dir == TO_SERVER ? early && s->k >= PROOF - VERDICT : s->k == PROOF;

	if (early)
		CHECK(!s->accepted);
	if (!early && !perhaps)
		CHECK(s->accepted);
	if (early && !perhaps)
		CHECK_EQ(s->connected, -ECONNRESET);
	else
		CHECK(s->connected == 0 || (perhaps && s->connected == -ECONNRESET));
	if (s->dir == TO_SERVER ? s->accepted : s->connected == 0)
		CHECK_EQ(s->got[s->dir], whole_in(s->k));
}

static void cut_at_a_byte(bool tcp)
{
	struct scene s;
	int n = 0;

	begin(&s, tcp, 0);
	for (int dir = 0; dir < 2; dir++)
		for (size_t k = 0; k < TOTAL; k = next(k), n++) {
			play(&s, CUT, dir, k);
			check_cut(&s);
			serves_the_next(&s);
		}
	end_scene(&s);
	print_message("%d cuts\n", n);
}

static void cut_at_any_byte(void **state)
{
	(void)state;
	cut_at_a_byte(true);
	cut_at_a_byte(false);
}

static void split_at_any_byte(void **state)
{
	struct scene s;
	int n = 0;

	(void)state;
	begin(&s, false, 0);
	for (int dir = 0; dir < 2; dir++)
		for (size_t k = 1; k < TOTAL; k = next(k), n++) {
			play(&s, SPLIT, dir, k);
			CHECK_OK(s.connected);
			CHECK(s.accepted);
			CHECK_EQ(s.got[0], GETS);
			CHECK_EQ(s.got[1], GETS);
		}
	serves_the_next(&s);
	end_scene(&s);
	print_message("%d splits\n", n);
}

static void a_message_held_at_any_byte_comes_later(void **state)
{
	struct scene s;
	int n = 0;

	(void)state;
	begin(&s, true, 0);
	for (int dir = 0; dir < 2; dir++)
		for (size_t k = PROOF; k < TOTAL; k = next(k), n++) {
			play(&s, HOLD, dir, k);
			CHECK_OK(s.connected);
			CHECK(s.accepted);
			CHECK_EQ(s.got[0], GETS);
			CHECK_EQ(s.got[1], GETS);
		}
	serves_the_next(&s);
	end_scene(&s);
	print_message("%d messages held\n", n);
}

static void a_proof_held_at_any_byte_fails(void **state)
{
	struct scene s;
	int n = 0;

	(void)state;
	for (int dir = 0; dir < 2; dir++) {
		begin(&s, true, dir == TO_SERVER ? SHORT_MS : 0);
		for (size_t k = 0; k < PROOF; k = next(k), n++) {
			play(&s, HOLD, dir, k);
			CHECK(!s.accepted);
			if (dir == TO_CLIENT)
				CHECK_EQ(s.connected, PRONG_TIMEDOUT);
			else if (s.connected)
				CHECK_EQ(s.connected, -ECONNRESET);
			else
				CHECK(k >= PROOF - VERDICT && s.got[TO_CLIENT] == 0);
			if (dir == TO_CLIENT)
				serves_the_next(&s);
			else
				serves_another(&s);
		}
		end_scene(&s);
	}
	print_message("%d proofs held\n", n);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		CASE(cut_at_any_byte),
		CASE(split_at_any_byte),
		CASE(a_message_held_at_any_byte_comes_later),
		CASE(a_proof_held_at_any_byte_fails),
	};
	int failed;

	all = full_numbers();
	test_begin(argc, argv, TEST_OPENED, NULL);
	if (!mkdtemp(directory))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(directory);
	return test_end(failed);
}
