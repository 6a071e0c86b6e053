/* Ways to crash.  A sanitizer that has handlers of its own sees crashes first, and the program then
   exits: here it has none. */
#define _GNU_SOURCE
#include "crash.h"

#include <fcntl.h>
#include <sys/mman.h>

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0:"
	       "detect_stack_use_after_return=0";
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0";
}

static volatile int zero;
static int *volatile nowhere;
static void (*volatile no_function)(void);

static void beyond_file(void)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);
	volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	zero = p[0];
}

static APART int overflow_stack(volatile char *above)
{
	volatile char here[512];

	here[0] = *above;
	return (*above ? overflow_stack(here) : 0) + here[0];
}

static APART void lose_stack(void)
{
#if defined(__x86_64__)
	__asm__ volatile("mov $0x1238, %%rsp\n\tud2" ::: "memory");
#else
	__builtin_trap();
#endif
}

static APART void crash_inner(enum way way)
{
	switch (way) {
	case FAULT:
		*nowhere = 1;
		break;
	case WRITE_TO_TEXT:
		*(volatile char *)(uintptr_t) "constant" = 1;
		break;
	case ABORT:
		abort();
	case DIVIDE:
		zero = (int)way * 1000 / zero;
		break;
	case ILLEGAL:
		__builtin_trap();
	case BEYOND_FILE:
		beyond_file();
		break;
	case BAD_CALL:
		no_function();
		break;
	case LOST_STACK:
		lose_stack();
		break;
	case OVERFLOW_STACK:
		zero = overflow_stack((volatile char *)"x");
		break;
	case WILD_ADDRESS:
		*(volatile char *)0x7123456789abcdef = 1;
		break;
	}
	zero = 0; /* no tail call */
}

static APART void crash_outer(enum way way)
{
	crash_inner(way);
	zero = 0;
}

APART int body_crashes(void *arg)
{
	crash_outer(*(enum way *)arg);
	return 0;
}
