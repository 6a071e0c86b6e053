/* prong: processes and threads for C, in reading order.

   Unless it says otherwise a function may be called by any thread of any member of the
   family, and at the same time as any other on the same object; except that x_free needs
   that nobody else uses the object any more.  None may be called from a signal handler but
   prong_process_signal(), prong_sem_post() and prong_event_set().  A thread must not be
   cancelled inside one, nor leave it by longjmp(). */
#ifndef PRONG_PRONG_H
#define PRONG_PRONG_H

#include <prong/error.h>
#include <prong/deadline.h>
#include <prong/family.h>
#include <prong/heap.h>
#include <prong/report.h>
#include <prong/process.h>
#include <prong/thread.h>
#include <prong/group.h>
#include <prong/local.h>
#include <prong/mutex.h>
#include <prong/cond.h>
#include <prong/sem.h>
#include <prong/event.h>
#include <prong/barrier.h>
#include <prong/rwlock.h>
#include <prong/once.h>
#include <prong/queue.h>
#include <prong/conn.h>
#include <prong/wait.h>
#include <prong/task.h>
#include <prong/future.h>
#include <prong/pool.h>
#include <prong/map.h>
#include <prong/stream.h>

#endif
