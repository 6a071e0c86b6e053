/* For the checking mode: what lies at an address of this process, by its own list of mappings, and
   how to name a place in the code.  Without /proc nothing is private, and so nothing is
   reported. */
#define _GNU_SOURCE
#include "os/os.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SHADOW ((uint64_t)1 << 38) /* what is larger is some tool's, and full of addresses */

struct mapping {
	uint64_t from, to;
	bool ours;	/* private and writable */
	bool variables; /* of a file, with those that begin as zero */
	const char *name;
};

/* The list, line by line. */
struct maps {
	int fd;
	size_t have, used;
	uint64_t file_end; /* of the last mapping of a file */
	char text[4096], line[512];
};

static bool next_line(struct maps *m)
{
	size_t n = 0;

	for (;;) {
		if (m->used == m->have) {
			ssize_t r = read(m->fd, m->text, sizeof m->text);

			if (r <= 0)
				return false;
			m->have = (size_t)r;
			m->used = 0;
		}
		char c = m->text[m->used++];

		if (c == '\n')
			break;
		if (n < sizeof m->line - 1)
			m->line[n++] = c;
	}
	m->line[n] = '\0';
	return true;
}

/* "from-to rwxp offset device inode   name" */
static bool next_mapping(struct maps *m, struct mapping *out)
{
	char *p, *rights;

	if (!next_line(m))
		return false;
	out->from = strtoull(m->line, &p, 16);
	out->to = strtoull(*p ? p + 1 : p, &p, 16);
	rights = *p ? p + 1 : p;
	out->ours = strncmp(rights, "rw", 2) == 0 && strlen(rights) > 3 && rights[3] == 'p' &&
		    out->to - out->from < SHADOW;
	p = strpbrk(rights, "/[");
	out->name = p ? p : "";
	/* What of a program's variables begins as zero comes right after its file. */
	out->variables = out->ours && (*out->name == '/' ||
				       (!*out->name && out->from == m->file_end));
	if (*out->name == '/')
		m->file_end = out->to;
	return true;
}

static bool maps_open(struct maps *m)
{
	m->fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	m->have = m->used = 0;
	m->file_end = 0;
	return m->fd >= 0;
}

bool prongi_os_is_variable(const void *address)
{
	uint64_t at = (uintptr_t)address;
	struct mapping here;
	struct maps m;
	bool found = false;

	if (!maps_open(&m))
		return false;
	while (!found && next_mapping(&m, &here))
		found = here.variables && at >= here.from && at < here.to;
	close(m.fd);
	return found;
}

static void describe_mapping(const struct mapping *here, char *text, size_t n)
{
	const char *file = strrchr(here->name, '/');

	if (here->variables)
		snprintf(text, n, "the variables%s%s", file ? " of " : "", file ? file + 1 : "");
	else if (strcmp(here->name, "[stack]") == 0)
		snprintf(text, n, "the stack");
	else
		snprintf(text, n, "the memory"); /* from malloc(), or the stack of a thread */
}

bool prongi_os_find_private(const uint64_t *words, size_t count, size_t *which, char *text,
			    size_t n)
{
	struct mapping here;
	struct maps m;
	bool found = false;

	if (!maps_open(&m))
		return false;
	while (!found && next_mapping(&m, &here))
		for (size_t i = 0; here.ours && !found && i < count; i++)
			if (words[i] >= here.from && words[i] < here.to) {
				*which = i;
				describe_mapping(&here, text, n);
				found = true;
			}
	close(m.fd);
	return found;
}

void prongi_os_describe(const void *code, char *text, size_t n)
{
	const char *file;
	Dl_info info;

	if (!dladdr(code, &info) || !info.dli_fname) {
		snprintf(text, n, "%p", code);
		return;
	}
	file = strrchr(info.dli_fname, '/');
	snprintf(text, n, "%s+%#lx", file ? file + 1 : info.dli_fname,
		 (unsigned long)((uintptr_t)code - (uintptr_t)info.dli_fbase));
}

void prongi_os_thread_name(char *text, size_t n)
{
	char name[16] = "";

	prctl(PR_GET_NAME, name);
	snprintf(text, n, "%.15s", name);
}
