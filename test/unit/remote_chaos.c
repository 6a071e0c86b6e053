/* A client of a manager over a line that is cut, split and held up at each byte, either way: of the
   proofs of the key, of requests and of answers.  Whatever the line does, each call has its own
   answer or an error, in time, is carried out once at the most, and the client goes on.

   Every so many bytes as a test; at every one with the argument "all". */
#define _GNU_SOURCE
#include "peer.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>

enum {
	PAIRS = 16, /* connections through the line */
	CALLS = 3,
	SHORT_MS = 25,
	STEP = 101
};

enum mode {
	CUT,   /* hang up on both after byte k */
	SPLIT, /* let the reader read up to k first */
	HOLD   /* nothing more on that connection, in that direction */
};

static bool all; /* bytes */

/* --- the line ------------------------------------------------------------------------------ */

struct pair {
	int fd[2];    /* to the client, to the manager; -1 */
	bool held[2]; /* what comes from there */
};

struct line {
	struct peer *p;
	char address[64];
	int door;
	enum mode mode;
	int dir; /* from there it happens */
	size_t k, passed[2];
	atomic_int stop, happened;
	int n;
	struct pair pair[PAIRS];
	prong_thread *t;
};

static void hang_up(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		if (p->fd[i] >= 0)
			close(p->fd[i]);
		p->fd[i] = -1;
	}
}

static bool has_read(void *fd)
{
	int unread = 1;

	return ioctl(*(int *)fd, SIOCOUTQ, &unread) < 0 || unread == 0;
}

/* False: the line is cut. */
static bool strike(struct line *l, struct pair *p, int from, const char *data, size_t first)
{
	atomic_store(&l->happened, 1);
	if (first)
		peer_write(p->fd[!from], data, first);
	if (l->mode == CUT)
		return false;
	if (l->mode == SPLIT)
		wait_until(has_read, &p->fd[!from], HANG_MS);
	if (l->mode == HOLD)
		p->held[from] = true;
	return true;
}

static void pass_on(struct line *l, struct pair *p, int from)
{
	char data[4096];
	ssize_t n = recv(p->fd[from], data, sizeof data, 0);
	size_t first = 0, before = l->passed[from];

	if (n <= 0) {
		hang_up(p);
		return;
	}
	l->passed[from] += (size_t)n;
	if (from == l->dir && before <= l->k && l->k < l->passed[from]) {
		first = l->k - before;
		if (!strike(l, p, from, data, first)) {
			hang_up(p);
			return;
		}
	}
	if (!p->held[from])
		peer_write(p->fd[!from], data + first, (size_t)n - first);
}

static void let_in(struct line *l)
{
	CHECK(l->n < PAIRS);
	l->pair[l->n] = (struct pair){ .fd = { raw_accept(l->door), raw_dial(l->p->address) } };
	l->n++;
}

static int runs(void *arg)
{
	struct line *l = *(struct line **)arg;

	while (!atomic_load(&l->stop)) {
		struct pollfd f[2 * PAIRS + 1] = { { .fd = l->door, .events = POLLIN } };

		for (int i = 0; i < 2 * l->n; i++)
			f[i + 1] =
				(struct pollfd){ .fd = l->pair[i / 2].fd[i % 2], .events = POLLIN };
		for (int i = 0; i < 2 * l->n; i++)
			if (l->pair[i / 2].held[i % 2])
				f[i + 1].fd = -1; /* its end is held up, too */
		CHECK(poll(f, (nfds_t)(2 * l->n + 1), HANG_MS) > 0);
		for (int i = 0; i < 2 * l->n; i++)
			if (f[i + 1].revents && l->pair[i / 2].fd[i % 2] >= 0)
				pass_on(l, &l->pair[i / 2], i % 2);
		if (f[0].revents && !atomic_load(&l->stop))
			let_in(l);
	}
	for (int i = 0; i < l->n; i++)
		hang_up(&l->pair[i]);
	return 0;
}

static void line_begin(struct line *l, struct peer *p, enum mode mode, int dir, size_t k)
{
	*l = (struct line){ .p = p, .mode = mode, .dir = dir, .k = k };
	l->door = raw_listen(l->address);
	l->t = start_thread(runs, &l, sizeof l);
}

static void line_end(struct line *l)
{
	atomic_store(&l->stop, 1);
	close(raw_dial(l->address));
	CHECK_EQ(end_thread(l->t), 0);
	close(l->door);
}

/* --- a session ------------------------------------------------------------------------------- */

struct session {
	struct line *l;
	int failures, asked;
	bool over; /* what was to happen has, and was noticed */
};

static prong_time limit(const struct session *s)
{
	return s->l->mode == HOLD && !s->over ? prong_in_ms(SHORT_MS * (1 + s->failures)) : soon();
}

/* Whether it has to be tried again. */
static bool failed(struct session *s, int r)
{
	if (r == 0)
		return false;
	s->failures++;
	s->over = atomic_load(&s->l->happened);
	if (s->l->mode == HOLD && r == PRONG_TIMEDOUT)
		return true;
	CHECK_EQ(s->l->mode, CUT);
	CHECK_EQ(r, -ECONNRESET);
	CHECK(s->failures <= 2); /* that call, and that the proxy may be another's */
	return true;
}

static void ask(struct session *s, prong_proxy *x, int n)
{
	prong_value *v = NULL;
	int64_t got = -1;
	int r;

	do {
		s->asked++;
		r = prong_proxy_call(x, "echo", prong_args(1, prong_value_int(n)), &v, limit(s));
	} while (failed(s, r));
	CHECK_OK(prong_value_as_int(prong_value_at(v, 0), &got));
	CHECK_EQ(got, n);
	prong_value_free(v);
}

/* Return false when nothing happened: k is beyond the end. */
static bool play(enum mode mode, int dir, size_t k)
{
	const prong_auth auth = raw_auth();
	struct peer p;
	struct line l;
	struct session s = { .l = &l };
	prong_remote *there = NULL;
	prong_proxy *x = NULL;
	bool happened;

	peer_begin(&p, NULL);
	line_begin(&l, &p, mode, dir, k);
	while (failed(&s, prong_remote_open(&there, l.address, &auth, limit(&s))))
		;
	while (failed(&s, prong_remote_make(there, "thing", prong_args(0), &x, limit(&s))))
		;
	for (int i = 0; i < CALLS; i++)
		ask(&s, x, i);
	if (mode == HOLD) /* to let go of x would wait for a second, now and then */
		prong_remote_close(there);
	prong_proxy_free(x);
	if (mode != HOLD)
		prong_remote_close(there);
	line_end(&l);
	peer_end(&p);
	happened = atomic_load(&l.happened);
	CHECK(atomic_load(&p.calls) <= s.asked);
	if (mode == SPLIT)
		CHECK_EQ(atomic_load(&p.references), 0);
	return happened;
}

static void at_any_byte(enum mode mode)
{
	const size_t step = all ? 1 : slowness() > 1 ? 3 * STEP : STEP;
	int n = 0;

	for (int dir = 0; dir < 2; dir++)
		for (size_t k = mode == SPLIT; play(mode, dir, k); k += step)
			n++;
	print_message("%d places\n", n);
}

static void cut_at_any_byte(void **state)
{
	(void)state;
	at_any_byte(CUT);
}

static void split_at_any_byte(void **state)
{
	(void)state;
	at_any_byte(SPLIT);
}

static void held_at_any_byte(void **state)
{
	(void)state;
	at_any_byte(HOLD);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		CASE(cut_at_any_byte),
		CASE(split_at_any_byte),
		CASE(held_at_any_byte),
	};

	all = argc > 1 && strcmp(argv[1], "all") == 0;
	test_begin(all ? 1 : argc, argv, TEST_OPENED, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
