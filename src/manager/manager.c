/* Managers, as the program that has one sees them. */
#include "manager/manager.h"
#include "os/net_os.h"
#include "wire/socket.h"
#include <errno.h>
#include <prong/error.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY       ((size_t)1 << 30)
#define CLIENTS      16384
#define LINGER_MS    30000
#define CLIENTS_MOST (1u << 20)

int prongi_manager_check(const prong_manager *m, const char *what)
{
	if (!m || m->magic != PRONGI_MANAGER_MAGIC)
		return prongi_fail(-EINVAL, "%s: not a manager", what);
	if (m->pid != getpid())
		return prongi_fail(
			-EINVAL, "%s: the manager is of the process that this one was forked from",
			what);
	return 0;
}

/* --- life ------------------------------------------------------------------------------- */

/* In a forked child: guests and the listener are entries of their own. */
static void drop(struct prongi_mine *mine)
{
	struct prong_manager *m = (struct prong_manager *)(void *)mine;

	prongi_socket_close(m->set);
	prongi_socket_close(m->ring);
}

static int check_opts(const prong_manager_opts *o)
{
	bool zero = o->reserved0_ == 0 && o->reserved1_[0] == 0 && o->reserved1_[1] == 0;

	for (size_t i = 0; i < sizeof o->reserved_ / sizeof *o->reserved_; i++)
		zero = zero && o->reserved_[i] == 0;
	if (!zero)
		return prongi_fail(-EINVAL, "manager_open: a reserved option is set");
	if (o->clients_max > CLIENTS_MOST)
		return prongi_fail(-EINVAL, "manager_open: clients_max is %u, above %u",
				   (unsigned)o->clients_max, CLIENTS_MOST);
	return 0;
}

static void dispose(struct prong_manager *m)
{
	prongi_clients_free(m);
	prongi_things_free(m);
	if (m->iterators)
		prongi_class_free(m->iterators);
	while (m->offers) {
		struct prongi_offer *o = m->offers;

		m->offers = o->next;
		prongi_offer_free(o);
	}
	prong_listener_close(m->listener);
	prongi_terms_fini(&m->limits);
	prongi_mine_remove(&m->mine);
	drop(&m->mine);
	free((void *)m->guest);
	free(m->free_place);
	free((void *)m->timer);
	pthread_mutex_destroy(&m->lock);
	m->magic = 0;
	free(m);
}

static int make(struct prong_manager **out, const prong_manager_opts *opts)
{
	struct prong_manager *m = calloc(1, sizeof *m);
	int r;

	if (!m)
		return prongi_fail(-ENOMEM, "manager_open: no memory");
	m->set = m->ring = -1;
	r = prongi_mine_add(&m->mine, drop);
	if (r) {
		free(m);
		return prongi_fail(r, "manager_open: no memory");
	}
	pthread_mutex_init(&m->lock, NULL);
	m->pid = getpid();
	m->pool = opts->pool;
	m->no_shutdown = opts->no_shutdown;
	m->last_gone = &m->gone;
	m->linger_ns = (int64_t)(opts->linger_ms ? opts->linger_ms : LINGER_MS) * 1000000;
	m->memory_max = opts->memory_max ? opts->memory_max : MEMORY;
	m->clients_max = opts->clients_max ? opts->clients_max : CLIENTS;
	m->guest = calloc(m->clients_max, sizeof(struct prongi_guest *));
	m->free_place = calloc(m->clients_max, sizeof *m->free_place);
	r = prongi_terms_make(&m->limits, &opts->auth, "manager_open");
	if (r == 0 && (!m->guest || !m->free_place))
		r = prongi_fail(-ENOMEM, "manager_open: no memory");
	if (r == 0 && prongi_os_random(&m->salt, sizeof m->salt))
		r = prongi_fail(-EIO, "manager_open: no random bytes");
	if (r)
		dispose(m);
	else
		*out = m;
	return r;
}

int prong_manager_open(prong_manager **out, const char *address, const prong_manager_opts *opts)
{
	const prong_thread_opts thread = { .name = "prong-manager" };
	prong_manager *m;
	int r;

	if (!out || !opts)
		return prongi_fail(-EINVAL, "manager_open: out or opts is NULL");
	r = check_opts(opts);
	if (r == 0)
		r = make(&m, opts);
	if (r)
		return r;
	r = prong_listener_open(&m->listener, address, &opts->auth);
	if (r == 0) {
		r = prongi_loop_prepare(m);
		if (r)
			prongi_fail(r, "manager_open: %s", strerror(-r));
	}
	m->magic = PRONGI_MANAGER_MAGIC;
	if (r == 0 && opts->types)
		r = prongi_offer_makers(m);
	if (r == 0)
		r = prong_thread_start(&m->thread, prongi_loop, &m, sizeof m, &thread);
	if (r)
		dispose(m);
	else
		*out = m;
	return r;
}

const char *prong_manager_address(const prong_manager *m)
{
	return prongi_manager_check(m, "manager_address") ? NULL
							  : prong_listener_address(m->listener);
}

int prong_manager_wait(prong_manager *m, prong_time deadline)
{
	int r = prongi_manager_check(m, "manager_wait");

	if (r)
		return r;
	/* acquire: pairs with the store in shut_down() */
	while (!atomic_load_explicit(&m->over, memory_order_acquire)) {
		r = prongi_sleep(&m->over, 0, deadline, false);
		if (r)
			return prongi_fail(r, "manager_wait: %s",
					   r == PRONG_TIMEDOUT ? "nobody has ended it"
							       : "the caller is cancelled");
	}
	return 0;
}

void prong_manager_stat(prong_manager *m, prong_manager_stats *out)
{
	if (prongi_manager_check(m, "manager_stat") || !out)
		return;
	pthread_mutex_lock(&m->lock);
	*out = m->stats;
	pthread_mutex_unlock(&m->lock);
	prong_listener_stat(m->listener, &out->door);
}

void prong_manager_close(prong_manager *m)
{
	if (!m || prongi_manager_check(m, "manager_close"))
		return;
	/* release: pairs with the load in prongi_loop() */
	atomic_store_explicit(&m->stop, true, memory_order_release);
	prongi_os_ring(m->ring, true);
	while (prong_thread_join(m->thread, NULL, PRONG_FOREVER) == PRONG_CANCELLED)
		;
	prong_thread_free(m->thread);
	dispose(m);
}
