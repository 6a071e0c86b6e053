/* A walk over a tree by opendir().  What changes meanwhile is found as it is then, and what has
   vanished is not found: nothing here fails but the first directory. */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "files.h"

/* A path that a walk goes down and up again. */
struct path {
	char *text;
	size_t cap;
};

static void *resize(void *p, size_t size)
{
	p = realloc(p, size);
	if (!p)
		errx(1, "no memory for the list of files");
	return p;
}

static void add(struct names *out, const char *name)
{
	size_t size = strlen(name) + 1;

	if (out->cap - out->size < size) {
		out->cap = 2 * out->cap + size;
		out->text = resize(out->text, out->cap);
	}
	memcpy(out->text + out->size, name, size);
	out->size += size;
	out->n++;
}

/* Put name behind the first len bytes of p and a slash; return the new length. */
static size_t append(struct path *p, size_t len, const char *name)
{
	size_t size = strlen(name);

	if (len + size + 2 > p->cap) {
		p->cap = 2 * (len + size + 2);
		p->text = resize(p->text, p->cap);
	}
	if (len > 0 && p->text[len - 1] != '/')
		p->text[len++] = '/';
	memcpy(p->text + len, name, size + 1);
	return len + size;
}

static unsigned char kind_of_mode(mode_t mode)
{
	if (S_ISDIR(mode))
		return DT_DIR;
	if (S_ISLNK(mode))
		return DT_LNK;
	if (S_ISFIFO(mode))
		return DT_FIFO;
	return S_ISREG(mode) ? DT_REG : DT_UNKNOWN;
}

/* Return DT_DIR, DT_REG for what counts as a file, or something else. */
static unsigned char kind_of(const char *path, unsigned char kind)
{
	struct stat st;

	if (kind == DT_UNKNOWN)
		kind = lstat(path, &st) == -1 ? DT_REG : kind_of_mode(st.st_mode);
	if (kind == DT_LNK)
		kind = stat(path, &st) == -1 || S_ISREG(st.st_mode) ? DT_REG
		       : S_ISFIFO(st.st_mode)                       ? DT_FIFO
								    : DT_LNK;
	return kind;
}

/* Add what lies below the directory that the first len bytes of p name.  Return 0 or an errno. */
static int walk(struct names *out, struct path *p, size_t len)
{
	DIR *dir = opendir(p->text);
	struct dirent *e;

	if (!dir)
		return errno;
	while ((e = readdir(dir))) {
		size_t below;
		unsigned char kind;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		below = append(p, len, e->d_name);
		kind = kind_of(p->text, e->d_type);
		if (kind == DT_REG || (kind == DT_FIFO && out->fifos) ||
		    (kind == DT_DIR && walk(out, p, below) != 0))
			add(out, p->text);
	}
	closedir(dir);
	return 0;
}

int names_find(struct names *out, const char *dir)
{
	struct path p = { 0 };
	size_t len = append(&p, 0, dir);
	struct stat st;
	int r = walk(out, &p, len);

	if (r == ENOTDIR && stat(dir, &st) == 0 && S_ISREG(st.st_mode)) {
		add(out, dir);
		r = 0;
	}
	free(p.text);
	return r;
}

void names_fini(struct names *n)
{
	free(n->text);
	*n = (struct names){ 0 };
}
