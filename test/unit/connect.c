/* Listening and connecting: addresses, options, and what is at the other end. */
#include "raw.h"
#include "wire/address.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char directory[] = "/tmp/prong-test-XXXXXX";

/* "unix:" and a path in the directory of this test. */
static const char *path(const char *name)
{
	static char text[2][80];
	static int which;

	which = !which;
	snprintf(text[which], sizeof text[which], "unix:%s/%s", directory, name);
	return text[which];
}

/* --- addresses and options ------------------------------------------------------------------- */

static void wrong_addresses(void **state)
{
	static const struct {
		const char *address;
		int r;
	} t[] = {
		{ "", -EINVAL },
		{ "127.0.0.1:80", -EINVAL },
		{ "http://127.0.0.1:80", -EINVAL },
		{ "tcp://", -EINVAL },
		{ "tcp://127.0.0.1", -EINVAL },
		{ "tcp://127.0.0.1:", -EINVAL },
		{ "tcp://:80", -EINVAL },
		{ "tcp://127.0.0.1:65536", -EINVAL },
		{ "tcp://127.0.0.1:99999999999", -EINVAL },
		{ "tcp://127.0.0.1:-1", -EINVAL },
		{ "tcp://127.0.0.1:80x", -EINVAL },
		{ "tcp://127.0.0.1:8 0", -EINVAL },
		{ "tcp://::1:80", -EINVAL },
		{ "tcp://[::1:80", -EINVAL },
		{ "tcp://[::1]80", -EINVAL },
		{ "tcp://[]:80", -EINVAL },
		{ "unix:", -EINVAL },
		{ "unix:/nowhere/at/all", -ENOENT },
		{ "unix:/12345678901234567890123456789012345678901234567890123456789012345678901"
		  "23456789012345678901234567890123456789",
		  -ENAMETOOLONG },
	};
	const prong_auth auth = raw_auth();
	char longest[400] = "tcp://";
	prong_listener *l = NULL;
	prong_conn *c = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		CHECK_EQ(prong_listener_open(&l, t[i].address, &auth), t[i].r);
		CHECK(strlen(prong_error_detail()) > 10);
		CHECK_EQ(prong_connect(&c, t[i].address, &auth, soon()), t[i].r);
		CHECK(strlen(prong_error_detail()) > 10);
	}
	memset(longest + 6, 'x', 300);
	strcat(longest, ":80");
	CHECK_EQ(prong_connect(&c, longest, &auth, soon()), -EINVAL);
	CHECK_EQ(prong_connect(&c, NULL, &auth, soon()), -EINVAL);
	CHECK_EQ(prong_listener_open(&l, NULL, &auth), -EINVAL);
	CHECK(!l && !c);
}

/* What is bound to an interface says so; what is of IPv4 is written as such. */
static void places_as_text(void **state)
{
	static const struct {
		const char *address, *text;
	} t[] = {
		{ "tcp://127.1:80", "tcp://127.0.0.1:80" },
		{ "tcp://[0:0::1]:0", "tcp://[::1]:0" },
		{ "tcp://[::ffff:10.1.2.3]:65535", "tcp://10.1.2.3:65535" },
		{ "tcp://[fe80::1%lo]:80", "tcp://[fe80::1%lo]:80" },
		{ "unix:a b", "unix:a b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct prongi_places places;
		char text[PRONGI_ADDRESS_MOST];

		CHECK_OK(prongi_address_find(&places, t[i].address, PRONG_NOW, "test"));
		CHECK_EQ(places.n, 1);
		prongi_address_text(&places.place[0], text);
		CHECK_STR(text, t[i].text);
	}
}

/* Where there is no name server it says that it cannot tell now. */
static void a_name_that_is_none(void **state)
{
	const prong_auth auth = raw_auth();
	prong_listener *l = NULL;
	prong_conn *c = NULL;
	int r = prong_connect(&c, "tcp://name.invalid:80", &auth, prong_in_ms(3000));

	(void)state;
	CHECK(r == -ENOENT || r == -EAGAIN || r == PRONG_TIMEDOUT);
	CHECK(strstr(prong_error_detail(), "name.invalid") != NULL);
	CHECK_EQ(prong_connect(&c, "tcp://name.invalid:80", &auth, PRONG_NOW), PRONG_TIMEDOUT);
	/* no name server is asked for this one */
	CHECK_EQ(prong_connect(&c, "tcp://no..name:80", &auth, soon()), -ENOENT);
	CHECK(strstr(prong_error_detail(), "no..name") != NULL);
	CHECK_EQ(prong_listener_open(&l, "tcp://no..name:80", &auth), -ENOENT);
	CHECK(strstr(prong_error_detail(), "no..name") != NULL);
	CHECK(!c && !l);
	sleep_ms(50); /* a thread that was left to itself ends */
}

static void wrong_options(void **state)
{
	prong_auth good = raw_auth(), bad[10];
	prong_listener *l = NULL;
	prong_conn *c = NULL;

	(void)state;
	for (int i = 0; i < 10; i++)
		bad[i] = good;
	bad[0].key = NULL;
	bad[1].key_size = 0;
	bad[2].key_size = 65537;
	bad[3].reserved1_[3] = 1;
	bad[4].penalty_ms = 60001;
	bad[5].reserved_[4] = 1;
	bad[6].strangers_max = 65537;
	bad[7].message_max = SIZE_MAX;
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(prong_listener_open(&l, "tcp://127.0.0.1:0", &bad[i]), -EINVAL);
		CHECK_EQ(prong_connect(&c, "tcp://127.0.0.1:1", &bad[i], soon()), -EINVAL);
	}
	CHECK_EQ(prong_listener_open(&l, "tcp://127.0.0.1:0", NULL), -EINVAL);
	CHECK_EQ(prong_connect(&c, "tcp://127.0.0.1:1", NULL, soon()), -EINVAL);
	CHECK_EQ(prong_listener_open(NULL, "tcp://127.0.0.1:0", &good), -EINVAL);
	CHECK_EQ(prong_connect(NULL, "tcp://127.0.0.1:1", &good, soon()), -EINVAL);
	CHECK_EQ(prong_listener_accept(NULL, &c, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_listener_fd(NULL), -EINVAL);
	CHECK(prong_listener_address(NULL) == NULL);
	CHECK(prong_conn_peer(NULL) == NULL);
	prong_listener_close(NULL);
	l = raw_listener(NULL);
	CHECK_EQ(prong_listener_accept(l, NULL, PRONG_NOW), -EINVAL);
	prong_listener_close(l);
}

/* Beyond this machine only who asks for it, and with a key that is long enough. */
static void only_this_machine_unless_asked(void **state)
{
	prong_auth auth = raw_auth();
	prong_listener *l = NULL;
	prong_conn *c = NULL;

	(void)state;
	CHECK_EQ(prong_listener_open(&l, "tcp://0.0.0.0:0", &auth), -EPERM);
	CHECK_EQ(prong_listener_open(&l, "tcp://[::]:0", &auth), -EPERM);
	auth.network = true;
	CHECK_OK(prong_listener_open(&l, "tcp://0.0.0.0:0", &auth));
	CHECK(strncmp(prong_listener_address(l), "tcp://0.0.0.0:", 14) == 0);
	prong_listener_close(l);
	l = NULL;
	auth.key_size = 15;
	CHECK_EQ(prong_listener_open(&l, "tcp://0.0.0.0:0", &auth), -EKEYREJECTED);
	CHECK_EQ(prong_connect(&c, "tcp://192.0.2.1:80", &auth, soon()), -EKEYREJECTED);
	CHECK(!l && !c);
	auth.weak_key = true;
	CHECK_OK(prong_listener_open(&l, "tcp://0.0.0.0:0", &auth));
	prong_listener_close(l);
	auth = (prong_auth){ .key = "abc", .key_size = 3 };
	l = raw_listener(&auth); /* here any key is good */
	prong_listener_close(l);
}

static void an_address_in_use(void **state)
{
	const prong_auth auth = raw_auth();
	prong_listener *l = raw_listener(NULL), *second = NULL;

	(void)state;
	CHECK_EQ(prong_listener_open(&second, prong_listener_address(l), &auth), -EADDRINUSE);
	CHECK(strstr(prong_error_detail(), prong_listener_address(l)) != NULL);
	prong_listener_close(l);

	CHECK_OK(prong_listener_open(&l, path("used"), &auth));
	CHECK_EQ(prong_listener_open(&second, path("used"), &auth), -EADDRINUSE);
	CHECK(strstr(prong_error_detail(), path("used")) != NULL);
	CHECK(!second);
	prong_listener_close(l);

	/* a file that is no socket stays */
	close(open(path("file") + 5, O_CREAT | O_WRONLY, 0600));
	CHECK_EQ(prong_listener_open(&l, path("file"), &auth), -EADDRINUSE);
	CHECK_EQ(unlink(path("file") + 5), 0);
}

static void a_unix_socket_is_its_owners(void **state)
{
	const prong_auth auth = raw_auth();
	mode_t old = umask(0);
	prong_listener *l;
	struct stat st;

	(void)state;
	CHECK_OK(prong_listener_open(&l, path("mine"), &auth));
	umask(old);
	CHECK_EQ(stat(path("mine") + 5, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	prong_listener_close(l);
}

static void what_a_killed_listener_left_is_taken_over(void **state)
{
	const prong_auth auth = raw_auth();
	prong_listener *l;
	prong_conn *c = NULL;
	int fd;

	(void)state;
	CHECK_OK(prong_listener_open(&l, path("left"), &auth));
	CHECK_EQ(link(path("left") + 5, path("kept") + 5), 0);
	prong_listener_close(l);
	CHECK_EQ(prong_connect(&c, path("left"), &auth, soon()), -ENOENT);
	CHECK_EQ(prong_connect(&c, path("kept"), &auth, soon()), -ECONNREFUSED);
	CHECK_OK(prong_listener_open(&l, path("kept"), &auth));
	fd = raw_dial(path("kept"));
	close(fd);
	/* a name that is another's by now is not removed */
	CHECK_EQ(rename(path("kept") + 5, path("gone") + 5), 0);
	close(open(path("kept") + 5, O_CREAT | O_WRONLY, 0600));
	prong_listener_close(l);
	CHECK_EQ(access(path("kept") + 5, F_OK), 0);
	CHECK_EQ(unlink(path("kept") + 5), 0);
	CHECK_EQ(unlink(path("gone") + 5), 0);
}

/* --- servers that are none ------------------------------------------------------------------- */

static void nobody_listens(void **state)
{
	const prong_auth auth = raw_auth();
	prong_listener *l = raw_listener(NULL);
	char address[64];
	prong_conn *c = NULL;

	(void)state;
	snprintf(address, sizeof address, "%s", prong_listener_address(l));
	prong_listener_close(l);
	CHECK_EQ(prong_connect(&c, address, &auth, soon()), -ECONNREFUSED);
	CHECK(strstr(prong_error_detail(), address) != NULL);
	CHECK(!c);
}

struct server {
	int listener;
	const char *says;
	size_t n;
};

static int says_something(void *arg)
{
	struct server *s = arg;
	int fd = raw_accept(s->listener);
	char byte;

	raw_write(fd, s->says, s->n);
	shutdown(fd, SHUT_WR);
	while (read(fd, &byte, 1) > 0)
		;
	close(fd);
	return 0;
}

static void other_servers(void **state)
{
	static const struct {
		const char *says;
		size_t n;
		int r;
	} t[] = {
		{ "SSH-2.0-OpenSSH_9\r\n", 19, -EPROTO },
		{ "", 0, -ECONNRESET },
		{ "\0\0\0", 3, -ECONNRESET },
		{ "\0\0\0\x02hi", 6, -EPROTO },
		{ "\0\0\0\x1f#CHALLENGE#01234567890123456789", 35, -EPROTONOSUPPORT },
		{ "\0\0\0\x09#WELCOME#", 13, -EPROTO },
	};
	const prong_auth auth = raw_auth();
	char address[64];
	int fd = raw_listen(address);

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct server s = { fd, t[i].says, t[i].n };
		prong_thread *thread = start_thread(says_something, &s, sizeof s);
		prong_conn *c = NULL;

		CHECK_EQ(prong_connect(&c, address, &auth, soon()), t[i].r);
		CHECK_EQ(end_thread(thread), 0);
		CHECK(!c);
	}
	close(fd);
}

static void a_silent_server(void **state)
{
	const prong_auth auth = raw_auth();
	char address[64];
	int fd = raw_listen(address);
	prong_conn *c = NULL;

	(void)state;
	CHECK_EQ(prong_connect(&c, address, &auth, prong_in_ms(20)), PRONG_TIMEDOUT);
	CHECK_EQ(prong_connect(&c, address, &auth, PRONG_NOW), PRONG_TIMEDOUT);
	close(fd);
}

/* A Unix listener whose queue is full: no event tells when it is not. */
static void a_full_queue(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const prong_auth auth = raw_auth();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), in;
	prong_conn *c = NULL;

	(void)state;
	strcpy(un.sun_path, path("full") + 5);
	CHECK_EQ(bind(fd, (void *)&un, sizeof un), 0);
	CHECK_EQ(listen(fd, 0), 0);
	in = raw_dial(path("full"));
	CHECK_EQ(prong_connect(&c, path("full"), &auth, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_connect(&c, path("full"), &auth, prong_in_ms(20)), PRONG_TIMEDOUT);
	close(in);
	close(fd);
	CHECK_EQ(unlink(path("full") + 5), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(wrong_addresses),
		CASE(places_as_text),
		CASE(a_name_that_is_none),
		CASE(wrong_options),
		CASE(only_this_machine_unless_asked),
		CASE(an_address_in_use),
		CASE(a_unix_socket_is_its_owners),
		CASE(what_a_killed_listener_left_is_taken_over),
		CASE(nobody_listens),
		CASE(other_servers),
		CASE(a_silent_server),
		CASE(a_full_queue),
	};
	int failed;

	test_begin(argc, argv, TEST_OPENED, NULL);
	if (!mkdtemp(directory))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(directory);
	return test_end(failed);
}
