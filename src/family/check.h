/* The checking mode: what cannot be told from a result is told by a line, see check.c.  Off, it
   costs one look at a flag where a call has left its fast path. */
#ifndef PRONGI_CHECK_H
#define PRONGI_CHECK_H

#include "family/family.h"

/* True when this family is checked.  Written while it is opened; a child has it from its parent. */
extern bool prongi_checking;

/* Every family is.  Weak: the tests of the examples link another. */
extern const bool prongi_check_always;

/* Turn it on for this process and what it starts from now on.  0 or -ENOMEM. */
int prongi_check_begin(void);

/* The calling process is a copy of the one that was prongi_me: in the child of a fork. */
void prongi_check_forked(void);

/* call, made at the address caller, uses object, of one of the nouns that need the heap to be
   shared.  lock: it is an owner word, which may be held when the block is freed.  0 or -EFAULT. */
int prongi_check_object(const void *object, bool lock, const char *call, const void *caller);

/* The same, for the beginning of a public function. */
static inline __attribute__((always_inline)) int prongi_check_use(const void *object,
								 const char *call)
{
	return prongi_checking
		       ? prongi_check_object(object, false, call, __builtin_return_address(0))
		       : 0;
}

/* Look for pointers into the caller's own memory in the argument of a new process.  0 or
   -EFAULT. */
int prongi_check_argument(const void *arg, size_t size, const char *call, const void *caller);

/* The size bytes at p are about to be freed.  0; -EBUSY: somebody needs them. */
int prongi_check_free(const void *p, size_t size, const char *call, const void *caller);

/* They have been allocated: what was there is forgotten. */
void prongi_check_alloc(const void *p, size_t size);

#endif
