/* What the condition needs of the mutex. */
#ifndef PRONGI_MUTEX_H
#define PRONGI_MUTEX_H

#include <prong/mutex.h>

/* Unlock m, which the caller owns, however often it has locked it.  Return how often more than
   once. */
uint32_t prongi_mutex_give_up(prong_mutex *m);

/* Own m again, as often.  0 or PRONG_OWNERDEAD; -EINVAL when somebody has overwritten it. */
int prongi_mutex_take_back(prong_mutex *m, uint32_t depth);

#endif
