/* What libprong shows to libprong-net beyond its public headers, under the node PRONG_PRIVATE of
   prong.map.  Nobody else may use it: it has no contract, and the node changes its name when
   anything here changes, so that two libraries that do not belong together are not loaded. */
#ifndef PRONGI_PRIVATE_H
#define PRONGI_PRIVATE_H

#include <prong/api.h>

/* Remember what went wrong, for prong_error_detail(), and return result.  Errors have one place per
   thread, whichever library they come from. */
PRONG_API int prongi_fail(int result, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
