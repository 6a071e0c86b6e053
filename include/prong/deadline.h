/* One law for time.

   Everything that can block takes an absolute deadline as its last argument,
   on a clock that nobody sets and that stands still while the machine sleeps
   (CLOCK_MONOTONIC).  Absolute, because a loop around a relative timeout waits
   too long: each turn starts the time anew.

   A deadline is a struct of one number and not a number, so that the mistake
   everyone makes once, join(p, &code, 500), does not compile.

   Example:
	prong_time deadline = prong_in_ms(2000);
	for (size_t i = 0; i < n && r == 0; i++)
		r = prong_process_join(p[i], NULL, deadline);
                                      all of them together: two seconds */
#ifndef PRONG_DEADLINE_H
#define PRONG_DEADLINE_H

#include <prong/api.h>

PRONG_BEGIN_DECLS

typedef struct prong_time {
	int64_t ns_; /* all-zero is PRONG_NOW */
} prong_time;

static inline prong_time prong_time_(int64_t ns)
{
	prong_time t;
	t.ns_ = ns;
	return t;
}

/* PRONG_NOW: do not wait.  PRONG_FOREVER: wait until it happens. */
#define PRONG_NOW     prong_time_(0)
#define PRONG_FOREVER prong_time_(INT64_MAX)

/* Return the present moment. */
PRONG_API prong_time prong_clock(void);

/* Return the moment ms milliseconds from now.  A negative span has passed
   already; one too long to count is PRONG_FOREVER. */
PRONG_API prong_time prong_in_ms(int64_t ms);

/* Return the nanoseconds from a to b: negative when b is earlier. */
PRONG_API int64_t prong_ns_between(prong_time a, prong_time b);

/* Block until t, however many signals arrive.  Return 0, or PRONG_CANCELLED at once when the caller
   is cancelled, see group.h. */
PRONG_API int prong_sleep(prong_time t);

PRONG_END_DECLS
#endif
