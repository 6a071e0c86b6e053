/* prong_listener: one set of descriptors, in which are the socket that listens, all strangers, an
   alarm for the next moment at which something is over, and a ring for those who have proved the
   key and were not yet asked for.  Who is in prong_listener_accept() does all the work; there is no
   thread.

   A full house never keeps an honest client out for long.  Who knocks is let in as far as the
   lobby: nobody speaks to him there, but where he comes from is known.  When no place is free and
   more strangers are here from elsewhere than from there, the one of them who has had his place
   longest has to go for him at once.  Else the same one has to, but not within his respite: a
   second; and when the lobby has been full, a fiftieth of that, or less when more wait behind the
   door than there are places, until the shorter one has not been needed for a second.

   Who comes from where a proof has failed is asked for the key later.  He has a place meanwhile, so
   he is the first to go when the house is full of his kind.

   When the system lacks descriptors or memory, one call says so, and the door is not looked at for
   a tenth of a second: who tries again at once waits, and does not run in a circle.

   Lock: the turn protects everything; it is held while waiting. */
#include "os/net_os.h"
#include "wire/house.h"
#include "wire/socket.h"
#include <errno.h>
#include <poll.h>
#include <prong/error.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC     UINT64_C(0x6e657473696c7270)
#define SHORTAGE  ((int64_t)100000000)
#define LOOK_NS   ((int64_t)10000000) /* how often a full house looks who waits behind the door */
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
	struct prongi_house house;
	struct prongi_stranger *done; /* who has proved the key, the first of them; NULL: none */
	struct prongi_stranger **last_done;
	uint32_t proved; /* how many they are */
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

static void hang_up(prong_listener *l, struct prongi_stranger *s)
{
	prongi_stream_fini(&s->stream); /* closed: no longer in the set */
	prongi_house_leave(&l->house, s);
}

/* What a proof failed with.  Who said something wrong has failed; not who said nothing. */
static void count(prong_listener *l, const struct prongi_stranger *s, int r)
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
		return;
	}
	prongi_sources_failed(&l->house.sources, s->source, prong_clock());
}

static void welcome(prong_listener *l, struct prongi_stranger *s)
{
	prongi_os_set_forget(l->set, s->stream.fd);
	prongi_sources_proved(&l->house.sources, s->source);
	prongi_house_settle(&l->house, s);
	*l->last_done = s;
	l->last_done = &s->next;
	l->proved++;
}

static void go_on(prong_listener *l, struct prongi_stranger *s)
{
	int r = prongi_stranger_go_on(s);
	bool waits_to_say = r == PRONG_RUNNING && prongi_stranger_wants(s) == PRONGI_SET_OUT;

	if (r == 0) {
		welcome(l, s);
	} else if (r != PRONG_RUNNING) {
		count(l, s, r);
		hang_up(l, s);
	} else if (waits_to_say != s->waits_to_say) {
		s->waits_to_say = waits_to_say;
		prongi_os_set_change(l->set, s->stream.fd, prongi_stranger_wants(s),
				     prongi_house_place(&l->house, s));
	}
}

/* Ask for the key. */
static int begin(prong_listener *l, struct prongi_stranger *s)
{
	prong_time over = prong_clock();
	int r = prongi_proof_begin(&s->proof, l->terms.key, true, l->terms.old_python);

	if (r == 0 && l->terms.tls)
		r = prongi_tls_new(&s->stream.tls, l->terms.tls, s->stream.fd, NULL);
	if (r == 0)
		r = prongi_os_set_watch(l->set, s->stream.fd, PRONGI_SET_IN,
					prongi_house_place(&l->house, s));
	if (r) {
		hang_up(l, s);
		return r;
	}
	s->begun = true;
	over.ns_ += (int64_t)l->terms.handshake_ms * 1000000;
	prongi_house_wake(&l->house, s, over);
	go_on(l, s);
	return 0;
}

/* He takes a place: ask for the key, or later, when proofs from there have failed. */
static int admit(prong_listener *l, struct prongi_stranger *s)
{
	prong_time now = prong_clock();
	int64_t delay = prongi_sources_delay(&l->house.sources, s->source, now);

	prongi_house_seat(&l->house, s, now);
	if (!delay)
		return begin(l, s);
	l->stats.slowed++;
	now.ns_ += delay;
	prongi_house_wake(&l->house, s, now);
	return 0;
}

/* He comes into the lobby, for no longer than a proof may take. */
static void enter(prong_listener *l, int fd, const struct prongi_place *peer)
{
	struct prongi_stranger *s = prongi_house_enter(&l->house, prongi_address_source(peer));
	prong_time over = prong_clock();

	prongi_stream_init(&s->stream, fd, PRONGI_AUTH_MOST, 512);
	s->peer = *peer;
	over.ns_ += (int64_t)l->terms.handshake_ms * 1000000;
	prongi_house_wake(&l->house, s, over);
}

/* --- the door ------------------------------------------------------------------------------ */

static void watch_door(prong_listener *l, bool open)
{
	if (open == l->open)
		return;
	l->open = open;
	prongi_os_set_change(l->set, l->fd, open ? PRONGI_SET_IN : 0, TAG_KNOCK);
}

static int64_t respite(const prong_listener *l, prong_time now)
{
	return prongi_house_respite(
		&l->house, prongi_house_full(&l->house) ? prongi_os_backlog(l->fd) : 0, now);
}

/* Have a place for one in the lobby, if that may be. */
static bool make_room(prong_listener *l, const struct prongi_stranger *s)
{
	struct prongi_stranger *worst;
	prong_time when, now = prong_clock();

	if (!prongi_house_taken(&l->house))
		return true;
	worst = prongi_house_makes_room(&l->house, s, respite(l, now), &when);
	if (!worst || now.ns_ < when.ns_)
		return false;
	if (when.ns_ > worst->came.ns_)
		prongi_house_took(&l->house, worst, now);
	l->stats.displaced++;
	hang_up(l, worst);
	return true;
}

/* What an accept failed with is the business of the one who asked, or of the whole system. */
static bool of_the_system(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

/* From the lobby to the places, as far as they suffice.  0, or what the system lacks. */
static int seat(prong_listener *l)
{
	struct prongi_stranger *s;
	int r = 0;

	while (!of_the_system(r) && (s = l->house.lobby) && make_room(l, s))
		r = admit(l, s);
	return of_the_system(r) ? r : 0;
}

/* Let in all who fit.  0, or what the system lacks. */
static int let_in(prong_listener *l)
{
	int r = 0;

	for (int i = 0; i < BATCH && r == 0 && !prongi_house_full(&l->house); i++) {
		struct prongi_place peer = { .size = sizeof peer.at };
		unsigned size = peer.size;
		int fd = prongi_os_accept(l->fd, (struct sockaddr *)&peer.at, &size);

		if (fd == -EAGAIN)
			return 0;
		if (of_the_system(fd))
			return fd;
		peer.size = size;
		if (fd < 0)
			continue;
		enter(l, fd, &peer);
		r = seat(l);
	}
	return r;
}

/* The system lacks something, when it does. */
static int shut_out(prong_listener *l, int r)
{
	if (r) {
		l->shut_until = prong_clock();
		l->shut_until.ns_ += SHORTAGE;
	}
	return r;
}

/* --- time ---------------------------------------------------------------------------------- */

/* Somebody's time has come: to be asked for the key, or to go. */
static void see_to(prong_listener *l, struct prongi_stranger *s)
{
	if (!s->lobbied && !s->begun) {
		begin(l, s);
		return;
	}
	l->stats.displaced += s->lobbied;
	l->stats.too_slow += !s->lobbied;
	prongi_stranger_too_slow(s);
	hang_up(l, s);
}

/* When somebody in the lobby may get a place. */
static prong_time seat_time(const prong_listener *l, prong_time now)
{
	prong_time when = now;

	if (!l->house.lobby)
		return PRONG_FOREVER;
	if (!prongi_house_taken(&l->house))
		return now;
	if (!prongi_house_makes_room(&l->house, l->house.lobby, respite(l, now), &when))
		return PRONG_FOREVER;
	if (prongi_house_full(&l->house) && when.ns_ > now.ns_ + LOOK_NS)
		when.ns_ = now.ns_ + LOOK_NS;
	return when;
}

static prong_time sooner(prong_time a, prong_time b)
{
	return a.ns_ < b.ns_ ? a : b;
}

/* See to those whose time has come, look at the door when there is room, and set the alarm for the
   next such moment.  0, or what the system lacks. */
static int keep_time(prong_listener *l)
{
	prong_time now = prong_clock(), next;
	struct prongi_stranger *s;
	int r = 0;

	while ((s = prongi_house_first(&l->house)) && s->wakes.ns_ <= now.ns_)
		see_to(l, s);
	if (seat_time(l, now).ns_ <= now.ns_)
		r = shut_out(l, seat(l));
	watch_door(l, !prongi_house_full(&l->house) && l->shut_until.ns_ <= now.ns_);
	s = prongi_house_first(&l->house);
	next = sooner(s ? s->wakes : PRONG_FOREVER, seat_time(l, now));
	if (l->shut_until.ns_ > now.ns_)
		next = sooner(next, l->shut_until);
	if (next.ns_ != l->alarm_at.ns_) {
		l->alarm_at = next;
		prongi_os_alarm_set(l->alarm, next);
	}
	return r;
}

/* --- accepting ----------------------------------------------------------------------------- */

/* One who has proved the key becomes a connection; or, when out is NULL, a stream. */
static int receive(prong_listener *l, prong_conn **out, struct prongi_stream *stream)
{
	struct prongi_stranger *s = l->done;
	int r = 0;

	if (out)
		r = prongi_conn_make(out, &s->stream, &l->terms, s->proof.modern, &s->peer,
				     "listener_accept");
	else
		*stream = s->stream;
	if (r)
		return r;
	if (!out && s->peer.at.ss_family != AF_UNIX)
		prongi_os_tcp_tune(stream->fd);
	l->done = s->next;
	if (!l->done)
		l->last_done = &l->done;
	l->proved--;
	prongi_house_leave(&l->house, s); /* the stream is the connection's now */
	l->stats.accepted++;
	return 0;
}

/* Also when somebody in the lobby can have the place of one who has been received. */
static void ring(prong_listener *l)
{
	prong_time now = prong_clock();
	bool rings = l->done || seat_time(l, now).ns_ <= now.ns_;

	if (l->rings == rings)
		return;
	l->rings = rings;
	prongi_os_ring(l->ring, rings);
}

/* Wait for something to happen, and do what is to be done. */
static int serve(prong_listener *l, prong_time deadline)
{
	uint64_t tags[BATCH];
	int n, r = keep_time(l), late;

	if (r)
		return r;
	r = prongi_await(l->set, POLLIN, deadline);
	if (r && r != PRONG_TIMEDOUT)
		return r;
	r = 0;
	n = prongi_os_set_ready(l->set, tags, BATCH);
	for (int i = 0; i < n; i++) {
		struct prongi_stranger *s = prongi_house_at(&l->house, tags[i]);

		if (tags[i] == TAG_KNOCK)
			r = shut_out(l, let_in(l));
		else if (s && s->begun && !s->settled)
			go_on(l, s);
	}
	late = keep_time(l);
	if (n < 0)
		return n;
	return r ? r : late;
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
	out->waiting = l->house.n - l->proved - l->house.lobbied;
	prongi_turn_give(&l->turn);
}

/* --- life ---------------------------------------------------------------------------------- */

/* In a forked child the struct stays, for who looks at it. */
static void drop(struct prongi_mine *mine)
{
	prong_listener *l = (prong_listener *)(void *)mine;

	for (uint32_t i = 0; i < l->house.used; i++)
		prongi_stream_fini(&l->house.at[i].stream);
	prongi_socket_close(l->fd);
	prongi_socket_close(l->set);
	prongi_socket_close(l->alarm);
	prongi_socket_close(l->ring);
}

static void dispose(prong_listener *l)
{
	prongi_terms_fini(&l->terms);
	prongi_house_free(&l->house);
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
		r = prongi_house_make(&l->house, l->terms.strangers_max, l->terms.penalty_ms);
		if (r)
			prongi_fail(r, "listener_open: no %s",
				    r == -EIO ? "random bytes" : "memory");
	}
	if (r) {
		dispose(l);
		return r;
	}
	l->last_done = &l->done;
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
