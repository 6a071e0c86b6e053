/* The loop: the one thread of a manager. */
#include "manager/manager.h"
#include "os/net_os.h"
#include <errno.h>
#include <poll.h>
#include <prong/wait.h>
#include <signal.h>
#include <stdlib.h>

#define TAG_DOOR UINT64_MAX
#define TAG_RING (UINT64_MAX - 1)
#define BATCH    64
#define SOURCES  64 /* queues of the heap on which it sleeps; with more it looks now and then */
#define LOOK_NS  ((int64_t)2 * 1000000)

/* --- timers ----------------------------------------------------------------------------- */

static void put(struct prong_manager *m, size_t i, struct prongi_guest *g)
{
	m->timer[i] = g;
	g->timer = i + 1;
}

/* g, whose place is i, goes to where it belongs. */
static void sift(struct prong_manager *m, size_t i, struct prongi_guest *g)
{
	while (i && m->timer[(i - 1) / 2]->wakes.ns_ > g->wakes.ns_) {
		put(m, i, m->timer[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < m->timers &&
		    m->timer[child + 1]->wakes.ns_ < m->timer[child]->wakes.ns_)
			child++;
		if (child >= m->timers || m->timer[child]->wakes.ns_ >= g->wakes.ns_)
			break;
		put(m, i, m->timer[child]);
		i = child;
	}
	put(m, i, g);
}

static void take_out(struct prong_manager *m, struct prongi_guest *g)
{
	size_t i = g->timer - 1;
	struct prongi_guest *last = m->timer[--m->timers];

	g->timer = 0;
	if (last != g)
		sift(m, i, last);
}

int prongi_timer_set(struct prongi_guest *g, prong_time t)
{
	struct prong_manager *m = g->m;

	g->wakes = t;
	if (t.ns_ == PRONG_FOREVER.ns_) {
		if (g->timer)
			take_out(m, g);
		return 0;
	}
	if (!g->timer && m->timers == m->timer_room) {
		size_t room = m->timer_room ? 2 * m->timer_room : 64;
		struct prongi_guest **timer =
			realloc((void *)m->timer, room * sizeof(struct prongi_guest *));

		if (!timer)
			return -ENOMEM;
		m->timer = timer;
		m->timer_room = room;
	}
	sift(m, g->timer ? g->timer - 1 : m->timers++, g);
	return 0;
}

static void ring_timers(struct prong_manager *m)
{
	prong_time now = prong_clock();

	for (int i = 0; i < BATCH && m->timers && m->timer[0]->wakes.ns_ <= now.ns_; i++) {
		struct prongi_guest *g = m->timer[0];

		prongi_timer_set(g, PRONG_FOREVER);
		prongi_guest_late(g);
	}
}

/* --- waiting ---------------------------------------------------------------------------- */

/* The queues of the heap for which calls wait; how many there are. */
static size_t collect(struct prong_manager *m, prong_source *s, size_t room)
{
	size_t n = 0;

	for (struct prongi_thing *t = m->queues; t; t = t->next_queue) {
		if (t->want[PRONGI_WANT_MESSAGE] && n < room)
			s[n] = (prong_source){ .queue = t->queue };
		n += t->want[PRONGI_WANT_MESSAGE] != 0;
		if (t->want[PRONGI_WANT_PLACE] && n < room)
			s[n] = (prong_source){ .room = t->queue };
		n += t->want[PRONGI_WANT_PLACE] != 0;
	}
	return n;
}

static bool joins(const struct prong_manager *m)
{
	for (const struct prongi_thing *t = m->queues; t; t = t->next_queue)
		if (t->want[PRONGI_WANT_END])
			return true;
	return false;
}

/* Sleep until a guest, a queue, or a timer has something to do; store who is ready. */
static int await(struct prong_manager *m, uint64_t *tags)
{
	prong_time until = m->timers ? m->timer[0]->wakes : PRONG_FOREVER, soon;
	prong_time gone = prongi_clients_until(m);
	struct pollfd set = { .fd = m->set, .events = POLLIN };
	prong_source s[1 + SOURCES];
	size_t n = collect(m, s + 1, SOURCES);
	bool looks = joins(m) || n > SOURCES;
	int ready = n && !looks ? prongi_os_set_ready(m->set, tags, BATCH) : 0;

	s[0] = (prong_source){ .fd = &set };
	soon.ns_ = looks || n ? prong_clock().ns_ + LOOK_NS : 0;
	if (gone.ns_ < until.ns_)
		until = gone;
	if (looks && soon.ns_ < until.ns_)
		until = soon;
	if (!n || looks)
		return prongi_os_set_wait(m->set, tags, BATCH, until);
	if (ready == 0 && prong_wait(s, n + 1, until) < 0)
		return prongi_os_set_wait(m->set, tags, BATCH, soon); /* no memory for it */
	return ready ? ready : prongi_os_set_ready(m->set, tags, BATCH);
}

static void look_at_queues(struct prong_manager *m)
{
	for (struct prongi_thing *t = m->queues; t; t = t->next_queue)
		prongi_thing_changed(m, t);
}

/* --- serving ---------------------------------------------------------------------------- */

static void answer_door(struct prong_manager *m)
{
	struct prongi_stream s;

	for (int i = 0; i < BATCH && prongi_listener_accept(m->listener, &s) == 0; i++) {
		if (m->guests < m->clients_max && prongi_guest_new(m, &s) == 0)
			continue;
		m->refused++;
		prongi_stream_fini(&s);
	}
}

static void publish(struct prong_manager *m)
{
	pthread_mutex_lock(&m->lock);
	m->stats.clients = m->guests;
	m->stats.objects = m->live;
	m->stats.waiting = m->waiting;
	m->stats.calls = m->calls;
	m->stats.returned = m->returned;
	m->stats.refused = m->refused;
	m->stats.broken = m->broken;
	m->stats.memory = m->memory;
	pthread_mutex_unlock(&m->lock);
}

static void serve(struct prong_manager *m)
{
	uint64_t tags[BATCH];
	int n = await(m, tags);

	look_at_queues(m);
	for (int i = 0; i < n; i++) {
		if (tags[i] == TAG_DOOR)
			answer_door(m);
		else if (tags[i] == TAG_RING)
			prongi_jobs_end(m);
		else if (tags[i] < m->places && m->guest[tags[i]])
			prongi_guest_go_on(m->guest[tags[i]]);
	}
	ring_timers(m);
	prongi_clients_forget(m);
	prongi_guests_retry(m);
	publish(m);
}

/* What the system of a guest has got is the guest's. */
static void send_away(struct prong_manager *m)
{
	for (uint32_t i = 0; i < m->places; i++) {
		struct prongi_guest *g = m->guest[i];

		if (!g)
			continue;
		if (!g->call.answered && prongi_os_unconfirmed(g->stream.fd) == 0)
			prongi_guest_settle(g, true);
		prongi_guest_free(g);
	}
}

int prongi_loop(void *manager)
{
	struct prong_manager *m = *(struct prong_manager **)manager;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	/* acquire: pairs with the store in prong_manager_close() */
	while (!atomic_load_explicit(&m->stop, memory_order_acquire))
		serve(m);
	send_away(m);
	while (m->jobs) {
		prongi_await(m->ring, POLLIN, PRONG_FOREVER);
		prongi_jobs_end(m);
	}
	return 0;
}

int prongi_loop_prepare(struct prong_manager *m)
{
	int r, door = prong_listener_fd(m->listener);

	m->set = prongi_os_set_new();
	m->ring = prongi_os_ring_new();
	if (m->set < 0 || m->ring < 0)
		return m->set < 0 ? m->set : m->ring;
	r = door < 0 ? door : prongi_os_set_watch(m->set, door, PRONGI_SET_IN, TAG_DOOR);
	return r ? r : prongi_os_set_watch(m->set, m->ring, PRONGI_SET_IN, TAG_RING);
}
