/* Frames, against a reader that has all bytes at once: whatever the bytes are and however they
   are cut, the same messages come out in the same order, the same error ends them, and no more
   memory is taken than twice what has come.

   Input: a byte for the room to begin with, a byte for the limit, a byte for the cuts, and the
   stream. */
#include "wire/frame.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
	if (!truth)
		abort();
}

/* What should come next from data[0, size): as prongi_inbox_look(). */
static int expected(const uint8_t *data, size_t size, size_t most, size_t *head, uint64_t *length)
{
	if (size < 4)
		return 0;
	*head = 4;
	*length = (uint64_t)data[0] << 24 | (uint64_t)data[1] << 16 | (uint64_t)data[2] << 8 |
		  data[3];
	if (*length == 0xffffffff) {
		if (size < 12)
			return 0;
		*head = 12;
		*length = 0;
		for (int i = 4; i < 12; i++)
			*length = *length << 8 | data[i];
		if (*length >> 63)
			return -EPROTO;
	} else if (*length > 0x7fffffff) {
		return -EPROTO;
	}
	if (*length > most)
		return -EFBIG;
	return size - *head >= *length;
}

static uint32_t next_cut(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return 1 + (*seed >> 16) % (1u << ((*seed >> 8) % 12));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t most, ahead, come = 0, taken = 0;
	struct prongi_inbox in;
	uint32_t seed;

	if (size < 3)
		return 0;
	ahead = (size_t)16 << data[0] % 12;
	most = data[1] < 64 ? data[1] : (size_t)1 << data[1] % 48;
	seed = data[2];
	data += 3;
	size -= 3;
	prongi_inbox_init(&in, most, ahead);
	for (;;) {
		uint64_t length = 0;
		size_t head = 0, room, n;
		void *where;
		int r = prongi_inbox_look(&in);

		must(r == expected(data + taken, come - taken, most, &head, &length));
		if (r < 0)
			break;
		if (r == 1) {
			must(in.size == length && in.head == head);
			must(memcmp(prongi_inbox_data(&in), data + taken + head, length) == 0);
			prongi_inbox_take(&in);
			taken += head + length;
			continue;
		}
		if (come == size)
			break;
		must(prongi_inbox_room(&in, &where, &room) == 0 && room > 0);
		n = next_cut(&seed);
		n = n < room ? n : room;
		n = n < size - come ? n : size - come;
		memcpy(where, data + come, n);
		prongi_inbox_add(&in, n);
		come += n;
		must(in.end <= in.room && in.room <= ahead + 2 * come + 12);
	}
	prongi_inbox_fini(&in);
	return 0;
}
