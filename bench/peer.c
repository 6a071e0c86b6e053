/* The door of a peer's program, and what all of them need.  See peer.h. */
#include "peer.h"
#include <err.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIB ((size_t)1 << 20)

enum {
	PAUSE_NS = 1000000
};

int64_t peer_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void peer_pause(void)
{
	nanosleep(&(struct timespec){ 0, PAUSE_NS }, NULL);
}

void peer_print(double value)
{
	printf("%.6f\n", value);
}

void peer_print_rate(unsigned n, int64_t begin)
{
	peer_print(n * 1e3 / (double)(peer_now() - begin));
}

void peer_print_us(int64_t begin)
{
	peer_print((double)(peer_now() - begin) / 1e3);
}

void peer_empty(void)
{
	__asm__ __volatile__("" : : : "memory");
}

void *peer_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		err(1, "calloc");
	return p;
}

/* --- 1 MiB ------------------------------------------------------------------------------------ */

static char block[MIB];

void *peer_mib(void)
{
	void *p = malloc(sizeof block);

	if (!p)
		err(1, "malloc");
	memcpy(p, block, sizeof block);
	return p;
}

void peer_mib_end(void *p)
{
	++*(volatile char *)p;
	free(p);
}

void peer_print_mibs(unsigned n, int64_t begin)
{
	peer_print((double)MIB * n / (double)(peer_now() - begin));
}

/* malloc() keeps what is freed: it shall not cost page faults. */
int main(int argc, char **argv)
{
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	memset(block, 1, sizeof block);
	for (const struct peer_work *w = peer_works; argc == 3 && w->what; w++) {
		if (strcmp(w->what, argv[1]) == 0) {
			w->run((unsigned)strtoul(argv[2], NULL, 10));
			return 0;
		}
	}
	fputs("usage: PROGRAM WHAT N, see bench/peer.h\n", stderr);
	return 2;
}
