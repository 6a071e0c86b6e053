/* Deadlines: moments on the monotonic clock. */
#include "os/os.h"

prong_time prong_clock(void)
{
	return prong_time_(prongi_os_now());
}

prong_time prong_in_ms(int64_t ms)
{
	int64_t now = prongi_os_now();

	if (ms > (INT64_MAX - now) / 1000000)
		return PRONG_FOREVER;
	if (ms < -now / 1000000)
		return PRONG_NOW;
	return prong_time_(now + ms * 1000000);
}

int64_t prong_ns_between(prong_time a, prong_time b)
{
	int64_t d;

	if (__builtin_sub_overflow(b.ns_, a.ns_, &d))
		return b.ns_ > a.ns_ ? INT64_MAX : INT64_MIN;
	return d;
}

void prongi_os_sleep(prong_time t)
{
	_Atomic uint32_t nobody = 0;

	while (prongi_os_wait(&nobody, 0, t, false) == 0)
		;
}
