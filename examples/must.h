/* Examples end at the first error, with one line.  A library should not. */
#include <err.h>
#include <prong/error.h>
static inline void must(int r, const char *what)
{
	if (r)
		errx(1, "%s: %s: %s", what, prong_strerror(r), prong_error_detail());
}
