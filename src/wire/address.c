/* Addresses: from text to sockets' and back. */
#include "wire/address.h"
#include "private.h"
#include "wire/resolve.h"
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <prong/error.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const char tcp[] = "tcp://", local[] = "unix:";

static bool begins_with(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* --- Unix ---------------------------------------------------------------------------------- */

static int find_local(struct prongi_places *out, const char *address, const char *what)
{
	const char *path = address + strlen(local);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	if (n == 0)
		return prongi_fail(-EINVAL, "%s: \"%s\" has no path", what, address);
	if (n >= sizeof un.sun_path)
		return prongi_fail(-ENAMETOOLONG, "%s: a path of %zu bytes, where %zu have room",
				   what, n, sizeof un.sun_path - 1);
	memcpy(un.sun_path, path, n);
	memcpy(&out->place[0].at, &un, sizeof un);
	out->place[0].size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	out->n = 1;
	return 0;
}

/* --- TCP ----------------------------------------------------------------------------------- */

/* Part "host:port" or "[host]:port". */
static bool part(const char *text, char host[PRONGI_HOST_MOST], char port[6])
{
	bool bracket = text[0] == '[';
	const char *from = text + bracket, *to = bracket ? strchr(from, ']') : strrchr(from, ':');
	const char *number = to ? to + bracket : NULL;
	size_t n = to ? (size_t)(to - from) : 0, digits;
	long value = 0;

	if (!number || *number++ != ':' || n == 0 || n > 255)
		return false;
	if (!bracket && memchr(from, ':', n))
		return false; /* v6 without brackets: which is the port? */
	digits = strspn(number, "0123456789");
	if (digits == 0 || digits > 5 || number[digits])
		return false;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (number[i] - '0');
	if (value > 65535)
		return false;
	memcpy(host, from, n);
	host[n] = '\0';
	memcpy(port, number, digits + 1);
	return true;
}

/* An address of IPv4 in the dress of IPv6, which a socket that is for IPv6 alone does not take. */
static void undress(struct prongi_place *p)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (p->at.ss_family != AF_INET6)
		return;
	memcpy(&in6, &p->at, sizeof in6);
	if (!IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
		return;
	in.sin_port = in6.sin6_port;
	memcpy(&in.sin_addr, in6.sin6_addr.s6_addr + 12, 4);
	memset(&p->at, 0, sizeof p->at);
	memcpy(&p->at, &in, sizeof in);
	p->size = sizeof in;
}

static int find_tcp(struct prongi_places *out, const char *address, prong_time deadline,
		    const char *what)
{
	char host[PRONGI_HOST_MOST], port[6];
	const char *why;
	int r;

	if (!part(address + strlen(tcp), host, port))
		return prongi_fail(-EINVAL, "%s: \"%.100s\" is not tcp://host:port", what, address);
	r = prongi_resolve(out, host, port, deadline, &why);
	if (r > 0)
		return prongi_fail(r, "%s: \"%.90s\" was not found until the deadline, or a cancel",
				   what, host);
	if (r)
		return prongi_fail(r, "%s: \"%.90s\": %s", what, host, why);
	for (size_t i = 0; i < out->n; i++)
		undress(&out->place[i]);
	return 0;
}

int prongi_address_find(struct prongi_places *out, const char *address, prong_time deadline,
			const char *what)
{
	if (!address)
		return prongi_fail(-EINVAL, "%s: the address is NULL", what);
	if (begins_with(address, tcp))
		return find_tcp(out, address, deadline, what);
	if (begins_with(address, local))
		return find_local(out, address, what);
	return prongi_fail(-EINVAL, "%s: \"%.80s\" is neither tcp://host:port nor unix:path", what,
			   address);
}

bool prongi_address_host(const char *address, char host[PRONGI_HOST_MOST])
{
	char port[6];

	return begins_with(address, tcp) && part(address + strlen(tcp), host, port);
}

/* --- back ---------------------------------------------------------------------------------- */

static const struct sockaddr_in *v4(const struct prongi_place *p)
{
	return (const struct sockaddr_in *)(const void *)&p->at;
}

static const struct sockaddr_in6 *v6(const struct prongi_place *p)
{
	return (const struct sockaddr_in6 *)(const void *)&p->at;
}

/* Of an address that is good at one interface alone. */
static void scope_text(unsigned scope, char text[IF_NAMESIZE + 1])
{
	char name[IF_NAMESIZE];

	if (scope && if_indextoname(scope, name))
		snprintf(text, IF_NAMESIZE + 1, "%%%s", name);
	else if (scope)
		snprintf(text, IF_NAMESIZE + 1, "%%%u", scope);
}

void prongi_address_text(const struct prongi_place *p, char text[PRONGI_ADDRESS_MOST])
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&p->at;
	char host[INET6_ADDRSTRLEN] = "?", scope[IF_NAMESIZE + 1] = "";
	size_t n = p->size - offsetof(struct sockaddr_un, sun_path);

	switch (p->at.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &v4(p)->sin_addr, host, sizeof host);
		snprintf(text, PRONGI_ADDRESS_MOST, "tcp://%s:%u", host,
			 (unsigned)ntohs(v4(p)->sin_port));
		return;
	case AF_INET6:
		inet_ntop(AF_INET6, &v6(p)->sin6_addr, host, sizeof host);
		scope_text(v6(p)->sin6_scope_id, scope);
		snprintf(text, PRONGI_ADDRESS_MOST, "tcp://[%s%s]:%u", host, scope,
			 (unsigned)ntohs(v6(p)->sin6_port));
		return;
	default: /* the path may end without a NUL; a client's socket has none at all */
		if (p->size <= offsetof(struct sockaddr_un, sun_path) || !un->sun_path[0])
			n = 0;
		snprintf(text, PRONGI_ADDRESS_MOST, "unix:%.*s", (int)n, un->sun_path);
	}
}

static bool mapped(const struct prongi_place *p)
{
	return IN6_IS_ADDR_V4MAPPED(&v6(p)->sin6_addr);
}

bool prongi_address_is_local(const struct prongi_place *p)
{
	switch (p->at.ss_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(v4(p)->sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&v6(p)->sin6_addr) ||
		       (mapped(p) && v6(p)->sin6_addr.s6_addr[12] == 127);
	}
	return false;
}

/* Who has one address of IPv6 has a network of them.  One of IPv4 looks like a network that there
   is not: 0:ffff:... */
uint64_t prongi_address_source(const struct prongi_place *p)
{
	unsigned char source[8] = { 0 };
	uint64_t id;

	if (p->at.ss_family == AF_INET6 && !mapped(p)) {
		memcpy(source, &v6(p)->sin6_addr, 8);
		source[7] |= IN6_IS_ADDR_LOOPBACK(&v6(p)->sin6_addr);
	} else if (p->at.ss_family == AF_INET6 || p->at.ss_family == AF_INET) {
		source[2] = source[3] = 0xff;
		memcpy(source + 4,
		       p->at.ss_family == AF_INET ? (const void *)&v4(p)->sin_addr
						  : (const void *)(v6(p)->sin6_addr.s6_addr + 12),
		       4);
	}
	memcpy(&id, source, sizeof id);
	return id;
}
