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

/* --- the key ------------------------------------------------------------------------------ */

/* It is asked for at each step of a recording, and little has changed since: so the bytes are kept
   as they were, and the sum of each page. */
#define PAGE 4096

static struct {
	char *bytes;	/* of all ranges, one after another */
	uint64_t *sum;	/* of each page of each range */
	uint64_t key;
	size_t size;	/* bytes there are */
} kept;

static uint64_t sum_of(const uint64_t *word, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += mix(word + i, word[i]);
	return sum;
}

static void keep_nothing(void)
{
	size_t pages = 0;

	for (size_t i = 0; i < nranges; i++)
		pages += ranges[i].size / PAGE + 1;
	free(kept.bytes);
	free(kept.sum);
	kept.bytes = calloc(1, total);
	kept.sum = calloc(pages, sizeof *kept.sum);
	if (!kept.bytes || !kept.sum)
		die("no memory for a key");
	kept.key = 0; /* of zeros */
	kept.size = total;
}

/* Bring a range's part of the key up to date. */
static void look_at(const struct range *range, char *was, uint64_t *sum)
{
	for (size_t at = 0; at < range->size; at += PAGE, sum++) {
		size_t n = range->size - at < PAGE ? range->size - at : PAGE;
		const char *now = (const char *)range->at + at;

		if (!memcmp(now, was + at, n))
			continue;
		memcpy(was + at, now, n);
		kept.key -= *sum;
		*sum = sum_of((const uint64_t *)(const void *)now, n / 8);
		kept.key += *sum;
	}
}

uint64_t image_key(void)
{
	uint64_t key, *sum;
	char *was;

	if (kept.size != total)
		keep_nothing();
	sum = kept.sum;
	was = kept.bytes;
	for (size_t i = 0; i < nranges; i++) {
		look_at(&ranges[i], was, sum);
		was += ranges[i].size;
		sum += ranges[i].size / PAGE + 1;
	}
	key = kept.key;
	for (size_t i = 0; i < nignored; i++)
		key -= mix(ignored[i], *(const uint64_t *)ignored[i]);
	return key;
}

/* --- changes ------------------------------------------------------------------------------ */

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
