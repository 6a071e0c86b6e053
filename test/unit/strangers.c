/* A manager among thousands of strangers who say nothing, or a byte now and then: who knows the key
   gets in, no thread is there for them, and memory stays within 64 MiB.  How long a login takes is
   printed; bench/manager.c measures it.

   500 strangers; PRONG_TEST_SCALE=100 has ten thousand. */
#define _GNU_SOURCE
#include "raw.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <prong/manager.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
	MOST = 10000,
	USUAL = 500,
	LEAST = 200, /* more than have room at a door of the usual size */
	LOGINS = 100,
	SOURCES = 8,   /* that strangers come from: 127.0.0.2 and so on */
	ROUND_MS = 10, /* how often they look around */
	RETURN = 20    /* how many of those who were thrown out come again in a round */
};

static int crowd_size(void)
{
	int n = scaled(getenv("PRONG_TEST_SCALE") ? MOST : USUAL);

	return n < LEAST ? LEAST : n;
}

/* --- strangers ----------------------------------------------------------------------------- */

struct crowd {
	int port, n, first; /* the first source: 127.0.0.first */
	atomic_int *stop;
};

static int knock(const struct crowd *c, int i)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	uint32_t source = (uint32_t)(c->first == 1 ? 0 : c->first - 1 + i % SOURCES);

	CHECK(fd >= 0);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + source);
	CHECK_EQ(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)c->port);
	CHECK(connect(fd, (struct sockaddr *)&in, sizeof in) == 0 || errno == EINPROGRESS);
	return fd;
}

/* Read what there is.  False: it was thrown out. */
static bool stays(int fd)
{
	char byte[128];
	ssize_t n = recv(fd, byte, sizeof byte, MSG_DONTWAIT);

	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* Every second one says a byte of what might become an answer, and never its end. */
static int dribble(int fd, int said)
{
	static const char answer[] = "\0\0\0\x28{sha256}this may be the answer or not.";

	return said + (said < 40 && send(fd, answer + said, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1);
}

static void look_around(const struct crowd *c, struct pollfd *p, int *said, int *turn)
{
	int again = RETURN;

	for (int i = 0; i < c->n; i++) {
		if (p[i].fd >= 0 && p[i].revents && !stays(p[i].fd)) {
			close(p[i].fd);
			p[i].fd = -1;
		}
		if (p[i].fd < 0 && again) {
			p[i].fd = knock(c, i);
			said[i] = 0;
			again--;
		}
	}
	for (int i = 0; i < 50 && i < c->n; i++, *turn = (*turn + 2) % c->n)
		if (p[*turn].fd >= 0)
			said[*turn] = dribble(p[*turn].fd, said[*turn]);
}

static int strangers(void *arg)
{
	const struct crowd *c = arg;
	struct pollfd *p = calloc((size_t)c->n, sizeof *p);
	int *said = calloc((size_t)c->n, sizeof *said), turn = 0;

	CHECK(p && said);
	for (int i = 0; i < c->n && !atomic_load(c->stop); i++)
		p[i] = (struct pollfd){ .fd = knock(c, i), .events = POLLIN };
	while (!atomic_load(c->stop)) {
		poll(p, (nfds_t)c->n, ROUND_MS);
		look_around(c, p, said, &turn);
		poll(NULL, 0, ROUND_MS);
	}
	free(p);
	free(said);
	return 0;
}

/* --- the server ---------------------------------------------------------------------------- */

static prong_manager *manager(uint32_t strangers_max, uint32_t handshake_ms)
{
	const prong_manager_opts opts = {
		.auth = { .key = raw_key,
			  .key_size = 16,
			  .strangers_max = strangers_max,
			  .handshake_ms = handshake_ms },
	};
	prong_manager *m = NULL;

	CHECK_OK(prong_manager_open(&m, "tcp://127.0.0.1:0", &opts));
	return m;
}

static prong_listener_stats door(prong_manager *m)
{
	prong_manager_stats s;

	prong_manager_stat(m, &s);
	return s.door;
}

static int threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	CHECK(d != NULL);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static int longer(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Log in, and again when it is thrown out.  Return how often it was. */
static int log_in_once(prong_manager *m, prong_conn **c)
{
	const prong_auth auth = raw_auth();
	int again = 0, r;

	while ((r = prong_connect(c, prong_manager_address(m), &auth, soon())) == -ECONNRESET)
		again++;
	CHECK_OK(r);
	return again;
}

/* Return how often somebody was thrown out. */
static int log_in(prong_manager *m, const char *among)
{
	int64_t took[LOGINS];
	int again = 0;
	prong_conn *c;

	for (int i = 0; i < LOGINS; i++) {
		prong_time before = prong_clock();

		again += log_in_once(m, &c);
		took[i] = prong_ns_between(before, prong_clock());
		prong_conn_free(c);
		sleep_ms(1);
	}
	qsort(took, LOGINS, sizeof *took, longer);
	print_message("%d logins among %s: %.1f ms, p99 %.1f; %d once more\n", LOGINS, among,
		      (double)took[LOGINS / 2] / 1e6, (double)took[LOGINS * 99 / 100] / 1e6, again);
	return again;
}

struct scene {
	prong_manager *m;
	uint64_t want;
};

static bool so_many_wait(void *arg)
{
	const struct scene *s = arg;

	return door(s->m).waiting >= s->want;
}

static bool nobody_waits(void *arg)
{
	const struct scene *s = arg;

	return door(s->m).waiting == 0;
}

/* Until so many are in proof, log in, and see what they cost. */
static int among(prong_manager *m, int n, int first, uint64_t want, const char *name)
{
	struct crowd c = { .n = n, .first = first, .stop = shared(sizeof *c.stop) };
	struct scene s = { .m = m, .want = want };
	const size_t before = rss(getpid());
	const int had = threads();
	prong_process *p;
	size_t grown;
	int again;

	CHECK_EQ(log_in(m, "nobody"), 0);
	c.port = atoi(strrchr(prong_manager_address(m), ':') + 1);
	p = start(strangers, &c, sizeof c);
	CHECK(wait_until(so_many_wait, &s, HANG_MS * slowness()));
	again = log_in(m, name);
	CHECK_EQ(threads(), had);
	grown = rss(getpid()) - before;
	print_message("memory grew by %zu KiB\n", grown >> 10);
	CHECK(rss(getpid()) < before || grown < (size_t)64 << 20 || TEST_ASAN);
	atomic_store(c.stop, 1);
	CHECK_EQ(end(p), 0);
	CHECK(wait_until(nobody_waits, &s, HANG_MS * slowness()));
	prong_free(c.stop);
	return again;
}

static void where_all_of_them_stay(void **state)
{
	const int n = crowd_size();
	prong_manager *m = manager((uint32_t)n + 10, 600000);
	char name[80];

	(void)state;
	snprintf(name, sizeof name, "%d strangers, who all stay", n);
	CHECK_EQ(among(m, n, 2, (uint64_t)n, name), 0);
	CHECK_EQ(door(m).displaced, 0);
	CHECK_EQ(door(m).accepted, 2 * LOGINS);
	prong_manager_close(m);
}

/* With the usual 64 places, for which the strangers fight. */
static void where_few_have_places(void **state)
{
	const int n = crowd_size();
	prong_manager *m = manager(0, 0);
	char name[80];

	(void)state;
	snprintf(name, sizeof name, "%d strangers who fight for 64 places", n);
	among(m, n, 2, 64, name);
	CHECK(door(m).displaced >= (uint64_t)n / 2);
	prong_manager_close(m);
}

/* The same when they come from where the clients do. */
static void where_they_have_the_address_of_the_clients(void **state)
{
	const int n = crowd_size();
	prong_manager *m = manager(0, 0);
	char name[80];

	(void)state;
	snprintf(name, sizeof name, "%d strangers at one address, who fight", n);
	among(m, n, 1, 64, name);
	prong_manager_close(m);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(where_all_of_them_stay),
		CASE(where_few_have_places),
		CASE(where_they_have_the_address_of_the_clients),
	};
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return 1;
	if (files.rlim_cur < MOST + 200)
		files.rlim_cur = files.rlim_max < MOST + 200 ? files.rlim_max : MOST + 200;
	if (setrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur < (rlim_t)crowd_size() + 200)
		return 77;
	test_begin(argc, argv, TEST_WARM, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
