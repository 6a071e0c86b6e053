/* Redis as a peer of managers: a redis-server of its own, with nothing on disk, and clients that
   write its protocol to a socket themselves, one request under way each.  It is in Debian's package
   redis-server, which nothing here installs, as that also starts one. */
#include "manager.h"
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

const char *no_redis(void)
{
	return system("command -v redis-server >/dev/null 2>&1") ? "there is no redis-server"
								 : NULL;
}

static int free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t size = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&in, size) ||
	    getsockname(fd, (struct sockaddr *)&in, &size))
		err(1, "a port");
	close(fd);
	return ntohs(in.sin_port);
}

static int serve(int port)
{
	char text[12];
	int pid = bench_fork(), null;

	if (pid)
		return pid;
	null = open("/dev/null", O_RDWR);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	snprintf(text, sizeof text, "%d", port);
	execlp("redis-server", "redis-server", "--port", text, "--bind", "127.0.0.1", "--save", "",
	       "--appendonly", "no", "--daemonize", "no", (char *)NULL);
	_exit(127);
}

/* Send a request, and read its answer, of so many lines. */
static void ask(int fd, const char *request, int lines)
{
	char got[256];

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
		err(1, "redis");
	while (lines > 0) {
		ssize_t n = recv(fd, got, sizeof got, 0);

		if (n <= 0 || got[0] == '-')
			err(1, "redis");
		for (ssize_t i = 0; i < n; i++)
			lines -= got[i] == '\n';
	}
}

static void put(int fd)
{
	ask(fd, "*3\r\n$5\r\nRPUSH\r\n$1\r\nq\r\n$5\r\n12345\r\n", 1);
}

static void get(int fd)
{
	ask(fd, "*3\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n$1\r\n0\r\n", 5);
}

static void client(struct manager_board *b, int port, bool first, unsigned n)
{
	int fd = manager_tcp(port);

	if (fd < 0)
		err(1, "redis");
	put(fd);
	manager_meet(b);
	for (unsigned i = 0; i < n; i++) {
		int64_t began = bench_now();

		put(fd);
		get(fd);
		manager_note(b, first, i, began);
	}
	_exit(0);
}

void run_redis(const void *arg, struct bench_out *out)
{
	const struct manager_plan *p = arg;
	struct manager_board *b = bench_shared(sizeof *b);
	int pid[MANAGER_CLIENTS_MOST], port = free_port(), server = serve(port), fd = -1;
	int64_t t;

	for (int i = 0; i < 500 && fd < 0; i++) {
		bench_sleep_us(10000);
		fd = manager_tcp(port);
	}
	if (fd < 0)
		errx(1, "redis-server does not answer");
	close(fd);
	for (unsigned i = 0; i < p->clients; i++) {
		pid[i] = bench_fork();
		if (pid[i] == 0)
			client(b, port, i == 0, manager_share(p));
	}
	while (atomic_load_explicit(&b->ready, memory_order_relaxed) < p->clients)
		bench_sleep_us(50);
	t = bench_now();
	atomic_store_explicit(&b->go, 1, memory_order_relaxed);
	for (unsigned i = 0; i < p->clients; i++)
		waitpid(pid[i], NULL, 0);
	manager_push(p, b, bench_now() - t, out);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}
