/* One law for results.

   Every function that can fail returns int:
      0         done;
      negative  -errno: an error the caller did not plan for.  Pass it upwards;
      positive  one of the conditions below: something that happens in a
                correct program.  Each function lists the ones it returns, and
                the caller looks at them by name.
   On any non-zero result out-parameters are untouched and nothing was done,
   except where a function says otherwise: a lock taken with PRONG_OWNERDEAD is
   held.  errno is never part of the contract.

   Any function that needs the family may return -ENOMEM, when there is no
   address space for its heap, and -ENOSPC, when all its slots are taken: each
   thread that uses prong needs one, of 16,384.

   Any function that may have to wait for somebody else, but to lock, returns
   PRONG_CANCELLED instead when the caller has been cancelled, see group.h.

   Example:
	r = prong_process_join(p, &code, prong_in_ms(500));
	if (r == PRONG_TIMEDOUT)
		r = prong_process_signal(p, SIGTERM);
	if (r)
		errx(1, "%s: %s", prong_strerror(r), prong_error_detail());   */
#ifndef PRONG_ERROR_H
#define PRONG_ERROR_H

#include <prong/api.h>

PRONG_BEGIN_DECLS

enum {
	PRONG_TIMEDOUT = 1, /* the deadline passed first */
	PRONG_OWNERDEAD,    /* you hold the lock; its last owner died holding it */
	PRONG_DEADLOCK,     /* waiting would never end: you wait for yourself */
	PRONG_NOSERVER,     /* no process can be started: the family was opened too late */
	PRONG_PRIVILEGE,    /* the server's privileges are not the caller's any more */
	PRONG_FAILED,       /* it ran and returned non-zero */
	PRONG_CRASHED,      /* a signal killed it, or its server was lost */
	PRONG_RUNNING,      /* in a report: it has not ended */
	PRONG_BROKEN,       /* a barrier: somebody gave up */
	PRONG_CLOSED,       /* nothing more goes in, and nothing is left */
	PRONG_CANCELLED,    /* the caller shall end, or in a report: it did because of that */
	PRONG_OVERRUN,      /* a task: it ran longer than it may */
	PRONG_EMPTY,        /* there is none */
	PRONG_FULL,         /* no more go in now */
	PRONG_MISMATCH,     /* a value is of another kind than what was asked for */
	PRONG_RAISED        /* the other side raised an exception */
};

/* Return one line in English for a result of any prong function, or for
   -errno.  The text is static; the caller never frees it.  From any thread. */
PRONG_API const char *prong_strerror(int result);

/* Return where and why the calling thread's last result that was not 0 arose,
   such as "process_start: cannot pass descriptor 7: not open".  Valid until this
   thread's next prong call that fails; "" when none has, or when it had nothing
   to add.  For people, not for programs: the wording is no contract. */
PRONG_API const char *prong_error_detail(void);

PRONG_END_DECLS
#endif
