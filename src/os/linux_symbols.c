/* Names for places in the code: from the symbol tables of the files that it was loaded from.

   The files are read when a report is written, which can be long after they were loaded: they may
   be others by then, or anything.  So nothing in them is believed.  Offsets and sizes are checked
   by the reads themselves, which go through the kernel; names are cut, and printed as far as they
   can be; a file that is not the one that was loaded, by its build id, gives none.  Where there is
   no name the offset in the file remains, which a debugger takes.

   Not here: lines of source files, and names that were stripped. */
#define _GNU_SOURCE
#include "os/linux_unwind.h"
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECTIONS 4096 /* a file with more has no names for us */
#define CHUNK    128  /* symbols read at a time */
#define ID       64   /* the most of a build id that is compared */
#define PROGRAM  "/proc/self/exe"

/* --- the file that has a place --------------------------------------------------------------- */

struct file {
	uint64_t place;
	bool found;
	uint64_t bias;
	size_t id_size;
	unsigned char id[ID];
	char path[1024];
};

static size_t padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* Find the build id among n bytes of notes. */
static size_t find_id(const unsigned char *note, size_t n, unsigned char id[ID])
{
	ElfW(Nhdr) h;

	while (n >= sizeof h) {
		size_t size, name;

		memcpy(&h, note, sizeof h);
		name = padded(h.n_namesz);
		size = sizeof h + name + padded(h.n_descsz);
		if (h.n_namesz > n || h.n_descsz > n || size > n)
			return 0;
		if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && h.n_descsz <= ID &&
		    memcmp(note + sizeof h, "GNU", 4) == 0) {
			memcpy(id, note + sizeof h + name, h.n_descsz);
			return h.n_descsz;
		}
		note += size;
		n -= size;
	}
	return 0;
}

static bool covers(const struct dl_phdr_info *info, uint64_t place)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && place - info->dlpi_addr - p->p_vaddr < p->p_memsz)
			return true;
	}
	return false;
}

static int look_at_file(struct dl_phdr_info *info, size_t size, void *to)
{
	struct file *f = to;

	(void)size;
	if (!covers(info, f->place))
		return 0;
	f->found = true;
	f->bias = info->dlpi_addr;
	snprintf(f->path, sizeof f->path, "%s", info->dlpi_name[0] ? info->dlpi_name : PROGRAM);
	for (int i = 0; i < info->dlpi_phnum && !f->id_size; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_NOTE)
			f->id_size = find_id(
				(const unsigned char *)(uintptr_t)(info->dlpi_addr + p->p_vaddr),
				p->p_memsz, f->id);
	}
	return 1;
}

/* What people call it. */
static void base_name(const struct file *f, char *text, size_t n)
{
	char path[1024];
	const char *name = f->path, *slash;
	ssize_t got;

	if (strcmp(f->path, PROGRAM) == 0) {
		got = readlink(PROGRAM, path, sizeof path - 1);
		path[got > 0 ? got : 0] = '\0';
		name = got > 0 ? path : "program";
	}
	slash = strrchr(name, '/');
	snprintf(text, n, "%.48s", slash && slash[1] ? slash + 1 : name);
}

/* --- reading it ------------------------------------------------------------------------------ */

static bool read_at(int fd, void *to, size_t n, uint64_t at)
{
	return at <= INT64_MAX - n && pread(fd, to, n, (off_t)at) == (ssize_t)n;
}

static bool is_ours(const ElfW(Ehdr) * h)
{
	return memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 &&
	       h->e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) &&
	       h->e_shentsize == sizeof(ElfW(Shdr)) && h->e_phentsize == sizeof(ElfW(Phdr)) &&
	       h->e_shnum <= SECTIONS;
}

/* True when the file has the build id that is loaded. */
static bool is_same(int fd, const ElfW(Ehdr) * h, const struct file *f)
{
	unsigned char notes[1024], id[ID];

	for (unsigned i = 0; i < h->e_phnum; i++) {
		ElfW(Phdr) p;
		size_t n;

		if (!read_at(fd, &p, sizeof p, h->e_phoff + i * sizeof p))
			return false;
		if (p.p_type != PT_NOTE || p.p_filesz > sizeof notes ||
		    !read_at(fd, notes, p.p_filesz, p.p_offset))
			continue;
		n = find_id(notes, p.p_filesz, id);
		if (n)
			return n == f->id_size && memcmp(id, f->id, n) == 0;
	}
	return f->id_size == 0;
}

/* The section of this type, and the names that go with it. */
static bool find_symbols(int fd, const ElfW(Ehdr) * h, unsigned type, ElfW(Shdr) * symbols,
			 ElfW(Shdr) * names)
{
	for (unsigned i = 0; i < h->e_shnum; i++) {
		if (!read_at(fd, symbols, sizeof *symbols, h->e_shoff + i * sizeof *symbols))
			return false;
		if (symbols->sh_type == type && symbols->sh_entsize == sizeof(ElfW(Sym)) &&
		    symbols->sh_link < h->e_shnum)
			return read_at(fd, names, sizeof *names,
				       h->e_shoff + symbols->sh_link * sizeof *names);
	}
	return false;
}

static bool is_named(int fd, const ElfW(Shdr) * names, const ElfW(Shdr) * s, const char *name)
{
	char text[32] = "";

	return names->sh_offset <= INT64_MAX && s->sh_name < names->sh_size &&
	       pread(fd, text, sizeof text - 1, (off_t)(names->sh_offset + s->sh_name)) > 0 &&
	       strcmp(text, name) == 0;
}

bool prongi_section(const char *path, const char *name, uint64_t *at, uint64_t *size)
{
	int fd = open(path[0] ? path : PROGRAM, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ElfW(Shdr) s, names;
	ElfW(Ehdr) h;
	bool found = false;

	if (fd < 0)
		return false;
	if (read_at(fd, &h, sizeof h, 0) && is_ours(&h) && h.e_shstrndx < h.e_shnum &&
	    read_at(fd, &names, sizeof names, h.e_shoff + h.e_shstrndx * sizeof names))
		for (unsigned i = 0; i < h.e_shnum && !found; i++)
			found = read_at(fd, &s, sizeof s, h.e_shoff + i * sizeof s) &&
				is_named(fd, &names, &s, name);
	close(fd);
	*at = found ? s.sh_addr : 0;
	*size = found ? s.sh_size : 0;
	return found;
}

/* --- looking up ------------------------------------------------------------------------------ */

struct wanted {
	uint64_t at; /* in the file's own addresses */
	bool inside; /* a symbol that says its size has it */
	bool any;
	uint64_t from; /* of the best symbol so far */
	uint64_t name;
};

static bool is_code(const ElfW(Sym) * s)
{
	unsigned type = s->st_info & 0xf;

	return s->st_shndx != SHN_UNDEF && (type == STT_FUNC || type == STT_GNU_IFUNC);
}

/* One whose span has the place is right; else the last without a span that is before it. */
static void consider(struct wanted *w, const ElfW(Sym) * s)
{
	bool inside = w->at - s->st_value < s->st_size;

	if (!is_code(s) || s->st_value > w->at || (!inside && (s->st_size || w->inside)))
		return;
	if (inside == w->inside && w->any && s->st_value <= w->from)
		return;
	w->any = true;
	w->inside = inside;
	w->from = s->st_value;
	w->name = s->st_name;
}

static void scan(int fd, const ElfW(Shdr) * symbols, struct wanted *w, uint32_t n)
{
	ElfW(Sym) some[CHUNK];
	uint64_t left = symbols->sh_size / sizeof *some, at = symbols->sh_offset;

	while (left) {
		size_t k = left < CHUNK ? (size_t)left : CHUNK;

		if (!read_at(fd, some, k * sizeof *some, at))
			return;
		for (size_t i = 0; i < k; i++)
			for (uint32_t j = 0; j < n; j++)
				consider(&w[j], &some[i]);
		at += k * sizeof *some;
		left -= k;
	}
}

/* The name at an offset of the section, as far as it can be printed. */
static bool read_name(int fd, const ElfW(Shdr) * names, uint64_t at, char *text, size_t n)
{
	ssize_t got;
	size_t i = 0;

	if (at >= names->sh_size || names->sh_offset > (uint64_t)INT64_MAX - names->sh_size)
		return false;
	got = pread(fd, text, n - 1, (off_t)(names->sh_offset + at));
	while (got > 0 && i < (size_t)got && text[i] > ' ' && text[i] < 0x7f)
		i++;
	text[i] = '\0';
	return i > 0;
}

static void write_name(char *text, const struct wanted *w, int fd, const ElfW(Shdr) * names,
		       const char *file, uint64_t back)
{
	char name[80];

	if (w->any && read_name(fd, names, w->name, name, sizeof name))
		snprintf(text, PRONGI_PLACE, "%s+%#llx (%s)", name,
			 (unsigned long long)(w->at + back - w->from), file);
}

/* Names for the n places of the file, which are at the indices in which[]. */
static void name_all(const struct file *f, const uint64_t *place, const uint32_t *which, uint32_t n,
		     const char *file, char (*name)[PRONGI_PLACE])
{
	struct wanted w[PRONG_FRAMES] = { { 0 } };
	ElfW(Shdr) symbols, names;
	ElfW(Ehdr) h;
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		w[i].at = place[which[i]] - (which[i] > 0) - f->bias;
	if (read_at(fd, &h, sizeof h, 0) && is_ours(&h) && is_same(fd, &h, f) &&
	    (find_symbols(fd, &h, SHT_SYMTAB, &symbols, &names) ||
	     find_symbols(fd, &h, SHT_DYNSYM, &symbols, &names))) {
		scan(fd, &symbols, w, n);
		for (uint32_t i = 0; i < n; i++)
			write_name(name[which[i]], &w[i], fd, &names, file, which[i] > 0);
	}
	close(fd);
}

/* Name all places that are in the file of the first of them. */
static void name_file(const uint64_t *place, uint32_t n, bool *done, char (*name)[PRONGI_PLACE],
		      uint32_t first)
{
	struct file f = { .place = place[first] - (first > 0) };
	uint32_t which[PRONG_FRAMES], found = 0;
	char file[64];

	snprintf(name[first], PRONGI_PLACE, "0x%llx",
		 (unsigned long long)(place[first] & ~PRONGI_UNKNOWN));
	done[first] = true;
	dl_iterate_phdr(look_at_file, &f);
	if (!f.found)
		return;
	base_name(&f, file, sizeof file);
	for (uint32_t i = first; i < n; i++) {
		struct file other = { .place = place[i] - (i > 0) };

		dl_iterate_phdr(look_at_file, &other);
		if (!other.found || other.bias != f.bias || strcmp(other.path, f.path) != 0)
			continue;
		which[found++] = i;
		done[i] = true;
		snprintf(name[i], PRONGI_PLACE, "%s+%#llx", file,
			 (unsigned long long)(place[i] - f.bias));
	}
	name_all(&f, place, which, found, file, name);
}

void prongi_os_symbols(const uint64_t *frame, uint32_t n, char (*name)[PRONGI_PLACE])
{
	bool done[PRONG_FRAMES] = { false };

	for (uint32_t i = 0; i < n && i < PRONG_FRAMES; i++)
		if (!done[i])
			name_file(frame, n, done, name, i);
}
