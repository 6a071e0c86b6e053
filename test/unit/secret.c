/* The key: where it is in memory while a listener or a connection has it, and that it is nowhere
   when they have gone.  A program of its own looks through all its memory, in which its arguments
   and its environment lie too; but for that which it cannot write, its code and constants. */
#define _GNU_SOURCE
#include "raw.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
	PIECE = 16, /* so many bytes of the key in a row are a find */
	MOST = 300, /* bytes of a key: more than a block of any digest */
	MASK = 0x5a,
	WINDOW = 1 << 20
};

/* The key with each byte changed, so that who looks for it is not found himself. */
static unsigned char masked[MOST];
static size_t key_size;

static unsigned char *window;

struct sight {
	int found, guarded; /* pieces; of them, in memory that is not dumped, not forked */
	int locked;
	bool stack; /* the stack was looked through */
};

/* --- looking ------------------------------------------------------------------------------- */

static bool is_piece(const unsigned char *at, size_t from)
{
	size_t same = 0;

	while (same < PIECE && (at[same] ^ MASK) == masked[from + same])
		same++;
	return same == PIECE;
}

static int count_of(const unsigned char *data, size_t n, size_t from)
{
	const unsigned char *at = data, *end = data + n;
	int found = 0;

	while ((at = memchr(at, masked[from] ^ MASK, (size_t)(end - at))) && end - at >= PIECE)
		found += is_piece(at++, from);
	return found;
}

/* Its first bytes, or its last: a copy that was wiped in part is one. */
static int count_in(const unsigned char *data, size_t n)
{
	return count_of(data, n, 0) + count_of(data, n, key_size - PIECE);
}

struct region {
	uintptr_t begin, end;
	long there; /* KiB in memory and in swap */
	bool writable, stack, undumped, unforked, locked;
};

/* The next region of smaps; false: there is none. */
static bool next_region(FILE *smaps, struct region *r)
{
	char line[4096], mode[5];
	uintptr_t begin, end;
	long kib;

	r->there = 0;
	while (fgets(line, sizeof line, smaps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, mode) == 3) {
			r->begin = begin;
			r->end = end;
			r->writable = mode[0] == 'r' && mode[1] == 'w';
			r->stack = strstr(line, "[stack]") != NULL;
		}
		if (sscanf(line, "Rss: %ld", &kib) == 1 || sscanf(line, "Swap: %ld", &kib) == 1)
			r->there += kib;
		if (strncmp(line, "VmFlags:", 8) == 0) {
			r->undumped = strstr(line, " dd") != NULL;
			r->unforked = strstr(line, " wf") != NULL;
			r->locked = strstr(line, " lo") != NULL;
			return true;
		}
	}
	return false;
}

static int look_through(int memory, const struct region *r)
{
	int found = 0;

	for (uintptr_t at = r->begin; at + PIECE <= r->end;) {
		size_t left = r->end - at, want = left < WINDOW ? left : WINDOW;
		ssize_t n = pread(memory, window, want, (off_t)at);

		if (n < PIECE)
			break; /* what is not there cannot be read: beyond a file's end */
		found += count_in(window, (size_t)n);
		at += (size_t)n < left ? (size_t)n - PIECE + 1 : (size_t)n;
	}
	return found;
}

/* A sanitizer's shadow, of which most is not there, holds no bytes of the program. */
static bool too_large(const struct region *r)
{
	bool large = (uint64_t)(r->end - r->begin) > UINT64_C(1) << 32;

	CHECK(!large || TEST_ASAN || TEST_TSAN);
	return large;
}

static struct sight look(void)
{
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	FILE *smaps = fopen("/proc/self/smaps", "re");
	struct sight s = { 0 };
	struct region r = { 0 };

	CHECK(memory >= 0 && smaps);
	while (next_region(smaps, &r)) {
		int n;

		if (!r.writable || !r.there || (uintptr_t)window == r.begin || too_large(&r))
			continue;
		n = look_through(memory, &r);
		s.found += n;
		s.guarded += r.undumped && r.unforked ? n : 0;
		s.locked += r.locked ? n : 0;
		s.stack = s.stack || r.stack;
	}
	CHECK(s.stack);
	fclose(smaps);
	close(memory);
	return s;
}

/* --- the key ------------------------------------------------------------------------------- */

static void *pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* A random key, in a page of its own, that forget() takes away. */
static prong_auth remember(size_t size)
{
	unsigned char *key = pages(MOST);

	CHECK_EQ(getrandom(key, size, 0), size);
	key_size = size;
	key[0] |= 0x80; /* most bytes in memory are 0 */
	key[size - PIECE] |= 0x80;
	for (size_t i = 0; i < size; i++)
		masked[i] = key[i] ^ MASK;
	return (prong_auth){ .key = key, .key_size = size };
}

static void forget(const prong_auth *auth)
{
	CHECK_EQ(munmap((void *)(uintptr_t)auth->key, MOST), 0);
}

/* Sanitizers make mlock() do nothing. */
static bool may_lock(void)
{
	void *p = pages(MOST);
	bool may = !TEST_ASAN && !TEST_TSAN && mlock(p, MOST) == 0;

	munmap(p, MOST);
	return may;
}

static void check_guarded(int found)
{
	struct sight s = look();

	CHECK_EQ(s.found, found);
	CHECK_EQ(s.guarded, found);
	CHECK_EQ(s.locked, may_lock() ? found : 0);
}

/* --- what holds ---------------------------------------------------------------------------- */

static void *calls(void *arg)
{
	raw_calls(arg);
	return NULL;
}

/* Both ends here: the copy that is left is the listener's.  Each copy has two pieces. */
static void meet_and_part(prong_listener *l, struct raw_call *call)
{
	prong_conn *ours;
	pthread_t t;

	snprintf(call->address, sizeof call->address, "%s", prong_listener_address(l));
	CHECK_EQ(pthread_create(&t, NULL, calls, call), 0);
	CHECK_OK(prong_listener_accept(l, &ours, soon()));
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_OK(*call->result);
	forget(&call->auth);
	check_guarded(2);
	prong_listener_close(l);
	check_guarded(0);
	raw_put(ours, "hello");
	raw_expect(*call->out, "hello");
	prong_conn_free(ours);
	prong_conn_free(*call->out);
	check_guarded(0);
}

static int of_a_size(size_t size)
{
	prong_conn *theirs = NULL;
	int r = 1;
	struct raw_call call = { .auth = remember(size), .out = &theirs, .result = &r };
	prong_listener *l;

	CHECK_EQ(look().found, 2); /* it is found where it is, and not guarded */
	CHECK_EQ(look().guarded, 0);
	CHECK_OK(prong_listener_open(&l, "tcp://127.0.0.1:0", &call.auth));
	meet_and_part(l, &call);
	return 0;
}

static int nowhere_after(const char *size)
{
	window = pages(WINDOW);
	return of_a_size((size_t)atoi(size));
}

/* Also when it did not come to a connection. */
static int after_a_refusal(const char *unused)
{
	prong_auth auth;
	prong_conn *c = NULL;
	prong_listener *l = NULL;
	char address[64];
	int fd = raw_listen(address);

	(void)unused;
	window = pages(WINDOW);
	auth = remember(48);
	CHECK_EQ(prong_connect(&c, address, &auth, prong_in_ms(5)), PRONG_TIMEDOUT);
	close(fd);
	CHECK_EQ(prong_connect(&c, address, &auth, soon()), -ECONNREFUSED);
	CHECK_EQ(prong_listener_open(&l, "unix:/nowhere/at/all", &auth), -ENOENT);
	forget(&auth);
	check_guarded(0);
	return 0;
}

static int in_a_fork(const char *unused)
{
	prong_listener *l;
	prong_auth auth;
	pid_t pid;
	int status;

	(void)unused;
	window = pages(WINDOW);
	auth = remember(48);
	CHECK_OK(prong_listener_open(&l, "tcp://127.0.0.1:0", &auth));
	forget(&auth);
	check_guarded(2);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(look().found);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	prong_listener_close(l);
	return 0;
}

/* --- cases --------------------------------------------------------------------------------- */

static void a_key_is_nowhere_after_the_end(void **state)
{
	(void)state;
	helper_run("nowhere_after", "48");
	helper_run("nowhere_after", "300");
}

static void nor_after_a_refusal(void **state)
{
	(void)state;
	helper_run("after_a_refusal", NULL);
}

static void a_forked_process_has_none(void **state)
{
	(void)state;
	helper_run("in_a_fork", NULL);
}

static const struct helper helpers[] = {
	{ "nowhere_after", nowhere_after },
	{ "after_a_refusal", after_a_refusal },
	{ "in_a_fork", in_a_fork },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(a_key_is_nowhere_after_the_end),
		CASE(nor_after_a_refusal),
		CASE(a_forked_process_has_none),
	};

	test_begin(argc, argv, TEST_CLOSED, helpers);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
