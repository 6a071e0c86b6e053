/* What starting a child in a group asks of the group; and how a pool takes part in that, and in
   prong_wait(). */
#ifndef PRONGI_GROUP_H
#define PRONGI_GROUP_H

#include "family/cancel.h"
#include <prong/group.h>

struct prong_future;

/* What a group asks of futures.  A pool sets it in a constructor.  The first seven are called under
   the lock of the groups: they wait for nobody and call nothing of a group.  Whoever makes a future
   done, in whatever process, calls prongi_news_tell() for the process that had it put into the
   group, after that. */
struct prongi_future_ops {
	int (*outcome)(const struct prong_future *f);   /* PRONG_RUNNING until it is done */
	int64_t (*ended)(const struct prong_future *f); /* when; it is done */
	void (*cancel)(struct prong_future *f);
	void (*report)(const struct prong_future *f, prong_report *out);
	void (*free)(struct prong_future *f); /* it is done */
	/* The calling thread is about to wait for f.  If it is a worker of its pool, it counts as
	   none from now on, and lend returns true; then take_back() after the wait. */
	bool (*lend)(const struct prong_future *f);
	void (*take_back)(void);
	/* For prong_wait(), from any thread: */
	bool (*is)(const struct prong_future *f);    /* the address is a future's */
	bool (*ready)(const struct prong_future *f); /* a wait would not block */
	size_t (*arm)(struct prong_future *f, struct prongi_awaited *a); /* see flow/wait.h */
};
extern const struct prongi_future_ops *prongi_future_ops;

/* A place in a group for one child. */
struct prongi_child;

/* A place in g for a child that is about to be started; *out is NULL when g is.  After that one of
   the next three, or prongi_group_withdraw().  what: "process_start" and the like.
   Return 0, -EINVAL (g is not a group of this process), -ENOMEM. */
int prongi_group_place(struct prongi_child **out, prong_group *g, void *tag, const char *what);
void prongi_group_withdraw(struct prongi_child *c);

/* The child runs; it is cancelled at once when the group is.  c may be NULL. */
void prongi_group_add_process(struct prongi_child *c, struct prong_process *p);
void prongi_group_add_future(struct prongi_child *c, struct prong_future *f);

/* The calling thread, t, which has a slot, is the child: before and after its function. */
void prongi_group_thread_begins(struct prongi_child *c, struct prong_thread *t);
void prongi_group_thread_ends(struct prongi_child *c, int result);

/* In the child of any fork: the parent's groups are not here. */
void prongi_groups_after_fork(void);

#endif
