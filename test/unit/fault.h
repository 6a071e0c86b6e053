/* Failing the n-th system call of a kind in a whole family, raw calls and all: a seccomp filter
   stops each of them and asks this program, which lets it go on or returns an error for it.

   The subject, a child of the test, arms and disarms by calls that only the filter understands. */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include "support.h"

enum fault_kind {
	FAULT_MEMORY,      /* mmap, madvise, memfd_create, ftruncate */
	FAULT_PROCESS,     /* clone and its kin */
	FAULT_DESCRIPTORS, /* all that make a descriptor */
	FAULT_WAIT,        /* futex: woken for no reason */
	FAULT_KINDS
};

/* False, with a reason printed: this cannot be done here. */
bool fault_possible(void);

/* Run subject() in a child whose calls, and those of all its children, can be made to fail.
   Return its exit code, or minus the signal. */
int fault_run(int (*subject)(enum fault_kind kind), enum fault_kind kind);

/* In the subject: from now on the n-th call of this kind, in any process, fails; n from 1. */
void fault_arm(enum fault_kind kind, int n);

/* No more failures.  Return true when there was one since fault_arm(). */
bool fault_disarm(void);

#endif
