/* What one member does with one batch of files: read them, count, hand the counts on. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../must.h"
#include "job.h"
#include "scan.h"

enum {
	CHUNK = 1 << 16,
	MAX_SIZE = 1 << 30
};

/* A file's text; the memory serves one file after the other. */
struct text {
	char *bytes;
	size_t size, cap;
};

/* Return 0, BINARY or an errno. */
static int read_chunk(int fd, struct text *t, ssize_t *got)
{
	if (t->cap - t->size < CHUNK) {
		size_t cap = 2 * t->cap + CHUNK;
		char *bytes = realloc(t->bytes, cap);

		if (!bytes)
			return ENOMEM;
		t->bytes = bytes;
		t->cap = cap;
	}
	do
		*got = read(fd, t->bytes + t->size, t->cap - t->size);
	while (*got == -1 && errno == EINTR);
	if (*got == -1)
		return errno;
	if (memchr(t->bytes + t->size, '\0', (size_t)*got))
		return BINARY;
	t->size += (size_t)*got;
	return t->size > MAX_SIZE ? EFBIG : 0;
}

/* A file may have become anything since it was listed: O_NONBLOCK, so as not to wait for the
   other end of a pipe. */
static int read_file(const char *path, struct text *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t got = 1;
	int r = fd == -1 ? errno : 0;

	t->size = 0;
	while (r == 0 && got > 0)
		r = read_chunk(fd, t, &got);
	if (fd != -1)
		close(fd);
	return r;
}

static void count(struct batch *b, struct words *w, struct text *t)
{
	for (struct file *f = b->files; f < b->files + b->nfiles; f++) {
		f->problem = read_file(f->path, t);
		if (f->problem == 0)
			scan(w, t->bytes, t->size);
	}
}

/* A holder before may have died in here and left a block that nobody else has seen. */
static void publish(struct batch *b, const struct words *w)
{
	must(prong_free_at((void **)&b->counts), "free counts");
	must(prong_alloc_to((void **)&b->counts, words_packed_size(w)), "allocate counts");
	words_pack(w, b->counts);
}

int work(void *arg)
{
	struct member *m = arg;
	struct words words = { 0 };
	struct text text = { 0 };
	struct batch *b;

	while ((b = job_take(m))) {
		count(b, &words, &text);
		publish(b, &words);
		job_merge(m->job, b);
		words_clear(&words);
	}
	words_fini(&words);
	free(text.bytes);
	return 0;
}
