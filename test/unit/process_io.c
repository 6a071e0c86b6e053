/* What goes into a process and comes out of it: arguments, bad arguments, the standard streams,
   atexit handlers. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>

/* --- arguments ------------------------------------------------------------------------------ */

static unsigned checksum(const unsigned char *bytes, size_t size)
{
	unsigned sum = 1;

	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + bytes[i];
	return sum;
}

/* The bytes of an argument of any size: its size, the address of a result, noise. */
struct parcel {
	size_t size;
	struct parcel_seen {
		unsigned sum;
		bool aligned;
	} *seen;
	unsigned char noise[];
};

static int body_parcel(void *arg)
{
	struct parcel *p = arg;
	struct parcel_seen *seen = p->seen;

	seen->sum = checksum(arg, p->size);
	seen->aligned = (uintptr_t)arg % _Alignof(max_align_t) == 0;
	memset(arg, 0xee, p->size); /* it is the callee's own */
	return 0;
}

static void send_parcel(size_t size)
{
	struct parcel_seen *seen = shared(sizeof *seen);
	struct parcel *p = malloc(size);
	prong_process *q;
	unsigned sum;

	CHECK(p != NULL);
	p->size = size;
	p->seen = seen;
	for (size_t i = 0; i < size - sizeof *p; i++)
		p->noise[i] = (unsigned char)(i * 7 + i / 256);
	sum = checksum((unsigned char *)p, size);
	q = start(body_parcel, p, size);
	CHECK_EQ(checksum((unsigned char *)p, size), sum);
	memset(p, 0xdd, size);
	free(p);
	CHECK_EQ(end(q), 0);
	CHECK_EQ(seen->sum, sum);
	CHECK(seen->aligned);
	prong_free(seen);
}

static void copies_of_all_sizes(void **state)
{
	static const size_t sizes[] = { sizeof(struct parcel), 17, 31, 63, 64, 65, 127, 128, 129,
					255, 256, 257, 4095, 4096, 4097, 65536, 1 << 20,
					(16 << 20) + 1 };

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		send_parcel(sizes[i] < sizeof(struct parcel) ? sizeof(struct parcel) : sizes[i]);
}

static int body_one_byte(void *arg)
{
	return *(unsigned char *)arg;
}

static void a_copy_of_one_byte(void **state)
{
	unsigned char byte = 200;

	(void)state;
	CHECK_EQ(run(body_one_byte, &byte, 1), 200);
}

static int body_is_null(void *arg)
{
	return arg == NULL;
}

static void no_argument(void **state)
{
	(void)state;
	CHECK_EQ(run(body_is_null, NULL, 0), 1);
}

static int body_increment(void *arg)
{
	++*(int *)arg;
	return 0;
}

static void a_pointer_into_the_heap_is_shared(void **state)
{
	int *n = shared(3 * sizeof *n);

	(void)state;
	n[1] = 41;
	CHECK_EQ(run(body_increment, n, 0), 0);
	CHECK_EQ(run(body_increment, &n[1], 0), 0);
	CHECK_EQ(n[0], 1);
	CHECK_EQ(n[1], 42);
	prong_free(n);
}

static int body_read_literal(void *arg)
{
	return strcmp(*(const char **)arg, "a literal") == 0 ? 0 : 1;
}

static void literals_and_functions_mean_the_same(void **state)
{
	const char *literal = "a literal";

	(void)state;
	CHECK_EQ(run(body_read_literal, &literal, sizeof literal), 0);
}

static void copies_from_heap_and_constants(void **state)
{
	static const int constant = 77;
	int *n = shared(sizeof *n);

	(void)state;
	*n = 78;
	CHECK_EQ(run(body_return, &constant, sizeof constant), 77);
	CHECK_EQ(run(body_return, n, sizeof *n), 78);
	prong_free(n);
}

/* --- bad arguments -------------------------------------------------------------------------- */

static int start_bad(prong_fn *fn, const void *arg, size_t size, const prong_process_opts *opts)
{
	prong_process *untouched = (prong_process *)(uintptr_t)0x4711, *p = untouched;
	int r = prong_process_start(&p, fn, arg, size, opts);

	CHECK(p == untouched);
	return r;
}

static void bad_pointers(void **state)
{
	static int variable;
	int local = 0;
	int *heap = shared(sizeof *heap), *private = malloc(sizeof *private);

	(void)state;
	CHECK_EQ(start_bad(body_return, &local, 0, NULL), -EFAULT);
	CHECK_EQ(start_bad(body_return, &variable, 0, NULL), -EFAULT);
	CHECK_EQ(start_bad(body_return, private, 0, NULL), -EFAULT);
	CHECK_EQ(start_bad(body_return, (void *)(uintptr_t)1, 0, NULL), -EFAULT);
	CHECK_EQ(start_bad(body_return, (void *)UINTPTR_MAX, 0, NULL), -EFAULT);
	CHECK_EQ(start_bad(body_return, NULL, 1, NULL), -EFAULT);
	CHECK_EQ(start_bad(body_return, NULL, SIZE_MAX, NULL), -EFAULT);
	CHECK_EQ(start_bad(NULL, NULL, 0, NULL), -EINVAL);
	CHECK_EQ(prong_process_start(NULL, body_return, NULL, 0, NULL), -EINVAL);
	free(private);
	prong_free(heap);
}

static void sizes_that_cannot_be(void **state)
{
	prong_family_stats st;
	int *heap = shared(sizeof *heap);

	(void)state;
	prong_family_stat(&st);
	CHECK_EQ(start_bad(body_return, heap, SIZE_MAX, NULL), -ENOMEM);
	CHECK_EQ(start_bad(body_return, heap, SIZE_MAX - 64, NULL), -ENOMEM);
	CHECK_EQ(start_bad(body_return, heap, SIZE_MAX / 2, NULL), -ENOMEM);
	CHECK_EQ(start_bad(body_return, heap, st.heap_size, NULL), -ENOMEM);
	prong_free(heap);
}

static void bad_option(const prong_process_opts *opts)
{
	CHECK_EQ(start_bad(body_sleep, NULL, 0, opts), -EINVAL);
	CHECK(prong_error_detail()[0] != 0);
}

static void unknown_options(void **state)
{
	static const prong_process_opts none;

	(void)state;
	for (size_t i = 0; i < sizeof none.reserved_ / sizeof *none.reserved_; i++) {
		prong_process_opts opts = none;

		opts.reserved_[i] = 1;
		bad_option(&opts);
	}
	bad_option(&(prong_process_opts){ .method = (enum prong_start_method)7 });
	bad_option(&(prong_process_opts){ .in.kind = (enum prong_stdio_kind)9 });
	bad_option(&(prong_process_opts){ .out.kind = (enum prong_stdio_kind)9 });
	bad_option(&(prong_process_opts){ .err.kind = (enum prong_stdio_kind)9 });
	bad_option(&(prong_process_opts){ .in.kind = PRONG_PATH });
	bad_option(&(prong_process_opts){ .nfds = 1 });
	bad_option(&(prong_process_opts){ .nlimits = 1 });
}

/* --- streams --------------------------------------------------------------------------------- */

static int body_prints(void *arg)
{
	printf("%s", (const char *)arg);
	return 0;
}

static int body_prints_and_exits(void *arg)
{
	printf("%s", (const char *)arg);
	exit(0);
}

/* Everything that can be read from fd until it ends. */
static void read_all(int fd, char *text, size_t size)
{
	size_t n = 0;
	ssize_t r;

	while (n < size - 1 && (r = read(fd, text + n, size - 1 - n)) > 0)
		n += (size_t)r;
	text[n] = 0;
	close(fd);
}

static int helper_streams(const char *arg)
{
	int zero = 0;

	(void)arg;
	printf("before "); /* stays in the buffer, and must come out once */
	CHECK_OK(prong_open(NULL));
	printf("main ");
	CHECK_EQ(run(body_return, &zero, sizeof zero), 0);
	CHECK_EQ(run(body_return, &zero, sizeof zero), 0);
	fflush(stdout);
	CHECK_EQ(run(body_prints, "one ", 5), 0);
	CHECK_EQ(run(body_prints_and_exits, "two ", 5), 0);
	printf("end");
	return 0;
}

static void streams_are_flushed_once(void **state)
{
	char text[256];
	int out;
	pid_t pid = helper_start("streams", NULL, &out);

	(void)state;
	read_all(out, text, sizeof text);
	CHECK_EQ(helper_end(pid), 0);
	CHECK_STR(text, "before main one two end");
}

static void handler_of_main(void)
{
	printf("main's ");
}

static void first_handler(void)
{
	printf("first ");
}

static void second_handler(void)
{
	printf("second ");
}

static int body_registers(void *arg)
{
	(void)arg;
	atexit(first_handler);
	atexit(second_handler);
	return 0;
}

static int body_registers_and_leaves(void *arg)
{
	body_registers(arg);
	_exit(0);
}

static int helper_atexit(const char *arg)
{
	(void)arg;
	atexit(handler_of_main);
	CHECK_OK(prong_open(NULL));
	atexit(handler_of_main);
	CHECK_EQ(run(body_registers, NULL, 0), 0);
	CHECK_EQ(run(body_registers_and_leaves, NULL, 0), 0);
	printf("then ");
	return 0;
}

static void exit_handlers_of_its_own_only(void **state)
{
	char text[256];
	int out;
	pid_t pid = helper_start("atexit", NULL, &out);

	(void)state;
	read_all(out, text, sizeof text);
	CHECK_EQ(helper_end(pid), 0);
	CHECK_STR(text, "second first then main's main's ");
}

/* --- descriptors 0 to 2 as they are now ---------------------------------------------------- */

/* Put fd in place of descriptor which, and give back what was there. */
static int replace(int which, int fd)
{
	int old = fcntl(which, F_DUPFD_CLOEXEC, 100);

	CHECK(old >= 0);
	CHECK_EQ(dup2(fd, which), which);
	return old;
}

static void restore(int which, int old)
{
	CHECK_EQ(dup2(old, which), which);
	close(old);
}

static int body_copies(void *arg)
{
	char c;

	(void)arg;
	while (read(0, &c, 1) == 1)
		if (write(1, &c, 1) != 1 || write(2, "e", 1) != 1)
			return 1;
	return 0;
}

static void the_callers_streams_as_they_are_now(void **state)
{
	int in[2], out[2], err[2], old[3], code;
	char text[64];

	(void)state;
	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
	      pipe2(err, O_CLOEXEC) == 0);
	old[0] = replace(0, in[0]);
	old[1] = replace(1, out[1]);
	old[2] = replace(2, err[1]);
	CHECK_EQ(write(in[1], "hello", 5), 5);
	close(in[0]);
	close(in[1]);
	code = run(body_copies, NULL, 0);
	for (int i = 0; i < 3; i++)
		restore(i, old[i]);
	close(out[1]);
	close(err[1]);
	CHECK_EQ(code, 0);
	read_all(out[0], text, sizeof text);
	CHECK_STR(text, "hello");
	read_all(err[0], text, sizeof text);
	CHECK_STR(text, "eeeee");
}

static int body_prints_word(void *arg)
{
	printf("%s", (const char *)arg);
	fflush(stdout);
	return ferror(stdout);
}

/* The same file again and again, a different one, the same: nothing may be remembered. */
static void streams_that_change_between_starts(void **state)
{
	static const char *const want[2] = { "acd", "b" };
	int fd[2][2], old = fcntl(1, F_DUPFD_CLOEXEC, 100);
	char text[64];

	(void)state;
	CHECK(pipe2(fd[0], O_CLOEXEC) == 0 && pipe2(fd[1], O_CLOEXEC) == 0);
	for (int i = 0; i < 4; i++) {
		char word[2] = { (char)('a' + i), 0 };

		CHECK_EQ(dup2(fd[i == 1][1], 1), 1);
		CHECK_EQ(run(body_prints_word, word, sizeof word), 0);
	}
	restore(1, old);
	for (int i = 0; i < 2; i++) {
		close(fd[i][1]);
		read_all(fd[i][0], text, sizeof text);
		CHECK_STR(text, want[i]);
	}
}

static int body_is_closed(void *arg)
{
	int fd = *(int *)arg;

	return fcntl(fd, F_GETFD) == -1 && errno == EBADF ? 1 : 0;
}

static void closed_streams(void **state)
{
	(void)state;
	for (int fd = 0; fd < 3; fd++) {
		int old = fcntl(fd, F_DUPFD_CLOEXEC, 100), code;

		close(fd);
		code = run(body_is_closed, &fd, sizeof fd);
		restore(fd, old);
		CHECK_EQ(code, 1);
	}
}

/* Two regular files look alike from outside: the same inode, opened twice. */
static void one_file_opened_twice(void **state)
{
	char path[] = "/tmp/prong-unit-XXXXXX", text[64];
	int first = mkstemp(path), second = open(path, O_WRONLY | O_CLOEXEC), old;

	(void)state;
	CHECK(first > 2 && second > 2);
	old = replace(1, first);
	CHECK_EQ(run(body_prints_word, "first", 6), 0);
	CHECK_EQ(dup2(second, 1), 1);
	CHECK_EQ(run(body_prints_word, "se", 3), 0);
	CHECK_EQ(dup2(first, 1), 1);
	CHECK_EQ(run(body_prints_word, "third", 6), 0);
	restore(1, old);
	close(second);
	CHECK_EQ(lseek(first, 0, SEEK_SET), 0);
	read_all(first, text, sizeof text);
	unlink(path);
	CHECK_STR(text, "serstthird");
}

static int body_reads_pipe(void *arg)
{
	prong_process_opts opts = { .in = { .kind = PRONG_PATH, .path = arg } };
	prong_process *p;

	return prong_process_start(&p, body_sleep, NULL, 0, &opts);
}

static bool alone(void *arg)
{
	prong_family_stats s;

	(void)arg;
	prong_family_stat(&s);
	return s.processes == 1;
}

/* The child waits for the other end of a named pipe when its starter is killed, and goes too. */
static void a_stream_that_waits_ends_with_the_starter(void **state)
{
	char path[] = "/tmp/prong-unit-XXXXXX";
	prong_process *p;
	int fd;

	(void)state;
	CHECK(mkdtemp(path) != NULL && rmdir(path) == 0 && mkfifo(path, 0600) == 0);
	p = start(body_reads_pipe, path, sizeof path);
	sleep_ms(50 * slowness());
	kill_and_end(p);
	CHECK(wait_until(alone, NULL, HANG_MS));
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK_EQ(fd < 0 ? errno : 0, ENXIO);
	CHECK_EQ(unlink(path), 0);
}

static const struct helper helpers[] = {
	{ "streams", helper_streams },
	{ "atexit", helper_atexit },
	{ NULL, NULL },
};

static const struct CMUnitTest tests[] = {
	CASE(copies_of_all_sizes),
	CASE(a_copy_of_one_byte),
	CASE(no_argument),
	CASE(a_pointer_into_the_heap_is_shared),
	CASE(literals_and_functions_mean_the_same),
	CASE(copies_from_heap_and_constants),
	CASE(bad_pointers),
	CASE(sizes_that_cannot_be),
	CASE(unknown_options),
	CASE(streams_are_flushed_once),
	CASE(exit_handlers_of_its_own_only),
	CASE(the_callers_streams_as_they_are_now),
	CASE(streams_that_change_between_starts),
	CASE(closed_streams),
	CASE(one_file_opened_twice),
	CASE(a_stream_that_waits_ends_with_the_starter),
};

TEST_MAIN(tests, TEST_WARM, helpers)
