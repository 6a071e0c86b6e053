/* A network connection is of one process: what is forked, in whatever way, has neither it nor its
   descriptor, so that the other end learns of the owner's end; and no key. */
#include "raw.h"

#include <sys/socket.h>
#include <sys/wait.h>

static prong_listener *listener;
static prong_conn *conn;
static int raw_fd;

static void check_nothing_works(void)
{
	prong_conn *c = NULL;
	char byte;
	size_t n;

	CHECK_EQ(prong_conn_send(conn, "x", 1, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_conn_recv(conn, &byte, 1, &n, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_conn_fd(conn), -EINVAL);
	CHECK_EQ(prong_wait(&(prong_source){ .conn = conn }, 1, PRONG_NOW), -EINVAL);
	CHECK(prong_conn_peer(conn) == NULL);
	prong_conn_free(conn);
	CHECK_EQ(prong_listener_accept(listener, &c, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_listener_fd(listener), -EINVAL);
	prong_listener_close(listener);
}

static int sockets_open(void)
{
	int fds[256], n = open_fds(fds, 256), sockets = 0;

	for (int i = 0; i < n; i++) {
		int type;

		sockets += getsockopt(fds[i], SOL_SOCKET, SO_TYPE, &type,
				      &(socklen_t){ sizeof type }) == 0;
	}
	return sockets;
}

static void make(void)
{
	conn = raw_pair(NULL, &raw_fd);
	listener = raw_listener(NULL);
	CHECK(prong_conn_fd(conn) >= 0);
}

/* A new connection in a child is like any other. */
static void check_new_ones_work(void)
{
	prong_listener *l = raw_listener(NULL);
	prong_conn *a, *b;

	raw_meet(l, NULL, &a, &b);
	raw_put(a, "hello");
	raw_expect(b, "hello");
	prong_conn_free(a);
	prong_conn_free(b);
	prong_listener_close(l);
}

static void forked_by_the_program(void **state)
{
	int status, stay[2], strangers;
	char byte;
	pid_t pid;

	(void)state;
	make();
	strangers = raw_dial(prong_listener_address(listener));
	CHECK_EQ(prong_listener_accept(listener, &(prong_conn *){ NULL }, prong_in_ms(1)),
		 PRONG_TIMEDOUT);
	CHECK_EQ(pipe(stay), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(stay[1]);
		check_nothing_works();
		CHECK_EQ(sockets_open(), 2); /* raw_fd and the stranger's, which are ours */
		check_new_ones_work();
		if (read(stay[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	raw_put(conn, "still here");
	CHECK_EQ(raw_rest(raw_fd, (char[14]){ 0 }, 14), 14);
	prong_conn_free(conn);
	CHECK_EQ(read(raw_fd, &byte, 1), 0); /* although the child lives */
	prong_listener_close(listener);
	CHECK_EQ(raw_rest(strangers, (char[63]){ 0 }, 63), 63);
	CHECK_EQ(read(strangers, &byte, 1), 0);
	close(strangers);
	close(raw_fd);
	close(stay[0]);
	close(stay[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static int is_started(void *unused)
{
	(void)unused;
	check_nothing_works();
	CHECK_EQ(sockets_open(), 0);
	check_new_ones_work();
	return 0;
}

struct handles {
	prong_conn *c;
	prong_listener *l;
};

static int is_started_with(void *arg)
{
	struct handles *h = arg;

	conn = h->c;
	CHECK_EQ(prong_conn_send(conn, "x", 1, PRONG_NOW), -EINVAL);
	CHECK_EQ(prong_conn_fd(conn), -EINVAL);
	prong_conn_free(conn);
	return 0;
}

static int is_copied(void *unused)
{
	(void)unused;
	check_nothing_works();
	check_new_ones_work();
	return 0;
}

static void started(void **state)
{
	struct handles h;
	char byte;

	(void)state;
	make();
	h = (struct handles){ conn, listener };
	CHECK_EQ(run(is_started_with, &h, sizeof h), 0);
	CHECK_EQ(end(start_with(is_copied, NULL, 0, &(prong_process_opts){ .method = PRONG_FORK })),
		 0);
	raw_put(conn, "still here");
	CHECK_EQ(raw_rest(raw_fd, (char[14]){ 0 }, 14), 14);
	prong_conn_free(conn);
	CHECK_EQ(read(raw_fd, &byte, 1), 0);
	prong_listener_close(listener);
	close(raw_fd);
}

/* Connections that are older than the family: its server has none of their descriptors, and what
   the server forks closes none of its own. */
static int before_the_family(const char *unused)
{
	char address[64], byte;
	prong_process *p;
	int status;
	pid_t pid;

	(void)unused;
	listener = raw_listener(NULL);
	snprintf(address, sizeof address, "%s", prong_listener_address(listener));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		raw_fd = raw_dial(address);
		CHECK_EQ(raw_prove(raw_fd, false), 1);
		CHECK_EQ(read(raw_fd, &byte, 1), 0);
		_exit(0);
	}
	CHECK_OK(prong_listener_accept(listener, &conn, soon()));
	CHECK_OK(prong_open(NULL));
	p = start(body_sleep, NULL, 0);
	CHECK_EQ(run(is_started, NULL, 0), 0);
	prong_conn_free(conn);
	CHECK_EQ(waitpid(pid, &status, 0), pid); /* it has read the end */
	CHECK_EQ(status, 0);
	kill_and_end(p);
	prong_listener_close(listener);
	return 0;
}

static void older_than_the_family(void **state)
{
	(void)state;
	helper_run("before_the_family", NULL);
}

static bool has_heap(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[400];
	bool has = false;

	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		has = has || strstr(line, "memfd:");
	fclose(f);
	return has;
}

/* Connections need no family: nothing is forked for them. */
static int without_family(const char *unused)
{
	const prong_auth auth = raw_auth();
	char address[64];
	pid_t pid;
	int status;

	(void)unused;
	listener = raw_listener(NULL);
	snprintf(address, sizeof address, "%s", prong_listener_address(listener));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		CHECK_OK(prong_connect(&conn, address, &auth, soon()));
		raw_put(conn, "hello");
		_exit(0);
	}
	CHECK_OK(prong_listener_accept(listener, &conn, soon()));
	raw_expect(conn, "hello");
	prong_conn_free(conn);
	prong_listener_close(listener);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(waitpid(-1, &status, 0), -1); /* no other child, and no heap */
	CHECK(!has_heap());
	return 0;
}

static void no_family_is_needed(void **state)
{
	(void)state;
	helper_run("without_family", NULL);
}

static const struct helper helpers[] = {
	{ "before_the_family", before_the_family },
	{ "without_family", without_family },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(forked_by_the_program),
		CASE(started),
		CASE(older_than_the_family),
		CASE(no_family_is_needed),
	};

	test_begin(argc, argv, TEST_OPENED, helpers);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
