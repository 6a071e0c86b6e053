/* The image: all bytes that the processes of a trial share, kept and put back. */
#include "kill.h"
#include "trace.h"
#include <stdlib.h>
#include <string.h>

#define RANGES	32
#define IGNORED 128

static struct range {
	void *at;
	size_t size;
} ranges[RANGES];
static size_t nranges, total;

static const void *ignored[IGNORED];
static size_t nignored;

struct image {
	size_t size;
	uint64_t word[];
};

struct change {
	size_t n;
	struct {
		uint64_t *at;
		uint64_t value;
	} word[];
};

void image_add(void *at, size_t size)
{
	if (nranges == RANGES || (uintptr_t)at % 8 || size % 8)
		die("cannot add a range to the image");
	ranges[nranges++] = (struct range){ at, size };
	total += size;
}

void image_ignore(const void *word)
{
	if (nignored == IGNORED)
		die("too many words to ignore");
	ignored[nignored++] = (const void *)((uintptr_t)word & ~(uintptr_t)7);
}

struct image *image_save(void)
{
	struct image *image = malloc(sizeof *image + total);
	char *to;

	if (!image)
		die("no memory for an image");
	image->size = total;
	to = (char *)image->word;
	for (size_t i = 0; i < nranges; to += ranges[i++].size)
		memcpy(to, ranges[i].at, ranges[i].size);
	return image;
}

void image_restore(const struct image *image)
{
	const char *from = (const char *)image->word;

	if (image->size != total)
		die("the image is of other ranges");
	for (size_t i = 0; i < nranges; from += ranges[i++].size)
		memcpy(ranges[i].at, from, ranges[i].size);
}

void image_free(struct image *image)
{
	free(image);
}

/* A word's part in the key.  Zeros have none, so that a large empty image costs little. */
static uint64_t mix(const void *at, uint64_t value)
{
	uint64_t x = value ^ (uintptr_t)at * 0x9e3779b97f4a7c15u;

	if (!value)
		return 0;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
	return x ^ x >> 29;
}

uint64_t image_key(void)
{
	uint64_t key = 0;

	for (size_t i = 0; i < nranges; i++) {
		const uint64_t *word = ranges[i].at;

		for (size_t k = 0; k < ranges[i].size / 8; k++)
			key += mix(word + k, word[k]);
	}
	for (size_t i = 0; i < nignored; i++)
		key -= mix(ignored[i], *(const uint64_t *)ignored[i]);
	return key;
}

/* Store the words that differ from the image in out, unless it is NULL; return how many. */
static size_t differences(const struct image *image, struct change *out)
{
	const uint64_t *was = image->word;
	size_t n = 0;

	for (size_t i = 0; i < nranges; i++) {
		uint64_t *word = ranges[i].at;

		for (size_t k = 0; k < ranges[i].size / 8; k++, was++) {
			if (word[k] == *was)
				continue;
			if (out) {
				out->word[n].at = word + k;
				out->word[n].value = word[k];
			}
			n++;
		}
	}
	return n;
}

struct change *image_changes(const struct image *image)
{
	size_t n = differences(image, NULL);
	struct change *change = malloc(sizeof *change + n * sizeof change->word[0]);

	if (!change)
		die("no memory for a change");
	change->n = differences(image, change);
	return change;
}

void image_restore_changed(const struct image *image, const struct change *change)
{
	image_restore(image);
	for (size_t i = 0; i < change->n; i++)
		*change->word[i].at = change->word[i].value;
}
