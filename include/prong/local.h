/* A prong_local is a variable of which each thread has its own copy, made when the thread
   first asks for it and destroyed when the thread ends.  It works in any thread, prong's or
   not.  Define it with static storage.  It has no part in the family's heap.

   Example:
	static prong_local the_student = { .size = sizeof(struct student) };
	...
	struct student *s = prong_local_get(&the_student);                    */
#ifndef PRONG_LOCAL_H
#define PRONG_LOCAL_H

#include <prong/api.h>

PRONG_BEGIN_DECLS

typedef struct prong_local {
	size_t size;              /* of one copy, at least 1 */
	int (*init)(void *copy);  /* NULL: all-zero.  Non-zero: there is no copy, and the next
				     get tries again */
	void (*fini)(void *copy); /* NULL: none.  Called in the thread that ends, last made
				     first; it may use other locals */
	uint64_t key_;            /* zero at first; prong's own */
} prong_local;

/* Return the calling thread's copy, zeroed and then given to init the first time; aligned
   for any type.  NULL when memory is short, init refused, or size is 0. */
PRONG_API void *prong_local_get(prong_local *l);

/* Destroy the calling thread's copy now, if it has one; the next get makes a new one. */
PRONG_API void prong_local_clear(prong_local *l);

PRONG_END_DECLS
#endif
