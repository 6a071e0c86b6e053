/* The heap's memory on Linux: a sealed memfd, mapped at a fixed address and closed again, so that
   it has no name and no descriptor and vanishes with its last mapping.

   The addresses.  x86-64: from 0x5500_0000_0000, below where position-independent programs are
   loaded (0x5555_5555_4000 and up) and clear of the shadows of AddressSanitizer, ThreadSanitizer,
   MemorySanitizer and valgrind.  AArch64: below 2^38, which every kernel's smallest address space
   has. */
#define _GNU_SOURCE
#include "os/os.h"
#include <errno.h>
#include <link.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define GIB	 ((uint64_t)1 << 30)
#define VALGRIND (GIB / 4)

static const uint64_t places[] = {
#if defined(__aarch64__)
	0x1500000000, 0x2500000000, 0x0d00000000, 0x3000000000,
#elif UINTPTR_MAX > 0xffffffff
	0x550000000000, 0x551000000000, 0x552000000000, 0x553000000000,
#else
	0x60000000, 0x50000000, 0x70000000,
#endif
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int is_valgrinds(struct dl_phdr_info *object, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	return strstr(object->dlpi_name, "/vgpreload") != NULL;
}

/* Memcheck looks for leaks at each process's end, and reads all that is mapped: of a sparse file
   that takes memory for each page, and hours.  What valgrind has loaded into the process tells that
   it is there, also to a library that was built without its headers. */
static bool under_valgrind(void)
{
	return dl_iterate_phdr(is_valgrinds, NULL) != 0;
}

size_t prongi_os_heap_default(void)
{
	uint64_t size = 64 * GIB;
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	struct rlimit r;

	if (UINTPTR_MAX == 0xffffffff)
		return (size_t)64 << 20;
	size = least(size, 4 * ram);
	if (getrlimit(RLIMIT_AS, &r) == 0 && r.rlim_cur != RLIM_INFINITY)
		size = least(size, r.rlim_cur / 4);
	if (getrlimit(RLIMIT_FSIZE, &r) == 0 && r.rlim_cur != RLIM_INFINITY)
		size = least(size, r.rlim_cur); /* a memfd is a file, and a longer one a signal */
	if (under_valgrind())
		size = least(size, VALGRIND);
	return (size_t)size;
}

static int make_fd(size_t size)
{
	int fd = memfd_create("prong", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL), r;

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("prong", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
								       F_SEAL_SEAL)) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* The first place where the file can be mapped.  Kernels before 4.17 take the address as a hint. */
static int map_fd(int fd, void **base, size_t size)
{
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		void *want = (void *)(uintptr_t)places[i];
		void *p = mmap(want, size, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);

		if (p == want) {
			*base = p;
			return 0;
		}
		if (p != MAP_FAILED)
			munmap(p, size);
		else if (errno != EEXIST && errno != EINVAL)
			return -errno;
	}
	return -EADDRINUSE;
}

int prongi_os_heap_map(void **base, size_t size)
{
	void *p = NULL;
	int fd = make_fd(size), r;

	if (fd < 0)
		return fd;
	r = map_fd(fd, &p, size);
	close(fd);
	if (r)
		return r;
	if (madvise(p, size, MADV_DONTDUMP)) {
		r = -errno;
		munmap(p, size);
		return r;
	}
	*base = p;
	return 0;
}

void prongi_os_heap_unmap(void *base, size_t size)
{
	munmap(base, size);
}

/* MADV_POPULATE_WRITE says when there is no memory, where a touch would be killed.  Before Linux
   5.14 it is not known, and touching is all there is. */
int prongi_os_heap_commit(void *at, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)at & ~(page - 1);
	uintptr_t to = ((uintptr_t)at + size + page - 1) & ~(page - 1);

	if (madvise((void *)from, to - from, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return errno == EFAULT || errno == EAGAIN ? -ENOMEM : -errno;
	for (; from < to; from += page)
		atomic_fetch_add_explicit((_Atomic uint8_t *)from, 0, memory_order_relaxed);
	return 0;
}

int prongi_os_heap_give_back(void *at, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)at + page - 1) & ~(page - 1);
	uintptr_t to = ((uintptr_t)at + size) & ~(page - 1);

	if (from >= to)
		return 0;
	return madvise((void *)from, to - from, MADV_REMOVE) ? -errno : 0;
}

int prongi_os_heap_inherit(void *base, size_t size, bool yes)
{
	return madvise(base, size, yes ? MADV_DOFORK : MADV_DONTFORK) ? -errno : 0;
}

void *prongi_os_private(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* Not DONTFORK: what maps something in a child, before it drops this, must not get the
	   same place. */
	madvise(p, size, MADV_WIPEONFORK);
	return p;
}

void prongi_os_private_drop(void *p, size_t size)
{
	munmap(p, size);
}

bool prongi_os_resident(int pid, uint64_t *bytes, uint64_t *peak)
{
	unsigned long long now = 0, most = 0;
	char path[32], line[128];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof line, f)) {
		(void)sscanf(line, "VmHWM: %llu kB", &most);
		(void)sscanf(line, "VmRSS: %llu kB", &now);
	}
	fclose(f);
	if (!now)
		return false; /* it has ended */
	*bytes = now * 1024;
	*peak = most * 1024;
	return true;
}

uint64_t prongi_os_private_bytes(void)
{
	unsigned long long resident = 0, shared = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	int n = f ? fscanf(f, "%*u %llu %llu", &resident, &shared) : 0;

	if (f)
		fclose(f);
	return n == 2 && resident > shared
		       ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}
