/* A line that is cut, split and held up at a byte that is chosen.

   What was not passed on was not received: so its sender's connection is reset then, as by a system
   that has closed a socket in which something was unread, and not closed in order. */
#define _GNU_SOURCE
#include "line.h"
#include "peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>

static void hang_up(struct line_pair *p)
{
	const struct linger reset = { .l_onoff = 1 };

	for (int i = 0; i < 2; i++) {
		if (p->fd[i] >= 0 && p->owes[i])
			(void)setsockopt(p->fd[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
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
static bool strike(struct line *l, struct line_pair *p, int from, const char *data, size_t first)
{
	atomic_store(&l->happened, 1);
	if (first)
		peer_write(p->fd[!from], data, first);
	p->owes[from] = l->mode != LINE_SPLIT;
	if (l->mode == LINE_CUT)
		return false;
	if (l->mode == LINE_SPLIT)
		wait_until(has_read, &p->fd[!from], HANG_MS);
	if (l->mode == LINE_HOLD)
		p->held[from] = true;
	return true;
}

/* One end has hung up, or was reset, and so is the other. */
static void part(struct line_pair *p, int from, bool reset)
{
	p->owes[!from] = p->owes[!from] || reset;
	hang_up(p);
}

static void pass_on(struct line *l, struct line_pair *p, int from)
{
	char data[4096];
	ssize_t n = recv(p->fd[from], data, sizeof data, 0);
	size_t first = 0, before = l->passed[from];

	if (n <= 0) {
		part(p, from, n < 0);
		return;
	}
	l->passed[from] += (size_t)n;
	if ((unsigned)from == (unsigned)l->dir && before <= l->k && l->k < l->passed[from]) {
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
	struct line_pair *p = &l->pair[l->n];
	int yes = 1;

	CHECK(l->n < LINE_PAIRS);
	*p = (struct line_pair){ .fd = { raw_accept(l->door), raw_dial(l->to) } };
	(void)setsockopt(p->fd[1], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	l->n++;
}

static void serve(struct line *l)
{
	struct pollfd f[2 * LINE_PAIRS + 1] = { { .fd = l->door, .events = POLLIN } };

	for (int i = 0; i < 2 * l->n; i++)
		/* The end that is held up is not listened to, either. */
		f[i + 1] = (struct pollfd){ .fd = l->pair[i / 2].held[i % 2]
							  ? -1
							  : l->pair[i / 2].fd[i % 2],
					    .events = POLLIN };
	CHECK(poll(f, (nfds_t)(2 * l->n + 1), HANG_MS) > 0);
	for (int i = 0; i < 2 * l->n; i++)
		if (f[i + 1].revents && l->pair[i / 2].fd[i % 2] >= 0)
			pass_on(l, &l->pair[i / 2], i % 2);
	if (f[0].revents && !atomic_load(&l->stop))
		let_in(l);
}

static int runs(void *arg)
{
	struct line *l = *(struct line **)arg;

	while (!atomic_load(&l->stop))
		serve(l);
	for (int i = 0; i < l->n; i++)
		hang_up(&l->pair[i]);
	return 0;
}

void line_begin(struct line *l, const char *to, enum line_mode mode, enum line_dir dir, size_t k)
{
	*l = (struct line){ .mode = mode, .dir = dir, .k = k };
	snprintf(l->to, sizeof l->to, "%s", to);
	l->door = raw_listen(l->address);
	l->t = start_thread(runs, &l, sizeof l);
}

void line_end(struct line *l)
{
	atomic_store(&l->stop, 1);
	close(raw_dial(l->address));
	CHECK_EQ(end_thread(l->t), 0);
	close(l->door);
}

int line_along(enum line_mode mode, size_t step, line_play *play, void *ctx)
{
	int n = 0;

	for (int dir = 0; dir < 2; dir++)
		for (size_t k = mode == LINE_SPLIT; play(ctx, mode, (enum line_dir)dir, k);
		     k += step)
			n++;
	return n;
}
