/* What every prong header needs: linkage, visibility, "look at this result". */
#ifndef PRONG_API_H
#define PRONG_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define PRONG_BEGIN_DECLS extern "C" {
#define PRONG_END_DECLS }
#else
#define PRONG_BEGIN_DECLS
#define PRONG_END_DECLS
#endif

#if defined(__GNUC__)
#define PRONG_API  __attribute__((visibility("default")))
#define PRONG_MUST __attribute__((visibility("default"), warn_unused_result))
#define PRONG_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define PRONG_API
#define PRONG_MUST
#define PRONG_PRINTF(f, a)
#endif

/* The version that these headers belong to; prong_version() is the library's. */
#define PRONG_VERSION_MAJOR 0
#define PRONG_VERSION_MINOR 1
#define PRONG_VERSION_PATCH 0
#define PRONG_VERSION	    "0.1.0"

PRONG_BEGIN_DECLS

/* What a process or a thread runs: the type of C11's thrd_start_t.
   Whoever starts it gives (fn, arg, size).  With a size, the callee gets its own
   copy of the bytes, aligned for any type, and the caller's may go away at once.
   With size 0, it gets the pointer itself: NULL, or an address in the family's
   heap, which means the same everywhere (else -EFAULT, for threads too, so that
   a program that runs with threads runs with processes).
   What the returned int means, each noun says. */
typedef int prong_fn(void *arg);

/* Return the version of the library that runs, such as "0.1.0". */
PRONG_API const char *prong_version(void);

PRONG_END_DECLS
#endif
