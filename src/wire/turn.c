/* Turns: a flag under a mutex, and a condition on the clock that deadlines are on. */
#include "wire/turn.h"
#include <errno.h>
#include <prong/error.h>
#include <time.h>

int prongi_turn_init(struct prongi_turn *t)
{
	pthread_condattr_t monotonic;
	int r = pthread_condattr_init(&monotonic);

	if (r)
		return -ENOMEM;
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	r = pthread_cond_init(&t->free, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (r)
		return -ENOMEM;
	if (pthread_mutex_init(&t->lock, NULL)) {
		pthread_cond_destroy(&t->free);
		return -ENOMEM;
	}
	t->taken = false;
	return 0;
}

void prongi_turn_fini(struct prongi_turn *t)
{
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->free);
}

/* Under the lock. */
static int await(struct prongi_turn *t, prong_time deadline)
{
	const struct timespec at = { (time_t)(deadline.ns_ / 1000000000),
				     (long)(deadline.ns_ % 1000000000) };

	if (deadline.ns_ <= PRONG_NOW.ns_)
		return PRONG_TIMEDOUT;
	while (t->taken)
		if (deadline.ns_ == PRONG_FOREVER.ns_)
			pthread_cond_wait(&t->free, &t->lock);
		else if (pthread_cond_timedwait(&t->free, &t->lock, &at) == ETIMEDOUT)
			return t->taken ? PRONG_TIMEDOUT : 0;
	return 0;
}

int prongi_turn_take(struct prongi_turn *t, prong_time deadline)
{
	int r;

	pthread_mutex_lock(&t->lock);
	r = t->taken ? await(t, deadline) : 0;
	if (r == 0)
		t->taken = true;
	pthread_mutex_unlock(&t->lock);
	return r;
}

void prongi_turn_give(struct prongi_turn *t)
{
	pthread_mutex_lock(&t->lock);
	t->taken = false;
	pthread_cond_signal(&t->free);
	pthread_mutex_unlock(&t->lock);
}
