/* The list of what a forked child drops.

   Not every child runs fork handlers: prong's server does not, and closes all descriptors by
   itself. What such a child forks in turn does run them, and must not close numbers that are
   others' by then; so each entry counts in the process alone that a word says, which is zero in
   every child. */
#include "wire/mine.h"
#include "os/net_os.h"
#include <errno.h>
#include <pthread.h>

/* Protects the list.  Nothing else is taken with it; held across a fork, for the child's sake. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct prongi_mine *first;

static bool *here;    /* the list is this process's own */
static bool was_here; /* it was the forking one's.  Under lock */

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
	was_here = *here;
}

static void in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	struct prongi_mine *m = first;

	first = NULL;
	while (m && was_here) {
		struct prongi_mine *next = m->next;

		m->drop(m);
		m = next;
	}
	pthread_mutex_unlock(&lock);
}

/* Under lock. */
static int prepare(void)
{
	if (!here) {
		bool *word = prongi_os_secret_new(sizeof *word);

		if (!word)
			return -ENOMEM;
		if (pthread_atfork(before_fork, in_parent, in_child)) {
			prongi_os_secret_free(word, sizeof *word);
			return -ENOMEM;
		}
		here = word;
	}
	if (!*here)
		first = NULL; /* the parent's, who forked us without handlers */
	*here = true;
	return 0;
}

int prongi_mine_add(struct prongi_mine *m, void (*drop)(struct prongi_mine *m))
{
	int r;

	pthread_mutex_lock(&lock);
	r = prepare();
	if (r == 0) {
		m->drop = drop;
		m->prev = NULL;
		m->next = first;
		if (first)
			first->prev = m;
		first = m;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

void prongi_mine_remove(struct prongi_mine *m)
{
	pthread_mutex_lock(&lock);
	if (m->next)
		m->next->prev = m->prev;
	if (m->prev)
		m->prev->next = m->next;
	else
		first = m->next;
	pthread_mutex_unlock(&lock);
}
