/* Looking names up, with a deadline. */
#ifndef PRONGI_RESOLVE_H
#define PRONGI_RESOLVE_H

#include "wire/address.h"

/* Find host, a name or a number, and port, a number.  Return as prongi_address_find(), and store
   for people *why; not for PRONG_TIMEDOUT and PRONG_CANCELLED. */
int prongi_resolve(struct prongi_places *out, const char *host, const char *port,
		   prong_time deadline, const char **why);

#endif
