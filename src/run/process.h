/* What the parts of starting a process share. */
#ifndef PRONGI_PROCESS_H
#define PRONGI_PROCESS_H

#include "family/family.h"
#include <prong/process.h>

/* What a start was asked for. */
struct prongi_start {
	prong_fn *fn;
	const void *arg;
	size_t size;
	const prong_process_opts *opts; /* never NULL */
};

/* Refuse what can not be, with words (wish.c). */
int prongi_start_check(const struct prongi_start *s);

/* 1 when descriptors must travel for what s asks, else 0; -ECONNRESET: the server has just been
   lost (wish.c). */
int prongi_start_parcel(const struct prongi_start *s);

/* Fill p->block with what is too large for the record: the argument, and what the options and the
   starter's state ask for beyond what the server has.  forked: the child is a copy of the starter
   and has its state already (wish.c). */
int prongi_start_pack(struct prong_process *p, const struct prongi_start *s, bool forked,
		      bool parcel);

/* The descriptors for the wish: 0 to 2, then the declared ones.  *extra is to be closed after use,
   when it is not -1 (wish.c). */
int prongi_start_fds(const struct prongi_start *s, int fds[PRONGI_FDS], int *extra);

/* Claim a record for what s asks, and then fill it in (start.c). */
int prongi_start_record(struct prong_process **out, const struct prongi_start *s, uint64_t flags);
int prongi_start_fill(struct prong_process *p, const struct prongi_start *s, bool forked,
		      bool parcel);

/* Wait until p runs or was refused; hand it out or say why not.  nanny: its pid, when it has one;
   PRONGI_STUCK: that one cannot make the copy (start.c). */
#define PRONGI_STUCK (-10002)
int prongi_start_finish(struct prong_process **out, struct prong_process *p, int nanny);

/* PRONG_FORK (fork.c). */
int prongi_start_fork(struct prong_process **out, const struct prongi_start *s);

/* The nanny of p has nothing more to do: take leave of it, now or when p has ended (fork.c). */
void prongi_nanny_reap(struct prong_process *p);

#endif
