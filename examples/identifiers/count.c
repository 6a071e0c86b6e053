/* What a worker does with one batch of files: read them, count, hand the counts on.  It is the
   same in a thread, in a process, and in the program itself. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
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
   other end of a pipe, unless somebody has set a limit to that. */
static int read_file(const char *path, bool wait, struct text *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (wait ? 0 : O_NONBLOCK));
	ssize_t got = 1;
	int r = fd == -1 ? errno : 0;

	t->size = 0;
	while (r == 0 && got > 0)
		r = read_chunk(fd, t, &got);
	if (fd != -1)
		close(fd);
	return r;
}

/* What a thread keeps from one task to the next: memory, nothing else. */
struct tools {
	struct words words;
	struct text text;
};

static void tools_fini(void *copy)
{
	struct tools *t = copy;

	words_fini(&t->words);
	free(t->text.bytes);
}

static prong_local the_tools = { .size = sizeof(struct tools), .fini = tools_fini };

static void count_file(struct file *f, bool wait, struct tools *t)
{
	if (f->fault == SIGKILL)
		kill(getpid(), SIGKILL);
	f->problem = read_file(f->path, wait, &t->text);
	if (f->fault == SIGSEGV)
		scan(&t->words, NULL, 1);
	if (f->problem == 0)
		scan(&t->words, t->text.bytes, t->text.size);
}

int count_batch(void *arg)
{
	const struct batch *b = arg;
	struct tools *t = prong_local_get(&the_tools);
	struct counts *counts;

	if (!t)
		return prong_task_message(ENOMEM, "no memory for a worker");
	words_clear(&t->words);
	for (struct file *f = b->files; f < b->files + b->nfiles; f++)
		count_file(f, b->wait, t);
	counts = prong_task_result(words_packed_size(&t->words));
	if (!counts)
		return prong_task_message(ENOMEM, "the heap is full: %s", prong_error_detail());
	words_pack(&t->words, counts);
	return 0;
}
