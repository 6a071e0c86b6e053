/* prong_listener: one set of descriptors, in which are the socket that listens, all strangers, an
   alarm for the next moment at which something is over, and a ring for those who have proved the
   key and were not yet asked for.  Who is in prong_listener_accept() does all the work; there is no
   thread.

   A full house never keeps an honest client out for long: when strangers_max is reached and another
   knocks, the one who has been there longest has to go, of the machine that has most of them,
   unless he came within the last second.  Until then nobody is let in; the system keeps who knocks.

   When the system lacks descriptors or memory, one call says so, and the door is not looked at for
   a tenth of a second: who tries again at once waits, and does not run in a circle.

   Lock: the turn protects everything; it is held while waiting. */
#include "os/net_os.h"
#include "wire/net.h"
#include "wire/socket.h"
#include "wire/stranger.h"
#include <errno.h>
#include <poll.h>
#include <prong/error.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC     UINT64_C(0x6e657473696c7270)
#define RESPITE   ((int64_t)1000000000)
#define SHORTAGE  ((int64_t)100000000)
#define TAG_KNOCK UINT64_MAX
#define TAG_ALARM (UINT64_MAX - 1)
#define TAG_RING  (UINT64_MAX - 2)
#define BATCH     64

struct prong_listener {
	struct prongi_mine mine; /* first */
	uint64_t magic;
	pid_t pid; /* whose it is */
	struct prongi_turn turn;
	struct prongi_terms terms;
	int fd, set, alarm, ring;
	bool open; /* the set watches for knocks */
	bool rings;
	prong_time alarm_at;
	prong_time shut_until; /* not to look at the door before: the system lacked something */
	struct prongi_place bound;
	struct prongi_file file;
	char address[PRONGI_ADDRESS_MOST];
	prong_listener_stats stats;
	size_t n, done;                   /* strangers; of them, those who have proved the key */
	struct prongi_stranger *stranger; /* strangers_max places */
	bool *proved;                     /* of each */
};

static int check(const prong_listener *l, const char *what)
{
	if (!l || l->magic != MAGIC)
		return prongi_fail(-EINVAL, "%s: not a listener", what);
	if (l->pid != getpid())
		return prongi_fail(-EINVAL,
				   "%s: the listener is of the process that this one was "
				   "forked from",
				   what);
	return 0;
}

/* --- strangers ----------------------------------------------------------------------------- */

static bool present(const prong_listener *l, size_t i)
{
	return l->stranger[i].stream.fd >= 0;
}

static void hang_up(prong_listener *l, size_t i)
{
	prongi_stream_fini(&l->stranger[i].stream); /* closed: no longer in the set */
	l->done -= l->proved[i];
	l->proved[i] = false;
	l->n--;
}

static void count(prong_listener *l, int r)
{
	switch (r) {
	case -EKEYREJECTED:
	case -EKEYEXPIRED:
		l->stats.wrong_key++;
		break;
	case -EPROTONOSUPPORT:
		l->stats.old_python++;
		break;
	case -EPROTO:
	case -EPROTOTYPE:
		l->stats.no_client++;
		break;
	default:
		l->stats.hung_up++;
	}
}

static void go_on(prong_listener *l, size_t i)
{
	struct prongi_stranger *s = &l->stranger[i];
	int r = prongi_stranger_go_on(s);
	bool waits_to_say = r == PRONG_RUNNING && prongi_stranger_wants(s) == PRONGI_SET_OUT;

	if (r == 0) {
		l->proved[i] = true;
		l->done++;
		prongi_os_set_forget(l->set, s->stream.fd);
	} else if (r != PRONG_RUNNING) {
		count(l, r);
		hang_up(l, i);
	} else if (waits_to_say != s->waits_to_say) {
		s->waits_to_say = waits_to_say;
		prongi_os_set_change(l->set, s->stream.fd, prongi_stranger_wants(s), i);
	}
}

static int admit(prong_listener *l, int fd, const struct prongi_place *peer)
{
	struct prongi_stranger *s;
	size_t i = 0;
	int r;

	while (present(l, i))
		i++;
	s = &l->stranger[i];
	memset(s, 0, sizeof *s);
	prongi_stream_init(&s->stream, fd, PRONGI_AUTH_MOST, 512);
	s->peer = *peer;
	s->source = prongi_address_source(peer);
	s->came = prong_clock();
	s->deadline = s->came;
	s->deadline.ns_ += (int64_t)l->terms.handshake_ms * 1000000;
	l->n++;
	r = prongi_proof_begin(&s->proof, l->terms.key, true, l->terms.old_python);
	if (r == 0 && l->terms.tls)
		r = prongi_tls_new(&s->stream.tls, l->terms.tls, fd, NULL);
	if (r == 0)
		r = prongi_os_set_watch(l->set, fd, PRONGI_SET_IN, i);
	if (r)
		hang_up(l, i);
	else
		go_on(l, i);
	return r;
}

/* How many are from the same machine, in proof. */
static size_t crowd(const prong_listener *l, uint64_t source)
{
	size_t n = 0;

	for (size_t i = 0; i < l->terms.strangers_max; i++)
		n += present(l, i) && !l->proved[i] && l->stranger[i].source == source;
	return n;
}

/* Who has to go first; strangers_max: nobody, all have proved the key. */
static size_t least_welcome(const prong_listener *l)
{
	size_t worst = l->terms.strangers_max, most = 0;

	for (size_t i = 0; i < l->terms.strangers_max; i++) {
		size_t n;

		if (!present(l, i) || l->proved[i])
			continue;
		n = crowd(l, l->stranger[i].source);
		if (n > most ||
		    (n == most && l->stranger[i].came.ns_ < l->stranger[worst].came.ns_)) {
			most = n;
			worst = i;
		}
	}
	return worst;
}

/* --- the door ------------------------------------------------------------------------------ */

static void watch_door(prong_listener *l, bool open)
{
	if (open == l->open)
		return;
	l->open = open;
	prongi_os_set_change(l->set, l->fd, open ? PRONGI_SET_IN : 0, TAG_KNOCK);
}

/* Have a place free, or do not look at the door until there may be one. */
static bool make_room(prong_listener *l)
{
	size_t i;

	if (l->n < l->terms.strangers_max)
		return true;
	i = least_welcome(l);
	if (i == l->terms.strangers_max ||
	    prong_ns_between(l->stranger[i].came, prong_clock()) < RESPITE) {
		watch_door(l, false);
		return false;
	}
	l->stats.displaced++;
	hang_up(l, i);
	return true;
}

/* What an accept failed with is the business of the one who asked, or of the whole system. */
static bool of_the_system(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

/* Let in all who fit.  0, or what the system lacks. */
static int let_in(prong_listener *l)
{
	for (int i = 0; i < BATCH; i++) {
		struct prongi_place peer = { .size = sizeof peer.at };
		unsigned size = peer.size;
		int fd;

		if (i && l->n == l->terms.strangers_max)
			return 0; /* whether somebody else knocks is not known */
		if (!make_room(l))
			return 0;
		fd = prongi_os_accept(l->fd, (struct sockaddr *)&peer.at, &size);
		if (fd == -EAGAIN)
			return 0;
		if (of_the_system(fd))
			return fd;
		peer.size = size;
		if (fd < 0)
			continue;
		fd = admit(l, fd, &peer);
		if (of_the_system(fd))
			return fd;
	}
	return 0;
}

/* Somebody knocked.  0, or what the system lacks. */
static int answer_door(prong_listener *l)
{
	int r = let_in(l);

	if (r) {
		watch_door(l, false);
		l->shut_until = prong_clock();
		l->shut_until.ns_ += SHORTAGE;
	}
	return r;
}

/* --- time ---------------------------------------------------------------------------------- */

/* Turn out who is over his time, look at the door again when there may be room, and set the alarm
   for the next such moment. */
static void keep_time(prong_listener *l)
{
	prong_time now = prong_clock(), next = PRONG_FOREVER;
	size_t worst;

	for (size_t i = 0; i < l->terms.strangers_max; i++) {
		if (!present(l, i) || l->proved[i])
			continue;
		if (l->stranger[i].deadline.ns_ <= now.ns_) {
			l->stats.too_slow++;
			prongi_stranger_too_slow(&l->stranger[i]);
			hang_up(l, i);
		} else if (l->stranger[i].deadline.ns_ < next.ns_) {
			next = l->stranger[i].deadline;
		}
	}
	worst = l->n == l->terms.strangers_max ? least_welcome(l) : 0;
	if (now.ns_ < l->shut_until.ns_) {
		if (l->shut_until.ns_ < next.ns_)
			next = l->shut_until;
	} else if (l->n < l->terms.strangers_max)
		watch_door(l, true);
	else if (worst < l->terms.strangers_max && !l->open) {
		int64_t until = l->stranger[worst].came.ns_ + RESPITE;

		if (until <= now.ns_)
			watch_door(l, true);
		else if (until < next.ns_)
			next.ns_ = until;
	}
	if (next.ns_ != l->alarm_at.ns_) {
		l->alarm_at = next;
		prongi_os_alarm_set(l->alarm, next);
	}
}

/* --- accepting ----------------------------------------------------------------------------- */

/* One who has proved the key becomes a connection; or, when out is NULL, a stream. */
static int receive(prong_listener *l, prong_conn **out, struct prongi_stream *stream)
{
	struct prongi_stranger *s;
	size_t i = 0;
	int r = 0;

	while (!l->proved[i])
		i++;
	s = &l->stranger[i];
	if (out)
		r = prongi_conn_make(out, &s->stream, &l->terms, s->proof.modern, &s->peer,
				     "listener_accept");
	else
		*stream = s->stream;
	if (r)
		return r;
	if (!out && s->peer.at.ss_family != AF_UNIX)
		prongi_os_tcp_tune(stream->fd);
	prongi_stream_init(&s->stream, -1, 0, 0); /* it is the connection's now */
	l->proved[i] = false;
	l->done--;
	l->n--;
	l->stats.accepted++;
	return 0;
}

static void ring(prong_listener *l)
{
	if (l->rings == (l->done > 0))
		return;
	l->rings = l->done > 0;
	prongi_os_ring(l->ring, l->rings);
}

/* Wait for something to happen, and do what is to be done. */
static int serve(prong_listener *l, prong_time deadline)
{
	uint64_t tags[BATCH];
	int n, r;

	keep_time(l);
	r = prongi_await(l->set, POLLIN, deadline);
	if (r && r != PRONG_TIMEDOUT)
		return r;
	r = 0;
	n = prongi_os_set_ready(l->set, tags, BATCH);
	for (int i = 0; i < n; i++) {
		if (tags[i] < l->terms.strangers_max && present(l, tags[i]) && !l->proved[tags[i]])
			go_on(l, tags[i]);
		else if (tags[i] == TAG_KNOCK)
			r = answer_door(l);
	}
	keep_time(l);
	return n < 0 ? n : r;
}

static int accept_until(prong_listener *l, prong_conn **out, struct prongi_stream *stream,
			prong_time deadline)
{
	bool last = false;
	int r = 0;

	while (r == 0 && !l->done && !last) {
		last = prong_clock().ns_ >= deadline.ns_; /* one look, even with PRONG_NOW */
		r = serve(l, deadline);
	}
	if (l->done)
		r = receive(l, out, stream);
	else if (r)
		prongi_fail(r, "listener_accept: %.120s: %s", l->address,
			    r < 0 ? strerror(-r) : "the caller is cancelled");
	else
		r = prongi_fail(PRONG_TIMEDOUT, "listener_accept: nobody until the deadline");
	ring(l);
	return r;
}

int prong_listener_accept(prong_listener *l, prong_conn **out, prong_time deadline)
{
	int r = check(l, "listener_accept");

	if (r)
		return r;
	if (!out)
		return prongi_fail(-EINVAL, "listener_accept: a place for the connection is NULL");
	r = prongi_turn_take(&l->turn, deadline);
	if (r)
		return prongi_fail(
			r, "listener_accept: others accepted until the deadline, or a cancel");
	r = accept_until(l, out, NULL, deadline);
	prongi_turn_give(&l->turn);
	return r;
}

int prongi_listener_accept(prong_listener *l, struct prongi_stream *out)
{
	int r;

	prongi_turn_insist(&l->turn);
	r = accept_until(l, NULL, out, PRONG_NOW);
	prongi_turn_give(&l->turn);
	return r;
}

const char *prong_listener_address(const prong_listener *l)
{
	return check(l, "listener_address") ? NULL : l->address;
}

int prong_listener_fd(prong_listener *l)
{
	int r = check(l, "listener_fd");

	return r ? r : l->set;
}

void prong_listener_stat(prong_listener *l, prong_listener_stats *out)
{
	if (check(l, "listener_stat") || !out)
		return;
	prongi_turn_insist(&l->turn);
	*out = l->stats;
	out->waiting = l->n - l->done;
	prongi_turn_give(&l->turn);
}

/* --- life ---------------------------------------------------------------------------------- */

/* In a forked child the struct stays, for who looks at it. */
static void drop(struct prongi_mine *mine)
{
	prong_listener *l = (prong_listener *)(void *)mine;

	for (size_t i = 0; i < l->terms.strangers_max; i++)
		prongi_stream_fini(&l->stranger[i].stream);
	prongi_socket_close(l->fd);
	prongi_socket_close(l->set);
	prongi_socket_close(l->alarm);
	prongi_socket_close(l->ring);
}

static void dispose(prong_listener *l)
{
	prongi_terms_fini(&l->terms);
	free(l->stranger);
	free(l->proved);
	l->magic = 0;
	free(l);
}

/* Its name goes first: who finds it gone need not be refused. */
static void end(prong_listener *l)
{
	prongi_mine_remove(&l->mine);
	prongi_socket_unlink(&l->bound, &l->file);
	drop(&l->mine);
	dispose(l);
}

static int make(prong_listener **out, const prong_auth *auth)
{
	prong_listener *l = calloc(1, sizeof *l);
	int r;

	if (!l)
		return prongi_fail(-ENOMEM, "listener_open: no memory");
	r = prongi_terms_make(&l->terms, auth, "listener_open");
	if (r == 0) {
		l->stranger = calloc(l->terms.strangers_max, sizeof *l->stranger);
		l->proved = calloc(l->terms.strangers_max, sizeof *l->proved);
		if (!l->stranger || !l->proved)
			r = prongi_fail(-ENOMEM, "listener_open: no memory");
	}
	if (r) {
		dispose(l);
		return r;
	}
	for (size_t i = 0; i < l->terms.strangers_max; i++)
		l->stranger[i].stream.fd = -1;
	l->fd = l->set = l->alarm = l->ring = -1;
	l->alarm_at = PRONG_FOREVER;
	l->pid = getpid();
	*out = l;
	return 0;
}

/* A name listens at its first number of IPv4, as Python does; else at its first. */
static const struct prongi_place *choose(const struct prongi_places *places)
{
	for (size_t i = 0; i < places->n; i++)
		if (places->place[i].at.ss_family == AF_INET)
			return &places->place[i];
	return &places->place[0];
}

static int listen_at(prong_listener *l, const struct prongi_place *p, const prong_auth *auth)
{
	char text[PRONGI_ADDRESS_MOST];
	int r;

	prongi_address_text(p, text);
	if (!auth->network && !prongi_address_is_local(p))
		return prongi_fail(-EPERM,
				   "listener_open: other machines reach %.60s, and network "
				   "is not set",
				   text);
	r = prongi_terms_suit(auth, p, "listener_open");
	if (r)
		return r;
	l->fd = prongi_socket_listen(p, &l->bound);
	if (l->fd < 0)
		return prongi_fail(l->fd, "listener_open: %.90s: %s", text, strerror(-l->fd));
	prongi_socket_file(&l->bound, &l->file);
	prongi_address_text(&l->bound, l->address);
	return 0;
}

static int prepare(prong_listener *l)
{
	int r = 0;

	l->set = prongi_os_set_new();
	l->alarm = prongi_os_alarm_new();
	l->ring = prongi_os_ring_new();
	if (l->set < 0 || l->alarm < 0 || l->ring < 0)
		r = l->set < 0 ? l->set : l->alarm < 0 ? l->alarm : l->ring;
	if (r == 0)
		r = prongi_os_set_watch(l->set, l->fd, PRONGI_SET_IN, TAG_KNOCK);
	if (r == 0)
		r = prongi_os_set_watch(l->set, l->alarm, PRONGI_SET_IN, TAG_ALARM);
	if (r == 0)
		r = prongi_os_set_watch(l->set, l->ring, PRONGI_SET_IN, TAG_RING);
	if (r)
		return prongi_fail(r, "listener_open: %.120s: %s", l->address, strerror(-r));
	l->open = true;
	l->magic = MAGIC;
	return 0;
}

int prong_listener_open(prong_listener **out, const char *address, const prong_auth *auth)
{
	struct prongi_places places;
	prong_listener *l = NULL;
	int r;

	if (!out)
		return prongi_fail(-EINVAL, "listener_open: a place for the listener is NULL");
	r = make(&l, auth);
	if (r)
		return r;
	r = prongi_mine_add(&l->mine, drop);
	if (r) {
		dispose(l);
		return prongi_fail(r, "listener_open: no memory");
	}
	r = prongi_address_find(&places, address, PRONG_FOREVER, "listener_open");
	if (r == 0)
		r = listen_at(l, choose(&places), auth);
	if (r == 0)
		r = prepare(l);
	if (r == 0)
		*out = l;
	else
		end(l);
	return r;
}

void prong_listener_close(prong_listener *l)
{
	if (!l || check(l, "listener_close"))
		return;
	end(l);
}
