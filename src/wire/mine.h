/* What belongs to this process and must not be kept by one that is forked from it: descriptors and
   keys.  A connection whose descriptor a child had too would not end with its owner. */
#ifndef PRONGI_MINE_H
#define PRONGI_MINE_H

#include <prong/api.h>

/* First in the object. */
struct prongi_mine {
	struct prongi_mine *next, *prev;
	void (*drop)(struct prongi_mine *m); /* in the child: close, and free what is private */
};

/* Return 0 or -ENOMEM. */
int prongi_mine_add(struct prongi_mine *m, void (*drop)(struct prongi_mine *m));
void prongi_mine_remove(struct prongi_mine *m);

#endif
