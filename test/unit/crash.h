/* Ways to crash, for crash.c. */
#ifndef TEST_CRASH_H
#define TEST_CRASH_H

#include "support.h"

/* A frame of its own, that nobody checks. */
#if __has_attribute(noclone)
#define NOCLONE noclone,
#else /* clang makes none */
#define NOCLONE
#endif
#define APART __attribute__((noinline, NOCLONE no_sanitize("undefined", "address", "thread")))

enum way {
	FAULT,
	WRITE_TO_TEXT,
	ABORT,
	DIVIDE,
	ILLEGAL,
	BEYOND_FILE,
	BAD_CALL,
	LOST_STACK,
	OVERFLOW_STACK,
	WILD_ADDRESS,
};

/* By crash_outer() and crash_inner(), as arg says, which points to an enum way. */
int body_crashes(void *arg);

#endif
