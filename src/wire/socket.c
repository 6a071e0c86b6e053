/* Listening and connecting.

   A listener of a Unix socket that was killed leaves its name behind, and the next one would find
   the address in use.  So that name is taken over when it is a socket of ours to which nobody
   listens. Between looking and removing another could do the same, and then remove what the first
   has just made; so who does it holds a lock of the directory. */
#include "wire/socket.h"
#include "os/net_os.h"
#include "wire/stream.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <prong/error.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG    4096 /* the system has its own limit */
#define LOCK_TRIES 50

static const struct sockaddr *addr(const struct prongi_place *p)
{
	return (const struct sockaddr *)&p->at;
}

static const char *path_of(const struct prongi_place *p)
{
	return ((const struct sockaddr_un *)(const void *)&p->at)->sun_path;
}

/* --- connecting ---------------------------------------------------------------------------- */

static int outcome(int fd)
{
	int e = 0;
	socklen_t n = sizeof e;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) ? -errno : -e;
}

static int await_connection(int fd, prong_time deadline)
{
	int r = prongi_await(fd, POLLOUT, deadline);

	return r ? r : outcome(fd);
}

/* A Unix listener whose queue is full says so at once, and nothing tells when it is not. */
static int await_queue(int *pause_ms, prong_time deadline)
{
	prong_time later = prong_in_ms(*pause_ms);
	bool last = deadline.ns_ <= later.ns_;
	int r = prong_sleep(last ? deadline : later);

	*pause_ms = *pause_ms < 32 ? *pause_ms * 2 : 50;
	return r ? r : last ? PRONG_TIMEDOUT : 0;
}

static int connect_fd(int fd, const struct prongi_place *to, prong_time deadline)
{
	int pause_ms = 1, r;

	for (;;) {
		if (connect(fd, addr(to), to->size) == 0)
			return 0;
		if (errno == EINPROGRESS || errno == EINTR || errno == EALREADY)
			return await_connection(fd, deadline);
		if (errno == EISCONN)
			return 0;
		if (errno != EAGAIN)
			return -errno;
		r = await_queue(&pause_ms, deadline);
		if (r)
			return r;
	}
}

static int set_blocking(int fd, bool blocks)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int prongi_socket_connect(int *out, const struct prongi_place *to, prong_time deadline)
{
	int fd = prongi_os_socket(to->at.ss_family), r;

	if (fd < 0)
		return fd;
	r = set_blocking(fd, false);
	if (r == 0)
		r = connect_fd(fd, to, deadline);
	if (r == 0)
		r = set_blocking(fd, true);
	if (r == 0)
		*out = fd;
	else
		close(fd);
	return r;
}

void prongi_socket_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void prongi_socket_peer(int fd, struct prongi_place *out)
{
	out->size = sizeof out->at;
	if (getpeername(fd, (struct sockaddr *)&out->at, &out->size))
		*out = (struct prongi_place){ .at = { .ss_family = AF_UNIX } };
}

/* --- names of Unix sockets ------------------------------------------------------------------- */

void prongi_socket_file(const struct prongi_place *at, struct prongi_file *out)
{
	struct stat st;

	*out = (struct prongi_file){ 0, 0 };
	if (at->at.ss_family == AF_UNIX && lstat(path_of(at), &st) == 0)
		*out = (struct prongi_file){ (uint64_t)st.st_dev, (uint64_t)st.st_ino };
}

void prongi_socket_unlink(const struct prongi_place *at, const struct prongi_file *file)
{
	struct prongi_file now;

	if (!file->inode)
		return;
	prongi_socket_file(at, &now);
	if (now.inode == file->inode && now.device == file->device)
		unlink(path_of(at));
}

/* The directory, locked by us; -errno: not to be had. */
static int lock_directory(const char *path)
{
	char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) + 1 : 0;
	int fd;

	memcpy(directory, path, n);
	directory[n] = '\0';
	fd = open(n ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		if (prong_sleep(prong_in_ms(2)))
			break;
	}
	close(fd);
	return -EBUSY;
}

/* A socket of this user's to which nobody listens. */
static bool left_behind(const struct prongi_place *at)
{
	struct stat st;
	int fd = -1, r;

	if (lstat(path_of(at), &st) || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return false;
	r = prongi_socket_connect(&fd, at, PRONG_NOW);
	prongi_socket_close(fd);
	return r == -ECONNREFUSED;
}

/* Nobody but the owner may connect: that is decided before anybody listens. */
static int bind_name(int fd, const struct prongi_place *at)
{
	if (bind(fd, addr(at), at->size) || chmod(path_of(at), 0600) || listen(fd, BACKLOG))
		return -errno;
	return 0;
}

/* Who has the directory listens at the name before another can think that it was left behind.  Who
   cannot have it, because a stranger does, takes over nothing. */
static int bind_path(int fd, const struct prongi_place *at)
{
	int lock = lock_directory(path_of(at)), r = bind_name(fd, at);

	if (r == -EADDRINUSE && lock >= 0 && left_behind(at) && unlink(path_of(at)) == 0)
		r = bind_name(fd, at);
	if (lock >= 0)
		close(lock);
	return r;
}

/* --- listening ----------------------------------------------------------------------------- */

static int bind_tcp(int fd, const struct prongi_place *at)
{
	const int yes = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes))
		return -errno;
	if (at->at.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes))
		return -errno;
	return bind(fd, addr(at), at->size) ? -errno : 0;
}

int prongi_socket_listen(const struct prongi_place *at, struct prongi_place *bound)
{
	int fd = prongi_os_socket(at->at.ss_family), r;

	if (fd < 0)
		return fd;
	r = at->at.ss_family == AF_UNIX ? bind_path(fd, at) : bind_tcp(fd, at);
	if (r == 0 && listen(fd, BACKLOG))
		r = -errno;
	if (r == 0)
		r = set_blocking(fd, false);
	bound->size = sizeof bound->at;
	if (r == 0 && getsockname(fd, (struct sockaddr *)&bound->at, &bound->size))
		r = -errno;
	if (r == 0)
		return fd;
	close(fd);
	return r;
}
