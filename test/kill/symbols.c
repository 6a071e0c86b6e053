/* Names and coverage, from the program's own symbol table.

   Coverage is: of all instructions in the functions under test, how many were a kill point at least
   once in this run.  Instructions are counted by decoding each function from its first byte to the
   size that its symbol has.  What stays uncovered are the ways that no scenario takes: misuse,
   exhausted limits, failed system calls. */
#include "engine.h"
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct symbol {
	uint64_t at, size;
	const char *name, *file; /* file: "" for global ones */
};

static struct symbol *symbols;
static size_t nsymbols;
static uint64_t text, text_end; /* lowest and highest address of a function */
static uint8_t *hits;		/* a byte for each of them; shared with forked processes */

static const char *map_self(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st))
		die("cannot read the program's symbols");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die("cannot read the program's symbols");
	close(fd);
	return p;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static void read_table(const char *elf, const Elf64_Shdr *table, const Elf64_Shdr *strings)
{
	const Elf64_Sym *sym = (const Elf64_Sym *)(const void *)(elf + table->sh_offset);
	const char *names = elf + strings->sh_offset, *file = "";
	size_t n = table->sh_size / sizeof *sym;

	symbols = calloc(n, sizeof *symbols);
	if (!symbols)
		die("no memory for symbols");
	for (size_t i = 0; i < n; i++) {
		bool local = ELF64_ST_BIND(sym[i].st_info) == STB_LOCAL;

		if (ELF64_ST_TYPE(sym[i].st_info) == STT_FILE)
			file = names + sym[i].st_name;
		if (ELF64_ST_TYPE(sym[i].st_info) != STT_FUNC || !sym[i].st_size)
			continue;
		symbols[nsymbols++] = (struct symbol){ sym[i].st_value, sym[i].st_size,
						       names + sym[i].st_name, local ? file : "" };
	}
	qsort(symbols, nsymbols, sizeof *symbols, by_address);
}

void symbols_open(void)
{
	const char *elf = map_self();
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)(const void *)elf;
	const Elf64_Shdr *section = (const Elf64_Shdr *)(const void *)(elf + head->e_shoff);

	for (int i = 0; i < head->e_shnum; i++)
		if (section[i].sh_type == SHT_SYMTAB)
			read_table(elf, &section[i], &section[section[i].sh_link]);
	if (!nsymbols)
		die("the program has no symbols");
	text = symbols[0].at;
	for (size_t i = 0; i < nsymbols; i++)
		if (symbols[i].at + symbols[i].size > text_end)
			text_end = symbols[i].at + symbols[i].size;
	hits = mmap(NULL, text_end - text, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		    0);
	if (hits == MAP_FAILED)
		die("no memory for the coverage");
}

static const struct symbol *symbol_of(uint64_t pc)
{
	for (size_t i = 0; i < nsymbols; i++)
		if (pc >= symbols[i].at && pc < symbols[i].at + symbols[i].size)
			return &symbols[i];
	return NULL;
}

const char *symbols_name(uint64_t pc, char *buf, size_t size)
{
	const struct symbol *s = symbol_of(pc);

	if (s)
		snprintf(buf, size, "%s+%#llx", s->name, (unsigned long long)(pc - s->at));
	else
		snprintf(buf, size, "%#llx", (unsigned long long)pc);
	return buf;
}

void coverage_add(uint64_t pc)
{
	if (pc >= text && pc < text_end)
		hits[pc - text] = 1;
}

bool coverage_has(uint64_t pc)
{
	return pc < text || pc >= text_end || hits[pc - text];
}

/* True when an item of the list says that the symbol is under test. */
static bool listed(const char *list, const struct symbol *s)
{
	for (const char *item = list; *item;) {
		size_t n = strcspn(item, " ");
		bool file = n > 2 && !strncmp(item + n - 2, ".c", 2);

		if (file ? !strncmp(s->file, item, n) && !s->file[n]
			 : n && !*s->file && !strncmp(s->name, item, n))
			return true;
		item += n + (item[n] == ' ');
	}
	return false;
}

/* The size of the instruction there; of all that is left when it is none that we know. */
static size_t step_at(const struct symbol *s, size_t i)
{
	const uint8_t *code = (const uint8_t *)(uintptr_t)s->at;
	size_t length = trace_instruction_length(code + i, s->size - i);

	return length ? length : s->size - i;
}

/* Count the instructions of the symbol; add those hit, and the hits between instructions. */
static size_t sweep(const struct symbol *s, size_t *hit, size_t *strays)
{
	size_t n = 0, hits_all = 0, hits_at = 0;

	for (size_t i = 0; i < s->size; i++)
		hits_all += hits[s->at - text + i];
	for (size_t i = 0; i < s->size; i += step_at(s, i), n++)
		hits_at += hits[s->at - text + i];
	*hit += hits_at;
	*strays += hits_all - hits_at;
	return n;
}

/* From where to where the symbol was no kill point, as addresses for addr2line. */
static void print_missing(const struct symbol *s, FILE *out)
{
	bool was = true;

	for (size_t i = 0; i < s->size; i += step_at(s, i)) {
		bool is = hits[s->at - text + i];

		if (is != was)
			fprintf(out, "%s%#llx", is ? "-" : " ", (unsigned long long)(s->at + i));
		was = is;
	}
	fputs(was ? "\n" : "-\n", out);
}

void coverage_of(const char *list, size_t *all, size_t *hit, FILE *missing)
{
	size_t strays = 0;

	*all = *hit = 0;
	for (size_t i = 0; i < nsymbols; i++) {
		size_t n, before = *hit;

		if (!listed(list, &symbols[i]) || (i && symbols[i].at == symbols[i - 1].at))
			continue;
		n = sweep(&symbols[i], hit, &strays);
		*all += n;
		if (missing) {
			fprintf(missing, "    %-32s %4zu of %4zu", symbols[i].name, *hit - before,
				n);
			print_missing(&symbols[i], missing);
		}
	}
	if (strays)
		fprintf(stderr, "prong-kill: %zu kill points are no instruction by our count\n",
			strays);
}
