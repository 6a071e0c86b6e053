/* What threads and thread-locals ask of each other, and what a fork and a thread's end ask of
   them. */
#ifndef PRONGI_RUN_H
#define PRONGI_RUN_H

#include "os/os.h"
#include <prong/thread.h>

/* In the child of any fork, before the program's code: the parent's threads are not here.  The
   calling thread is "MainThread" now, and counting begins anew. */
void prongi_threads_after_fork(void);

/* Block until t has ended, also when the caller is cancelled. */
void prongi_thread_await(prong_thread *t);

/* On what to sleep until t ends; return how many words: 0 when it has ended. */
size_t prongi_thread_arm(prong_thread *t, struct prongi_awaited *a);

/* Destroy the calling thread's copies of all locals.  Repeatable: those made later are destroyed
   when the thread ends.  Call it while the thread still has its slot: what it calls may lock. */
void prongi_locals_end(void);

#endif
