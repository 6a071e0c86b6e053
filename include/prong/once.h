/* A prong_once makes something happen once: in the family, when it lies in the heap, else in its
   process.  All-zero: it has not happened.  There is nothing to destroy.

   It has happened when the function has returned 0.  If it returns something else, or its
   process or thread ends in it, it has not, and the next who asks runs it: so it may find its
   own work half done, and begins by looking.

   Example:
	struct table {
		prong_once made;
		int *entry;        in the heap: NULL, or made
	};

	static int make(void *arg)
	{
		struct table *t = arg;

		if (t->entry)
			return 0;
		return prong_alloc_to((void **)&t->entry, 4096);
	}
	...
	r = prong_once_run(&t->made, make, t, PRONG_FOREVER);                 */
#ifndef PRONG_ONCE_H
#define PRONG_ONCE_H

#include <prong/deadline.h>
#include <prong/error.h>

PRONG_BEGIN_DECLS

typedef struct prong_once {
	uint64_t word_; /* who runs it */
	uint32_t done_;
	uint32_t reserved_;
} prong_once;

/* Call fn(arg) if it has not happened, or block while another caller does.
   Return 0: it has happened, and what fn did is seen; or what fn returned to this caller.
   Without having called fn: PRONG_TIMEDOUT; PRONG_DEADLOCK (called from fn itself); -EINVAL (o
   is NULL or no prong_once, or fn is NULL and it has not happened). */
PRONG_MUST int prong_once_run(prong_once *o, prong_fn *fn, void *arg, prong_time deadline);

/* Return true when it has happened. */
PRONG_API bool prong_once_done(const prong_once *o);

PRONG_END_DECLS
#endif
