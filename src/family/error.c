/* Words for results, and the calling thread's last detail.  The detail lives in the thread's slot,
   which it gets for that if it must.  Without a family it lies beside: "could not open", and all
   that libprong-net does for programs that want no family. */
#include "family/family.h"
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char nobodys[sizeof(((struct prongi_slot *)0)->detail)];

static char *detail(void)
{
	return prongi_self.slot ? prongi_self.slot->detail : nobodys;
}

int prongi_fail(int result, const char *format, ...)
{
	va_list args;

	if (!prongi_self.slot && prongi_me)
		prongi_slot_take();
	va_start(args, format);
	vsnprintf(detail(), sizeof nobodys, format, args);
	va_end(args);
	return result;
}

const char *prong_error_detail(void)
{
	return detail();
}

const char *prong_strerror(int result)
{
	static const char *const words[] = {
		[0] = "done",
		[PRONG_TIMEDOUT] = "the deadline passed",
		[PRONG_OWNERDEAD] = "the lock is held, but its last owner died holding it",
		[PRONG_DEADLOCK] = "the wait would never end",
		[PRONG_NOSERVER] = "no server: the family was opened too late to start processes",
		[PRONG_PRIVILEGE] = "the server's privileges are not the caller's any more",
		[PRONG_FAILED] = "it returned an error",
		[PRONG_CRASHED] = "it crashed",
		[PRONG_RUNNING] = "it is still running",
		[PRONG_BROKEN] = "the barrier is broken",
		[PRONG_CLOSED] = "it is closed",
		[PRONG_CANCELLED] = "cancelled",
		[PRONG_OVERRUN] = "it ran longer than it may",
		[PRONG_EMPTY] = "there is none",
		[PRONG_FULL] = "it is full",
		[PRONG_MISMATCH] = "the value is of another kind",
		[PRONG_RAISED] = "the other side raised an exception",
	};

	if (result < 0 && result >= -INT_MAX)
		return strerror(-result);
	if (result >= 0 && (size_t)result < sizeof words / sizeof *words)
		return words[result];
	return "unknown result";
}

const char *prong_version(void)
{
	return PRONG_VERSION;
}
