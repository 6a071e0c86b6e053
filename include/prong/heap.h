/* The family's heap: memory that all its members see at the same address.  A
   pointer to it may be given to any thread or process of the family, kept in
   structs there, and freed by whoever is last.

   What such memory may point to: other such memory, functions, and constants such
   as string literals.  A variable, the stack and memory from malloc() are each
   process's own: the same address holds something else there.

   Any process may be killed at any instruction, so the question is who owns a
   block at each of them.  prong_alloc_to() and prong_free_at() answer it: the
   pointer in the heap and the block change hands in one step, and nothing can
   leak.  prong_alloc() and prong_free() are as malloc() and free(): a process
   killed before it has stored the pointer where somebody finds it takes the block
   with it, until the family ends.

   The heap is anonymous: it vanishes with the last member, however that ends.  It
   is no part of core dumps.  It grows in steps that are paid for when they are
   taken, so a full heap is an error and never a SIGBUS; and when much
   is free it goes back to the system.

   Blocks of up to 4096 bytes are kept ready for each thread, and need no lock; any
   thread may free what another has allocated.

   Any thread of any member may call these, but no signal handler.

   Example:
	struct node { struct node *next; int value; } **list;
	...
	r = prong_alloc_to((void **)&n->next, sizeof(struct node));
	...
	prong_free_at((void **)&n->next);       n->next is NULL, the block free */
#ifndef PRONG_HEAP_H
#define PRONG_HEAP_H

#include <prong/error.h>

PRONG_BEGIN_DECLS

/* Allocate size bytes, all zero, and store their address in *where, which lies in
   the heap and is NULL before: both happen, or neither.  The block is aligned to
   16 bytes.  Size 0 counts as 1.  Here and below, two threads that do it at once to
   one *where need a lock.
   Return 0; -ENOMEM (the heap is full, or the system has no memory left),
   -EFAULT (where is not an aligned address in the heap), -EEXIST (*where is not
   NULL). */
PRONG_MUST int prong_alloc_to(void **where, size_t size);

/* Give the block at *where size bytes, in place or elsewhere, with its bytes kept up
   to the smaller size and new ones zero; *where changes with it in one step.  A
   NULL in *where is allocated.  Size 0 counts as 1.
   Return 0; -ENOMEM (nothing has changed), -EFAULT. */
PRONG_MUST int prong_realloc_at(void **where, size_t size);

/* Free the block at *where and store NULL there, in one step; NULL is fine.
   Return 0; -EFAULT (where is not an aligned address in the heap).  In the checking mode,
   see family.h: -EBUSY (somebody sleeps or holds a mutex in the block; nothing has
   changed). */
PRONG_API int prong_free_at(void **where);

/* As malloc(), calloc() and realloc() (but realloc to size 0 gives 1 byte, and frees
   nothing).  Return NULL when there is no memory or n * size overflows. */
PRONG_API void *prong_alloc(size_t size);
PRONG_API void *prong_calloc(size_t n, size_t size);
PRONG_API void *prong_realloc(void *p, size_t size);

/* Free p; NULL is fine.  What is not the start of an allocated block aborts the
   program with one line, here and in the functions above.  In the checking mode a block
   that somebody needs is reported and stays. */
PRONG_API void prong_free(void *p);

/* Return true when all size bytes at p lie in the family's heap. */
PRONG_API bool prong_shared(const void *p, size_t size);

PRONG_END_DECLS
#endif
