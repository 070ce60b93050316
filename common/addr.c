#include "common/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "common/mem.h"
#include "common/must.h"
#include "common/num.h"

#define PORT_MAX 65535u
#define MAPPED_BITS 96u         /* that all IPv4-mapped addresses begin with */
#define PATH_MAX_LEN (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* Takes 16 bytes; those of an IPv4-mapped address become IPv4 (RFC 4291 section 2.5.5.2). */
static void
take_ipv6(struct addr *a, const void *ip)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(ip, mapped, sizeof(mapped)) == 0) {
		a->family = AF_INET;
		memcpy(a->ip, (const unsigned char *)ip + sizeof(mapped), 4);
	} else {
		a->family = AF_INET6;
		memcpy(a->ip, ip, sizeof(a->ip));
	}
}

int
addr_parse(struct addr *a, const char *text, size_t len)
{
	struct addr parsed = { .family = AF_INET };
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr ip;

	if (len >= sizeof(copy) || memchr(text, '\0', len) != NULL)
		return -1;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, parsed.ip) != 1) {
		if (inet_pton(AF_INET6, copy, &ip) != 1)
			return -1;
		parsed = (struct addr){ 0 };
		take_ipv6(&parsed, &ip);
	}
	*a = parsed;
	return 0;
}

const char *
addr_parse_network(struct addr *net, unsigned *bits, const char *text)
{
	size_t len = strcspn(text, "/");
	unsigned above;

	if (addr_parse(net, text, len) == -1)
		return "not an IP address";
	*bits = addr_width(net);
	if (text[len] == '\0')
		return NULL;
	above = net->family == AF_INET && memchr(text, ':', len) != NULL ? MAPPED_BITS : 0;
	if (num_parse(text + len + 1, above + *bits, bits) == -1 || *bits < above)
		return "prefix length out of range";
	*bits -= above;
	return NULL;
}

unsigned
addr_width(const struct addr *a)
{
	return a->family == AF_INET ? 32 : a->family == AF_INET6 ? 128 : 0;
}

void
addr_from_sockaddr(struct addr *a, const struct sockaddr_storage *sa)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

	*a = (struct addr){ .family = AF_UNSPEC };
	switch (sa->ss_family) {
	case AF_INET:
		a->family = AF_INET;
		memcpy(a->ip, &in4->sin_addr, sizeof(in4->sin_addr));
		a->port = ntohs(in4->sin_port);
		break;
	case AF_INET6:
		take_ipv6(a, &in6->sin6_addr);
		a->port = ntohs(in6->sin6_port);
		break;
	case AF_UNIX:
		a->family = AF_UNIX;
		break;
	}
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, addr_width(a) / 8) == 0;
}

const char *
addr_format(char out[ADDR_TEXT], const struct addr *a)
{
	if (addr_width(a) > 0)
		inet_ntop(a->family, a->ip, out, ADDR_TEXT);
	else
		snprintf(out, ADDR_TEXT, "%s", a->family == AF_UNIX ? "unix:" : "unknown");
	return out;
}

const char *
addr_format_port(char out[ADDR_TEXT], const struct addr *a)
{
	char ip[INET6_ADDRSTRLEN];

	if (addr_width(a) == 0)
		return addr_format(out, a);
	inet_ntop(a->family, a->ip, ip, sizeof(ip));
	snprintf(out, ADDR_TEXT, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, (unsigned)a->port);
	return out;
}

const char *
endpoint_format(char *out, size_t size, const struct endpoint *e)
{
	char text[ADDR_TEXT];

	snprintf(out, size, "%s%s", addr_format_port(text, &e->addr), e->path != NULL ? e->path : "");
	return out;
}

static socklen_t
sockaddr_unix(const char *path, struct sockaddr_un *sun)
{
	size_t len = strlen(path);

	if (len > PATH_MAX_LEN)
		return 0;
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path, len + 1);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

socklen_t
endpoint_sockaddr(const struct endpoint *e, struct sockaddr_storage *sa)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;

	memset(sa, 0, sizeof(*sa));
	if (e->addr.family == AF_UNIX) {
		MUST(e->path != NULL);
		return sockaddr_unix(e->path, (struct sockaddr_un *)sa);
	}
	MUST(addr_width(&e->addr) > 0);
	if (e->addr.family == AF_INET) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(e->addr.port);
		memcpy(&in4->sin_addr, e->addr.ip, sizeof(in4->sin_addr));
		return sizeof(*in4);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(e->addr.port);
	memcpy(&in6->sin6_addr, e->addr.ip, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

bool
endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	if (a->path == NULL || b->path == NULL)
		return a->path == b->path && addr_equal(&a->addr, &b->addr);
	return strcmp(a->path, b->path) == 0;
}

void
endpoint_copy(struct endpoint *to, const struct endpoint *from)
{
	*to = (struct endpoint){ .addr = from->addr, .path = mem_strdup(from->path) };
}

void
endpoint_reset(struct endpoint *e)
{
	mem_free(e->path);
	*e = (struct endpoint){ .addr.family = AF_UNSPEC };
}

static const char *
split_unix(const char *path, char **host)
{
	size_t len = strlen(path);

	if (len == 0)
		return "no path in the unix domain socket";
	if (len > PATH_MAX_LEN)
		return "too long path in the unix domain socket";
	*host = mem_strndup(path, len);
	return NULL;
}

/* Leaves *port alone when `text` has none. */
static const char *
split_inet(const char *text, char **host, unsigned *port)
{
	bool bracketed = text[0] == '[';
	const char *name = text + bracketed;
	size_t len = strcspn(name, bracketed ? "]" : ":");
	const char *rest = name + len;
	struct addr ip;

	if (bracketed && *rest++ != ']')
		return "invalid host";
	if (len == 0)
		return "no host";
	if (bracketed && (addr_parse(&ip, name, len) == -1 || memchr(name, ':', len) == NULL))
		return "invalid IPv6 address";
	if (*rest != '\0' && *rest != ':')
		return "invalid host";
	if (*rest == ':') {
		unsigned number;

		if (num_parse(rest + 1, PORT_MAX, &number) == -1 || number == 0)
			return "invalid port";
		*port = number;
	}
	*host = mem_strndup(name, len);
	return NULL;
}

const char *
addr_split(const char *text, unsigned default_port, char **host, unsigned *port, bool *is_unix)
{
	bool is_path = strncmp(text, "unix:", 5) == 0;
	unsigned number = default_port;
	const char *why = is_path ? split_unix(text + 5, host) : split_inet(text, host, &number);

	if (why != NULL)
		return why;
	*port = number;
	*is_unix = is_path;
	return NULL;
}
